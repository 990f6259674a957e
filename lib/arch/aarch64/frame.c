/* SPDX-License-Identifier: ISC */
/*
 * frame.c: the frame of a context that has never run.
 */
#include <stddef.h>

#include "arch/md.h"
#include "arch/aarch64/frame.h"

#define AT(field, offset)										\
	_Static_assert(offsetof(struct reap__frame, field) == (offset), "frame.h disagrees with itself on " #field)
AT(fpcr, REAP__FRAME_FPCR);
AT(d8, REAP__FRAME_D8);
AT(d9, REAP__FRAME_D9);
AT(d10, REAP__FRAME_D10);
AT(d11, REAP__FRAME_D11);
AT(d12, REAP__FRAME_D12);
AT(d13, REAP__FRAME_D13);
AT(d14, REAP__FRAME_D14);
AT(d15, REAP__FRAME_D15);
AT(x19, REAP__FRAME_X19);
AT(x20, REAP__FRAME_X20);
AT(x21, REAP__FRAME_X21);
AT(x22, REAP__FRAME_X22);
AT(x23, REAP__FRAME_X23);
AT(x24, REAP__FRAME_X24);
AT(x25, REAP__FRAME_X25);
AT(x26, REAP__FRAME_X26);
AT(x27, REAP__FRAME_X27);
AT(x28, REAP__FRAME_X28);
AT(x29, REAP__FRAME_X29);
AT(x30, REAP__FRAME_X30);
_Static_assert(sizeof(struct reap__frame) == REAP__FRAME_SIZE, "frame.h disagrees with itself on the size");
_Static_assert(REAP__FRAME_SIZE % 16 == 0, "a stopped sp is aligned as its CFA is, and as the processor wants it");
_Static_assert(REAP__FRAME_X30 == REAP__FRAME_X29 + 8 && REAP__FRAME_SIZE == REAP__FRAME_X30 + 8,
    "x29 and x30 form a frame record that ends at the CFA");
_Static_assert(REAP__FRAME_SIZE <= REAP_MD_MIN_FRAME, "the frame; the call of entry pushes nothing");

/* As reap_md_swap() signs its return address: for the CFA.  The instructions are no-ops where a processor lacks the keys. */
static uint64_t
signed_for(void (*function)(void), void *cfa)
{
	register uint64_t address __asm__("x17") = (uint64_t)function;
	register uint64_t modifier __asm__("x16") = (uint64_t)cfa;

#if REAP__SIGNED_A
	__asm__ ("hint #8" : "+r" (address) : "r" (modifier));		/* pacia1716 */
#elif REAP__SIGNED_B
	__asm__ ("hint #10" : "+r" (address) : "r" (modifier));		/* pacib1716 */
#else
	(void)modifier;
#endif
	return address;
}

void *
reap_md_make(void *top, void (*entry)(void *pass))
{
	struct reap__frame *frame = (struct reap__frame *)top - 1;

	*frame = (struct reap__frame){		/* the rest is 0: nothing of the dead for a collector to find */
		.x19 = (uint64_t)entry,
		.x29 = 0,			/* ends a walk along frame pointers */
		.x30 = signed_for(reap__md_start, top),
	};
	__asm__ volatile ("mrs %0, fpcr" : "=r" (frame->fpcr));
	return frame;
}
