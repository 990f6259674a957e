/* SPDX-License-Identifier: ISC */
/*
 * inside.c: what the harness knows of the library's structures.
 *
 * Descriptors are never unmapped, and a stale handle may look at one at any time: so a free one cannot be made to fault.  Instead,
 * what nobody needs of a free one is overwritten, and nothing of it may have changed when it is used again, and at the end.
 * Steps on shared words are checked at once.
 */
#include <stdio.h>
#include <string.h>

#include "worker.h"
#include "arch/md.h"

#include "inside.h"

#define DESCRIPTORS	64
#define POISON		0xd5

static struct {
	struct reap_context	*context;
	bool			 free;
	bool			 zeroed;	/* its page has been given back */
	struct reap_context	 as;		/* it was when it became free */
} known[DESCRIPTORS];
static unsigned nknown;

static struct reap_context *
inside(const void *word, unsigned *i)
{
	for (*i = 0; *i < nknown; ++*i)
		if ((const char *)word >= (const char *)known[*i].context &&
		    (const char *)word < (const char *)(known[*i].context + 1))
			return known[*i].context;
	return NULL;
}

/* By 8 bytes: what stale handles look at, and what links free descriptors. */
static bool
used_when_free(size_t at)
{
	const size_t words[] = { offsetof(struct reap_context, claim), offsetof(struct reap_context, refs),
	    offsetof(struct reap_context, done), offsetof(struct reap_context, flags), offsetof(struct reap_context, next) };

	for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (at / 8 == words[i] / 8)
			return true;
	return false;
}

/* What every create writes anew, even when it finds a clean descriptor, see lib/plain.h. */
static bool
always_written(size_t at)
{
	const size_t words[] = { offsetof(struct reap_context, parent), offsetof(struct reap_context, prev),
	    offsetof(struct reap_context, user), offsetof(struct reap_context, status) };

	for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (at / 8 == words[i] / 8)
			return true;
	return false;
}

static void
poison(struct reap_context *context, struct reap_context *as)
{
	for (size_t at = 0; at < sizeof(*context); at += 8)
		if (!used_when_free(at) && (context->flags != 0 || always_written(at)))
			memset((char *)context + at, POISON, 8);
	*as = *context;
#if REAP__ASAN
	for (size_t at = 0; at < sizeof(*context); at += 8)
		if (!used_when_free(at))
			__asan_poison_memory_region((char *)context + at, 8);
#endif
}

static void
check_poison(struct reap_context *context, const struct reap_context *as, const char *when)
{
#if REAP__ASAN
	__asan_unpoison_memory_region(context, sizeof(*context));
#endif
	for (size_t at = 0; at < sizeof(*context); at++)
		if (!used_when_free(at) && ((const char *)context)[at] != ((const char *)as)[at])
			schedule_fail("a descriptor was touched after it was free: byte %zu, seen %s", at, when);
}

struct reap_context *
schedule_taken(struct reap_context *context)
{
	unsigned i;

	if (context == NULL)
		return NULL;
	if (inside(context, &i) == NULL) {
		if (nknown == DESCRIPTORS)
			schedule_fail("the harness has no room for another descriptor");
		i = nknown++;
		known[i].context = context;
	} else {
		if (!known[i].free)
			schedule_fail("a descriptor is given out twice");
		if (!known[i].zeroed)
			check_poison(context, &known[i].as, "when it was used again");
	}
	known[i].free = known[i].zeroed = false;
	return context;
}

void
schedule_freed(struct reap_context *context)
{
	unsigned i;

	if (inside(context, &i) == NULL)
		schedule_fail("a descriptor is freed that was never given out");
	if (known[i].free)
		schedule_fail("a descriptor is freed twice");
	known[i].free = true;
	poison(context, &known[i].as);
}

void
schedule_inside_access(const struct schedule_site *site, const void *word, bool wrote)
{
	unsigned i;
	struct reap_context *context = inside(word, &i);

	if (context == NULL || !known[i].free || known[i].zeroed)
		return;
	/* A holder with a stale handle adds a reference and takes it back. */
	if (wrote ? word != &context->refs : !used_when_free((size_t)((const char *)word - (const char *)context)))
		schedule_fail("%s %s of a descriptor that is free: %s(), line %d", site->what, site->expr, site->function,
		    site->line);
}

