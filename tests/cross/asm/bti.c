/* SPDX-License-Identifier: ISC */
/*
 * bti.c: the machine layer runs where indirect branches must land on pads.
 *
 * The program asks for that for its own instructions, sees that a call to a function without a pad is refused, and then
 * switches by every way there is: called through pointers, to a context that never ran, to one that has, by jump.
 */
#include <signal.h>
#include <stdio.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "../../check.h"
#include "arch/md.h"

#ifndef HWCAP2_BTI
#define HWCAP2_BTI	(1ul << 17)
#endif
#ifndef PROT_BTI
#define PROT_BTI	0x10
#endif
#define PSTATE_BTYPE	0xc00ul
#define STACK_SIZE	65536

extern const char __executable_start[], etext[];	/* the linker's */

/* Without a pad, and without a call it could be inlined into. */
void	padless(void);
__asm__ (".text\n.hidden padless\n.globl padless\n.type padless, %function\npadless:\n\tret\n.size padless, . - padless");

static volatile sig_atomic_t refused;

/* On the first instruction of padless(): as if it had returned. */
static void
refuse(int sig, siginfo_t *info, void *arg)
{
	ucontext_t *uc = arg;

	(void)sig;
	(void)info;
	if (uc->uc_mcontext.pc != (uintptr_t)padless) {
		static const char message[] = "an indirect branch of the machine layer was refused\n";

		_exit(write(STDERR_FILENO, message, sizeof(message) - 1) < 0 ? 2 : 1);
	}
	refused++;
	uc->uc_mcontext.pc = uc->uc_mcontext.regs[30];
	uc->uc_mcontext.pstate &= ~PSTATE_BTYPE;
}

static void	*(*volatile swap)(void **, void *, void *) = reap_md_swap;
static void	(*volatile jump)(void *, void *) = reap_md_jump;
static void	(*volatile without)(void) = padless;

static _Alignas(64) char stack[2][STACK_SIZE];
static void *base, *sp[2];
static int steps;

static void
second(void *pass)
{
	steps++;
	jump(sp[0], pass);
}

static void
first(void *pass)
{
	steps++;
	pass = swap(&sp[0], base, pass);
	steps++;
	pass = swap(&sp[0], sp[1], pass);	/* it jumps back */
	steps++;
	jump(base, pass);
	__asm__ volatile ("");		/* no tail call: the other one is, whose branch lands on other pads as well */
}

int
main(void)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t lo = (uintptr_t)__executable_start & ~(page - 1), hi = ((uintptr_t)etext + page - 1) & ~(page - 1);
	struct sigaction action = { .sa_sigaction = refuse, .sa_flags = SA_SIGINFO };

	if ((getauxval(AT_HWCAP2) & HWCAP2_BTI) == 0)
		check_skip_program("this processor knows no landing pads");
	CHECK_EQ(sigaction(SIGILL, &action, NULL), 0);
	if (mprotect((void *)lo, hi - lo, PROT_READ | PROT_EXEC | PROT_BTI) != 0)
		check_skip_program("this system enforces no landing pads");
	without();
	CHECK_EQ(refused, 1);
	sp[0] = reap_md_make(stack[0] + STACK_SIZE, first);
	sp[1] = reap_md_make(stack[1] + STACK_SIZE, second);
	CHECK(swap(&base, sp[0], &base) == &base);
	CHECK(swap(&base, sp[0], &base) == &base);
	CHECK_EQ(steps, 4);
	CHECK_EQ(refused, 1);
	puts("a call without a pad is refused; four switches are not");
	fflush(stdout);
	_exit(0);		/* what runs at exit has no pads in every C library */
}
