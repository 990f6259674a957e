/* SPDX-License-Identifier: ISC */
/*
 * destroy.c: ending a suspended context without running it again.
 */
#include "host.h"
#include "misuse.h"

TEST(destroy, a_new_context_never_runs)
{
	struct host		h;
	struct reap_context	*child;
	struct reap_result	r;

	host_open(&h, (struct reap_domain_options){ 0 });
	CHECK_EQ(reap_spawn(h.worker, host_return, (void *)1, &child), 0);
	CHECK_EQ(reap_context_destroy(child, 44), 0);
	CHECK_EQ(reap_context_state(child), REAP_STATE_ZOMBIE);
	CHECK_EQ(reap_wait(child, 0, &r), 0);
	CHECK_EQ(r.status, 44);
	CHECK_EQ(host_stats(&h).exited, 1);
	CHECK_EQ(host_stats(&h).reaped, 1);
	host_close(&h);
}

static unsigned listened;

static void
count_listener(struct reap_exit_listener *listener, struct reap_context *dying, intptr_t status)
{
	(void)listener;
	(void)dying;
	(void)status;
	listened++;
}

TEST(destroy, a_suspended_context_unwinds_nothing)
{
	struct reap_exit_listener listener = { .exiting = count_listener };
	struct host		h;
	struct gate		gate = GATE_INIT;
	struct reap_context	*child;
	struct reap_result	r;

	host_open(&h, (struct reap_domain_options){ 0 });
	child = host_spawn(host_gated, &gate);
	reap_exit_listen(child, &listener);
	host_run();
	CHECK_EQ(reap_context_destroy(child, -9), 0);
	CHECK_EQ(listened, 0);
	CHECK_EQ(reap_wait_any(0, &r), 0);
	CHECK_EQ(r.status, -9);
	host_close(&h);
}

static void
destroy_it(void *arg)
{
	(void)reap_context_destroy(arg, 0);
}

static intptr_t
destroy_self(void *arg)
{
	(void)arg;
	CHECK_MISUSE("destroy-running", destroy_it, reap_worker_current(reap_worker_self()));
	return 0;
}

TEST(destroy, of_the_running_or_the_dead_aborts)
{
	struct host		h;
	struct reap_context	*child;

	host_open(&h, (struct reap_domain_options){ 0 });
	child = host_create((struct reap_context_options){ .entry = destroy_self, .stack_size = 1 << 18 });
	host_run();
	CHECK_MISUSE("destroy-dead", destroy_it, child);
	CHECK_EQ(reap_wait(child, 0, NULL), 0);
	CHECK_MISUSE("destroy-running", destroy_it, reap_worker_base(h.worker));
	host_close(&h);
}

static intptr_t
wait_for_gated(void *arg)
{
	struct reap_context *child = host_spawn(host_gated, arg);

	CHECK_EQ(reap_wait(child, 0, NULL), 0);
	return 0;
}

static intptr_t
wait_any_for_gated(void *arg)
{
	(void)host_spawn(host_gated, arg);
	CHECK_EQ(reap_wait_any(0, NULL), 0);
	return 0;
}

TEST(destroy, of_one_that_has_claimed_somebody_is_refused)
{
	struct host		h;
	struct gate		gate = GATE_INIT;
	struct reap_context	*child;

	host_open(&h, (struct reap_domain_options){ 0 });
	child = host_spawn(wait_for_gated, &gate);
	host_run();
	CHECK_EQ(reap_context_destroy(child, 0), -EBUSY);
	CHECK_EQ(reap_context_state(child), REAP_STATE_SUSPENDED);
	gate_open(&gate);
	CHECK_EQ(reap_wait(child, 0, NULL), 0);
	host_close(&h);
}

TEST(destroy, of_one_asleep_in_wait_any)
{
	struct host		h;
	struct gate		gate = GATE_INIT;
	struct reap_context	*child;

	host_open(&h, (struct reap_domain_options){ 0 });
	child = host_spawn(wait_any_for_gated, &gate);
	host_run();
	CHECK_EQ(reap_context_destroy(child, 0), 0);
	CHECK_EQ(reap_wait(child, 0, NULL), 0);
	gate_open(&gate);		/* its child ends, and readies nobody */
	host_run();
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 10), 1);
	host_close(&h);
}

static intptr_t
wait_for_adopter(void *arg)
{
	return reap_adopter_wait(arg);
}

TEST(destroy, of_one_asleep_on_an_adopter)
{
	struct host		h;
	struct reap_adopter	*adopter;
	struct reap_context	*child;

	host_open(&h, (struct reap_domain_options){ 0 });
	CHECK_EQ(reap_adopter_create(h.domain, NULL, &adopter), 0);
	child = host_spawn(wait_for_adopter, adopter);
	host_run();
	CHECK_EQ(reap_context_destroy(child, 0), 0);
	CHECK_EQ(reap_wait(child, 0, NULL), 0);
	reap_adopter_interrupt(adopter);
	CHECK_EQ(reap_adopter_wait(adopter), -ECANCELED);
	CHECK_EQ(reap_adopter_destroy(adopter), 0);
	host_close(&h);
}

