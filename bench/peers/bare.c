/* SPDX-License-Identifier: ISC */
/*
 * bare.c: no contexts at all: the calibration loop, and what the kernel asks for the memory of guarded stacks, which is the floor
 * of the shape `live'.
 *
 *	marker		guards by MADV_GUARD_INSTALL, where the kernel has it
 *	mprotect	guards by mprotect(2), which splits mappings, so the limit on those ends it
 *
 * make: a call for each guard, a page fault for each stack.  end: nothing.  trim: madvise(MADV_DONTNEED) for each stack.  The
 * addresses come from mappings of 64 MiB and are kept.
 */
#include <sys/mman.h>

#include "shape.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL	102	/* Linux 6.13 */
#endif

#define GUARD	4096
#define EACH	(PEER_STACK + GUARD)
#define SLAB	((64l << 20) / EACH)		/* stacks */

static char **slabs;
static bool marker;

static void
crowd(long n)
{
	peer_must((slabs = (char **)calloc((size_t)(n / SLAB + 1), sizeof(*slabs))) != NULL, "calloc");
	for (long i = 0; i < n; i++) {
		char *lo;

		if (i % SLAB == 0) {
			void *p = mmap(NULL, SLAB * EACH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			    -1, 0);

			if (p == MAP_FAILED)
				peer_stopped(i, "mmap", errno);
			(void)madvise(p, SLAB * EACH, MADV_NOHUGEPAGE);
			slabs[i / SLAB] = p;
		}
		lo = slabs[i / SLAB] + i % SLAB * EACH;
		if ((marker ? madvise(lo, GUARD, MADV_GUARD_INSTALL) : mprotect(lo, GUARD, PROT_NONE)) != 0)
			peer_stopped(i, marker ? "madvise" : "mprotect", errno);
		lo[EACH - 1] = 1;
	}
}

static void
nothing(long n)
{
	(void)n;
}

static long made;

static void
trim(void)
{
	for (long i = 0; i < made; i++)
		peer_must(madvise(slabs[i / SLAB] + i % SLAB * EACH + GUARD, PEER_STACK, MADV_DONTNEED) == 0, "madvise");
}

static void
lives(long n)
{
	marker = strcmp(peer_variant, "mprotect") != 0;
	made = n;
	peer_live(n, crowd, nothing, trim);
}

static const struct peer_shape shapes[] = {
	{ "calibration", PEER_TIMED, 1000, 1, peer_add },
	{ "live", PEER_ONCE, 100000, 1, lives },
	{ NULL, PEER_ONCE, 0, 0, NULL }
};

int
main(int argc, char **argv)
{
	peer_args(argc, argv, shapes);
	peer_run();
	return 0;
}
