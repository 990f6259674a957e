/* SPDX-License-Identifier: ISC */
/*
 * completion.h: door 1, bring your own switch.  A runtime that keeps its own contexts, stacks and assembly needs no more.
 *
 *	dying context			successor (on the same worker)		who owes the reap
 *	reap_slot_put(slot, &me->dead)
 *	switch to the successor  ---->	reap_slot_landed(slot)  ------------>	reap_completion_posted(), arm() or wait()
 *										free the stack
 *
 * The completion is one word:
 *
 *	PENDING --arm--> WAITER --post--> POSTED (the waiter is readied)
 *	   |  <-disarm--'                   ^
 *	   '--------------post--------------'
 *
 * The post is the poster's last touch of the completion: whoever sees POSTED may free the memory it lies in that instant.
 */
#ifndef REAP_COMPLETION_H
#define REAP_COMPLETION_H

#include <reap/atomic.h>
#include <reap/base.h>

REAP_BEGIN_DECLS

/* Somebody to be told.  Embed it; ready() runs once, on the poster's stack, after the post: it must not block. */
struct reap_waiter {
	void	(*ready)(struct reap_waiter *waiter);
};

#define REAP__PENDING	((uintptr_t)0)
#define REAP__POSTED	((uintptr_t)1)	/* no waiter lies at address 1 */

struct reap_completion {
	uintptr_t reap__word;		/* PENDING, POSTED or a waiter; any thread, by the macros of atomic.h */
};

struct reap_slot {
	uintptr_t reap__prev;		/* 0, or what the next landing has to deal with; its worker only, no atomics */
};

#define REAP_COMPLETION_INIT	{ REAP__PENDING }
#define REAP_SLOT_INIT		{ 0 }

/*
 * reap_completion_post -- "off the CPU": latch the completion and ready its waiter.
 *
 *   context    The landing, or whoever else knows the owner to be off the CPU.  Once per completion.
 *   ownership  The completion may be gone when this returns.
 *   ordering   All before the post happens before what follows a posted() that says true, a wait() or a ready().
 *   cost       One atomic exchange; no lock, no allocation.  A system call only if a sleeping OS thread is woken.
 *   returns    Nothing; cannot fail.  Posting twice aborts ("post-once").
 */
REAP_API void	reap_completion_post(struct reap_completion *completion);

/*
 * reap_completion_arm -- leave a waiter to be readied by the post.  One at a time.
 *
 *   context    Any, but never while the caller still runs on the stack that ready() makes runnable elsewhere: a context
 *              arms from its successor's landing, see reap_park().
 *   ownership  The waiter belongs to the completion until it is readied or disarmed.
 *   ordering   On -EALREADY: as if posted() had said true.
 *   cost       One atomic operation.
 *   returns    0: ready() will be called once; -EALREADY: posted, ready() will not be called; -EBUSY: another waiter is there.
 */
REAP_API int	reap_completion_arm(struct reap_completion *completion, struct reap_waiter *waiter);

/*
 * reap_completion_disarm -- take the waiter back.
 *
 *   context    Any; by who armed it.
 *   ownership  On 0 the waiter is the caller's again.
 *   ordering   On -EALREADY: as if posted() had said true.
 *   cost       One atomic operation.
 *   returns    0; -EALREADY: posted, ready() has been or is being called.
 */
REAP_API int	reap_completion_disarm(struct reap_completion *completion, struct reap_waiter *waiter);

/*
 * reap_completion_wait -- block the calling OS thread until the post.
 *
 *   context    An OS thread that is no worker, or a worker that may block whole.
 *   ownership  Afterwards nobody else touches the completion.
 *   ordering   All before the post happens before the return.
 *   cost       A short spin, then sleeps in the kernel.
 *   returns    0; -EBUSY: another waiter is there.
 */
REAP_API int	reap_completion_wait(struct reap_completion *completion);

/*
 * reap_completion_init, reap_completion_posted -- set to PENDING; ask without blocking.
 *
 *   context    Any.  init: before anyone else knows the completion.
 *   ownership  None.
 *   ordering   posted() that says true: all before the post happens before what follows.
 *   cost       A store; a load.
 *   returns    posted: whether the owner is off the CPU.
 */
static inline void
reap_completion_init(struct reap_completion *completion)
{
	REAP_STORE_RELAXED(&completion->reap__word, REAP__PENDING);
}

static inline bool
reap_completion_posted(const struct reap_completion *completion)
{
	/* pairs with the exchange in reap_completion_post(): without it the reader could free a stack whose last writes,
	 * made by the context that died on it, land afterwards in somebody else's memory. */
	return REAP_LOAD_ACQUIRE(&completion->reap__word) == REAP__POSTED;
}

/* The out-of-line half of reap_slot_landed(): empties the slot, then posts what was in it. */
REAP_API void	reap__slot_post(struct reap_slot *slot);

/*
 * reap_slot_put -- the dying context leaves its completion for the next landing on this worker.
 *
 *   context    The last thing before the final switch, on the dying stack.  From here no block, allocation or callback.
 *   ownership  The completion must outlive its post: not on the dying stack.
 *   ordering   Same thread as the landing: none needed.
 *   cost       A load, a branch, a store.
 *   returns    Nothing.  A full slot aborts ("slot-full"): an earlier landing was forgotten, two stacks would be lost.
 */
static inline void
reap_slot_put(struct reap_slot *slot, struct reap_completion *completion)
{
	if (REAP_UNLIKELY(slot->reap__prev != 0))
		reap_misuse("slot-full", "an exit found the slot of its worker full: some switch path does not land");
	slot->reap__prev = (uintptr_t)completion;
}

/*
 * reap_slot_landed -- first thing after every switch: post the one who died before us, if any.
 *
 *   context    On the successor's stack, on every path: resumed, fresh entry, the worker's base loop.
 *   ownership  What was in the slot may be freed by its waiter as soon as this posts.
 *   ordering   Releases all that the dead one did.
 *   cost       A load and a branch when nothing died.
 *   returns    Nothing; cannot fail.
 */
static inline void
reap_slot_landed(struct reap_slot *slot)
{
	if (REAP_UNLIKELY(slot->reap__prev != 0))
		reap__slot_post(slot);
}

/* The inlines above as symbols, for callers in other languages; same five labels. */
REAP_API void	reap_completion_init_(struct reap_completion *completion);
REAP_API bool	reap_completion_posted_(const struct reap_completion *completion);
REAP_API void	reap_slot_put_(struct reap_slot *slot, struct reap_completion *completion);
REAP_API void	reap_slot_landed_(struct reap_slot *slot);

REAP_END_DECLS

#endif
