/* SPDX-License-Identifier: ISC */
/*
 * detach.c: giving a context to the adopter, and parents that want no zombies.
 */
#include "host.h"

TEST(detach, a_live_child_goes_to_the_adopter_when_it_ends)
{
	struct host		h;
	struct gate		gate = GATE_INIT;
	struct reap_context	*child;
	struct reap_adopter	*init;
	struct reap_handle	name;

	host_open(&h, (struct reap_domain_options){ 0 });
	init = reap_adopter_default(h.domain);
	child = host_spawn(host_gated, &gate);
	name = reap_context_handle(child);
	host_run();
	CHECK_EQ(reap_detach(name), 0);
	CHECK_EQ(reap_children(), 0);
	CHECK_EQ(reap_wait(child, 0, NULL), -ECHILD);
	CHECK_EQ(reap_wait(child, REAP_NOHANG, NULL), -ECHILD);
	CHECK_EQ(reap_wait_any(0, NULL), -ECHILD);
	CHECK_EQ(reap_join(name, 0, NULL), -ESRCH);
	CHECK_EQ(reap_join(name, REAP_NOHANG, NULL), -ESRCH);
	CHECK_EQ(reap_detach(name), -ESRCH);
	CHECK_EQ(reap_adopter_backlog(init), 0);
	gate_open(&gate);
	host_run();
	CHECK_EQ(reap_adopter_backlog(init), 1);
	CHECK_EQ(reap_join(name, 0, NULL), -ESRCH);
	CHECK_EQ(reap_detach(name), -ESRCH);
	CHECK_EQ(reap_adopter_drain(init, 10), 1);
	CHECK_EQ(reap_adopter_backlog(init), 0);
	CHECK_EQ(host_stats(&h).reaped, 1);
	CHECK_EQ(host_stats(&h).detached, 1);
	CHECK_EQ(host_stats(&h).ledger[REAP_PAYER_ADOPTER].contexts, 1);
	host_close(&h);
}

TEST(detach, a_zombie_is_reaped_at_once)
{
	struct host		h;
	struct reap_context	*child;
	struct reap_handle	name;

	host_open(&h, (struct reap_domain_options){ 0 });
	child = host_spawn(host_return, NULL);
	name = reap_context_handle(child);
	host_run();
	CHECK_EQ(host_stats(&h).zombies, 1);
	CHECK_EQ(reap_detach(name), 0);
	CHECK_EQ(host_stats(&h).zombies, 0);
	CHECK_EQ(reap_detach(name), -ESRCH);
	CHECK_EQ(reap_wait_any(0, NULL), -ECHILD);
	host_close(&h);
}

static intptr_t
detach_self(void *arg)
{
	struct reap_handle *name = arg;

	*name = reap_context_handle(reap_worker_current(reap_worker_self()));
	CHECK_EQ(reap_detach(*name), 0);
	CHECK_EQ(reap_detach(*name), -ESRCH);
	return 0;
}

TEST(detach, of_oneself)
{
	struct host		h;
	struct reap_handle	name;

	host_open(&h, (struct reap_domain_options){ 0 });
	(void)host_spawn(detach_self, &name);
	host_run();
	CHECK_EQ(reap_wait_any(0, NULL), -ECHILD);
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 10), 1);
	CHECK_EQ(reap_peek(name, NULL, NULL), -ESRCH);
	host_close(&h);
}

static intptr_t
detach_name(void *arg)
{
	CHECK_EQ(reap_detach(*(struct reap_handle *)arg), 0);
	return 0;
}

static void *
detach_thread(void *arg)
{
	(void)detach_name(arg);
	return NULL;
}

