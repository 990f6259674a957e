/* SPDX-License-Identifier: ISC */
/*
 * wait.h: collecting the dead.  Parents wait for children, anybody joins by handle, tracers peek and hold.
 *
 * Whoever collects first claims (one atomic transition; the loser gets an error), then meets the barrier (the completion:
 * off the CPU), then frees.  A context that nobody may collect any more goes to its adopter.
 */
#ifndef REAP_WAIT_H
#define REAP_WAIT_H

#include <reap/base.h>
#include <reap/context.h>

REAP_BEGIN_DECLS

/* Run time of a context and of the children it has collected.  Zero unless the domain keeps usage. */
struct reap_usage {
	uint64_t run_ns;		/* on the CPU, the last slice until off the CPU included */
	uint64_t runs;			/* slices */
	uint64_t children_ns;		/* of all collected descendants: folded in exactly once, at their reap */
	uint64_t children;		/* how many those are */
};

struct reap_result {
	struct reap_handle handle;
	void	*user;
	intptr_t status;
	struct reap_usage usage;
};

#define REAP_NOHANG	0x1u	/* -EAGAIN instead of blocking */
#define REAP_PEEK	0x2u	/* look, do not reap: the next wait finds it again (WNOWAIT) */

/*
 * reap_wait -- wait until a child is off the CPU, then free it.
 *
 *   context    The running context that is the child's parent, base contexts included.  May suspend the caller.  Not from a
 *              host callback, off_cpu() or a signal handler.
 *   ownership  Consumes `child' on success (unless REAP_PEEK); untouched on error.
 *   ordering   All that the child did before its end happens before the return.
 *   cost       No allocation; no system call unless the thread must sleep.
 *   returns    0, *result filled (may be NULL); -ECHILD: not our child, or detached; -EBUSY: somebody else's join has claimed
 *              it; -EDEADLK: waiting for oneself, for one who waits for us, or for what nothing can end; -EAGAIN: REAP_NOHANG
 *              and not off the CPU yet; -EINVAL: flags; -EPERM: the caller is not a context.
 */
REAP_API int	reap_wait(struct reap_context *child, unsigned flags, struct reap_result *result);

/*
 * reap_wait_any -- wait for whichever child ends first; the oldest zombie first.
 *
 *   context    As reap_wait().
 *   ownership  Reaps one child on success (unless REAP_PEEK).
 *   ordering   As reap_wait().
 *   cost       As reap_wait(), and a walk over dead children that others have claimed.
 *   returns    0, *result filled; -ECHILD: no child is left that this parent could collect, or it wants no zombies and all have
 *              ended; -EAGAIN: REAP_NOHANG and none is off the CPU; -EDEADLK, -EINVAL, -EPERM: as reap_wait().
 */
REAP_API int	reap_wait_any(unsigned flags, struct reap_result *result);

/*
 * reap_join -- reap_wait() by name, for anybody: another context, or an OS thread that is no worker (sleeps in the kernel).
 *
 *   context    A running context, or any OS thread.
 *   ownership  Reaps the context on success (unless REAP_PEEK).
 *   ordering   As reap_wait().
 *   cost       As reap_wait().
 *   returns    0; -ESRCH: stale, all zero, or detached (a handle that the library never gave out is undefined); -EINVAL: also
 *              REAP_PEEK without REAP_NOHANG; otherwise as reap_wait().
 */
REAP_API int	reap_join(struct reap_handle handle, unsigned flags, struct reap_result *result);

/*
 * reap_detach -- give the context to its adopter, now or when it ends.
 *
 *   context    A running context, or any OS thread.  One that has exited already is reaped here: if it is still on a CPU, the
 *              caller meets the barrier.
 *   ownership  Nobody can wait for it afterwards.  A parent that waited for its last child gets -ECHILD.
 *   ordering   None.
 *   cost       Atomic operations; no allocation.
 *   returns    0; -ESRCH: stale or detached already; -EBUSY: a collector has claimed it.
 */
REAP_API int	reap_detach(struct reap_handle handle);

/*
 * reap_no_zombies -- the caller wants no zombies (SA_NOCLDWAIT): children that end from now on go to the adopter, and
 * reap_wait_any() blocks until none is left, then says -ECHILD.
 *
 *   context    A running context, for itself.
 *   ownership  As detach, at each child's end.
 *   ordering   None.
 *   cost       A store.
 *   returns    0; -EPERM: the caller is not a context.
 */
REAP_API int	reap_no_zombies(bool enable);

/*
 * reap_hold, reap_release -- keep a context's status readable (a tracer's interest), without keeping its stack.
 *
 *   context    Any.  Each hold is released once.
 *   ownership  While held, the descriptor stays after the reap: reap_peek() works, the handle does not go stale.
 *   ordering   None.
 *   cost       Atomic operations on the descriptor.
 *   returns    hold: 0; -ESRCH: stale; -EAGAIN: 4095 hold it already.  release: 0; -ESRCH: not held (a check, not a guarantee).
 */
REAP_API int	reap_hold(struct reap_handle handle);
REAP_API int	reap_release(struct reap_handle handle);

/*
 * reap_peek -- where is it, and how did it end?
 *
 *   context    Any.
 *   ownership  None.
 *   ordering   When *state says EXITING or ZOMBIE, *result is valid, and for ZOMBIE all that the context did happened before.
 *   cost       Two atomic operations.
 *   returns    0, *state filled, *result too if it has exited (either may be NULL); -ESRCH: stale, *state is
 *              REAP_STATE_NONE.
 */
REAP_API int	reap_peek(struct reap_handle handle, enum reap_state *state, struct reap_result *result);

/*
 * reap_children -- how many children could the caller still wait for?
 *
 *   context    A running context.
 *   ownership  None.
 *   ordering   None: those that others join or detach are counted until they are done.
 *   cost       Two loads.
 *   returns    The number; 0 outside any context.
 */
REAP_API size_t	reap_children(void);

REAP_END_DECLS

#endif
