/* SPDX-License-Identifier: ISC */
/*
 * quarantine.c: freed stacks that fault, so that a touch too late is seen.  First in, first out, bounded; for debugging.
 */
#include "os/os.h"
#include "stack/depot.h"
#include "stack/slab.h"

#define BAR_MAPS	2	/* as a guard: at worst one mapping becomes three */

static void
bar(struct reap__depot *depot, struct reap__stack *s)
{
	const size_t size = (size_t)(s->hi - s->lo);

	s->barred = REAP__STACK_OPEN;
	if (depot->method == REAP__OS_MARKER && reap__os_guard(REAP__OS_MARKER, s->lo, size) == 0) {
		s->barred = REAP__STACK_BY_MARKER;
	} else if (reap__slab_charge(depot, BAR_MAPS)) {
		if (reap__os_decommit(s->lo, size) == 0 && reap__os_guard(REAP__OS_PROTECTION, s->lo, size) == 0)
			s->barred = REAP__STACK_BY_PROTECTION;
		else
			depot->maps -= BAR_MAPS;
	}
}

/* False: the system cannot split the mapping back now. */
static bool
unbar(struct reap__depot *depot, struct reap__stack *s)
{
	const size_t size = (size_t)(s->hi - s->lo);

	switch ((enum reap__stack_bar)s->barred) {
	case REAP__STACK_OPEN:
		return true;
	case REAP__STACK_BY_MARKER:
		return reap__os_unguard(REAP__OS_MARKER, s->lo, size) == 0;
	case REAP__STACK_BY_PROTECTION:
		if (reap__os_unguard(REAP__OS_PROTECTION, s->lo, size) != 0)
			return false;
		depot->maps -= BAR_MAPS;
		return true;
	}
	return false;
}

void
reap__quarantine_put(struct reap__depot *depot, struct reap__stack *s)
{
	struct reap__slab_round round;

	bar(depot, s);
	REAP_STORE_RELAXED(&s->owner, NULL);	/* no order: a lookup is a snapshot */
	s->next = NULL;
	*depot->waiting_end = s;
	depot->waiting_end = &s->next;
	depot->nwaiting++;
	reap__slab_round_begin(&round);
	while (depot->nwaiting > depot->quarantine && unbar(depot, depot->waiting)) {
		s = depot->waiting;
		depot->waiting = s->next;	/* never the last one: at least one may wait */
		depot->nwaiting--;
		reap__slab_free(&round, depot, s, s->barred == REAP__STACK_OPEN || !reap__os_decommit_zeroes());
	}
	(void)reap__slab_round_finish(&round, depot);
}