/* By a sibling or a thread, alive or dead. */
TEST(detach, by_strangers)
{
	struct host		h;
	struct reap_context	*child;
	struct reap_handle	name;
	pthread_t		thread;

	host_open(&h, (struct reap_domain_options){ 0 });
	for (int dead = 0; dead < 2; dead++)
		for (int by_thread = 0; by_thread < 2; by_thread++) {
			struct gate gate = GATE_INIT;

			child = host_spawn(host_gated, &gate);
			name = reap_context_handle(child);
			host_run();
			if (dead) {
				gate_open(&gate);
				host_run();
			}
			if (by_thread) {
				CHECK_EQ(pthread_create(&thread, NULL, detach_thread, &name), 0);
				CHECK_EQ(pthread_join(thread, NULL), 0);
			} else
				CHECK_EQ(reap_wait(host_spawn(detach_name, &name), 0, NULL), 0);
			if (!dead) {
				gate_open(&gate);
				host_run();
			}
			CHECK_EQ(reap_wait_any(0, NULL), -ECHILD);
			CHECK_EQ(reap_children(), 0);
		}
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 10), 2);
	host_close(&h);
}

/* A parent asleep in wait_any must hear that its last child has been taken away: a wakeup that is easily lost. */
struct family {
	struct gate	 gate;
	struct reap_handle child;
	int		 error;
	bool		 by_name;	/* sleeps in reap_wait(), not in reap_wait_any() */
};

static intptr_t
wait_for_taken(void *arg)
{
	struct family		*family = arg;
	struct reap_context	*child = host_spawn(host_gated, &family->gate);

	family->child = reap_context_handle(child);
	family->error = 1;
	family->error = reap_wait_any(0, NULL);
	return 0;
}

TEST(detach, of_the_last_child_wakes_a_parent_in_wait_any)
{
	struct host		h;
	struct family		family = { .gate = GATE_INIT };
	struct reap_context	*parent;

	host_open(&h, (struct reap_domain_options){ 0 });
	parent = host_spawn(wait_for_taken, &family);
	host_run();
	CHECK_EQ(family.error, 1);
	CHECK_EQ(reap_detach(family.child), 0);
	host_run();
	CHECK_EQ(family.error, -ECHILD);
	CHECK_EQ(reap_wait(parent, 0, NULL), 0);
	gate_open(&family.gate);
	host_run();
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 10), 1);
	host_close(&h);
}

static void *
detach_when_asleep(void *arg)
{
	CHECK_EQ(reap_detach(*(struct reap_handle *)arg), 0);
	return NULL;
}

TEST(detach, of_the_last_child_wakes_a_base_context_in_wait_any)
{
	struct host		h;
	struct gate		gate = GATE_INIT;
	struct reap_handle	name;
	pthread_t		thread;

	alarm(60);
	host_open_shared(&h, (struct reap_domain_options){ 0 });
	for (int i = 0; i < 200; i++) {
		name = reap_context_handle(host_spawn(host_gated, &gate));
		CHECK_EQ(pthread_create(&thread, NULL, detach_when_asleep, &name), 0);
		CHECK_EQ(reap_wait_any(0, NULL), -ECHILD);
		CHECK_EQ(pthread_join(thread, NULL), 0);
		gate_open(&gate);
		host_run();
		gate.open = false;
	}
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 1000), 200);
	host_close(&h);
}

static intptr_t
join_child(void *arg)
{
	return reap_join(*(struct reap_handle *)arg, 0, NULL);
}

TEST(detach, a_join_of_the_last_child_wakes_its_parent_too)
{
	struct host		h;
	struct family		family = { .gate = GATE_INIT };
	struct reap_context	*parent, *joiner;
	struct reap_result	r;

	host_open(&h, (struct reap_domain_options){ 0 });
	parent = host_spawn(wait_for_taken, &family);
	host_run();
	joiner = host_spawn(join_child, &family.child);
	host_run();
	CHECK_EQ(family.error, 1);
	gate_open(&family.gate);
	CHECK_EQ(reap_wait(parent, 0, NULL), 0);
	CHECK_EQ(family.error, -ECHILD);
	CHECK_EQ(reap_wait(joiner, 0, &r), 0);
	CHECK_EQ(r.status, 0);
	host_close(&h);
}

