/* SPDX-License-Identifier: ISC */
/*
 * adopter.c: who reaps what no parent will: budget and backlog, heirs, sleeping until there is work.
 */
#include "host.h"
#include "worker.h"

static void
spawn_detached(unsigned n)
{
	while (n-- > 0)
		(void)host_create((struct reap_context_options){ .entry = host_return, .flags = REAP_CONTEXT_DETACHED });
}

TEST(adopter, drains_in_bounded_steps)
{
	struct host		h;
	struct reap_adopter	*init;

	host_open(&h, (struct reap_domain_options){ 0 });
	init = reap_adopter_default(h.domain);
	CHECK(init != NULL);
	CHECK_EQ(reap_adopter_drain(init, 10), 0);
	spawn_detached(10);
	CHECK_EQ(reap_adopter_backlog(init), 0);
	host_run();
	CHECK_EQ(reap_adopter_backlog(init), 10);
	CHECK_EQ(host_stats(&h).backlog, 10);
	CHECK_EQ(reap_adopter_drain(init, 0), 0);
	CHECK_EQ(reap_adopter_drain(init, 3), 3);
	CHECK_EQ(reap_adopter_backlog(init), 7);
	CHECK_EQ(host_stats(&h).reaped, 3);
	CHECK_EQ(reap_adopter_drain(init, 4), 4);
	spawn_detached(2);
	host_run();
	CHECK_EQ(reap_adopter_drain(init, UINT32_MAX), 5);
	CHECK_EQ(reap_adopter_drain(init, UINT32_MAX), 0);
	CHECK_EQ(host_stats(&h).backlog, 0);
	host_close(&h);
}

static unsigned order[8], norder;

static void
note_off_cpu(struct reap_context *context, intptr_t status)
{
	(void)context;
	CHECK(norder < 8);
	order[norder++] = (unsigned)status;
}

TEST(adopter, reaps_the_oldest_first)
{
	struct host h;

	host_open(&h, (struct reap_domain_options){ 0 });
	for (intptr_t i = 0; i < 6; i++)
		(void)host_create((struct reap_context_options){
			.entry = host_return, .arg = (void *)i, .flags = REAP_CONTEXT_DETACHED, .off_cpu = note_off_cpu });
	host_run();
	CHECK_EQ(norder, 0);
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 2), 2);
	CHECK_EQ(norder, 2);
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 10), 4);
	for (unsigned i = 0; i < 6; i++)
		CHECK_EQ(order[i], i);
	host_close(&h);
}

/* Who has not left the CPU yet stays owed: the drain neither waits for it nor frees it. */
static struct latch	 dying_now = LATCH_INIT, drained = LATCH_INIT;
static struct reap_context *dying_slowly;
static struct reap_adopter *slow_adopter;

static void
hold_dying(struct reap_context *dying)
{
	if (dying != dying_slowly)
		return;
	latch_hit(&dying_now);
	latch_await(&drained, 1);
}

static void *
drain_too_soon(void *arg)
{
	(void)arg;
	latch_await(&dying_now, 1);
	CHECK_EQ(reap_adopter_backlog(slow_adopter), 1);
	CHECK_EQ(reap_adopter_drain(slow_adopter, 10), 0);
	CHECK_EQ(reap_adopter_backlog(slow_adopter), 1);
	latch_hit(&drained);
	return NULL;
}

TEST(adopter, leaves_who_is_still_on_the_cpu)
{
	struct host	h;
	pthread_t	thread;

	host_open(&h, (struct reap_domain_options){ .before_final_switch = hold_dying, .policy = REAP_POLICY_PARENT });
	slow_adopter = reap_adopter_default(h.domain);
	dying_slowly = host_create((struct reap_context_options){ .entry = host_return, .flags = REAP_CONTEXT_DETACHED });
	CHECK_EQ(pthread_create(&thread, NULL, drain_too_soon, NULL), 0);
	host_run();
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(reap_adopter_drain(slow_adopter, 10), 1);
	host_close(&h);
}

static struct reap_adopter *drain_again;

static void
drain_while_draining(struct reap_context *context, intptr_t status)
{
	(void)context;
	(void)status;
	CHECK_EQ(reap_adopter_drain(drain_again, 10), -EBUSY);
	CHECK_EQ(reap_adopter_destroy(drain_again), -EBUSY);
}

