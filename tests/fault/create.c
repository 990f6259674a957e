/* SPDX-License-Identifier: ISC */
/*
 * create.c: lives of contexts in which any call for memory fails: all policies, stacks of all origins, handles, limits, trim.
 */
#include "fault.h"

#define LIMIT	20

struct kind {
	enum reap_policy policy;
	enum reap_notify notify;
	unsigned flags;			/* of the stacks */
	unsigned quarantine;
	bool	 shares;
	bool	 usage;
};

static struct reap_adopter *heir;
static uint64_t now;

static uint64_t
the_clock(void *arg)
{
	(void)arg;
	return now;
}

static intptr_t
family(void *arg)
{
	struct reap_context *child = NULL;

	for (int i = 0; i < 2; i++) {
		ATTEMPT(reap_spawn(reap_worker_self(), host_return, arg, &child), -ENOMEM);
		host_queue(child);
	}
	CHECK_EQ(reap_wait(child, 0, NULL), 0);
	return 0;			/* and leaves an orphan */
}

/* As many as the limit says can be had, and no more: all credits have come back. */
static void
limit_is_whole(void)
{
	struct reap_context *context[LIMIT + 1];
	uint64_t hits = host_stats().limit_hits;

	fault_lift();
	for (int i = 0; i < LIMIT; i++)
		CHECK_EQ(reap_spawn(host_worker, host_return, NULL, &context[i]), 0);
	CHECK_EQ(reap_spawn(host_worker, host_return, NULL, &context[LIMIT]), -EAGAIN);
	CHECK_EQ(host_stats().limit_hits, hits + 1);
	for (int i = 0; i < LIMIT; i++) {
		CHECK_EQ(reap_context_destroy(context[i], 0), 0);
		CHECK_EQ(reap_wait(context[i], 0, NULL), 0);
	}
	while (reap_adopter_drain(reap_adopter_default(host_domain), 64) > 0)
		continue;
	fault_resume();
}

static void
open_kind(const struct kind *k)
{
	struct reap_host host = host_calls;

	host.shares = k->shares;
	host_open((struct reap_domain_options){ .policy = k->policy, .notify = k->notify, .usage = k->usage, .host = &host,
	    .limit = LIMIT, .clock = the_clock, .stack = { .flags = k->flags, .quarantine = k->quarantine, .cache = 2,
	    .depot = 2, .decay_ns = 1000 } });
	if (k->policy == REAP_POLICY_THREAD && reap_thread_start(host_domain, k->usage ? 4 : 0) != 0) {
		CHECK(fault_hits() > 0);
		fault_lift();
		CHECK_EQ(reap_thread_start(host_domain, k->usage ? 4 : 0), 0);
		fault_resume();
	}
}

