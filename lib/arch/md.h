/* SPDX-License-Identifier: ISC */
/*
 * md.h: what an architecture owes the rest of the library.  Three functions; two more where it can do better than C.
 *
 * A stopped context is one pointer, `sp': what that points to is the architecture's own business (on x86-64 a frame that
 * is drawn in x86_64/frame.h, with ucontext a record on the stopped stack).  One word, `pass', travels across every switch
 * in a register: the resumer hands it over, the resumed gets it as the value of its own reap_md_swap() or, on first entry,
 * as the argument of its entry function.
 */
#ifndef REAP_MD_H
#define REAP_MD_H

#include <stddef.h>
#include <stdint.h>

/* The least that reap_md_make() needs below `top' before the entry function's own frame, in bytes. */
#ifdef REAP_MD_UCONTEXT
#include <ucontext.h>
#define REAP_MD_MIN_FRAME	(sizeof(ucontext_t) + 256)
#else
#define REAP_MD_MIN_FRAME	256
#endif

#if defined(__x86_64__) && !defined(REAP_MD_UCONTEXT)
#define REAP_MD_TAIL			/* reap_md_switch(), reap_md_leave() */
#define REAP_MD_LAUNCH			/* reap_md_control(), reap_md_make_with(), reap_md_launch() */
#include "arch/x86_64/frame.h"
#endif

/*
 * Prepare a stack whose first byte above is `top' (aligned to 16): the first switch to the returned sp calls
 * entry(pass) on it, with the ABI's alignment, a bottom frame that ends every unwinder, and default FP control words as
 * the calling thread has them now.  entry must not return: a trap stands behind it.  Writes only below `top'.
 */
#ifndef REAP_MD_LAUNCH
void	*reap_md_make(void *top, void (*entry)(void *pass));
#endif

struct reap_worker;

/*
 * The same in two steps, for who may be given a stack long after it was made: the first keeps the control words that are in
 * force, the second takes them.  Where REAP_MD_LAUNCH is not defined they are kept nowhere, and both steps are to be one.
 *
 * Or no frame is made at all, and it is reap__entry_fresh(worker) that is called at `top':
 *
 *	reap_md_launch		leaves the current stack for good, as reap_md_jump() does; `top' may be of that very stack
 *	reap_md_leave_launch	as reap_md_leave()
 */
#ifdef REAP_MD_LAUNCH
_Noreturn void		 reap_md_launch(void *top, struct reap_worker *worker, const uint64_t *control);
int			 reap_md_leave_launch(void **save, void *top, struct reap_worker *worker,
			    int (*after)(struct reap_worker *worker, void *arg), void *arg, const uint64_t *control);
#else
static inline void
reap_md_control(uint64_t *control)
{
	(void)control;
}

static inline void *
reap_md_make_with(void *top, void (*entry)(void *pass), const uint64_t *control)
{
	(void)control;
	return reap_md_make(top, entry);
}
#endif

/* Save the caller's callee-saved state on its stack, store its sp in *save, go to `to' and hand `pass' over there. */
void	*reap_md_swap(void **save, void *to, void *pass);

/*
 * The end of a function that switches.  Swaps, lands, and returns to the caller of that function: the worker, or what
 * after(worker, arg) returns.  To be called in tail position only: then nothing on the way back is a RET that answers a CALL
 * made before the switch, which the processor would predict wrong.  Where REAP_MD_TAIL is not defined, switch.h does it in C.
 *
 *	reap_md_switch	lands: *worker, its first word, is the slot; if that is not 0, reap__land(worker)
 *	reap_md_leave	leaves the landing to after()
 */
#ifdef REAP_MD_TAIL
struct reap_worker;
struct reap_worker	*reap_md_switch(void **save, void *to, struct reap_worker *worker);
int			 reap_md_leave(void **save, void *to, struct reap_worker *worker,
			    int (*after)(struct reap_worker *worker, void *arg), void *arg);
#endif

/* Leave the current stack for good: nothing is saved, nothing may touch it afterwards on behalf of the dead. */
_Noreturn void	reap_md_jump(void *to, void *pass);

#endif
