/* SPDX-License-Identifier: ISC */
/*
 * host.h: a first-in first-out scheduler for tests.
 *
 *	struct host h;
 *
 *	host_open(&h, (struct reap_domain_options){ .policy = REAP_POLICY_PARENT });
 *	child = host_spawn(entry, arg);		created and made runnable
 *	host_run();				until nothing is runnable; or reap_wait()
 *	host_close(&h);
 *
 * The test's own thread is the first worker.  Alone, it has no idle(): a wait that nothing can end says so.  With
 * host_open_shared() it sleeps instead, and host_thread_start() adds workers that serve the same queue.
 */
#ifndef REAP_TESTS_UNIT_HOST_H
#define REAP_TESTS_UNIT_HOST_H

#include <errno.h>
#include <pthread.h>
#include <sched.h>

#include <reap.h>

#include "test.h"

/* One for each worker: the worker's user word. */
struct host_worker {
	struct host *host;		/* constant */
	bool	 waked;			/* under the host's lock */
};

struct host {
	struct reap_domain *domain;	/* constant, as `worker' */
	struct reap_worker *worker;	/* the one of the test's own thread */
	struct host_worker base;
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct reap_context *head, **tail;	/* the queue; under the lock, as all below */
	unsigned readied;		/* how often ready() was called */
	bool	 stop;			/* the other workers are to end */
};

static inline struct host *
host_of(const struct reap_worker *worker)
{
	return reap_domain_user(reap_worker_domain(worker));
}

static inline struct reap_context *
host_next(struct reap_worker *worker)
{
	struct host		*h = host_of(worker);
	struct reap_context	*context;

	pthread_mutex_lock(&h->lock);
	context = h->head;
	if (context != NULL && (h->head = *reap_context_link(context)) == NULL)
		h->tail = &h->head;
	pthread_mutex_unlock(&h->lock);
	return context;
}

static inline void
host_ready(struct reap_context *context)
{
	struct host *h = reap_domain_user(reap_context_domain(context));

	pthread_mutex_lock(&h->lock);
	*reap_context_link(context) = NULL;
	*h->tail = context;
	h->tail = reap_context_link(context);
	h->readied++;
	pthread_cond_broadcast(&h->more);
	pthread_mutex_unlock(&h->lock);
}

static inline void
host_idle(struct reap_worker *worker)
{
	struct host		*h = host_of(worker);
	struct host_worker	*me = reap_worker_user(worker);

	pthread_mutex_lock(&h->lock);
	while (h->head == NULL && !me->waked && !h->stop)
		pthread_cond_wait(&h->more, &h->lock);
	me->waked = false;
	pthread_mutex_unlock(&h->lock);
}

static inline void
host_wake(struct reap_worker *worker)
{
	struct host		*h = host_of(worker);
	struct host_worker	*it = reap_worker_user(worker);

	pthread_mutex_lock(&h->lock);
	it->waked = true;
	pthread_cond_broadcast(&h->more);
	pthread_mutex_unlock(&h->lock);
}

static const struct reap_host host_alone = { .next = host_next, .ready = host_ready };
static const struct reap_host host_shared = { .next = host_next, .ready = host_ready, .idle = host_idle, .wake = host_wake };

/* Every test whose contexts stay where they were made runs a second time, with contexts that are private to their worker. */
static inline bool
host_private(void)
{
	return getenv("REAP_TEST_PRIVATE") != NULL;
}

/* options.size, .user and, unless set, .host are filled in. */
static inline void
host_open(struct host *h, struct reap_domain_options options)
{
	struct reap_host callbacks;

	*h = (struct host){ .base = { .host = h } };
	h->tail = &h->head;
	CHECK_EQ(pthread_mutex_init(&h->lock, NULL), 0);
	CHECK_EQ(pthread_cond_init(&h->more, NULL), 0);
	options.size = sizeof(options);
	options.user = h;
	callbacks = options.host != NULL ? *options.host : host_alone;
	callbacks.shares |= callbacks.idle == NULL && host_private();
	options.host = &callbacks;
	CHECK_EQ(reap_domain_create(&options, &h->domain), 0);
	CHECK_EQ(reap_worker_start(h->domain, &h->base, &h->worker), 0);
}

static inline void
host_open_shared(struct host *h, struct reap_domain_options options)
{
	if (options.host == NULL)
		options.host = &host_shared;
	host_open(h, options);
}

static inline struct reap_stats
host_stats(const struct host *h)
{
	struct reap_stats stats = { .size = sizeof(stats) };

	CHECK_EQ(reap_domain_stats(h->domain, &stats), 0);
	return stats;
}

static inline void
host_unjoined(struct reap_context *context, void *arg)
{
	(void)context;
	++*(unsigned *)arg;
}

/* Nothing may be left: whoever leaves zombies on purpose closes by hand. */
static inline void
host_close(struct host *h)
{
	unsigned unjoined = 0;

	CHECK_EQ(reap_worker_stop(h->worker), 0);
	CHECK_EQ(reap_domain_destroy(h->domain, host_unjoined, &unjoined), 0);
	CHECK_EQ(unjoined, 0);
	pthread_cond_destroy(&h->more);
	pthread_mutex_destroy(&h->lock);
}

/* From a context or a base context.  A context must not keep the worker across a switch: so it is asked for each time. */
static inline struct reap_context *
host_create(struct reap_context_options options)
{
	struct reap_context *context = NULL;

	options.size = sizeof(options);
	CHECK_EQ(reap_context_create(reap_worker_domain(reap_worker_self()), &options, &context), 0);
	host_ready(context);
	return context;
}

