/* SPDX-License-Identifier: ISC */
/*
 * versions.c: is what is loaded the Boost and the Ruby whose ABI is served?
 *
 * Of Boost the file name tells, of Ruby a symbol.  Where neither is there, as in a program that has them linked in statically,
 * nothing can be told: but then it does not call what is exported here either.
 */
#include <dlfcn.h>
#include <link.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compat.h"

#define BOOST	"libboost_context.so."
#define SERVED	"1.74."

static void __attribute__((noreturn))
refuse(const char *what, const char *serves)
{
	fprintf(stderr, "libreap-compat: %s is loaded; this library serves the ABI of %s.  Run the program without it, or, if you "
	    "know that the ABI is the same, with REAP_COMPAT_ANY_VERSION=1\n", what, serves);
	_exit(127);
}

static bool
any_version(void)
{
	const char *s = secure_getenv("REAP_COMPAT_ANY_VERSION");

	return s != NULL && strcmp(s, "1") == 0;
}

static int
look(struct dl_phdr_info *info, size_t size, void *arg)
{
	const char *name = strrchr(info->dlpi_name, '/'), **other = arg;

	(void)size;
	name = name != NULL ? name + 1 : info->dlpi_name;
	if (strncmp(name, BOOST, strlen(BOOST)) != 0 || strncmp(name + strlen(BOOST), SERVED, strlen(SERVED)) == 0)
		return 0;
	*other = name;
	return 1;
}

void
reap__compat_check_boost(void)
{
	static uint32_t times;			/* any thread; one too many does no harm */
	const char *other = NULL;

	/* By the constructor, and by the first make_fcontext(), when the program has loaded what it loads. */
	if (__atomic_load_n(&times, __ATOMIC_RELAXED) >= 2)
		return;
	__atomic_add_fetch(&times, 1, __ATOMIC_RELAXED);
	if (!any_version() && dl_iterate_phdr(look, &other) != 0)
		refuse(other, "Boost 1.74");
}

void
reap__compat_check_ruby(void)
{
	const int *version = dlsym(RTLD_DEFAULT, "ruby_api_version");		/* int [3], of every Ruby since 1.9 */
	char what[64];

	if (version == NULL || (version[0] == 3 && version[1] == 1) || any_version())
		return;
	snprintf(what, sizeof(what), "Ruby %d.%d", version[0], version[1]);
	refuse(what, "Ruby 3.1");
}
