/* SPDX-License-Identifier: ISC */
/*
 * worker.c: the switches: who is current on every path, hooks, what may not be switched to, and the end of a worker.
 */
#include "worker.h"

#include "host.h"
#include "misuse.h"

/* Every switch is seen by both hooks, in turn, and they agree on who left and who came. */
static struct reap_context *leaving, *coming;
static unsigned	 ons, afters, deaths;

static void
check_on(struct reap_worker *worker, struct reap_context *from, struct reap_context *to)
{
	CHECK_EQ(ons, afters);
	CHECK(worker == reap_worker_self());
	CHECK(from == reap_worker_current(worker));
	CHECK(from != to);
	leaving = from;
	coming = to;
	ons++;
}

static void
check_after(struct reap_worker *worker, struct reap_context *prev, bool dead)
{
	afters++;
	CHECK_EQ(ons, afters);
	CHECK(worker == reap_worker_self());
	CHECK(prev == leaving);
	CHECK(reap_worker_current(worker) == coming);
	CHECK_EQ(reap_context_state(coming), REAP_STATE_RUNNING);
	CHECK_EQ(reap_context_state(prev), dead ? REAP_STATE_EXITING : REAP_STATE_SUSPENDED);
	deaths += dead;
}

static void
check_current(struct reap_context *expected)
{
	CHECK(reap_worker_current(reap_worker_self()) == expected);
	CHECK(leaving == NULL || coming == expected);
}

static struct reap_context *peer[2];

static intptr_t
every_path(void *arg)
{
	struct gate		*gate = arg;
	struct reap_context	*self = reap_worker_current(reap_worker_self()), *child;

	check_current(self);			/* fresh entry */
	host_yield();
	check_current(self);			/* resumed after a yield */
	gate_pass(gate);
	check_current(self);			/* after a park */
	child = host_spawn(host_return, NULL);
	CHECK_EQ(reap_wait(child, 0, NULL), 0);
	check_current(self);			/* after the exit of another */
	(void)reap_switch(reap_worker_self(), reap_worker_base(reap_worker_self()));
	check_current(self);
	return 0;
}

TEST(current, is_right_on_every_path)
{
	const struct reap_host	callbacks = {
		.next = host_next, .ready = host_ready, .on_switch = check_on, .after_switch = check_after
	};
	struct host		h;
	struct gate		gate = GATE_INIT;
	struct reap_context	*base;

	host_open(&h, (struct reap_domain_options){ .host = &callbacks });
	base = reap_worker_base(h.worker);
	peer[0] = host_spawn(every_path, &gate);
	peer[1] = host_spawn(host_return, NULL);
	host_run();
	check_current(base);
	gate_open(&gate);
	host_run();				/* it has come back by reap_switch() */
	check_current(base);
	CHECK(reap_switch(h.worker, base) == h.worker);		/* to oneself: nothing */
	CHECK(reap_switch(h.worker, peer[0]) == h.worker);
	check_current(base);
	CHECK_EQ(reap_wait_any(0, NULL), 0);
	CHECK_EQ(reap_wait_any(0, NULL), 0);
	check_current(base);
	CHECK_EQ(ons, afters);
	CHECK_EQ(ons, host_stats(&h).switches);
	CHECK_EQ(deaths, 3);
	host_close(&h);
}

static void
count_after(struct reap_worker *worker, struct reap_context *prev, bool dead)
{
	CHECK(prev != reap_worker_current(worker));
	CHECK_EQ(reap_context_state(prev), dead ? REAP_STATE_EXITING : REAP_STATE_SUSPENDED);
	afters++;
}

TEST(current, after_switch_is_called_on_every_path)
{
	struct reap_host	callbacks = host_alone;
	struct host		h;
	struct gate		gate = GATE_INIT;

	callbacks.after_switch = count_after;
	host_open(&h, (struct reap_domain_options){ .host = &callbacks });
	peer[0] = host_spawn(every_path, &gate);
	for (int i = 0; i < 20; i++)
		(void)host_spawn(host_return, NULL);
	host_run();
	gate_open(&gate);
	host_run();
	(void)reap_switch(h.worker, peer[0]);
	CHECK_EQ(afters, host_stats(&h).switches);
	while (reap_wait_any(0, NULL) == 0)
		continue;
	host_close(&h);
}

TEST(yield, alone_returns_at_once)
{
	struct host	h;

	host_open(&h, (struct reap_domain_options){ 0 });
	CHECK(reap_yield(h.worker) == h.worker);
	CHECK_EQ(host_stats(&h).switches, 0);
	host_close(&h);
}

