/* SPDX-License-Identifier: ISC */
/*
 * stack_pages.c: how many pages a stack has, and what becomes of those that the kernel would not take back.
 */
#include <errno.h>
#include <sys/mman.h>

#include "os/os.h"
#include "stack/size.h"

#include "stack_pool.h"
#include "test.h"

/* Newer than some headers. */
#define GUARD_INSTALL	102		/* MADV_GUARD_INSTALL */
#define DONTNEED_LOCKED	24		/* MADV_DONTNEED_LOCKED */

static bool	refuses;		/* madvise(MADV_DONTNEED) and its sister */
static int	guard_error;		/* of MADV_GUARD_INSTALL */
static int	error_once;		/* of the next MADV_DONTNEED */
static int	small_error;		/* of the next MADV_NOHUGEPAGE */
static unsigned	decommits, decommits_locked, small;

int	__real_madvise(void *base, size_t size, int advice);
int	__wrap_madvise(void *base, size_t size, int advice);

int
__wrap_madvise(void *base, size_t size, int advice)
{
	if (refuses) {
		errno = ENOMEM;
		return -1;
	}
	if (advice == GUARD_INSTALL && guard_error != 0) {
		errno = guard_error;
		return -1;
	}
	if (advice == MADV_DONTNEED && error_once != 0) {
		errno = error_once;
		error_once = 0;
		return -1;
	}
#ifdef MADV_NOHUGEPAGE
	if (advice == MADV_NOHUGEPAGE) {
		small++;
		if (small_error != 0) {
			errno = small_error;
			small_error = 0;
			return -1;
		}
	}
#endif
	if (advice == DONTNEED_LOCKED) {
		decommits_locked++;
		advice = MADV_DONTNEED;
	}
	decommits += advice == MADV_DONTNEED;
	return __real_madvise(base, size, advice);
}

/* An odd number of pages apart, so that equal places in neighbours do not meet in one set. */
TEST(stack_pages, are_odd_from_one_stack_to_the_next)
{
	static const size_t	sizes[] = { 0, 16384, 20480, 65536, 69632, 100000, 262144 };
	const size_t		page = reap__os_page();

	for (size_t i = 0; i < 2 * (sizeof(sizes) / sizeof(sizes[0])); i++) {
		const struct reap_stack_options o = {
			.size = sizes[i / 2], .flags = i % 2 ? REAP_STACK_UNGUARDED : 0, .guard = i % 3 * page
		};
		struct reap__stack	*s[4];
		struct pool		 p;

		pool_init(&p, &o);
		for (int k = 0; k < REAP__STACK_CLASSES; k++) {
			const struct reap__stack_class *class = &p.depot.classes[k];

			CHECK_EQ(class->stride, class->size + class->guard);
			CHECK_EQ(class->stride % page, 0);
			CHECK(class->stride == 0 || class->stride / page % 2 == 1);
			CHECK(class->stride == 0 || (class->guard == 0) == (i % 2 == 1));
		}
		for (int k = 0; k < 4; k++)
			s[k] = pool_get(&p, 0);
		for (int k = 1; k < 4; k++) {
			const size_t apart = s[k]->lo > s[k - 1]->lo ? (size_t)(s[k]->lo - s[k - 1]->lo) :
			    (size_t)(s[k - 1]->lo - s[k]->lo);

			CHECK_EQ(apart % p.depot.classes[0].stride, 0);
		}
		for (int k = 0; k < 4; k++)
			reap__stack_put(&p.depot, &p.cache, s[k]);
		pool_fini(&p);
	}
}

#ifdef MADV_NOHUGEPAGE
/* One byte that is touched costs one small page; a kernel that has no others says so, and is as good. */
TEST(stack_pages, are_small)
{
	struct reap__stack	*s;
	struct pool		 p;

	pool_init(&p, NULL);
	small = 0;
	small_error = EINVAL;
	s = pool_get(&p, 0);
	CHECK_EQ(small, 3);			/* headers, records, and the stacks */
	reap__stack_put(&p.depot, &p.cache, s);
	pool_fini(&p);
}
#endif

