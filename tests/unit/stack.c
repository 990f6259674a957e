/* SPDX-License-Identifier: ISC */
/*
 * stack.c: the pool of stacks: sizes, order of reuse, lookup, embedders' memory, and its books.  How many are kept, and for how long,
 * is in stack_kept.c, guards and limits in stack_faults.c, pages in stack_pages.c, failing system calls in tests/fault/stack_nth.c.
 */
#include <errno.h>
#include <pthread.h>

#include "os/os.h"
#include "stack/stack.h"

#include "stack_pool.h"
#include "test.h"

TEST(stack, minimum_holds_a_signal_frame)
{
	CHECK(reap_stack_minimum() >= reap__os_signal_frame() + 4096);	/* and more than that */
}

static int	test_alloc(void *cookie, size_t size, void **base);
static void	test_free(void *cookie, void *base, size_t size);

TEST(stack, options_are_checked)
{
	const struct reap_stack_ops none = { .alloc = NULL }, gives = { .alloc = test_alloc }, takes = { .free = test_free };
	struct reap_stack_options o[] = {
		{ .size = reap_stack_minimum() - 1 }, { .size = SIZE_MAX }, { .guard = SIZE_MAX - 1 }, { .cache = 1 },
		{ .cache = (unsigned)INT32_MAX + 1 },
		{ .flags = 0x8 }, { .ops = &none }, { .ops = &gives }, { .ops = &takes },
		{ .size = SIZE_MAX / 2, .guard = SIZE_MAX / 2 }
	};
	struct reap__depot d;
	size_t i;

	for (i = 0; i < sizeof(o) / sizeof(o[0]); i++)
		CHECK_EQ(reap__depot_init(&d, &o[i], reap__os_clock, NULL), -EINVAL);
}

TEST(stack, size_is_what_was_promised)
{
	static const size_t sizes[] = { 0, 16384, 20000, 65536, 65537, 69000, 100000, 1 << 20, 5 << 20 };
	struct pool p;
	size_t i, k;

	pool_init(&p, NULL);
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct reap__stack *s[100];
		size_t size = sizes[i] != 0 ? sizes[i] : REAP_STACK_SIZE_DEFAULT;

		for (k = 0; k < 100; k++) {
			s[k] = pool_get(&p, sizes[i]);
			CHECK((size_t)(s[k]->top - s[k]->lo) >= size);
			CHECK((uintptr_t)s[k]->top % 64 == 0 && s[k]->top <= s[k]->hi);
			*s[k]->lo = s[k]->top[-1] = 1;
		}
		for (k = 0; k < 100; k++)
			reap__stack_put(&p.depot, &p.cache, s[k]);
	}
	CHECK_EQ(pool_counts(&p).live, 0);
	pool_fini(&p);
}

TEST(stack, sizes_out_of_range_are_refused)
{
	struct pool p;
	struct reap__stack *s;

	pool_init(&p, NULL);
	CHECK_EQ(reap__stack_get(&p.depot, &p.cache, 1, NULL, &s), -EINVAL);
	CHECK_EQ(reap__stack_get(&p.depot, &p.cache, reap_stack_minimum() - 1, NULL, &s), -EINVAL);
	CHECK_EQ(reap__stack_get(&p.depot, &p.cache, SIZE_MAX, NULL, &s), -ENOMEM);
	CHECK_EQ(reap__stack_get(&p.depot, NULL, SIZE_MAX / 2 + 2, NULL, &s), -ENOMEM);
	CHECK_EQ(pool_counts(&p).enomem_memory, 2);
	CHECK_EQ(pool_counts(&p).mapped, 0);
	pool_fini(&p);
}

TEST(stack, the_least_is_enough)
{
	static char memory[32768];
	const size_t least = reap_stack_minimum();
	struct reap__stack *s;
	struct pool p;

	pool_init(&p, NULL);
	CHECK(least <= sizeof(memory));
	s = pool_get(&p, least);
	reap__stack_put(&p.depot, &p.cache, s);
	CHECK_EQ(reap__stack_adopt(&p.depot, memory, least, &s), 0);
	CHECK_EQ(reap__stack_adopt(&p.depot, memory, least - 1, &s), -EINVAL);
	pool_fini(&p);
}

