/* SPDX-License-Identifier: ISC */
/*
 * exit.c: the end of a context, up to the post.
 *
 * On the dying stack: listeners, heirs, the slot, the final switch.  What follows is in landing.c, on the successor's.
 */
#include <errno.h>

#include <reap/atomic.h>
#include <reap/resume.h>

#include "plain.h"

/* The heir of last resort takes over.  Returns who slept there. */
struct reap_waiter *
reap__to_adopter(struct reap_context *context)
{
	struct reap_domain	*domain = reap__domain_of(context);
	struct reap_adopter	*adopter = context->adopter;
	struct reap_waiter	*sleeper;

	for (;; adopter = adopter->heir) {
		if (adopter == NULL)
			adopter = &domain->adopter;
		/* Counted first: a drain may be done with it before the push returns, and the gauge must not pass below 0. */
		(void)REAP_ADD_RELAXED(&adopter->handed, 1);
		if (reap__inbox_push(&adopter->inbox, context, &sleeper))
			return sleeper;
		(void)REAP_ADD_RELAXED(&adopter->handed, (uint64_t)-1);
	}
}

/*
 * Somebody else than the parent has taken a child off its hands.  Counted, then kicked: a parent in wait_any that sees the
 * kick sees the count.  Dropping the reference comes last: the parent may be nothing but this descriptor.
 */
struct reap_waiter *
reap__let_go(struct reap_worker *worker, struct reap_context *parent)
{
	struct reap_waiter *sleeper;

	/* Release: pairs with the acquire in reap__sweep(): what is counted as gone has left its tombstone on the list. */
	(void)REAP_ADD_ACQ_REL(&parent->refs, REAP__GONE);
	sleeper = reap__inbox_kick(&parent->inbox);
	/* A sleeper is the parent itself, which stays until it is readied; the caller does that. */
	reap__ref_add(worker, parent, (uint64_t)-1);
	return sleeper;
}

static void
tell(struct reap__told *told, struct reap_waiter *sleeper)
{
	unsigned i = 0;

	if (sleeper == NULL)
		return;
	while (told->who[i] != NULL)	/* there is room: one parent, one adopter, one collector at most */
		i++;
	told->who[i] = sleeper;
}

/* One transition decides who gets the corpse [5]; then the heir finds it in its inbox.  On the exiting stack, never blocks. */
void
reap__bequeath(struct reap_context *context, struct reap__told *told)
{
	struct reap_context	*parent = context->parent;
	struct reap_waiter	*sleeper = NULL;
	/* Acquire: pairs with the claims of collectors and detachers, as all accesses to `claim' here do; the last writer's
	 * view of the context happens before ours. */
	uint64_t		 claim = REAP_LOAD_ACQUIRE(&context->claim), generation = REAP__CLAIM_GENERATION(claim);
	uint64_t		 zombie = REAP__CLAIM(generation, REAP__ZOMBIE), adopted = REAP__CLAIM(generation, REAP__ADOPTED);

	if (reap__private(reap__flags(context)) && REAP__CLAIM_STATE(claim) == REAP__LIVE) {
		if (REAP_LIKELY((reap__flags(parent) & (REAP__EXITED | REAP__NO_ZOMBIES)) == 0)) {
			/* Parent and child are on this worker, and so is whoever will look: little of this is atomic. */
			REAP_STORE_RELAXED(&context->claim, zombie);
			reap__set_flags(context, REAP__LISTED);
			tell(told, reap__inbox_receive(parent, context));
			return;
		}
		reap__share_words(context);
	}
	while (REAP__CLAIM_STATE(claim) == REAP__LIVE || REAP__CLAIM_STATE(claim) == REAP__CLAIMED) {
		bool unwanted = parent != NULL && (reap__flags(parent) & REAP__NO_ZOMBIES) != 0;

		if (REAP__CLAIM_STATE(claim) == REAP__CLAIMED) {
			/* The collector sleeps on the completion, or will look at it; unless it is about to take its claim back,
			 * see unclaim_live(): one transition decides.  A private one's collector is here, and does not. */
			if (reap__private(reap__flags(context)) ||
			    REAP_CAS_ACQ_REL(&context->claim, &claim, REAP__CLAIM(generation, REAP__DOOMED)))
				return;
			continue;
		}
		/* Release: pairs with the acquire of the collector that claims it now. */
		if (!REAP_CAS_ACQ_REL(&context->claim, &claim, unwanted ? adopted : zombie))
			continue;
		if (unwanted) {
			tell(told, reap__let_go(reap_worker_self(), parent));
			tell(told, reap__to_adopter(context));
			return;
		}
		if (parent == NULL)
			return;
		if (reap__inbox_push(&parent->inbox, context, &sleeper)) {
			/* Read after the post by a collector that is not the parent: it leaves a tombstone on the list. */
			reap__set_flags(context, REAP__LISTED);
			tell(told, sleeper);
			return;
		}
		/* The parent ended first.  A joiner may have claimed us meanwhile: then it reaps, and lets the parent go. */
		if (REAP_CAS_ACQ_REL(&context->claim, &zombie, REAP__CLAIM(generation, REAP__ORPHANED))) {
			REAP__COUNT(reap__domain_of(context), reap__worker_in(reap__domain_of(context)), orphans);
			tell(told, reap__let_go(reap_worker_self(), parent));
			tell(told, reap__to_adopter(context));
		}
		return;
	}
	if (reap__adopted(claim))
		tell(told, reap__to_adopter(context));
}

