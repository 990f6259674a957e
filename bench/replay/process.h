/* SPDX-License-Identifier: ISC */
/*
 * process.h: what the kernel knows of this process.  Where there is no /proc, some of it is not known.
 */
#ifndef REPLAY_PROCESS_H
#define REPLAY_PROCESS_H

#include <stdint.h>

#define PROCESS_THREADS_MAX	512

struct process_threads {
	unsigned n;
	long	 id[PROCESS_THREADS_MAX];
};

/* The ids of the threads that are there now; and the one that is in `after' only, 0 if there is not exactly one such. */
void		process_threads(struct process_threads *threads);
long		process_new_thread(const struct process_threads *before, const struct process_threads *after);

/* CPU time of one thread. */
uint64_t	process_thread_cpu_ns(long id);

/* The high-water mark of resident memory since the last reset; where that is not permitted, since the start. */
void		process_reset_peak_rss(void);
double		process_peak_rss_mib(void);

#endif
