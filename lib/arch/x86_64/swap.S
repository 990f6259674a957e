/* SPDX-License-Identifier: ISC */
/*
 * swap.S: from one stack to another, System V x86-64.
 *
 *	reap_md_swap	open a frame, save into it		|
 *	reap_md_jump	save nothing				|-- compare FP control -- RESUME -- the target's caller
 *	reap__md_start	the caller of those who never ran
 */
#include "arch/x86_64/resume.h"

	.text

/*
 * void *reap_md_swap(void **save, void *to, void *pass)
 *	in	%rdi save, %rsi to, %rdx pass
 */
	FUNCTION reap_md_swap
	.cfi_startproc
	SAVE	above=0
	COMPARE_CONTROL own=0, differ=.Lswap_differ
.Lswap_resume:
	.cfi_remember_state
	RESUME
	.cfi_restore_state
.Lswap_differ:
	LOAD_CONTROL
	jmp	.Lswap_resume
	.cfi_endproc
	.size	reap_md_swap, . - reap_md_swap

/*
 * _Noreturn void reap_md_jump(void *to, void *pass)
 *	in	%rdi to, %rsi pass
 *
 * The control words in force are read by way of the red zone of the stack that is about to be dead.
 */
	FUNCTION reap_md_jump
	.cfi_startproc
	stmxcsr	REAP__FRAME_MXCSR-8(%rsp)
	fnstcw	REAP__FRAME_X87CW-8(%rsp)
	COMPARE_CONTROL own=-8, differ=.Ljump_differ, to=%rdi
.Ljump_resume:
	.cfi_remember_state
	RESUME	to=%rdi, pass=%rsi
	.cfi_restore_state
.Ljump_differ:
	LOAD_CONTROL to=%rdi
	jmp	.Ljump_resume
	.cfi_endproc
	.size	reap_md_jump, . - reap_md_jump

/*
 * The bottom of every stack.  Unwinders look up the address before a return address: the NOP is what they find while the
 * context has not run, reap__md_start being its return address then.  %rip has no value in the caller: there is none.
 *	in	%rax pass, %rbx entry, %rbp 0, %rsp top
 */
	.p2align 5
	.type	reap__md_bottom, @function
reap__md_bottom:
	.cfi_startproc
	.cfi_def_cfa_offset 0
	.cfi_undefined %rip
	nop
	.globl	reap__md_start
	.hidden	reap__md_start
	.type	reap__md_start, @function
reap__md_start:
	endbr64
	mov	%rax, %rdi
	call	*%rbx
	ud2
	.cfi_endproc
	.size	reap__md_start, . - reap__md_start
	.size	reap__md_bottom, . - reap__md_bottom

	NOTES
