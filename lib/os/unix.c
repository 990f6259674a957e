/* SPDX-License-Identifier: ISC */
/*
 * unix.c: what every Unix does alike.
 */
#include <errno.h>
#include <sched.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <reap/base.h>

#include "os/os.h"
#include "sanitize.h"

#ifndef MAP_ANONYMOUS
#define MAP_ANONYMOUS	MAP_ANON
#endif
#ifndef MAP_STACK		/* mandatory on OpenBSD, where the kernel checks that sp points into such a mapping */
#define MAP_STACK	0
#endif
#ifndef MAP_NORESERVE		/* addresses are cheap, memory is not: most of a stack is never touched */
#define MAP_NORESERVE	0
#endif
#ifdef __FreeBSD__		/* there MAP_STACK means a region that grows, with a guard of its own */
#undef MAP_STACK
#define MAP_STACK	0
#endif

size_t
reap__os_page(void)
{
	long page = sysconf(_SC_PAGESIZE);

	if (page <= 0)
		reap_misuse("os-page", "this system does not tell its page size");
	return (size_t)page;
}

int
reap__os_map(size_t size, void **base)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE;
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, -1, 0);

	if (p == MAP_FAILED)
		return -errno;
#ifdef MADV_NOHUGEPAGE
	/* One touched byte must not cost 2 MiB.  EINVAL: a kernel without huge pages, which is as good. */
	while (madvise(p, size, MADV_NOHUGEPAGE) != 0 && errno != EINVAL) {
		int error = errno;

		if (error == EINTR || error == EAGAIN)
			continue;
		/* It has merged with its neighbours, and may not be split off again: better with huge pages than lost. */
		if (munmap(p, size) != 0)
			break;
		return -error;
	}
#endif
	*base = p;
	return 0;
}

int
reap__os_unmap(void *base, size_t size)
{
	reap__san_taken(base, size);	/* by whoever maps there next */
	return munmap(base, size) == 0 ? 0 : -errno;
}

uint64_t
reap__os_clock(void *unused)
{
	struct timespec ts;

	(void)unused;
	if (clock_gettime(CLOCK_MONOTONIC, &ts) != 0)
		reap_misuse("os-clock", "this system has no monotonic clock");
	return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

void
reap__os_yield(void)
{
	(void)sched_yield();	/* fails only where it does not exist; then the caller spins */
}
