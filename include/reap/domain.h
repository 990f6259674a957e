/* SPDX-License-Identifier: ISC */
/*
 * domain.h: what belongs together: a host's callbacks, limits, workers, the depot of stacks, the default adopter.
 */
#ifndef REAP_DOMAIN_H
#define REAP_DOMAIN_H

#include <reap/base.h>
#include <reap/stack.h>

REAP_BEGIN_DECLS

struct reap_context;
struct reap_domain;
struct reap_handle;
struct reap_worker;

/*
 * The host: the scheduler that embeds libreap.  Door 2 is these four.
 *
 * All but idle() run in places that may not block, allocate, take a lock that a running context may hold, or switch; next()
 * and ready() may take the host's own short queue lock.
 *
 * Without next() and ready(), both NULL, there is no scheduler: contexts cannot wait for the living; the hooks are called all the
 * same.
 */
struct reap_host {
	/* Take the next runnable context off this worker's queue.  NULL: nothing; the base context goes on. */
	struct reap_context *(*next)(struct reap_worker *worker);
	/* Make a parked context runnable.  It is off the CPU.  Called on any worker or OS thread, never for a base context. */
	void	(*ready)(struct reap_context *context);
	/* The base context waits and next() had nothing: sleep until ready() or wake() gives this worker something to do.  May
	 * return early.  A good place for reap_adopter_drain() and reap_trim_aged().  NULL, for domains of one thread: a wait that
	 * nothing can end returns -EDEADLK. */
	void	(*idle)(struct reap_worker *worker);
	/* Make idle() of this worker return, or the next one not sleep.  Any thread.  NULL: when only one thread is used. */
	void	(*wake)(struct reap_worker *worker);
	/* The host calls reap_context_share() before it lets a context run on another worker than the one that made it, and
	 * sends those that it may not share home (reap_context_home()).  True spares every life that stays on one worker its
	 * locked instructions.  A host with one worker has nothing more to do for it. */
	bool	shares;
	/* When next() has nothing, whoever sleeps for the dying one may follow it at once, without ready() and next(): it would
	 * have been next anyhow.  For hosts that do not keep count of what ready() and next() pass. */
	bool	direct;
	/* The rest is optional. */
	/* Before a switch, on the stack that is left. */
	void	(*on_switch)(struct reap_worker *worker, struct reap_context *from, struct reap_context *to);
	/* The landing, on the new stack, first entry included.  prev is gone when this returns if dead. */
	void	(*after_switch)(struct reap_worker *worker, struct reap_context *prev, bool dead);
	/* SIGCHLD: `child' of `parent' has ended.  Once, at the moment of its notification, before the post. */
	void	(*child_exited)(struct reap_context *parent, struct reap_context *child);
	/* Does the dying context hold a lock of the host?  True aborts ("exit-with-lock").  On the dying stack, in exit. */
	bool	(*locks_held)(struct reap_context *dying);
};

/* Who frees the stack of a dead context. */
enum reap_policy {
	REAP_POLICY_DEFAULT,	/* the domain's; for a domain: adaptive */
	REAP_POLICY_ADAPTIVE,	/* the waiter if one is there at the landing, else the successor */
	REAP_POLICY_PARENT,	/* whoever collects it: a fat zombie until then */
	REAP_POLICY_SUCCESSOR,	/* the landing moves it into the worker's cache: a thin zombie remains */
	REAP_POLICY_ADOPTER,	/* the adopter: a thin zombie remains */
	REAP_POLICY_THREAD	/* the domain's reaper thread, before the parent learns of the end: the baseline */
};

/* When the parent is told. */
enum reap_notify {
	REAP_NOTIFY_DEFAULT,	/* the domain's; for a domain: late */
	REAP_NOTIFY_LATE,	/* by the landing, after the post: the woken parent never meets the barrier */
	REAP_NOTIFY_EARLY	/* at exit, before the final switch: the parent overlaps, then meets the barrier */
};

/* Zero in any field means the default. */
struct reap_domain_options {
	size_t	 size;				/* sizeof(struct reap_domain_options) of the caller; may exceed the library's by zeroes */
	const struct reap_host *host;		/* copied; NULL: no scheduler, contexts cannot wait */
	void	*user;				/* the host's word, reap_domain_user(): how ready() finds its scheduler */
	enum reap_policy policy;
	enum reap_notify notify;
	uint64_t limit;				/* contexts at a time, zombies included; 0: none */
	uint64_t reserve;			/* of these, kept for creators with REAP_CONTEXT_PRIVILEGED */
	struct reap_stack_options stack;
	bool	 usage;				/* keep run time per context: reads the clock at every switch */
	bool	 ledger_time;			/* time every reap for the ledger: reads the clock twice per reap */
	uint64_t (*clock)(void *arg);		/* nanoseconds, never falling; NULL: CLOCK_MONOTONIC */
	void	*clock_arg;
	/* debug: called on the dying stack between the exit's last bookkeeping and the final switch, to widen that window */
	void	(*before_final_switch)(struct reap_context *dying);
};

/*
 * reap_domain_create -- make a domain.
 *
 *   context    Any thread.
 *   ownership  *domain is the caller's until reap_domain_destroy().  Options and host are copied.
 *   ordering   None.
 *   cost       Allocates; probes the kernel for guard pages once per process.
 *   returns    0; -EINVAL: an option out of range, or reserve > limit; -ENOMEM.
 */
REAP_API int	reap_domain_create(const struct reap_domain_options *options, struct reap_domain **domain);

/*
 * reap_domain_user -- the host's word: ready() gets to its scheduler by way of reap_context_domain(), whoever calls it.
 *
 *   context    Any thread.
 *   ownership  None.
 *   ordering   None: constant.
 *   cost       A load.
 *   returns    options.user of reap_domain_create().
 */
REAP_API void	*reap_domain_user(const struct reap_domain *domain);

/*
 * reap_domain_destroy -- end a domain.  What nobody waited for, orphans that no adopter has drained included, is listed
 * through `unjoined' (may be NULL) and reaped.
 *
 *   context    An OS thread that is no worker of the domain; all workers stopped, all adopters and groups destroyed.
 *   ownership  On 0 the domain, its stacks and all handles into it are gone.
 *   ordering   The caller has joined the threads that used it.
 *   cost       System calls in proportion to what was mapped.
 *   returns    0; -EBUSY: workers, adopters or live contexts remain, nothing changed.
 */
REAP_API int	reap_domain_destroy(struct reap_domain *domain,
		    void (*unjoined)(struct reap_context *context, void *arg), void *arg);

/*
 * reap_domain_for_each -- visit every context that is not yet reaped, in no order.
 *
 *   context    Any thread.  The callback may look, and take handles of contexts that are shared or that live on the calling
 *              worker; not create, wait or reap.  A consistent picture needs the domain's workers to stand still.
 *   ownership  None.
 *   ordering   None: a snapshot.
 *   cost       A walk over the descriptors; no lock, no allocation.
 *   returns    The number of contexts visited.
 */
REAP_API size_t	reap_domain_for_each(struct reap_domain *domain,
		    void (*visit)(struct reap_context *context, void *arg), void *arg);

REAP_END_DECLS

#endif
