/* SPDX-License-Identifier: ISC */
/*
 * frame.h: what a stopped context leaves on its stack.  swap.S and frame.c take every offset from here.
 *
 *	  high	|   caller's frame	|	    | nothing: `top'	|
 *	  CFA ->+-----------------------+ aligned   +-------------------+
 *	 +0xc8	|   ra			| to 16	    | reap__md_start	|
 *	 +0xc0	|   s0			|	    | 0			| with ra: a frame record
 *	 +0xb8	|   s11			|	    | 0			|
 *	  ...	|   s10 ... s2		|	    | 0			|
 *	 +0x68	|   s1			|	    | entry		|
 *	 +0x60	|   fs11		|	    | 0			|
 *	  ...	|   fs10 ... fs1	|	    | 0			|
 *	 +0x08	|   fs0			|	    | 0			|
 *	 +0x00	|   frm			|	    | the maker's	|
 *	  low	+-----------------------+ <- sp ->  +-------------------+
 *			stopped			      never run yet
 *
 * All of it is stored by reap_md_swap(); ra is its return address.  Both kinds of frame are left in the same way.
 */
#ifndef REAP_RISCV64_FRAME_H
#define REAP_RISCV64_FRAME_H

#if !defined(__riscv) || __riscv_xlen != 64 || !defined(__riscv_float_abi_double)
#error "this port is for RV64 with doubles in registers (LP64D); configure with -Dswitch=ucontext"
#endif

#define REAP__FRAME_FRM		0x00
#define REAP__FRAME_FS0		0x08
#define REAP__FRAME_FS1		0x10
#define REAP__FRAME_FS2		0x18
#define REAP__FRAME_FS3		0x20
#define REAP__FRAME_FS4		0x28
#define REAP__FRAME_FS5		0x30
#define REAP__FRAME_FS6		0x38
#define REAP__FRAME_FS7		0x40
#define REAP__FRAME_FS8		0x48
#define REAP__FRAME_FS9		0x50
#define REAP__FRAME_FS10	0x58
#define REAP__FRAME_FS11	0x60
#define REAP__FRAME_S1		0x68
#define REAP__FRAME_S2		0x70
#define REAP__FRAME_S3		0x78
#define REAP__FRAME_S4		0x80
#define REAP__FRAME_S5		0x88
#define REAP__FRAME_S6		0x90
#define REAP__FRAME_S7		0x98
#define REAP__FRAME_S8		0xa0
#define REAP__FRAME_S9		0xa8
#define REAP__FRAME_S10		0xb0
#define REAP__FRAME_S11		0xb8
#define REAP__FRAME_S0		0xc0
#define REAP__FRAME_RA		0xc8
#define REAP__FRAME_SIZE	0xd0

#ifndef __ASSEMBLER__

#include <stdint.h>

/* Written by reap_md_make() and reap_md_swap() on the stack of the context, read by whoever resumes it. */
struct reap__frame {
	uint64_t frm;
	uint64_t fs0, fs1, fs2, fs3, fs4, fs5, fs6, fs7, fs8, fs9, fs10, fs11;
	uint64_t s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s0, ra;
};

/* Where a new context lands; not to be called. */
void	reap__md_start(void);

#endif
#endif
