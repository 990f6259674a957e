/* SPDX-License-Identifier: ISC */
/*
 * context.h: a green thread, coroutine or fiber: descriptor and stack.  Its making and its end.
 */
#ifndef REAP_CONTEXT_H
#define REAP_CONTEXT_H

#include <reap/base.h>
#include <reap/domain.h>

REAP_BEGIN_DECLS

struct reap_adopter;
struct reap_group;
struct reap_worker;

/* The address of a context is a multiple of this: a host may keep something of its own in the low bits of a pointer to one. */
#define REAP_CONTEXT_ALIGN	64u

/* What a context runs.  Returning is reap_exit() with the value returned. */
typedef intptr_t reap_entry(void *arg);

/*
 * A name that outlives its context: a stale one is recognised.  All zero names nobody.  Plain data: copy, store, compare.
 */
struct reap_handle {
	uintptr_t where;	/* opaque */
	uint64_t generation;	/* from a counter that never repeats within a domain; never 0 */
};

#define REAP_CONTEXT_DETACHED	0x1u	/* the adopter reaps it; nobody can wait for it */
#define REAP_CONTEXT_PRIVILEGED	0x2u	/* may draw on the domain's reserve */
#define REAP_CONTEXT_PINNED	0x4u	/* runs only on the worker that created it (checked) */
#define REAP_CONTEXT_OWNED	0x8u	/* no parent, no heir: run by reap_resume(), which reaps it when it ends; resume.h */

/* Zero in any field means the default. */
struct reap_context_options {
	size_t	 size;			/* sizeof(struct reap_context_options) of the caller; may exceed the library's by zeroes */
	reap_entry *entry;
	void	*arg;
	void	*user;			/* the embedder's word, reap_context_user() */
	enum reap_policy policy;
	enum reap_notify notify;
	unsigned flags;			/* REAP_CONTEXT_DETACHED, ... */
	size_t	 stack_size;		/* bytes; default: the domain's; else rounded up to a power of two of pages */
	void	*stack;			/* memory of the embedder's, stack_size bytes: his again in off_cpu() */
	const struct reap_stack_ops *stack_ops;	/* instead: allocated and freed by these; must outlive the context */
	struct reap_adopter *adopter;	/* heir of this context, its children and theirs; default: the creator's */
	struct reap_group *group;	/* ends as one with its other members; implies DETACHED for waits */
	/* Once, on the reaping side, after the context is off the CPU and before its memory is given up: the descriptor and,
	 * unless the policy has recycled it, the stack are still there.  Must not wait for a context or exit. */
	void	(*off_cpu)(struct reap_context *context, intptr_t status);
};

/*
 * reap_context_create -- make a context, suspended: the host runs it by reap_switch() or from next().
 *
 *   context    A running context, which becomes the parent; or an OS thread that is no worker: there is no parent, the
 *              context is joined by handle or DETACHED.
 *   ownership  *context lives until it is collected.  The descriptor is the library's.
 *   ordering   All before the call happens before entry().
 *   cost       Warm: no system call, no allocation, no shared write.  Else maps memory.
 *   returns    0; -EINVAL; -EAGAIN: the domain's limit; -ENOMEM: also for more than 2^24 children that nobody has collected;
 *              -ESRCH: the group has ended; -EPERM: PINNED without a worker.  On error nothing has changed.
 */
REAP_API int	reap_context_create(struct reap_domain *domain, const struct reap_context_options *options,
		    struct reap_context **context);

/*
 * reap_spawn -- reap_context_create() with everything default, for the fast path.
 *
 *   context    A running context on `worker', which becomes the parent.
 *   ownership  As reap_context_create().
 *   ordering   As reap_context_create().
 *   cost       As reap_context_create().
 *   returns    As reap_context_create().
 */
REAP_API int	reap_spawn(struct reap_worker *worker, reap_entry *entry, void *arg, struct reap_context **context);

/*
 * reap_exit -- end the running context.
 *
 *   1  locks_held() is asked, exit listeners run, newest first: all may block.
 *   2  dead and living children go to the adopter.
 *   -- the no-block point: from here no block, no allocation, no lock, no failure, no system call --
 *   3  the heir learns of it; the completion goes into the slot; straight to the successor, whose landing posts.
 *
 * Nothing is unwound: no C++ destructor runs, no cleanup attribute; listeners are for that.
 *
 *   context    A running context that is not a base context (aborts: "exit-base"), not from an off_cpu() or host callback.
 *   ownership  The stack belongs to who collects the context.
 *   ordering   All that the context did happens before its collector's return.
 *   cost       As above.
 *   returns    Never.
 */
REAP_NORETURN REAP_API void	reap_exit(intptr_t status);

/*
 * reap_context_destroy -- end a suspended context without running it again: nothing is unwound, no listener runs.
 *
 *   context    Any thread that owns the context as a host does: it is off the CPU, queued nowhere, and nobody will ready
 *              it.  If only one worker may run it (reap_context_home()): on that worker, or while that one stands still.  A
 *              running or dead one aborts ("destroy-running", "destroy-dead").  Its waits, if any, must be over.
 *   ownership  As reap_exit() with `status': collectors and heirs get it as a dead one.  An owned one is reaped at once.
 *   ordering   As the caller's knowledge that it is off the CPU.
 *   cost       No system call but to wake a sleeping OS thread, and what a reap costs if it had claimed one that has ended.
 *   returns    0; -EBUSY: it is parked in a wait that has claimed somebody who lives, or has resumed somebody; nothing changed.
 */
