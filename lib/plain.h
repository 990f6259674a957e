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
	    (domain->depot.flags & REAP_STACK_SCRUB) != 0 ||
	    (domain->policy != REAP_POLICY_ADAPTIVE && domain->policy != REAP_POLICY_SUCCESSOR &&
	    domain->policy != REAP_POLICY_PARENT))
		return 0;
	return (uint32_t)domain->policy << REAP__POLICY_SHIFT | REAP__BOUND | REAP__PLAIN |
	    (domain->policy != REAP_POLICY_PARENT ? REAP__THINS : 0) |
	    (domain->policy != REAP_POLICY_SUCCESSOR && host->direct ? REAP__STRAIGHT : 0);
}

/* What all who are born fresh have in common: the descriptor is the worker's next free one, a stack can be promised. */
REAP__INLINE void
reap__beget(struct reap_worker *worker, struct reap_context *context, reap_entry *entry, void *arg, uint32_t flags)
{
	worker->descriptors = context->next;
	worker->room++;
	reap__count_own32(&worker->cache.count, (uint32_t)-1);		/* promised, see reap__stack_promises() */

	REAP__SAN_DESCRIPTOR(context, reap__san_taken);
	context->fresh.entry = entry;
	context->fresh.arg = arg;
	reap_md_control(&context->control);
	reap_completion_init(&context->done);
	REAP_STORE_RELAXED(&context->flags, flags);
	context->live = &worker->fresh_live;
	context->next = NULL;
	context->user = NULL;
	REAP_STORE_RELAXED(&context->sp, REAP__FRESH);
#ifndef REAP_MD_LAUNCH
	(void)reap__bind(context);	/* the control words that it begins with are those of now */
#endif
}

/*
 * Whether what is born to the context can be plain, as far as that knows.  flags: REAP__BOUND, or what no parent has: nobody is born
 * plain.  If others have let children of its go, those are counted now and then, not here.
 */
REAP__INLINE bool
reap__breeds_plainly(const struct reap_context *parent, uint32_t flags)
{
	/* Nobody else writes them: twice read is one register less in what follows. */
	if (REAP_LIKELY((reap__flags(parent) & (REAP__BOUND | REAP__KIN | REAP__SUB_ADOPTED)) == flags))
		return true;
	/* Relaxed: it need not be counted at once. */
	return (reap__flags(parent) & (REAP__BOUND | REAP__SUB_ADOPTED)) == flags &&
	    REAP__GONE_COUNT(REAP_LOAD_RELAXED(&parent->refs)) < REAP__GONE_SWEEP;
}

/* From memory that is at hand.  flags: as reap__breeds_plainly().  False: nothing has changed. */
REAP__INLINE bool
reap__plain_spawn(struct reap_worker *worker, reap_entry *entry, void *arg, uint32_t flags, struct reap_context **out)
{
	struct reap_context	*parent = worker->current, *context = worker->descriptors;
	uint64_t		 created = worker->count.created;

	if (REAP_UNLIKELY(!reap__breeds_plainly(parent, flags)))
		return false;
	if (REAP_UNLIKELY(context == NULL || !reap__stack_promises(&worker->cache) || created == worker->block ||
	    (reap__stack_besides(&worker->cache) & REAP__STACK_ASKED) != 0))
		return false;
	reap__beget(worker, context, entry, arg, worker->birth);
	context->parent = parent;
	context->prev = NULL;
	parent->kids++;
	REAP_STORE_RELAXED(&worker->count.created, created + 1);
	/* Release: as in assemble(). */
	REAP_STORE_RELEASE(&context->claim, REAP__CLAIM(created + worker->generation, REAP__LIVE));
	*out = context;
	return true;
}

static inline void
reap__live_clean(struct reap__live *live, struct reap_worker *worker)
{
	live->home = live->clean = worker;
	memset(&live->young, 0, sizeof(live->young));
}

/* The context that is fresh gets this one, where a plain life can begin. */
REAP__INLINE struct reap__live *
reap__settle_on(struct reap__stack *stack, struct reap_context *context)
{
	struct reap__live *live = reap__live_of(stack);

	reap__san_plain_create(REAP__SAN(live), stack->lo, (size_t)(stack->top - stack->lo));
	REAP_STORE_RELAXED(&stack->owner, context);	/* no order: a lookup is a snapshot */
	live->arg = context->fresh.arg;		/* a collector finds it, until the entry has it */
	context->live = live;
	context->stack = stack;
	return live;
}

