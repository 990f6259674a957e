/* SPDX-License-Identifier: ISC */
/*
 * synthetic.c: what recorded trees do not vary, varied.
 *
 *	paced	ends at a fixed rate, 10,000 to 500,000 a second.  An open loop: a latency counts from the moment at which the end
 *		was due, not from when it came to it, so that a side that falls behind does not hide it (coordinated omission)
 *	lazy	a parent that looks after its children 0 to 100 ms late: the memory that they hold, and what collecting them takes
 *	budget	detached contexts, and an adopter that reaps so many for every 32 that end: what piles up
 *	costly	detached contexts that have something to give back besides their stack, 0 to 20 us of work after the end: a reaper
 *		thread with a processor of its own takes that off the worker, so here reap is meant to lose
 *	workers	1 to 8 workers, bodies of a microsecond
 *	stack	stacks of 16 KiB to 1 MiB of addresses
 *
 *	synthetic SCENE ROUNDS WORKERS SECONDS
 *
 * Rounds are interleaved: every round visits all points, forth and back.  After SECONDS there are no more
 * of them, but three at least.  Writes one JSON object: points, each with its figures and all their rounds.
 */
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <reap/runtime.h>

#include "burn.h"
#include "hist.h"
#include "json.h"
#include "side.h"

#define ROUNDS_MAX	99
#define ROUNDS_MIN	3
#define POINTS_MAX	64
#define FIGURES_MAX	5

#define LAZY_CHILDREN	400
#define BUDGET_LIVES	20000
#define BUDGET_BURST	32	/* ends between two drains */
#define COSTLY_LIVES	1000
#define COSTLY_BODY_US	10
#define LIVES		4000
#define BATCH		100
#define SERIES		100
#define PACED_NS	UINT64_C(30000000)	/* so long is a rate kept up */

struct point {
	enum side_name side;
	double	 x;
	struct hist latency;		/* paced: all rounds */
	double	 value[FIGURES_MAX][ROUNDS_MAX];
	double	 series[SERIES];	/* budget: backlog over the last round */
};

struct scene {
	const char *name, *x;
	const char *figure[FIGURES_MAX][2];	/* name, unit */
	const enum side_name *sides;	/* ends with SIDES */
	const double *xs;		/* ends with -1 */
	intptr_t (*measure)(void *arg);	/* in a context of its own */
	bool	 one_worker;		/* so that a reaper thread has a processor to itself where there are two */
};

/* What the running round is about. */
static struct point *point;
static size_t	 round_now;
static unsigned	 workers;
static double	 loops_per_us;
static double	 pace[POINTS_MAX * ROUNDS_MAX];	/* a loop that is always the same, before each measurement, us */
static size_t	 paces;
static struct reap_context *child[LAZY_CHILDREN > BATCH ? LAZY_CHILDREN : BATCH];

static void
must(const char *what, int error)
{
	if (error == 0)
		return;
	fprintf(stderr, "synthetic: %s: %s\n", what, strerror(-error));
	exit(1);
}

static void
put(int figure, double value)
{
	point->value[figure][round_now] = value;
}

static void
look(struct reap_stats *stats)
{
	stats->size = sizeof(*stats);
	must("reap_domain_stats", reap_domain_stats(reap_runtime_domain(reap_runtime_self()), stats));
}

/* Memory that the dead hold: a page for each stack that is neither run on nor free, 128 bytes for each zombie. */
static double
held_kib(void)
{
	struct reap_stats s;
	double stacks;

	look(&s);
	stacks = (double)s.stacks_mapped - (double)s.stacks_cached - (double)s.live;
	return (stacks > 0 ? stacks * 4 : 0) + (double)s.zombies * 128 / 1024;
}

/* ---- paced ---- */

static intptr_t
end_when_due(void *arg)
{
	const uint64_t *due = arg;

	while (now_ns() < *due)
		;
	return 0;
}