static void
lives(const void *arg)
{
	static const size_t sizes[] = { 0, 1 << 15, 200000, 0, 1 << 20 };
	const struct kind	*k = arg;
	struct reap_context	*context = NULL;
	struct reap_group	*group[2];
	struct reap_stats	 stats;

	now = 1;
	open_kind(k);
	ATTEMPT(reap_adopter_create(host_domain, NULL, &heir), -ENOMEM);
	for (int round = 0; round < 2; round++) {
		ATTEMPT(reap_group_create(host_domain, &group[round]), -ENOMEM);
		for (int i = 0; i < 9; i++) {
			const struct reap_context_options options = {
				.size = sizeof(options),
				.entry = i % 4 == 3 ? family : host_return,
				.stack_size = sizes[i % 5],
				.flags = (i == 5 ? REAP_CONTEXT_DETACHED : 0) | (i == 4 ? REAP_CONTEXT_PINNED : 0),
				.adopter = i == 7 ? heir : NULL,
				.group = i == 6 ? group[round] : NULL,
			};

			ATTEMPT(reap_context_create(host_domain, &options, &context), -ENOMEM);
			if (i == 2) {		/* never runs */
				CHECK_EQ(reap_context_destroy(context, 0), 0);
				CHECK_EQ(reap_wait(context, 0, NULL), 0);
			} else
				host_queue(context);
			if (i == 4)
				host_run();
		}
		while (reap_wait_any(0, NULL) == 0)
			continue;
		host_run();
		if (round == 0)
			(void)reap_trim(host_domain);
		else
			for (int i = 0; i < 3; i++, now += 1001)
				(void)reap_trim_aged(host_domain);
	}
	if (k->policy == REAP_POLICY_THREAD)
		CHECK_EQ(reap_thread_stop(host_domain), 0);
	CHECK_EQ(reap_group_wait(group[0], 0, NULL), 0);
	CHECK_EQ(reap_group_wait(group[1], REAP_NOHANG, NULL), 0);
	while (reap_adopter_drain(heir, 1) > 0)
		continue;
	CHECK_EQ(reap_adopter_destroy(heir), 0);
	while (reap_adopter_drain(reap_adopter_default(host_domain), 3) > 0)
		continue;
	stats = host_stats();
	CHECK_EQ(stats.created, stats.reaped);
	CHECK_EQ(stats.backlog, 0);
	if (k->policy == REAP_POLICY_THREAD && reap_thread_start(host_domain, 1) != 0) {
		fault_lift();
		CHECK_EQ(reap_thread_start(host_domain, 1), 0);
		fault_resume();
	}
	limit_is_whole();
	/* What could not be given back was kept, and goes now. */
	if (k->policy == REAP_POLICY_THREAD)
		CHECK_EQ(reap_thread_stop(host_domain), 0);
	fault_lift();
	(void)reap_trim(host_domain);
	stats = host_stats();
	CHECK_EQ(stats.created, stats.reaped);
	CHECK(k->quarantine != 0 || stats.stacks_mapped == 0);
	fault_resume();
	host_close();
}

static void
sweep_lives(struct kind kind)
{
	CHECK(fault_sweep(lives, &kind, FAULT_ALL, 0) > 40);
}

TEST(fault_create, policy_adaptive)
{
	sweep_lives((struct kind){ .policy = REAP_POLICY_ADAPTIVE });
	sweep_lives((struct kind){ .policy = REAP_POLICY_ADAPTIVE, .notify = REAP_NOTIFY_EARLY, .shares = true, .usage = true });
}

TEST(fault_create, policy_parent)
{
	sweep_lives((struct kind){ .policy = REAP_POLICY_PARENT, .notify = REAP_NOTIFY_EARLY });
	sweep_lives((struct kind){ .policy = REAP_POLICY_PARENT, .flags = REAP_STACK_NO_GUARD_INSTALL, .shares = true });
}

TEST(fault_create, policy_successor)
{
	sweep_lives((struct kind){ .policy = REAP_POLICY_SUCCESSOR });
	sweep_lives((struct kind){ .policy = REAP_POLICY_SUCCESSOR, .flags = REAP_STACK_SCRUB, .shares = true });
}

TEST(fault_create, policy_adopter)
{
	sweep_lives((struct kind){ .policy = REAP_POLICY_ADOPTER, .flags = REAP_STACK_UNGUARDED });
	sweep_lives((struct kind){ .policy = REAP_POLICY_ADOPTER, .shares = true });
}

TEST(fault_create, policy_thread)
{
	sweep_lives((struct kind){ .policy = REAP_POLICY_THREAD });
	sweep_lives((struct kind){ .policy = REAP_POLICY_THREAD, .usage = true });
}

TEST(fault_create, in_quarantine)
{
	sweep_lives((struct kind){ .quarantine = 3 });
	sweep_lives((struct kind){ .quarantine = 3, .flags = REAP_STACK_NO_GUARD_INSTALL });
}

/* Some errors are no want of memory: a signal, a moment's shortage, memory locked by mlockall(2). */
TEST(fault_create, advice_is_refused_otherwise)
{
	static const int errors[] = { EINVAL, EPERM, EINTR, EAGAIN };
	struct kind kind = { .policy = REAP_POLICY_ADAPTIVE };

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		CHECK(fault_sweep(lives, &kind, FAULT_ADVISE, errors[i]) > 10);
}


