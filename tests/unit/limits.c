/* SPDX-License-Identifier: ISC */
/*
 * limits.c: how many contexts a domain may have.
 */
#include "host.h"
#include "worker.h"

static int
try_spawn(unsigned flags, struct reap_context **context)
{
	const struct reap_context_options o = { .size = sizeof(o), .entry = host_return, .flags = flags };
	struct reap_context	*here;
	int			 error;

	error = reap_context_create(reap_worker_domain(reap_worker_self()), &o, context != NULL ? context : &here);
	if (error == 0)
		host_ready(context != NULL ? *context : here);
	return error;
}

TEST(limit, a_create_too_many_is_refused)
{
	struct host		h;
	struct reap_context	*context = NULL;

	for (uint64_t limit = 1; limit < 200; limit = limit * 3 + 1) {
		host_open(&h, (struct reap_domain_options){ .limit = limit });
		for (uint64_t i = 0; i < limit; i++)
			CHECK_EQ(try_spawn(0, NULL), 0);
		CHECK_EQ(try_spawn(0, &context), -EAGAIN);
		CHECK_EQ(reap_spawn(h.worker, host_return, NULL, &context), -EAGAIN);
		CHECK(context == NULL);
		CHECK_EQ(host_stats(&h).limit_hits, 2);
		CHECK_EQ(host_stats(&h).live, limit);
		while (reap_wait_any(0, NULL) == 0)
			continue;
		host_close(&h);
	}
}

TEST(limit, zombies_count)
{
	struct host	h;

	host_open(&h, (struct reap_domain_options){ .limit = 3, .policy = REAP_POLICY_SUCCESSOR });
	for (int i = 0; i < 3; i++)
		CHECK_EQ(try_spawn(0, NULL), 0);
	host_run();
	CHECK_EQ(host_stats(&h).zombies, 3);
	CHECK_EQ(try_spawn(0, NULL), -EAGAIN);
	CHECK_EQ(reap_wait_any(0, NULL), 0);
	CHECK_EQ(try_spawn(0, NULL), 0);
	CHECK_EQ(try_spawn(0, NULL), -EAGAIN);
	while (reap_wait_any(0, NULL) == 0)
		continue;
	host_close(&h);
}

TEST(limit, the_reserve_is_for_the_privileged)
{
	struct host	h;

	host_open(&h, (struct reap_domain_options){ .limit = 5, .reserve = 2 });
	for (int i = 0; i < 3; i++)
		CHECK_EQ(try_spawn(0, NULL), 0);
	CHECK_EQ(try_spawn(0, NULL), -EAGAIN);
	CHECK_EQ(try_spawn(REAP_CONTEXT_PRIVILEGED, NULL), 0);
	CHECK_EQ(try_spawn(0, NULL), -EAGAIN);
	CHECK_EQ(try_spawn(REAP_CONTEXT_PRIVILEGED, NULL), 0);
	CHECK_EQ(try_spawn(REAP_CONTEXT_PRIVILEGED, NULL), -EAGAIN);
	/* What comes back makes the reserve whole first. */
	CHECK_EQ(reap_wait_any(0, NULL), 0);
	CHECK_EQ(try_spawn(0, NULL), -EAGAIN);
	CHECK_EQ(reap_wait_any(0, NULL), 0);
	CHECK_EQ(try_spawn(0, NULL), -EAGAIN);
	CHECK_EQ(reap_wait_any(0, NULL), 0);
	CHECK_EQ(try_spawn(0, NULL), 0);
	CHECK_EQ(try_spawn(0, NULL), -EAGAIN);
	CHECK_EQ(try_spawn(REAP_CONTEXT_PRIVILEGED, NULL), 0);
	while (reap_wait_any(0, NULL) == 0)
		continue;
	host_close(&h);
}

static int
alloc_nothing(void *cookie, size_t size, void **base)
{
	(void)size;
	(void)base;
	++*(int *)cookie;
	return -ENOMEM;
}

