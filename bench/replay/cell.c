/* SPDX-License-Identifier: ISC */
#include "cell.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ASK_ROUND	'r'

/* Reads all of it, or returns false: the other end is gone. */
static bool
read_all(int fd, void *buffer, size_t size)
{
	char *p = buffer;
	ssize_t n;

	while (size > 0) {
		n = read(fd, p, size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		p += n;
		size -= (size_t)n;
	}
	return true;
}

static bool
write_all(int fd, const void *buffer, size_t size)
{
	const char *p = buffer;
	ssize_t n;

	while (size > 0) {
		n = write(fd, p, size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		p += n;
		size -= (size_t)n;
	}
	return true;
}

/* The cell's own process.  It ends when the pipe does, should the one who asks die. */
static _Noreturn void
serve(const struct engine_setup *setup, int ask, int answer)
{
	struct round round;
	char command;

	signal(SIGINT, SIG_IGN);	/* who asks for the rounds hears of it, and ends us */
	engine_start(setup);
	while (read_all(ask, &command, 1)) {
		engine_round(&round);
		if (!write_all(answer, &round, sizeof(round)))
			_exit(0);
	}
	engine_stop();
	_exit(0);
}

static void
close_pipe(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

__attribute__((format(printf, 2, 3))) static void
fail(struct cell *cell, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(cell->failure, sizeof(cell->failure), format, args);
	va_end(args);
}

void
cell_start(struct cell *cell, const struct engine_setup *setup, const struct cell *others, unsigned n)
{
	int ask[2], answer[2];
	unsigned i;

	*cell = (struct cell){ .setup = *setup, .ask = -1, .answer = -1 };
	if (pipe(ask) != 0) {
		fail(cell, "pipe: %s", strerror(errno));
		return;
	}
	if (pipe(answer) != 0) {
		fail(cell, "pipe: %s", strerror(errno));
		close(ask[0]);
		close(ask[1]);
		return;
	}
	fflush(NULL);
	cell->pid = fork();
	if (cell->pid == 0) {
		close(ask[1]);
		close(answer[0]);
		for (i = 0; i < n; i++)
			if (others[i].pid > 0) {
				close(others[i].ask);
				close(others[i].answer);
			}
		serve(setup, ask[0], answer[1]);
	}
	close(ask[0]);
	close(answer[1]);
	cell->ask = ask[1];
	cell->answer = answer[0];
	if (cell->pid < 0) {
		fail(cell, "fork: %s", strerror(errno));
		cell->pid = 0;
		close_pipe(&cell->ask);
		close_pipe(&cell->answer);
	}
}

/* Has the cell answered, or ended?  If not within so many seconds, it is killed. */
static bool
heard(struct cell *cell, double seconds)
{
	struct pollfd ready = { .fd = cell->answer, .events = POLLIN };
	int n;

	do
		n = poll(&ready, 1, seconds < 1e6 ? (int)(seconds * 1000) : -1);
	while (n < 0 && errno == EINTR);
	if (n != 0)
		return true;
	fail(cell, "no answer within %.0f s", seconds);
	kill(cell->pid, SIGKILL);
	return false;
}

/* Let the process end, and say how it did. */
static void
bury(struct cell *cell)
{
	int status;

	close_pipe(&cell->ask);
	(void)heard(cell, CELL_PATIENCE);
	close_pipe(&cell->answer);
	while (waitpid(cell->pid, &status, 0) < 0 && errno == EINTR)
		;
	cell->pid = 0;
	if (cell->failure[0] != '\0')
		return;
	if (WIFSIGNALED(status))
		fail(cell, "killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status) != 0)
		fail(cell, "ended with status %d; the reason stands above", WEXITSTATUS(status));
}

static double
patience(const struct cell *cell)
{
	return CELL_PATIENCE + 10 * cell->setup.program->body_us / 1e6 / cell->setup.scale;
}

int
cell_round(struct cell *cell, struct round *round)
{
	if (cell->pid <= 0)
		return -1;
	if (write_all(cell->ask, &(char){ ASK_ROUND }, 1) && heard(cell, patience(cell)) &&
	    read_all(cell->answer, round, sizeof(*round)))
		return 0;
	bury(cell);
	if (cell->failure[0] == '\0')
		fail(cell, "ended too early");
	return -1;
}

void
cell_stop(struct cell *cell)
{
	if (cell->pid <= 0)
		return;
	bury(cell);
}