/* Where the default is as good as any, it is taken: it is in every cache.  Where it is far too large, not. */
TEST(stack, default_size_is_taken_where_it_fits)
{
	const struct reap_stack_options large = { .size = 1 << 20 };
	struct reap__stack *s;
	struct pool p;

	pool_init(&p, NULL);
	s = pool_get(&p, REAP_STACK_SIZE_DEFAULT);
	CHECK(reap__stack_shelvable(s));
	reap__stack_put(&p.depot, &p.cache, s);
	pool_fini(&p);
	pool_init(&p, &large);
	s = pool_get(&p, 16384);
	CHECK(s->hi - s->lo < 65536);
	reap__stack_put(&p.depot, &p.cache, s);
	pool_fini(&p);
}

TEST(stack, tops_do_not_share_a_set)
{
	enum { N = 480, SETS = 64 };
	struct pool p;
	struct reap__stack *s[N];
	unsigned set[SETS] = { 0 }, most = 0;
	int i;

	pool_init(&p, NULL);
	for (i = 0; i < N; i++) {
		s[i] = pool_get(&p, 0);
		most = ++set[(uintptr_t)s[i]->top / 64 % SETS] > most ? set[(uintptr_t)s[i]->top / 64 % SETS] : most;
	}
	CHECK(most <= 2 * N / SETS);
	for (i = 0; i < N; i++)
		reap__stack_put(&p.depot, &p.cache, s[i]);
	pool_fini(&p);
}

TEST(stack, five_contexts_map_little)
{
	struct pool p;
	struct reap__stack *s[5];
	size_t before = memory_resident();
	int i;

	pool_init(&p, NULL);
	for (i = 0; i < 5; i++) {
		s[i] = pool_get(&p, 0);
		s[i]->top[-1] = 1;
	}
	CHECK(pool_counts(&p).mapped * p.depot.classes[0].stride < 2 << 20);
	CHECK(!numbers_are_ours() || memory_resident() - before < 256 << 10);
	for (i = 0; i < 5; i++)
		reap__stack_put(&p.depot, &p.cache, s[i]);
	pool_fini(&p);
}

TEST(stack, last_put_is_first_got)
{
	struct pool p;
	struct reap__stack *a, *b;

	pool_init(&p, NULL);
	a = pool_get(&p, 0);
	b = pool_get(&p, 0);
	reap__stack_put(&p.depot, &p.cache, a);
	reap__stack_shelve(&p.cache, b);
	CHECK(pool_get(&p, 0) == b);
	CHECK(pool_get(&p, 0) == a);
	reap__stack_put(&p.depot, NULL, a);
	CHECK(pool_get(&p, 0) == a);	/* from the depot */
	reap__stack_put(&p.depot, &p.cache, a);
	reap__stack_put(&p.depot, &p.cache, b);
	pool_fini(&p);
}

TEST(stack, other_sizes_are_kept_too)
{
	struct pool p;
	struct reap__stack *a, *b;

	pool_init(&p, NULL);
	a = pool_get(&p, 1 << 20);
	CHECK(!reap__stack_shelvable(a));
	reap__stack_put(&p.depot, &p.cache, a);
	CHECK_EQ(pool_counts(&p).depot, 1);
	b = pool_get(&p, (1 << 20) - 5);
	CHECK(b == a);
	reap__stack_put(&p.depot, &p.cache, b);
	reap__stack_trim(&p.depot, &p.cache);
	CHECK_EQ(pool_counts(&p).mapped, 0);
	pool_fini(&p);
}

TEST(stack, slabs_are_bounded_in_bytes)
{
	static const size_t sizes[] = { 2 << 20, 8 << 20, 32 << 20 };
	struct pool p;
	size_t i;

	pool_init(&p, NULL);
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct reap__stack *s = pool_get(&p, sizes[i]);

		CHECK(pool_counts(&p).mapped * (size_t)(s->hi - s->lo) <= 64 << 20);
		reap__stack_put(&p.depot, &p.cache, s);
		reap__stack_trim(&p.depot, &p.cache);
		CHECK_EQ(pool_counts(&p).mapped, 0);
	}
	pool_fini(&p);
}

