/* SPDX-License-Identifier: ISC */
/*
 * worker.h: what the runtime and each of its workers are made of, and who may touch which part.
 *
 *	            go, ready                      half of it, when somebody is hungry
 *	running  -------------->  worker.local  -------------------------------------->  worker.offer
 *	context  <--------------  (private)     <--------------------------------------  (one word)
 *	            next                           next, when local is empty                 |
 *	                                                                                     v all of it
 *	                                                                               loot of a thief
 *	other threads  --unpark, runtime_go-->  runtime.injected  --------------------->  local of whoever looks
 *	other workers  --ready of a pinned one-->  worker.inbox  -->  worker.bound (private)
 *
 * While all work stays on one worker, no word that another worker writes is written, and no locked instruction runs.
 */
#ifndef REAP_RUNTIME_WORKER_H
#define REAP_RUNTIME_WORKER_H

#include <pthread.h>
#include <stdalign.h>

#include <reap/runtime.h>

#include "queue.h"
#include "timer.h"

#define LINE	64			/* bytes of a cache line, on what we know of */

#define OFFER_MAX	32u		/* contexts in an offer: what a switch may spend on cutting it off, and a thief takes */
#define OFFER_FEW	4u		/* so many stay private while nobody is hungry, and so many are offered then */

/* An offer is one word: a chain, in the low bits how many they are, less one, and PATIENT. */
#define OFFER_PATIENT	((uintptr_t)1)	/* a single context that its worker is likely to run itself in a moment */
#define OFFER(chain, n)	((uintptr_t)(chain) | (uintptr_t)((n) - 1) << 1)
#define OFFER_CHAIN(offer) ((struct reap_context *)((offer) & ~(uintptr_t)(REAP_CONTEXT_ALIGN - 1)))
#define OFFER_COUNT(offer) ((unsigned)((offer) & (REAP_CONTEXT_ALIGN - 1)) / 2 + 1)

_Static_assert(OFFER_MAX <= REAP_CONTEXT_ALIGN / 2, "the length of an offer has room in its word");

/* runtime.hungry */
#define IDLE		0x1u
#define SEARCHING	0x10000u
#define IDLE_OF(hungry)	((hungry) & 0xffffu)

enum { AWAKE, SLEEPING, POLLING };

struct worker {
	/* This worker only; no atomics. */
	struct reap_worker *reap;	/* constant once started */
	struct reap_runtime *runtime;	/* constant */
	unsigned index;			/* constant */
	unsigned ticks;			/* calls of next() */
	struct reap_context *loot;	/* what is left of the last theft, linked; runs before `local' */
	unsigned loot_count;
	struct queue local;		/* runnable here, and elsewhere once they are shared */
	struct queue bound;		/* runnable only here, for the time being */
	struct reap_context **offer_last; /* of the last offer made: its last link, its length */
	unsigned offer_count;
	unsigned fair_until;		/* in ticks: no offers on suspicion before that */
	unsigned undrained;		/* goes and pauses since the last drain */
	bool pausing;			/* the next ready() is for the context that reap_pause() leaves */
	bool polling;			/* in poller.poll(): what it readies is shared when it has returned */
	bool starving;			/* it is counted as such in the runtime, by next() */
	struct timers timers;		/* under the lock, but for timer_next() */
	uint64_t doze;			/* how long to sleep on watch, nanoseconds */
	unsigned haste;			/* so many victims in a row were given time in vain */
	unsigned stolen;		/* contexts of the last theft, until it is seen what that has brought */
	uint64_t stolen_at;		/* when that was; monotonic */

	/* The owner makes and takes back offers, thieves take them. */
	alignas(LINE) uintptr_t offer;	/* 0, or a chain | OFFER_PATIENT; by exchange, but 0 -> chain is its owner's store */
	unsigned epoch;			/* offers taken back; the owner writes, thieves read */

	/* Anybody, to reach this worker. */
	alignas(LINE) uintptr_t inbox;	/* a stack of contexts pinned here */
	unsigned token;			/* 1: the base context is wanted; anybody sets, idle() clears */
	unsigned state;			/* AWAKE, SLEEPING, POLLING; see idle.c */
	pthread_mutex_t lock;		/* of `cond', and of `timers'; nothing else is locked or readied under it */
	pthread_cond_t cond;		/* on the monotonic clock */
	pthread_t thread;		/* its creator's, to join it */
};

struct reap_runtime {
	/* Constant once the workers run. */
	struct worker *workers;
	unsigned nworkers;
	unsigned few;			/* OFFER_FEW; UINT_MAX: there is nobody to share with */
	unsigned drain_budget;
	struct reap_domain *domain;
	uint64_t (*clock)(void *);	/* the domain's; NULL: CLOCK_MONOTONIC */
	void	*clock_arg;
	struct reap_poller poller;	/* poll may be NULL */
	bool	 observed;		/* the embedder has an on_switch() */

	/* Read at every switch, written when a worker runs dry or finds work again. */
	alignas(LINE) uint32_t hungry;	/* IDLE for each idle worker, and SEARCHING if it is not asleep; see idle.c */
	uint32_t starving;		/* workers that will be idle in a moment: for offers alone, nobody sleeps or wakes by it */
	uint32_t watched;		/* 1: an idle worker sleeps with a timeout, on watch for patient offers */
	uint32_t polled;		/* 1: an idle worker sleeps in poller.poll(), or is about to or just did; see idle.c, D */

	alignas(LINE) uintptr_t injected; /* a stack of contexts readied by threads that are no workers */
	uint32_t outsiders;		/* such threads, while they ready one; any thread, by addition */

	/* Start and end only; under the lock. */
	alignas(LINE) pthread_mutex_t lock;
	pthread_cond_t cond;
	unsigned nthreads;		/* workers with a thread of the runtime's own; its creator's */
	unsigned started, arrived;	/* of these: have begun; have left their loops for good */
	bool	 dismissed;		/* they may end */
	int	 error;			/* of the first that could not begin */
	uint32_t stopping;		/* by the macros of atomic.h */
};

/* schedule.c */
extern const struct reap_host reap__runtime_host;

/* It has something to do after all, or has said in another way that it has not. */
static inline void
sated(struct worker *worker)
{
	if (REAP_UNLIKELY(worker->starving)) {
		worker->starving = false;
		(void)REAP_ADD_RELAXED(&worker->runtime->starving, 0u - 1);	/* a count */
	}
}

/* What this worker can run, and others could if it were shared. */
static inline unsigned
runnable(const struct worker *worker)
{
	return worker->loot_count + worker->local.count;
}

struct worker	*reap__self(void);
void		 reap__attach(struct worker *self);
void		 reap__ready(struct reap_context *context);
void		 reap__enqueue(struct worker *worker, struct reap_context *context);
void		 reap__pause(struct worker *worker);	/* the caller goes behind all others */
bool		 reap__gather(struct worker *worker);

/* suspend.c */
struct reap_context *reap__expired(struct worker *worker, uint64_t now);

/* idle.c */
void		 reap__idle(struct reap_worker *worker);
void		 reap__wake(struct reap_worker *worker);
void		 reap__call(struct worker *worker);
void		 reap__rouse(struct worker *worker);
void		 reap__summon(struct reap_runtime *runtime);
void		 reap__poll(struct worker *worker);
bool		 reap__drain(struct worker *worker);
uint64_t	 reap__now(const struct reap_runtime *runtime);

#endif
