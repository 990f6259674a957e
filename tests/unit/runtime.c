/* SPDX-License-Identifier: ISC */
/*
 * runtime.c: the bundled runtime, one thing at a time.  Its races are in tests/stress.
 */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include <reap/runtime.h>

#include "test.h"

static intptr_t
nothing(void *arg)
{
	return (intptr_t)arg;
}

static struct reap_runtime_options
workers(unsigned n)
{
	return (struct reap_runtime_options){ .size = sizeof(struct reap_runtime_options), .workers = n };
}

static void
run(unsigned n, reap_entry *entry, void *arg)
{
	struct reap_runtime_options options = workers(n);
	intptr_t status = -1;

	CHECK_EQ(reap_run(&options, entry, arg, &status), 0);
	CHECK_EQ(status, 42);
}

static struct reap_stats
stats_of(struct reap_domain *domain)
{
	struct reap_stats stats = { .size = sizeof(stats) };

	CHECK_EQ(reap_domain_stats(domain, &stats), 0);
	return stats;
}

TEST(runtime, refuses_what_it_does_not_understand)
{
	struct reap_host		host = { .next = NULL };
	struct reap_domain_options	domain = { .size = sizeof(domain) };
	struct reap_runtime_options	options = workers(1);
	struct reap_runtime		*rt;
	struct {				/* of later versions, where they are larger */
		struct reap_runtime_options	options;
		char				more[4096];
	} later = { .options = workers(1) };
	struct {
		struct reap_domain_options	options;
		char				more[4096];
	} later_domain = { .options = { .size = sizeof(later_domain) } };

	CHECK_EQ(reap_run(&options, NULL, NULL, NULL), -EINVAL);
	options.size = 0;
	CHECK_EQ(reap_runtime_create(&options, &rt), -EINVAL);
	options = workers(32768);
	CHECK_EQ(reap_runtime_create(&options, &rt), -EINVAL);
	options = workers(1);
	options.poller.wake = free;
	CHECK_EQ(reap_runtime_create(&options, &rt), -EINVAL);
	options = workers(1);
	options.domain = &domain;
	domain.size = 0;
	CHECK_EQ(reap_runtime_create(&options, &rt), -EINVAL);
	domain.size = sizeof(domain);
	domain.user = &rt;
	CHECK_EQ(reap_runtime_create(&options, &rt), -EINVAL);
	domain.user = NULL;
	domain.limit = 1, domain.reserve = 2;
	CHECK_EQ(reap_runtime_create(&options, &rt), -EINVAL);
	domain.limit = domain.reserve = 0;
	domain.host = &host;
	CHECK_EQ(reap_runtime_create(&options, &rt), 0);	/* a host that only observes */
	CHECK_EQ(reap_runtime_destroy(rt), 0);
	later.options.size = sizeof(later);
	later.options.domain = &later_domain.options;
	CHECK_EQ(reap_runtime_create(&later.options, &rt), 0);
	CHECK_EQ(reap_runtime_workers(rt), 1);
	CHECK_EQ(reap_runtime_destroy(rt), 0);
	later_domain.more[sizeof(later_domain.more) - 1] = 1;
	CHECK_EQ(reap_runtime_create(&later.options, &rt), -EINVAL);
	later_domain.more[sizeof(later_domain.more) - 1] = 0;
	later.more[0] = 1;
	CHECK_EQ(reap_runtime_create(&later.options, &rt), -EINVAL);
}

#ifdef __linux__
TEST(runtime, has_a_worker_for_each_processor_by_default)
{
	struct reap_runtime_options	options = workers(0);
	struct reap_runtime		*rt;
	cpu_set_t			set;

	CHECK_EQ(sched_getaffinity(0, sizeof(set), &set), 0);
	CHECK_EQ(reap_runtime_create(&options, &rt), 0);
	CHECK_EQ(reap_runtime_workers(rt), CPU_COUNT(&set));
	CHECK_EQ(reap_runtime_destroy(rt), 0);
}
#endif

static struct reap_context *
next_of_somebody(struct reap_worker *worker)
{
	(void)worker;
	return NULL;
}

static void
ready_of_somebody(struct reap_context *context)
{
	(void)context;
}

