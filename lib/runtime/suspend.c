/* SPDX-License-Identifier: ISC */
/*
 * suspend.c: how a running context gives up its worker and comes back: pause, sleep, park.
 */
#include <errno.h>

#include "worker.h"

/* Publishers run in the successor's landing, on the worker that was left: reap__self() is that worker still. */

static bool
requeue(struct reap_context *parked, void *arg)
{
	(void)arg;
	reap__ready(parked);
	return true;
}

void
reap_pause(void)
{
	struct worker *w = reap__self();

	if (w == NULL)
		return;
	if (++w->undrained >= w->runtime->drain_budget)
		(void)reap__drain(w);
	/* A yield returns at once if next() has nothing.  When the base context is wanted, next() has nothing to give, and the
	 * caller must get out of the way all the same: with a park. */
	if (REAP_UNLIKELY(REAP_LOAD_RELAXED(&w->token) != 0)) {
		reap_park(w->reap, requeue, NULL);
		return;
	}
	w->pausing = true;
	w = reap_worker_user(reap_yield(w->reap));
	w->pausing = false;		/* if there was nothing to yield to */
}

static bool
set_timer(struct reap_context *parked, void *arg)
{
	reap__timer_insert(&reap__self()->timers, *(uint64_t *)arg, parked);
	return true;
}

int
reap_sleep_until(uint64_t when)
{
	struct worker *w = reap__self();
	int err;

	if (w == NULL)
		return -EPERM;
	if (when <= reap__now(w->runtime)) {
		reap_pause();
		return 0;
	}
	/* The room is still there in the landing: nothing else runs on this worker in between. */
	if ((err = reap__timer_reserve(&w->timers)) != 0)
		return err;
	reap_park(w->reap, set_timer, &when);
	return 0;
}

#define EMPTY	((uintptr_t)0)
#define TOKEN	((uintptr_t)1)		/* no context lies at address 1 */

struct place {				/* on the sleeper's stack: gone as soon as the sleeper is in the word */
	struct reap_parking *parking;
	bool taken;			/* by another sleeper */
};

static bool
take_place(struct reap_context *parked, void *arg)
{
	struct place *place = arg;
	uintptr_t *word = &place->parking->reap__word, was;

	for (;;) {
		was = EMPTY;
		/* Release: pairs with the acquire in reap_unpark(), which readies the context: without it, before its last
		 * writes. */
		if (REAP_CAS_ACQ_REL(word, &was, (uintptr_t)parked))
			return true;
		if (was != TOKEN) {
			place->taken = true;
			return false;
		}
		/* Acquire: pairs with the release of the last unpark.  No plain store: that could swallow a later unpark
		 * without having seen what came before it. */
		if (REAP_CAS_ACQUIRE(word, &was, EMPTY))
			return false;
	}
}

int
reap_park_at(struct reap_parking *parking)
{
	struct worker *w = reap__self();
	struct place place = { parking, false };
	uintptr_t token = TOKEN;

	if (w == NULL)
		return -EPERM;
	/* Acquire: pairs with the release of the unpark that left the token. */
	if (REAP_LOAD_RELAXED(&parking->reap__word) == TOKEN && REAP_CAS_ACQUIRE(&parking->reap__word, &token, EMPTY))
		return 0;
	reap_park(w->reap, take_place, &place);
	return place.taken ? -EBUSY : 0;
}

void
reap_unpark(struct reap_parking *parking)
{
	uintptr_t was = REAP_LOAD_RELAXED(&parking->reap__word);

	/* Release: pairs with the acquires above.  It is written even when it stays TOKEN: the sleeper has to see what came
	 * before this call, not only before the first.  Acquire: pairs with take_place().  After this the place may be gone;
	 * the context is ours until it is readied. */
	while (!REAP_CAS_ACQ_REL(&parking->reap__word, &was, was == EMPTY ? TOKEN : was == TOKEN ? TOKEN : EMPTY))
		;
	if (was != EMPTY && was != TOKEN)
		reap__ready((struct reap_context *)was);
}
