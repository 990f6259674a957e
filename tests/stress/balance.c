/* SPDX-License-Identifier: ISC */
/*
 * balance.c: one worker creates and another runs and reaps, always in the same direction.  What the one reaps the other must
 * get again: stacks and descriptors in existence stay bounded by what is alive at a time and what caches may keep.
 */
#include "host.h"

#define AT_ONCE		256		/* made and not reaped yet, at most */
#define CACHES		(2 * (REAP_STACK_CACHE_DEFAULT + 32) + 1024)	/* two workers', and the depot's */

static struct host host;		/* of the one who runs them */
static long total;
static long created, reaped;

/* A ring from the one to the other. */
static struct reap_context *ring[AT_ONCE];

static intptr_t
body(void *arg)
{
	return (intptr_t)arg;
}

static void
count(struct reap_context *context, intptr_t status)
{
	(void)context;
	(void)status;
	HOST_STORE(&reaped, reaped + 1);
}

static void *
creates(void *arg)
{
	struct reap_context_options options = {
		.size = sizeof(options), .entry = body, .flags = REAP_CONTEXT_DETACHED, .off_cpu = count,
	};
	struct reap_worker *worker;

	host_thread(1);
	CHECK_EQ(reap_worker_start(host.domain, (void *)(intptr_t)1, &worker), 0);
	for (long n = 0; n < total; n++) {
		while (n - HOST_LOAD(&reaped) >= AT_ONCE)
			(void)sched_yield();
		options.policy = host_policies[n / AT_ONCE % HOST_POLICIES];
		CHECK_EQ(reap_context_create(host.domain, &options, &ring[n % AT_ONCE]), 0);
		HOST_STORE(&created, n + 1);
	}
	CHECK_EQ(reap_worker_stop(worker), 0);
	return arg;
}

int
main(int argc, char **argv)
{
	struct reap_adopter *adopter;
	struct reap_worker *worker;
	struct reap_stats stats;
	pthread_t thread;
	uint64_t most = 0;
	long before = 0, after;

	total = host_main(argc, argv, 300000);
	host_init(&host, host_options());
	adopter = reap_adopter_default(host.domain);
	CHECK_EQ(pthread_create(&thread, NULL, creates, NULL), 0);
	CHECK_EQ(reap_worker_start(host.domain, (void *)(intptr_t)0, &worker), 0);
	for (long n = 0, next = total / 10; n < total;) {
		long there = HOST_LOAD(&created);

		if (n == there)
			(void)sched_yield();
		for (; n < there; n++)
			worker = reap_switch(worker, ring[n % AT_ONCE]);
		while (reap_adopter_drain(adopter, AT_ONCE) > 0)
			continue;
		if (n >= next) {
			stats = host_stats(&host);
			most = stats.stacks_mapped > most ? stats.stacks_mapped : most;
			before = before == 0 ? host_rss() : before;
			next += total / 10;
		}
	}
	after = host_rss();
	CHECK_EQ(reap_worker_stop(worker), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	host_fini(&host);
	CHECK_EQ(reaped, total);
	CHECK(most <= AT_ONCE + CACHES + 256);	/* mapped by whole slabs */
	CHECK(after - before < 8 << 20);
	printf("%ld contexts created here and reaped there, at most %llu stacks in existence\n", total, (unsigned long long)most);
	return 0;
}
