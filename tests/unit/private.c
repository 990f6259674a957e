/* SPDX-License-Identifier: ISC */
/*
 * private.c: contexts that only their worker knows, until they are named or shared.
 *
 * What such a context does in a whole life is tested elsewhere: the other files run a second time with private contexts.
 */
#include "host.h"
#include "misuse.h"
#include "worker.h"

static void
open_private(struct host *h)
{
	struct reap_host callbacks = host_alone;

	callbacks.shares = true;
	host_open(h, (struct reap_domain_options){ .host = &callbacks });
}

TEST(private, has_a_home_until_it_is_named)
{
	struct host		h;
	struct reap_context	*child;

	open_private(&h);
	child = host_spawn(host_return, NULL);
	CHECK(reap_context_home(child) == h.worker);
	CHECK(reap_context_handle(child).generation != 0);
	CHECK_EQ(reap_context_share(child), 0);
	CHECK(reap_context_home(child) == NULL);
	CHECK_EQ(reap_context_share(child), 0);		/* twice is once */
	CHECK_EQ(reap_wait(child, 0, NULL), 0);
	host_close(&h);
}

TEST(private, without_the_promise_there_is_none)
{
	struct host		h;
	struct reap_context	*child;

	if (host_private())
		SKIP("this host promises");
	host_open(&h, (struct reap_domain_options){ 0 });
	child = host_spawn(host_return, NULL);
	CHECK(reap_context_home(child) == NULL);
	CHECK_EQ(reap_context_share(child), 0);
	CHECK_EQ(reap_wait(child, 0, NULL), 0);
	host_close(&h);
}

static intptr_t
has_private_child(void *arg)
{
	struct gate *gate = arg;

	(void)host_spawn(host_gated, &gate[0]);
	gate_pass(&gate[1]);
	CHECK_EQ(reap_wait_any(0, NULL), 0);
	gate_pass(&gate[2]);
	return 0;
}

TEST(private, a_parent_of_private_children_stays)
{
	struct host		h;
	struct gate		gate[3] = { GATE_INIT, GATE_INIT, GATE_INIT };
	struct reap_context	*parent;

	open_private(&h);
	parent = host_spawn(has_private_child, gate);
	host_run();
	CHECK_EQ(reap_context_share(parent), -EBUSY);
	CHECK(reap_context_home(parent) == h.worker);
	gate_open(&gate[0]);
	gate_open(&gate[1]);
	host_run();
	CHECK_EQ(reap_context_share(parent), 0);
	CHECK(reap_context_home(parent) == NULL);
	gate_open(&gate[2]);
	CHECK_EQ(reap_wait(parent, 0, NULL), 0);
	host_close(&h);
}

TEST(private, pinned_and_base_contexts_cannot_be_shared)
{
	struct host		h;
	struct reap_context	*child;

	open_private(&h);
	child = host_create((struct reap_context_options){ .entry = host_return, .flags = REAP_CONTEXT_PINNED });
	CHECK_EQ(reap_context_share(child), -EPERM);
	CHECK_EQ(reap_context_share(reap_worker_base(h.worker)), -EPERM);
	CHECK(reap_context_home(child) == h.worker);
	CHECK(reap_context_home(reap_worker_base(h.worker)) == h.worker);
	CHECK_EQ(reap_wait(child, 0, NULL), 0);
	host_close(&h);
}

static void
name_it(void *arg)
{
	(void)reap_context_handle(arg);
}

static void *
name_outside(void *arg)
{
	CHECK_MISUSE("private", name_it, arg);
	return NULL;
}

