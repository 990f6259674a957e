/* SPDX-License-Identifier: ISC */
/*
 * stack_nth.c: every system call of the pool fails once, the first, the second, ... until none is left to fail.
 *
 * Linked with -Wl,--wrap=mmap,--wrap=munmap,--wrap=mprotect,--wrap=madvise.  Whatever fails, the pool says so or copes: the
 * books balance, contents survive, guards hold, and in the end all can be had again.
 */
#include <errno.h>
#include <sys/mman.h>

#include "os/os.h"
#include "stack/stack.h"

#include "stack_pool.h"
#include "test.h"

static long countdown;		/* calls until one fails; 0: none fails */
static bool failed;

void	*__real_mmap(void *, size_t, int, int, int, off_t);
void	*__wrap_mmap(void *, size_t, int, int, int, off_t);
int	 __real_munmap(void *, size_t);
int	 __wrap_munmap(void *, size_t);
int	 __real_mprotect(void *, size_t, int);
int	 __wrap_mprotect(void *, size_t, int);
int	 __real_madvise(void *, size_t, int);
int	 __wrap_madvise(void *, size_t, int);

static bool
fails(void)
{
	if (countdown == 0 || --countdown != 0)
		return false;
	failed = true;
	errno = ENOMEM;
	return true;
}

void *
__wrap_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
	return fails() ? MAP_FAILED : __real_mmap(address, size, protection, flags, fd, offset);
}

int
__wrap_munmap(void *base, size_t size)
{
	return fails() ? -1 : __real_munmap(base, size);
}

int
__wrap_mprotect(void *base, size_t size, int protection)
{
	return fails() ? -1 : __real_mprotect(base, size, protection);
}

int
__wrap_madvise(void *base, size_t size, int advice)
{
	return fails() ? -1 : __real_madvise(base, size, advice);
}

enum { N = 80 };

static void
give(struct pool *p, struct reap__stack **s)
{
	if (*s != NULL)
		reap__stack_put(&p->depot, &p->cache, *s);
	*s = NULL;
}

static void
scenario(const struct reap_stack_options *o, long nth)
{
	static const size_t sizes[] = { 0, 0, 200000 };
	struct reap__stack *s[N] = { 0 };
	struct pool p;
	uint64_t live = 0;
	int i, round;

	failed = false;
	countdown = nth;
	pool_init(&p, o);
	for (round = 0; round < 3; round++) {
		for (i = 0; i < N; i++) {
			int error = 0;

			if (s[i] == NULL)
				error = reap__stack_get(&p.depot, &p.cache, sizes[i % 3], NULL, &s[i]);
			CHECK(error == 0 || (error == -ENOMEM && failed && s[i] == NULL));
			if (s[i] == NULL)
				continue;
			if ((o->flags & REAP_STACK_SCRUB) != 0 && round == 0)
				CHECK(*s[i]->lo == 0 && s[i]->top[-1] == 0);
			*s[i]->lo = s[i]->top[-1] = (char)i;
		}
		for (i = round % 2; i < N; i += 2)
			give(&p, &s[i]);
		if (round != 1)
			(void)reap__stack_trim(&p.depot, &p.cache);
		for (i = 0, live = 0; i < N; i++)
			if (s[i] != NULL) {
				CHECK(*s[i]->lo == (char)i && s[i]->top[-1] == (char)i);
				live++;
			}
		CHECK_EQ(pool_counts(&p).live, live);
	}
	for (i = 0; i < N; i++)
		give(&p, &s[i]);
	countdown = 0;
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
	if (nth != 0)
		countdown = nth;	/* fini, too; the first passes reach it */
	pool_fini(&p);
	countdown = 0;
}

static void
each_in_turn(const struct reap_stack_options *o)
{
	long nth = 0;

	(void)reap__os_marker_works();
	scenario(o, 0);
	do
		scenario(o, ++nth);
	while (failed);
	CHECK(nth > 10);
}

TEST(stack_nth, guards_by_marker)
{
	each_in_turn(&(struct reap_stack_options){ .cache = 4, .depot = 16 });
}

TEST(stack_nth, guards_by_protection)
{
	each_in_turn(&(struct reap_stack_options){ .cache = 4, .depot = 16, .flags = REAP_STACK_NO_GUARD_INSTALL });
}

TEST(stack_nth, scrubbed)
{
	each_in_turn(&(struct reap_stack_options){ .cache = 4, .depot = 16, .flags = REAP_STACK_SCRUB });
}

TEST(stack_nth, quarantined_by_marker)
{
	each_in_turn(&(struct reap_stack_options){ .quarantine = 8 });
}

TEST(stack_nth, quarantined_by_protection)
{
	each_in_turn(&(struct reap_stack_options){ .quarantine = 8, .flags = REAP_STACK_NO_GUARD_INSTALL });
}