static void
worker_of_somebody(struct reap_worker *worker)
{
	(void)worker;
}

TEST(runtime, is_the_only_scheduler)
{
	const struct reap_host		hosts[] = {
		{ .next = next_of_somebody }, { .ready = ready_of_somebody }, { .idle = worker_of_somebody },
		{ .wake = worker_of_somebody },
	};
	struct reap_domain_options	domain = { .size = sizeof(domain) };
	struct reap_runtime_options	options = workers(1);
	struct reap_runtime		*rt;

	options.domain = &domain;
	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		domain.host = &hosts[i];
		CHECK_EQ(reap_runtime_create(&options, &rt), -EINVAL);
	}
}

static intptr_t
asks_from_within(void *arg)
{
	struct reap_context_options	options = { .size = sizeof(options), .entry = nothing };
	struct reap_runtime_options	more = workers(1);
	struct reap_context		*child = NULL;
	struct reap_runtime		*rt = reap_runtime_self();

	(void)arg;
	CHECK(rt != NULL);
	CHECK_EQ(reap_runtime_workers(rt), 1);
	CHECK_EQ(reap_runtime_worker_index(), 0);
	CHECK_EQ(reap_go(nothing, NULL, NULL), -EINVAL);
	CHECK_EQ(reap_go_with(&options, NULL), -EINVAL);
	CHECK_EQ(reap_run(&more, nothing, NULL, NULL), -EBUSY);
	CHECK_EQ(reap_runtime_go(rt, &options, NULL), -EPERM);
	CHECK_EQ(stats_of(reap_runtime_domain(rt)).created, 1);	/* nothing came of all that */
	options.flags = REAP_CONTEXT_DETACHED;
	CHECK_EQ(reap_go_with(&options, NULL), 0);
	CHECK_EQ(reap_go(nothing, NULL, &child), 0);
	CHECK_EQ(reap_wait(child, 0, NULL), 0);
	options.flags = 0;
	CHECK_EQ(reap_group_create(reap_runtime_domain(rt), &options.group), 0);
	CHECK_EQ(reap_go_with(&options, NULL), 0);
	CHECK_EQ(reap_group_wait(options.group, 0, NULL), 0);
	return 42;
}

TEST(runtime, says_who_may_ask_for_what)
{
	struct reap_parking	parking = { 0 };
	struct reap_context	*child;

	CHECK_EQ(reap_go(nothing, NULL, &child), -EPERM);
	CHECK_EQ(reap_go_with(&(struct reap_context_options){ .size = sizeof(struct reap_context_options), .entry = nothing },
	    &child), -EPERM);
	CHECK_EQ(reap_park_at(&parking), -EPERM);
	CHECK_EQ(reap_park_until(&parking, 0), -EPERM);
	CHECK_EQ(reap_sleep_until(0), -EPERM);
	CHECK(reap_runtime_self() == NULL);
	CHECK_EQ(reap_runtime_worker_index(), -1);
	reap_pause();
	run(1, asks_from_within, NULL);
	CHECK(reap_runtime_self() == NULL);
}

/* ---- parking */

struct places {
	struct reap_parking	here, there;
	int			came;		/* by contexts of one worker */
};

static intptr_t
parks_too(void *arg)
{
	struct places *places = arg;

	CHECK_EQ(reap_park_at(&places->here), -EBUSY);
	places->came++;
	reap_unpark(&places->here);
	return 0;
}

static intptr_t
parks(void *arg)
{
	struct places		places = { .came = 0 };
	struct reap_context	*child;

	(void)arg;
	reap_unpark(&places.here);
	reap_unpark(&places.here);
	CHECK_EQ(reap_park_at(&places.here), 0);	/* remembered ... */
	CHECK_EQ(reap_go(parks_too, &places, &child), 0);
	CHECK_EQ(places.came, 0);
	CHECK_EQ(reap_park_at(&places.here), 0);	/* ... once: this one sleeps until the child has found the place taken */
	CHECK_EQ(places.came, 1);
	CHECK_EQ(reap_wait(child, 0, NULL), 0);
	reap_unpark(&places.here);
	CHECK_EQ(reap_park_at(&places.here), 0);
	return 42;
}

