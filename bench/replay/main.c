/* SPDX-License-Identifier: ISC */
/*
 * replay: recorded process trees as green threads, with and without a reaper thread.  bench/README.md says how it measures.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compare.h"
#include "engine.h"
#include "machine.h"
#include "options.h"
#include "plan.h"
#include "program.h"
#include "report.h"
#include "run.h"
#include "store.h"
#include "trace.h"

enum { ALL_WELL = 0, FAILED = 1, WRONG_INPUT = 2 };

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *
join(const char *dir, const char *name)
{
	size_t size = strlen(dir) + strlen(name) + 2;
	char *path = malloc(size);

	if (path != NULL)
		snprintf(path, size, "%s/%s", dir, name);
	return path;
}

/* The CSV files of a directory, by name.  Their number; -1: none, and the reason has been said. */
static int
find_traces(const char *dir, char ***files)
{
	DIR *d = opendir(dir);
	struct dirent *entry;
	char **grown;
	size_t len;
	int n = 0;

	*files = NULL;
	if (d == NULL) {
		fprintf(stderr, "replay: %s: %s; --traces DIR names another directory\n", dir, strerror(errno));
		return -1;
	}
	while ((entry = readdir(d)) != NULL) {
		len = strlen(entry->d_name);
		if (len < 5 || strcmp(entry->d_name + len - 4, ".csv") != 0)
			continue;
		grown = realloc(*files, ((size_t)n + 1) * sizeof(**files));
		if (grown == NULL || (grown[n] = join(dir, entry->d_name)) == NULL)
			break;
		*files = grown;
		n++;
	}
	closedir(d);
	if (n == 0) {
		fprintf(stderr, "replay: %s: no CSV file there\n", dir);
		return -1;
	}
	qsort(*files, (size_t)n, sizeof(**files), by_name);
	return n;
}

/* Read and check all files before anything runs; every bad one is reported. */
static int
load(char **files, int n, struct trace *trace, struct program *program)
{
	char why[4600];
	int i, bad = 0;

	for (i = 0; i < n; i++)
		if (trace_load(files[i], &trace[i], why, sizeof(why)) != 0) {
			fprintf(stderr, "%s\n", why);
			bad++;
		}
	if (bad > 0)
		return WRONG_INPUT;
	for (i = 0; i < n; i++)
		if (program_compile(&trace[i], &program[i]) != 0) {
			fprintf(stderr, "replay: %s: %s\n", files[i], strerror(ENOMEM));
			return FAILED;
		}
	return ALL_WELL;
}

static void
done(const struct plan *plan, const struct group *group)
{
	report_group(stdout, plan, group);
}

static int
write_results(const struct store *store, const struct plan *plan, const struct machine *machine, const char *verdict)
{
	FILE *file = store_begin(store);

	if (file == NULL)
		return FAILED;
	report_json(file, plan, machine, verdict);
	return store_end(store, file) == 0 ? ALL_WELL : FAILED;
}

static int
run(const struct options *options, struct plan *plan, struct machine *machine)
{
	struct store store;
	char *verdict;
	int status = ALL_WELL;

	if (options->out != NULL && store_prepare(&store, options->out) != 0)
		return FAILED;
	report_head(stdout, plan, machine);
	fflush(stdout);
	if (run_plan(plan, done) > 0)
		status = FAILED;
	machine_finish(machine);
	verdict = compare_verdict(plan);
	if (verdict == NULL) {
		fprintf(stderr, "replay: %s\n", strerror(ENOMEM));
		return FAILED;
	}
	if (options->out != NULL && write_results(&store, plan, machine, verdict) != ALL_WELL)
		status = FAILED;
	report_end(stdout, plan, verdict);
	free(verdict);
	return status;
}

/* One tree, one warm round before the one that is shown, in this process. */
static int
timeline(const struct options *options, const struct plan *plan)
{
	const struct group *g = &plan->group[0];
	struct engine_setup setup = {
		.program = g->program, .side = &side[SIDE_ADAPTIVE], .copies = 1, .workers = g->workers, .pages = plan->pages,
		.loops_per_us = plan->loops_per_us, .scale = g->scale, .measuring = true, .timeline = true,
	};
	static struct round round;
	FILE *out = fopen(options->timeline, "w");
	int s, error = 0;

	if (out == NULL) {
		fprintf(stderr, "replay: cannot write %s: %s\n", options->timeline, strerror(errno));
		return FAILED;
	}
	for (s = SIDES - 1; s >= 0; s--)
		if ((g->sides & 1u << s) != 0)
			setup.side = &side[s];
	engine_start(&setup);
	engine_round(&round);
	engine_round(&round);
	engine_timeline(out);
	engine_stop();
	if (ferror(out))
		error = EIO;
	if (fclose(out) != 0)
		error = errno;
	if (error == 0)
		return ALL_WELL;
	fprintf(stderr, "replay: cannot write %s: %s\n", options->timeline, strerror(error));
	remove(options->timeline);
	return FAILED;
}

static int
replay(const struct options *options, struct machine *machine, char **files, int n)
{
	struct trace *trace = calloc((size_t)n, sizeof(*trace));
	struct program *program = calloc((size_t)n, sizeof(*program));
	struct plan plan;
	int status = FAILED, i;

	if (trace == NULL || program == NULL || (status = load(files, n, trace, program)) != ALL_WELL)
		goto out;
	if (plan_make(&plan, options, program, (size_t)n) != 0) {
		fprintf(stderr, "replay: %s\n", strerror(ENOMEM));
		status = FAILED;
		goto out;
	}
	if (options->timeline != NULL)
		status = timeline(options, &plan);
	else if (options->list)
		report_list(stdout, &plan);
	else
		status = run(options, &plan, machine);
	plan_free(&plan);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fprintf(stderr, "replay: cannot write the report: %s\n", strerror(errno));
		status = FAILED;
	}
out:
	for (i = 0; i < n && program != NULL && trace != NULL; i++) {
		program_free(&program[i]);
		trace_free(&trace[i]);
	}
	free(trace);
	free(program);
	return status;
}

/* The first Ctrl-C ends the run after its round, and the results are written; who presses it three times means it. */
static void
interrupt(int signal)
{
	static int times;

	(void)signal;
	if (++times == 3)
		_exit(FAILED);
	run_interrupt();
}

int
main(int argc, char **argv)
{
	struct options options;
	struct machine machine;
	char **found = NULL, **files;
	int n, status;

	status = options_parse(&options, argc, argv);
	if (status != 0)
		return status == 1 ? ALL_WELL : WRONG_INPUT;
	signal(SIGPIPE, SIG_IGN);	/* a cell that has crashed is an answer, see cell.c */
	signal(SIGINT, interrupt);
	machine_describe(&machine, argc, argv);
	files = options.files;
	n = options.nfiles;
	if (n == 0) {
		n = find_traces(options.traces, &found);
		if (n < 0)
			return WRONG_INPUT;
		files = found;
	}
	status = replay(&options, &machine, files, n);
	while (found != NULL && n > 0)
		free(found[--n]);
	free(found);
	return status;
}
