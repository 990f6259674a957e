/* SPDX-License-Identifier: ISC */
/*
 * wait.c: who may collect.  Claim first, then the barrier, then the reap: a barrier before the claim lets two collectors
 * through, a reap before the barrier frees a stack that still runs.
 */
#include <errno.h>

#include <reap/atomic.h>

#include "barrier.h"
#include "plain.h"

/* The running context, or NULL. */
static struct reap_context *
current(void)
{
	struct reap_worker *worker = reap_worker_self();

	return worker != NULL ? worker->current : NULL;
}

static uint32_t
children_of(const struct reap_context *parent)
{
	/* Relaxed: the count is read after the inbox was taken, and that paired with the kick that followed the count. */
	return parent->kids - REAP__GONE_COUNT(REAP_LOAD_RELAXED(&parent->refs));
}

/*
 * Does `target' wait, through however many others, for us?  All on that chain are parked because of us and stay there, so
 * walking it is safe: we were claimed by prev, who was claimed by its prev...
 */
static bool
waits_for_us(const struct reap_context *self, const struct reap_context *target)
{
	while (self != target) {
		const struct reap_context *claimer;

		/* Acquire: pairs with the release in claim(): the claimer of this very claim is read next.  Of those who close a
		 * cycle at the same moment each has claimed before it looks, a fence in between, so the last one sees all other
		 * claims; who made them may have yet to be said. */
		if ((reap__flags(self) & (REAP__BASE | REAP__EXITED)) != 0)
			return false;
		do
			if (REAP__CLAIM_STATE(REAP_LOAD_ACQUIRE(&self->claim)) != REAP__CLAIMED)
				return false;
		while ((claimer = REAP_LOAD_RELAXED(&self->prev)) == NULL);
		if (claimer == self)
			return false;	/* an OS thread's */
		self = claimer;
	}
	return true;
}

/* The one transition that makes us the collector [5].  generation 0: the caller knows the context to be there. */
REAP__INLINE int
claim(struct reap_context *context, uint64_t generation, struct reap_context *self)
{
	/* Acquire: pairs with the release of the context's own transition in its exit, and of create. */
	uint64_t word = REAP_LOAD_ACQUIRE(&context->claim);

	if (reap__private(reap__flags(context)) && generation == 0) {
		/* Ours, and of this worker: nobody else can reach it. */
		if (REAP__CLAIM_STATE(word) != REAP__LIVE && REAP__CLAIM_STATE(word) != REAP__ZOMBIE)
			return REAP__CLAIM_STATE(word) == REAP__CLAIMED || REAP__CLAIM_STATE(word) == REAP__DOOMED ? -EBUSY : -ECHILD;
		if (REAP__CLAIM_STATE(word) == REAP__LIVE)
			REAP_STORE_RELAXED(&context->prev, self);
		REAP_STORE_RELAXED(&context->claim, REAP__CLAIM(REAP__CLAIM_GENERATION(word), REAP__CLAIMED));
		return 0;
	}
	for (;;) {
		if (generation != 0 && REAP__CLAIM_GENERATION(word) != generation)
			return -ESRCH;
		switch (REAP__CLAIM_STATE(word)) {
		case REAP__LIVE:
			/* Without a host a context cannot let others run while it waits: it may only claim who has ended. */
			if (self != NULL && !reap__domain_of(self)->hosted && !(reap__flags(context) & REAP__EXITED))
				return -EDEADLK;
			/* fallthrough */
		case REAP__ZOMBIE:
			/* Release: pairs with the acquire in the exit, and in other claimers. */
			if (REAP_CAS_ACQ_REL(&context->claim, &word,
			    REAP__CLAIM(REAP__CLAIM_GENERATION(word), REAP__CLAIMED))) {
				/* Claimed alive it will be on no list: the field is free to say by whom. */
				if (REAP__CLAIM_STATE(word) == REAP__LIVE)
					REAP_STORE_RELAXED(&context->prev, self != NULL ? self : context);
				return 0;
			}
			continue;
		case REAP__CLAIMED:
		case REAP__DOOMED:
			return -EBUSY;
		default:
			return generation != 0 ? -ESRCH : -ECHILD;
		}
	}
}

