/* SPDX-License-Identifier: ISC */
/*
 * sentinel.S: callers of the machine layer that know what is in every callee-saved register.  See sentinel.h.
 */
#ifdef __x86_64__

	.macro	FUNCTION name
	.p2align 4
	.globl	\name
	.hidden	\name
	.type	\name, @function
\name:
	.cfi_startproc
	endbr64
	.endm

	.macro	SAVE reg
	push	\reg
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset \reg, 0
	.endm

	.macro	RESTORE reg
	pop	\reg
	.cfi_adjust_cfa_offset -8
	.cfi_restore \reg
	.endm

/* %rax = struct sentinel: note %rsp, fill the registers.  From here on the caller's values are in the frame alone. */
	.macro	FILL
	mov	%rsp, 48(%rax)
	mov	0(%rax), %rbx
	mov	8(%rax), %rbp
	mov	16(%rax), %r12
	mov	24(%rax), %r13
	mov	32(%rax), %r14
	mov	40(%rax), %r15
	.endm

	.text

	FUNCTION sentinel_swap
	SAVE	%rbp
	SAVE	%rbx
	SAVE	%r12
	SAVE	%r13
	SAVE	%r14
	SAVE	%r15
	push	%r8			/* got; aligns the stack */
	.cfi_adjust_cfa_offset 8
	mov	%rcx, %rax
	mov	%r9, %r11		/* how */
	mov	sentinel_after(%rip), %rcx
	mov	%rax, %r8
	mov	sentinel_control(%rip), %r9
	FILL
	notrack call *%r11
	pop	%r8
	.cfi_adjust_cfa_offset -8
	mov	%rbx, 0(%r8)
	mov	%rbp, 8(%r8)
	mov	%r12, 16(%r8)
	mov	%r13, 24(%r8)
	mov	%r14, 32(%r8)
	mov	%r15, 40(%r8)
	RESTORE	%r15
	RESTORE	%r14
	RESTORE	%r13
	RESTORE	%r12
	RESTORE	%rbx
	RESTORE	%rbp
	ret
	.cfi_endproc
	.size	sentinel_swap, . - sentinel_swap

	FUNCTION sentinel_jump
	SAVE	%rbp
	SAVE	%rbx
	SAVE	%r12
	SAVE	%r13
	SAVE	%r14
	SAVE	%r15
	sub	$8, %rsp
	.cfi_adjust_cfa_offset 8
	mov	%rdx, %rax
	mov	%rcx, %r11		/* how */
	mov	sentinel_control(%rip), %rdx
	FILL
	notrack call *%r11
	ud2
	.cfi_endproc
	.size	sentinel_jump, . - sentinel_jump

	FUNCTION sentinel_entry
	mov	%rsp, sentinel_entry_sp(%rip)
	mov	%rbp, sentinel_entry_reg+0(%rip)
	mov	%r12, sentinel_entry_reg+8(%rip)
	mov	%r13, sentinel_entry_reg+16(%rip)
	mov	%r14, sentinel_entry_reg+24(%rip)
	mov	%r15, sentinel_entry_reg+32(%rip)
	movaps	%xmm0, -24(%rsp)	/* faults unless %rsp + 8 is a multiple of 16 */
	jmp	*sentinel_entered(%rip)
	.cfi_endproc
	.size	sentinel_entry, . - sentinel_entry

	.macro	VARIABLE name, size
	.globl	\name
	.hidden	\name
	.type	\name, @object
	.size	\name, \size
\name:
	.zero	\size
	.endm

	.bss
	.p2align 3
	VARIABLE sentinel_entry_sp, 8
	VARIABLE sentinel_entry_reg, 40
	VARIABLE sentinel_entered, 8
	VARIABLE sentinel_after, 8
	VARIABLE sentinel_control, 8

#endif

#ifdef __ELF__
	.section .note.GNU-stack, "", %progbits
#endif
