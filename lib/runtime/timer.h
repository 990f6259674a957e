/* SPDX-License-Identifier: ISC */
/*
 * timer.h: the sleepers of one worker, the earliest first.  A binary heap.
 *
 * Only its worker inserts, and takes out what is due; but a sleeper that is woken before its time may run elsewhere when it takes
 * itself out.  So all is done under the worker's lock, and timer_next() alone is read without.
 */
#ifndef REAP_RUNTIME_TIMER_H
#define REAP_RUNTIME_TIMER_H

#include <reap.h>

/* On the sleeper's stack; the sleeper does not leave before it is out of the heap. */
struct timer {
	size_t	 place;			/* in the heap; TIMER_OUT */
	struct reap_context *context;
	uintptr_t *word;		/* of the reap_parking that it sleeps at as well; NULL: it only sleeps */
	bool	 expired;		/* it was the time that woke it; written by who takes it out and readies it */
};

#define TIMER_OUT	SIZE_MAX

struct timer_place {
	uint64_t when;			/* the domain's clock, nanoseconds */
	struct timer *timer;
};

struct timers {
	struct timer_place *heap;	/* heap[i] is not later than heap[2i + 1] and heap[2i + 2] */
	size_t	 count, room;
	uint64_t next;			/* heap[0].when, or UINT64_MAX; by the macros of atomic.h */
};

/* Make room for one more: the only one of these that allocates.  0 or -ENOMEM. */
int	reap__timer_reserve(struct timers *timers);

/* Room has been made. */
void	reap__timer_insert(struct timers *timers, uint64_t when, struct timer *timer);

/* Take out one that is due, or NULL. */
struct timer *reap__timer_due(struct timers *timers, uint64_t now);

/* Take out this one, if it is still in. */
void	reap__timer_remove(struct timers *timers, struct timer *timer);

/*
 * When the next one is due; UINT64_MAX: there is none.
 *
 * Relaxed: its worker alone makes it earlier, and sees its own stores; a removal elsewhere that is not seen yet costs it a look
 * for nothing.
 */
static inline uint64_t
timer_next(const struct timers *timers)
{
	return REAP_LOAD_RELAXED(&timers->next);
}

#endif
