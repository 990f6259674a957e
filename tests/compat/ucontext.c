/* SPDX-License-Identifier: ISC */
/*
 * ucontext.c: a program for swapcontext(3), which knows nothing of libreap.
 *
 *	ucontext glibc|auto|keep|skip
 *
 * The argument says whose functions it runs on (LD_PRELOAD and REAP_COMPAT_SIGMASK are the caller's business): with glibc's it is
 * what the others are compared with.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fenv.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unwind.h>

#include "../asm/sentinel.h"
#include "../check.h"

#define STACK_SIZE	65536
#define SWITCHES	1000000

static bool glibc, skip;		/* which it is */
static _Alignas(16) char stack[3][STACK_SIZE];
static ucontext_t base, one, two;

/* What a call may find in registers that nobody keeps. */
#define DIRTY()	__asm__ volatile (									\
    "mov $-1, %%rax; mov %%rax, %%rcx; mov %%rax, %%r8; mov %%rax, %%r9; mov %%rax, %%r10; mov %%rax, %%r11"	\
    : : : "rax", "rcx", "r8", "r9", "r10", "r11")

static void
make(ucontext_t *uc, int i, ucontext_t *link, void (*function)(void))
{
	memset(uc, 0x5a, sizeof(*uc));
	DIRTY();
	CHECK_EQ(getcontext(uc), 0);
	uc->uc_stack.ss_sp = stack[i];
	uc->uc_stack.ss_size = STACK_SIZE - 8 * (size_t)i;	/* its end need not be aligned */
	uc->uc_link = link;
	makecontext(uc, function, 0);
}

/* Arguments. */

static unsigned long seen[8];

static void
eight(void *a, unsigned long b, unsigned long c, unsigned long d, unsigned long e, unsigned long f, void *g, unsigned long h)
{
	_Alignas(16) volatile char local[16];
	uintptr_t address = (uintptr_t)local;

	__asm__ volatile ("" : "+r" (address));
	CHECK_EQ(address % 16, 0);
	__asm__ volatile ("movaps %%xmm0, %0" : "=m" (local));
	seen[0] = (unsigned long)a;
	seen[1] = b;
	seen[2] = c;
	seen[3] = d;
	seen[4] = e;
	seen[5] = f;
	seen[6] = (unsigned long)g;
	seen[7] = h;
}

#define WIDE(n)	(0xfedcba9800000001ul + ((unsigned long)(n) << 40) + (n))

static void
arguments(void)
{
	make(&one, 0, &base, NULL);
	makecontext(&one, (void (*)(void))eight, 8, WIDE(0), WIDE(1), WIDE(2), WIDE(3), WIDE(4), WIDE(5), WIDE(6), WIDE(7));
	CHECK_EQ(swapcontext(&base, &one), 0);
	for (unsigned long i = 0; i < 8; i++)
		CHECK_EQ(seen[i], WIDE(i));
	/* Seven: one on the stack, which must be aligned nevertheless. */
	make(&one, 1, &base, NULL);
	makecontext(&one, (void (*)(void))eight, 7, WIDE(10), WIDE(1), WIDE(2), WIDE(3), WIDE(4), WIDE(5), WIDE(16));
	CHECK_EQ(swapcontext(&base, &one), 0);
	CHECK_EQ(seen[0], WIDE(10));
	CHECK_EQ(seen[6], WIDE(16));
	/* The same by setcontext(). */
	for (volatile bool again = true; again;) {
		make(&one, 0, &base, NULL);
		makecontext(&one, (void (*)(void))eight, 8, WIDE(20), WIDE(21), WIDE(22), WIDE(23), WIDE(24), WIDE(25), WIDE(26),
		    WIDE(27));
		CHECK_EQ(getcontext(&base), 0);
		if (!again)
			break;
		again = false;
		setcontext(&one);
	}
	for (unsigned long i = 0; i < 8; i++)
		CHECK_EQ(seen[i], WIDE(i + 20));
	puts("eight arguments of 64 bits, and an aligned stack");
}

/* Links. */

static int steps;

static void
step(void)
{
	steps = steps * 10 + 1;
}

static void
step_two(void)
{
	steps = steps * 10 + 2;
}

