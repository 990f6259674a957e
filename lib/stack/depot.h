/* SPDX-License-Identifier: ISC */
/*
 * depot.h: what the rooms of lib/stack need of each other, besides slab.h.  Private to lib/stack.
 */
#ifndef REAP_LIB_STACK_DEPOT_H
#define REAP_LIB_STACK_DEPOT_H

#include "stack/stack.h"

/* depot.c.  All but push: under the lock. */
void	 reap__depot_lock(struct reap__depot *);
void	 reap__depot_unlock(struct reap__depot *);
void	 reap__depot_push(struct reap__depot *, struct reap__stack *batch, uint32_t n);	/* lock-free: the landing's */
void	 reap__depot_receive(struct reap__depot *);		/* incoming becomes warm */
void	 reap__depot_add(struct reap__depot *, struct reap__stack_class *, struct reap__stack *);
void	 reap__depot_add_batch(struct reap__depot *, struct reap__stack *batch, uint32_t n);	/* of the default class */
struct reap__stack *reap__depot_pop(struct reap__depot *, struct reap__stack_class *);
struct reap__stack *reap__depot_pop_batch(struct reap__depot *);	/* of the default class; ->count tells how many */
size_t	 reap__depot_shed(struct reap__depot *, struct reap__stack_class *, uint64_t keep);	/* newest stay: bytes */
size_t	 reap__depot_shed_all(struct reap__depot *);			/* and unmap what is wholly free: bytes */
void	 reap__depot_cap(struct reap__depot *, struct reap__stack_class *);	/* that one first */

/* age.c; under the lock: ask all caches for what they hold */
void	 reap__depot_ask(struct reap__depot *);

/* cache.c */
size_t	 reap__cache_release(struct reap__stack_cache *, uint32_t keep);	/* under the lock; to the system: bytes */

/* foreign.c */
int	 reap__foreign_get(size_t size, const struct reap_stack_ops *, struct reap__stack **);
void	 reap__foreign_put(struct reap__stack *);

/* quarantine.c; under the lock */
void	 reap__quarantine_put(struct reap__depot *, struct reap__stack *);

#endif
