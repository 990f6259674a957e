/* SPDX-License-Identifier: ISC */
/*
 * ucontext.S: contexts that are a structure of the caller's, as glibc lays it out.
 *
 * Other than in libreap nothing lies on the stopped stack: a context may be resumed more than once, as long as the function that
 * saved it has not returned.  What is the same: control words are loaded only if the target's differ from what is in force; a
 * context is left by a jump through a register; see resume.h.
 *
 * Unwinding.  Up to the first instruction of RESUME it is the caller who is seen.  From there on it is the target: all rules are
 * about the structure, whose address does not change any more.
 */
#include "macros.h"

#define SYS_rt_sigprocmask	14
#define SIG_SETMASK		2
#define MASK_SIZE		8

/*
 * Everything but the mask, as the caller will see it after the return, into the structure at %rdi.
 *	live	%rdi %rsi		free	%rax %rcx
 */
	.macro	SAVE_CONTEXT
	mov	(%rsp), %rax
	lea	8(%rsp), %rcx
	mov	%rax, REAP__UC_RIP(%rdi)
	mov	%rcx, REAP__UC_RSP(%rdi)
	mov	%rbx, REAP__UC_RBX(%rdi)
	mov	%rbp, REAP__UC_RBP(%rdi)
	mov	%r12, REAP__UC_R12(%rdi)
	mov	%r13, REAP__UC_R13(%rdi)
	mov	%r14, REAP__UC_R14(%rdi)
	mov	%r15, REAP__UC_R15(%rdi)
	lea	REAP__UC_FPMEM(%rdi), %rcx
	mov	%rcx, REAP__UC_FPREGS(%rdi)
	fnstcw	REAP__FP_X87CW(%rcx)
	stmxcsr	REAP__FP_MXCSR(%rcx)
	.endm

/*
 * Compare the control words at \x87cw and \mxcsr with those of the structure at %rsi; go to `differ' if need be.
 *	out	%rcx the target's		free	%rax
 */
	.macro	COMPARE_CONTEXT x87cw, mxcsr, differ
	mov	REAP__UC_FPREGS(%rsi), %rcx
	mov	\mxcsr, %eax
	xor	REAP__FP_MXCSR(%rcx), %eax
	cmp	$REAP__MXCSR_FLAGS, %eax
	ja	\differ
	movzwl	\x87cw, %eax
	cmp	%ax, REAP__FP_X87CW(%rcx)
	jne	\differ
	.endm

	.macro	LOAD_CONTEXT_CONTROL
	ldmxcsr	REAP__FP_MXCSR(%rcx)
	fnclex
	fldcw	REAP__FP_X87CW(%rcx)
	.endm

/* Become the context at %rsi.  The registers of arguments are for a first entry. */
	.macro	RESUME_CONTEXT
	mov	%rsi, %r10
	.cfi_def_cfa %r10, 0
	.cfi_offset %rsp, REAP__UC_RSP
	.cfi_offset %rip, REAP__UC_RIP
	.cfi_offset %rbx, REAP__UC_RBX
	.cfi_offset %rbp, REAP__UC_RBP
	.cfi_offset %r12, REAP__UC_R12
	.cfi_offset %r13, REAP__UC_R13
	.cfi_offset %r14, REAP__UC_R14
	.cfi_offset %r15, REAP__UC_R15
	mov	REAP__UC_RSP(%r10), %rsp
	mov	REAP__UC_RIP(%r10), %r11
	mov	REAP__UC_RBX(%r10), %rbx
	mov	REAP__UC_RBP(%r10), %rbp
	mov	REAP__UC_R12(%r10), %r12
	mov	REAP__UC_R13(%r10), %r13
	mov	REAP__UC_R14(%r10), %r14
	mov	REAP__UC_R15(%r10), %r15
	mov	REAP__UC_RDI(%r10), %rdi
	mov	REAP__UC_RSI(%r10), %rsi
	mov	REAP__UC_RDX(%r10), %rdx
	mov	REAP__UC_RCX(%r10), %rcx
	mov	REAP__UC_R8(%r10), %r8
	mov	REAP__UC_R9(%r10), %r9
	xor	%eax, %eax
	notrack jmp *%r11
	ud2
	.endm

/*
 * rt_sigprocmask(%edi, %rsi or no new one, %rdx or no old one).  It cannot fail for memory that was just written to; %edi counts
 * only if there is a new one.
 */
	.macro	PROCMASK
	mov	$MASK_SIZE, %r10d
	mov	$SYS_rt_sigprocmask, %eax
	syscall
	.endm

	.text

