/* SPDX-License-Identifier: ISC */
/*
 * collect.c: the reap.  Whoever comes here has claimed the context, or is the adopter that owes it, and has seen the post.
 */
#include <reap/atomic.h>

#include "plain.h"

void
reap__result(struct reap_context *context, struct reap_result *result)
{
	/* Not reap_context_handle(): the name of a dead one makes nothing shared. */
	result->handle = (struct reap_handle){ (uintptr_t)context,
	    REAP__CLAIM_GENERATION(REAP_LOAD_RELAXED(&context->claim)) };
	result->user = context->user;
	result->status = context->status;
	result->usage = (struct reap_usage){ 0, 0, 0, 0 };
	if (reap__domain_of(context)->usage) {
		struct reap_usage *usage = reap__usage(context);

		/* Relaxed: the last slice of one that a peek finds exiting may just be charged.  The children's is settled. */
		result->usage = (struct reap_usage){ REAP_LOAD_RELAXED(&usage->run_ns), REAP_LOAD_RELAXED(&usage->runs),
		    usage->children_ns, usage->children };
	}
}

/* Exactly once, at the reap: the collector answers for what its child and all its descendants have used. */
static void
fold_usage(struct reap_context *dead, struct reap_context *collector)
{
	struct reap_usage *mine = reap__usage(collector), *its = reap__usage(dead);

	mine->children_ns += its->run_ns + its->children_ns;
	mine->children += 1 + its->children;
}

static inline void
give_up_stack(struct reap_domain *domain, struct reap_worker *worker, struct reap_context *context,
    struct reap__stack *stack, enum reap_payer payer)
{
	reap__san_context_destroy(REAP__SAN(context->live));
	if (stack->kind == REAP__STACK_SHELVABLE || stack->kind == REAP__STACK_POOL)
		reap__san_nobodys(stack->lo, (size_t)(stack->top - stack->lo));
	context->live = NULL;
	context->stack = NULL;
	reap__stack_put(&domain->depot, worker != NULL ? &worker->cache : NULL, stack);
	REAP__COUNT(domain, worker, ledger[payer].stacks);
}

/*
 * Free stack and descriptor.  collector: the context that does it, if it is one.  The order: the parent's
 * list, what the embedder may still look at, the stack, the family, the limit, and the descriptor last.
 */
void
reap__collect(struct reap_worker *worker, struct reap_context *context, struct reap_context *collector,
    enum reap_payer payer, struct reap_result *result)
{
	struct reap_domain	*domain = reap__domain_of(context);
	struct reap_context	*parent = context->parent;
	struct reap__stack	*stack = context->stack;
	struct reap_waiter	*sleeper = NULL;
	uint64_t		 claim = REAP_LOAD_RELAXED(&context->claim), since = 0, tombstone = 0;
	bool			 shared = !reap__private(context->flags);

