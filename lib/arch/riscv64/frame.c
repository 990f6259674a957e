/* SPDX-License-Identifier: ISC */
/*
 * frame.c: the frame of a context that has never run.
 */
#include <stddef.h>

#include "arch/md.h"
#include "arch/riscv64/frame.h"

#define AT(field, offset)										\
	_Static_assert(offsetof(struct reap__frame, field) == (offset), "frame.h disagrees with itself on " #field)
AT(frm, REAP__FRAME_FRM);
AT(fs0, REAP__FRAME_FS0);
AT(fs1, REAP__FRAME_FS1);
AT(fs2, REAP__FRAME_FS2);
AT(fs3, REAP__FRAME_FS3);
AT(fs4, REAP__FRAME_FS4);
AT(fs5, REAP__FRAME_FS5);
AT(fs6, REAP__FRAME_FS6);
AT(fs7, REAP__FRAME_FS7);
AT(fs8, REAP__FRAME_FS8);
AT(fs9, REAP__FRAME_FS9);
AT(fs10, REAP__FRAME_FS10);
AT(fs11, REAP__FRAME_FS11);
AT(s1, REAP__FRAME_S1);
AT(s2, REAP__FRAME_S2);
AT(s3, REAP__FRAME_S3);
AT(s4, REAP__FRAME_S4);
AT(s5, REAP__FRAME_S5);
AT(s6, REAP__FRAME_S6);
AT(s7, REAP__FRAME_S7);
AT(s8, REAP__FRAME_S8);
AT(s9, REAP__FRAME_S9);
AT(s10, REAP__FRAME_S10);
AT(s11, REAP__FRAME_S11);
AT(s0, REAP__FRAME_S0);
AT(ra, REAP__FRAME_RA);
_Static_assert(sizeof(struct reap__frame) == REAP__FRAME_SIZE, "frame.h disagrees with itself on the size");
_Static_assert(REAP__FRAME_SIZE % 16 == 0, "a stopped sp is aligned as its CFA is");
_Static_assert(REAP__FRAME_RA == REAP__FRAME_S0 + 8 && REAP__FRAME_SIZE == REAP__FRAME_RA + 8,
    "s0 and ra form a frame record that ends at the CFA");
_Static_assert(REAP__FRAME_SIZE <= REAP_MD_MIN_FRAME, "the frame; the call of entry pushes nothing");

void *
reap_md_make(void *top, void (*entry)(void *pass))
{
	struct reap__frame *frame = (struct reap__frame *)top - 1;

	*frame = (struct reap__frame){		/* the rest is 0: nothing of the dead for a collector to find */
		.s1 = (uint64_t)entry,
		.s0 = 0,			/* ends a walk along frame pointers */
		.ra = (uint64_t)reap__md_start,
	};
	__asm__ volatile ("frrm %0" : "=r" (frame->frm));
	return frame;
}
