/* SPDX-License-Identifier: ISC */
/*
 * fcontext.S: the switch of Boost.Context 1.74.
 *
 * A context is an address on its stopped stack, and what lies there is this file's own business: it is the frame of libreap, drawn
 * in frame.h.  What travels is a pair: transfer_t, where the resumer is stopped and a word of its own.
 */
#include "macros.h"

/*
 * Stop in a frame that the CALL of the function has begun.
 *	live	%rdi %rsi %rdx		out	%rax the frame
 */
	.macro	STOP
	lea	-(REAP__FRAME_SIZE - 8)(%rsp), %rsp
	.cfi_def_cfa_offset REAP__FRAME_SIZE
	mov	%rbp, REAP__FRAME_RBP(%rsp)
	mov	%rbx, REAP__FRAME_RBX(%rsp)
	mov	%r12, REAP__FRAME_R12(%rsp)
	mov	%r13, REAP__FRAME_R13(%rsp)
	mov	%r14, REAP__FRAME_R14(%rsp)
	mov	%r15, REAP__FRAME_R15(%rsp)
	CFI_STOPPED
	stmxcsr	REAP__FRAME_MXCSR(%rsp)
	fnstcw	REAP__FRAME_X87CW(%rsp)
	mov	%rsp, %rax
	.endm

	.macro	CFI_STOPPED
	.cfi_def_cfa_offset REAP__FRAME_SIZE
	.cfi_offset %rbp, REAP__FRAME_RBP - REAP__FRAME_SIZE
	.cfi_offset %rbx, REAP__FRAME_RBX - REAP__FRAME_SIZE
	.cfi_offset %r12, REAP__FRAME_R12 - REAP__FRAME_SIZE
	.cfi_offset %r13, REAP__FRAME_R13 - REAP__FRAME_SIZE
	.cfi_offset %r14, REAP__FRAME_R14 - REAP__FRAME_SIZE
	.cfi_offset %r15, REAP__FRAME_R15 - REAP__FRAME_SIZE
	.endm

/* Compare the control words of the frame at %rsp with those of the one at %rdi. */
	.macro	COMPARE_FCONTEXT differ
	mov	REAP__FRAME_MXCSR(%rsp), %ecx
	xor	REAP__FRAME_MXCSR(%rdi), %ecx
	cmp	$REAP__MXCSR_FLAGS, %ecx
	ja	\differ
	movzwl	REAP__FRAME_X87CW(%rsp), %ecx
	cmp	%cx, REAP__FRAME_X87CW(%rdi)
	jne	\differ
	.endm

	.macro	LOAD_FCONTEXT_CONTROL
	ldmxcsr	REAP__FRAME_MXCSR(%rdi)
	fnclex
	fldcw	REAP__FRAME_X87CW(%rdi)
	.endm

/* Go over to the frame at %rdi and load what it holds, but for the return address. */
	.macro	GO_OVER
	mov	%rdi, %rsp
	CFI_STOPPED
	mov	REAP__FRAME_RBP(%rsp), %rbp
	mov	REAP__FRAME_RBX(%rsp), %rbx
	mov	REAP__FRAME_R12(%rsp), %r12
	mov	REAP__FRAME_R13(%rsp), %r13
	mov	REAP__FRAME_R14(%rsp), %r14
	mov	REAP__FRAME_R15(%rsp), %r15
	.endm

	.text

/*
 * transfer_t jump_fcontext(fcontext_t to, void *word)
 *	in	%rdi to, %rsi word
 *	out	there %rax %rdx: where we stopped, word
 */
	EXPORTED jump_fcontext
	.cfi_startproc
	endbr64
	testl	$REAP__COMPAT_COUNT, reap__compat_mode(%rip)
	jne	.Ljump_count
.Ljump_counted:
	STOP
	mov	%rsi, %rdx
	COMPARE_FCONTEXT differ=.Ljump_differ
.Ljump_resume:
	.cfi_remember_state
	GO_OVER
	mov	REAP__FRAME_RIP(%rsp), %rcx
	lea	REAP__FRAME_SIZE(%rsp), %rsp
	.cfi_def_cfa_offset 0
	notrack jmp *%rcx
	ud2
	.cfi_restore_state