static void
links(void)
{
	make(&two, 1, &base, step_two);
	make(&one, 0, &two, step);
	one.uc_link = &base;		/* too late: makecontext() has seen the other */
	steps = 0;
	CHECK_EQ(swapcontext(&base, &one), 0);
	CHECK_EQ(steps, 12);
	puts("a function that returns goes on with uc_link, and that with its own");
}

static void *
no_link_here(void *arg)
{
	ucontext_t uc;

	make(&uc, 2, NULL, step);
	(void)arg;
	setcontext(&uc);
	return &steps;
}

static void
no_link(void)
{
	pthread_t thread;
	void *result = &steps;
	int status;
	pid_t pid;

	if (!glibc) {		/* whose process ends */
		steps = 0;
		CHECK_EQ(pthread_create(&thread, NULL, no_link_here, NULL), 0);
		CHECK_EQ(pthread_join(thread, &result), 0);
		CHECK(result == NULL);
		CHECK_EQ(steps, 1);
		puts("without uc_link the thread ends, and no other");
	}
	fflush(stdout);
	CHECK((pid = fork()) >= 0);
	if (pid == 0) {
		make(&one, 0, NULL, step);
		setcontext(&one);
		_exit(3);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	puts("the last thread without uc_link ends the process, with 0");
}

/* Returning twice. */

static void
twice(void)
{
	volatile int times = 0;
	ucontext_t here;

	CHECK_EQ(getcontext(&here), 0);
	times++;
	if (times < 5)
		setcontext(&here);
	CHECK_EQ(times, 5);
	puts("getcontext() returns as often as its context is resumed");
}

/* Registers, and the million. */

static struct sentinel want[2];

static void
registers_there(void)
{
	struct sentinel got;

	for (unsigned long i = 0;; i++) {
		sentinel_fill(&want[1], 2 * i + 1);
		CHECK_EQ((intptr_t)sentinel_swap((void **)&one, &base, NULL, &want[1], &got, (void (*)(void))swapcontext), 0);
		CHECK_STR_EQ(sentinel_differ(&want[1], &got), NULL);
	}
}

/* The structure has what glibc's has, where glibc has it. */
static void
check_saved(const ucontext_t *uc, const struct sentinel *s)
{
	static const int reg[SENTINELS] = { REG_RBX, REG_RBP, REG_R12, REG_R13, REG_R14, REG_R15 };

	for (int i = 0; i < SENTINELS; i++)
		CHECK_EQ((uint64_t)uc->uc_mcontext.gregs[reg[i]], s->reg[i]);
	CHECK_EQ((uint64_t)uc->uc_mcontext.gregs[REG_RSP], s->sp);
	CHECK((void *)uc->uc_mcontext.fpregs == (const void *)&uc->__fpregs_mem);
}

static void
registers(void)
{
	struct sentinel got;

	sentinel_fill(&want[0], 4711);
	CHECK_EQ((intptr_t)sentinel_swap((void **)&two, NULL, NULL, &want[0], &got, (void (*)(void))getcontext), 0);
	CHECK_STR_EQ(sentinel_differ(&want[0], &got), NULL);
	check_saved(&two, &want[0]);
	make(&one, 0, NULL, registers_there);
	for (unsigned long i = 0; i < SWITCHES / 2; i++) {
		sentinel_fill(&want[0], 2 * i);
		CHECK_EQ((intptr_t)sentinel_swap((void **)&base, &one, NULL, &want[0], &got, (void (*)(void))swapcontext), 0);
		CHECK_STR_EQ(sentinel_differ(&want[0], &got), NULL);
	}
	check_saved(&base, &want[0]);
	check_saved(&one, &want[1]);
	printf("%d switches: callee-saved registers\n", SWITCHES);
	/* The same, resumed by setcontext(). */
	for (volatile unsigned long i = 0; i < 1000; i++) {
		volatile bool back = false;

		CHECK_EQ(getcontext(&base), 0);
		if (back)
			continue;
		back = true;
		setcontext(&one);
	}
	puts("callee-saved registers, by setcontext()");
}

/* Floating-point control. */

static uint32_t
mxcsr(void)
{
	return __builtin_ia32_stmxcsr() & ~UINT32_C(0x3f);
}

static uint16_t
x87cw(void)
{
	uint16_t cw;

	__asm__ volatile ("fnstcw %0" : "=m" (cw));
	return cw;
}

static void
set_control(uint32_t sse, uint16_t x87)
{
	__builtin_ia32_ldmxcsr(sse);
	__asm__ volatile ("fldcw %0" : : "m" (x87));
}

static void
control_there(void)
{
	CHECK_EQ(mxcsr(), 0x9f80);	/* its maker's */
	CHECK_EQ(x87cw(), 0x0b7f);
	set_control(0x3f80, 0x067f);
	for (;;) {
		CHECK_EQ(swapcontext(&one, &base), 0);
		CHECK_EQ(mxcsr(), 0x3f80);
		CHECK_EQ(x87cw(), 0x067f);
	}
}

static void
control(void)
{
	set_control(0x9f80, 0x0b7f);
	make(&one, 0, NULL, control_there);
	set_control(0x5f80, 0x0f7f);
	for (int i = 0; i < 10; i++) {
		/* Each of the two alone, too. */
		uint32_t sse = i % 3 == 0 ? 0x3f80 : 0x5f80;
		uint16_t x87 = i % 3 == 1 ? 0x067f : 0x0f7f;

		set_control(sse, x87);
		CHECK_EQ(swapcontext(&base, &one), 0);
		CHECK_EQ(mxcsr(), sse);
		CHECK_EQ(x87cw(), x87);
	}
	for (volatile int i = 0; i < 10; i++) {
		volatile bool back = false;

		set_control(i % 2 == 0 ? 0x3f80 : 0x5f80, i % 3 == 0 ? 0x067f : 0x0f7f);
		CHECK_EQ(getcontext(&base), 0);
		if (!back) {
			back = true;
			setcontext(&one);
		}
		CHECK_EQ(mxcsr(), i % 2 == 0 ? 0x3f80 : 0x5f80);
		CHECK_EQ(x87cw(), i % 3 == 0 ? 0x067f : 0x0f7f);
	}
	set_control(0x1f80, 0x037f);
	puts("MXCSR and the x87 control word belong to the context");
}

/*
 * Neither switch loads control words that do not differ: it would wipe out the sticky flags, which are the thread's.  And when it
 * loads them, flags of others do not trap here.  glibc keeps the x87 flags with the context.
 */
static void
raise_flags(void)
{
	volatile double one_ = 1.0, three = 3.0, third;
	volatile long double lone = 1.0L, lthree = 3.0L, lthird;

	third = one_ / three;
	lthird = lone / lthree;
	(void)third;
	(void)lthird;
}

static bool
flags_raised(void)
{
	uint16_t status;

	__asm__ volatile ("fnstsw %0" : "=m" (status));
	return (__builtin_ia32_stmxcsr() & 0x20) != 0 && (status & 0x20) != 0;
}

static void
clear_flags(void)
{
	__asm__ volatile ("fnclex");
	__builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() & ~0x3fu);
}