/* Munmap alone, for ever: nothing else fails for it, and nothing is lost. */
static void
unmapping_fails(const void *arg)
{
	const struct kind	*k = arg;
	size_t			 at_first = 0;

	now = 1;
	open_kind(k);
	for (int round = 0; round < 10; round++) {
		struct reap_context	*context;

		for (int i = 0; i < LIMIT; i++) {
			const struct reap_context_options options = {
				.size = sizeof(options), .entry = host_return, .stack_size = i % 2 == 0 ? 0 : 200000
			};

			CHECK_EQ(reap_context_create(host_domain, &options, &context), 0);
			host_queue(context);
		}
		if (round == 0)
			at_first = ledger_read().bytes;
		CHECK(ledger_read().bytes <= 2 * at_first);	/* what stays is used again */
		while (reap_wait_any(0, NULL) == 0)
			continue;
		host_run();
		(void)reap_trim(host_domain);
		CHECK(k->quarantine != 0 || host_stats().stacks_resident == 0);
	}
	fault_lift();
	(void)reap_trim(host_domain);
	CHECK(k->quarantine != 0 || host_stats().stacks_mapped == 0);
	fault_resume();
	host_close();
}

TEST(fault_create, unmapping_fails)
{
	CHECK(fault_sweep(unmapping_fails, &(struct kind){ .notify = REAP_NOTIFY_LATE }, FAULT_UNMAP, 0) > 10);
	CHECK(fault_sweep(unmapping_fails, &(struct kind){ .flags = REAP_STACK_UNGUARDED }, FAULT_UNMAP, 0) > 10);
	CHECK(fault_sweep(unmapping_fails, &(struct kind){ .flags = REAP_STACK_NO_GUARD_INSTALL, .quarantine = 2 },
	    FAULT_UNMAP, 0) > 3);
}

/* The same create fails in the same way a hundred times: it may have kept something for later, once. */
static void
fails_steadily(long first, const struct kind *k, size_t stack_size, bool *hit)
{
	const struct reap_context_options options = { .size = sizeof(options), .entry = host_return, .stack_size = stack_size };
	size_t after_two = 0;

	*hit = false;
	open_kind(k);
	for (int i = 0; i < 100; i++) {
		struct fault_before	 before;
		struct reap_context	*context = NULL;
		int			 error;

		fault_note(&before, host_domain);
		fault_plan(FAULT_MEMORY, first, FAULT_EVER, 0);
		error = reap_context_create(host_domain, &options, &context);
		fault_lift();
		CHECK(error == 0 || error == -ENOMEM);
		if (error == 0) {
			CHECK_EQ(reap_context_destroy(context, 0), 0);
			CHECK_EQ(reap_wait(context, 0, NULL), 0);
			if (fault_hits() == 0)
				break;
			/* Else it went without what failed. */
		} else {
			CHECK(context == NULL);
			before.hits = 0;
			fault_compare(&before, host_domain, __FILE__, __LINE__, "create", error, -ENOMEM);
		}
		*hit = true;
		if (i == 40)	/* one header for each size of slab that was tried */
			after_two = ledger_read().bytes;
		CHECK(i <= 40 || ledger_read().bytes <= after_two);
	}
	limit_is_whole();
	fault_lift();
	host_close();
	ledger_must_be_empty();
}

TEST(fault_create, fails_steadily)
{
	static const size_t sizes[] = { 0, 200000, 100 << 20 };
	static const struct kind kinds[] = { { .usage = false }, { .flags = REAP_STACK_NO_GUARD_INSTALL, .usage = true } };

	for (size_t k = 0; k < 2; k++)
		for (size_t i = 0; i < 3; i++) {
			bool hit = true;
			long first;

			for (first = 1; hit; first++)
				fails_steadily(first, &kinds[k], sizes[i], &hit);
			CHECK(first > 3);
		}
}

