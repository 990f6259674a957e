/* SPDX-License-Identifier: ISC */
/*
 * stack_nth.c: every system call of the pool fails, the first, the second, ... until none is left to fail.  The pool alone,
 * whatever a domain may do with it.
 *
 * Whatever fails, the pool says so or copes: the books balance, contents survive, guards hold, and in the end all can be had
 * again.  What fails in its end as well is tried again there.
 */
#include <sys/mman.h>

#include "os/os.h"
#include "stack/stack.h"

#include "../unit/stack_pool.h"
#include "fault.h"

enum { N = 36 };

/* Does the byte below it fault?  The kernel is let read it: it says EFAULT, and takes nothing. */
static bool
guarded(const struct reap__stack *s)
{
	static int fds[2] = { -1, -1 };

	if (fds[0] < 0)
		CHECK_EQ(pipe(fds), 0);
	errno = 0;
	return write(fds[1], s->lo - 1, 1) == -1 && errno == EFAULT;
}

static void
give(struct pool *p, struct reap__stack **s)
{
	if (*s != NULL)
		reap__stack_put(&p->depot, &p->cache, *s);
	*s = NULL;
	CHECK_EQ(fault_held(), 0);
}

static void
scenario(const void *arg)
{
	static const size_t sizes[] = { 0, 0, 200000 };
	const struct reap_stack_options *o = arg;
	struct reap__stack *s[N] = { 0 };
	struct pool p;
	uint64_t live = 0;
	int i, round;

	if (reap__depot_init(&p.depot, o, reap__os_clock, NULL) != 0) {
		CHECK(fault_hits() > 0);
		fault_lift();
		CHECK_EQ(reap__depot_init(&p.depot, o, reap__os_clock, NULL), 0);
		fault_resume();
	}
	reap__stack_cache_init(&p.cache, &p.depot);
	for (round = 0; round < 3; round++) {
		for (i = 0; i < N; i++) {
			long hits = fault_hits();
			int error;

			if (s[i] != NULL)
				continue;
			error = reap__stack_get(&p.depot, &p.cache, sizes[i % 3], NULL, &s[i]);
			CHECK_EQ(fault_held(), 0);
			CHECK(error == 0 || (error == -ENOMEM && fault_hits() > hits && s[i] == NULL));
			if (s[i] == NULL)
				continue;
			CHECK((o->flags & REAP_STACK_UNGUARDED) != 0 || guarded(s[i]));
			if ((o->flags & REAP_STACK_SCRUB) != 0)
				CHECK(*s[i]->lo == 0 && s[i]->top[-1] == 0);
			*s[i]->lo = s[i]->top[-1] = (char)(i + 1);
		}
		for (i = round % 2; i < N; i += 2)
			give(&p, &s[i]);
		if (round != 1)
			(void)reap__stack_trim(&p.depot, &p.cache);
		for (i = 0, live = 0; i < N; i++)
			if (s[i] != NULL) {
				CHECK(*s[i]->lo == (char)(i + 1) && s[i]->top[-1] == (char)(i + 1));
				live++;
			}
		CHECK_EQ(pool_counts(&p).live, live);
	}
	for (i = 0; i < N; i++)
		give(&p, &s[i]);
	fault_lift();
	for (i = 0; i < N; i++) {
		s[i] = pool_get(&p, sizes[i % 3]);
		*s[i]->lo = s[i]->top[-1] = 1;
	}
	for (i = 0; i < N; i++)
		give(&p, &s[i]);
	(void)reap__stack_trim(&p.depot, &p.cache);
	CHECK_EQ(pool_counts(&p).live, 0);
	CHECK(o->quarantine != 0 || pool_counts(&p).mapped == 0);
	CHECK(o->quarantine != 0 || pool_counts(&p).maps == 0);
	for (i = 0; i < N; i++)			/* so that there is something to end */
		s[i] = pool_get(&p, sizes[i % 3]);
	for (i = 0; i < N; i++)
		give(&p, &s[i]);
	fault_resume();
	fault_relent();
	pool_fini(&p);
}

static void
each_in_turn(struct reap_stack_options o)
{
	(void)reap__os_marker_works();
	CHECK(fault_sweep(scenario, &o, FAULT_MEMORY | FAULT_INIT, 0) > 30);
	/* As the kernel does it at the limit of mappings: it will not split another one. */
	CHECK(fault_sweep(scenario, &o, FAULT_UNMAP, 0) > 3);
}

TEST(stack_nth, guards_by_marker)
{
	each_in_turn((struct reap_stack_options){ .cache = 4, .depot = 16 });
}

TEST(stack_nth, guards_by_protection)
{
	each_in_turn((struct reap_stack_options){ .cache = 4, .depot = 16, .flags = REAP_STACK_NO_GUARD_INSTALL });
}

TEST(stack_nth, unguarded)
{
	each_in_turn((struct reap_stack_options){ .cache = 4, .depot = 16, .flags = REAP_STACK_UNGUARDED });
}

TEST(stack_nth, scrubbed)
{
	each_in_turn((struct reap_stack_options){ .cache = 4, .depot = 16, .flags = REAP_STACK_SCRUB });
}

TEST(stack_nth, quarantined_by_marker)
{
	each_in_turn((struct reap_stack_options){ .quarantine = 8 });
}

TEST(stack_nth, quarantined_by_protection)
{
	each_in_turn((struct reap_stack_options){ .quarantine = 8, .flags = REAP_STACK_NO_GUARD_INSTALL });
}