TEST(stack, lookup_knows_inside_guard_and_outside)
{
	struct pool p;
	struct reap__stack *s;
	struct reap_stack_info info;
	struct reap_context *who = (struct reap_context *)(void *)&p;	/* never followed */
	char here;

	pool_init(&p, NULL);
	s = pool_get(&p, 0);
	CHECK_EQ(reap__stack_lookup(&p.depot, s->lo, &info), 0);
	CHECK(info.context == NULL && info.lo == s->lo && info.hi == s->hi && !info.guard);
	REAP_STORE_RELAXED(&s->owner, who);	/* no order: one thread */
	CHECK_EQ(reap__stack_lookup(&p.depot, s->hi - 1, &info), 0);
	CHECK(info.context == who && !info.guard);
	CHECK_EQ(reap__stack_lookup(&p.depot, s->lo - 1, &info), 0);
	CHECK(info.context == who && info.guard && info.lo == s->lo);
	CHECK_EQ(reap__stack_lookup(&p.depot, s->lo - p.depot.classes[0].guard, &info), 0);	/* the first of the slab ... */
	CHECK(info.guard && info.lo == s->lo);
	CHECK_EQ(reap__stack_lookup(&p.depot, s->lo - p.depot.classes[0].guard + 16 * p.depot.classes[0].stride - 1, &info), 0);
	CHECK(!info.guard);
	CHECK_EQ(reap__stack_lookup(&p.depot, info.hi, &info), -ENOENT);			/* ... and behind the last */
	CHECK_EQ(reap__stack_lookup(&p.depot, &here, &info), -ENOENT);
	CHECK_EQ(reap__stack_lookup(&p.depot, NULL, &info), -ENOENT);
	reap__stack_put(&p.depot, &p.cache, s);
	CHECK_EQ(reap__stack_lookup(&p.depot, s->lo, &info), 0);
	CHECK(info.context == NULL);
	CHECK(pool_get(&p, 0) == s);
	REAP_STORE_RELAXED(&s->owner, who);	/* no order: one thread */
	reap__stack_put(&p.depot, NULL, s);	/* past the cache */
	CHECK_EQ(reap__stack_lookup(&p.depot, s->lo, &info), 0);
	CHECK(info.context == NULL);
	reap__stack_trim(&p.depot, &p.cache);
	CHECK_EQ(reap__stack_lookup(&p.depot, info.lo, &info), -ENOENT);
	pool_fini(&p);
}

TEST(stack, recycled_reads_as_zero_if_scrubbed)
{
	const struct reap_stack_options o = { .flags = REAP_STACK_SCRUB };
	struct pool p;
	struct reap__stack *s;
	char *c;
	int way;

	pool_init(&p, &o);
	for (way = 0; way < 4; way++) {
		s = pool_get(&p, 0);
		for (c = s->lo; c < s->hi; c++)
			CHECK_EQ(*c, 0);
		memset(s->lo, 0x5a, (size_t)(s->hi - s->lo));
		if (way == 0)
			reap__stack_shelve(&p.cache, s);
		else
			reap__stack_put(&p.depot, way == 1 ? &p.cache : NULL, s);
	}
	CHECK(pool_counts(&p).cache_hits == 2 && pool_counts(&p).depot_hits == 1 && pool_counts(&p).misses == 1);
	reap__stack_trim(&p.depot, &p.cache);
	s = pool_get(&p, 0);
	memset(s->lo, 0x5a, (size_t)(s->hi - s->lo));
	reap__stack_put(&p.depot, &p.cache, s);
	s = pool_get(&p, 0);				/* after a trim as before it */
	for (c = s->lo; c < s->hi; c++)
		CHECK_EQ(*c, 0);
	reap__stack_put(&p.depot, &p.cache, s);
	pool_fini(&p);
}

