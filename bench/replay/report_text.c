/* SPDX-License-Identifier: ISC */
/*
 * report_text.c: tables of at most 100 columns.
 */
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "compare.h"
#include "engine.h"
#include "report.h"

#define LABEL		36
#define COLUMN		9
#define RATIO_LABEL	28
#define RATIO		24
#define WORST		8	/* rows of where reap loses */

const char *const outcome_names[OUTCOMES] = {
	[OUTCOME_WAITED] = "waited", [OUTCOME_LATE] = "dead by then", [OUTCOME_POLLED] = "polled",
	[OUTCOME_POLLED_LATER] = "polled later", [OUTCOME_AT_END] = "at the end", [OUTCOME_ADOPTED] = "adopted",
	[OUTCOME_ORPHAN] = "orphaned", [OUTCOME_UNREAPED] = "left",
};

/* A line that grows from left to right; blanks at its end are not printed. */
struct line {
	char	 text[512];
	size_t	 len;
};

__attribute__((format(printf, 2, 3))) static void
add(struct line *line, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(line->text + line->len, sizeof(line->text) - line->len, format, args);
	va_end(args);
	if (n > 0)
		line->len += (size_t)n < sizeof(line->text) - line->len ? (size_t)n : sizeof(line->text) - line->len - 1;
}

static void
end(FILE *out, struct line *line)
{
	while (line->len > 0 && line->text[line->len - 1] == ' ')
		line->len--;
	fprintf(out, "%.*s\n", (int)line->len, line->text);
	line->len = 0;
}

static void
rule(FILE *out)
{
	fputs("===================================================================================================\n", out);
}

static const char *
plural(size_t n)
{
	return n == 1 ? "" : "s";
}

void
report_head(FILE *out, const struct plan *plan, const struct machine *machine)
{
	fprintf(out, "%s, %u processor%s, %s\n%s, commit %s; reading the clock takes %.0f ns\n\n", machine->cpu,
	    machine->processors, plural(machine->processors), machine->kernel, machine->compiler, machine->commit,
	    plan->clock_cost);
	fputs("Each figure is the median of the rounds and, behind ~, half its spread in percent.  Latencies:\n"
	    "  exit to parent       from just before reap_exit() to the parent's return, if it waited already\n"
	    "  exit to collected    the same for every child that its parent collected, lazy parents included\n"
	    "  exit to memory free  from just before reap_exit() until the stack is given up\n"
	    "The last, zombies, backlog and who paid are from rounds of their own that watch more closely.\n", out);
}

/* ---- a group ---- */

static void
group_title(FILE *out, const struct plan *plan, const struct group *g)
{
	const struct program *p = g->program;
	size_t timed = 0, measured = 0;
	int s;

	for (s = 0; s < SIDES; s++) {
		timed = g->column[s].timed > timed ? g->column[s].timed : timed;
		measured = g->column[s].measured > measured ? g->column[s].measured : measured;
	}
	putc('\n', out);
	rule(out);
	fprintf(out, "%s: %u tree%s at a time on %u worker%s, %zu contexts a round; %zu round%s, %zu measuring\n",
	    p->trace->name, g->copies, plural(g->copies), g->workers, plural(g->workers), p->trace->tasks * g->copies,
	    timed, plural(timed), measured);
	fprintf(out, "  bodies %.1f s / %.0f = %.3f s a round%s; each touches %u page%s of its stack\n", p->body_us / 1e6,
	    g->scale, p->body_us / 1e6 / g->scale, g->copies > 1 ? ", all trees together" : "", plan->pages, plural(plan->pages));
	if (g->copies < g->copies_asked)
		fprintf(out, "  %u trees would be %zu contexts a round: too many for a default run, --copies %u insists\n",
		    g->copies_asked, p->trace->tasks * g->copies_asked, g->copies_asked);
	if (timed < g->rounds)
		fprintf(out, "  %u rounds were planned; there was no time for more\n", g->rounds);
	putc('\n', out);
}

static void
add_cell(struct line *line, struct spread s)
{
	char text[16];
	double half;

	if (s.n == 0) {
		add(line, "%*s   ", COLUMN - 3, "-");
		return;
	}
	add(line, "%*s", COLUMN - 3, figure_text(s.median, text));
	half = s.median != 0 ? 50 * (s.max - s.min) / fabs(s.median) : 0;
	if (s.n > 1 && half >= 0.5)
		add(line, "~%-2.0f", half > 99 ? 99 : half);
	else
		add(line, "   ");
}

static bool
anything(const struct group *g, enum figure f)
{
	int s;

	for (s = 0; s < SIDES; s++)
		if (column_spread(&g->column[s], f).n > 0)
			return true;
	return false;
}

