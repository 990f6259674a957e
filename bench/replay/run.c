/* SPDX-License-Identifier: ISC */
#include "run.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "burn.h"
#include "cell.h"
#include "machine.h"

#define ROUNDS_MIN	3u
#define PACE		1000.0	/* us of the loop that shows how steady the machine is */

static volatile sig_atomic_t interrupted;

void
run_interrupt(void)
{
	interrupted = 1;
}

/* A line that says what runs and how long it will take, if a person is there to read it. */
struct progress {
	bool	 shown;		/* standard error is a terminal */
	double	 start;		/* now_ns() of the run's start, in seconds */
	double	 planned;	/* estimated seconds of all groups */
	double	 behind;	/* of these, of the groups that are done */
};

struct run {
	struct plan *plan;
	struct group *group;
	struct cell cell[SIDES];
	unsigned order[SIDES];	/* the sides of the group */
	unsigned sides;
	unsigned failures;
	struct progress progress;
};

static double
seconds(void)
{
	return (double)now_ns() / 1e9;
}

static double
elapsed(const struct progress *p)
{
	return seconds() - p->start;
}

static void
progress_show(struct run *run, const char *what, const char *side_name, double share)
{
	struct progress *p = &run->progress;
	const struct group *g = run->group;
	double done = p->behind + share * g->estimate, pace, left;

	if (!p->shown)
		return;
	/* the estimate's own error shows in what is done, after a while */
	pace = done > 0.05 * p->planned ? elapsed(p) / done : 1;
	left = (p->planned - done) * pace + run->plan->more;
	fprintf(stderr, "\r\033[K%3.0f%%  %s, copies %u, workers %u: %s, %s; %.0f s left", 100 * done / p->planned,
	    g->program->trace->name, g->copies, g->workers, side_name, what, left > 0 ? left : 0);
	fflush(stderr);
}

static void
progress_clear(const struct run *run)
{
	if (run->progress.shown)
		fputs("\r\033[K", stderr);
}

static void
note_failure(struct run *run, unsigned s)
{
	struct column *column = &run->group->column[s];

	if (column->failure[0] != '\0' || run->cell[s].failure[0] == '\0')
		return;
	snprintf(column->failure, sizeof(column->failure), "%s", run->cell[s].failure);
	run->failures++;
	progress_clear(run);
	fprintf(stderr, "replay: %s, copies %u, workers %u, %s: %s\n", run->group->program->trace->name,
	    run->group->copies, run->group->workers, side[s].name, column->failure);
}

static void
add_waits(struct waits *sum, const struct waits *more)
{
	unsigned i, k;

	for (i = 0; i < more->n; i++) {
		const struct wait *w = &more->wait[i];

		for (k = 0; k < sum->n && (sum->wait[k].kind != w->kind || sum->wait[k].object != w->object ||
		    sum->wait[k].caller != w->caller || sum->wait[k].reaper != w->reaper); k++)
			;
		if (k == WAITS_MAX)
			continue;
		if (k == sum->n) {
			sum->wait[sum->n++] = *w;
			continue;
		}
		sum->wait[k].count += w->count;
		sum->wait[k].ns += w->ns;
	}
}

static void
keep(struct column *column, const struct round *round, bool measuring)
{
	size_t n = measuring ? column->measured++ : column->timed++;
	int f, m, o;

	for (f = 0; f < FIGURES; f++)
		if (figure_info[f].measured == measuring)
			column->value[f][n] = round->figure[f];
	if (measuring) {
		column->series = round->series;
		column->series_seconds = round->seconds;
	}
	for (f = 0; f < LATENCIES; f++)
		if ((f == LATENCY_PARENT || f == LATENCY_COLLECTED) != measuring)
			hist_merge(&column->latency[f], &round->latency[f]);
	if (measuring)
		return;
	column->timed_seconds += round->seconds;
	add_waits(&column->waits, &round->waits);
	for (m = 0; m < MODES; m++)
		for (o = 0; o < OUTCOMES; o++)
			column->outcome[m][o] += round->outcome[m][o];
}

static void
start_cells(struct run *run, bool measuring)
{
	const struct group *g = run->group;
	unsigned s;

	memset(run->cell, 0, sizeof(run->cell));
	for (s = 0; s < SIDES; s++) {
		struct engine_setup setup = {
			.program = g->program, .side = &side[s], .copies = g->copies, .workers = g->workers,
			.pages = run->plan->pages, .loops_per_us = run->plan->loops_per_us, .scale = g->scale,
			.measuring = measuring,
		};

		if ((g->sides & 1u << s) == 0 || g->column[s].failure[0] != '\0')
			continue;
		cell_start(&run->cell[s], &setup, run->cell, s);
		note_failure(run, s);
	}
}