struct allocator {
	int	allocs;
	int	frees;
	int	error;
	void	*memory;
	size_t	size;
};

static int
test_alloc(void *cookie, size_t size, void **base)
{
	struct allocator *a = cookie;

	if (a->error != 0)
		return a->error;
	a->allocs++;
	a->size = size;
	a->memory = *base = malloc(size);
	CHECK(*base != NULL);
	return 0;
}

static void
test_free(void *cookie, void *base, size_t size)
{
	struct allocator *a = cookie;

	a->frees++;
	CHECK(base == a->memory && size == a->size);
	free(base);
}

TEST(stack, ops_get_back_what_they_gave_once)
{
	struct allocator of_domain = { 0 }, of_context = { 0 };
	const struct reap_stack_ops a = { test_alloc, test_free, &of_domain }, b = { test_alloc, test_free, &of_context };
	const struct reap_stack_options o = { .ops = &a, .size = 30001 };
	struct pool p;
	struct reap__stack *s, *t;
	struct reap_stack_info info;

	pool_init(&p, &o);
	s = pool_get(&p, 0);
	CHECK_EQ(of_domain.size, 30001);
	CHECK(!reap__stack_shelvable(s) && (uintptr_t)s->top % 64 == 0);
	CHECK_EQ(reap__stack_lookup(&p.depot, s->lo, &info), -ENOENT);
	CHECK_EQ(reap__stack_get(&p.depot, &p.cache, 50000, &b, &t), 0);
	CHECK_EQ(of_context.size, 50000);
	memset(s->lo, 1, (size_t)(s->top - s->lo));
	reap__stack_put(&p.depot, &p.cache, s);
	CHECK(of_domain.allocs == 1 && of_domain.frees == 1 && of_context.frees == 0);
	reap__stack_put(&p.depot, NULL, t);
	CHECK(of_context.allocs == 1 && of_context.frees == 1);
	of_domain.error = -EMFILE;
	CHECK_EQ(reap__stack_get(&p.depot, &p.cache, 0, NULL, &s), -EMFILE);
	CHECK_EQ(reap__stack_get(&p.depot, &p.cache, 100, NULL, &s), -EINVAL);
	CHECK_EQ(pool_counts(&p).mapped, 0);
	pool_fini(&p);
}

TEST(stack, ops_are_asked_though_the_cache_is_warm)
{
	struct allocator of_context = { 0 };
	const struct reap_stack_ops ops = { test_alloc, test_free, &of_context };
	struct reap__stack *s;
	struct pool p;

	pool_init(&p, NULL);
	reap__stack_put(&p.depot, &p.cache, pool_get(&p, 0));
	CHECK_EQ(reap__stack_get(&p.depot, &p.cache, 0, &ops, &s), 0);
	CHECK(of_context.allocs == 1 && of_context.size == REAP_STACK_SIZE_DEFAULT);
	reap__stack_put(&p.depot, &p.cache, s);
	CHECK_EQ(of_context.frees, 1);
	CHECK_EQ(pool_counts(&p).cached, 1);
	pool_fini(&p);
}

TEST(stack, adopted_memory_is_used_and_forgotten)
{
	static char memory[20000];
	struct pool p;
	struct reap__stack *s;

	pool_init(&p, NULL);
	CHECK_EQ(reap__stack_adopt(&p.depot, memory, 100, &s), -EINVAL);
	CHECK_EQ(reap__stack_adopt(&p.depot, NULL, sizeof(memory), &s), -EINVAL);
	CHECK_EQ(reap__stack_adopt(&p.depot, memory + 3, sizeof(memory) - 3, &s), 0);
	CHECK(s->lo == memory + 3 && s->top > memory + sizeof(memory) - 512 && s->top < memory + sizeof(memory));
	CHECK((uintptr_t)s->top % 64 == 0 && !reap__stack_shelvable(s));
	memset(s->lo, 1, (size_t)(s->top - s->lo));
	reap__stack_put(&p.depot, &p.cache, s);
	CHECK_EQ(pool_counts(&p).cached, 0);
	pool_fini(&p);
}

/* One worker creates, another frees; a ring between them. */
enum { RING = 256 };

