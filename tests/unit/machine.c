/* SPDX-License-Identifier: ISC */
/*
 * machine.c: the bare switch, in both forms.  Registers and unwinding of the first are tested in tests/asm.
 */
#include <stdlib.h>
#include <unwind.h>

#include <reap/completion.h>
#include <reap/machine.h>

#include "host.h"

#define TURNS	1000000
#define STACK	65536

static _Alignas(64) char stack[2][STACK];
static void *base, *sp[2];
static struct reap_slot slot;
static struct reap_completion dead;

static void
swaps(void *pass)
{
	reap_slot_landed(&slot);
	for (uintptr_t want = 0; want < TURNS; want += 2) {
		CHECK_EQ((uintptr_t)pass, want);
		pass = reap_machine_swap(&sp[0], base, (void *)(want + 1));
	}
	reap_slot_put(&slot, &dead);
	reap_machine_jump(base, (void *)(uintptr_t)TURNS);
}

TEST(machine, swaps_a_million_times_and_hands_a_word_across)
{
	void *pass;

	reap_completion_init(&dead);
	sp[0] = reap_machine_make(stack[0] + STACK, swaps);
	for (uintptr_t i = 0; i < TURNS; i += 2) {
		pass = reap_machine_swap(&base, sp[0], (void *)i);
		CHECK_EQ((uintptr_t)pass, i + 1);
	}
	CHECK(!reap_completion_posted(&dead));
	pass = reap_machine_swap(&base, sp[0], (void *)(uintptr_t)TURNS);
	CHECK_EQ((uintptr_t)pass, TURNS);
	reap_slot_landed(&slot);
	CHECK(reap_completion_posted(&dead));
}

#ifdef REAP_POINT

#ifdef __x86_64__
#define FLOATING	"x"	/* the constraint */
#elif defined(__aarch64__)
#define FLOATING	"w"
#else
#define FLOATING	"f"
#endif

static struct reap_point home, away;

/* All that calls preserve is live across the switch, and a leaf's red zone may be, too: the sum tells. */
static __attribute__((noinline)) uint64_t
busy(struct reap_point *save, struct reap_point *to, uint64_t seed)
{
	volatile uint64_t	 low[4] = { seed, seed + 1, seed + 2, seed + 3 };
	uint64_t		 a = seed * 3, b = seed * 5, c = seed * 7, d = seed * 11, e = seed * 13, f = seed * 17, g = seed * 19;
	double			 x = (double)seed / 3, y = (double)seed / 7;
	void			*pass;

	__asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e), "+" FLOATING(x), "+" FLOATING(y));
	pass = reap_point_switch(save, to, (void *)(uintptr_t)seed);
	__asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e), "+" FLOATING(x), "+" FLOATING(y));
	CHECK(x == (double)seed / 3 && y == (double)seed / 7);
	CHECK_EQ(low[0] + low[1] + low[2] + low[3], 4 * seed + 6);
	return (uint64_t)(uintptr_t)pass + a + b + c + d + e + f + g;
}

static uint64_t
of(uint64_t seed)
{
	return seed * (3 + 5 + 7 + 11 + 13 + 17 + 19);
}

static _Unwind_Reason_Code
count(struct _Unwind_Context *context, void *frames)
{
	(void)context;
	return ++*(int *)frames < 100 ? _URC_NO_REASON : _URC_END_OF_STACK;
}

static void
points(void *pass)
{
	int frames = 0;

	CHECK_EQ((uintptr_t)__builtin_frame_address(0) % 16, 0);
	CHECK_EQ((uintptr_t)pass, 0);
/* Without optimization the compiler's own frame begins there.  A musl beside glibc borrows an unwinder that wants glibc. */
#if defined(__OPTIMIZE__) && (defined(__GLIBC__) || !defined(__linux__))
	(void)_Unwind_Backtrace(count, &frames);
	CHECK(frames < 10);
#else
	(void)count, (void)frames;
#endif
	for (uint64_t i = 1;; i++)
		CHECK_EQ(busy(&away, &home, i), i + of(i));
}

TEST(point, keeps_what_is_live)
{
	reap_point_make(&away, stack[1] + STACK, points);
	CHECK_EQ((uintptr_t)reap_point_switch(&home, &away, NULL), 1);
	for (uint64_t i = 1; i < TURNS; i++)
		CHECK_EQ(busy(&home, &away, i), i + 1 + of(i));
}

static void
frame_pointer(void *pass)
{
	uintptr_t *frame = __builtin_frame_address(0);
#ifdef __riscv
	uintptr_t caller = frame[-2];
#else
	uintptr_t caller = frame[0];
#endif

	(void)pass;
	(void)reap_point_switch_(&away, &home, (void *)caller);
	CHECK(0);
}

TEST(point, ends_a_walk_along_frame_pointers)
{
	reap_point_make_(&away, stack[1] + STACK, frame_pointer);
	CHECK(reap_point_switch_(&home, &away, NULL) == NULL);
}

#endif