static void
group_table(FILE *out, const struct group *g)
{
	struct line line = { .len = 0 };
	char label[64];
	int f, s;

	add(&line, "%-*s", LABEL, "");
	for (s = 0; s < SIDES; s++)
		if ((g->sides & 1u << s) != 0)
			add(&line, "%*s%s", COLUMN - 1, side[s].name, strlen(side[s].name) < COLUMN - 1 ? " " : "");
	end(out, &line);
	for (f = 0; f < FIGURES; f++) {
		if (!anything(g, (enum figure)f))
			continue;
		snprintf(label, sizeof(label), "%s%s%s", figure_info[f].name, figure_info[f].unit[0] != '\0' ? ", " : "",
		    figure_info[f].unit);
		add(&line, "%-*s", LABEL, label);
		for (s = 0; s < SIDES; s++)
			if ((g->sides & 1u << s) != 0)
				add_cell(&line, column_spread(&g->column[s], (enum figure)f));
		end(out, &line);
	}
}

static const char *
ratio_text(double ratio, char text[16])
{
	snprintf(text, 16, "%.*f", ratio >= 99.5 ? 0 : ratio >= 9.95 ? 1 : 2, ratio);
	return text;
}

static void
add_ratio(struct line *line, enum figure f, struct spread r)
{
	static const char *const word[] = { [RESULT_WINS] = "wins", [RESULT_LOSES] = "loses", [RESULT_SAME] = "same" };
	char median[16], min[16], max[16], text[64] = "-";

	if (r.n > 0)
		snprintf(text, sizeof(text), "%sx [%s-%s] %s", ratio_text(r.median, median), ratio_text(r.min, min),
		    ratio_text(r.max, max), word[compare_result(f, r)]);
	add(line, "%-*s ", RATIO - 1, text);
}

/* Champion to each reaper, and early to late notification. */
static void
group_ratios(FILE *out, const struct group *g)
{
	enum side_name champion = plan_champion(g);
	const enum side_name pair[][2] = {
		{ champion, SIDE_PLAIN }, { champion, SIDE_BATCHING }, { SIDE_EARLY, SIDE_ADAPTIVE }
	};
	struct line line = { .len = 0 };
	unsigned shown = 0;
	char title[64];
	int f, i;

	add(&line, "%-*s", RATIO_LABEL, "ratio, round by round");
	for (i = 0; i < 3; i++) {
		if (pair[i][0] == SIDES || (g->sides & 1u << pair[i][0]) == 0 || (g->sides & 1u << pair[i][1]) == 0 ||
		    (i == 2 && champion == SIDE_EARLY))
			continue;
		shown |= 1u << i;
		snprintf(title, sizeof(title), "%s to %s", side[pair[i][0]].name, side[pair[i][1]].name);
		add(&line, "%-*s", RATIO, title);
	}
	if (shown == 0)
		return;
	putc('\n', out);
	end(out, &line);
	for (f = 0; f < FIGURES; f++) {
		if (!figure_info[f].headline)
			continue;
		add(&line, "%-*s", RATIO_LABEL, figure_info[f].name);
		for (i = 0; i < 3; i++)
			if ((shown & 1u << i) != 0)
				add_ratio(&line, (enum figure)f, group_ratio(g, pair[i][0], pair[i][1], (enum figure)f));
		end(out, &line);
	}
}

/* How the waits came out against how they were recorded. */
static void
group_outcomes(FILE *out, const struct group *g)
{
	enum side_name champion = plan_champion(g) == SIDES ? SIDE_PLAIN : plan_champion(g);
	const struct column *c = &g->column[champion];
	struct line line = { .len = 0 };
	uint64_t sum;
	int m, o;

	if (c->timed == 0)
		return;
	fprintf(out, "\nrecorded mode and outcome, side %s, in %% of the mode\n", side[champion].name);
	add(&line, "  mode    count ");
	for (o = 0; o < OUTCOMES; o++)
		add(&line, "%*s", (int)strlen(outcome_names[o]) + 2, outcome_names[o]);
	end(out, &line);
	for (m = 0; m < MODES; m++) {
		for (sum = 0, o = 0; o < OUTCOMES; o++)
			sum += c->outcome[m][o];
		if (sum == 0)
			continue;
		add(&line, "  %c  %10.0f ", mode_letters[m], (double)sum / (double)c->timed);
		for (o = 0; o < OUTCOMES; o++)
			add(&line, "%*.1f", (int)strlen(outcome_names[o]) + 2, 100 * (double)c->outcome[m][o] / (double)sum);
		end(out, &line);
	}
}

void
report_group(FILE *out, const struct plan *plan, const struct group *g)
{
	int s;

	group_title(out, plan, g);
	group_table(out, g);
	group_ratios(out, g);
	group_outcomes(out, g);
	for (s = 0; s < SIDES; s++)
		if (g->column[s].failure[0] != '\0')
			fprintf(out, "\n%s FAILED: %s\n", side[s].name, g->column[s].failure);
	fflush(out);
}

/* ---- the end ---- */

