/* SPDX-License-Identifier: ISC */
/*
 * barrier.c: the sleep of base contexts and OS threads, and what wakers call.
 */
#include "barrier.h"

static bool
disarm(struct reap__sleep *sleep)
{
	return sleep->done != NULL ? reap_completion_disarm(sleep->done, &sleep->waiter) == 0 :
	    reap__inbox_unawait(sleep->inbox, &sleep->waiter);
}

void
reap__ready_sleeper(struct reap_waiter *waiter)
{
	struct reap__sleep *sleep = (struct reap__sleep *)waiter;

	reap__domain_of(sleep->context)->host.ready(sleep->context);
}

/* The context behind a waiter, NULL if it is something else that sleeps. */
struct reap_context *
reap__sleeper(struct reap_waiter *waiter)
{
	return waiter->ready == reap__ready_sleeper ? ((struct reap__sleep *)waiter)->context : NULL;
}

bool
reap__publish_sleeper(struct reap_context *parked, void *arg)
{
	(void)parked;
	return reap__arm(arg);
}

/* The context will not run again: if it is parked in a wait, nobody shall ready it.  Its host says that nobody is about to. */
void
reap__sleep_forget(struct reap_context *context)
{
	if (context->live->young.sleep != NULL)
		(void)disarm(context->live->young.sleep);
}

static void
wake_base(struct reap_waiter *waiter)
{
	struct reap__sleep		*sleep = (struct reap__sleep *)waiter;
	struct reap_worker	*worker = sleep->worker;

	/* The worker stays as long as its base context waits here, and that is until `readied': hence wake first. */
	if (worker->domain->host.wake != NULL)
		worker->domain->host.wake(worker);
	/* Release: pairs with the acquire in base_sleep(): the last touch of what lies on the base context's stack. */
	REAP_STORE_RELEASE(&sleep->readied, 1);
}

/* Whether the sleep is over: for a completion the post; for the inbox that our waiter was taken. */
static bool
over(const struct reap__sleep *sleep)
{
	/* pairs with the release in wake_base() */
	return sleep->done != NULL ? reap_completion_posted(sleep->done) : REAP_LOAD_ACQUIRE(&sleep->readied) != 0;
}

/* Whether somebody has taken our waiter, and will ready it, or has. */
static bool
taken(const struct reap__sleep *sleep)
{
	/* Relaxed: nothing is read on the strength of it. */
	return sleep->done != NULL ? REAP_LOAD_RELAXED(&sleep->done->reap__word) != (uintptr_t)&sleep->waiter :
	    REAP_LOAD_RELAXED(&sleep->inbox->head) != ((uintptr_t)&sleep->waiter | REAP__INBOX_WAITER);
}

/*
 * The base context is what runs when nothing else is runnable: it runs the others until it is told.
 */
static int
base_sleep(struct reap_worker *worker, struct reap__sleep *sleep)
{
	const struct reap_host *host = &worker->domain->host;

	sleep->waiter.ready = wake_base;
	sleep->worker = worker;
	sleep->context = worker->base;
	sleep->readied = 0;
	if (!reap__arm(sleep))
		return sleep->error == -EALREADY ? 0 : sleep->error;
	while (!over(sleep)) {
		struct reap_context *next;

		/* pairs with the release in wake_base(): told early, the barrier is still ahead */
		if (sleep->done != NULL && REAP_LOAD_ACQUIRE(&sleep->readied) != 0) {
			sleep->readied = 0;
			if (!reap__arm(sleep))
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
reap__await_cold(struct reap_worker *worker, struct reap__sleep *sleep)
{
	if (worker == NULL)
		return reap_completion_wait(sleep->done);
	REAP__COUNT(worker->domain, worker, barrier);
	if (worker->current->flags & REAP__BASE)
		return base_sleep(worker, sleep);
	if (sleep->whose == NULL)
		return -EDEADLK;
	while (!reap_completion_posted(sleep->done))
		reap__os_yield();	/* it is dead, see claim(), and another thread is about to post it */
	return 0;
}
