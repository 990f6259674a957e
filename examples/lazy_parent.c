/* SPDX-License-Identifier: ISC */
/*
 * lazy_parent.c: a parent that waits late.  Its children are zombies meanwhile, but thin ones: nobody waited when they died,
 * so the landing gave their stacks back at once, and a thousand lives shared one stack.  The statistics tell.
 */
#include <stdio.h>

#include <reap/runtime.h>

#define CHILDREN	1000

static intptr_t
live(void *arg)
{
	return (intptr_t)arg;
}

static void
report(const char *when)
{
	struct reap_stats stats = { .size = sizeof(stats) };

	reap_domain_stats(reap_runtime_domain(reap_runtime_self()), &stats);
	printf("%s: %d live, %d zombies, %d stacks in use\n", when, (int)stats.live, (int)stats.zombies,
	    (int)(stats.stacks_mapped - stats.stacks_cached));
}

static intptr_t
start(void *arg)
{
	struct reap_context *child;
	struct reap_result result;
	intptr_t i, sum = 0;

	(void)arg;
	for (i = 0; i < CHILDREN; i++) {
		if (reap_go(live, (void *)i, &child) != 0)
			return 1;
		reap_pause();		/* it lives and dies, and we have better things to do than to wait */
	}
	report("before the wait");
	while (reap_wait_any(0, &result) == 0)
		sum += result.status;
	report("after the wait");
	return sum != (intptr_t)CHILDREN * (CHILDREN - 1) / 2;
}

int
main(void)
{
	struct reap_runtime_options options = { .size = sizeof(options), .workers = 1 };
	intptr_t status = 0;

	return reap_run(&options, start, NULL, &status) != 0 || status != 0;
}