static unsigned	 turn;

static intptr_t
take_turns(void *arg)
{
	for (unsigned i = 0; i < 10; i++) {
		CHECK_EQ(turn++ % 3, (uintptr_t)arg);
		host_yield();
	}
	return 0;
}

TEST(yield, lets_the_others_run)
{
	struct host	h;

	host_open(&h, (struct reap_domain_options){ 0 });
	for (uintptr_t i = 0; i < 3; i++)
		(void)host_spawn(take_turns, (void *)i);
	host_run();
	CHECK_EQ(turn, 30);
	while (reap_wait_any(0, NULL) == 0)
		continue;
	host_close(&h);
}

/* A parked or yielded context is published by the successor's landing, when it is off the CPU: not before. */
static struct reap_context *published;
static unsigned	 publishes;

static bool
publish_checked(struct reap_context *parked, void *arg)
{
	CHECK(parked == published);
	CHECK(reap_worker_current(reap_worker_self()) != parked);
	CHECK_EQ(reap_context_state(parked), REAP_STATE_SUSPENDED);
	publishes++;
	return arg != NULL;
}

static intptr_t
park_checked(void *arg)
{
	published = reap_worker_current(reap_worker_self());
	(void)reap_park(reap_worker_self(), publish_checked, arg);
	return 0;
}

TEST(park, publishes_once_off_the_cpu)
{
	struct host	h;

	host_open(&h, (struct reap_domain_options){ 0 });
	CHECK_EQ(reap_wait(host_spawn(park_checked, NULL), 0, NULL), 0);	/* says no: readied at once */
	CHECK_EQ(publishes, 1);
	(void)host_spawn(park_checked, &h);
	host_run();
	CHECK_EQ(publishes, 2);
	CHECK_EQ(reap_wait_any(REAP_NOHANG, NULL), -EAGAIN);
	host_ready(published);
	CHECK_EQ(reap_wait_any(0, NULL), 0);
	host_close(&h);
}

static void
ready_checked(struct reap_context *context)
{
	CHECK(context != reap_worker_current(reap_worker_self()));
	CHECK(reap_context_state(context) == REAP_STATE_SUSPENDED || reap_context_state(context) == REAP_STATE_NEW);
	host_ready(context);
}

TEST(yield, readies_the_caller_once_it_is_off_the_cpu)
{
	struct reap_host	callbacks = host_alone;
	struct host		h;

	callbacks.ready = ready_checked;
	host_open(&h, (struct reap_domain_options){ .host = &callbacks });
	for (uintptr_t i = 0; i < 3; i++)
		(void)host_spawn(take_turns, (void *)i);
	host_run();
	while (reap_wait_any(0, NULL) == 0)
		continue;
	host_close(&h);
}

/* Misuse. */
static void
park_base(void *arg)
{
	(void)reap_park(arg, publish_checked, NULL);
}

static void
switch_to(void *arg)
{
	(void)reap_switch(reap_worker_self(), arg);
}

static void
stop_worker(void *arg)
{
	(void)reap_worker_stop(arg);
}

static intptr_t
misuse_from_context(void *arg)
{
	CHECK_MISUSE("stop-from-base", stop_worker, arg);
	return 0;
}

TEST(switch, to_the_dead_aborts)
{
	struct host		h;
	struct reap_context	*child;

	host_open(&h, (struct reap_domain_options){ 0 });
	child = host_spawn(host_return, NULL);
	host_run();
	CHECK_MISUSE("switch-to-dead", switch_to, child);
	CHECK_EQ(reap_wait(child, 0, NULL), 0);
	host_close(&h);
}

TEST(worker, misuse_names_the_rule)
{
	struct host		h;

	host_open(&h, (struct reap_domain_options){ 0 });
	CHECK_MISUSE("park-base", park_base, h.worker);
	(void)host_create((struct reap_context_options){ .entry = misuse_from_context, .arg = h.worker, .stack_size = 1 << 18 });
	CHECK_EQ(reap_wait_any(0, NULL), 0);
	host_close(&h);
}

/* A second worker, for what one alone cannot show. */
static struct host	*shared;
static struct reap_context *foreign;
static struct latch	 up = LATCH_INIT, seen = LATCH_INIT;

static intptr_t
hold_the_cpu(void *arg)
{
	(void)arg;
	latch_hit(&up);
	latch_await(&seen, 1);
	return 0;
}