/*
 * Nothing came of it: as it was.  False: the context has ended meanwhile, because another one on the circle gave up as well, and
 * left itself to us.
 */
static bool
unclaim_live(struct reap_context *context)
{
	uint64_t word = REAP__CLAIM(REAP__CLAIM_GENERATION(REAP_LOAD_RELAXED(&context->claim)), REAP__CLAIMED);

	REAP_STORE_RELAXED(&context->prev, NULL);	/* said anew by the next claimer, see waits_for_us() */
	/* Release: pairs with the acquire of the next claimer, and of the exit. */
	return REAP_CAS_ACQ_REL(&context->claim, &word, REAP__CLAIM(REAP__CLAIM_GENERATION(word), REAP__LIVE));
}

/* By the parent, after a peek: a zombie that the next wait finds. */
static void
unclaim_dead(struct reap_context *context, struct reap_context *parent)
{
	uint64_t word = REAP_LOAD_RELAXED(&context->claim);

	if (!(reap__flags(context) & REAP__LISTED)) {
		reap__set_flags(context, REAP__LISTED);
		reap__inbox_take(&parent->inbox);	/* those who ended before it come before it */
		reap__inbox_append(&parent->inbox, context);
	}
	/* Release: pairs with the acquire of the next claimer. */
	REAP_STORE_RELEASE(&context->claim, REAP__CLAIM(REAP__CLAIM_GENERATION(word), REAP__ZOMBIE));
}

static int	meet(struct reap_worker *, struct reap_context *, struct reap_context *self, unsigned flags, struct reap_result *);

/* The barrier is behind us, or it came to nothing. */
static int
finish(struct reap_worker *worker, struct reap_context *context, struct reap_context *self, unsigned flags,
    struct reap_result *result, int error)
{
	bool parent = self != NULL && context->parent == self;

	if (REAP_UNLIKELY(error != 0))
		return unclaim_live(context) ? error : meet(worker, context, self, flags, result);
	if (flags & REAP_PEEK) {
		if (result != NULL) {
			/* It lives on, and with this its name is out. */
			if (reap__private(reap__flags(context)))
				reap__share_words(context);
			reap__result(context, result);
		}
		unclaim_dead(context, self);
		return 0;
	}
	if (REAP_LIKELY(parent && reap__collects_plainly(context)))
		return reap__plain_collect(worker, self, context, result, reap__flags(context) & REAP__LISTED ? REAP__ON_LIST :
		    REAP__CLAIMED_ALIVE);
	reap__collect(worker, context, self, parent ? REAP_PAYER_PARENT : REAP_PAYER_JOINER, result);
	return 0;
}

/* The context is back from its sleep, on whatever worker, and has landed. */
static int
awake(struct reap_context *self)
{
	struct reap__live *live = self->live;

	live->young.sleep = NULL;
	/* An early notification readies us before the post: look, and sleep again. */
	while (REAP_UNLIKELY(!reap_completion_posted(live->waits.done)) && live->waits.error != -EBUSY)
		reap__park_sleeper(reap_worker_self(), &live->waits);
	live->young.claimed = NULL;
	return finish(reap_worker_self(), live->target, self, live->how, live->result,
	    reap_completion_posted(live->waits.done) ? 0 : -EBUSY);
}

static int
woken(struct reap_worker *worker, void *arg)
{
	reap__landed(worker);
	return awake(arg);
}

static __attribute__((noinline)) int
woken_after_all(struct reap_context *self)
{
	struct reap__live *live = self->live;

	live->target = live->young.claimed;
	live->how = 0;
	live->waits.done = &live->target->done;
	live->waits.whose = live->target;
	live->waits.error = 0;
	return awake(self);
}

