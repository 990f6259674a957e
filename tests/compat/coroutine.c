/* SPDX-License-Identifier: ISC */
/*
 * coroutine.c: the function that Ruby 3.1's fibers stand on.  The first frame is made as Ruby makes it.
 */
#include <stdio.h>

#include "../asm/sentinel.h"
#include "../check.h"

#define STACK_SIZE	65536
#define SWITCHES	1000000

struct coroutine {
	void	**sp;		/* where its stack was left */
	void	*argument;	/* Ruby's */
};

struct coroutine	*coroutine_transfer(struct coroutine *from, struct coroutine *to);

static _Alignas(16) void *stack[STACK_SIZE / sizeof(void *)];
static struct coroutine root, one;
static struct sentinel want[2];

static void
there(struct coroutine *from, struct coroutine *self)
{
	_Alignas(16) volatile char local[16];
	uintptr_t address = (uintptr_t)local;
	struct sentinel got;

	__asm__ volatile ("" : "+r" (address));
	CHECK_EQ(address % 16, 0);
	CHECK(from == &root);
	CHECK(self == &one);
	for (unsigned long i = 0;; i++) {
		sentinel_fill(&want[1], 2 * i + 1);
		CHECK(sentinel_swap((void **)self, &root, NULL, &want[1], &got, (void (*)(void))coroutine_transfer) == &root);
		CHECK_STR_EQ(sentinel_differ(&want[1], &got), NULL);
	}
}

int
main(void)
{
	struct sentinel got;

	one.sp = stack + sizeof(stack) / sizeof(stack[0]);
	*--one.sp = NULL;
	*--one.sp = (void *)(uintptr_t)there;
	one.sp -= 6;			/* registers */
	for (unsigned long i = 0; i < SWITCHES / 2; i++) {
		sentinel_fill(&want[0], 2 * i);
		CHECK(sentinel_swap((void **)&root, &one, NULL, &want[0], &got, (void (*)(void))coroutine_transfer) == &one);
		CHECK_STR_EQ(sentinel_differ(&want[0], &got), NULL);
		CHECK((uintptr_t)one.sp - (uintptr_t)stack < sizeof(stack));
	}
	printf("%d switches: callee-saved registers, who was left\n", SWITCHES);
	return 0;
}