static void
add_short(struct line *line, const struct group *g, enum side_name rival, enum figure f)
{
	static const char mark[] = { [RESULT_WINS] = '+', [RESULT_LOSES] = '-', [RESULT_SAME] = ' ' };
	struct spread r = { NAN, NAN, NAN, 0 };
	char text[16];

	if ((g->sides & 1u << rival) != 0)
		r = group_ratio(g, plan_champion(g), rival, f);
	if (r.n == 0)
		add(line, "%6s ", "-");
	else
		add(line, "%6s%c", ratio_text(r.median, text), mark[compare_result(f, r)]);
}

/* A row per group: reap to each reaper. */
static void
summary(FILE *out, const struct plan *plan)
{
	static const enum figure column[] = {
		FIGURE_CPU, FIGURE_THROUGHPUT, FIGURE_PARENT_P50, FIGURE_PARENT_P99, FIGURE_FREE_P99
	};
	struct line line = { .len = 0 };
	size_t i, k;
	int r;

	add(&line, "%-28s%-35s%s", "ratio of reap", "to plain", "to batching");
	end(out, &line);
	add(&line, "%-14s%6s%8s", "", "trees", "workers");
	for (r = 0; r < 2; r++)
		add(&line, "%6s %6s %6s %6s %6s ", "CPU", "ex/s", "par50", "par99", "free99");
	end(out, &line);
	for (i = 0; i < plan->groups; i++) {
		const struct group *g = &plan->group[i];

		if (plan_champion(g) == SIDES)
			continue;
		add(&line, "%-14.14s%6u%8u", g->program->trace->name, g->copies, g->workers);
		for (r = 0; r < 2; r++)
			for (k = 0; k < sizeof(column) / sizeof(column[0]); k++)
				add_short(&line, g, r == 0 ? SIDE_PLAIN : SIDE_BATCHING, column[k]);
		end(out, &line);
	}
	fputs("CPU per exit, throughput, exit to parent p50 and p99, exit to memory free p99.  + reap wins, - it\n"
	    "loses; neither: there is no difference of 5% or more that shows in every round.\n", out);
}

static int
by_loss(const void *a, const void *b)
{
	double x = compare_loss(a), y = compare_loss(b);

	return (x < y) - (x > y);
}

/* A report in which reap always wins is not to be believed: the worst that was found. */
static void
losses(FILE *out, const struct plan *plan)
{
	struct comparison *list;
	size_t n = compare_all(plan, &list), i;

	if (n == 0) {
		free(list);
		return;
	}
	qsort(list, n, sizeof(*list), by_loss);
	fputs("\nwhere reap loses most\n", out);
	for (i = 0; i < n && i < WORST && list[i].result == RESULT_LOSES; i++) {
		const struct comparison *c = &list[i];

		fprintf(out, "  %-27s %.2fx [%.2f-%.2f] of %s: %s, %u tree%s, %u worker%s\n", figure_info[c->figure].name,
		    c->ratio.median, c->ratio.min, c->ratio.max, side[c->rival].name, c->group->program->trace->name,
		    c->group->copies, plural(c->group->copies), c->group->workers, plural(c->group->workers));
	}
	if (i == 0)
		fprintf(out, "  nowhere beyond the noise, in %zu comparisons\n", n);
	free(list);
}

void
report_end(FILE *out, const struct plan *plan, const char *verdict)
{
	putc('\n', out);
	rule(out);
	if (plan->groups > 0 && plan_champion(&plan->group[0]) != SIDES) {
		summary(out, plan);
		losses(out, plan);
	}
	fprintf(out, "\n%s\n", verdict);
}

void
report_list(FILE *out, const struct plan *plan)
{
	size_t i;
	int s, m;

	fputs("sides\n", out);
	for (s = 0; s < SIDES; s++)
		fprintf(out, "  %-10s %s\n", side[s].name, side[s].about);
	fputs("\nrecordings\n", out);
	for (i = 0; i < plan->programs; i++) {
		const struct program *p = &plan->program[i];

		fprintf(out, "  %s: %zu tasks, %zu at a time, %.1f s, bodies %.1f s; modes", p->trace->name, p->trace->tasks,
		    p->live_max, (double)p->trace->end / 1e6, p->body_us / 1e6);
		for (m = 0; m < MODES; m++)
			if (p->trace->modes[(unsigned char)mode_letters[m]] > 0)
				fprintf(out, " %c %zu", mode_letters[m], p->trace->modes[(unsigned char)mode_letters[m]]);
		putc('\n', out);
	}
	fputs("\nwould run\n", out);
	for (i = 0; i < plan->groups; i++) {
		const struct group *g = &plan->group[i];

		fprintf(out, "  %s, %u tree%s, %u worker%s, scale %.0f:", g->program->trace->name, g->copies, plural(g->copies),
		    g->workers, plural(g->workers), g->scale);
		for (s = 0; s < SIDES; s++)
			if ((g->sides & 1u << s) != 0)
				fprintf(out, " %s", side[s].name);
		fprintf(out, " (%.0f s)\n", g->estimate);
	}
}
