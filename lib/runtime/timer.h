/* SPDX-License-Identifier: ISC */
/*
 * timer.h: the sleepers of one worker, the earliest first.  A binary heap; its worker only.
 */
#ifndef REAP_RUNTIME_TIMER_H
#define REAP_RUNTIME_TIMER_H

#include <reap.h>

struct timer {
	uint64_t when;			/* the domain's clock, nanoseconds */
	struct reap_context *context;
};

struct timers {
	struct timer *heap;		/* heap[i] is not later than heap[2i + 1] and heap[2i + 2] */
	size_t	 count, room;
};

/* Make room for one more: the only one of these that allocates.  0 or -ENOMEM. */
int	reap__timer_reserve(struct timers *timers);

/* Room has been made. */
void	reap__timer_insert(struct timers *timers, uint64_t when, struct reap_context *context);

/* Take out one that is due, or NULL. */
struct reap_context *reap__timer_due(struct timers *timers, uint64_t now);

/* When the next one is due; UINT64_MAX: there is none. */
static inline uint64_t
timer_next(const struct timers *timers)
{
	return timers->count == 0 ? UINT64_MAX : timers->heap[0].when;
}

#endif
