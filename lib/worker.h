/* SPDX-License-Identifier: ISC */
/*
 * worker.h: the state of a worker and of its domain, and the landing.
 */
#ifndef REAP_LIB_WORKER_H
#define REAP_LIB_WORKER_H

#include <pthread.h>

#include <reap/adopter.h>
#include <reap/group.h>
#include <reap/worker.h>

#include "context.h"
#include "stack/stack.h"

/* What the slot holds for the next landing: a pointer and, in its low bits, what to do with the one who left. */
#define REAP__PREV_DEAD		((uintptr_t)0)	/* the completion of a dead context (door 1 knows only these) */
#define REAP__PREV_PARKED	((uintptr_t)1)	/* a struct reap__parking on the stack of the parked */
#define REAP__PREV_YIELDED	((uintptr_t)2)	/* a context to be readied */
#define REAP__PREV_SWITCHED	((uintptr_t)3)	/* a context, for the after_switch() hook alone */
#define REAP__PREV_TAG		((uintptr_t)3)

/* What every switch has to do besides switching; 0 in the usual case. */
#define REAP__HOOK_ON		0x1u	/* host.on_switch */
#define REAP__HOOK_AFTER	0x2u	/* host.after_switch */
#define REAP__HOOK_USAGE	0x4u	/* charge run time */

/*
 * Counters of one worker, written by it alone; of the domain: of those who are no worker, by atomic addition.  What follows from
 * others is not counted: who was reaped (the ledger), who went straight to a successor, who was posted.  `plain' are exits, each of
 * them a switch, that are in neither `exited' nor `switches'; `whole' those whom their parent has reaped with their stacks, and
 * `simple' the same whose resumer did, exits as `plain' ones: these are in nothing else.
 */
struct reap__counters {
	uint64_t created, exited, plain, whole, simple, destroyed, based, threaded, switches, barrier, orphans, detached, limit_hits, recalls;
	struct reap_ledger ledger[REAP_PAYERS];
};

struct reap_worker {
	struct reap_slot	 slot;			/* first, for the inline landing; itself only */
	struct reap_context	*current;		/* right on every path: swap, jump, entry, base loop; itself only */
	unsigned		 hooks;			/* constant */
	uint32_t		 birth;			/* flags of who is born plain here, or 0; constant: plain.h */
	struct reap_domain	*domain;		/* constant */
	struct reap_context	*base;			/* constant */
	bool			 limited;		/* the domain has a limit; constant */
	uint32_t		 breeds;		/* what a parent's flags are to be for a plain birth, if there is no limit; constant */
	uint32_t		 credits;		/* of that limit; itself, and who recalls them */
	int32_t			 room;			/* REAP__DESCRIPTORS_KEPT, less those that are free here */
	struct reap_context	*descriptors;		/* free ones, last in first out; itself only */
	/* The next generation is `created' and this; itself only. */
	uint64_t		 generation;
	uint64_t		 block;			/* what `created' will be when this worker's generations are used up; itself only */
	struct reap__stack_cache cache;
	struct reap__told	 told;			/* woken by the exit that is in the slot, readied after its post; else empty */
	uint64_t		 slice;			/* usage: when `current' got the CPU */
	uint32_t		 pinned;		/* live contexts pinned here; itself only */
	/* Created here, less exited here, less this: the live contexts that no other worker may run for now; itself only. */
	uint64_t		 loose;
	struct reap__counters	 count;
	void			*user;			/* constant */
	struct reap__live	 base_live;
	struct reap__live	 fresh_live;		/* of all who are fresh, which is a home and no more; constant */
	struct reap_worker	*next;			/* the domain's workers; under its lock */
	uint32_t		 simple;			/* flags of who is born simple here, or 0; constant: resume.c */
	struct reap_context	*discarded;		/* to be destroyed here; any thread pushes, itself takes all */
	uint32_t		 discarders;		/* those who push, and have yet to tell it; any thread, by addition */
	bool			 ending;		/* its thread ends, and has asked once; itself only */
};

struct reap__reaper;

