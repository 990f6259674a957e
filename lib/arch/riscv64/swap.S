/* SPDX-License-Identifier: ISC */
/*
 * swap.S: from one stack to another, RISC-V LP64D.  The frame is drawn in frame.h.
 *
 *	reap_md_swap	open a frame, save into it		|
 *	reap_md_jump	save nothing				|-- compare frm -- RESUME -- the target's caller
 *	reap__md_start	the caller of those who never ran
 *
 * The rounding mode is all that there is of control in fcsr.  It is written only if the target's differs from what is in
 * force.  The sticky flags beside it are nobody's.
 *
 * Branches.  A context is left by a jump through t1.  One through ra, or through t0, is a return to the processor: predicted to
 * go where the last call came from, which is the one place a switch never goes to.
 *
 * Unwinding.  From `mv sp, a1' on, the CFA is the target's: the same instruction switches the stack and what a backtrace
 * sees; up to then every register still holds what it was saved from.  There is no red zone: when the frame is popped, its
 * rules end, and every register is back in its place by then.
 *
 * Left alone: gp and tp, which are the thread's; vector state, of which a call preserves nothing.
 */
#include "arch/riscv64/frame.h"

	.macro	FUNCTION name
	.p2align 5
	.globl	\name
	.hidden	\name
	.type	\name, @function
\name:
	.endm

/* The rules of an open frame, sp being its low end. */
	.macro	CFI_FRAME
	.cfi_def_cfa_offset REAP__FRAME_SIZE
	.cfi_offset fs0, REAP__FRAME_FS0 - REAP__FRAME_SIZE
	.cfi_offset fs1, REAP__FRAME_FS1 - REAP__FRAME_SIZE
	.cfi_offset fs2, REAP__FRAME_FS2 - REAP__FRAME_SIZE
	.cfi_offset fs3, REAP__FRAME_FS3 - REAP__FRAME_SIZE
	.cfi_offset fs4, REAP__FRAME_FS4 - REAP__FRAME_SIZE
	.cfi_offset fs5, REAP__FRAME_FS5 - REAP__FRAME_SIZE
	.cfi_offset fs6, REAP__FRAME_FS6 - REAP__FRAME_SIZE
	.cfi_offset fs7, REAP__FRAME_FS7 - REAP__FRAME_SIZE
	.cfi_offset fs8, REAP__FRAME_FS8 - REAP__FRAME_SIZE
	.cfi_offset fs9, REAP__FRAME_FS9 - REAP__FRAME_SIZE
	.cfi_offset fs10, REAP__FRAME_FS10 - REAP__FRAME_SIZE
	.cfi_offset fs11, REAP__FRAME_FS11 - REAP__FRAME_SIZE
	.cfi_offset s0, REAP__FRAME_S0 - REAP__FRAME_SIZE
	.cfi_offset s1, REAP__FRAME_S1 - REAP__FRAME_SIZE
	.cfi_offset s2, REAP__FRAME_S2 - REAP__FRAME_SIZE
	.cfi_offset s3, REAP__FRAME_S3 - REAP__FRAME_SIZE
	.cfi_offset s4, REAP__FRAME_S4 - REAP__FRAME_SIZE
	.cfi_offset s5, REAP__FRAME_S5 - REAP__FRAME_SIZE
	.cfi_offset s6, REAP__FRAME_S6 - REAP__FRAME_SIZE
	.cfi_offset s7, REAP__FRAME_S7 - REAP__FRAME_SIZE
	.cfi_offset s8, REAP__FRAME_S8 - REAP__FRAME_SIZE
	.cfi_offset s9, REAP__FRAME_S9 - REAP__FRAME_SIZE
	.cfi_offset s10, REAP__FRAME_S10 - REAP__FRAME_SIZE
	.cfi_offset s11, REAP__FRAME_S11 - REAP__FRAME_SIZE
	.cfi_offset ra, REAP__FRAME_RA - REAP__FRAME_SIZE
	.endm

/* The rules of a function's first instruction.  In reap_md_jump() they hold for what follows as well. */
	.macro	CFI_NO_FRAME
	.cfi_def_cfa_offset 0
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
	.cfi_restore fs\n
	.cfi_restore s\n
	.endr
	.cfi_restore ra
	.endm

