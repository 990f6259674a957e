/* SPDX-License-Identifier: ISC */
/*
 * stack_pool.h: a depot with one worker's cache, for the tests of the pool.
 */
#ifndef REAP_TESTS_UNIT_STACK_POOL_H
#define REAP_TESTS_UNIT_STACK_POOL_H

#include <stdio.h>

#include "os/os.h"
#include "stack/stack.h"

#include "../check.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED	true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED	true
#endif
#endif
#ifndef SANITIZED
#define SANITIZED	false
#endif

/*
 * Do the system's numbers and limits mean this program?  A sanitizer has memory and mappings of its own, and so has qemu's
 * user emulation, which does not pass limits of addresses on besides.
 */
static inline bool
numbers_are_ours(void)
{
	char name[16] = "";
	FILE *f;

	if (SANITIZED)
		return false;
	if ((f = fopen("/proc/self/comm", "r")) == NULL)
		return true;
	if (fgets(name, sizeof(name), f) == NULL)
		name[0] = '\0';
	CHECK_EQ(fclose(f), 0);
	return strncmp(name, "qemu-", 5) != 0;
}

struct pool {
	struct reap__depot depot;
	struct reap__stack_cache cache;
};

static inline void
pool_init_clock(struct pool *p, const struct reap_stack_options *o, uint64_t (*clock)(void *), void *arg)
{
	CHECK_EQ(reap__depot_init(&p->depot, o, clock, arg), 0);
	reap__stack_cache_init(&p->cache, &p->depot);
}

static inline void
pool_init(struct pool *p, const struct reap_stack_options *o)
{
	pool_init_clock(p, o, reap__os_clock, NULL);
}

/* A clock that stands where its argument says. */
static inline uint64_t
read_clock(void *arg)
{
	return *(uint64_t *)arg;
}

static inline void
pool_fini(struct pool *p)
{
	reap__stack_cache_fini(&p->cache);
	reap__depot_fini(&p->depot);
}

static inline struct reap__stack *
pool_get(struct pool *p, size_t size)
{
	struct reap__stack *s;

	CHECK_EQ(reap__stack_get(&p->depot, &p->cache, size, NULL, &s), 0);
	return s;
}

static inline struct reap__stack_counts
pool_counts(const struct pool *p)
{
	struct reap__stack_counts counts;

	reap__depot_stats(&p->depot, &counts);
	CHECK_EQ(counts.mapped, counts.live + counts.cached + counts.depot + counts.quarantined + counts.decommitted);
	return counts;
}

/* Bytes of anonymous memory of this process.  Not from statm, which Linux sums up only now and then. */
static inline size_t
memory_resident(void)
{
	unsigned long kib = 0;
	char line[256];
	FILE *f = fopen("/proc/self/smaps_rollup", "r");

	CHECK(f != NULL);
	while (kib == 0 && fgets(line, sizeof(line), f) != NULL)
		(void)sscanf(line, "Anonymous: %lu kB", &kib);
	CHECK_EQ(fclose(f), 0);
	CHECK(kib != 0);
	return kib * 1024;
}

/* Mappings of this process. */
static inline size_t
mappings(void)
{
	size_t n = 0;
	int c;
	FILE *f = fopen("/proc/self/maps", "r");

	CHECK(f != NULL);
	while ((c = getc(f)) != EOF)
		n += c == '\n';
	CHECK_EQ(fclose(f), 0);
	return n;
}

#endif