TEST(private, naming_one_of_another_worker_aborts)
{
	struct host		h;
	struct reap_context	*child;
	pthread_t		thread;

	open_private(&h);
	child = host_spawn(host_return, NULL);
	CHECK_EQ(pthread_create(&thread, NULL, name_outside, child), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(reap_wait(child, 0, NULL), 0);
	host_close(&h);
}

/* The stale names of a descriptor's earlier owners must not match a private one, which writes its claim plainly. */
TEST(private, a_stale_name_does_not_match)
{
	struct host		h;
	struct gate		gate = GATE_INIT;
	struct reap_context	*child, *next;
	struct reap_handle	name;

	open_private(&h);
	child = host_spawn(host_return, NULL);
	name = reap_context_handle(child);
	CHECK_EQ(reap_wait(child, 0, NULL), 0);
	next = host_spawn(host_gated, &gate);
	CHECK(next == child);
	for (int dead = 0; dead < 2; dead++) {
		CHECK_EQ(reap_join(name, REAP_NOHANG, NULL), -ESRCH);
		CHECK_EQ(reap_join(name, 0, NULL), -ESRCH);
		CHECK_EQ(reap_detach(name), -ESRCH);
		CHECK_EQ(reap_hold(name), -ESRCH);
		CHECK_EQ(reap_peek(name, NULL, NULL), -ESRCH);
		gate_open(&gate);
		host_run();
	}
	CHECK_EQ(reap_wait(next, 0, NULL), 0);
	host_close(&h);
}

/* Shared while it lives, and after it has died: by its name, and joined by another thread. */
static void *
join_outside(void *arg)
{
	CHECK_EQ(reap_join(*(struct reap_handle *)arg, 0, NULL), 0);
	return NULL;
}

TEST(private, is_joined_from_outside_once_named)
{
	struct host		h;
	pthread_t		thread;

	open_private(&h);
	for (int late = 0; late < 2; late++)
		for (int others = 0; others < 3; others++) {
			struct reap_context	*child;
			struct reap_handle	name;

			for (int i = 0; i < others; i++)
				(void)host_spawn(host_return, NULL);	/* private siblings, before and behind it */
			child = host_spawn(host_return, NULL);
			for (int i = 0; i < others; i++)
				(void)host_spawn(host_return, NULL);
			if (late)
				host_run();
			name = reap_context_handle(child);
			if (!late)
				host_run();
			CHECK_EQ(pthread_create(&thread, NULL, join_outside, &name), 0);
			CHECK_EQ(pthread_join(thread, NULL), 0);
			for (int i = 0; i < 2 * others; i++)
				CHECK_EQ(reap_wait_any(0, NULL), 0);
			CHECK_EQ(reap_wait_any(0, NULL), -ECHILD);
		}
	host_close(&h);
}

/* What a peek tells includes a name, and the zombie lives on: the name must be as good as one that was asked for. */
TEST(private, a_name_told_by_a_peek_can_be_held)
{
	struct host		h;
	struct reap_result	seen;
	enum reap_state		state;

	open_private(&h);
	for (int any = 0; any < 2; any++) {
		struct reap_context *child = host_spawn(host_return, NULL);

		CHECK_EQ(any ? reap_wait_any(REAP_PEEK, &seen) : reap_wait(child, REAP_PEEK, &seen), 0);
		CHECK_EQ(reap_hold(seen.handle), 0);
		CHECK_EQ(reap_wait(child, 0, NULL), 0);
		CHECK_EQ(reap_peek(seen.handle, &state, NULL), 0);
		CHECK_EQ(state, REAP_STATE_ZOMBIE);
		CHECK_EQ(reap_release(seen.handle), 0);
		CHECK_EQ(reap_peek(seen.handle, &state, NULL), -ESRCH);
		CHECK_EQ(state, REAP_STATE_NONE);
		/* A later life on the same descriptor owes nothing to the hold. */
		child = host_spawn(host_return, NULL);
		CHECK_EQ(reap_wait(child, REAP_PEEK, &seen), 0);
		CHECK_EQ(reap_wait(child, 0, NULL), 0);
		CHECK_EQ(reap_peek(seen.handle, NULL, NULL), -ESRCH);
	}
	host_close(&h);
}

/* Nobody else could run what is left, or ever share it. */
TEST(private, its_worker_does_not_stop)
{
	struct host		h;
	struct reap_context	*child;

	open_private(&h);
	CHECK_EQ(reap_spawn(h.worker, host_return, NULL, &child), 0);
	CHECK_EQ(reap_worker_stop(h.worker), -EBUSY);
	CHECK_EQ(reap_context_share(child), 0);
	CHECK_EQ(reap_context_destroy(child, 0), 0);
	CHECK_EQ(reap_wait(child, 0, NULL), 0);
	child = host_spawn(host_return, NULL);
	CHECK_EQ(reap_wait(child, 0, NULL), 0);
	host_close(&h);		/* stops it */
}

/* Who was shared, and then has a private child, belongs to its worker again. */
static intptr_t
is_bound_again(void *arg)
{
	struct reap_worker	*worker = reap_worker_self();
	struct reap_context	*self = reap_worker_current(worker), *child;

	(void)reap_context_handle(self);
	for (int i = 0; i < 4; i++) {
		CHECK_EQ(reap_context_share(self), 0);
		CHECK(reap_context_home(self) == NULL);
		/* A plain one, and one made with options. */
		child = i % 2 ? host_spawn(host_return, arg) :
		    host_create((struct reap_context_options){ .entry = host_return, .arg = arg, .user = self });
		CHECK(reap_context_home(self) == worker);
		CHECK_EQ(reap_context_share(self), -EBUSY);
		CHECK_EQ(i / 2 ? reap_wait(child, 0, NULL) : reap_wait_any(0, NULL), 0);
	}
	CHECK_EQ(reap_context_share(self), 0);
	CHECK(reap_context_home(self) == NULL);
	return 0;
}

TEST(private, a_shared_parent_is_bound_by_a_private_child)
{
	struct reap_context	*parent;
	struct host		h;

	open_private(&h);
	parent = host_spawn(is_bound_again, NULL);
	CHECK_EQ(reap_wait(parent, 0, NULL), 0);
	host_close(&h);
}

/* A parent that has moved is bound where its private child is. */
static struct reap_context *mover;

static intptr_t
moves_and_has_a_child(void *arg)
{
	struct reap_context *self = reap_worker_current(reap_worker_self());

	(void)reap_context_handle(self);
	CHECK_EQ(reap_context_share(self), 0);
	gate_pass(arg);
	CHECK(reap_context_home(self) == NULL);
	for (int i = 0; i < 2; i++) {
		(void)host_spawn(host_return, arg);
		CHECK(reap_context_home(self) == reap_worker_self());
		CHECK_EQ(reap_wait_any(0, NULL), 0);
		CHECK_EQ(reap_context_share(self), 0);
	}
	return 0;
}

static void *
goes_on_with_the_mover(void *arg)
{
	struct host_worker	me = { .host = arg };
	struct reap_worker	*worker;

	CHECK_EQ(reap_worker_start(((struct host *)arg)->domain, &me, &worker), 0);
	worker = reap_switch(worker, mover);
	host_run();
	CHECK_EQ(reap_worker_stop(worker), 0);
	return NULL;
}

TEST(private, a_parent_that_has_moved_is_bound_where_it_is)
{
	struct gate		gate = GATE_INIT;
	pthread_t		thread;
	struct host		h;

	open_private(&h);
	mover = host_spawn(moves_and_has_a_child, &gate);
	host_run();
	CHECK_EQ(pthread_create(&thread, NULL, goes_on_with_the_mover, &h), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(reap_wait(mover, 0, NULL), 0);
	host_close(&h);
}

/* Children that leave nothing to collect bind nobody. */
static intptr_t
outlives_who_leave_nothing(void *arg)
{
	struct reap_context *self = reap_worker_current(reap_worker_self());

	CHECK_EQ(reap_no_zombies(true), 0);
	for (int i = 0; i < 3; i++) {
		(void)host_spawn(host_return, arg);
		(void)host_create((struct reap_context_options){ .entry = host_return, .arg = arg, .user = self });
		host_yield();
		CHECK_EQ(reap_children(), 0);
		CHECK_EQ(reap_context_share(self), 0);
	}
	return 0;
}

TEST(private, a_parent_without_zombies_is_shared_when_they_are_gone)
{
	struct reap_context	*parent;
	struct host		h;

	open_private(&h);
	parent = host_spawn(outlives_who_leave_nothing, NULL);
	CHECK_EQ(reap_wait(parent, 0, NULL), 0);
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 10), 6);
	host_close(&h);
}

/* A dead one has no home, and to share it changes nothing. */
TEST(private, a_zombie_has_no_home)
{
	static const enum reap_policy policies[] = { REAP_POLICY_SUCCESSOR, REAP_POLICY_PARENT };
	struct reap_host	callbacks = host_alone;
	struct reap_context	*child;
	struct host		h;

	callbacks.shares = true;
	for (size_t p = 0; p < sizeof(policies) / sizeof(policies[0]); p++) {
		host_open(&h, (struct reap_domain_options){ .host = &callbacks, .policy = policies[p] });
		child = host_spawn(host_return, NULL);
		CHECK(reap_context_home(child) == h.worker);
		host_run();
		if (policies[p] == REAP_POLICY_SUCCESSOR)
			CHECK(reap_context_home(child) == NULL);
		CHECK_EQ(reap_context_share(child), 0);
		CHECK_EQ(reap__bound(h.worker), 0);
		CHECK_EQ(reap_wait(child, 0, NULL), 0);
		host_close(&h);
	}
}
