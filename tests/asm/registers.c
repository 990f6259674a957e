/* SPDX-License-Identifier: ISC */
/*
 * registers.c: what the ABI calls callee-saved survives every switch, and belongs to the context.
 *
 * Two contexts switch to each other a million times, in every way there is, with other values in all registers each time, and with
 * FP control words that are equal, that differ, and that change.  MXCSR is read directly: fegetround() sees the x87 word alone.
 */
#include <stdio.h>

#include "../check.h"
#include "sentinel.h"

#define TURNS		500000		/* of each context: a million switches; fewer under an emulator */
#define STACK_SIZE	65536

struct player {
	uintptr_t	 slot;		/* first: not 0 when this player is to land, see reap_md_switch() */
	unsigned	 due, landed;	/* landings since it left */
	struct player	*other;
	struct sentinel	 want;
	void		*sp;
	uint64_t	 id;
	uint64_t	 turns;
	uint32_t	 mxcsr;
	uint16_t	 x87cw;
};

static struct player player[2];
static uint64_t turns;
static void *base;
static _Alignas(64) char stack[2][STACK_SIZE];

#ifdef __x86_64__

static struct player nobody;		/* who passes what no player has to look at */

#define X87_MASK_ALL	0x003f		/* of the control word: exceptions that do not trap */
#define X87_MASK_INEXACT 0x0020
#define X87_RESERVED	0x0040		/* always reads as one */

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

/* Raise the sticky flags of both units. */
static void
inexact(void)
{
	volatile double one = 1.0, three = 3.0, third;
	volatile long double lone = 1.0L, lthree = 3.0L, lthird;

	third = one / three;
	lthird = lone / lthree;
	(void)third;
	(void)lthird;
}

/* Rounding, flush-to-zero and denormals-are-zero in MXCSR; rounding and precision in the x87 word.  Nothing unmasked. */
static void
control_set(struct player *me, uint64_t choice)
{
	static const uint16_t precision[] = { 0x0000, 0x0200, 0x0300 };

	me->mxcsr = 0x1f80 | (uint32_t)(choice & 3) << 13 | (uint32_t)(choice >> 2 & 1) << 15 | (uint32_t)(choice >> 3 & 1) << 6;
	me->x87cw = (uint16_t)(X87_MASK_ALL | X87_RESERVED | (choice >> 4 & 3) << 10 | precision[(choice >> 6) % 3]);
	__builtin_ia32_ldmxcsr(me->mxcsr);
	__asm__ volatile ("fldcw %0" : : "m" (me->x87cw));
}

#else
static uint32_t mxcsr(void) { return 0; }
static uint16_t x87cw(void) { return 0; }
static void inexact(void) { }
static void control_set(struct player *me, uint64_t choice) { (void)me; (void)choice; }
#endif

#ifdef REAP_MD_TAIL

/* Called from assembly, with the stack aligned; leaves nothing in the registers that a function may use. */
static void
called_from_assembly(void)
{
	CHECK_EQ((uintptr_t)__builtin_frame_address(0) % 16, 0);
	__asm__ volatile (
	    "mov $-1, %%eax; mov %%rax, %%rcx; mov %%rax, %%rdx; mov %%rax, %%rsi; mov %%rax, %%rdi;"
	    "mov %%rax, %%r8; mov %%rax, %%r9; mov %%rax, %%r10; mov %%rax, %%r11"
	    : : : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "cc");
}

/* The library's landing.  The worker is whoever was resumed, its slot the first word. */
void	reap__land(struct reap_worker *worker);
void
reap__land(struct reap_worker *worker)
{
	struct player *me = (struct player *)(void *)worker;

	CHECK_EQ(me->slot, 1);
	me->slot = 0;
	me->landed++;
	called_from_assembly();
}

static intptr_t
after(struct reap_worker *worker, void *want)
{
	struct player *me = (struct player *)(void *)worker;

	CHECK(me == &nobody || want == &me->want);
	me->slot = 0;
	called_from_assembly();
	return (intptr_t)worker;
}

#endif

