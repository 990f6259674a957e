/* SPDX-License-Identifier: ISC */
/*
 * landing.c: the first moment on the successor's stack.  What the one who left needs done now that it is off the CPU: a dead
 * one is posted, a parked one published, one that yielded readied.
 */
#include <reap/atomic.h>

#include "plain.h"

void
reap__ready_all(struct reap__told *told)
{
	for (unsigned i = 0; i < REAP__TOLD_MAX && told->who[i] != NULL; i++)
		told->who[i]->ready(told->who[i]);
}

void
reap__tell_host(struct reap_domain *domain, struct reap_context *child)
{
	struct reap_context	*parent = child->parent;
	uint64_t		 refs;

	if (REAP_LIKELY(domain->host.child_exited == NULL) || parent == NULL)
		return;
	refs = REAP_LOAD_RELAXED(&parent->refs);
	do {
		if (REAP__REFS(refs) == 0)
			return;
		/* Acquire: pairs with the release of refs in create: if this is the next life of the parent's descriptor,
		 * the claim read below is ORPHANED.  If it is not, the child has not let go: ours keeps the parent there. */
	} while (!REAP_CAS_ACQ_REL(&parent->refs, &refs, refs + 1));
	if (!reap__adopted(REAP_LOAD_ACQUIRE(&child->claim)))	/* pairs with who made it an orphan */
		domain->host.child_exited(parent, child);
	reap__ref_add(reap_worker_self(), parent, (uint64_t)-1);
}

/*
 * The dead one is off the CPU: its stack goes where the policy says, the completion is posted, sleepers are readied.  In the
 * landing, or in reap_context_destroy() on whatever thread (worker NULL).  The context is gone when this returns.
 */
void
reap__ended(struct reap_worker *worker, struct reap_context *context, struct reap__told *told)
{
	struct reap_domain	*domain = reap__domain_of(context);
	struct reap__stack	*stack = context->stack;
	enum reap_policy	 policy = REAP__POLICY_OF(context->flags);
	bool			 adopted = reap__adopted(REAP_LOAD_RELAXED(&context->claim));
	struct reap_waiter	*drainer = NULL;

	if (REAP_UNLIKELY(context->flags & REAP__GROUPED))
		reap__group_left(context->live->group, context->status);
	if (policy == REAP_POLICY_THREAD) {
		/* The reaper thread frees, then posts and tells, as it did in the kernel. */
		context->live->told = *told;
		REAP__COUNT(domain, worker, threaded);
		reap__reaper_hand(domain, context);
		return;
	}
	/* A waiter is there: it gets all of it, hot in its cache.  The word is only glanced at: who comes later gets less. */
	if (policy == REAP_POLICY_ADAPTIVE && (adopted ||
	    (told->who[0] == NULL && !(context->flags & REAP__AWAITED) &&
	    REAP_LOAD_RELAXED(&context->done.reap__word) == REAP__PENDING)))
		policy = REAP_POLICY_SUCCESSOR;
	if (policy == REAP_POLICY_SUCCESSOR && worker != NULL && worker->domain == domain &&
	    !(context->flags & REAP__BORROWED) && reap__stack_shelvable(stack)) {
		reap__san_context_destroy(REAP__SAN(context->live));
		reap__san_nobodys(stack->lo, (size_t)(stack->top - stack->lo));
		context->live = NULL;
		context->stack = NULL;
		reap__stack_shelve(&worker->cache, stack);
		REAP__COUNT(domain, worker, ledger[REAP_PAYER_SUCCESSOR].stacks);
	} else if (policy == REAP_POLICY_ADOPTER && !adopted && !(context->flags & REAP__BORROWED)) {
		/* The parent collects a thin zombie.  What is the adopter's anyhow goes to it whole. */
		reap__san_context_destroy(REAP__SAN(context->live));
		reap__san_nobodys(stack->lo, (size_t)(stack->top - stack->lo));
		context->live = NULL;
		context->stack = NULL;
		REAP_STORE_RELAXED(&stack->owner, NULL);
		drainer = reap__adopter_owe_stack(context->adopter != NULL ? context->adopter : &domain->adopter, stack);
	}
	if (!(context->flags & REAP__EARLY))
		reap__tell_host(domain, context);
	if (reap__private(context->flags)) {
		/* Its waiter is on this worker: no exchange.  Release: pairs with reap_completion_posted(). */
		uintptr_t word = REAP_LOAD_RELAXED(&context->done.reap__word);

		REAP_STORE_RELEASE(&context->done.reap__word, REAP__POSTED);
		if (word != REAP__PENDING)
			((struct reap_waiter *)word)->ready((struct reap_waiter *)word);
	} else
		reap_completion_post(&context->done);
	/* The context is gone [2].  The sleepers are not: they cannot leave before they are readied [14]. */
	reap__ready_all(told);
	if (drainer != NULL)
		drainer->ready(drainer);
}

/*
 * Somebody left something in the slot.  Emptied first [3]; `prev' is dead, or somebody else's, when its case is done.
 */
static __attribute__((noinline)) void
land_cold(struct reap_worker *worker)
{
	const struct reap_host	*host = &worker->domain->host;
	uintptr_t		 prev = worker->slot.reap__prev;
	uintptr_t		 tag = prev & REAP__PREV_TAG;
	struct reap__parking	*parking;
	struct reap_context	*context;
	struct reap__told	 told;

	worker->slot.reap__prev = 0;
	prev -= tag;
	parking = tag == REAP__PREV_PARKED ? (struct reap__parking *)prev : NULL;
	context = tag == REAP__PREV_DEAD ? reap__context_of((struct reap_completion *)prev) :
	    parking != NULL ? parking->context : (struct reap_context *)prev;
	if (worker->hooks & REAP__HOOK_USAGE && tag == REAP__PREV_DEAD)
		reap__charge(worker, context);	/* the last slice, now that it is off the CPU */
	if (worker->hooks & REAP__HOOK_AFTER)
		host->after_switch(worker, context, tag == REAP__PREV_DEAD);
	switch (tag) {
	case REAP__PREV_DEAD:
		told = worker->told;
		worker->told = (struct reap__told){ { NULL } };	/* whole: a plain exit writes the first one alone */
		reap__ended(worker, context, &told);
		break;
	case REAP__PREV_PARKED:
		/* From its `true' on the parked one may run elsewhere: neither it nor its stack is touched again [7]. */
		if (!parking->publish(context, parking->arg)) {
			if (REAP_UNLIKELY(!worker->domain->hosted))
				reap_misuse("no-host", "a parked context must be readied, and its domain has no host");
			host->ready(context);
		}
		break;
	case REAP__PREV_YIELDED:
		host->ready(context);
		break;
	}
}

void
reap__land(struct reap_worker *worker)
{
	uintptr_t		 prev = worker->slot.reap__prev;
	struct reap_context	*context = reap__context_of((struct reap_completion *)prev);

	if (REAP_LIKELY((prev & REAP__PREV_TAG) == REAP__PREV_DEAD && reap__lands_plainly(worker, context))) {
		worker->slot.reap__prev = 0;
		reap__plain_landing(worker, context);
	} else if ((prev & REAP__PREV_TAG) == REAP__PREV_YIELDED && (worker->hooks & REAP__HOOK_AFTER) == 0) {
		worker->slot.reap__prev = 0;
		worker->domain->host.ready((struct reap_context *)(prev - REAP__PREV_YIELDED));
	} else
		land_cold(worker);
}
