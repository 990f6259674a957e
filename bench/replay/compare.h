/* SPDX-License-Identifier: ISC */
/*
 * compare.h: reap against the reapers, over all that was measured: where it wins, where it loses, and the verdict.
 */
#ifndef REPLAY_COMPARE_H
#define REPLAY_COMPARE_H

#include "plan.h"

enum result {
	RESULT_WINS,
	RESULT_LOSES,
	RESULT_SAME	/* no difference was measured: the interval holds 1, or the median is within 5% of it */
};

/* One headline figure in one group: the champion of reap to one of the reapers. */
struct comparison {
	const struct group *group;
	enum side_name champion, rival;
	enum figure figure;
	struct spread ratio;		/* champion to rival */
	enum result result;
};

/* A geometric mean of ratios over traces, with an interval of 95% by bootstrap over the rounds. */
struct mean {
	double	 ratio, lo, hi;
	unsigned traces;		/* 0: nothing to compare */
};

/* All comparisons.  The caller frees *list.  Their number; 0 also if there is no memory. */
size_t		compare_all(const struct plan *plan, struct comparison **list);
enum result	compare_result(enum figure figure, struct spread ratio);

/* By how much does the champion lose?  1: not at all. */
double		compare_loss(const struct comparison *c);

/* Groups with the most workers and so many copies asked for. */
struct mean	compare_mean(const struct plan *plan, unsigned copies_asked, enum side_name rival, enum figure figure);

/* The verdict, one line without a newline.  The caller frees it; NULL: no memory. */
char		*compare_verdict(const struct plan *plan);

#endif
