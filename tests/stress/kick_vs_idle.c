/* SPDX-License-Identifier: ISC */
/*
 * kick_vs_idle.c: a base context sleeps in wait_any, and what ends its wait comes to its inbox without a corpse: its last child is
 * detached by another thread.  Somebody who waits on an adopter is interrupted while another one drains it.  No kick is lost.
 */
#include "host.h"

static struct host host;
static long rounds;
static long asked, answered;		/* rounds; the one thread stores, the other waits for it */
static struct reap_handle last_child;
static struct reap_adopter *adopter;
static long interrupts;
static int done;

/* As it may: the looks before and after it come the closer to the kick. */
static void
idle_early(struct reap_worker *worker)
{
	(void)worker;
}

static intptr_t
never_runs(void *arg)
{
	return (intptr_t)arg;
}

static void *
detacher(void *arg)
{
	(void)arg;
	for (long i = 1; i <= rounds; i++) {
		while (HOST_LOAD(&asked) < i)
			(void)sched_yield();
		host_delay();
		CHECK_EQ(reap_detach(last_child), 0);
		HOST_STORE(&answered, i);
	}
	return NULL;
}

static void *
sleeper(void *arg)
{
	(void)arg;
	while (!HOST_LOAD(&done)) {
		int error = reap_adopter_wait(adopter);

		CHECK(error == 0 || error == -ECANCELED);
		if (error == -ECANCELED)
			(void)HOST_ADD(&interrupts, 1);
	}
	return NULL;
}

static void *
drainer(void *arg)
{
	(void)arg;
	while (!HOST_LOAD(&done)) {
		CHECK_EQ(reap_adopter_drain(adopter, 8), 0);
		host_delay();
	}
	return NULL;
}

int
main(int argc, char **argv)
{
	struct reap_worker *worker;
	pthread_t thread[3];

	rounds = host_main(argc, argv, 20000);
	host_calls.idle = idle_early;
	host_init(&host, host_options());
	CHECK_EQ(reap_worker_start(host.domain, NULL, &worker), 0);
	CHECK_EQ(pthread_create(&thread[0], NULL, detacher, NULL), 0);
	for (long i = 1; i <= rounds; i++) {
		struct reap_context *child;

		CHECK_EQ(reap_spawn(worker, never_runs, NULL, &child), 0);
		last_child = reap_context_handle(child);
		HOST_STORE(&asked, i);
		CHECK_EQ(reap_wait_any(0, NULL), -ECHILD);
		while (HOST_LOAD(&answered) < i)
			(void)sched_yield();
		CHECK_EQ(reap_context_destroy(child, 0), 0);
		CHECK_EQ(reap_adopter_drain(reap_adopter_default(host.domain), 8), 1);
	}
	CHECK_EQ(pthread_join(thread[0], NULL), 0);

	CHECK_EQ(reap_adopter_create(host.domain, NULL, &adopter), 0);
	CHECK_EQ(pthread_create(&thread[1], NULL, sleeper, NULL), 0);
	CHECK_EQ(pthread_create(&thread[2], NULL, drainer, NULL), 0);
	for (long i = 1; i <= rounds; i++) {
		reap_adopter_interrupt(adopter);
		while (HOST_LOAD(&interrupts) < i)	/* the watchdog ends it if one is lost */
			(void)sched_yield();
		host_delay();
	}
	HOST_STORE(&done, 1);
	reap_adopter_interrupt(adopter);
	CHECK_EQ(pthread_join(thread[1], NULL), 0);
	CHECK_EQ(pthread_join(thread[2], NULL), 0);
	CHECK_EQ(reap_adopter_destroy(adopter), 0);
	CHECK_EQ(reap_worker_stop(worker), 0);
	host_fini(&host);
	printf("%ld last children detached under a sleeping base context, %ld interrupts against a drainer, none lost\n", rounds,
	    rounds);
	return 0;
}