.Ljump_differ:
	LOAD_FCONTEXT_CONTROL
	jmp	.Ljump_resume
	.cfi_def_cfa_offset 8
	.cfi_restore %rbp
	.cfi_restore %rbx
	.cfi_restore %r12
	.cfi_restore %r13
	.cfi_restore %r14
	.cfi_restore %r15
.Ljump_count:
	lock incq reap__compat_count+8*REAP__COMPAT_JUMP_FCONTEXT(%rip)
	jmp	.Ljump_counted
	.cfi_endproc
	.size	jump_fcontext, . - jump_fcontext

/*
 * transfer_t ontop_fcontext(fcontext_t to, void *word, transfer_t (*function)(transfer_t))
 *	in	%rdi to, %rsi word, %rdx function
 *	out	there function(where we stopped, word) is called as if by the one who is resumed, and returns to it
 */
	EXPORTED ontop_fcontext
	.cfi_startproc
	endbr64
	testl	$REAP__COMPAT_COUNT, reap__compat_mode(%rip)
	jne	.Lontop_count
.Lontop_counted:
	STOP
	COMPARE_FCONTEXT differ=.Lontop_differ
.Lontop_resume:
	.cfi_remember_state
	GO_OVER
	mov	%rax, %rdi
	lea	REAP__FRAME_RIP(%rsp), %rsp
	.cfi_def_cfa_offset 8
	jmp	*%rdx
	ud2
	.cfi_restore_state
.Lontop_differ:
	LOAD_FCONTEXT_CONTROL
	jmp	.Lontop_resume
	.cfi_def_cfa_offset 8
	.cfi_restore %rbp
	.cfi_restore %rbx
	.cfi_restore %r12
	.cfi_restore %r13
	.cfi_restore %r14
	.cfi_restore %r15
.Lontop_count:
	lock incq reap__compat_count+8*REAP__COMPAT_ONTOP_FCONTEXT(%rip)
	jmp	.Lontop_counted
	.cfi_endproc
	.size	ontop_fcontext, . - ontop_fcontext

/*
 * fcontext_t make_fcontext(void *top, size_t size, void (*function)(transfer_t))
 *	in	%rdi top, %rsi size, %rdx function
 *
 * The first call looks whether another ABI has been loaded meanwhile.
 */
	EXPORTED make_fcontext
	.cfi_startproc
	endbr64
	push	%rdi
	.cfi_adjust_cfa_offset 8
	push	%rdx
	.cfi_adjust_cfa_offset 8
	lea	-8(%rsp), %rsp
	.cfi_adjust_cfa_offset 8
	call	reap__compat_check_boost
	lea	8(%rsp), %rsp
	.cfi_adjust_cfa_offset -8
	pop	%rdx
	.cfi_adjust_cfa_offset -8
	pop	%rax
	.cfi_adjust_cfa_offset -8
	and	$-16, %rax
	lea	-REAP__FRAME_SIZE(%rax), %rax
	xor	%ecx, %ecx
	mov	%rcx, REAP__FRAME_R12(%rax)
	mov	%rcx, REAP__FRAME_R13(%rax)
	mov	%rcx, REAP__FRAME_R14(%rax)
	mov	%rcx, REAP__FRAME_R15(%rax)
	mov	%rcx, REAP__FRAME_RBP(%rax)
	mov	%rdx, REAP__FRAME_RBX(%rax)
	lea	.Lfstart(%rip), %rcx
	mov	%rcx, REAP__FRAME_RIP(%rax)
	stmxcsr	REAP__FRAME_MXCSR(%rax)
	fnstcw	REAP__FRAME_X87CW(%rax)
	ret
	.cfi_endproc
	.size	make_fcontext, . - make_fcontext

/*
 * The bottom of a made context: a return is turned into a call.  If ontop_fcontext() is the first to resume it, what its function
 * returned is what arrives.
 *	in	%rax %rdx the transfer_t, %rbx function
 */
	.p2align 5
	.type	reap__compat_fbottom, @function
reap__compat_fbottom:
	.cfi_startproc
	.cfi_def_cfa_offset 0
	.cfi_undefined %rip
	nop
.Lfstart:
	mov	%rax, %rdi
	mov	%rdx, %rsi
	call	*%rbx
	xor	%edi, %edi		/* it may not return; Boost ends the process then */
	call	_exit@PLT
	ud2
	.cfi_endproc
	.size	reap__compat_fbottom, . - reap__compat_fbottom

	NOTES
