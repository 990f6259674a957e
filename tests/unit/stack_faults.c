/* SPDX-License-Identifier: ISC */
/*
 * stack_faults.c: the pool of stacks where it meets the system: guards, quarantine, the limits of mappings and memory.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "os/os.h"
#include "stack/stack.h"

#include "stack_pool.h"
#include "test.h"

static bool
touching_faults(const char *p)
{
	int status;
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL);
		signal(SIGBUS, SIG_DFL);
		(void)*(const volatile char *)p;
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	return WIFSIGNALED(status) && (WTERMSIG(status) == SIGSEGV || WTERMSIG(status) == SIGBUS);
}

static void
overflow_faults(unsigned flags, size_t guard)
{
	const struct reap_stack_options o = { .flags = flags, .guard = guard };
	struct pool p;
	struct reap__stack *s[20];
	int i;

	pool_init(&p, &o);
	for (i = 0; i < 20; i++)
		s[i] = pool_get(&p, 0);
	for (i = 0; i < 20; i += 19) {
		CHECK(touching_faults(s[i]->lo - 1));
		CHECK(touching_faults(s[i]->lo - (guard != 0 ? guard : 1)));
		CHECK(!touching_faults(s[i]->lo));
		CHECK(!touching_faults(s[i]->hi - 1));
	}
	for (i = 0; i < 20; i += 2)
		reap__stack_put(&p.depot, &p.cache, s[i]);
	reap__stack_trim(&p.depot, &p.cache);
	for (i = 0; i < 20; i += 2)
		s[i] = pool_get(&p, 0);		/* decommitted and used again: still guarded */
	for (i = 0; i < 20; i++) {
		CHECK(touching_faults(s[i]->lo - 1));
		reap__stack_put(&p.depot, &p.cache, s[i]);
	}
	reap__stack_trim(&p.depot, &p.cache);
	CHECK_EQ(pool_counts(&p).mapped, 0);
	for (i = 0; i < 20; i++) {
		s[i] = pool_get(&p, 0);		/* mapped again, by a header that was used before: guarded again */
		CHECK(touching_faults(s[i]->lo - 1));
	}
	for (i = 0; i < 20; i++)
		reap__stack_put(&p.depot, &p.cache, s[i]);
	pool_fini(&p);
}

TEST(stack_faults, overflow_faults_by_marker)
{
	if (!reap__os_marker_works())
		SKIP("no MADV_GUARD_INSTALL here");
	overflow_faults(0, 0);
	overflow_faults(0, 100000);
}

TEST(stack_faults, overflow_faults_by_protection)
{
	overflow_faults(REAP_STACK_NO_GUARD_INSTALL, 0);
	overflow_faults(REAP_STACK_NO_GUARD_INSTALL, 100000);
}

TEST(stack_faults, unguarded_only_if_told_so)
{
	const struct reap_stack_options o = { .flags = REAP_STACK_UNGUARDED | REAP_STACK_NO_GUARD_INSTALL, .maps = 1 };
	struct pool p;
	struct reap__stack *a, *b;
	struct reap_stack_info info;

	pool_init(&p, &o);
	a = pool_get(&p, 0);
	b = pool_get(&p, 0);
	CHECK(a->hi == b->lo);
	CHECK_EQ(reap__stack_lookup(&p.depot, b->lo - 1, &info), 0);
	CHECK(!info.guard && info.hi == a->hi);
	CHECK_EQ(pool_counts(&p).maps, 0);
	reap__stack_put(&p.depot, &p.cache, a);
	reap__stack_put(&p.depot, &p.cache, b);
	pool_fini(&p);
}

TEST(stack_faults, two_hundred_thousand_in_a_thousand_mappings)
{
	enum { N = 200000 };
	static struct reap__stack *s[N];
	struct pool p;
	size_t before;
	int i;

	if (!reap__os_marker_works())
		SKIP("no MADV_GUARD_INSTALL here");
	if (sizeof(void *) < 8)
		SKIP("more addresses than 32 bits have");
	pool_init(&p, NULL);
	before = mappings();
	for (i = 0; i < N; i++) {
		s[i] = pool_get(&p, 0);
		if (i % 16 == 0)
			s[i]->top[-1] = 1;
	}
	CHECK(mappings() - before < 1000);
	CHECK_EQ(pool_counts(&p).live, N);
	for (i = 0; i < N; i += N / 8)
		CHECK(touching_faults(s[i]->lo - 1));
	for (i = 0; i < N; i++)
		reap__stack_put(&p.depot, &p.cache, s[i]);
	reap__stack_trim(&p.depot, &p.cache);
	CHECK_EQ(pool_counts(&p).mapped, 0);
	CHECK(mappings() - before < 1000);
	pool_fini(&p);
	CHECK(!numbers_are_ours() || mappings() <= before + 2);
}

