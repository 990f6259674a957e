/* SPDX-License-Identifier: ISC */
/*
 * descriptor.c: the memory of descriptors.
 *
 * Descriptors lie in slabs that are never unmapped while their domain lives: a stale handle may be looked up at any time,
 * and finds a word that is no claim of its generation [12].  Free ones wait on their worker's list, then on the domain's.
 * Pages without a live descriptor are given back on trim, by the block, and then read as zero, which no generation matches.
 */
#include <reap/atomic.h>

#include "context.h"
#include "os/os.h"
#include "worker.h"

#define BATCH		64u		/* descriptors moved between a worker and the domain at a time: 8 KiB */
_Static_assert(2 * BATCH <= REAP__DESCRIPTORS_KEPT, "a worker keeps two batches");

static size_t
header_size(size_t stride)
{
	return (sizeof(struct reap__descriptors) + stride - 1) / stride * stride;
}

static struct reap_context *
descriptor_at(struct reap__descriptors *slab, uint32_t i)
{
	return (struct reap_context *)(void *)((char *)slab + header_size(slab->stride) + (size_t)i * slab->stride);
}

static struct reap__descriptors *
slab_of(struct reap_context *context)
{
	return (struct reap__descriptors *)((uintptr_t)context & ~(uintptr_t)(REAP__SLAB_SIZE - 1));
}

/* A new slab, under the domain's lock.  Maps twice the size and gives the unaligned ends back. */
static struct reap__descriptors *
slab_new(struct reap_domain *domain)
{
	struct reap__descriptors *slab;
	size_t		 stride = sizeof(struct reap_context) + (domain->usage ? 64 : 0);
	void		*base;
	uintptr_t	 lo, at, end;

	_Static_assert(sizeof(struct reap_usage) <= 64, "the usage of a context fits behind its descriptor");
	if (reap__os_map(2 * REAP__SLAB_SIZE, &base) != 0)
		return NULL;
	lo = (uintptr_t)base;
	at = (lo + REAP__SLAB_SIZE - 1) & ~(uintptr_t)(REAP__SLAB_SIZE - 1);
	/* Giving back may fail for want of mappings: then the ends stay, idle, as long as the slab does. */
	end = lo + 2 * REAP__SLAB_SIZE;
	if (at > lo && reap__os_unmap(base, at - lo) == 0)
		lo = at;
	if (end > at + REAP__SLAB_SIZE && reap__os_unmap((void *)(at + REAP__SLAB_SIZE), end - at - REAP__SLAB_SIZE) == 0)
		end = at + REAP__SLAB_SIZE;
	slab = (struct reap__descriptors *)at;
	slab->map = (void *)lo;
	slab->mapped = end - lo;
	slab->domain = domain;
	slab->stride = (uint32_t)stride;
	slab->capacity = (uint32_t)((REAP__SLAB_SIZE - header_size(stride)) / stride);
	slab->block = BATCH;
	while (slab->block * stride % reap__os_page() != 0 || slab->block * stride * REAP__SLAB_BLOCKS < REAP__SLAB_SIZE)
		slab->block *= 2;
	slab->next = domain->slabs;
	reap__san_root(slab, REAP__SLAB_SIZE, true);
	/* pairs with the acquire load in reap_domain_for_each(): a walker must not see the slab before its header. */
	REAP_STORE_RELEASE(&domain->slabs, slab);
	domain->carving = slab;
	return slab;
}

/* Blocks are counted in places for a descriptor; the header has the first ones of block 0. */
static uint32_t
block_of(const struct reap__descriptors *slab, const struct reap_context *context)
{
	return (uint32_t)(((uintptr_t)context - (uintptr_t)slab) / slab->stride / slab->block);
}

/* How many of the block's have been carved, and the first of them. */
static uint32_t
carved_in(const struct reap__descriptors *slab, uint32_t block, uint32_t *first)
{
	const uint32_t head = (uint32_t)(header_size(slab->stride) / slab->stride);
	uint32_t from = block * slab->block, to = from + slab->block;

	from = from < head ? head : from;
	to = to > head + slab->carved ? head + slab->carved : to;
	*first = from - head;
	return from < to ? to - from : 0;
}

static bool
is_gone(const struct reap__descriptors *slab, uint32_t block)
{
	return (slab->gone[block / 64] >> (block % 64) & 1) != 0;
}

