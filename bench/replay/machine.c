/* SPDX-License-Identifier: ISC */
#include "machine.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "burn.h"
#include "commit.h"

unsigned
machine_processors(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);
#ifdef __linux__
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		n = CPU_COUNT(&set);
#endif
	return n < 1 ? 1 : (unsigned)n;
}

/* The first of these fields of /proc/cpuinfo that is there; architectures differ. */
static void
find_cpu(char *cpu, size_t size)
{
	static const char *const field[] = { "model name", "Model", "cpu model", "cpu", "uarch", "isa" };
	FILE *file = fopen("/proc/cpuinfo", "r");
	char line[512];
	size_t i, best = sizeof(field) / sizeof(field[0]), len;

	snprintf(cpu, size, "unknown processor");
	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		for (i = 0; i < best; i++) {
			const char *value = strchr(line, ':');

			len = strlen(field[i]);
			if (value == NULL || strncmp(line, field[i], len) != 0 || strspn(line + len, " \t") != (size_t)(value - line) - len)
				continue;
			value += 1 + strspn(value + 1, " \t");
			snprintf(cpu, size, "%.*s", (int)strcspn(value, "\n"), value);
			best = i;
		}
	if (file != NULL)
		fclose(file);
}

struct machine_time
machine_time(void)
{
	double v[8] = { 0 }, tick = (double)sysconf(_SC_CLK_TCK);
	FILE *file = fopen("/proc/stat", "r");
	int n = 0;

	if (file != NULL) {
		/* user nice system idle iowait irq softirq steal */
		n = fscanf(file, "cpu %lf %lf %lf %lf %lf %lf %lf %lf", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6], &v[7]);
		fclose(file);
	}
	if (n != 8 || tick <= 0)
		return (struct machine_time){ -1, -1 };
	return (struct machine_time){ (v[0] + v[1] + v[2] + v[5] + v[6]) / tick, v[7] / tick };
}

void
machine_describe(struct machine *m, int argc, char **argv)
{
	struct utsname name;
	time_t now = time(NULL);
	struct tm utc;

	*m = (struct machine){ .commit = REPLAY_COMMIT, .argc = argc, .argv = argv, .processors = machine_processors() };
	find_cpu(m->cpu, sizeof(m->cpu));
	if (uname(&name) == 0)
		snprintf(m->kernel, sizeof(m->kernel), "%.60s %.60s %.60s", name.sysname, name.release, name.machine);
#ifdef __clang__
	snprintf(m->compiler, sizeof(m->compiler), "%s", __VERSION__);
#else
	snprintf(m->compiler, sizeof(m->compiler), "gcc %s", __VERSION__);
#endif
	if (gmtime_r(&now, &utc) != NULL)
		strftime(m->date, sizeof(m->date), "%Y-%m-%dT%H:%M:%SZ", &utc);
	if (getloadavg(m->load_before, 3) != 3)
		m->load_before[0] = m->load_before[1] = m->load_before[2] = -1;
	m->seconds = (double)now_ns() / 1e9;
}

void
machine_finish(struct machine *m)
{
	m->seconds = (double)now_ns() / 1e9 - m->seconds;
	if (getloadavg(m->load_after, 3) != 3)
		m->load_after[0] = m->load_after[1] = m->load_after[2] = -1;
}
