/* SPDX-License-Identifier: ISC */
/*
 * two_joiners.c: many want the same corpse.  Exactly one gets it; to the others it is claimed (-EBUSY) or gone (-ESRCH).
 *
 * Contexts on three workers and two OS threads go through the same victims, each asking in another way at each of them: join,
 * look and ask again, detach.
 */
#include "host.h"

#define WORKERS		3
#define CONTEXTS	4
#define THREADS		2
#define VICTIMS		32

static struct host host;
static pthread_barrier_t round_begins, round_ends;
static long rounds;
static bool over;

static struct {
	struct reap_handle handle;
	int	won, off_cpu;
} victims[VICTIMS];

static intptr_t
body(void *arg)
{
	host_delay();
	return (intptr_t)arg;
}

static void
count(struct reap_context *context, intptr_t status)
{
	(void)context;
	(void)HOST_ADD(&victims[status].off_cpu, 1);
}

static void
claim(int i)
{
	struct reap_handle handle = victims[i].handle;
	struct reap_result result;
	unsigned how = host_choose(4);
	int error;

	host_delay();
	do {
		if (how == 3)
			error = reap_detach(handle);
		else
			error = reap_join(handle, how == 2 ? REAP_NOHANG : 0, &result);
		if (error == -EAGAIN)
			host_pause();
	} while (error == -EAGAIN);
	if (error == 0) {
		if (how != 3)
			CHECK_EQ(result.status, i);
		(void)HOST_ADD(&victims[i].won, 1);
		CHECK_EQ(reap_join(handle, 0, NULL), -ESRCH);
	} else
		CHECK(error == -EBUSY || error == -ESRCH);
}

static intptr_t
context_claimer(void *arg)
{
	for (int i = 0; i < VICTIMS; i++)
		claim(i);
	return (intptr_t)arg;
}

static void *
thread_claimer(void *arg)
{
	host_thread(WORKERS + (unsigned)(intptr_t)arg);
	for (;;) {
		pthread_barrier_wait(&round_begins);
		if (over)
			return NULL;
		for (int i = 0; i < VICTIMS; i++)
			claim(i);
		pthread_barrier_wait(&round_ends);
	}
}

static void
one_round(void)
{
	struct reap_handle claimer[CONTEXTS];
	struct reap_result result;

	for (intptr_t i = 0; i < VICTIMS; i++) {
		struct reap_context_options options = {
			.entry = body,
			.arg = (void *)i,
			.policy = host_policies[host_choose(HOST_POLICIES)],
			.notify = host_choose(2) ? REAP_NOTIFY_EARLY : REAP_NOTIFY_LATE,
			.off_cpu = count,
		};

		victims[i].won = victims[i].off_cpu = 0;
		CHECK_EQ(host_go_with(&host, options, &victims[i].handle), 0);
	}
	for (intptr_t i = 0; i < CONTEXTS; i++)
		claimer[i] = host_go(&host, context_claimer, (void *)i);
	pthread_barrier_wait(&round_begins);
	pthread_barrier_wait(&round_ends);
	for (int i = 0; i < CONTEXTS; i++) {
		CHECK_EQ(reap_join(claimer[i], 0, &result), 0);
		CHECK_EQ(result.status, i);
	}
	for (int i = 0; i < VICTIMS; i++) {
		CHECK_EQ(victims[i].won, 1);
		/* One that was detached alive has yet to end and be drained. */
		while (HOST_LOAD(&victims[i].off_cpu) == 0)
			if (reap_adopter_drain(reap_adopter_default(host.domain), 16) <= 0)
				(void)sched_yield();
		CHECK_EQ(victims[i].off_cpu, 1);
	}
}

int
main(int argc, char **argv)
{
	pthread_t thread[THREADS];

	rounds = host_main(argc, argv, 2400);
	pthread_barrier_init(&round_begins, NULL, THREADS + 1);
	pthread_barrier_init(&round_ends, NULL, THREADS + 1);
	host_begin(&host, host_options(), WORKERS);
	for (intptr_t i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_create(&thread[i], NULL, thread_claimer, (void *)i), 0);
	for (long n = 0; n < rounds; n++)
		one_round();
	over = true;
	pthread_barrier_wait(&round_begins);
	for (int i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_join(thread[i], NULL), 0);
	host_end(&host);
	printf("%ld corpses, %d claimers each, exactly one of them got it\n", rounds * VICTIMS, CONTEXTS + THREADS);
	return 0;
}