static intptr_t
wait_for_group(void *arg)
{
	return reap_group_wait(arg, 0, NULL);
}

TEST(destroy, of_one_asleep_on_a_group)
{
	struct host		h;
	struct gate		gate = GATE_INIT;
	struct reap_group	*group;
	struct reap_context	*child;

	host_open(&h, (struct reap_domain_options){ 0 });
	CHECK_EQ(reap_group_create(h.domain, &group), 0);
	(void)host_create((struct reap_context_options){ .entry = host_gated, .arg = &gate, .group = group });
	child = host_spawn(wait_for_group, group);
	host_run();
	CHECK_EQ(reap_context_destroy(child, 0), 0);
	CHECK_EQ(reap_wait(child, 0, NULL), 0);
	gate_open(&gate);
	CHECK_EQ(reap_group_wait(group, 0, NULL), 0);
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 10), 1);
	host_close(&h);
}

/* A collector that is destroyed between the post and its return: whom it had claimed must not be forgotten. */
struct claim {
	struct gate	 gate;
	struct reap_handle name;
};

static intptr_t
join_claimed(void *arg)
{
	CHECK_EQ(reap_join(*(struct reap_handle *)arg, 0, NULL), 0);
	return 0;
}

TEST(destroy, of_a_parent_about_to_return_from_wait)
{
	struct host		h;
	struct gate		gate = GATE_INIT;
	struct reap_context	*parent;

	host_open(&h, (struct reap_domain_options){ .policy = REAP_POLICY_PARENT });
	parent = host_spawn(wait_for_gated, &gate);
	host_run();
	gate_open(&gate);
	host_yield();				/* the child ends, and readies the parent from the base context's landing */
	CHECK(host_next(h.worker) == parent);
	CHECK_EQ(reap_context_destroy(parent, 0), 0);
	CHECK_EQ(reap_wait(parent, 0, NULL), 0);
	while (reap_adopter_drain(reap_adopter_default(h.domain), 10) > 0)
		continue;
	CHECK_EQ(host_stats(&h).zombies, 0);
	CHECK_EQ(host_stats(&h).ledger[REAP_PAYER_PARENT].contexts, 2);		/* by the destroyed one, and of it */
	CHECK_EQ(reap_domain_for_each(h.domain, NULL, NULL), 1);
	host_close(&h);
}

TEST(destroy, of_a_joiner_about_to_return_lets_the_parent_go)
{
	struct host		h;
	struct claim		claim = { .gate = GATE_INIT };
	struct reap_context	*joiner;

	host_open(&h, (struct reap_domain_options){ .policy = REAP_POLICY_PARENT });
	claim.name = reap_context_handle(host_spawn(host_gated, &claim.gate));
	joiner = host_spawn(join_claimed, &claim.name);
	host_run();
	gate_open(&claim.gate);
	host_yield();
	CHECK(host_next(h.worker) == joiner);
	CHECK_EQ(reap_context_destroy(joiner, 0), 0);
	CHECK_EQ(reap_wait(joiner, 0, NULL), 0);
	while (reap_adopter_drain(reap_adopter_default(h.domain), 10) > 0)
		continue;
	CHECK_EQ(reap_peek(claim.name, NULL, NULL), -ESRCH);
	CHECK_EQ(reap_wait_any(REAP_NOHANG, NULL), -ECHILD);	/* the child was collected by somebody else */
	CHECK_EQ(reap_children(), 0);
	host_close(&h);
}

/* The same when the one that was claimed is on its parent's list already. */
static struct reap_context *slow_child;
static struct latch	 dying = LATCH_INIT, go_on = LATCH_INIT;

static void
die_slowly(struct reap_context *context)
{
	if (context != slow_child)
		return;
	latch_hit(&dying);
	latch_await(&go_on, 1);
}

static struct reap_context *claimer;
static struct latch	 readied = LATCH_INIT;

/* The claimer is not queued: it stays with the test. */
static void
ready_but_claimer(struct reap_context *context)
{
	if (context == claimer)
		latch_hit(&readied);
	else
		host_ready(context);
}

