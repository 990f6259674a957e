/* SPDX-License-Identifier: ISC */
/*
 * sentinel_riscv64.S: callers of the machine layer that know what is in every callee-saved register.  See sentinel.h.
 */
#define SP	(24 * 8)		/* in struct sentinel */
#define RA	(24 * 8)		/* in the frame, above 24 registers */
#define GOT	(25 * 8)
#define FRAME	(26 * 8)

	.macro	FUNCTION name
	.p2align 4
	.globl	\name
	.hidden	\name
	.type	\name, @function
\name:
	.cfi_startproc
	.endm

/* Registers in the order of struct sentinel, to or from `offset' above `base'. */
	.macro	ALL load, base, offset=0
	.ifnb	\load
	ld	s0, \offset + 0(\base)
	ld	s1, \offset + 8(\base)
	ld	s2, \offset + 16(\base)
	ld	s3, \offset + 24(\base)
	ld	s4, \offset + 32(\base)
	ld	s5, \offset + 40(\base)
	ld	s6, \offset + 48(\base)
	ld	s7, \offset + 56(\base)
	ld	s8, \offset + 64(\base)
	ld	s9, \offset + 72(\base)
	ld	s10, \offset + 80(\base)
	ld	s11, \offset + 88(\base)
	fld	fs0, \offset + 96(\base)
	fld	fs1, \offset + 104(\base)
	fld	fs2, \offset + 112(\base)
	fld	fs3, \offset + 120(\base)
	fld	fs4, \offset + 128(\base)
	fld	fs5, \offset + 136(\base)
	fld	fs6, \offset + 144(\base)
	fld	fs7, \offset + 152(\base)
	fld	fs8, \offset + 160(\base)
	fld	fs9, \offset + 168(\base)
	fld	fs10, \offset + 176(\base)
	fld	fs11, \offset + 184(\base)
	.else
	sd	s0, \offset + 0(\base)
	sd	s1, \offset + 8(\base)
	sd	s2, \offset + 16(\base)
	sd	s3, \offset + 24(\base)
	sd	s4, \offset + 32(\base)
	sd	s5, \offset + 40(\base)
	sd	s6, \offset + 48(\base)
	sd	s7, \offset + 56(\base)
	sd	s8, \offset + 64(\base)
	sd	s9, \offset + 72(\base)
	sd	s10, \offset + 80(\base)
	sd	s11, \offset + 88(\base)
	fsd	fs0, \offset + 96(\base)
	fsd	fs1, \offset + 104(\base)
	fsd	fs2, \offset + 112(\base)
	fsd	fs3, \offset + 120(\base)
	fsd	fs4, \offset + 128(\base)
	fsd	fs5, \offset + 136(\base)
	fsd	fs6, \offset + 144(\base)
	fsd	fs7, \offset + 152(\base)
	fsd	fs8, \offset + 160(\base)
	fsd	fs9, \offset + 168(\base)
	fsd	fs10, \offset + 176(\base)
	fsd	fs11, \offset + 184(\base)
	.endif
	.endm

/* Save the caller's, note sp, fill from t0 = struct sentinel.  t0 and t1 then look like the control of the target at `to'. */
	.macro	BEGIN to
	addi	sp, sp, -FRAME
	.cfi_def_cfa_offset FRAME
	ALL	, sp
	sd	ra, RA(sp)
	.cfi_offset ra, RA - FRAME
	.set	at, 0
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
	.cfi_offset s\n, at - FRAME
	.cfi_offset fs\n, at + 96 - FRAME
	.set	at, at + 8
	.endr
	sd	sp, SP(t0)
	ALL	load, t0
	ld	t0, 0(\to)
	mv	t1, t0
	.endm

	.text

	FUNCTION sentinel_swap
	mv	t0, a3
	BEGIN	a1
	sd	a4, GOT(sp)
	call	reap_md_swap
	ld	t0, GOT(sp)
	ALL	, t0
	ALL	load, sp
	ld	ra, RA(sp)
	addi	sp, sp, FRAME
	.cfi_def_cfa_offset 0
	ret
	.cfi_endproc
	.size	sentinel_swap, . - sentinel_swap

	FUNCTION sentinel_jump
	mv	t0, a2
	BEGIN	a0
	call	reap_md_jump
	unimp
	.cfi_endproc
	.size	sentinel_jump, . - sentinel_jump

	FUNCTION sentinel_entry
	lla	t0, sentinel_arrived
	ALL	, t0
	sd	sp, SP(t0)
	lla	t0, sentinel_entered
	ld	t1, 0(t0)
	jr	t1
	.cfi_endproc
	.size	sentinel_entry, . - sentinel_entry

	.bss
	.p2align 3
	.globl	sentinel_arrived, sentinel_entered
	.hidden	sentinel_arrived, sentinel_entered
	.type	sentinel_arrived, @object
	.size	sentinel_arrived, 25 * 8
sentinel_arrived:
	.zero	25 * 8
	.type	sentinel_entered, @object
	.size	sentinel_entered, 8
sentinel_entered:
	.zero	8

	.section .note.GNU-stack, "", @progbits