	if (worker != NULL && worker->domain != domain)
		worker = NULL;
	if (REAP_UNLIKELY(domain->ledger_time))
		since = domain->clock(domain->clock_arg);
	if (result != NULL)
		reap__result(context, result);
	if (REAP_UNLIKELY(domain->usage) && collector != NULL && reap__domain_of(collector) == domain)
		fold_usage(context, collector);
	if (REAP_LIKELY(parent != NULL && parent == collector) && !reap__adopted(claim)) {
		/* First of all: off_cpu() may create a context, and that sweep this list. */
		if (reap__flags(context) & REAP__LISTED) {
			reap__inbox_take(&parent->inbox);
			reap__inbox_unlink(&parent->inbox, context);
		}
		parent->kids--;
		parent->live->shared_kids -= shared;
	}
	if (REAP_UNLIKELY(stack != NULL && stack->kind == REAP__STACK_ADOPTED)) {
		/* The embedder's memory, record included: off_cpu() may free it. */
		give_up_stack(domain, worker, context, stack, payer);
		stack = NULL;
	}
	if (REAP_UNLIKELY(context->off_cpu != NULL))
		context->off_cpu(context, context->status);
	/* It may have asked for the name, which shares one that has left its parent's count. */
	if (REAP_UNLIKELY(!reap__private(context->flags) != shared) && parent != NULL && parent == collector &&
	    !reap__adopted(claim))
		parent->live->shared_kids--;
	if (stack != NULL)
		give_up_stack(domain, worker, context, stack, payer);
	else
		reap__stack_settle(&domain->depot);
	if (parent != NULL && parent != collector && !reap__adopted(claim)) {
		/* Only the parent may unlink: it finds a tombstone, which is one more reference until then. */
		tombstone = (reap__flags(context) & REAP__LISTED) != 0;
		sleeper = reap__let_go(worker, parent);
	}
	if (domain->limit != 0)
		reap__limit_return(domain, worker);
	REAP__COUNT(domain, worker, ledger[payer].contexts);
	if (REAP_LIKELY(reap__private(context->flags) && context->kids == 0 && !(context->flags & REAP__KIN))) {
		/* Nobody else ever had its name or that of a child of its: there is no reference to be counted. */
		reap__descriptor_free(domain, worker, context);
	} else {
		/* Release: pairs with the acquire of holders, joiners and the parent's sweep. */
		REAP_STORE_RELEASE(&context->claim, REAP__CLAIM(REAP__CLAIM_GENERATION(claim), REAP__REAPED));
		/* From here on the living reference is gone; children that live on, holds and the tombstone remain. */
		reap__ref_add(worker, context, (uint64_t)context->kids + tombstone - REAP__REFS_ALIVE);
	}
	if (worker != NULL)
		reap__descriptor_surplus(worker);
	if (sleeper != NULL)
		sleeper->ready(sleeper);
	if (REAP_UNLIKELY(domain->ledger_time))
		REAP__COUNT_N(domain, worker, ledger[payer].ns, domain->clock(domain->clock_arg) - since);
}

int
reap__plain_collect_rest(struct reap_worker *worker, struct reap__stack *stack)
{
	struct reap__depot	*depot = &worker->domain->depot;
	uint32_t		 spilled;

	if (stack != NULL)
		reap__stack_put(depot, &worker->cache, stack);
	else
		reap__stack_settle(depot);
	reap__stack_obey(&worker->cache);
	spilled = reap__stack_unsettled(depot) ? REAP__STACK_SPILLED : 0;	/* each of those who reap does a bounded step */
	reap__stack_set_besides(&worker->cache, REAP__STACK_SPILLED - spilled, spilled);
	if (worker->limited)
		reap__limit_return(worker->domain, worker);
	reap__descriptor_surplus(worker);
	return 0;
}

/*
 * By the parent: unlink the tombstones of children that others have claimed, and fold their number into its own
 * count.  Done once as many have gone as are left, so that the walk costs each of them a constant.
 */
void
reap__sweep(struct reap_worker *worker, struct reap_context *parent)
{
	/* Acquire: pairs with the addition in reap__let_go(). */
	uint32_t		 gone = REAP__GONE_COUNT(REAP_LOAD_ACQUIRE(&parent->refs));
	struct reap_context	*child, *next, *last;

	if (gone < parent->kids / 2 && gone < (1u << 16))
		return;
	reap__inbox_take(&parent->inbox);
	child = parent->inbox.corpses;
	last = child != NULL ? child->prev : NULL;
	for (; child != NULL; child = next) {
		next = child == last ? NULL : child->next;
		/* Acquire: pairs with the release of REAPED, or of whoever claimed it. */
		if (REAP__CLAIM_STATE(REAP_LOAD_ACQUIRE(&child->claim)) == REAP__ZOMBIE)
			continue;
		reap__inbox_unlink(&parent->inbox, child);
		reap__ref_add(worker, child, (uint64_t)-1);
	}
	parent->kids -= gone;
	parent->live->shared_kids -= gone;	/* who was within the reach of others */
	(void)REAP_ADD_RELAXED(&parent->refs, gone - gone * REAP__GONE);
}