/* A parent ends: what it has not collected goes to the adopter, what still lives will find the inbox closed. */
void
reap__disinherit(struct reap_worker *worker, struct reap_context *parent)
{
	struct reap_context *child;

	if (REAP_LIKELY(parent->kids == 0))
		return;		/* no child has not been collected, so none can be listed or come later */
	/* A sleeper can only be the parent itself, destroyed while it slept: nobody will ready it. */
	(void)reap__inbox_close(&parent->inbox);
	while ((child = parent->inbox.corpses) != NULL) {
		struct reap_waiter	*drainer;
		/* Acquire: pairs with the release of the child's own transition, or of a claimer. */
		uint64_t		 claim = REAP_LOAD_ACQUIRE(&child->claim);
		uint64_t		 orphaned = REAP__CLAIM(REAP__CLAIM_GENERATION(claim), REAP__ORPHANED);

		reap__inbox_unlink(&parent->inbox, child);
		/* Release: pairs with the drain's acquire of the inbox it is pushed to next. */
		if (REAP__CLAIM_STATE(claim) != REAP__ZOMBIE || !REAP_CAS_ACQ_REL(&child->claim, &claim, orphaned)) {
			reap__ref_add(worker, child, (uint64_t)-1);	/* a joiner's: the list drops its tombstone */
			continue;
		}
		parent->kids--;
		REAP__COUNT(reap__domain_of(child), worker, orphans);
		drainer = reap__to_adopter(child);
		if (drainer != NULL)
			drainer->ready(drainer);
	}
}

/* The parent is told at the exit already, although the dying one is still on the CPU: it will meet the barrier. */
static void
tell_early(struct reap_context *context, struct reap__told *told)
{
	uintptr_t word = REAP_LOAD_RELAXED(&context->done.reap__word);

	/* Acquire: pairs with the release in reap_completion_arm(): the waiter is read next.  It finds the completion not
	 * posted and arms again. */
	if (word != REAP__PENDING && REAP_CAS_ACQ_REL(&context->done.reap__word, &word, REAP__PENDING))
		tell(told, (struct reap_waiter *)word);
}

/* All of an exit that is not the final switch.  From here no block, no allocation, no lock, no failure, no system call [10]. */
static void
die(struct reap_domain *domain, struct reap_worker *worker, struct reap_context *context, intptr_t status,
    struct reap__told *told)
{
	reap__disinherit(worker, context);
	reap__not_plain(context);
	context->status = status;
	/* Release: pairs with the acquire in reap_peek(): who sees EXITED reads the status. */
	REAP_STORE_RELEASE(&context->flags, context->flags | REAP__EXITED);
	REAP__COUNT(domain, worker, exited);
	if (context->flags & REAP__PINNED)
		(void)REAP_ADD_RELAXED(&context->live->home->pinned, (uint32_t)-1);
	if (worker != NULL)
		worker->loose--;		/* as far as it did not count here ... */
	if (context->flags & REAP__BOUND)
		context->live->home->loose++;	/* ... and it may have */
	reap__bequeath(context, told);
}

