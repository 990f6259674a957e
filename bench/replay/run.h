/* SPDX-License-Identifier: ISC */
/*
 * run.h: playing a plan, group by group.
 */
#ifndef REPLAY_RUN_H
#define REPLAY_RUN_H

#include "plan.h"

/*
 * Play it; done() is told after each group.  Returns how many cells failed.
 *
 *	timed rounds	every side's cell is warm and waits; one plays at a time, in the order A B C, C B A, A B C ...
 *	measuring	the same again, in cells that watch more closely
 */
/* Stop after the round that is being played: what is there counts.  From a signal handler. */
void		run_interrupt(void);
unsigned	run_plan(struct plan *plan, void (*done)(const struct plan *plan, const struct group *group));

#endif
