/* SPDX-License-Identifier: ISC */
/*
 * program.h: a trace, compiled before the clock starts: each task becomes a list of steps.
 *
 *	recorded	...spawn c......wait c (mode B or L).....reap......wait d (mode N)...exit
 *	replayed	run 120us | SPAWN c | run 80us | WAIT c | run 30us | POLL d | run 5us | END
 *
 * The steps stand in the order of the recorded events of that task.  What it ran between them is the recorded time less the
 * time it was blocked in waits.  A wait is a step, never a time: whether the child is dead by then is an outcome.
 */
#ifndef REPLAY_PROGRAM_H
#define REPLAY_PROGRAM_H

#include <stdint.h>

#include "trace.h"

enum step_kind {
	STEP_RUN,		/* spend `arg' us of recorded time */
	STEP_SPAWN,		/* make task `arg' */
	STEP_WAIT,		/* collect task `arg', however long that takes */
	STEP_POLL,		/* ask for task `arg' without blocking; if it lives, again later, and at the end by waiting */
	STEP_END
};

struct step {
	uint64_t kind : 3;	/* enum step_kind */
	uint64_t arg : 61;	/* tasks count from 0 here */
};

/* Who will collect a task. */
enum fate {
	FATE_WAITED,		/* B, L, N: its parent */
	FATE_LEFT,		/* O, U: nobody asks; the adopter gets it when the parent ends */
	FATE_DETACHED		/* A, and threads that nobody waited for */
};

struct program {
	const struct trace *trace;
	struct step *step;	/* all tasks' steps, one list after the other */
	uint32_t *first;	/* by task: index of its first step */
	unsigned char *fate;	/* by task: enum fate */
	double	 body_us;	/* recorded run time of all tasks together */
	size_t	 live_max;	/* tasks alive at a time, as recorded */
};

/* 0, or -1: out of memory.  The trace must outlive the program. */
int	program_compile(const struct trace *trace, struct program *program);
void	program_free(struct program *program);

#endif
