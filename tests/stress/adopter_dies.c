/* SPDX-License-Identifier: ISC */
/*
 * adopter_dies.c: a sub-adopter is destroyed while contexts that name it end, leave it corpses and stacks, or become orphans.
 * All it owes goes to its heir, none is lost, and its memory stays as long as a context names it.
 */
#include "host.h"

#define WORKERS		2
#define CHILDREN	6

static struct host host;
static long rounds;
static long made, reaped, inherited;

static void
count(struct reap_context *context, intptr_t status)
{
	(void)context;
	(void)status;
	(void)HOST_ADD(&reaped, 1);
}

static intptr_t
leaf(void *arg)
{
	host_delay();
	return (intptr_t)arg;
}

static struct reap_context_options
options_for(reap_entry *entry, void *arg, struct reap_adopter *adopter)
{
	(void)HOST_ADD(&made, 1);
	return (struct reap_context_options){
		.entry = entry,
		.arg = arg,
		.adopter = adopter,
		/* The adopter's own stacks come most often. */
		.policy = host_choose(2) ? REAP_POLICY_ADOPTER : host_policies[host_choose(HOST_POLICIES)],
		.notify = host_choose(2) ? REAP_NOTIFY_EARLY : REAP_NOTIFY_LATE,
		.flags = host_choose(2) ? REAP_CONTEXT_DETACHED : 0,
		.off_cpu = count,
	};
}

/* Under the sub-adopter: some children are detached, the others become orphans. */
static intptr_t
parent(void *arg)
{
	for (int i = 0; i < CHILDREN; i++)
		CHECK_EQ(host_go_with(&host, options_for(leaf, NULL, NULL), NULL), 0);
	host_delay();
	return (intptr_t)arg;
}

/* One who drains for a while, and sleeps when there is nothing. */
static intptr_t
drainer(void *arg)
{
	struct reap_adopter *adopter = arg;

	while (reap_adopter_wait(adopter) == 0)
		if (reap_adopter_drain(adopter, 1 + host_choose(4)) == 0)
			host_pause();
	return 0;
}

static void
one_round(long n)
{
	struct reap_adopter *heir, *adopter;
	struct reap_handle handle;
	bool drained = n % 4 == 0;

	CHECK_EQ(reap_adopter_create(host.domain, NULL, &heir), 0);
	CHECK_EQ(reap_adopter_create(host.domain, n % 2 ? heir : NULL, &adopter), 0);
	if (drained)
		handle = host_go(&host, drainer, adopter);
	for (int i = 0; i < 2; i++) {
		struct reap_context_options options = options_for(parent, NULL, adopter);

		options.flags = REAP_CONTEXT_DETACHED;
		CHECK_EQ(host_go_with(&host, options, NULL), 0);
	}
	host_delay();
	if (drained) {
		reap_adopter_interrupt(adopter);
		CHECK_EQ(reap_join(handle, 0, NULL), 0);
	} else
		(void)reap_adopter_drain(adopter, host_choose(4));
	CHECK_EQ(reap_adopter_destroy(adopter), 0);
	for (unsigned i = host_choose(4); i > 0; i--) {
		int drains = reap_adopter_drain(heir, 8);

		CHECK(drains >= 0);
		inherited += drains;
		host_delay();
	}
	CHECK_EQ(reap_adopter_destroy(heir), 0);
}

int
main(int argc, char **argv)
{
	rounds = host_main(argc, argv, 4000);
	host_begin(&host, host_options(), WORKERS);
	for (long n = 0; n < rounds; n++) {
		one_round(n);
		if (n % 8 == 7)
			(void)reap_adopter_drain(reap_adopter_default(host.domain), 256);
	}
	while (HOST_LOAD(&reaped) < HOST_LOAD(&made))
		if (reap_adopter_drain(reap_adopter_default(host.domain), 256) <= 0)
			(void)sched_yield();
	host_end(&host);
	CHECK_EQ(reaped, made);
	printf("%ld contexts under %ld adopters that died, %ld reaped by their heirs, all of them by somebody\n", made, 2 * rounds,
	    inherited);
	return 0;
}