REAP_API int	reap_context_destroy(struct reap_context *context, intptr_t status);

/* Told at the exit of one context, on its own stack, before the no-block point; may block.  Embed it. */
struct reap_exit_listener {
	void	(*exiting)(struct reap_exit_listener *listener, struct reap_context *dying, intptr_t status);
	struct reap_exit_listener *reap__next;
};

/*
 * reap_exit_listen, reap_exit_unlisten -- hear of the end of a context: cleanup handlers, context-local destructors.
 *
 *   context    The context itself, or its creator before its first run.
 *   ownership  The listener is the caller's; it must stay until it ran or was taken off.
 *   ordering   Same thread.
 *   cost       listen: two stores; unlisten: a walk.
 *   returns    unlisten: 0; -ENOENT.
 */
REAP_API void	reap_exit_listen(struct reap_context *context, struct reap_exit_listener *listener);
REAP_API int	reap_exit_unlisten(struct reap_context *context, struct reap_exit_listener *listener);

/* Where a context is in its life.  Exact only to who keeps it there. */
enum reap_state {
	REAP_STATE_NONE,	/* the handle is stale */
	REAP_STATE_NEW,		/* created, not run yet */
	REAP_STATE_SUSPENDED,	/* off the CPU: runnable or parked, the host knows */
	REAP_STATE_RUNNING,
	REAP_STATE_EXITING,	/* has called exit, may still be on the CPU */
	REAP_STATE_ZOMBIE	/* exited and off the CPU, not collected, or held */
};

/*
 * reap_context_user, _set_user, _domain, _parent, _policy, _state -- look about.
 *
 *   context    Whoever keeps the context from being reaped: itself, its parent, its host while live, an adopter.
 *   ownership  None.  The parent may be NULL, or dead.
 *   ordering   set_user: by one owner at a time.
 *   cost       A load or two.
 *   returns    What they are named after.
 */
REAP_API void			*reap_context_user(const struct reap_context *context);
REAP_API void			reap_context_set_user(struct reap_context *context, void *user);
REAP_API struct reap_domain	*reap_context_domain(const struct reap_context *context);
REAP_API struct reap_context	*reap_context_parent(const struct reap_context *context);
REAP_API enum reap_policy	reap_context_policy(const struct reap_context *context);
REAP_API enum reap_state	reap_context_state(const struct reap_context *context);

/*
 * reap_context_handle -- take the context's name, for those who may outlive it.
 *
 *   context    The context itself, its parent or its host, on the worker it lives on; or whoever keeps a shared context from
 *              being reaped.  A private one of another worker aborts ("private").
 *   ownership  The handle is plain data.
 *   ordering   None.
 *   cost       A few loads and stores.  Who has a name can be reached from anywhere: its end is atomic from now on.
 *   returns    The handle.
 */
REAP_API struct reap_handle	reap_context_handle(struct reap_context *context);

/*
 * reap_context_share -- other workers may run the context from now on.  For hosts that promise to say so (reap_host.shares);
 * for others it does nothing.
 *
 *   context    The worker the context lives on, before another one can find it in a queue.
 *   ownership  None.
 *   ordering   None by itself: the host's queue hands the context over.
 *   cost       A few loads and stores.
 *   returns    0; -EBUSY: it has children that are private to this worker, it stays; -EPERM: pinned, or a base context.
 */
REAP_API int			reap_context_share(struct reap_context *context);

/*
 * reap_context_home -- which worker must run it?
 *
 *   context    A host that is about to queue it, on any worker or thread.
 *   ownership  None.
 *   ordering   None: what has no home while it is parked gets none before it runs.
 *   cost       A load or two.
 *   returns    The one worker that may run it (pinned, private, or with private children); NULL: any.
 */
REAP_API struct reap_worker	*reap_context_home(const struct reap_context *context);

/*
 * reap_context_link -- a pointer-sized field of the descriptor that is the host's while the context is live: the link of its
 * run queue, so that queueing never allocates.
 *
 *   context    The host, while the context is live and not exiting.
 *   ownership  The host's, by its own rules; NULL at create.
 *   ordering   The host's.
 *   cost       None.
 *   returns    The address of the field.
 */
REAP_API struct reap_context	**reap_context_link(struct reap_context *context);

/*
 * reap_context_stack -- the bounds of a context's stack.
 *
 *   context    As reap_context_handle().
 *   ownership  None.
 *   ordering   None.
 *   cost       A few loads.
 *   returns    0 and lo <= sp < hi; a running context has sp == NULL; -ENOENT: a thin zombie, or a base context.  A context in
 *              REAP_STATE_NEW may have no stack yet: then the bounds are those of what it will be started with.
 */
REAP_API int	reap_context_stack(const struct reap_context *context, const void **lo, const void **sp, const void **hi);

REAP_END_DECLS

#endif
