/* SPDX-License-Identifier: ISC */
/*
 * hello.c: the bundled runtime.  A first context, two children that may run on any OS thread, and a parent that reaps them.
 */
#include <stdio.h>
#include <string.h>

#include <reap/runtime.h>

static intptr_t
measure(void *arg)
{
	return (intptr_t)strlen(arg);
}

static intptr_t
start(void *arg)
{
	static char words[2][8] = { "hello", "libreap" };
	struct reap_context *child[2];
	struct reap_result result;
	int i, err;

	(void)arg;
	for (i = 0; i < 2; i++)
		if ((err = reap_go(measure, words[i], &child[i])) != 0)
			return err;
	for (i = 0; i < 2; i++) {
		if ((err = reap_wait(child[i], 0, &result)) != 0)
			return err;
		printf("%s: %d letters\n", words[i], (int)result.status);
	}
	return 0;
}

int
main(void)
{
	intptr_t status;
	int err = reap_run(NULL, start, NULL, &status);

	if (err != 0 || status != 0)
		fprintf(stderr, "hello: %s\n", strerror(-(err != 0 ? err : (int)status)));
	return err != 0 || status != 0;
}