/*
 * int getcontext(ucontext_t *save)
 *	in	%rdi save
 */
	EXPORTED getcontext
	.cfi_startproc
	endbr64
	SAVE_CONTEXT
	testl	$REAP__COMPAT_KEEP, reap__compat_mode(%rip)
	jne	.Lget_mask
	mov	reap__compat_mask(%rip), %rax
	mov	%rax, REAP__UC_SIGMASK(%rdi)
	xor	%eax, %eax
	ret
.Lget_mask:
	lea	REAP__UC_SIGMASK(%rdi), %rdx
	xor	%esi, %esi
	PROCMASK			/* 0 */
	ret
	.cfi_endproc
	.size	getcontext, . - getcontext

/*
 * int swapcontext(ucontext_t *save, const ucontext_t *to)
 *	in	%rdi save, %rsi to
 */
	EXPORTED swapcontext
	.cfi_startproc
	endbr64
	SAVE_CONTEXT
	cmpl	$0, reap__compat_mode(%rip)
	jne	.Lswap_more
.Lswap_no_mask:
	mov	reap__compat_mask(%rip), %rax
	mov	%rax, REAP__UC_SIGMASK(%rdi)
.Lswap_masked:
	COMPARE_CONTEXT x87cw=REAP__UC_FPMEM+REAP__FP_X87CW(%rdi), mxcsr=REAP__UC_FPMEM+REAP__FP_MXCSR(%rdi), differ=.Lswap_differ
.Lswap_resume:
	.cfi_remember_state
	RESUME_CONTEXT
	.cfi_restore_state
.Lswap_differ:
	LOAD_CONTEXT_CONTROL
	jmp	.Lswap_resume
.Lswap_more:
	COUNT	REAP__COMPAT_SWAPCONTEXT
	testl	$REAP__COMPAT_KEEP, reap__compat_mode(%rip)
	je	.Lswap_no_mask
	mov	%rdi, %r8
	mov	%rsi, %r9
	lea	REAP__UC_SIGMASK(%rdi), %rdx
	lea	REAP__UC_SIGMASK(%rsi), %rsi
	mov	$SIG_SETMASK, %edi
	PROCMASK
	mov	%r8, %rdi
	mov	%r9, %rsi
	jmp	.Lswap_masked
	.cfi_endproc
	.size	swapcontext, . - swapcontext

/*
 * int setcontext(const ucontext_t *to)
 *	in	%rdi to
 *
 * The control words in force are read by way of the red zone of the stack that is left.
 */
	EXPORTED setcontext
	.hidden	reap__compat_setcontext		/* which is ours, whoever else defines the other name */
	.set	reap__compat_setcontext, setcontext
	.cfi_startproc
	endbr64
	mov	%rdi, %rsi
	cmpl	$0, reap__compat_mode(%rip)
	jne	.Lset_more
.Lset_masked:
	stmxcsr	-8(%rsp)
	fnstcw	-4(%rsp)
	COMPARE_CONTEXT x87cw=-4(%rsp), mxcsr=-8(%rsp), differ=.Lset_differ
.Lset_resume:
	.cfi_remember_state
	RESUME_CONTEXT
	.cfi_restore_state
.Lset_differ:
	LOAD_CONTEXT_CONTROL
	jmp	.Lset_resume
.Lset_more:
	COUNT	REAP__COMPAT_SETCONTEXT
	testl	$REAP__COMPAT_KEEP, reap__compat_mode(%rip)
	je	.Lset_masked
	mov	%rsi, %r9
	lea	REAP__UC_SIGMASK(%rsi), %rsi
	xor	%edx, %edx
	mov	$SIG_SETMASK, %edi
	PROCMASK
	mov	%r9, %rsi
	jmp	.Lset_masked
	.cfi_endproc
	.size	setcontext, . - setcontext

/*
 * The bottom of a made context.  Its function returns to reap__compat_ended; unwinders look up the address before, the NOP.
 *	in	%rbx uc_link, %rsp aligned to 16
 */
	.p2align 5
	.type	reap__compat_bottom, @function
reap__compat_bottom:
	.cfi_startproc
	.cfi_def_cfa_offset 0
	.cfi_undefined %rip
	nop
	.globl	reap__compat_ended
	.hidden	reap__compat_ended
	.type	reap__compat_ended, @function
reap__compat_ended:
	mov	%rbx, %rdi
	test	%rdi, %rdi
	je	.Lno_link
	call	reap__compat_setcontext
.Lno_link:
	call	reap__compat_end_thread
	ud2
	.cfi_endproc
	.size	reap__compat_ended, . - reap__compat_ended
	.size	reap__compat_bottom, . - reap__compat_bottom

	NOTES
