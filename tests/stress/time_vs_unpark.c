/* SPDX-License-Identifier: ISC */
/*
 * time_vs_unpark.c: the time of a sleeper comes at the moment when somebody unparks it, from another worker or from its own.
 *
 * Each unpark must end exactly one reap_park_until() with 0, whether it sleeps, has just given up or has not begun; and what the
 * sleeper leaves behind in the timers of a worker that it is no longer on must be nothing: its stack is written over at once.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

#include <reap/runtime.h>

#include "../check.h"

#define PAIRS		4
#define SECONDS		120		/* enough under any sanitizer */

static long rounds = 12000;
static long late, in_time;		/* any thread, by the macros of atomic.h */

static void
lost(int signo)
{
	static const char message[] = "time_vs_unpark: nothing moves any more, an unpark was lost\n";

	(void)signo;
	_exit(write(STDERR_FILENO, message, sizeof(message) - 1) < 0 ? 2 : 1);
}

static uint64_t
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

struct pair {
	struct reap_parking	ask, answer;
	long			asked;		/* handed over with the unpark: a plain counter */
};

/* Where the frame of reap_park_until() was. */
static __attribute__((noinline)) void
overwrite_stack(void)
{
	volatile char dirt[512];

	for (size_t i = 0; i < sizeof(dirt); i++)
		dirt[i] = (char)0xa5;
}

static intptr_t
sleeps(void *arg)
{
	struct pair *pair = arg;

	for (long i = 0; i < rounds; i++) {
		uint64_t	patience = (uint64_t)i * 37 % 1024 * 40;	/* 0 to 40 us: what the other side takes, more or less */
		int		err;

		while ((err = reap_park_until(&pair->ask, now() + patience)) != 0) {
			CHECK_EQ(err, -ETIMEDOUT);
			(void)REAP_ADD_RELAXED(&late, 1);
			overwrite_stack();
			reap_pause();		/* so that others come to run, and maybe this one elsewhere */
		}
		overwrite_stack();
		CHECK_EQ(pair->asked, i + 1);
		(void)REAP_ADD_RELAXED(&in_time, 1);
		reap_unpark(&pair->answer);
	}
	CHECK_EQ(reap_park_until(&pair->ask, now()), -ETIMEDOUT);	/* no unpark too many */
	return 0;
}

static intptr_t
unparks(void *arg)
{
	struct pair *pair = arg;

	for (long i = 0; i < rounds; i++) {
		for (volatile long n = i * 53 % 1024; n > 0; n--)
			continue;
		if (i % 4 == 0)
			reap_pause();
		pair->asked++;
		reap_unpark(&pair->ask);
		CHECK_EQ(reap_park_at(&pair->answer), 0);
	}
	return 0;
}

static intptr_t
start(void *arg)
{
	struct pair		*pair = arg;
	struct reap_context	*child;

	for (int i = 0; i < PAIRS; i++) {
		CHECK_EQ(reap_go(sleeps, &pair[i], &child), 0);
		CHECK_EQ(reap_go(unparks, &pair[i], &child), 0);
	}
	while (reap_wait_any(0, NULL) == 0)
		continue;
	return 0;
}

int
main(int argc, char **argv)
{
	struct reap_runtime_options options = { .size = sizeof(options) };

	rounds = argc > 1 ? atol(argv[1]) : check_long() ? 20 * rounds : rounds;
	signal(SIGALRM, lost);
	alarm(check_long() ? 20 * SECONDS : SECONDS);
	for (unsigned n = 1; n <= 3; n++) {
		struct pair pair[PAIRS];

		memset(pair, 0, sizeof(pair));
		options.workers = n;
		CHECK_EQ(reap_run(&options, start, pair, NULL), 0);
	}
	CHECK_EQ(in_time, 3 * PAIRS * rounds);
	CHECK(rounds < 1000 || late > 0);
	printf("%ld unparks, none lost, %ld sleepers that gave up before\n", in_time, late);
	return 0;
}