static void
stop_cells(struct run *run)
{
	unsigned i;

	for (i = 0; i < run->sides; i++) {
		cell_stop(&run->cell[run->order[i]]);
		note_failure(run, run->order[i]);
	}
}

/* Before a round: how long does a loop take that never changes?  us. */
static void
note_pace(struct noise *noise, double loops_per_us)
{
	double start = seconds();

	if (noise->paces == sizeof(noise->pace) / sizeof(noise->pace[0]))
		return;
	burn((uint64_t)(PACE * loops_per_us));
	noise->pace[noise->paces++] = (seconds() - start) * 1e6;
}

/* One round of every side.  kept: the values count.  Returns the seconds that it took. */
static double
play(struct run *run, bool measuring, unsigned number, unsigned rounds, bool kept)
{
	static struct round round;	/* too big for a stack */
	double start = seconds();
	char what[48];
	unsigned i, s;

	snprintf(what, sizeof(what), kept ? "%sround %u of %u" : "%swarming up", measuring ? "measuring " : "", number + 1, rounds);
	for (i = 0; i < run->sides; i++) {
		/* forth and back, so that a drift of the machine favours nobody */
		s = run->order[number % 2 == 0 ? i : run->sides - 1 - i];
		if (run->cell[s].pid <= 0 || interrupted)
			continue;
		note_pace(&run->group->noise, run->plan->loops_per_us);
		progress_show(run, what, side[s].name, ((double)number + (measuring ? rounds : 0)) / (2.0 * rounds));
		if (cell_round(&run->cell[s], &round) != 0)
			note_failure(run, s);
		else if (kept)
			keep(&run->group->column[s], &round, measuring);
	}
	return seconds() - start;
}

/* A run with a deadline plays fewer rounds where they take longer than planned; fewer than three only when it is late already.
 * pace: seconds of a round of all sides. */
static unsigned
affordable(const struct run *run, double pace)
{
	const struct progress *p = &run->progress;
	unsigned planned = run->group->rounds, measuring = planned < PLAN_MEASURING ? planned : PLAN_MEASURING;
	double left, mine, rounds;

	if (run->plan->deadline == 0 || pace <= 0)
		return planned;
	left = run->plan->deadline - elapsed(p);
	if (left <= 0)
		return 1;
	mine = left * run->group->estimate / (p->planned - p->behind);
	rounds = mine / pace - measuring - 1;
	if (rounds < ROUNDS_MIN)
		rounds = ROUNDS_MIN;
	return rounds >= planned ? planned : (unsigned)rounds;
}

/* Processor seconds of ours: this process, and the cells that have ended. */
static double
own_cpu(void)
{
	struct rusage self, cells;

	getrusage(RUSAGE_SELF, &self);
	getrusage(RUSAGE_CHILDREN, &cells);
	return (double)(self.ru_utime.tv_sec + self.ru_stime.tv_sec + cells.ru_utime.tv_sec + cells.ru_stime.tv_sec) +
	    (double)(self.ru_utime.tv_usec + self.ru_stime.tv_usec + cells.ru_utime.tv_usec + cells.ru_stime.tv_usec) / 1e6;
}

static void
run_group(struct run *run)
{
	struct machine_time before = machine_time(), after;
	double start = seconds(), own = own_cpu();
	unsigned rounds, measuring, i, s;

	for (s = run->sides = 0; s < SIDES; s++)
		if ((run->group->sides & 1u << s) != 0)
			run->order[run->sides++] = s;
	start_cells(run, false);
	rounds = affordable(run, play(run, false, 0, run->group->rounds, false));
	for (i = 0; i < rounds && !interrupted; i++)
		play(run, false, i, rounds, true);
	stop_cells(run);
	measuring = rounds < PLAN_MEASURING ? rounds : PLAN_MEASURING;
	start_cells(run, true);
	play(run, true, 0, measuring, false);
	for (i = 0; i < measuring && !interrupted; i++)
		play(run, true, i, measuring, true);
	stop_cells(run);
	after = machine_time();
	run->group->noise.busy = before.busy < 0 ? -1 : after.busy - before.busy;
	run->group->noise.stolen = after.stolen - before.stolen;
	run->group->noise.seconds = seconds() - start;
	run->group->noise.own = own_cpu() - own;
}

unsigned
run_plan(struct plan *plan, void (*done)(const struct plan *plan, const struct group *group))
{
	struct run run = { .plan = plan, .progress = { .shown = isatty(STDERR_FILENO) != 0, .start = seconds() } };
	size_t i;

	for (i = 0; i < plan->groups; i++)
		run.progress.planned += plan->group[i].estimate;
	for (i = 0; i < plan->groups && !interrupted; i++) {
		run.group = &plan->group[i];
		run_group(&run);
		run.progress.behind += run.group->estimate;
		progress_clear(&run);
		done(plan, run.group);
	}
	plan->interrupted = interrupted != 0;
	return run.failures;
}
