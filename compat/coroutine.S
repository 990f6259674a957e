/* SPDX-License-Identifier: ISC */
/*
 * coroutine.S: the switch of Ruby 3.1.
 *
 * A coroutine is a structure whose first word is where its stack was left.  What lies there is Ruby's business, which makes the
 * first one by itself; it has no room for control words, so these are the thread's.
 *
 *	  high	|   NULL at first		|
 *		+-------------------------------+
 *	 +0x30	|   return address		|
 *	 +0x28	|   %rbp			|
 *	 +0x20	|   %rbx			|
 *	 +0x18	|   %r12			|
 *	 +0x10	|   %r13			|
 *	 +0x08	|   %r14			|
 *	 +0x00	|   %r15			|
 *	  low	+-------------------------------+ <- the first word
 *
 * It ends in a RET, unlike the switches of libreap: Ruby calls it from one place only, so the processor predicts well where every
 * fiber goes on, and after it every function on the way back.  With a jump, Ruby's fibers were a fifth slower.
 */
#include "macros.h"

#define RIP	0x30
#define RBP	0x28
#define RBX	0x20
#define R12	0x18
#define R13	0x10
#define R14	0x08
#define R15	0x00
#define SIZE	0x38

	.macro	CFI_COROUTINE
	.cfi_def_cfa_offset SIZE
	.cfi_offset %rbp, RBP - SIZE
	.cfi_offset %rbx, RBX - SIZE
	.cfi_offset %r12, R12 - SIZE
	.cfi_offset %r13, R13 - SIZE
	.cfi_offset %r14, R14 - SIZE
	.cfi_offset %r15, R15 - SIZE
	.endm

	.text

/*
 * struct coroutine_context *coroutine_transfer(struct coroutine_context *from, struct coroutine_context *to)
 *	in	%rdi from, %rsi to
 *	out	there %rax from, and for a first entry %rdi %rsi as they are
 */
	EXPORTED coroutine_transfer
	.cfi_startproc
	endbr64
	testl	$REAP__COMPAT_COUNT, reap__compat_mode(%rip)
	jne	.Lcount
.Lcounted:
	lea	-(SIZE - 8)(%rsp), %rsp
	.cfi_def_cfa_offset SIZE
	mov	%rbp, RBP(%rsp)
	mov	%rbx, RBX(%rsp)
	mov	%r12, R12(%rsp)
	mov	%r13, R13(%rsp)
	mov	%r14, R14(%rsp)
	mov	%r15, R15(%rsp)
	CFI_COROUTINE
	mov	%rsp, (%rdi)
	mov	(%rsi), %rsp
	mov	RBP(%rsp), %rbp
	mov	RBX(%rsp), %rbx
	mov	R12(%rsp), %r12
	mov	R13(%rsp), %r13
	mov	R14(%rsp), %r14
	mov	R15(%rsp), %r15
	mov	%rdi, %rax
	lea	RIP(%rsp), %rsp
	.cfi_def_cfa_offset SIZE - RIP
	ret
	.cfi_restore %rbp
	.cfi_restore %rbx
	.cfi_restore %r12
	.cfi_restore %r13
	.cfi_restore %r14
	.cfi_restore %r15
.Lcount:
	lock incq reap__compat_count+8*REAP__COMPAT_COROUTINE(%rip)
	jmp	.Lcounted
	.cfi_endproc
	.size	coroutine_transfer, . - coroutine_transfer

	NOTES
