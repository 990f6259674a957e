/* SPDX-License-Identifier: ISC */
/*
 * stack.h: the pool of stacks.
 *
 *	worker's cache:  current + spare batch		get, shelve and put, warm: plain loads and stores of the owner
 *	    |    ^
 *	    |    | a batch, under the lock
 *	    v    |
 *	depot:  incoming --> warm			incoming is lock-free, one CAS; the rest is under the depot's lock
 *	    |    ^
 *	    |    | one at a time
 *	    v    |
 *	slabs:  free, decommitted			from the system and back to it
 *
 *	get	own cache, depot's warm, decommitted, new slab: in this order	create: may lock, may enter the kernel
 *	shelve	to the own cache, over its cap a batch to the depot		landing: must not lock, fail or enter the kernel
 *	put	the same, then trims what the depot holds above its cap		reaping side: may lock, may enter the kernel
 *
 * The record of a stack lies in its slab's own metadata, not on the stack: it stays readable while the pages of the stack
 * are given back, and the landing can link a stack into a list without touching the stack itself.
 *
 * Ageing needs no thread.  Each list remembers the least it held since its period began: so many were never needed, and go
 * back when the period ends, the longest unused first.  An idle stack thus leaves after one to two periods.
 */
#ifndef REAP_LIB_STACK_H
#define REAP_LIB_STACK_H

#include <pthread.h>

#include <reap/atomic.h>
#include <reap/stack.h>

#include "count.h"

struct reap__slab;

/* One line of the cache each, side by side: neither false sharing nor a common set. */
struct reap__stack {
	char			*lo;	/* lowest usable byte; constant while the stack is handed out, cached or in the depot */
	char			*hi;	/* one past the highest; as lo */
	char			*top;	/* <= hi, coloured, aligned to 64, where the first frame starts; as lo */
	struct reap__stack	*next;	/* link of the one list the stack is on; written by that list's owner */
	struct reap_context	*owner;	/* who runs on it; stored by create, cleared here; relaxed, lookups read it */
	struct reap__slab	*slab;	/* NULL: not libreap's mapping; constant as lo */
	struct reap__stack	*batch;	/* first of a batch in the depot: first of the next batch; as next */
	uint32_t		 count;	/* first of a batch in the depot: stacks in the batch; as next */
	uint8_t			 kind;	/* enum reap__stack_kind; constant as lo */
	uint8_t			 barred;	/* enum reap__stack_bar; under the depot's lock */
} __attribute__((aligned(64)));

_Static_assert(sizeof(struct reap__stack) == 64, "foreign.c aligns by it, and one line is the point");

enum reap__stack_kind {
	REAP__STACK_SHELVABLE,		/* default size: fits the workers' caches */
	REAP__STACK_POOL,		/* another size, or quarantine is on: only put() takes it back */
	REAP__STACK_OPS,		/* from the embedder's alloc(); a struct reap__foreign */
	REAP__STACK_ADOPTED		/* the embedder's own memory; a struct reap__foreign */
};

enum reap__stack_bar {			/* in quarantine, what makes a late touch fault */
	REAP__STACK_OPEN,		/* nothing: the system refused, or there was no mapping left */
	REAP__STACK_BY_MARKER,
	REAP__STACK_BY_PROTECTION
};

/* One per worker.  Only its owner touches it, but for the counters, which the statistics read. */
struct reap__stack_cache {
	struct reap__stack *list;	/* the current batch, newest first, and those that are promised */
	uint32_t	 count;		/* stacks in the current batch; relaxed, statistics read it */
	uint32_t	 batch;		/* most of it; constant.  The cap of the cache is twice this */
	int32_t		 floor;		/* least of count + nspare since the period began, less what is now spare */
	int32_t		 least;		/* `floor', or 0 if that is below: what the next promise may leave without more ado */
	uint32_t	 besides;	/* REAP__STACK_ASKED, ...: why there is more to do than usual; any thread */
	uint64_t	 hits;		/* gets served from here; relaxed, statistics read it */
	struct reap__stack *owed;	/* promised, and set aside when the list was renewed: lists, linked by `batch' */
	struct reap__stack *spare;	/* a second batch, older than the current one, or NULL */
	uint32_t	 nspare;	/* stacks in it; relaxed, statistics read it */
	uint64_t	 period;	/* clock value at which the period began */
	struct reap__depot *depot;	/* constant */
	struct reap__stack_cache *sibling;	/* next of the depot's caches; under the depot's lock */
};