TEST(destroy, of_a_joiner_of_a_zombie_that_its_parent_lists)
{
	struct reap_host	callbacks = host_shared;
	struct host		h;
	struct host_thread	t;
	struct reap_handle	name;

	callbacks.ready = ready_but_claimer;
	host_open_shared(&h, (struct reap_domain_options){
		.host = &callbacks, .policy = REAP_POLICY_PARENT, .before_final_switch = die_slowly });
	CHECK_EQ(reap_spawn(h.worker, host_return, NULL, &slow_child), 0);
	name = reap_context_handle(slow_child);
	host_thread_start(&t, &h);
	host_ready(slow_child);
	latch_await(&dying, 1);			/* exited, listed, and still on the other worker's CPU */
	CHECK_EQ(reap_spawn(h.worker, join_claimed, &name, &claimer), 0);
	(void)reap_switch(h.worker, claimer);	/* claims it, parks at the barrier, and comes back here */
	latch_hit(&go_on);
	latch_await(&readied, 1);
	CHECK_EQ(reap_context_destroy(claimer, 0), 0);
	CHECK_EQ(reap_wait(claimer, 0, NULL), 0);
	while (reap_adopter_drain(reap_adopter_default(h.domain), 10) > 0)
		continue;
	CHECK_EQ(reap_peek(name, NULL, NULL), -ESRCH);
	CHECK_EQ(reap_wait_any(REAP_NOHANG, NULL), -ECHILD);
	CHECK_EQ(reap_children(), 0);
	host_thread_stop(&t);
	CHECK_EQ(host_stats(&h).reaped, 2);
	host_close(&h);
}

static void *
destroy_outside(void *arg)
{
	CHECK_EQ(reap_context_destroy(arg, 12), 0);
	return NULL;
}

TEST(destroy, by_an_os_thread)
{
	struct host		h;
	struct gate		gate = GATE_INIT;
	struct reap_context	*child;
	struct reap_result	r;
	pthread_t		thread;

	host_open(&h, (struct reap_domain_options){ 0 });
	child = host_spawn(host_gated, &gate);
	host_run();
	CHECK_EQ(pthread_create(&thread, NULL, destroy_outside, child), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(reap_wait(child, 0, &r), 0);
	CHECK_EQ(r.status, 12);
	host_close(&h);
}

static intptr_t
leave_child(void *arg)
{
	(void)host_spawn(host_gated, arg);
	gate_pass(&((struct gate *)arg)[1]);
	return 0;
}

TEST(destroy, of_a_parent_orphans_its_children)
{
	struct host		h;
	struct gate		gate[2] = { GATE_INIT, GATE_INIT };
	struct reap_context	*parent;

	host_open(&h, (struct reap_domain_options){ 0 });
	parent = host_spawn(leave_child, gate);
	host_run();
	CHECK_EQ(reap_context_destroy(parent, 0), 0);
	CHECK_EQ(reap_wait(parent, 0, NULL), 0);
	gate_open(&gate[0]);
	host_run();
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 10), 1);
	CHECK_EQ(host_stats(&h).orphans, 1);
	host_close(&h);
}

/* Somebody waits for the one that is destroyed: it is told. */
TEST(destroy, wakes_who_waits_for_it)
{
	struct host		h;
	struct claim		claim = { .gate = GATE_INIT };
	struct reap_context	*child, *joiner;

	host_open(&h, (struct reap_domain_options){ 0 });
	child = host_spawn(host_gated, &claim.gate);
	claim.name = reap_context_handle(child);
	joiner = host_spawn(join_claimed, &claim.name);
	host_run();
	CHECK_EQ(reap_context_destroy(child, 0), 0);
	CHECK_EQ(reap_wait(joiner, 0, NULL), 0);
	CHECK_EQ(reap_wait_any(0, NULL), -ECHILD);
	host_close(&h);
}

TEST(destroy, ends_group_members_and_pinned_ones)
{
	struct host		h;
	struct gate		gate = GATE_INIT;
	struct reap_group	*group;
	struct reap_context	*member, *pinned;
	intptr_t		status;

	host_open(&h, (struct reap_domain_options){ 0 });
	CHECK_EQ(reap_group_create(h.domain, &group), 0);
	member = host_create((struct reap_context_options){ .entry = host_gated, .arg = &gate, .group = group });
	host_run();
	pinned = host_create((struct reap_context_options){ .entry = host_return, .flags = REAP_CONTEXT_PINNED });
	CHECK(host_next(h.worker) == pinned);
	CHECK_EQ(reap_worker_stop(h.worker), -EBUSY);
	CHECK_EQ(reap_context_destroy(member, 21), 0);
	CHECK_EQ(reap_context_destroy(pinned, 0), 0);
	CHECK_EQ(reap_group_wait(group, REAP_NOHANG, &status), 0);
	CHECK_EQ(status, 21);
	CHECK_EQ(reap_wait(pinned, 0, NULL), 0);
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 10), 1);
	host_close(&h);
}

/* Whose stack was left in a sleep is not asleep on it in the next life. */
static intptr_t
sleeps_on_a_group(void *arg)
{
	return reap_group_wait(arg, 0, NULL);
}

