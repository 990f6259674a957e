/* SPDX-License-Identifier: ISC */
/*
 * resume.c: asymmetric switches between owned contexts and who resumes them.
 *
 * An owned context is born CLAIMED, by its owner: nobody can wait for it, detach it or inherit it.  Its `prev', which says of a
 * claimed one who waits for it, names the resumer while it is resumed, and itself while it is not: so a wait that would close a
 * circle through a resume is told as any other.
 *
 * Most are *simple*: nothing about them is uncommon, which is asked once, at birth, as for plain ones (plain.h); and nobody but
 * their resumer, on their worker, can reach them.  It finds them dead in the slot, and neither posts nor asks whether anybody is
 * told.
 */
#include <errno.h>

#include <reap/atomic.h>
#include <reap/resume.h>

#include "plain.h"

/* The flags of a context born simple in the domain; 0: nobody is. */
uint32_t
reap__simple_birth(const struct reap_domain *domain)
{
	const struct reap_host *host = &domain->host;

	if (host->on_switch != NULL || host->after_switch != NULL || host->locks_held != NULL ||
	    domain->before_final_switch != NULL || domain->limit != 0 || domain->usage || domain->ledger_time ||
	    (domain->depot.flags & REAP_STACK_SCRUB) != 0 ||
	    reap__san_by_request() || (domain->policy != REAP_POLICY_ADAPTIVE && domain->policy != REAP_POLICY_SUCCESSOR &&
	    domain->policy != REAP_POLICY_PARENT))
		return 0;
	return (uint32_t)domain->policy << REAP__POLICY_SHIFT | REAP__OWNED | REAP__BOUND | REAP__SIMPLE;
}

/* From memory that is at hand.  False: nothing has changed. */
REAP__INLINE bool
spawn_simply(struct reap_worker *worker, reap_entry *entry, void *arg, struct reap_context **out)
{
	struct reap_context	*context = worker->descriptors;
	uint64_t		 created = worker->count.created;

	if (REAP_UNLIKELY(context == NULL || !reap__stack_promises(&worker->cache) || created == worker->block ||
	    worker->current->adopter != NULL ||
	    (reap__stack_besides(&worker->cache) & (REAP__STACK_NOT_SIMPLE | REAP__STACK_DISCARDED | REAP__STACK_ASKED)) != 0))
		return false;
	reap__beget(worker, context, entry, arg, worker->simple);
	context->parent = NULL;
	REAP_STORE_RELAXED(&context->prev, context);
	REAP_STORE_RELAXED(&worker->count.created, created + 1);
	/* Release: as in assemble(). */
	REAP_STORE_RELEASE(&context->claim, REAP__CLAIM(created + worker->generation, REAP__CLAIMED));
	*out = context;
	return true;
}

static __attribute__((noinline)) int
spawn_cold(struct reap_worker *worker, reap_entry *entry, void *arg, struct reap_context **out)
{
	struct reap_context_options options = {
		.size = sizeof(options), .entry = entry, .arg = arg, .flags = REAP_CONTEXT_OWNED,
	};
	int error;

	if (REAP_LIKELY(reap__stack_lower(&worker->cache)) && spawn_simply(worker, entry, arg, out))
		return 0;
	error = reap_context_create(worker->domain, &options, out);
	if (error == 0 && worker->simple != 0 && reap__stack_shelvable((*out)->stack) && (*out)->adopter == NULL)
		reap__set_flags(*out, REAP__SIMPLE);
	return error;
}

int
reap_spawn_owned(struct reap_worker *worker, reap_entry *entry, void *arg, struct reap_context **out)
{
	if (REAP_UNLIKELY(worker == NULL))
		return -EINVAL;
	REAP__APART();
	if (REAP_UNLIKELY(entry == NULL))
		return -EINVAL;
	REAP__APART();
	if (REAP_UNLIKELY(out == NULL))
		return -EINVAL;
	if (REAP_LIKELY(spawn_simply(worker, entry, arg, out)))
		return 0;
	return spawn_cold(worker, entry, arg, out);
}

