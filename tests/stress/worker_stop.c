/* SPDX-License-Identifier: ISC */
/*
 * worker_stop.c: OS threads become workers, run contexts, and stop being workers while the others go on: what they cached, the
 * slot, credits and descriptors go to the domain, living children of the base context to the adopter; nothing is lost, and
 * the next worker gets what the last one left.
 */
#include "host.h"

#define AT_ONCE		4
#define CONTEXTS	100
#define LIMIT		2000

static struct host host;
static long threads;
static long run, reaped, left;

static void
count(struct reap_context *context, intptr_t status)
{
	(void)context;
	(void)status;
	(void)HOST_ADD(&reaped, 1);
}

static intptr_t
body(void *arg)
{
	host_delay();
	(void)HOST_ADD(&run, 1);
	return (intptr_t)arg;
}

static void *
passer_by(void *arg)
{
	struct reap_worker *worker;
	unsigned wait = 0;

	host_thread((unsigned)(uintptr_t)arg);
	CHECK_EQ(reap_worker_start(host.domain, (void *)((uintptr_t)arg % HOST_WORKERS), &worker), 0);
	for (int i = 0; i < CONTEXTS; i++) {
		struct reap_context_options options = {
			.entry = body,
			.policy = host_policies[host_choose(HOST_POLICIES)],
			.notify = host_choose(2) ? REAP_NOTIFY_EARLY : REAP_NOTIFY_LATE,
			.flags = host_choose(4) == 0 ? REAP_CONTEXT_DETACHED : 0,
			.off_cpu = count,
		};

		CHECK_EQ(host_go_with(&host, options, NULL), 0);
		if (host_choose(4) == 0)
			(void)reap_yield(worker);
		if (host_choose(8) == 0 && reap_wait_any(REAP_NOHANG, NULL) == 0)
			wait++;
	}
	/* Some wait for all, some run what there is, some leave at once: others will run it. */
	switch (host_choose(3)) {
	case 0:
		while (reap_wait_any(0, NULL) == 0)
			continue;
		break;
	case 1:
		for (unsigned i = host_choose(CONTEXTS); i > 0; i--)
			(void)reap_yield(worker);
		break;
	}
	(void)HOST_ADD(&left, (long)reap_children());
	CHECK_EQ(reap_worker_stop(worker), 0);
	CHECK(reap_worker_self() == NULL);
	return NULL;
}

int
main(int argc, char **argv)
{
	struct reap_domain_options options = host_options();
	struct reap_stats stats;
	pthread_t thread[AT_ONCE];
	long made;

	threads = host_main(argc, argv, 500);
	made = threads * CONTEXTS;
	options.limit = LIMIT;
	host_init(&host, options);
	for (long n = 0; n < threads + AT_ONCE; n++) {
		if (n >= AT_ONCE)
			CHECK_EQ(pthread_join(thread[n % AT_ONCE], NULL), 0);
		/* Bounded by the limit: what the leavers left is run and reaped before there is too much of it. */
		stats = host_stats(&host);
		if (stats.created - stats.reaped > LIMIT - AT_ONCE * CONTEXTS - CONTEXTS || n >= threads) {
			struct reap_worker *worker;

			CHECK_EQ(reap_worker_start(host.domain, (void *)(intptr_t)0, &worker), 0);
			do {
				(void)reap_yield(worker);
				(void)reap_adopter_drain(reap_adopter_default(host.domain), 64);
				stats = host_stats(&host);
			} while (stats.created - stats.reaped > AT_ONCE * CONTEXTS);
			CHECK_EQ(reap_worker_stop(worker), 0);
		}
		if (n < threads)
			CHECK_EQ(pthread_create(&thread[n % AT_ONCE], NULL, passer_by, (void *)(uintptr_t)(n + 1)), 0);
	}
	/* The last ones. */
	while (HOST_LOAD(&reaped) < made) {
		struct reap_worker *worker;

		CHECK_EQ(reap_worker_start(host.domain, (void *)(intptr_t)0, &worker), 0);
		(void)reap_yield(worker);
		while (reap_adopter_drain(reap_adopter_default(host.domain), 64) > 0)
			continue;
		CHECK_EQ(reap_worker_stop(worker), 0);
	}
	CHECK_EQ(run, made);
	stats = host_stats(&host);
	CHECK_EQ(stats.limit_hits, 0);
	/* All credits came back: the whole limit can be used again, and not one more. */
	for (int i = 0; i <= LIMIT; i++) {
		struct reap_context_options again = { .entry = body, .off_cpu = count, .flags = REAP_CONTEXT_DETACHED };
		struct reap_context *context;

		again.size = sizeof(again);
		CHECK_EQ(reap_context_create(host.domain, &again, &context), i < LIMIT ? 0 : -EAGAIN);
		if (i < LIMIT)
			*reap_context_link(context) = host.head, host.head = context;
	}
	while (host.head != NULL) {
		struct reap_context *context = host.head;

		host.head = *reap_context_link(context);
		CHECK_EQ(reap_context_destroy(context, 0), 0);
	}
	host.tail = &host.head;
	host_fini(&host);
	CHECK_EQ(reaped, made + LIMIT);
	printf("%ld OS threads were workers for %d contexts each, %ld left to the adopter, all reaped once\n", threads, CONTEXTS, left);
	return 0;
}