/* In three parts: like the other (and like the base); each of its own; both change now and then. */
static void
play(void *pass)
{
	struct player *me = pass;
	struct sentinel got;
	size_t way;

	CHECK_EQ(mxcsr(), me->mxcsr);
	CHECK_EQ(x87cw(), me->x87cw);
	for (me->turns = 0; me->turns < turns; me->turns++) {
		if (me->turns == turns / 3)
			control_set(me, 0x15 + me->id * 0x6a);
		else if (me->turns > 2 * (turns / 3) && me->turns % (7 + me->id * 4) == 0)
			control_set(me, me->turns * (3 + me->id));
		if (me->turns % (3 + me->id) == 0)
			inexact();
		/* Out of step, so that those who left in one way are resumed by those who leave in another. */
		way = (me->turns / (2 + me->id)) % SENTINEL_WAYS;
		me->other->due = (unsigned)(me->other->slot = me->turns % 5 < 2);
		sentinel_fill(&me->want, me->turns * 2 + me->id);
		pass = sentinel_swap(&me->sp, me->other->sp, me->other, &me->want, &got, sentinel_way(way).how);
		CHECK(pass == me);
		CHECK_STR_EQ(sentinel_differ(&me->want, &got), NULL);
		CHECK_EQ(me->landed, way == SENTINEL_SWITCH ? me->due : 0);
		me->landed = 0;
		CHECK_EQ(mxcsr(), me->mxcsr);
		CHECK_EQ(x87cw(), me->x87cw);
	}
	me->other->due = (unsigned)(me->other->slot = 1);
	if (me->other->turns < turns)
		reap_md_jump(me->other->sp, me->other);
	reap_md_jump(base, &base);
}

static void
start(int i)
{
	player[i] = (struct player){
		.other = &player[!i],
		.id = (uint64_t)i,
		.mxcsr = mxcsr(),
		.x87cw = x87cw(),
		.sp = reap_md_make(stack[i] + STACK_SIZE, play)
	};
}

#ifdef __x86_64__

static uint16_t unmasked;
static size_t by;		/* the way to leave */

static void *
go(size_t way, void **save, void *to, void *pass)
{
	struct sentinel want, got;

	sentinel_fill(&want, way);
	pass = sentinel_swap(save, to, pass, &want, &got, sentinel_way(way).how);
	CHECK_STR_EQ(sentinel_differ(&want, &got), NULL);
	return pass;
}

/* Must not trap here on what others have done: their flags are pending when it is switched to. */
static void
sensitive(void *pass)
{
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(x87cw(), unmasked);
		__asm__ volatile ("fld1; fstp %%st(0); fwait" : : : "st");
		if (i == 1)
			go(by, &player[0].sp, player[1].sp, pass);
		else if (i == 0)
			go(by, &player[0].sp, base, pass);
	}
	reap_md_jump(base, pass);
}

static void
insensitive(void *pass)
{
	inexact();
	reap_md_jump(player[0].sp, pass);
}

static void
flags_of_others(void)
{
	uint16_t masked = x87cw();

	nobody.slot = 0;
	unmasked = (uint16_t)(masked & ~X87_MASK_INEXACT);
	__asm__ volatile ("fnclex; fldcw %0" : : "m" (unmasked));
	player[0].sp = reap_md_make(stack[0] + STACK_SIZE, sensitive);
	__asm__ volatile ("fldcw %0" : : "m" (masked));
	player[1].sp = reap_md_make(stack[1] + STACK_SIZE, insensitive);
	inexact();
	go(by, &base, player[0].sp, &nobody);
	CHECK_EQ(x87cw(), masked);
	inexact();
	go(by, &base, player[0].sp, &nobody);
	CHECK_EQ(x87cw(), masked);
}

#ifndef REAP_MD_UCONTEXT

static uint32_t flags_seen;

static void
flagged(void *pass)
{
	for (int i = 0; i < 2; i++) {
		inexact();
		go(by, &player[0].sp, base, pass);
		flags_seen |= __builtin_ia32_stmxcsr() & 0x3f;
	}
	reap_md_jump(base, pass);
}

