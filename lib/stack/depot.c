/* SPDX-License-Identifier: ISC */
/*
 * depot.c: a domain's dead stacks, warm, in batches.
 *
 *	warm -> [first, count 32] -batch-> [first, count 32] -batch-> [first, count 7] -> NULL		newest first
 *	            | next                     | next
 *	         [stack]                    [stack]
 */
#include <errno.h>

#include "os/os.h"
#include "stack/depot.h"
#include "stack/size.h"
#include "stack/slab.h"

#define KNOWN_FLAGS	(REAP_STACK_UNGUARDED | REAP_STACK_SCRUB | REAP_STACK_NO_GUARD_INSTALL)

/* What is shed in one go when the depot is above its cap: an eighth of it, but no more stacks of the default size than: */
#define SHED_MOST	128u

void
reap__depot_lock(struct reap__depot *depot)
{
	if (pthread_mutex_lock(&depot->lock) != 0)
		reap_misuse("stack-depot", "the depot's lock is broken: was the domain destroyed?");
}

void
reap__depot_unlock(struct reap__depot *depot)
{
	if (pthread_mutex_unlock(&depot->lock) != 0)
		reap_misuse("stack-depot", "the depot's lock is broken: was the domain destroyed?");
}

static int
options_apply(struct reap__depot *depot, const struct reap_stack_options *o)
{
	const size_t size = o->size != 0 ? o->size : REAP_STACK_SIZE_DEFAULT;
	const unsigned cache = o->cache != 0 ? o->cache : REAP_STACK_CACHE_DEFAULT;
	const size_t maps = reap__os_max_maps();
	size_t guard, n = depot->page = reap__os_page();
	const bool unguarded = (o->flags & REAP_STACK_UNGUARDED) != 0;
	int c, error;

	guard = o->guard != 0 ? o->guard : depot->page;
	if ((o->flags & ~KNOWN_FLAGS) != 0 || size < reap_stack_minimum() || cache < 2 || cache > INT32_MAX)
		return -EINVAL;
	if (o->ops != NULL) {
		if (o->ops->alloc == NULL || o->ops->free == NULL)
			return -EINVAL;
		depot->ops = *o->ops;
	}
	if ((error = reap__size_class_init(&depot->classes[0], size, guard, depot->page, unguarded)) != 0)
		return error;
	for (c = 1; c < REAP__STACK_CLASSES; c++, n *= 2)
		if (reap__size_class_init(&depot->classes[c], n, guard, depot->page, unguarded) != 0 || n > SIZE_MAX / 2)
			break;	/* the address space ends here; the rest keeps a stride of 0 */
	depot->batch = cache / 2;
	depot->flags = o->flags;
	depot->quarantine = o->quarantine;
	depot->size = size;
	depot->cap = (uint64_t)(o->depot != 0 ? o->depot : REAP_STACK_DEPOT_DEFAULT) * depot->classes[0].size;
	depot->decay = o->decay_ns != 0 ? o->decay_ns : REAP_STACK_DECAY_DEFAULT;
	depot->max_maps = o->maps != 0 ? o->maps : maps / 4 * 3;
	depot->method = (o->flags & REAP_STACK_NO_GUARD_INSTALL) == 0 && reap__os_marker_works() ? REAP__OS_MARKER :
	    REAP__OS_PROTECTION;
	return 0;
}

int
reap__depot_init(struct reap__depot *depot, const struct reap_stack_options *options, uint64_t (*clock)(void *),
    void *clock_arg)
{
	static const struct reap_stack_options defaults;
	int error;

	*depot = (struct reap__depot){ .clock = clock, .clock_arg = clock_arg };
	depot->waiting_end = &depot->waiting;
	if ((error = options_apply(depot, options != NULL ? options : &defaults)) != 0)
		return error;
	depot->period = clock(clock_arg);
	return pthread_mutex_init(&depot->lock, NULL) == 0 ? 0 : -ENOMEM;
}

void
reap__depot_fini(struct reap__depot *depot)
{
	reap__slab_fini(depot);
	(void)pthread_mutex_destroy(&depot->lock);
}

void
reap__depot_push(struct reap__depot *depot, struct reap__stack *batch, uint32_t n)
{
	struct reap__stack *old = REAP_LOAD_RELAXED(&depot->incoming);	/* no order: the CAS tells if it was right */

	batch->count = n;
	do {
		batch->batch = old;
		/* Pairs with the exchange in reap__depot_receive(), which else would follow links that are not there yet. */
	} while (!REAP_CAS_RELEASE(&depot->incoming, &old, batch));
}

