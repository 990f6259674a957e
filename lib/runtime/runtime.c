/* SPDX-License-Identifier: ISC */
/*
 * runtime.c: the life of a runtime: its domain, its threads, their end; and how contexts get in.
 *
 *	create	domain; a thread per worker, each of which starts a worker and loops; reap_run()'s caller is worker 0
 *	stop	every base context is called for, next() has nothing to give any more, so each worker ends up in its base
 *		context and arrives; what is live then is off the CPU, and destroyed; the workers are dismissed and joined
 */
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "worker.h"

#define DRAIN_BUDGET_DEFAULT	32u	/* corpses: about as long as a thousand switches */
#define WORKERS_MAX		32767u	/* halves of runtime.hungry must not overflow */

static unsigned
processors(void)
{
	long n;
#ifdef __linux__
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		return (unsigned)CPU_COUNT(&set);
#endif
	n = sysconf(_SC_NPROCESSORS_ONLN);
	return n > 0 ? (unsigned)n : 1;
}

static bool
bed_init(pthread_mutex_t *lock, pthread_cond_t *cond)
{
	pthread_condattr_t attr;
	bool made;

	if (pthread_condattr_init(&attr) != 0)
		return false;
	made = true;
#ifndef __APPLE__
	made = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0;
#endif
	made = made && pthread_cond_init(cond, &attr) == 0;
	pthread_condattr_destroy(&attr);
	if (made && pthread_mutex_init(lock, NULL) != 0) {
		pthread_cond_destroy(cond);
		made = false;
	}
	return made;
}

/* Of an older caller the rest is zero; of a newer one it has to be: a wish that we do not know is refused. */
static bool
take_options(void *options, size_t known, const void *wanted, size_t size)
{
	for (size_t i = known; i < size; i++)
		if (((const unsigned char *)wanted)[i] != 0)
			return false;
	memcpy(options, wanted, size < known ? size : known);
	return size != 0;
}

/* The domain of the program's wishes, and of our scheduler. */
static int
make_domain(struct reap_runtime *rt, const struct reap_domain_options *wanted)
{
	struct reap_domain_options options = { .size = 0 };
	struct reap_host host = reap__runtime_host;

	if (wanted != NULL && !take_options(&options, sizeof(options), wanted, wanted->size))
		return -EINVAL;
	if (options.user != NULL)
		return -EINVAL;
	if (options.host != NULL) {
		if (options.host->next != NULL || options.host->ready != NULL || options.host->idle != NULL ||
		    options.host->wake != NULL)
			return -EINVAL;
		host = *options.host;
		host.shares = reap__runtime_host.shares;
		host.direct = reap__runtime_host.direct;
		host.next = reap__runtime_host.next;
		host.ready = reap__runtime_host.ready;
		host.idle = reap__runtime_host.idle;
		host.wake = reap__runtime_host.wake;
	}
	options.size = sizeof(options);
	options.host = &host;
	options.user = rt;
	rt->clock = options.clock;
	rt->clock_arg = options.clock_arg;
	rt->observed = host.on_switch != NULL;
	return reap_domain_create(&options, &rt->domain);
}

static void
runtime_free(struct reap_runtime *rt)
{
	while (rt->nworkers > 0) {
		struct worker *w = &rt->workers[--rt->nworkers];

		free(w->timers.heap);
		pthread_mutex_destroy(&w->lock);
		pthread_cond_destroy(&w->cond);
	}
	pthread_mutex_destroy(&rt->lock);
	pthread_cond_destroy(&rt->cond);
	free(rt->workers);
	free(rt);
}

/* All but the threads. */
static int
runtime_make(const struct reap_runtime_options *wanted, struct reap_runtime **runtime)
{
	struct reap_runtime_options options = { .size = 0 };
	struct reap_runtime *rt;
	struct worker *workers;
	unsigned n, i;
	int err;

	if (wanted != NULL && !take_options(&options, sizeof(options), wanted, wanted->size))
		return -EINVAL;
	n = options.workers != 0 ? options.workers : processors();
	if (n > WORKERS_MAX || (options.poller.poll == NULL) != (options.poller.wake == NULL))
		return -EINVAL;
	rt = aligned_alloc(alignof(struct reap_runtime), sizeof(*rt));
	workers = aligned_alloc(alignof(struct worker), n * sizeof(*workers));
	if (rt == NULL || workers == NULL) {
		free(rt);
		free(workers);
		return -ENOMEM;
	}
	memset(rt, 0, sizeof(*rt));
	memset(workers, 0, n * sizeof(*workers));
	if (!bed_init(&rt->lock, &rt->cond)) {
		free(rt);
		free(workers);
		return -ENOMEM;
	}
	rt->workers = workers;
	for (i = 0; i < n; i++, rt->nworkers++) {
		workers[i].runtime = rt;
		workers[i].index = i;
		workers[i].timers.next = UINT64_MAX;
		queue_init(&workers[i].local);
		queue_init(&workers[i].bound);
		if (!bed_init(&workers[i].lock, &workers[i].cond)) {
			runtime_free(rt);	/* as many as there are */
			return -ENOMEM;
		}
	}
	rt->few = n > 1 ? OFFER_FEW : UINT_MAX;
	rt->poller = options.poller;
	rt->drain_budget = options.drain_budget != 0 ? options.drain_budget : DRAIN_BUDGET_DEFAULT;
	if ((err = make_domain(rt, options.domain)) == 0 && options.domain != NULL &&
	    options.domain->policy == REAP_POLICY_THREAD &&
	    (err = reap_thread_start(rt->domain, options.reaper_batch)) != 0)
		(void)reap_domain_destroy(rt->domain, NULL, NULL);
	if (err != 0)
		runtime_free(rt);
	else
		*runtime = rt;
	return err;
}

