/* SPDX-License-Identifier: ISC */
/*
 * test.h: run a table of tests, in TAP.  A failed CHECK ends the program: the plan stays unfulfilled.
 */
#ifndef REPLAY_TEST_H
#define REPLAY_TEST_H

#include <stdio.h>

#include "../../tests/check.h"

struct test {
	const char *fact;
	void	(*run)(void);
};

static inline int
test_run(const struct test *test, unsigned n)
{
	unsigned i;

	printf("TAP version 13\n1..%u\n", n);
	for (i = 0; i < n; i++) {
		fflush(stdout);
		test[i].run();
		printf("ok %u - %s\n", i + 1, test[i].fact);
	}
	return fflush(stdout) == 0 ? 0 : 1;
}

#endif
