/* SPDX-License-Identifier: ISC */
/*
 * runtime.h: door 3, bring nothing.  A small M:N work-stealing runtime on pthreads, written on libreap's public headers only.
 *
 *	static intptr_t work(void *arg) { ... return 0; }
 *	static intptr_t start(void *arg)
 *	{
 *		struct reap_context *child;
 *
 *		reap_go(work, arg, &child);
 *		return reap_wait(child, 0, NULL);
 *	}
 *	int main(void) { return reap_run(NULL, start, NULL, NULL) != 0; }
 *
 * Contexts are never preempted.  A runnable one waits, at the worst, for the next switch of the worker it is queued on; as
 * a rule an idle worker takes it before.  So a body that spins for what another context does must call reap_pause().
 *
 * After fork() the child has none of the workers' threads: it may call exec or _exit, and nothing of libreap.
 */
#ifndef REAP_RUNTIME_H
#define REAP_RUNTIME_H

#include <reap.h>

REAP_BEGIN_DECLS

struct reap_runtime;

/*
 * Events from outside, by epoll, kqueue or whatever tells of them.  The workers look for some now and then; and when there is
 * nothing to run, one of them sleeps in poll() instead of sleeping in the runtime.
 */
struct reap_poller {
	/* Unpark those that events have come for: nothing else of libreap may be called.  If there are none, sleep up to `wait'
	 * nanoseconds; 0: not at all; UINT64_MAX: until one comes, or wake().  It may return early.
	 *
	 * With wait == 0 it is called by any worker, by several at a time, also while another one sleeps in it; on the stack of any
	 * context, in the midst of a switch: as reap_host.next it neither blocks nor allocates.  Otherwise it is called by one worker
	 * at a time, on the stack of a thread. */
	void	(*poll)(void *arg, uint64_t wait);
	/* Make the poll() that sleeps return at once; or, if none does, the next one that would: a poll() with wait == 0 that comes
	 * between leaves that to it.  Any thread; does not block. */
	void	(*wake)(void *arg);
	void	*arg;
};

/* Zero in any field but the first means the default. */
struct reap_runtime_options {
	size_t	 size;				/* sizeof(struct reap_runtime_options) of the caller; may exceed the library's by zeroes */
	unsigned workers;			/* OS threads, 1 to 32767; default: the processors that this process may use */
	unsigned drain_budget;			/* corpses of the default adopter that a worker reaps at a time: before it
						 * sleeps, and at every so manyth go or pause; default 32; UINT_MAX: never */
	unsigned reaper_batch;			/* reap_thread_start()'s, which runs if domain->policy is REAP_POLICY_THREAD */
	const struct reap_domain_options *domain; /* copied; NULL: all default.  `user' and, of `host', next, ready, idle
						 * and wake must be NULL: they are the runtime's; its observers are kept */
	struct reap_poller poller;		/* poll and wake, or neither */
};

/*
 * reap_run -- start a runtime, run entry(arg) as its first context, shut down when that one has ended.
 *
 *   context    An OS thread that is no worker; it becomes one of the workers until the return.
 *   ownership  Contexts that are still live then are destroyed (reap_context_destroy(), status -ECANCELED): each is run up to
 *              its next reap_pause(), wait, sleep or parking, never unwound; one that does none of these keeps the end
 *              waiting.  Sub-adopters and groups are the program's to destroy before entry returns.
 *   ordering   All that any context did happens before the return.
 *   cost       Creates threads.
 *   returns    0, *status (may be NULL) is entry's; -EINVAL, -EAGAIN, -ENOMEM: nothing was run; -EBUSY: the calling thread is
 *              a worker already, nothing was run; -ECHILD: entry was detached, or joined by somebody else; -ENOTEMPTY:
 *              entry has run, but adopters or groups were left: the domain is lost.
 */
REAP_API int	reap_run(const struct reap_runtime_options *options, reap_entry *entry, void *arg, intptr_t *status);

/*
 * reap_runtime_create, reap_runtime_destroy -- a runtime whose workers are all threads of its own; contexts come by
 * reap_runtime_go() from outside.
 *
 *   context    An OS thread that is no worker of it.
 *   ownership  destroy: as at the end of reap_run(); nobody else uses the runtime any more.  Consumes it.
 *   ordering   All that ran happens before destroy's return.
 *   cost       Threads.
 *   returns    create: 0; -EINVAL, -EAGAIN, -ENOMEM.  destroy: 0; -ENOTEMPTY as reap_run().
 */
REAP_API int	reap_runtime_create(const struct reap_runtime_options *options, struct reap_runtime **runtime);
REAP_API int	reap_runtime_destroy(struct reap_runtime *runtime);

