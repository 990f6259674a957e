/* SPDX-License-Identifier: ISC */
/*
 * reaper.c: the reaper thread, which the rest of the library does without.  It is the baseline of every benchmark: it frees
 * the stack, and only then is the completion posted and the parent told, as in the kernel.
 *
 * Batching, it is an adopter driven by its own pthread.  Plain, it is the one of the mails: a list under a mutex, a wakeup at
 * every exit, one corpse at a time.  The plain one is why a landing under this policy may take a lock.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include <reap/atomic.h>

#include "os/os.h"
#include "worker.h"

#define SPIN	200	/* looks before it sleeps: a few microseconds, about what falling asleep and waking cost */

struct reap__reaper {
	pthread_t		 thread;
	bool			 runs;		/* start and stop */
	unsigned		 batch;		/* constant while it runs; 0: plain */
	struct reap_adopter	 adopter;	/* batching: what it owes */
	pthread_mutex_t		 mutex;		/* plain: the list */
	pthread_cond_t		 work;
	struct reap__stack	*head, **tail;
	bool			 stop;		/* plain: under the mutex */
	struct reap_domain	*domain;	/* constant */
	struct reap__stack_cache cache;		/* the thread's own, as a worker's: the stack policy is the same on both sides */
};

bool
reap__reaper_runs(const struct reap_domain *domain)
{
	return domain->reaper != NULL && domain->reaper->runs;
}

void
reap__reaper_hand(struct reap_domain *domain, struct reap_context *dead)
{
	struct reap__reaper	*reaper = domain->reaper;
	struct reap_waiter	*sleeper;

	if (REAP_UNLIKELY(!reap__reaper_runs(domain)))
		reap_misuse("thread-stopped", "a context of policy THREAD ended after reap_thread_stop()");
	if (reaper->batch > 0) {
		sleeper = reap__adopter_owe_stack(&reaper->adopter, dead->stack);
		if (sleeper != NULL)
			sleeper->ready(sleeper);
		return;
	}
	dead->stack->next = NULL;
	pthread_mutex_lock(&reaper->mutex);
	*reaper->tail = dead->stack;
	reaper->tail = &dead->stack->next;
	pthread_mutex_unlock(&reaper->mutex);
	pthread_cond_signal(&reaper->work);
}

/* The default adopter's corpses are whose exits brought us here, detached: nobody else may be there to reap them. */
static void
drain_default(struct reap__reaper *reaper)
{
	while (reap__adopter_drain(&reaper->domain->adopter, 64, REAP_PAYER_THREAD, &reaper->cache) > 0)
		continue;
}

static void *
plain(void *arg)
{
	struct reap__reaper *reaper = arg;

	for (;;) {
		struct reap__stack *stack;

		pthread_mutex_lock(&reaper->mutex);
		while ((stack = reaper->head) == NULL && !reaper->stop)
			pthread_cond_wait(&reaper->work, &reaper->mutex);
		if (stack != NULL && (reaper->head = stack->next) == NULL)
			reaper->tail = &reaper->head;
		pthread_mutex_unlock(&reaper->mutex);
		if (stack == NULL)
			break;
		reap__adopter_free_stack(reaper->domain, NULL, &reaper->cache, stack, REAP_PAYER_THREAD);
		drain_default(reaper);
	}
	drain_default(reaper);
	return NULL;
}

static void *
batching(void *arg)
{
	struct reap__reaper *reaper = arg;

	for (;;) {
		for (unsigned i = 0; i < SPIN && reap_adopter_backlog(&reaper->adopter) == 0; i++)
			reap__os_relax();
		if (reap_adopter_wait(&reaper->adopter) == -ECANCELED)
			break;
		(void)reap__adopter_drain(&reaper->adopter, reaper->batch, REAP_PAYER_THREAD, &reaper->cache);
		drain_default(reaper);
	}
	while (reap_adopter_backlog(&reaper->adopter) != 0)
		(void)reap__adopter_drain(&reaper->adopter, reaper->batch, REAP_PAYER_THREAD, &reaper->cache);
	drain_default(reaper);
	return NULL;
}

/*
 * Made once, and kept until the domain ends: the landing that handed over the last corpse may still be about to signal when
 * that corpse has been reaped, and the thread stopped.
 */
static struct reap__reaper *
reaper_new(struct reap_domain *domain)
{
	struct reap__reaper *reaper = calloc(1, sizeof(*reaper));

	if (reaper == NULL)
		return NULL;
	reaper->domain = domain;
	reaper->tail = &reaper->head;
	reap__adopter_init(&reaper->adopter, domain, NULL);
	if (pthread_mutex_init(&reaper->mutex, NULL) != 0) {
		free(reaper);
		return NULL;
	}
	if (pthread_cond_init(&reaper->work, NULL) != 0) {
		pthread_mutex_destroy(&reaper->mutex);
		free(reaper);
		return NULL;
	}
	domain->reaper = reaper;
	return reaper;
}

void
reap__reaper_fini(struct reap_domain *domain)
{
	struct reap__reaper *reaper = domain->reaper;

	(void)reap_thread_stop(domain);		/* -ESRCH: none runs */
	if (reaper == NULL)
		return;
	pthread_cond_destroy(&reaper->work);
	pthread_mutex_destroy(&reaper->mutex);
	free(reaper);
	domain->reaper = NULL;
}

int
reap_thread_start(struct reap_domain *domain, unsigned batch)
{
	struct reap__reaper *reaper;

	if (domain == NULL || batch > INT32_MAX)
		return -EINVAL;
	if (reap__reaper_runs(domain))
		return -EBUSY;
	reaper = domain->reaper != NULL ? domain->reaper : reaper_new(domain);
	if (reaper == NULL)
		return -EAGAIN;
	reaper->batch = batch;
	reaper->stop = false;
	reap__stack_cache_init(&reaper->cache, &domain->depot);
	if (pthread_create(&reaper->thread, NULL, batch == 0 ? plain : batching, reaper) != 0) {
		reap__stack_cache_fini(&reaper->cache);
		return -EAGAIN;
	}
	reaper->runs = true;
	return 0;
}

int
reap_thread_stop(struct reap_domain *domain)
{
	struct reap__reaper *reaper;

	if (domain == NULL || !reap__reaper_runs(domain))
		return -ESRCH;
	reaper = domain->reaper;
	if (reaper->batch > 0)
		reap_adopter_interrupt(&reaper->adopter);
	else {
		pthread_mutex_lock(&reaper->mutex);
		reaper->stop = true;
		pthread_mutex_unlock(&reaper->mutex);
		pthread_cond_signal(&reaper->work);
	}
	pthread_join(reaper->thread, NULL);
	reaper->runs = false;
	reap__stack_cache_fini(&reaper->cache);
	return 0;
}