#define REAP__STACK_ASKED	0x1u	/* the depot wants what the cache holds; by others, under the lock; its owner clears it */
#define REAP__STACK_SPILLED	0x2u	/* a landing has, and who reaps has not seen to the depot since */
#define REAP__STACK_NEVER_WARM	0x4u	/* each stack is to be scrubbed; constant */
/* The worker's own, here so that one look is enough. */
#define REAP__STACK_DISCARDED	0x8u	/* others have discarded contexts; they set it, the owner clears it */
#define REAP__STACK_NOT_SIMPLE	0x10u	/* nobody is born simple here; so wherever who reaps has a limit to see to.  Constant */

#define REAP__STACK_CLASSES	26	/* the default size, then page << 0 ... page << 24: 64 GiB with pages of 4 KiB */

/* Stacks of one size.  The first three are constant after init, all others are under the depot's lock. */
struct reap__stack_class {
	size_t		 size;		/* bytes from lo to hi, the room for colours included */
	size_t		 guard;		/* bytes that fault below lo; 0: unguarded */
	size_t		 stride;	/* size + guard: an odd number of pages */
	struct reap__stack *warm;	/* batches of dead stacks as they were left, newest first */
	uint64_t	 nwarm;		/* stacks in them */
	uint64_t	 low;		/* least of nwarm since the period began */
	uint64_t	 mapped;	/* stacks in mapped slabs */
	uint64_t	 nfree;		/* of these, free in their slab */
	struct reap__slab *open;	/* slabs that have free stacks */
	struct reap__slab *bare;	/* slab headers without a mapping, for reuse */
};

/* One per domain. */
struct reap__depot {
	/* Read by every get; written by trim, seldom. */
	uint32_t	 over;		/* 1: above its cap, for collectors to see; relaxed */
	/* Constant after init. */
	uint32_t	 batch;		/* stacks that travel together: half a cache */
	unsigned	 flags;		/* REAP_STACK_UNGUARDED, ... */
	unsigned	 quarantine;	/* stacks that wait there */
	size_t		 page;
	size_t		 size;		/* the default, as asked for: what the embedder's alloc() gets */
	uint64_t	 cap;		/* bytes of stacks that the depot keeps warm */
	uint64_t	 decay;		/* nanoseconds */
	uint64_t	 max_maps;	/* budget of `maps' */
	uint64_t	(*clock)(void *);
	void		*clock_arg;
	struct reap_stack_ops ops;	/* alloc == NULL: none */
	/* Append-only; lookups walk it without a lock. */
	struct reap__slab *slabs;
	char		 pad0[64];	/* what landings write must not slow down those who read the above */
	struct reap__stack *incoming;	/* batches of the default class pushed by landings; atomic */
	char		 pad1[64];
	/* The rest is under the lock. */
	pthread_mutex_t	 lock;
	struct reap__stack_class classes[REAP__STACK_CLASSES];
	struct reap__stack_cache *caches;
	uint64_t	 warm;		/* bytes in the classes' warm lists */
	uint64_t	 period;	/* clock value at which the period began */
	uint64_t	 maps;		/* mappings that guards and quarantine have split off, at most */
	unsigned	 method;	/* enum reap__os_guard, for new guards */
	struct reap__stack *waiting;	/* the quarantine, oldest first */
	struct reap__stack **waiting_end;
	uint64_t	 nwaiting;
	uint64_t	 nslabs;	/* mapped */
	struct reap__headers *headers;	/* of slabs, many in one mapping; the newest has room, if one has */
	uint64_t	 hits;		/* of caches that are gone */
	uint64_t	 depot_hits;
	uint64_t	 misses;
	uint64_t	 enomem_memory;
	uint64_t	 enomem_maps;
	uint64_t	 returned;	/* bytes */
};

