/* SPDX-License-Identifier: ISC */
/*
 * plain.h: the plain life, whole.  Most contexts are spawned, run, end and are waited for on one worker, by a parent that asks
 * for nothing else.  What is uncommon is then asked once, at birth, and one flag remembers the answer:
 *
 *	PLAIN	born by reap_spawn() on a worker with `birth', see reap__plain_birth(); private since; no adopter but the default,
 *		no group, no off_cpu(), its stack the worker's own kind; late notification
 *
 * Who takes its name or shares it takes the flag away (reap__share_words()).  Each function here does what its sibling does for
 * all cases, and says false, or is not called, when something is uncommon after all:
 *
 *	reap__plain_spawn	make() and assemble()		context.c
 *	reap__plain_exit	die() and the rest of an exit	exit.c
 *	reap__plain_landing	reap__ended()			landing.c
 *	reap__plain_collect	reap__collect()			collect.c
 *
 * Where valgrind looks on nobody is born plain: asking whether it does would cost more than what it is to be told.
 *
 * A descriptor that has ended plainly is left *clean*: its flags are 0, and then kids, inbox, adopter, off_cpu, live, stack and sp
 * are as well, and the living reference stands.
 */
#ifndef REAP_LIB_PLAIN_H
#define REAP_LIB_PLAIN_H

#include <string.h>

#include "barrier.h"

/* The flags of a context born plain in the domain; 0: nobody is. */
static inline uint32_t
reap__plain_birth(const struct reap_domain *domain)
{
	const struct reap_host *host = &domain->host;

	if (!domain->hosted || !host->shares || host->on_switch != NULL || host->after_switch != NULL ||
	    host->child_exited != NULL || host->locks_held != NULL || domain->before_final_switch != NULL ||
	    domain->usage || domain->ledger_time || reap__san_by_request() || domain->notify == REAP_NOTIFY_EARLY ||
	    (domain->policy != REAP_POLICY_ADAPTIVE && domain->policy != REAP_POLICY_SUCCESSOR &&
	    domain->policy != REAP_POLICY_PARENT))
		return 0;
	return (uint32_t)domain->policy << REAP__POLICY_SHIFT | REAP__NEW | REAP__BOUND | REAP__PLAIN;
}

/* From memory that is at hand.  False: nothing has changed. */
REAP__INLINE bool
reap__plain_spawn(struct reap_worker *worker, reap_entry *entry, void *arg, struct reap_context **out)
{
	struct reap_context	*parent = worker->current, *context = worker->descriptors;
	struct reap__stack	*stack = worker->cache.list;
	struct reap__live	*live;
	uint32_t		 its = reap__flags(parent);

	if (REAP_UNLIKELY(worker->birth == 0 || context == NULL || stack == NULL || reap__flags(context) != 0 ||
	    worker->generation == worker->generations || parent->adopter != NULL || its & REAP__KIN ||
	    (its & (REAP__BOUND | REAP__BASE)) == 0 ||
	    worker->cache.epoch != REAP_LOAD_RELAXED(&worker->cache.depot->epoch)))
		return false;
	worker->descriptors = context->next;
	worker->ndescriptors--;
	(void)reap__stack_cache_pop(&worker->cache);

	REAP__SAN_DESCRIPTOR(context, reap__san_taken);
	reap__san_plain_reuse(stack->lo, (size_t)(stack->top - stack->lo));
	live = reap__live_of(stack);
	live->entry = entry;
	live->arg = arg;
	live->home = worker;
	memset(&live->young, 0, sizeof(live->young));
	reap__san_plain_create(REAP__SAN(live), stack->lo, (size_t)(stack->top - stack->lo));
	REAP_STORE_RELAXED(&stack->owner, context);	/* no order: a lookup is a snapshot */
	reap_completion_init(&context->done);
	REAP_STORE_RELAXED(&context->flags, worker->birth);
	context->live = live;
	context->stack = stack;
	context->parent = parent;
	context->next = NULL;
	context->prev = NULL;
	context->user = NULL;
	REAP_STORE_RELAXED(&context->sp, reap_md_make(live, reap__entry));
	parent->kids++;
	parent->live->young.private_kids++;
	worker->bound++;
	REAP__COUNT(worker->domain, worker, created);
	/* Release: as in assemble(). */
	REAP_STORE_RELEASE(&context->claim, REAP__CLAIM(worker->generation++, REAP__LIVE));
	*out = context;
	return true;
}

