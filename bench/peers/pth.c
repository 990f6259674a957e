/* SPDX-License-Identifier: ISC */
/*
 * pth.c: GNU Pth, Debian's libpth: many contexts on one OS thread, scheduled by priority and by events.
 *
 * Its switch is swapcontext(3), so signal masks go along by two system calls, and every switch goes by way of its scheduler,
 * itself a context, which looks at the clock, at events and at signals.  Stacks come from malloc(), with no guard, and go back by
 * free() at the join: there is no pool, malloc() is the recycling.  A dead one that nobody has joined keeps its stack.
 */
#include <malloc.h>
#include <pth.h>

#include "shape.h"

static pth_attr_t attr;
static pth_t *all;
static long ran;

static pth_t
spawn(void *(*entry)(void *), void *arg, long reached)
{
	pth_t thread = pth_spawn(attr, entry, arg);

	if (thread == NULL)
		peer_stopped(reached, "pth_spawn", errno);
	return thread;
}

static void
join(pth_t thread)
{
	peer_must(pth_join(thread, NULL), "pth_join");
}

static void *
empty(void *arg)
{
	ran++;
	return arg;
}

static void *
yields(void *arg)
{
	ran++;
	pth_yield(NULL);
	return arg;
}

static void *
back(void *arg)
{
	long n = *(long *)arg;

	for (long i = 0; i < n; i++) {
		ran++;
		pth_yield(NULL);
	}
	return NULL;
}

static void
switches(long n)
{
	long half = n / 2;
	pth_t thread = spawn(back, &half, 0);

	ran = 0;
	for (long i = 0; i < half; i++)
		pth_yield(NULL);
	join(thread);
	peer_must(ran == half, "counting");
}

static void
one(long n)
{
	ran = 0;
	for (long i = 0; i < n; i++)
		join(spawn(empty, NULL, 0));
	peer_must(ran == n, "counting");
}

static void
batches(long n, void *(*entry)(void *))
{
	static pth_t children[PEER_BATCH];

	ran = 0;
	for (long i = 0; i < n; i += PEER_BATCH) {
		for (int j = 0; j < PEER_BATCH; j++)
			children[j] = spawn(entry, NULL, j);
		for (int j = 0; j < PEER_BATCH; j++)
			join(children[j]);
	}
	peer_must(ran == n, "counting");
}

static void live_1000(long n) { batches(n, yields); }
static void batch_1000(long n) { batches(n, empty); }

static void
make(long n, void *(*entry)(void *))
{
	free(all);
	peer_must((all = (pth_t *)calloc((size_t)n, sizeof(pth_t))) != NULL, "calloc");
	ran = 0;
	for (long i = 0; i < n; i++)
		all[i] = spawn(entry, NULL, i);
	while (ran < n)
		pth_yield(NULL);
}

static void crowd(long n) { make(n, yields); }
static void dead(long n) { make(n, empty); }

static void
collect(long n)
{
	for (long i = 0; i < n; i++)
		join(all[i]);
}

static void
trim(void)
{
	(void)malloc_trim(0);
}

static void
idle(int ms)
{
	pth_usleep((unsigned)ms * 1000);
}

static void lives(long n) { peer_live(n, crowd, collect, trim); }
static void burst(long n) { peer_burst(n, crowd, collect, idle, trim); }
static void zombies(long n) { peer_zombies(n, dead, collect, trim); }

static const struct peer_shape shapes[] = {
	{ "switch", PEER_TIMED, 1000, 1, switches },
	{ "life-one", PEER_TIMED, 100, 1, one },
	{ "live-1000", PEER_TIMED, PEER_BATCH, 1, live_1000 },
	{ "batch-1000", PEER_TIMED, PEER_BATCH, 1, batch_1000 },
	{ "live", PEER_ONCE, 100000, 1, lives },
	{ "rss", PEER_ONCE, 100000, 1, burst },
	{ "zombies", PEER_ONCE, 20000, 1, zombies },
	{ NULL, PEER_ONCE, 0, 0, NULL }
};

int
main(int argc, char **argv)
{
	peer_args(argc, argv, shapes);
	peer_must(pth_init(), "pth_init");
	attr = pth_attr_new();
	peer_must(attr != NULL && pth_attr_set(attr, PTH_ATTR_STACK_SIZE, (unsigned)PEER_STACK) &&
	    pth_attr_set(attr, PTH_ATTR_JOINABLE, 1), "pth_attr_set");
	peer_run();
	return 0;
}
