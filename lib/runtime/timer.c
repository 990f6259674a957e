/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <stdlib.h>

#include "timer.h"

int
reap__timer_reserve(struct timers *timers)
{
	size_t room = timers->room == 0 ? 16 : 2 * timers->room;
	struct timer_place *heap;

	if (timers->count < timers->room)
		return 0;
	if (room > SIZE_MAX / sizeof(*heap) || (heap = realloc(timers->heap, room * sizeof(*heap))) == NULL)
		return -ENOMEM;
	timers->heap = heap;
	timers->room = room;
	return 0;
}

static void
put(struct timers *timers, size_t i, struct timer_place place)
{
	timers->heap[i] = place;
	place.timer->place = i;
}

static void
say_next(struct timers *timers)
{
	/* Relaxed: see timer_next(). */
	REAP_STORE_RELAXED(&timers->next, timers->count == 0 ? UINT64_MAX : timers->heap[0].when);
}

/* The place i is free, and what is above and below it is in order: put this one where it belongs. */
static void
settle(struct timers *timers, size_t i, struct timer_place place)
{
	struct timer_place *heap = timers->heap;
	size_t child;

	for (; i > 0 && heap[(i - 1) / 2].when > place.when; i = (i - 1) / 2)
		put(timers, i, heap[(i - 1) / 2]);
	while ((child = 2 * i + 1) < timers->count) {
		if (child + 1 < timers->count && heap[child + 1].when < heap[child].when)
			child++;
		if (place.when <= heap[child].when)
			break;
		put(timers, i, heap[child]);
		i = child;
	}
	put(timers, i, place);
}

void
reap__timer_insert(struct timers *timers, uint64_t when, struct timer *timer)
{
	settle(timers, timers->count++, (struct timer_place){ when, timer });
	say_next(timers);
}

void
reap__timer_remove(struct timers *timers, struct timer *timer)
{
	size_t i = timer->place;

	if (i == TIMER_OUT)
		return;
	timer->place = TIMER_OUT;
	if (i != --timers->count)
		settle(timers, i, timers->heap[timers->count]);
	say_next(timers);
}

struct timer *
reap__timer_due(struct timers *timers, uint64_t now)
{
	struct timer *due;

	if (timers->count == 0 || timers->heap[0].when > now)
		return NULL;
	due = timers->heap[0].timer;
	reap__timer_remove(timers, due);
	return due;
}