static void *
other_worker(void *arg)
{
	struct host_worker	 me = { .host = shared };
	struct reap_worker	*worker;
	const struct reap_context_options o = { .size = sizeof(o), .entry = arg != NULL ? host_return : hold_the_cpu,
		.flags = arg != NULL ? REAP_CONTEXT_PINNED : 0 };

	CHECK_EQ(reap_worker_start(shared->domain, &me, &worker), 0);
	CHECK_EQ(reap_context_create(shared->domain, &o, &foreign), 0);
	CHECK(reap_context_home(foreign) == (arg != NULL || host_private() ? worker : NULL));
	if (arg != NULL) {
		latch_hit(&up);
		latch_await(&seen, 1);
		CHECK_EQ(reap_worker_stop(worker), -EBUSY);	/* the pinned one lives */
	}
	worker = reap_switch(worker, foreign);
	CHECK_EQ(reap_worker_stop(worker), 0);
	return NULL;
}

static void
check_foreign(const char *rule, bool pinned)
{
	struct host	h;
	pthread_t	thread;

	host_open(&h, (struct reap_domain_options){ 0 });
	shared = &h;
	CHECK_EQ(pthread_create(&thread, NULL, other_worker, pinned ? &h : NULL), 0);
	latch_await(&up, 1);
	CHECK_MISUSE(rule, switch_to, foreign);
	latch_hit(&seen);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 10), 1);
	host_close(&h);
}

TEST(switch, to_one_that_runs_elsewhere_aborts)
{
	if (host_private())
		SKIP("a private context is refused before it is looked at whether it runs");
	check_foreign("switch-to-running", false);
}

TEST(pinned, a_foreign_switch_aborts_and_its_worker_cannot_stop)
{
	check_foreign("pinned", true);
}

/* The end of a worker: its cached stacks, descriptors and credits go to the domain. */
enum { THREADS = 1000, LIVES = 100 };

static void *
short_lived_worker(void *arg)
{
	struct host		*h = arg;
	struct host_worker	 me = { .host = h };
	struct reap_worker	*worker;
	struct reap_context	*context[LIVES];

	CHECK_EQ(reap_worker_start(h->domain, &me, &worker), 0);
	for (int i = 0; i < LIVES; i++)
		CHECK_EQ(reap_spawn(worker, host_return, NULL, &context[i]), 0);
	for (int i = 0; i < LIVES; i++) {
		worker = reap_switch(worker, context[i]);
		if (i % 2)
			CHECK_EQ(reap_wait(context[i], 0, NULL), 0);
	}
	CHECK_EQ(reap_worker_stop(worker), 0);	/* with the slot empty, and half of them zombies */
	return NULL;
}

static struct reap_context *
next_none(struct reap_worker *worker)
{
	(void)worker;
	return NULL;
}

TEST(worker, a_thousand_that_end_leak_nothing)
{
	struct reap_host	callbacks = host_alone;
	struct host		h;
	struct reap_stats	s;
	unsigned		threads = 2 * (unsigned)check_divided(HOST_SANITIZED ? THREADS / 20 : THREADS / 2);

	callbacks.next = next_none;
	host_open(&h, (struct reap_domain_options){ .host = &callbacks, .limit = 2 * LIVES, .policy = REAP_POLICY_SUCCESSOR });
	for (unsigned i = 0; i < threads; i += 2) {
		pthread_t thread[2];

		for (int k = 0; k < 2; k++)
			CHECK_EQ(pthread_create(&thread[k], NULL, short_lived_worker, &h), 0);
		for (int k = 0; k < 2; k++)
			CHECK_EQ(pthread_join(thread[k], NULL), 0);
		CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 1000), LIVES);
	}
	s = host_stats(&h);
	CHECK_EQ(s.created, threads * LIVES);
	CHECK_EQ(s.reaped, threads * LIVES);
	CHECK_EQ(s.limit_hits, 0);
	CHECK_EQ(s.stacks_mapped - s.stacks_cached, 0);
	CHECK(s.stacks_mapped < 1000);
	CHECK(h.domain->slabs == NULL || h.domain->slabs->next == NULL);	/* of descriptors: 8000 of them do for all */
	CHECK_EQ(reap_domain_for_each(h.domain, NULL, NULL), 1);
	host_close(&h);
}

/* Plain ones are seen to run, and their switches counted. */
static intptr_t
is_seen_to_run(void *arg)
{
	CHECK_EQ(reap_context_state(reap_worker_current(reap_worker_self())), REAP_STATE_RUNNING);
	return (intptr_t)arg;
}

