/* SPDX-License-Identifier: ISC */
/*
 * migration.c: contexts that are stolen while their last switch is still going on would run on two workers at once.
 *
 * Every context pauses again and again, is taken along by whichever worker is hungry, and ends somewhere else than it began.
 * A context that ran twice, never, or with another's registers spoils its own plain counter or the sum of the statuses.
 */
#include <stdio.h>
#include <stdlib.h>

#include <reap/runtime.h>

#include "../check.h"

#define WORKERS		4
#define FAMILIES	20
#define PAUSES		20

static long children = 200;	/* of each family */
static long migrations;		/* any thread, by the macros of atomic.h */

static intptr_t
wander(void *arg)
{
	volatile long runs = 0;		/* on this stack alone */
	int i, where, before = reap_runtime_worker_index();

	for (i = 0; i < PAUSES; i++) {
		runs++;
		reap_pause();
		where = reap_runtime_worker_index();
		CHECK(where >= 0 && where < WORKERS);
		if (where != before)
			(void)REAP_ADD_RELAXED(&migrations, 1);
		before = where;
	}
	CHECK_EQ(runs, PAUSES);
	return (intptr_t)arg;
}

static intptr_t
family(void *arg)
{
	struct reap_context *child;
	struct reap_result result;
	intptr_t i, sum = 0;

	(void)arg;
	for (i = 0; i < children; i++)
		CHECK_EQ(reap_go(wander, (void *)i, &child), 0);
	for (i = 0; reap_wait_any(0, &result) == 0; i++)
		sum += result.status;
	CHECK_EQ(i, children);
	return sum;
}

static intptr_t
start(void *arg)
{
	struct reap_context *child[FAMILIES];
	struct reap_stats stats = { .size = sizeof(stats) };
	struct reap_result result;
	int i;

	(void)arg;
	for (i = 0; i < FAMILIES; i++)
		CHECK_EQ(reap_go(family, NULL, &child[i]), 0);
	for (i = 0; i < FAMILIES; i++) {
		CHECK_EQ(reap_wait(child[i], 0, &result), 0);
		CHECK_EQ(result.status, children * (children - 1) / 2);
	}
	CHECK_EQ(reap_domain_stats(reap_runtime_domain(reap_runtime_self()), &stats), 0);
	CHECK_EQ(stats.zombies, 0);
	CHECK_EQ(stats.live, 1);
	CHECK_EQ(stats.created, 1 + FAMILIES * (1 + children));
	return 0;
}

int
main(int argc, char **argv)
{
	struct reap_runtime_options options = { .size = sizeof(options), .workers = WORKERS };
	intptr_t status;

	children = argc > 1 ? atol(argv[1]) : check_long() ? 20 * children : children;
	CHECK_EQ(reap_run(&options, start, NULL, &status), 0);
	CHECK_EQ(status, 0);
	printf("%ld contexts, %ld migrations between %d workers, all exact\n", FAMILIES * (1 + children),
	    REAP_LOAD_RELAXED(&migrations), WORKERS);
	return 0;
}
