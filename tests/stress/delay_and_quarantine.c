/* SPDX-License-Identifier: ISC */
/*
 * delay_and_quarantine.c: a post before the switch is done passes unnoticed as long as dead stacks are kept: here the dying linger
 * before their final switch, and what is freed faults on every touch until many others have been freed after it.
 *
 * All policies, told late and early, waited for by parents, siblings, OS threads and the adopter.  10000000 is the long run.
 */
#include "host.h"

#define WORKERS		2
#define PARENTS		3
#define CHILDREN	6

static struct host host;
static long total, lives;
static enum reap_policy policy;
static enum reap_notify notify;

/* Late writes of the dead: to the end of its stack, and in depth. */
static intptr_t
child(void *arg)
{
	volatile char deep[2048];

	for (size_t i = 0; i < sizeof(deep); i += 64)
		deep[i] = (char)i;
	if (host_choose(8) == 0)
		host_pause();
	return (intptr_t)arg + deep[0];
}

/* The last thing on the dying stack: write there for a while. */
static void
linger(struct reap_context *dying)
{
	volatile char here[256];

	(void)dying;
	for (unsigned n = host_choose(16) == 0 ? host_choose(64) : 0; n > 0; n--)
		for (size_t i = 0; i < sizeof(here); i += 16)
			here[i] = (char)n;
	host_delay();
}

static intptr_t
joiner(void *arg)
{
	struct reap_handle handle = *(struct reap_handle *)arg;
	int error = reap_join(handle, 0, NULL);

	CHECK(error == 0 || error == -ESRCH || error == -EBUSY);
	return 0;
}

static intptr_t
parent(void *arg)
{
	long each = total / (2 * (HOST_POLICIES + 1)) / PARENTS;

	for (long n = 0; n < each; n += CHILDREN + 1) {
		struct reap_context_options options = { .entry = child, .policy = policy, .notify = notify };
		struct reap_handle handle[CHILDREN];
		struct reap_result result;
		int error;

		for (intptr_t i = 0; i < CHILDREN; i++) {
			options.arg = (void *)i;
			options.flags = i == CHILDREN - 1 && host_choose(4) == 0 ? REAP_CONTEXT_DETACHED : 0;
			CHECK_EQ(host_go_with(&host, options, &handle[i]), 0);
		}
		options.entry = joiner;
		options.arg = &handle[0];
		options.flags = 0;
		CHECK_EQ(host_go_with(&host, options, NULL), 0);
		if (host_choose(2)) {
			error = reap_join(handle[1], 0, &result);
			CHECK_EQ(error, 0);
			CHECK_EQ(result.status, 1);
		}
		while ((error = reap_wait_any(0, &result)) == 0)
			CHECK(result.status >= 0 && result.status < CHILDREN);
		CHECK_EQ(error, -ECHILD);
		(void)reap_adopter_drain(reap_adopter_default(host.domain), CHILDREN);
	}
	return (intptr_t)arg;
}

static void
run(enum reap_policy p, enum reap_notify when)
{
	struct reap_domain_options options = host_options();
	struct reap_handle handle[PARENTS];

	policy = p;
	notify = when;
	options.before_final_switch = linger;
	options.stack.quarantine = 128;
	host_begin(&host, options, WORKERS);
	if (p == REAP_POLICY_THREAD)
		CHECK_EQ(reap_thread_start(host.domain, when == REAP_NOTIFY_EARLY ? 0 : 16), 0);
	for (intptr_t i = 0; i < PARENTS; i++)
		handle[i] = host_go(&host, parent, (void *)i);
	for (int i = 0; i < PARENTS; i++)
		CHECK_EQ(reap_join(handle[i], 0, NULL), 0);
	if (p == REAP_POLICY_THREAD) {
		while (host_stats(&host).live > 0)
			(void)sched_yield();
		while (host_stats(&host).zombies > 0)
			if (reap_adopter_drain(reap_adopter_default(host.domain), CHILDREN) <= 0)
				(void)sched_yield();
		CHECK_EQ(reap_thread_stop(host.domain), 0);
	}
	lives += (long)host_stats(&host).created;
	host_end(&host);
}

int
main(int argc, char **argv)
{
	total = host_main(argc, argv, 50000);
	for (int early = 0; early < 2; early++) {
		enum reap_notify when = early ? REAP_NOTIFY_EARLY : REAP_NOTIFY_LATE;

		for (int i = 0; i < HOST_POLICIES; i++)
			run(host_policies[i], when);
		run(REAP_POLICY_THREAD, when);
	}
	printf("%ld lives under %d policies, no stack touched after its post\n", lives, 2 * (HOST_POLICIES + 1));
	return 0;
}
