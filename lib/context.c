/* SPDX-License-Identifier: ISC */
/*
 * context.c: making a context, and looking at one.
 */
#include <errno.h>
#include <string.h>

#include <reap/atomic.h>
#include <reap/resume.h>

#include "arch/md.h"
#include "plain.h"

#define GENERATIONS	(UINT64_C(1) << 16)	/* that a worker takes from the domain's counter at a time */

/* On a worker it is the number of the creation, in a block of its own: who is given one is counted before the next one asks. */
static uint64_t
generation_next(struct reap_domain *domain, struct reap_worker *worker)
{
	if (worker == NULL)
		return REAP_ADD_RELAXED(&domain->generation, 1) - 1;
	if (worker->count.created == worker->block) {
		worker->generation = REAP_ADD_RELAXED(&domain->generation, GENERATIONS) - GENERATIONS - worker->count.created;
		worker->block = worker->count.created + GENERATIONS;
	}
	return worker->count.created + worker->generation;
}

/* All of a descriptor but its stack and its claim, whose generation it returns: the claim is what makes it seen. */
uint64_t
reap__context_init(struct reap_domain *domain, struct reap_worker *worker, struct reap_context *context, uint32_t flags)
{
	REAP__SAN_DESCRIPTOR(context, reap__san_taken);
	context->sp = NULL;
	reap_completion_init(&context->done);
	REAP_STORE_RELAXED(&context->flags, flags);
	context->kids = 0;
	context->live = NULL;
	context->stack = NULL;
	context->parent = worker != NULL && !(flags & REAP__BASE) ? worker->current : NULL;
	context->next = NULL;
	context->prev = NULL;
	REAP_STORE_RELAXED(&context->inbox.head, 0);
	context->inbox.corpses = NULL;
	context->adopter = context->parent != NULL ? context->parent->adopter : NULL;
	context->user = NULL;
	context->off_cpu = NULL;
	context->status = 0;
	if (REAP_UNLIKELY(domain->usage))
		*reap__usage(context) = (struct reap_usage){ 0, 0, 0, 0 };
	/* A free descriptor keeps the living reference: a holder with a stale handle may be about to add and take back one of
	 * its own, which a store would lose.  One that was counted down, or is fresh, has none, and nobody adds to that. */
	if (REAP_UNLIKELY(REAP__REFS(REAP_LOAD_RELAXED(&context->refs)) == 0))
		REAP_STORE_RELEASE(&context->refs, REAP__REFS_ALIVE);	/* pairs with the acquire in refer() */
	return generation_next(domain, flags & REAP__BASE ? NULL : worker);	/* base contexts are not counted */
}

/* On the stack that it carries; by who runs it first. */
static struct reap__live *
settle_carried(struct reap_context *context)
{
	struct reap__stack	*stack = context->stack;
	struct reap__live	*live = context->live;

	reap__san_plain_reuse(stack->lo, (size_t)(stack->top - stack->lo));
	live->home = live->clean = NULL;
	memset(&live->young, 0, sizeof(live->young));
	reap__san_plain_create(REAP__SAN(live), stack->lo, (size_t)(stack->top - stack->lo));
	REAP_STORE_RELAXED(&stack->owner, context);	/* no order: a lookup is a snapshot */
	live->arg = context->fresh.arg;
	return live;
}

#if defined(REAP_MD_LAUNCH) && !REAP__SAN_WATCHES_STACKS
int
reap__leave_to_launch_anew(struct reap_worker *worker, struct reap_context *to, struct reap__stack *stack,
    int (*after)(struct reap_worker *, void *), void *arg)
{
	reap__live_clean(reap__live_of(stack), worker);
	return reap__leave_to_launch(worker, to, stack, after, arg);
}
#endif

/* The context that is fresh is given its stack as if that had been at birth; by its worker, or while that stands still. */
void *
reap__bind(struct reap_context *context)
{
	struct reap__live	*live = context->stack != NULL ? settle_carried(context) :
	    reap__settle(context->live->home, context);
	void			*sp;

	reap__set_flags(context, REAP__NEW);
	live->entry = context->fresh.entry;
	sp = reap_md_make_with(live, reap__entry, &context->control);
	REAP_STORE_RELAXED(&context->sp, sp);
	/* From here on a collector that stops this thread looks for the argument on the stack. */
#ifdef __GNUC__
	__asm__ volatile("" ::: "memory");
#endif
	REAP_STORE_RELAXED(&context->inbox.head, 0);
	context->inbox.corpses = NULL;
	return sp;
}

