/* SPDX-License-Identifier: ISC */
/*
 * slot_chain.c: every exit goes straight into a context that has never run, which does nothing but exit.  Each first entry must
 * land, or the slot is still full at the next exit, and two stacks are lost.
 *
 * Chains of 1 to 64 fresh contexts under every policy, on two workers, with the odd one that parks or yields in between.
 */
#include "host.h"

#define WORKERS		2
#define CHAIN		64

static struct host host;
static long total, direct;

static intptr_t
ends(void *arg)
{
	return (intptr_t)arg;
}

static intptr_t
yields(void *arg)
{
	(void)reap_yield(reap_worker_self());
	return (intptr_t)arg;
}

static intptr_t
parent(void *arg)
{
	for (long n = 0; n < total / WORKERS;) {
		struct reap_context_options options = {
			.entry = ends,
			.policy = host_policies[host_choose(HOST_POLICIES)],
			.notify = host_choose(4) == 0 ? REAP_NOTIFY_EARLY : REAP_NOTIFY_LATE,
		};
		struct reap_result result;
		int length = 1 + (int)host_choose(CHAIN), sum = 0;

		for (int i = 0; i < length; i++) {
			options.entry = host_choose(32) == 0 ? yields : ends;
			options.arg = (void *)(intptr_t)i;
			CHECK_EQ(host_go_with(&host, options, NULL), 0);
		}
		for (int i = 0; i < length; i++) {
			CHECK_EQ(reap_wait_any(0, &result), 0);
			sum += (int)result.status;
		}
		CHECK_EQ(sum, length * (length - 1) / 2);
		(void)reap_adopter_drain(reap_adopter_default(host.domain), CHAIN);
		n += length;
	}
	return (intptr_t)arg;
}

int
main(int argc, char **argv)
{
	struct reap_domain_options options = host_options();
	struct reap_handle handle[WORKERS];
	struct reap_stats stats;

	total = host_main(argc, argv, 150000);
	options.before_final_switch = NULL;
	host_begin(&host, options, WORKERS);
	for (intptr_t i = 0; i < WORKERS; i++)
		handle[i] = host_go(&host, parent, (void *)i);
	for (int i = 0; i < WORKERS; i++)
		CHECK_EQ(reap_join(handle[i], 0, NULL), 0);
	stats = host_stats(&host);
	direct = (long)stats.handed_direct;
	CHECK_EQ(stats.landings_posted, stats.exited);
	host_end(&host);
	printf("%llu exits, %ld straight into another context, every landing posted\n", (unsigned long long)stats.exited, direct);
	return 0;
}
