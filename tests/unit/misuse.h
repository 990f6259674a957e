/* SPDX-License-Identifier: ISC */
/*
 * misuse.h: CHECK_MISUSE("slot-full", body, arg) -- body(arg) must abort, and the last words must name the broken rule.
 *
 * The body runs in a process of its own; what the test has built before is there.
 */
#ifndef REAP_TESTS_UNIT_MISUSE_H
#define REAP_TESTS_UNIT_MISUSE_H

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "test.h"

static inline void
check_misuse(const char *rule, void (*body)(void *), void *arg)
{
	const struct rlimit none = { 0, 0 };
	char	 said[1024], wanted[128];
	size_t	 n = 0;
	ssize_t	 got;
	int	 end[2], status;
	pid_t	 pid;

	CHECK_EQ(pipe(end), 0);
	CHECK((pid = fork()) >= 0);
	if (pid == 0) {
		CHECK(signal(SIGABRT, SIG_DFL) != SIG_ERR && setrlimit(RLIMIT_CORE, &none) == 0);
		CHECK(dup2(end[1], STDERR_FILENO) == STDERR_FILENO);
		close(end[0]);
		close(end[1]);
		body(arg);
		_exit(0);
	}
	close(end[1]);
	while (n < sizeof(said) - 1 && ((got = read(end[0], said + n, sizeof(said) - 1 - n)) > 0 || (got < 0 && errno == EINTR)))
		n += got > 0 ? (size_t)got : 0;
	said[n] = '\0';
	close(end[0]);
	while (waitpid(pid, &status, 0) < 0)
		CHECK_EQ(errno, EINTR);
	snprintf(wanted, sizeof(wanted), "libreap: misuse: %s: ", rule);
	if (strncmp(said, wanted, strlen(wanted)) != 0 || !WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT)
		fprintf(stderr, "rule %s, status %#x, said: %s\n", rule, (unsigned)status, said);
	CHECK(strncmp(said, wanted, strlen(wanted)) == 0);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

#define CHECK_MISUSE(rule, body, arg)	check_misuse((rule), (body), (arg))

#endif
