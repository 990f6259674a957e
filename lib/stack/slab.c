/* SPDX-License-Identifier: ISC */
/*
 * slab.c: many stacks in one mapping.
 */
#include <errno.h>

#include "os/os.h"
#include "stack/size.h"
#include "stack/slab.h"

#define FIRST_SLAB	16u			/* stacks; later ones double what the class has */
#define SLAB_BYTES	((size_t)64 << 20)	/* a slab is no larger, unless one stack is */
#define GUARD_MAPS	2			/* PROT_NONE in the middle of a mapping makes three of one */

/*
 * Free and clean stacks between two that are to be decommitted are crossed, up to this many, rather than to pay for another
 * system call: walking their empty page tables is cheaper.
 */
#define CROSS		8u

#define HEADERS		((size_t)64 << 10)	/* bytes of a mapping of headers */

/* Headers are small, and never given back: alone on its page, each would keep all of that. */
struct reap__headers {
	struct reap__headers *next;
	size_t		 size;		/* bytes of this mapping */
	size_t		 used;		/* headers here that are in use, from the first on */
	struct reap__slab slabs[];
};

static bool
bit(const uint64_t *bits, uint32_t i)
{
	return (bits[i / 64] >> (i % 64) & 1) != 0;
}

static void
bit_set(uint64_t *bits, uint32_t i)
{
	bits[i / 64] |= UINT64_C(1) << (i % 64);
}

static void
bit_clear(uint64_t *bits, uint32_t i)
{
	bits[i / 64] &= ~(UINT64_C(1) << (i % 64));
}

/* The first i in [from, end) whose bit is `value'; end if there is none. */
static uint32_t
bit_find(const uint64_t *bits, uint32_t from, uint32_t end, bool value)
{
	while (from < end) {
		uint64_t word = (value ? bits[from / 64] : ~bits[from / 64]) >> (from % 64);

		if (word != 0) {
			from += (uint32_t)__builtin_ctzll(word);
			break;
		}
		from = (from / 64 + 1) * 64;
	}
	return from < end ? from : end;
}

static struct reap__stack_class *
class_of(struct reap__depot *depot, const struct reap__slab *slab)
{
	return &depot->classes[slab->class];
}

static void
open_insert(struct reap__stack_class *class, struct reap__slab *slab)
{
	slab->next = class->open;
	if (slab->next != NULL)
		slab->next->link = &slab->next;
	slab->link = &class->open;
	class->open = slab;
}

static void
open_remove(struct reap__slab *slab)
{
	*slab->link = slab->next;
	if (slab->next != NULL)
		slab->next->link = slab->link;
	slab->link = NULL;
}

bool
reap__slab_charge(struct reap__depot *depot, uint64_t n)
{
	if (n > depot->max_maps - depot->maps)
		return false;
	depot->maps += n;
	return true;
}

/* Room for one more header, or NULL; it is there until it is used. */
static struct reap__slab *
header_room(struct reap__depot *depot)
{
	struct reap__headers *headers = depot->headers;
	const size_t size = HEADERS > depot->page ? HEADERS : depot->page;
	void *p;

	if (headers == NULL || (size - sizeof(*headers)) / sizeof(headers->slabs[0]) == headers->used) {
		if (reap__os_map(size, &p) != 0)
			return NULL;
		headers = p;
		headers->size = size;
		headers->next = depot->headers;
		depot->headers = headers;
	}
	return &headers->slabs[headers->used];
}

/* A header for n stacks of the class, unmapped ones first; it is published for lookups, and stays until fini. */
static struct reap__slab *
header_get(struct reap__depot *depot, struct reap__stack_class *class, uint32_t n)
{
	struct reap__slab **link, *slab;
	size_t meta = (n * sizeof(struct reap__stack) + depot->page - 1) & ~(depot->page - 1);
	void *p;

	for (link = &class->bare; (slab = *link) != NULL; link = &slab->next)
		if (slab->n == n) {
			*link = slab->next;
			return slab;
		}
	if ((slab = header_room(depot)) == NULL || reap__os_map(meta, &p) != 0)
		return NULL;
	depot->headers->used++;
	slab->n = n;
	slab->class = (uint32_t)(class - depot->classes);
	slab->stride = class->stride;
	slab->guard = class->guard;
	slab->meta = meta;
	slab->stacks = p;
	slab->all = depot->slabs;
	/* Pairs with the acquire in reap__stack_lookup(), which else would see a slab without its constants. */
	REAP_STORE_RELEASE(&depot->slabs, slab);
	return slab;
}

