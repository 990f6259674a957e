/* SPDX-License-Identifier: ISC */
/*
 * adopter.c: who reaps what no parent will.  An inbox of corpses, a list of stacks, and somebody who drains both.
 */
#include <errno.h>
#include <stdlib.h>

#include <reap/atomic.h>

#include "os/os.h"
#include "barrier.h"

#define CLOSED	REAP__INBOX_CLOSED

void
reap__adopter_init(struct reap_adopter *adopter, struct reap_domain *domain, struct reap_adopter *heir)
{
	*adopter = (struct reap_adopter){ .domain = domain, .heir = heir, .refs = 1 };
}

struct reap_adopter *
reap_adopter_default(struct reap_domain *domain)
{
	return &domain->adopter;
}

int
reap_adopter_create(struct reap_domain *domain, struct reap_adopter *heir, struct reap_adopter **out)
{
	struct reap_adopter *adopter;

	if (domain == NULL || out == NULL || (heir != NULL && heir->domain != domain))
		return -EINVAL;
	adopter = malloc(sizeof(*adopter));
	if (adopter == NULL)
		return -ENOMEM;
	if (heir == &domain->adopter)
		heir = NULL;
	if (heir != NULL)
		reap__adopter_ref(heir);
	reap__adopter_init(adopter, domain, heir);
	pthread_mutex_lock(&domain->lock);
	adopter->next = domain->adopters;
	domain->adopters = adopter;
	pthread_mutex_unlock(&domain->lock);
	*out = adopter;
	return 0;
}

void
reap__adopter_ref(struct reap_adopter *adopter)
{
	(void)REAP_ADD_RELAXED(&adopter->refs, 1);
}

void
reap__adopter_unref(struct reap_adopter *adopter)
{
	while (adopter != NULL) {
		struct reap_adopter *heir = adopter->heir;

		/* Acquire and release: pairs with itself; the last one frees what the others have read. */
		if (REAP_ADD_ACQ_REL(&adopter->refs, (uint32_t)-1) != 0)
			return;
		free(adopter);
		adopter = heir;
	}
}

/* From now on `adopter' is the heir of this context and of the children it will have. */
void
reap__adopter_name(struct reap_context *context, struct reap_adopter *adopter)
{
	struct reap_adopter *old = context->flags & REAP__SUB_ADOPTED ? context->adopter : NULL;

	if (adopter == &adopter->domain->adopter) {
		context->adopter = NULL;
		REAP_STORE_RELAXED(&context->flags, context->flags & ~REAP__SUB_ADOPTED);
	} else {
		reap__adopter_ref(adopter);
		context->adopter = adopter;
		reap__not_plain(context);
		reap__set_flags(context, REAP__SUB_ADOPTED);
	}
	if (old != NULL)
		reap__adopter_unref(old);
}

int
reap_adopter_assume(struct reap_adopter *adopter)
{
	struct reap_worker *worker = reap_worker_self();

	if (worker == NULL)
		return -EPERM;
	if (adopter == NULL || adopter->domain != worker->domain)
		return -EINVAL;
	reap__adopter_name(worker->current, adopter);
	return 0;
}

/* False: closed. */
static bool
push_stack(struct reap_adopter *adopter, struct reap__stack *stack)
{
	uintptr_t head = REAP_LOAD_RELAXED(&adopter->stacks);

	do {
		if (head == CLOSED)
			return false;
		stack->next = (struct reap__stack *)head;
		/* Release: pairs with the exchange in next_stack(): the drainer sees the link, and the dead one's last writes. */
	} while (!REAP_CAS_ACQ_REL(&adopter->stacks, &head, (uintptr_t)stack));
	return true;
}

/*
 * At the landing: the stack goes to whoever drains the adopter.  One with an owner is a context's whose post is still due: the
 * drainer posts.  Returns who slept there.
 */
struct reap_waiter *
reap__adopter_owe_stack(struct reap_adopter *adopter, struct reap__stack *stack)
{
	for (;; adopter = adopter->heir != NULL ? adopter->heir : &adopter->domain->adopter) {
		(void)REAP_ADD_RELAXED(&adopter->handed, 1);
		if (push_stack(adopter, stack))
			return reap__inbox_kick(&adopter->inbox);
		(void)REAP_ADD_RELAXED(&adopter->handed, (uint64_t)-1);
	}
}

