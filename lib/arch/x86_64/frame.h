/* SPDX-License-Identifier: ISC */
/*
 * frame.h: what a stopped context leaves on its stack.  resume.h and reap_md_make() take every offset from here.
 *
 *	  high	|   caller's frame	|	    | nothing: `top'	|
 *	  CFA ->+-----------------------+ aligned   +-------------------+
 *	 +0x38	|   %rip		| to 16	    | reap__md_start	|
 *	 +0x30	|   %rbp		|	    | 0			| with %rip: a frame record
 *	 +0x28	|   %rbx		|	    | entry		|
 *	 +0x20	|   %r12		|	    | 0			|
 *	 +0x18	|   %r13		|	    | 0			|
 *	 +0x10	|   %r14		|	    | 0			|
 *	 +0x08	|   %r15		|	    | 0			|
 *	 +0x04	|   x87 control word	| 2 bytes   | the maker's	|
 *	 +0x00	|   MXCSR		| 4 bytes   | the maker's	|
 *	  low	+-----------------------+ <- sp ->  +-------------------+
 *			stopped			      never run yet
 *
 * %rip was pushed by the CALL of reap_md_swap(); the rest is stored by it.  Both kinds of frame are left in the same way.
 */
#ifndef REAP_X86_64_FRAME_H
#define REAP_X86_64_FRAME_H

#if !defined(__x86_64__) || defined(__ILP32__)
#error "this port is for x86-64 with 64-bit pointers; configure with -Dswitch=ucontext"
#endif

#define REAP__FRAME_MXCSR	0x00
#define REAP__FRAME_X87CW	0x04
#define REAP__FRAME_R15		0x08
#define REAP__FRAME_R14		0x10
#define REAP__FRAME_R13		0x18
#define REAP__FRAME_R12		0x20
#define REAP__FRAME_RBX		0x28
#define REAP__FRAME_RBP		0x30
#define REAP__FRAME_RIP		0x38
#define REAP__FRAME_SIZE	0x40

/* MXCSR: the six low bits are sticky flags, which the ABI lets any call change; above them is control, which it does not. */
#define REAP__MXCSR_FLAGS	0x3f

#ifndef __ASSEMBLER__

#include <stdint.h>

/* Written by reap_md_make() and reap_md_swap() on the stack of the context, read by whoever resumes it. */
struct reap__frame {
	union {
		struct {
			uint32_t mxcsr;
			uint16_t x87cw;
			uint16_t unused;
		};
		uint64_t control;
	};
	uint64_t r15, r14, r13, r12, rbx, rbp, rip;
};

/* Where a new context lands; not to be called. */
void	reap__md_start(void) __attribute__((visibility("hidden")));

/* The first eight bytes of a frame.  With the sticky flags, which are nobody's: clearing them here would wait for the store. */
static inline void
reap_md_control(uint64_t *control)
{
	__asm__ volatile ("stmxcsr %0; fnstcw %1" : "=m" (*(char (*)[4])control), "=m" (((char (*)[2])control)[2]));
}

static inline void *
reap_md_make_with(void *top, void (*entry)(void *pass), const uint64_t *control)
{
	struct reap__frame *frame = (struct reap__frame *)top - 1;

	frame->control = *control;
	frame->r15 = frame->r14 = frame->r13 = frame->r12 = 0;	/* nothing of the dead for a collector to find */
	frame->rbx = (uintptr_t)entry;
	frame->rbp = 0;		/* ends a walk along frame pointers */
	frame->rip = (uintptr_t)reap__md_start;
	return frame;
}

static inline void *
reap_md_make(void *top, void (*entry)(void *pass))
{
	uint64_t control;

	reap_md_control(&control);
	return reap_md_make_with(top, entry, &control);
}

#endif
#endif
