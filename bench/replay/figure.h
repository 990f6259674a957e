/* SPDX-License-Identifier: ISC */
/*
 * figure.h: what a round measures, by name and unit.  The tables and the JSON file take both from here.
 */
#ifndef REPLAY_FIGURE_H
#define REPLAY_FIGURE_H

#include <stdbool.h>
#include <stddef.h>

enum figure {
	FIGURE_THROUGHPUT,
	FIGURE_CPU,
	FIGURE_CPU_BEYOND_BODIES,
	FIGURE_REAPER_CPU,
	FIGURE_PARENT_P50, FIGURE_PARENT_P90, FIGURE_PARENT_P99, FIGURE_PARENT_P999, FIGURE_PARENT_MAX,
	FIGURE_COLLECTED_P50, FIGURE_COLLECTED_P90, FIGURE_COLLECTED_P99, FIGURE_COLLECTED_P999, FIGURE_COLLECTED_MAX,
	FIGURE_FREE_P50, FIGURE_FREE_P90, FIGURE_FREE_P99, FIGURE_FREE_P999, FIGURE_FREE_MAX,
	FIGURE_LANDING_P50, FIGURE_LANDING_P90, FIGURE_LANDING_P99, FIGURE_LANDING_P999, FIGURE_LANDING_MAX,
	FIGURE_LANDED_P50, FIGURE_LANDED_P90, FIGURE_LANDED_P99, FIGURE_LANDED_P999, FIGURE_LANDED_MAX,
	FIGURE_WAITING,
	FIGURE_WAITING_COUNT,
	FIGURE_SWITCHES,
	FIGURE_OS_SWITCHES,
	FIGURE_TO_BASE,
	FIGURE_BARRIER_WAITS,
	FIGURE_ZOMBIES,
	FIGURE_ZOMBIE_BYTES,
	FIGURE_BACKLOG,
	FIGURE_RSS,
	FIGURE_STACKS_PARENT, FIGURE_STACKS_ADOPTER, FIGURE_STACKS_SUCCESSOR, FIGURE_STACKS_THREAD,
	FIGURE_PAID_PARENT, FIGURE_PAID_ADOPTER, FIGURE_PAID_SUCCESSOR, FIGURE_PAID_THREAD,
	FIGURE_REAPER_RUNNING, FIGURE_REAPER_QUEUED, FIGURE_REAPER_STOPPED,
	FIGURE_WORKERS_RUNNING, FIGURE_WORKERS_QUEUED, FIGURE_WORKERS_STOPPED,
	FIGURES
};

/* The share of latencies that each of the five figures from P50 on stands for. */
#define FIGURE_QUANTILES	5
extern const double figure_quantile[FIGURE_QUANTILES];

struct figure_info {
	const char *name;
	const char *unit;
	int	 better;	/* -1: less is better; 1: more is; 0: it depends */
	bool	 measured;	/* from the measuring rounds: they watch every landing and reap, and are not timed */
	bool	 headline;	/* reap and reaper are compared by it */
};

extern const struct figure_info figure_info[FIGURES];

/* One figure over all rounds.  n 0: not measured. */
struct spread {
	double	 median, min, max;
	size_t	 n;
};

/* NAN among the values: this round did not see it. */
struct spread	spread_of(const double *value, size_t n);
/* Round by round a/b: neighbours in time, so that what disturbs both cancels out. */
struct spread	spread_ratio(const double *a, const double *b, size_t n);
/* Does the interval tell the ratio from 1? */
bool		spread_differs(struct spread ratio);

/* A number for people: three significant digits, k and M above 10,000.  Returns text. */
char		*figure_text(double value, char text[16]);

#endif
