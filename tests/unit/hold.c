/* SPDX-License-Identifier: ISC */
/*
 * hold.c: a tracer's interest: the status stays readable after the reap, the stack does not stay.
 */
#include "host.h"

TEST(hold, keeps_the_status_after_the_reap)
{
	struct host		h;
	struct reap_context	*child;
	struct reap_handle	name;
	struct reap_result	r = { .status = 0 };
	enum reap_state		state;

	host_open(&h, (struct reap_domain_options){ .policy = REAP_POLICY_PARENT });
	child = host_create((struct reap_context_options){ .entry = host_return, .arg = (void *)8, .user = &h });
	name = reap_context_handle(child);
	CHECK_EQ(reap_release(name), -ESRCH);
	CHECK_EQ(reap_hold(name), 0);
	CHECK_EQ(reap_wait(child, 0, NULL), 0);
	CHECK_EQ(host_stats(&h).reaped, 1);
	CHECK_EQ(host_stats(&h).stacks_mapped - host_stats(&h).stacks_cached, 0);	/* the stack is free */
	CHECK_EQ(reap_peek(name, &state, &r), 0);
	CHECK_EQ(state, REAP_STATE_ZOMBIE);
	CHECK_EQ(r.status, 8);
	CHECK(r.user == &h);
	CHECK_EQ(reap_join(name, 0, NULL), -ESRCH);	/* it has been collected */
	CHECK_EQ(reap_detach(name), -ESRCH);
	CHECK_EQ(reap_hold(name), 0);
	CHECK_EQ(reap_release(name), 0);
	CHECK_EQ(reap_peek(name, &state, NULL), 0);
	CHECK_EQ(reap_release(name), 0);
	CHECK_EQ(reap_peek(name, &state, NULL), -ESRCH);
	CHECK_EQ(reap_hold(name), -ESRCH);
	CHECK_EQ(reap_release(name), -ESRCH);
	host_close(&h);
}

TEST(hold, keeps_the_descriptor_from_reuse)
{
	struct host		h;
	struct reap_context	*child, *other[100];
	struct reap_handle	name;
	struct reap_result	r;

	host_open(&h, (struct reap_domain_options){ 0 });
	child = host_spawn(host_return, (void *)8);
	name = reap_context_handle(child);
	CHECK_EQ(reap_hold(name), 0);
	CHECK_EQ(reap_wait(child, 0, NULL), 0);
	for (int i = 0; i < 100; i++) {
		other[i] = host_spawn(host_return, NULL);
		CHECK(other[i] != child);
	}
	while (reap_wait_any(0, NULL) == 0)
		continue;
	(void)reap_trim(h.domain);
	CHECK_EQ(reap_peek(name, NULL, &r), 0);
	CHECK_EQ(r.status, 8);
	CHECK_EQ(reap_release(name), 0);
	CHECK_EQ(reap_peek(name, NULL, &r), -ESRCH);
	host_close(&h);
}

TEST(hold, may_be_let_go_before_the_end)
{
	struct host		h;
	struct gate		gate = GATE_INIT;
	struct reap_context	*child;
	struct reap_handle	name;
	enum reap_state		state;

	host_open(&h, (struct reap_domain_options){ 0 });
	child = host_spawn(host_gated, &gate);
	name = reap_context_handle(child);
	CHECK_EQ(reap_hold(name), 0);
	CHECK_EQ(reap_peek(name, &state, NULL), 0);
	CHECK_EQ(state, REAP_STATE_NEW);
	host_run();
	CHECK_EQ(reap_peek(name, &state, NULL), 0);
	CHECK_EQ(state, REAP_STATE_SUSPENDED);
	CHECK_EQ(reap_release(name), 0);
	gate_open(&gate);
	CHECK_EQ(reap_wait(child, 0, NULL), 0);
	CHECK_EQ(reap_peek(name, NULL, NULL), -ESRCH);
	host_close(&h);
}

