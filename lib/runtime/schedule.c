/* SPDX-License-Identifier: ISC */
/*
 * schedule.c: who runs next, where a readied context goes, and how much of it other workers get to see.
 *
 * Contexts that come here are off the CPU: the core readies a yielding or parked one from its successor's landing.  So
 * whatever is offered may be run by a thief at once.  Who pauses may come a little before, see reap__pause().
 */
#include "worker.h"

#define TIMER_TICKS	16u		/* switches between two looks at the timers of a busy worker; a power of 2 */
#define FAIR_TICKS	64u		/* ... at what has been offered and nobody took, at what was injected, and for events; likewise */

#ifndef REAP_RUNTIME_RUNS		/* the benchmark's measuring build wants to know who is next */
#define REAP_RUNTIME_RUNS(context)	((void)0)
#endif

static _Thread_local struct worker *self_
#ifdef __ELF__
    __attribute__((tls_model("initial-exec")))
#endif
    ;

/* Never inlined, so that no caller keeps the address of the variable across a switch: it may come back on another thread. */
__attribute__((noinline)) struct worker *
reap__self(void)
{
	__asm__ volatile("" ::: "memory");
	return self_;
}

__attribute__((noinline)) void
reap__attach(struct worker *self)
{
	self_ = self;
}

/* The oldest that is not bound. */
static struct reap_context *
take(struct worker *w)
{
	struct reap_context *context = w->loot;

	if (context == NULL)
		return queue_pop(&w->local);
	/* Another processor has it in its cache: the next one comes while this one runs. */
	w->loot = *reap_context_link(context);
	w->loot_count--;
	if (w->loot != NULL)
		prefetch_context(w->loot);
	return context;
}

/*
 * Cut up to n off what is runnable, to be run anywhere: from here on they are shared.  Those that must stay, because they are pinned
 * or have children that are private to this worker, are put aside.  Returns the chain; *count is its length.
 */
static struct reap_context *
cut_shared(struct worker *w, unsigned n, unsigned *count)
{
	struct reap_context *chain = NULL, **link = &chain;

	for (*count = 0; n > 0; n--) {
		struct reap_context *context = take(w);

		if (reap_context_share(context) != 0) {
			queue_push(&w->bound, context);
			continue;
		}
		*link = context;
		link = reap_context_link(context);
		++*count;
	}
	*link = NULL;
	w->offer_last = link;
	return chain;
}

/*
 * Offer the older half of what is queued, if there is no offer yet.  Not many while nobody asks for them: shared contexts cost more,
 * even if it is this worker that runs them in the end.
 */
static __attribute__((noinline)) void
share(struct worker *w, bool patient)
{
	struct reap_runtime *rt = w->runtime;

	/* Relaxed: only this worker sets it from 0; a thief's clearing is seen by the next switch. */
	if (REAP_LOAD_RELAXED(&w->offer) == 0) {
		unsigned n = runnable(w) / 2 + runnable(w) % 2;
		unsigned most = REAP_LOAD_RELAXED(&rt->hungry) >= SEARCHING ? OFFER_MAX : OFFER_FEW;
		struct reap_context *chain;

		chain = cut_shared(w, n < most ? n : most, &n);
		if (chain == NULL)
			return;
		w->offer_count = n;
		patient = patient && n == 1 && runnable(w) == 0;
		/* Release: pairs with the exchange in steal().  Without it a thief could resume a context on a stack whose
		 * last writes have not arrived. */
		REAP_STORE_RELEASE(&w->offer, OFFER(chain, n) | (patient ? OFFER_PATIENT : 0));
		/* No fence for a patient offer: if the watch is misjudged, it waits for our next switch.  See idle.c, C. */
		if (patient && REAP_LOAD_RELAXED(&rt->watched))
			return;
		REAP_FENCE_SEQ_CST();	/* B1, see idle.c */
	}
	reap__summon(rt);
}

/* Is it time to offer, with so many in the queue? */
static inline bool
may_share(const struct worker *w, unsigned count)
{
	const struct reap_runtime *rt = w->runtime;

	return count > 0 && REAP_UNLIKELY((REAP_LOAD_RELAXED(&rt->hungry) | REAP_LOAD_RELAXED(&rt->starving)) != 0 ||
	    (count > rt->few && (int)(w->ticks - w->fair_until) >= 0));
}

