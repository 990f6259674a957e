/* SPDX-License-Identifier: ISC */
/*
 * micro.c: what a switch and a life cost on one worker, with every guarantee on.
 *
 *	micro [--json] [ROUNDS]
 *
 * Each figure is process CPU time per operation.  A round measures all of them in turn, so that a change of the machine's speed
 * hits all alike; shown are the median and the range over the rounds, and the median as a multiple of the calibration loop: a
 * chain of additions, one per clock cycle.  Compare multiples, not nanoseconds, between machines.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <reap.h>

#define LIVES	200000
#define BATCH	1000
#define MAX	99

static struct reap_context *first, **last = &first;

static struct reap_context *
next(struct reap_worker *worker)
{
	struct reap_context *context = first;

	(void)worker;
	if (context != NULL && (first = *reap_context_link(context)) == NULL)
		last = &first;
	return context;
}

static void
ready(struct reap_context *context)
{
	*last = context;
	last = reap_context_link(context);
	*last = NULL;
}

static double
cpu(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void
must(int error)
{
	if (error == 0)
		return;
	fprintf(stderr, "micro: %s\n", strerror(-error));
	exit(1);
}

static intptr_t
empty(void *arg)
{
	return (intptr_t)arg;
}

static struct reap_context *ping, *pong;

static intptr_t
back(void *arg)
{
	struct reap_worker *worker = reap_worker_self();

	(void)arg;
	for (;;)
		worker = reap_switch(worker, ping);
	return 0;
}

/* One after the other; each measurement runs inside a context, as a host's would. */
enum figure { CALIBRATION, SWITCH, ONE, MANY, ANY, DETACHED, FIGURES };

static const struct {
	const char *name, *what;
} figures[FIGURES] = {
	{ "calibration", "one addition of a dependent chain" },
	{ "switch", "one-way switch, out of line, landing included" },
	{ "life, one at a time", "spawn, run empty, exit, wait, recycled" },
	{ "life, 1000 then waited for", "the same with 1000 live stacks" },
	{ "life, 1000 then wait-any", "the same, collected by whichever ended" },
	{ "life, detached", "create detached, run empty, exit, drained" },
};

static double
measure(enum figure which)
{
	static struct reap_context *child[BATCH];
	struct reap_worker *worker = reap_worker_self();
	struct reap_domain *domain = reap_worker_domain(worker);
	struct reap_context_options detached = {
		.size = sizeof(detached), .entry = empty, .flags = REAP_CONTEXT_DETACHED,
	};
	double since = cpu();
	uint64_t x = 0;
	long n = LIVES;

	switch (which) {
	case CALIBRATION:
		n = 20000000;
		for (long i = 0; i < n; i++) {
			x += 1;
			__asm__ volatile("" : "+r"(x));
		}
		break;
	case SWITCH:
		n = 4000000;
		ping = reap_worker_current(worker);
		for (long i = 0; i < n / 2; i++)
			worker = reap_switch(worker, pong);
		break;
	case ONE:
		for (long i = 0; i < n; i++) {
			must(reap_spawn(worker, empty, NULL, &child[0]));
			ready(child[0]);
			must(reap_wait(child[0], 0, NULL));
		}
		break;
	case MANY:
	case ANY:
		for (long i = 0; i < n / BATCH; i++) {
			for (int j = 0; j < BATCH; j++) {
				must(reap_spawn(worker, empty, NULL, &child[j]));
				ready(child[j]);
			}
			for (int j = 0; j < BATCH; j++)
				must(which == MANY ? reap_wait(child[j], 0, NULL) : reap_wait_any(0, NULL));
		}
		break;
	case DETACHED:
		for (long i = 0; i < n / 32; i++) {
			for (int j = 0; j < 32; j++) {
				must(reap_context_create(domain, &detached, &child[j]));
				ready(child[j]);
			}
			(void)reap_yield(worker);
			while (reap_adopter_drain(reap_adopter_default(domain), 64) > 0)
				continue;
		}
		break;
	case FIGURES:
		break;
	}
	return (cpu() - since) / (double)n;
}

static double sample[FIGURES][MAX];
static int rounds = 15;

static intptr_t
all(void *arg)
{
	(void)arg;
	for (int round = -1; round < rounds; round++)	/* the first one warms up */
		for (int i = 0; i < FIGURES; i++)
			sample[i][round < 0 ? 0 : round] = measure((enum figure)i);
	return 0;
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int
main(int argc, char **argv)
{
	struct reap_host host = { .next = next, .ready = ready, .shares = true, .direct = true };
	struct reap_domain_options options = { .size = sizeof(options), .host = &host };
	struct reap_domain *domain;
	struct reap_worker *worker;
	struct reap_context *context;
	bool json = false;

	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--json") == 0)
			json = true;
		else if ((rounds = atoi(argv[i])) < 1 || rounds > MAX) {
			fprintf(stderr, "usage: micro [--json] [ROUNDS], 1 to %d rounds\n", MAX);
			return 2;
		}
	must(reap_domain_create(&options, &domain));
	must(reap_worker_start(domain, NULL, &worker));
	must(reap_spawn(worker, back, NULL, &pong));
	must(reap_spawn(worker, all, NULL, &context));
	ready(context);
	must(reap_wait(context, 0, NULL));
	must(reap_context_destroy(pong, 0));
	must(reap_wait(pong, 0, NULL));
	must(reap_worker_stop(worker));
	must(reap_domain_destroy(domain, NULL, NULL));

	if (json)
		printf("{\"unit\": \"ns of process CPU time\", \"rounds\": %d, \"figures\": [", rounds);
	for (int i = 0; i < FIGURES; i++) {
		double *v = sample[i], median, of_calibration;

		qsort(v, (size_t)rounds, sizeof(*v), by_value);
		median = v[rounds / 2];
		of_calibration = median / sample[CALIBRATION][rounds / 2];	/* sorted first */
		if (json)
			printf("%s\n {\"name\": \"%s\", \"median\": %.3f, \"min\": %.3f, \"max\": %.3f, \"of_calibration\": %.2f}",
			    i > 0 ? "," : "", figures[i].name, median, v[0], v[rounds - 1], of_calibration);
		else
			printf("%-28s %8.2f ns  [%.2f-%.2f]  %7.1f x  %s\n", figures[i].name, median, v[0], v[rounds - 1],
			    of_calibration, figures[i].what);
	}
	if (json)
		printf("\n]}\n");
	return 0;
}
