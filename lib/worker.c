/* SPDX-License-Identifier: ISC */
/*
 * worker.c: an OS thread that runs contexts: the switch, the landing, and the two ways of leaving that are no death.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <reap/atomic.h>
#include <reap/resume.h>

#include "os/os.h"
#include "plain.h"

_Noreturn void
reap__refuse(const struct reap_context *to)
{
	if (reap__flags(to) & REAP__EXITED)
		reap_misuse("switch-to-dead", "a switch to a context that has ended");
	reap_misuse("switch-to-running", "a switch to a context that is on a CPU");
}

_Thread_local struct reap_worker *reap__here;

_Noreturn __attribute__((noinline)) void
reap__jump_cold(struct reap_worker *worker, struct reap_context *to)
{
	reap__count_own(&worker->count.switches, (uint64_t)-1);	/* an exit of this kind is counted as such */
	reap__jump(worker, to);
}

/*
 * Never inlined, and opaque to the optimiser: a caller that kept the address of `reap__here', or its value, across a switch would
 * find the worker it came from [8].
 */
__attribute__((noinline)) struct reap_worker *
reap_worker_self(void)
{
	__asm__ volatile("" ::: "memory");
	return reap__here;
}

struct reap_worker *
reap__worker_in(const struct reap_domain *domain)
{
	struct reap_worker *worker = reap_worker_self();

	return worker != NULL && worker->domain == domain ? worker : NULL;
}

struct reap_domain *
reap_worker_domain(const struct reap_worker *worker)
{
	return worker->domain;
}

void *
reap_worker_user(const struct reap_worker *worker)
{
	return worker->user;
}

struct reap_context *
reap_worker_current(const struct reap_worker *worker)
{
	return worker->current;
}

struct reap_context *
reap_worker_base(const struct reap_worker *worker)
{
	return worker->base;
}

/* What a host has asked for besides. */
void
reap__depart_hooks(struct reap_worker *worker, struct reap_context *from, struct reap_context *to)
{
	if (worker->hooks & REAP__HOOK_ON)
		worker->domain->host.on_switch(worker, from, to);
	if (worker->hooks & REAP__HOOK_USAGE && !(from->flags & REAP__EXITED))
		reap__charge(worker, from);
	if (worker->hooks & REAP__HOOK_AFTER && worker->slot.reap__prev == 0)
		worker->slot.reap__prev = (uintptr_t)from | REAP__PREV_SWITCHED;
}

/* With hooks, to oneself, or an error. */
static __attribute__((noinline)) struct reap_worker *
switch_cold(struct reap_worker *worker, struct reap_context *to)
{
	reap__slot_must_be_empty(worker);
	if (to == worker->current)
		return worker;
	return reap__switch_last(worker, to);
}

struct reap_worker *
reap_switch(struct reap_worker *worker, struct reap_context *to)
{
	/* Told apart here, so that the usual case has no register to save for a call. */
	if (REAP_UNLIKELY(worker->slot.reap__prev != 0 || !reap__departs_plainly(worker, to)))
		return switch_cold(worker, to);
	return reap__switch_plainly(worker, to);
}

struct reap_worker *
reap_yield(struct reap_worker *worker)
{
	struct reap_context	*from = worker->current, *to;

	if (!worker->domain->hosted || (to = worker->domain->host.next(worker)) == NULL)
		return worker;
	reap__slot_must_be_empty(worker);
	if (!(from->flags & REAP__BASE))
		worker->slot.reap__prev = (uintptr_t)from | REAP__PREV_YIELDED;
	return reap__switch_last(worker, to);
}

struct reap_worker *
reap_park(struct reap_worker *worker, bool (*publish)(struct reap_context *, void *), void *arg)
{
	return reap__switch_last(worker, reap__to_park(worker, publish, arg));
}

