/* SPDX-License-Identifier: ISC */
/*
 * notify.c: when the parent is told: early, at the exit, or late, after the post.
 */
#include "context.h"

#include "host.h"

/* Alone: the order of the parent's wakeup and the landing, as hooks see it. */
static char	 trace[16];
static unsigned	 ntrace;
static struct reap_context *parent, *child;

static void
mark(char c)
{
	CHECK(ntrace < sizeof(trace) - 1);
	trace[ntrace++] = c;
}

static void
ready_traced(struct reap_context *context)
{
	if (context == parent && child != NULL) {
		enum reap_state state = reap_context_state(child);

		mark(state == REAP_STATE_ZOMBIE ? 'R' : 'r');	/* posted, or not yet */
	}
	host_ready(context);
}

static void
child_traced(struct reap_context *of, struct reap_context *who)
{
	if (who == child) {
		CHECK(of == parent);
		mark('c');
	}
}

static void
final_traced(struct reap_context *dying)
{
	if (dying == child)
		mark('f');
}

static intptr_t
wait_by_name(void *arg)
{
	(void)arg;
	child = host_spawn(host_return, NULL);
	return reap_wait(child, 0, NULL);
}

static intptr_t
wait_for_any(void *arg)
{
	(void)arg;
	child = host_spawn(host_return, NULL);
	return reap_wait_any(0, NULL);
}

static void
check_order(enum reap_notify notify, reap_entry *entry, const char *expected)
{
	struct reap_host	callbacks = host_alone;
	struct host		h;
	struct reap_result	r;

	callbacks.ready = ready_traced;
	callbacks.child_exited = child_traced;
	host_open(&h, (struct reap_domain_options){
		.host = &callbacks, .notify = notify, .before_final_switch = final_traced, .policy = REAP_POLICY_PARENT });
	child = NULL;
	ntrace = 0;
	parent = host_spawn(entry, NULL);
	host_run();
	trace[ntrace] = '\0';
	CHECK_STR_EQ(trace, expected);
	child = NULL;
	CHECK_EQ(reap_wait(parent, 0, &r), 0);
	CHECK_EQ(r.status, 0);
	host_close(&h);
}

TEST(notify, late_readies_the_parent_after_the_post)
{
	check_order(REAP_NOTIFY_DEFAULT, wait_by_name, "fcR");
}

TEST(notify, late_readies_a_parent_in_wait_any_after_the_post)
{
	check_order(REAP_NOTIFY_LATE, wait_for_any, "fcR");
}

TEST(notify, early_readies_the_parent_before_the_final_switch)
{
	check_order(REAP_NOTIFY_EARLY, wait_by_name, "crf");
}

TEST(notify, early_readies_a_parent_in_wait_any_before_the_final_switch)
{
	check_order(REAP_NOTIFY_EARLY, wait_for_any, "crf");
}

TEST(notify, of_a_context_overrides_its_domains)
{
	struct reap_host	callbacks = host_alone;
	struct host		h;

	callbacks.child_exited = child_traced;
	host_open(&h, (struct reap_domain_options){
		.host = &callbacks, .notify = REAP_NOTIFY_LATE, .before_final_switch = final_traced });
	parent = reap_worker_base(h.worker);
	child = host_create((struct reap_context_options){ .entry = host_return, .notify = REAP_NOTIFY_EARLY });
	host_run();
	trace[ntrace] = '\0';
	CHECK_STR_EQ(trace, "cf");
	CHECK_EQ(reap_wait(child, 0, NULL), 0);
	host_close(&h);
}

/*
 * Two workers: the dying one is held before its final switch until its parent, told early, runs on the other worker and has
 * met the barrier.  The parent must not come through it; freed stacks fault.
 */
static struct latch	 told = LATCH_INIT, parked_again = LATCH_INIT;