/*
 * reap_go -- make a child of the running context and let it run.  reap_go_with -- the same with options.
 *
 *   context    A context of a runtime.
 *   ownership  As reap_context_create().  *child is set before the child can run; child may be NULL only with
 *              REAP_CONTEXT_DETACHED or a group.
 *   ordering   All before happens before entry().
 *   cost       Warm: no system call but to wake a sleeping worker.
 *   returns    As reap_context_create(); -EINVAL: child is NULL; -EPERM: the caller is not a context of a runtime.
 */
REAP_API int	reap_go(reap_entry *entry, void *arg, struct reap_context **child);
REAP_API int	reap_go_with(const struct reap_context_options *options, struct reap_context **child);

/*
 * reap_runtime_go -- let a context run, from any OS thread that is no worker.  It has no parent: join it by handle, or make
 * it DETACHED.
 *
 *   context    An OS thread that is no worker, while the runtime is not being destroyed.
 *   ownership  *handle (may be NULL) names it.
 *   ordering   All before happens before entry().
 *   cost       As reap_context_create(); maybe a system call.
 *   returns    As reap_context_create(); -EPERM: the caller is a worker.
 */
REAP_API int	reap_runtime_go(struct reap_runtime *runtime, const struct reap_context_options *options,
		    struct reap_handle *handle);

/*
 * reap_runtime_domain, reap_runtime_self, reap_runtime_workers, reap_runtime_worker_index -- look about.
 *
 *   context    self and worker_index: a context of a runtime (NULL, -1 otherwise); the others: any thread.
 *   ownership  None.
 *   ordering   worker_index may change at every switch.
 *   cost       A few loads.
 *   returns    What they are named after; the index counts from 0.
 */
REAP_API struct reap_domain	*reap_runtime_domain(struct reap_runtime *runtime);
REAP_API struct reap_runtime	*reap_runtime_self(void);
REAP_API unsigned		 reap_runtime_workers(const struct reap_runtime *runtime);
REAP_API int			 reap_runtime_worker_index(void);

/*
 * reap_pause -- let others run; the caller stays runnable.
 *
 *   context    A context of a runtime; elsewhere it does nothing.
 *   ownership  None.
 *   ordering   None.
 *   cost       A switch; at times a drain of the default adopter.
 *   returns    Nothing.  Not at all once the runtime is shutting down.
 */
REAP_API void	reap_pause(void);

/*
 * reap_sleep_until -- run again when the domain's clock shows `when', in nanoseconds, or later.
 *
 * The sleeper stays with the worker it fell asleep on, which looks at its timers at every 16th switch and whenever it has
 * nothing to run.  With an injected clock an idle worker looks once a millisecond.
 *
 *   context    A context of a runtime.
 *   ownership  None.
 *   ordering   None.
 *   cost       Two readings of the clock, a switch, a place in a heap: the only allocation, kept for the next sleeper.
 *   returns    0; -ENOMEM: not slept; -EPERM.
 */
REAP_API int	reap_sleep_until(uint64_t when);

/*
 * A place to sleep for one context at a time, with a memory of one unpark.  All zero is ready for use.
 *
 *	EMPTY --park_at--> the sleeper --unpark, or its time has come--> EMPTY (the sleeper is readied)
 *	  ^ '---unpark---> TOKEN
 *	  '----park_at-------'    (does not sleep)
 */
struct reap_parking {
	uintptr_t reap__word;		/* any thread, by the macros of atomic.h */
};

/*
 * reap_park_at, reap_unpark -- sleep until somebody unparks; an unpark that comes first is remembered, once.
 *
 *   context    park_at: a context of a runtime.  unpark: any thread; what it lets happen may be the end of the sleeper's runtime,
 *              which then waits for it; but no other end may come while it lasts.
 *   ownership  The parking place is the caller's; unpark does not touch it after the sleeper may have gone.
 *   ordering   All before unpark happens before the return of the park_at that it ends.
 *   cost       park_at: a switch, or an atomic operation if there was a token.  unpark: an atomic operation; a system call if
 *              a sleeping worker is woken.
 *   returns    park_at: 0; -EBUSY: another context is parked there; -EPERM.
 */
REAP_API int	reap_park_at(struct reap_parking *parking);
REAP_API void	reap_unpark(struct reap_parking *parking);

/*
 * reap_park_until -- reap_park_at() that gives up when the domain's clock shows `when', in nanoseconds, or later.
 *
 *   context    A context of a runtime.
 *   ownership  As reap_park_at().
 *   ordering   As reap_park_at() if it returns 0.  Whoever gave up has not taken an unpark: one that comes later is remembered.
 *   cost       As reap_park_at(), with the clock, the place and the punctuality of reap_sleep_until(), and two uncontended locks.
 *   returns    0; -ETIMEDOUT: at once if `when' has passed and there was no token; -EBUSY, -EPERM: as reap_park_at(); -ENOMEM: not
 *              slept.
 */
REAP_API int	reap_park_until(struct reap_parking *parking, uint64_t when);

REAP_END_DECLS

#endif