/* As many stacks as the class has already, so that mappings grow with the logarithm, and idle addresses with the use. */
static int
slab_map(struct reap__depot *depot, struct reap__stack_class *class)
{
	struct reap__slab *slab;
	uint32_t n = FIRST_SLAB, i;
	void *base;

	while (n < REAP__SLAB_MAX && n * 2 <= class->mapped)
		n *= 2;
	while (n > 1 && class->stride > SLAB_BYTES / n)
		n /= 2;
	/* The header first: it can wait for a mapping, but a mapping that cannot be unmapped again would be lost without one. */
	for (;;) {
		if ((slab = header_get(depot, class, n)) == NULL)
			return -ENOMEM;
		if (reap__os_map(n * class->stride, &base) == 0)
			break;
		slab->next = class->bare;
		class->bare = slab;
		if ((n /= 2) == 0)
			return -ENOMEM;
	}
	for (i = 0; i < REAP__SLAB_BITS; i++)
		slab->free[i] = slab->dirty[i] = 0;
	for (i = 0; i < n; i++)
		bit_set(slab->free, i);
	slab->nfree = n;
	slab->nguarded = 0;
	slab->maps = 0;
	/* Relaxed: the constants were published with the header, and a record is written before its stack is handed out. */
	REAP_STORE_RELAXED(&slab->base, base);
	open_insert(class, slab);
	class->mapped += n;
	class->nfree += n;
	depot->nslabs++;
	return 0;
}

/* All stacks are free.  False: the kernel refused, since it would have to split a mapping; the slab is as it was. */
static bool
slab_unmap(struct reap__depot *depot, struct reap__slab *slab)
{
	struct reap__stack_class *class = class_of(depot, slab);
	char *base = slab->base;

	/* First, and relaxed: a lookup, which is a snapshot, must not long take a stranger's mapping here for ours. */
	REAP_STORE_RELAXED(&slab->base, NULL);
	if (reap__os_unmap(base, slab->n * slab->stride) != 0) {
		REAP_STORE_RELAXED(&slab->base, base);	/* no order, as above */
		return false;
	}
	open_remove(slab);
	class->mapped -= slab->n;
	class->nfree -= slab->n;
	depot->maps -= slab->maps;
	depot->nslabs--;
	/* Lookups may still read the records, as zeros. */
	(void)reap__os_decommit(slab->stacks, slab->meta);
	slab->next = class->bare;
	class->bare = slab;
	return true;
}

static int
guard_install(struct reap__depot *depot, struct reap__slab *slab, uint32_t i)
{
	char *base = slab->base + i * slab->stride;
	int error;

	if (slab->guard == 0)
		return 0;
	if (depot->method == REAP__OS_MARKER) {
		error = reap__os_guard(REAP__OS_MARKER, base, slab->guard);
		if (error != -EINVAL)
			return error;
		depot->method = REAP__OS_PROTECTION;	/* locked by mlockall(2): no markers there, and none later */
	}
	if (!reap__slab_charge(depot, GUARD_MAPS))
		return -ENOMEM;
	if ((error = reap__os_guard(REAP__OS_PROTECTION, base, slab->guard)) != 0)
		depot->maps -= GUARD_MAPS;
	else
		slab->maps += GUARD_MAPS;
	return error;
}

/* What was used before comes first: its guard stands already, and slabs that are hardly used can empty. */
static struct reap__slab *
ready_slab(const struct reap__stack_class *class)
{
	struct reap__slab *slab;

	for (slab = class->open; slab != NULL; slab = slab->next)
		if (slab->nfree > slab->n - slab->nguarded)
			return slab;
	return NULL;
}

static void
record_fill(struct reap__depot *depot, struct reap__slab *slab, uint32_t i)
{
	struct reap__stack *s = &slab->stacks[i];

	s->lo = slab->base + i * slab->stride + slab->guard;
	s->hi = slab->base + (i + 1) * slab->stride;
	s->top = s->hi - reap__size_colour(i);
	s->next = s->batch = NULL;
	s->count = 0;
	s->slab = slab;
	s->kind = slab->class == 0 && depot->quarantine == 0 ? REAP__STACK_SHELVABLE : REAP__STACK_POOL;
	s->barred = REAP__STACK_OPEN;
	REAP_STORE_RELAXED(&s->owner, NULL);	/* no order: a lookup is a snapshot */
}

int
reap__slab_take(struct reap__depot *depot, struct reap__stack_class *class, struct reap__stack **out, bool *dirty, bool *maps)
{
	struct reap__slab *slab = ready_slab(class);
	uint32_t i;
	int error;

	*maps = false;
	if (slab == NULL) {
		/* A slab that no guard can be put into is not worth mapping. */
		*maps = class->guard != 0 && depot->method == REAP__OS_PROTECTION;
		if (*maps && depot->max_maps - depot->maps < GUARD_MAPS)
			return -ENOMEM;
		if (class->open == NULL && (error = slab_map(depot, class)) != 0) {
			*maps = false;
			return error;
		}
		slab = class->open;
		if (guard_install(depot, slab, slab->nguarded) != 0) {
			*maps = depot->method == REAP__OS_PROTECTION;
			if (slab->nfree == slab->n)
				(void)slab_unmap(depot, slab);	/* refused: it stays, open */
			return -ENOMEM;
		}
		slab->nguarded++;
	}
	i = bit_find(slab->free, 0, slab->nguarded, true);
	*dirty = bit(slab->dirty, i);
	bit_clear(slab->dirty, i);
	bit_clear(slab->free, i);
	class->nfree--;
	if (--slab->nfree == 0)
		open_remove(slab);
	record_fill(depot, slab, i);
	*out = &slab->stacks[i];
	return 0;
}