struct relay {
	struct reap__depot *depot;
	struct reap__stack *ring[RING];
	uint32_t put;
	uint32_t got;
	uint32_t rounds;
	bool	 landing;
};

static void *
free_all(void *arg)
{
	struct relay *r = arg;
	struct reap__stack_cache cache;
	uint32_t i;

	reap__stack_cache_init(&cache, r->depot);
	for (i = 0; i < r->rounds; i++) {
		/* Pairs with the release in the test: the stack in the ring. */
		while (REAP_LOAD_ACQUIRE(&r->put) == i)
			reap__os_wait(&r->put, i);
		if (r->landing)
			reap__stack_shelve(&cache, r->ring[i % RING]);
		else
			reap__stack_put(r->depot, &cache, r->ring[i % RING]);
		REAP_STORE_RELEASE(&r->got, i + 1);	/* pairs with the acquire in the test: the room in the ring */
		if (i % (RING / 2) == 0)
			reap__os_wake(&r->got);
	}
	reap__stack_cache_fini(&cache);
	return NULL;
}

static void
one_creates_another_frees(bool landing)
{
	struct pool p;
	struct relay r = { .rounds = check_divided(check_long() ? 10000000 : 1000000), .landing = landing };
	pthread_t thread;
	uint32_t i, got;

	pool_init(&p, NULL);
	r.depot = &p.depot;
	CHECK_EQ(pthread_create(&thread, NULL, free_all, &r), 0);
	for (i = 0; i < r.rounds; i++) {
		struct reap__stack *s = pool_get(&p, 0);

		s->top[-1] = (char)i;
		/* Pairs with the release in free_all(): the room in the ring. */
		while (i - (got = REAP_LOAD_ACQUIRE(&r.got)) == RING)
			reap__os_yield();
		r.ring[i % RING] = s;
		REAP_STORE_RELEASE(&r.put, i + 1);	/* pairs with the acquire in free_all(): the stack in the ring */
		if (i % (RING / 2) == 0 || i - got < 2)
			reap__os_wake(&r.put);
	}
	reap__os_wake(&r.put);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	/* Ring, both caches, and what the depot had not seen yet; slabs double. */
	CHECK(pool_counts(&p).mapped <= 1024);
	CHECK(pool_counts(&p).misses <= 512);
	CHECK_EQ(pool_counts(&p).live, 0);
	pool_fini(&p);
}

TEST(stack, put_elsewhere_comes_back)
{
	one_creates_another_frees(false);
}

TEST(stack, shelved_elsewhere_comes_back)
{
	one_creates_another_frees(true);
}

TEST(stack, a_thousand_workers_leave_nothing)
{
	enum { WORKERS = 1000, EACH = 100 };
	struct pool p;
	struct reap__stack *s[EACH];
	int w, i;

	pool_init(&p, NULL);
	for (w = 0; w < WORKERS; w++) {
		struct reap__stack_cache cache;

		reap__stack_cache_init(&cache, &p.depot);
		for (i = 0; i < EACH; i++)
			CHECK_EQ(reap__stack_get(&p.depot, &cache, 0, NULL, &s[i]), 0);
		for (i = 0; i < EACH; i++)
			reap__stack_shelve(&cache, s[i]);
		reap__stack_cache_fini(&cache);
	}
	CHECK_EQ(pool_counts(&p).misses, EACH);
	CHECK_EQ(pool_counts(&p).depot, EACH);
	CHECK_EQ(pool_counts(&p).cache_hits + pool_counts(&p).depot_hits, (WORKERS - 1) * EACH);
	pool_fini(&p);
}

