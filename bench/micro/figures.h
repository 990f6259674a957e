/* SPDX-License-Identifier: ISC */
/*
 * figures.h: what the microbenchmarks share: the clock, rounds, medians, and the two ways of showing them.
 *
 * A round measures all figures in turn, so that a change of the machine's speed hits all alike.  Shown are the median and the range
 * over the rounds, and the median as a multiple of the calibration loop: a chain of additions, one per clock cycle.  Compare
 * multiples, not nanoseconds, between machines.
 */
#ifndef FIGURES_H
#define FIGURES_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FIGURES_MAX	32
#define ROUNDS_MAX	99

struct figure {
	char	 name[40];
	const char *what;
	double	 cpu[ROUNDS_MAX];	/* nanoseconds of process CPU time per operation, one per round */
	double	 wall[ROUNDS_MAX];	/* the same on the wall clock; 0 where nobody asks */
};

struct figures {
	const char *program;
	struct figure of[FIGURES_MAX];
	int	 n;
	int	 rounds;
	double	 addition[ROUNDS_MAX];	/* the calibration loop's */
};

static inline double
nanoseconds(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static inline void
must(int error)
{
	if (error == 0)
		return;
	fprintf(stderr, "%s: %s\n", program_invocation_short_name, strerror(-error));
	exit(1);
}

/*
 * n additions, each of which needs the last one's sum.  Sixteen a turn: a turn of one lasts as long as its jump, and that is two
 * cycles where the loop lies across a cache line.
 */
static inline void
additions(long n)
{
	uint64_t x = 0;

#define ADD	do { x += 1; __asm__ volatile("" : "+r"(x)); } while (0)
#define ADD_4	do { ADD; ADD; ADD; ADD; } while (0)
	for (; n >= 16; n -= 16) {
		ADD_4;
		ADD_4;
		ADD_4;
		ADD_4;
	}
	while (n-- > 0)
		ADD;
#undef ADD_4
#undef ADD
}

static inline double
time_addition(void)
{
	double since = nanoseconds(CLOCK_PROCESS_CPUTIME_ID);

	additions(5000000);
	return (nanoseconds(CLOCK_PROCESS_CPUTIME_ID) - since) / 5e6;
}

static inline int
figures_by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Sorts. */
static inline double
median(double *v, int n)
{
	qsort(v, (size_t)n, sizeof(*v), figures_by_value);
	return n % 2 != 0 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

static inline void
figures_show(struct figures *f, bool json)
{
	double addition = median(f->addition, f->rounds);

	if (json)
		printf("{\"program\": \"%s\", \"unit\": \"ns of process CPU time\", \"rounds\": %d, \"figures\": [\n {\"name\": \"calibration\", "
		    "\"median\": %.4f, \"min\": %.4f, \"max\": %.4f, \"of_calibration\": 1}", f->program, f->rounds, addition, f->addition[0],
		    f->addition[f->rounds - 1]);
	else
		printf("%-34s %9.2f ns  [%.2f-%.2f]  %7.1f x  one addition of a dependent chain\n", "calibration", addition, f->addition[0],
		    f->addition[f->rounds - 1], 1.0);
	for (int i = 0; i < f->n; i++) {
		struct figure *g = &f->of[i];
		double cpu = median(g->cpu, f->rounds), wall = median(g->wall, f->rounds);

		if (json) {
			printf(",\n {\"name\": \"%s\", \"median\": %.3f, \"min\": %.3f, \"max\": %.3f, \"of_calibration\": %.2f", g->name, cpu,
			    g->cpu[0], g->cpu[f->rounds - 1], cpu / addition);
			if (wall > 0)
				printf(", \"wall\": %.3f", wall);
			printf("}");
		} else {
			printf("%-34s %9.2f ns  [%.2f-%.2f]  %7.1f x", g->name, cpu,
			    g->cpu[0], g->cpu[f->rounds - 1], cpu / addition);
			if (wall > 0)
				printf("  wall %.2f ns", wall);
			printf("  %s\n", g->what);
		}
	}
	if (json)
		printf("\n]}\n");
}

/* [--json] [WORD] [ROUNDS]; a word is one of `words' (ends with NULL), the first unless another is given; its index is returned. */
static inline int
figures_arguments(int argc, char **argv, const char *const *words, int *rounds, bool *json)
{
	int word = 0;

	for (int i = 1; i < argc; i++) {
		int w = 0;

		while (words != NULL && words[w] != NULL && strcmp(words[w], argv[i]) != 0)
			w++;
		if (strcmp(argv[i], "--json") == 0)
			*json = true;
		else if (words != NULL && words[w] != NULL)
			word = w;
		else if ((*rounds = atoi(argv[i])) < 1 || *rounds > ROUNDS_MAX) {
			fprintf(stderr, "usage: %s [--json]", argv[0]);
			for (w = 0; words != NULL && words[w] != NULL; w++)
				fprintf(stderr, "%s%s", w > 0 ? " | " : " [", words[w]);
			fprintf(stderr, "%s [ROUNDS], 1 to %d rounds\n", words != NULL ? "]" : "", ROUNDS_MAX);
			exit(2);
		}
	}
	return word;
}

#endif
