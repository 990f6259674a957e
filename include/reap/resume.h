/* SPDX-License-Identifier: ISC */
/*
 * resume.h: asymmetric switches, for who drives contexts himself instead of queueing them: coroutines, generators, the fibers of
 * a language.
 *
 *	reap_resume(context)	run it until it suspends or ends
 *	reap_suspend()		back to who resumed
 *	reap_transfer(to)	suspend, but `to' runs in the caller's place, and goes back to who resumed the caller
 *
 * Made with REAP_CONTEXT_OWNED, a context has neither parent nor heir: who holds it owns it.  The reap_resume() in which it ends
 * reaps it and returns its status; while it is suspended, reap_context_destroy() drops it, and that reaps it too.  The resumer
 * sleeps meanwhile and is the successor of whoever suspends or ends: no scheduler is asked, none is needed.  What is resumed may
 * resume others, and may sleep in a wait or park in a domain with a host: its resumer goes on when it comes back.  A
 * base context that has resumed it runs others meanwhile, and is in idle() when there are none, as in a wait (without idle() aborts:
 * "no-idle").  Nobody may switch to who waits in a resume (aborts: "switch-to-resumer", "pinned").
 *
 * It runs on the worker that made it, also in a domain whose host does not promise `shares', until reap_context_share().  A host
 * never gets it to see, unless it parks, and must not reap_switch() to it.
 */
#ifndef REAP_RESUME_H
#define REAP_RESUME_H

#include <reap/base.h>
#include <reap/context.h>

REAP_BEGIN_DECLS

/* What goes across a switch with the control. */
struct reap_passed {
	intptr_t word;			/* the caller's own; in and out */
	struct reap_context *context;	/* out: who came back, which reap_transfer() may have changed; if it has ended, only a name */
};

#define REAP_ENDED	0		/* it has ended, and is reaped: the word is its status */
#define REAP_SUSPENDED	1		/* it can be resumed again: the word is what it suspended with */

#define REAP_CANCEL	0x1u		/* its reap_suspend() returns -ECANCELED, for it to throw, or unwind.  One that has not run yet
					 * never does: it ends with the status -ECANCELED */

/*
 * reap_spawn_owned -- reap_context_create() with REAP_CONTEXT_OWNED and everything else default, for the fast path.
 *
 *   context    A running context on `worker'.
 *   ownership  The context is its holder's.
 *   ordering   As reap_context_create().
 *   cost       As reap_context_create().
 *   returns    As reap_context_create(); -EINVAL also if the domain's policy is THREAD.
 */
REAP_API int	reap_spawn_owned(struct reap_worker *worker, reap_entry *entry, void *arg, struct reap_context **context);

/*
 * reap_resume -- run an owned context until it suspends or ends.
 *
 *   context    A running context, base contexts included.  Never from a host callback, off_cpu() or a signal handler.
 *   ownership  REAP_ENDED consumes the context that came back.
 *   ordering   What runs on one worker is in order; who migrates is ordered by the host's queue.
 *   cost       As reap_switch(); the end costs the reap besides; a base context may sleep, in idle().
 *   returns    REAP_SUSPENDED or REAP_ENDED, *passed filled (NULL: word 0, result not wanted); -EINVAL: not an owned context, or
 *              flags; -EBUSY: it runs, or has resumed another one, or sleeps in a wait; -EPERM: not a worker, or another worker
 *              must run it.  On error nothing has changed.
 */
REAP_API int	reap_resume(struct reap_context *context, unsigned flags, struct reap_passed *passed);

/*
 * reap_suspend -- back to who resumed the caller, until somebody resumes it again.
 *
 *   context    An owned context that was resumed, on a worker that may run its resumer (aborts: "pinned", or
 *              "switch-to-running").
 *   ownership  None.
 *   ordering   As reap_resume().
 *   cost       As reap_switch().
 *   returns    0, *word (may be NULL) being the resumer's; -ECANCELED: the same, and the resumer wants it to end; -EPERM, at
 *              once: nobody has resumed the caller.
 */
REAP_API int	reap_suspend(intptr_t *word);

/*
 * reap_transfer -- suspend, and let `to' run in the caller's place.
 *
 *   context    As reap_suspend(); `to' as for reap_resume(), made by the caller's worker or shared.
 *   ownership  None.
 *   ordering   As reap_resume().
 *   cost       As reap_switch().
 *   returns    As reap_suspend(), when the caller is resumed or transferred to; at once: -EINVAL, -EBUSY, -EPERM, as reap_resume().
 */
REAP_API int	reap_transfer(struct reap_context *to, intptr_t *word);

/*
 * reap_resumed -- who resumed it, and the word that came with that.
 *
 *   context    word: the running context, or its resumer.  resumer: as well; and its owner.
 *   ownership  None.
 *   ordering   None.
 *   cost       A load or two.
 *   returns    resumer: NULL: it is suspended, has not run yet, or is not an owned one.  word: of the last reap_resume() or
 *              reap_transfer() to it; how the entry gets the first one.
 */
REAP_API struct reap_context	*reap_resumed_by(const struct reap_context *context);
REAP_API intptr_t		reap_resumed_word(const struct reap_context *context);

/*
 * reap_context_discard -- reap_context_destroy() by whichever thread learns that a context is garbage: here and now if the caller
 * may, else the worker that it lives on does it, at its next reap_context_create(), reap_worker_discarded() or reap_worker_stop().
 *
 *   context    Any thread, host callbacks and off_cpu() excepted.  The context is suspended, queued nowhere, and stays so.
 *   ownership  Consumes an owned context; any other one goes to its collector, as reap_context_destroy() has it.
 *   ordering   All before the call happens before off_cpu().
 *   cost       As reap_context_destroy(); or a compare-and-swap, two additions, and the host's wake().
 *   returns    0: it is done; 1: it will be done; -EBUSY: as reap_context_destroy().
 */
REAP_API int	reap_context_discard(struct reap_context *context, intptr_t status);

/*
 * reap_worker_discarded -- destroy what others have discarded.  For idle().
 *
 *   context    The worker's own thread.
 *   ownership  As reap_context_destroy().
 *   ordering   Everything before those reap_context_discard() happens before.
 *   cost       A load, if there is nothing.
 *   returns    How many.
 */
REAP_API unsigned	reap_worker_discarded(struct reap_worker *worker);

REAP_END_DECLS

#endif
