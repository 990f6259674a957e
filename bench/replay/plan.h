/* SPDX-License-Identifier: ISC */
/*
 * plan.h: what is run, in which order, how often and with which bodies; and what came of it.
 */
#ifndef REPLAY_PLAN_H
#define REPLAY_PLAN_H

#include "engine.h"
#include "figure.h"
#include "options.h"
#include "program.h"
#include "side.h"
#include "tally.h"

#define PLAN_ROUNDS_MAX		OPTIONS_ROUNDS_MAX
#define PLAN_MEASURING		5	/* measuring rounds per side, if there are as many timed ones */

/* What else the machine did while a group was played. */
struct noise {
	double	 seconds;			/* that were watched */
	/* processor seconds: of ours; of all that ran, -1: not known; that a host kept */
	double	 own, busy, stolen;
	double	 pace[2 * PLAN_ROUNDS_MAX * SIDES];	/* a fixed loop before each round: its time, us */
	size_t	 paces;
};

/* What one side did in a group. */
struct column {
	double	 value[FIGURES][PLAN_ROUNDS_MAX];	/* by round, of either kind */
	size_t	 timed, measured;			/* how many of each there are */
	uint64_t outcome[MODES][OUTCOMES];		/* of the timed rounds together */
	struct hist latency[LATENCIES];			/* of all rounds that count */
	struct series series;				/* of the last measuring round */
	double	 series_seconds;
	struct waits waits;				/* of all timed rounds */
	double	 timed_seconds;				/* that they took */
	char	 failure[128];				/* empty: none */
};

/* Sides that are compared with each other: the same trees, copies, workers and bodies, rounds interleaved. */
struct group {
	const struct program *program;
	unsigned copies, copies_asked;
	unsigned workers;
	unsigned sides;			/* a bit per side */
	double	 scale;
	unsigned rounds;		/* planned */
	double	 estimate;		/* seconds */
	struct column *column;		/* by side */
	struct noise noise;
};

struct plan {
	struct group *group;
	size_t	 groups;
	const struct program *program;
	size_t	 programs;
	unsigned rounds;
	unsigned pages;
	unsigned workers;		/* the most in any group */
	double	 deadline;		/* seconds; 0: none, the user has chosen the effort */
	double	 loops_per_us;
	double	 clock_cost;		/* ns */
	double	 more;			/* seconds of other work that the caller has behind this run: for the progress line */
	bool	 interrupted;		/* somebody has asked it to stop: what was played counts */
};

/* 0, or -1: out of memory. */
int	plan_make(struct plan *plan, const struct options *options, const struct program *program, size_t programs);
void	plan_free(struct plan *plan);

/* The values of a figure, and over its rounds. */
size_t		 column_rounds(const struct column *column, enum figure figure);
struct spread	 column_spread(const struct column *column, enum figure figure);
/* Side a to side b; n 0: not both were measured. */
struct spread	 group_ratio(const struct group *group, enum side_name a, enum side_name b, enum figure figure);

/* The side that stands for reap: adaptive, or else the first without a reaper thread.  SIDES: none. */
enum side_name	 plan_champion(const struct group *group);

#endif
