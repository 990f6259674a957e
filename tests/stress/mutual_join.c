/* SPDX-License-Identifier: ISC */
/*
 * mutual_join.c: contexts join each other in a circle, at the same moment, on several workers.  Each has claimed before it looks
 * whether the other waits for it: at least one of them is told -EDEADLK, or all would sleep for ever.
 */
#include "host.h"

#define WORKERS		3
#define CIRCLE_MAX	3

static struct host host;
static long rounds, deadlocks;
static struct reap_handle handles[CIRCLE_MAX];
static int circle, arrived;

static intptr_t
member(void *arg)
{
	intptr_t me = (intptr_t)arg;
	struct reap_handle next = handles[(me + 1) % circle];
	struct reap_result result;
	int error;

	/* Not parked: all must be on a CPU at once.  Where there are fewer CPUs nobody waits for ever. */
	(void)HOST_ADD(&arrived, 1);
	for (int i = 0; i < 2000 && HOST_LOAD(&arrived) < circle; i++)
		if (i % 100 == 99)
			(void)sched_yield();
	host_spin(host_choose(64));
	error = reap_join(next, 0, &result);
	switch (error) {
	case 0:
		CHECK_EQ(result.status, (me + 1) % circle);
		break;
	case -EDEADLK:
		(void)HOST_ADD(&deadlocks, 1);
		break;
	default:
		CHECK(error == -ESRCH || error == -EBUSY);	/* the next one was told -EDEADLK, ended, and was joined by the main thread */
	}
	return me;
}

int
main(int argc, char **argv)
{
	struct reap_context *context[CIRCLE_MAX];

	rounds = host_main(argc, argv, 15000);
	host_begin(&host, host_options(), WORKERS);
	for (long n = 0; n < rounds; n++) {
		long before = HOST_LOAD(&deadlocks);

		circle = 2 + (int)(n % (CIRCLE_MAX - 1));
		arrived = 0;
		for (intptr_t i = 0; i < circle; i++) {
			struct reap_context_options options = { .size = sizeof(options), .entry = member, .arg = (void *)i };

			CHECK_EQ(reap_context_create(host.domain, &options, &context[i]), 0);
			handles[i] = reap_context_handle(context[i]);
		}
		for (int i = 0; i < circle; i++)
			host_ready(context[i]);
		while (HOST_LOAD(&deadlocks) == before)
			(void)sched_yield();
		/* Those that nobody in the circle gets are ours. */
		for (int i = 0; i < circle; i++) {
			int error;

			while ((error = reap_join(handles[i], REAP_NOHANG, NULL)) == -EAGAIN || error == -EBUSY)
				(void)sched_yield();
			CHECK(error == 0 || error == -ESRCH);
		}
	}
	host_end(&host);
	CHECK(deadlocks >= rounds);
	printf("%ld circles of up to %d, %ld told of the deadlock, none slept for ever\n", rounds, CIRCLE_MAX, deadlocks);
	return 0;
}