/*
 * The part of a create that may fail has succeeded: stack and descriptor are there.  options: NULL for a spawn.  The claim is
 * stored last, in its first and final state: walkers and holders see a context that is made, or none.
 */
static inline void
assemble(struct reap_domain *domain, struct reap_worker *worker, struct reap_context *context, struct reap__stack *stack,
    reap_entry *entry, void *arg, uint32_t flags, const struct reap_context_options *options)
{
	bool			 adopted = options != NULL &&
	    (options->flags & REAP_CONTEXT_DETACHED || options->group != NULL);
	bool			 owned = options != NULL && options->flags & REAP_CONTEXT_OWNED;
	struct reap__live	*live;
	struct reap_context	*parent;
	uint64_t		 generation;

	reap__san_stack_reuse(stack->lo, (size_t)(stack->top - stack->lo));
	generation = reap__context_init(domain, worker, context, flags);
	live = reap__live_of(stack);
	live->entry = entry;
	live->arg = arg;
	live->home = worker;
	live->clean = flags & REAP__PLAIN ? worker : NULL;
	memset(&live->young, 0, sizeof(live->young));
	reap__san_context_create(REAP__SAN(live), stack->lo, (size_t)(stack->top - stack->lo));
	context->live = live;
	context->stack = stack;
	REAP_STORE_RELAXED(&context->sp, reap_md_make(live, reap__entry));
	REAP_STORE_RELAXED(&stack->owner, context);	/* no order: a lookup is a snapshot */
	if (context->adopter != NULL) {
		reap__adopter_ref(context->adopter);
		reap__set_flags(context, REAP__SUB_ADOPTED);
	}
	if (options != NULL) {
		context->user = options->user;
		context->off_cpu = options->off_cpu;
		live->group = options->group;
		if (flags & REAP__PINNED)
			(void)REAP_ADD_RELAXED(&worker->pinned, 1);
		if (options->adopter != NULL)
			reap__adopter_name(context, options->adopter);
	}
	if (worker != NULL && !(flags & REAP__BOUND))
		worker->loose++;
	parent = context->parent;
	if (owned) {
		context->parent = NULL;
		context->prev = context;	/* claimed, and resumed by nobody */
	} else if (adopted) {
		context->parent = NULL;		/* it has never been anybody's child */
		REAP__COUNT(domain, worker, detached);
	} else if (REAP_LIKELY(parent != NULL)) {
		/* Settle what others have let go before its count could overflow, or its tombstones could pile up. */
		if (REAP_UNLIKELY(REAP__GONE_COUNT(REAP_LOAD_RELAXED(&parent->refs)) >= REAP__GONE_SWEEP))
			reap__sweep(worker, parent);
		if (!reap__private(flags))
			reap__make_kin(parent);
		else if (REAP_UNLIKELY((parent->flags & REAP__BOUND) == 0)) {
			/* Both ends of a private pair are on one worker: the parent stays here meanwhile. */
			parent->live->home = worker;
			reap__set_flags(parent, REAP__BOUND);
			worker->loose--;
		}
		parent->kids++;
	}
	REAP__COUNT(domain, worker, created);
	/* Release: pairs with the acquire of a holder's, joiner's or walker's load of the claim. */
	REAP_STORE_RELEASE(&context->claim,
	    REAP__CLAIM(generation, owned ? REAP__CLAIMED : adopted ? REAP__ADOPTED : REAP__LIVE));
}