static struct reap__stack *
next_stack(struct reap_adopter *adopter)
{
	struct reap__stack *stack = adopter->owed;

	if (stack == NULL && REAP_LOAD_RELAXED(&adopter->stacks) != 0) {
		/* Acquire: pairs with the release in push_stack(). */
		struct reap__stack *newest = (struct reap__stack *)REAP_XCHG_ACQUIRE(&adopter->stacks, 0);

		while (newest != NULL) {	/* oldest first, so that nobody waits for long */
			struct reap__stack *older = newest->next;

			newest->next = stack;
			stack = newest;
			newest = older;
		}
	}
	if (stack != NULL)
		adopter->owed = stack->next;
	return stack;
}

/* A stack without its context, or with one whose post waits for this. */
void
reap__adopter_free_stack(struct reap_domain *domain, struct reap_worker *worker, struct reap__stack_cache *cache,
    struct reap__stack *stack, enum reap_payer payer)
{
	struct reap_context	*dead = REAP_LOAD_RELAXED(&stack->owner);
	struct reap__told	 told = { { NULL } };
	uint64_t		 since = domain->ledger_time ? domain->clock(domain->clock_arg) : 0;

	if (dead != NULL) {
		told = dead->live->told;
		reap__san_context_destroy(REAP__SAN(dead->live));
		if (stack->kind == REAP__STACK_SHELVABLE || stack->kind == REAP__STACK_POOL)
			reap__san_nobodys(stack->lo, (size_t)(stack->top - stack->lo));
		dead->live = NULL;
		dead->stack = NULL;
	}
	reap__stack_put(&domain->depot, cache, stack);
	REAP__COUNT(domain, worker, ledger[payer].stacks);
	if (domain->ledger_time)
		REAP__COUNT_N(domain, worker, ledger[payer].ns, domain->clock(domain->clock_arg) - since);
	if (dead == NULL)
		return;
	if (!(dead->flags & REAP__EARLY))
		reap__tell_host(domain, dead);
	reap_completion_post(&dead->done);
	reap__ready_all(&told);
}

/* The oldest corpse that is off the CPU, or NULL. */
static struct reap_context *
next_corpse(struct reap_adopter *adopter)
{
	struct reap_context *corpse, *last;

	reap__inbox_take(&adopter->inbox);
	corpse = adopter->inbox.corpses;
	if (corpse == NULL)
		return NULL;
	for (last = corpse->prev; !reap_completion_posted(&corpse->done); corpse = corpse->next)
		if (corpse == last)
			return NULL;
	reap__inbox_unlink(&adopter->inbox, corpse);
	return corpse;
}

int
reap__adopter_drain(struct reap_adopter *adopter, unsigned budget, enum reap_payer payer, struct reap__stack_cache *cache)
{
	struct reap_worker	*worker = reap__worker_in(adopter->domain);
	struct reap__stack	*stack;
	struct reap_context	*corpse;
	uint32_t		 idle = 0;
	unsigned		 n = 0;

	/* Acquire: pairs with the release below: one drainer after the other. */
	if (!REAP_CAS_ACQUIRE(&adopter->draining, &idle, 1))
		return -EBUSY;
	if (budget > INT32_MAX)
		budget = INT32_MAX;
	if (cache == NULL && worker != NULL)
		cache = &worker->cache;
	for (; n < budget; n++) {
		if ((stack = next_stack(adopter)) != NULL)
			reap__adopter_free_stack(adopter->domain, worker, cache, stack, payer);
		else if ((corpse = next_corpse(adopter)) != NULL)
			reap__collect(worker, corpse, NULL, payer, NULL);
		else
			break;
		REAP_STORE_RELAXED(&adopter->reaped, adopter->reaped + 1);
	}
	/* Release: pairs with the acquire above. */
	REAP_STORE_RELEASE(&adopter->draining, 0);
	/* Taking what had come has also taken the kicks that came with it.  If one of them was meant for somebody who is about
	 * to sleep, it is passed on: he has looked already. */
	if (REAP_LOAD_RELAXED(&adopter->interrupted) != 0 || reap_adopter_backlog(adopter) != 0) {
		struct reap_waiter *sleeper = reap__inbox_kick(&adopter->inbox);

		if (sleeper != NULL)
			sleeper->ready(sleeper);
	}
	return (int)n;
}

int
reap_adopter_drain(struct reap_adopter *adopter, unsigned budget)
{
	return reap__adopter_drain(adopter, budget, REAP_PAYER_ADOPTER, NULL);
}