/* To the resumer, which waits for itself as long as nobody has come back: so nobody may destroy it, or sleep for it unasked. */
REAP__INLINE void
come_back(struct reap_context *to, struct reap_context *from)
{
	to->live->came = from;
	to->live->young.claimed = NULL;
}

/* Its end, up to the final switch and with it.  Its resumer knows it from the slot. */
_Noreturn void
reap__simple_exit(struct reap_worker *worker, struct reap_context *context, uint32_t flags, intptr_t status)
{
	struct reap_context *to = REAP_LOAD_RELAXED(&context->prev);

	to->live->young.claimed = NULL;
	context->status = status;
	/* Release: as in die(). */
	REAP_STORE_RELEASE(&context->flags, flags | REAP__EXITED);
	if (to == worker->base) {
		to->live->came = context;	/* it may serve */
		reap__count_own(&worker->count.based, 1);
	}
	reap_slot_put(&worker->slot, &context->done);	/* aborts if full [3] */
	reap__jump_straight(worker, to);
}

/* It has left its CPU to its resumer: landing, post and reap are one.  As reap__plain_collect(). */
REAP__INLINE int
simple_end(struct reap_worker *worker, struct reap_context *context)
{
	struct reap__stack_cache *cache = &worker->cache;
	struct reap__stack	*stack = context->stack;

	worker->slot.reap__prev = 0;
	reap__san_plain_destroy(REAP__SAN(context->live));
	reap__san_nobodys(stack->lo, (size_t)(stack->top - stack->lo));
	context->live = NULL;
	context->stack = NULL;
	reap__count_own(&worker->count.simple, 1);	/* the exit as well */
	REAP_STORE_RELAXED(&context->flags, 0);		/* clean */
	REAP_STORE_RELAXED(&context->claim, 0);		/* FREE, as in reap__descriptor_free() */
	REAP__SAN_DESCRIPTOR(context, reap__san_nobodys);
	context->next = worker->descriptors;
	worker->descriptors = context;
	worker->room--;
	if (REAP_UNLIKELY(cache->count >= cache->batch))
		return reap__plain_collect_rest(worker, stack);
	reap__stack_cache_push(cache, stack);
	if (REAP_UNLIKELY(worker->room < 0) || REAP_UNLIKELY(reap__stack_besides(cache) != 0))
		return reap__plain_collect_rest(worker, NULL);
	return REAP_ENDED;
}

/* Whom the base context has resumed sleeps, and nothing else was runnable: it runs the others, as in a wait. */
static void
serve(struct reap_worker *worker)
{
	const struct reap_host *host = &worker->domain->host;

	if (!worker->domain->hosted)
		reap_misuse("no-host", "a context that was resumed leaves without its resumer, and its domain has no host");
	worker->base->live->came = NULL;	/* `claimed' would do, if idle() did not wait for others */
	while (worker->base->live->came == NULL) {
		struct reap_context *to = host->next(worker);

		if (to != NULL)
			(void)reap__switch(worker, to);
		else if (host->idle != NULL)
			host->idle(worker);
		else
			reap_misuse("no-idle", "a context that was resumed sleeps, nothing is runnable, and its host cannot wait");
	}
}

/* Something uncommon came back, or nobody. */
static __attribute__((noinline)) int
resumed_cold(struct reap_worker *worker, struct reap_passed *passed)
{
	struct reap_context *self = worker->current, *from;

	reap__landed(worker);
	if (self->live->young.claimed != NULL) {
		if (self != worker->base)
			reap_misuse("switch-to-resumer", "a switch to a context that waits in reap_resume()");
		serve(worker);
	}
	from = self->live->came;
	if (passed != NULL)
		*passed = (struct reap_passed){ reap__flags(from) & REAP__EXITED ? from->status : from->live->word, from };
	if ((reap__flags(from) & REAP__EXITED) == 0)
		return REAP_SUSPENDED;
	if (reap__flags(from) & REAP__SIMPLE)
		reap__count_own(&worker->count.plain, 1);	/* not in simple_end(): it came to one who served */
	reap__collect(worker, from, self, REAP_PAYER_PARENT, NULL);	/* posted by the landing above */
	return REAP_ENDED;
}

