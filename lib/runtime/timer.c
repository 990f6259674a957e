/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <stdlib.h>

#include "timer.h"

int
reap__timer_reserve(struct timers *timers)
{
	size_t room = timers->room == 0 ? 16 : 2 * timers->room;
	struct timer *heap;

	if (timers->count < timers->room)
		return 0;
	if (room > SIZE_MAX / sizeof(*heap) || (heap = realloc(timers->heap, room * sizeof(*heap))) == NULL)
		return -ENOMEM;
	timers->heap = heap;
	timers->room = room;
	return 0;
}

void
reap__timer_insert(struct timers *timers, uint64_t when, struct reap_context *context)
{
	struct timer *heap = timers->heap;
	size_t i = timers->count++;

	for (; i > 0 && heap[(i - 1) / 2].when > when; i = (i - 1) / 2)
		heap[i] = heap[(i - 1) / 2];
	heap[i] = (struct timer){ when, context };
}

struct reap_context *
reap__timer_due(struct timers *timers, uint64_t now)
{
	struct timer *heap = timers->heap, last;
	struct reap_context *due;
	size_t i = 0, child;

	if (timers->count == 0 || heap[0].when > now)
		return NULL;
	due = heap[0].context;
	last = heap[--timers->count];
	while ((child = 2 * i + 1) < timers->count) {
		if (child + 1 < timers->count && heap[child + 1].when < heap[child].when)
			child++;
		if (last.when <= heap[child].when)
			break;
		heap[i] = heap[child];
		i = child;
	}
	heap[i] = last;
	return due;
}
