/* SPDX-License-Identifier: ISC */
/*
 * runtime.h: door 3, bring nothing.  A small M:N work-stealing runtime on pthreads, written on libreap's public headers only.
 *
 *	static intptr_t work(void *arg) { ... return 0; }
 *	static intptr_t start(void *arg)
 *	{
 *		struct reap_context *child;
 *		reap_go(work, arg, &child);
 *		return reap_wait(child, 0, NULL);
 *	}
 *	int main(void) { return reap_run(NULL, start, NULL, NULL) != 0; }
 */
#ifndef REAP_RUNTIME_H
#define REAP_RUNTIME_H

#include <reap.h>

REAP_BEGIN_DECLS

struct reap_runtime;

/* Zero in any field means the default. */
struct reap_runtime_options {
	size_t	 size;				/* sizeof(struct reap_runtime_options) of the caller */
	unsigned workers;			/* OS threads; default: the processors that this process may use */
	struct reap_domain_options domain;	/* host must be NULL: the runtime is the host; domain.size may be 0 */
	unsigned drain_budget;			/* corpses that an idle or yielding worker reaps for the default adopter at a time;
						 * default 32; UINT_MAX: never, the program drains */
	/* optional observers, called as in struct reap_host */
	void	(*child_exited)(struct reap_context *parent, struct reap_context *child);
	void	(*after_switch)(struct reap_worker *worker, struct reap_context *prev, bool dead);
};

/*
 * reap_run -- start a runtime, run entry(arg) as its first context, shut down when that one has ended.
 *
 *   context    An OS thread that is no worker; it becomes one of the workers until the return.
 *   ownership  Contexts still live at the end are destroyed without unwinding; what they owned is theirs to have freed.
 *   ordering   All that entry did happens before the return.
 *   cost       Creates threads.
 *   returns    0, *status (may be NULL) is entry's; -EINVAL, -EAGAIN, -ENOMEM, -EBUSY.
 */
REAP_API int	reap_run(const struct reap_runtime_options *options, reap_entry *entry, void *arg, intptr_t *status);

/*
 * reap_runtime_create, reap_runtime_destroy -- a runtime whose workers are all threads of its own; contexts come by
 * reap_runtime_go() from outside.
 *
 *   context    An OS thread that is no worker of it.
 *   ownership  destroy: as reap_run()'s end; the workers are joined.
 *   ordering   All that ran happens before destroy's return.
 *   cost       Threads.
 *   returns    create: as reap_run().  destroy: 0.
 */
REAP_API int	reap_runtime_create(const struct reap_runtime_options *options, struct reap_runtime **runtime);
REAP_API int	reap_runtime_destroy(struct reap_runtime *runtime);

/*
 * reap_go -- make a child of the running context and let it run.
 *
 *   context    A context of a runtime.
 *   ownership  As reap_context_create(); *child may be NULL only with REAP_CONTEXT_DETACHED (reap_go_with).
 *   ordering   All before happens before entry().
 *   cost       Warm: no system call but to wake a sleeping worker.
 *   returns    As reap_context_create(); -EPERM: the caller is not a context of a runtime.
 */
REAP_API int	reap_go(reap_entry *entry, void *arg, struct reap_context **child);
REAP_API int	reap_go_with(const struct reap_context_options *options, struct reap_context **child);

/*
 * reap_runtime_go -- the same from any OS thread; the context has no parent: join it by handle, or make it DETACHED.
 *
 *   context    Any OS thread.
 *   ownership  The handle names it.
 *   ordering   All before happens before entry().
 *   cost       A lock; maybe a system call.
 *   returns    As reap_context_create().
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
 *   returns    What they are named after.
 */
REAP_API struct reap_domain	*reap_runtime_domain(struct reap_runtime *runtime);
REAP_API struct reap_runtime	*reap_runtime_self(void);
REAP_API unsigned		 reap_runtime_workers(const struct reap_runtime *runtime);
REAP_API int			 reap_runtime_worker_index(void);

/*
 * reap_pause -- let others run; the caller stays runnable.  reap_sleep_until -- not before the domain's clock shows `when'.
 *
 *   context    A context of a runtime.
 *   ownership  None.
 *   ordering   None.
 *   cost       A switch; sleep: a place in a heap, which may allocate.
 *   returns    pause: nothing.  sleep: 0; -ENOMEM; -EPERM.
 */
REAP_API void	reap_pause(void);
REAP_API int	reap_sleep_until(uint64_t when);

/* A place to sleep for one context at a time, with a memory of one unpark.  All zero is ready for use. */
struct reap_parking {
	uintptr_t reap__word;
};

/*
 * reap_park_at, reap_unpark -- sleep until somebody unparks; an unpark that comes first is remembered, once.
 *
 *   context    park_at: a context of a runtime.  unpark: any thread.
 *   ownership  The parking place is the caller's; unpark does not touch it after the sleeper may have gone.
 *   ordering   All before unpark happens before park_at's return.
 *   cost       A switch; an atomic operation.
 *   returns    park_at: 0; -EBUSY: another context is parked there; -EPERM.
 */
REAP_API int	reap_park_at(struct reap_parking *parking);
REAP_API void	reap_unpark(struct reap_parking *parking);

REAP_END_DECLS

#endif