/* The thread of a worker; its base context. */
static void *
work(void *arg)
{
	struct worker *w = arg;
	struct reap_runtime *rt = w->runtime;
	int err = reap_worker_start(rt->domain, w, &w->reap);

	pthread_mutex_lock(&rt->lock);
	rt->started++;
	if (err != 0 && rt->error == 0)
		rt->error = err;
	pthread_cond_broadcast(&rt->cond);
	pthread_mutex_unlock(&rt->lock);
	if (err == 0) {
		reap__attach(w);
		/* Acquire: pairs with the release in stop().  The token that follows it there ends next() and idle(). */
		while (REAP_LOAD_ACQUIRE(&rt->stopping) == 0) {
			struct reap_context *context = reap__runtime_host.next(w->reap);

			if (context != NULL)
				reap_switch(w->reap, context);
			else
				reap__idle(w->reap);
		}
	}
	pthread_mutex_lock(&rt->lock);
	rt->arrived++;
	pthread_cond_broadcast(&rt->cond);
	while (!rt->dismissed)
		pthread_cond_wait(&rt->cond, &rt->lock);
	pthread_mutex_unlock(&rt->lock);
	if (err == 0) {
		(void)reap_worker_stop(w->reap);	/* fails if a pinned context is left, as does then the domain's end */
		reap__attach(NULL);
	}
	return NULL;
}

static void
find_live(struct reap_context *context, void *arg)
{
	enum reap_state state = reap_context_state(context);

	if (state == REAP_STATE_NEW || state == REAP_STATE_SUSPENDED)
		queue_push(arg, context);
}

/*
 * All workers stand in their base contexts: destroy what is live, drain what is owed.  Run queues are history; no context
 * is put into any from here on, since the calling thread is no worker of ours any more and reap__ready() sees `stopping'.
 */
static void
clear(struct reap_runtime *rt)
{
	struct reap_adopter *adopter = reap_adopter_default(rt->domain);
	struct queue live;
	unsigned n, before;

	/* A reaper thread may be about to ready somebody: not while we destroy.  It is not needed for that. */
	(void)reap_thread_stop(rt->domain);
	queue_init(&live);
	reap_domain_for_each(rt->domain, find_live, &live);
	/* Again, because who waits for another one cannot be destroyed before that one. */
	do
		for (n = before = live.count; n > 0; n--) {
			struct reap_context *context = queue_pop(&live);

			if (reap_context_destroy(context, -ECANCELED) != 0)
				queue_push(&live, context);
		}
	while (live.count < before);
	while (reap_adopter_drain(adopter, INT_MAX) > 0)
		;
}

/* Stop all workers with threads of ours. */
static void
stop(struct reap_runtime *rt)
{
	unsigned i;

	/* Release: pairs with the acquire in work(). */
	REAP_STORE_RELEASE(&rt->stopping, 1);
	for (i = 0; i < rt->nthreads; i++)
		reap__call(&rt->workers[rt->nworkers - 1 - i]);
	pthread_mutex_lock(&rt->lock);
	while (rt->arrived < rt->nthreads)
		pthread_cond_wait(&rt->cond, &rt->lock);
	pthread_mutex_unlock(&rt->lock);
	/* Who has readied the last context of all may not have come back from that.  Acquire: pairs with the release in
	 * reap__ready(). */
	while (REAP_LOAD_ACQUIRE(&rt->outsiders) != 0)
		sched_yield();
}

/* After stop(): let the threads go, and take down the rest.  `self': reap_run()'s worker, or NULL. */
static int
finish(struct reap_runtime *rt, struct worker *self)
{
	unsigned i;
	int err;

	pthread_mutex_lock(&rt->lock);
	rt->dismissed = true;
	pthread_cond_broadcast(&rt->cond);
	pthread_mutex_unlock(&rt->lock);
	for (i = 0; i < rt->nthreads; i++)
		pthread_join(rt->workers[rt->nworkers - 1 - i].thread, NULL);
	if (self != NULL)
		(void)reap_worker_stop(self->reap);
	err = reap_domain_destroy(rt->domain, NULL, NULL);
	runtime_free(rt);
	return err == 0 ? 0 : -ENOTEMPTY;
}