/* By a landing, or by the child that has turned out to be uncommon. */
static __attribute__((noinline)) int
woken_by_another(struct reap_worker *worker, struct reap_context *self, struct reap_context *child)
{
	if (worker->slot.reap__prev != 0)
		reap__land(worker);
	if (REAP_UNLIKELY(!reap__collects_plainly(child)))
		return woken_after_all(self);	/* named, or a parent itself, meanwhile */
	self->live->young.claimed = NULL;
	return reap__plain_collect(worker, self, child, self->live->result, REAP__CLAIMED_ALIVE);
}

static int
plainly_woken(struct reap_worker *worker, void *arg)
{
	struct reap_context	*self = arg, *child = self->live->young.claimed;

	reap__san_landed(REAP__SAN(self->live));
	if (REAP_UNLIKELY(worker->slot.reap__prev != (uintptr_t)&child->done || (reap__flags(child) & REAP__STRAIGHT) == 0))
		return woken_by_another(worker, self, child);
	/* Straight from the child that we slept for, see exit_straight(): it is ours whole, and landing, post and reap are one. */
	worker->slot.reap__prev = 0;
	self->live->young.claimed = NULL;
	return reap__plain_collect(worker, self, child, self->live->result, REAP__CAME_STRAIGHT);
}

/* Claimed: meet the barrier, then collect.  To be called last: a context that sleeps comes back in woken(). */
REAP__INLINE int
barrier(struct reap_worker *worker, struct reap_context *context, struct reap_context *self, unsigned flags,
    struct reap_result *result)
{
	struct reap__live *live;

	if (reap_completion_posted(&context->done))
		return finish(worker, context, self, flags, result, 0);
	if (self != NULL && !(reap__flags(context) & REAP__EXITED)) {
		/* pairs with itself: two who close a circle have each claimed before they look (store buffering).  A private one
		 * that waits for nobody closes none; one that does may have a stranger on its other side. */
		if (!reap__private(reap__flags(context)) || context->live->young.claimed != NULL)
			REAP_FENCE_SEQ_CST();
		if (context == self || waits_for_us(self, context))
			return finish(worker, context, self, flags, result, -EDEADLK);
	}
	if (REAP_UNLIKELY(self == NULL || self->flags & REAP__BASE || !worker->domain->hosted)) {
		struct reap__sleep sleep = { .done = &context->done, .whose = context };
		int error;

		if (self != NULL)
			self->live->young.claimed = context;
		error = reap__await_cold(worker, &sleep);
		if (self != NULL)
			self->live->young.claimed = NULL;
		return finish(reap_worker_self(), context, self, flags, result, error);
	}
	live = self->live;
	live->young.claimed = context;	/* While it lives; once it is dead the field links it into a list. */
	live->target = context;
	live->how = flags;
	live->result = result;
	live->waits.done = &context->done;
	live->waits.whose = context;
	REAP__COUNT(worker->domain, worker, barrier);
	return reap__leave(worker, reap__to_sleep(worker, &live->waits), woken, self);
}

static int
meet(struct reap_worker *worker, struct reap_context *context, struct reap_context *self, unsigned flags,
    struct reap_result *result)
{
	return barrier(worker, context, self, flags, result);
}

static __attribute__((noinline)) int
wait_cold(struct reap_context *child, unsigned flags, struct reap_result *result)
{
	struct reap_worker	*worker = reap_worker_self();
	struct reap_context	*self;
	int			 error;

	if (child == NULL || (flags & ~(REAP_NOHANG | REAP_PEEK)) != 0)
		return -EINVAL;
	if (worker == NULL)
		return -EPERM;
	self = worker->current;
	if (child == self)
		return -EDEADLK;
	if (child->parent != self)
		return -ECHILD;
	if (flags & REAP_NOHANG && !reap_completion_posted(&child->done)) {
		enum reap__claim state = REAP__CLAIM_STATE(REAP_LOAD_RELAXED(&child->claim));

		return state == REAP__CLAIMED || state == REAP__DOOMED ? -EBUSY :
		    state == REAP__ADOPTED || state == REAP__ORPHANED ? -ECHILD : -EAGAIN;
	}
	error = claim(child, 0, self);
	if (error != 0)
		return error;
	return barrier(worker, child, self, flags, result);
}

