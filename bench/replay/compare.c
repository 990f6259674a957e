/* SPDX-License-Identifier: ISC */
#include "compare.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define RESAMPLES	2000
#define NEGLIGIBLE	0.05	/* a difference that nobody would act on */

static const enum side_name rivals[] = { SIDE_PLAIN, SIDE_BATCHING };

#define RIVALS		(sizeof(rivals) / sizeof(rivals[0]))

enum result
compare_result(enum figure figure, struct spread ratio)
{
	bool less = ratio.median < 1;

	if (figure_info[figure].better == 0 || !spread_differs(ratio) || fabs(ratio.median - 1) < NEGLIGIBLE)
		return RESULT_SAME;
	return less == (figure_info[figure].better < 0) ? RESULT_WINS : RESULT_LOSES;
}

size_t
compare_all(const struct plan *plan, struct comparison **list)
{
	size_t i, r, n = 0;
	int f;

	*list = calloc(plan->groups * RIVALS * FIGURES + 1, sizeof(**list));
	if (*list == NULL)
		return 0;
	for (i = 0; i < plan->groups; i++) {
		const struct group *g = &plan->group[i];
		enum side_name champion = plan_champion(g);

		for (r = 0; r < RIVALS && champion != SIDES; r++) {
			if ((g->sides & 1u << rivals[r]) == 0)
				continue;
			for (f = 0; f < FIGURES; f++) {
				struct spread ratio = group_ratio(g, champion, rivals[r], (enum figure)f);

				if (!figure_info[f].headline || ratio.n == 0)
					continue;
				(*list)[n++] = (struct comparison){
					g, champion, rivals[r], (enum figure)f, ratio, compare_result((enum figure)f, ratio)
				};
			}
		}
	}
	return n;
}

double
compare_loss(const struct comparison *c)
{
	if (c->result != RESULT_LOSES)
		return 1;
	return figure_info[c->figure].better < 0 ? c->ratio.median : 1 / c->ratio.median;
}

/* ---- means ---- */

/* The paired ratios of one group. */
struct sample {
	double	 ratio[PLAN_ROUNDS_MAX];
	size_t	 n;
};

static bool
take_sample(const struct group *g, enum side_name rival, enum figure figure, struct sample *s)
{
	enum side_name champion = plan_champion(g);
	const struct column *a, *b;
	size_t i, n, m;

	s->n = 0;
	if (champion == SIDES || (g->sides & 1u << rival) == 0)
		return false;
	a = &g->column[champion];
	b = &g->column[rival];
	n = column_rounds(a, figure);
	m = column_rounds(b, figure);
	for (i = 0; i < (n < m ? n : m); i++)
		if (a->value[figure][i] > 0 && b->value[figure][i] > 0)
			s->ratio[s->n++] = a->value[figure][i] / b->value[figure][i];
	return s->n > 0;
}

/* Always the same sequence: the same data give the same interval. */
static size_t
pick(uint64_t *state, size_t n)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (size_t)(*state % n);
}

static double
resampled_log(const struct sample *s, uint64_t *state)
{
	double drawn[PLAN_ROUNDS_MAX];
	size_t i;

	for (i = 0; i < s->n; i++)
		drawn[i] = s->ratio[pick(state, s->n)];
	return log(spread_of(drawn, s->n).median);
}

static int
by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static struct mean
mean_of(const struct sample *sample, unsigned n)
{
	static double drawn[RESAMPLES];
	struct mean mean = { .traces = n };
	uint64_t state = UINT64_C(88172645463325252);
	double sum = 0;
	unsigned i, j;

	for (i = 0; i < n; i++)
		sum += log(spread_of(sample[i].ratio, sample[i].n).median);
	mean.ratio = exp(sum / n);
	for (j = 0; j < RESAMPLES; j++) {
		for (i = 0, sum = 0; i < n; i++)
			sum += resampled_log(&sample[i], &state);
		drawn[j] = exp(sum / n);
	}
	qsort(drawn, RESAMPLES, sizeof(drawn[0]), by_value);
	mean.lo = drawn[RESAMPLES / 40];
	mean.hi = drawn[RESAMPLES - 1 - RESAMPLES / 40];
	return mean;
}

struct mean
compare_mean(const struct plan *plan, unsigned copies_asked, enum side_name rival, enum figure figure)
{
	struct sample *sample = calloc(plan->groups + 1, sizeof(*sample));
	struct mean mean = { NAN, NAN, NAN, 0 };
	unsigned n = 0;
	size_t i;

	if (sample == NULL)
		return mean;
	for (i = 0; i < plan->groups; i++)
		if (plan->group[i].copies_asked == copies_asked && plan->group[i].workers == plan->workers &&
		    take_sample(&plan->group[i], rival, figure, &sample[n]))
			n++;
	if (n > 0)
		mean = mean_of(sample, n);
	free(sample);
	return mean;
}