/* Pages of descriptors are gone, or have become zero. */
void
schedule_inside_gone(const void *lo, size_t size)
{
	for (unsigned i = 0; i < nknown; i++) {
		struct reap_context *context = known[i].context;
		uint64_t refs;

		if ((const char *)context < (const char *)lo || (const char *)context >= (const char *)lo + size)
			continue;
		refs = context->refs;
		if (known[i].free && ((REAP__REFS(refs) != 0 && REAP__REFS(refs) != REAP__REFS_ALIVE) || REAP__HOLDS(refs) != 0))
			schedule_fail("a free descriptor has %u references and %u holds", REAP__REFS(refs), REAP__HOLDS(refs));
		if (known[i].free && !known[i].zeroed)
			check_poison(context, &known[i].as, "when its page was given back");
		known[i].zeroed = true;
	}
}

void
schedule_inside_begin(void)
{
	nknown = 0;
}

void
schedule_inside_end(void)
{
	for (unsigned i = 0; i < nknown; i++)
		if (!known[i].free)
			schedule_fail("a descriptor was never freed");
		else if (!known[i].zeroed)
			schedule_fail("a descriptor's slab was not given back");
}

const char *
schedule_inside_value(const void *word, uint64_t value, char *text, size_t room)
{
	static const struct {
		enum reap__claim state;
		const char	*name;
	} states[] = {
		{ REAP__FREE, "FREE" }, { REAP__LIVE, "LIVE" }, { REAP__CLAIMED, "CLAIMED" }, { REAP__ZOMBIE, "ZOMBIE" },
		{ REAP__ADOPTED, "ADOPTED" }, { REAP__ORPHANED, "ORPHANED" }, { REAP__REAPED, "REAPED" },
	};
	unsigned i;
	struct reap_context *context = inside(word, &i);

	(void)snprintf(text, room, "%#llx", (unsigned long long)value);
	if (context != NULL && word == &context->claim) {
		for (i = 0; i < sizeof(states) / sizeof(states[0]); i++)
			if (REAP__CLAIM_STATE(value) == states[i].state)
				(void)snprintf(text, room, "%s", states[i].name);
	} else if (context != NULL && word == &context->refs)
		(void)snprintf(text, room, "%s%u%s%u gone", REAP__REFS(value) & REAP__REFS_ALIVE ? "alive" : "",
		    REAP__REFS(value) & ((uint32_t)REAP__REFS_ALIVE - 1), ",", REAP__GONE_COUNT(value));
	return text;
}

#ifdef REAP_MD_TAIL
/* lib/arch's own */
struct reap_worker *the_switch(void **save, void *to, struct reap_worker *) __asm__("reap_md_switch");
int	the_leave(void **save, void *to, struct reap_worker *, int (*after)(struct reap_worker *, void *), void *arg)
	    __asm__("reap_md_leave");

struct reap_worker *
schedule_md_switch(void **save, void *to, struct reap_worker *worker)
{
	schedule_point("switch");
	return the_switch(save, to, worker);
}

int
schedule_md_leave(void **save, void *to, struct reap_worker *worker, int (*after)(struct reap_worker *, void *), void *arg)
{
	schedule_point("switch");
	return the_leave(save, to, worker, after, arg);
}
#endif

#ifdef REAP_MD_LAUNCH
_Noreturn void	the_launch(void *top, struct reap_worker *, const uint64_t *control) __asm__("reap_md_launch");
int	the_leave_launch(void **save, void *top, struct reap_worker *, int (*after)(struct reap_worker *, void *), void *arg,
	    const uint64_t *control) __asm__("reap_md_leave_launch");

_Noreturn void
schedule_md_launch(void *top, struct reap_worker *worker, const uint64_t *control)
{
	schedule_point("final switch, the stack goes with it");
	the_launch(top, worker, control);
}

int
schedule_md_leave_launch(void **save, void *top, struct reap_worker *worker, int (*after)(struct reap_worker *, void *), void *arg,
    const uint64_t *control)
{
	schedule_point("switch");
	return the_leave_launch(save, top, worker, after, arg, control);
}
#endif

uint64_t
schedule_credits(const struct reap_domain *domain)
{
	return domain->credits;
}
