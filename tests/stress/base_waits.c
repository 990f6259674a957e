/* SPDX-License-Identifier: ISC */
/*
 * base_waits.c: a worker's base context goes to sleep in a wait at the moment when another worker's landing wakes it.  It must
 * be woken after what it looks at has changed, and the waker must not touch the worker once the base context may leave.
 *
 * Two base contexts are parents.  Each waits in turn by wait_any, by wait, and on the domain's adopter, runs what is runnable
 * meanwhile, the other's children too, told late and early; now and then it stops being a worker and starts again.
 *
 * Before that one moment by force: the waker is held up between the wake-up and its last touch.
 */
#include "host.h"

#define THREADS		2
#define CHILDREN	3

static struct host host;
static long rounds;
static int done;

static intptr_t
child(void *arg)
{
	host_delay();
	return (intptr_t)arg;
}

static void
wait_for_all(struct reap_context **children)
{
	struct reap_result result;
	intptr_t i, sum = 0;

	switch (host_choose(3)) {
	case 0:
		for (i = 0; i < CHILDREN; i++) {
			CHECK_EQ(reap_wait(children[i], 0, &result), 0);
			CHECK_EQ(result.status, i);
		}
		break;
	case 1:
		for (i = 0; i < CHILDREN; i++) {
			CHECK_EQ(reap_wait_any(0, &result), 0);
			sum += result.status;
		}
		CHECK_EQ(sum, CHILDREN * (CHILDREN - 1) / 2);
		break;
	default:
		/* The last ones are detached while we might sleep: nothing is left to wait for. */
		for (i = 0; i < CHILDREN; i++)
			CHECK_EQ(reap_detach(reap_context_handle(children[i])), 0);
		break;
	}
	CHECK_EQ(reap_wait_any(0, NULL), -ECHILD);
}

static void *
base(void *arg)
{
	struct reap_context_options options = { .size = sizeof(options), .entry = child };
	struct reap_context *children[CHILDREN];
	struct reap_worker *worker;

	host_thread((unsigned)(intptr_t)arg);
	CHECK_EQ(reap_worker_start(host.domain, arg, &worker), 0);
	for (long n = 0; n < rounds; n++) {
		for (intptr_t i = 0; i < CHILDREN; i++) {
			options.arg = (void *)i;
			options.notify = host_choose(2) ? REAP_NOTIFY_EARLY : REAP_NOTIFY_LATE;
			CHECK_EQ(reap_context_create(host.domain, &options, &children[i]), 0);
		}
		for (int i = 0; i < CHILDREN; i++)
			host_ready(children[i]);
		wait_for_all(children);
		(void)reap_adopter_drain(reap_adopter_default(host.domain), 8);
		if (host_choose(16) == 0) {
			CHECK_EQ(reap_worker_stop(worker), 0);
			CHECK_EQ(reap_worker_start(host.domain, arg, &worker), 0);
		}
	}
	if (HOST_ADD(&done, 1) == THREADS) {
		pthread_mutex_lock(&host.lock);
		host.stop = true;
		pthread_cond_broadcast(&host.work);
		pthread_mutex_unlock(&host.lock);
	}
	host_loop(&host, worker);
	CHECK_EQ(reap_worker_stop(worker), 0);
	return NULL;
}

/* ---- the waker is held up */

#define HELD_UP		50000000L	/* nanoseconds: time enough to leave, for who is let */

static struct reap_context *held_child;
static int asleep, left;

static void
idle_reached(struct reap_worker *worker)
{
	HOST_STORE(&asleep, 1);
	host_idle(worker);
}

static void
wake_and_stay(struct reap_worker *worker)
{
	host_wake(worker);
	(void)nanosleep(&(struct timespec){ .tv_nsec = HELD_UP }, NULL);
	CHECK(!HOST_LOAD(&left));	/* what is touched next lies on its stack */
}

static void *
ends_the_child(void *arg)
{
	struct reap_worker *worker;

	CHECK_EQ(reap_worker_start(host.domain, arg, &worker), 0);
	while (!HOST_LOAD(&asleep))
		(void)sched_yield();
	(void)reap_switch(worker, held_child);
	CHECK_EQ(reap_worker_stop(worker), 0);
	return NULL;
}

static void
held_up(void)
{
	struct reap_context_options options = { .size = sizeof(options), .entry = child };
	struct reap_worker *worker;
	pthread_t thread;

	host_calls.idle = idle_reached;
	host_calls.wake = wake_and_stay;
	host_init(&host, host_options());
	CHECK_EQ(reap_worker_start(host.domain, NULL, &worker), 0);
	CHECK_EQ(reap_context_create(host.domain, &options, &held_child), 0);
	CHECK_EQ(pthread_create(&thread, NULL, ends_the_child, (void *)1), 0);
	CHECK_EQ(reap_wait(held_child, 0, NULL), 0);
	HOST_STORE(&left, 1);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(reap_worker_stop(worker), 0);
	host_fini(&host);
	host_calls.idle = host_idle;
	host_calls.wake = host_wake;
}

int
main(int argc, char **argv)
{
	pthread_t thread[THREADS];

	rounds = host_main(argc, argv, 4000);
	held_up();
	host_init(&host, host_options());
	for (intptr_t i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_create(&thread[i], NULL, base, (void *)i), 0);
	for (int i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_join(thread[i], NULL), 0);
	host_fini(&host);
	printf("%ld families of %d waited for by base contexts on %d workers, no wakeup lost\n", THREADS * rounds, CHILDREN, THREADS);
	return 0;
}
