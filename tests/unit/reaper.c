/* SPDX-License-Identifier: ISC */
/*
 * reaper.c: the reaper thread, plain and batching.
 */
#include "host.h"

TEST(reaper, start_and_stop_say_what_is_wrong)
{
	struct host		h;
	const struct reap_context_options o = { .size = sizeof(o), .entry = host_return, .policy = REAP_POLICY_THREAD };
	struct reap_context	*context;

	host_open(&h, (struct reap_domain_options){ 0 });
	CHECK_EQ(reap_thread_stop(h.domain), -ESRCH);
	CHECK_EQ(reap_thread_start(h.domain, UINT32_MAX), -EINVAL);
	CHECK_EQ(reap_thread_start(NULL, 0), -EINVAL);
	CHECK_EQ(reap_context_create(h.domain, &o, &context), -EINVAL);
	CHECK_EQ(reap_thread_start(h.domain, 0), 0);
	CHECK_EQ(reap_thread_start(h.domain, 0), -EBUSY);
	CHECK_EQ(reap_context_create(h.domain, &o, &context), 0);
	CHECK_EQ(reap_context_destroy(context, 0), 0);
	CHECK_EQ(reap_wait(context, 0, NULL), 0);
	CHECK_EQ(reap_thread_stop(h.domain), 0);
	CHECK_EQ(reap_thread_stop(h.domain), -ESRCH);
	CHECK_EQ(reap_thread_start(h.domain, 1), 0);	/* again */
	CHECK_EQ(reap_thread_stop(h.domain), 0);
	host_close(&h);
}

TEST(reaper, a_domain_of_that_policy_needs_one)
{
	struct host		h;
	struct reap_context	*context;

	host_open(&h, (struct reap_domain_options){ .policy = REAP_POLICY_THREAD });
	CHECK_EQ(reap_spawn(h.worker, host_return, NULL, &context), -EINVAL);
	CHECK_EQ(reap_thread_start(h.domain, 0), 0);
	CHECK_EQ(reap_spawn(h.worker, host_return, NULL, &context), 0);
	CHECK_EQ(reap_context_destroy(context, 0), 0);
	CHECK_EQ(reap_wait(context, 0, NULL), 0);
	CHECK_EQ(reap_thread_stop(h.domain), 0);
	host_close(&h);
}

static intptr_t
parent(void *arg)
{
	struct reap_result	r;
	intptr_t		sum = 0;

	(void)arg;
	for (intptr_t i = 0; i < 20; i++)
		(void)host_spawn(host_return, (void *)i);
	for (int i = 0; i < 10; i++) {
		CHECK_EQ(reap_wait_any(0, &r), 0);
		sum += r.status;
	}
	for (int i = 0; i < 10; i++)
		CHECK_EQ(reap_wait_any(0, &r), 0);
	CHECK_EQ(reap_wait_any(0, &r), -ECHILD);
	return sum > 0;
}

static void
check_reaper(unsigned batch, enum reap_notify notify)
{
	struct host		h;
	struct reap_result	r;
	struct reap_stats	s;

	alarm(100);
	host_open_shared(&h, (struct reap_domain_options){ .policy = REAP_POLICY_THREAD, .notify = notify });
	CHECK_EQ(reap_thread_start(h.domain, batch), 0);
	for (int i = 0; i < 50; i++) {
		CHECK_EQ(reap_wait(host_spawn(parent, NULL), 0, &r), 0);
		CHECK_EQ(r.status, 1);
	}
	for (int i = 0; i < 100; i++)
		(void)host_create((struct reap_context_options){ .entry = host_return, .flags = REAP_CONTEXT_DETACHED });
	host_run();
	CHECK_EQ(reap_thread_stop(h.domain), 0);	/* it reaps what it was handed before it ends, the detached too */
	s = host_stats(&h);
	CHECK_EQ(s.reaped, 50 * 21 + 100);
	CHECK_EQ(s.landings_posted, 0);
	CHECK_EQ(s.backlog, 0);
	CHECK_EQ(s.ledger[REAP_PAYER_THREAD].stacks, 50 * 21 + 100);
	CHECK_EQ(s.ledger[REAP_PAYER_THREAD].contexts, 100);
	CHECK_EQ(s.ledger[REAP_PAYER_PARENT].contexts, 50 * 21);
	CHECK_EQ(s.ledger[REAP_PAYER_PARENT].stacks + s.ledger[REAP_PAYER_SUCCESSOR].stacks, 0);
	CHECK_EQ(s.stacks_mapped - s.stacks_cached, 0);
	host_close(&h);
}

TEST(reaper, plain_frees_all)
{
	check_reaper(0, REAP_NOTIFY_LATE);
}

TEST(reaper, plain_frees_all_when_parents_are_told_early)
{
	check_reaper(0, REAP_NOTIFY_EARLY);
}

