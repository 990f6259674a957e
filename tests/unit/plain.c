/* SPDX-License-Identifier: ISC */
/*
 * plain.c: the test runner without Criterion.  It runs the tests of one file in their order and prints TAP.
 *
 *	program [--no-fork] [--list] [--timeout SECONDS] [suite::name ...]
 */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <sys/wait.h>

#include "test.h"

/* What the child tells its parent about a test; in a page that both share. */
struct verdict {
	enum { STARTED, ENDED, SKIPPED } state;	/* written by the test's process, read by the runner after its end */
	char	reason[256];
};

static struct test_case *first, **last = &first;
static struct verdict *verdict;
static volatile sig_atomic_t child;		/* the process to kill when time is out */
static volatile sig_atomic_t timed_out;
static jmp_buf skip;

void
test_add(struct test_case *tc)
{
	*last = tc;
	last = &tc->next;
}

void
test_skip(const char *reason)
{
	snprintf(verdict->reason, sizeof(verdict->reason), "%s", reason);
	verdict->state = SKIPPED;
	longjmp(skip, 1);
}

static void
run_body(const struct test_case *tc)
{
	verdict->state = STARTED;
	if (setjmp(skip) == 0) {
		tc->body();
		verdict->state = ENDED;
	}
}

static void
on_alarm(int signo)
{
	(void)signo;
	timed_out = 1;
	kill((pid_t)child, SIGKILL);
}

static _Noreturn void
run_child(const struct test_case *tc)
{
	const struct rlimit none = { 0, 0 };

	CHECK(dup2(STDERR_FILENO, STDOUT_FILENO) == STDOUT_FILENO);
	if (tc->signo != 0) {
		/* No sanitizer's report, and no core file, for a death that is wanted. */
		CHECK(signal(tc->signo, SIG_DFL) != SIG_ERR);
		CHECK(setrlimit(RLIMIT_CORE, &none) == 0);
	}
	run_body(tc);
	exit(0);	/* not _exit(): sanitizers report at exit, and change the status */
}

/* Runs one test in a process of its own; returns why it failed, or NULL. */
static const char *
run_forked(const struct test_case *tc, unsigned timeout)
{
	static char why[64];
	int status;
	pid_t pid;

	fflush(stdout);
	if ((pid = fork()) < 0)
		return "fork failed";
	if (pid == 0)
		run_child(tc);
	child = (sig_atomic_t)pid;
	timed_out = 0;
	alarm(timeout);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return "waitpid failed";
	alarm(0);
	if (timed_out)
		return "timed out";
	if (WIFSIGNALED(status)) {
		if (WTERMSIG(status) == tc->signo)
			return NULL;
		snprintf(why, sizeof(why), "died by signal %d", WTERMSIG(status));
		return why;
	}
	if (WEXITSTATUS(status) != 0) {
		snprintf(why, sizeof(why), "exit status %d", WEXITSTATUS(status));
		return why;
	}
	if (verdict->state == SKIPPED)
		return NULL;
	if (verdict->state == STARTED)
		return "left by exit before its end";
	return tc->signo == 0 ? NULL : "did not die";
}

static bool
wanted(const struct test_case *tc, char **names)
{
	char name[256];

	if (*names == NULL)
		return true;
	snprintf(name, sizeof(name), "%s::%s", tc->suite, tc->name);
	for (; *names != NULL; names++)
		if (strcmp(*names, name) == 0)
			return true;
	return false;
}

static _Noreturn void
usage(const char *program)
{
	fprintf(stderr, "usage: %s [--no-fork] [--list] [--timeout SECONDS] [suite::name ...]\n", program);
	exit(2);
}

int
main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_alarm };	/* no SA_RESTART: waitpid() must return */
	const struct test_case *tc;
	unsigned count = 0, failed = 0, n = 0, timeout = 120;
	bool do_fork = true, list = false;
	char **arg = argv + 1, *end;

	for (; *arg != NULL && strncmp(*arg, "--", 2) == 0; arg++) {
		if (strcmp(*arg, "--no-fork") == 0) {
			do_fork = false;
		} else if (strcmp(*arg, "--list") == 0) {
			list = true;
		} else if (strcmp(*arg, "--timeout") == 0 && arg[1] != NULL) {
			unsigned long seconds;

			errno = 0;
			seconds = strtoul(*++arg, &end, 10);
			if (errno != 0 || *end != '\0' || end == *arg || seconds == 0 || seconds > INT_MAX)
				usage(argv[0]);
			timeout = (unsigned)seconds;
		} else {
			usage(argv[0]);
		}
	}
	(void)argc;
	for (tc = first; tc != NULL; tc = tc->next) {
		if (!wanted(tc, arg))
			continue;
		count++;
		if (list)
			printf("%s::%s\n", tc->suite, tc->name);
	}
	if (list)
		return 0;
	verdict = mmap(NULL, sizeof(*verdict), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (verdict == MAP_FAILED || sigaction(SIGALRM, &sa, NULL) != 0) {
		perror(argv[0]);
		return 1;
	}

	printf("TAP version 13\n1..%u\n", count);
	for (tc = first; tc != NULL; tc = tc->next) {
		const char *why = NULL;

		if (!wanted(tc, arg))
			continue;
		n++;
		verdict->state = STARTED;
		if (do_fork) {
			why = run_forked(tc, timeout);
		} else if (tc->signo != 0) {
			verdict->state = SKIPPED;
			snprintf(verdict->reason, sizeof(verdict->reason), "dies, so it needs a process of its own");
		} else {
			printf("# %s::%s\n", tc->suite, tc->name);
			fflush(stdout);
			run_body(tc);
		}
		if (why != NULL) {
			failed++;
			printf("not ok %u - %s::%s\n  ---\n  message: %s\n  ...\n", n, tc->suite, tc->name, why);
		} else if (verdict->state == SKIPPED) {
			printf("ok %u - %s::%s # SKIP %s\n", n, tc->suite, tc->name, verdict->reason);
		} else {
			printf("ok %u - %s::%s\n", n, tc->suite, tc->name);
		}
		fflush(stdout);
	}
	if (count == 0) {
		fprintf(stderr, "%s: no such test\n", argv[0]);
		return 1;
	}
	return failed != 0;
}