static void
free_nothing(void *cookie, void *base, size_t size)
{
	(void)cookie;
	(void)base;
	(void)size;
	CHECK(!"nothing was allocated");
}

TEST(limit, a_create_that_fails_otherwise_is_undone)
{
	int			asked = 0;
	const struct reap_stack_ops none = { alloc_nothing, free_nothing, &asked };
	const struct reap_context_options o = { .size = sizeof(o), .entry = host_return, .stack_ops = &none };
	struct reap_context	*context;
	struct host		h;

	host_open(&h, (struct reap_domain_options){ .limit = 4 });
	for (int i = 0; i < 100; i++)
		CHECK_EQ(reap_context_create(h.domain, &o, &context), -ENOMEM);
	CHECK_EQ(asked, 100);
	CHECK_EQ(host_stats(&h).created, 0);
	CHECK_EQ(host_stats(&h).limit_hits, 0);
	for (int i = 0; i < 4; i++)
		CHECK_EQ(try_spawn(0, NULL), 0);
	CHECK_EQ(reap_context_create(h.domain, &o, &context), -EAGAIN);
	CHECK_EQ(asked, 100);			/* the limit is asked first */
	while (reap_wait_any(0, NULL) == 0)
		continue;
	host_close(&h);
}

/* Another worker holds credits that it does not use: a create takes them back before it gives up. */
static struct latch hoarded = LATCH_INIT, spent = LATCH_INIT;

static void *
hoard(void *arg)
{
	struct host		*h = arg;
	struct reap_worker	*worker;
	struct reap_context	*context[256];
	struct host_worker	 me = { .host = h };

	CHECK_EQ(reap_worker_start(h->domain, &me, &worker), 0);
	for (int i = 0; i < 256; i++)
		CHECK_EQ(reap_spawn(worker, host_return, NULL, &context[i]), 0);
	for (int i = 0; i < 256; i++) {
		CHECK_EQ(reap_context_destroy(context[i], 0), 0);
		CHECK_EQ(reap_wait(context[i], 0, NULL), 0);
	}
	latch_hit(&hoarded);
	latch_await(&spent, 1);
	CHECK_EQ(reap_spawn(worker, host_return, NULL, &context[0]), -EAGAIN);
	CHECK_EQ(reap_worker_stop(worker), 0);
	return NULL;
}

TEST(limit, credits_are_recalled_from_other_workers)
{
	struct host	h;
	pthread_t	thread;

	host_open(&h, (struct reap_domain_options){ .limit = 256 });
	CHECK_EQ(pthread_create(&thread, NULL, hoard, &h), 0);
	latch_await(&hoarded, 1);
	CHECK_EQ(host_stats(&h).credit_recalls, 0);
	for (int i = 0; i < 256; i++)
		CHECK_EQ(try_spawn(0, NULL), 0);
	CHECK(host_stats(&h).credit_recalls > 0);
	CHECK_EQ(try_spawn(0, NULL), -EAGAIN);
	latch_hit(&spent);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	while (reap_wait_any(0, NULL) == 0)
		continue;
	host_close(&h);
}

TEST(limit, is_returned_by_whoever_reaps)
{
	struct host	h;

	host_open(&h, (struct reap_domain_options){ .limit = 2 });
	for (int i = 0; i < 50; i++) {
		struct reap_context *a, *b;

		CHECK_EQ(try_spawn(REAP_CONTEXT_DETACHED, NULL), 0);
		CHECK_EQ(try_spawn(0, &a), 0);
		CHECK_EQ(try_spawn(0, &b), -EAGAIN);
		host_run();
		CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 1), 1);
		CHECK_EQ(try_spawn(0, &b), 0);
		CHECK_EQ(reap_detach(reap_context_handle(a)), 0);
		CHECK_EQ(reap_wait(b, 0, NULL), 0);
	}
	host_close(&h);
}

