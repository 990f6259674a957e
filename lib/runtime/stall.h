/* SPDX-License-Identifier: ISC */
/*
 * stall.h: tell the processor that we spin.  Concurrency Kit knows how where it is there; it is not needed.
 */
#ifndef REAP_RUNTIME_STALL_H
#define REAP_RUNTIME_STALL_H

#ifdef REAP_RUNTIME_CK
#include <ck_pr.h>
#endif

static inline void
stall(unsigned times)
{
	while (times-- > 0) {
#if defined(REAP_RUNTIME_CK)
		ck_pr_stall();
#elif defined(__x86_64__) || defined(__i386__)
		__builtin_ia32_pause();
#elif defined(__aarch64__)
		__asm__ volatile("isb" ::: "memory");
#elif defined(__riscv)
		__asm__ volatile(".insn i 0x0f, 0, x0, x0, 0x010" ::: "memory");	/* pause; a hint elsewhere */
#else
		__asm__ volatile("" ::: "memory");
#endif
	}
}

#endif
