/* SPDX-License-Identifier: ISC */
/*
 * sweep.c: how the cost of a life in the bundled runtime changes with
 *
 *	workers		1, 2, 4, 8 of them, with bodies that do nothing and with bodies of a microsecond
 *	stack		16 KiB to 1 MiB of addresses for each
 *	pages		1 to 12 pages of it touched
 *	batch		1 to 10,000 spawned before the first is waited for
 *
 *	sweep [--json] [workers | stack | pages | batch] [ROUNDS]
 *
 * What is not swept: one worker, 64 KiB, one page, batches of 1000, empty bodies.  More workers than processors are shown on
 * purpose: what they cost who miscounts.
 */
#include "figures.h"

#include <reap/runtime.h>

#define LIVES		20000
#define BATCH_MAX	10000

static const char *const words[] = { "workers", "stack", "pages", "batch", NULL };
enum word { WORKERS, STACK, PAGES, BATCH };

struct point {
	unsigned workers;
	size_t	 stack;
	int	 pages;
	int	 batch;
	bool	 burn;
	double	 cpu, wall;
};

static long microsecond;	/* additions */

/* One page and, by recursion, the others below it. */
static int __attribute__((noinline))
touch(int pages)
{
	volatile char page[4096 - 128];

	page[0] = (char)pages;
	return page[0] + (pages > 1 ? touch(pages - 1) : 0);
}

static intptr_t
body(void *arg)
{
	const struct point *p = arg;

	if (p->burn)
		additions(microsecond);
	return p->pages > 1 ? touch(p->pages - 1) : 0;
}

static void
lives(struct point *p, long n)
{
	static struct reap_context *child[BATCH_MAX];

	for (long i = 0; i < n; i += p->batch) {
		for (int j = 0; j < p->batch; j++)
			must(reap_go(body, p, &child[j]));
		for (int j = 0; j < p->batch; j++)
			must(reap_wait(child[j], 0, NULL));
	}
}

static intptr_t
measure(void *arg)
{
	struct point *p = arg;
	double cpu, wall;

	lives(p, p->batch > 1000 ? p->batch : 1000);		/* warms up */
	cpu = nanoseconds(CLOCK_PROCESS_CPUTIME_ID);
	wall = nanoseconds(CLOCK_MONOTONIC);
	lives(p, LIVES);
	p->cpu = (nanoseconds(CLOCK_PROCESS_CPUTIME_ID) - cpu) / LIVES;
	p->wall = (nanoseconds(CLOCK_MONOTONIC) - wall) / LIVES;
	return 0;
}

static void
run(struct point *p)
{
	struct reap_domain_options domain = { .size = sizeof(domain), .stack = { .size = p->stack } };
	struct reap_runtime_options options = { .size = sizeof(options), .workers = p->workers, .domain = &domain };

	must(reap_run(&options, measure, p, NULL));
}

/* The values of a sweep; returns how many. */
static int
plan(enum word word, struct point *points, struct figure *figures)
{
	static const unsigned workers[] = { 1, 2, 4, 8 };
	static const int kib[] = { 16, 64, 256, 1024 }, pages[] = { 1, 2, 4, 8, 12 }, batches[] = { 1, 10, 100, 1000, 10000 };
	const struct point plain = { .workers = 1, .stack = 65536, .pages = 1, .batch = 1000 };
	int n = 0;

	switch (word) {
	case WORKERS:
		for (int burn = 0; burn < 2; burn++)
			for (size_t i = 0; i < sizeof(workers) / sizeof(workers[0]); i++, n++) {
				points[n] = plain;
				points[n].workers = workers[i];
				points[n].burn = burn != 0;
				snprintf(figures[n].name, sizeof(figures[n].name), "%u workers, %s", workers[i], burn ? "1 us" : "empty");
				figures[n].what = "a life, batches of 1000";
			}
		break;
	case STACK:
		for (size_t i = 0; i < sizeof(kib) / sizeof(kib[0]); i++, n++) {
			points[n] = plain;
			points[n].stack = (size_t)kib[i] * 1024;
			snprintf(figures[n].name, sizeof(figures[n].name), "%d KiB of stack", kib[i]);
			figures[n].what = "addresses, of which a page is touched";
		}
		break;
	case PAGES:
		for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++, n++) {
			points[n] = plain;
			points[n].pages = pages[i];
			snprintf(figures[n].name, sizeof(figures[n].name), "%d pages touched", pages[i]);
			figures[n].what = "of 64 KiB, by one byte each";
		}
		break;
	case BATCH:
		for (size_t i = 0; i < sizeof(batches) / sizeof(batches[0]); i++, n++) {
			points[n] = plain;
			points[n].batch = batches[i];
			snprintf(figures[n].name, sizeof(figures[n].name), "batches of %d", batches[i]);
			figures[n].what = "spawned before the first is waited for";
		}
		break;
	}
	return n;
}

int
main(int argc, char **argv)
{
	static struct figures f = { .program = "sweep", .rounds = 7 };
	struct point points[FIGURES_MAX];
	double best = 1;
	bool json = false;

	f.n = plan((enum word)figures_arguments(argc, argv, words, &f.rounds, &json), points, f.of);
	for (int i = 0; i < 10; i++) {
		double addition = time_addition();

		best = i == 0 || addition < best ? addition : best;
	}
	microsecond = (long)(1000 / best);
	for (int round = 0; round < f.rounds; round++) {
		f.addition[round] = time_addition();
		for (int i = 0; i < f.n; i++) {
			run(&points[i]);
			f.of[i].cpu[round] = points[i].cpu;
			f.of[i].wall[round] = points[i].wall;
		}
	}
	figures_show(&f, json);
	return 0;
}
