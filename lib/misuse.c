/* SPDX-License-Identifier: ISC */
/*
 * misuse.c: a broken rule that would corrupt memory ends the process, in every build, with the name of the rule.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include <reap/base.h>

_Noreturn void
reap_misuse(const char *rule, const char *why)
{
	/* writev, not stdio: this may run on any stack, however small, with any lock held. */
	struct iovec	 part[] = {
		{ (void *)(uintptr_t)"libreap: misuse: ", 17 },
		{ (void *)(uintptr_t)rule, strlen(rule) },
		{ (void *)(uintptr_t)": ", 2 },
		{ (void *)(uintptr_t)why, strlen(why) },
		{ (void *)(uintptr_t)"\n", 1 },
	};

	if (writev(STDERR_FILENO, part, sizeof(part) / sizeof(part[0])) < 0)
		abort();	/* nobody listens: the same end */
	abort();
}

const char *
reap_version(void)
{
#define STR_(x)	#x
#define STR(x)	STR_(x)
	return STR(REAP_VERSION_MAJOR) "." STR(REAP_VERSION_MINOR) "." STR(REAP_VERSION_PATCH);
}
