/* SPDX-License-Identifier: ISC */
#include "figure.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define LESS	-1
#define MORE	1
#define NEITHER	0

const double figure_quantile[FIGURE_QUANTILES] = { 0.5, 0.9, 0.99, 0.999, 1 };

const struct figure_info figure_info[FIGURES] = {
	[FIGURE_THROUGHPUT] = { "throughput", "exits/s", MORE, false, true },
	[FIGURE_CPU] = { "CPU per exit", "us", LESS, false, true },
	[FIGURE_CPU_BEYOND_BODIES] = { "CPU per exit, beyond bodies", "us", LESS, false, false },
	[FIGURE_REAPER_CPU] = { "reaper thread's CPU per exit", "us", LESS, false, false },
	[FIGURE_PARENT_P50] = { "exit to parent p50", "us", LESS, false, true },
	[FIGURE_PARENT_P90] = { "exit to parent p90", "us", LESS, false, false },
	[FIGURE_PARENT_P99] = { "exit to parent p99", "us", LESS, false, true },
	[FIGURE_PARENT_P999] = { "exit to parent p99.9", "us", LESS, false, false },
	[FIGURE_PARENT_MAX] = { "exit to parent max", "us", LESS, false, false },
	[FIGURE_COLLECTED_P50] = { "exit to collected p50", "us", LESS, false, false },
	[FIGURE_COLLECTED_P90] = { "exit to collected p90", "us", LESS, false, false },
	[FIGURE_COLLECTED_P99] = { "exit to collected p99", "us", LESS, false, true },
	[FIGURE_COLLECTED_P999] = { "exit to collected p99.9", "us", LESS, false, false },
	[FIGURE_COLLECTED_MAX] = { "exit to collected max", "us", LESS, false, false },
	[FIGURE_FREE_P50] = { "exit to memory free p50", "us", LESS, true, true },
	[FIGURE_FREE_P90] = { "exit to memory free p90", "us", LESS, true, false },
	[FIGURE_FREE_P99] = { "exit to memory free p99", "us", LESS, true, true },
	[FIGURE_FREE_P999] = { "exit to memory free p99.9", "us", LESS, true, false },
	[FIGURE_FREE_MAX] = { "exit to memory free max", "us", LESS, true, false },
	[FIGURE_LANDING_P50] = { "exit to landing p50", "us", LESS, true, false },
	[FIGURE_LANDING_P90] = { "exit to landing p90", "us", LESS, true, false },
	[FIGURE_LANDING_P99] = { "exit to landing p99", "us", LESS, true, false },
	[FIGURE_LANDING_P999] = { "exit to landing p99.9", "us", LESS, true, false },
	[FIGURE_LANDING_MAX] = { "exit to landing max", "us", LESS, true, false },
	[FIGURE_LANDED_P50] = { "landing to parent p50", "us", LESS, true, false },
	[FIGURE_LANDED_P90] = { "landing to parent p90", "us", LESS, true, false },
	[FIGURE_LANDED_P99] = { "landing to parent p99", "us", LESS, true, false },
	[FIGURE_LANDED_P999] = { "landing to parent p99.9", "us", LESS, true, false },
	[FIGURE_LANDED_MAX] = { "landing to parent max", "us", LESS, true, false },
	[FIGURE_WAITING] = { "parents waiting already", "%", NEITHER, false, false },
	[FIGURE_WAITING_COUNT] = { "parents waiting, count", "exits", NEITHER, false, false },
	[FIGURE_SWITCHES] = { "context switches per exit", "", LESS, false, true },
	[FIGURE_OS_SWITCHES] = { "OS thread switches per exit", "", LESS, false, true },
	[FIGURE_TO_BASE] = { "exits to the base context", "%", NEITHER, false, false },
	[FIGURE_BARRIER_WAITS] = { "barrier waits", "%", NEITHER, false, false },
	[FIGURE_ZOMBIES] = { "peak zombies", "", LESS, true, false },
	[FIGURE_ZOMBIE_BYTES] = { "peak zombie memory", "KiB", LESS, true, true },
	[FIGURE_BACKLOG] = { "peak backlog", "", LESS, true, false },
	[FIGURE_RSS] = { "peak RSS", "MiB", LESS, false, true },
	[FIGURE_STACKS_PARENT] = { "stacks freed by parents", "%", NEITHER, false, false },
	[FIGURE_STACKS_ADOPTER] = { "stacks freed by adopter", "%", NEITHER, false, false },
	[FIGURE_STACKS_SUCCESSOR] = { "stacks freed by successors", "%", NEITHER, false, false },
	[FIGURE_STACKS_THREAD] = { "stacks freed by reaper", "%", NEITHER, false, false },
	[FIGURE_PAID_PARENT] = { "paid by parents per exit", "ns", LESS, true, true },
	[FIGURE_PAID_ADOPTER] = { "paid by adopter per exit", "ns", NEITHER, true, false },
	[FIGURE_PAID_SUCCESSOR] = { "paid by successors per exit", "ns", NEITHER, true, false },
	[FIGURE_PAID_THREAD] = { "paid by reaper per exit", "ns", NEITHER, true, false },
	[FIGURE_REAPER_RUNNING] = { "reaper thread running", "%", NEITHER, false, false },
	[FIGURE_REAPER_QUEUED] = { "reaper thread in the run queue", "%", NEITHER, false, false },
	[FIGURE_REAPER_STOPPED] = { "reaper thread stopped", "%", NEITHER, false, false },
	[FIGURE_WORKERS_RUNNING] = { "workers running", "%", NEITHER, false, false },
	[FIGURE_WORKERS_QUEUED] = { "workers in the run queue", "%", NEITHER, false, false },
	[FIGURE_WORKERS_STOPPED] = { "workers stopped", "%", NEITHER, false, false },
};

static int
by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

struct spread
spread_of(const double *value, size_t n)
{
	struct spread s = { NAN, NAN, NAN, 0 };
	double *sorted = calloc(n == 0 ? 1 : n, sizeof(*sorted));
	size_t i;

	if (sorted == NULL)
		return s;
	for (i = 0; i < n; i++)
		if (isfinite(value[i]))
			sorted[s.n++] = value[i];
	if (s.n > 0) {
		qsort(sorted, s.n, sizeof(*sorted), by_value);
		s.min = sorted[0];
		s.max = sorted[s.n - 1];
		s.median = (sorted[(s.n - 1) / 2] + sorted[s.n / 2]) / 2;
	}
	free(sorted);
	return s;
}

struct spread
spread_ratio(const double *a, const double *b, size_t n)
{
	double *ratio = calloc(n == 0 ? 1 : n, sizeof(*ratio));
	struct spread s = { NAN, NAN, NAN, 0 };
	size_t i;

	if (ratio == NULL)
		return s;
	for (i = 0; i < n; i++)
		ratio[i] = a[i] >= 0 && b[i] > 0 ? a[i] / b[i] : NAN;
	s = spread_of(ratio, n);
	free(ratio);
	return s;
}

bool
spread_differs(struct spread ratio)
{
	return ratio.n >= 3 && (ratio.max < 1 || ratio.min > 1);
}

char *
figure_text(double value, char text[16])
{
	const char *suffix = "";
	double size = fabs(value);

	if (!isfinite(value)) {
		snprintf(text, 16, "-");
		return text;
	}
	if (size >= 1e7) {
		value /= 1e6;
		suffix = "M";
	} else if (size >= 1e4) {
		value /= 1e3;
		suffix = "k";
	}
	size = fabs(value);
	snprintf(text, 16, "%.*f%s", size >= 100 || value == 0 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3, value, suffix);
	return text;
}
