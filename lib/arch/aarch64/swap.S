/* SPDX-License-Identifier: ISC */
/*
 * swap.S: from one stack to another, AAPCS64.  The frame is drawn in frame.h.
 *
 *	reap_md_swap	open a frame, save into it		|
 *	reap_md_jump	save nothing				|-- compare FPCR -- RESUME -- the target's caller
 *	reap__md_start	the caller of those who never ran
 *
 * FPCR.  Reading it is cheap, writing it is not: it is written only if the target's differs from what is in force.  The
 * sticky flags are in FPSR, which is nobody's.
 *
 * Branches.  A context is left by BR.  A RET would be predicted to go where the last BL came from, which is the one place a
 * switch never goes to.  But what follows a BL in C is no landing pad: where those are enforced it has to be the RET.
 *
 * Signed return addresses.  x30 is signed for the CFA before it is stored and checked after it is loaded, if the compiler does so
 * everywhere else.
 *
 * Unwinding.  From `mov sp, x1' on, the CFA is the target's: the same instruction switches the stack and what a backtrace
 * sees; up to then every register still holds what it was saved from.  There is no red zone: when the frame is popped, its
 * rules end, and every register is back in its place by then.
 *
 * Left alone: x18, which is the platform's; SVE and SME state, of which a call with this signature preserves nothing more.
 */
#include "arch/aarch64/frame.h"

	.macro	FUNCTION name
	.p2align 5
	.globl	\name
	.hidden	\name
	.type	\name, %function
\name:
	.endm

/* The first instruction of a function that stores x30: it signs, and is a landing pad.  CFA in sp. */
	.macro	SIGN
#if REAP__SIGNED_A
	hint	#25			/* paciasp */
	.cfi_negate_ra_state
#elif REAP__SIGNED_B
	.cfi_b_key_frame
	hint	#27			/* pacibsp */
	.cfi_negate_ra_state
#else
	hint	#34			/* bti c */
#endif
	.endm

	.macro	CHECK_SIGNED
#if REAP__SIGNED_A
	hint	#29			/* autiasp */
	.cfi_negate_ra_state
#elif REAP__SIGNED_B
	hint	#31			/* autibsp */
	.cfi_negate_ra_state
#endif
	.endm

/* The rules of an open frame, sp being its low end. */
	.macro	CFI_FRAME
	.cfi_def_cfa_offset REAP__FRAME_SIZE
	.cfi_offset d8, REAP__FRAME_D8 - REAP__FRAME_SIZE
	.cfi_offset d9, REAP__FRAME_D9 - REAP__FRAME_SIZE
	.cfi_offset d10, REAP__FRAME_D10 - REAP__FRAME_SIZE
	.cfi_offset d11, REAP__FRAME_D11 - REAP__FRAME_SIZE
	.cfi_offset d12, REAP__FRAME_D12 - REAP__FRAME_SIZE
	.cfi_offset d13, REAP__FRAME_D13 - REAP__FRAME_SIZE
	.cfi_offset d14, REAP__FRAME_D14 - REAP__FRAME_SIZE
	.cfi_offset d15, REAP__FRAME_D15 - REAP__FRAME_SIZE
	.cfi_offset x19, REAP__FRAME_X19 - REAP__FRAME_SIZE
	.cfi_offset x20, REAP__FRAME_X20 - REAP__FRAME_SIZE
	.cfi_offset x21, REAP__FRAME_X21 - REAP__FRAME_SIZE
	.cfi_offset x22, REAP__FRAME_X22 - REAP__FRAME_SIZE
	.cfi_offset x23, REAP__FRAME_X23 - REAP__FRAME_SIZE
	.cfi_offset x24, REAP__FRAME_X24 - REAP__FRAME_SIZE
	.cfi_offset x25, REAP__FRAME_X25 - REAP__FRAME_SIZE
	.cfi_offset x26, REAP__FRAME_X26 - REAP__FRAME_SIZE
	.cfi_offset x27, REAP__FRAME_X27 - REAP__FRAME_SIZE
	.cfi_offset x28, REAP__FRAME_X28 - REAP__FRAME_SIZE
	.cfi_offset x29, REAP__FRAME_X29 - REAP__FRAME_SIZE
	.cfi_offset x30, REAP__FRAME_X30 - REAP__FRAME_SIZE
	.endm

/* The rules of a function's first instruction.  In reap_md_jump() they hold for what follows as well. */
	.macro	CFI_NO_FRAME
	.cfi_def_cfa_offset 0
	.irp	reg, d8, d9, d10, d11, d12, d13, d14, d15, x19, x20, x21, x22, x23, x24, x25, x26, x27, x28, x29, x30
	.cfi_restore \reg
	.endr
	.endm

