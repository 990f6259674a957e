/* SPDX-License-Identifier: ISC */
/*
 * report_json.c: every figure of the tables, under the same name, with all its rounds.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "compare.h"
#include "json.h"
#include "report.h"

static void
put_spread(struct json *j, struct spread s)
{
	json_number(j, "median", s.median);
	json_number(j, "min", s.min);
	json_number(j, "max", s.max);
	json_number(j, "n", (double)s.n);
}

static void
put_machine(struct json *j, const struct plan *plan, const struct machine *m)
{
	int i;

	json_open(j, "machine", '{');
	json_string(j, "cpu", m->cpu);
	json_number(j, "processors", m->processors);
	json_close(j, '}');
	json_string(j, "kernel", m->kernel);
	json_string(j, "compiler", m->compiler);
	json_string(j, "commit", m->commit);
	json_open(j, "command", '[');
	for (i = 0; i < m->argc; i++)
		json_string(j, NULL, m->argv[i]);
	json_close(j, ']');
	json_string(j, "date", m->date);
	json_numbers(j, "load_before", m->load_before, 3);
	json_numbers(j, "load_after", m->load_after, 3);
	json_number(j, "seconds", m->seconds);
	json_number(j, "clock_ns", plan->clock_cost);
	json_number(j, "loops_per_us", plan->loops_per_us);
}

static void
put_trace(struct json *j, const struct program *p)
{
	char mode[2] = "";
	int m;

	json_open(j, NULL, '{');
	json_string(j, "name", p->trace->name);
	json_string(j, "path", p->trace->path);
	json_number(j, "tasks", (double)p->trace->tasks);
	json_number(j, "live_max", (double)p->live_max);
	json_number(j, "recorded_s", (double)p->trace->end / 1e6);
	json_number(j, "bodies_s", p->body_us / 1e6);
	json_open(j, "modes", '{');
	for (m = 0; m < MODES; m++) {
		mode[0] = mode_letters[m];
		json_number(j, mode, (double)p->trace->modes[(unsigned char)mode_letters[m]]);
	}
	json_close(j, '}');
	json_close(j, '}');
}

static void
put_place(struct json *j, const struct group *g)
{
	json_string(j, "trace", g->program->trace->name);
	json_number(j, "copies", g->copies);
	json_number(j, "copies_asked", g->copies_asked);
	json_number(j, "workers", g->workers);
}

static void
put_figures(struct json *j, const struct column *c)
{
	int f;

	json_open(j, "figures", '[');
	for (f = 0; f < FIGURES; f++) {
		struct spread s = column_spread(c, (enum figure)f);

		if (s.n == 0)
			continue;
		json_open(j, NULL, '{');
		json_string(j, "name", figure_info[f].name);
		json_string(j, "unit", figure_info[f].unit);
		put_spread(j, s);
		json_numbers(j, "rounds", c->value[f], column_rounds(c, (enum figure)f));
		json_close(j, '}');
	}
	json_close(j, ']');
}

/* What a histogram holds: [ns, count] of each bucket that is not empty. */
static void
put_hist(struct json *j, const char *name, const struct hist *h)
{
	size_t i, n = 0;
	double *pair;

	if (h->count == 0 || (pair = calloc(2 * HIST_BUCKETS, sizeof(*pair))) == NULL)
		return;
	for (i = 0; i < HIST_BUCKETS; i++)
		if (h->bucket[i] > 0) {
			pair[n++] = (double)hist_value(i);
			pair[n++] = (double)h->bucket[i];
		}
	json_open(j, name, '{');
	json_number(j, "count", (double)h->count);
	json_number(j, "max", (double)h->max);
	json_numbers(j, "buckets", pair, n);
	json_close(j, '}');
	free(pair);
}

static void
put_latencies(struct json *j, const struct column *c)
{
	static const char *const name[LATENCIES] = {
		[LATENCY_PARENT] = "exit to parent", [LATENCY_COLLECTED] = "exit to collected",
		[LATENCY_FREE] = "exit to memory free",
		[LATENCY_LANDING] = "exit to landing", [LATENCY_LANDED] = "landing to parent",
	};
	int i;

	json_open(j, "latencies", '{');
	for (i = 0; i < LATENCIES; i++)
		put_hist(j, name[i], &c->latency[i]);
	json_close(j, '}');
	if (c->measured == 0)
		return;
	json_open(j, "series", '{');
	json_number(j, "seconds", c->series_seconds);
	json_numbers(j, "zombies", c->series.zombies, SERIES);
	json_numbers(j, "bytes", c->series.bytes, SERIES);
	json_numbers(j, "backlog", c->series.backlog, SERIES);
	json_close(j, '}');
}