/* At every scheduling point.  A stale `hungry' costs no wakeup: what stays private is this worker's own to run. */
static inline void
maybe_share(struct worker *w, bool patient)
{
	if (may_share(w, runnable(w)))
		share(w, patient);
}

static void
take_back(struct worker *w)
{
	uintptr_t offer;

	if (REAP_LOAD_RELAXED(&w->offer) == 0)
		return;
	/* Relaxed: for thieves that wait to see whether their victim switches at all. */
	REAP_STORE_RELAXED(&w->epoch, w->epoch + 1);
	/* Acquire is more than needed: what we get back is what we stored, or 0. */
	offer = REAP_XCHG_ACQUIRE(&w->offer, 0);
	if (offer != 0)
		queue_put_back(&w->local, OFFER_CHAIN(offer), w->offer_last, w->offer_count);
}

static void
expire(struct worker *w)
{
	uint64_t now;

	if (timer_next(&w->timers) == UINT64_MAX)
		return;
	now = reap__now(w->runtime);
	while (timer_next(&w->timers) <= now) {
		struct reap_context *context = reap__expired(w, now);

		if (context != NULL)
			reap__ready(context);
	}
}

/* All that this worker can run without taking it from another.  False: nothing. */
bool
reap__gather(struct worker *w)
{
	expire(w);
	take_back(w);
	(void)stack_take(&w->inbox, &w->bound);
	(void)stack_take(&w->runtime->injected, &w->local);
	return runnable(w) + w->bound.count > 0;
}

/* By turns, so that neither queue starves the other. */
static __attribute__((noinline)) struct reap_context *
pop_by_turns(struct worker *w)
{
	if (w->bound.count > 0 && (w->ticks % 2 == 0 || runnable(w) == 0))
		return queue_pop(&w->bound);
	return take(w);
}

static inline struct reap_context *
pop(struct worker *w)
{
	return REAP_LIKELY(w->loot_count + w->bound.count == 0) ? queue_pop(&w->local) : pop_by_turns(w);
}

/* Now and then. */
static __attribute__((noinline)) void
look_around(struct worker *w)
{
	expire(w);
	if (w->ticks % FAIR_TICKS == 0) {
		/* What nobody took runs before it is offered again.  Twice its number: `bound' has its turns too. */
		if (REAP_LOAD_RELAXED(&w->offer) != 0)
			w->fair_until = w->ticks + 2 * w->offer_count;
		reap__poll(w);
		(void)reap__gather(w);
	}
}

/*
 * There is nothing to run.  If that is asked for one that may run anywhere, which ends or parks, somebody may learn of it on another
 * worker before this one has come to idle(), and go on to make a child and compute for long: the child is to be offered then.
 */
static __attribute__((noinline)) struct reap_context *
starve(struct worker *w)
{
	if (w->runtime->nworkers > 1 && !w->starving && reap_context_home(reap_worker_current(w->reap)) == NULL) {
		w->starving = true;
		/* Relaxed: the post or the publication that follows releases it. */
		(void)REAP_ADD_RELAXED(&w->runtime->starving, 1);
	}
	return NULL;
}

static inline struct reap_context *
found(struct worker *w, struct reap_context *context)
{
	REAP_RUNTIME_RUNS(context);
	sated(w);
	maybe_share(w, true);
	return context;
}

/* The queues are empty. */
static __attribute__((noinline)) struct reap_context *
gathered(struct worker *w)
{
	struct reap_context *context = reap__gather(w) ? pop(w) : NULL;

	return context != NULL ? found(w, context) : starve(w);
}