TEST(runtime, an_unpark_that_comes_first_is_remembered_once)
{
	run(1, parks, NULL);
}

/* ---- order and turns */

struct order {
	unsigned	busy, go;	/* flags; any thread */
	int		n, seen[8];	/* one worker */
};

static intptr_t
keeps_the_worker(void *arg)
{
	struct order *order = arg;

	REAP_STORE_RELEASE(&order->busy, 1);	/* pairs with the test's own load, as all such flags here */
	while (REAP_LOAD_ACQUIRE(&order->go) == 0)
		(void)sched_yield();
	return 0;
}

static struct order *the_order;

static intptr_t
signs(void *arg)
{
	the_order->seen[the_order->n++] = (int)(intptr_t)arg;
	return 0;
}

TEST(runtime, runs_what_came_from_outside_in_its_order)
{
	struct reap_context_options	options = { .size = sizeof(options), .entry = keeps_the_worker };
	struct reap_runtime_options	one = workers(1);
	struct reap_handle		names[9];
	struct reap_runtime		*rt;
	struct order			order = { .n = 0 };

	the_order = &order;
	CHECK_EQ(reap_runtime_create(&one, &rt), 0);
	options.arg = &order;
	CHECK_EQ(reap_runtime_go(rt, &options, &names[8]), 0);
	while (REAP_LOAD_ACQUIRE(&order.busy) == 0)
		(void)sched_yield();
	options.entry = signs;
	for (intptr_t i = 0; i < 8; i++) {
		options.arg = (void *)i;
		CHECK_EQ(reap_runtime_go(rt, &options, &names[i]), 0);
	}
	REAP_STORE_RELEASE(&order.go, 1);
	for (int i = 0; i < 9; i++)
		CHECK_EQ(reap_join(names[i], 0, NULL), 0);
	for (int i = 0; i < 8; i++)
		CHECK_EQ(order.seen[i], i);
	CHECK_EQ(reap_runtime_destroy(rt), 0);
}

struct flags {
	unsigned first, second;		/* any thread */
};

static intptr_t
insists(void *arg)
{
	struct flags *flags = arg;

	REAP_STORE_RELEASE(&flags->first, 1);
	while (REAP_LOAD_ACQUIRE(&flags->second) == 0)
		reap_pause();
	return 0;
}

static intptr_t
answers(void *arg)
{
	struct flags *flags = arg;

	while (REAP_LOAD_ACQUIRE(&flags->first) == 0)
		reap_pause();
	REAP_STORE_RELEASE(&flags->second, 1);
	return 0;
}

/* Some must stay here, for they have private children or are pinned; some may go anywhere: neither kind starves the other. */
static intptr_t
mixes(void *arg)
{
	struct flags			flags[2] = { { 0, 0 }, { 0, 0 } };
	struct reap_context_options	options = { .size = sizeof(options), .flags = REAP_CONTEXT_PINNED };
	struct reap_context		*child;

	(void)arg;
	for (int i = 0; i < 8; i++) {
		options.entry = i == 0 ? answers : insists;
		options.arg = &flags[0];
		CHECK_EQ(reap_go_with(&options, &child), 0);
		CHECK_EQ(reap_go(i == 0 ? answers : insists, &flags[1], &child), 0);
		options.arg = &flags[1];
		CHECK_EQ(reap_go_with(&options, &child), 0);
		CHECK_EQ(reap_go(insists, &flags[0], &child), 0);
	}
	while (reap_wait_any(0, NULL) == 0)
		reap_pause();
	return 42;
}

TEST(runtime, the_pinned_and_the_free_take_turns)
{
	run(1, mixes, NULL);
	run(2, mixes, NULL);
}

/* ---- what is offered */

struct hostage {
	unsigned taken, done, freed;	/* any thread */
};

static intptr_t
keeps_another(void *arg)
{
	struct hostage *hostage = arg;

	REAP_STORE_RELEASE(&hostage->taken, 1);
	while (REAP_LOAD_ACQUIRE(&hostage->freed) == 0)
		(void)sched_yield();
	return 0;
}

static intptr_t
counts(void *arg)
{
	struct hostage *hostage = arg;

	if (REAP_ADD_ACQ_REL(&hostage->done, 1) == 100)
		REAP_STORE_RELEASE(&hostage->freed, 1);
	return 0;
}