int
reap_worker_start(struct reap_domain *domain, void *user, struct reap_worker **out)
{
	struct reap_worker	*worker;
	struct reap_context	*base;
	uint64_t		 generation;

	if (domain == NULL || out == NULL)
		return -EINVAL;
	if (reap_worker_self() != NULL)
		return -EBUSY;
	/* A size that is a multiple of the alignment, as C11 wants it. */
	worker = aligned_alloc(128, (sizeof(*worker) + 127) & ~(size_t)127);
	if (worker == NULL)
		return -ENOMEM;
	memset(worker, 0, sizeof(*worker));
	worker->domain = domain;
	worker->user = user;
	worker->room = REAP__DESCRIPTORS_KEPT;
	base = reap__descriptor_get(domain, worker);
	if (base == NULL || reap__thread_watch(worker) != 0) {
		if (base != NULL)
			reap__descriptor_put(domain, NULL, base);
		reap__descriptor_donate(worker);
		free(worker);
		return -ENOMEM;
	}
	generation = reap__context_init(domain, worker, base, REAP__BASE | REAP__BOUND | REAP__SHARED);
	base->live = &worker->base_live;
	base->live->home = worker;
	worker->fresh_live.home = worker;
	reap__san_base_init(REAP__SAN(base->live));
	worker->base = worker->current = base;
	worker->hooks = (domain->host.on_switch != NULL ? REAP__HOOK_ON : 0) |
	    (domain->host.after_switch != NULL ? REAP__HOOK_AFTER : 0) | (domain->usage ? REAP__HOOK_USAGE : 0);
	worker->birth = reap__plain_birth(domain);
	worker->simple = reap__simple_birth(domain);
	worker->limited = domain->limit != 0;
	worker->breeds = !worker->limited && worker->birth != 0 ? REAP__BOUND : ~0u;
	if (domain->usage)
		worker->slice = domain->clock(domain->clock_arg);
	/* Nobody can wait for it: it ends with its worker.  Release: pairs with the acquire of whoever tries. */
	REAP_STORE_RELEASE(&base->claim, REAP__CLAIM(generation, REAP__CLAIMED));
	reap__stack_cache_init(&worker->cache, &domain->depot);
	if (worker->simple == 0)
		reap__stack_set_besides(&worker->cache, 0, REAP__STACK_NOT_SIMPLE);
	pthread_mutex_lock(&domain->lock);
	worker->next = domain->workers;
	domain->workers = worker;
	domain->nworkers++;
	pthread_mutex_unlock(&domain->lock);
	reap__here = worker;
	*out = worker;
	return 0;
}

int
reap_worker_stop(struct reap_worker *worker)
{
	struct reap_domain	*domain = worker->domain;
	struct reap_context	*base = worker->base;

	if (worker != reap_worker_self() || worker->current != base)
		reap_misuse("stop-from-base", "reap_worker_stop() from a context, or from another thread");
	(void)reap_worker_discarded(worker);
	/* Relaxed: only contexts pinned here are counted, and only this worker makes them. */
	if (reap__bound(worker) != 0 || REAP_LOAD_RELAXED(&worker->pinned) != 0)
		return -EBUSY;
	/* pairs with reap_context_discard(): what was discarded is gone, who did that is about to wake this worker. */
	while (REAP_LOAD_ACQUIRE(&worker->discarders) != 0)
		reap__os_yield();
	reap__slot_must_be_empty(worker);	/* the base context landed when it came back [9] */
	reap__disinherit(worker, base);
	reap__stack_cache_fini(&worker->cache);
	REAP_STORE_RELAXED(&base->flags, base->flags | REAP__EXITED);
	/* Release: pairs with the acquire of whoever tries a stale handle of the base context. */
	REAP_STORE_RELEASE(&base->claim, REAP__CLAIM(REAP__CLAIM_GENERATION(base->claim), REAP__REAPED));
	reap__ref_add(worker, base, (uint64_t)base->kids - REAP__REFS_ALIVE);
	reap__descriptor_donate(worker);
	reap__limit_donate(worker);

	pthread_mutex_lock(&domain->lock);
	for (struct reap_worker **link = &domain->workers; *link != NULL; link = &(*link)->next)
		if (*link == worker) {
			*link = worker->next;
			break;
		}
	domain->nworkers--;
	reap__counters_add(&domain->count, &worker->count);
	pthread_mutex_unlock(&domain->lock);
	reap__here = NULL;
	(void)reap__thread_watch(NULL);
	free(worker);
	return 0;
}