TEST(hold, only_so_many_at_a_time)
{
	struct host		h;
	struct reap_context	*child;
	struct reap_handle	name;

	host_open(&h, (struct reap_domain_options){ 0 });
	child = host_spawn(host_return, NULL);
	name = reap_context_handle(child);
	for (int i = 0; i < 4095; i++)
		CHECK_EQ(reap_hold(name), 0);
	CHECK_EQ(reap_hold(name), -EAGAIN);
	CHECK_EQ(reap_wait(child, 0, NULL), 0);
	CHECK_EQ(reap_hold(name), -EAGAIN);
	for (int i = 0; i < 4095; i++) {
		CHECK_EQ(reap_peek(name, NULL, NULL), 0);
		CHECK_EQ(reap_release(name), 0);
	}
	CHECK_EQ(reap_peek(name, NULL, NULL), -ESRCH);
	host_close(&h);
}

TEST(hold, of_a_detached_context_survives_its_adopter)
{
	struct host		h;
	struct reap_context	*child;
	struct reap_handle	name;
	struct reap_result	r;

	host_open(&h, (struct reap_domain_options){ 0 });
	child = host_create((struct reap_context_options){ .entry = host_return, .arg = (void *)3, .flags = REAP_CONTEXT_DETACHED });
	name = reap_context_handle(child);
	CHECK_EQ(reap_hold(name), 0);
	host_run();
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 10), 1);
	CHECK_EQ(reap_peek(name, NULL, &r), 0);
	CHECK_EQ(r.status, 3);
	CHECK_EQ(reap_release(name), 0);
	host_close(&h);
}

static struct reap_handle traced;

static void *
trace(void *arg)
{
	struct reap_result	r;
	enum reap_state		state = REAP_STATE_NONE;

	(void)arg;
	CHECK_EQ(reap_hold(traced), 0);
	do
		CHECK_EQ(reap_peek(traced, &state, &r), 0);
	while (state != REAP_STATE_ZOMBIE);
	CHECK_EQ(r.status, 7);
	CHECK_EQ(reap_release(traced), 0);
	return NULL;
}

TEST(hold, by_an_os_thread_while_the_parent_reaps)
{
	struct host h;

	host_open(&h, (struct reap_domain_options){ 0 });
	for (int i = 0; i < 50; i++) {
		struct gate		gate = GATE_INIT;
		struct reap_context	*child = host_spawn(host_gated, &gate);
		pthread_t		thread;

		traced = reap_context_handle(child);
		CHECK_EQ(reap_hold(traced), 0);		/* so that the tracer cannot come too late */
		CHECK_EQ(pthread_create(&thread, NULL, trace, NULL), 0);
		host_run();
		gate_open(&gate);
		CHECK_EQ(reap_wait(child, 0, NULL), 0);
		CHECK_EQ(pthread_join(thread, NULL), 0);
		CHECK_EQ(reap_release(traced), 0);
		CHECK_EQ(reap_peek(traced, NULL, NULL), -ESRCH);
	}
	host_close(&h);
}

TEST(peek, by_name_reaps_nothing)
{
	struct host		h;
	struct reap_context	*child;
	struct reap_handle	name;
	struct reap_result	r;

	host_open(&h, (struct reap_domain_options){ 0 });
	child = host_spawn(host_return, (void *)6);
	name = reap_context_handle(child);
	CHECK_EQ(reap_join(name, REAP_PEEK | REAP_NOHANG, &r), -EAGAIN);
	CHECK_EQ(reap_peek(name, NULL, NULL), 0);
	host_run();
	CHECK_EQ(reap_join(name, REAP_PEEK | REAP_NOHANG, &r), 0);
	CHECK_EQ(r.status, 6);
	CHECK_EQ(reap_join(name, REAP_PEEK | REAP_NOHANG, &r), 0);
	CHECK_EQ(reap_join(name, 0, &r), 0);
	CHECK_EQ(reap_join(name, REAP_PEEK | REAP_NOHANG, &r), -ESRCH);
	host_close(&h);
}

/* Named, held, while its parent sleeps for it already. */
static struct reap_handle held;

