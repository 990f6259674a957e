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
	reap__pause(w);
}

#define EMPTY	((uintptr_t)0)
#define TOKEN	((uintptr_t)1)		/* no context lies at address 1 */

static void
set_timer(struct worker *w, uint64_t when, struct timer *timer)
{
	/* The room is still there in the landing: nothing else runs on this worker in between. */
	pthread_mutex_lock(&w->lock);
	reap__timer_insert(&w->timers, when, timer);
	pthread_mutex_unlock(&w->lock);
}

static int
make_room(struct worker *w)
{
	int err;

	pthread_mutex_lock(&w->lock);
	err = reap__timer_reserve(&w->timers);
	pthread_mutex_unlock(&w->lock);
	return err;
}

/*
 * Take one that is due out of this worker's timers, to be readied; NULL: there was none, or another has woken it meanwhile.
 *
 * The one transition that decides who readies a sleeper with a time limit is that of the word it is parked at, from the sleeper to
 * EMPTY.  If it is not ours, the sleeper may be on its way already, but not further than to this lock: see reap_park_until().
 */
struct reap_context *
reap__expired(struct worker *w, uint64_t now)
{
	struct reap_context *context = NULL;
	struct timer *timer;

	pthread_mutex_lock(&w->lock);
	if ((timer = reap__timer_due(&w->timers, now)) != NULL) {
		uintptr_t sleeper = (uintptr_t)timer->context;

		/* Acquire, release: as in reap_unpark(). */
		if (timer->word == NULL || REAP_CAS_ACQ_REL(timer->word, &sleeper, EMPTY)) {
			timer->expired = true;
			context = timer->context;
		}
	}
	pthread_mutex_unlock(&w->lock);
	return context;
}

struct bed {				/* of one that only sleeps, on its stack */
	uint64_t when;
	struct timer timer;
};

static bool
lie_down(struct reap_context *parked, void *arg)
{
	struct bed *bed = arg;

	bed->timer.context = parked;
	set_timer(reap__self(), bed->when, &bed->timer);
	return true;
}

int
reap_sleep_until(uint64_t when)
{
	struct worker *w = reap__self();
	struct bed bed = { .when = when };
	int err;

	if (w == NULL)
		return -EPERM;
	if (when <= reap__now(w->runtime)) {
		reap_pause();
		return 0;
	}
	if ((err = make_room(w)) != 0)
		return err;
	reap_park(w->reap, lie_down, &bed);
	return 0;
}

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

static bool
take_token(struct reap_parking *parking)
{
	uintptr_t token = TOKEN;

	/* Acquire: pairs with the release of the unpark that left the token. */
	return REAP_LOAD_RELAXED(&parking->reap__word) == TOKEN && REAP_CAS_ACQUIRE(&parking->reap__word, &token, EMPTY);
}

int
reap_park_at(struct reap_parking *parking)
{
	struct worker *w = reap__self();
	struct place place = { parking, false };

	if (w == NULL)
		return -EPERM;
	if (take_token(parking))
		return 0;
	reap_park(w->reap, take_place, &place);
	return place.taken ? -EBUSY : 0;
}

struct limited {			/* a place with a time limit; on the sleeper's stack until it has left the timers */
	struct place place;
	struct bed bed;
};

static bool
take_place_until(struct reap_context *parked, void *arg)
{
	struct limited *limited = arg;

	/* The timer first: who is in the word may wake, leave and take its stack along before the next line here. */
	(void)lie_down(parked, &limited->bed);
	return take_place(parked, &limited->place);
}

int
reap_park_until(struct reap_parking *parking, uint64_t when)
{
	struct limited limited = { { parking, false }, { when, { TIMER_OUT, NULL, &parking->reap__word, false } } };
	struct worker *w = reap__self();
	int err;

	if (w == NULL)
		return -EPERM;
	if (take_token(parking))
		return 0;
	if (when <= reap__now(w->runtime))
		return -ETIMEDOUT;
	if ((err = make_room(w)) != 0)
		return err;
	reap_park(w->reap, take_place_until, &limited);
	/* We may be on another worker now; the timer is with the one we left.  If its time has come as well, that one may be looking
	 * at us: without the lock, at a stack that is used for something else. */
	pthread_mutex_lock(&w->lock);
	reap__timer_remove(&w->timers, &limited.bed.timer);
	pthread_mutex_unlock(&w->lock);
	return limited.place.taken ? -EBUSY : limited.bed.timer.expired ? -ETIMEDOUT : 0;
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