/* The context that is fresh gets the stack that it was promised, on its worker or while that stands still. */
REAP__INLINE struct reap__live *
reap__settle(struct reap_worker *worker, struct reap_context *context)
{
	struct reap__stack	*stack = reap__stack_fetch(&worker->cache);
	struct reap__live	*live = reap__live_of(stack);

	reap__san_plain_reuse(stack->lo, (size_t)(stack->top - stack->lo));
	if (live->clean != worker)
		reap__live_clean(live, worker);
	return reap__settle_on(stack, context);
}

/* Whether a landing that finds this one dead has nothing uncommon to do. */
REAP__INLINE bool
reap__lands_plainly(const struct reap_worker *worker, const struct reap_context *dead)
{
	return (reap__flags(dead) & REAP__PLAIN) != 0 && worker->cache.count < worker->cache.batch;
}

/*
 * A child that is private to its parent's worker has ended there: it comes to the corpses behind those that have come so far.  Returns
 * the parent, to be readied, if that slept; relaxed, as it went to sleep on this worker.  A sleep that a shared child has ended is
 * over, and the parent has not run since.
 */
REAP__INLINE struct reap_waiter *
reap__inbox_receive(struct reap_context *parent, struct reap_context *child)
{
	struct reap__inbox	*inbox = &parent->inbox;
	uintptr_t		 head = REAP_LOAD_RELAXED(&inbox->head);

	if (head == 0) {
		reap__inbox_append(inbox, child);
		return NULL;
	}
	return reap__inbox_receive_cold(parent, child);
}

/* Whether the exit of the context that runs on the worker is plain, and its parent is there to be told. */
REAP__INLINE bool
reap__exits_plainly(const struct reap_context *context, uint32_t flags)
{
	return (flags & (REAP__PLAIN | REAP__KIN)) == REAP__PLAIN && context->kids == 0 &&
	    (reap__flags(context->parent) & (REAP__EXITED | REAP__NO_ZOMBIES)) == 0;
}

/* Whether its parent sleeps for it alone, and may be switched to at its end if nothing is runnable. */
REAP__INLINE bool
reap__exits_straight(const struct reap_context *context, uint32_t flags)
{
	return (flags & (REAP__STRAIGHT | REAP__AWAITED | REAP__KIN)) == (REAP__STRAIGHT | REAP__AWAITED) && context->kids == 0;
}

/* Whether it goes to its resumer, who reaps it: resume.c. */
REAP__INLINE bool
reap__exits_simply(const struct reap_context *context, uint32_t flags)
{
	return (flags & (REAP__SIMPLE | REAP__KIN)) == REAP__SIMPLE && context->kids == 0 &&
	    REAP_LOAD_RELAXED(&context->prev) != context;
}

/*
 * Up to the choice of the successor.  Parent and child are on this worker: nothing of this is atomic, unless it wakes a parent that
 * shared children may wake as well.  True: somebody sleeps for it, on its completion, or on the parent's inbox and then in
 * worker->told.
 */
REAP__INLINE bool
reap__plain_exit(struct reap_worker *worker, struct reap_context *context, uint32_t flags, intptr_t status)
{
	struct reap_context	*parent = context->parent;
	uint64_t		 claim = REAP_LOAD_RELAXED(&context->claim);
	struct reap_waiter	*sleeper;
	bool			 awaited = true;

	flags |= REAP__EXITED;
	context->status = status;
	reap__count_own(&worker->count.plain, 1);
	if (REAP__CLAIM_STATE(claim) == REAP__LIVE) {
		REAP_STORE_RELAXED(&context->claim, claim + (REAP__ZOMBIE - REAP__LIVE));
		flags |= REAP__LISTED;
		sleeper = reap__inbox_receive(parent, context);
		awaited = sleeper != NULL;
		if (REAP_UNLIKELY(awaited))
			worker->told.who[0] = sleeper;
	}
	/* Release: as in die(). */
	REAP_STORE_RELEASE(&context->flags, flags);
	reap_slot_put(&worker->slot, &context->done);	/* aborts if full [3] */
	return awaited;
}

