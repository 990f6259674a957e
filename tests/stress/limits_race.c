/* SPDX-License-Identifier: ISC */
/*
 * limits_race.c: creators on several workers and OS threads fight for the last credits of a domain, while others return theirs.
 * There are never more contexts than the limit, the reserve is for the privileged, and no credit is lost or made.
 */
#include "host.h"

#define WORKERS		2
#define CREATORS	4		/* contexts */
#define THREADS		2
#define TOTAL		44		/* the limit, the creators included */
#define RESERVE		4
#define HANDFUL		12

static struct host host;
static long rounds;
static int alive, most;			/* between the return of create and just before the reap */
static long made, refused;

static intptr_t
body(void *arg)
{
	return (intptr_t)arg;
}

static bool
create(bool privileged, struct reap_context **context, struct reap_handle *handle)
{
	struct reap_context_options options = {
		.size = sizeof(options),
		.entry = body,
		.policy = host_policies[host_choose(HOST_POLICIES)],
		.flags = privileged ? REAP_CONTEXT_PRIVILEGED : 0,
	};
	int error = reap_context_create(host.domain, &options, context), now, was;

	if (error != 0) {
		CHECK_EQ(error, -EAGAIN);
		(void)HOST_ADD(&refused, 1);
		return false;
	}
	*handle = reap_context_handle(*context);
	(void)HOST_ADD(&made, 1);
	now = HOST_ADD(&alive, 1);
	CHECK(now <= TOTAL);
	for (was = HOST_LOAD(&most); was < now;)
		if (__atomic_compare_exchange_n(&most, &was, now, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
			break;
	return true;
}

static void
handful(void)
{
	struct reap_context *context[HANDFUL];
	struct reap_handle handle[HANDFUL];
	int n = 0;

	for (unsigned want = 1 + host_choose(HANDFUL); want > 0; want--)
		if (create(host_choose(4) == 0, &context[n], &handle[n]))
			n++;
	host_delay();
	/* Some run, some are ended without it. */
	for (int i = 0; i < n; i++)
		if (host_choose(2))
			host_ready(context[i]);
		else
			CHECK_EQ(reap_context_destroy(context[i], 0), 0);
	for (int i = 0; i < n; i++) {
		int error;

		(void)HOST_ADD(&alive, -1);
		while ((error = reap_join(handle[i], 0, NULL)) == -EAGAIN)
			continue;
		CHECK_EQ(error, 0);
	}
	(void)reap_adopter_drain(reap_adopter_default(host.domain), 16);
}

static intptr_t
creator(void *arg)
{
	for (long n = 0; n < rounds; n++)
		handful();
	return (intptr_t)arg;
}

static void *
thread_creator(void *arg)
{
	host_thread(WORKERS + (unsigned)(uintptr_t)arg);
	(void)creator(NULL);
	return NULL;
}

int
main(int argc, char **argv)
{
	struct reap_domain_options options = host_options();
	struct reap_context *context[TOTAL], *refused_one;
	struct reap_handle handle[TOTAL], no_name, parent[CREATORS];
	pthread_t thread[THREADS];
	struct reap_stats stats;
	int peak;

	rounds = host_main(argc, argv, 6000);
	options.limit = TOTAL;
	options.reserve = RESERVE;
	host_begin(&host, options, WORKERS);
	for (intptr_t i = 0; i < CREATORS; i++)
		parent[i] = host_go(&host, creator, (void *)i);
	for (uintptr_t i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_create(&thread[i], NULL, thread_creator, (void *)i), 0);
	for (int i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_join(thread[i], NULL), 0);
	for (int i = 0; i < CREATORS; i++)
		CHECK_EQ(reap_join(parent[i], 0, NULL), 0);
	CHECK_EQ(alive, 0);
	peak = most;
	CHECK(peak <= TOTAL - CREATORS);
	/* Nobody else is left: all credits can be had, those that workers hold are recalled, the last ones by the privileged. */
	for (int i = 0; i < TOTAL; i++) {
		CHECK(create(i >= TOTAL - RESERVE, &context[i], &handle[i]));
		if (i >= TOTAL - RESERVE - 1)
			CHECK(!create(false, &refused_one, &no_name));
	}
	CHECK(!create(true, &refused_one, &no_name));
	for (int i = 0; i < TOTAL; i++) {
		CHECK_EQ(reap_context_destroy(context[i], 0), 0);
		CHECK_EQ(reap_join(handle[i], 0, NULL), 0);
	}
	stats = host_stats(&host);
	host_end(&host);
	printf("%ld creates, %ld refused, at most %d of %d at a time, %llu recalls\n", made, refused, peak, TOTAL - CREATORS,
	    (unsigned long long)stats.credit_recalls);
	return 0;
}
