/* SPDX-License-Identifier: ISC */
/*
 * cache.c: a worker's own dead stacks, and what to do when it has none, or too many.
 *
 * Two batches, so that a worker that goes to and fro around a full or an empty one does not meet the depot each time.
 */
#include <errno.h>

#include "os/os.h"
#include "sanitize.h"
#include "stack/depot.h"
#include "stack/size.h"
#include "stack/slab.h"

/* Cut a list after its first n; returns the rest. */
static struct reap__stack *
cut(struct reap__stack **list, uint32_t n)
{
	struct reap__stack *rest;

	while (n-- != 0)
		list = &(*list)->next;
	rest = *list;
	*list = NULL;
	return rest;
}

/* The first n, not 0, leave the list; n are in it, or in what is owed. */
static struct reap__stack *
unload(struct reap__stack_cache *cache, uint32_t n)
{
	struct reap__stack *first, **link = &cache->list;

	for (;; link = &(*link)->next) {
		if (*link == NULL) {
			*link = cache->owed;
			cache->owed = (*link)->batch;
		}
		if (--n == 0)
			break;
	}
	first = cache->list;
	cache->list = cut(&(*link)->next, 0);
	return first;
}

/* All of the list is promised, and there is another one to take from. */
static void
renew(struct reap__stack_cache *cache, struct reap__stack *list, uint32_t count)
{
	if (cache->list != NULL) {
		cache->list->batch = cache->owed;
		cache->owed = cache->list;
	}
	cache->list = list;
	REAP_STORE_RELAXED(&cache->count, count);		/* no order: statistics */
}

void
reap__stack_cache_init(struct reap__stack_cache *cache, struct reap__depot *depot)
{
	*cache = (struct reap__stack_cache){ .batch = depot->batch, .depot = depot };
	if ((depot->flags & REAP_STACK_SCRUB) != 0)
		cache->besides = REAP__STACK_NEVER_WARM;
	cache->period = depot->clock(depot->clock_arg);
	reap__depot_lock(depot);
	cache->sibling = depot->caches;
	depot->caches = cache;
	reap__depot_unlock(depot);
}

void
reap__stack_cache_fini(struct reap__stack_cache *cache)
{
	struct reap__depot *depot = cache->depot;
	struct reap__stack_cache **link;

	reap__depot_lock(depot);
	for (link = &depot->caches; *link != cache; link = &(*link)->sibling)
		continue;
	*link = cache->sibling;
	depot->hits += cache->hits;
	if (cache->spare != NULL)
		reap__depot_add_batch(depot, cache->spare, cache->nspare);
	/* Whom a stack is promised to has not run, and keeps its worker from stopping: what is counted is all there is. */
	if (cache->count != 0)
		reap__depot_add_batch(depot, unload(cache, cache->count), cache->count);
	cache->spare = NULL;
	REAP_STORE_RELAXED(&cache->count, 0);	/* no order: statistics */
	REAP_STORE_RELAXED(&cache->nspare, 0);	/* no order: statistics */
	reap__depot_receive(depot);
	reap__depot_cap(depot, &depot->classes[0]);
	reap__depot_unlock(depot);
}

/* The current batch is full.  It becomes the spare one; what was spare goes to the depot. */
void
reap__stack_spill(struct reap__stack_cache *cache)
{
	if (cache->spare != NULL) {
		reap__depot_push(cache->depot, cache->spare, cache->nspare);
		reap__stack_set_besides(cache, 0, REAP__STACK_SPILLED);
	}
	cache->spare = unload(cache, cache->count);
	REAP_STORE_RELAXED(&cache->nspare, cache->count);	/* no order: statistics */
	/* Those that nobody needed lay deepest, most of them in the batch that went.  floor + nspare stays the least. */
	reap__stack_set_floor(cache, cache->least - (int32_t)cache->count);
	REAP_STORE_RELAXED(&cache->count, 0);			/* no order: statistics */
}

static struct reap__stack *
take(struct reap__stack_cache *cache)
{
	if (cache->count == 0) {
		if (cache->spare == NULL)
			return NULL;
		renew(cache, cache->spare, cache->nspare);
		reap__stack_set_floor(cache, cache->floor + (int32_t)cache->nspare);
		cache->spare = NULL;
		REAP_STORE_RELAXED(&cache->nspare, 0);			/* no order: statistics */
	}
	reap__stack_promise(cache);
	return reap__stack_fetch(cache);
}

size_t
reap__cache_release(struct reap__stack_cache *cache, uint32_t keep)
{
	const uint32_t from_list = keep < cache->count ? keep : cache->count;
	const uint32_t from_spare = keep - from_list < cache->nspare ? keep - from_list : cache->nspare;
	struct reap__stack *rest[2], *s;
	struct reap__slab_round round;
	int i;

	/* Of the list, the longest unused go; as far as they are not among those that the promised may be given. */
	rest[0] = cache->count > from_list ? unload(cache, cache->count) : NULL;
	if (rest[0] != NULL && from_list != 0) {
		struct reap__stack *kept = rest[0], **end = &cache->list;

		rest[0] = cut(&kept, from_list);
		while (*end != NULL)
			end = &(*end)->next;
		*end = kept;
	}
	rest[1] = cut(&cache->spare, from_spare);
	REAP_STORE_RELAXED(&cache->count, from_list);	/* no order: statistics */
	REAP_STORE_RELAXED(&cache->nspare, from_spare);	/* no order: statistics */
	if (cache->floor > (int32_t)from_list)
		reap__stack_set_floor(cache, (int32_t)from_list);
	reap__slab_round_begin(&round);
	for (i = 0; i < 2; i++)
		for (s = rest[i]; s != NULL; s = s->next)
			reap__slab_free(&round, cache->depot, s, true);
	return reap__slab_round_finish(&round, cache->depot);
}