/* The other worker is kept until all these have run: what is offered to it must be run by who offers it. */
static intptr_t
offers_in_vain(void *arg)
{
	struct reap_context *child;

	for (int i = 0; i < 100; i++)
		CHECK_EQ(reap_go(counts, arg, &child), 0);
	while (reap_wait_any(0, NULL) == 0)
		continue;
	return 42;
}

TEST(runtime, what_nobody_takes_is_run_by_who_offered_it)
{
	struct reap_context_options	options = { .size = sizeof(options), .entry = keeps_another };
	struct reap_runtime_options	two = workers(2);
	struct reap_handle		keeper, offerer;
	struct reap_runtime		*rt;
	struct reap_result		r;
	struct hostage			hostage = { 0, 0, 0 };

	options.arg = &hostage;
	CHECK_EQ(reap_runtime_create(&two, &rt), 0);
	CHECK_EQ(reap_runtime_go(rt, &options, &keeper), 0);
	while (REAP_LOAD_ACQUIRE(&hostage.taken) == 0)
		(void)sched_yield();
	options.entry = offers_in_vain;
	CHECK_EQ(reap_runtime_go(rt, &options, &offerer), 0);
	CHECK_EQ(reap_join(offerer, 0, &r), 0);
	CHECK_EQ(r.status, 42);
	CHECK_EQ(reap_join(keeper, 0, NULL), 0);
	CHECK_EQ(REAP_LOAD_RELAXED(&hostage.done), 100);
	CHECK_EQ(reap_runtime_destroy(rt), 0);
}

/* Until each worker has run one of them. */
struct seen {
	unsigned workers;		/* a bit for each; any thread */
};

static intptr_t
is_seen(void *arg)
{
	struct seen	*seen = arg;
	unsigned	 was = REAP_LOAD_RELAXED(&seen->workers);

	while (!REAP_CAS_RELEASE(&seen->workers, &was, was | 1u << reap_runtime_worker_index()))
		continue;
	reap_pause();
	return 0;
}

static intptr_t
needs_help(void *arg)
{
	unsigned all = (1u << reap_runtime_workers(reap_runtime_self())) - 1;

	(void)arg;
	for (int i = 0; i < 20; i++) {
		struct seen seen = { 0 };

		while (REAP_LOAD_RELAXED(&seen.workers) != all) {
			struct reap_context *child;

			for (int n = 0; n < 16; n++)
				CHECK_EQ(reap_go(is_seen, &seen, &child), 0);
			while (reap_wait_any(0, NULL) == 0)
				continue;
		}
	}
	return 42;
}

TEST(runtime, who_is_idle_comes_to_help)
{
	run(2, needs_help, NULL);
	run(4, needs_help, NULL);
}

/* On another worker than that of the base context, which has to be called. */
static intptr_t
ends_elsewhere(void *arg)
{
	(void)arg;
	while (reap_runtime_worker_index() == 0) {
		struct seen		seen = { 0 };
		struct reap_context	*child;

		CHECK_EQ(reap_go(is_seen, &seen, &child), 0);
		reap_pause();
		CHECK_EQ(reap_wait(child, 0, NULL), 0);
	}
	return 42;
}

/* A program's observers take nothing of the scheduler away. */
TEST(runtime, schedules_beside_observers_as_well)
{
	const struct reap_host		observer = { .on_switch = NULL };
	struct reap_domain_options	domain = { .size = sizeof(domain), .host = &observer };
	struct reap_runtime_options	options = workers(2);
	intptr_t			status = -1;

	options.domain = &domain;
	CHECK_EQ(reap_run(&options, needs_help, NULL, &status), 0);
	CHECK_EQ(status, 42);
	domain.stack.decay_ns = UINT64_MAX;		/* nothing ages: there is nothing else to wake for */
	CHECK_EQ(reap_run(&options, ends_elsewhere, NULL, &status), 0);
	CHECK_EQ(status, 42);
}

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

/* ---- events from outside */

