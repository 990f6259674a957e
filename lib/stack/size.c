/* SPDX-License-Identifier: ISC */
/*
 * size.c: how large a stack is, and where in it the first frame starts.
 */
#include <errno.h>

#include "os/os.h"
#include "stack/size.h"

/*
 * Bytes for libreap's own frames (entry, switch, landing, exit), for the record at the top of an embedder's stack, and for
 * a body that does next to nothing.
 */
#define OWN_FRAMES	((size_t)4096)

size_t
reap_stack_minimum(void)
{
	size_t line = REAP__COLOUR_BYTES;

	return (reap__os_signal_frame() + line - 1) / line * line + OWN_FRAMES;
}

static bool
round_up(size_t *n, size_t page)
{
	if (*n > SIZE_MAX - (page - 1))
		return false;
	*n = (*n + page - 1) & ~(page - 1);
	return true;
}

int
reap__size_class_init(struct reap__stack_class *class, size_t size, size_t guard, size_t page, bool unguarded)
{
	const size_t limit = SIZE_MAX / 2;	/* a mapping of more than that does not exist, and sums cannot wrap */

	/* What a context was promised must fit below the lowest top. */
	if (size > limit || guard > limit || !round_up(&size, page) || !round_up(&guard, page))
		return -EINVAL;
	size += (REAP__COLOURS * REAP__COLOUR_BYTES + page - 1) & ~(page - 1);
	if (unguarded)
		guard = 0;
	/*
	 * An odd number of pages: equal places in neighbouring stacks then differ in every set of a physically or virtually
	 * indexed cache and of the TLB, where a power of two would make them meet.  The page more is never touched.
	 */
	if ((size / page + guard / page) % 2 == 0)
		*(unguarded ? &size : &guard) += page;
	if (size > limit || guard > limit - size)
		return -EINVAL;
	class->size = size;
	class->guard = guard;
	class->stride = size + guard;
	return 0;
}

int
reap__size_class_of(const struct reap__depot *depot, size_t size)
{
	const struct reap__stack_class *def = &depot->classes[0];
	const size_t colours = REAP__COLOURS * REAP__COLOUR_BYTES;
	size_t n;
	int c;

	if (size == 0)
		return 0;
	if (size < reap_stack_minimum())
		return -EINVAL;
	for (c = 1, n = depot->page; c < REAP__STACK_CLASSES && n < size; c++) {
		if (n > SIZE_MAX / 2)
			return -ENOMEM;
		n *= 2;
	}
	/* The default size is no power of two, perhaps: take it where it fits no worse, its stacks are in every cache. */
	if (size <= def->size - colours && (c == REAP__STACK_CLASSES || def->size <= depot->classes[c].size))
		return 0;
	return c == REAP__STACK_CLASSES || depot->classes[c].stride == 0 ? -ENOMEM : c;
}

size_t
reap__size_colour(size_t index)
{
	/* 29 is prime to 48: neighbours, which are often alive together, differ by far more than a line or two. */
	return index * 29 % REAP__COLOURS * REAP__COLOUR_BYTES;
}