/* They stay, are used again, and belong to who uses them: giving back a neighbour's must not take them. */
TEST(stack_pages, that_could_not_be_given_back_are_not_taken_from_their_next_user)
{
	enum { N = 16 };
	const struct reap_stack_options	o = { .cache = 2 * N };
	struct reap__stack		*s[N];
	struct pool			 p;

	pool_init(&p, &o);
	for (int i = 0; i < N; i++) {
		s[i] = pool_get(&p, 0);
		s[i]->top[-1] = 1;
	}
	for (int i = 1; i < N; i++)
		reap__stack_put(&p.depot, &p.cache, s[i]);
	refuses = true;
	CHECK_EQ(reap__stack_trim(&p.depot, &p.cache), 0);	/* s[0] is out, so the slab stays mapped */
	refuses = false;
	CHECK_EQ(pool_counts(&p).live, 1);
	for (int i = 1; i < N; i++) {
		s[i] = pool_get(&p, 0);
		s[i]->top[-1] = (char)(i + 1);
	}
	/* All are out and hold something; every second goes, and with it its memory alone. */
	for (int i = 0; i < N; i += 2)
		reap__stack_put(&p.depot, &p.cache, s[i]);
	CHECK_EQ(reap__stack_trim(&p.depot, &p.cache), N / 2 * p.depot.classes[0].size);
	for (int i = 1; i < N; i += 2)
		CHECK_EQ(s[i]->top[-1], i + 1);
	for (int i = 1; i < N; i += 2)
		reap__stack_put(&p.depot, &p.cache, s[i]);
	pool_fini(&p);
}

/* A few clean ones between two that are not are crossed, which is cheaper than a system call more; used ones never. */
TEST(stack_pages, are_given_back_with_their_neighbours)
{
	enum { N = 16, FAR = 8 };		/* FAR: as in slab.c */
	const struct reap_stack_options	o = { .cache = 2 * N };
	struct reap__stack		*s[N];
	struct pool			 p;

	pool_init(&p, &o);
	for (int i = 0; i < N; i++)
		s[i] = pool_get(&p, 0);
	for (int between = FAR - 1; between <= FAR + 1; between++) {
		for (int i = 1; i <= between; i++)
			reap__stack_put(&p.depot, &p.cache, s[i]);
		reap__stack_trim(&p.depot, &p.cache);
		reap__stack_put(&p.depot, &p.cache, s[0]);
		reap__stack_put(&p.depot, &p.cache, s[between + 1]);
		decommits = 0;
		CHECK_EQ(reap__stack_trim(&p.depot, &p.cache), 2 * p.depot.classes[0].size);
		CHECK_EQ(decommits, between > FAR ? 2 : 1);
		for (int i = 0; i <= between + 1; i++)
			s[i] = pool_get(&p, 0);
	}
	for (int i = 0; i < N; i++)
		reap__stack_put(&p.depot, &p.cache, s[i]);
	pool_fini(&p);
}

/* Where markers are impossible, as in locked memory, they are not tried again; a want of memory is no such thing. */
TEST(stack_pages, without_a_marker_are_protected_only_if_they_cannot_have_one)
{
	struct reap__stack	*s;
	struct pool		 p;

	if (!reap__os_marker_works())
		SKIP("no MADV_GUARD_INSTALL here");
	pool_init(&p, NULL);
	guard_error = ENOMEM;
	CHECK_EQ(reap__stack_get(&p.depot, &p.cache, 0, NULL, &s), -ENOMEM);
	CHECK(pool_counts(&p).enomem_memory == 1 && pool_counts(&p).enomem_maps == 0);
	CHECK(pool_counts(&p).slabs == 0 && pool_counts(&p).maps == 0);
	CHECK_EQ(p.depot.method, REAP__OS_MARKER);
	guard_error = EINVAL;
	s = pool_get(&p, 0);
	CHECK_EQ(p.depot.method, REAP__OS_PROTECTION);
	CHECK_EQ(pool_counts(&p).maps, 2);
	guard_error = 0;
	reap__stack_put(&p.depot, &p.cache, s);
	pool_fini(&p);
}