struct events {
	pthread_mutex_t		lock;
	pthread_cond_t		cond;
	struct reap_parking	*due[4];
	unsigned		ndue, asleep;
	bool			woken;
	unsigned		looks, sleeps;		/* so many calls of each kind; by the macros of atomic.h */
};

static void
poll_events(void *arg, uint64_t wait)
{
	struct events		*events = arg;
	struct reap_parking	*due[4];
	unsigned		n;

	(void)REAP_ADD_RELAXED(wait == 0 ? &events->looks : &events->sleeps, 1);
	pthread_mutex_lock(&events->lock);
	if (wait != 0) {
		struct timespec until;

		clock_gettime(CLOCK_REALTIME, &until);
		wait = wait < 3600 * UINT64_C(1000000000) ? wait : 3600 * UINT64_C(1000000000);
		wait += (uint64_t)until.tv_nsec;
		until.tv_sec += (time_t)(wait / 1000000000);
		until.tv_nsec = (long)(wait % 1000000000);
		CHECK_EQ(events->asleep++, 0);		/* one at a time */
		for (int err = 0; err == 0 && events->ndue == 0 && !events->woken;)
			err = pthread_cond_timedwait(&events->cond, &events->lock, &until);
		events->asleep--;
		events->woken = false;
	}
	for (n = 0; n < events->ndue; n++)
		due[n] = events->due[n];
	events->ndue = 0;
	pthread_mutex_unlock(&events->lock);
	while (n > 0)
		reap_unpark(due[--n]);
}

static void
wake_poller(void *arg)
{
	struct events *events = arg;

	pthread_mutex_lock(&events->lock);
	events->woken = true;
	pthread_cond_signal(&events->cond);
	pthread_mutex_unlock(&events->lock);
}

/* Without a word to the runtime: only poll_events() finds it. */
static void
event_for(struct events *events, struct reap_parking *parking)
{
	pthread_mutex_lock(&events->lock);
	events->due[events->ndue++] = parking;
	pthread_cond_signal(&events->cond);
	pthread_mutex_unlock(&events->lock);
}

static struct reap_runtime_options
with_events(unsigned n, struct events *events)
{
	struct reap_runtime_options options = workers(n);

	*events = (struct events){ .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };
	options.poller = (struct reap_poller){ poll_events, wake_poller, events };
	return options;
}

static intptr_t
awaits(void *arg)
{
	return reap_park_at(arg);
}

/* The workers sleep in poll(): what comes from outside by other ways reaches them there, and so does their end. */
static void
is_reached(unsigned n)
{
	struct reap_context_options	go = { .size = sizeof(go), .entry = awaits };
	struct reap_runtime_options	options;
	struct reap_parking		place = { 0 };
	struct reap_runtime		*rt;
	struct reap_handle		name;
	struct events			events;

	options = with_events(n, &events);
	go.arg = &place;
	CHECK_EQ(reap_runtime_create(&options, &rt), 0);
	for (int i = 0; i < 10; i++) {
		CHECK_EQ(reap_runtime_go(rt, &go, &name), 0);
		while (REAP_LOAD_RELAXED(&events.sleeps) == 0)
			(void)sched_yield();
		if (i % 2 == 0)
			event_for(&events, &place);
		else
			reap_unpark(&place);
		CHECK_EQ(reap_join(name, 0, NULL), 0);
	}
	CHECK_EQ(reap_runtime_destroy(rt), 0);
}

TEST(runtime, who_sleeps_in_the_poller_is_reached)
{
	is_reached(1);
	is_reached(3);
}

/* It says that it runs, and keeps the worker until it is told. */
struct occupant {
	struct reap_parking	place;
	unsigned		here, go, pausing;
};

static intptr_t
occupies(void *arg)
{
	struct occupant *occupant = arg;

	CHECK_EQ(reap_park_at(&occupant->place), 0);
	REAP_STORE_RELEASE(&occupant->here, 1);
	while (REAP_LOAD_ACQUIRE(&occupant->go) == 0)
		(void)sched_yield();
	return 0;
}

/* Two of these, and their worker is never idle. */
static intptr_t
pauses_until_another_runs(void *arg)
{
	struct occupant *occupant = arg;

	(void)REAP_ADD_RELAXED(&occupant->pausing, 1);
	while (REAP_LOAD_RELAXED(&occupant->here) == 0)
		reap_pause();
	return 0;
}

