/* SPDX-License-Identifier: ISC */
/*
 * reaper_thread.c: the reaper thread frees, posts and tells, while parents, siblings, OS threads and base contexts wait, and
 * is stopped as soon as nobody is left: a landing that handed it the last corpse may still be on its way back.
 *
 * Plain and batching by turns, told late and early, attached and detached.
 */
#include "host.h"

#define WORKERS		2
#define CHILDREN	4

static struct host host;
static long rounds;
static long reaped;

static void
count(struct reap_context *context, intptr_t status)
{
	(void)context;
	(void)status;
	(void)HOST_ADD(&reaped, 1);
}

static intptr_t
child(void *arg)
{
	host_delay();
	return (intptr_t)arg;
}

static struct reap_context_options
by_thread(reap_entry *entry, void *arg)
{
	return (struct reap_context_options){
		.entry = entry,
		.arg = arg,
		.policy = REAP_POLICY_THREAD,
		.notify = host_choose(2) ? REAP_NOTIFY_EARLY : REAP_NOTIFY_LATE,
		.flags = host_choose(8) == 0 ? REAP_CONTEXT_DETACHED : 0,
		.off_cpu = count,
	};
}

static intptr_t
parent(void *arg)
{
	struct reap_handle handle[CHILDREN];
	struct reap_result result;
	unsigned attached = 0;
	intptr_t i;

	for (i = 0; i < CHILDREN; i++) {
		struct reap_context_options options = by_thread(child, (void *)i);

		CHECK_EQ(host_go_with(&host, options, &handle[i]), 0);
		if (!(options.flags & REAP_CONTEXT_DETACHED))
			attached |= 1u << i;
	}
	if (host_choose(2))
		for (i = 0; i < CHILDREN; i++)
			if (attached & 1u << i) {
				CHECK_EQ(reap_join(handle[i], 0, &result), 0);
				CHECK_EQ(result.status, i);
				attached &= ~(1u << i);
			}
	while (reap_wait_any(0, &result) == 0)
		attached &= ~(1u << result.status);
	CHECK_EQ(attached, 0);
	return (intptr_t)arg;
}

/* A base context that waits. */
static void *
base(void *arg)
{
	struct reap_worker *worker;
	struct reap_context *context;
	struct reap_result result;

	host_thread(WORKERS);
	CHECK_EQ(reap_worker_start(host.domain, (void *)(intptr_t)WORKERS, &worker), 0);
	for (intptr_t i = 0; i < CHILDREN; i++) {
		struct reap_context_options options = by_thread(child, (void *)i);

		options.size = sizeof(options);
		options.flags = 0;
		CHECK_EQ(reap_context_create(host.domain, &options, &context), 0);
		host_ready(context);
		CHECK_EQ(reap_wait(context, 0, &result), 0);
		CHECK_EQ(result.status, i);
	}
	CHECK_EQ(reap_worker_stop(worker), 0);
	return arg;
}

int
main(int argc, char **argv)
{
	static const unsigned batches[] = { 0, 1, 32 };
	long made = 0;

	rounds = host_main(argc, argv, 3000);
	host_begin(&host, host_options(), WORKERS);
	for (long n = 0; n < rounds; n++) {
		struct reap_context_options options;
		struct reap_handle handle;
		struct reap_result result;
		pthread_t thread;
		bool with_base = n % 16 == 0;

		CHECK_EQ(reap_thread_start(host.domain, batches[n % 3]), 0);
		CHECK_EQ(reap_thread_start(host.domain, 1), -EBUSY);
		options = by_thread(parent, (void *)n);
		options.flags = 0;
		if (with_base)
			CHECK_EQ(pthread_create(&thread, NULL, base, NULL), 0);
		CHECK_EQ(host_go_with(&host, options, &handle), 0);
		CHECK_EQ(reap_join(handle, 0, &result), 0);
		CHECK_EQ(result.status, n);
		if (with_base)
			CHECK_EQ(pthread_join(thread, NULL), 0);
		made += 1 + CHILDREN + (with_base ? CHILDREN : 0);
		/* The detached ones may still be alive. */
		while (HOST_LOAD(&reaped) < made)
			if (reap_adopter_drain(reap_adopter_default(host.domain), 16) <= 0)
				(void)sched_yield();
		CHECK_EQ(reap_thread_stop(host.domain), 0);
		CHECK_EQ(reap_thread_stop(host.domain), -ESRCH);
	}
	host_end(&host);
	CHECK_EQ(reaped, made);
	printf("%ld contexts reaped by %ld reaper threads, one after the other\n", made, rounds);
	return 0;
}
