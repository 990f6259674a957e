/* SPDX-License-Identifier: ISC */
/*
 * test_shape.c: what shape.h makes of what a peer does: who counts, and how often it is asked.  The clock is the test's own.
 */
#include <time.h>

static int	clock_of_test(clockid_t id, struct timespec *t);
#define clock_gettime	clock_of_test
#include "shape.h"

static long asked, least_asked, batch;
static long wall_now, cpu_now;		/* ns */

static int
clock_of_test(clockid_t id, struct timespec *t)
{
	long now = id == CLOCK_PROCESS_CPUTIME_ID ? cpu_now : wall_now;

	t->tv_sec = now / 1000000000;
	t->tv_nsec = now % 1000000000;
	return 0;
}

static void
work(long ns)
{
	wall_now += ns;
	cpu_now += ns;
}

static void
steady(long n)
{
	asked = n;
	if (n < least_asked)
		least_asked = n;
	work(n * 1000);
}

/* Every other batch is one worker's. */
static void
lopsided(long n)
{
	(void)n;
	peer_ran[0] = 100;
	peer_ran[1] = batch++ % 2 == 0 ? 0 : 100;
	work(batch % 2 == 0 ? 100000 : 300000);
}

static void
tenth(long n)
{
	(void)n;
	peer_ran[0] = 900;
	peer_ran[1] = 100;
	work(100000);
}

static void
less(long n)
{
	(void)n;
	peer_ran[0] = 901;
	peer_ran[1] = 99;
	work(100000);
}

static void
silent(long n)
{
	(void)n;
	work(100000);
}

static void
sleeps(long n)
{
	struct peer_time t = peer_now();

	(void)n;
	work(1000);
	wall_now += 20000000;
	peer_charge(t);
}

static double
note(const char *key)
{
	for (unsigned i = 0; i < peer_nnotes; i++)
		if (strcmp(peer_notes[i].key, key) == 0)
			return peer_notes[i].value;
	return -1;
}

static void
sample_of(enum peer_kind kind, long unit, void (*run)(long n))
{
	static struct peer_shape shape;

	shape.name = "test";
	shape.kind = kind;
	shape.unit = unit;
	shape.workers = 1;
	shape.run = run;
	peer_shape = &shape;
	peer_budget = 5e6;
	(void)peer_sample(unit);
}

static int n_tests, failures;

static void
check(bool well, const char *what)
{
	printf("%sok %d - %s\n", well ? "" : "not ", ++n_tests, what);
	failures += !well;
}

int
main(void)
{
	long n;

	printf("TAP version 13\n1..9\n");

	sample_of(PEER_BATCHES, 10, lopsided);
	check(note("batches") == 25 && note("counted") == 12 && peer_items == 120, "a batch that one worker ran alone is not counted");
	check(peer_spent.cpu == 12 * 100000 && peer_spent.wall == 12 * 100000, "... nor is its time");
	sample_of(PEER_BATCHES, 10, tenth);
	check(note("counted") == 50 && note("batches") == 50, "a batch of which a tenth was another worker's counts");
	sample_of(PEER_BATCHES, 10, less);
	check(note("counted") == 0 && peer_items == 0 && peer_spent.wall == 0, "with less than that it does not");
	sample_of(PEER_BATCHES, 10, silent);
	check(note("counted") == 0, "a batch of which nobody says where it ran does not count");

	sample_of(PEER_TIMED, 7, steady);
	least_asked = 1000000;
	n = peer_size();
	check(least_asked == 7 && n % 7 == 0, "sizes are multiples of the unit, from one of it on");
	check(n == 4998, "a sample is as long as it is meant to be: 5 ms of items of 1 us");
	(void)peer_sample(n);
	check(asked == n && peer_items == (double)n && peer_spent.cpu == (double)n * 1000, "all that was asked for is counted and timed");

	sample_of(PEER_ONCE, 1, sleeps);
	check(peer_spent.wall == 20001000 && peer_spent.cpu == 1000, "who sleeps spends wall time, not CPU time");
	return failures != 0;
}
