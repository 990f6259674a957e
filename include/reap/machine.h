/* SPDX-License-Identifier: ISC */
/*
 * machine.h: the bare switch, for hosts that keep contexts of their own and would rather write no assembly: door 1, with
 * completion.h.
 *
 * Two forms, which do not mix: a stack that was left in one form is gone back to in the same.
 *
 *	reap_machine_*	out of line, on every machine.  A stopped stack is one pointer, to what was saved on it.
 *	reap_point_*	inline, where REAP_POINT is defined: x86-64, by gcc and clang.  A stopped stack is a struct reap_point.  The
 *			compiler saves what is live and no more, and the floating-point control words are the thread's.
 *
 * Neither lands: reap_slot_landed() is the host's to call, behind every switch and first of all on a new stack.  Nothing is told to
 * sanitizers.
 */
#ifndef REAP_MACHINE_H
#define REAP_MACHINE_H

#include <reap/base.h>

REAP_BEGIN_DECLS

/*
 * reap_machine_make -- prepare a stack, so that the first switch to it calls entry(pass) there.
 *
 *   context    Any.
 *   ownership  The memory below `top', which is aligned to 16 bytes, is the host's; 256 bytes of it are used before entry() is
 *              called.
 *   ordering   None: publish the stack as other memory.
 *   cost       Ten stores.  The floating-point control words that entry() begins with are those in force now.
 *   returns    What to switch to.  entry() must not return: behind it stands a trap.
 */
REAP_API void	*reap_machine_make(void *top, void (*entry)(void *pass));

/*
 * reap_machine_swap -- save what calls preserve, the floating-point control words included, and go to another stack.
 *
 *   context    Any stack, that of an OS thread included.
 *   ownership  *save, until it is switched to; `to' is used up.
 *   ordering   None: the same thread goes on.  What it is to be resumed by must not see *save before it has been left: land first.
 *   cost       Some 30 instructions; control words are loaded only if they differ.  (The ucontext port: one system call.)
 *   returns    The word that the one who comes back hands over; on another thread perhaps.
 */
REAP_API void	*reap_machine_swap(void **save, void *to, void *pass);

/*
 * reap_machine_jump -- the same for good: nothing is saved, the stack that is left is dead.
 *
 *   context    As reap_machine_swap(), with a completion in the slot.
 *   ownership  The stack is whose the completion tells, after the landing.
 *   ordering   None.
 *   cost       Half of a swap.
 *   returns    Never.
 */
REAP_NORETURN REAP_API void	reap_machine_jump(void *to, void *pass);

#if defined(__x86_64__) && defined(__LP64__) && defined(__GNUC__)
#define REAP_POINT	1

struct reap_point {
	void	*reap__sp, *reap__ip, *reap__fp;	/* of a stopped stack; who switches */
};

/* Where a new stack begins. */
REAP_API void	reap__point_begin(void);

/*
 * reap_point_make -- prepare a stack, so that the first switch to it calls entry(pass) there.
 *
 *   context    Any.
 *   ownership  As reap_machine_make(); nothing is written to the stack.
 *   ordering   None.
 *   cost       Three stores.
 *   returns    Nothing.  entry() must not return: behind it stands a trap.
 */
static inline void
reap_point_make(struct reap_point *point, void *top, void (*entry)(void *pass))
{
	point->reap__sp = top;
	point->reap__ip = (void *)(uintptr_t)reap__point_begin;
	point->reap__fp = (void *)(uintptr_t)entry;
}

/*
 * reap_point_switch -- leave one stack at `save', go on with another one at `to'.
 *
 *   context    Any stack.  The x87 stack must be empty, as at every call.  Code compiled with AVX-512, if at all, by the compiler's
 *              options: from a function with a target attribute for it call reap_point_switch_().
 *   ownership  *save, until it is switched to; *to is used up.
 *   ordering   As reap_machine_swap().
 *   cost       Eight instructions, and what the caller has in registers that calls preserve.  No unwinding between these eight.
 *   returns    The word that the one who comes back hands over.
 */
static inline void *
reap_point_switch(struct reap_point *save, const struct reap_point *to, void *pass)
{
	/* Through memory, not by pushes: below the stack pointer may be the red zone of the function that this is part of.  %rbp by
	 * hand: a compiler that uses it for its frame takes it for no clobber.  NOTRACK, since there is no ENDBR64 at the label. */
	__asm__ volatile (
	    "leaq	1f(%%rip), %%rdx\n\t"
	    "movq	%%rsp, (%%rdi)\n\t"
	    "movq	%%rdx, 8(%%rdi)\n\t"
	    "movq	%%rbp, 16(%%rdi)\n\t"
	    "movq	16(%%rsi), %%rbp\n\t"
	    "movq	(%%rsi), %%rsp\n\t"
	    "notrack jmpq *8(%%rsi)\n"
	    "1:"
	    : "+a" (pass), "+D" (save), "+S" (to)
	    :
	    : "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "cc", "memory",
	      "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13",
	      "xmm14", "xmm15", "mm0", "mm1", "mm2", "mm3", "mm4", "mm5", "mm6", "mm7"
#ifdef __AVX512F__
	      , "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27", "xmm28",
	      "xmm29", "xmm30", "xmm31", "k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7"
#endif
	);
	return pass;
}

/* The inlines above as symbols, for callers in other languages; same five labels. */
REAP_API void	reap_point_make_(struct reap_point *point, void *top, void (*entry)(void *pass));
REAP_API void	*reap_point_switch_(struct reap_point *save, const struct reap_point *to, void *pass);
#endif

REAP_END_DECLS

#endif
