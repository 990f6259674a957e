/* SPDX-License-Identifier: ISC */
/*
 * makecontext.c: a context that calls a function.
 *
 *	  high	|   ss_sp + ss_size	|
 *		+-----------------------+
 *		|   arguments from the	|
 *		|   seventh on		|
 *		+-----------------------+ aligned to 16
 *		|   reap__compat_ended	|
 *	  low	+-----------------------+ <- %rsp at the entry of the function
 */
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <ucontext.h>

#include "compat.h"

#define AT(field, offset) _Static_assert(offsetof(ucontext_t, field) == (offset), "another ucontext_t than glibc's: " #field)
AT(uc_link, REAP__UC_LINK);
AT(uc_mcontext.gregs[REG_R8], REAP__UC_R8);
AT(uc_mcontext.gregs[REG_R9], REAP__UC_R9);
AT(uc_mcontext.gregs[REG_R12], REAP__UC_R12);
AT(uc_mcontext.gregs[REG_R13], REAP__UC_R13);
AT(uc_mcontext.gregs[REG_R14], REAP__UC_R14);
AT(uc_mcontext.gregs[REG_R15], REAP__UC_R15);
AT(uc_mcontext.gregs[REG_RDI], REAP__UC_RDI);
AT(uc_mcontext.gregs[REG_RSI], REAP__UC_RSI);
AT(uc_mcontext.gregs[REG_RBP], REAP__UC_RBP);
AT(uc_mcontext.gregs[REG_RBX], REAP__UC_RBX);
AT(uc_mcontext.gregs[REG_RDX], REAP__UC_RDX);
AT(uc_mcontext.gregs[REG_RCX], REAP__UC_RCX);
AT(uc_mcontext.gregs[REG_RSP], REAP__UC_RSP);
AT(uc_mcontext.gregs[REG_RIP], REAP__UC_RIP);
AT(uc_mcontext.fpregs, REAP__UC_FPREGS);
AT(uc_sigmask, REAP__UC_SIGMASK);
AT(__fpregs_mem, REAP__UC_FPMEM);
_Static_assert(offsetof(struct _libc_fpstate, cwd) == REAP__FP_X87CW, "another ucontext_t than glibc's: x87");
_Static_assert(offsetof(struct _libc_fpstate, mxcsr) == REAP__FP_MXCSR, "another ucontext_t than glibc's: MXCSR");

/* POSIX: `if uc_link is NULL, the thread exits'.  The last one ends the process, with 0. */
void
reap__compat_end_thread(void)
{
	pthread_exit(NULL);
}

/* The arguments are ints to POSIX; everybody passes pointers, and all 64 bits get there. */
REAP__COMPAT_EXPORT void
makecontext(ucontext_t *uc, void (*function)(void), int argc, ...)
{
	static const int in_register[] = { REG_RDI, REG_RSI, REG_RDX, REG_RCX, REG_R8, REG_R9 };
	const int registers = (int)(sizeof(in_register) / sizeof(in_register[0]));
	uintptr_t top = (uintptr_t)uc->uc_stack.ss_sp + uc->uc_stack.ss_size;
	uint64_t *arguments = (uint64_t *)((top - (argc > registers ? 8 * (uintptr_t)(argc - registers) : 0)) & ~(uintptr_t)15);
	greg_t *reg = uc->uc_mcontext.gregs;
	va_list list;

	va_start(list, argc);
	for (int i = 0; i < argc; i++) {
		if (i < registers)
			reg[in_register[i]] = va_arg(list, greg_t);
		else
			arguments[i - registers] = (uint64_t)va_arg(list, greg_t);
	}
	va_end(list);
	arguments[-1] = (uintptr_t)reap__compat_ended;
	reg[REG_RSP] = (greg_t)(uintptr_t)&arguments[-1];
	reg[REG_RIP] = (greg_t)(uintptr_t)function;
	reg[REG_RBX] = (greg_t)(uintptr_t)uc->uc_link;
	reg[REG_RBP] = 0;		/* ends a walk along frame pointers */
	reg[REG_R12] = reg[REG_R13] = reg[REG_R14] = reg[REG_R15] = 0;	/* nothing of the maker for a collector to find */
}