/* Its waker is held, for some milliseconds, when it has woken the only worker; that is the end of all meanwhile. */
struct farewell {
	struct events		events;		/* first: poll_events() knows these */
	struct reap_parking	place;
	uint32_t		over, early;	/* by the macros of atomic.h */
};

static void
wake_and_linger(void *arg)
{
	static const struct timespec	pause = { 0, 100 * 1000 };
	struct farewell			*f = arg;

	wake_poller(&f->events);
	for (int i = 0; i < 200 && REAP_LOAD_RELAXED(&f->over) == 0; i++)
		nanosleep(&pause, NULL);
	REAP_STORE_RELAXED(&f->early, REAP_LOAD_RELAXED(&f->over));
}

static void *
lets_it_end(void *arg)
{
	struct farewell *f = arg;

	while (REAP_LOAD_RELAXED(&f->events.sleeps) == 0)
		(void)sched_yield();
	reap_unpark(&f->place);
	return NULL;
}

TEST(runtime, waits_for_the_unpark_that_lets_it_end)
{
	struct reap_runtime_options	options;
	struct farewell			f = { .over = 0 };
	pthread_t			thread;

	options = with_events(1, &f.events);
	options.poller.wake = wake_and_linger;
	options.poller.arg = &f;
	CHECK_EQ(pthread_create(&thread, NULL, lets_it_end, &f), 0);
	CHECK_EQ(reap_run(&options, awaits, &f.place, NULL), 0);
	REAP_STORE_RELAXED(&f.over, 1);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(f.early, 0);
}

TEST(runtime, a_busy_worker_looks_for_events)
{
	struct reap_context_options	go = { .size = sizeof(go), .entry = occupies };
	struct occupant			occupant = { .go = 1 };
	struct reap_runtime_options	options;
	struct reap_runtime		*rt;
	struct reap_handle		names[3];
	struct events			events;

	options = with_events(1, &events);
	CHECK_EQ(reap_runtime_create(&options, &rt), 0);
	go.arg = &occupant;
	CHECK_EQ(reap_runtime_go(rt, &go, &names[0]), 0);
	go.entry = pauses_until_another_runs;
	CHECK_EQ(reap_runtime_go(rt, &go, &names[1]), 0);
	CHECK_EQ(reap_runtime_go(rt, &go, &names[2]), 0);
	while (REAP_LOAD_RELAXED(&occupant.pausing) < 2)
		(void)sched_yield();
	event_for(&events, &occupant.place);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(reap_join(names[i], 0, NULL), 0);
	CHECK(REAP_LOAD_RELAXED(&events.looks) > 0);
	CHECK_EQ(reap_runtime_destroy(rt), 0);
}

/* The same without events: what other threads wake is not left out while there is something else to run. */
TEST(runtime, a_busy_worker_looks_for_what_came_from_outside)
{
	struct reap_context_options	go = { .size = sizeof(go), .entry = occupies };
	struct reap_runtime_options	one = workers(1);
	struct occupant			occupant = { .go = 1 };
	struct reap_runtime		*rt;
	struct reap_handle		names[3];

	CHECK_EQ(reap_runtime_create(&one, &rt), 0);
	go.arg = &occupant;
	CHECK_EQ(reap_runtime_go(rt, &go, &names[0]), 0);
	while (REAP_LOAD_RELAXED(&occupant.place.reap__word) == 0)
		(void)sched_yield();
	go.entry = pauses_until_another_runs;
	CHECK_EQ(reap_runtime_go(rt, &go, &names[1]), 0);
	CHECK_EQ(reap_runtime_go(rt, &go, &names[2]), 0);
	while (REAP_LOAD_RELAXED(&occupant.pausing) < 2)
		(void)sched_yield();
	reap_unpark(&occupant.place);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(reap_join(names[i], 0, NULL), 0);
	CHECK_EQ(reap_runtime_destroy(rt), 0);
}

struct abroad {
	struct reap_parking	place;
	struct reap_runtime	*home;
	unsigned		back;		/* any thread */
};