static void
set_gone(struct reap_domain *domain, struct reap__descriptors *slab, uint32_t block, bool gone)
{
	if (is_gone(slab, block) == gone)
		return;
	slab->gone[block / 64] ^= UINT64_C(1) << (block % 64);
	domain->ngone += gone ? 1 : (size_t)-1;
}

/* Under the domain's lock: the descriptors of a block that has given its pages back are free ones again. */
static void
reclaim(struct reap_domain *domain)
{
	for (struct reap__descriptors *slab = domain->slabs; slab != NULL; slab = slab->next)
		for (uint32_t block = 0, first, n; block < REAP__SLAB_BLOCKS; block++) {
			if (!is_gone(slab, block))
				continue;
			set_gone(domain, slab, block, false);
			for (n = carved_in(slab, block, &first); n-- > 0;) {
				struct reap_context *context = descriptor_at(slab, first + n);

				context->next = domain->descriptors;
				domain->descriptors = context;
				domain->ndescriptors++;
			}
			return;
		}
}

/* One never used descriptor, under the domain's lock. */
static struct reap_context *
carve(struct reap_domain *domain)
{
	struct reap__descriptors *slab = domain->carving;

	if (slab == NULL || slab->carved == slab->capacity) {
		for (slab = domain->slabs; slab != NULL && slab->carved == slab->capacity; slab = slab->next)
			continue;
		if (slab == NULL && (slab = slab_new(domain)) == NULL)
			return NULL;
		domain->carving = slab;
	}
	/* A walker that reads the old count misses a descriptor that is being made; the new one reads zeroes: FREE. */
	REAP_STORE_RELAXED(&slab->carved, slab->carved + 1);
	return descriptor_at(slab, slab->carved - 1);
}

/* On the exit path: without a lock. */
void
reap__descriptor_give_back(struct reap_domain *domain, struct reap_context *context)
{
	struct reap_context *head = REAP_LOAD_RELAXED(&domain->returned);

	do
		context->next = head;
	while (!REAP_CAS_RELEASE(&domain->returned, &head, context));	/* pairs with the exchange in receive() */
}

/* Under the domain's lock: what exits have given back. */
static void
receive(struct reap_domain *domain)
{
	struct reap_context *context;

	if (REAP_LOAD_RELAXED(&domain->returned) == NULL)
		return;
	/* Acquire: pairs with the release in reap__descriptor_give_back(): the links. */
	context = REAP_XCHG_ACQUIRE(&domain->returned, NULL);
	while (context != NULL) {
		struct reap_context *next = context->next;

		context->next = domain->descriptors;
		domain->descriptors = context;
		domain->ndescriptors++;
		context = next;
	}
}

static struct reap_context *
take_one(struct reap_domain *domain)
{
	struct reap_context *context = domain->descriptors;

	if (context == NULL) {
		receive(domain);
		if (domain->descriptors == NULL && domain->ngone != 0)
			reclaim(domain);
		context = domain->descriptors;
	}
	if (context == NULL) {
		context = carve(domain);
		if (context == NULL)
			return NULL;
	} else {
		domain->descriptors = context->next;
		domain->ndescriptors--;
	}
	if (domain->ndescriptors < domain->fewest)
		domain->fewest = domain->ndescriptors;
	/* Fresh, or trim took the living reference away: a clean one has it. */
	if (REAP__REFS(REAP_LOAD_RELAXED(&context->refs)) == 0)
		REAP_STORE_RELEASE(&context->refs, REAP__REFS_ALIVE);	/* pairs with the acquire in refer() */
	return context;
}

/* NULL: no memory, or too many children. */
struct reap_context *
reap__descriptor_get_cold(struct reap_domain *domain, struct reap_worker *worker)
{
	struct reap_context *context;

	/* Here, where it costs nothing: uncollected children keep their descriptors, so their parent comes by often enough. */
	if (worker != NULL && worker->current != NULL && worker->current->kids >= REAP__KIDS_MAX)
		return NULL;
	pthread_mutex_lock(&domain->lock);
	context = take_one(domain);
	for (unsigned i = 1; worker != NULL && context != NULL && i < BATCH; i++) {
		struct reap_context *more = take_one(domain);

		if (more == NULL)
			break;
		more->next = worker->descriptors;
		worker->descriptors = more;
		worker->room--;
	}
	pthread_mutex_unlock(&domain->lock);
	return context;
}