static intptr_t
holds_itself(void *arg)
{
	host_yield();			/* its parent sleeps now */
	held = reap_context_handle(reap_worker_current(reap_worker_self()));
	CHECK_EQ(reap_hold(held), 0);
	return (intptr_t)arg;
}

static intptr_t
sleeps_for_it(void *arg)
{
	struct reap_context	*child = host_spawn(holds_itself, (void *)8);
	struct reap_result	r;

	CHECK_EQ(arg != NULL ? reap_wait(child, 0, &r) : reap_wait_any(0, &r), 0);
	CHECK_EQ(r.status, 8);
	return 0;
}

TEST(hold, who_is_held_while_its_parent_sleeps_stays_held)
{
	struct reap_host callbacks = host_alone;

	callbacks.shares = true;
	for (int by_name = 0; by_name < 2; by_name++) {
		struct reap_context	*parent;
		struct reap_result	r;
		enum reap_state		state;
		struct host		h;

		host_open(&h, (struct reap_domain_options){ .host = &callbacks });
		parent = host_spawn(sleeps_for_it, by_name ? &h : NULL);
		CHECK_EQ(reap_wait(parent, 0, NULL), 0);
		for (int i = 0; i < 10; i++)
			CHECK_EQ(reap_wait(host_spawn(host_return, NULL), 0, NULL), 0);
		CHECK_EQ(reap_peek(held, &state, &r), 0);
		CHECK_EQ(state, REAP_STATE_ZOMBIE);
		CHECK_EQ(r.status, 8);
		CHECK_EQ(reap_release(held), 0);
		CHECK_EQ(reap_peek(held, &state, &r), -ESRCH);
		host_close(&h);
	}
}

/* A stale name lets go of nothing, a look at the living says nothing, one at any of them takes nothing. */
static intptr_t
looks_at_any(void *arg)
{
	struct reap_result r;

	CHECK_EQ(reap_wait(host_create((struct reap_context_options){ .entry = host_return }), 0, NULL), 0);
	(void)host_spawn(host_gated, arg);
	CHECK_EQ(reap_wait_any(REAP_PEEK, &r), 0);
	CHECK_EQ(r.status, 7);
	CHECK_EQ(reap_children(), 1);
	CHECK_EQ(reap_wait_any(0, &r), 0);
	CHECK_EQ(r.status, 7);
	return 0;
}

TEST(hold, looks_and_stale_names_change_nothing)
{
	struct gate		gate = GATE_INIT;
	struct reap_context	*context;
	struct reap_handle	handle, stale;
	struct reap_result	r = { .status = 99 };
	struct host		h;

	host_open(&h, (struct reap_domain_options){ 0 });
	context = host_spawn(looks_at_any, &gate);
	handle = stale = reap_context_handle(context);
	stale.generation--;
	CHECK_EQ(reap_peek(handle, NULL, &r), 0);
	CHECK_EQ(r.status, 99);
	CHECK_EQ(reap_hold(handle), 0);
	CHECK_EQ(reap_release(stale), -ESRCH);
	CHECK_EQ(reap_release(handle), 0);
	CHECK_EQ(reap_release(handle), -ESRCH);
	host_run();
	gate_open(&gate);
	CHECK_EQ(reap_wait(context, 0, NULL), 0);
	host_close(&h);
}

/* A base context that is held beyond its worker. */
TEST(hold, a_base_context_has_ended_with_its_worker)
{
	enum reap_state		state;
	struct reap_handle	base;
	struct host		h;

	host_open(&h, (struct reap_domain_options){ 0 });
	base = reap_context_handle(reap_worker_base(h.worker));
	CHECK_EQ(reap_hold(base), 0);
	CHECK_EQ(reap_worker_stop(h.worker), 0);
	CHECK_EQ(reap_peek(base, &state, NULL), 0);
	CHECK(state >= REAP_STATE_EXITING);
	CHECK_EQ(reap_join(base, REAP_NOHANG, NULL), -ESRCH);
	CHECK_EQ(reap_release(base), 0);
	CHECK_EQ(reap_domain_destroy(h.domain, NULL, NULL), 0);
}
