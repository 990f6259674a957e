/* SPDX-License-Identifier: ISC */
/*
 * sweep.c: what tests of faults are made of: an attempt that may fail and then has changed nothing, a scenario in which each call
 * fails in turn.
 */
#include "fault.h"

void
fault_note(struct fault_before *before, struct reap_domain *domain)
{
	*before = (struct fault_before){
		.stats = { .size = sizeof(struct reap_stats) },
		.children = reap_children(),
		.blocks = ledger_read().blocks,
		.hits = fault_hits(),
	};
	if (domain != NULL)
		CHECK_EQ(reap_domain_stats(domain, &before->stats), 0);
}

#define SAME(field)											\
	if (now.stats.field != before->stats.field)							\
		check_failed_eq(file, line, #field, "before", (intmax_t)now.stats.field, (intmax_t)before->stats.field)

void
fault_compare(const struct fault_before *before, struct reap_domain *domain, const char *file, int line, const char *what,
    int error, int allowed)
{
	struct fault_before now;

	if (error != allowed)
		check_failed_eq(file, line, what, "allowed", error, allowed);
	fault_note(&now, domain);
	if (now.hits == before->hits)
		check_failed(file, line, "a call failed although nothing had failed in it: that there was a fault");
	if (fault_passes())
		check_failed(file, line, "a call failed which only had to ask again: that it did");
	if (now.children != before->children)
		check_failed_eq(file, line, "children", "before", (intmax_t)now.children, (intmax_t)before->children);
	if (now.blocks > before->blocks)
		check_failed_eq(file, line, "blocks", "before", now.blocks, before->blocks);
	if (domain == NULL)
		return;
	SAME(created);
	SAME(exited);
	SAME(orphans);
	SAME(detached);
	SAME(limit_hits);
	/* Handed out.  A reaper thread may have taken some back meanwhile. */
	if (now.stats.stacks_mapped - now.stats.stacks_cached > before->stats.stacks_mapped - before->stats.stacks_cached)
		check_failed(file, line, "no more stacks are in use than before: that");
}

long
fault_sweep(void (*scenario)(const void *), const void *arg, unsigned kinds, int error)
{
	/* Of a signal, or a moment's shortage, there is an end: who asks again and again may rely on it. */
	const long lengths[] = { 1, 2, error == EINTR || error == EAGAIN ? 5 : FAULT_EVER };
	long	most, clean;

	/* Nothing fails: how many calls are there?  Once more, warm: what is done once in a process has been done. */
	for (int i = 0; i < 2; i++) {
		fault_plan(kinds, FAULT_EVER, 1, 0);
		scenario(arg);
		most = clean = fault_seen();
		fault_lift();
		ledger_must_be_empty();
	}
	CHECK(clean > 0);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
		for (long first = 1;; first++) {
			fault_plan(kinds, first, lengths[i], error);
			scenario(arg);
			if (fault_seen() > most)
				most = fault_seen();
			fault_lift();
			ledger_must_be_empty();
			/* Other threads may make a few calls more or less from run to run. */
			if (fault_hits() == 0 && first > clean)
				break;
		}
	return most;
}