/* Who came back, suspended or dead; on whatever worker. */
static int
resumed(struct reap_worker *worker, void *arg)
{
	struct reap_passed	*passed = arg;
	struct reap__live	*live;
	struct reap_context	*from;
	uintptr_t		 prev = worker->slot.reap__prev;

	if (prev != 0) {
		/* Who is dead and still simple has come straight to its resumer, see reap__simple_exit(): that is us. */
		from = reap__context_of((struct reap_completion *)prev);
		if (REAP_UNLIKELY((prev & REAP__PREV_TAG) != REAP__PREV_DEAD) ||
		    REAP_UNLIKELY((reap__flags(from) & REAP__SIMPLE) == 0))
			return resumed_cold(worker, passed);
		reap__san_landed(REAP__SAN(worker->current->live));
		if (passed != NULL)
			*passed = (struct reap_passed){ from->status, from };
		return simple_end(worker, from);
	}
	live = worker->current->live;
	from = live->came;
	if (REAP_UNLIKELY(live->young.claimed != NULL) || REAP_UNLIKELY((reap__flags(from) & REAP__SIMPLE) == 0))
		return resumed_cold(worker, passed);
	reap__san_landed(REAP__SAN(live));
	if (passed != NULL)
		*passed = (struct reap_passed){ from->live->word, from };
	return REAP_SUSPENDED;
}

/* As a pair with the switch that follows: who comes back to the caller, cancelled or not, by resume or transfer. */
static int
suspended(struct reap_worker *worker, void *arg)
{
	struct reap__live	*live;
	intptr_t		*word = arg;

	reap__landed(worker);
	live = worker->current->live;
	if (word != NULL)
		*word = live->word;
	return live->how & REAP_CANCEL ? -ECANCELED : 0;
}

REAP__INLINE int
check(const struct reap_worker *worker, const struct reap_context *to)
{
	uint32_t flags = reap__flags(to);

	if (REAP_UNLIKELY((flags & (REAP__OWNED | REAP__EXITED)) != REAP__OWNED))
		return -EINVAL;
	if (REAP_UNLIKELY((flags & (REAP__BOUND | REAP__PINNED)) != 0 ? to->live->home != worker :
	    reap__domain_of(to) != worker->domain))
		return -EPERM;
	if (REAP_UNLIKELY(to->sp == NULL || REAP_LOAD_RELAXED(&to->prev) != to))
		return -EBUSY;
	return 0;
}

/* Relaxed: read by waits_for_us() alone, on a chain that is parked. */
REAP__INLINE void
set_resumer(struct reap_context *context, struct reap_context *resumer)
{
	REAP_STORE_RELAXED(&context->prev, resumer);
}

/* Until come_back(). */
REAP__INLINE void
await(struct reap_context *to, struct reap_context *resumer)
{
	set_resumer(to, resumer);
	resumer->live->young.claimed = resumer;
}

static __attribute__((noinline)) int
resume_cold(struct reap_context *to, unsigned flags, struct reap_passed *passed)
{
	struct reap_worker	*worker = reap__here;
	int			 error;

	if (worker == NULL)
		return -EPERM;
	if (to == NULL || (flags & ~REAP_CANCEL) != 0)
		return -EINVAL;
	error = check(worker, to);
	if (error != 0)
		return error;
	reap__slot_must_be_empty(worker);
	if (flags != 0 && (reap__fresh(to) || to->flags & REAP__NEW)) {
		if (passed != NULL)
			*passed = (struct reap_passed){ -ECANCELED, to };
		return reap_context_destroy(to, -ECANCELED) == 0 ? REAP_ENDED : -EBUSY;
	}
	if (reap__fresh(to))
		(void)reap__bind(to);
	await(to, worker->current);
	to->live->word = passed != NULL ? passed->word : 0;
	to->live->how = flags;
	return reap__leave(worker, to, resumed, passed);
}

