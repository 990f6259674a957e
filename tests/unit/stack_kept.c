/* SPDX-License-Identifier: ISC */
/*
 * stack_kept.c: the dead stacks that the pool keeps: how many, and for how long; bounds, trimming, ageing.
 */
#include "stack/stack.h"

#include "stack_pool.h"
#include "test.h"

#define SECOND	UINT64_C(1000000000)

TEST(stack, decommitted_is_used_before_new)
{
	struct pool p;
	struct reap__stack *s[16];
	int i;

	pool_init(&p, NULL);
	for (i = 0; i < 16; i++)
		s[i] = pool_get(&p, 0);
	CHECK_EQ(pool_counts(&p).slabs, 1);
	reap__stack_put(&p.depot, &p.cache, s[3]);
	CHECK(reap__stack_trim(&p.depot, &p.cache) >= REAP_STACK_SIZE_DEFAULT);
	CHECK_EQ(pool_counts(&p).decommitted, 1);
	CHECK(pool_get(&p, 0) == s[3]);
	CHECK_EQ(pool_counts(&p).slabs, 1);
	for (i = 0; i < 16; i++)
		reap__stack_put(&p.depot, &p.cache, s[i]);
	pool_fini(&p);
}

TEST(stack, cache_is_bounded_and_depot_is_capped)
{
	const struct reap_stack_options o = { .cache = 8, .depot = 16 };
	enum { N = 1000 };
	static struct reap__stack *s[N];
	struct pool p;
	int i;

	pool_init(&p, &o);
	for (i = 0; i < N; i++) {
		s[i] = pool_get(&p, 0);
		s[i]->top[-1] = 1;
	}
	for (i = 0; i < N; i++) {
		reap__stack_put(&p.depot, &p.cache, s[i]);
		CHECK(pool_counts(&p).cached <= 8);
		CHECK(pool_counts(&p).depot <= 16);
	}
	CHECK_EQ(pool_counts(&p).live, 0);
	CHECK(pool_counts(&p).returned > (N - 30) * REAP_STACK_SIZE_DEFAULT);
	pool_fini(&p);
}

TEST(stack, landing_alone_keeps_the_cache_bounded)
{
	const struct reap_stack_options o = { .cache = 8, .depot = 16 };
	enum { N = 1000 };
	static struct reap__stack *s[N];
	struct pool p;
	int i;

	pool_init(&p, &o);
	for (i = 0; i < N; i++)
		s[i] = pool_get(&p, 0);
	for (i = 0; i < N; i++) {
		CHECK(reap__stack_shelvable(s[i]));
		reap__stack_shelve(&p.cache, s[i]);
		CHECK(p.cache.count + p.cache.nspare <= 8);
	}
	CHECK_EQ(pool_counts(&p).live, 0);
	for (i = 0; i < 9; i++)			/* more than the cache has: the depot is asked, and sheds */
		s[i] = pool_get(&p, 0);
	CHECK(pool_counts(&p).depot <= 16);
	for (i = 0; i < 9; i++)
		reap__stack_put(&p.depot, &p.cache, s[i]);
	pool_fini(&p);
}

TEST(stack, landings_are_made_up_for_step_by_step)
{
	enum { N = 1000, STEP = 128 };
	const struct reap_stack_options o = { .cache = 8, .depot = 16 };
	static struct reap__stack *s[N];
	struct pool p;
	uint64_t before = 0, now;
	int i;

	pool_init(&p, &o);
	for (i = 0; i < N; i++)
		s[i] = pool_get(&p, 0);
	for (i = 0; i < N; i++)
		reap__stack_shelve(&p.cache, s[i]);
	CHECK_EQ(p.depot.returned, 0);
	while (reap__stack_unsettled(&p.depot)) {
		reap__stack_settle(&p.depot);
		now = p.depot.returned / p.depot.classes[0].size;
		CHECK(now > before && now - before < STEP + p.depot.batch);
		before = now;
	}
	CHECK(p.depot.warm <= p.depot.cap);
	CHECK_EQ(before + pool_counts(&p).depot + pool_counts(&p).cached, N);
	for (i = 0; i < N / 10; i++)
		s[i] = pool_get(&p, 0);
	for (i = 0; i < N / 10; i++)
		reap__stack_shelve(&p.cache, s[i]);
	CHECK(p.depot.incoming != NULL);
	reap__stack_trim(&p.depot, &p.cache);		/* makes up for all of it */
	CHECK(p.depot.incoming == NULL);
	CHECK_EQ(pool_counts(&p).mapped, 0);
	pool_fini(&p);
}

