/* SPDX-License-Identifier: ISC */
/*
 * completion.c: "off the CPU", one word, posted once.  The word is drawn in reap/completion.h.
 */
#include <errno.h>

#include <reap/completion.h>

#include "os/os.h"

void
reap_completion_post(struct reap_completion *completion)
{
	/* Release: pairs with the acquire in reap_completion_posted(), arm() and disarm(): whoever sees POSTED frees the memory
	 * that the dead one wrote last [2].  Acquire: pairs with the release in arm(): the waiter is read next. */
	uintptr_t word = REAP_XCHG_ACQ_REL(&completion->reap__word, REAP__POSTED);

	/* The completion may be gone from here on [2]. */
	if (word == REAP__PENDING)
		return;
	if (REAP_UNLIKELY(word == REAP__POSTED))
		reap_misuse("post-once", "a completion was posted twice");
	((struct reap_waiter *)word)->ready((struct reap_waiter *)word);
}

int
reap_completion_arm(struct reap_completion *completion, struct reap_waiter *waiter)
{
	uintptr_t word = REAP__PENDING;

	/* Release: pairs with the exchange in post(), which reads the waiter.  Acquire on failure: pairs with the same: the
	 * caller goes on as after posted(). */
	if (REAP_CAS_ACQ_REL(&completion->reap__word, &word, (uintptr_t)waiter))
		return 0;
	return word == REAP__POSTED ? -EALREADY : -EBUSY;
}

int
reap_completion_disarm(struct reap_completion *completion, struct reap_waiter *waiter)
{
	uintptr_t word = (uintptr_t)waiter;

	/* Acquire on failure: pairs with the exchange in post(). */
	return REAP_CAS_ACQ_REL(&completion->reap__word, &word, REAP__PENDING) ? 0 : -EALREADY;
}

struct thread_waiter {
	struct reap_waiter	waiter;
	uint32_t		readied;	/* 0, then 1 by the poster */
};

static void
wake_thread(struct reap_waiter *waiter)
{
	struct thread_waiter *thread = (struct thread_waiter *)waiter;

	/* Release: pairs with the acquire load in reap_completion_wait().  The sleeper may be gone, and the word with it, as
	 * soon as this is seen; the wake uses its address only [13]. */
	REAP_STORE_RELEASE(&thread->readied, 1);
	reap__os_wake(&thread->readied);
}

int
reap_completion_wait(struct reap_completion *completion)
{
	struct thread_waiter	 thread = { { wake_thread }, 0 };
	int			 error;

	/* About a microsecond: as long as two futex calls would take; a post that is due comes within that. */
	for (int i = 0; i < 64; i++) {
		if (reap_completion_posted(completion))
			return 0;
		reap__os_relax();
	}
	do {
		thread.readied = 0;
		error = reap_completion_arm(completion, &thread.waiter);
		if (error != 0)
			return error == -EALREADY ? 0 : error;
		/* pairs with the release store in wake_thread(): the post happens before the return. */
		while (REAP_LOAD_ACQUIRE(&thread.readied) == 0)
			reap__os_wait(&thread.readied, 0);
		/* Readied without a post: an early notification took the waiter out.  The barrier is still ahead. */
	} while (!reap_completion_posted(completion));
	return 0;
}

void
reap__slot_post(struct reap_slot *slot)
{
	struct reap_completion *dead = (struct reap_completion *)slot->reap__prev;

	/* Emptied before the post [3]: the waiter that the post readies may run an exit on this worker at once. */
	slot->reap__prev = 0;
	reap_completion_post(dead);
}

void
reap_completion_init_(struct reap_completion *completion)
{
	reap_completion_init(completion);
}

bool
reap_completion_posted_(const struct reap_completion *completion)
{
	return reap_completion_posted(completion);
}

void
reap_slot_put_(struct reap_slot *slot, struct reap_completion *completion)
{
	reap_slot_put(slot, completion);
}

void
reap_slot_landed_(struct reap_slot *slot)
{
	reap_slot_landed(slot);
}