TEST(stack_pages, that_were_not_given_back_are_scrubbed_by_hand)
{
	const struct reap_stack_options	o = { .flags = REAP_STACK_SCRUB };
	struct reap__stack		*s;
	struct pool			 p;

	pool_init(&p, &o);
	decommits = 0;
	s = pool_get(&p, 0);
	CHECK_EQ(decommits, 0);			/* it was clean */
	memset(s->lo, 0x5a, (size_t)(s->hi - s->lo));
	reap__stack_put(&p.depot, &p.cache, s);
	refuses = true;
	s = pool_get(&p, 0);
	refuses = false;
	for (const char *c = s->lo; c < s->hi; c++)
		CHECK_EQ(*c, 0);
	reap__stack_put(&p.depot, &p.cache, s);
	pool_fini(&p);
}

TEST(stack_pages, are_given_back_in_quarantine)
{
	const struct reap_stack_options	o = { .flags = REAP_STACK_NO_GUARD_INSTALL, .quarantine = 1 };
	struct reap__stack		*s;
	struct pool			 p;

	pool_init(&p, &o);
	s = pool_get(&p, 0);
	memset(s->lo, 1, (size_t)(s->hi - s->lo));
	decommits = 0;
	reap__stack_put(&p.depot, &p.cache, s);
	CHECK_EQ(pool_counts(&p).quarantined, 1);
	CHECK_EQ(decommits, 1);
	pool_fini(&p);
}

#ifdef __linux__
TEST(stack_pages, are_given_back_at_the_second_try)
{
	static const int	errors[] = { EINTR, EAGAIN, EINVAL };
	struct reap__stack	*s[2];
	struct pool		 p;

	if (reap__os_guard(REAP__OS_MARKER, NULL, 0) == -ENOTSUP)
		SKIP("another layer, which does not try again");
	pool_init(&p, NULL);
	s[0] = pool_get(&p, 0);
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		s[1] = pool_get(&p, 0);
		s[1]->top[-1] = 1;
		reap__stack_put(&p.depot, &p.cache, s[1]);
		decommits = decommits_locked = 0;
		error_once = errors[i];
		CHECK_EQ(reap__stack_trim(&p.depot, &p.cache), p.depot.classes[0].size);
		CHECK_EQ(decommits, 1);
		CHECK_EQ(decommits_locked, errors[i] == EINVAL);	/* which means: locked memory */
	}
	reap__stack_put(&p.depot, &p.cache, s[0]);
	pool_fini(&p);
}
#endif

/* What nothing bars in quarantine has its pages still when it leaves. */
TEST(stack_pages, leave_quarantine_with_who_was_not_barred)
{
	const struct reap_stack_options	o = { .maps = 1, .quarantine = 1 };
	struct reap__stack		*s[2];
	struct pool			 p;

	if (!reap__os_marker_works())
		SKIP("no MADV_GUARD_INSTALL here");
	pool_init(&p, &o);
	for (int i = 0; i < 2; i++) {
		s[i] = pool_get(&p, 0);
		s[i]->top[-1] = 1;
	}
	guard_error = ENOMEM;
	decommits = 0;
	for (int i = 0; i < 2; i++)
		reap__stack_put(&p.depot, &p.cache, s[i]);
	guard_error = 0;
	CHECK_EQ(pool_counts(&p).quarantined, 1);
	CHECK_EQ(decommits, 1);
	CHECK_EQ(pool_counts(&p).returned, p.depot.classes[0].size);
	pool_fini(&p);
}
