/* SPDX-License-Identifier: ISC */
/*
 * report.c: what the environment asks for, and what is said at exit.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compat.h"

uint32_t reap__compat_mode = REAP__COMPAT_KEEP;
uint64_t reap__compat_mask;
uint64_t reap__compat_count[REAP__COMPAT_COUNTS];

static const char *const names[REAP__COMPAT_COUNTS] = {
	[REAP__COMPAT_SWAPCONTEXT] = "swapcontext",
	[REAP__COMPAT_SETCONTEXT] = "setcontext",
	[REAP__COMPAT_JUMP_FCONTEXT] = "jump_fcontext",
	[REAP__COMPAT_ONTOP_FCONTEXT] = "ontop_fcontext",
	[REAP__COMPAT_COROUTINE] = "coroutine_transfer",
};

static const char	*who_keeps;	/* by compare-and-swap, once */
static bool		 never_keep;	/* by the constructor */

/* By the constructor.  Copies: programs that set their title write over their arguments and their environment. */
static char	report[PATH_MAX];	/* a path, `1', or empty */
static char	program[64];		/* its name */

void
reap__compat_keep_masks(const char *why)
{
	const char *nobody = NULL;

	if (__atomic_load_n(&never_keep, __ATOMIC_RELAXED))
		return;
	/* Relaxed: a mask is its thread's own, and so are the calls that come after this one. */
	if (__atomic_compare_exchange_n(&who_keeps, &nobody, why, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		__atomic_or_fetch(&reap__compat_mode, REAP__COMPAT_KEEP, __ATOMIC_RELAXED);
}

/* What went before is the parent's. */
static void
forked(void)
{
	memset(reap__compat_count, 0, sizeof(reap__compat_count));
}

static void __attribute__((noreturn))
refuse(const char *variable, const char *value, const char *choices)
{
	fprintf(stderr, "libreap-compat: %s=%s: it can be %s\n", variable, value, choices);
	_exit(127);
}

/* Not for programs that got their rights from elsewhere than their user. */
static void __attribute__((constructor))
begin(void)
{
	const char *sigmask = secure_getenv("REAP_COMPAT_SIGMASK"), *to = secure_getenv("REAP_COMPAT_REPORT");
	sigset_t set;
	uint32_t mode = 0;

	if (to == NULL || strcmp(to, "0") == 0)
		to = "";
	if (*to != '\0' && ((*to != '/' && strcmp(to, "1") != 0) || strlen(to) >= sizeof(report)))
		refuse("REAP_COMPAT_REPORT", to, "1, for the standard error, or the absolute path of a file to append to");
	strcpy(report, to);
	(void)snprintf(program, sizeof(program), "%s", program_invocation_short_name);
	if (sigmask == NULL || strcmp(sigmask, "auto") == 0)
		;
	else if (strcmp(sigmask, "keep") == 0)
		reap__compat_keep_masks("REAP_COMPAT_SIGMASK");
	else if (strcmp(sigmask, "skip") == 0) {
		who_keeps = NULL;
		__atomic_store_n(&never_keep, true, __ATOMIC_RELAXED);
	} else
		refuse("REAP_COMPAT_SIGMASK", sigmask, "auto, keep or skip");
	if (*report != '\0') {
		mode |= REAP__COMPAT_COUNT;
		(void)pthread_atfork(NULL, NULL, forked);
	}

	sigemptyset(&set);
	(void)sigprocmask(SIG_BLOCK, NULL, &set);
	memcpy(&reap__compat_mask, &set, sizeof(reap__compat_mask));
	/* Whoever was earlier, in a constructor of its own, may have set it; then it stays. */
	if (__atomic_load_n(&who_keeps, __ATOMIC_RELAXED) != NULL)
		mode |= REAP__COMPAT_KEEP;
	__atomic_store_n(&reap__compat_mode, mode, __ATOMIC_RELAXED);
	reap__compat_check_boost();
	reap__compat_check_ruby();
}

static void __attribute__((destructor))
end(void)
{
	char line[512];
	size_t n;
	int fd = STDERR_FILENO;

	if (*report == '\0')
		return;
	n = (size_t)snprintf(line, sizeof(line), "libreap-compat: %s[%ld]:", program, (long)getpid());
	for (int i = 0; i < REAP__COMPAT_COUNTS && n < sizeof(line); i++)
		n += (size_t)snprintf(line + n, sizeof(line) - n, " %s %llu%s", names[i],
		    (unsigned long long)__atomic_load_n(&reap__compat_count[i], __ATOMIC_RELAXED),
		    i == REAP__COMPAT_COUNTS - 1 ? ";" : ",");
	if (n < sizeof(line))
		n += (size_t)snprintf(line + n, sizeof(line) - n, " signal masks %s%s\n", who_keeps != NULL ? "kept since " :
		    never_keep ? "skipped, as asked" : "never touched", who_keeps != NULL ? who_keeps : "");
	if (n > sizeof(line) - 1)
		n = sizeof(line) - 1;
	if (*report == '/' && (fd = open(report, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666)) < 0)
		fd = STDERR_FILENO;
	if (write(fd, line, n) < 0 && fd == STDERR_FILENO)
		return;			/* it is closed: there is nobody to tell */
	if (fd != STDERR_FILENO)
		(void)close(fd);
}