static int
alloc_nothing(void *cookie, size_t size, void **base)
{
	(void)size;
	(void)base;
	++*(unsigned *)cookie;
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

/* More failures than a slab has descriptors. */
TEST(fault_create, fails_for_ever)
{
	unsigned asked = 0;
	const struct reap_stack_ops ops = { alloc_nothing, free_nothing, &asked };
	const struct reap_context_options options = { .size = sizeof(options), .entry = host_return, .stack_ops = &ops };
	struct reap_context *context = NULL;
	size_t bytes;

	fault_lift();
	host_open((struct reap_domain_options){ .limit = LIMIT });
	CHECK_EQ(reap_context_create(host_domain, &options, &context), -ENOMEM);
	bytes = ledger_read().bytes;
	for (int i = 0; i < 20000; i++)
		CHECK_EQ(reap_context_create(host_domain, &options, &context), -ENOMEM);
	CHECK_EQ(asked, 20001);
	CHECK(context == NULL);
	CHECK_EQ(ledger_read().bytes, bytes);
	CHECK_EQ(reap_domain_for_each(host_domain, NULL, NULL), 1);	/* the base context */
	limit_is_whole();
	host_close();
	ledger_must_be_empty();
}

/* More descriptors than one slab has: thin zombies, so that it costs no stacks. */
static void
many_descriptors(const void *arg)
{
	const unsigned per_slab = ((1u << 20) - 4096) / 192, n = per_slab + 400;
	struct reap_context	*context;

	(void)arg;
	host_open((struct reap_domain_options){ .policy = REAP_POLICY_SUCCESSOR, .usage = true });
	fault_lift();
	for (unsigned i = 0; i < n; i++) {
		if (i == per_slab - 100)
			fault_resume();
		if (i == n - 100)
			fault_lift();
		ATTEMPT(reap_spawn(host_worker, host_return, NULL, &context), -ENOMEM);
		CHECK(reap_switch(host_worker, context) == host_worker);
	}
	for (unsigned i = 0; i < n; i++)
		CHECK_EQ(reap_wait_any(REAP_NOHANG, NULL), 0);
	CHECK_EQ(reap_wait_any(REAP_NOHANG, NULL), -ECHILD);
	fault_resume();
	(void)reap_trim(host_domain);
	ATTEMPT(reap_spawn(host_worker, host_return, NULL, &context), -ENOMEM);
	CHECK(reap_switch(host_worker, context) == host_worker);
	CHECK_EQ(reap_wait(context, 0, NULL), 0);
	host_close();
}

TEST(fault_create, many_descriptors)
{
	if (FAULT_SANITIZED && !check_long())
		SKIP("half a million lives take too long under a sanitizer");
	CHECK(fault_sweep(many_descriptors, NULL, FAULT_ALL, 0) > 10);
}

/* Without a worker: there is no cache and no parent. */
static void
by_an_outsider(const void *arg)
{
	struct reap_domain_options options = { .size = sizeof(options), .limit = LIMIT, .host = &host_calls,
	    .stack = { .flags = *(const unsigned *)arg, .cache = 2, .depot = 2 } };
	struct reap_context_options wanted = { .size = sizeof(wanted), .entry = host_return };
	struct reap_context	*context[LIMIT];
	struct reap_handle	 name[LIMIT];
	struct reap_result	 result;

	ATTEMPT_IN(NULL, reap_domain_create(&options, &host_domain), -ENOMEM);
	for (int i = 0; i < LIMIT; i++) {
		wanted.stack_size = i % 3 == 0 ? 0 : (size_t)i << 16;
		wanted.flags = i % 4 == 0 ? REAP_CONTEXT_DETACHED : 0;
		ATTEMPT(reap_context_create(host_domain, &wanted, &context[i]), -ENOMEM);
		name[i] = reap_context_handle(context[i]);
		CHECK_EQ(reap_hold(name[i]), 0);
	}
	CHECK_EQ(reap_context_create(host_domain, &wanted, &context[0]), -EAGAIN);
	for (int i = 0; i < LIMIT; i++)
		CHECK_EQ(reap_context_destroy(context[i], i), 0);
	for (int i = 0; i < LIMIT; i++) {
		if (i % 4 != 0) {
			CHECK_EQ(reap_join(name[i], 0, &result), 0);
			CHECK_EQ(result.status, i);
		}
		CHECK_EQ(reap_join(name[i], 0, NULL), -ESRCH);
	}
	(void)reap_trim(host_domain);
	while (reap_adopter_drain(reap_adopter_default(host_domain), 2) > 0)
		continue;
	for (int i = 0; i < LIMIT; i++) {
		CHECK_EQ(reap_peek(name[i], NULL, &result), 0);
		CHECK_EQ(result.status, i);
		CHECK_EQ(reap_release(name[i]), 0);
		CHECK_EQ(reap_peek(name[i], NULL, NULL), -ESRCH);
	}
	(void)reap_trim(host_domain);
	ATTEMPT(reap_context_create(host_domain, &wanted, &context[0]), -ENOMEM);
	CHECK_EQ(reap_peek(name[0], NULL, NULL), -ESRCH);
	name[0] = reap_context_handle(context[0]);
	CHECK_EQ(reap_context_destroy(context[0], 0), 0);
	CHECK_EQ(reap_join(name[0], 0, NULL), 0);
	fault_relent();
	CHECK_EQ(reap_domain_destroy(host_domain, NULL, NULL), 0);
}

TEST(fault_create, by_an_outsider)
{
	static const unsigned flags[] = { 0, REAP_STACK_NO_GUARD_INSTALL };

	for (size_t i = 0; i < 2; i++)
		CHECK(fault_sweep(by_an_outsider, &flags[i], FAULT_ALL, 0) > 40);
}

/* The embedder's own stacks: what its allocator says is what comes out, and each block comes back once. */
static long out;

static int
alloc_block(void *cookie, size_t size, void **base)
{
	void *p = malloc(size);

	if (p == NULL)
		return -ENOMEM;
	++*(long *)cookie;
	*base = p;
	return 0;
}

static void
free_block(void *cookie, void *base, size_t size)
{
	(void)size;
	--*(long *)cookie;
	free(base);
}

static void
embedded(const void *arg)
{
	const struct reap_stack_ops ops = { alloc_block, free_block, &out };
	const bool by_domain = *(const bool *)arg;
	struct reap_context *context = NULL;

	host_open((struct reap_domain_options){ .limit = LIMIT, .stack.ops = by_domain ? &ops : NULL });
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 6; i++) {
			const struct reap_context_options options = {
				.size = sizeof(options), .entry = i == 5 ? family : host_return,
				.stack_ops = by_domain ? NULL : &ops, .stack_size = (size_t)(i % 3) << 16,
				.flags = i == 4 ? REAP_CONTEXT_DETACHED : 0, .policy = 1 + (enum reap_policy)(i % 4),
			};

			ATTEMPT(reap_context_create(host_domain, &options, &context), -ENOMEM);
			host_queue(context);
		}
		while (reap_wait_any(0, NULL) == 0)
			continue;
		host_run();
		while (reap_adopter_drain(reap_adopter_default(host_domain), 9) > 0)
			continue;
		CHECK_EQ(out, 0);
	}
	limit_is_whole();
	CHECK_EQ(out, 0);
	host_close();
}

