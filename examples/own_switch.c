/* SPDX-License-Identifier: ISC */
/*
 * own_switch.c: door 1, bring your own switch: here ucontext(3), and stacks from malloc().  Each fiber dies straight into the
 * next one, whose landing says that the dead one is off the CPU.  All that libreap adds is the slot and the completions.
 */
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>

#include <reap/completion.h>

#define FIBERS	3
#define STACK	65536

static struct fiber {
	ucontext_t uc;
	void	*stack;
	struct reap_completion dead;
} fibers[FIBERS];
static ucontext_t base;
static struct reap_slot slot = REAP_SLOT_INIT;		/* one per OS thread */

static void
run(int i)
{
	reap_slot_landed(&slot);			/* a first run is a landing too */
	printf("fiber %d runs", i);
	if (i > 0)
		printf(", fiber %d is %s", i - 1, reap_completion_posted(&fibers[i - 1].dead) ? "off the CPU" : "not");
	printf("\n");
	reap_slot_put(&slot, &fibers[i].dead);		/* dying: from here nothing may block */
	setcontext(i + 1 < FIBERS ? &fibers[i + 1].uc : &base);
}

int
main(void)
{
	static int i;				/* getcontext() could clobber it elsewhere */

	for (i = 0; i < FIBERS; i++) {
		reap_completion_init(&fibers[i].dead);
		getcontext(&fibers[i].uc);
		fibers[i].uc.uc_stack.ss_sp = fibers[i].stack = malloc(STACK);
		fibers[i].uc.uc_stack.ss_size = STACK;
		makecontext(&fibers[i].uc, (void (*)(void))run, 1, i);
	}
	swapcontext(&base, &fibers[0].uc);
	reap_slot_landed(&slot);			/* the last one's */
	for (i = 0; i < FIBERS; i++) {
		reap_completion_wait(&fibers[i].dead);	/* where another OS thread may still be switching */
		free(fibers[i].stack);
		printf("fiber %d reaped\n", i);
	}
	return 0;
}