static void
unflagged(void *pass)
{
	__builtin_ia32_ldmxcsr(mxcsr());
	reap_md_jump(player[0].sp, pass);
}

/* A reload would bring the flags back that were saved: their absence shows that there was none.  By swap, then by jump. */
static void
no_reload(void)
{
	player[0].sp = reap_md_make(stack[0] + STACK_SIZE, flagged);
	player[1].sp = reap_md_make(stack[1] + STACK_SIZE, unflagged);
	go(by, &base, player[0].sp, &nobody);
	CHECK((__builtin_ia32_stmxcsr() & 0x3f) != 0);
	__builtin_ia32_ldmxcsr(mxcsr());
	go(by, &base, player[0].sp, &nobody);
	CHECK_EQ(flags_seen, 0);
	go(by, &base, player[1].sp, &nobody);
	CHECK_EQ(flags_seen, 0);
}

#else
static void no_reload(void) { }
#endif

#ifdef REAP_MD_LAUNCH

/* Who is launched, one after the other: the first by reap_md_leave_launch(), from the base, each other one by the one before. */
static struct launch {
	struct player	 as;		/* the control words that it begins with */
	uint64_t	 control;	/* the same, as its maker had them */
	char		*top;
	bool		 raised;	/* whoever launches it has the sticky flags of both units raised */
	uint32_t	 mxcsr_flags;	/* found where it began */
	uint16_t	 x87_flags;
} launch[2];
static int launched, launches;

/* The flags of both units. */
static void
flags_set(bool raised)
{
	__builtin_ia32_ldmxcsr(mxcsr());
	__asm__ volatile ("fnclex");
	if (raised)
		inexact();
}

/* raised: by the maker.  trapping: an x87 flag that is pending where it begins would trap. */
static void
launch_make(struct launch *it, uint64_t choice, bool raised, bool trapping)
{
	struct player mine = { .mxcsr = mxcsr(), .x87cw = x87cw() };

	control_set(&it->as, choice);
	flags_set(raised);
	if (trapping) {
		it->as.x87cw &= (uint16_t)~X87_MASK_INEXACT;
		__asm__ volatile ("fnclex; fldcw %0" : : "m" (it->as.x87cw));
	}
	reap_md_control(&it->control);
	__asm__ volatile ("fldcw %0" : : "m" (mine.x87cw));
	__builtin_ia32_ldmxcsr(mine.mxcsr);
}

/* Where the library's own contexts are launched. */
void	reap__entry_fresh(void *pass);
void
reap__entry_fresh(void *pass)
{
	struct launch	 *it = &launch[launched++];
	struct sentinel	  mine;
	void		**frame = __builtin_frame_address(0);

	it->mxcsr_flags = __builtin_ia32_stmxcsr() & 0x3f;
	__asm__ volatile ("fnstsw %0" : "=m" (it->x87_flags));
	__asm__ volatile ("fld1; fstp %%st(0); fwait" : : : "st");
	/* The return address, to which nobody comes back, is the first word below the top; then %rbp. */
	CHECK_EQ((uintptr_t)frame, (uintptr_t)it->top - 16);
	CHECK(*frame == NULL);		/* ends a walk along frame pointers */
	CHECK(pass == &nobody);
	CHECK_EQ(mxcsr(), it->as.mxcsr);
	CHECK_EQ(x87cw(), it->as.x87cw);
	if (launched == launches)
		reap_md_jump(base, pass);
	sentinel_fill(&mine, (uintptr_t)it->control);
	sentinel_control = &launch[launched].control;
	flags_set(launch[launched].raised);
	sentinel_jump(launch[launched].top, pass, &mine, (void (*)(void))reap_md_launch);
}

static void
launch_all(void)
{
	struct sentinel	 want, got;
	uint32_t	 my_mxcsr = mxcsr();
	uint16_t	 my_x87cw = x87cw();

	launched = 0;
	nobody.slot = 1;
	sentinel_fill(&want, my_mxcsr);
	sentinel_control = &launch[0].control;
	flags_set(launch[0].raised);
	CHECK(sentinel_swap(&base, launch[0].top, &nobody, &want, &got, (void (*)(void))reap_md_leave_launch) == &nobody);
	CHECK_EQ(launched, launches);
	CHECK_EQ(nobody.slot, 0);		/* by after() */
	CHECK_STR_EQ(sentinel_differ(&want, &got), NULL);
	CHECK_EQ(mxcsr(), my_mxcsr);
	CHECK_EQ(x87cw(), my_x87cw);
}

