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

/* The ids of the threads that are there now; and of those that are in `after' only. */
void		process_threads(struct process_threads *threads);
void		process_new_threads(const struct process_threads *before, const struct process_threads *after,
		    struct process_threads *fresh);

/* What the kernel's scheduler did with threads: how long they ran, and how long they were ready and did not. */
struct process_time {
	uint64_t run_ns, queued_ns;
};

/* Of one thread of this process; zero where the kernel does not say. */
struct process_time	process_thread_time(long id);

/* The high-water mark of resident memory since the last reset; where that is not permitted, since the start. */
void		process_reset_peak_rss(void);
double		process_peak_rss_mib(void);

#endif
