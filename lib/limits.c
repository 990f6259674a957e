/* SPDX-License-Identifier: ISC */
/*
 * limits.c: how many contexts a domain may have at a time, zombies included.
 *
 * The limit is a fixed number of credits.  A create takes one, the reap returns it.  Workers hold some of their own, so that
 * a life on one worker writes nothing that is shared; a create that finds none recalls those of the others before it gives
 * up.  Credits are conserved: the count can never exceed the limit.
 */
#include <errno.h>

#include <reap/atomic.h>

#include "worker.h"

#define BATCH_MAX	64u	/* a worker holds twice this at most: 128 lives without a shared write */

static uint32_t
batch_of(const struct reap_domain *domain)
{
	/* Small limits are not parcelled out: an eighth is the most that may lie idle with one worker. */
	uint64_t batch = domain->limit / 16;

	return batch == 0 ? 1 : batch > BATCH_MAX ? BATCH_MAX : (uint32_t)batch;
}

/* Up to n from the pool, which keeps `keep'. */
static uint32_t
draw(struct reap_domain *domain, uint32_t n, uint64_t keep)
{
	uint64_t have = REAP_LOAD_RELAXED(&domain->credits), got;

	do {
		if (have <= keep)
			return 0;
		got = have - keep < n ? have - keep : n;
		/* Credits carry no data, only their number: the order is that of the one word. */
	} while (!REAP_CAS_ACQ_REL(&domain->credits, &have, have - got));
	return (uint32_t)got;
}

static bool
take_own(struct reap_worker *worker)
{
	uint32_t have = REAP_LOAD_RELAXED(&worker->credits);

	do {
		if (have == 0)
			return false;
	} while (!REAP_CAS_ACQ_REL(&worker->credits, &have, have - 1));	/* pairs with the exchange in recall() */
	return true;
}

/* All that the workers hold goes back to the pool.  Under the domain's lock. */
static void
recall(struct reap_domain *domain, struct reap_worker *worker)
{
	REAP__COUNT(domain, worker, recalls);
	for (struct reap_worker *other = domain->workers; other != NULL; other = other->next) {
		/* pairs with take_own(): each credit is taken once. */
		uint32_t credits = REAP_XCHG_ACQ_REL(&other->credits, 0);

		(void)REAP_ADD_RELAXED(&domain->credits, credits);
	}
}

int
reap__limit_take(struct reap_domain *domain, struct reap_worker *worker, bool privileged)
{
	uint32_t got;

	if (worker != NULL && take_own(worker))
		return 0;
	/* Credits that move between the pool and a worker do so under the lock: whoever recalls finds all of them. */
	pthread_mutex_lock(&domain->lock);
	got = draw(domain, worker != NULL ? batch_of(domain) : 1, domain->reserve);
	if (got == 0) {
		recall(domain, worker);
		got = draw(domain, 1, domain->reserve);
		if (got == 0 && privileged)
			got = draw(domain, 1, 0);
	}
	if (got > 1)
		(void)REAP_ADD_RELAXED(&worker->credits, got - 1);
	pthread_mutex_unlock(&domain->lock);
	if (got != 0)
		return 0;
	REAP__COUNT(domain, worker, limit_hits);
	return -EAGAIN;
}

void
reap__limit_return(struct reap_domain *domain, struct reap_worker *worker)
{
	/* The reserve is made whole first: only a pool above it may be parcelled out. */
	if (worker == NULL || REAP_LOAD_RELAXED(&domain->credits) < domain->reserve) {
		(void)REAP_ADD_RELAXED(&domain->credits, 1);
		return;
	}
	if (REAP_ADD_RELAXED(&worker->credits, 1) > 2 * batch_of(domain)) {
		uint32_t surplus = batch_of(domain), have;

		pthread_mutex_lock(&domain->lock);
		have = REAP_LOAD_RELAXED(&worker->credits);
		/* A recall may have been faster: then there is no surplus.  pairs with recall() */
		if (have >= surplus && REAP_CAS_ACQ_REL(&worker->credits, &have, have - surplus))
			(void)REAP_ADD_RELAXED(&domain->credits, surplus);
		pthread_mutex_unlock(&domain->lock);
	}
}

void
reap__limit_donate(struct reap_worker *worker)
{
	/* pairs with recall(): whoever is first moves them. */
	pthread_mutex_lock(&worker->domain->lock);
	(void)REAP_ADD_RELAXED(&worker->domain->credits, REAP_XCHG_ACQ_REL(&worker->credits, 0));
	pthread_mutex_unlock(&worker->domain->lock);
}