TEST(stack, a_worker_that_goes_leaves_no_more_than_the_cap)
{
	enum { N = 64 };
	const struct reap_stack_options o = { .cache = 32, .depot = 4 };
	struct reap__stack_cache cache;
	struct reap__stack *s[N];
	struct pool p;
	int i, n;

	pool_init(&p, &o);
	for (n = N / 4; n <= N; n *= 4) {		/* what the cache holds; and what it has passed on besides */
		reap__stack_cache_init(&cache, &p.depot);
		for (i = 0; i < n; i++)
			CHECK_EQ(reap__stack_get(&p.depot, &cache, 0, NULL, &s[i]), 0);
		for (i = 0; i < n; i++)
			reap__stack_shelve(&cache, s[i]);
		CHECK((p.depot.incoming != NULL) == (n == N));
		reap__stack_cache_fini(&cache);
		CHECK(p.depot.incoming == NULL && p.depot.warm <= p.depot.cap);
	}
	pool_fini(&p);
}

TEST(stack, memory_returns_to_the_baseline)
{
	enum { N = 20000 };
	static struct reap__stack *s[N];
	struct pool p;
	size_t before, peak;
	int i;

	memset(s, 1, sizeof(s));
	pool_init(&p, NULL);
	before = memory_resident();
	for (i = 0; i < N; i++) {
		s[i] = pool_get(&p, 0);
		s[i]->top[-1] = 1;
	}
	peak = memory_resident();
	CHECK(peak - before > N * (size_t)4096);
	for (i = 0; i < N; i++)
		reap__stack_put(&p.depot, &p.cache, s[i]);
	reap__stack_trim(&p.depot, &p.cache);
	CHECK(!numbers_are_ours() || memory_resident() < before + (512 << 10));
	CHECK_EQ(pool_counts(&p).mapped, 0);
	CHECK_EQ(pool_counts(&p).returned % p.depot.classes[0].size, 0);
	CHECK_EQ(pool_counts(&p).returned / p.depot.classes[0].size, N);
	for (i = 0; i < N; i++)
		s[i] = pool_get(&p, 0);		/* and the headers are used again */
	for (i = 0; i < N; i++)
		reap__stack_put(&p.depot, &p.cache, s[i]);
	pool_fini(&p);
}

TEST(stack, every_second_neighbour_freed_loses_nothing)
{
	enum { N = 20000 };
	static struct reap__stack *s[N];
	struct pool p;
	size_t full, half;
	uint64_t mapped;
	int i;

	pool_init(&p, NULL);
	for (i = 0; i < N; i++) {
		s[i] = pool_get(&p, 0);
		s[i]->top[-1] = 1;
		*s[i]->lo = 1;
	}
	full = memory_resident();
	mapped = pool_counts(&p).mapped;
	for (i = 0; i < N; i += 2)
		reap__stack_put(&p.depot, &p.cache, s[i]);
	reap__stack_trim(&p.depot, &p.cache);
	half = memory_resident();
	CHECK(!numbers_are_ours() || half < full - (size_t)N / 2 * 2 * 4096 * 9 / 10);
	for (i = 1; i < N; i += 2)
		CHECK(s[i]->top[-1] == 1 && *s[i]->lo == 1);
	CHECK_EQ(pool_counts(&p).live, N / 2);
	for (i = 0; i < N; i += 2) {
		s[i] = pool_get(&p, 0);
		s[i]->top[-1] = 1;
	}
	CHECK_EQ(pool_counts(&p).mapped, mapped);
	for (i = 0; i < N; i++)
		reap__stack_put(&p.depot, &p.cache, s[i]);
	reap__stack_trim(&p.depot, &p.cache);
	CHECK_EQ(pool_counts(&p).slabs, 0);
	pool_fini(&p);
}

