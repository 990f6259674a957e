/* SPDX-License-Identifier: ISC */
/*
 * host.c: a host of one worker, whose own locks are no part of what is counted.
 */
#include "ledger.h"

struct reap_domain *host_domain;
struct reap_worker *host_worker;
static pthread_mutex_t queue_lock = PTHREAD_MUTEX_INITIALIZER;
static struct reap_context *queue, **queue_end = &queue;	/* under the lock */

static struct reap_context *
queue_take(struct reap_worker *worker)
{
	struct reap_context *context;

	(void)worker;
	CHECK_EQ(__real_pthread_mutex_lock(&queue_lock), 0);
	context = queue;
	if (context != NULL && (queue = *reap_context_link(context)) == NULL)
		queue_end = &queue;
	CHECK_EQ(__real_pthread_mutex_unlock(&queue_lock), 0);
	return context;
}

void
host_queue(struct reap_context *context)
{
	CHECK_EQ(__real_pthread_mutex_lock(&queue_lock), 0);
	*reap_context_link(context) = NULL;
	*queue_end = context;
	queue_end = reap_context_link(context);
	CHECK_EQ(__real_pthread_mutex_unlock(&queue_lock), 0);
}

static void
idle(struct reap_worker *worker)
{
	(void)worker;
	(void)sched_yield();
}

static void
wake(struct reap_worker *worker)
{
	(void)worker;		/* it does not sleep */
}

const struct reap_host host_calls = { .next = queue_take, .ready = host_queue, .idle = idle, .wake = wake };

void
host_open(struct reap_domain_options options)
{
	options.size = sizeof(options);
	if (options.host == NULL)
		options.host = &host_calls;
	host_domain = NULL;
	host_worker = NULL;
	ATTEMPT_IN(NULL, reap_domain_create(&options, &host_domain), -ENOMEM);
	ATTEMPT(reap_worker_start(host_domain, NULL, &host_worker), -ENOMEM);
	CHECK(reap_worker_self() == host_worker);
}

static void
unjoined(struct reap_context *context, void *arg)
{
	(void)context;
	++*(unsigned *)arg;
}

void
host_close(void)
{
	unsigned left = 0;

	CHECK(queue == NULL);
	CHECK_EQ(reap_worker_stop(host_worker), 0);
	CHECK(reap_worker_self() == NULL);
	fault_relent();
	CHECK_EQ(reap_domain_destroy(host_domain, unjoined, &left), 0);
	CHECK_EQ(left, 0);
	host_domain = NULL;
}

void
host_run(void)
{
	bool more;

	do {
		(void)reap_yield(host_worker);
		CHECK_EQ(__real_pthread_mutex_lock(&queue_lock), 0);
		more = queue != NULL;
		CHECK_EQ(__real_pthread_mutex_unlock(&queue_lock), 0);
	} while (more);
}

struct reap_stats
host_stats(void)
{
	struct reap_stats stats = { .size = sizeof(stats) };

	CHECK_EQ(reap_domain_stats(host_domain, &stats), 0);
	return stats;
}

intptr_t
host_return(void *arg)
{
	return (intptr_t)arg;
}