/* Random operations against a model that only counts; contents must survive while a stack is out. */
TEST(stack, random_operations_keep_the_books)
{
	enum { N = 300, STEPS = 200000 };
	static const size_t sizes[] = { 0, 0, 0, 16384, 200000 };
	const struct reap_stack_options o = { .cache = 6, .depot = 20, .decay_ns = 100 };
	struct reap__stack *s[N] = { 0 };
	struct pool p;
	uint64_t now = 0, live = 0, x = 88172645463325252u;
	int step, i;

	pool_init_clock(&p, &o, read_clock, &now);
	for (step = 0; step < (int)check_divided(STEPS); step++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		i = (int)(x >> 8) & 255;
		if (x % 1000 == 0) {
			reap__stack_trim(&p.depot, &p.cache);
		} else if (x % 1000 < 20) {
			now += x >> 60;
			reap__stack_trim_aged(&p.depot, &p.cache);
		} else if (s[i] == NULL) {
			CHECK_EQ(reap__stack_get(&p.depot, x % 7 != 0 ? &p.cache : NULL, sizes[x % 5], NULL, &s[i]), 0);
			s[i]->top[-1] = (char)i;
			*s[i]->lo = (char)i;
			live++;
		} else {
			CHECK(s[i]->top[-1] == (char)i && *s[i]->lo == (char)i);
			if (reap__stack_shelvable(s[i]) && x % 3 == 0)
				reap__stack_shelve(&p.cache, s[i]);
			else
				reap__stack_put(&p.depot, x % 11 != 0 ? &p.cache : NULL, s[i]);
			s[i] = NULL;
			live--;
		}
		if (step % 64 == 0) {
			CHECK_EQ(pool_counts(&p).live, live);
			CHECK(pool_counts(&p).cached <= 6);
		}
	}
	for (i = 0; i < N; i++)
		if (s[i] != NULL)
			reap__stack_put(&p.depot, &p.cache, s[i]);
	reap__stack_trim(&p.depot, &p.cache);
	CHECK_EQ(pool_counts(&p).mapped, 0);
	pool_fini(&p);
}

/*
 * What is promised is there when it is fetched, and no stack is in two hands, whatever is put, spilled, trimmed or aged meanwhile.
 */
TEST(stack, promises_are_kept)
{
	struct pool		 p;
	struct reap__stack	*held[128], *s;
	unsigned		 promised = 0, n = 0, seed = 1;
	struct reap__stack_counts counts;
	uint64_t		 now = 0;

	pool_init_clock(&p, &(struct reap_stack_options){ .cache = 8, .depot = 24, .decay_ns = 40 }, read_clock, &now);
	for (unsigned step = 0; step < 100000; step++, now++) {
		unsigned what = (seed = seed * 1103515245 + 12345) >> 16 & 63, which = n != 0 ? (seed >> 8) % n : 0;

		if (what < 20 && p.cache.count != 0 && promised < 64) {
			reap__stack_promise(&p.cache);
			promised++;
		} else if (what < 32 && promised != 0 && n < 64) {
			promised--;
			held[n++] = reap__stack_fetch(&p.cache);
		} else if (what < 36 && promised != 0 && p.cache.count < p.cache.batch) {
			promised--;
			reap__stack_unpromise(&p.cache);
		} else if (what < 48 && n < 64) {
			CHECK_EQ(reap__stack_get(&p.depot, &p.cache, 0, NULL, &held[n]), 0);
			n++;
		} else if (what < 61 && n != 0) {
			s = held[which];
			held[which] = held[--n];
			if (what & 1)
				reap__stack_shelve(&p.cache, s);
			else
				reap__stack_put(&p.depot, &p.cache, s);
		} else if (what == 61)
			(void)reap__stack_trim(&p.depot, &p.cache);
		else if (what == 62)
			(void)reap__stack_trim_aged(&p.depot, &p.cache);
		for (unsigned i = 0; i + 1 < n; i++)
			CHECK(held[i] != held[n - 1]);
		CHECK(p.cache.count <= p.cache.batch && p.cache.nspare <= p.cache.batch);
	}
	reap__depot_stats(&p.depot, &counts);
	CHECK_EQ(counts.live, n + promised);
	while (promised-- != 0)
		held[n++] = reap__stack_fetch(&p.cache);
	while (n-- != 0)
		reap__stack_put(&p.depot, &p.cache, held[n]);
	reap__depot_stats(&p.depot, &counts);
	CHECK_EQ(counts.live, 0);
	pool_fini(&p);
}