void
reap__slab_round_begin(struct reap__slab_round *round)
{
	round->touched = NULL;
}

void
reap__slab_free(struct reap__slab_round *round, struct reap__depot *depot, struct reap__stack *s, bool dirty)
{
	struct reap__slab *slab = s->slab;
	struct reap__stack_class *class = class_of(depot, slab);
	uint32_t i = (uint32_t)(s - slab->stacks);

	REAP_STORE_RELAXED(&s->owner, NULL);	/* no order: a lookup is a snapshot */
	bit_set(slab->free, i);
	if (dirty)
		bit_set(slab->dirty, i);
	class->nfree++;
	if (slab->nfree++ == 0)
		open_insert(class, slab);
	if (!slab->is_touched) {
		slab->is_touched = true;
		slab->touched = round->touched;
		round->touched = slab;
	}
}

/* Decommit the dirty stacks, neighbours together; returns how many. */
static size_t
decommit(struct reap__slab *slab)
{
	uint32_t first, end, next, i;
	size_t stacks = 0;

	for (first = 0; (first = bit_find(slab->dirty, first, slab->n, true)) < slab->n; first = end) {
		end = bit_find(slab->dirty, first, slab->n, false);
		for (;;) {
			next = bit_find(slab->dirty, end, slab->n, true);
			if (next == slab->n || next - end > CROSS || bit_find(slab->free, end, next, false) != next)
				break;
			end = bit_find(slab->dirty, next, slab->n, false);
		}
		if (reap__os_decommit(slab->base + first * slab->stride + slab->guard,
		    (end - first) * slab->stride - slab->guard) != 0)
			continue;	/* they stay dirty, which a scrub respects */
		for (i = first; i < end; i++) {
			stacks += bit(slab->dirty, i);
			bit_clear(slab->dirty, i);
		}
	}
	return stacks;
}

static size_t
give_back(struct reap__depot *depot, struct reap__slab *slab)
{
	const size_t size = slab->stride - slab->guard;
	size_t stacks = 0, i;

	if (slab->nfree == slab->n) {
		for (i = 0; i < REAP__SLAB_BITS; i++)
			stacks += (size_t)__builtin_popcountll(slab->dirty[i]);
		if (slab_unmap(depot, slab))
			return stacks * size;
	}
	return decommit(slab) * size;
}

size_t
reap__slab_round_finish(struct reap__slab_round *round, struct reap__depot *depot)
{
	struct reap__slab *slab;
	size_t bytes = 0;

	while ((slab = round->touched) != NULL) {
		round->touched = slab->touched;
		slab->is_touched = false;
		bytes += give_back(depot, slab);
	}
	depot->returned += bytes;
	return bytes;
}

size_t
reap__slab_sweep(struct reap__depot *depot)
{
	struct reap__slab *slab;
	size_t bytes = 0;

	for (slab = depot->slabs; slab != NULL; slab = slab->all)
		if (slab->base != NULL && slab->nfree == slab->n)
			bytes += give_back(depot, slab);
	depot->returned += bytes;
	return bytes;
}

static void
headers_unmap(struct reap__depot *depot)
{
	struct reap__headers *headers = depot->headers, *next;

	depot->headers = NULL;
	for (; headers != NULL; headers = next) {
		next = headers->next;
		if (reap__os_unmap(headers, headers->size) == 0)
			continue;
		headers->next = depot->headers;
		depot->headers = headers;
	}
}

void
reap__slab_fini(struct reap__depot *depot)
{
	struct reap__headers *headers, *next;
	struct reap__slab *slab;
	int pass;

	/* A mapping that cannot be split off its neighbours now can be when those are gone.  What stays has no pages. */
	for (pass = 0; pass < 2; pass++)
		for (slab = depot->slabs; slab != NULL; slab = slab->all) {
			if (slab->base != NULL && reap__os_unmap(slab->base, slab->n * slab->stride) == 0)
				slab->base = NULL;
			if (slab->base != NULL)
				(void)reap__os_decommit(slab->base, slab->n * slab->stride);
			if (slab->stacks != NULL && reap__os_unmap(slab->stacks, slab->meta) == 0)
				slab->stacks = NULL;
			if (slab->stacks != NULL)
				(void)reap__os_decommit(slab->stacks, slab->meta);
		}
	depot->slabs = NULL;
	headers_unmap(depot);
	headers_unmap(depot);
	for (headers = depot->headers; headers != NULL; headers = next) {
		next = headers->next;
		(void)reap__os_decommit(headers, headers->size);
	}
	depot->headers = NULL;
}
