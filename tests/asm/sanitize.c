/* SPDX-License-Identifier: ISC */
/*
 * sanitize.c: contexts that are created, die, move between threads and are dropped, as the sanitizers and valgrind see them.
 * Without any of these it only runs.  Each would complain by itself; what it must not miss either is asked for.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "../check.h"
#include "arch/md.h"
#include "sanitize.h"

#define STACK_SIZE	32768
#define DEATHS		2000
#define MOVES		200
#define GROWTH_MAX	(64ul << 20)	/* bytes of address space that the deaths may take for good */

struct fiber {
	void		*sp;
	char		*stack;
	struct fiber	*back;		/* who gets the CPU from it: set by who gives it the CPU */
	int	       (*run)(struct fiber *);
	int		 result;
	REAP__SAN_FIELD
};

static inline void
landed(struct fiber *self)
{
	reap__san_landed(REAP__SAN(self));
#if REAP__TSAN
	CHECK(__tsan_get_current_fiber() == self->reap__san.fiber);
#endif
}

static void
swap(struct fiber *from, struct fiber *to)
{
	to->back = from;
	reap__san_before_switch(REAP__SAN(from), REAP__SAN(to), false);
	(void)reap_md_swap(&from->sp, to->sp, to);
	landed(from);
}

static void
begin(void *pass)
{
	struct fiber *self = pass;

	landed(self);
	self->result = self->run(self);
	reap__san_before_switch(REAP__SAN(self), REAP__SAN(self->back), true);
	reap_md_jump(self->back->sp, self->back);
}

static void
fiber_init(struct fiber *fiber, char *stack, int (*run)(struct fiber *))
{
	reap__san_stack_reuse(stack, STACK_SIZE);
	fiber->stack = stack;
	fiber->run = run;
	fiber->result = 0;
	reap__san_context_create(REAP__SAN(fiber), stack, STACK_SIZE);
	fiber->sp = reap_md_make(stack + STACK_SIZE, begin);
}

static void
base_init(struct fiber *base)
{
	base->stack = NULL;
	reap__san_base_init(REAP__SAN(base));
}

static char *
stack_alloc(void)
{
	char *stack = aligned_alloc(64, STACK_SIZE);

	CHECK(stack != NULL);
	return stack;
}

/* Frames with variables whose address is taken: red zones, fake frames, words to initialise. */
static __attribute__((noinline)) int
dirty(struct fiber *self, int depth)
{
	volatile char room[100];
	int sum;

	for (size_t i = 0; i < sizeof(room); i++)
		room[i] = (char)depth;
	if (depth > 0)
		sum = dirty(self, depth - 1);
	else {
		swap(self, self->back);
		sum = 0;
	}
	for (size_t i = 0; i < sizeof(room); i++)
		sum += room[i];
	return sum;
}

static int
shallow(struct fiber *self)
{
	return dirty(self, 1);
}

static int
deep(struct fiber *self)
{
	return dirty(self, 20);
}

static void
leave(struct fiber *self)
{
	reap__san_before_switch(REAP__SAN(self), REAP__SAN(self->back), true);
	reap_md_jump(self->back->sp, self->back);
}

/* Dies in the middle of its frames, like reap_exit().  No compiler knows that leave() does not return. */
static void (*volatile leave_for_good)(struct fiber *) = leave;

static __attribute__((noinline)) void
die(struct fiber *self, int depth)
{
	volatile char room[60];

	for (size_t i = 0; i < sizeof(room); i++)
		room[i] = (char)depth;
	if (depth > 0)
		die(self, depth - 1);
	leave_for_good(self);
}

static int
abrupt(struct fiber *self)
{
	self->result = dirty(self, 7);
	die(self, 9);
	return -1;
}

/* Bytes of address space in use; 0 where nobody says. */
static unsigned long
address_space(void)
{
	FILE *statm = fopen("/proc/self/statm", "r");
	unsigned long pages = 0;

	if (statm == NULL)
		return 0;
	if (fscanf(statm, "%lu", &pages) != 1)
		pages = 0;
	fclose(statm);
	return pages * (unsigned long)sysconf(_SC_PAGESIZE);
}

static void
deaths(void)
{
	int (*const run[])(struct fiber *) = { shallow, deep, abrupt };
	char *stack = stack_alloc();
	struct fiber base, fiber;
	unsigned long before = 0;

	base_init(&base);
	for (int i = 0; i < DEATHS; i++) {
		if (i == DEATHS / 4)
			before = address_space();
		fiber_init(&fiber, stack, run[i % 3]);
		swap(&base, &fiber);
		CHECK_EQ(fiber.result, 0);
		if (i % 5 != 0) {
			swap(&base, &fiber);
			if (i % 3 != 2)
				CHECK(fiber.result > 0);
		}
		/* Every fifth is dropped while it stands in its innermost frame. */
		reap__san_context_destroy(REAP__SAN(&fiber));
		memset(stack, i, STACK_SIZE);		/* its memory is anybody's */
	}
	free(stack);
	CHECK(address_space() <= before + GROWTH_MAX);
	printf("%d deaths on one stack, a fifth of them of suspended contexts\n", DEATHS);
}

/* Two stacks without a gap: who is not told that they are two takes the one for a part of the other. */
static struct fiber near[2], *near_base;