struct reap__stack_counts {
	uint64_t mapped;		/* stacks that have addresses: live + cached + depot + quarantined + decommitted */
	uint64_t live;			/* handed out */
	uint64_t cached;		/* in the workers' caches */
	uint64_t depot;			/* in the depot, warm */
	uint64_t quarantined;
	uint64_t decommitted;		/* free, without memory: given back, or never used */
	uint64_t slabs;			/* mapped */
	uint64_t maps;			/* mappings charged to guards, at most max_maps */
	uint64_t max_maps;
	uint64_t cache_hits;		/* gets served by a worker's cache */
	uint64_t depot_hits;		/* gets served by the depot, warm; the rest of a batch then hits the cache */
	uint64_t misses;		/* gets that took a decommitted or new stack */
	uint64_t enomem_memory;		/* gets that failed: the system gave no memory */
	uint64_t enomem_maps;		/* gets that failed: no mapping left for a guard */
	uint64_t returned;		/* bytes of stacks given back to the system since init */
};

/*
 * Who may call: init, fini, cache_init and cache_fini as their names say, by one thread.  A cache belongs to the thread that
 * calls with it; NULL stands for a caller without one.  All but shelve may lock and enter the kernel; none switches.
 */
int	 reap__depot_init(struct reap__depot *, const struct reap_stack_options *, uint64_t (*clock)(void *), void *clock_arg);
void	 reap__depot_fini(struct reap__depot *);		/* all stacks are back, all caches are gone: unmaps */
void	 reap__depot_stats(const struct reap__depot *, struct reap__stack_counts *);	/* takes the lock */
void	 reap__stack_cache_init(struct reap__stack_cache *, struct reap__depot *);
void	 reap__stack_cache_fini(struct reap__stack_cache *);	/* its stacks go to the depot */

/* Memory supplied by the embedder.  The record lies at its upper end; put() forgets it.  -EINVAL: below the minimum. */
int	 reap__stack_adopt(struct reap__depot *, void *base, size_t size, struct reap__stack **);

size_t	 reap__stack_trim(struct reap__depot *, struct reap__stack_cache *);		/* bytes given back by this call */
uint64_t reap__stack_trim_aged(struct reap__depot *, struct reap__stack_cache *);	/* when to ask again, or UINT64_MAX */
int	 reap__stack_lookup(const struct reap__depot *, const void *address, struct reap_stack_info *);	/* signal-safe */

/* Out of line: what the inlines below do when it is not simple. */
int	 reap__stack_get_cold(struct reap__depot *, struct reap__stack_cache *, size_t, const struct reap_stack_ops *,
	    struct reap__stack **);
void	 reap__stack_put_cold(struct reap__depot *, struct reap__stack_cache *, struct reap__stack *);
void	 reap__stack_spill(struct reap__stack_cache *);		/* landing: one CAS at most */
void	 reap__stack_settle_cold(struct reap__depot *);
void	 reap__stack_obey(struct reap__stack_cache *);		/* gives all up if the depot asks for it */

static inline uint32_t
reap__stack_besides(const struct reap__stack_cache *cache)
{
	return REAP_LOAD_RELAXED(&cache->besides);	/* a request that is seen late is only late */
}

static inline void
reap__stack_set_besides(struct reap__stack_cache *cache, uint32_t clear, uint32_t set)
{
	uint32_t now = reap__stack_besides(cache);

	/* Seldom.  Release, as there is no weaker one: it carries nothing but the bits themselves, and pairs with nothing. */
	while ((now & (clear | set)) != set && !REAP_CAS_RELEASE(&cache->besides, &now, (now & ~clear) | set))
		continue;
}

/* Reaping side: landings may have filled the depot beyond its cap.  Warm: two loads of what is seldom written. */
static inline bool
reap__stack_unsettled(const struct reap__depot *depot)
{
	return REAP_LOAD_RELAXED(&depot->incoming) != NULL || REAP_LOAD_RELAXED(&depot->over) != 0;
}

static inline void
reap__stack_settle(struct reap__depot *depot)
{
	if (REAP_UNLIKELY(reap__stack_unsettled(depot)))
		reap__stack_settle_cold(depot);
}