TEST(stack, idle_ones_leave_after_their_time)
{
	enum { N = 200 };
	const struct reap_stack_options o = { .decay_ns = SECOND };
	struct reap__stack *s[N];
	struct pool p;
	uint64_t now = 1000, due;
	int i;

	pool_init_clock(&p, &o, read_clock, &now);
	CHECK(reap__stack_trim_aged(&p.depot, &p.cache) == UINT64_MAX);
	for (i = 0; i < N; i++)
		s[i] = pool_get(&p, 0);
	for (i = 0; i < N; i++)
		reap__stack_put(&p.depot, &p.cache, s[i]);
	CHECK_EQ(reap__stack_trim_aged(&p.depot, &p.cache), 1000 + SECOND);
	CHECK_EQ(pool_counts(&p).cached + pool_counts(&p).depot, N);
	now = 1000 + SECOND;
	due = reap__stack_trim_aged(&p.depot, &p.cache);	/* the period in which they came: they were needed */
	CHECK_EQ(due, now + SECOND);
	CHECK_EQ(pool_counts(&p).cached + pool_counts(&p).depot, N);
	now = due - 1;
	CHECK_EQ(reap__stack_trim_aged(&p.depot, &p.cache), due);
	CHECK_EQ(pool_counts(&p).cached + pool_counts(&p).depot, N);
	now = due;
	CHECK(reap__stack_trim_aged(&p.depot, &p.cache) == UINT64_MAX);
	CHECK_EQ(pool_counts(&p).mapped, 0);
	pool_fini(&p);
}

TEST(stack, what_is_needed_stays)
{
	enum { N = 200, NEEDED = 50 };
	const struct reap_stack_options o = { .decay_ns = SECOND, .cache = 32 };
	struct reap__stack *s[N];
	struct pool p;
	uint64_t now = 0;
	int i, round;

	pool_init_clock(&p, &o, read_clock, &now);
	for (i = 0; i < N; i++)
		s[i] = pool_get(&p, 0);
	for (i = 0; i < N; i++)
		reap__stack_put(&p.depot, &p.cache, s[i]);
	for (round = 0; round < 5; round++) {
		for (i = 0; i < NEEDED; i++)
			s[i] = pool_get(&p, 0);
		for (i = 0; i < NEEDED; i++)
			reap__stack_put(&p.depot, &p.cache, s[i]);
		now += SECOND;
		reap__stack_trim_aged(&p.depot, &p.cache);
		/* Batches of 16 are what travels, so a batch or two may stay besides. */
		CHECK(pool_counts(&p).cached + pool_counts(&p).depot >= NEEDED);
		if (round >= 1)
			CHECK(pool_counts(&p).cached + pool_counts(&p).depot <= NEEDED + 32);
	}
	CHECK_EQ(pool_counts(&p).misses, N);	/* all that came after was served warm */
	pool_fini(&p);
}

TEST(stack, what_the_cache_needs_stays)
{
	enum { N = 10, NEEDED = 4 };
	const struct reap_stack_options o = { .decay_ns = SECOND };
	struct reap__stack *s[N], *newest;
	struct pool p;
	uint64_t now = 0;
	int i, round;

	pool_init_clock(&p, &o, read_clock, &now);
	for (i = 0; i < N; i++)
		s[i] = pool_get(&p, 0);
	for (i = 0; i < N; i++)
		reap__stack_put(&p.depot, &p.cache, s[i]);
	for (round = 0; round < 4; round++) {
		now += SECOND;
		CHECK_EQ(reap__stack_trim_aged(&p.depot, &p.cache), now + SECOND);
		CHECK_EQ(pool_counts(&p).cached, round == 0 ? N : NEEDED);
		newest = s[round == 0 ? N - 1 : NEEDED - 1];
		for (i = 0; i < NEEDED; i++)
			s[i] = pool_get(&p, 0);
		CHECK(s[0] == newest);
		for (i = 0; i < NEEDED; i++)
			reap__stack_put(&p.depot, &p.cache, s[i]);
	}
	CHECK_EQ(pool_counts(&p).misses, N);
	pool_fini(&p);
}

