/* SPDX-License-Identifier: ISC */
/*
 * tail.S: a swap that is the end of a function, System V x86-64.
 *
 * The frame's %rip is not the caller's but a second half here, which has something to do before it goes on to the caller.  Between
 * the frame and the return address lies what it needs:
 *
 *	  high	|   caller's frame	|		|   caller's frame	|
 *	  CFA ->+-----------------------+	  CFA ->+-----------------------+
 *	 +0x48	|   return address	|	 +0x58	|   return address	|
 *	 +0x40	|   room for the worker	|	 +0x50	|   nothing		|
 *		|			|	 +0x48	|   arg			|
 *		|			|	 +0x40	|   after		|
 *		+-----------------------+		+-----------------------+
 *	  sp ->	|   frame, see frame.h	|	  sp ->	|   frame, see frame.h	|
 *		+-----------------------+		+-----------------------+
 *		    reap_md_switch			    reap_md_leave
 *
 * Neither half returns by RET, see resume.h: the CALL that it would answer was made before the switch.
 */
#include "arch/x86_64/resume.h"

	.text

/*
 * struct reap_worker *reap_md_switch(void **save, void *to, struct reap_worker *worker)
 *	in	%rdi save, %rsi to, %rdx worker
 */
	FUNCTION reap_md_switch
	.cfi_startproc
	SAVE	above=16
	lea	reap__md_switched(%rip), %rax
	mov	%rax, REAP__FRAME_RIP(%rsp)
	COMPARE_CONTROL own=0, differ=.Lswitch_differ
.Lswitch_resume:
	.cfi_remember_state
	RESUME
	.cfi_restore_state
.Lswitch_differ:
	LOAD_CONTROL
	jmp	.Lswitch_resume
	.cfi_endproc
	.size	reap_md_switch, . - reap_md_switch

/*
 * Its second half: the landing.  The NOP is what unwinders find while the context is stopped.
 *	in	%rax worker, %rsp 16 below the CFA
 */
	.p2align 5
	.type	reap__md_switch_back, @function
reap__md_switch_back:
	.cfi_startproc
	.cfi_def_cfa_offset 16
	nop
reap__md_switched:
	mov	8(%rsp), %rcx
	cmpq	$0, (%rax)		/* the slot */
	jne	.Lland
.Lgo_on:
	lea	16(%rsp), %rsp
	.cfi_remember_state
	.cfi_def_cfa_offset 0
	notrack jmp *%rcx
	ud2
	.cfi_restore_state
.Lland:
	mov	%rax, (%rsp)
	mov	%rax, %rdi
	call	reap__land
	mov	(%rsp), %rax
	mov	8(%rsp), %rcx
	jmp	.Lgo_on
	.cfi_endproc
	.size	reap__md_switch_back, . - reap__md_switch_back
	.hidden	reap__land

/*
 * int reap_md_leave(void **save, void *to, struct reap_worker *worker,
 *     int (*after)(struct reap_worker *, void *), void *arg)
 *	in	%rdi save, %rsi to, %rdx worker, %rcx after, %r8 arg
 */
	FUNCTION reap_md_leave
	.cfi_startproc
	SAVE	above=32
	mov	%rcx, REAP__FRAME_SIZE(%rsp)
	mov	%r8, REAP__FRAME_SIZE+8(%rsp)
	lea	reap__md_left(%rip), %rax
	mov	%rax, REAP__FRAME_RIP(%rsp)
	COMPARE_CONTROL own=0, differ=.Lleave_differ
.Lleave_resume:
	.cfi_remember_state
	RESUME
	.cfi_restore_state
.Lleave_differ:
	LOAD_CONTROL
	jmp	.Lleave_resume
	.cfi_endproc
	.size	reap_md_leave, . - reap_md_leave

/*
 * Its second half.
 *	in	%rax worker, %rsp 32 below the CFA
 */
	.p2align 5
	.type	reap__md_leave_back, @function
reap__md_leave_back:
	.cfi_startproc
	.cfi_def_cfa_offset 32
	nop
reap__md_left:
	mov	%rax, %rdi
	mov	8(%rsp), %rsi
	call	*(%rsp)
	mov	24(%rsp), %rcx
	lea	32(%rsp), %rsp
	.cfi_def_cfa_offset 0
	notrack jmp *%rcx
	ud2
	.cfi_endproc
	.size	reap__md_leave_back, . - reap__md_leave_back

/*
 * Become a context that has not run and has no frame: what the registers hold is nobody's.
 *
 * _Noreturn void reap_md_launch(void *top, struct reap_worker *worker, const uint64_t *control)
 *	in	%rdi top, %rsi worker, %rdx control
 */
	FUNCTION reap_md_launch
	.cfi_startproc
	stmxcsr	REAP__FRAME_MXCSR-8(%rsp)
	fnstcw	REAP__FRAME_X87CW-8(%rsp)
	COMPARE_CONTROL own=-8, differ=.Llaunch_differ, to=%rdx
.Llaunch_go:
	.cfi_remember_state
	mov	%rdi, %rsp
	.cfi_def_cfa_offset 0
	.cfi_undefined %rip
	mov	%rsi, %rdi
	xor	%ebp, %ebp
	call	reap__entry_fresh
	ud2
	.cfi_restore_state
.Llaunch_differ:
	LOAD_CONTROL to=%rdx
	jmp	.Llaunch_go
	.cfi_endproc
	.size	reap_md_launch, . - reap_md_launch

/*
 * int reap_md_leave_launch(void **save, void *top, struct reap_worker *worker,
 *     int (*after)(struct reap_worker *, void *), void *arg, const uint64_t *control)
 *	in	%rdi save, %rsi top, %rdx worker, %rcx after, %r8 arg, %r9 control
 */
	FUNCTION reap_md_leave_launch
	.cfi_startproc
	SAVE	above=32
	mov	%rcx, REAP__FRAME_SIZE(%rsp)
	mov	%r8, REAP__FRAME_SIZE+8(%rsp)
	lea	reap__md_left(%rip), %rax
	mov	%rax, REAP__FRAME_RIP(%rsp)
	COMPARE_CONTROL own=0, differ=.Lleave_launch_differ, to=%r9
.Lleave_launch_go:
	.cfi_remember_state
	mov	%rsi, %rsp
	.cfi_def_cfa_offset 0
	.cfi_undefined %rip
	mov	%rdx, %rdi
	xor	%ebp, %ebp
	call	reap__entry_fresh
	ud2
	.cfi_restore_state
.Lleave_launch_differ:
	LOAD_CONTROL to=%r9
	jmp	.Lleave_launch_go
	.cfi_endproc
	.size	reap_md_leave_launch, . - reap_md_leave_launch
	.hidden	reap__entry_fresh

	NOTES
