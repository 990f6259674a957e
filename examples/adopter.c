/* SPDX-License-Identifier: ISC */
/*
 * adopter.c: contexts that nobody waits for.  They are detached and go to an adopter of the program's own, which is drained
 * in steps of at most four: the one who drains decides how long a step may take, and the backlog says what is left.
 */
#include <stdio.h>

#include <reap/runtime.h>

#define CONTEXTS	10
#define BUDGET		4

static int served;

static intptr_t
serve(void *arg)
{
	(void)arg;
	served++;			/* one worker: no race */
	return 0;
}

static intptr_t
start(void *arg)
{
	struct reap_context_options options = { .size = sizeof(options), .entry = serve, .flags = REAP_CONTEXT_DETACHED };
	int i, n;

	(void)arg;
	if (reap_adopter_create(reap_runtime_domain(reap_runtime_self()), NULL, &options.adopter) != 0)
		return 1;
	for (i = 0; i < CONTEXTS; i++)
		if (reap_go_with(&options, NULL) != 0)
			return 1;
	if (reap_adopter_wait(options.adopter) != 0)	/* sleeps, so the others run */
		return 1;
	printf("served %d, backlog %zu\n", served, reap_adopter_backlog(options.adopter));
	while ((n = reap_adopter_drain(options.adopter, BUDGET)) > 0)
		printf("reaped %d, backlog %zu\n", n, reap_adopter_backlog(options.adopter));
	return reap_adopter_destroy(options.adopter);
}

int
main(void)
{
	struct reap_runtime_options options = { .size = sizeof(options), .workers = 1 };
	intptr_t status = 0;

	return reap_run(&options, start, NULL, &status) != 0 || status != 0;
}
