/* SPDX-License-Identifier: ISC */
/*
 * runtime_chores.c: what the workers of the bundled runtime see to between contexts: the dead, and the clock.
 */
#include <limits.h>

#include "runtime.h"

/* ---- what the workers reap */

static void
reaps_while_idle(unsigned n, unsigned budget, bool never)
{
	struct reap_context_options	options = { .size = sizeof(options), .entry = nothing, .flags = REAP_CONTEXT_DETACHED };
	struct reap_runtime_options	some = workers(n);
	struct reap_adopter		*adopter;
	struct reap_runtime		*rt;

	some.drain_budget = budget;
	CHECK_EQ(reap_runtime_create(&some, &rt), 0);
	adopter = reap_adopter_default(reap_runtime_domain(rt));
	for (int i = 0; i < 20; i++)
		CHECK_EQ(reap_runtime_go(rt, &options, NULL), 0);
	/* An exit is counted before its corpse is handed to the adopter. */
	while (stats_of(reap_runtime_domain(rt)).exited < 20 || (never && reap_adopter_backlog(adopter) < 20))
		(void)sched_yield();
	while (!never && (stats_of(reap_runtime_domain(rt)).reaped < 20 || reap_adopter_backlog(adopter) != 0))
		(void)sched_yield();
	CHECK_EQ(reap_adopter_backlog(adopter), never ? 20 : 0);
	CHECK_EQ(stats_of(reap_runtime_domain(rt)).reaped, never ? 0 : 20);
	CHECK_EQ(reap_runtime_destroy(rt), 0);
}

TEST(runtime, reaps_what_is_owed_while_it_is_idle)
{
	reaps_while_idle(1, 0, false);
	reaps_while_idle(2, 0, false);
	reaps_while_idle(1, 3, false);		/* in several steps */
}

TEST(runtime, reaps_nothing_unless_it_may)
{
	reaps_while_idle(1, UINT_MAX, true);
}

static struct reap_parking reaped_place;

static void
unparks(struct reap_context *context, intptr_t status)
{
	(void)context, (void)status;
	reap_unpark(&reaped_place);
}

static intptr_t
waits_for_reap(void *arg)
{
	struct reap_context_options options = {
		.size = sizeof(options), .entry = nothing, .flags = REAP_CONTEXT_DETACHED, .off_cpu = unparks
	};

	(void)arg;
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(reap_go_with(&options, NULL), 0);
		CHECK_EQ(reap_park_at(&reaped_place), 0);
	}
	return 42;
}

static intptr_t
waits_pinned(void *arg)
{
	struct reap_context_options	options = {
		.size = sizeof(options), .entry = waits_for_reap, .flags = REAP_CONTEXT_PINNED
	};
	struct reap_context		*child;
	struct reap_result		r;

	(void)arg;
	CHECK_EQ(reap_go_with(&options, &child), 0);
	CHECK_EQ(reap_wait(child, 0, &r), 0);
	return r.status;
}

/* The only worker reaps since it has nothing else to do, and then has.  Nothing ages: what it slept over it would not wake for. */
TEST(runtime, whom_a_reap_readies_is_not_slept_over)
{
	struct reap_domain_options	domain = { .size = sizeof(domain), .stack = { .decay_ns = UINT64_MAX } };
	struct reap_runtime_options	options = workers(1);
	intptr_t			status = -1;

	options.domain = &domain;
	CHECK_EQ(reap_run(&options, waits_for_reap, NULL, &status), 0);
	CHECK_EQ(status, 42);
	CHECK_EQ(reap_run(&options, waits_pinned, NULL, &status), 0);	/* whom it cannot offer to others */
	CHECK_EQ(status, 42);
}

/* One worker that never idles: after so many new ones it reaps some of the old. */
static intptr_t
never_idles(void *arg)
{
	struct reap_context_options	options = { .size = sizeof(options), .entry = nothing, .flags = REAP_CONTEXT_DETACHED };
	struct reap_adopter		*adopter = reap_adopter_default(reap_runtime_domain(reap_runtime_self()));

	for (int i = 0; i < 1000; i++) {
		CHECK_EQ(reap_go_with(&options, NULL), 0);
		if (arg != NULL)
			reap_pause();
		CHECK(reap_adopter_backlog(adopter) <= 64);
	}
	for (int i = 0; arg == NULL && i < 1000; i++)
		reap_pause();
	CHECK(reap_adopter_backlog(adopter) <= 64);
	return 42;
}

TEST(runtime, reaps_while_it_is_busy)
{
	int both;

	run(1, never_idles, NULL);
	run(1, never_idles, &both);
}