static inline struct reap_context *
host_spawn(reap_entry *entry, void *arg)
{
	struct reap_context *context = NULL;

	CHECK_EQ(reap_spawn(reap_worker_self(), entry, arg, &context), 0);
	host_ready(context);
	return context;
}

/* By a base context: run the others until none is runnable. */
static inline void
host_run(void)
{
	struct host *h = host_of(reap_worker_self());

	while (h->head != NULL)		/* alone: nobody else writes it */
		(void)reap_yield(reap_worker_self());
}

static inline void
host_yield(void)
{
	(void)reap_yield(reap_worker_self());
}

/* A place to wait until somebody opens it: makes contexts that live as long as a test wants. */
struct gate {
	pthread_mutex_t lock;
	struct reap_context *parked;	/* under the lock: who waits there, at most one */
	bool	 open;			/* under the lock */
};

#define GATE_INIT	{ PTHREAD_MUTEX_INITIALIZER, NULL, false }

static inline bool
gate_publish(struct reap_context *parked, void *arg)
{
	struct gate	*gate = arg;
	bool		 waits;

	pthread_mutex_lock(&gate->lock);
	waits = !gate->open;
	if (waits)
		gate->parked = parked;
	pthread_mutex_unlock(&gate->lock);
	return waits;
}

static inline void
gate_pass(struct gate *gate)
{
	(void)reap_park(reap_worker_self(), gate_publish, gate);
}

static inline void
gate_open(struct gate *gate)
{
	struct reap_context *parked;

	pthread_mutex_lock(&gate->lock);
	gate->open = true;
	parked = gate->parked;
	gate->parked = NULL;
	pthread_mutex_unlock(&gate->lock);
	if (parked != NULL)
		host_ready(parked);
}

/* Bodies that many tests need. */
static inline intptr_t
host_return(void *arg)
{
	return (intptr_t)arg;
}

static inline intptr_t
host_gated(void *arg)
{
	gate_pass(arg);
	return 7;
}

/* Another worker, that serves the queue until host_thread_stop(). */
struct host_thread {
	pthread_t thread;
	struct host *host;
	struct host_worker base;
	pthread_mutex_t lock;
	pthread_cond_t up;
	struct reap_worker *worker;	/* under the lock; set when it has started */
};

static inline void *
host_serve(void *arg)
{
	struct host_thread	*t = arg;
	struct host		*h = t->host;
	struct reap_worker	*worker;
	bool			 stop = false;

	CHECK_EQ(reap_worker_start(h->domain, &t->base, &worker), 0);
	pthread_mutex_lock(&t->lock);
	t->worker = worker;
	pthread_cond_signal(&t->up);
	pthread_mutex_unlock(&t->lock);
	while (!stop) {
		(void)reap_yield(worker);
		host_idle(worker);
		pthread_mutex_lock(&h->lock);
		stop = h->stop && h->head == NULL;
		pthread_mutex_unlock(&h->lock);
	}
	CHECK_EQ(reap_worker_stop(worker), 0);
	return NULL;
}

static inline void
host_thread_start(struct host_thread *t, struct host *h)
{
	*t = (struct host_thread){ .host = h, .base = { .host = h } };
	CHECK_EQ(pthread_mutex_init(&t->lock, NULL), 0);
	CHECK_EQ(pthread_cond_init(&t->up, NULL), 0);
	CHECK_EQ(pthread_create(&t->thread, NULL, host_serve, t), 0);
	pthread_mutex_lock(&t->lock);
	while (t->worker == NULL)
		pthread_cond_wait(&t->up, &t->lock);
	pthread_mutex_unlock(&t->lock);
}

static inline void
host_thread_stop(struct host_thread *t)
{
	pthread_mutex_lock(&t->host->lock);
	t->host->stop = true;
	pthread_cond_broadcast(&t->host->more);
	pthread_mutex_unlock(&t->host->lock);
	CHECK_EQ(pthread_join(t->thread, NULL), 0);
	t->host->stop = false;
	pthread_cond_destroy(&t->up);
	pthread_mutex_destroy(&t->lock);
}

/* A latch between OS threads: for hooks that hold a window open. */
struct latch {
	pthread_mutex_t lock;
	pthread_cond_t more;
	unsigned count;			/* under the lock; only grows */
};

#define LATCH_INIT	{ PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0 }

static inline void
latch_hit(struct latch *latch)
{
	pthread_mutex_lock(&latch->lock);
	latch->count++;
	pthread_cond_broadcast(&latch->more);
	pthread_mutex_unlock(&latch->lock);
}

static inline void
latch_await(struct latch *latch, unsigned count)
{
	pthread_mutex_lock(&latch->lock);
	while (latch->count < count)
		pthread_cond_wait(&latch->more, &latch->lock);
	pthread_mutex_unlock(&latch->lock);
}

static inline unsigned
latch_count(struct latch *latch)
{
	unsigned count;

	pthread_mutex_lock(&latch->lock);
	count = latch->count;
	pthread_mutex_unlock(&latch->lock);
	return count;
}

/* What else a process under a sanitizer cannot show. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HOST_SANITIZED	1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#undef HOST_SANITIZED
#define HOST_SANITIZED	1
#endif
#ifndef HOST_SANITIZED
#define HOST_SANITIZED	0
#endif

#endif