/* It is given a stack, and begins at its top, without a frame. */
REAP__INLINE int
resume_fresh(struct reap_worker *worker, struct reap_context *to, struct reap_passed *passed)
{
#if defined(REAP_MD_LAUNCH) && !REAP__SAN_WATCHES_STACKS
	if (REAP_LIKELY(worker->cache.list != NULL)) {
		struct reap__stack *stack = reap__stack_fetch_first(&worker->cache);

		reap__san_plain_reuse(stack->lo, (size_t)(stack->top - stack->lo));
		await(to, worker->current);
		reap__live_of(stack)->word = passed != NULL ? passed->word : 0;
		return reap__leave_to_launch(worker, to, stack, resumed, passed);
	}
#else
	(void)worker;
#endif
	return resume_cold(to, 0, passed);
}

int
reap_resume(struct reap_context *to, unsigned flags, struct reap_passed *passed)
{
	struct reap_worker *worker = reap__here;

	/* Where simple ones are born there are no hooks. */
	if (REAP_UNLIKELY(flags != 0))
		return resume_cold(to, flags, passed);
	REAP__APART();
	if (REAP_UNLIKELY(to == NULL))
		return resume_cold(to, flags, passed);
	REAP__APART();
	if (REAP_UNLIKELY(worker == NULL) || REAP_UNLIKELY((reap__flags(to) & REAP__SIMPLE) == 0) ||
	    REAP_UNLIKELY(worker->slot.reap__prev != 0))
		return resume_cold(to, flags, passed);
	if ((uintptr_t)to->sp <= (uintptr_t)REAP__FRESH)	/* it runs, or has not run: then it has no home of its own */
		return to->live == &worker->fresh_live ? resume_fresh(worker, to, passed) : resume_cold(to, flags, passed);
	if (REAP_UNLIKELY(to->live->home != worker) || REAP_UNLIKELY(REAP_LOAD_RELAXED(&to->prev) != to))
		return resume_cold(to, flags, passed);
	await(to, worker->current);
	to->live->word = passed != NULL ? passed->word : 0;
	to->live->how = 0;
	return reap__leave_straight(worker, to, resumed, passed);
}

static __attribute__((noinline)) int
suspend_cold(intptr_t *word)
{
	struct reap_worker	*worker = reap__here;
	struct reap_context	*self, *to;

	if (worker == NULL || (reap__flags(self = worker->current) & REAP__OWNED) == 0 ||
	    (to = REAP_LOAD_RELAXED(&self->prev)) == self)
		return -EPERM;
	reap__slot_must_be_empty(worker);
	set_resumer(self, self);
	self->live->word = word != NULL ? *word : 0;
	come_back(to, self);
	return reap__leave(worker, to, suspended, word);
}

int
reap_suspend(intptr_t *word)
{
	struct reap_worker	*worker = reap__here;
	struct reap_context	*self, *to;

	if (REAP_UNLIKELY(worker == NULL))
		return suspend_cold(word);
	self = worker->current;
	to = REAP_LOAD_RELAXED(&self->prev);
	/* Whom nobody has resumed names itself, who runs. */
	if (REAP_UNLIKELY((reap__flags(self) & REAP__SIMPLE) == 0) || REAP_UNLIKELY(to->sp == NULL) ||
	    REAP_UNLIKELY(worker->slot.reap__prev != 0))
		return suspend_cold(word);
	set_resumer(self, self);
	self->live->word = word != NULL ? *word : 0;
	come_back(to, self);
	return reap__leave_straight(worker, to, suspended, word);
}