static void
hold_until_barrier(struct reap_context *dying)
{
	volatile unsigned char frame[256];

	if (dying != child)
		return;
	latch_await(&parked_again, 1);
	for (size_t i = 0; i < sizeof(frame); i++)
		frame[i] = 1;
}

/* The parent runs on the other worker, not as the successor of its child. */
static struct reap_context *
next_but_for_child(struct reap_worker *worker)
{
	return reap_worker_current(worker) == child ? NULL : host_next(worker);
}

static void
after_switch_traced(struct reap_worker *worker, struct reap_context *prev, bool dead)
{
	(void)worker;
	/* The parent left the CPU while its child was still dying: it has met the barrier. */
	if (prev == parent && !dead && child != NULL && latch_count(&told) > 0 &&
	    reap_context_state(child) == REAP_STATE_EXITING)
		latch_hit(&parked_again);
}

static void
told_early(struct reap_context *of, struct reap_context *who)
{
	if (who == child) {
		CHECK(of == parent);
		latch_hit(&told);
	}
}

static struct gate child_gate = GATE_INIT;

static intptr_t
overlap(void *arg)
{
	struct reap_result r;

	child = host_spawn(host_gated, &child_gate);
	CHECK_EQ(arg != NULL ? reap_wait(child, 0, &r) : reap_wait_any(0, &r), 0);
	CHECK_EQ(r.status, 7);
	return 0;
}

static void
meet_the_barrier(bool by_name)
{
	struct reap_host	callbacks = host_shared;
	struct host		h;
	struct host_thread	t;
	uint64_t		before;

	alarm(60);
	callbacks.next = next_but_for_child;
	callbacks.child_exited = told_early;
	callbacks.after_switch = after_switch_traced;
	host_open_shared(&h, (struct reap_domain_options){ .host = &callbacks, .notify = REAP_NOTIFY_EARLY,
	    .policy = REAP_POLICY_PARENT, .before_final_switch = hold_until_barrier, .stack = { .quarantine = 8 } });
	parent = host_spawn(overlap, by_name ? &h : NULL);
	host_run();					/* alone so far: the parent sleeps, the child is at the gate */
	before = host_stats(&h).barrier_waits;
	CHECK_EQ(before, by_name);			/* a wait by name claims, and waits */
	host_thread_start(&t, &h);
	gate_open(&child_gate);
	CHECK_EQ(reap_wait(parent, 0, NULL), 0);
	CHECK_EQ(latch_count(&told), 1);
	CHECK(latch_count(&parked_again) > 0);
	CHECK(by_name || host_stats(&h).barrier_waits > before);
	host_thread_stop(&t);
	host_close(&h);
}

TEST(notify, an_early_parent_meets_the_barrier)
{
	meet_the_barrier(true);
}

TEST(notify, an_early_parent_in_wait_any_meets_the_barrier)
{
	meet_the_barrier(false);
}

/* A base context that is told early arms its waiter anew, and sleeps: it does not turn round and round until the post. */
static unsigned	 rounds;	/* of the base context, by the macros of atomic.h */

static struct reap_context *
next_elsewhere(struct reap_worker *worker)
{
	const struct host *h = reap_domain_user(reap_context_domain(parent));

	if (worker != h->worker)
		return host_next(worker);
	(void)REAP_ADD_RELAXED(&rounds, 1);
	return NULL;
}

/* The next time that it looks for somebody to run, woken for nothing. */
static void
await_round(struct host *h)
{
	const unsigned before = REAP_LOAD_RELAXED(&rounds);

	host_wake(h->worker);
	while (REAP_LOAD_RELAXED(&rounds) == before)
		CHECK_EQ(sched_yield(), 0);
}

static uintptr_t
waiter_of(const struct reap_context *context)
{
	return REAP_LOAD_RELAXED(&context->done.reap__word);
}