void
reap__depot_receive(struct reap__depot *depot)
{
	struct reap__stack_class *class = &depot->classes[0];
	struct reap__stack *first, *last;
	uint64_t n;

	/* Relaxed: what is pushed after this look comes next time. */
	if (REAP_LOAD_RELAXED(&depot->incoming) == NULL)
		return;
	/* Pairs with the CAS in reap__depot_push().  All of it is taken at once, so there is no ABA. */
	first = REAP_XCHG_ACQUIRE(&depot->incoming, NULL);
	if (first == NULL)
		return;
	for (last = first, n = first->count; last->batch != NULL; n += last->count)
		last = last->batch;
	last->batch = class->warm;
	class->warm = first;
	class->nwarm += n;
	depot->warm += n * class->size;
	if (depot->warm > depot->cap)
		REAP_STORE_RELAXED(&depot->over, 1);	/* no order: a hint to collectors */
}

void
reap__depot_add_batch(struct reap__depot *depot, struct reap__stack *batch, uint32_t n)
{
	struct reap__stack_class *class = &depot->classes[0];

	batch->count = n;
	batch->batch = class->warm;
	class->warm = batch;
	class->nwarm += n;
	depot->warm += n * class->size;
}

void
reap__depot_add(struct reap__depot *depot, struct reap__stack_class *class, struct reap__stack *s)
{
	struct reap__stack *head = class->warm;

	REAP_STORE_RELAXED(&s->owner, NULL);	/* no order: a lookup is a snapshot */
	if (head != NULL && head->count < depot->batch) {
		s->next = head;
		s->count = head->count + 1;
		s->batch = head->batch;
	} else {
		s->next = NULL;
		s->count = 1;
		s->batch = head;
	}
	class->warm = s;
	class->nwarm++;
	depot->warm += class->size;
}

static void
took(struct reap__depot *depot, struct reap__stack_class *class, uint64_t n)
{
	class->nwarm -= n;
	if (class->nwarm < class->low)
		class->low = class->nwarm;
	depot->warm -= n * class->size;
}

struct reap__stack *
reap__depot_pop(struct reap__depot *depot, struct reap__stack_class *class)
{
	struct reap__stack *s = class->warm;

	if (s == NULL)
		return NULL;
	if (s->next != NULL) {
		s->next->count = s->count - 1;
		s->next->batch = s->batch;
		class->warm = s->next;
	} else {
		class->warm = s->batch;
	}
	took(depot, class, 1);
	return s;
}

struct reap__stack *
reap__depot_pop_batch(struct reap__depot *depot)
{
	struct reap__stack_class *class = &depot->classes[0];
	struct reap__stack *batch = class->warm;

	if (batch == NULL)
		return NULL;
	class->warm = batch->batch;
	took(depot, class, batch->count);
	return batch;
}

/* Cut the class's list after its newest `keep' stacks; returns the rest, a list of batches. */
static struct reap__stack *
cut(struct reap__stack_class *class, uint64_t keep)
{
	struct reap__stack **link = &class->warm, *head, *s, *rest;
	uint32_t n;

	while (*link != NULL && (*link)->count <= keep) {
		keep -= (*link)->count;
		link = &(*link)->batch;
	}
	head = *link;
	if (head == NULL || keep == 0) {
		*link = NULL;
		return head;
	}
	for (s = head, n = 1; n < keep; n++)
		s = s->next;
	rest = s->next;
	s->next = NULL;
	rest->count = head->count - n;
	rest->batch = head->batch;
	head->count = n;
	head->batch = NULL;
	return rest;
}

size_t
reap__depot_shed(struct reap__depot *depot, struct reap__stack_class *class, uint64_t keep)
{
	struct reap__slab_round round;
	struct reap__stack *batch, *s;

	if (keep >= class->nwarm)
		return 0;
	reap__slab_round_begin(&round);
	batch = cut(class, keep);
	took(depot, class, class->nwarm - keep);
	while ((s = batch) != NULL) {
		batch = s->batch;
		for (; s != NULL; s = s->next)
			reap__slab_free(&round, depot, s, true);
	}
	return reap__slab_round_finish(&round, depot);
}