/* Whether a landing that finds this one dead has nothing uncommon to do. */
REAP__INLINE bool
reap__lands_plainly(const struct reap_worker *worker, const struct reap_context *dead)
{
	return (reap__flags(dead) & REAP__PLAIN) != 0 && worker->cache.count < worker->cache.batch;
}

/* Whether the exit of the context that runs on the worker is plain, and its parent is there to be told. */
REAP__INLINE bool
reap__exits_plainly(const struct reap_context *context)
{
	return (reap__flags(context) & (REAP__PLAIN | REAP__KIN)) == REAP__PLAIN && context->kids == 0 &&
	    context->live->young.listeners == NULL &&
	    (reap__flags(context->parent) & (REAP__KIN | REAP__EXITED | REAP__NO_ZOMBIES)) == 0;
}

/* Up to the final switch; returns the successor.  Parent and child are on this worker: nothing of this is atomic. */
REAP__INLINE struct reap_context *
reap__plain_exit(struct reap_worker *worker, struct reap_context *context, intptr_t status)
{
	struct reap_context	*parent = context->parent, *to;
	struct reap_waiter	*sleeper = NULL;
	uint64_t		 claim = REAP_LOAD_RELAXED(&context->claim);
	uint32_t		 flags = reap__flags(context) | REAP__EXITED;

	context->status = status;
	worker->bound--;
	REAP__COUNT(worker->domain, worker, exited);
	if (REAP__CLAIM_STATE(claim) == REAP__LIVE) {
		uintptr_t head = REAP_LOAD_RELAXED(&parent->inbox.head);

		REAP_STORE_RELAXED(&context->claim, REAP__CLAIM(REAP__CLAIM_GENERATION(claim), REAP__ZOMBIE));
		reap__inbox_append(&parent->inbox, context);
		flags |= REAP__LISTED;
		if (head & REAP__INBOX_WAITER) {
			sleeper = (struct reap_waiter *)(head & ~REAP__INBOX_WAITER);
			REAP_STORE_RELAXED(&parent->inbox.head, 0);
			worker->told.who[0] = sleeper;
		}
	} else
		sleeper = (struct reap_waiter *)REAP_LOAD_RELAXED(&context->done.reap__word);
	to = worker->domain->host.next(worker);
	if (to == NULL && sleeper != NULL && worker->domain->host.direct && (to = reap__follower(worker, sleeper)) != NULL) {
		/* It would have been next anyhow: the landing need not ready it. */
		worker->told.who[0] = NULL;
		REAP_STORE_RELAXED(&context->done.reap__word, REAP__PENDING);
		flags |= REAP__AWAITED;
	} else if (to == NULL) {
		to = worker->base;
		REAP__COUNT(worker->domain, worker, based);
	}
	/* Release: as in die(). */
	REAP_STORE_RELEASE(&context->flags, flags);
	return to;
}

/* The plain dead one is off the CPU.  Its waiter slept on its completion, or its heir on its own inbox: not both. */
REAP__INLINE void
reap__plain_landing(struct reap_worker *worker, struct reap_context *context)
{
	struct reap_waiter	*heir = worker->told.who[0];
	struct reap_waiter	*waiter = (struct reap_waiter *)REAP_LOAD_RELAXED(&context->done.reap__word);
	enum reap_policy	 policy = REAP__POLICY_OF(reap__flags(context));

	if (policy == REAP_POLICY_SUCCESSOR || (policy == REAP_POLICY_ADAPTIVE && heir == NULL && waiter == NULL &&
	    !(reap__flags(context) & REAP__AWAITED))) {
		struct reap__stack *stack = context->stack;

		reap__san_plain_destroy(REAP__SAN(context->live));
		reap__san_nobodys(stack->lo, (size_t)(stack->top - stack->lo));
		context->live = NULL;
		context->stack = NULL;
		reap__stack_cache_push(&worker->cache, stack);
		REAP__COUNT(worker->domain, worker, ledger[REAP_PAYER_SUCCESSOR].stacks);
	}
	/* Release: pairs with reap_completion_posted(). */
	REAP_STORE_RELEASE(&context->done.reap__word, REAP__POSTED);
	if (heir != NULL) {
		worker->told.who[0] = NULL;
		waiter = heir;
	}
	if (waiter != NULL)
		waiter->ready(waiter);
}