TEST(stack, never_decays_if_told_so)
{
	const struct reap_stack_options o = { .decay_ns = UINT64_MAX };
	struct pool p;
	uint64_t now = 0;

	pool_init_clock(&p, &o, read_clock, &now);
	reap__stack_put(&p.depot, &p.cache, pool_get(&p, 0));
	now = UINT64_MAX;
	CHECK(reap__stack_trim_aged(&p.depot, &p.cache) == UINT64_MAX);
	CHECK_EQ(pool_counts(&p).cached, 1);
	pool_fini(&p);
}

/* More than a batch, so that both of them change places. */
TEST(stack, what_the_cache_needs_of_both_batches_stays)
{
	enum { N = 16, NEEDED = 9 };
	const struct reap_stack_options o = { .decay_ns = SECOND, .cache = N };
	struct reap__stack *s[N];
	struct pool p;
	uint64_t now = 0;
	int i, round;

	pool_init_clock(&p, &o, read_clock, &now);
	for (i = 0; i < N; i++)
		s[i] = pool_get(&p, 0);
	for (i = 0; i < N; i++)
		reap__stack_put(&p.depot, &p.cache, s[i]);
	for (round = 0; round < 4; round++) {
		now += SECOND;
		CHECK_EQ(reap__stack_trim_aged(&p.depot, &p.cache), now + SECOND);
		CHECK_EQ(pool_counts(&p).cached, round == 0 ? N : NEEDED);
		for (i = 0; i < NEEDED; i++)
			s[i] = pool_get(&p, 0);
		for (i = 0; i < NEEDED; i++)
			reap__stack_put(&p.depot, &p.cache, s[i]);
	}
	pool_fini(&p);
}

TEST(stack, what_came_after_a_trim_is_not_old)
{
	enum { N = 6 };
	const struct reap_stack_options o = { .decay_ns = SECOND };
	struct reap__stack *s[2 * N];
	struct pool p;
	uint64_t now = 0;
	int i;

	pool_init_clock(&p, &o, read_clock, &now);
	for (i = 0; i < 2 * N; i++)
		s[i] = pool_get(&p, 0);
	for (i = 0; i < N; i++)
		reap__stack_put(&p.depot, &p.cache, s[i]);
	now += SECOND;
	reap__stack_trim_aged(&p.depot, &p.cache);
	reap__stack_trim(&p.depot, &p.cache);
	CHECK_EQ(pool_counts(&p).cached, 0);
	for (i = N; i < 2 * N; i++)
		reap__stack_put(&p.depot, &p.cache, s[i]);
	now += SECOND;
	reap__stack_trim_aged(&p.depot, &p.cache);
	CHECK_EQ(pool_counts(&p).cached, N);
	pool_fini(&p);
}

TEST(stack, ageing_sees_to_all_that_is_kept)
{
	enum { N = 40 };
	const struct reap_stack_options o = { .decay_ns = SECOND, .cache = 8, .depot = 16 };
	struct reap__stack *s[N];
	struct pool p;
	uint64_t now = 0;
	int i;

	pool_init_clock(&p, &o, read_clock, &now);
	for (i = 0; i < N; i++)
		s[i] = pool_get(&p, 0);
	for (i = 0; i < N; i++)
		reap__stack_shelve(&p.cache, s[i]);
	CHECK(p.depot.warm == 0 && p.depot.incoming != NULL);
	CHECK_EQ(reap__stack_trim_aged(&p.depot, NULL), SECOND);	/* what landings have passed on is there */
	CHECK(p.depot.warm != 0 && p.depot.warm <= p.depot.cap);
	reap__stack_trim(&p.depot, &p.cache);
	CHECK_EQ(pool_counts(&p).mapped, 0);

	s[0] = pool_get(&p, 0);
	reap__stack_put(&p.depot, NULL, s[0]);
	CHECK_EQ(reap__stack_trim_aged(&p.depot, &p.cache), SECOND);	/* for the depot, the cache being empty */
	s[1] = pool_get(&p, 512 << 10);
	reap__stack_put(&p.depot, NULL, s[1]);
	CHECK_EQ(pool_counts(&p).depot, 2);
	now = SECOND;
	reap__stack_trim_aged(&p.depot, &p.cache);
	now = 2 * SECOND;
	CHECK(reap__stack_trim_aged(&p.depot, &p.cache) == UINT64_MAX);
	CHECK_EQ(pool_counts(&p).mapped, 0);				/* other sizes, too */
	pool_fini(&p);
}