/* Neither pauses nor idles: its children run while it waits for one of them. */
static intptr_t
only_goes(void *arg)
{
	struct reap_context_options	options = { .size = sizeof(options), .entry = nothing };
	struct reap_adopter		*adopter = reap_adopter_default(reap_runtime_domain(reap_runtime_self()));
	struct reap_context		*child;

	for (int i = 0; i < 1000; i++) {
		CHECK_EQ(arg != NULL ? reap_go_with(&options, &child) : reap_go(nothing, NULL, &child), 0);
		CHECK_EQ(reap_detach(reap_context_handle(child)), 0);
		CHECK_EQ(arg != NULL ? reap_go_with(&options, &child) : reap_go(nothing, NULL, &child), 0);
		CHECK_EQ(reap_wait(child, 0, NULL), 0);
		CHECK(reap_adopter_backlog(adopter) <= 64);
	}
	return 42;
}

TEST(runtime, reaps_while_it_makes_more)
{
	int with;

	run(1, only_goes, NULL);
	run(1, only_goes, &with);
}

TEST(runtime, has_a_reaper_thread_if_it_is_told_so)
{
	struct reap_context_options	go = { .size = sizeof(go), .entry = nothing, .flags = REAP_CONTEXT_DETACHED };
	struct reap_domain_options	domain = { .size = sizeof(domain), .policy = REAP_POLICY_THREAD };
	struct reap_runtime_options	options = workers(1);
	struct reap_runtime		*rt;

	options.domain = &domain;
	options.drain_budget = UINT_MAX;
	CHECK_EQ(reap_runtime_create(&options, &rt), 0);
	for (int i = 0; i < 20; i++)
		CHECK_EQ(reap_runtime_go(rt, &go, NULL), 0);
	while (stats_of(reap_runtime_domain(rt)).reaped < 20)
		(void)sched_yield();
	CHECK_EQ(reap_runtime_destroy(rt), 0);
}

/* ---- time */

struct order {
	int	n, seen[8];		/* one worker */
};

static struct order *the_order;

static uint64_t tick;				/* any thread */

static uint64_t
injected(void *arg)
{
	CHECK(arg == &tick);
	return REAP_LOAD_RELAXED(&tick);
}

static intptr_t
sleeps_until(void *arg)
{
	uint64_t when = (uint64_t)(uintptr_t)arg;

	CHECK_EQ(reap_sleep_until(when), 0);
	CHECK(injected(&tick) >= when);
	the_order->seen[the_order->n++] = (int)when;
	return 0;
}

static intptr_t
sets_the_clock(void *arg)
{
	static const uintptr_t when[8] = { 50, 20, 80, 10, 70, 30, 60, 40 };
	struct reap_context *child;

	(void)arg;
	for (int i = 0; i < 8; i++)
		CHECK_EQ(reap_go(sleeps_until, (void *)when[i], &child), 0);
	for (int i = 0; i < 8; i++) {
		for (int n = 0; n < 1000; n++)
			reap_pause();
		CHECK_EQ(the_order->n, i);		/* none too early, though a busy worker looks often enough */
		REAP_STORE_RELAXED(&tick, (uint64_t)(i + 1) * 10);
		while (the_order->n == i)
			reap_pause();
	}
	for (int i = 0; i < 8; i++)
		CHECK_EQ(the_order->seen[i], 10 * (i + 1));
	while (reap_wait_any(0, NULL) == 0)
		continue;
	return 42;
}

TEST(runtime, sleepers_wake_at_their_time_and_not_before)
{
	struct reap_domain_options	domain = { .size = sizeof(domain), .clock = injected, .clock_arg = &tick };
	struct reap_runtime_options	options = workers(1);
	struct order			order = { .n = 0 };
	intptr_t			status;

	the_order = &order;
	options.domain = &domain;
	CHECK_EQ(reap_run(&options, sets_the_clock, NULL, &status), 0);
	CHECK_EQ(status, 42);
}

static intptr_t
sets_the_tick(void *arg)
{
	REAP_STORE_RELAXED(&tick, (uint64_t)(uintptr_t)arg);
	return 0;
}

struct company {
	unsigned switches;		/* one worker */
	bool	 over;
};

static intptr_t
keeps_company(void *arg)
{
	struct company *company = arg;

	while (!company->over) {
		company->switches++;
		reap_pause();
	}
	return 0;
}

static intptr_t
sleeps_as_well(void *arg)
{
	return reap_sleep_until((uint64_t)(uintptr_t)arg);
}

static intptr_t
sleeps_in_company(void *arg)
{
	struct company		company = { .switches = 0 };
	struct reap_context	*child, *other;

	(void)arg;
	for (int i = 0; i < 3; i++)
		CHECK_EQ(reap_go(keeps_company, &company, &child), 0);
	CHECK_EQ(reap_sleep_until(0), 0);		/* long over: as a pause */
	CHECK_EQ(company.switches, 3);
	for (uint64_t when = 1; when <= 100; when++) {
		REAP_STORE_RELAXED(&tick, when - 1);
		CHECK_EQ(reap_park_until(&(struct reap_parking){ 0 }, when - 1), -ETIMEDOUT);
		company.switches = 0;
		CHECK_EQ(reap_go(sleeps_as_well, (void *)(uintptr_t)when, &other), 0);
		/* Nobody falls asleep between this look at the clock and that of the worker, which is at most 16 switches later. */
		CHECK_EQ(reap_go(sets_the_tick, (void *)(uintptr_t)when, &child), 0);
		CHECK_EQ(reap_sleep_until(when), 0);
		CHECK_EQ(reap_wait(other, 0, NULL), 0);
		CHECK(company.switches <= 3 + 16 + 6);	/* and their turns to come */
		CHECK_EQ(reap_wait(child, 0, NULL), 0);
	}
	company.over = true;
	while (reap_wait_any(0, NULL) == 0)
		continue;
	return 42;
}

