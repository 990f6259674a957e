/* SPDX-License-Identifier: ISC */
/*
 * frame.h: what a stopped context leaves on its stack.  swap.S and frame.c take every offset from here.
 *
 *	  high	|   caller's frame	|	    | nothing: `top'	|
 *	  CFA ->+-----------------------+ aligned   +-------------------+
 *	 +0xa8	|   x30			| to 16	    | reap__md_start	| signed if SIGN below says so
 *	 +0xa0	|   x29			|	    | 0			| with x30: a frame record
 *	 +0x98	|   x28			|	    | 0			|
 *	  ...	|   x27 ... x20		|	    | 0			|
 *	 +0x50	|   x19			|	    | entry		|
 *	 +0x48	|   d15			|	    | 0			|
 *	  ...	|   d14 ... d9		|	    | 0			|
 *	 +0x10	|   d8			|	    | 0			|
 *	 +0x08	|   unused		|	    | 0			|
 *	 +0x00	|   FPCR		|	    | the maker's	|
 *	  low	+-----------------------+ <- sp ->  +-------------------+
 *			stopped			      never run yet
 *
 * All of it is stored by reap_md_swap(); x30 is its return address.  Both kinds of frame are left in the same way.
 */
#ifndef REAP_AARCH64_FRAME_H
#define REAP_AARCH64_FRAME_H

#if !defined(__aarch64__) || defined(__ILP32__)
#error "this port is for AArch64 with 64-bit pointers; configure with -Dswitch=ucontext"
#endif

#define REAP__FRAME_FPCR	0x00
#define REAP__FRAME_D8		0x10
#define REAP__FRAME_D9		0x18
#define REAP__FRAME_D10		0x20
#define REAP__FRAME_D11		0x28
#define REAP__FRAME_D12		0x30
#define REAP__FRAME_D13		0x38
#define REAP__FRAME_D14		0x40
#define REAP__FRAME_D15		0x48
#define REAP__FRAME_X19		0x50
#define REAP__FRAME_X20		0x58
#define REAP__FRAME_X21		0x60
#define REAP__FRAME_X22		0x68
#define REAP__FRAME_X23		0x70
#define REAP__FRAME_X24		0x78
#define REAP__FRAME_X25		0x80
#define REAP__FRAME_X26		0x88
#define REAP__FRAME_X27		0x90
#define REAP__FRAME_X28		0x98
#define REAP__FRAME_X29		0xa0
#define REAP__FRAME_X30		0xa8
#define REAP__FRAME_SIZE	0xb0

/* Are return addresses signed in this build (-mbranch-protection=), and with which key? */
#ifndef __ARM_FEATURE_PAC_DEFAULT
#define REAP__SIGNED_A		0
#define REAP__SIGNED_B		0
#else
#define REAP__SIGNED_A		(__ARM_FEATURE_PAC_DEFAULT & 1)
#define REAP__SIGNED_B		(__ARM_FEATURE_PAC_DEFAULT >> 1 & 1)
#endif

#ifndef __ASSEMBLER__

#include <stdint.h>

/* Written by reap_md_make() and reap_md_swap() on the stack of the context, read by whoever resumes it. */
struct reap__frame {
	uint64_t fpcr, unused;
	uint64_t d8, d9, d10, d11, d12, d13, d14, d15;
	uint64_t x19, x20, x21, x22, x23, x24, x25, x26, x27, x28, x29, x30;
};

/* Where a new context lands; not to be called. */
void	reap__md_start(void);

#endif
#endif