static void
flags_there(void)
{
	for (;;)
		CHECK_EQ(swapcontext(&one, &base), 0);
}

static void
sensitive_there(void)
{
	set_control(0x1f80, 0x035f);		/* the x87 is to trap when something is inexact */
	for (;;) {
		CHECK_EQ(swapcontext(&one, &base), 0);
		__asm__ volatile ("fld1; fstp %%st(0); fwait" : : : "st");
	}
}

static void
flags(void)
{
	if (glibc)
		return;
	clear_flags();
	make(&one, 0, NULL, flags_there);
	raise_flags();
	CHECK_EQ(swapcontext(&base, &one), 0);
	CHECK(flags_raised());
	clear_flags();
	CHECK_EQ(swapcontext(&base, &one), 0);		/* it stops without any */
	for (volatile bool again = true; again;) {
		CHECK_EQ(getcontext(&base), 0);
		if (!again)
			break;
		again = false;
		raise_flags();
		setcontext(&one);
	}
	CHECK(flags_raised());
	clear_flags();
	make(&one, 0, NULL, sensitive_there);
	CHECK_EQ(swapcontext(&base, &one), 0);
	raise_flags();
	CHECK_EQ(swapcontext(&base, &one), 0);
	for (volatile bool again = true; again;) {
		CHECK_EQ(getcontext(&base), 0);
		if (!again)
			break;
		again = false;
		raise_flags();
		setcontext(&one);
	}
	clear_flags();
	puts("control words that do not differ are not loaded; flags of others do not trap");
}

