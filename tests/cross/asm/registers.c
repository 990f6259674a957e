/* SPDX-License-Identifier: ISC */
/*
 * registers.c: what the ABI calls callee-saved survives every switch, and belongs to the context.
 *
 * Two contexts switch to each other with other values in all registers each time, and with floating-point control that is
 * equal, that differs, and that changes.  And what a context finds that has never run.
 */
#include <stdio.h>

#include "../../check.h"
#include "sentinel.h"

#define TURNS		50000		/* of each context */
#define STACK_SIZE	65536

struct player {
	struct player	*other;
	void		*sp;
	uint64_t	 id;
	uint64_t	 turns;
	uint64_t	 control;
};

static struct player player[2];
static void *base;
static _Alignas(64) char stack[2][STACK_SIZE];

/* In three parts: like the other (and like the base); each of its own; both change now and then. */
static void
play(void *pass)
{
	struct player *me = pass;
	struct sentinel want, got;

	CHECK_EQ(control_read(), me->control);
	for (me->turns = 0; me->turns < TURNS; me->turns++) {
		if (me->turns == TURNS / 3)
			control_write(1 + (unsigned)me->id);
		else if (me->turns > 2 * (TURNS / 3) && me->turns % (7 + me->id * 4) == 0)
			control_write((unsigned)(me->turns * (3 + me->id)));
		me->control = control_read();
		sentinel_fill(&want, me->turns * 2 + me->id);
		pass = sentinel_swap(&me->sp, me->other->sp, me->other, &want, &got);
		CHECK(pass == me);
		CHECK_STR_EQ(sentinel_differ(&want, &got), NULL);
		CHECK_EQ(control_read(), me->control);
	}
	sentinel_fill(&want, me->turns * 2 + me->id);
	if (me->other->turns < TURNS)
		sentinel_jump(me->other->sp, me->other, &want);
	sentinel_jump(base, &base, &want);
}

static void
start(int i)
{
	control_write(3 * (unsigned)i);
	player[i] = (struct player){
		.other = &player[!i],
		.id = (uint64_t)i,
		.control = control_read(),
		.sp = reap_md_make(stack[i] + STACK_SIZE, play)
	};
}

static void
arrived(void *pass)
{
	CHECK_EQ(control_read(), player[0].control);
	reap_md_jump(base, pass);
}

/* Nothing of the dead, a frame pointer that ends a walk, the stack as the ABI has it; by swap and by jump. */
static void
jumps(void *pass)
{
	struct sentinel want;

	sentinel_fill(&want, 54321);
	control_write(1);
	sentinel_jump(player[0].sp, pass, &want);
}

static void
first_entry(bool by_jump)
{
	struct sentinel want, got, none;

	memset(stack, 0xa5, sizeof(stack));
	memset(&none, 0, sizeof(none));
	none.reg[SENTINEL_ENTRY] = (uint64_t)sentinel_entry;
	sentinel_entered = arrived;
	player[0].control = control_read();
	player[0].sp = reap_md_make(stack[0] + STACK_SIZE, sentinel_entry);
	player[1].sp = reap_md_make(stack[1] + STACK_SIZE, jumps);
	sentinel_fill(&want, 12345);
	CHECK(sentinel_swap(&base, player[by_jump].sp, &got, &want, &got) == &got);
	CHECK_STR_EQ(sentinel_differ(&want, &got), NULL);
	CHECK_STR_EQ(sentinel_differ(&none, &sentinel_arrived), NULL);
	CHECK_EQ(sentinel_arrived.sp, (uintptr_t)stack[0] + STACK_SIZE);
}

int
main(void)
{
	struct sentinel want, got;
	uint64_t control;

	start(0);
	start(1);
	control_write(2);
	control = control_read();
	sentinel_fill(&want, UINT64_C(1) << 40);
	CHECK(sentinel_swap(&base, player[0].sp, &player[0], &want, &got) == &base);
	CHECK_STR_EQ(sentinel_differ(&want, &got), NULL);
	CHECK_EQ(control_read(), control);
	CHECK_EQ(player[0].turns + player[1].turns, 2 * TURNS);
	printf("%d switches: %d callee-saved registers, floating-point control, the word passed\n", 2 * TURNS, SENTINELS);
	first_entry(false);
	first_entry(true);
	puts("a first entry finds no registers of others, and the top of its stack");
	return 0;
}