static inline bool
reap__stack_shelvable(const struct reap__stack *s)
{
	return s->kind == REAP__STACK_SHELVABLE;
}

static inline void
reap__stack_cache_push(struct reap__stack_cache *cache, struct reap__stack *s)
{
	s->next = cache->list;
	REAP_STORE_RELAXED(&s->owner, NULL);	/* no order: a lookup is a snapshot */
	cache->list = s;
	reap__count_own32(&cache->count, 1);
}

/*
 * A stack in two steps.  A promise, of one of `count' while that is not 0, takes it off the account; which one it will be is
 * settled when it is fetched, so that who runs early gets what is hot.  Promised stacks stay where they are, whatever is
 * trimmed or spilled meanwhile.
 */
static inline void
reap__stack_set_floor(struct reap__stack_cache *cache, int32_t floor)
{
	cache->floor = floor;
	cache->least = floor > 0 ? floor : 0;
}

/* Whether a stack can be promised, and there have not been fewer left for as long as it counts. */
static inline bool
reap__stack_promises(const struct reap__stack_cache *cache)
{
	return (int32_t)cache->count - 1 >= cache->least;
}

/* The same after all, if it is only that there have not been fewer. */
static inline bool
reap__stack_lower(struct reap__stack_cache *cache)
{
	if (cache->count == 0)
		return false;
	if (!reap__stack_promises(cache))
		reap__stack_set_floor(cache, (int32_t)cache->count - 1);
	return true;
}

static inline void
reap__stack_promise(struct reap__stack_cache *cache)
{
	(void)reap__stack_lower(cache);
	reap__count_own32(&cache->count, (uint32_t)-1);
}

static inline struct reap__stack *
reap__stack_fetch_first(struct reap__stack_cache *cache)
{
	struct reap__stack *s = cache->list;

	cache->list = s->next;
	reap__count_own(&cache->hits, 1);
	return s;
}

static inline struct reap__stack *
reap__stack_fetch(struct reap__stack_cache *cache)
{
	if (REAP_UNLIKELY(cache->list == NULL)) {
		cache->list = cache->owed;
		cache->owed = cache->list->batch;
	}
	return reap__stack_fetch_first(cache);
}

/* A promised one is not needed: another stack than one of these was at hand. */
static inline void
reap__stack_unpromise(struct reap__stack_cache *cache)
{
	reap__count_own32(&cache->count, 1);
}

/*
 * A stack of at least `size' usable bytes; 0: the domain's default.  ops: the embedder's allocator; NULL: the domain's.
 * 0; -EINVAL: below the minimum; -ENOMEM: the counters tell of what; what the embedder's alloc() returned.
 */
static inline int
reap__stack_get(struct reap__depot *depot, struct reap__stack_cache *cache, size_t size, const struct reap_stack_ops *ops,
    struct reap__stack **out)
{
	if (REAP_LIKELY(cache != NULL && size == 0 && ops == NULL && cache->count != 0 &&
	    (reap__stack_besides(cache) & (REAP__STACK_ASKED | REAP__STACK_NEVER_WARM)) == 0)) {
		reap__stack_promise(cache);
		*out = reap__stack_fetch(cache);
		return 0;
	}
	return reap__stack_get_cold(depot, cache, size, ops, out);
}

/* The landing's.  Only for a stack that reap__stack_shelvable() said yes to. */
static inline void
reap__stack_shelve(struct reap__stack_cache *cache, struct reap__stack *s)
{
	if (REAP_UNLIKELY(cache->count >= cache->batch))
		reap__stack_spill(cache);
	reap__stack_cache_push(cache, s);
}


/* The reaping side's.  Any stack: cached, freed by its ops, or forgotten. */
static inline void
reap__stack_put(struct reap__depot *depot, struct reap__stack_cache *cache, struct reap__stack *s)
{
	if (REAP_LIKELY(cache != NULL && reap__stack_shelvable(s) && cache->count < cache->batch &&
	    (reap__stack_besides(cache) & (REAP__STACK_ASKED | REAP__STACK_NEVER_WARM)) == 0))
		reap__stack_cache_push(cache, s);
	else
		reap__stack_put_cold(depot, cache, s);
}

#endif