TEST(detach, at_create_nobody_can_wait)
{
	struct host		h;
	struct reap_context	*child;

	host_open(&h, (struct reap_domain_options){ 0 });
	child = host_create((struct reap_context_options){ .entry = host_return, .flags = REAP_CONTEXT_DETACHED });
	CHECK_EQ(reap_children(), 0);
	CHECK(reap_context_parent(child) == NULL);
	CHECK_EQ(reap_wait(child, 0, NULL), -ECHILD);
	CHECK_EQ(reap_join(reap_context_handle(child), 0, NULL), -ESRCH);
	CHECK_EQ(reap_detach(reap_context_handle(child)), -ESRCH);
	CHECK_EQ(reap_wait_any(0, NULL), -ECHILD);
	host_run();
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 10), 1);
	host_close(&h);
}

static intptr_t
unloving_parent(void *arg)
{
	struct gate *gate = arg;

	(void)host_spawn(host_return, (void *)1);
	host_yield();				/* it ends before: a zombie like any other */
	CHECK_EQ(reap_no_zombies(true), 0);
	(void)host_spawn(host_return, (void *)2);
	(void)host_spawn(host_gated, &gate[0]);
	(void)host_spawn(host_gated, &gate[1]);
	CHECK_EQ(reap_wait_any(0, NULL), 0);
	CHECK_EQ(reap_wait_any(0, NULL), -ECHILD);	/* once all are gone */
	CHECK(gate[0].open && gate[1].open);
	CHECK_EQ(reap_children(), 0);
	CHECK_EQ(reap_no_zombies(false), 0);
	(void)host_spawn(host_return, (void *)3);
	CHECK_EQ(reap_wait_any(0, NULL), 0);
	return 0;
}

TEST(no_zombies, wait_any_blocks_until_all_have_ended)
{
	struct host		h;
	struct gate		gate[2] = { GATE_INIT, GATE_INIT };
	struct reap_context	*parent;

	host_open(&h, (struct reap_domain_options){ 0 });
	parent = host_spawn(unloving_parent, gate);
	host_run();
	CHECK_EQ(reap_context_state(parent), REAP_STATE_SUSPENDED);
	gate_open(&gate[0]);
	host_run();
	CHECK_EQ(reap_context_state(parent), REAP_STATE_SUSPENDED);
	gate_open(&gate[1]);
	CHECK_EQ(reap_wait(parent, 0, NULL), 0);
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 10), 3);
	host_close(&h);
}

TEST(no_zombies, holds_for_base_contexts)
{
	struct host	h;
	struct gate	gate = GATE_INIT;

	host_open(&h, (struct reap_domain_options){ 0 });
	CHECK_EQ(reap_no_zombies(true), 0);
	(void)host_spawn(host_gated, &gate);
	CHECK_EQ(reap_wait_any(REAP_NOHANG, NULL), -EAGAIN);
	host_run();
	gate_open(&gate);
	CHECK_EQ(reap_wait_any(0, NULL), -ECHILD);
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 10), 1);
	host_close(&h);
}

struct drainer {
	struct reap_adopter	*adopter;
	int			 error;
};

static intptr_t
drains_until_interrupted(void *arg)
{
	struct drainer *drainer = arg;

	while ((drainer->error = reap_adopter_wait(drainer->adopter)) == 0)
		CHECK(reap_adopter_drain(drainer->adopter, 10) >= 0);
	return 0;
}

static intptr_t
wants_none_of(void *arg)
{
	struct gate *gate = arg;

	CHECK_EQ(reap_no_zombies(true), 0);
	(void)host_spawn(host_gated, &gate[0]);
	CHECK_EQ(reap_wait_any(0, NULL), -ECHILD);
	gate_pass(&gate[1]);		/* its own end would be told to others */
	return 0;
}

static intptr_t
wants_one_of(void *gate)
{
	(void)host_spawn(host_gated, gate);
	CHECK_EQ(reap_wait_any(0, NULL), 0);
	return 0;
}