void
reap__stack_obey(struct reap__stack_cache *cache)
{
	struct reap__depot *depot = cache->depot;

	if ((reap__stack_besides(cache) & REAP__STACK_ASKED) == 0)
		return;
	reap__stack_set_besides(cache, REAP__STACK_ASKED, 0);
	if (cache->count == 0 && cache->spare == NULL)
		return;
	reap__depot_lock(depot);
	(void)reap__cache_release(cache, 0);
	reap__depot_unlock(depot);
}

/* Under the lock: what others hold may serve a later get, so ask them for it.  Not if there is nothing to be had. */
static void
recall(struct reap__depot *depot, const struct reap__stack_cache *mine)
{
	const struct reap__stack_cache *cache;

	for (cache = depot->caches; cache != NULL; cache = cache->sibling)
		/* Relaxed: an estimate, from counters that their owners change. */
		if (cache != mine && REAP_LOAD_RELAXED(&cache->count) + REAP_LOAD_RELAXED(&cache->nspare) != 0) {
			reap__depot_ask(depot);
			return;
		}
}

/* From the depot, or else from a slab.  Of the depot's, the cache gets a whole batch. */
static int
get_shared(struct reap__depot *depot, struct reap__stack_cache *cache, struct reap__stack_class *class,
    struct reap__stack **out, bool *dirty)
{
	const bool to_cache = cache != NULL && class == &depot->classes[0];
	struct reap__stack *s;
	bool maps;
	int error;

	reap__depot_receive(depot);
	if ((s = to_cache ? reap__depot_pop_batch(depot) : reap__depot_pop(depot, class)) != NULL) {
		if (to_cache) {
			renew(cache, s->next, s->count - 1);
			reap__stack_set_floor(cache, 0);
		}
		depot->depot_hits++;
		reap__depot_cap(depot, class);
		*out = s;
		*dirty = true;
		return 0;
	}
	if ((error = reap__slab_take(depot, class, out, dirty, &maps)) != 0) {
		/* Whatever is kept warm in other sizes stands in the way now. */
		if (cache != NULL)
			(void)reap__cache_release(cache, 0);
		(void)reap__depot_shed_all(depot);
		if ((error = reap__slab_take(depot, class, out, dirty, &maps)) != 0) {
			recall(depot, cache);
			(*(maps ? &depot->enomem_maps : &depot->enomem_memory))++;
			return error;
		}
	}
	depot->misses++;
	return 0;
}

/*
 * Not memset(), which the address sanitizer would check against what the dead left poisoned; and the compiler must not make
 * one of the loop.
 */
#if defined(__GNUC__)
__attribute__((no_sanitize("address", "thread")))
#endif
static void
wipe(char *lo, char *hi)
{
	uint64_t *p;

	for (p = (void *)lo; p < (uint64_t *)(void *)hi; p++) {
		*p = 0;
		__asm__ volatile("" : : "r"(p) : "memory");
	}
}

static void
scrub(struct reap__stack *s)
{
	reap__san_zeroed(s->lo, (size_t)(s->hi - s->lo));
	if (reap__os_decommit(s->lo, (size_t)(s->hi - s->lo)) != 0 || !reap__os_decommit_zeroes())
		wipe(s->lo, s->hi);
}

int
reap__stack_get_cold(struct reap__depot *depot, struct reap__stack_cache *cache, size_t size,
    const struct reap_stack_ops *ops, struct reap__stack **out)
{
	struct reap__stack *s = NULL;
	bool dirty = true;
	int c, error;

	if (ops == NULL && depot->ops.alloc != NULL)
		ops = &depot->ops;
	if (ops != NULL)
		return reap__foreign_get(size != 0 ? size : depot->size, ops, out);
	if ((c = reap__size_class_of(depot, size)) == -EINVAL)
		return c;
	if (c == 0 && cache != NULL)
		s = take(cache);
	if (cache != NULL)
		reap__stack_obey(cache);
	if (s == NULL) {
		reap__depot_lock(depot);
		if (c < 0) {
			error = c;
			depot->enomem_memory++;
		} else {
			error = get_shared(depot, cache, &depot->classes[c], &s, &dirty);
		}
		reap__depot_unlock(depot);
		if (error != 0)
			return error;
	}
	if (dirty && (depot->flags & REAP_STACK_SCRUB) != 0)
		scrub(s);
	*out = s;
	return 0;
}

void
reap__stack_put_cold(struct reap__depot *depot, struct reap__stack_cache *cache, struct reap__stack *s)
{
	struct reap__stack_class *class;

	if (s->kind == REAP__STACK_OPS || s->kind == REAP__STACK_ADOPTED) {
		reap__foreign_put(s);
		return;
	}
	if (cache != NULL)
		reap__stack_obey(cache);
	if (cache != NULL && reap__stack_shelvable(s)) {
		bool spills = cache->count >= cache->batch && cache->spare != NULL;

		reap__stack_shelve(cache, s);
		if (!spills)
			return;
		s = NULL;
	}
	reap__depot_lock(depot);
	reap__depot_receive(depot);
	class = &depot->classes[s != NULL ? s->slab->class : 0];
	if (s != NULL && depot->quarantine != 0)
		reap__quarantine_put(depot, s);
	else if (s != NULL)
		reap__depot_add(depot, class, s);
	reap__depot_cap(depot, class);
	reap__depot_unlock(depot);
}