static intptr_t
paced(void *arg)
{
	uint64_t gap = (uint64_t)(1e9 / point->x), n = PACED_NS / gap, due, i;
	struct reap_context *one;
	static struct hist here;
	uint64_t start;

	(void)arg;
	memset(&here, 0, sizeof(here));
	start = now_ns() + 1000000;
	for (i = 0; i < n; i++) {
		due = start + i * gap;
		must("reap_go", reap_go(end_when_due, &due, &one));
		must("reap_wait", reap_wait(one, 0, NULL));
		if (i >= n / 10)	/* the first tenth warms up */
			hist_add(&here, now_ns() - due);
	}
	hist_merge(&point->latency, &here);
	put(0, (double)hist_quantile(&here, 0.5) / 1000);
	put(1, (double)hist_quantile(&here, 0.99) / 1000);
	put(2, (double)here.max / 1000);
	put(3, (double)(n * 1000000000 / (now_ns() - start)));
	return 0;
}

/* ---- lazy ---- */

static intptr_t
brief(void *arg)
{
	(void)arg;
	burn((uint64_t)loops_per_us);
	return 0;
}

static intptr_t
lazy(void *arg)
{
	uint64_t cpu, start;
	int pass, i;

	(void)arg;
	for (pass = 0; pass < 2; pass++) {	/* the first one warms up, and is not lazy */
		cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
		for (i = 0; i < LAZY_CHILDREN; i++)
			must("reap_go", reap_go(brief, NULL, &child[i]));
		if (point->x > 0 && pass == 1)
			must("reap_sleep_until", reap_sleep_until(now_ns() + (uint64_t)(point->x * 1e6)));
		put(0, held_kib());
		start = now_ns();
		for (i = 0; i < LAZY_CHILDREN; i++)
			must("reap_wait", reap_wait(child[i], 0, NULL));
	}
	put(1, (double)(now_ns() - start) / LAZY_CHILDREN);
	put(2, (double)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu) / LAZY_CHILDREN);
	return 0;
}

/* ---- budget ---- */

static void
go_detached(void)
{
	struct reap_context_options options = { .size = sizeof(options), .entry = brief, .flags = REAP_CONTEXT_DETACHED };

	must("reap_go_with", reap_go_with(&options, NULL));
}

static intptr_t
budget(void *arg)
{
	struct reap_adopter *adopter = reap_adopter_default(reap_runtime_domain(reap_runtime_self()));
	size_t peak = 0, now, sum = 0, steps = BUDGET_LIVES / BUDGET_BURST, i;
	uint64_t start, cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	struct reap_stats s;
	double held = 0, kib;
	int j;

	(void)arg;
	for (i = 0; i < steps; i++) {
		for (j = 0; j < BUDGET_BURST; j++)
			go_detached();
		do {			/* until all have ended but us */
			reap_pause();
			look(&s);
		} while (s.live > 1);
		(void)reap_adopter_drain(adopter, (unsigned)point->x);
		now = reap_adopter_backlog(adopter);
		peak = now > peak ? now : peak;
		sum += now;
		point->series[i * SERIES / steps] = (double)now;
		kib = held_kib();
		held = kib > held ? kib : held;
	}
	start = now_ns();
	while (reap_adopter_drain(adopter, 64) > 0)
		;
	put(0, (double)peak);
	put(1, (double)sum / (double)steps);
	put(2, held);
	put(3, (double)(now_ns() - start) / 1000);
	put(4, (double)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu) / BUDGET_LIVES);
	return 0;
}

/* ---- costly ---- */

static void
give_back(struct reap_context *context, intptr_t status)
{
	(void)context;
	(void)status;
	burn((uint64_t)(point->x * loops_per_us));
}

static intptr_t
busy(void *arg)
{
	(void)arg;
	burn((uint64_t)(COSTLY_BODY_US * loops_per_us));
	return 0;
}

/* Until all have ended and all have been reaped. */
static void
costly_lives(int n)
{
	struct reap_context_options options = {
		.size = sizeof(options), .entry = busy, .flags = REAP_CONTEXT_DETACHED, .off_cpu = give_back
	};
	struct reap_stats s;
	int i;

	for (i = 0; i < n; i++) {
		must("reap_go_with", reap_go_with(&options, NULL));
		if (i % BUDGET_BURST == 0)
			reap_pause();
	}
	do {
		reap_pause();
		(void)reap_adopter_drain(reap_adopter_default(reap_runtime_domain(reap_runtime_self())), BUDGET_BURST);
		look(&s);
	} while (s.live + s.zombies > 1);
}

