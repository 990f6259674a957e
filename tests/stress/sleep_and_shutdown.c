/* SPDX-License-Identifier: ISC */
/*
 * sleep_and_shutdown.c: the runtime ends while contexts are parked, asleep, runnable, new, waiting for each other.
 *
 * Each of them must be destroyed exactly once, off_cpu() says so; none may run afterwards, none may keep the end waiting.
 * Before that: sleepers under an injected clock wake in the order of their times, none early.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <reap/runtime.h>

#include "../check.h"

#define KINDS		7
#define EACH		40		/* contexts of each kind */

static long ended, cancelled;		/* any thread, by the macros of atomic.h */
static struct reap_parking forever[KINDS * EACH * 2];
static long nforever;

static void
off_cpu(struct reap_context *context, intptr_t status)
{
	(void)context;
	(void)REAP_ADD_RELAXED(&ended, 1);
	if (status == -ECANCELED)
		(void)REAP_ADD_RELAXED(&cancelled, 1);
}

static intptr_t
parks(void *arg)
{
	(void)arg;
	CHECK_EQ(reap_park_at(&forever[REAP_ADD_RELAXED(&nforever, 1) - 1]), 0);
	CHECK(!"a parked context ran again");
	return 0;
}

static intptr_t
sleeps(void *arg)
{
	(void)arg;
	reap_sleep_until(UINT64_MAX - 1);
	CHECK(!"a sleeper ran again");
	return 0;
}

static intptr_t
pauses(void *arg)
{
	while (arg == NULL)
		reap_pause();
	return 0;
}

static intptr_t
ends(void *arg)
{
	return (intptr_t)arg;
}

static struct reap_context *
go(reap_entry *entry, unsigned flags)
{
	struct reap_context_options options = { .size = sizeof(options), .entry = entry, .off_cpu = off_cpu, .flags = flags };
	struct reap_context *child = NULL;

	CHECK_EQ(reap_go_with(&options, flags & REAP_CONTEXT_DETACHED ? NULL : &child), 0);
	return child;
}

static intptr_t
waits(void *arg)
{
	(void)arg;
	reap_wait(go(parks, 0), 0, NULL);
	CHECK(!"a wait for a parked context returned");
	return 0;
}

static intptr_t
waits_any(void *arg)
{
	(void)arg;
	go(sleeps, 0);
	reap_wait_any(0, NULL);
	CHECK(!"a wait for a sleeping context returned");
	return 0;
}

/* An init of the program's own, besides the workers: they may drain at the same time, -EBUSY for one of them. */
static intptr_t
inherits(void *arg)
{
	struct reap_adopter *adopter = reap_adopter_default(reap_runtime_domain(reap_runtime_self()));

	(void)arg;
	for (;;) {
		CHECK_EQ(reap_adopter_wait(adopter), 0);
		(void)reap_adopter_drain(adopter, 8);
		reap_pause();
	}
}

static const struct {
	reap_entry *entry;
	unsigned flags;
	int contexts;			/* it and its children */
} kind[KINDS] = {
	{ parks, 0, 1 },
	{ sleeps, REAP_CONTEXT_DETACHED, 1 },
	{ pauses, 0, 1 },
	{ pauses, REAP_CONTEXT_PINNED, 1 },
	{ waits, 0, 2 },
	{ waits_any, REAP_CONTEXT_DETACHED, 2 },
	{ ends, REAP_CONTEXT_DETACHED, 1 }
};

/* arg: how long to let them run, before the end. */
static intptr_t
start(void *arg)
{
	intptr_t i;

	(void)go(inherits, 0);
	for (i = 0; i < KINDS * EACH; i++) {
		(void)go(kind[i % KINDS].entry, kind[i % KINDS].flags);
		if (i % 16 == (intptr_t)arg % 16)
			reap_pause();
	}
	for (i = 0; i < (intptr_t)arg; i++)
		reap_pause();
	return 42;
}

static uint64_t now_ns;			/* the injected clock: any thread, by the macros of atomic.h */
static uint64_t woken_at;

static uint64_t
injected(void *arg)
{
	(void)arg;
	return REAP_LOAD_RELAXED(&now_ns);
}

static intptr_t
sleeper(void *arg)
{
	uint64_t when = (uint64_t)(uintptr_t)arg;

	CHECK_EQ(reap_sleep_until(when), 0);
	CHECK(REAP_LOAD_RELAXED(&now_ns) >= when);
	CHECK(woken_at <= when);	/* one worker: no race */
	woken_at = when;
	return 0;
}

static intptr_t
sleepers(void *arg)
{
	struct reap_context *child;
	uintptr_t i, n = 0;

	(void)arg;
	for (i = 0; i < 100; i++)
		CHECK_EQ(reap_go(sleeper, (void *)(1000 + i * 37 % 100), &child), 0);
	reap_pause();			/* they fall asleep */
	for (i = 0; i < 2000; i += 10) {
		REAP_STORE_RELAXED(&now_ns, i);
		while (reap_wait_any(REAP_NOHANG, NULL) == 0)
			n++;
		for (int j = 0; j < 40; j++)
			reap_pause();	/* past the next look at the timers */
	}
	while (reap_wait_any(REAP_NOHANG, NULL) == 0)
		n++;
	CHECK_EQ(n, 100);
	CHECK_EQ(woken_at, 1099);
	return 0;
}

int
main(int argc, char **argv)
{
	long rounds = argc > 1 ? atol(argv[1]) : check_long() ? 2000 : 60, i, all = 0;
	struct reap_domain_options clock = { .size = sizeof(clock), .clock = injected };
	struct reap_runtime_options one = { .size = sizeof(one), .workers = 1, .domain = &clock };
	struct reap_domain_options policy = { .size = sizeof(policy) };
	struct reap_runtime_options options = { .size = sizeof(options), .domain = &policy };
	intptr_t status;
	int k;

	CHECK_EQ(reap_run(&one, sleepers, NULL, NULL), 0);
	for (i = 0; i < rounds; i++) {
		ended = cancelled = nforever = 0;
		memset(forever, 0, sizeof(forever));
		options.workers = 1 + (unsigned)i % 4;
		policy.policy = (enum reap_policy)(REAP_POLICY_ADAPTIVE + i % 5);
		options.reaper_batch = (unsigned)i % 2 * 8;
		if (i % 2 == 0) {
			CHECK_EQ(reap_run(&options, start, (void *)(intptr_t)(i % 70), &status), 0);
			CHECK_EQ(status, 42);
		} else {
			struct reap_context_options first = { .size = sizeof(first), .entry = start, .arg = (void *)(i % 70) };
			struct reap_runtime *runtime;
			struct reap_handle handle;

			CHECK_EQ(reap_runtime_create(&options, &runtime), 0);
			CHECK_EQ(reap_runtime_go(runtime, &first, &handle), 0);
			CHECK_EQ(reap_join(handle, 0, NULL), 0);
			CHECK_EQ(reap_runtime_destroy(runtime), 0);
		}
		/* Who waits may not have come to making its child; all that was made must have ended. */
		for (k = 0, all = 0; k < KINDS; k++)
			all += EACH;
		CHECK(ended >= all);
		CHECK(cancelled >= all - EACH && cancelled <= ended);
	}
	printf("%ld ends of a runtime, %d and more contexts destroyed in each, none twice\n", rounds, KINDS * EACH);
	return 0;
}
