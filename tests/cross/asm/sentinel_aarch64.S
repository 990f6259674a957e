/* SPDX-License-Identifier: ISC */
/*
 * sentinel_aarch64.S: callers of the machine layer that know what is in every callee-saved register.  See sentinel.h.
 */
#define SP	(19 * 8)		/* in struct sentinel */
#define GOT	160			/* in the frame, above 20 registers */
#define FRAME	176

	.macro	FUNCTION name
	.p2align 4
	.globl	\name
	.hidden	\name
	.type	\name, %function
\name:
	.cfi_startproc
	hint	#34			/* bti c */
	.endm

/* Registers in the order of struct sentinel, to or from `offset' above `base'. */
	.macro	ALL load, base, offset=0
	.ifnb	\load
	ldp	x19, x20, [\base, #\offset + 0]
	ldp	x21, x22, [\base, #\offset + 16]
	ldp	x23, x24, [\base, #\offset + 32]
	ldp	x25, x26, [\base, #\offset + 48]
	ldp	x27, x28, [\base, #\offset + 64]
	ldr	x29, [\base, #\offset + 80]
	ldp	d8, d9, [\base, #\offset + 88]
	ldp	d10, d11, [\base, #\offset + 104]
	ldp	d12, d13, [\base, #\offset + 120]
	ldp	d14, d15, [\base, #\offset + 136]
	.else
	stp	x19, x20, [\base, #\offset + 0]
	stp	x21, x22, [\base, #\offset + 16]
	stp	x23, x24, [\base, #\offset + 32]
	stp	x25, x26, [\base, #\offset + 48]
	stp	x27, x28, [\base, #\offset + 64]
	str	x29, [\base, #\offset + 80]
	stp	d8, d9, [\base, #\offset + 88]
	stp	d10, d11, [\base, #\offset + 104]
	stp	d12, d13, [\base, #\offset + 120]
	stp	d14, d15, [\base, #\offset + 136]
	.endif
	.endm

/*
 * Save the caller's, note sp, fill from x9 = struct sentinel.  Then x9 looks like the control of the target, x10 like the one in
 * force: whoever does not load them finds no difference.
 */
	.macro	BEGIN to
	sub	sp, sp, #FRAME
	.cfi_def_cfa_offset FRAME
	ALL	, sp
	str	x30, [sp, #152]
	.cfi_offset x30, 152 - FRAME
	.set	at, 0
	.irp	reg, x19, x20, x21, x22, x23, x24, x25, x26, x27, x28, x29, d8, d9, d10, d11, d12, d13, d14, d15
	.cfi_offset \reg, at - FRAME
	.set	at, at + 8
	.endr
	mov	x10, sp
	str	x10, [x9, #SP]
	ALL	load, x9
	ldr	x9, [\to]
	mrs	x10, fpcr
	.endm

	.text

	FUNCTION sentinel_swap
	mov	x9, x3
	BEGIN	x1
	str	x4, [sp, #GOT]
	bl	reap_md_swap
	ldr	x9, [sp, #GOT]
	ALL	, x9
	ALL	load, sp
	ldr	x30, [sp, #152]
	add	sp, sp, #FRAME
	.cfi_def_cfa_offset 0
	ret
	.cfi_endproc
	.size	sentinel_swap, . - sentinel_swap

	FUNCTION sentinel_jump
	mov	x9, x2
	BEGIN	x0
	bl	reap_md_jump
	brk	#1
	.cfi_endproc
	.size	sentinel_jump, . - sentinel_jump

	FUNCTION sentinel_entry
	adrp	x9, sentinel_arrived
	add	x9, x9, #:lo12:sentinel_arrived
	ALL	, x9
	mov	x10, sp
	str	x10, [x9, #SP]
	adrp	x16, sentinel_entered
	ldr	x16, [x16, #:lo12:sentinel_entered]
	br	x16
	.cfi_endproc
	.size	sentinel_entry, . - sentinel_entry

	.bss
	.p2align 3
	.globl	sentinel_arrived, sentinel_entered
	.hidden	sentinel_arrived, sentinel_entered
	.type	sentinel_arrived, %object
	.size	sentinel_arrived, 20 * 8
sentinel_arrived:
	.zero	20 * 8
	.type	sentinel_entered, %object
	.size	sentinel_entered, 8
sentinel_entered:
	.zero	8

	.section .note.GNU-stack, "", %progbits
