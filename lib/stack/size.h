/* SPDX-License-Identifier: ISC */
/*
 * size.h: how large a stack is, and where in it the first frame starts.  Private to lib/stack.
 */
#ifndef REAP_LIB_STACK_SIZE_H
#define REAP_LIB_STACK_SIZE_H

#include "stack/stack.h"

/*
 * Tops that all lie at the end of a page share one set of the first-level cache: 64 sets of 64 bytes are one page, eight
 * to twelve lines each, so a thousand live stacks fight for a dozen lines.  Tops are therefore spread over this many
 * lines.  Not over a whole page: a context that needs little more than 1 KiB shall touch one page, not two.
 */
#define REAP__COLOURS		48u
#define REAP__COLOUR_BYTES	((size_t)64)

/* Fills size, guard, stride.  -EINVAL: no such numbers in this address space. */
int	 reap__size_class_init(struct reap__stack_class *, size_t size, size_t guard, size_t page, bool unguarded);

/* The class that serves `size' (0: the default) best: an index; -EINVAL: below the minimum; -ENOMEM: larger than all. */
int	 reap__size_class_of(const struct reap__depot *, size_t size);

/* Bytes below hi where the top of the index-th stack lies. */
size_t	 reap__size_colour(size_t index);

#endif