TEST(adopter, is_drained_by_one_at_a_time)
{
	struct host h;

	host_open(&h, (struct reap_domain_options){ 0 });
	CHECK_EQ(reap_adopter_create(h.domain, NULL, &drain_again), 0);
	(void)host_create((struct reap_context_options){ .entry = host_return, .flags = REAP_CONTEXT_DETACHED,
	    .adopter = drain_again, .off_cpu = drain_while_draining });
	host_run();
	CHECK_EQ(reap_adopter_drain(drain_again, 10), 1);
	CHECK_EQ(reap_adopter_destroy(drain_again), 0);
	host_close(&h);
}

TEST(adopter, create_and_destroy_check_their_arguments)
{
	const struct reap_domain_options options = { .size = sizeof(options) };
	struct reap_domain	*other;
	struct reap_adopter	*adopter, *child;
	struct host		h;

	host_open(&h, (struct reap_domain_options){ 0 });
	CHECK_EQ(reap_domain_create(&options, &other), 0);
	CHECK_EQ(reap_adopter_create(NULL, NULL, &adopter), -EINVAL);
	CHECK_EQ(reap_adopter_create(h.domain, NULL, NULL), -EINVAL);
	CHECK_EQ(reap_adopter_create(h.domain, reap_adopter_default(other), &adopter), -EINVAL);
	CHECK_EQ(reap_adopter_destroy(reap_adopter_default(h.domain)), -EINVAL);
	CHECK_EQ(reap_adopter_create(h.domain, reap_adopter_default(h.domain), &adopter), 0);
	CHECK_EQ(reap_adopter_create(h.domain, adopter, &child), 0);
	CHECK_EQ(reap_adopter_assume(NULL), -EINVAL);
	CHECK_EQ(reap_adopter_assume(reap_adopter_default(other)), -EINVAL);
	CHECK_EQ(reap_domain_destroy(other, NULL, NULL), 0);
	CHECK_EQ(reap_adopter_destroy(adopter), 0);
	CHECK_EQ(reap_adopter_destroy(child), 0);	/* its heir has gone before: what it left would go on to the default */
	host_close(&h);
}

static void *
assume_outside(void *arg)
{
	CHECK_EQ(reap_adopter_assume(arg), -EPERM);
	return NULL;
}

TEST(adopter, only_a_context_assumes_one)
{
	struct host		h;
	struct reap_adopter	*adopter;
	pthread_t		thread;

	host_open(&h, (struct reap_domain_options){ 0 });
	CHECK_EQ(reap_adopter_create(h.domain, NULL, &adopter), 0);
	CHECK_EQ(pthread_create(&thread, NULL, assume_outside, adopter), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(reap_adopter_destroy(adopter), 0);
	host_close(&h);
}

/* A subtree: what ends below it without a parent goes to its own adopter. */
static intptr_t
leaves_grandchildren(void *arg)
{
	if ((intptr_t)arg > 0) {
		(void)host_spawn(leaves_grandchildren, (void *)((intptr_t)arg - 1));
		(void)host_spawn(leaves_grandchildren, (void *)((intptr_t)arg - 1));
	}
	return 0;
}

static struct reap_adopter *assumed;

static intptr_t
assumes_then_leaves(void *arg)
{
	CHECK_EQ(reap_adopter_assume(assumed), 0);
	return leaves_grandchildren(arg);
}

TEST(adopter, inherits_a_subtree)
{
	struct host	h;

	host_open(&h, (struct reap_domain_options){ 0 });
	CHECK_EQ(reap_adopter_create(h.domain, NULL, &assumed), 0);
	CHECK_EQ(reap_wait(host_create((struct reap_context_options){
		.entry = leaves_grandchildren, .arg = (void *)3, .adopter = assumed }), 0, NULL), 0);
	host_run();
	CHECK_EQ(reap_adopter_backlog(reap_adopter_default(h.domain)), 0);
	CHECK_EQ(reap_adopter_backlog(assumed), 2 + 4 + 8);
	CHECK_EQ(reap_adopter_drain(assumed, 100), 14);

	CHECK_EQ(reap_wait(host_spawn(assumes_then_leaves, (void *)2), 0, NULL), 0);
	host_run();
	CHECK_EQ(reap_adopter_drain(assumed, 100), 2 + 4);

	CHECK_EQ(reap_wait(host_spawn(leaves_grandchildren, (void *)1), 0, NULL), 0);	/* not below it */
	host_run();
	CHECK_EQ(reap_adopter_backlog(assumed), 0);
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 100), 2);
	CHECK_EQ(reap_adopter_destroy(assumed), 0);
	host_close(&h);
}

