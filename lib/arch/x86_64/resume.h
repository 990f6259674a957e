/* SPDX-License-Identifier: ISC */
/*
 * resume.h: how one stack is left and another one taken up again, as macros for swap.S and tail.S.  The frame is drawn in frame.h.
 *
 * Control words.  MXCSR's control bits and the x87 control word are callee-saved.  Reading them is cheap, loading them is
 * not: they are loaded only if the target's differ from what is in force.  The sticky flags are nobody's, so they do not
 * count as a difference: an inexact division on one side must not make every switch slow.
 *
 * Branches.  A context is left by a jump through a register.  A RET would be predicted to go where the last CALL came from,
 * which is the one place a switch never goes to.  NOTRACK, because what follows a CALL in C is no ENDBR64.
 *
 * Unwinding.  From `mov %rsi, %rsp' on, the CFA is the target's: the same instruction switches the stack and what a
 * backtrace sees.  The frame stays readable after it is popped, in the red zone, which signal frames spare: its rules hold
 * up to the last instruction.
 */
#include "arch/x86_64/frame.h"

	.macro	FUNCTION name
	.p2align 5
	.globl	\name
	.hidden	\name
	.type	\name, @function
\name:
	.endm

/* The rules of an open frame, %rsp being its low end and the CFA `above' bytes over its high one. */
	.macro	CFI_FRAME above=0
	.cfi_def_cfa_offset REAP__FRAME_SIZE + \above
	.cfi_offset %rbp, REAP__FRAME_RBP - REAP__FRAME_SIZE - \above
	.cfi_offset %rbx, REAP__FRAME_RBX - REAP__FRAME_SIZE - \above
	.cfi_offset %r12, REAP__FRAME_R12 - REAP__FRAME_SIZE - \above
	.cfi_offset %r13, REAP__FRAME_R13 - REAP__FRAME_SIZE - \above
	.cfi_offset %r14, REAP__FRAME_R14 - REAP__FRAME_SIZE - \above
	.cfi_offset %r15, REAP__FRAME_R15 - REAP__FRAME_SIZE - \above
	.endm

/*
 * Open a frame below `above' bytes and the return address, fill all of it but %rip, and leave its address in *save.
 *	in	%rdi save		live	%rdi %rsi %rdx %rcx %r8		free	%rax %r9-%r11
 */
	.macro	SAVE above
	lea	-(REAP__FRAME_SIZE + \above - 8)(%rsp), %rsp
	.cfi_def_cfa_offset REAP__FRAME_SIZE + \above
	mov	%rbp, REAP__FRAME_RBP(%rsp)
	mov	%rbx, REAP__FRAME_RBX(%rsp)
	mov	%r12, REAP__FRAME_R12(%rsp)
	mov	%r13, REAP__FRAME_R13(%rsp)
	mov	%r14, REAP__FRAME_R14(%rsp)
	mov	%r15, REAP__FRAME_R15(%rsp)
	CFI_FRAME above=\above
	stmxcsr	REAP__FRAME_MXCSR(%rsp)
	fnstcw	REAP__FRAME_X87CW(%rsp)
	mov	%rsp, (%rdi)
	.endm

/*
 * Compare the control words in force, stored at `own'(%rsp), with those at `to': a frame, or where the maker of a new context has
 * left its own.  Go to `differ' if need be.
 *	free	%rax %r10 %r11
 */
	.macro	COMPARE_CONTROL own, differ, to=%rsi
	mov	\own+REAP__FRAME_MXCSR(%rsp), %r10d
	xor	REAP__FRAME_MXCSR(\to), %r10d
	cmp	$REAP__MXCSR_FLAGS, %r10d
	ja	\differ
	movzwl	\own+REAP__FRAME_X87CW(%rsp), %r10d
	cmp	%r10w, REAP__FRAME_X87CW(\to)
	jne	\differ
	.endm

/* FNCLEX first: a flag left by another context must not trap here just because this one has it unmasked. */
	.macro	LOAD_CONTROL to=%rsi
	ldmxcsr	REAP__FRAME_MXCSR(\to)
	fnclex
	fldcw	REAP__FRAME_X87CW(\to)
	.endm

/*
 * Become the context whose frame is at `to'.
 *	free	%rcx		out	%rax pass, callee-saved registers and %rsp the target's
 */
	.macro	RESUME to=%rsi, pass=%rdx
	mov	\to, %rsp
	CFI_FRAME
	mov	\pass, %rax
	mov	REAP__FRAME_RIP(%rsp), %rcx
	mov	REAP__FRAME_RBP(%rsp), %rbp
	mov	REAP__FRAME_RBX(%rsp), %rbx
	mov	REAP__FRAME_R12(%rsp), %r12
	mov	REAP__FRAME_R13(%rsp), %r13
	mov	REAP__FRAME_R14(%rsp), %r14
	mov	REAP__FRAME_R15(%rsp), %r15
	lea	REAP__FRAME_SIZE(%rsp), %rsp
	.cfi_def_cfa_offset 0
	notrack jmp *%rcx
	ud2
	.endm

/* IBT: every indirect landing is an ENDBR64 or reached by NOTRACK.  Who switches is hidden, and called directly alone.  Not SHSTK: the shadow stack is not switched. */
	.macro	NOTES
#ifdef __ELF__
	.section .note.GNU-stack, "", @progbits

	.section .note.gnu.property, "a", @note
	.p2align 3
	.long	4			/* n_namesz */
	.long	16			/* n_descsz */
	.long	5			/* NT_GNU_PROPERTY_TYPE_0 */
	.asciz	"GNU"
	.long	0xc0000002		/* GNU_PROPERTY_X86_FEATURE_1_AND */
	.long	4
	.long	1			/* GNU_PROPERTY_X86_FEATURE_1_IBT */
	.long	0
#endif
	.endm