/* The context that sleeps behind this waiter, if it may run here. */
struct reap_context *
reap__follower(const struct reap_worker *worker, struct reap_waiter *waiter)
{
	struct reap_context *sleeper = reap__sleeper(waiter);

	return sleeper != NULL && reap__domain_of(sleeper) == worker->domain &&
	    ((reap__flags(sleeper) & (REAP__BOUND | REAP__PINNED)) == 0 || sleeper->live->home == worker) ? sleeper : NULL;
}

/*
 * Nothing else is runnable, and somebody sleeps for the one who dies: straight to that one.  Its own landing makes the post that
 * it waits for, so it is not told.
 */
static struct reap_context *
follow(struct reap_worker *worker, struct reap_context *dying, struct reap__told *told)
{
	struct reap_context	*sleeper;
	/* Acquire: pairs with the release in reap_completion_arm(). */
	uintptr_t		 word = REAP_LOAD_ACQUIRE(&dying->done.reap__word);

	if (told->who[0] != NULL) {
		sleeper = told->who[1] == NULL ? reap__follower(worker, told->who[0]) : NULL;
		if (sleeper != NULL)
			told->who[0] = NULL;
		return sleeper;
	}
	if (word == REAP__PENDING || (sleeper = reap__follower(worker, (struct reap_waiter *)word)) == NULL)
		return NULL;
	if (reap__private(reap__flags(dying))) {
		REAP_STORE_RELAXED(&dying->done.reap__word, REAP__PENDING);
		return sleeper;
	}
	/* pairs with reap_completion_disarm(): the sleeper is ours to resume, or gone */
	return REAP_CAS_ACQ_REL(&dying->done.reap__word, &word, REAP__PENDING) ? sleeper : NULL;
}

/* With something uncommon. */
static _Noreturn __attribute__((noinline)) void
exit_cold(struct reap_worker *worker, intptr_t status)
{
	struct reap_context		*context, *to;
	struct reap_domain		*domain;
	struct reap_exit_listener	*listener;
	struct reap__told		 told = { { NULL } };

	if (worker == NULL || (context = worker->current)->flags & REAP__BASE)
		reap_misuse("exit-base", "reap_exit() was called outside a context, or by the base context of a worker");
	if (reap__exits_simply(context, context->flags))
		reap__simple_exit(worker, context, context->flags, status);
	domain = worker->domain;
	if (domain->host.locks_held != NULL && domain->host.locks_held(context))
		reap_misuse("exit-with-lock", "a context ended holding a lock of its host");
	while (REAP_UNLIKELY((listener = context->live->young.listeners) != NULL)) {
		context->live->young.listeners = listener->reap__next;
		listener->exiting(listener, context, status);
		worker = reap_worker_self();	/* it may have blocked, and come back on another worker [8] */
	}
	/* ---- the no-block point ---- */
	to = REAP_UNLIKELY(context->flags & REAP__OWNED) ? reap__resumer_of(context) : NULL;
	die(domain, worker, context, status, &told);
	if (context->flags & REAP__EARLY) {
		tell_early(context, &told);
		reap__tell_host(domain, context);
		reap__ready_all(&told);
		if (told.who[0] != NULL)
			reap__set_flags(context, REAP__AWAITED);
		told = (struct reap__told){ { NULL } };
	}
	if (REAP_LIKELY(to == NULL))
		to = reap__successor(worker);
	if (to == worker->base && domain->host.direct && REAP__POLICY_OF(context->flags) != REAP_POLICY_THREAD) {
		struct reap_context *sleeper = follow(worker, context, &told);

		if (sleeper != NULL) {
			reap__set_flags(context, REAP__AWAITED);
			to = sleeper;
		}
	}
	if (to == worker->base)
		REAP__COUNT(domain, worker, based);
	worker->told = told;	/* for the landing, see land_cold(), which empties it */
	reap_slot_put(&worker->slot, &context->done);	/* aborts if full [3] */
	if (REAP_UNLIKELY(domain->before_final_switch != NULL))
		domain->before_final_switch(context);
	reap__jump(worker, to);
}

