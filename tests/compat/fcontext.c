/* SPDX-License-Identifier: ISC */
/*
 * fcontext.c: the three functions that Boost.Context 1.74 stands on, as its C++ calls them.
 */
#include <stdio.h>
#include <sys/wait.h>
#include <unwind.h>

#include "../asm/sentinel.h"
#include "../check.h"

#define STACK_SIZE	65536
#define SWITCHES	1000000

typedef void *fcontext_t;
typedef struct {
	fcontext_t	from;
	void		*word;
} transfer_t;

transfer_t	jump_fcontext(fcontext_t to, void *word);
transfer_t	ontop_fcontext(fcontext_t to, void *word, transfer_t (*function)(transfer_t));
fcontext_t	make_fcontext(void *top, size_t size, void (*function)(transfer_t));

static _Alignas(16) char stack[2][STACK_SIZE];
static char x[64];		/* words point here */

static fcontext_t
make(int i, size_t off, void (*function)(transfer_t))
{
	return make_fcontext(stack[i] + STACK_SIZE - off, STACK_SIZE - off, function);
}

static bool
is_on(const void *p, int i)
{
	return (uintptr_t)p - (uintptr_t)stack[i] < STACK_SIZE;
}

/* What travels. */

static void
echo(transfer_t t)
{
	_Alignas(16) volatile char local[16];
	uintptr_t address = (uintptr_t)local;

	__asm__ volatile ("" : "+r" (address));
	CHECK_EQ(address % 16, 0);
	__asm__ volatile ("movaps %%xmm0, %0" : "=m" (local));
	for (;;)
		t = jump_fcontext(t.from, (char *)t.word + 1);
}

static void
travels(void)
{
	for (size_t off = 0; off < 64; off++) {		/* the top need not be aligned */
		transfer_t t = { make(0, off, echo), NULL };
		const char *word = x;

		CHECK(is_on(t.from, 0));
		for (int i = 0; i < 3; i++) {
			t = jump_fcontext(t.from, (void *)(uintptr_t)word);
			CHECK(t.word == ++word);
			CHECK(is_on(t.from, 0));
		}
	}
	puts("a word travels each way, with the place where the sender stopped");
}

/* On top. */

static transfer_t
on_top(transfer_t t)
{
	CHECK(is_on(&t, 0) || is_on(__builtin_frame_address(0), 0));
	return (transfer_t){ t.from, (char *)t.word + 10 };
}

static void
first_on_top(transfer_t t)
{
	t = jump_fcontext(t.from, t.word);
	CHECK(t.word == x + 10);
	t = jump_fcontext(t.from, t.word);
	CHECK(t.word == x + 1);
	jump_fcontext(t.from, NULL);
}

static void
ontop(void)
{
	transfer_t t = { make(0, 0, first_on_top), NULL };

	/* To one that has not begun: what the function returns is what it begins with. */
	t = ontop_fcontext(t.from, x, on_top);
	CHECK(t.word == x + 10);
	t = ontop_fcontext(t.from, x, on_top);
	CHECK(t.word == x + 10);
	t = jump_fcontext(t.from, x + 1);
	CHECK(t.word == NULL);
	puts("a function is called on top of the one who is resumed");
}

/* Registers: with the first two arguments in place of save and to. */

static struct sentinel want[2];
static fcontext_t other;

static void
registers_there(transfer_t t)
{
	struct sentinel got;

	for (unsigned long i = 0;; i++) {
		sentinel_fill(&want[1], 2 * i + 1);
		other = sentinel_swap(t.from, x, NULL, &want[1], &got, (void (*)(void))jump_fcontext);
		CHECK_STR_EQ(sentinel_differ(&want[1], &got), NULL);
		t.from = other;
	}
}

static void
registers(void)
{
	fcontext_t to = make(0, 0, registers_there);
	struct sentinel got;

	for (unsigned long i = 0; i < SWITCHES / 2; i++) {
		sentinel_fill(&want[0], 2 * i);
		if (i % 16 != 5)
			to = sentinel_swap(to, x, NULL, &want[0], &got, (void (*)(void))jump_fcontext);
		else
			to = sentinel_swap(to, x, (void *)(uintptr_t)on_top, &want[0], &got, (void (*)(void))ontop_fcontext);
		CHECK_STR_EQ(sentinel_differ(&want[0], &got), NULL);
	}
	printf("%d switches: callee-saved registers\n", SWITCHES);
}

static void
entered(void *pass)
{
	jump_fcontext(pass, NULL);
}