static struct reap_context *
next(struct reap_worker *worker)
{
	struct worker *w = reap_worker_user(worker);
	struct reap_context *context;

	/* The base context is wanted.  The token stays until idle(), so that a base context that is about to call that
	 * does not sleep over it. */
	if (REAP_UNLIKELY(REAP_LOAD_RELAXED(&w->token) != 0))
		return NULL;
	w->ticks++;
	if (REAP_UNLIKELY(w->ticks % TIMER_TICKS == 0))
		look_around(w);
	if (REAP_UNLIKELY(REAP_LOAD_RELAXED(&w->inbox) != 0))
		(void)stack_take(&w->inbox, &w->bound);
	context = pop(w);
	if (REAP_LIKELY(context != NULL))
		return found(w, context);
	/* Relaxed: as reap__gather() looks, at all that it does. */
	if (timer_next(&w->timers) == UINT64_MAX && REAP_LOAD_RELAXED(&w->offer) == 0 &&
	    REAP_LOAD_RELAXED(&w->runtime->injected) == 0)
		return starve(w);
	return gathered(w);
}

void
reap__enqueue(struct worker *w, struct reap_context *context)
{
	/* Who is created or woken will probably run here in a moment, since the creator or waker is about to wait: thieves
	 * wait that moment (as Go's do for `runnext').  Who pauses is one of several that all want to run. */
	bool patient = !w->pausing;

	w->pausing = false;
	sated(w);		/* it may have gone straight to the parent of whom it starved with */
	queue_push(&w->local, context);
	if (!w->polling)
		maybe_share(w, patient);
}

/*
 * Who would be offered to others has to be off the CPU first: that one is readied by the landing.  What waits in `local' is this
 * worker's own, and it will look there again after the switch at the earliest, so that one may be queued before.  Unless an observer
 * of the embedder's runs in between, which could ready somebody.
 */
void
reap__pause(struct worker *w)
{
	struct reap_context *self = reap_worker_current(w->reap), *to;

	if (REAP_UNLIKELY(may_share(w, runnable(w) + 1) || w->runtime->observed || self == reap_worker_base(w->reap))) {
		w->pausing = true;
		w = reap_worker_user(reap_yield(w->reap));
		w->pausing = false;		/* if there was nothing to yield to */
		sated(w);
		return;
	}
	to = next(w->reap);
	if (to == NULL) {
		sated(w);
		return;
	}
	queue_push(&w->local, self);
	(void)reap_switch(w->reap, to);
}

/* From a thread that is none of the context's runtime, or for another worker. */
static void
hand_over(struct reap_runtime *rt, struct worker *home, struct reap_context *context)
{
	if (home == NULL) {
		stack_push(&rt->injected, context);
		REAP_FENCE_SEQ_CST();	/* B1, see idle.c */
		reap__summon(rt);
	} else {
		stack_push(&home->inbox, context);
		REAP_FENCE_SEQ_CST();	/* A1, see idle.c */
		reap__rouse(home);
	}
}

void
reap__ready(struct reap_context *context)
{
	struct reap_runtime *rt = reap_domain_user(reap_context_domain(context));
	struct reap_worker *pinned = reap_context_home(context);
	struct worker *w = reap__self(), *home = pinned != NULL ? reap_worker_user(pinned) : NULL;

	if (w != NULL && w->runtime == rt && (home == NULL || home == w)) {
		/* Who has a home may still be shared, when it comes to be offered. */
		reap__enqueue(w, context);
		return;
	}
	/* Relaxed: who is readied as the end begins is queued in vain or not at all; it is found and destroyed either way.
	 * Who is readied by a destruction itself must not be queued: it is on clear()'s list, by the same link. */
	if (REAP_LOAD_RELAXED(&rt->stopping) != 0)
		return;
	if (w != NULL && w->runtime == rt) {
		hand_over(rt, home, context);
		return;
	}
	/* Once it is pushed the context may run, and its end be that of the runtime, which waits for us.  Relaxed: whoever finds
	 * the context in the queue sees that we are counted. */
	(void)REAP_ADD_RELAXED(&rt->outsiders, 1);
	hand_over(rt, home, context);
	/* Release: pairs with the acquire in stop(): our last look at the runtime. */
	(void)REAP_ADD_ACQ_REL(&rt->outsiders, 0u - 1);
}

const struct reap_host reap__runtime_host = {
	.shares = true,
	.direct = true,
	.next = next,
	.ready = reap__ready,
	.idle = reap__idle,
	.wake = reap__wake,
};
