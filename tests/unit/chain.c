/* SPDX-License-Identifier: ISC */
/*
 * chain.c: long rows of exits: into fresh contexts, over dirty stacks.
 */
#include "host.h"

static unsigned long left;

/* Each exits into a fresh one: whoever forgets to land at entry finds the slot full, or lands the wrong one. */
static intptr_t
exit_into_fresh(void *arg)
{
	(void)arg;
	if (left-- > 0)
		(void)host_create((struct reap_context_options){ .entry = exit_into_fresh, .flags = REAP_CONTEXT_DETACHED });
	if (left % 64 == 0)
		(void)reap_adopter_drain(reap_adopter_default(reap_worker_domain(reap_worker_self())), 1000);
	return 0;
}

TEST(chain, a_million_each_exit_into_a_fresh_one)
{
	struct host		h;
	struct reap_stats	s;
	unsigned long		n = check_divided(HOST_SANITIZED ? 20000 : 1000000);

	host_open(&h, (struct reap_domain_options){ 0 });
	left = n;
	(void)host_create((struct reap_context_options){ .entry = exit_into_fresh, .flags = REAP_CONTEXT_DETACHED });
	host_run();
	while (reap_adopter_drain(reap_adopter_default(h.domain), 1000) > 0)
		continue;
	s = host_stats(&h);
	CHECK_EQ(s.created, n + 1);
	CHECK_EQ(s.reaped, n + 1);
	CHECK_EQ(s.landings_posted, n + 1);
	CHECK_EQ(s.handed_direct, n);
	CHECK_EQ(s.handed_base, 1);
	CHECK(s.stacks_mapped < 500);
	host_close(&h);
}

TEST(chain, fresh_contexts_back_to_back)
{
	struct host	h;

	host_open(&h, (struct reap_domain_options){ .policy = REAP_POLICY_PARENT, .stack = { .quarantine = 64 } });
	for (int batch = 8; batch <= 40; batch += 8) {
		uint64_t posted = host_stats(&h).landings_posted;

		for (intptr_t i = 0; i < batch; i++)
			(void)host_spawn(host_return, (void *)i);
		host_run();		/* one switch in; each ends into the next, which has never run */
		CHECK_EQ(host_stats(&h).landings_posted, posted + (unsigned)batch);
		for (intptr_t i = 0; i < batch; i++) {
			struct reap_result r;

			CHECK_EQ(reap_wait_any(REAP_NOHANG, &r), 0);
			CHECK_EQ(r.status, i);
		}
	}
	host_close(&h);
}

/* Deaths in deep frames, over and over on the same stacks: what the dead left there must not disturb the next one. */
static void
die_deep(unsigned depth)
{
	volatile char frame[200];

	for (size_t i = 0; i < sizeof(frame); i += 50)
		frame[i] = (char)depth;
	if (depth == 0)
		reap_exit(frame[50] + 1);
	if (depth < 1000)
		die_deep(depth - 1);
	frame[0] = 0;		/* no tail call: each has a frame of its own */
}

static intptr_t
die_at_depth(void *arg)
{
	die_deep((unsigned)(uintptr_t)arg);
	return 0;
}

TEST(chain, ten_thousand_deaths_on_dirty_stacks)
{
	static const enum reap_policy policies[] = { REAP_POLICY_ADAPTIVE, REAP_POLICY_PARENT };

	for (int k = 0; k < 2; k++) {
		struct host		h;
		struct reap_result	r;

		host_open(&h, (struct reap_domain_options){ .policy = policies[k] });
		for (uintptr_t i = 0; i < 5000; i++) {
			CHECK_EQ(reap_wait(host_spawn(die_at_depth, (void *)(i % 40 + 1)), 0, &r), 0);
			CHECK_EQ(r.status, 1);
		}
		CHECK(host_stats(&h).stacks_mapped < 500);
		host_close(&h);
	}
}

/* The delay hook and the quarantine together: a stack that is freed, or a post that is made, too soon is touched too late. */
static void
use_dying_stack(struct reap_context *dying)
{
	volatile unsigned char frame[128];

	(void)dying;
	for (size_t i = 0; i < sizeof(frame); i++)
		frame[i] = (unsigned char)i;
	CHECK_EQ(sched_yield(), 0);		/* others may run now, and free what they think is dead */
	for (size_t i = 0; i < sizeof(frame); i++)
		CHECK_EQ(frame[i], i);
}

static intptr_t
churn(void *arg)
{
	for (uintptr_t i = 0; i < 200; i++)
		CHECK_EQ(reap_wait(host_spawn(host_return, arg), 0, NULL), 0);
	return 0;
}

TEST(chain, a_delayed_final_switch_over_quarantined_stacks)
{
	static const enum reap_notify notify[] = { REAP_NOTIFY_LATE, REAP_NOTIFY_EARLY };

	for (int k = 0; k < 2; k++) {
		struct host		h;
		struct host_thread	t;
		struct reap_context	*parent[4];

		host_open_shared(&h, (struct reap_domain_options){ .policy = REAP_POLICY_PARENT, .notify = notify[k],
		    .before_final_switch = use_dying_stack, .stack = { .quarantine = 32 } });
		host_thread_start(&t, &h);
		for (int i = 0; i < 4; i++)
			parent[i] = host_spawn(churn, NULL);
		for (int i = 0; i < 4; i++)
			CHECK_EQ(reap_wait(parent[i], 0, NULL), 0);
		host_thread_stop(&t);
		CHECK_EQ(host_stats(&h).zombies, 0);
		host_close(&h);
	}
}

/* One makes, another reaps: stacks and descriptors must find their way back. */
static struct latch made = LATCH_INIT, reaped = LATCH_INIT;

enum { ROUNDS = 2000, EACH = 10 };

static struct reap_handle handles[ROUNDS][EACH];

static void *
reap_all(void *arg)
{
	struct host		*h = arg;
	struct host_worker	 me = { .host = h };
	struct reap_worker	*worker;

	CHECK_EQ(reap_worker_start(h->domain, &me, &worker), 0);
	for (unsigned i = 0; i < ROUNDS; i++) {
		latch_await(&made, i + 1);
		for (int k = 0; k < EACH; k++)
			CHECK_EQ(reap_join(handles[i][k], 0, NULL), 0);
		latch_hit(&reaped);
	}
	CHECK_EQ(reap_worker_stop(worker), 0);
	return NULL;
}

TEST(chain, one_makes_another_reaps_within_bounded_memory)
{
	struct host	h;
	pthread_t	thread;
	uint64_t	most = 0;

	host_open(&h, (struct reap_domain_options){ .policy = REAP_POLICY_PARENT, .stack = { .cache = 16, .depot = 64 } });
	CHECK_EQ(pthread_create(&thread, NULL, reap_all, &h), 0);
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct reap_stats s;

		for (int k = 0; k < EACH; k++)
			handles[i][k] = reap_context_handle(host_spawn(host_return, NULL));
		host_run();
		latch_hit(&made);
		s = host_stats(&h);
		most = s.stacks_resident > most ? s.stacks_resident : most;
		latch_await(&reaped, i);	/* one round ahead at most */
	}
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK(most <= 2 * 16 + 64 + 16);	/* two caches, the depot, and a batch on its way */
	CHECK_EQ(host_stats(&h).reaped, ROUNDS * EACH);
	CHECK_EQ(reap_wait_any(0, NULL), -ECHILD);
	host_close(&h);
}