static int
neighbour(struct fiber *self)
{
	volatile int room[64];
	int sum = 0;

	for (int i = 0; i < 64; i++)
		room[i] = i;
	for (int turn = 0; turn < 100; turn++) {
		swap(self, &near[self == &near[0]]);
		for (int i = 0; i < 64; i++)
			sum += room[i];
	}
	self->back = near_base;
	return sum;
}

static void
neighbours(void)
{
	char *stack = aligned_alloc(64, 2 * STACK_SIZE);
	struct fiber base;

	CHECK(stack != NULL);
	base_init(&base);
	fiber_init(&near[0], stack, neighbour);
	fiber_init(&near[1], stack + STACK_SIZE, neighbour);
	near_base = &base;
	swap(&base, &near[0]);
	CHECK_EQ(near[0].result, 100 * 64 * 63 / 2);
	swap(&base, &near[1]);
	CHECK_EQ(near[1].result, 100 * 64 * 63 / 2);
	for (int i = 0; i < 2; i++)
		reap__san_context_destroy(REAP__SAN(&near[i]));
	free(stack);
	puts("two contexts on adjacent stacks");
}

/* The only pointer to the block lies on a stopped stack that no thread has, in memory that is no heap block. */
static _Alignas(64) char keeper_stack[STACK_SIZE];

static int
keeper(struct fiber *self)
{
	unsigned char *block = malloc(1234);

	CHECK(block != NULL);
	block[0] = 1;
	swap(self, self->back);
	self->result = block[0];
	free(block);
	return self->result;
}

static void
roots(void)
{
	struct fiber base, fiber;

	base_init(&base);
	fiber_init(&fiber, keeper_stack, keeper);
	swap(&base, &fiber);
#if REAP__LSAN
	CHECK_EQ(__lsan_do_recoverable_leak_check(), 0);
	puts("a suspended stack keeps what it points to");
#endif
	swap(&base, &fiber);
	CHECK_EQ(fiber.result, 1);
	reap__san_context_destroy(REAP__SAN(&fiber));
#if REAP__LSAN
	/* To unregister what is not registered ends the process. */
	pid_t child = fork();
	int status;

	if (child == 0) {
		fclose(stderr);
		close(STDERR_FILENO);
		__lsan_unregister_root_region(keeper_stack, STACK_SIZE);
		_exit(0);
	}
	CHECK(child > 0);
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK(status != 0);
	puts("a dead one does not");
#endif
}

/* Two threads resume one context by turns; the mutex is all that orders them. */
static struct {
	pthread_mutex_t	 mutex;
	pthread_cond_t	 cond;
	int		 turn;
	int		 plain;		/* written by the context alone, without any synchronisation of its own */
	struct fiber	 fiber;
} shared = { .mutex = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };

static int
traveller(struct fiber *self)
{
	int mine = 0;

	for (int i = 1; i < MOVES; i++) {
		shared.plain++;
		mine += dirty(self, 3) > 0;
	}
	return mine;
}

static void *
carrier(void *arg)
{
	int me = arg != NULL;
	struct fiber base;

	base_init(&base);
	for (int i = me; i < MOVES; i += 2) {
		CHECK_EQ(pthread_mutex_lock(&shared.mutex), 0);
		while (shared.turn != i)
			CHECK_EQ(pthread_cond_wait(&shared.cond, &shared.mutex), 0);
		CHECK_EQ(pthread_mutex_unlock(&shared.mutex), 0);
		swap(&base, &shared.fiber);
		CHECK_EQ(pthread_mutex_lock(&shared.mutex), 0);
		shared.turn++;
		CHECK_EQ(pthread_cond_broadcast(&shared.cond), 0);
		CHECK_EQ(pthread_mutex_unlock(&shared.mutex), 0);
	}
	return NULL;
}

static void
moves(void)
{
	char *stack = stack_alloc();
	pthread_t thread[2];

	fiber_init(&shared.fiber, stack, traveller);
	for (int i = 0; i < 2; i++)
		CHECK_EQ(pthread_create(&thread[i], NULL, carrier, i == 0 ? NULL : &shared), 0);
	for (int i = 0; i < 2; i++)
		CHECK_EQ(pthread_join(thread[i], NULL), 0);
	CHECK_EQ(shared.plain, MOVES - 1);
	CHECK_EQ(shared.fiber.result, MOVES - 1);
	reap__san_context_destroy(REAP__SAN(&shared.fiber));
	free(stack);
	printf("a context moved %d times between two threads\n", MOVES);
}

#if REAP__ASAN
/* Asked twice, as the first question could have lost the answer. */
static void
bounds(void)
{
	struct fiber base;
	char local;

	base_init(&base);
	base_init(&base);
	CHECK((uintptr_t)__builtin_frame_address(0) - (uintptr_t)base.reap__san.lo < base.reap__san.size);
	CHECK(__asan_addr_is_in_fake_stack(__asan_get_current_fake_stack(), &local, NULL, NULL) != NULL ||
	    (uintptr_t)&local - (uintptr_t)base.reap__san.lo < base.reap__san.size);
	puts("the bounds of the thread's own stack");
}
#endif

#if !REAP__SAN_ON
struct nothing {
	void		*p;
	REAP__SAN_FIELD
};
_Static_assert(sizeof(struct nothing) == sizeof(void *), "no byte when off");
#endif

int
main(void)
{
#if REAP__ASAN
	bounds();
#endif
	deaths();
	neighbours();
	roots();
	moves();
	return 0;
}