/*
 * Become the context whose frame is at x1.  signed: whether the rules before take x30 for signed; the target's is.
 *	in	x1 to, x2 pass		out	x0 pass, callee-saved registers and sp the target's
 */
	.macro	RESUME signed
	mov	sp, x1
	CFI_FRAME
	.if	(REAP__SIGNED_A | REAP__SIGNED_B) & !\signed
	.cfi_negate_ra_state
	.endif
	ldp	x29, x30, [sp, #REAP__FRAME_X29]
	ldp	x19, x20, [sp, #REAP__FRAME_X19]
	ldp	x21, x22, [sp, #REAP__FRAME_X21]
	ldp	x23, x24, [sp, #REAP__FRAME_X23]
	ldp	x25, x26, [sp, #REAP__FRAME_X25]
	ldp	x27, x28, [sp, #REAP__FRAME_X27]
	ldp	d8, d9, [sp, #REAP__FRAME_D8]
	ldp	d10, d11, [sp, #REAP__FRAME_D10]
	ldp	d12, d13, [sp, #REAP__FRAME_D12]
	ldp	d14, d15, [sp, #REAP__FRAME_D14]
	mov	x0, x2
	add	sp, sp, #REAP__FRAME_SIZE
	CFI_NO_FRAME
	CHECK_SIGNED
#ifdef __ARM_FEATURE_BTI_DEFAULT
	ret
#else
	br	x30
#endif
	brk	#1
	.endm

	.text

/*
 * void *reap_md_swap(void **save, void *to, void *pass)
 *	in	x0 save, x1 to, x2 pass		free	x9 x10
 */
	FUNCTION reap_md_swap
	.cfi_startproc
	SIGN
	sub	sp, sp, #REAP__FRAME_SIZE
	.cfi_def_cfa_offset REAP__FRAME_SIZE
	stp	x29, x30, [sp, #REAP__FRAME_X29]
	stp	x19, x20, [sp, #REAP__FRAME_X19]
	stp	x21, x22, [sp, #REAP__FRAME_X21]
	stp	x23, x24, [sp, #REAP__FRAME_X23]
	stp	x25, x26, [sp, #REAP__FRAME_X25]
	stp	x27, x28, [sp, #REAP__FRAME_X27]
	stp	d8, d9, [sp, #REAP__FRAME_D8]
	stp	d10, d11, [sp, #REAP__FRAME_D10]
	stp	d12, d13, [sp, #REAP__FRAME_D12]
	stp	d14, d15, [sp, #REAP__FRAME_D14]
	mrs	x9, fpcr
	str	x9, [sp, #REAP__FRAME_FPCR]
	mov	x10, sp
	str	x10, [x0]
	ldr	x10, [x1, #REAP__FRAME_FPCR]
	cmp	x9, x10
	b.ne	.Lswap_differ
.Lswap_resume:
	.cfi_remember_state
	RESUME	signed=1
	.cfi_restore_state
.Lswap_differ:
	msr	fpcr, x10
	b	.Lswap_resume
	.cfi_endproc
	.size	reap_md_swap, . - reap_md_swap

/*
 * _Noreturn void reap_md_jump(void *to, void *pass)
 *	in	x0 to, x1 pass			free	x9 x10
 *
 * x30 is neither stored nor used: unsigned until the target's frame is the one that counts.
 */
	FUNCTION reap_md_jump
	.cfi_startproc
#if REAP__SIGNED_B
	.cfi_b_key_frame
#endif
	hint	#34			/* bti c */
	mov	x2, x1
	mov	x1, x0
	mrs	x9, fpcr
	ldr	x10, [x1, #REAP__FRAME_FPCR]
	cmp	x9, x10
	b.ne	.Ljump_differ
.Ljump_resume:
	RESUME	signed=0
.Ljump_differ:
	msr	fpcr, x10
	b	.Ljump_resume
	.cfi_endproc
	.size	reap_md_jump, . - reap_md_jump

/*
 * The bottom of every stack.  Unwinders look up the address before a return address: the NOP is what they find while the
 * context has not run, reap__md_start being its return address then.  x30 has no value in the caller: there is none.
 *	in	x0 pass, x19 entry, x29 0, sp top
 *
 * No landing pad: what comes here by BR does so where those are not enforced.
 */
	.p2align 5
	.type	reap__md_bottom, %function
reap__md_bottom:
	.cfi_startproc
	.cfi_undefined x30
	nop
	.globl	reap__md_start
	.hidden	reap__md_start
	.type	reap__md_start, %function
reap__md_start:
	blr	x19
	brk	#1
	.cfi_endproc
	.size	reap__md_start, . - reap__md_start
	.size	reap__md_bottom, . - reap__md_bottom

#ifdef __ELF__
	.section .note.GNU-stack, "", %progbits

/* As the compiler's own objects of this build: the linker keeps what all agree on. */
#if defined(__ARM_FEATURE_BTI_DEFAULT) || REAP__SIGNED_A || REAP__SIGNED_B
#ifdef __ARM_FEATURE_BTI_DEFAULT
#define BTI	1			/* GNU_PROPERTY_AARCH64_FEATURE_1_BTI */
#else
#define BTI	0
#endif
#if REAP__SIGNED_A || REAP__SIGNED_B
#define PAC	2			/* GNU_PROPERTY_AARCH64_FEATURE_1_PAC */
#else
#define PAC	0
#endif
	.section .note.gnu.property, "a", %note
	.p2align 3
	.long	4			/* n_namesz */
	.long	16			/* n_descsz */
	.long	5			/* NT_GNU_PROPERTY_TYPE_0 */
	.asciz	"GNU"
	.long	0xc0000000		/* GNU_PROPERTY_AARCH64_FEATURE_1_AND */
	.long	4
	.long	BTI | PAC
	.long	0
#endif
#endif
