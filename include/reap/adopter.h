/* SPDX-License-Identifier: ISC */
/*
 * adopter.h: who reaps what no parent will: detached and orphaned contexts, members of groups, stacks under the adopter
 * policy.  A domain has a default adopter (init); sub-adopters (PR_SET_CHILD_SUBREAPER) inherit for a subtree of contexts.
 *
 * An adopter does not run by itself.  A context, a worker's base loop, an idle callback or a thread drains it in bounded
 * steps.  The reaper thread of old is an adopter driven by its own pthread.
 */
#ifndef REAP_ADOPTER_H
#define REAP_ADOPTER_H

#include <reap/base.h>
#include <reap/domain.h>

REAP_BEGIN_DECLS

struct reap_adopter;

/*
 * reap_adopter_default -- the domain's own adopter.
 *
 *   context    Any thread.
 *   ownership  The domain's; it cannot be destroyed.
 *   ordering   None.
 *   cost       A load.
 *   returns    Never NULL.
 */
REAP_API struct reap_adopter	*reap_adopter_default(struct reap_domain *domain);

/*
 * reap_adopter_create -- make a sub-adopter.  What it does not drain before its own end goes to `heir'.
 *
 *   context    Any thread.
 *   ownership  *adopter is the caller's until reap_adopter_destroy().  heir: NULL is the domain's default.
 *   ordering   None.
 *   cost       Allocates.
 *   returns    0; -EINVAL; -ENOMEM.
 */
REAP_API int	reap_adopter_create(struct reap_domain *domain, struct reap_adopter *heir, struct reap_adopter **adopter);

/*
 * reap_adopter_destroy -- close it: all it owes, and all that would come to it later, goes to its heir.
 *
 *   context    Any thread, not while somebody drains or waits on it.
 *   ownership  Consumes the adopter.  Contexts that named it stay valid: its memory goes when the last of them is gone.
 *   ordering   Happens before the heir's drain of what it left.
 *   cost       One atomic operation and a step per corpse.
 *   returns    0; -EBUSY: somebody drains or waits on it; -EINVAL: the domain's default.
 */
REAP_API int	reap_adopter_destroy(struct reap_adopter *adopter);

/*
 * reap_adopter_assume -- from now on `adopter' is the heir of the running context's children and of theirs.
 *
 *   context    A running context, for itself.  options.adopter does the same at create.
 *   ownership  The adopter's memory is kept as long as a context names it.
 *   ordering   None.
 *   cost       An atomic addition per adopter named; and one per create below a sub-adopter.
 *   returns    0; -EPERM: the caller is not a context; -EINVAL: of another domain.
 */
REAP_API int	reap_adopter_assume(struct reap_adopter *adopter);

/*
 * reap_adopter_drain -- reap at most `budget' of what the adopter owes and is off the CPU.
 *
 *   context    A running context or any OS thread; one at a time.
 *   ownership  The reaped are gone; their off_cpu() callbacks have run.
 *   ordering   All that they did happens before the return.
 *   cost       In proportion to the budget.  Never blocks: who is still on the CPU stays owed.
 *   returns    The number reaped, >= 0; -EBUSY: somebody else is draining.
 */
REAP_API int	reap_adopter_drain(struct reap_adopter *adopter, unsigned budget);

/*
 * reap_adopter_backlog -- how much does it owe?
 *
 *   context    Any thread.
 *   ownership  None.
 *   ordering   None: a gauge.
 *   cost       Loads.
 *   returns    Corpses and stacks handed to it and not reaped yet.
 */
REAP_API size_t	reap_adopter_backlog(const struct reap_adopter *adopter);

/*
 * reap_adopter_wait -- sleep until the adopter owes something.
 *
 *   context    A running context, or an OS thread that is no worker; one at a time.
 *   ownership  None.
 *   ordering   The hand-over of what arrived happens before the return.
 *   cost       As reap_wait().
 *   returns    0: something came, or was there; -ECANCELED: reap_adopter_interrupt(); -EBUSY: somebody else waits on it;
 *              -EDEADLK: a base context that nothing can wake.
 */
REAP_API int	reap_adopter_wait(struct reap_adopter *adopter);

/*
 * reap_adopter_interrupt -- let the one in reap_adopter_wait(), or the next one, return with -ECANCELED.
 *
 *   context    Any thread.
 *   ownership  None.
 *   ordering   All before happens before that return.
 *   cost       An atomic operation; a system call if an OS thread sleeps there.
 *   returns    Nothing.
 */
REAP_API void	reap_adopter_interrupt(struct reap_adopter *adopter);

/*
 * reap_thread_start, reap_thread_stop -- the reaper thread: an own pthread that drains what REAP_POLICY_THREAD hands it,
 * and the domain's default adopter, in competition with others who drain that.
 * One per domain; a domain or a context whose policy is THREAD needs it (reap_context_create() says -EINVAL otherwise).
 *
 *   context    Any OS thread.  stop: when no context with policy THREAD runs any more;
 *              those that are left can be destroyed without it.
 *   ownership  The thread is the domain's.
 *   ordering   stop: all it reaped happens before the return.
 *   cost       start: pthread_create; stop: pthread_join.
 *   returns    start: 0; -EBUSY: it runs; -EINVAL: batch; -EAGAIN: no thread to be had.  stop: 0; -ESRCH: none runs.
 *
 * batch 0 is the plain reaper of the mails: woken at every exit, one corpse at a time under a mutex.  batch N >= 1 takes what
 * is there, up to N at a time, without a lock, and spins shortly before it sleeps: an honest reaper.
 */
REAP_API int	reap_thread_start(struct reap_domain *domain, unsigned batch);
REAP_API int	reap_thread_stop(struct reap_domain *domain);

REAP_END_DECLS

#endif