static void
hand_on(struct reap_worker *worker, unsigned n)
{
	struct reap_domain *domain = worker->domain;

	pthread_mutex_lock(&domain->lock);
	for (; n > 0 && worker->descriptors != NULL; n--) {
		struct reap_context *context = worker->descriptors;

		worker->descriptors = context->next;
		worker->room++;
		context->next = domain->descriptors;
		domain->descriptors = context;
		domain->ndescriptors++;
	}
	pthread_mutex_unlock(&domain->lock);
}

/* By a thread that is no worker of the domain. */
void
reap__descriptor_put_cold(struct reap_domain *domain, struct reap_context *context)
{
	pthread_mutex_lock(&domain->lock);
	context->next = domain->descriptors;
	domain->descriptors = context;
	domain->ndescriptors++;
	pthread_mutex_unlock(&domain->lock);
}

/* On the reaping side, which may lock: what a worker has too many of serves the others. */
void
reap__descriptor_hand_on(struct reap_worker *worker)
{
	hand_on(worker, BATCH);
}

void
reap__descriptor_donate(struct reap_worker *worker)
{
	hand_on(worker, (unsigned)(REAP__DESCRIPTORS_KEPT - worker->room));
}

/*
 * A free descriptor keeps the living reference, and somebody with a stale handle may be adding and taking back one of its own.
 * That one must not find a page that has become zero in between.  Nobody adds to 0.
 */
static bool
nobody_refers(struct reap_context *context)
{
	uint64_t refs = REAP_LOAD_RELAXED(&context->refs);

	while (REAP__REFS(refs) == REAP__REFS_ALIVE)
		/* Acquire: pairs with the release of the one who takes his back. */
		if (REAP_CAS_ACQ_REL(&context->refs, &refs, 0))
			return true;
	return REAP__REFS(refs) == 0;
}

/* All that was carved in the block waits on the domain's list, as trim has just counted.  Of one that is gone, nothing does. */
static bool
is_idle(const struct reap__descriptors *slab, uint32_t block)
{
	uint32_t first, n = carved_in(slab, block, &first);

	return n != 0 && slab->idle[block] == n;
}

/* On failure the pages stay; they are used again as if they were zero, as what lies there is clean. */
static void
decommit(struct reap__descriptors *slab, uint32_t from, uint32_t to)
{
	const size_t page = reap__os_page(), block = (size_t)slab->block * slab->stride;
	size_t lo = from * block, hi = to * block;

	lo = lo < page ? page : lo;		/* the header stays */
	hi = hi < REAP__SLAB_SIZE ? hi : REAP__SLAB_SIZE;
	if (lo < hi)
		(void)reap__os_decommit((char *)slab + lo, hi - lo);
}

/* The blocks behind the last one in use are carved anew, in their time; others leave a gap that is remembered. */
static void
give_back(struct reap_domain *domain, struct reap__descriptors *slab)
{
	uint32_t first, end = 0, was, block, next;

	while (end < REAP__SLAB_BLOCKS && carved_in(slab, end, &first) != 0)
		end++;
	for (was = end; end > 0 && (is_gone(slab, end - 1) || is_idle(slab, end - 1)); end--)
		set_gone(domain, slab, end - 1, false);
	if (end < was) {
		(void)carved_in(slab, end, &first);
		REAP_STORE_RELAXED(&slab->carved, first);
		decommit(slab, end, was);
		domain->carving = slab;
	}
	for (block = 0; block < end; block = next) {
		next = block + 1;
		if (!is_idle(slab, block))
			continue;
		for (set_gone(domain, slab, block, true); next < end && is_idle(slab, next); next++)
			set_gone(domain, slab, next, true);
		decommit(slab, block, next);
	}
}

/* Blocks all of whose descriptors are free give their pages back; the page of the slab's header stays. */
void
reap__descriptor_trim(struct reap_domain *domain, struct reap_worker *worker)
{
	struct reap__descriptors *slab;
	struct reap_context	*context, **link;

	if (worker != NULL)
		reap__descriptor_donate(worker);
	pthread_mutex_lock(&domain->lock);
	receive(domain);
	for (slab = domain->slabs; slab != NULL; slab = slab->next)
		for (uint32_t block = 0; block < REAP__SLAB_BLOCKS; block++)
			slab->idle[block] = 0;
	for (context = domain->descriptors; context != NULL; context = context->next)
		if (nobody_refers(context))
			slab_of(context)->idle[block_of(slab_of(context), context)]++;
	for (link = &domain->descriptors; (context = *link) != NULL;) {
		if (is_idle(slab_of(context), block_of(slab_of(context), context))) {
			*link = context->next;
			domain->ndescriptors--;
		} else
			link = &context->next;
	}
	if (domain->ndescriptors < domain->fewest)
		domain->fewest = domain->ndescriptors;
	for (slab = domain->slabs; slab != NULL; slab = slab->next)
		give_back(domain, slab);
	pthread_mutex_unlock(&domain->lock);
}

