/* SPDX-License-Identifier: ISC */
/*
 * stats.h: what the library counts.  Counters are kept per worker, written by their owner only, and added up here.
 */
#ifndef REAP_STATS_H
#define REAP_STATS_H

#include <reap/base.h>
#include <reap/domain.h>

REAP_BEGIN_DECLS

/* Who spent the time of a reap. */
enum reap_payer {
	REAP_PAYER_PARENT,	/* the parent in wait */
	REAP_PAYER_JOINER,	/* another context or OS thread, by handle */
	REAP_PAYER_ADOPTER,	/* a drain */
	REAP_PAYER_SUCCESSOR,	/* a landing that took the stack */
	REAP_PAYER_THREAD,	/* the reaper thread */
	REAP_PAYERS		/* how many there are */
};

struct reap_ledger {
	uint64_t stacks;	/* stacks given up by this payer */
	uint64_t contexts;	/* descriptors given up by this payer */
	uint64_t ns;		/* time spent; zero unless the domain has ledger_time */
};

struct reap_stats {
	size_t	 size;			/* set by the caller to sizeof(struct reap_stats); only so much is filled */
	uint64_t created;
	uint64_t exited;
	uint64_t reaped;
	uint64_t live;			/* created - exited */
	uint64_t zombies;		/* exited - reaped */
	uint64_t switches;		/* swaps, jumps of the dead included */
	uint64_t landings_posted;	/* ends that a landing, or reap_context_destroy(), posts: exited, less those of the reaper thread */
	uint64_t handed_direct;		/* exits, not destroys, that went straight to a successor other than the base context */
	uint64_t handed_base;		/* exits that found nothing runnable */
	uint64_t barrier_waits;		/* collectors that came before the post and had to wait, those of groups included */
	uint64_t orphans;		/* contexts whose parent ended first */
	uint64_t detached;		/* contexts detached, at create or later, members of groups included */
	uint64_t limit;			/* 0: none */
	uint64_t limit_hits;		/* creates that got -EAGAIN */
	uint64_t credit_recalls;	/* creates that asked the other workers for their credits */
	uint64_t enomem_memory;		/* creates that got -ENOMEM: the system had no memory */
	uint64_t enomem_maps;		/* creates that got -ENOMEM: the mapping budget was used up */
	uint64_t stacks_mapped;		/* stacks that have addresses */
	uint64_t stacks_cached;		/* of these, free and kept */
	uint64_t stacks_resident;	/* of the free ones, with memory behind them */
	uint64_t stack_bytes_returned;	/* given back to the system since the start */
	uint64_t backlog;		/* of all adopters */
	struct reap_ledger ledger[REAP_PAYERS];
};

/*
 * reap_domain_stats -- add up the domain's counters.
 *
 *   context    Any thread.
 *   ownership  Fills *stats.
 *   ordering   None: a snapshot, each counter right by itself; exact when the workers stand still.
 *   cost       A walk over the workers.
 *   returns    0; -EINVAL: stats->size is 0.
 */
REAP_API int	reap_domain_stats(struct reap_domain *domain, struct reap_stats *stats);

REAP_END_DECLS

#endif
