/* SPDX-License-Identifier: ISC */
/*
 * handoff.c: how does the successor learn who left?  From the slot, a word in memory, or from a register that the switch carries
 * across, as a cpu_switchto(9) that returns the previous thread would.
 *
 *	handoff [--json] [ROUNDS]
 *
 * Both with nothing to do, as nearly every switch is, and with an end each time.  The switch is the shortest that keeps the calling
 * convention of x86-64 but for the floating-point control words; it resumes by an indirect jump, which is predicted.
 */
#include "../micro/figures.h"

#include <reap/completion.h>

#ifdef __x86_64__

#define SWITCHES	1000000L
#define STACK		65536

/* Save what calls preserve, leave the stack in *from, go on with `to'.  What is returned there is `carried'. */
uintptr_t	handoff_hop(void **from, void *to, uintptr_t carried);

__asm__(
	"	.text\n"
	"	.p2align 4\n"
	"	.hidden handoff_hop\n"
	"	.globl handoff_hop\n"
	"	.type handoff_hop, @function\n"
	"handoff_hop:\n"
	"	popq	%rcx\n"
	"	pushq	%rbp\n"
	"	pushq	%rbx\n"
	"	pushq	%r12\n"
	"	pushq	%r13\n"
	"	pushq	%r14\n"
	"	pushq	%r15\n"
	"	pushq	%rcx\n"
	"	movq	%rsp, (%rdi)\n"
	"	movq	%rsi, %rsp\n"
	"	movq	%rdx, %rax\n"
	"	popq	%rcx\n"
	"	popq	%r15\n"
	"	popq	%r14\n"
	"	popq	%r13\n"
	"	popq	%r12\n"
	"	popq	%rbx\n"
	"	popq	%rbp\n"
	"	jmpq	*%rcx\n"
	"	.size handoff_hop, . - handoff_hop\n");

enum { ALONE, SLOT, REGISTER, SLOT_POSTS, REGISTER_POSTS, FIGURES };

static void *here, *there;
static struct reap_slot slot = REAP_SLOT_INIT;
static struct reap_completion done;
static int which;
static long hops;

static inline void
landed_from_register(uintptr_t carried)
{
	if (__builtin_expect(carried != 0, 0))
		reap_completion_post((struct reap_completion *)carried);
}

static void
alone(void **from, void **to, long n)
{
	for (long i = 0; i < n; i++)
		(void)handoff_hop(from, *to, 0);
}

static void
by_slot(void **from, void **to, long n)
{
	for (long i = 0; i < n; i++) {
		(void)handoff_hop(from, *to, 0);
		reap_slot_landed(&slot);
	}
}

static void
by_register(void **from, void **to, long n)
{
	for (long i = 0; i < n; i++)
		landed_from_register(handoff_hop(from, *to, 0));
}

static void
slot_posts(void **from, void **to, long n)
{
	for (long i = 0; i < n; i++) {
		reap_completion_init(&done);
		reap_slot_put(&slot, &done);
		(void)handoff_hop(from, *to, 0);
		reap_slot_landed(&slot);
	}
}

static void
register_posts(void **from, void **to, long n)
{
	for (long i = 0; i < n; i++) {
		reap_completion_init(&done);
		landed_from_register(handoff_hop(from, *to, (uintptr_t)&done));
	}
}

static void (*const run[FIGURES])(void **from, void **to, long n) = { alone, by_slot, by_register, slot_posts, register_posts };

/* The other side answers as many, then waits for the next measurement. */
static void
other(void)
{
	for (;;) {
		reap_slot_landed(&slot);
		run[which](&there, &here, SWITCHES / 2 - 1);
		hops += SWITCHES / 2;
		if (which == SLOT_POSTS || which == REGISTER_POSTS)
			reap_completion_init(&done);
		if (which == SLOT_POSTS)
			reap_slot_put(&slot, &done);
		(void)handoff_hop(&there, here, which == REGISTER_POSTS ? (uintptr_t)&done : 0);
		/* The first hop of the next measurement: what it carries is dealt with here, what lies in the slot above. */
		if (which == REGISTER_POSTS)
			reap_completion_post(&done);
	}
}

int
main(int argc, char **argv)
{
	static struct figures f = { .program = "handoff", .n = FIGURES, .rounds = 15, .of = {
		{ .name = "switch", .what = "one way; nobody asks who left" },
		{ .name = "slot, empty", .what = "a load and a branch behind it" },
		{ .name = "register, nobody", .what = "a branch behind it" },
		{ .name = "slot, an end", .what = "each time: store, load, clear, post" },
		{ .name = "register, an end", .what = "each time: carry, post" },
	} };
	bool json = false;
	char *top;

	(void)figures_arguments(argc, argv, NULL, &f.rounds, &json);
	top = malloc(STACK);
	must(top == NULL ? -ENOMEM : 0);
	/* Seven words for the first arrival; other() never returns, and finds the stack as after a call. */
	top += STACK - STACK % 16 - 16;
	memset(top - 56, 0, 64);
	memcpy(top - 64, &(void (*)(void)){ other }, sizeof(void (*)(void)));
	there = top - 64;
	for (int round = -1; round < f.rounds; round++) {
		int r = round < 0 ? 0 : round;

		f.addition[r] = time_addition();
		for (int turn = 0; turn < FIGURES; turn++) {
			double since;

			which = r % 2 == 0 ? turn : FIGURES - 1 - turn;
			hops = 0;
			since = nanoseconds(CLOCK_PROCESS_CPUTIME_ID);
			run[which](&here, &there, SWITCHES / 2);
			f.of[which].cpu[r] = (nanoseconds(CLOCK_PROCESS_CPUTIME_ID) - since) / (double)SWITCHES;
			if (hops != SWITCHES / 2 || (which >= SLOT_POSTS && !reap_completion_posted(&done))) {
				fprintf(stderr, "handoff: %ld of %ld switches\n", hops, SWITCHES / 2);
				return 1;
			}
		}
	}
	figures_show(&f, json);
	return 0;
}

#else

int
main(void)
{
	fprintf(stderr, "handoff: skipped: its switch is written for x86-64 only\n");
	return 77;
}

#endif