/* The end of one readies two, its parent and its adopter.  The next end readies one: the other sleeps on. */
TEST(no_zombies, whom_one_end_has_told_the_next_one_leaves_alone)
{
	static const struct reap_host	shares = { .next = host_next, .ready = host_ready, .shares = true };
	struct host			h;
	struct gate			gate[3] = { GATE_INIT, GATE_INIT, GATE_INIT };
	struct drainer			drainer = { NULL, 1 };
	struct reap_context		*drains, *parent[2];

	host_open(&h, (struct reap_domain_options){ .host = &shares, .stack = { .cache = 2 } });
	drainer.adopter = reap_adopter_default(h.domain);
	drains = host_spawn(drains_until_interrupted, &drainer);
	parent[0] = host_spawn(wants_none_of, &gate[0]);
	parent[1] = host_spawn(wants_one_of, &gate[2]);
	host_run();
	gate_open(&gate[0]);
	host_run();
	CHECK_EQ(host_stats(&h).reaped, 1);
	for (int i = 0; i < 4; i++)		/* fills the cache of stacks: the landing has something uncommon to do */
		(void)host_spawn(host_return, NULL);
	host_run();
	gate_open(&gate[2]);
	host_run();
	CHECK_EQ(reap_context_state(parent[1]), REAP_STATE_ZOMBIE);
	CHECK_EQ(reap_context_state(drains), REAP_STATE_SUSPENDED);
	reap_adopter_interrupt(drainer.adopter);
	gate_open(&gate[1]);
	host_run();
	CHECK_EQ(drainer.error, -ECANCELED);
	while (reap_wait_any(0, NULL) == 0)
		continue;
	host_close(&h);
}

static intptr_t
ends_first(void *arg)
{
	(void)host_spawn(host_gated, arg);
	(void)host_spawn(host_return, NULL);
	host_yield();
	return 0;		/* with one live child and one zombie */
}

TEST(orphan, goes_to_the_adopter_when_its_parent_ends_first)
{
	struct host		h;
	struct gate		gate = GATE_INIT;
	struct reap_adopter	*init;
	struct reap_context	*parent;

	host_open(&h, (struct reap_domain_options){ 0 });
	init = reap_adopter_default(h.domain);
	parent = host_spawn(ends_first, &gate);
	host_run();
	CHECK_EQ(reap_adopter_backlog(init), 1);	/* the zombie at once */
	CHECK_EQ(reap_wait(parent, 0, NULL), 0);
	CHECK_EQ(host_stats(&h).orphans, 1);
	gate_open(&gate);
	host_run();
	CHECK_EQ(reap_adopter_backlog(init), 2);	/* the other when it ends */
	CHECK_EQ(host_stats(&h).orphans, 2);
	CHECK_EQ(reap_adopter_drain(init, 10), 2);
	CHECK_EQ(host_stats(&h).zombies, 0);
	host_close(&h);
}

/* Each ends before its child: the descriptor of every ancestor stays exactly as long as it is needed. */
static intptr_t
chain(void *arg)
{
	if ((intptr_t)arg > 0)
		(void)host_spawn(chain, (void *)((intptr_t)arg - 1));
	return 0;
}

TEST(orphan, chains_leave_nothing)
{
	struct host		h;
	struct reap_adopter	*init;
	int			drained = 0, n;

	host_open(&h, (struct reap_domain_options){ 0 });
	init = reap_adopter_default(h.domain);
	for (int i = 0; i < 10; i++) {
		CHECK_EQ(reap_wait(host_spawn(chain, (void *)1000), 0, NULL), 0);
		host_run();
		while ((n = reap_adopter_drain(init, 64)) > 0)
			drained += n;
	}
	CHECK_EQ(drained, 10 * 1000);
	CHECK_EQ(host_stats(&h).created, 10 * 1001);
	CHECK_EQ(host_stats(&h).reaped, 10 * 1001);
	CHECK_EQ(reap_domain_for_each(h.domain, NULL, NULL), 1);	/* the base context */
	host_close(&h);
}