static int
make(struct reap_domain *domain, struct reap_worker *worker, size_t stack_size, void *memory,
    const struct reap_stack_ops *ops, bool privileged, struct reap_context **context, struct reap__stack **stack)
{
	int error = 0;

	if (domain->limit != 0 && (error = reap__limit_take(domain, worker, privileged)) != 0)
		return error;
	*context = reap__descriptor_get(domain, worker);
	if (*context == NULL)
		error = -ENOMEM;
	else if (memory != NULL)
		error = reap__stack_adopt(&domain->depot, memory, stack_size, stack);
	else
		error = reap__stack_get(&domain->depot, worker != NULL ? &worker->cache : NULL, stack_size, ops, stack);
	if (REAP_LIKELY(error == 0))
		return 0;
	if (*context != NULL)
		reap__descriptor_put(domain, worker, *context);
	if (domain->limit != 0)
		reap__limit_return(domain, worker);
	return error;
}

static void
unmake(struct reap_domain *domain, struct reap_worker *worker, struct reap_context *context, struct reap__stack *stack)
{
	reap__stack_put(&domain->depot, worker != NULL ? &worker->cache : NULL, stack);
	reap__descriptor_put(domain, worker, context);
	if (domain->limit != 0)
		reap__limit_return(domain, worker);
}

static uint32_t
policy_flags(const struct reap_domain *domain, bool here, enum reap_policy policy, enum reap_notify notify, unsigned flags)
{
	if (policy == REAP_POLICY_DEFAULT)
		policy = domain->policy;
	if (notify == REAP_NOTIFY_DEFAULT)
		notify = domain->notify;
	if (flags & REAP_CONTEXT_OWNED)		/* its resumer is told by nobody; without one it may not stay private */
		return (uint32_t)policy << REAP__POLICY_SHIFT | REAP__NEW | REAP__OWNED | (here ? REAP__BOUND : REAP__SHARED);
	return (uint32_t)policy << REAP__POLICY_SHIFT | REAP__NEW | (notify == REAP_NOTIFY_EARLY ? REAP__EARLY : 0) |
	    (domain->host.shares && here && policy != REAP_POLICY_THREAD ? REAP__BOUND : REAP__SHARED);
}

/* With something uncommon, or nothing at hand. */
static __attribute__((noinline)) int
spawn_cold(struct reap_worker *worker, reap_entry *entry, void *arg, struct reap_context **out)
{
	struct reap_domain	*domain = worker->domain;
	struct reap_context	*context;
	struct reap__stack	*stack;
	uint32_t		 flags;
	int			 error;

	if (REAP_LIKELY(reap__stack_lower(&worker->cache)) && reap__plain_spawn(worker, entry, arg, worker->breeds, out))
		return 0;
	if (domain->policy == REAP_POLICY_THREAD && !reap__reaper_runs(domain))
		return -EINVAL;
	error = make(domain, worker, 0, NULL, NULL, false, &context, &stack);
	if (error != 0)
		return error;
	flags = policy_flags(domain, true, REAP_POLICY_DEFAULT, REAP_NOTIFY_DEFAULT, 0);
	if (worker->birth != 0 && reap__stack_shelvable(stack) && worker->current->adopter == NULL)
		flags |= REAP__PLAIN | (worker->birth & REAP__STRAIGHT);
	assemble(domain, worker, context, stack, entry, arg, flags, NULL);
	*out = context;
	return 0;
}

static __attribute__((noinline)) int
spawn_limited(struct reap_worker *worker, reap_entry *entry, void *arg, struct reap_context **out)
{
	int error = reap__limit_take(worker->domain, worker, false);

	if (error != 0)
		return error;
	if (REAP_LIKELY(worker->birth != 0 && reap__stack_lower(&worker->cache) &&
	    reap__plain_spawn(worker, entry, arg, REAP__BOUND, out)))
		return 0;
	reap__limit_return(worker->domain, worker);	/* taken again, in the right order with what else may fail */
	return spawn_cold(worker, entry, arg, out);
}

int
reap_spawn(struct reap_worker *worker, reap_entry *entry, void *arg, struct reap_context **out)
{
	if (REAP_UNLIKELY(worker == NULL))
		return -EINVAL;
	REAP__APART();
	if (REAP_UNLIKELY(entry == NULL))
		return -EINVAL;
	REAP__APART();
	if (REAP_UNLIKELY(out == NULL))
		return -EINVAL;
	if (REAP_LIKELY(reap__plain_spawn(worker, entry, arg, worker->breeds, out)))
		return 0;
	return worker->limited ? spawn_limited(worker, entry, arg, out) : spawn_cold(worker, entry, arg, out);
}