static void
launch_others(void)
{
	struct player	 mine = { .mxcsr = mxcsr(), .x87cw = x87cw() };
	unsigned	 n = 0;

	launch[0].top = stack[0] + STACK_SIZE;
	for (uint64_t choice = 0; choice < 512; choice++) {
		/* The second begins where the first one is, or not: the first ends by that.  Its words differ from the first's in
		 * all, in one, or in none. */
		launches = 1 + (choice % 5 != 0);
		launch[1].top = stack[choice % 3 == 0] + STACK_SIZE - 64;
		launch_make(&launch[0], choice * 7, choice & 1, false);
		launch_make(&launch[1], choice * 7 ^ (choice % 4 == 0 ? 0 : choice % 4 == 1 ? 0x30 : choice % 4 == 2 ? 3 : choice),
		    choice >> 1 & 1, choice % 7 == 0);
		launch[0].raised = choice >> 2 & 1;
		launch[1].raised = choice >> 3 & 1;
		control_set(&mine, choice * (choice % 2 == 0 ? 7 : 5));
		launch_all();
		n += (unsigned)launches;
	}
	/* Equal ones are not loaded: MXCSR would bring the maker's flags, FNCLEX clear those that are pending. */
	control_set(&mine, 0);
	for (int i = 0; i < 4; i++) {
		for (int k = 0; k < 2; k++) {
			launch_make(&launch[k], 0, (i & 1) == 0, false);
			launch[k].raised = i & 1;
		}
		launch_all();
		for (int k = 0; k < launches; k++) {
			CHECK_EQ(launch[k].mxcsr_flags != 0, i & 1);
			CHECK_EQ((launch[k].x87_flags & X87_MASK_INEXACT) != 0, i & 1);
		}
		launches = 3 - launches;
	}
	/* Those that are pending do not trap in one that would. */
	launches = 2;
	for (int k = 0; k < 2; k++) {
		launch_make(&launch[k], 0, false, k == 1);
		launch[k].raised = true;
	}
	launch_all();
	launches = 1;
	launch_make(&launch[0], 0, false, true);
	launch_all();
	printf("%u launches: at the top, %%rbp 0, with their makers' control words, loaded if they differ\n", n);
}

#else
static void launch_others(void) { }
#endif
#endif

int
main(void)
{
	struct sentinel want, got;
	uint32_t my_mxcsr;
	uint16_t my_x87cw;

	turns = check_divided(TURNS);
	inexact();
	my_mxcsr = mxcsr();
	my_x87cw = x87cw();
#ifdef REAP_MD_TAIL
	sentinel_after = after;
#endif
	start(0);
	start(1);
	sentinel_fill(&want, UINT64_C(1) << 40);
	CHECK(sentinel_swap(&base, player[0].sp, &player[0], &want, &got, sentinel_way(SENTINEL_SWAP).how) == &base);
	CHECK_STR_EQ(sentinel_differ(&want, &got), NULL);
	CHECK_EQ(mxcsr(), my_mxcsr);
	CHECK_EQ(x87cw(), my_x87cw);
	CHECK_EQ(player[0].turns + player[1].turns, 2 * turns);
	printf("%lu switches, %zu ways: callee-saved registers, MXCSR and x87 control words, the word passed\n",
	    (unsigned long)(2 * turns), SENTINEL_WAYS);
#ifdef __x86_64__
	for (by = 0; by < SENTINEL_WAYS; by++) {
		flags_of_others();
		no_reload();
	}
	launch_others();
	puts("pending x87 flags of one context do not trap in another");
#ifndef REAP_MD_UCONTEXT
	puts("sticky flags alone do not make a switch load MXCSR");
#endif
#endif
	return 0;
}