/* Somebody sleeps for the plain one that dies, and whose completion is in the slot. */
static _Noreturn __attribute__((noinline)) void
exit_awaited(struct reap_worker *worker)
{
	struct reap_context *to = worker->domain->host.next(worker);

	reap__jump_plainly(worker, REAP_UNLIKELY(to != NULL) ? to : reap__plain_follower(worker, worker->current));
}

/*
 * Its parent sleeps for it, and nothing else: the claim is the parent's, the inbox is not in play.  If nothing is runnable the parent
 * goes on, who finds it in the slot: plainly_woken().
 */
static _Noreturn __attribute__((noinline)) void
exit_straight(struct reap_worker *worker, struct reap_context *context, uint32_t flags, intptr_t status)
{
	struct reap_context *to;

	context->status = status;
	reap__count_own(&worker->count.plain, 1);
	/* Release: as in die(). */
	REAP_STORE_RELEASE(&context->flags, flags | REAP__EXITED);
	reap_slot_put(&worker->slot, &context->done);	/* aborts if full [3] */
	to = worker->domain->host.next(worker);
	if (REAP_UNLIKELY(to != NULL))
		reap__jump_plainly(worker, to);
	context = worker->current;
	REAP_STORE_RELAXED(&context->done.reap__word, REAP__PENDING);	/* nobody need be readied */
	reap__jump_straight(worker, context->parent);
}

/* Neither straight, nor simple, nor plain without anybody who waits.  worker: where it is at home, if it is. */
static _Noreturn __attribute__((noinline)) void
exit_otherwise(struct reap_worker *worker, struct reap_context *context, uint32_t flags, intptr_t status)
{
	if (reap__exits_plainly(context, flags)) {	/* and AWAITED, so it is claimed */
		(void)reap__plain_exit(worker, context, flags, status);
		exit_awaited(worker);
	}
	exit_cold(reap_worker_self(), status);
}

REAP__INLINE _Noreturn void
exit_now(struct reap_worker *worker, struct reap_context *context, uint32_t flags, intptr_t status)
{
	struct reap_context *to;

	if (REAP_UNLIKELY((flags & (REAP__PLAIN | REAP__KIN | REAP__AWAITED)) != REAP__PLAIN)) {
		if ((flags & REAP__AWAITED) != 0 && reap__exits_straight(context, flags))
			exit_straight(worker, context, flags, status);
		if (reap__exits_simply(context, flags))
			reap__simple_exit(worker, context, flags, status);
		exit_otherwise(worker, context, flags, status);
	}
	if (REAP_UNLIKELY(!reap__exits_plainly(context, REAP__PLAIN)))
		exit_cold(worker, status);
	if (reap__plain_exit(worker, context, flags, status))
		exit_awaited(worker);
	to = worker->domain->host.next(worker);
	if (REAP_UNLIKELY(to == NULL)) {
		reap__count_own(&worker->count.based, 1);
		to = worker->base;
	}
#if defined(REAP_MD_LAUNCH) && !REAP__SAN_WATCHES_STACKS
	if (REAP_LIKELY(reap__hands_over(worker, worker->current, to)))
		reap__hand_over(worker, worker->current, to);
#endif
	reap__jump_plainly(worker, to);
}

_Noreturn void
reap_exit(intptr_t status)
{
	struct reap_worker *worker = reap__here;

	if (REAP_UNLIKELY(worker == NULL))
		exit_cold(worker, status);	/* says so */
	exit_now(worker, worker->current, reap__flags(worker->current), status);
}

/* Its entry function has returned. */
REAP__INLINE _Noreturn void
ended(struct reap_context *context, intptr_t status)
{
	exit_now(context->live->home, context, reap__flags(context), status);	/* who is plain, or simple, has not left its home */
}

/* The first instruction of every context: a landing like any other [4].  And its last ones, if it returns. */
void
reap__entry(void *pass)
{
	struct reap_worker	*worker = pass;
	struct reap_context	*context = worker->current;
	intptr_t		 status;

	reap__landed(worker);
	if (context->flags & REAP__NEW)
		REAP_STORE_RELAXED(&context->flags, context->flags & ~REAP__NEW);
	status = context->live->entry(context->live->arg);
	ended(context, status);
}