TEST(stack_faults, budget_of_mappings_is_kept)
{
	const struct reap_stack_options o = { .flags = REAP_STACK_NO_GUARD_INSTALL, .maps = 100 };
	struct pool p;
	struct reap__stack *s[50], *more = NULL;
	size_t before, slabs;
	int i;

	pool_init(&p, &o);
	before = mappings();
	for (i = 0; i < 50; i++)
		s[i] = pool_get(&p, 0);
	CHECK(pool_counts(&p).maps == 100 && pool_counts(&p).max_maps == 100);
	slabs = pool_counts(&p).slabs;
	CHECK(!numbers_are_ours() || mappings() - before <= 100 + 2 * slabs);
	CHECK_EQ(reap__stack_get(&p.depot, &p.cache, 0, NULL, &more), -ENOMEM);
	CHECK_EQ(reap__stack_get(&p.depot, &p.cache, 1 << 20, NULL, &more), -ENOMEM);
	CHECK(more == NULL);
	CHECK(pool_counts(&p).enomem_maps == 2 && pool_counts(&p).enomem_memory == 0);
	CHECK(pool_counts(&p).live == 50 && pool_counts(&p).slabs == slabs);
	reap__stack_put(&p.depot, NULL, s[0]);
	s[0] = pool_get(&p, 0);
	reap__stack_put(&p.depot, &p.cache, s[0]);
	reap__stack_trim(&p.depot, &p.cache);
	s[0] = pool_get(&p, 0);				/* its guard stands, so it costs no mapping */
	CHECK_EQ(pool_counts(&p).maps, 100);
	for (i = 0; i < 50; i++)
		reap__stack_put(&p.depot, i < 40 ? NULL : &p.cache, s[i]);
	CHECK(pool_counts(&p).depot >= 40);
	more = pool_get(&p, 1 << 20);			/* what is warm in another size makes room */
	reap__stack_put(&p.depot, &p.cache, more);
	reap__stack_trim(&p.depot, &p.cache);
	CHECK_EQ(pool_counts(&p).maps, 0);
	pool_fini(&p);
}

/* The other one has `held': in its current batch, or in its spare one alone. */
static void
others_are_asked(unsigned cache, int held)
{
	const struct reap_stack_options o = { .flags = REAP_STACK_NO_GUARD_INSTALL, .maps = 6, .cache = cache };
	struct pool p;
	struct reap__stack_cache other;
	struct reap__stack *s[3], *more;
	int i;

	pool_init(&p, &o);
	reap__stack_cache_init(&other, &p.depot);
	for (i = 0; i < 3; i++)
		s[i] = pool_get(&p, 0);
	for (i = 0; i < held; i++)
		reap__stack_put(&p.depot, &other, s[i]);
	if (held == 3)
		CHECK_EQ(reap__stack_get(&p.depot, &other, 0, NULL, &s[2]), 0);
	CHECK_EQ(other.count, cache == 4 ? 0 : 2);
	CHECK_EQ(reap__stack_get(&p.depot, &p.cache, 0, NULL, &more), -ENOMEM);
	CHECK_EQ(reap__stack_get(&p.depot, &other, 0, NULL, &s[0]), 0);	/* gives up the other one */
	CHECK_EQ(reap__stack_get(&p.depot, &p.cache, 0, NULL, &s[1]), 0);
	for (i = 0; i < 3; i++)
		reap__stack_put(&p.depot, NULL, s[i]);
	reap__stack_cache_fini(&other);
	pool_fini(&p);
}

TEST(stack_faults, enomem_asks_the_caches_of_others)
{
	others_are_asked(0, 2);
	others_are_asked(4, 3);
}

