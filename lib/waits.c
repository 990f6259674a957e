/* SPDX-License-Identifier: ISC */
/*
 * waits.c: the records of waits.h, and what is noted in them.  Of the measuring build only.
 */
#define REAP_WAITS_ITSELF
#include "waits.h"

#include <time.h>

#include <reap/worker.h>

#define RETRY_MAX	UINT64_C(1000)		/* ns */
#define PLACES		(1u << 18)		/* contexts queued at a time; more overwrite each other, and are not counted */

static struct reap__wait *first;
static uint64_t	since_reset;

/* When was it queued?  By the address of its descriptor: two cache lines each. */
static struct place {
	const void	*context;
	uint64_t	 ns;
} places[PLACES];

static _Thread_local struct {
	const struct reap__wait *failed;	/* the compare-and-swap that has just failed here */
	uint64_t		 ns;
} retry;

uint64_t
reap__waits_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static void
link_once(struct reap__wait *wait, const char *caller)
{
	/* Release: pairs with the acquire in reap__waits_first(), whose caller reads the record. */
	if (REAP_LOAD_RELAXED(&wait->linked) != 0 || REAP_XCHG_ACQUIRE(&wait->linked, 1) != 0)
		return;
	wait->caller = caller;
	wait->next = REAP_LOAD_ACQUIRE(&first);		/* pairs with the compare-and-swap below */
	while (!REAP_CAS_ACQ_REL(&first, &wait->next, wait))
		;
}

/* Relaxed additions: only the sums are read, when all is quiet. */
static void
add(struct reap__wait *wait, const char *caller, uint64_t from, uint64_t to)
{
	int role = reap_worker_self() != NULL ? REAP__WAITS_WORKER : REAP__WAITS_THREAD;
	uint64_t reset = REAP_LOAD_RELAXED(&since_reset);

	link_once(wait, caller);
	from = from > reset ? from : reset;
	(void)REAP_ADD_RELAXED(&wait->count[role], 1);
	(void)REAP_ADD_RELAXED(&wait->ns[role], to > from ? to - from : 0);
}

void
reap__waits_note(struct reap__wait *wait, const char *caller, uint64_t since)
{
	add(wait, caller, since, reap__waits_now());
}

void
reap__waits_tried(struct reap__wait *wait, const char *caller, bool succeeded)
{
	uint64_t now;

	if (succeeded && retry.failed != wait)
		return;
	now = reap__waits_now();
	if (retry.failed == wait && now - retry.ns <= RETRY_MAX)
		add(wait, caller, retry.ns, now);
	retry.failed = succeeded ? NULL : wait;
	retry.ns = now;
}

static struct place *
place_of(const void *context)
{
	return &places[((uintptr_t)context >> 7) % PLACES];
}

/* Moved from queue to queue, it waits from the first one on.  Relaxed: whoever pops it has it by way of a queue, which orders
 * these. */
void
reap__waits_queued(const void *context)
{
	struct place *place = place_of(context);

	if (REAP_LOAD_RELAXED(&place->context) == context)
		return;
	REAP_STORE_RELAXED(&place->ns, reap__waits_now());
	REAP_STORE_RELAXED(&place->context, context);
}

void
reap__waits_popped(struct reap__wait *wait, const char *caller, const void *context)
{
	struct place *place = place_of(context);
	uint64_t since = REAP_LOAD_RELAXED(&place->ns);

	if (REAP_LOAD_RELAXED(&place->context) != context)
		return;
	REAP_STORE_RELAXED(&place->context, NULL);
	add(wait, caller, since, reap__waits_now());
}

void
reap__waits_reset(void)
{
	struct reap__wait *wait;
	int role;

	REAP_STORE_RELAXED(&since_reset, reap__waits_now());
	for (wait = reap__waits_first(); wait != NULL; wait = wait->next)
		for (role = 0; role < REAP__WAITS_ROLES; role++) {
			REAP_STORE_RELAXED(&wait->count[role], 0);
			REAP_STORE_RELAXED(&wait->ns[role], 0);
		}
}

struct reap__wait *
reap__waits_first(void)
{
	return REAP_LOAD_ACQUIRE(&first);	/* pairs with the compare-and-swap in link_once() */
}