size_t
reap_adopter_backlog(const struct reap_adopter *adopter)
{
	/* In this order: what is reaped was handed over before. */
	uint64_t reaped = REAP_LOAD_RELAXED(&adopter->reaped), handed = REAP_LOAD_RELAXED(&adopter->handed);

	return handed > reaped ? (size_t)(handed - reaped) : 0;
}

/* An OS thread that is no worker sleeps on a completion that its waker posts. */
struct thread_sleep {
	struct reap_waiter	waiter;
	struct reap_completion	woken;
};

static void
wake_thread(struct reap_waiter *waiter)
{
	reap_completion_post(&((struct thread_sleep *)waiter)->woken);
}

int
reap_adopter_wait(struct reap_adopter *adopter)
{
	for (;;) {
		struct thread_sleep	 thread = { { wake_thread }, REAP_COMPLETION_INIT };
		uintptr_t		 kicked = REAP__INBOX_KICKED;
		int			 error;

		/* Acquire: pairs with the kick: what it was about is seen below.  Cleared first, then looked. */
		(void)REAP_CAS_ACQ_REL(&adopter->inbox.head, &kicked, 0);
		if (kicked & REAP__INBOX_WAITER)
			return -EBUSY;
		if (REAP_XCHG_ACQUIRE(&adopter->interrupted, 0) != 0)	/* pairs with the release in interrupt() */
			return -ECANCELED;
		if (reap_adopter_backlog(adopter) != 0)
			return 0;
		if (reap_worker_self() != NULL) {
			error = reap__await_inbox(&adopter->inbox);
			if (error != 0)
				return error;
		} else if (reap__inbox_await(&adopter->inbox, &thread.waiter))
			(void)reap_completion_wait(&thread.woken);
	}
}

void
reap_adopter_interrupt(struct reap_adopter *adopter)
{
	struct reap_waiter *sleeper;

	/* Release: pairs with the exchange in reap_adopter_wait(). */
	REAP_STORE_RELEASE(&adopter->interrupted, 1);
	sleeper = reap__inbox_kick(&adopter->inbox);
	if (sleeper != NULL)
		sleeper->ready(sleeper);
}

/* The adopter is closed: its stacks go to its heir. */
static void
pass_on(struct reap_adopter *adopter, struct reap__stack *stack)
{
	while (stack != NULL) {
		struct reap__stack	*next = stack->next;
		struct reap_waiter	*sleeper = reap__adopter_owe_stack(adopter, stack);

		if (sleeper != NULL)
			sleeper->ready(sleeper);
		stack = next;
	}
}

int
reap_adopter_destroy(struct reap_adopter *adopter)
{
	struct reap_domain	*domain = adopter->domain;
	struct reap_context	*corpse;
	struct reap_waiter	*sleeper;
	uint32_t		 idle = 0;

	if (adopter == &domain->adopter)
		return -EINVAL;
	/* pairs with the release in drain.  Never given back: nobody drains it any more. */
	if (!REAP_CAS_ACQUIRE(&adopter->draining, &idle, 1))
		return -EBUSY;
	if (REAP_LOAD_RELAXED(&adopter->inbox.head) & REAP__INBOX_WAITER) {
		REAP_STORE_RELEASE(&adopter->draining, 0);	/* pairs with the next drainer's acquire */
		return -EBUSY;
	}
	(void)reap__inbox_close(&adopter->inbox);
	while ((corpse = adopter->inbox.corpses) != NULL) {
		reap__inbox_unlink(&adopter->inbox, corpse);
		sleeper = reap__to_adopter(corpse);	/* finds this one closed, and asks its heir */
		if (sleeper != NULL)
			sleeper->ready(sleeper);
	}
	/* Acquire and release: pairs with push_stack(): each is in the list, or sees CLOSED. */
	pass_on(adopter, (struct reap__stack *)REAP_XCHG_ACQ_REL(&adopter->stacks, CLOSED));
	pass_on(adopter, adopter->owed);
	pthread_mutex_lock(&domain->lock);
	for (struct reap_adopter **link = &domain->adopters; *link != NULL; link = &(*link)->next)
		if (*link == adopter) {
			*link = adopter->next;
			break;
		}
	pthread_mutex_unlock(&domain->lock);
	reap__adopter_unref(adopter);
	return 0;
}