/* Nothing is runnable; the completion of the context, for whom somebody sleeps, is in the slot.  To whom? */
REAP__INLINE struct reap_context *
reap__plain_follower(struct reap_worker *worker, struct reap_context *context)
{
	struct reap_waiter *sleeper = worker->told.who[0];

	if (sleeper == NULL)
		sleeper = (struct reap_waiter *)REAP_LOAD_RELAXED(&context->done.reap__word);
	if (worker->domain->host.direct && sleeper->ready == reap__ready_sleeper) {
		/* The parent, hence of this worker.  It would have been next anyhow: the landing need not ready it. */
		worker->told.who[0] = NULL;
		REAP_STORE_RELAXED(&context->done.reap__word, REAP__PENDING);
		if (REAP__POLICY_OF(reap__flags(context)) != REAP_POLICY_SUCCESSOR)	/* to which it is all the same */
			REAP_STORE_RELAXED(&context->flags, reap__flags(context) | REAP__AWAITED);
		return ((struct reap__sleep *)sleeper)->context;
	}
	reap__count_own(&worker->count.based, 1);
	return worker->base;
}

#if defined(REAP_MD_LAUNCH) && !REAP__SAN_WATCHES_STACKS
/*
 * Nobody sleeps for the dead one, whose stack goes to the successor, who is fresh: in the place of one that would have to be
 * fetched while this one is put back.  The successor begins at the top; from then on nobody is on the part that is the dead
 * one's [1].  Whether that is so:
 */
REAP__INLINE bool
reap__hands_over(struct reap_worker *worker, const struct reap_context *context, const struct reap_context *to)
{
	return reap__fresh(to) && to->live == &worker->fresh_live && worker->cache.count < worker->cache.batch &&
	    (reap__flags(context) & REAP__THINS) != 0;
}

REAP__INLINE _Noreturn void
reap__hand_over(struct reap_worker *worker, struct reap_context *context, struct reap_context *to)
{
	struct reap__live	*live = context->live;
	struct reap__stack	*stack = context->stack;

	context->live = NULL;
	context->stack = NULL;
	live->arg = to->fresh.arg;		/* as reap__settle() */
	to->live = live;
	to->stack = stack;
	REAP_STORE_RELAXED(&stack->owner, to);	/* no order: a lookup is a snapshot */
	reap__stack_unpromise(&worker->cache);
	reap__count_own(&worker->count.ledger[REAP_PAYER_SUCCESSOR].stacks, 1);
	worker->current = to;
	REAP_STORE_RELAXED(&to->sp, NULL);
	reap_md_launch(live, worker, &to->control);
}
#endif

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
		reap__count_own(&worker->count.ledger[REAP_PAYER_SUCCESSOR].stacks, 1);
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

/*
 * Whether the running context, no base context, may claim its child that lives and sleep: it waits for nobody, hence not for us.  Who
 * is plain and lives is LIVE: only its parent could have claimed it, who would sleep.
 */
REAP__INLINE bool
reap__sleeps_plainly(const struct reap_context *self, const struct reap_context *child, uint32_t flags)
{
	return (flags & (REAP__PLAIN | REAP__EXITED)) == REAP__PLAIN && (self->flags & REAP__BASE) == 0 &&
	    child->live->young.claimed == NULL;
}

/*
 * Claims the child and arms its completion, as reap__to_sleep() does, but for what only reap__sleeps_on() and the like would read;
 * returns the successor.
 */
REAP__INLINE struct reap_context *
reap__plain_sleep(struct reap_worker *worker, struct reap_context *self, struct reap_context *child,
    struct reap_result *result)
{
	struct reap__live	*live = self->live;
	struct reap_context	*to;

	reap__slot_must_be_empty(worker);
	REAP_STORE_RELAXED(&child->prev, self);
	reap__count_own(&child->claim, REAP__CLAIMED - REAP__LIVE);
	live->young.claimed = child;
	live->result = result;
	reap__set_own32(&child->flags, REAP__AWAITED);
	live->waits.waiter.ready = reap__ready_sleeper;
	live->waits.context = self;
	REAP_STORE_RELAXED(&child->done.reap__word, (uintptr_t)&live->waits.waiter);
	reap__count_own(&worker->count.barrier, 1);
	to = worker->domain->host.next(worker);		/* there is a host where somebody is plain */
	return to != NULL ? to : worker->base;
}

#if defined(REAP_MD_LAUNCH) && !REAP__SAN_WATCHES_STACKS
/* context.c: the same on one where no plain life of this worker's was the last; so that nobody else saves registers for it. */
int	reap__leave_to_launch_anew(struct reap_worker *worker, struct reap_context *to, struct reap__stack *stack,
	    int (*after)(struct reap_worker *, void *), void *arg) __attribute__((visibility("hidden")));

