/* SPDX-License-Identifier: ISC */
#include "process.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

void
process_threads(struct process_threads *threads)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *entry;
	long id;

	threads->n = 0;
	if (dir == NULL)
		return;
	while ((entry = readdir(dir)) != NULL && threads->n < PROCESS_THREADS_MAX)
		if ((id = strtol(entry->d_name, NULL, 10)) > 0)
			threads->id[threads->n++] = id;
	closedir(dir);
}

static bool
has(const struct process_threads *threads, long id)
{
	unsigned i;

	for (i = 0; i < threads->n; i++)
		if (threads->id[i] == id)
			return true;
	return false;
}

void
process_new_threads(const struct process_threads *before, const struct process_threads *after, struct process_threads *fresh)
{
	unsigned i;

	fresh->n = 0;
	for (i = 0; i < after->n; i++)
		if (!has(before, after->id[i]))
			fresh->id[fresh->n++] = after->id[i];
}

struct process_time
process_thread_time(long id)
{
	struct process_time time = { 0, 0 };
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%ld/schedstat", id);
	file = fopen(path, "r");
	if (file == NULL)
		return time;
	if (fscanf(file, "%" SCNu64 " %" SCNu64, &time.run_ns, &time.queued_ns) != 2)
		time = (struct process_time){ 0, 0 };
	fclose(file);
	return time;
}

void
process_reset_peak_rss(void)
{
	int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
	ssize_t written;

	if (fd < 0)
		return;
	written = write(fd, "5", 1);	/* refused in some containers: the mark then is that of all rounds so far */
	(void)written;
	close(fd);
}

double
process_peak_rss_mib(void)
{
	FILE *file = fopen("/proc/self/status", "r");
	struct rusage usage;
	char line[128];
	long kib = 0;

	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		if (sscanf(line, "VmHWM: %ld", &kib) == 1)
			break;
	if (file != NULL)
		fclose(file);
	if (kib == 0) {
		getrusage(RUSAGE_SELF, &usage);
		kib = usage.ru_maxrss;
	}
	return (double)kib / 1024;
}
