/* SPDX-License-Identifier: ISC */
/*
 * trace.h: a recorded process tree, read from a CSV file and checked.  bench/traces/README.md has the format.
 */
#ifndef REPLAY_TRACE_H
#define REPLAY_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRACE_NOT_SEEN		INT64_C(-1)
#define TRACE_TIME_MAX		INT64_C(1000000000000)	/* us: eleven days */
#define TRACE_TASKS_MAX		((size_t)1 << 24)
#define TRACE_LINE_MAX		255u			/* bytes, newline not counted */
#define TRACE_NAME_MAX		15u			/* characters, as the kernel's comm */
/* Two tasks' events are stamped on different processors, and some recorders stamp a call's entry, others its return: so far
 * they may stand in the wrong order.  us. */
#define TRACE_NOISE		INT64_C(10000)

/* One line.  Times are us since the root's first event, or TRACE_NOT_SEEN. */
struct task {
	uint32_t parent;	/* id of the spawner, 0 for the root; ids count from 1 */
	char	 kind;		/* P process, V vforked process, T thread */
	char	 mode;		/* how it was reaped: B L N A O U, R for the root */
	bool	 early;		/* released before its final switch */
	int64_t	 spawn;
	int64_t	 exit;
	int64_t	 zomb;
	int64_t	 off;
	int64_t	 wait;
	int64_t	 reap;
};

struct trace {
	const char *path;	/* as given */
	char	 name[64];	/* its last part, without .csv; for tables */
	struct task *task;	/* task[0] has id 1 */
	size_t	 tasks;
	int64_t	 end;		/* the last time in the file: tasks without an exit live until then */
	size_t	 modes[128];	/* tasks by mode */
};

/*
 * trace_load -- read and check a whole file.  0, or -1 with `FILE:LINE: reason' in why[] and nothing to free.
 */
int	trace_load(const char *path, struct trace *trace, char *why, size_t why_size);
void	trace_free(struct trace *trace);

#endif