TEST(stack, decays_later_than_the_clock_can_tell)
{
	const struct reap_stack_options o = { .decay_ns = UINT64_MAX - 1 };
	struct pool p;
	uint64_t now = 1000;

	pool_init_clock(&p, &o, read_clock, &now);
	reap__stack_put(&p.depot, &p.cache, pool_get(&p, 0));
	CHECK(reap__stack_trim_aged(&p.depot, &p.cache) == UINT64_MAX);
	pool_fini(&p);
}

/* All that it has is its second batch: that ages, and goes when it is asked for. */
TEST(stack, a_cache_may_hold_its_spare_batch_alone)
{
	enum { N = 8 };
	const struct reap_stack_options o = { .decay_ns = SECOND, .cache = N };
	struct reap__stack_cache other;
	struct reap__stack *s[N];
	struct pool p;
	uint64_t now = 0;
	int i;

	pool_init_clock(&p, &o, read_clock, &now);
	reap__stack_cache_init(&other, &p.depot);
	for (i = 0; i < N; i++)
		s[i] = pool_get(&p, 0);
	for (i = 0; i < N; i++)
		reap__stack_put(&p.depot, &other, s[i]);
	for (i = 0; i < N / 2; i++)
		CHECK_EQ(reap__stack_get(&p.depot, &other, 0, NULL, &s[i]), 0);
	CHECK(other.count == 0 && other.nspare == N / 2);
	CHECK_EQ(reap__stack_trim_aged(&p.depot, &other), SECOND);
	reap__stack_trim(&p.depot, &p.cache);
	CHECK(reap__stack_trim_aged(&p.depot, &other) == UINT64_MAX);
	CHECK_EQ(pool_counts(&p).cached, 0);
	for (i = 0; i < N / 2; i++)
		reap__stack_put(&p.depot, &other, s[i]);
	reap__stack_cache_fini(&other);
	pool_fini(&p);
}

TEST(stack, after_a_trim_all_is_as_before)
{
	struct reap__stack *s[2];
	struct pool p;
	int i;

	pool_init(&p, NULL);
	for (i = 0; i < 2; i++)
		s[i] = pool_get(&p, 0);
	reap__stack_trim(&p.depot, &p.cache);
	CHECK_EQ(p.cache.besides, 0);			/* the warm path is open */
	for (i = 0; i < 2; i++)
		reap__stack_shelve(&p.cache, s[i]);
	s[1] = pool_get(&p, 0);
	CHECK_EQ(pool_counts(&p).cached, 1);		/* what came later stays */
	reap__stack_put(&p.depot, &p.cache, s[1]);
	pool_fini(&p);
}

TEST(stack, trim_reaches_the_caches_of_others)
{
	struct pool p;
	struct reap__stack_cache other;
	struct reap__stack *s[3];
	int i;

	pool_init(&p, NULL);
	reap__stack_cache_init(&other, &p.depot);
	for (i = 0; i < 3; i++)
		CHECK_EQ(reap__stack_get(&p.depot, &other, 0, NULL, &s[i]), 0);
	for (i = 0; i < 3; i++)
		reap__stack_put(&p.depot, &other, s[i]);
	reap__stack_trim(&p.depot, &p.cache);
	CHECK_EQ(pool_counts(&p).cached, 3);
	CHECK_EQ(reap__stack_get(&p.depot, &other, 0, NULL, &s[0]), 0);
	CHECK_EQ(pool_counts(&p).cached, 0);
	CHECK_EQ(pool_counts(&p).live, 1);
	CHECK_EQ(reap__stack_get(&p.depot, &other, 0, NULL, &s[1]), 0);
	reap__stack_put(&p.depot, &other, s[1]);
	reap__stack_trim(&p.depot, &p.cache);
	reap__stack_put(&p.depot, &other, s[0]);	/* a put obeys as a get does */
	CHECK_EQ(pool_counts(&p).cached, 1);
	reap__stack_cache_fini(&other);
	CHECK_EQ(pool_counts(&p).depot, 1);
	CHECK_EQ(pool_counts(&p).cache_hits, 1);
	pool_fini(&p);
}