/* No system call, as long as nobody has changed a mask. */
static void
system_calls(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigprocmask, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = sizeof(filter) / sizeof(filter[0]), .filter = filter };
	const bool keep = glibc || (getenv("REAP_COMPAT_SIGMASK") != NULL && strcmp(getenv("REAP_COMPAT_SIGMASK"), "keep") == 0);
	int status;
	pid_t pid;

	fflush(stdout);
	CHECK((pid = (pid_t)syscall(SYS_fork)) >= 0);		/* fork() itself may block signals */
	if (pid == 0) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
			_exit(CHECK_SKIPPED);
		links();
		for (volatile bool again = true; again;) {
			CHECK_EQ(getcontext(&base), 0);
			if (!again)
				break;
			again = false;
			setcontext(&base);
		}
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == CHECK_SKIPPED) {
		puts("(this kernel filters no system calls)");
		return;
	}
	if (keep)
		CHECK(WIFSIGNALED(status));
	else
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	puts(keep ? "the mask is kept by a system call" : "no system call keeps the mask");
}

/* Unwinding. */

struct trace {
	uintptr_t	at[64];
	int		n;
};

static _Unwind_Reason_Code
frame(struct _Unwind_Context *context, void *arg)
{
	struct trace *t = arg;

	if (_Unwind_GetIP(context) == 0)		/* what is below the bottom */
		return _URC_NO_REASON;
	t->at[t->n] = _Unwind_GetRegionStart(context);
	return ++t->n == 64 ? _URC_END_OF_STACK : _URC_NO_REASON;
}

int	main(int argc, char **argv);	/* for its address */
static struct trace trace;

static __attribute__((noinline)) void
deep(int n)
{
	if (n > 0)
		deep(n - 1);
	else
		_Unwind_Backtrace(frame, &trace);
	__asm__ volatile ("");
}

static void
backtrace_there(void)
{
	deep(3);
	__asm__ volatile ("");
}

static void
unwinding(void)
{
	/* What lies above the top looks like a caller. */
	((uintptr_t *)(void *)(stack[0] + STACK_SIZE))[0] = (uintptr_t)main;
	make(&one, 0, &base, backtrace_there);
	memset(&trace, 0, sizeof(trace));
	CHECK_EQ(swapcontext(&base, &one), 0);
	/* deep() four times, its caller, and the bottom, which glibc has too. */
	CHECK_EQ(trace.n, 6);
	CHECK_EQ(trace.at[4], (uintptr_t)backtrace_there);
	puts("a backtrace ends at the bottom of a made context");
}

/* Signal masks. */

static bool
blocked(int number)
{
	sigset_t set;

	CHECK_EQ(pthread_sigmask(SIG_BLOCK, NULL, &set), 0);
	return sigismember(&set, number) == 1;
}

static void
block(int how, int number)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, number);
	CHECK_EQ(sigprocmask(how, &set, NULL), 0);
}

static void
masks_there(void)
{
	CHECK(!blocked(SIGUSR2) && blocked(SIGWINCH));
	block(SIG_BLOCK, SIGUSR1);
	DIRTY();
	CHECK_EQ(swapcontext(&one, &base), 0);
	CHECK(blocked(SIGUSR1) && !blocked(SIGUSR2));
	CHECK_EQ(swapcontext(&one, &base), 0);
}