struct reap_adopter {
	struct reap__inbox	 inbox;		/* corpses; taken by the drainer */
	uintptr_t		 stacks;	/* stacks under the adopter policy: newest first; CLOSED as in an inbox; any thread */
	struct reap__stack	*owed;		/* taken out of `stacks'; the drainer only */
	uint64_t		 handed, reaped;	/* their difference is the backlog; any thread, by addition; the drainer */
	uint32_t		 draining;	/* 1: somebody drains; by compare-and-swap */
	uint32_t		 interrupted;	/* any thread; the waiter clears it */
	uint32_t		 refs;		/* its creator's, and of each context or adopter that names it */
	struct reap_adopter	*heir;		/* constant; NULL: the domain's default */
	struct reap_domain	*domain;	/* constant */
	struct reap_adopter	*next;		/* the domain's adopters; under its lock */
};

struct reap_domain {
	struct reap_host	 host;		/* constant, as all down to `depot' */
	void			*user;		/* the host's */
	bool			 hosted;
	enum reap_policy	 policy;
	enum reap_notify	 notify;
	uint64_t		 limit, reserve;
	bool			 usage, ledger_time;
	uint64_t	       (*clock)(void *);
	void			*clock_arg;
	void		       (*before_final_switch)(struct reap_context *);
	struct reap__depot	 depot;
	struct reap_adopter	 adopter;	/* the default one */
	uint64_t		 generation;	/* the counter; taken in blocks, by addition */
	uint64_t		 credits;	/* not handed out; by compare-and-swap */
	struct reap__reaper	*reaper;	/* start and stop */

	pthread_mutex_t		 lock;		/* create and reap in bulk, start and stop; never on exit, switch, landing, post */
	struct reap_worker	*workers;
	unsigned		 nworkers;
	struct reap_adopter	*adopters;
	unsigned		 ngroups;
	struct reap__descriptors *slabs;	/* append only; walkers load it with acquire */
	struct reap__descriptors *carving;	/* where fresh descriptors come from; the slabs before it are used up */
	size_t			 ngone;		/* blocks of descriptors that have given their pages back */
	struct reap_context	*descriptors;	/* free ones */
	size_t			 ndescriptors;
	size_t			 fewest;		/* of these, since `fewest_since' by the depot's clock: so many nobody needed */
	uint64_t		 fewest_since;
	struct reap_context	*returned;	/* free ones that exits gave back; anybody pushes, who holds the lock takes all */
	struct reap__counters	 count;		/* of stopped workers, and of threads that are none */
};

/* Live contexts that only this worker may run for now. */
static inline uint64_t
reap__bound(const struct reap_worker *worker)
{
	return worker->count.created - worker->count.exited - worker->count.plain - worker->count.simple - worker->loose;
}

/* Add to a counter: its worker writes it plainly, everybody else shares the domain's. */
#define REAP__COUNT_N(domain, worker, field, n) do {							\
	if (REAP_LIKELY((worker) != NULL))								\
		reap__count_own(&(worker)->count.field, (n));						\
	else												\
		(void)REAP_ADD_RELAXED(&(domain)->count.field, (n));					\
} while (0)
#define REAP__COUNT(domain, worker, field)	REAP__COUNT_N(domain, worker, field, 1)

void	reap__adopter_unref(struct reap_adopter *);

/*
 * The calling thread's worker, without a call.  Only before a function's first switch: what a compiler knows of `self' is void
 * behind one [8].
 */
extern _Thread_local struct reap_worker *reap__here __attribute__((visibility("hidden"), tls_model("initial-exec")));

/* The calling thread's worker if it belongs to this domain, else NULL. */
struct reap_worker	*reap__worker_in(const struct reap_domain *domain);

void	reap__land(struct reap_worker *worker);

/* First thing after every switch [4]. */
static inline void
reap__landed(struct reap_worker *worker)
{
	reap__san_landed(REAP__SAN(worker->current->live));
	if (REAP_UNLIKELY(worker->slot.reap__prev != 0))
		reap__land(worker);
}

static inline struct reap_context *
reap__descriptor_get(struct reap_domain *domain, struct reap_worker *worker)
{
	struct reap_context *context;

	if (REAP_UNLIKELY(worker == NULL || (context = worker->descriptors) == NULL))
		return reap__descriptor_get_cold(domain, worker);
	worker->descriptors = context->next;
	worker->room++;
	return context;
}

/*
 * Nobody refers to the descriptor any more.  On a worker this takes no lock: the last reference to a dead parent may be
 * dropped by the exit of a child [10].  Collectors hand the surplus on.
 */