static __attribute__((noinline)) void
fill(volatile unsigned char *junk, size_t size)
{
	for (size_t i = 0; i < size; i++)
		junk[i] = 0x5a;
}

static intptr_t
covers_its_stack(void *arg)
{
	unsigned char junk[4096];

	fill(junk, sizeof(junk));
	gate_pass(arg);
	return 0;
}

TEST(destroy, a_stack_left_in_a_sleep_is_as_good_as_new)
{
	struct reap_host	callbacks = host_alone;
	struct gate		gate[2] = { GATE_INIT, GATE_INIT };
	struct reap_group	*its;
	struct reap_context	*child;
	struct host		h;

	callbacks.shares = true;
	host_open(&h, (struct reap_domain_options){ .host = &callbacks, .policy = REAP_POLICY_SUCCESSOR });
	for (int i = 0; i < 2; i++)		/* the second ones are plain */
		CHECK_EQ(reap_wait(host_spawn(host_return, NULL), 0, NULL), 0);
	CHECK_EQ(reap_group_create(h.domain, &its), 0);
	(void)host_create((struct reap_context_options){ .entry = host_gated, .arg = &gate[0], .group = its });
	child = host_spawn(sleeps_on_a_group, its);
	host_run();
	CHECK_EQ(reap_context_destroy(child, 1), 0);
	CHECK_EQ(reap_wait(child, 0, NULL), 0);
	child = host_spawn(covers_its_stack, &gate[1]);
	host_run();
	CHECK_EQ(reap_context_destroy(child, 2), 0);
	CHECK_EQ(reap_wait(child, 0, NULL), 0);
	gate_open(&gate[0]);
	CHECK_EQ(reap_group_wait(its, 0, NULL), 0);
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 10), 1);
	host_close(&h);
}

/* Whom it has waited for is no concern of one that is destroyed. */
static intptr_t
has_waited(void *arg)
{
	CHECK_EQ(reap_wait(host_spawn(host_return, NULL), 0, NULL), 0);
	gate_pass(arg);
	return 0;
}

static intptr_t
has_waited_for_a_group(void *arg)
{
	struct reap_group	*group;
	struct gate		*gate = arg;

	CHECK_EQ(reap_group_create(reap_worker_domain(reap_worker_self()), &group), 0);
	(void)host_create((struct reap_context_options){ .entry = host_gated, .arg = &gate[1], .group = group });
	CHECK_EQ(reap_group_wait(group, 0, NULL), 0);
	return covers_its_stack(&gate[0]);
}

TEST(destroy, one_that_has_waited_for_a_group_is_destroyed)
{
	struct gate		gate[2] = { GATE_INIT, GATE_INIT };
	struct reap_context	*child;
	struct host		h;

	host_open(&h, (struct reap_domain_options){ 0 });
	child = host_spawn(has_waited_for_a_group, gate);
	host_run();
	gate_open(&gate[1]);
	host_run();
	CHECK(gate[0].parked == child);
	CHECK_EQ(reap_context_destroy(child, 3), 0);
	CHECK_EQ(reap_wait(child, 0, NULL), 0);
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 4), 1);
	host_close(&h);
}

TEST(destroy, one_that_has_waited_is_destroyed)
{
	struct gate		gate = GATE_INIT;
	struct reap_context	*child;
	struct host		h;

	host_open(&h, (struct reap_domain_options){ 0 });
	for (int i = 0; i < 3; i++) {
		child = host_spawn(has_waited, &gate);
		host_run();
		CHECK_EQ(reap_context_state(child), REAP_STATE_SUSPENDED);
		CHECK_EQ(reap_context_destroy(child, 3), 0);
		CHECK_EQ(reap_wait(child, 0, NULL), 0);
		CHECK_EQ(host_stats(&h).reaped, 2 * (i + 1));
	}
	host_close(&h);
}

/* Who listened to one that was destroyed hears nothing of the next on its stack. */
static void
must_not_hear(struct reap_exit_listener *listener, struct reap_context *context, intptr_t status)
{
	(void)listener;
	(void)context;
	(void)status;
	CHECK(false);
}

TEST(destroy, a_listener_to_the_destroyed_hears_nothing_more)
{
	struct reap_exit_listener	listener = { .exiting = must_not_hear };
	struct reap_context		*child;
	struct host			h;

	host_open(&h, (struct reap_domain_options){ 0 });
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(reap_spawn(h.worker, host_return, NULL, &child), 0);
		reap_exit_listen(child, &listener);
		CHECK_EQ(reap_context_destroy(child, 0), 0);
		CHECK_EQ(reap_wait(child, 0, NULL), 0);
		child = i == 1 ? host_spawn(host_return, NULL) :
		    host_create((struct reap_context_options){ .entry = host_return, .user = &h });
		CHECK_EQ(reap_wait(child, 0, NULL), 0);
	}
	host_close(&h);
}
