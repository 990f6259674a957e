/* SPDX-License-Identifier: ISC */
/*
 * scan.h: for collectors that look for pointers on stacks.
 *
 * A collector has to see the stack of each context that has not left its CPU for the last time: the suspended, from the stack
 * pointer saved; those that run, and the dying until they are off the CPU, whole, or from the stack pointer that it found itself
 * when it stopped their thread.  Registers of who is suspended are on its stack.  What lies in the descriptor is handed over as
 * well: the embedder's word, and the argument while the context has not begun.
 *
 * Whose collector keeps an idea of its own of where the running stack ends, sets that in reap_host.after_switch(), which is called
 * on every new stack, first entry included, before anything can allocate there.
 */
#ifndef REAP_SCAN_H
#define REAP_SCAN_H

#include <reap/base.h>
#include <reap/context.h>

REAP_BEGIN_DECLS

struct reap_scan {
	struct reap_context *context;
	enum reap_state state;		/* NEW, SUSPENDED, RUNNING or EXITING */
	bool	 base;			/* a base context: its stack is its thread's, and only sp is known */
	const void *lo;			/* lowest byte that may hold something; NULL: base, or it has no stack yet */
	const void *sp;			/* suspended or new: nothing below it is alive; else NULL */
	const void *hi;			/* one past the highest; NULL: as lo */
	void	*user;			/* reap_context_user() */
	intptr_t word;			/* an owned one that has run: what was passed to it, or by it, last; without a stack: its argument */
};

/*
 * reap_domain_scan -- visit every stack that may be alive.
 *
 *   context    Any thread, a collector's callback and a signal handler included.  All other threads that use the domain are
 *              stopped, wherever they were, or do nothing with it.  The visitor may look; it may not create, switch or reap.
 *   ownership  None: *scan is the library's during the visit.
 *   ordering   What a stopped thread has written is seen if stopping it makes it so.
 *   cost       A walk over the descriptors: no lock, no allocation, no system call.
 *   returns    The number of visits.  A thread that was stopped within a switch is told twice: who leaves, and who comes.
 */
REAP_API size_t	reap_domain_scan(struct reap_domain *domain, void (*visit)(const struct reap_scan *scan, void *arg), void *arg);

/*
 * reap_stack_room -- how much of the running context's stack is left?  For interpreters that would rather raise an error than meet
 * the guard.
 *
 *   context    Any thread.
 *   ownership  None.
 *   ordering   None.
 *   cost       A few loads.
 *   returns    Bytes from about the caller's frame down to the lowest that may be used; SIZE_MAX on a thread's own stack, where
 *              libreap does not know.
 */
REAP_API size_t	reap_stack_room(void);

REAP_END_DECLS

#endif