static inline void
reap__descriptor_put(struct reap_domain *domain, struct reap_worker *worker, struct reap_context *context)
{
	if (REAP_UNLIKELY(worker == NULL)) {
		reap__descriptor_put_cold(domain, context);
		return;
	}
	if (REAP_UNLIKELY(worker->room <= -3 * REAP__DESCRIPTORS_KEPT)) {
		/* Nobody collects here: only exits drop the last references. */
		reap__descriptor_give_back(domain, context);
		return;
	}
	context->next = worker->descriptors;
	worker->descriptors = context;
	worker->room--;
}

/* The last reference is gone. */
static inline void
reap__descriptor_free(struct reap_domain *domain, struct reap_worker *worker, struct reap_context *context)
{
	if (REAP_UNLIKELY(context->flags & REAP__SUB_ADOPTED))
		reap__adopter_unref(context->adopter);
	/* Clean, see plain.h.  Nobody adds to references that have come to 0. */
	context->sp = NULL;
	REAP_STORE_RELAXED(&context->flags, 0);
	context->kids = 0;
	context->live = NULL;
	context->stack = NULL;
	REAP_STORE_RELAXED(&context->inbox.head, 0);
	context->inbox.corpses = NULL;
	context->adopter = NULL;
	context->off_cpu = NULL;
	if (REAP__REFS(REAP_LOAD_RELAXED(&context->refs)) == 0)
		REAP_STORE_RELEASE(&context->refs, REAP__REFS_ALIVE);	/* pairs with the acquire in refer() */
	/* FREE, with no generation: a stale handle finds nothing that it could match [12]. */
	REAP_STORE_RELAXED(&context->claim, 0);
	REAP__SAN_DESCRIPTOR(context, reap__san_nobodys);
	reap__descriptor_put(domain, worker != NULL && worker->domain == domain ? worker : NULL, context);
}

/* On the reaping side, which may lock: what a worker has too many of serves the others. */
static inline void
reap__descriptor_surplus(struct reap_worker *worker)
{
	if (REAP_UNLIKELY(worker->room < 0))
		reap__descriptor_hand_on(worker);
}

/* thread_exit.c */
int	reap__thread_watch(struct reap_worker *worker);

/* limits.c */
int	reap__limit_take(struct reap_domain *domain, struct reap_worker *worker, bool privileged);
void	reap__limit_return(struct reap_domain *domain, struct reap_worker *worker);
void	reap__limit_donate(struct reap_worker *worker);

/* group.c: one member is off the CPU; at the landing */
struct reap_domain *reap__group_domain(const struct reap_group *group);
int	reap__group_join(struct reap_group *group);
void	reap__group_left(struct reap_group *group, intptr_t status);

/* adopter.c */
void	reap__adopter_init(struct reap_adopter *, struct reap_domain *, struct reap_adopter *heir);
struct reap_waiter *reap__adopter_owe_stack(struct reap_adopter *, struct reap__stack *);
void	reap__adopter_free_stack(struct reap_domain *, struct reap_worker *, struct reap__stack_cache *, struct reap__stack *,
	    enum reap_payer);
int	reap__adopter_drain(struct reap_adopter *, unsigned budget, enum reap_payer, struct reap__stack_cache *);
void	reap__adopter_ref(struct reap_adopter *);
void	reap__adopter_name(struct reap_context *, struct reap_adopter *);

/* reaper.c: the thread policy */
void	reap__reaper_hand(struct reap_domain *domain, struct reap_context *dead);
bool	reap__reaper_runs(const struct reap_domain *domain);
void	reap__reaper_fini(struct reap_domain *domain);

/* stats.c */
void	reap__counters_add(struct reap__counters *to, const struct reap__counters *from);

/* usage */
static inline void
reap__charge(struct reap_worker *worker, struct reap_context *from)
{
	uint64_t now = worker->domain->clock(worker->domain->clock_arg);
	struct reap_usage *usage = reap__usage(from);

	/* No order: a peek at one that is exiting reads what there is; collectors come after the post. */
	REAP_STORE_RELAXED(&usage->run_ns, usage->run_ns + now - worker->slice);
	REAP_STORE_RELAXED(&usage->runs, usage->runs + 1);
	worker->slice = now;
}

#endif