/* The parent claims the child that lives, and sleeps. */
static __attribute__((noinline)) int
wait_plainly(struct reap_worker *worker, struct reap_context *self, struct reap_context *child, struct reap_result *result)
{
	struct reap_context *to = reap__plain_sleep(worker, self, child, result);

	return reap__leave_plainly(worker, to, plainly_woken, worker->current);
}

int
reap_wait(struct reap_context *child, unsigned flags, struct reap_result *result)
{
	struct reap_worker	*worker = reap__here;
	struct reap_context	*self;
	uint32_t		 its;

	if (REAP_UNLIKELY(flags != 0))
		return wait_cold(child, flags, result);
	REAP__APART();
	if (REAP_UNLIKELY(child == NULL))
		return wait_cold(child, flags, result);
	REAP__APART();
	if (REAP_UNLIKELY(worker == NULL))
		return wait_cold(child, flags, result);
	self = worker->current;
	if (REAP_UNLIKELY(child->parent != self))
		return wait_cold(child, flags, result);
	its = reap__flags(child);
	if (REAP_LIKELY(reap__collects_listed(child, its)))
		return reap__plain_collect(worker, self, child, result, REAP__ON_LIST);
	if (REAP_LIKELY(reap__sleeps_plainly(self, child, its)))
		return wait_plainly(worker, self, child, result);
	return wait_cold(child, flags, result);
}

int
reap_join(struct reap_handle handle, unsigned flags, struct reap_result *result)
{
	struct reap_worker	*worker = reap_worker_self();
	struct reap_context	*context = (struct reap_context *)handle.where;
	struct reap_context	*self = worker != NULL ? worker->current : NULL;
	int			 error;

	if ((flags & ~(REAP_NOHANG | REAP_PEEK)) != 0 || flags == REAP_PEEK)
		return -EINVAL;
	if (context == NULL)
		return -ESRCH;
	if (flags & REAP_PEEK) {
		struct reap_result	seen;
		enum reap_state		state;
		uint64_t		word;

		error = reap_peek(handle, &state, &seen);
		if (error != 0)
			return error;
		/* Acquire: pairs with the transitions of the exit and of detach. */
		word = REAP_LOAD_ACQUIRE(&context->claim);
		if (REAP__CLAIM_GENERATION(word) != handle.generation || reap__adopted(word))
			return -ESRCH;
		if (state != REAP_STATE_ZOMBIE)
			return -EAGAIN;
		if (result != NULL)
			*result = seen;
		return 0;
	}
	if (context == self)	/* or the name of somebody who had our descriptor before us */
		return REAP__CLAIM_GENERATION(REAP_LOAD_RELAXED(&self->claim)) == handle.generation ? -EDEADLK : -ESRCH;
	if (flags & REAP_NOHANG && !reap_completion_posted(&context->done)) {
		/* Acquire: pairs with the release in create. */
		uint64_t word = REAP_LOAD_ACQUIRE(&context->claim);

		if (REAP__CLAIM_GENERATION(word) != handle.generation)
			return -ESRCH;
		switch (REAP__CLAIM_STATE(word)) {
		case REAP__LIVE:
		case REAP__ZOMBIE:
			return -EAGAIN;
		case REAP__CLAIMED:
		case REAP__DOOMED:
			return -EBUSY;
		default:
			return -ESRCH;
		}
	}
	error = claim(context, handle.generation, self);
	if (error != 0)
		return error;
	return barrier(worker, context, self, flags, result);
}

/*
 * The oldest child that is off the CPU, else (unless nohang) the oldest that is not yet.  Claimed.  On the way, what others
 * have claimed leaves the list.
 */
