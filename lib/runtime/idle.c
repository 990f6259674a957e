/* SPDX-License-Identifier: ISC */
/*
 * idle.c: workers with nothing to run: how they search, sleep and are woken.
 *
 * runtime.hungry counts in one word the idle workers (IDLE) and, of these, those that are not asleep (SEARCHING):
 *
 *	busy --(+IDLE +SEARCHING)--> searching --(-SEARCHING)--> asleep --(+SEARCHING)--> searching --(-both)--> busy
 *
 * worker.state is SLEEPING from before the -SEARCHING on, and POLLING if the worker then sleeps in the poller, until a
 * compare-and-swap makes it AWAKE; whoever wins that, a waker or the sleeper itself, adds the SEARCHING, both under the worker's
 * lock.  So a worker that has been chosen counts as searching before it runs.
 *
 * No wakeup is lost: each side writes, fences, then reads what the other writes, and so at least one sees the other.
 *
 *	A  what only one worker can serve: its inbox, its token
 *		waker	push, or store the token;  FENCE A1;  read state: SLEEPING?  wake it
 *		sleeper	store state SLEEPING;      FENCE A2;  read inbox and token: anything?  do not sleep
 *	B  what any worker can serve: offers, runtime.injected
 *		giver	store the offer, or push;  FENCE B1;  read hungry: somebody idle, nobody searching?  wake one
 *		sleeper	hungry -= SEARCHING;       FENCE A2;  read offers and injected: anything?  do not sleep
 *	   A giver that sees a searcher wakes nobody.  That searcher has not decremented yet: going to sleep, it will read the
 *	   offer.  Going to work instead, it is the last searcher or leaves the looking to the last one, and the last one
 *	   looks again after its decrement (FENCE B3) and wakes another in its place.
 *	C  patient offers: a single context that its worker will probably run in a moment.  Nobody is woken for those while an
 *	   idle worker is on watch: asleep for some milliseconds at most.  Watching is decided by the -SEARCHING: who finds
 *	   that somebody is busy watches; who finds all idle sleeps as long as it likes, as whoever gets busy later has
 *	   changed the same word later and sees that nobody watches.  Errors of this judgement cost time, not a context:
 *	   an offer that nobody takes is run by the worker that made it.
 *	D  the poller, if there is one: as long as somebody is idle, an idle worker sleeps in it, and the others know by
 *	   runtime.polled that they need not.
 *		poller	polled = 0;                hungry -= IDLE, SEARCHING:     somebody idle, nobody searching?  wake one
 *		sleeper	hungry -= SEARCHING;       FENCE A2;  polled: 0?  sleep in the poller instead
 *	   Both write hungry; the second to do so sees what the first did before.  A poller that goes to work while another one
 *	   searches leaves it to that one, as with B.
 */
#include <errno.h>
#include <limits.h>
#include <time.h>
#ifdef REAP_RUNTIME_CK
#include "ck.h"
#endif

#include "worker.h"

/* Nanoseconds.  Going to sleep and being woken costs some 10 us: who has looked for twice that in vain has lost little by it. */
#define SEARCH_TIME	UINT64_C(20000)	/* of looks at everybody before going to sleep, ... */
#define SEARCH_FIRST	UINT64_C(40)	/* ... with pauses between them from this ... */
#define SEARCH_STALL	UINT64_C(300)	/* ... to that, by doubling: each look costs who is looked at a miss */
#define PATIENCE	UINT64_C(1000)	/* a victim that does not switch for so long is in a long body */
#define HASTE_MAX	4u		/* halvings of that patience at most: one for each wait in vain, none left after one that was not */
#define WORTH		UINT64_C(600)	/* what a stolen context has to run for: to move it costs both workers together half of that */
#define DOZE_MIN	UINT64_C(500000)	/* nanoseconds asleep on watch: at first ... */
#define DOZE_MAX	UINT64_C(4000000)	/* ... and after some doublings: 250 looks a second */
#define INJECTED_POLL	UINT64_C(1000000)	/* nanoseconds between two looks at an injected clock */

#ifndef REAP_RUNTIME_BEFORE_SLEEP	/* a test widens the window between the last look and the sleep */
#define REAP_RUNTIME_BEFORE_SLEEP()
#endif
#ifndef REAP_RUNTIME_BEFORE_COUNT	/* ... and the one in which a worker is awake and not yet counted as searching */
#define REAP_RUNTIME_BEFORE_COUNT()
#endif