static intptr_t
costly(void *arg)
{
	uint64_t cpu, wall;

	(void)arg;
	costly_lives(COSTLY_LIVES / 4);
	cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	wall = now_ns();
	costly_lives(COSTLY_LIVES);
	put(0, (double)(now_ns() - wall) / COSTLY_LIVES / 1000);
	put(1, (double)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu) / COSTLY_LIVES / 1000);
	return 0;
}

/* ---- workers, stack ---- */

static void
live(int lives)
{
	int i, j;

	for (i = 0; i < lives; i += BATCH) {
		for (j = 0; j < BATCH; j++)
			must("reap_go", reap_go(brief, NULL, &child[j]));
		for (j = 0; j < BATCH; j++)
			must("reap_wait", reap_wait(child[j], 0, NULL));
	}
}

static intptr_t
lives(void *arg)
{
	uint64_t cpu, wall;

	(void)arg;
	live(LIVES / 4);
	cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	wall = now_ns();
	live(LIVES);
	put(0, (double)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu) / LIVES);
	put(1, (double)(now_ns() - wall) / LIVES);
	return 0;
}

/* ---- the scenes ---- */

static const enum side_name
	all_kinds[] = { SIDE_ADAPTIVE, SIDE_EARLY, SIDE_PLAIN, SIDE_BATCHING, SIDES },
	all_policies[] = { SIDE_ADAPTIVE, SIDE_PARENT, SIDE_ADOPTER, SIDE_PLAIN, SIDE_BATCHING, SIDES },
	adopted[] = { SIDE_ADAPTIVE, SIDE_PARENT, SIDES },
	three[] = { SIDE_ADAPTIVE, SIDE_PLAIN, SIDE_BATCHING, SIDES };

static const struct scene scenes[] = {
	{ "paced", "ends a second", { { "due to parent p50", "us" }, { "due to parent p99", "us" }, { "due to parent max", "us" },
	    { "kept up", "ends/s" } }, all_kinds, (const double[]){ 10e3, 25e3, 50e3, 100e3, 200e3, 500e3, -1 }, paced, false },
	{ "lazy", "parent's delay, ms", { { "memory held", "KiB" }, { "collecting, per child", "ns" }, { "CPU per life", "ns" } },
	    all_policies, (const double[]){ 0, 1, 3, 10, 30, 100, -1 }, lazy, false },
	{ "budget", "reaped for every 32 that end", { { "peak backlog", "" }, { "mean backlog", "" }, { "memory held", "KiB" },
	    { "draining the rest", "us" }, { "CPU per life", "ns" } }, adopted,
	    (const double[]){ 8, 16, 24, 28, 32, 40, 64, -1 }, budget, true },
	{ "costly", "us of work after the end", { { "time per life", "us" }, { "CPU per life", "us" } }, three,
	    (const double[]){ 0, 2, 5, 10, 20, -1 }, costly, true },
	{ "workers", "workers", { { "CPU per life", "ns" }, { "time per life", "ns" } }, three,
	    (const double[]){ 1, 2, 4, 8, -1 }, lives, false },
	{ "stack", "KiB of addresses per stack", { { "CPU per life", "ns" }, { "time per life", "ns" } }, three,
	    (const double[]){ 16, 64, 256, 1024, -1 }, lives, true },
};

static void
play(const struct scene *scene)
{
	const struct side *s = &side[point->side];
	struct reap_domain_options domain = {
		.size = sizeof(domain), .policy = s->policy, .notify = s->notify,
		.stack = {
			.size = strcmp(scene->name, "stack") == 0 ? (size_t)point->x * 1024 : 65536,
			.depot = 65536, .decay_ns = UINT64_MAX,
		},
	};
	struct reap_runtime_options options = {
		.size = sizeof(options), .domain = &domain,
		.workers = scene->one_worker ? 1 : strcmp(scene->name, "workers") == 0 ? (unsigned)point->x : workers,
		.reaper_batch = s->batch > 0 ? (unsigned)s->batch : 0,
		/* budget: the scene alone drains */
		.drain_budget = strcmp(scene->name, "budget") == 0 ? UINT32_MAX : 0,
	};

	must("reap_run", reap_run(&options, scene->measure, NULL, NULL));
}