/* Use up the mappings of this process: every second page of a large range is made read-only. */
static size_t
build_wall(char **base, size_t *pages)
{
	size_t page = reap__os_page(), i;

	*pages = 2 * reap__os_max_maps();
	*base = mmap(NULL, *pages * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CHECK(*base != MAP_FAILED);
	for (i = 0; i < *pages; i += 2)
		if (mprotect(*base + i * page, page, PROT_READ) != 0)
			break;
	return i;
}

TEST(stack_faults, the_kernels_wall_loses_nothing)
{
	enum { N = 100 };
	const struct reap_stack_options o = { .flags = REAP_STACK_NO_GUARD_INSTALL, .maps = 1u << 30 };
	struct pool p;
	struct reap__stack *s[N], *more[N] = { 0 };
	char *base;
	size_t pages;
	int i, got;

	if (!numbers_are_ours())
		SKIP("a sanitizer or an emulator needs mappings of its own");
	if (reap__os_max_maps() > 1 << 20)
		SKIP("too many mappings are allowed here to use them up");
	pool_init(&p, &o);
	for (i = 0; i < N; i++) {
		s[i] = pool_get(&p, 0);
		memset(s[i]->lo, i, (size_t)(s[i]->top - s[i]->lo));
	}
	build_wall(&base, &pages);
	for (got = 0; got < N; got++)
		if (reap__stack_get(&p.depot, &p.cache, 0, NULL, &more[got]) != 0)
			break;
	CHECK(got < 4);
	CHECK(more[got] == NULL);
	CHECK_EQ(pool_counts(&p).live, (uint64_t)N + (uint64_t)got);
	CHECK_EQ(pool_counts(&p).enomem_maps + pool_counts(&p).enomem_memory, 1);
	/* Without a mapping to spare, all that was free is still to be had, and given back. */
	for (i = 0; i < N; i += 2)
		reap__stack_put(&p.depot, &p.cache, s[i]);
	CHECK(reap__stack_trim(&p.depot, &p.cache) >= N / 2 * REAP_STACK_SIZE_DEFAULT);
	for (i = 1; i < N; i += 2)
		CHECK_EQ(*(unsigned char *)s[i]->lo, i);
	for (i = 0; i < N; i += 2)
		s[i] = pool_get(&p, 0);
	for (i = 0; i < N; i++)
		reap__stack_put(&p.depot, &p.cache, s[i]);
	while (got-- != 0)
		reap__stack_put(&p.depot, &p.cache, more[got]);
	reap__stack_trim(&p.depot, &p.cache);
	CHECK_EQ(pool_counts(&p).live, 0);
	CHECK_EQ(munmap(base, pages * reap__os_page()), 0);
	for (i = 0; i < N; i++)
		s[i] = pool_get(&p, 0);
	for (i = 0; i < N; i++)
		reap__stack_put(&p.depot, &p.cache, s[i]);
	reap__stack_trim(&p.depot, &p.cache);
	CHECK_EQ(pool_counts(&p).mapped, 0);
	pool_fini(&p);
}

/* A slab that merged with its neighbours cannot be unmapped at the wall: it is decommitted, and used again. */
TEST(stack_faults, refused_unmap_keeps_the_addresses)
{
	enum { N = 16 + 16 + 32 + 64 };
	const struct reap_stack_options o = { .flags = REAP_STACK_UNGUARDED };
	struct pool p;
	struct reap__stack *s[N];
	char *base;
	size_t pages, before;
	int i;

	if (!numbers_are_ours())
		SKIP("a sanitizer or an emulator needs mappings of its own");
	if (reap__os_max_maps() > 1 << 20)
		SKIP("too many mappings are allowed here to use them up");
	pool_init(&p, &o);
	for (i = 0; i < N; i++) {
		s[i] = pool_get(&p, 0);
		memset(s[i]->lo, 1, (size_t)(s[i]->hi - s[i]->lo));
	}
	before = memory_resident();
	build_wall(&base, &pages);
	for (i = 16; i < 64; i++)		/* the second and third slab */
		reap__stack_put(&p.depot, NULL, s[i]);
	CHECK_EQ(reap__stack_trim(&p.depot, &p.cache), 48 * p.depot.classes[0].size);
	CHECK(memory_resident() < before - 40 * REAP_STACK_SIZE_DEFAULT + (pages / 512 + 1) * 4096);
	for (i = 16; i < 64; i++)
		s[i] = pool_get(&p, 0);
	CHECK_EQ(munmap(base, pages * reap__os_page()), 0);
	for (i = 0; i < N; i++)
		reap__stack_put(&p.depot, &p.cache, s[i]);
	reap__stack_trim(&p.depot, &p.cache);
	CHECK_EQ(pool_counts(&p).mapped, 0);
	pool_fini(&p);
}

static void
no_addresses_give_enomem(unsigned flags)
{
	const struct reap_stack_options o = { .flags = flags };
	struct rlimit limit;
	struct pool p;
	struct reap__stack *s[64], *more = NULL;
	int i, n;

	if (!numbers_are_ours())
		SKIP("a sanitizer or an emulator needs addresses of its own");
	pool_init(&p, &o);
	s[0] = pool_get(&p, 0);
	CHECK_EQ(getrlimit(RLIMIT_AS, &limit), 0);
	limit.rlim_cur = 0;
	CHECK_EQ(setrlimit(RLIMIT_AS, &limit), 0);
	for (n = 1; n < 64; n++)
		if (reap__stack_get(&p.depot, &p.cache, 0, NULL, &s[n]) != 0)
			break;
	CHECK_EQ(n, 16);				/* what the first slab has */
	CHECK_EQ(reap__stack_get(&p.depot, &p.cache, 0, NULL, &more), -ENOMEM);
	CHECK(more == NULL);
	limit.rlim_cur = limit.rlim_max;
	CHECK_EQ(setrlimit(RLIMIT_AS, &limit), 0);	/* the counts are read from here on: stdio may want memory */
	CHECK(pool_counts(&p).enomem_memory == 2 && pool_counts(&p).enomem_maps == 0);
	s[n++] = pool_get(&p, 0);
	for (i = 0; i < n; i++)
		reap__stack_put(&p.depot, &p.cache, s[i]);
	pool_fini(&p);
}

TEST(stack_faults, no_addresses_give_enomem_by_marker)
{
	no_addresses_give_enomem(0);
}

/* It is no guard that there is no mapping for. */
TEST(stack_faults, no_addresses_give_enomem_by_protection)
{
	no_addresses_give_enomem(REAP_STACK_NO_GUARD_INSTALL);
}

static void
late_touch_faults(unsigned flags)
{
	const struct reap_stack_options o = { .flags = flags, .quarantine = 4 };
	struct pool p;
	struct reap__stack *s[12];
	struct reap_stack_info info;
	char *lo[12];
	int i, k;

	pool_init(&p, &o);
	for (i = 0; i < 12; i++) {
		s[i] = pool_get(&p, 0);
		CHECK(!reap__stack_shelvable(s[i]));
		memset(s[i]->lo, 1, (size_t)(s[i]->hi - s[i]->lo));
		lo[i] = s[i]->lo;
	}
	for (i = 0; i < 12; i++) {
		REAP_STORE_RELAXED(&s[i]->owner, (struct reap_context *)(void *)&p);	/* no order: one thread */
		reap__stack_put(&p.depot, &p.cache, s[i]);
		CHECK_EQ(reap__stack_lookup(&p.depot, lo[i], &info), 0);
		CHECK(info.context == NULL);
		CHECK_EQ(pool_counts(&p).quarantined, i < 4 ? i + 1 : 4);
		for (k = 0; k < i - 3; k++)
			CHECK(!touching_faults(lo[k]));
		for (; k <= i; k++)
			CHECK(touching_faults(lo[k]) && touching_faults(lo[k] + REAP_STACK_SIZE_DEFAULT));
	}
	for (i = 0; i < 100; i++) {			/* the bound holds, and what comes out can be used */
		s[0] = pool_get(&p, 0);
		memset(s[0]->lo, 1, (size_t)(s[0]->hi - s[0]->lo));
		reap__stack_put(&p.depot, &p.cache, s[0]);
		CHECK_EQ(pool_counts(&p).quarantined, 4);
	}
	CHECK(pool_counts(&p).mapped <= 16);
	CHECK(pool_counts(&p).maps <= 2 * (4 + 16));
	pool_fini(&p);
}

TEST(stack_faults, late_touch_faults_by_marker)
{
	if (!reap__os_marker_works())
		SKIP("no MADV_GUARD_INSTALL here");
	late_touch_faults(0);
	late_touch_faults(REAP_STACK_UNGUARDED);
}

TEST(stack_faults, late_touch_faults_by_protection)
{
	late_touch_faults(REAP_STACK_NO_GUARD_INSTALL);
	late_touch_faults(REAP_STACK_NO_GUARD_INSTALL | REAP_STACK_UNGUARDED);
	late_touch_faults(REAP_STACK_NO_GUARD_INSTALL | REAP_STACK_SCRUB);
}

TEST(stack_faults, quarantine_keeps_the_budget_too)
{
	const struct reap_stack_options o = { .flags = REAP_STACK_NO_GUARD_INSTALL, .quarantine = 8, .maps = 13 };
	struct pool p;
	struct reap__stack *s[6];
	int i;

	pool_init(&p, &o);
	for (i = 0; i < 6; i++)
		s[i] = pool_get(&p, 0);
	for (i = 0; i < 6; i++)
		reap__stack_put(&p.depot, &p.cache, s[i]);	/* there is no mapping left to bar them with */
	CHECK_EQ(pool_counts(&p).quarantined, 6);
	CHECK_EQ(pool_counts(&p).maps, 12);
	pool_fini(&p);
}