size_t
reap__depot_shed_all(struct reap__depot *depot)
{
	size_t bytes = 0;
	int c;

	reap__depot_receive(depot);
	for (c = 0; c < REAP__STACK_CLASSES; c++)
		bytes += reap__depot_shed(depot, &depot->classes[c], 0);
	return bytes + reap__slab_sweep(depot);
}

/* Whole batches from the newest side, at least `least' stacks if there are so many: no walk to the oldest. */
static void
shed_newest(struct reap__depot *depot, struct reap__stack_class *class, uint64_t least)
{
	struct reap__slab_round round;
	struct reap__stack *s;
	uint64_t n = 0;

	reap__slab_round_begin(&round);
	while (n < least && class->warm != NULL) {
		s = class->warm;
		class->warm = s->batch;
		took(depot, class, s->count);
		n += s->count;
		for (; s != NULL; s = s->next)
			reap__slab_free(&round, depot, s, true);
	}
	(void)reap__slab_round_finish(&round, depot);
}

/* Shed the class's oldest until `target' bytes are warm, or the class is empty. */
static void
shed_to(struct reap__depot *depot, struct reap__stack_class *class, uint64_t target)
{
	uint64_t n;

	if (depot->warm <= target || class->nwarm == 0)
		return;
	n = (depot->warm - target + class->size - 1) / class->size;
	(void)reap__depot_shed(depot, class, n < class->nwarm ? class->nwarm - n : 0);
}

void
reap__depot_cap(struct reap__depot *depot, struct reap__stack_class *class)
{
	const uint64_t most = (uint64_t)SHED_MOST * depot->classes[0].size;
	const uint64_t target = depot->cap - (depot->cap / 8 < most ? depot->cap / 8 : most);
	int c;

	if (depot->warm <= depot->cap)
		return;
	shed_to(depot, class, target);
	for (c = REAP__STACK_CLASSES - 1; c >= 0; c--)
		shed_to(depot, &depot->classes[c], target);
}

void
reap__stack_settle_cold(struct reap__depot *depot)
{
	struct reap__stack_class *class = &depot->classes[0];

	reap__depot_lock(depot);
	reap__depot_receive(depot);
	/* A bounded step: who comes here is about to go on with something else, and there will be others. */
	if (depot->warm > depot->cap) {
		uint64_t n = (depot->warm - depot->cap + class->size - 1) / class->size;

		/* Far above the cap, as after a burst, it does not matter which ones stay; that each step costs the same does. */
		if (n > SHED_MOST)
			shed_newest(depot, class, SHED_MOST);
		else
			(void)reap__depot_shed(depot, class, n < class->nwarm ? class->nwarm - n : 0);
	}
	REAP_STORE_RELAXED(&depot->over, depot->warm > depot->cap && class->nwarm != 0);	/* no order: a hint */
	reap__depot_unlock(depot);
}

void
reap__depot_stats(const struct reap__depot *constant, struct reap__stack_counts *counts)
{
	struct reap__depot *depot = (struct reap__depot *)(uintptr_t)constant;	/* for its lock; no depot is a constant */
	const struct reap__stack_cache *cache;
	uint64_t out;
	int c;

	*counts = (struct reap__stack_counts){ 0 };
	reap__depot_lock(depot);
	reap__depot_receive(depot);
	for (c = 0; c < REAP__STACK_CLASSES; c++) {
		counts->mapped += depot->classes[c].mapped;
		counts->depot += depot->classes[c].nwarm;
		counts->decommitted += depot->classes[c].nfree;
	}
	counts->cache_hits = depot->hits;
	for (cache = depot->caches; cache != NULL; cache = cache->sibling) {
		/* Relaxed: the owners go on meanwhile, so the sum is a snapshot. */
		counts->cached += REAP_LOAD_RELAXED(&cache->count) + REAP_LOAD_RELAXED(&cache->nspare);
		counts->cache_hits += REAP_LOAD_RELAXED(&cache->hits);
	}
	counts->quarantined = depot->nwaiting;
	out = counts->mapped - counts->depot - counts->decommitted - counts->quarantined;
	counts->live = out > counts->cached ? out - counts->cached : 0;
	counts->slabs = depot->nslabs;
	counts->maps = depot->maps;
	counts->max_maps = depot->max_maps;
	counts->depot_hits = depot->depot_hits;
	counts->misses = depot->misses;
	counts->enomem_memory = depot->enomem_memory;
	counts->enomem_maps = depot->enomem_maps;
	counts->returned = depot->returned;
	reap__depot_unlock(depot);
}