TEST(adopter, what_it_owes_at_its_end_goes_to_its_heir)
{
	struct host		h;
	struct gate		gate = GATE_INIT;
	struct reap_adopter	*elder, *younger;

	host_open(&h, (struct reap_domain_options){ .policy = REAP_POLICY_PARENT });
	CHECK_EQ(reap_adopter_create(h.domain, NULL, &elder), 0);
	CHECK_EQ(reap_adopter_create(h.domain, elder, &younger), 0);
	for (int i = 0; i < 3; i++)
		(void)host_create((struct reap_context_options){ .entry = host_return, .flags = REAP_CONTEXT_DETACHED,
		    .adopter = younger });
	(void)host_create((struct reap_context_options){ .entry = host_gated, .arg = &gate,
	    .flags = REAP_CONTEXT_DETACHED, .adopter = younger });
	host_run();
	CHECK_EQ(reap_adopter_backlog(younger), 3);
	CHECK_EQ(reap_adopter_drain(younger, 1), 1);
	CHECK_EQ(reap_adopter_destroy(younger), 0);
	CHECK_EQ(reap_adopter_backlog(elder), 2);
	CHECK_EQ(reap_adopter_destroy(elder), 0);
	CHECK_EQ(reap_adopter_backlog(reap_adopter_default(h.domain)), 2);
	gate_open(&gate);
	host_run();					/* names one that is closed: goes up two steps */
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 10), 3);
	CHECK_EQ(host_stats(&h).zombies, 0);
	host_close(&h);
}

TEST(adopter, stacks_it_owes_go_to_its_heir_too)
{
	struct host		h;
	struct reap_adopter	*adopter;
	struct reap_context	*child[3];

	host_open(&h, (struct reap_domain_options){ .policy = REAP_POLICY_ADOPTER });
	CHECK_EQ(reap_adopter_create(h.domain, NULL, &adopter), 0);
	for (int i = 0; i < 3; i++)
		child[i] = host_create((struct reap_context_options){ .entry = host_return, .adopter = adopter });
	host_run();
	CHECK_EQ(reap_adopter_backlog(adopter), 3);
	CHECK_EQ(reap_adopter_drain(adopter, 1), 1);	/* it has taken the others from the shared list by now */
	CHECK_EQ(reap_adopter_destroy(adopter), 0);
	CHECK_EQ(reap_adopter_backlog(reap_adopter_default(h.domain)), 2);
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 10), 2);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(reap_wait(child[i], 0, NULL), 0);
	host_close(&h);
}

/* An adopter as a context of its own: sleeps until there is something to do. */
struct janitor {
	struct reap_adopter *adopter;
	int	 reaped, error;
	struct latch asleep;
};

static intptr_t
sweep(void *arg)
{
	struct janitor *janitor = arg;

	latch_hit(&janitor->asleep);
	while ((janitor->error = reap_adopter_wait(janitor->adopter)) == 0)
		janitor->reaped += reap_adopter_drain(janitor->adopter, 2);
	return 0;
}

static void *
sweep_thread(void *arg)
{
	(void)sweep(arg);
	return NULL;
}

TEST(adopter, a_context_sleeps_until_it_is_owed)
{
	struct host		h;
	struct janitor		janitor = { .asleep = LATCH_INIT };
	struct reap_context	*context;

	host_open(&h, (struct reap_domain_options){ 0 });
	janitor.adopter = reap_adopter_default(h.domain);
	context = host_spawn(sweep, &janitor);
	host_run();
	CHECK_EQ(reap_context_state(context), REAP_STATE_SUSPENDED);
	spawn_detached(5);
	host_run();
	CHECK_EQ(janitor.reaped, 5);
	CHECK_EQ(reap_context_state(context), REAP_STATE_SUSPENDED);
	reap_adopter_interrupt(janitor.adopter);
	CHECK_EQ(reap_wait(context, 0, NULL), 0);
	CHECK_EQ(janitor.error, -ECANCELED);
	host_close(&h);
}

TEST(adopter, stacks_wake_it_too)
{
	struct host		h;
	struct janitor		janitor = { .asleep = LATCH_INIT };
	struct reap_context	*context;

	host_open(&h, (struct reap_domain_options){ .policy = REAP_POLICY_ADOPTER });
	janitor.adopter = reap_adopter_default(h.domain);
	context = host_create((struct reap_context_options){ .entry = sweep, .arg = &janitor, .policy = REAP_POLICY_PARENT });
	host_run();
	CHECK_EQ(reap_wait(host_spawn(host_return, NULL), 0, NULL), 0);
	host_run();
	CHECK_EQ(janitor.reaped, 1);
	reap_adopter_interrupt(janitor.adopter);
	CHECK_EQ(reap_wait(context, 0, NULL), 0);
	host_close(&h);
}