/* What a worker had drawn on when it stopped. */
static void *
lives_once(void *arg)
{
	struct reap_domain	*domain = arg;
	struct reap_context	*child;
	struct reap_worker	*worker;

	CHECK_EQ(reap_worker_start(domain, NULL, &worker), 0);
	CHECK_EQ(reap_spawn(worker, host_return, NULL, &child), 0);
	(void)reap_switch(worker, child);
	CHECK_EQ(reap_wait(child, 0, NULL), 0);
	CHECK_EQ(reap_worker_stop(worker), 0);
	return NULL;
}

TEST(limit, a_worker_that_stops_gives_its_credits_back)
{
	const unsigned		limit = 64;
	struct reap_context	*child[64], *more;
	pthread_t		thread;
	struct host		h;

	host_open(&h, (struct reap_domain_options){ .limit = limit });
	for (int i = 0; i < 40; i++) {
		CHECK_EQ(pthread_create(&thread, NULL, lives_once, h.domain), 0);
		CHECK_EQ(pthread_join(thread, NULL), 0);
	}
	for (unsigned i = 0; i < limit; i++)
		child[i] = host_spawn(host_return, NULL);
	CHECK_EQ(reap_spawn(h.worker, host_return, NULL, &more), -EAGAIN);
	for (unsigned i = 0; i < limit; i++)
		CHECK_EQ(reap_wait(child[i], 0, NULL), 0);
	host_close(&h);
}

/* A limit, and lives so plain that hardly anything is done at their end. */
static intptr_t
spawns_and_waits(void *arg)
{
	for (int i = 0; i < 1000; i++) {
		CHECK_EQ(reap_wait(host_spawn(host_return, arg), 0, NULL), 0);
		(void)host_spawn(host_return, arg);
		(void)host_spawn(host_return, arg);
		CHECK_EQ(reap_wait_any(0, NULL), 0);
		CHECK_EQ(reap_wait_any(0, NULL), 0);
	}
	return 0;
}

TEST(limit, a_limit_holds_for_any_number_of_lives)
{
	struct reap_context	*parent;
	struct host		h;

	host_open(&h, (struct reap_domain_options){ .limit = 20 });
	parent = host_spawn(spawns_and_waits, NULL);
	CHECK_EQ(reap_wait(parent, 0, NULL), 0);
	CHECK_EQ(host_stats(&h).limit_hits, 0);
	CHECK_EQ(host_stats(&h).reaped, 3001);
	host_close(&h);
}

/* A worker keeps an eighth of a limit, and no more than 128 credits; who is no worker keeps none. */
static void *
makes_one(void *arg)
{
	const struct reap_context_options	o = { .size = sizeof(o), .entry = host_return };
	struct reap_context			*context;

	CHECK_EQ(reap_context_create(arg, &o, &context), 0);
	CHECK_EQ(reap_context_destroy(context, 0), 0);
	CHECK_EQ(reap_join(reap_context_handle(context), 0, NULL), 0);
	return NULL;
}

TEST(limit, credits_do_not_pile_up)
{
	static const struct { uint64_t limit; uint32_t most; } sizes[] = { { 160, 20 }, { 4096, 128 } };
	pthread_t	thread;
	struct host	h;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint32_t most = 0;

		host_open(&h, (struct reap_domain_options){ .limit = sizes[i].limit });
		for (int n = 0; n < 150; n++)
			(void)host_spawn(host_return, NULL);
		host_run();
		while (reap_wait_any(0, NULL) == 0)
			most = h.worker->credits > most ? h.worker->credits : most;
		CHECK_EQ(most, sizes[i].most);
		if (i == 0) {
			CHECK_EQ(pthread_create(&thread, NULL, makes_one, h.domain), 0);
			CHECK_EQ(pthread_join(thread, NULL), 0);
		}
		CHECK_EQ(h.worker->credits + h.domain->credits, sizes[i].limit);
		host_close(&h);
	}
}
