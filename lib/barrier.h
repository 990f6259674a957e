/* SPDX-License-Identifier: ISC */
/*
 * barrier.h: how a caller sleeps.  Three kinds: a context parks through its host, a base context runs others meanwhile, an OS
 * thread that is no worker sleeps in the kernel.  The first is inline, for the reason that switch.h gives.
 */
#ifndef REAP_LIB_BARRIER_H
#define REAP_LIB_BARRIER_H

#include <errno.h>

#include <reap/atomic.h>

#include "os/os.h"
#include "switch.h"

static inline bool
reap__arm(struct reap__sleep *sleep)
{
	int error;

	if (sleep->done == NULL) {
		sleep->error = 0;	/* something has come: look again */
		return reap__inbox_await(sleep->inbox, &sleep->waiter);
	}
	sleep->error = 0;
	if (sleep->whose != NULL && reap__private(reap__flags(sleep->whose))) {
		/* Who is awaited, who sleeps and who posts are on this worker. */
		if (reap_completion_posted(sleep->done))
			sleep->error = -EALREADY;
		else
			REAP_STORE_RELAXED(&sleep->done->reap__word, (uintptr_t)&sleep->waiter);
		return sleep->error == 0;
	}
	error = reap_completion_arm(sleep->done, &sleep->waiter);
	/* Armed: the sleeper may run again, elsewhere, and `sleep' be gone [7]. */
	if (error != 0)
		sleep->error = error;
	return error == 0;
}

/* Is what is slept on written by this worker alone?  The completion of a private context, not posted; an inbox that is empty and
 * that no shared child writes to. */
static inline bool
reap__arms_here(const struct reap_context *self, const struct reap__sleep *sleep)
{
	if (sleep->done != NULL)
		return sleep->whose != NULL && reap__private(reap__flags(sleep->whose));
	return sleep->inbox == &self->inbox && self->kids != 0 && !(reap__flags(self) & REAP__KIN) &&
	    REAP_LOAD_RELAXED(&sleep->inbox->head) == 0 && self->inbox.corpses == NULL;
}

/* barrier.c */
void	reap__ready_sleeper(struct reap_waiter *) __attribute__((visibility("hidden")));
bool	reap__publish_sleeper(struct reap_context *, void *);
int	reap__await_cold(struct reap_worker *, struct reap__sleep *);

/* All of the sleep of a context but the switch to whom it returns. */
REAP__INLINE struct reap_context *
reap__to_sleep(struct reap_worker *worker, struct reap__sleep *sleep)
{
	struct reap_context *self = worker->current;

	sleep->waiter.ready = reap__ready_sleeper;
	sleep->context = self;
	self->live->young.sleep = sleep;
	if (reap__arms_here(self, sleep)) {
		/* Who will ready us is on this worker, and cannot before we have left [7]: no landing is needed for that. */
		reap__slot_must_be_empty(worker);
		sleep->error = 0;
		if (sleep->done != NULL)
			REAP_STORE_RELAXED(&sleep->done->reap__word, (uintptr_t)&sleep->waiter);
		else
			REAP_STORE_RELAXED(&sleep->inbox->head, (uintptr_t)&sleep->waiter | REAP__INBOX_WAITER);
		return reap__successor(worker);
	}
	return reap__to_park(worker, reap__publish_sleeper, sleep);
}

REAP__INLINE void
reap__park_sleeper(struct reap_worker *worker, struct reap__sleep *sleep)
{
	struct reap_context *self = worker->current;

	(void)reap__switch(worker, reap__to_sleep(worker, sleep));
	self->live->young.sleep = NULL;
}

/*
 * The calling context or thread sleeps until the post.  whose: the context that the completion is of, or NULL.  0; -EBUSY:
 * another waiter is there; -EDEADLK: nothing can end it.
 */
REAP__INLINE int
reap__await(struct reap_completion *done, const struct reap_context *whose)
{
	struct reap_worker	*worker = reap_worker_self();
	struct reap__sleep	 sleep = { .done = done, .whose = whose };

	if (reap_completion_posted(done))
		return 0;
	if (REAP_UNLIKELY(worker == NULL || worker->current->flags & REAP__BASE || !worker->domain->hosted))
		return reap__await_cold(worker, &sleep);
	REAP__COUNT(worker->domain, worker, barrier);
	/* An early notification readies us before the post: look, and sleep again. */
	do {
		reap__park_sleeper(reap_worker_self(), &sleep);
		if (sleep.error == -EBUSY)
			return -EBUSY;
	} while (!reap_completion_posted(done));
	return 0;
}

/* Until something has come into the caller's own inbox, or one it drains.  May return early. */
REAP__INLINE int
reap__await_inbox(struct reap__inbox *inbox)
{
	struct reap_worker	*worker = reap_worker_self();
	struct reap__sleep	 sleep = { .inbox = inbox };

	if (REAP_UNLIKELY(worker->current->flags & REAP__BASE || !worker->domain->hosted))
		return reap__await_cold(worker, &sleep);
	reap__park_sleeper(worker, &sleep);
	return 0;
}

#endif