static uint64_t
monotonic(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* A spin that leaves the processor to its other thread where CK knows how to: for 4 ns on one machine, and 60 on another. */
static void
stall(uint64_t ns)
{
	uint64_t since = monotonic();

	do
		for (unsigned i = 0; i < 8; i++)
#ifdef REAP_RUNTIME_CK
			ck_pr_stall();
#else
			__asm__ volatile("" ::: "memory");
#endif
	while (monotonic() - since < ns);
}

uint64_t
reap__now(const struct reap_runtime *rt)
{
	return rt->clock != NULL ? rt->clock(rt->clock_arg) : monotonic();
}

/*
 * Wake this worker if it sleeps; after the caller's fence.
 *
 * State and count change under the lock: a worker that has seen that it is AWAKE could otherwise be asleep again before it is
 * counted as searching.  The count would be one too low for as long, which looks like very many who search: nobody would be woken.
 */
static bool
rouse(struct worker *w)
{
	unsigned state = REAP_LOAD_RELAXED(&w->state);

	if (state == AWAKE)
		return false;
	pthread_mutex_lock(&w->lock);
	/* Again, if it goes from SLEEPING to POLLING meanwhile. */
	do
		if (state == AWAKE) {
			pthread_mutex_unlock(&w->lock);
			return false;
		}
	while (!REAP_CAS_ACQ_REL(&w->state, &state, AWAKE));
	REAP_RUNTIME_BEFORE_COUNT();
	(void)REAP_ADD_ACQ_REL(&w->runtime->hungry, SEARCHING);
	/* The sleeper looks at its state under the lock: it has seen AWAKE, or is in the wait that the signal ends. */
	if (state == SLEEPING)
		pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
	if (state == POLLING)
		w->runtime->poller.wake(w->runtime->poller.arg);
	return true;
}

void
reap__rouse(struct worker *w)
{
	(void)rouse(w);
}

/* The base context of this worker is wanted. */
void
reap__call(struct worker *w)
{
	/* Release: pairs with the exchange in called(): what the caller did is there when the base context goes on. */
	REAP_STORE_RELEASE(&w->token, 1);
	REAP_FENCE_SEQ_CST();		/* A1 */
	(void)rouse(w);
}

void
reap__wake(struct reap_worker *worker)
{
	reap__call(reap_worker_user(worker));
}

static bool
called(struct worker *w)
{
	/* Acquire: pairs with the release in reap__call(). */
	return REAP_LOAD_RELAXED(&w->token) != 0 && REAP_XCHG_ACQUIRE(&w->token, 0) != 0;
}

/* There is work for anybody: wake one worker, unless one that searches will find it. */
void
reap__summon(struct reap_runtime *rt)
{
	/* Acquire: pairs with the -SEARCHING of a sleeper, before which it stored SLEEPING. */
	uint32_t hungry = REAP_LOAD_ACQUIRE(&rt->hungry);
	unsigned i;

	if (IDLE_OF(hungry) == 0 || hungry >= SEARCHING)
		return;
	/* Rather one of those that do not sleep in the poller: another one would have to take its place there. */
	if (rt->poller.poll != NULL)
		for (i = 0; i < rt->nworkers; i++)
			if (REAP_LOAD_RELAXED(&rt->workers[i].state) == SLEEPING && rouse(&rt->workers[i]))
				return;
	for (i = 0; i < rt->nworkers && !rouse(&rt->workers[i]); i++)
		;
}

static void
ask_poller(struct worker *w, uint64_t wait)
{
	w->polling = true;
	w->runtime->poller.poll(w->runtime->poller.arg, wait);
	w->polling = false;
}

/* Look for events, unless an idle worker sleeps over them. */
void
reap__poll(struct worker *w)
{
	/* Relaxed: if it is wrong, there is a look too many, or one that is made up for at the next look. */
	if (w->runtime->poller.poll != NULL && REAP_LOAD_RELAXED(&w->runtime->polled) == 0)
		ask_poller(w, 0);
}

/* Is there work that anybody could take? */
static bool
on_offer(const struct reap_runtime *rt, bool patient)
{
	unsigned i;

	if (REAP_LOAD_RELAXED(&rt->injected) != 0)
		return true;
	for (i = 0; i < rt->nworkers; i++) {
		uintptr_t offer = REAP_LOAD_RELAXED(&rt->workers[i].offer);

		if (offer != 0 && (patient || (offer & OFFER_PATIENT) == 0))
			return true;
	}
	return false;
}

static bool
steal(struct worker *w, struct worker *victim)
{
	uintptr_t offer = REAP_LOAD_RELAXED(&victim->offer);

	if (offer == 0)
		return false;
	if (offer & OFFER_PATIENT) {
		unsigned epoch = REAP_LOAD_RELAXED(&victim->epoch);

		stall(PATIENCE >> w->haste);
		if (REAP_LOAD_RELAXED(&victim->epoch) != epoch) {
			w->haste = 0;
			return false;
		}
		w->haste += w->haste < HASTE_MAX;
	}
	/* Acquire: pairs with the release in share().  Whatever is there by now is as good as what we saw. */
	offer = REAP_XCHG_ACQUIRE(&victim->offer, 0);
	if (offer == 0)
		return false;
	w->loot = OFFER_CHAIN(offer);
	w->loot_count = w->stolen = OFFER_COUNT(offer);
	prefetch_context(w->loot);
	w->stolen_at = monotonic();
	return true;
}

static bool
search(struct worker *w, uint64_t ns)
{
	struct reap_runtime *rt = w->runtime;
	uint64_t since = ns != 0 ? monotonic() : 0, pause = SEARCH_FIRST;
	unsigned i;

	for (;;) {
		if (called(w) || reap__gather(w))
			return true;
		for (i = 1; i < rt->nworkers; i++)
			if (steal(w, &rt->workers[(w->index + i) % rt->nworkers]))
				return true;
		if (ns == 0 || monotonic() - since >= ns)
			return false;
		stall(pause);
		pause = 2 * pause < SEARCH_STALL ? 2 * pause : SEARCH_STALL;
	}
}

/* Reap some of what the default adopter owes.  True: as much as allowed, so there may be more. */
bool
reap__drain(struct worker *w)
{
	struct reap_runtime *rt = w->runtime;
	struct reap_adopter *adopter = reap_adopter_default(rt->domain);
	unsigned budget = rt->drain_budget;

	w->undrained = 0;
	return budget != UINT_MAX && reap_adopter_backlog(adopter) > 0 &&
	    reap_adopter_drain(adopter, budget) == (int)budget;
}

/* What callbacks of a drain or a trim have readied is queued here, or on offer: patiently, as if we were busy. */
static bool
has_work(const struct worker *w)
{
	return runnable(w) + w->bound.count > 0 || REAP_LOAD_RELAXED(&w->offer) != 0;
}

/* Sleep in the kernel until roused, or until the monotonic clock shows `until'. */
static void
nap(struct worker *w, uint64_t until)
{
	int err = 0;

	pthread_mutex_lock(&w->lock);
	/* Acquire: pairs with the compare-and-swap in rouse(). */
	while (REAP_LOAD_ACQUIRE(&w->state) == SLEEPING && err == 0) {
		if (until == UINT64_MAX)
			err = pthread_cond_wait(&w->cond, &w->lock);
		else {
#ifdef __APPLE__			/* no condition variables on the monotonic clock there */
			uint64_t now = monotonic(), left = until > now ? until - now : 0;
			struct timespec ts = { (time_t)(left / 1000000000), (long)(left % 1000000000) };

			err = pthread_cond_timedwait_relative_np(&w->cond, &w->lock, &ts);
#else
			uint64_t s = until / 1000000000 < INT32_MAX ? until / 1000000000 : INT32_MAX;	/* any time_t */
			struct timespec ts = { (time_t)s, (long)(until % 1000000000) };

			err = pthread_cond_timedwait(&w->cond, &w->lock, &ts);
#endif
		}
	}
	pthread_mutex_unlock(&w->lock);
}

/* Sleep in the poller, until it returns, at the latest at `until'.  False: there is none, or somebody does. */
static bool
poll_until(struct worker *w, uint64_t until)
{
	struct reap_runtime *rt = w->runtime;
	unsigned state = SLEEPING;
	uint32_t nobody = 0;
	uint64_t now;

	/* Acquire: pairs with the release below. */
	if (rt->poller.poll == NULL || REAP_LOAD_RELAXED(&rt->polled) != 0 || !REAP_CAS_ACQUIRE(&rt->polled, &nobody, 1))
		return false;
	REAP_RUNTIME_BEFORE_SLEEP();
	/* From here on rouse() calls poller.wake().  If it has been before, it did not. */
	if (REAP_CAS_ACQ_REL(&w->state, &state, POLLING)) {
		now = monotonic();
		ask_poller(w, until == UINT64_MAX ? until : until > now ? until - now : 0);
	}
	/* Release: pairs with the acquire above, so that who sleeps in the poller next finds all that this one has written there.
	 * And before our next change of hungry: see D. */
	REAP_STORE_RELEASE(&rt->polled, 0);
	return true;
}

/* Awake, and searching, by whoever says so first.  True: another one did. */
static bool
woken(struct worker *w)
{
	unsigned state = SLEEPING;
	bool roused = false;

	pthread_mutex_lock(&w->lock);
	/* Acquire, on failure as well: pairs with the compare-and-swap of who roused us.  Only we make it POLLING. */
	while (!roused && !REAP_CAS_ACQ_REL(&w->state, &state, AWAKE))
		roused = state == AWAKE;
	if (!roused)
		(void)REAP_ADD_ACQ_REL(&w->runtime->hungry, SEARCHING);
	pthread_mutex_unlock(&w->lock);
	return roused;
}

/* From searching to asleep and back.  True: roused; false: time is up, or there was something to do. */
static bool
doze(struct worker *w)
{
	struct reap_runtime *rt = w->runtime;
	uint64_t until = reap_trim_aged(rt->domain);
	bool watching = false;
	uint32_t hungry, nobody = 0;

	if (timer_next(&w->timers) < until)
		until = timer_next(&w->timers);
	if (until != UINT64_MAX && rt->clock != NULL)
		until = monotonic() + INJECTED_POLL;

	REAP_RUNTIME_BEFORE_SLEEP();
	REAP_STORE_RELAXED(&w->state, SLEEPING);
	/* Release: pairs with the load in reap__summon(), which then finds SLEEPING. */
	hungry = REAP_ADD_ACQ_REL(&rt->hungry, 0u - SEARCHING);
	REAP_FENCE_SEQ_CST();		/* A2 */
	if (REAP_LOAD_RELAXED(&w->token) == 0 && REAP_LOAD_RELAXED(&w->inbox) == 0 && !on_offer(rt, false) && !has_work(w)) {
		if (IDLE_OF(hungry) < rt->nworkers && REAP_CAS_ACQUIRE(&rt->watched, &nobody, 1)) {
			uint64_t look = monotonic() + w->doze;

			watching = true;
			until = look < until ? look : until;
			w->doze = w->doze < DOZE_MAX ? 2 * w->doze : DOZE_MAX;
		}
		if (!poll_until(w, until))
			nap(w, until);
		if (watching)
			REAP_STORE_RELAXED(&rt->watched, 0);	/* before our next -SEARCHING, which releases it: see C */
	}
	return woken(w);
}

/*
 * The last theft was of contexts that did next to nothing.  Their worker would have run them in less time than it took both to move
 * them: it is left alone for as long as that took, so that of a worker's time no more than half is spent like this.  Nobody
 * counts on this worker meanwhile, as if it ran something; not after a theft of a few, as their worker may be about to do something
 * long, and keeps a few to itself while nobody is idle.  True: it has work of its own.
 */
static bool
linger(struct worker *w)
{
	uint64_t now = monotonic(), took = now - w->stolen_at;
	bool worth = took >= w->stolen * WORTH;

	w->stolen = 0;
	while (!worth && monotonic() - now < took) {
		if (called(w) || reap__gather(w))
			return true;
		stall(SEARCH_STALL);
	}
	return false;
}

/* The base context of this worker has nothing to do and next() had nothing. */
void
reap__idle(struct reap_worker *worker)
{
	struct worker *w = reap_worker_user(worker);
	struct reap_runtime *rt = w->runtime;
	uint64_t ns = rt->nworkers > 1 ? SEARCH_TIME : 0;
	uint32_t hungry;

	if (w->stolen > OFFER_FEW) {
		sated(w);
		if (linger(w))
			return;
	}
	w->doze = DOZE_MIN;
	(void)REAP_ADD_ACQ_REL(&rt->hungry, IDLE + SEARCHING);
	sated(w);
	reap__poll(w);
	while (!search(w, ns)) {
		if (reap__drain(w))
			ns = 0;
		else
			ns = doze(w) && rt->nworkers > 1 ? SEARCH_TIME : 0;
	}
	hungry = REAP_ADD_ACQ_REL(&rt->hungry, 0u - IDLE - SEARCHING);
	if (IDLE_OF(hungry) > 0 && hungry < SEARCHING) {
		REAP_FENCE_SEQ_CST();	/* B3; pairs with B1 */
		if (on_offer(rt, true) || (rt->poller.poll != NULL && REAP_LOAD_RELAXED(&rt->polled) == 0))
			reap__summon(rt);
	}
}