static void
first_entry(void)
{
	struct sentinel got;
	fcontext_t to;

	memset(stack[1], 0xa5, STACK_SIZE);
	sentinel_fill(&want[0], 99);
	sentinel_entered = entered;
	__asm__ volatile ("mov $-1, %%rcx" : : : "rcx");
	to = make(1, 0, (void (*)(transfer_t))(void (*)(void))sentinel_entry);
	sentinel_swap(to, x, NULL, &want[0], &got, (void (*)(void))jump_fcontext);
	for (int i = 0; i < 5; i++)
		CHECK_EQ(sentinel_entry_reg[i], 0);	/* %rbp, the end of a walk along frame pointers; %r12-%r15 */
	puts("a first entry finds nothing of its maker in registers");
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

static transfer_t
same(transfer_t t)
{
	return t;
}

static void
control_there(transfer_t t)
{
	CHECK_EQ(mxcsr(), 0x9f80);	/* its maker's */
	CHECK_EQ(x87cw(), 0x0b7f);
	set_control(0x3f80, 0x067f);
	for (int i = 0;; i++) {
		t = i % 2 == 0 ? jump_fcontext(t.from, NULL) : ontop_fcontext(t.from, NULL, same);
		CHECK_EQ(mxcsr(), 0x3f80);
		CHECK_EQ(x87cw(), 0x067f);
	}
}

static void
control(void)
{
	transfer_t t = { NULL, NULL };

	set_control(0x9f80, 0x0b7f);
	t.from = make(0, 0, control_there);
	for (int i = 0; i < 24; i++) {
		uint32_t sse = i / 2 % 3 == 0 ? 0x3f80 : 0x5f80;
		uint16_t x87 = i / 2 % 3 == 1 ? 0x067f : 0x0f7f;

		set_control(sse, x87);
		t = i % 4 < 2 ? jump_fcontext(t.from, NULL) : ontop_fcontext(t.from, NULL, same);
		CHECK_EQ(mxcsr(), sse);
		CHECK_EQ(x87cw(), x87);
	}
	set_control(0x1f80, 0x037f);
	puts("MXCSR and the x87 control word belong to the context");
}

/* Control words that do not differ are not loaded; when they are, flags of others do not trap. */
static void
raise_flags(void)
{
	volatile double one = 1.0, three = 3.0, third;
	volatile long double lone = 1.0L, lthree = 3.0L, lthird;

	third = one / three;
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
sensitive_there(transfer_t t)
{
	set_control(0x1f80, 0x035f);		/* the x87 is to trap when something is inexact */
	for (;;) {
		t = jump_fcontext(t.from, NULL);
		__asm__ volatile ("fld1; fstp %%st(0); fwait" : : : "st");
	}
}

static void
flags(void)
{
	transfer_t t;

	for (int on_top_ = 0; on_top_ < 2; on_top_++) {
		clear_flags();
		t.from = make(0, 0, echo);
		raise_flags();
		t = on_top_ ? ontop_fcontext(t.from, x, same) : jump_fcontext(t.from, x);
		CHECK(flags_raised());
		clear_flags();
		t = jump_fcontext(make(0, 0, sensitive_there), NULL);
		raise_flags();
		t = on_top_ ? ontop_fcontext(t.from, x, same) : jump_fcontext(t.from, x);
		clear_flags();
	}
	puts("control words that do not differ are not loaded; flags of others do not trap");
}

/* The bottom. */

int	main(void);		/* for its address */
static int frames;
static uintptr_t last;

static _Unwind_Reason_Code
frame(struct _Unwind_Context *context, void *arg)
{
	(void)arg;
	if (_Unwind_GetIP(context) == 0)		/* what is below the bottom */
		return _URC_NO_REASON;
	last = _Unwind_GetRegionStart(context);
	return ++frames == 32 ? _URC_END_OF_STACK : _URC_NO_REASON;
}

/* As if called by the bottom of one that has not begun. */
static transfer_t
unwinds_on_top(transfer_t t)
{
	_Unwind_Backtrace(frame, NULL);
	return t;
}

static void
unwinds(transfer_t t)
{
	_Unwind_Backtrace(frame, NULL);
	jump_fcontext(t.from, NULL);
}

static void
returns_to(transfer_t t)
{
	jump_fcontext(t.from, NULL);
}

static void
returns(transfer_t t)
{
	(void)t;
}

static void
bottom(void)
{
	uintptr_t the_bottom;
	int status;
	pid_t pid;

	((uintptr_t *)(void *)stack[1])[0] = (uintptr_t)main;
	jump_fcontext(make(0, 0, unwinds), NULL);
	CHECK_EQ(frames, 2);		/* unwinds() and the bottom */
	the_bottom = last;
	frames = 0;
	last = 0;
	ontop_fcontext(make(0, 0, returns_to), NULL, unwinds_on_top);
	CHECK_EQ(frames, 2);
	CHECK_EQ(last, the_bottom);
	fflush(stdout);
	CHECK((pid = fork()) >= 0);
	if (pid == 0) {
		jump_fcontext(make(0, 0, returns), NULL);
		_exit(3);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	puts("a backtrace ends at the bottom; who returns there ends the process, with 0");
}

int
main(void)
{
	travels();
	ontop();
	registers();
	first_entry();
	control();
	flags();
	bottom();
	return 0;
}
