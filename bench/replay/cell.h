/* SPDX-License-Identifier: ISC */
/*
 * cell.h: an engine in a process of its own, told by a pipe when to play a round.
 *
 * So cells do not disturb each other's memory, a crash of one is an answer like any other, and rounds of several cells can be
 * interleaved with all of them warm.
 */
#ifndef REPLAY_CELL_H
#define REPLAY_CELL_H

#include <sys/types.h>

#include "engine.h"

struct cell {
	struct engine_setup setup;
	pid_t	 pid;			/* 0: does not run */
	int	 ask, answer;		/* pipes to and from it; -1: none */
	char	 failure[128];		/* empty: none */
};

#define CELL_PATIENCE	120.0		/* seconds that a round may take, besides ten times its bodies */

/* Start it.  others: cells that run already, whose pipes it must not keep open. */
void	cell_start(struct cell *cell, const struct engine_setup *setup, const struct cell *others, unsigned n);

/* Play a round.  0, or -1: cell->failure says why, and the cell is gone. */
int	cell_round(struct cell *cell, struct round *round);

/* End it, if it runs.  A failure then shows as in cell_round(). */
void	cell_stop(struct cell *cell);

#endif