/* Leaves for one of this worker's that is fresh, and gets this stack. */
REAP__INLINE int
reap__leave_to_launch(struct reap_worker *worker, struct reap_context *to, struct reap__stack *stack,
    int (*after)(struct reap_worker *, void *), void *arg)
{
	struct reap_context	*from = worker->current;
	struct reap__live	*live = reap__live_of(stack);

	reap__san_plain_reuse(stack->lo, (size_t)(stack->top - stack->lo));
	if (REAP_UNLIKELY(live->clean != worker))
		return reap__leave_to_launch_anew(worker, to, stack, after, arg);
	(void)reap__settle_on(stack, to);
	worker->current = to;
	REAP_STORE_RELAXED(&to->sp, NULL);
	reap__count_own(&worker->count.switches, 1);
	return reap_md_leave_launch(&from->sp, live, worker, after, arg, &to->control);
}
#endif

/* Leaves in a plain sleep. */
REAP__INLINE int
reap__leave_plainly(struct reap_worker *worker, struct reap_context *to, int (*after)(struct reap_worker *, void *), void *arg)
{
#if defined(REAP_MD_LAUNCH) && !REAP__SAN_WATCHES_STACKS
	if (reap__fresh(to) && REAP_LIKELY(to->live == &worker->fresh_live))
		return reap__leave_to_launch(worker, to, reap__stack_fetch(&worker->cache), after, arg);
#endif
	return reap__leave(worker, to, after, arg);
}

/* Whether the child of the running context, which it has claimed or finds on its list, is off the CPU and has ended plainly. */
REAP__INLINE bool
reap__collects_plainly(const struct reap_context *child)
{
	return (reap__flags(child) & REAP__PLAIN) != 0 && reap_completion_posted(&child->done);
}

/* The same, and it is on the list. */
REAP__INLINE bool
reap__collects_listed(const struct reap_context *child, uint32_t flags)
{
	return (flags & (REAP__PLAIN | REAP__LISTED)) == (REAP__PLAIN | REAP__LISTED) &&
	    reap_completion_posted(&child->done);
}

/* What is seldom done at a collect, at its end; so that nobody else saves registers for it.  stack: to be put, or NULL. */
int	reap__plain_collect_rest(struct reap_worker *worker, struct reap__stack *stack);

/* What its collector knows of a plain dead one. */
enum reap__corpse {
	REAP__ON_LIST,
	REAP__CLAIMED_ALIVE,		/* so it is on no list */
	REAP__CAME_STRAIGHT		/* and it has its stack */
};

/* Of what is to be told, and of its stack, the caller of the first half knows whether there is any. */
REAP__INLINE int
reap__plain_collect(struct reap_worker *worker, struct reap_context *parent, struct reap_context *child,
    struct reap_result *result, enum reap__corpse how)
{
	struct reap__stack_cache *cache = &worker->cache;
	struct reap__stack	*stack = child->stack;

	if (result != NULL)
		*result = (struct reap_result){
			.handle = { (uintptr_t)child, REAP__CLAIM_GENERATION(REAP_LOAD_RELAXED(&child->claim)) },
			.status = child->status, .user = child->user,
		};
	if (how == REAP__ON_LIST)
		reap__inbox_unlink(&parent->inbox, child);
	parent->kids--;
	REAP_STORE_RELAXED(&child->flags, 0);	/* clean */
	REAP_STORE_RELAXED(&child->claim, 0);	/* FREE, as in reap__descriptor_free() */
	if (how == REAP__CAME_STRAIGHT || stack != NULL) {
		reap__san_plain_destroy(REAP__SAN(child->live));
		reap__san_nobodys(stack->lo, (size_t)(stack->top - stack->lo));
		child->live = NULL;
		child->stack = NULL;
		reap__count_own(&worker->count.whole, 1);
	} else
		reap__count_own(&worker->count.ledger[REAP_PAYER_PARENT].contexts, 1);
	REAP__SAN_DESCRIPTOR(child, reap__san_nobodys);
	child->next = worker->descriptors;
	worker->descriptors = child;
	worker->room--;
	if (how == REAP__CAME_STRAIGHT || stack != NULL) {
		if (REAP_UNLIKELY(cache->count >= cache->batch))
			return reap__plain_collect_rest(worker, stack);
		reap__stack_cache_push(cache, stack);
	}
	if (REAP_UNLIKELY(worker->room < 0) || REAP_UNLIKELY(reap__stack_besides(cache) != 0))
		return reap__plain_collect_rest(worker, NULL);
	return 0;
}

#endif