TEST(adopter, an_os_thread_sleeps_until_it_is_owed)
{
	struct host		h;
	struct janitor		janitor = { .asleep = LATCH_INIT };
	pthread_t		thread;

	host_open(&h, (struct reap_domain_options){ 0 });
	janitor.adopter = reap_adopter_default(h.domain);
	CHECK_EQ(pthread_create(&thread, NULL, sweep_thread, &janitor), 0);
	latch_await(&janitor.asleep, 1);
	for (int i = 0; i < 300; i++) {
		spawn_detached(3);
		host_run();
	}
	while (reap_adopter_backlog(janitor.adopter) != 0)
		CHECK_EQ(sched_yield(), 0);
	reap_adopter_interrupt(janitor.adopter);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(janitor.error, -ECANCELED);
	CHECK_EQ(janitor.reaped, 900);
	host_close(&h);
}

static intptr_t
owe_one(void *arg)
{
	(void)arg;
	spawn_detached(1);
	return 0;
}

TEST(adopter, a_base_context_runs_others_until_it_is_owed)
{
	struct host		h;
	struct reap_adopter	*init;

	host_open(&h, (struct reap_domain_options){ 0 });
	init = reap_adopter_default(h.domain);
	CHECK_EQ(reap_adopter_wait(init), -EDEADLK);	/* nothing is runnable, and this host cannot sleep */
	(void)host_spawn(owe_one, NULL);
	CHECK_EQ(reap_adopter_wait(init), 0);
	CHECK_EQ(reap_adopter_backlog(init), 1);
	CHECK_EQ(reap_adopter_wait(init), 0);		/* still there */
	CHECK_EQ(reap_adopter_drain(init, 1), 1);
	CHECK_EQ(reap_adopter_wait(init), -EDEADLK);
	CHECK_EQ(reap_wait_any(0, NULL), 0);
	host_close(&h);
}

TEST(adopter, an_interrupt_is_not_lost)
{
	struct host		h;
	struct reap_adopter	*init;

	host_open(&h, (struct reap_domain_options){ 0 });
	init = reap_adopter_default(h.domain);
	reap_adopter_interrupt(init);
	CHECK_EQ(reap_adopter_wait(init), -ECANCELED);
	spawn_detached(1);
	host_run();
	reap_adopter_interrupt(init);
	CHECK_EQ(reap_adopter_wait(init), -ECANCELED);
	CHECK_EQ(reap_adopter_wait(init), 0);		/* once */
	CHECK_EQ(reap_adopter_drain(init, 10), 1);
	host_close(&h);
}

static void *
interrupt_thread(void *arg)
{
	reap_adopter_interrupt(arg);
	return NULL;
}

TEST(adopter, an_interrupt_wakes_a_base_context)
{
	struct host		h;
	struct reap_adopter	*init;
	pthread_t		thread;

	alarm(60);
	host_open_shared(&h, (struct reap_domain_options){ 0 });
	init = reap_adopter_default(h.domain);
	for (int i = 0; i < 200; i++) {
		CHECK_EQ(pthread_create(&thread, NULL, interrupt_thread, init), 0);
		CHECK_EQ(reap_adopter_wait(init), -ECANCELED);
		CHECK_EQ(pthread_join(thread, NULL), 0);
	}
	host_close(&h);
}

TEST(adopter, one_waits_at_a_time)
{
	struct host		h;
	struct janitor		janitor = { .asleep = LATCH_INIT }, second = janitor;
	struct reap_adopter	*adopter;
	struct reap_context	*context;

	host_open(&h, (struct reap_domain_options){ 0 });
	CHECK_EQ(reap_adopter_create(h.domain, NULL, &adopter), 0);
	janitor.adopter = second.adopter = adopter;
	context = host_spawn(sweep, &janitor);
	host_run();
	CHECK_EQ(reap_adopter_wait(adopter), -EBUSY);
	CHECK_EQ(reap_wait(host_spawn(sweep, &second), 0, NULL), 0);
	CHECK_EQ(second.error, -EBUSY);
	CHECK_EQ(reap_adopter_destroy(adopter), -EBUSY);
	reap_adopter_interrupt(adopter);
	CHECK_EQ(reap_wait(context, 0, NULL), 0);
	CHECK_EQ(reap_adopter_destroy(adopter), 0);
	host_close(&h);
}

