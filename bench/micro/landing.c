/* SPDX-License-Identifier: ISC */
/*
 * landing.c: what the landing costs who has a switch of his own (door 1).
 *
 *	landing [--json] [ROUNDS]
 *
 * The same switch three times: alone; with reap_slot_landed() behind it and nothing in the slot, as nearly every switch is; and
 * with a completion in the slot each time, which the landing posts: what an end adds.  The switch is the shortest that keeps the
 * calling convention of x86-64 but for the floating-point control words, so that the landing's part shows.  It resumes by an
 * indirect jump, not by a return, which would be mispredicted.
 */
#include "figures.h"

#include <reap/completion.h>

#ifdef __x86_64__

#define SWITCHES	4000000L
#define STACK		65536

/* Save what calls preserve, leave the stack in *from, go on with `to'.  Nobody unwinds through it, so it has no CFI. */
void	landing_hop(void **from, void *to);

__asm__(
	"	.text\n"
	"	.p2align 4\n"
	"	.hidden landing_hop\n"
	"	.globl landing_hop\n"
	"	.type landing_hop, @function\n"
	"landing_hop:\n"
	"	popq	%rdx\n"
	"	pushq	%rbp\n"
	"	pushq	%rbx\n"
	"	pushq	%r12\n"
	"	pushq	%r13\n"
	"	pushq	%r14\n"
	"	pushq	%r15\n"
	"	pushq	%rdx\n"
	"	movq	%rsp, (%rdi)\n"
	"	movq	%rsi, %rsp\n"
	"	popq	%rdx\n"
	"	popq	%r15\n"
	"	popq	%r14\n"
	"	popq	%r13\n"
	"	popq	%r12\n"
	"	popq	%rbx\n"
	"	popq	%rbp\n"
	"	jmpq	*%rdx\n"
	"	.size landing_hop, . - landing_hop\n");

enum { ALONE, LANDED, POSTED, FIGURES };

static void *here, *there;
static struct reap_slot slot = REAP_SLOT_INIT;
static struct reap_completion done;
static int which;
static long hops;

/* One loop for each, so that none pays for asking which it is. */
static void
alone(void **from, void **to, long n)
{
	for (long i = 0; i < n; i++)
		landing_hop(from, *to);
}

static void
landed(void **from, void **to, long n)
{
	for (long i = 0; i < n; i++) {
		landing_hop(from, *to);
		reap_slot_landed(&slot);
	}
}

static void
posted(void **from, void **to, long n)
{
	for (long i = 0; i < n; i++) {
		reap_completion_init(&done);
		reap_slot_put(&slot, &done);
		landing_hop(from, *to);
		reap_slot_landed(&slot);
	}
}

static void (*const run[FIGURES])(void **from, void **to, long n) = { alone, landed, posted };

/* The other side: answers as many, then waits for the next measurement. */
static void
other(void)
{
	for (;;) {
		reap_slot_landed(&slot);
		run[which](&there, &here, SWITCHES / 2 - 1);
		hops += SWITCHES / 2;
		if (which == POSTED) {
			reap_completion_init(&done);
			reap_slot_put(&slot, &done);
		}
		landing_hop(&there, here);
	}
}

int
main(int argc, char **argv)
{
	static struct figures f = { .program = "landing", .n = FIGURES, .rounds = 15, .of = {
		{ .name = "switch", .what = "one way, without a landing" },
		{ .name = "switch, landing", .what = "with nothing to post" },
		{ .name = "switch, landing that posts", .what = "with a completion, each time" },
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
		for (which = 0; which < FIGURES; which++) {
			double since = nanoseconds(CLOCK_PROCESS_CPUTIME_ID);

			hops = 0;
			run[which](&here, &there, SWITCHES / 2);
			f.of[which].cpu[r] = (nanoseconds(CLOCK_PROCESS_CPUTIME_ID) - since) / (double)SWITCHES;
			if (hops != SWITCHES / 2 || (which == POSTED && !reap_completion_posted(&done))) {
				fprintf(stderr, "landing: %ld of %ld switches\n", hops, SWITCHES / 2);
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
	fprintf(stderr, "landing: skipped: its switch is written for x86-64 only\n");
	return 77;
}

#endif