int
reap_transfer(struct reap_context *to, intptr_t *word)
{
	struct reap_worker	*worker = reap__here;
	struct reap_context	*self, *resumer;
	int			 error;

	if (worker == NULL || (reap__flags(self = worker->current) & REAP__OWNED) == 0 ||
	    (resumer = REAP_LOAD_RELAXED(&self->prev)) == self)
		return -EPERM;
	if (to == NULL)
		return -EINVAL;
	if (to == self)
		return -EBUSY;
	error = check(worker, to);
	if (error != 0)
		return error;
	reap__slot_must_be_empty(worker);
	if (reap__fresh(to))
		(void)reap__bind(to);
	if ((reap__flags(self) & REAP__SIMPLE) == 0)
		reap__not_plain(to);	/* its resumer need not be on this worker: who goes back there has to look */
	set_resumer(self, self);
	set_resumer(to, resumer);
	to->live->word = word != NULL ? *word : 0;
	to->live->how = 0;
	return reap__leave(worker, to, suspended, word);
}

struct reap_context *
reap_resumed_by(const struct reap_context *context)
{
	struct reap_context *resumer = reap__flags(context) & REAP__OWNED ? REAP_LOAD_RELAXED(&context->prev) : NULL;

	return resumer != context ? resumer : NULL;
}

intptr_t
reap_resumed_word(const struct reap_context *context)
{
	return context->live->word;
}

/* At the end of an owned context, before anybody can learn of it.  Who runs next: its resumer. */
struct reap_context *
reap__resumer_of(struct reap_context *context)
{
	struct reap_context *to = REAP_LOAD_RELAXED(&context->prev);

	if (to != context) {
		come_back(to, context);
		return to;
	}
	/* A host has run it on its own: nobody is there who could collect it.  Release: pairs with the drain's acquire. */
	REAP_STORE_RELEASE(&context->claim,
	    REAP__CLAIM(REAP__CLAIM_GENERATION(REAP_LOAD_RELAXED(&context->claim)), REAP__ADOPTED));
	return NULL;
}

/* As of a stack that others push to: what was discarded last comes first. */
static void
push(struct reap_worker *worker, struct reap_context *context)
{
	context->next = REAP_LOAD_RELAXED(&worker->discarded);
	/* Release: pairs with the acquire in reap_worker_discarded(): what the caller knows of the context, and has freed. */
	while (!REAP_CAS_RELEASE(&worker->discarded, &context->next, context))
		continue;
}

int
reap_context_discard(struct reap_context *context, intptr_t status)
{
	struct reap_worker	*home = reap_context_home(context);
	void		       (*wake)(struct reap_worker *);

	if (context->flags & REAP__EXITED || context->sp == NULL || home == NULL || home == reap_worker_self())
		return reap_context_destroy(context, status);
	if (context->live->young.claimed != NULL || reap_resumed_by(context) != NULL)
		return -EBUSY;
	context->status = status;	/* it has none of its own before it exits */
	/* Relaxed: the push releases it.  The worker cannot stop as long as it has the context; from the push on, not before we have
	 * taken this back: pairs with the acquire in reap_worker_stop(). */
	wake = home->domain->host.wake;
	(void)REAP_ADD_RELAXED(&home->discarders, 1);
	push(home, context);
	reap__stack_set_besides(&home->cache, 0, REAP__STACK_DISCARDED);
	if (wake != NULL)
		wake(home);
	(void)REAP_ADD_ACQ_REL(&home->discarders, (uint32_t)-1);
	return 1;
}

unsigned
reap_worker_discarded(struct reap_worker *worker)
{
	struct reap_context	*context, *next;
	unsigned		 n = 0;

	if (REAP_LIKELY(REAP_LOAD_RELAXED(&worker->discarded) == NULL &&
	    (reap__stack_besides(&worker->cache) & REAP__STACK_DISCARDED) == 0))
		return 0;
	reap__stack_set_besides(&worker->cache, REAP__STACK_DISCARDED, 0);	/* first: who pushes sets it after that */
	for (context = REAP_XCHG_ACQUIRE(&worker->discarded, NULL)	/* pairs with push() */; context != NULL; context = next) {
		next = context->next;
		if (reap_context_destroy(context, context->status) == 0)
			n++;
	}
	return n;
}