static int
check(const struct reap_domain *domain, const struct reap_worker *worker, const struct reap_context_options *options)
{
	unsigned known = REAP_CONTEXT_DETACHED | REAP_CONTEXT_PRIVILEGED | REAP_CONTEXT_PINNED | REAP_CONTEXT_OWNED;
	enum reap_policy policy = options->policy != REAP_POLICY_DEFAULT ? options->policy : domain->policy;

	if (!reap__options_fit(options, options->size, sizeof(*options)) || options->entry == NULL || (options->flags & ~known) != 0 ||
	    (unsigned)options->policy > REAP_POLICY_THREAD || (unsigned)options->notify > REAP_NOTIFY_EARLY ||
	    (options->stack != NULL && (options->stack_ops != NULL || options->stack_size == 0)) ||
	    (options->stack_ops != NULL && (options->stack_ops->alloc == NULL || options->stack_ops->free == NULL)) ||
	    (options->adopter != NULL && options->adopter->domain != domain) ||
	    (options->group != NULL && reap__group_domain(options->group) != domain) ||
	    (policy == REAP_POLICY_THREAD && !reap__reaper_runs(domain)) ||
	    (options->flags & REAP_CONTEXT_OWNED &&
	    (options->flags & REAP_CONTEXT_DETACHED || options->group != NULL || policy == REAP_POLICY_THREAD)))
		return -EINVAL;
	if (options->flags & REAP_CONTEXT_PINNED && worker == NULL)
		return -EPERM;
	return 0;
}

int
reap_context_create(struct reap_domain *domain, const struct reap_context_options *options, struct reap_context **out)
{
	struct reap_worker	*worker;
	struct reap_context	*context;
	struct reap__stack	*stack;
	uint32_t		 flags;
	int			 error;

	if (domain == NULL || options == NULL || out == NULL)
		return -EINVAL;
	worker = reap__worker_in(domain);
	if (worker != NULL)
		(void)reap_worker_discarded(worker);
	if ((error = check(domain, worker, options)) != 0)
		return error;
	error = make(domain, worker, options->stack_size, options->stack, options->stack_ops,
	    (options->flags & REAP_CONTEXT_PRIVILEGED) != 0, &context, &stack);
	if (error != 0)
		return error;
	/* Last of what may fail: a member that came to nothing could hide the end of the others. */
	if (options->group != NULL && (error = reap__group_join(options->group)) != 0) {
		unmake(domain, worker, context, stack);
		return error;
	}
	flags = policy_flags(domain, worker != NULL, options->policy, options->notify, options->flags) |
	    (options->flags & REAP_CONTEXT_PINNED ? REAP__PINNED : 0) |
	    (options->group != NULL ? REAP__GROUPED : 0) |
	    (options->stack != NULL || options->stack_ops != NULL ? REAP__BORROWED : 0);
	assemble(domain, worker, context, stack, options->entry, options->arg, flags, options);
	*out = context;
	return 0;
}

/* The context is private, its worker is here or stands still.  From now on its words, and its parent's inbox, are written
 * atomically. */
void
reap__share_words(struct reap_context *context)
{
	struct reap_context *parent = context->parent;

	if (reap__fresh(context)) {
		if (context->stack == NULL)
			(void)reap__bind(context);
	} else if (!(context->flags & REAP__EXITED))
		context->live->clean = NULL;
	/* A parent that has ended has closed its inbox: that is written atomically anyhow.  Of an orphan not even the descriptor of
	 * its parent need be there. */
	if (parent != NULL && !reap__adopted(REAP_LOAD_RELAXED(&context->claim)) && !(parent->flags & REAP__EXITED)) {
		reap__make_kin(parent);
	}
	REAP_STORE_RELAXED(&context->flags, (reap__flags(context) & ~REAP__PLAINLY) | REAP__SHARED);
}