TEST(fault_create, stacks_of_the_embedder)
{
	static const bool both[] = { false, true };

	for (size_t i = 0; i < 2; i++)
		CHECK(fault_sweep(embedded, &both[i], FAULT_ALL, 0) > 15);
}

/* A group that has ended refuses members, when everything else of the create has succeeded: all of it is undone. */
static void
too_late_for_the_group(const void *arg)
{
	struct reap_context_options options = { .size = sizeof(options), .entry = host_return };
	struct reap_context *context = NULL;

	(void)arg;
	host_open((struct reap_domain_options){ .limit = LIMIT });
	ATTEMPT(reap_group_create(host_domain, &options.group), -ENOMEM);
	ATTEMPT(reap_context_create(host_domain, &options, &context), -ENOMEM);
	host_queue(context);
	host_run();
	for (int i = 0; i < 3 * LIMIT; i++) {
		struct reap_stats	before = host_stats(), after;
		int			error;

		context = NULL;
		options.stack_size = i % 2 == 0 ? 0 : 200000;
		error = reap_context_create(host_domain, &options, &context);
		CHECK(error == -ESRCH || (error == -ENOMEM && fault_hits() > 0));
		CHECK(context == NULL);
		after = host_stats();
		CHECK_EQ(after.created, before.created);
		CHECK_EQ(after.stacks_mapped - after.stacks_cached, before.stacks_mapped - before.stacks_cached);
	}
	CHECK_EQ(reap_group_destroy(options.group), 0);
	while (reap_adopter_drain(reap_adopter_default(host_domain), 9) > 0)
		continue;
	limit_is_whole();
	host_close();
}

TEST(fault_create, too_late_for_the_group)
{
	CHECK(fault_sweep(too_late_for_the_group, NULL, FAULT_ALL, 0) > 10);
}