static struct reap_context *
pick(struct reap_worker *worker, struct reap_context *self, bool nohang)
{
	struct reap_context *child, *next, *last, *late = NULL;

again:
	child = self->inbox.corpses;
	last = child != NULL ? child->prev : NULL;
	for (; child != NULL; child = next) {
		uint64_t word = REAP_LOAD_ACQUIRE(&child->claim);	/* pairs with the transition of whoever made it */
		enum reap__claim state = REAP__CLAIM_STATE(word);

		next = child == last ? NULL : child->next;
		if (state == REAP__ZOMBIE) {
			if (!reap_completion_posted(&child->done)) {
				if (late == NULL)
					late = child;
				continue;
			}
			if (claim(child, 0, self) == 0)
				return child;
		}
		/* A joiner's: the list drops its tombstone. */
		reap__inbox_unlink(&self->inbox, child);
		reap__ref_add(worker, child, (uint64_t)-1);
	}
	if (late == NULL || nohang)
		return NULL;
	if (claim(late, 0, self) == 0)
		return late;
	late = NULL;
	goto again;
}

/* Something is there to be collected, or nothing will ever be: 0, or what to say.  -EAGAIN: neither. */
static int
look(struct reap_worker *worker, struct reap_context *self, bool nohang, struct reap_context **child)
{
	reap__inbox_take(&self->inbox);
	*child = pick(worker, self, nohang);
	return *child != NULL ? 0 : children_of(self) == 0 ? -ECHILD : -EAGAIN;
}

static int
any_woken(struct reap_worker *worker, void *arg)
{
	struct reap_context	*self = arg, *child;
	struct reap__live	*live = self->live;
	int			 error;

	reap__landed(worker);
	live->young.sleep = NULL;
	/* Kicked, or a joiner was faster: sleep again. */
	while ((error = look(worker, self, false, &child)) == -EAGAIN) {
		reap__park_sleeper(worker, &live->waits);
		worker = reap_worker_self();
	}
	return error != 0 ? error : barrier(worker, child, self, live->how, live->result);
}

int
reap_wait_any(unsigned flags, struct reap_result *result)
{
	struct reap_worker	*worker = reap__here;
	struct reap_context	*self, *child;
	struct reap__live	*live;
	int			 error;

	if ((flags & ~(REAP_NOHANG | REAP_PEEK)) != 0)
		return -EINVAL;
	if (worker == NULL)
		return -EPERM;
	self = worker->current;
	child = self->inbox.corpses;
	if (REAP_LIKELY(child != NULL && (flags & REAP_PEEK) == 0 && REAP_LOAD_RELAXED(&self->inbox.head) == 0 &&
	    reap__collects_listed(child, reap__flags(child))))
		return reap__plain_collect(worker, self, child, result, REAP__ON_LIST);
	while ((error = look(worker, self, (flags & REAP_NOHANG) != 0, &child)) == -EAGAIN && (flags & REAP_NOHANG) == 0) {
		if (REAP_LIKELY((self->flags & REAP__BASE) == 0 && worker->domain->hosted)) {
			live = self->live;
			live->how = flags;
			live->result = result;
			live->waits.done = NULL;
			live->waits.whose = NULL;
			live->waits.inbox = &self->inbox;
			return reap__leave(worker, reap__to_sleep(worker, &live->waits), any_woken, self);
		}
		error = reap__await_inbox(&self->inbox);
		if (error != 0)
			return error;
	}
	return error != 0 ? error : barrier(worker, child, self, flags, result);
}

