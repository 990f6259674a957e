/* SPDX-License-Identifier: ISC */
/*
 * frame.c: the frame of a context that has never run.
 */
#include <stddef.h>

#include "arch/md.h"
#include "arch/x86_64/frame.h"

#define AT(field, offset)										\
	_Static_assert(offsetof(struct reap__frame, field) == (offset), "frame.h disagrees with itself on " #field)
AT(mxcsr, REAP__FRAME_MXCSR);
AT(x87cw, REAP__FRAME_X87CW);
AT(r15, REAP__FRAME_R15);
AT(r14, REAP__FRAME_R14);
AT(r13, REAP__FRAME_R13);
AT(r12, REAP__FRAME_R12);
AT(rbx, REAP__FRAME_RBX);
AT(rbp, REAP__FRAME_RBP);
AT(rip, REAP__FRAME_RIP);
_Static_assert(sizeof(struct reap__frame) == REAP__FRAME_SIZE, "frame.h disagrees with itself on the size");
_Static_assert(REAP__FRAME_SIZE % 16 == 0, "a stopped sp is aligned as its CFA is");
_Static_assert(REAP__FRAME_RIP == REAP__FRAME_RBP + 8 && REAP__FRAME_SIZE == REAP__FRAME_RIP + 8,
    "%rbp and %rip form a frame record that ends at the CFA");
_Static_assert(REAP__FRAME_SIZE + 8 <= REAP_MD_MIN_FRAME, "the frame, then the CALL of entry");

void *
reap_md_make(void *top, void (*entry)(void *pass))
{
	struct reap__frame *frame = (struct reap__frame *)top - 1;
	uint16_t x87cw;

	__asm__ volatile ("fnstcw %0" : "=m" (x87cw));
	frame->mxcsr = __builtin_ia32_stmxcsr() & ~(uint32_t)REAP__MXCSR_FLAGS;
	frame->x87cw = x87cw;
	frame->r15 = frame->r14 = frame->r13 = frame->r12 = 0;	/* nothing of the dead for a collector to find */
	frame->rbx = (uintptr_t)entry;
	frame->rbp = 0;		/* ends a walk along frame pointers */
	frame->rip = (uintptr_t)reap__md_start;
	return frame;
}
