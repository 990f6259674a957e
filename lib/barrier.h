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

/* What is slept on: a completion, or the caller's own inbox. */
struct reap__sleep {
	struct reap_waiter	 waiter;
	struct reap_completion	*done;		/* NULL: the inbox */
	const struct reap_context *whose;	/* the context that `done' is of; NULL: of none */
	struct reap__inbox	*inbox;
	struct reap_context	*context;	/* who sleeps */
	struct reap_worker	*worker;	/* a base context's */
	uint32_t		 readied;	/* a base context: by the waker, its last touch */
	int			 error;		/* of arming; by publish */
};

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

/* barrier.c */
void	reap__ready_sleeper(struct reap_waiter *);
bool	reap__publish_sleeper(struct reap_context *, void *);
int	reap__await_cold(struct reap_worker *, struct reap__sleep *);

REAP__INLINE void
reap__park_sleeper(struct reap_worker *worker, struct reap__sleep *sleep)
{
	struct reap_context *self = worker->current;

	sleep->waiter.ready = reap__ready_sleeper;
	sleep->context = self;
	self->live->sleep = sleep;
	(void)reap__park(worker, reap__publish_sleeper, sleep);
	self->live->sleep = NULL;
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