static void
masks(void)
{
	const uint64_t winch = UINT64_C(1) << (SIGWINCH - 1);	/* all that the kernel knows of a mask is 64 bits */

	make(&one, 0, NULL, masks_there);		/* before anybody has changed a mask */
	CHECK(memcmp(&one.uc_sigmask, &winch, sizeof(winch)) == 0);
	memset(&base.uc_sigmask, 0, sizeof(base.uc_sigmask));
	DIRTY();
	CHECK_EQ(swapcontext(&base, &one), 0);
	CHECK(memcmp(&base.uc_sigmask, &winch, sizeof(winch)) == 0);
	CHECK(blocked(SIGWINCH));
	if (skip) {
		CHECK(blocked(SIGUSR1));
		block(SIG_UNBLOCK, SIGUSR1);
		puts("masks stay with the thread");
		return;
	}
	CHECK(!blocked(SIGUSR1));
	block(SIG_BLOCK, SIGUSR2);
	CHECK_EQ(swapcontext(&base, &one), 0);
	CHECK(blocked(SIGUSR2) && !blocked(SIGUSR1));
	CHECK_EQ(getcontext(&two), 0);
	CHECK(sigismember(&two.uc_sigmask, SIGUSR2) == 1);
	block(SIG_UNBLOCK, SIGUSR2);
	puts("masks belong to the context");
}

static volatile int handled;
static uint64_t untouched;

static void
leave(int number)
{
	(void)number;
	struct sentinel got;

	if (handled++ == 0)		/* its third argument is nothing to it */
		sentinel_swap((void **)&base, NULL, &untouched, &want[0], &got, (void (*)(void))setcontext);
	CHECK_EQ(swapcontext(&two, &base), 0);
}

static void
handler(void)
{
	CHECK(signal(SIGUSR1, leave) == SIG_DFL);
	handled = 0;
	for (volatile int i = 0; i < 2; i++) {
		volatile bool back = false;

		CHECK_EQ(getcontext(&base), 0);
		if (!back) {
			back = true;
			CHECK_EQ(raise(SIGUSR1), 0);
		}
		CHECK_EQ(handled, i + 1);
		CHECK(blocked(SIGWINCH));
		CHECK_EQ(untouched, 0);
		CHECK_EQ(blocked(SIGUSR1), skip);
		if (skip)
			block(SIG_UNBLOCK, SIGUSR1);
	}
	puts(skip ? "a handler that is left leaves its mask behind" : "a handler that is left leaves nothing behind");
}

static void
shows_errors(void)
{
	errno = 4711;
	make(&one, 0, &base, step);
	CHECK_EQ(swapcontext(&base, &one), 0);
	CHECK_EQ(errno, 4711);
	puts("errno is left alone");
}

/* Before anything else: what is whose? */
static void
check_mode(const char *mode)
{
	Dl_info info;
	void *swap = dlsym(RTLD_DEFAULT, "swapcontext");

	glibc = strcmp(mode, "glibc") == 0;
	skip = strcmp(mode, "skip") == 0;
	CHECK(glibc || skip || strcmp(mode, "auto") == 0 || strcmp(mode, "keep") == 0);
	CHECK(swap != NULL && dladdr(swap, &info) != 0);
	CHECK_EQ(strstr(info.dli_fname, "libreap-compat") == NULL, glibc);
	CHECK(glibc || getenv("REAP_COMPAT_SIGMASK") == NULL || strcmp(getenv("REAP_COMPAT_SIGMASK"), mode) == 0);
}

/* It may be called between a failure to load something and the question for its reason; or within a handler, where dlsym() may not. */
static void
masks_without_search(void)
{
	sigset_t set;

	CHECK(dlopen("/does/not/exist", RTLD_NOW) == NULL);
	sigemptyset(&set);
	CHECK_EQ(sigprocmask(SIG_BLOCK, &set, NULL), 0);
	CHECK(dlerror() != NULL);
}

int
main(int argc, char **argv)
{
	CHECK(argc == 2 || argc == 3);
	check_mode(argv[1]);
	if (argc == 2) {		/* begin with a mask that is not empty */
		block(SIG_BLOCK, SIGWINCH);
		execl("/proc/self/exe", argv[0], argv[1], "again", NULL);
		return 2;
	}
	arguments();
	links();
	twice();
	registers();
	control();
	flags();
	unwinding();
	system_calls();
	no_link();
	shows_errors();
	masks();
	masks_without_search();
	handler();
	/* Once more, now that masks are kept. */
	links();
	twice();
	control();
	return 0;
}