static void
note_pace(void)
{
	uint64_t start = now_ns();

	burn((uint64_t)(1000 * loops_per_us));
	pace[paces++] = (double)(now_ns() - start) / 1000;
}

static void
report_point(struct json *j, const struct scene *scene, const struct point *p, size_t rounds)
{
	double pair[2];
	size_t i;

	json_open(j, NULL, '{');
	json_string(j, "side", side[p->side].name);
	json_number(j, "x", p->x);
	json_open(j, "figures", '[');
	for (i = 0; i < FIGURES_MAX && scene->figure[i][0] != NULL; i++) {
		json_open(j, NULL, '{');
		json_string(j, "name", scene->figure[i][0]);
		json_string(j, "unit", scene->figure[i][1]);
		json_numbers(j, "rounds", p->value[i], rounds);
		json_close(j, '}');
	}
	json_close(j, ']');
	if (p->latency.count > 0) {
		json_open(j, "latency", '{');
		json_number(j, "count", (double)p->latency.count);
		json_number(j, "max", (double)p->latency.max);
		json_open(j, "buckets", '[');
		for (i = 0; i < HIST_BUCKETS; i++)
			if (p->latency.bucket[i] > 0) {
				pair[0] = (double)hist_value(i);
				pair[1] = (double)p->latency.bucket[i];
				json_number(j, NULL, pair[0]);
				json_number(j, NULL, pair[1]);
			}
		json_close(j, ']');
		json_close(j, '}');
	}
	if (scene->measure == budget)
		json_numbers(j, "series", p->series, SERIES);
	json_close(j, '}');
}

static void
report(const struct scene *scene, const struct point *points, size_t n, size_t rounds)
{
	struct json j;
	size_t i;

	json_begin(&j, stdout);
	json_open(&j, NULL, '{');
	json_string(&j, "scene", scene->name);
	json_string(&j, "x", scene->x);
	json_number(&j, "rounds", (double)rounds);
	json_number(&j, "workers", scene->one_worker ? 1 : workers);
	json_numbers(&j, "pace", pace, paces);
	json_open(&j, "points", '[');
	for (i = 0; i < n; i++)
		report_point(&j, scene, &points[i], rounds);
	json_close(&j, ']');
	json_close(&j, '}');
	putchar('\n');
}

static const struct scene *
find(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(scenes) / sizeof(scenes[0]); i++)
		if (strcmp(scenes[i].name, name) == 0)
			return &scenes[i];
	return NULL;
}

int
main(int argc, char **argv)
{
	const struct scene *scene = argc == 5 ? find(argv[1]) : NULL;
	size_t rounds = argc == 5 ? strtoul(argv[2], NULL, 10) : 0, n = 0, i, s, x;
	double seconds = argc == 5 ? strtod(argv[4], NULL) : 0;
	uint64_t start = now_ns();
	struct point *points = calloc(POINTS_MAX, sizeof(*points));

	workers = argc == 5 ? (unsigned)strtoul(argv[3], NULL, 10) : 0;
	if (scene == NULL || rounds < 1 || rounds > ROUNDS_MAX || workers < 1 || workers > 256 || !(seconds > 0)) {
		fprintf(stderr, "usage: synthetic paced|lazy|budget|costly|workers|stack ROUNDS WORKERS SECONDS\n");
		return 2;
	}
	must("calloc", points == NULL ? -ENOMEM : 0);
	loops_per_us = burn_loops_per_us();
	for (s = 0; scene->sides[s] != SIDES; s++)
		for (x = 0; scene->xs[x] >= 0; x++)
			points[n++] = (struct point){ .side = scene->sides[s], .x = scene->xs[x] };
	for (round_now = 0; round_now < rounds &&
	    (round_now < ROUNDS_MIN || (double)(now_ns() - start) < seconds * 1e9); round_now++)
		for (i = 0; i < n; i++) {
			point = &points[round_now % 2 == 0 ? i : n - 1 - i];
			note_pace();
			play(scene);
		}
	report(scene, points, n, round_now);
	free(points);
	return fflush(stdout) == 0 && !ferror(stdout) ? 0 : 1;
}
