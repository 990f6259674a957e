/* SPDX-License-Identifier: ISC */
/*
 * st.c: State Threads, Debian's libst: many contexts on one OS thread, for servers that wait for sockets.
 *
 * Stacks are mapped one by one; their red zones are protected in debug builds only, so there is no guard.  A dead stack goes on a
 * free list and stays there for good: nothing gives it back.  A context that ends puts its own stack on that list while it still
 * runs on it: right as long as there is one OS thread and nothing runs before the switch.  A dead one that nobody has joined keeps
 * its stack.  There is no yield; contexts wait for conditions, which is what switch and live-1000 do.
 */
#include <st.h>

#include "shape.h"

static st_thread_t *all;
static st_cond_t ping, pong, gate;
static long ran, gathered, expected;

static st_thread_t
spawn(void *(*entry)(void *), void *arg, long reached)
{
	st_thread_t thread = st_thread_create(entry, arg, 1, PEER_STACK);

	if (thread == NULL)
		peer_stopped(reached, "st_thread_create", errno);
	return thread;
}

static void
join(st_thread_t thread)
{
	peer_must(st_thread_join(thread, NULL) == 0, "st_thread_join");
}

static void *
empty(void *arg)
{
	ran++;
	return arg;
}

static void *
back(void *arg)
{
	long n = *(long *)arg;

	for (long i = 0; i < n; i++) {
		ran++;
		st_cond_signal(ping);
		if (i + 1 < n)
			st_cond_wait(pong);
	}
	return NULL;
}

static void
switches(long n)
{
	long half = n / 2;
	st_thread_t thread = spawn(back, &half, 0);

	ran = 0;
	for (long i = 0; i < half; i++) {
		st_cond_signal(pong);
		st_cond_wait(ping);
	}
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

/* The last one opens the gate for the others, or, where the maker wants to look first, for the maker. */
static void *
yields(void *arg)
{
	ran++;
	if (++gathered == expected)
		st_cond_broadcast(arg != NULL ? ping : gate);
	if (gathered < expected || arg != NULL)
		st_cond_wait(gate);
	return NULL;
}

static void
batches(long n, void *(*entry)(void *))
{
	static st_thread_t children[PEER_BATCH];

	ran = 0;
	expected = PEER_BATCH;
	for (long i = 0; i < n; i += PEER_BATCH) {
		gathered = 0;
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
room(long n)
{
	free(all);
	peer_must((all = (st_thread_t *)calloc((size_t)n, sizeof(st_thread_t))) != NULL, "calloc");
}

static void
crowd(long n)
{
	room(n);
	ran = gathered = 0;
	expected = n;
	for (long i = 0; i < n; i++)
		all[i] = spawn(yields, all, i);
	st_cond_wait(ping);
	peer_must(ran == n, "counting");
}

static void
join_all(long n)
{
	for (long i = 0; i < n; i++)
		join(all[i]);
}

static void
collect(long n)
{
	st_cond_broadcast(gate);
	join_all(n);
}

static void
dead(long n)
{
	room(n);
	ran = 0;
	for (long i = 0; i < n; i++)
		all[i] = spawn(empty, NULL, i);
	while (ran < n)
		st_usleep(0);
}

static void
idle(int ms)
{
	st_usleep((st_utime_t)ms * 1000);
}

static void lives(long n) { peer_live(n, crowd, collect, NULL); }
static void burst(long n) { peer_burst(n, crowd, collect, idle, NULL); }
static void zombies(long n) { peer_zombies(n, dead, join_all, NULL); }

static const struct peer_shape shapes[] = {
	{ "switch", PEER_TIMED, 1000, 1, switches },
	{ "life-one", PEER_TIMED, 1000, 1, one },
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
	(void)st_set_eventsys(ST_EVENTSYS_ALT);		/* epoll, as its documentation advises */
	peer_must(st_init() == 0, "st_init");
	ping = st_cond_new();
	pong = st_cond_new();
	gate = st_cond_new();
	peer_must(ping != NULL && pong != NULL && gate != NULL, "st_cond_new");
	peer_run();
	return 0;
}