static void
put_waits(struct json *j, const struct column *c)
{
	unsigned i;

	if (c->waits.n == 0)
		return;
	json_open(j, "waits", '[');
	for (i = 0; i < c->waits.n; i++) {
		const struct wait *w = &c->waits.wait[i];

		json_open(j, NULL, '{');
		json_string(j, "who", w->reaper ? "reaper thread" : "workers");
		json_string(j, "kind", w->kind);
		json_string(j, "object", w->object);
		json_string(j, "caller", w->caller);
		json_number(j, "count", (double)w->count);
		json_number(j, "ns", (double)w->ns);
		json_close(j, '}');
	}
	json_close(j, ']');
}

static void
put_noise(struct json *j, const struct group *g, unsigned processors)
{
	const struct noise *n = &g->noise;
	struct spread pace = spread_of(n->pace, n->paces);

	if (n->seconds <= 0)
		return;
	json_open(j, NULL, '{');
	put_place(j, g);
	json_number(j, "seconds", n->seconds);
	json_number(j, "own_cpu", n->own);
	json_number(j, "others", n->busy < 0 ? NAN : (n->busy > n->own ? n->busy - n->own : 0) / n->seconds / processors);
	json_number(j, "stolen", n->busy < 0 ? NAN : n->stolen / n->seconds / processors);
	json_number(j, "pace_median", pace.median);
	json_number(j, "pace_min", pace.min);
	json_number(j, "pace_max", pace.max);
	json_number(j, "paces", (double)pace.n);
	json_numbers(j, "pace", n->pace, n->paces);
	json_close(j, '}');
}

static void
put_outcomes(struct json *j, const struct column *c)
{
	char mode[2] = "";
	int m, o;

	json_open(j, "outcomes", '{');
	for (m = 0; m < MODES; m++) {
		mode[0] = mode_letters[m];
		json_open(j, mode, '{');
		for (o = 0; o < OUTCOMES; o++)
			if (c->outcome[m][o] > 0)
				json_number(j, outcome_names[o], (double)c->outcome[m][o]);
		json_close(j, '}');
	}
	json_close(j, '}');
}

static void
put_cells(struct json *j, const struct plan *plan, const struct group *g)
{
	int s;

	for (s = 0; s < SIDES; s++) {
		const struct column *c = &g->column[s];

		if ((g->sides & 1u << s) == 0)
			continue;
		json_open(j, NULL, '{');
		put_place(j, g);
		json_string(j, "side", side[s].name);
		json_number(j, "scale", g->scale);
		json_number(j, "pages", plan->pages);
		json_number(j, "contexts", (double)(g->program->trace->tasks * g->copies));
		json_number(j, "rounds", (double)c->timed);
		json_number(j, "measuring_rounds", (double)c->measured);
		json_number(j, "seconds", c->timed_seconds);
		json_string(j, "failure", c->failure[0] != '\0' ? c->failure : NULL);
		put_figures(j, c);
		put_outcomes(j, c);
		put_latencies(j, c);
		put_waits(j, c);
		json_close(j, '}');
	}
}

static void
put_ratios(struct json *j, const struct plan *plan)
{
	static const char *const word[] = { [RESULT_WINS] = "wins", [RESULT_LOSES] = "loses", [RESULT_SAME] = "no difference" };
	struct comparison *list;
	size_t n = compare_all(plan, &list), i;

	json_open(j, "ratios", '[');
	for (i = 0; i < n; i++) {
		const struct comparison *c = &list[i];

		json_open(j, NULL, '{');
		put_place(j, c->group);
		json_string(j, "of", side[c->champion].name);
		json_string(j, "to", side[c->rival].name);
		json_string(j, "name", figure_info[c->figure].name);
		put_spread(j, c->ratio);
		json_string(j, "result", word[c->result]);
		json_close(j, '}');
	}
	json_close(j, ']');
	free(list);
}

void
report_json(FILE *out, const struct plan *plan, const struct machine *machine, const char *verdict)
{
	struct json j;
	size_t i;

	json_begin(&j, out);
	json_open(&j, NULL, '{');
	json_string(&j, "benchmark", "replay");
	json_number(&j, "format", 2);
	json_string(&j, "complete", plan->interrupted ? "no: interrupted" : "yes");
	json_string(&j, "verdict", verdict);
	put_machine(&j, plan, machine);
	json_open(&j, "traces", '[');
	for (i = 0; i < plan->programs; i++)
		put_trace(&j, &plan->program[i]);
	json_close(&j, ']');
	json_open(&j, "cells", '[');
	for (i = 0; i < plan->groups; i++)
		put_cells(&j, plan, &plan->group[i]);
	json_close(&j, ']');
	json_open(&j, "noise", '[');
	for (i = 0; i < plan->groups; i++)
		put_noise(&j, &plan->group[i], machine->processors);
	json_close(&j, ']');
	put_ratios(&j, plan);
	json_close(&j, '}');
	putc('\n', out);
}
