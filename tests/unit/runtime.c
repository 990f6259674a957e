/* SPDX-License-Identifier: ISC */
/*
 * runtime.c: the bundled runtime, one thing at a time: what may be asked of it, whom its workers run, and its end.  What they see to
 * besides is in runtime_chores.c, who is woken in runtime_wake.c; its races are in tests/stress.
 */
#include "runtime.h"

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