/* Give each worker but the first `skip' a thread. */
static int
start(struct reap_runtime *rt, unsigned skip)
{
	unsigned i;
	int err = 0;

	for (i = rt->nworkers; i > skip && err == 0; i--)
		if ((err = -pthread_create(&rt->workers[i - 1].thread, NULL, work, &rt->workers[i - 1])) == 0)
			rt->nthreads++;
	pthread_mutex_lock(&rt->lock);
	while (rt->started < rt->nthreads)
		pthread_cond_wait(&rt->cond, &rt->lock);
	if (err == 0)
		err = rt->error;
	pthread_mutex_unlock(&rt->lock);
	return err;
}

int
reap_runtime_create(const struct reap_runtime_options *options, struct reap_runtime **runtime)
{
	struct reap_runtime *rt;
	int err;

	if ((err = runtime_make(options, &rt)) != 0)
		return err;
	if ((err = start(rt, 0)) != 0) {
		stop(rt);
		(void)finish(rt, NULL);
		return err;
	}
	*runtime = rt;
	return 0;
}

int
reap_runtime_destroy(struct reap_runtime *rt)
{
	stop(rt);
	clear(rt);
	return finish(rt, NULL);
}

int
reap_run(const struct reap_runtime_options *options, reap_entry *entry, void *arg, intptr_t *status)
{
	struct reap_runtime *rt;
	struct reap_context *first;
	struct reap_result result;
	struct worker *self;
	int err, end;

	if (entry == NULL)
		return -EINVAL;
	if (reap_worker_self() != NULL)
		return -EBUSY;
	if ((err = runtime_make(options, &rt)) != 0)
		return err;
	self = &rt->workers[0];
	if ((err = reap_worker_start(rt->domain, self, &self->reap)) != 0) {
		(void)finish(rt, NULL);
		return err;
	}
	reap__attach(self);
	if ((err = start(rt, 1)) == 0 && (err = reap_spawn(self->reap, entry, arg, &first)) == 0) {
		reap__enqueue(self, first);
		/* The base context waits as any parent does: with next() and idle(), until wake(). */
		err = reap_wait(first, 0, &result);
		if (err == 0 && status != NULL)
			*status = result.status;
	}
	stop(rt);
	reap__attach(NULL);
	clear(rt);
	end = finish(rt, self);
	return err != 0 ? err : end;
}

int
reap_go(reap_entry *entry, void *arg, struct reap_context **child)
{
	struct worker *w = reap__self();
	struct reap_context *context;
	int err;

	if (w == NULL)
		return -EPERM;
	if (child == NULL)
		return -EINVAL;
	if ((err = reap_spawn(w->reap, entry, arg, &context)) != 0)
		return err;
	*child = context;		/* first: a thief may run it from the next line on */
	reap__enqueue(w, context);
	if (++w->undrained >= w->runtime->drain_budget)
		(void)reap__drain(w);
	return 0;
}

int
reap_go_with(const struct reap_context_options *options, struct reap_context **child)
{
	struct worker *w = reap__self();
	struct reap_context *context;
	int err;

	if (w == NULL)
		return -EPERM;
	if (child == NULL && (options->flags & REAP_CONTEXT_DETACHED) == 0 && options->group == NULL)
		return -EINVAL;
	if ((err = reap_context_create(w->runtime->domain, options, &context)) != 0)
		return err;
	if (child != NULL)
		*child = context;
	reap__ready(context);
	if (++w->undrained >= w->runtime->drain_budget)
		(void)reap__drain(w);
	return 0;
}

int
reap_runtime_go(struct reap_runtime *rt, const struct reap_context_options *options, struct reap_handle *handle)
{
	struct reap_context *context;
	int err;

	if (reap_worker_self() != NULL)
		return -EPERM;
	if ((err = reap_context_create(rt->domain, options, &context)) != 0)
		return err;
	if (handle != NULL)
		*handle = reap_context_handle(context);
	reap__ready(context);
	return 0;
}

struct reap_domain *
reap_runtime_domain(struct reap_runtime *rt)
{
	return rt->domain;
}

struct reap_runtime *
reap_runtime_self(void)
{
	struct worker *w = reap__self();

	return w != NULL ? w->runtime : NULL;
}

unsigned
reap_runtime_workers(const struct reap_runtime *rt)
{
	return rt->nworkers;
}

int
reap_runtime_worker_index(void)
{
	struct worker *w = reap__self();

	return w != NULL ? (int)w->index : -1;
}