/* Whether the running context, no base context, may claim the child that lives and sleep: it waits for nobody, hence not for us. */
REAP__INLINE bool
reap__sleeps_plainly(const struct reap_context *self, const struct reap_context *child)
{
	return (reap__flags(child) & (REAP__PLAIN | REAP__EXITED)) == REAP__PLAIN && (reap__flags(self) & REAP__BASE) == 0 &&
	    REAP__CLAIM_STATE(REAP_LOAD_RELAXED(&child->claim)) == REAP__LIVE &&
	    child->live->young.claimed == NULL;
}

/* Claims the child and arms its completion, as reap__to_sleep() does; returns the successor. */
REAP__INLINE struct reap_context *
reap__plain_sleep(struct reap_worker *worker, struct reap_context *self, struct reap_context *child,
    struct reap_result *result)
{
	struct reap__live *live = self->live;

	reap__slot_must_be_empty(worker);
	REAP_STORE_RELAXED(&child->prev, self);
	REAP_STORE_RELAXED(&child->claim,
	    REAP__CLAIM(REAP__CLAIM_GENERATION(REAP_LOAD_RELAXED(&child->claim)), REAP__CLAIMED));
	live->young.claimed = live->target = child;
	live->young.how = 0;
	live->result = result;
	live->young.sleep = &live->waits;
	live->waits.waiter.ready = reap__ready_sleeper;
	live->waits.context = self;
	live->waits.done = &child->done;
	live->waits.whose = child;
	live->waits.error = 0;
	REAP_STORE_RELAXED(&child->done.reap__word, (uintptr_t)&live->waits.waiter);
	REAP__COUNT(worker->domain, worker, barrier);
	return reap__successor(worker);
}

/* Whether the child of the running context, which it has claimed or finds on its list, is off the CPU and plain. */
REAP__INLINE bool
reap__collects_plainly(const struct reap_context *child)
{
	return (reap__flags(child) & (REAP__PLAIN | REAP__KIN)) == REAP__PLAIN && child->kids == 0 &&
	    reap_completion_posted(&child->done);
}

/* What is seldom done at a collect, at its end; so that nobody else saves registers for it.  stack: to be put, or NULL. */
int	reap__plain_collect_rest(struct reap_worker *worker, struct reap__stack *stack);

REAP__INLINE int
reap__plain_collect(struct reap_worker *worker, struct reap_context *parent, struct reap_context *child,
    struct reap_result *result)
{
	struct reap__stack_cache *cache = &worker->cache;
	struct reap__stack	*stack = child->stack;
	bool			 rest = worker->limited;

	if (result != NULL)
		*result = (struct reap_result){
			.handle = { (uintptr_t)child, REAP__CLAIM_GENERATION(REAP_LOAD_RELAXED(&child->claim)) },
			.status = child->status, .user = child->user,
		};
	if (reap__flags(child) & REAP__LISTED)
		reap__inbox_unlink(&parent->inbox, child);
	parent->kids--;
	parent->live->young.private_kids--;
	if (stack != NULL) {
		reap__san_plain_destroy(REAP__SAN(child->live));
		reap__san_nobodys(stack->lo, (size_t)(stack->top - stack->lo));
		child->live = NULL;
		child->stack = NULL;
		REAP__COUNT(worker->domain, worker, ledger[REAP_PAYER_PARENT].stacks);
		if (REAP_LIKELY(reap__stack_puts_warm(cache->depot, cache))) {
			reap__stack_cache_push(cache, stack);
			stack = NULL;
		} else
			rest = true;
	} else if (REAP_UNLIKELY(reap__stack_unsettled(cache->depot)))
		rest = true;
	REAP__COUNT(worker->domain, worker, ledger[REAP_PAYER_PARENT].contexts);
	REAP_STORE_RELAXED(&child->flags, 0);	/* clean */
	REAP_STORE_RELAXED(&child->claim, 0);	/* FREE, as in reap__descriptor_free() */
	REAP__SAN_DESCRIPTOR(child, reap__san_nobodys);
	child->next = worker->descriptors;
	worker->descriptors = child;
	if (REAP_UNLIKELY(rest | (++worker->ndescriptors > REAP__DESCRIPTORS_KEPT)))
		return reap__plain_collect_rest(worker, stack);
	return 0;
}

#endif
