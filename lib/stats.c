/* SPDX-License-Identifier: ISC */
/*
 * stats.c: adding up what the workers count.
 */
#include <errno.h>
#include <string.h>

#include <reap/atomic.h>

#include "worker.h"

/* Counters are an array of one type, so that adding them up cannot forget one. */
#define NCOUNTERS	(sizeof(struct reap__counters) / sizeof(uint64_t))
_Static_assert(sizeof(struct reap__counters) % sizeof(uint64_t) == 0, "counters are uint64_t and nothing else");

void
reap__counters_add(struct reap__counters *to, const struct reap__counters *from)
{
	uint64_t	*sum = (uint64_t *)to;
	const uint64_t	*n = (const uint64_t *)from;

	for (size_t i = 0; i < NCOUNTERS; i++)
		(void)REAP_ADD_RELAXED(&sum[i], REAP_LOAD_RELAXED(&n[i]));
}

int
reap_domain_stats(struct reap_domain *domain, struct reap_stats *out)
{
	struct reap__counters	 count;
	struct reap__stack_counts stacks;
	struct reap_stats	 stats;
	struct reap_adopter	*adopter;
	uint64_t		 reaped = 0;
	size_t			 size;

	if (domain == NULL || out == NULL || (size = out->size) == 0)
		return -EINVAL;
	if (size > sizeof(stats))
		size = sizeof(stats);
	memset(&count, 0, sizeof(count));
	memset(&stats, 0, sizeof(stats));
	pthread_mutex_lock(&domain->lock);
	reap__counters_add(&count, &domain->count);
	for (struct reap_worker *worker = domain->workers; worker != NULL; worker = worker->next)
		reap__counters_add(&count, &worker->count);
	stats.backlog = reap_adopter_backlog(&domain->adopter);
	for (adopter = domain->adopters; adopter != NULL; adopter = adopter->next)
		stats.backlog += reap_adopter_backlog(adopter);
	pthread_mutex_unlock(&domain->lock);
	reap__depot_stats(&domain->depot, &stacks);

	count.plain += count.simple;
	count.exited += count.plain;
	count.switches += count.plain;
	count.ledger[REAP_PAYER_PARENT].contexts += count.whole + count.simple;
	count.ledger[REAP_PAYER_PARENT].stacks += count.whole + count.simple;
	for (int i = 0; i < REAP_PAYERS; i++)
		reaped += count.ledger[i].contexts;

	stats.size = size;
	stats.created = count.created;
	stats.exited = count.exited;
	stats.reaped = reaped;
	/* Counters are read one after the other: between two of them somebody may have been created, and died. */
	stats.live = count.created > count.exited ? count.created - count.exited : 0;
	stats.zombies = count.exited > reaped ? count.exited - reaped : 0;
	stats.switches = count.switches;
	stats.landings_posted = count.exited > count.threaded ? count.exited - count.threaded : 0;
	stats.handed_base = count.based;
	stats.handed_direct = count.exited > count.destroyed + count.based ? count.exited - count.destroyed - count.based : 0;
	stats.barrier_waits = count.barrier;
	stats.orphans = count.orphans;
	stats.detached = count.detached;
	stats.limit = domain->limit;
	stats.limit_hits = count.limit_hits;
	stats.credit_recalls = count.recalls;
	stats.enomem_memory = stacks.enomem_memory;
	stats.enomem_maps = stacks.enomem_maps;
	stats.stacks_mapped = stacks.mapped;
	stats.stacks_cached = stacks.mapped - stacks.live;
	stats.stacks_resident = stacks.cached + stacks.depot + stacks.quarantined;
	stats.stack_bytes_returned = stacks.returned;
	memcpy(stats.ledger, count.ledger, sizeof(stats.ledger));
	memcpy(out, &stats, size);
	return 0;
}
