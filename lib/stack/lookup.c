/* SPDX-License-Identifier: ISC */
/*
 * lookup.c: which stack holds this address?  Safe in a signal handler that interrupted anything, the depot's lock included.
 */
#include <errno.h>

#include "stack/slab.h"

int
reap__stack_lookup(const struct reap__depot *depot, const void *address, struct reap_stack_info *info)
{
	const uintptr_t a = (uintptr_t)address;
	const struct reap__slab *slab;
	const char *base;

	/* Pairs with the release in slab.c, header_get(): else a header's constants might not be there yet. */
	for (slab = REAP_LOAD_ACQUIRE(&depot->slabs); slab != NULL; slab = slab->all) {
		/* Relaxed: whatever it is, now or a moment ago, the arithmetic below stays within the header's constants. */
		base = REAP_LOAD_RELAXED(&slab->base);
		if (base != NULL && a >= (uintptr_t)base && a - (uintptr_t)base < slab->n * slab->stride) {
			const size_t offset = a - (uintptr_t)base, i = offset / slab->stride;

			info->lo = base + i * slab->stride + slab->guard;
			info->hi = base + (i + 1) * slab->stride;
			info->guard = offset % slab->stride < slab->guard;
			info->context = REAP_LOAD_RELAXED(&slab->stacks[i].owner);	/* no order: a snapshot */
			return 0;
		}
	}
	return -ENOENT;
}