TEST(orphan, children_of_a_base_context_outlive_their_worker)
{
	const struct reap_domain_options options = { .size = sizeof(options) };
	struct reap_domain	*domain;
	struct reap_worker	*worker;
	struct reap_context	*child[2];
	struct reap_stats	stats = { .size = sizeof(stats) };

	CHECK_EQ(reap_domain_create(&options, &domain), 0);
	CHECK_EQ(reap_worker_start(domain, NULL, &worker), 0);
	for (int i = 0; i < 2; i++)
		CHECK_EQ(reap_spawn(worker, host_return, NULL, &child[i]), 0);
	worker = reap_switch(worker, child[0]);
	CHECK_EQ(reap_worker_stop(worker), 0);
	CHECK_EQ(reap_adopter_backlog(reap_adopter_default(domain)), 1);
	CHECK_EQ(reap_domain_destroy(domain, NULL, NULL), -EBUSY);	/* the other one lives */
	CHECK_EQ(reap_context_destroy(child[1], 0), 0);
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(domain), 10), 2);
	CHECK_EQ(reap_domain_stats(domain, &stats), 0);
	CHECK_EQ(stats.orphans, 2);
	CHECK_EQ(reap_domain_destroy(domain, NULL, NULL), 0);
}

/* Names that cannot be waited for are told from those that cannot yet. */
static intptr_t
joins_who_was_here_before(void *arg)
{
	struct reap_handle handle = reap_context_handle(reap_worker_current(reap_worker_self()));

	CHECK_EQ(reap_join(handle, 0, NULL), -EDEADLK);
	handle.generation--;
	CHECK_EQ(reap_join(handle, 0, NULL), -ESRCH);
	return (intptr_t)arg;
}

TEST(detach, names_of_the_detached_are_nobodys)
{
	struct gate		gate = GATE_INIT;
	struct reap_context	*child;
	struct reap_handle	handle;
	struct host		h;

	host_open(&h, (struct reap_domain_options){ 0 });
	CHECK_EQ(reap_wait(host_spawn(joins_who_was_here_before, NULL), 0, NULL), 0);
	child = host_spawn(host_gated, &gate);
	handle = reap_context_handle(child);
	CHECK_EQ(reap_join(handle, REAP_NOHANG, NULL), -EAGAIN);
	CHECK_EQ(reap_join(handle, REAP_NOHANG | REAP_PEEK, NULL), -EAGAIN);
	CHECK_EQ(reap_detach(handle), 0);
	CHECK_EQ(reap_join(handle, REAP_NOHANG, NULL), -ESRCH);
	CHECK_EQ(reap_join(handle, REAP_NOHANG | REAP_PEEK, NULL), -ESRCH);
	gate_open(&gate);
	host_run();
	CHECK_EQ(reap_join(handle, REAP_NOHANG, NULL), -ESRCH);
	CHECK_EQ(reap_join(handle, REAP_NOHANG | REAP_PEEK, NULL), -ESRCH);
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 4), 1);
	host_close(&h);
}

/* Children that others have let go are counted off, and no others. */
static intptr_t
has_many_let_go(void *arg)
{
	struct gate	*gate = arg;
	struct reap_context *child;

	for (int round = 0; round < 2; round++) {
		(void)host_spawn(host_return, NULL);
		host_yield();				/* a zombie on the list */
		for (int i = 0; i < 40; i++) {
			child = host_spawn(host_gated, &gate[40 * round + i]);
			CHECK_EQ(reap_detach(reap_context_handle(child)), 0);
		}
		CHECK_EQ(reap_children(), 1);
		child = host_spawn(host_return, NULL);	/* settles what has gone */
		CHECK_EQ(reap_children(), 2);
		CHECK_EQ(reap_wait_any(0, NULL), 0);
		CHECK_EQ(reap_wait(child, 0, NULL), 0);
		CHECK_EQ(reap_wait_any(REAP_NOHANG, NULL), -ECHILD);
	}
	return 0;
}

TEST(detach, settling_keeps_the_zombies_and_the_books)
{
	static struct gate	gate[80];
	struct reap_context	*parent;
	struct host		h;

	for (int i = 0; i < 80; i++)
		gate[i] = (struct gate)GATE_INIT;
	host_open(&h, (struct reap_domain_options){ 0 });
	parent = host_spawn(has_many_let_go, gate);
	CHECK_EQ(reap_wait(parent, 0, NULL), 0);
	CHECK_EQ(reap_context_state(parent), REAP_STATE_NONE);	/* nothing refers to its descriptor */
	for (int i = 0; i < 80; i++)
		gate_open(&gate[i]);
	host_run();
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 100), 80);
	host_close(&h);
}