/* ---- the verdict ---- */

static void
print_mean(FILE *out, struct mean mean)
{
	fprintf(out, "%.2fx [%.2f-%.2f]%s", mean.ratio, mean.lo, mean.hi,
	    mean.lo <= 1 && mean.hi >= 1 ? " (no difference measured)" : "");
}

static void
print_rival(FILE *out, const struct plan *plan, unsigned copies_asked, enum side_name rival)
{
	struct mean cpu = compare_mean(plan, copies_asked, rival, FIGURE_CPU);
	struct mean latency = compare_mean(plan, copies_asked, rival, FIGURE_PARENT_P99);

	print_mean(out, cpu);
	fprintf(out, " of the %s reaper's CPU", side[rival].name);
	if (latency.traces > 0) {
		fputs(" and ", out);
		print_mean(out, latency);
		fputs(" of its p99 exit-to-parent latency", out);
	}
}

/* The distinct numbers of copies asked for, in the order of the plan. */
static unsigned
copies_asked(const struct plan *plan, unsigned *list, unsigned room)
{
	unsigned n = 0, i;
	size_t g;

	for (g = 0; g < plan->groups; g++) {
		for (i = 0; i < n && list[i] != plan->group[g].copies_asked; i++)
			;
		if (i == n && n < room)
			list[n++] = plan->group[g].copies_asked;
	}
	return n;
}

static void
print_score(FILE *out, const struct plan *plan)
{
	size_t count[3] = { 0, 0, 0 }, n, i;
	struct comparison *list;

	n = compare_all(plan, &list);
	for (i = 0; i < n; i++)
		count[list[i].result]++;
	free(list);
	fprintf(out, "; of %zu comparisons it wins %zu, loses %zu, and %zu show no difference", n, count[RESULT_WINS],
	    count[RESULT_LOSES], count[RESULT_SAME]);
}

/* True: there was something to compare. */
static bool
print_means(FILE *out, const struct plan *plan)
{
	unsigned list[OPTIONS_LIST_MAX], n = copies_asked(plan, list, OPTIONS_LIST_MAX), i;
	bool said = false, here;
	size_t r;

	for (i = 0; i < n; i++) {
		for (r = 0, here = false; r < RIVALS; r++) {
			if (compare_mean(plan, list[i], rivals[r], FIGURE_CPU).traces == 0)
				continue;
			fputs(here ? ", " : said ? "; " : "", out);
			print_rival(out, plan, list[i], rivals[r]);
			here = said = true;
		}
		if (here && n > 1)
			fprintf(out, list[i] == 1 ? " with one tree at a time" : " with up to %u at once", list[i]);
	}
	return said;
}

/* Long bodies hide what a reap costs: a ratio of CPU means nothing without this. */
static void
print_scale(FILE *out, const struct plan *plan)
{
	double lo = plan->group[0].scale, hi = lo;
	size_t i;

	for (i = 1; i < plan->groups; i++) {
		lo = plan->group[i].scale < lo ? plan->group[i].scale : lo;
		hi = plan->group[i].scale > hi ? plan->group[i].scale : hi;
	}
	if (hi - lo < 1)
		fprintf(out, "; bodies are %.0f times shorter than recorded, and part of the CPU", hi);
	else
		fprintf(out, "; bodies are %.0f to %.0f times shorter than recorded, and part of the CPU", lo, hi);
}

static void
print_verdict(FILE *out, const struct plan *plan)
{
	enum side_name champion = plan->groups == 0 ? SIDES : plan_champion(&plan->group[0]);
	size_t r;
	bool any = false;

	for (r = 0; r < RIVALS && champion != SIDES; r++)
		any |= (plan->group[0].sides & 1u << rivals[r]) != 0;
	if (!any) {
		fputs("verdict: none; it takes a side with a reaper thread and one without", out);
		return;
	}
	fprintf(out, "verdict: over %zu trace%s, reap (%s) needs ", plan->programs, plan->programs == 1 ? "" : "s",
	    side[champion].name);
	if (print_means(out, plan)) {
		print_score(out, plan);
		print_scale(out, plan);
	} else
		fputs("something unknown of a reaper, as none came to its end", out);
}

char *
compare_verdict(const struct plan *plan)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (out == NULL)
		return NULL;
	print_verdict(out, plan);
	if (fclose(out) != 0) {
		free(text);
		return NULL;
	}
	return text;
}
