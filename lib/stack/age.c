/* SPDX-License-Identifier: ISC */
/*
 * age.c: what goes back to the system because it was asked for, or because nobody needed it for a while.
 */
#include "stack/depot.h"
#include "stack/slab.h"

void
reap__depot_ask(struct reap__depot *depot)
{
	struct reap__stack_cache *cache;

	for (cache = depot->caches; cache != NULL; cache = cache->sibling)
		reap__stack_set_besides(cache, 0, REAP__STACK_ASKED);
}

size_t
reap__stack_trim(struct reap__depot *depot, struct reap__stack_cache *cache)
{
	size_t bytes = 0;

	reap__depot_lock(depot);
	reap__depot_ask(depot);
	if (cache != NULL)
		bytes += reap__cache_release(cache, 0);
	bytes += reap__depot_shed_all(depot);
	reap__depot_unlock(depot);
	if (cache != NULL)
		reap__stack_obey(cache);	/* it is empty: so that what it gets from now on stays */
	return bytes;
}

static bool
is_over(const struct reap__depot *depot, uint64_t period, uint64_t now)
{
	return now < period || now - period >= depot->decay;	/* a clock that was set back starts a new period */
}

static uint64_t
due(const struct reap__depot *depot, uint64_t period)
{
	return period < UINT64_MAX - depot->decay ? period + depot->decay : UINT64_MAX;
}

static uint64_t
age_cache(struct reap__stack_cache *cache, uint64_t now)
{
	if (is_over(cache->depot, cache->period, now)) {
		const int64_t low = (int64_t)cache->floor + cache->nspare;

		if (low > 0)
			(void)reap__cache_release(cache, (uint32_t)((int64_t)cache->count + cache->nspare - low));
		reap__stack_set_floor(cache, (int32_t)cache->count);
		cache->period = now;
	}
	return cache->count + cache->nspare != 0 ? due(cache->depot, cache->period) : UINT64_MAX;
}

static uint64_t
age_depot(struct reap__depot *depot, uint64_t now)
{
	int c;

	reap__depot_receive(depot);
	reap__depot_cap(depot, &depot->classes[0]);
	if (is_over(depot, depot->period, now)) {
		for (c = 0; c < REAP__STACK_CLASSES; c++) {
			struct reap__stack_class *class = &depot->classes[c];

			(void)reap__depot_shed(depot, class, class->nwarm - class->low);
			class->low = class->nwarm;
		}
		(void)reap__slab_sweep(depot);
		depot->period = now;
	}
	return depot->warm != 0 ? due(depot, depot->period) : UINT64_MAX;
}

uint64_t
reap__stack_trim_aged(struct reap__depot *depot, struct reap__stack_cache *cache)
{
	uint64_t now, next, mine = UINT64_MAX;

	if (cache != NULL)
		reap__stack_obey(cache);
	if (depot->decay == UINT64_MAX)
		return UINT64_MAX;
	now = depot->clock(depot->clock_arg);
	reap__depot_lock(depot);
	if (cache != NULL)
		mine = age_cache(cache, now);
	next = age_depot(depot, now);
	reap__depot_unlock(depot);
	return mine < next ? mine : next;
}