#ifdef REAP_MD_LAUNCH
/*
 * The same for who is launched.  What can be in the slot is a plain dead one whose stack this now is, and for whom nobody sleeps:
 * reap__hand_over().
 */
void
reap__entry_fresh(void *pass)
{
	struct reap_worker	*worker = pass;
	struct reap_context	*context = worker->current;
	struct reap_completion	*done = (struct reap_completion *)worker->slot.reap__prev;
	reap_entry		*entry = context->fresh.entry;
	void			*arg = context->fresh.arg;

	if (REAP_LIKELY(done != NULL)) {
		worker->slot.reap__prev = 0;
		/* Release: pairs with reap_completion_posted(). */
		REAP_STORE_RELEASE(&done->reap__word, REAP__POSTED);
	}
	REAP_STORE_RELAXED(&context->inbox.head, 0);
	context->inbox.corpses = NULL;
	ended(context, entry(arg));
}
#endif

int
reap_context_destroy(struct reap_context *context, intptr_t status)
{
	struct reap_domain	*domain = reap__domain_of(context);
	struct reap_worker	*worker = reap__worker_in(domain);
	struct reap_context	*claimed;
	struct reap__told	 told = { { NULL } };
	bool			 owned = (context->flags & REAP__OWNED) != 0;

	if (context->flags & REAP__EXITED)
		reap_misuse("destroy-dead", "reap_context_destroy() of a context that has ended");
	if (reap__fresh(context))
		(void)reap__bind(context);
	if (context->sp == NULL || context->flags & REAP__BASE)
		reap_misuse("destroy-running", "reap_context_destroy() of a context that is on a CPU, or of a base context");
	if (owned && reap_resumed_by(context) != NULL)
		return -EBUSY;
	if (reap__private(context->flags) && context->live->home != worker)
		reap__share_words(context);	/* its worker stands still, says the caller */
	claimed = context->live->young.claimed;
	if (claimed != NULL) {
		/* pairs with the post: whom it waited for is off the CPU, nobody will ready the waiter on this stack. */
		if (!reap_completion_posted(&claimed->done))
			return -EBUSY;
		/* The wait was over but for its return: what it had claimed is reaped here. */
		context->live->young.claimed = NULL;
		reap__collect(worker, claimed, context, claimed->parent == context ? REAP_PAYER_PARENT : REAP_PAYER_JOINER,
		    NULL);
	} else
		reap__sleep_forget(context);
	context->sp = NULL;
	/* Nobody stands on the stack: whoever collects it frees it, and the reaper thread may have been stopped already. */
	if (REAP__POLICY_OF(context->flags) == REAP_POLICY_THREAD)
		REAP_STORE_RELAXED(&context->flags, (context->flags & ~(7u << REAP__POLICY_SHIFT)) |
		    (uint32_t)REAP_POLICY_PARENT << REAP__POLICY_SHIFT);
	die(domain, worker, context, status, &told);
	REAP__COUNT(domain, worker, destroyed);
	if (context->flags & REAP__EARLY)
		reap__tell_host(domain, context);
	reap__ended(worker, context, &told);
	/* It is gone with the post [2]; unless it is owned, when nobody else may collect it. */
	if (owned)
		reap__collect(worker, context, worker != NULL ? worker->current : NULL, REAP_PAYER_PARENT, NULL);
	return 0;
}

void
reap_exit_listen(struct reap_context *context, struct reap_exit_listener *listener)
{
	if (reap__fresh(context))
		(void)reap__bind(context);
	reap__not_plain(context);
	listener->reap__next = context->live->young.listeners;
	context->live->young.listeners = listener;
}

int
reap_exit_unlisten(struct reap_context *context, struct reap_exit_listener *listener)
{
	if (reap__fresh(context))
		return -ENOENT;		/* with the first one it was given a stack */
	for (struct reap_exit_listener **link = &context->live->young.listeners; *link != NULL; link = &(*link)->reap__next)
		if (*link == listener) {
			*link = listener->reap__next;
			return 0;
		}
	return -ENOENT;
}