static intptr_t
comes_back_home(void *arg)
{
	struct abroad *abroad = arg;

	CHECK_EQ(reap_park_at(&abroad->place), 0);
	CHECK(reap_runtime_self() == abroad->home);
	REAP_STORE_RELEASE(&abroad->back, 1);
	return 0;
}

static intptr_t
calls_abroad(void *arg)
{
	struct abroad *abroad = arg;

	CHECK(reap_runtime_self() != abroad->home);
	reap_unpark(&abroad->place);
	while (REAP_LOAD_ACQUIRE(&abroad->back) == 0)
		reap_pause();
	return 42;
}

/* A context is run by its own runtime, whoever wakes it. */
TEST(runtime, is_woken_from_another_runtime)
{
	struct reap_context_options	go = { .size = sizeof(go), .entry = comes_back_home };
	struct reap_runtime_options	one = workers(1);
	struct abroad			abroad = { .back = 0 };
	struct reap_handle		name;

	CHECK_EQ(reap_runtime_create(&one, &abroad.home), 0);
	go.arg = &abroad;
	CHECK_EQ(reap_runtime_go(abroad.home, &go, &name), 0);
	while (REAP_LOAD_RELAXED(&abroad.place.reap__word) == 0)
		(void)sched_yield();
	run(1, calls_abroad, &abroad);
	CHECK_EQ(reap_join(name, 0, NULL), 0);
	CHECK_EQ(reap_runtime_destroy(abroad.home), 0);
}

/* The first event's context keeps the worker that slept over the events; the second one is for another worker to see. */
TEST(runtime, somebody_else_sleeps_over_the_events_then)
{
	for (int i = 0; i < 40; i++) {
		struct reap_context_options	go = { .size = sizeof(go), .entry = occupies };
		struct occupant			first = { .go = 0 }, second = { .go = 1 };
		struct reap_runtime_options	options;
		struct reap_runtime		*rt;
		struct reap_handle		names[2];
		struct events			events;

		options = with_events(2, &events);
		CHECK_EQ(reap_runtime_create(&options, &rt), 0);
		go.arg = &first;
		CHECK_EQ(reap_runtime_go(rt, &go, &names[0]), 0);
		go.arg = &second;
		CHECK_EQ(reap_runtime_go(rt, &go, &names[1]), 0);
		/* Both are parked: what is runnable would have to wait for its worker. */
		while (REAP_LOAD_RELAXED(&first.place.reap__word) == 0 || REAP_LOAD_RELAXED(&second.place.reap__word) == 0)
			(void)sched_yield();
		event_for(&events, &first.place);
		while (REAP_LOAD_ACQUIRE(&first.here) == 0)
			(void)sched_yield();
		event_for(&events, &second.place);
		CHECK_EQ(reap_join(names[1], 0, NULL), 0);
		REAP_STORE_RELEASE(&first.go, 1);
		CHECK_EQ(reap_join(names[0], 0, NULL), 0);
		CHECK_EQ(reap_runtime_destroy(rt), 0);
	}
}

/* poll() is told to return in time for sleepers, who sleep for so long that there is time to get there. */
static uint64_t moment = 2000000;