static intptr_t
has_two_seen_to_run(void *arg)
{
	struct reap_context *child[2];

	for (int i = 0; i < 10; i++) {
		for (int k = 0; k < 2; k++)
			child[k] = host_spawn(is_seen_to_run, arg);
		host_yield();
		for (int k = 0; k < 2; k++)
			CHECK_EQ(reap_wait(child[k], 0, NULL), 0);
	}
	for (int i = 0; i < 10; i++)
		CHECK_EQ(reap_wait(host_spawn(is_seen_to_run, arg), 0, NULL), 0);
	return 0;
}

TEST(worker, switches_are_counted_once)
{
	struct reap_host	callbacks = host_alone;
	struct reap_context	*parent;
	uint64_t		before;
	struct host		h;

	callbacks.direct = true;
	host_open(&h, (struct reap_domain_options){ .host = &callbacks });
	CHECK_EQ(reap_wait(host_spawn(is_seen_to_run, NULL), 0, NULL), 0);
	before = host_stats(&h).switches;
	parent = host_spawn(has_two_seen_to_run, NULL);
	host_run();
	/* To the parent and back, and with each pair: to the first one, to the second, and back. */
	CHECK_EQ(host_stats(&h).switches - before, 2 + 10 * 3 + 10 * 2);
	CHECK_EQ(reap_wait(parent, 0, NULL), 0);
	/* A base context is no context to go straight to. */
	CHECK_EQ(reap_wait(host_spawn(is_seen_to_run, NULL), 0, NULL), 0);
	(void)host_spawn(is_seen_to_run, NULL);
	CHECK_EQ(reap_wait_any(0, NULL), 0);
	host_close(&h);
}

/* Where the domain asks for something uncommon nobody is born plain, or simple. */
static uint64_t
no_clock(void *arg)
{
	(void)arg;
	return 0;
}

static bool
no_locks(struct reap_context *dying)
{
	(void)dying;
	return false;
}

static void
no_hook(struct reap_worker *worker, struct reap_context *from, struct reap_context *to)
{
	(void)worker;
	(void)from;
	(void)to;
}

static void
no_hook_after(struct reap_worker *worker, struct reap_context *from, bool dead)
{
	(void)worker;
	(void)from;
	(void)dead;
}

static void
no_final(struct reap_context *dying)
{
	(void)dying;
}

static void
no_child(struct reap_context *parent, struct reap_context *child)
{
	(void)parent;
	(void)child;
}

static void
check_births(struct reap_domain_options options, struct reap_host callbacks, bool plain, bool simple)
{
	struct host h;

	callbacks.next = host_next;
	callbacks.ready = host_ready;
	callbacks.shares = true;
	options.host = &callbacks;
	options.clock = no_clock;
	host_open(&h, options);
	CHECK_EQ(h.worker->birth != 0, plain);
	CHECK_EQ(h.worker->simple != 0, simple);
	host_close(&h);
}

TEST(worker, only_the_common_is_plain)
{
	const struct reap_host		none = { .next = NULL };
	const struct reap_domain_options any = { .limit = 0 };
	struct host			h;

	host_open(&h, any);
	if (h.worker->simple == 0)
		SKIP("nobody is born plain here");
	host_close(&h);
	check_births(any, none, true, true);
	check_births((struct reap_domain_options){ .policy = REAP_POLICY_PARENT }, none, true, true);
	check_births((struct reap_domain_options){ .policy = REAP_POLICY_SUCCESSOR }, none, true, true);
	check_births((struct reap_domain_options){ .policy = REAP_POLICY_ADOPTER }, none, false, false);
	check_births((struct reap_domain_options){ .policy = REAP_POLICY_THREAD }, none, false, false);
	check_births((struct reap_domain_options){ .notify = REAP_NOTIFY_EARLY }, none, false, true);
	check_births((struct reap_domain_options){ .limit = 10 }, none, true, false);
	check_births((struct reap_domain_options){ .usage = true }, none, false, false);
	check_births((struct reap_domain_options){ .ledger_time = true }, none, false, false);
	check_births((struct reap_domain_options){ .before_final_switch = no_final }, none, false, false);
	check_births((struct reap_domain_options){ .stack = { .flags = REAP_STACK_SCRUB } }, none, false, false);
	check_births(any, (struct reap_host){ .on_switch = no_hook }, false, false);
	check_births(any, (struct reap_host){ .after_switch = no_hook_after }, false, false);
	check_births(any, (struct reap_host){ .locks_held = no_locks }, false, false);
	check_births(any, (struct reap_host){ .child_exited = no_child }, false, true);
}
