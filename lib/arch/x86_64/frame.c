/* SPDX-License-Identifier: ISC */
/*
 * frame.c: does frame.h agree with itself?
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