/*
 * Become the context whose frame is at a1.
 *	in	a1 to, a2 pass		out	a0 pass, callee-saved registers and sp the target's
 */
	.macro	RESUME
	mv	sp, a1
	CFI_FRAME
	ld	ra, REAP__FRAME_RA(sp)
	ld	s0, REAP__FRAME_S0(sp)
	ld	s1, REAP__FRAME_S1(sp)
	ld	s2, REAP__FRAME_S2(sp)
	ld	s3, REAP__FRAME_S3(sp)
	ld	s4, REAP__FRAME_S4(sp)
	ld	s5, REAP__FRAME_S5(sp)
	ld	s6, REAP__FRAME_S6(sp)
	ld	s7, REAP__FRAME_S7(sp)
	ld	s8, REAP__FRAME_S8(sp)
	ld	s9, REAP__FRAME_S9(sp)
	ld	s10, REAP__FRAME_S10(sp)
	ld	s11, REAP__FRAME_S11(sp)
	fld	fs0, REAP__FRAME_FS0(sp)
	fld	fs1, REAP__FRAME_FS1(sp)
	fld	fs2, REAP__FRAME_FS2(sp)
	fld	fs3, REAP__FRAME_FS3(sp)
	fld	fs4, REAP__FRAME_FS4(sp)
	fld	fs5, REAP__FRAME_FS5(sp)
	fld	fs6, REAP__FRAME_FS6(sp)
	fld	fs7, REAP__FRAME_FS7(sp)
	fld	fs8, REAP__FRAME_FS8(sp)
	fld	fs9, REAP__FRAME_FS9(sp)
	fld	fs10, REAP__FRAME_FS10(sp)
	fld	fs11, REAP__FRAME_FS11(sp)
	mv	a0, a2
	mv	t1, ra
	addi	sp, sp, REAP__FRAME_SIZE
	CFI_NO_FRAME
	jr	t1
	unimp
	.endm

	.text

/*
 * void *reap_md_swap(void **save, void *to, void *pass)
 *	in	a0 save, a1 to, a2 pass		free	t0 t1
 */
	FUNCTION reap_md_swap
	.cfi_startproc
	addi	sp, sp, -REAP__FRAME_SIZE
	.cfi_def_cfa_offset REAP__FRAME_SIZE
	sd	ra, REAP__FRAME_RA(sp)
	sd	s0, REAP__FRAME_S0(sp)
	sd	s1, REAP__FRAME_S1(sp)
	sd	s2, REAP__FRAME_S2(sp)
	sd	s3, REAP__FRAME_S3(sp)
	sd	s4, REAP__FRAME_S4(sp)
	sd	s5, REAP__FRAME_S5(sp)
	sd	s6, REAP__FRAME_S6(sp)
	sd	s7, REAP__FRAME_S7(sp)
	sd	s8, REAP__FRAME_S8(sp)
	sd	s9, REAP__FRAME_S9(sp)
	sd	s10, REAP__FRAME_S10(sp)
	sd	s11, REAP__FRAME_S11(sp)
	fsd	fs0, REAP__FRAME_FS0(sp)
	fsd	fs1, REAP__FRAME_FS1(sp)
	fsd	fs2, REAP__FRAME_FS2(sp)
	fsd	fs3, REAP__FRAME_FS3(sp)
	fsd	fs4, REAP__FRAME_FS4(sp)
	fsd	fs5, REAP__FRAME_FS5(sp)
	fsd	fs6, REAP__FRAME_FS6(sp)
	fsd	fs7, REAP__FRAME_FS7(sp)
	fsd	fs8, REAP__FRAME_FS8(sp)
	fsd	fs9, REAP__FRAME_FS9(sp)
	fsd	fs10, REAP__FRAME_FS10(sp)
	fsd	fs11, REAP__FRAME_FS11(sp)
	frrm	t0
	sd	t0, REAP__FRAME_FRM(sp)
	sd	sp, 0(a0)
	ld	t1, REAP__FRAME_FRM(a1)
	bne	t0, t1, .Lswap_differ
.Lswap_resume:
	.cfi_remember_state
	RESUME
	.cfi_restore_state
.Lswap_differ:
	fsrm	t1
	j	.Lswap_resume
	.cfi_endproc
	.size	reap_md_swap, . - reap_md_swap

/*
 * _Noreturn void reap_md_jump(void *to, void *pass)
 *	in	a0 to, a1 pass			free	t0 t1
 */
	FUNCTION reap_md_jump
	.cfi_startproc
	mv	a2, a1
	mv	a1, a0
	frrm	t0
	ld	t1, REAP__FRAME_FRM(a1)
	bne	t0, t1, .Ljump_differ
.Ljump_resume:
	RESUME
.Ljump_differ:
	fsrm	t1
	j	.Ljump_resume
	.cfi_endproc
	.size	reap_md_jump, . - reap_md_jump

/*
 * The bottom of every stack.  Unwinders look up the address before a return address: the NOP is what they find while the
 * context has not run, reap__md_start being its return address then.  ra has no value in the caller: there is none.
 *	in	a0 pass, s1 entry, s0 0, sp top
 */
	.p2align 5
	.type	reap__md_bottom, @function
reap__md_bottom:
	.cfi_startproc
	.cfi_undefined ra
	nop
	.globl	reap__md_start
	.hidden	reap__md_start
	.type	reap__md_start, @function
reap__md_start:
	jalr	s1
	unimp
	.cfi_endproc
	.size	reap__md_start, . - reap__md_start
	.size	reap__md_bottom, . - reap__md_bottom

#ifdef __ELF__
	.section .note.GNU-stack, "", @progbits
#endif