TEST(stack, one_cap_is_for_all_sizes)
{
	enum { CAP = 16, N = 32 };
	const struct reap_stack_options o = { .cache = 2, .depot = CAP };
	struct reap__stack *s[N], *large;
	const struct reap__stack *batch;
	struct pool p;
	int i;

	pool_init(&p, &o);
	for (i = 0; i < N; i++)
		s[i] = pool_get(&p, 0);
	for (i = 0; i < CAP; i++)
		reap__stack_put(&p.depot, NULL, s[i]);
	CHECK_EQ(pool_counts(&p).depot, CAP);		/* full, and no more than that */
	for (batch = p.depot.classes[0].warm; batch != NULL; batch = batch->batch)
		CHECK(batch->count <= p.depot.batch);
	reap__stack_trim(&p.depot, &p.cache);

	large = pool_get(&p, 512 << 10);
	reap__stack_put(&p.depot, &p.cache, large);
	CHECK_EQ(p.depot.warm, large->hi - large->lo);
	CHECK(pool_get(&p, 512 << 10) == large);
	CHECK_EQ(p.depot.warm, 0);
	/* Landings, which do not look at the cap; whoever puts another size does. */
	for (i = CAP - 2; i >= 0; i--)
		s[i] = pool_get(&p, 0);
	for (i = 0; i < N; i++)
		if (i != CAP - 1)
			reap__stack_shelve(&p.cache, s[i]);
	CHECK(p.depot.warm == 0 && p.depot.incoming != NULL);
	reap__stack_put(&p.depot, &p.cache, large);
	CHECK(p.depot.warm <= p.depot.cap && p.depot.incoming == NULL);
	reap__stack_trim(&p.depot, &p.cache);
	CHECK_EQ(pool_counts(&p).mapped, 0);
	pool_fini(&p);
}

TEST(stack, a_header_that_is_used_again_remembers_nothing)
{
	enum { N = 16 + 16 + 32 + 64 };			/* in four slabs; the records of the last one need two pages */
	const struct reap_stack_options o = { .flags = REAP_STACK_NO_GUARD_INSTALL };
	struct reap__stack *s[N], *last;
	const struct reap__slab *slab, *like;
	struct pool p;
	int i, round;

	pool_init(&p, &o);
	for (i = 0; i < N; i++)
		s[i] = pool_get(&p, 0);
	CHECK_EQ(pool_counts(&p).slabs, 4);
	slab = s[0]->slab;
	like = s[16]->slab;
	last = s[N - 1];
	for (i = 0; i < N; i++)
		reap__stack_put(&p.depot, &p.cache, s[i]);
	CHECK_EQ(reap__stack_trim(&p.depot, &p.cache), N * p.depot.classes[0].size);
	CHECK_EQ(pool_counts(&p).maps, 0);
	CHECK(reap__os_page() > 4096 || last->hi == NULL);	/* given back */
	for (round = 0; round < 2; round++) {
		s[0] = pool_get(&p, 0);
		CHECK(s[0]->slab == slab || s[0]->slab == like);
		CHECK_EQ(pool_counts(&p).maps, 2);
		reap__stack_put(&p.depot, &p.cache, s[0]);
		CHECK_EQ(reap__stack_trim(&p.depot, &p.cache), p.depot.classes[0].size);
		CHECK_EQ(pool_counts(&p).maps, 0);
	}
	pool_fini(&p);
}