/* Somebody else may drain while the janitor sleeps. */
TEST(adopter, is_drained_while_another_sleeps_on_it)
{
	struct host		h;
	struct janitor		janitor = { .asleep = LATCH_INIT };
	struct reap_context	*context;

	host_open(&h, (struct reap_domain_options){ 0 });
	janitor.adopter = reap_adopter_default(h.domain);
	context = host_spawn(sweep, &janitor);
	host_run();
	CHECK_EQ(reap_adopter_drain(janitor.adopter, 10), 0);
	spawn_detached(1);
	host_run();
	CHECK_EQ(janitor.reaped, 1);
	reap_adopter_interrupt(janitor.adopter);
	CHECK_EQ(reap_wait(context, 0, NULL), 0);
	host_close(&h);
}

/* An interrupt, and a drain that takes its kick, between the look of reap_adopter_wait() and its sleep. */
static struct reap_adopter *disturbed;
static bool	 interrupts;
static int	 wait_said;

static struct reap_context *
next_interrupts(struct reap_worker *worker)
{
	if (interrupts) {
		/* The context in reap_adopter_wait() has looked, and is about to be parked. */
		interrupts = false;
		reap_adopter_interrupt(disturbed);
		(void)reap_adopter_drain(disturbed, 4);
	}
	return host_next(worker);
}

static intptr_t
waits_to_drain(void *arg)
{
	/* A parent may sleep on its own inbox more cheaply: this is another one. */
	if (arg != NULL) {
		(void)host_spawn(host_gated, arg);
		host_yield();
	}
	interrupts = true;
	wait_said = reap_adopter_wait(disturbed);
	if (arg != NULL)
		gate_open(arg);
	CHECK_EQ(reap_wait_any(0, NULL), arg != NULL ? 0 : -ECHILD);
	return 0;
}

TEST(adopter, a_drain_does_not_swallow_an_interrupt)
{
	struct reap_host	callbacks = host_alone;
	struct gate		gate = GATE_INIT;
	struct reap_context	*context;
	struct host		h;

	callbacks.next = next_interrupts;
	for (int parent = 0; parent < 2; parent++) {
		host_open(&h, (struct reap_domain_options){ .host = &callbacks });
		disturbed = reap_adopter_default(h.domain);
		wait_said = 1;
		context = host_spawn(waits_to_drain, parent ? &gate : NULL);
		host_run();
		CHECK_EQ(wait_said, -ECANCELED);
		CHECK_EQ(reap_wait(context, 0, NULL), 0);
		host_close(&h);
	}
}

/* An adopter ends: who sleeps at its heir is told, and the heir is named no more. */
static unsigned inherited;

static intptr_t
drains_what_is_inherited(void *arg)
{
	while (reap_adopter_wait(arg) == 0)
		inherited += (unsigned)reap_adopter_drain(arg, 10);
	return 0;
}

TEST(adopter, an_heir_that_sleeps_is_told)
{
	static const enum reap_policy policies[] = { REAP_POLICY_SUCCESSOR, REAP_POLICY_ADOPTER };

	for (size_t p = 0; p < sizeof(policies) / sizeof(policies[0]); p++) {
		struct gate		gate = GATE_INIT;
		struct reap_adopter	*elder, *younger;
		struct reap_context	*drainer, *child[2];
		struct host		h;

		host_open(&h, (struct reap_domain_options){ .policy = policies[p] });
		CHECK_EQ(reap_adopter_create(h.domain, NULL, &elder), 0);
		CHECK_EQ(reap_adopter_create(h.domain, elder, &younger), 0);
		drainer = host_create((struct reap_context_options){ .entry = drains_what_is_inherited, .arg = elder,
		    .policy = REAP_POLICY_PARENT });
		/* A corpse; or a stack, of one before and of one after the end of the adopter. */
		child[0] = host_create((struct reap_context_options){ .entry = host_return, .adopter = younger,
		    .flags = p == 0 ? REAP_CONTEXT_DETACHED : 0 });
		child[1] = host_create((struct reap_context_options){ .entry = host_gated, .arg = &gate, .adopter = younger });
		host_run();
		inherited = 0;
		CHECK_EQ(reap_adopter_destroy(younger), 0);
		host_run();
		CHECK_EQ(inherited, 1);
		gate_open(&gate);
		host_run();
		CHECK_EQ(inherited, p == 0 ? 1 : 2);
		CHECK_EQ(reap_wait(child[1], 0, NULL), 0);
		if (p == 1)
			CHECK_EQ(reap_wait(child[0], 0, NULL), 0);
		reap_adopter_interrupt(elder);
		CHECK_EQ(reap_wait(drainer, 0, NULL), 0);
		CHECK_EQ(elder->refs, 1);
		CHECK_EQ(reap_adopter_destroy(elder), 0);
		host_close(&h);
	}
}