static void
must_be_here(const struct reap_context *context)
{
	/* A dead one is in the hands of its parent, who is here, or of who reaps it: nobody else can reach it. */
	if (!(context->flags & REAP__EXITED) && context->live->home != reap_worker_self())
		reap_misuse("private", "a context that is private to one worker was named or shared by another thread");
}

/*
 * One that is fresh, and will run who knows where, takes along the stack that it was promised, and remains fresh: the memory of
 * that stack, and a frame on it, would only be carried from one processor's cache to another's.
 */
static void
carry(struct reap_context *context)
{
	struct reap__stack_cache	*cache = &context->live->home->cache;
	struct reap__stack		*stack = reap__stack_fetch(cache);

#ifdef __GNUC__
	__builtin_prefetch(cache->list);	/* the next one's, which another worker may have put there */
#endif
	context->stack = stack;
	context->live = reap__live_of(stack);
}

int
reap_context_share(struct reap_context *context)
{
	uint32_t		 flags = reap__flags(context);
	struct reap_worker	*home;

	if (flags & (REAP__PINNED | REAP__BASE))
		return -EPERM;
	if ((flags & (REAP__BOUND | REAP__EXITED)) != REAP__BOUND)
		return 0;	/* nobody will run a dead one; its exit has taken it off the worker's count */
	if (reap__private_kids(context) != 0)
		return -EBUSY;
	home = context->live->home;
	if (reap__private(flags)) {
		must_be_here(context);
		if (reap__fresh(context) && flags & REAP__PLAIN)
			carry(context);
		reap__share_words(context);
	}
	REAP_STORE_RELAXED(&context->flags, context->flags & ~REAP__BOUND);
	home->loose++;
	return 0;
}

struct reap_handle
reap_context_handle(struct reap_context *context)
{
	if (reap__private(reap__flags(context))) {
		must_be_here(context);
		reap__share_words(context);
	}
	return (struct reap_handle){ (uintptr_t)context, REAP__CLAIM_GENERATION(REAP_LOAD_RELAXED(&context->claim)) };
}

void *
reap_context_user(const struct reap_context *context)
{
	return context->user;
}

void
reap_context_set_user(struct reap_context *context, void *user)
{
	context->user = user;
}

struct reap_domain *
reap_context_domain(const struct reap_context *context)
{
	return reap__domain_of(context);
}

struct reap_context *
reap_context_parent(const struct reap_context *context)
{
	return context->parent;
}

enum reap_policy
reap_context_policy(const struct reap_context *context)
{
	return REAP__POLICY_OF(reap__flags(context));
}

enum reap_state
reap_context_state(const struct reap_context *context)
{
	/* Acquire: pairs with the release of EXITED in die(). */
	uint32_t	 flags = REAP_LOAD_ACQUIRE(&context->flags);
	const void	*sp;

	if (REAP_LOAD_RELAXED(&context->claim) == 0)
		return REAP_STATE_NONE;
	if (flags & REAP__EXITED)
		return reap_completion_posted(&context->done) ? REAP_STATE_ZOMBIE : REAP_STATE_EXITING;
	sp = REAP_LOAD_RELAXED(&context->sp);
	if (sp == NULL)
		return REAP_STATE_RUNNING;
	return sp == REAP__FRESH || flags & REAP__NEW ? REAP_STATE_NEW : REAP_STATE_SUSPENDED;
}

struct reap_worker *
reap_context_home(const struct reap_context *context)
{
	uint32_t flags = reap__flags(context);

	return (flags & (REAP__PINNED | REAP__BOUND)) != 0 && context->live != NULL ?
	    context->live->home : NULL;
}

struct reap_context **
reap_context_link(struct reap_context *context)
{
	return &context->next;
}

int
reap_context_stack(const struct reap_context *context, const void **lo, const void **sp, const void **hi)
{
	struct reap__stack *stack = context->stack;

	if (reap__fresh(context)) {
		/* It has none yet; what it will be given as its argument is here. */
		*lo = *sp = &context->fresh;
		*hi = &context->fresh + 1;
		return 0;
	}
	if (stack == NULL)
		return -ENOENT;
	*lo = stack->lo;
	*sp = context->sp;
	*hi = stack->top;
	return 0;
}
