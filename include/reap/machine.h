/* SPDX-License-Identifier: ISC */
/*
 * machine.h: the bare switch, for hosts that keep contexts of their own and would rather write no assembly: door 1, with
 * completion.h.
 *
 * Two forms, which do not mix: a stack that was left in one form is gone back to in the same.
 *
 *	reap_machine_*	out of line, on every machine.  A stopped stack is one pointer, to what was saved on it.
 *	reap_point_*	inline, where REAP_POINT is defined: x86-64, AArch64, RISC-V with doubles, by gcc and clang.  A stopped stack is
 *			a struct reap_point.  The compiler saves what is live and no more, and floating-point control is the thread's.
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

#if defined(__GNUC__) && ((defined(__x86_64__) && defined(__LP64__)) || (defined(__aarch64__) && defined(__LP64__)) ||	\
    (defined(__riscv_xlen) && __riscv_xlen == 64 && defined(__riscv_flen) && __riscv_flen >= 64))
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
 *   context    Any stack.  The x87 stack must be empty, as at every call.  Code compiled with AVX-512, SVE or RISC-V's vectors, if
 *              at all, by the compiler's options: from a function with a target attribute for them call reap_point_switch_().
 *   ownership  *save, until it is switched to; *to is used up.
 *   ordering   As reap_machine_swap().
 *   cost       Eight instructions, and what the caller has in registers that calls preserve.  No unwinding between these eight.
 *   returns    The word that the one who comes back hands over.
 */
static inline void *
reap_point_switch(struct reap_point *save, const struct reap_point *to, void *pass)
{
#if defined(__x86_64__)
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
#elif defined(__aarch64__)
	/* x29 by hand, as %rbp there.  BTI J, a no-operation to older processors: the label is jumped to from elsewhere. */
	register void			*x0 __asm__("x0") = pass;
	register struct reap_point	*x1 __asm__("x1") = save;
	register const struct reap_point *x2 __asm__("x2") = to;

	__asm__ volatile (
	    "adr	x4, 1f\n\t"
	    "mov	x3, sp\n\t"
	    "stp	x3, x4, [x1]\n\t"
	    "str	x29, [x1, #16]\n\t"
	    "ldp	x3, x4, [x2]\n\t"
	    "ldr	x29, [x2, #16]\n\t"
	    "mov	sp, x3\n\t"
	    "br	x4\n"
	    "1:	hint	#36"
	    : "+r" (x0), "+r" (x1), "+r" (x2)
	    :
	    : "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17", "x18", "x19", "x20",
	      "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x30", "cc", "memory",
	      "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", "v16", "v17",
	      "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31"
#ifdef __ARM_FEATURE_SVE
	      , "z0", "z1", "z2", "z3", "z4", "z5", "z6", "z7", "z8", "z9", "z10", "z11", "z12", "z13", "z14", "z15", "z16", "z17",
	      "z18", "z19", "z20", "z21", "z22", "z23", "z24", "z25", "z26", "z27", "z28", "z29", "z30", "z31", "p0", "p1", "p2",
	      "p3", "p4", "p5", "p6", "p7", "p8", "p9", "p10", "p11", "p12", "p13", "p14", "p15", "ffr"
#endif
	);
	pass = x0;
#else
	/* s0 by hand, as %rbp there. */
	register void			*a0 __asm__("a0") = pass;
	register struct reap_point	*a1 __asm__("a1") = save;
	register const struct reap_point *a2 __asm__("a2") = to;

	__asm__ volatile (
	    "lla	a3, 1f\n\t"
	    "sd	sp, 0(a1)\n\t"
	    "sd	a3, 8(a1)\n\t"
	    "sd	s0, 16(a1)\n\t"
	    "ld	a3, 8(a2)\n\t"
	    "ld	s0, 16(a2)\n\t"
	    "ld	sp, 0(a2)\n\t"
	    "jr	a3\n"
	    "1:"
	    : "+r" (a0), "+r" (a1), "+r" (a2)
	    :
	    : "ra", "t0", "t1", "t2", "t3", "t4", "t5", "t6", "a3", "a4", "a5", "a6", "a7", "s1", "s2", "s3", "s4", "s5", "s6", "s7",
	      "s8", "s9", "s10", "s11", "memory",
	      "ft0", "ft1", "ft2", "ft3", "ft4", "ft5", "ft6", "ft7", "ft8", "ft9", "ft10", "ft11", "fa0", "fa1", "fa2", "fa3", "fa4",
	      "fa5", "fa6", "fa7", "fs0", "fs1", "fs2", "fs3", "fs4", "fs5", "fs6", "fs7", "fs8", "fs9", "fs10", "fs11"
#ifdef __riscv_vector
	      , "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", "v16", "v17",
	      "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31", "vl", "vtype"
#endif
	);
	pass = a0;
#endif
	return pass;
}

/* The inlines above as symbols, for callers in other languages; same five labels. */
REAP_API void	reap_point_make_(struct reap_point *point, void *top, void (*entry)(void *pass));
REAP_API void	*reap_point_switch_(struct reap_point *save, const struct reap_point *to, void *pass);
#endif

REAP_END_DECLS

#endif
