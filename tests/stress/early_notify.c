/* SPDX-License-Identifier: ISC */
/*
 * early_notify.c: the parent is told at the exit, while the dying one is still on its CPU and lingers there: it must meet the
 * barrier, sleep again on the same completion, and be woken again by the post.
 *
 * Parents on two workers wait by wait_any, wait and join; siblings join each other; freed stacks fault (quarantine).
 */
#include "host.h"

#define WORKERS		2
#define PARENTS		4
#define CHILDREN	4

static struct host host;
static long rounds;

static intptr_t
child(void *arg)
{
	host_delay();
	return (intptr_t)arg;
}

struct pair {
	struct reap_handle elder;
	long number;
};

static intptr_t
younger(void *arg)
{
	struct pair *pair = arg;
	struct reap_result result;

	int error = reap_join(pair->elder, 0, &result);

	if (error == 0)
		CHECK_EQ(result.status, pair->number);
	else
		CHECK(error == -EBUSY || error == -ESRCH);	/* the parent was faster */
	return error == 0;
}

static intptr_t
parent(void *arg)
{
	long first = (long)(intptr_t)arg * rounds;

	for (long n = first; n < first + rounds; n++) {
		struct reap_context_options options = { .entry = child, .notify = REAP_NOTIFY_EARLY };
		struct reap_handle handle[CHILDREN], brother;
		struct reap_result result;
		struct pair pair;
		intptr_t sum = 0;
		int collected;

		for (int i = 0; i < CHILDREN; i++) {
			options.arg = (void *)(intptr_t)(n * CHILDREN + i);
			options.policy = host_policies[host_choose(HOST_POLICIES)];
			CHECK_EQ(host_go_with(&host, options, &handle[i]), 0);
		}
		switch (host_choose(3)) {
		case 0:
			for (int i = 0; i < CHILDREN; i++) {
				CHECK_EQ(reap_join(handle[i], 0, &result), 0);
				CHECK_EQ(result.status, n * CHILDREN + i);
			}
			break;
		case 1:
			for (int i = 0; i < CHILDREN; i++) {
				CHECK_EQ(reap_wait_any(0, &result), 0);
				sum += result.status - n * CHILDREN;
			}
			CHECK_EQ(sum, CHILDREN * (CHILDREN - 1) / 2);
			break;
		default:
			pair = (struct pair){ handle[0], n * CHILDREN };
			options.entry = younger;
			options.arg = &pair;
			CHECK_EQ(host_go_with(&host, options, &brother), 0);
			for (collected = 0; reap_wait_any(0, &result) == 0; collected++)
				if (result.handle.where == brother.where && result.handle.generation == brother.generation)
					collected += (int)result.status;	/* this many more */
			CHECK_EQ(collected, CHILDREN + 1);
		}
		CHECK_EQ(reap_wait_any(0, NULL), -ECHILD);
		(void)reap_adopter_drain(reap_adopter_default(host.domain), 16);
	}
	return 0;
}

int
main(int argc, char **argv)
{
	struct reap_domain_options options = host_options();
	struct reap_handle handle[PARENTS];
	struct reap_stats stats;

	rounds = host_main(argc, argv, 1500);
	options.stack.quarantine = 32;
	options.notify = REAP_NOTIFY_EARLY;
	host_begin(&host, options, WORKERS);
	for (intptr_t i = 0; i < PARENTS; i++)
		handle[i] = host_go(&host, parent, (void *)i);
	for (int i = 0; i < PARENTS; i++)
		CHECK_EQ(reap_join(handle[i], 0, NULL), 0);
	stats = host_stats(&host);
	host_end(&host);
	printf("%ld families of %d told early, %llu barriers met, all exact\n", PARENTS * rounds, CHILDREN,
	    (unsigned long long)stats.barrier_waits);
	return 0;
}