static void
hold_until_armed(struct reap_context *dying)
{
	const unsigned before = REAP_LOAD_RELAXED(&rounds);

	if (reap_context_parent(dying) != parent)
		return;
	while (waiter_of(dying) == REAP__PENDING && REAP_LOAD_RELAXED(&rounds) - before < 3)
		CHECK_EQ(sched_yield(), 0);
	CHECK(waiter_of(dying) != REAP__PENDING);
	/* And once: it remembers nothing of having been told. */
	for (int i = 0; i < 2; i++)
		await_round(reap_domain_user(reap_context_domain(dying)));
}

static intptr_t
awaited(void *arg)
{
	while (waiter_of(reap_worker_current(reap_worker_self())) == REAP__PENDING)
		CHECK_EQ(sched_yield(), 0);
	return (intptr_t)arg;
}

TEST(notify, an_early_base_context_sleeps_again)
{
	struct reap_host	callbacks = host_shared;
	struct host		h;
	struct host_thread	t;
	struct reap_result	r;

	alarm(60);
	callbacks.next = next_elsewhere;
	host_open_shared(&h, (struct reap_domain_options){ .host = &callbacks, .notify = REAP_NOTIFY_EARLY,
	    .before_final_switch = hold_until_armed, .stack = { .quarantine = 8 } });
	parent = reap_worker_base(h.worker);
	host_thread_start(&t, &h);
	CHECK_EQ(reap_wait(host_spawn(awaited, (void *)7), 0, &r), 0);
	CHECK_EQ(r.status, 7);
	host_thread_stop(&t);
	host_close(&h);
}

/* An OS thread that joins is told early too, and must go back to sleep. */
static struct latch joining = LATCH_INIT;

static void *
join_early(void *arg)
{
	struct reap_result r;

	latch_hit(&joining);
	CHECK_EQ(reap_join(*(struct reap_handle *)arg, 0, &r), 0);
	CHECK_EQ(r.status, 7);
	return NULL;
}

TEST(notify, early_does_not_let_an_os_thread_through)
{
	struct host	h;

	host_open(&h, (struct reap_domain_options){
		.notify = REAP_NOTIFY_EARLY, .policy = REAP_POLICY_PARENT, .stack = { .quarantine = 8 } });
	for (int i = 0; i < 100; i++) {
		struct gate		gate = GATE_INIT;
		struct reap_handle	name;
		pthread_t		thread;

		name = reap_context_handle(host_spawn(host_gated, &gate));
		host_run();
		CHECK_EQ(pthread_create(&thread, NULL, join_early, &name), 0);
		latch_await(&joining, (unsigned)i + 1);
		gate_open(&gate);
		host_run();
		CHECK_EQ(pthread_join(thread, NULL), 0);
		CHECK_EQ(reap_children(), 0);
	}
	host_close(&h);
}

/* SIGCHLD: once for each child, and never for those that are nobody's. */
static unsigned sigchlds;

static void
count_sigchld(struct reap_context *of, struct reap_context *who)
{
	CHECK(of == reap_context_parent(who));
	CHECK(reap_context_state(who) >= REAP_STATE_EXITING);
	sigchlds++;
}

TEST(notify, child_exited_is_called_once_for_each_child)
{
	struct reap_host	callbacks = host_alone;
	struct host		h;

	callbacks.child_exited = count_sigchld;
	host_open(&h, (struct reap_domain_options){ .host = &callbacks });
	for (int early = 0; early < 2; early++) {
		enum reap_notify notify = early ? REAP_NOTIFY_EARLY : REAP_NOTIFY_LATE;

		for (int i = 0; i < 10; i++)
			(void)host_create((struct reap_context_options){ .entry = host_return, .notify = notify });
		(void)host_create((struct reap_context_options){
			.entry = host_return, .notify = notify, .flags = REAP_CONTEXT_DETACHED });
		while (reap_wait_any(0, NULL) == 0)
			continue;
		host_run();
		CHECK_EQ(sigchlds, 10 * (early + 1));
	}
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 10), 2);
	host_close(&h);
}

