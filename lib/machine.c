/* SPDX-License-Identifier: ISC */
/*
 * machine.c: the machine layer, for hosts.
 */
#include <reap/machine.h>

#include "arch/md.h"

void *
reap_machine_make(void *top, void (*entry)(void *pass))
{
	return reap_md_make(top, entry);
}

void *
reap_machine_swap(void **save, void *to, void *pass)
{
	return reap_md_swap(save, to, pass);
}

_Noreturn void
reap_machine_jump(void *to, void *pass)
{
	reap_md_jump(to, pass);
}

#ifdef REAP_POINT
/*
 * The bottom of a stack that was made by reap_point_make(): as swap.S has it for the other form.
 *	in	%rax, x0, a0 pass; %rbp, x29, s0 entry; the stack pointer at the top
 */
__asm__ (
    "	.text\n"
    "	.p2align 5\n"
    "	.globl	reap__point_begin\n"
#ifdef __x86_64__
    "	.type	reap__point_begin, @function\n"
    "reap__point_begin:\n"
    "	.cfi_startproc\n"
    "	.cfi_def_cfa_offset 0\n"
    "	.cfi_undefined %rip\n"
    "	endbr64\n"
    "	mov	%rbp, %rdx\n"
    "	xor	%ebp, %ebp\n"		/* ends a walk along frame pointers */
    "	mov	%rax, %rdi\n"
    "	call	*%rdx\n"
    "	ud2\n"
#elif defined(__aarch64__)
    "	.type	reap__point_begin, %function\n"
    "reap__point_begin:\n"
    "	.cfi_startproc\n"
    "	.cfi_undefined x30\n"
    "	hint	#36\n"			/* bti j */
    "	mov	x9, x29\n"
    "	mov	x29, #0\n"		/* ends a walk along frame pointers */
    "	blr	x9\n"
    "	brk	#1\n"
#else
    "	.type	reap__point_begin, @function\n"
    "reap__point_begin:\n"
    "	.cfi_startproc\n"
    "	.cfi_undefined ra\n"
    "	mv	t1, s0\n"
    "	li	s0, 0\n"		/* ends a walk along frame pointers */
    "	jalr	t1\n"
    "	unimp\n"
#endif
    "	.cfi_endproc\n"
    "	.size	reap__point_begin, . - reap__point_begin\n");

void
reap_point_make_(struct reap_point *point, void *top, void (*entry)(void *pass))
{
	reap_point_make(point, top, entry);
}

void *
reap_point_switch_(struct reap_point *save, const struct reap_point *to, void *pass)
{
	return reap_point_switch(save, to, pass);
}
#endif
