/* SPDX-License-Identifier: ISC */
/*
 * barrier.c: how a caller sleeps.  Three kinds: a context parks through its host, a base context runs others meanwhile, an OS
 * thread that is no worker sleeps in the kernel.
 */
#include <errno.h>

#include <reap/atomic.h>

#include "os/os.h"
#include "worker.h"

/* What is slept on: a completion, or the caller's own inbox. */
struct sleep {
	struct reap_waiter	 waiter;
	struct reap_completion	*done;		/* NULL: the inbox */
	const struct reap_context *whose;	/* the context that `done' is of; NULL: of none */
	struct reap__inbox	*inbox;
	struct reap_context	*context;	/* who sleeps */
	struct reap_worker	*worker;	/* a base context's */
	uint32_t		 readied;	/* a base context: by the waker, its last touch */
	int			 error;		/* of arming; by publish */
};

static bool
arm(struct sleep *sleep)
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

static bool
disarm(struct sleep *sleep)
{
	return sleep->done != NULL ? reap_completion_disarm(sleep->done, &sleep->waiter) == 0 :
	    reap__inbox_unawait(sleep->inbox, &sleep->waiter);
}

static void
ready_context(struct reap_waiter *waiter)
{
	struct sleep *sleep = (struct sleep *)waiter;

	reap__domain_of(sleep->context)->host.ready(sleep->context);
}

static bool
publish(struct reap_context *parked, void *arg)
{
	(void)parked;
	return arm(arg);
}

static void
park(struct reap_worker *worker, struct sleep *sleep)
{
	struct reap_context *self = worker->current;

	sleep->waiter.ready = ready_context;
	sleep->context = self;
	self->live->sleep = sleep;
	(void)reap_park(worker, publish, sleep);
	self->live->sleep = NULL;
}

/* The context will not run again: if it is parked in a wait, nobody shall ready it.  Its host says that nobody is about to. */
void
reap__sleep_forget(struct reap_context *context)
{
	if (context->live->sleep != NULL)
		(void)disarm(context->live->sleep);
}

static void
wake_base(struct reap_waiter *waiter)
{
	struct sleep		*sleep = (struct sleep *)waiter;
	struct reap_worker	*worker = sleep->worker;

	/* The worker stays as long as its base context waits here, and that is until `readied': hence wake first. */
	if (worker->domain->host.wake != NULL)
		worker->domain->host.wake(worker);
	/* Release: pairs with the acquire in base_sleep(): the last touch of what lies on the base context's stack. */
	REAP_STORE_RELEASE(&sleep->readied, 1);
}

/* Whether the sleep is over: for a completion the post; for the inbox that our waiter was taken. */
static bool
over(const struct sleep *sleep)
{
	/* pairs with the release in wake_base() */
	return sleep->done != NULL ? reap_completion_posted(sleep->done) : REAP_LOAD_ACQUIRE(&sleep->readied) != 0;
}

/* Whether somebody has taken our waiter, and will ready it, or has. */
static bool
taken(const struct sleep *sleep)
{
	/* Relaxed: nothing is read on the strength of it. */
	return sleep->done != NULL ? REAP_LOAD_RELAXED(&sleep->done->reap__word) != (uintptr_t)&sleep->waiter :
	    REAP_LOAD_RELAXED(&sleep->inbox->head) != ((uintptr_t)&sleep->waiter | REAP__INBOX_WAITER);
}

/*
 * The base context is what runs when nothing else is runnable: it runs the others until it is told. 
 */
static int
base_sleep(struct reap_worker *worker, struct sleep *sleep)
{
	const struct reap_host *host = &worker->domain->host;

	sleep->waiter.ready = wake_base;
	sleep->worker = worker;
	sleep->context = worker->base;
	sleep->readied = 0;
	if (!arm(sleep))
		return sleep->error == -EALREADY ? 0 : sleep->error;
	while (!over(sleep)) {
		struct reap_context *next;

		/* pairs with the release in wake_base(): told early, the barrier is still ahead */
		if (REAP_LOAD_ACQUIRE(&sleep->readied) != 0) {
			sleep->readied = 0;
			if (!arm(sleep))
				return sleep->error == -EALREADY ? 0 : sleep->error;
		}
		next = worker->domain->hosted ? host->next(worker) : NULL;
		if (next != NULL)
			(void)reap__switch(worker, next);
		else if (taken(sleep))
			reap__os_yield();	/* the wake() for this may be behind us: to idle now would be to miss it */
		else if (worker->domain->hosted && host->idle != NULL)
			host->idle(worker);
		else if (sleep->whose != NULL && reap__flags(sleep->whose) & REAP__EXITED)
			reap__os_yield();	/* it is dead, another thread is about to post it */
		else if (disarm(sleep))
			return -EDEADLK;
	}
	/* Somebody took the waiter, and has yet to touch it for the last time.  pairs with the release in wake_base() */
	while (REAP_LOAD_ACQUIRE(&sleep->readied) == 0)
		reap__os_yield();
	return 0;
}

int
reap__await(struct reap_completion *done, const struct reap_context *whose)
{
	struct reap_worker	*worker = reap_worker_self();
	struct sleep		 sleep = { .done = done, .whose = whose };

	if (reap_completion_posted(done))
		return 0;
	if (worker == NULL)
		return reap_completion_wait(done);
	REAP__COUNT(worker->domain, worker, barrier);
	if (worker->current->flags & REAP__BASE)
		return base_sleep(worker, &sleep);
	if (!worker->domain->hosted) {
		if (whose == NULL)
			return -EDEADLK;
		while (!reap_completion_posted(done))
			reap__os_yield();	/* it is dead, see claim(), and another thread is about to post it */
		return 0;
	}
	/* An early notification readies us before the post: look, and sleep again. */
	do {
		park(worker, &sleep);
		worker = reap_worker_self();
		if (sleep.error == -EBUSY)
			return -EBUSY;
	} while (!reap_completion_posted(done));
	return 0;
}

/* Until something has come into the caller's own inbox.  May return early. */
int
reap__await_inbox(struct reap__inbox *inbox)
{
	struct reap_worker	*worker = reap_worker_self();
	struct sleep		 sleep = { .inbox = inbox };

	if (worker->current->flags & REAP__BASE)
		return base_sleep(worker, &sleep);
	if (!worker->domain->hosted)
		return -EDEADLK;
	park(worker, &sleep);
	return 0;
}