static intptr_t
sleeps_a_moment(void *arg)
{
	struct timespec ts;
	uint64_t	when;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	when = (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec + moment;
	CHECK_EQ(reap_park_until(arg, when), -ETIMEDOUT);
	return 42;
}

TEST(runtime, who_sleeps_in_the_poller_wakes_in_time_for_the_sleepers)
{
	struct reap_runtime_options	options;
	struct reap_parking		place = { 0 };
	struct events			events;
	intptr_t			status;

	do {
		options = with_events(1, &events);
		CHECK_EQ(reap_run(&options, sleeps_a_moment, &place, &status), 0);
		CHECK_EQ(status, 42);
		moment *= 2;
	} while (REAP_LOAD_RELAXED(&events.sleeps) == 0);	/* a machine may be too slow for two milliseconds; never for all */
}

/* ---- the end */

TEST(runtime, returns_what_its_first_context_returned)
{
	struct reap_runtime_options	options = workers(2);
	intptr_t			status = 0;

	for (intptr_t i = 0; i < 50; i++) {
		CHECK_EQ(reap_run(&options, nothing, (void *)i, &status), 0);
		CHECK_EQ(status, i);
	}
	CHECK_EQ(reap_run(&options, nothing, NULL, NULL), 0);
}

static intptr_t
leaves_a_group(void *arg)
{
	CHECK_EQ(reap_group_create(reap_runtime_domain(reap_runtime_self()), arg), 0);
	return 42;
}

TEST(runtime, says_what_was_left)
{
	struct reap_runtime_options	options = workers(1);
	static struct reap_group	*group;		/* static: what is lost is not a leak */
	intptr_t			status;

	CHECK_EQ(reap_run(&options, leaves_a_group, &group, &status), -ENOTEMPTY);
	CHECK_EQ(status, 42);
}

/* Who is left at the end: some wait for each other, some sleep, some have never run. */
static unsigned cancelled;		/* by the macros of atomic.h, as is: */
static unsigned waiting;

static void
is_cancelled(struct reap_context *context, intptr_t status)
{
	(void)context;
	CHECK_EQ(status, -ECANCELED);
	(void)REAP_ADD_RELAXED(&cancelled, 1);
}

static intptr_t
parks_for_ever(void *arg)
{
	struct reap_parking place = { 0 };

	(void)arg;
	(void)reap_park_at(&place);
	return 0;
}

static intptr_t
joins_for_ever(void *arg)
{
	(void)REAP_ADD_RELAXED(&waiting, 1);
	(void)reap_join(*(struct reap_handle *)arg, 0, NULL);
	return 0;
}

/* One waits for a younger one, another one for an older one: none can be destroyed before who it waits for. */
static intptr_t
waits_for_ever(void *arg)
{
	struct reap_context_options	options = { .size = sizeof(options), .entry = parks_for_ever, .off_cpu = is_cancelled };
	struct reap_context		*child, *older;
	struct reap_handle		name;

	(void)arg;
	CHECK_EQ(reap_go_with(&options, &older), 0);
	name = reap_context_handle(older);
	options.entry = joins_for_ever;
	options.arg = &name;
	CHECK_EQ(reap_go_with(&options, &child), 0);
	options.entry = parks_for_ever;
	CHECK_EQ(reap_go_with(&options, &child), 0);
	(void)REAP_ADD_RELAXED(&waiting, 1);
	(void)reap_wait(child, 0, NULL);
	return 0;
}

static void
make_those_who_stay(struct reap_domain *domain)
{
	struct reap_context_options	options = {
		.size = sizeof(options), .flags = REAP_CONTEXT_DETACHED, .off_cpu = is_cancelled
	};
	struct reap_context		*context;

	options.entry = nothing;
	for (int i = 0; i < 3; i++)
		CHECK_EQ(reap_context_create(domain, &options, &context), 0);
}

static intptr_t
leaves_them(void *arg)
{
	struct reap_context_options	options = {
		.size = sizeof(options), .flags = REAP_CONTEXT_DETACHED, .off_cpu = is_cancelled
	};

	(void)arg;
	options.entry = waits_for_ever;
	for (int i = 0; i < 3; i++)
		CHECK_EQ(reap_go_with(&options, NULL), 0);
	make_those_who_stay(reap_runtime_domain(reap_runtime_self()));
	while (REAP_LOAD_RELAXED(&waiting) < 6)
		reap_pause();
	return 42;
}

TEST(runtime, destroys_who_is_left)
{
	struct reap_context_options	options = { .size = sizeof(options), .entry = waits_for_ever,
		.flags = REAP_CONTEXT_DETACHED, .off_cpu = is_cancelled };
	struct reap_runtime_options	one = workers(1);
	struct reap_runtime		*rt;

	cancelled = waiting = 0;
	run(1, leaves_them, NULL);
	CHECK_EQ(cancelled, 15);
	cancelled = waiting = 0;
	CHECK_EQ(reap_runtime_create(&one, &rt), 0);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(reap_runtime_go(rt, &options, NULL), 0);
	make_those_who_stay(reap_runtime_domain(rt));
	while (REAP_LOAD_RELAXED(&waiting) < 6)
		(void)sched_yield();
	CHECK_EQ(reap_runtime_destroy(rt), 0);
	CHECK_EQ(cancelled, 15);
}