TEST(reaper, batching_frees_all)
{
	check_reaper(16, REAP_NOTIFY_LATE);
	check_reaper(1, REAP_NOTIFY_LATE);
}

TEST(reaper, batching_frees_all_when_parents_are_told_early)
{
	check_reaper(16, REAP_NOTIFY_EARLY);
}

/* The parent learns of the end only after the stack has been freed: that is what makes it the baseline. */
TEST(reaper, frees_before_the_parent_learns_of_the_end)
{
	for (unsigned batch = 0; batch < 2; batch++) {
		struct host		h;
		struct reap_context	*child;
		const void		*lo, *sp, *hi;

		host_open_shared(&h, (struct reap_domain_options){ .policy = REAP_POLICY_THREAD });
		CHECK_EQ(reap_thread_start(h.domain, batch), 0);
		for (int i = 0; i < 100; i++) {
			child = host_spawn(host_return, NULL);
			CHECK_EQ(reap_wait(child, REAP_PEEK, NULL), 0);
			CHECK_EQ(reap_context_stack(child, &lo, &sp, &hi), -ENOENT);
			CHECK_EQ(reap_wait(child, 0, NULL), 0);
		}
		CHECK_EQ(reap_thread_stop(h.domain), 0);
		host_close(&h);
	}
}

/* Whoever is destroyed is off the CPU: its collector frees it, whether a thread is there or not. */
TEST(reaper, has_nothing_to_do_with_the_destroyed)
{
	struct reap_context_options	o = { .size = sizeof(o), .entry = host_return, .policy = REAP_POLICY_THREAD };
	struct reap_host		callbacks = host_shared;
	struct host			h;
	struct reap_context		*context;

	callbacks.shares = true;
	host_open(&h, (struct reap_domain_options){ .host = &callbacks });
	CHECK_EQ(reap_thread_start(h.domain, 0), 0);
	CHECK_EQ(reap_context_create(h.domain, &o, &context), 0);
	CHECK(reap_context_home(context) == NULL);	/* the thread will post: it is private to nobody */
	CHECK_EQ(reap_thread_stop(h.domain), 0);
	CHECK_EQ(reap_context_destroy(context, 0), 0);
	CHECK_EQ(reap_wait(context, 0, NULL), 0);
	CHECK_EQ(reap_thread_start(h.domain, 0), 0);
	for (int i = 0; i < 100; i++)			/* it has begun anew, and goes on */
		CHECK_EQ(reap_wait(host_create(o), 0, NULL), 0);
	o.flags = REAP_CONTEXT_OWNED;			/* which its resumer frees */
	CHECK_EQ(reap_context_create(h.domain, &o, &context), -EINVAL);
	CHECK_EQ(reap_thread_stop(h.domain), 0);
	host_close(&h);
}

static unsigned told;

static void
count_told(struct reap_context *parent, struct reap_context *child)
{
	CHECK(reap_context_parent(child) == parent);
	(void)REAP_ADD_RELAXED(&told, 1);
}

/* Early at the exit, else by the thread before its post: once. */
TEST(reaper, tells_the_host_once)
{
	for (int early = 0; early < 2; early++) {
		struct reap_host	callbacks = host_shared;
		struct host		h;

		callbacks.child_exited = count_told;
		host_open(&h, (struct reap_domain_options){ .host = &callbacks, .policy = REAP_POLICY_THREAD,
		    .notify = early ? REAP_NOTIFY_EARLY : REAP_NOTIFY_LATE });
		CHECK_EQ(reap_thread_start(h.domain, 0), 0);
		told = 0;
		CHECK_EQ(reap_wait(host_spawn(host_return, NULL), 0, NULL), 0);
		CHECK_EQ(REAP_LOAD_RELAXED(&told), 1);
		CHECK_EQ(reap_thread_stop(h.domain), 0);
		host_close(&h);
	}
}

static unsigned listed;

static void
count(struct reap_context *context, void *arg)
{
	(void)context;
	(void)arg;
	listed++;
}

TEST(reaper, ends_with_its_domain)
{
	const struct reap_domain_options options = { .size = sizeof(options), .policy = REAP_POLICY_THREAD };
	const struct reap_context_options o = { .size = sizeof(o), .entry = host_return };
	struct reap_domain	*domain;
	struct reap_context	*context;

	for (unsigned batch = 0; batch < 2; batch++) {
		CHECK_EQ(reap_domain_create(&options, &domain), 0);
		CHECK_EQ(reap_thread_start(domain, batch), 0);
		CHECK_EQ(reap_context_create(domain, &o, &context), 0);
		CHECK_EQ(reap_context_destroy(context, 0), 0);
		CHECK_EQ(reap_domain_destroy(domain, count, NULL), 0);
		CHECK_EQ(listed, batch + 1);
	}
}
