/* SPDX-License-Identifier: ISC */
/*
 * queue.h: lists of runnable contexts, linked through the field of the descriptor that is the host's.  Nothing allocates.
 *
 *	queue	first in, first out; one worker only, plain loads and stores
 *	chain	a piece cut off a queue: its first context, linked down to NULL.  What travels between workers
 *	stack	newest first; anybody pushes, one takes all
 *
 * A chain or stack is handed over by one word, by the macros of atomic.h: the links need no atomics, and whoever checks
 * interleavings sees the hand-over.
 */
#ifndef REAP_RUNTIME_QUEUE_H
#define REAP_RUNTIME_QUEUE_H

#include <reap.h>

/* Soon to be run: its descriptor, two lines of the cache, to be written. */
static inline void
prefetch_context(const struct reap_context *context)
{
#ifdef __GNUC__
	__builtin_prefetch(context, 1);
	__builtin_prefetch((const char *)context + REAP_CONTEXT_ALIGN, 1);
#else
	(void)context;
#endif
}

struct queue {
	struct reap_context *first;
	struct reap_context **last;	/* the link of the last one, or &first: a queue cannot be copied */
	unsigned count;
};

static inline void
queue_init(struct queue *queue)
{
	queue->first = NULL;
	queue->last = &queue->first;
	queue->count = 0;
}

static inline void
queue_push(struct queue *queue, struct reap_context *context)
{
	struct reap_context **link = reap_context_link(context);

	*link = NULL;
	*queue->last = context;
	queue->last = link;
	queue->count++;
}

static inline struct reap_context *
queue_pop(struct queue *queue)
{
	struct reap_context *context = queue->first;

	if (context == NULL)
		return NULL;
	queue->first = *reap_context_link(context);
	if (queue->first == NULL)
		queue->last = &queue->first;
	else
		prefetch_context(queue->first);		/* of a thousand, it is in no first-level cache any more */
	queue->count--;
	return context;
}

/* Put a chain back in front, which is older than what is queued; *last is its last link. */
static inline void
queue_put_back(struct queue *queue, struct reap_context *chain, struct reap_context **last, unsigned n)
{
	*last = queue->first;
	if (queue->first == NULL)
		queue->last = last;
	queue->first = chain;
	queue->count += n;
}

/* Append a chain that another worker has cut. */
static inline void
queue_append(struct queue *queue, struct reap_context *chain)
{
	*queue->last = chain;
	for (; chain != NULL; chain = *queue->last) {
		queue->last = reap_context_link(chain);
		queue->count++;
	}
}

static inline void
stack_push(uintptr_t *stack, struct reap_context *context)
{
	struct reap_context **link = reap_context_link(context);
	uintptr_t head = REAP_LOAD_RELAXED(stack);

	do
		*link = (struct reap_context *)head;
	/* Release: pairs with the exchange in stack_take(), whose caller runs the context: without it, on a stack whose last
	 * writes have not arrived.  No ABA: takers take all, so no `next' is trusted that a comparison has not just confirmed. */
	while (!REAP_CAS_RELEASE(stack, &head, (uintptr_t)context));
}

/* Move all to the queue, oldest first. */
static inline bool
stack_take(uintptr_t *stack, struct queue *queue)
{
	struct reap_context *newest, *chain = NULL;

	/* Relaxed: a look; what is missed now is seen the next time. */
	if (REAP_LOAD_RELAXED(stack) == 0)
		return false;
	/* Acquire: pairs with the compare-and-swap in stack_push(). */
	newest = (struct reap_context *)REAP_XCHG_ACQUIRE(stack, 0);
	while (newest != NULL) {
		struct reap_context **link = reap_context_link(newest), *older = *link;

		*link = chain;
		chain = newest;
		newest = older;
	}
	if (chain == NULL)
		return false;
	queue_append(queue, chain);
	return true;
}

#endif