/* A reference to the descriptor of this life, or -ESRCH.  n: 1, or REAP__HOLD. */
static int
refer(struct reap_handle handle, uint64_t n)
{
	struct reap_context	*context = (struct reap_context *)handle.where;
	uint64_t		 refs, word;

	/* Looked at first: nothing is written to a descriptor that lives another life, which may be a private one.  Acquire:
	 * pairs with create.  Should it end and begin anew right now, the reference is added and taken back. */
	if (context == NULL || REAP__CLAIM_GENERATION(REAP_LOAD_ACQUIRE(&context->claim)) != handle.generation)
		return -ESRCH;
	refs = REAP_LOAD_RELAXED(&context->refs);
	do {
		if (REAP__REFS(refs) == 0)
			return -ESRCH;
		if (n == REAP__HOLD && REAP__HOLDS(refs) == REAP__HOLDS_MAX)
			return -EAGAIN;
		/* Acquire: pairs with the release of refs in create: the claim read next is of that life, or a later one. */
	} while (!REAP_CAS_ACQ_REL(&context->refs, &refs, refs + n));
	word = REAP_LOAD_ACQUIRE(&context->claim);	/* pairs with create, and with REAPED in collect */
	/* After the reap it is there for its holders only. */
	if (REAP__CLAIM_GENERATION(word) == handle.generation &&
	    (REAP__CLAIM_STATE(word) != REAP__REAPED || REAP__HOLDS(refs) > 0))
		return 0;
	reap__ref_add(reap_worker_self(), context, -n);
	return -ESRCH;
}

int
reap_hold(struct reap_handle handle)
{
	return refer(handle, REAP__HOLD);
}

int
reap_release(struct reap_handle handle)
{
	struct reap_context	*context = (struct reap_context *)handle.where;

	if (context == NULL || REAP__HOLDS(REAP_LOAD_RELAXED(&context->refs)) == 0 ||
	    REAP__CLAIM_GENERATION(REAP_LOAD_RELAXED(&context->claim)) != handle.generation)
		return -ESRCH;
	reap__ref_add(reap_worker_self(), context, -REAP__HOLD);
	return 0;
}

int
reap_peek(struct reap_handle handle, enum reap_state *state, struct reap_result *result)
{
	struct reap_context	*context = (struct reap_context *)handle.where;
	enum reap_state		 now;
	int			 error = refer(handle, 1);

	if (error != 0) {
		if (state != NULL)
			*state = REAP_STATE_NONE;
		return error;
	}
	now = reap_context_state(context);
	if (result != NULL && now >= REAP_STATE_EXITING)
		reap__result(context, result);
	reap__ref_add(reap_worker_self(), context, (uint64_t)-1);
	if (state != NULL)
		*state = now;
	return 0;
}

int
reap_detach(struct reap_handle handle)
{
	struct reap_context	*context = (struct reap_context *)handle.where;
	struct reap_waiter	*sleeper = NULL;
	struct reap_domain	*domain;
	uint64_t		 word, adopted = REAP__CLAIM(handle.generation, REAP__ADOPTED);
	int			 error = refer(handle, 1);

	if (error != 0)
		return error;
	domain = reap__domain_of(context);
	word = REAP__CLAIM(handle.generation, REAP__LIVE);
	/* Release and acquire: pairs with the exit's transition: it goes to its adopter, or is a zombie by now. */
	if (REAP_CAS_ACQ_REL(&context->claim, &word, adopted)) {
		REAP__COUNT(domain, reap__worker_in(domain), detached);
		if (context->parent != NULL)
			sleeper = reap__let_go(reap_worker_self(), context->parent);
	} else if (REAP__CLAIM_STATE(word) == REAP__ZOMBIE) {
		/* Nothing is left to give away, and only its collector may take it off its parent's list: be that. */
		error = reap_join(handle, 0, NULL);
	} else
		error = REAP__CLAIM_STATE(word) == REAP__CLAIMED || REAP__CLAIM_STATE(word) == REAP__DOOMED ? -EBUSY : -ESRCH;
	reap__ref_add(reap_worker_self(), context, (uint64_t)-1);
	if (sleeper != NULL)
		sleeper->ready(sleeper);
	return error;
}

int
reap_no_zombies(bool enable)
{
	struct reap_context *self = current();

	if (self == NULL)
		return -EPERM;
	REAP_STORE_RELAXED(&self->flags,
	    (self->flags & ~REAP__NO_ZOMBIES) | (enable ? REAP__NO_ZOMBIES : 0));
	return 0;
}

size_t
reap_children(void)
{
	struct reap_context *self = current();

	return self != NULL ? children_of(self) : 0;
}
