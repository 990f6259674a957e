/* SPDX-License-Identifier: ISC */
/*
 * pth.c: GNU Pth: threads that yield, send messages to each other, block a signal each, and are joined.
 */
#include <pth.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define THREADS	20

static unsigned long yields;

static void *
work(void *arg)
{
	unsigned long n = (unsigned long)arg, sum = n;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + (int)n);
	pth_sigmask(SIG_BLOCK, &set, NULL);
	for (unsigned long i = 0; i < yields; i++) {
		sum = sum * 31 + i;
		pth_yield(NULL);
	}
	pth_sigmask(SIG_BLOCK, NULL, &set);
	for (int i = 0; i < THREADS; i++)
		sum = sum * 2 + (unsigned long)sigismember(&set, SIGRTMIN + i);		/* its own, and nobody else's */
	return (void *)sum;
}

int
main(int argc, char **argv)
{
	pth_t thread[THREADS];
	unsigned long sum = 0;

	yields = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000;
	if (!pth_init())
		return 1;
	for (unsigned long i = 0; i < THREADS; i++)
		if ((thread[i] = pth_spawn(PTH_ATTR_DEFAULT, work, (void *)i)) == NULL)
			return 1;
	for (int i = 0; i < THREADS; i++) {
		void *one;

		if (!pth_join(thread[i], &one))
			return 1;
		sum = sum * 7 + (unsigned long)one;
	}
	printf("%lu\n", sum);
	pth_kill();
	return 0;
}