/*
 * As idle stacks do, descriptors that nobody has needed for a period give their pages back at its end: if there are enough of
 * them to fill a slab.  Then all free ones of the domain's list are looked at, and those of the calling worker.  Returns when to
 * ask again, or UINT64_MAX.
 */
uint64_t
reap__descriptor_trim_aged(struct reap_domain *domain, struct reap_worker *worker)
{
	const uint64_t	decay = domain->depot.decay;
	uint64_t	now, due = UINT64_MAX;
	bool		idle = false;

	if (decay == UINT64_MAX)
		return UINT64_MAX;
	now = domain->depot.clock(domain->depot.clock_arg);
	pthread_mutex_lock(&domain->lock);
	receive(domain);
	if (domain->slabs != NULL) {
		const size_t enough = domain->slabs->capacity;

		if (now < domain->fewest_since || now - domain->fewest_since >= decay) {
			idle = domain->fewest >= enough;
			domain->fewest = domain->ndescriptors;
			domain->fewest_since = now;
		}
		if (!idle && domain->ndescriptors >= enough && domain->fewest_since < UINT64_MAX - decay)
			due = domain->fewest_since + decay;
	}
	pthread_mutex_unlock(&domain->lock);
	if (idle)
		reap__descriptor_trim(domain, worker);
	return due;
}

void
reap__descriptor_fini(struct reap_domain *domain)
{
	struct reap__descriptors *refused = NULL;

	while (domain->slabs != NULL) {
		struct reap__descriptors *slab = domain->slabs;

		/* Holds that nobody released: their descriptors go with the slab, what they refer to must not stay. */
		for (uint32_t i = 0; i < slab->carved; i++) {
			struct reap_context *held = descriptor_at(slab, i);

			if (held->claim != 0 && held->flags & REAP__SUB_ADOPTED)
				reap__adopter_unref(held->adopter);
		}
		domain->slabs = slab->next;
		reap__san_root(slab, REAP__SLAB_SIZE, false);
		if (reap__os_unmap(slab->map, slab->mapped) != 0) {
			slab->next = refused;
			refused = slab;
		}
	}
	/* What cannot be split off its neighbours now can be when those are gone.  What stays has no pages. */
	while (refused != NULL) {
		void	*map = refused->map;
		size_t	 mapped = refused->mapped;

		refused = refused->next;
		if (reap__os_unmap(map, mapped) != 0)
			(void)reap__os_decommit(map, mapped);
	}
}

/*
 * Add n to the reasons why the descriptor stays (n may be negative, in two's complement); with the last one it is free.
 * The context may not be touched afterwards.
 */
void
reap__ref_add(struct reap_worker *worker, struct reap_context *context, uint64_t n)
{
	struct reap_domain *domain = reap__domain_of(context);

	/* Acquire and release; pairs with itself in whoever drops another reference: the last one frees, and must not do so
	 * before the others have finished reading. */
	if (REAP__REFS(REAP_ADD_ACQ_REL(&context->refs, n)) != 0)
		return;
	reap__descriptor_free(domain, worker, context);
	/* Nobody adds to 0: it is made whole for the next life by a store. */
}

size_t
reap_domain_for_each(struct reap_domain *domain, void (*visit)(struct reap_context *, void *), void *arg)
{
	struct reap__descriptors *slab;
	size_t			 n = 0;

	/* pairs with the release store in slab_new(): the header is there. */
	for (slab = REAP_LOAD_ACQUIRE(&domain->slabs); slab != NULL; slab = slab->next)
		for (uint32_t i = 0, end = REAP_LOAD_RELAXED(&slab->carved); i < end; i++) {
			struct reap_context *context = descriptor_at(slab, i);
			/* pairs with the release store of the claim in create: who is seen live is seen made. */
			uint64_t	     claim = REAP_LOAD_ACQUIRE(&context->claim);

			if (claim == 0 || REAP__CLAIM_STATE(claim) == REAP__REAPED)
				continue;
			n++;
			if (visit != NULL)
				visit(context, arg);
		}
	return n;
}
