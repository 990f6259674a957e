/* SPDX-License-Identifier: ISC */
/*
 * posix.c: the contract of os.h where there is nothing but POSIX.  The BSDs, macOS; and Linux, to test it.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <reap/atomic.h>
#include <reap/base.h>

#include "os/os.h"

/*
 * POSIX has no call that gives pages back and keeps the addresses: mmap(MAP_FIXED) may leave a hole when it fails.  So take
 * what madvise(2) has: MADV_FREE on the BSDs and macOS, which is lazy; MADV_DONTNEED on Linux, which is not.
 */
#if defined(__linux__)
#define GIVE_BACK	MADV_DONTNEED
#elif defined(MADV_FREE)
#define GIVE_BACK	MADV_FREE
#endif

int
reap__os_decommit(void *base, size_t size)
{
#ifdef GIVE_BACK
	return madvise(base, size, GIVE_BACK) == 0 ? 0 : -errno;
#else
	(void)base;
	(void)size;
	return -ENOTSUP;
#endif
}

bool
reap__os_decommit_zeroes(void)
{
#ifdef __linux__
	return true;
#else
	return false;
#endif
}

bool
reap__os_marker_works(void)
{
	return false;
}

int
reap__os_guard(enum reap__os_guard how, void *base, size_t size)
{
	if (how == REAP__OS_MARKER)
		return -ENOTSUP;
	return mprotect(base, size, PROT_NONE) == 0 ? 0 : -errno;
}

int
reap__os_unguard(enum reap__os_guard how, void *base, size_t size)
{
	if (how == REAP__OS_MARKER)
		return -ENOTSUP;
	return mprotect(base, size, PROT_READ | PROT_WRITE) == 0 ? 0 : -errno;
}

size_t
reap__os_max_maps(void)
{
	unsigned long n = 0;
	FILE *f = fopen("/proc/sys/vm/max_map_count", "r");	/* only Linux has such a limit */

	if (f == NULL)
		return SIZE_MAX;
	if (fscanf(f, "%lu", &n) != 1)
		n = 0;
	(void)fclose(f);
	return n == 0 ? SIZE_MAX : n;
}

size_t
reap__os_signal_frame(void)
{
#ifdef _SC_MINSIGSTKSZ
	long n = sysconf(_SC_MINSIGSTKSZ);	/* where it is known, MINSIGSTKSZ may be a call, and another number */

	if (n > 0)
		return (size_t)n;
#endif
	return (size_t)MINSIGSTKSZ;
}

/*
 * A parking lot.  A word's address chooses one of a fixed set of buckets that live as long as the process, so a wake needs
 * nothing of the word.  No wakeup is lost: the waiter compares under the bucket's lock, and the waker takes that lock after
 * it changed the word.  Either the waiter comes second and sees the change, or it sleeps before the broadcast.
 */
struct bucket {
	pthread_mutex_t	lock;
	pthread_cond_t	changed;	/* some word of this bucket, perhaps a stranger's: all look again */
};

#define ONE	{ PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER }
#define FOUR	ONE, ONE, ONE, ONE
#define SIXTEEN	FOUR, FOUR, FOUR, FOUR

static struct bucket buckets[64] = { SIXTEEN, SIXTEEN, SIXTEEN, SIXTEEN };

static struct bucket *
bucket_of(const uint32_t *word)
{
	/* Fibonacci hashing: 2^64 over the golden ratio; the upper six bits choose. */
	return &buckets[(((uint64_t)(uintptr_t)word >> 2) * UINT64_C(0x9e3779b97f4a7c15)) >> 58];
}

static void
check(int error)
{
	if (error != 0)
		reap_misuse("os-wait", "a mutex or condition variable of libreap's own is broken");
}

void
reap__os_wait(const uint32_t *word, uint32_t expected)
{
	struct bucket *b = bucket_of(word);
	int state;

	/* A thread that is cancelled in pthread_cond_wait() dies with the lock; as with a futex, here is no place for that. */
	check(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state));
	check(pthread_mutex_lock(&b->lock));
	/* Relaxed: the lock orders this load against the waker's change.  What the change publishes, the caller acquires. */
	if (REAP_LOAD_RELAXED(word) == expected)
		check(pthread_cond_wait(&b->changed, &b->lock));
	check(pthread_mutex_unlock(&b->lock));
	check(pthread_setcancelstate(state, NULL));
}

void
reap__os_wake(const uint32_t *word)
{
	struct bucket *b = bucket_of(word);

	check(pthread_mutex_lock(&b->lock));
	check(pthread_cond_broadcast(&b->changed));
	check(pthread_mutex_unlock(&b->lock));
}
