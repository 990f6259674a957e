/* SPDX-License-Identifier: ISC */
/*
 * slab.h: many stacks in one mapping.  Private to lib/stack.
 *
 *	base                                                                 base + n * stride
 *	+-------+-------------------+-------+-------------------+-- ... --+-------------------+
 *	| guard | stack 0           | guard | stack 1           |         | stack n - 1       |
 *	+-------+-------------------+-------+-------------------+-- ... --+-------------------+
 *	low     lo           top ^ hi                                                      high
 *
 * The records of its stacks have a mapping of their own, and its header lies among others.  Both live as long as the depot: a
 * lookup may read them at any time.  When all stacks of a slab are free its own mapping goes, and what the records held; the header
 * waits for a new one of the same form.
 *
 * A stack of a mapped slab is free (its bit is set here) or out: handed out, cached, in the depot or in quarantine.
 * All functions but lookup: under the depot's lock.
 */
#ifndef REAP_LIB_STACK_SLAB_H
#define REAP_LIB_STACK_SLAB_H

#include "stack/stack.h"

#define REAP__SLAB_MAX	1024	/* stacks; a slab that is never quite free keeps so many addresses */
#define REAP__SLAB_BITS	(REAP__SLAB_MAX / 64)

struct reap__slab {
	struct reap__slab *all;		/* next of the depot's slabs; constant once published */
	char		*base;		/* NULL: no mapping; relaxed, lookups read it */
	uint32_t	 n;		/* stacks, a power of two; constant */
	uint32_t	 class;		/* index into depot->classes; constant */
	size_t		 stride;	/* as the class has it; constant, here for lookups */
	size_t		 guard;		/* as the class has it; constant, here for lookups */
	size_t		 meta;		/* bytes of the records' mapping; constant */
	struct reap__stack *stacks;	/* the records; constant */
	/* The rest is under the lock. */
	struct reap__slab *next;	/* of the class's open or bare slabs */
	struct reap__slab **link;	/* what points here, while open; NULL: full */
	struct reap__slab *touched;	/* next of the slabs that got stacks back in this round */
	bool		 is_touched;
	uint32_t	 nfree;		/* bits set in free */
	uint32_t	 nguarded;	/* the first so many have been out, and their guards stand; all others are free */
	uint64_t	 maps;		/* mappings charged to the depot for guards here */
	uint64_t	 free[REAP__SLAB_BITS];
	uint64_t	 dirty[REAP__SLAB_BITS];	/* free, and there may still be pages with old contents */
};

/*
 * A free stack of the class, from a slab that has one or from a new one.  *dirty: there may be old contents.
 * 0; -ENOMEM: *maps tells whether it was for want of a mapping for the guard.
 */
int	 reap__slab_take(struct reap__depot *, struct reap__stack_class *, struct reap__stack **, bool *dirty, bool *maps);

/* Give stacks to their slabs.  Between begin and finish nothing may be taken. */
struct reap__slab_round {
	struct reap__slab *touched;
};
void	 reap__slab_round_begin(struct reap__slab_round *);
void	 reap__slab_free(struct reap__slab_round *, struct reap__depot *, struct reap__stack *, bool dirty);
size_t	 reap__slab_round_finish(struct reap__slab_round *, struct reap__depot *);	/* gives memory back: bytes */

/* Unmap what is wholly free: bytes given back. */
size_t	 reap__slab_sweep(struct reap__depot *);
void	 reap__slab_fini(struct reap__depot *);

/* Charge `n' mappings to the budget, or refuse. */
bool	 reap__slab_charge(struct reap__depot *, uint64_t n);

#endif
