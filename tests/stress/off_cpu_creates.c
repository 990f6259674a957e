/* SPDX-License-Identifier: ISC */
/*
 * off_cpu_creates.c: a parent collects a child whose off_cpu() makes another context.  That create may sweep the parent's list of
 * the dead, full of tombstones that strangers have left there, and must not mistake the one being collected for one of them.
 */
#include "host.h"

#define WORKERS		2
#define CHILDREN	64		/* enough let go for a create to sweep */

static struct host host;
static long rounds;
static long late_born;
static struct reap_handle handles[CHILDREN];
static int published, taken;

static intptr_t
latecomer(void *arg)
{
	(void)HOST_ADD(&late_born, 1);
	return (intptr_t)arg;
}

static void
create(struct reap_context *context, intptr_t status)
{
	struct reap_context_options options = { .entry = latecomer, .flags = REAP_CONTEXT_DETACHED };

	(void)context;
	if (status % 2 == 0)
		CHECK_EQ(host_go_with(&host, options, NULL), 0);
}

static intptr_t
child(void *arg)
{
	return (intptr_t)arg;
}

static intptr_t
parent(void *arg)
{
	struct reap_context_options options = { .entry = child, .off_cpu = create };
	struct reap_result result;
	intptr_t n = 0, before = -1;

	for (intptr_t i = 0; i < CHILDREN; i++) {
		options.arg = (void *)i;
		CHECK_EQ(host_go_with(&host, options, &handles[i]), 0);
	}
	HOST_STORE(&published, 1);
	while (HOST_LOAD(&taken) == 0) {
		host_pause();
		(void)sched_yield();
	}
	for (; reap_wait_any(0, &result) == 0; n++) {
		CHECK(result.status >= 0 && result.status < CHILDREN && result.status != before);
		before = result.status;
	}
	CHECK_EQ(reap_children(), 0);
	(void)arg;
	return n;
}

int
main(int argc, char **argv)
{
	struct reap_result result;
	struct reap_handle handle;
	long collected = 0, joined = 0;

	rounds = host_main(argc, argv, 800);
	host_begin(&host, host_options(), WORKERS);
	for (long n = 0; n < rounds; n++) {
		published = taken = 0;
		handle = host_go(&host, parent, NULL);
		while (HOST_LOAD(&published) == 0)
			(void)sched_yield();
		/* All but a few, and mostly not the oldest. */
		for (int i = 0; i < CHILDREN; i++)
			if (host_choose(8) != 0) {
				CHECK_EQ(reap_join(handles[i], 0, NULL), 0);
				joined++;
			}
		HOST_STORE(&taken, 1);
		CHECK_EQ(reap_join(handle, 0, &result), 0);
		collected += result.status;
		(void)reap_adopter_drain(reap_adopter_default(host.domain), 128);
	}
	host_end(&host);
	CHECK_EQ(collected + joined, rounds * CHILDREN);
	printf("%ld children collected between %ld tombstones, %ld contexts made meanwhile\n", collected, joined, late_born);
	return 0;
}
