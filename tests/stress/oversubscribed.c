/* SPDX-License-Identifier: ISC */
/*
 * oversubscribed.c: more workers than processors, so the system stops workers anywhere: between a switch and its landing,
 * between taking an offer and running it, on the way to sleep.  Trees of contexts that wait for their children; counts exact.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <reap/runtime.h>

#include "../check.h"

static intptr_t
node(void *arg)
{
	intptr_t depth = (intptr_t)arg;
	struct reap_context *child[2];
	struct reap_result result;
	intptr_t leaves = 0;
	int i;

	if (depth == 0)
		return 1;
	for (i = 0; i < 2; i++)
		CHECK_EQ(reap_go(node, (void *)(depth - 1), &child[i]), 0);
	if (depth % 3 == 0)
		reap_pause();
	for (i = 0; i < 2; i++) {
		CHECK_EQ(reap_wait(child[i], 0, &result), 0);
		leaves += result.status;
	}
	return leaves;
}

int
main(int argc, char **argv)
{
	struct reap_runtime_options options = { .size = sizeof(options) };
	long i, rounds = argc > 1 ? atol(argv[1]) : check_long() ? 400 : 20;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	intptr_t depth = 11, leaves;

	options.workers = 4 * (unsigned)(cpus > 0 ? cpus : 1);
	for (i = 0; i < rounds; i++) {
		CHECK_EQ(reap_run(&options, node, (void *)depth, &leaves), 0);
		CHECK_EQ(leaves, (intptr_t)1 << depth);
	}
	printf("%ld trees of %ld contexts on %u workers and %ld processors, all leaves counted\n", rounds,
	    (2L << depth) - 1, options.workers, cpus);
	return 0;
}