/* SIGCHLD for a parent that is no more. */
static struct reap_context *told_of, *told_parent;
static unsigned	 ntold;

static void
note_child(struct reap_context *of, struct reap_context *who)
{
	told_parent = of;
	told_of = who;
	ntold++;
}

static struct reap_context *survivor;

static intptr_t
leaves_a_child(void *arg)
{
	survivor = host_create((struct reap_context_options){ .entry = host_gated, .arg = arg });
	host_yield();
	return 0;
}

static void
ends_after_its_parent(enum reap_notify notify)
{
	struct reap_host	callbacks = host_alone;
	struct gate		gate = GATE_INIT;
	struct host		h;

	callbacks.child_exited = note_child;
	host_open(&h, (struct reap_domain_options){ .host = &callbacks, .notify = notify });
	ntold = 0;
	parent = host_spawn(leaves_a_child, &gate);
	host_run();
	CHECK_EQ(ntold, 1);			/* of the base context's child: */
	CHECK(told_of == parent && told_parent == reap_worker_base(h.worker));
	gate_open(&gate);
	host_run();				/* the parent is a zombie, its descriptor is there: it is not told all the same */
	CHECK_EQ(reap_context_state(survivor), REAP_STATE_ZOMBIE);
	CHECK_EQ(ntold, 1);
	CHECK_EQ(reap_wait(parent, 0, NULL), 0);
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 4), 1);
	host_close(&h);
}

TEST(notify, a_parent_that_has_ended_is_not_told)
{
	ends_after_its_parent(REAP_NOTIFY_LATE);
	ends_after_its_parent(REAP_NOTIFY_EARLY);
}

/* An orphan ends, and the descriptor of its parent is given back before it is off the CPU. */
static void
trims(struct reap_context *dying)
{
	(void)reap_trim(reap_context_domain(dying));
}

TEST(notify, an_orphan_does_not_touch_a_parent_that_was_trimmed)
{
	enum { MANY = 200 };
	struct reap_host	callbacks = host_alone;
	struct gate		gate = GATE_INIT;
	struct reap_context	*one[MANY];
	struct host		h;

	callbacks.child_exited = note_child;
	host_open(&h, (struct reap_domain_options){ .host = &callbacks, .before_final_switch = trims });
	parent = host_spawn(leaves_a_child, &gate);
	host_run();
	CHECK_EQ(reap_wait(parent, 0, NULL), 0);
	ntold = 0;
	gate_open(&gate);
	host_run();
	CHECK_EQ(ntold, 0);
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 4), 1);
	for (int i = 0; i < MANY; i++) {
		one[i] = host_spawn(host_return, NULL);
		CHECK(reap_context_user(one[i]) == NULL);	/* nobody is it twice */
		reap_context_set_user(one[i], &h);
	}
	for (int i = 0; i < MANY; i++)
		CHECK_EQ(reap_wait(one[i], 0, NULL), 0);
	host_close(&h);
}

/* SIGCHLD for one that was destroyed. */
TEST(notify, a_parent_is_told_of_the_destroyed)
{
	struct reap_host		callbacks = host_alone;
	struct reap_context_options	o = { .size = sizeof(o), .entry = host_return };
	struct host			h;

	callbacks.child_exited = note_child;
	host_open(&h, (struct reap_domain_options){ .host = &callbacks });
	for (int early = 0; early < 2; early++) {
		o.notify = early ? REAP_NOTIFY_EARLY : REAP_NOTIFY_LATE;
		ntold = 0;
		CHECK_EQ(reap_context_create(h.domain, &o, &child), 0);
		CHECK_EQ(reap_context_destroy(child, 0), 0);
		CHECK_EQ(ntold, 1);
		CHECK(told_of == child);
		CHECK_EQ(reap_wait(child, 0, NULL), 0);
	}
	host_close(&h);
}