/* One worker, by the injected clock. */
static void
run_by_the_clock(reap_entry *entry)
{
	struct reap_domain_options	domain = { .size = sizeof(domain), .clock = injected, .clock_arg = &tick };
	struct reap_runtime_options	options = workers(1);
	intptr_t			status;

	options.domain = &domain;
	REAP_STORE_RELAXED(&tick, 0);
	CHECK_EQ(reap_run(&options, entry, NULL, &status), 0);
	CHECK_EQ(status, 42);
}

TEST(runtime, looks_at_its_timers_at_every_sixteenth_switch)
{
	run_by_the_clock(sleeps_in_company);
}

static void
set_clock(uint64_t to)
{
	REAP_STORE_RELAXED(&tick, to);
	for (int n = 0; n < 40; n++)
		reap_pause();		/* past the next look at the timers */
}

static struct reap_parking the_place;

static intptr_t
parks_until(void *arg)
{
	return reap_park_until(&the_place, (uint64_t)(uintptr_t)arg);
}

static intptr_t
status_of(struct reap_context *child)
{
	struct reap_result r;

	CHECK_EQ(reap_wait(child, 0, &r), 0);
	return r.status;
}

static intptr_t
gives_up(void *arg)
{
	struct reap_context *child, *other;

	(void)arg;
	set_clock(10);
	CHECK_EQ(reap_park_until(&the_place, 10), -ETIMEDOUT);	/* nothing there, and no time to wait */
	reap_unpark(&the_place);
	CHECK_EQ(reap_park_until(&the_place, 0), 0);		/* what is there is taken, however late it is */

	CHECK_EQ(reap_go(parks_until, (void *)20, &child), 0);
	reap_pause();
	reap_unpark(&the_place);				/* in time */
	CHECK_EQ(status_of(child), 0);
	set_clock(30);						/* its timer is gone with it */

	CHECK_EQ(reap_go(parks_until, (void *)40, &child), 0);
	set_clock(39);
	CHECK_EQ(reap_wait(child, REAP_NOHANG, NULL), -EAGAIN);
	CHECK_EQ(reap_go(parks_until, (void *)35, &other), 0);
	reap_pause();
	CHECK_EQ(status_of(other), -ETIMEDOUT);			/* not -EBUSY: it does not come to that */
	CHECK_EQ(reap_go(parks_until, (void *)50, &other), 0);
	reap_pause();
	CHECK_EQ(status_of(other), -EBUSY);
	set_clock(40);
	CHECK_EQ(status_of(child), -ETIMEDOUT);

	reap_unpark(&the_place);				/* too late for that one: for the next */
	CHECK_EQ(reap_park_until(&the_place, 60), 0);
	return 42;
}

TEST(runtime, a_parking_place_with_a_time_limit)
{
	run_by_the_clock(gives_up);
}

#define CROWD	97u

static struct reap_parking	bench[CROWD];
static int			outcome[CROWD];		/* 1: as yet none */

static intptr_t
sits_until(void *arg)
{
	uintptr_t i = (uintptr_t)arg;

	outcome[i] = reap_park_until(&bench[i], 1 + i * 41 % CROWD);	/* all times from 1 to CROWD */
	return 0;
}

/* The i-th that wants to be woken before its time, in an order of its own; the others it leaves to the clock. */
static intptr_t
is_woken_or_not(void *arg)
{
	struct reap_context *child;

	(void)arg;
	for (uintptr_t i = 0; i < CROWD; i++) {
		outcome[i] = 1;
		CHECK_EQ(reap_go(sits_until, (void *)i, &child), 0);
	}
	reap_pause();
	for (unsigned n = 0; n < CROWD; n++)
		if (n * 29 % CROWD % 3 == 0)
			reap_unpark(&bench[n * 29 % CROWD]);
	reap_pause();
	for (uint64_t now = 1; now <= CROWD; now++) {
		set_clock(now);
		for (unsigned i = 0; i < CROWD; i++)
			CHECK_EQ(outcome[i], i % 3 == 0 ? 0 : 1 + i * 41 % CROWD <= now ? -ETIMEDOUT : 1);
	}
	while (reap_wait_any(0, NULL) == 0)
		continue;
	return 42;
}

TEST(runtime, some_are_woken_and_the_others_still_expire_in_time)
{
	run_by_the_clock(is_woken_or_not);
}
