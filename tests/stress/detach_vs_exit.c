/* SPDX-License-Identifier: ISC */
/*
 * detach_vs_exit.c: a context is given to its adopter at the moment when it ends.  Either its exit goes to the adopter, or the
 * detacher reaps a zombie, or the parent was faster: whatever happens, it is reaped once, and the parent hears -ECHILD.
 *
 * Children are detached by themselves, by a sibling, by an OS thread, while their parent sleeps in wait_any.
 */
#include "host.h"

#define WORKERS		2
#define CHILDREN	8

static struct host host;
static long rounds;
static long detached, collected, reaped;

static struct reap_handle handles[CHILDREN];
static int published;			/* of this round's */
static bool over;

static void
count(struct reap_context *context, intptr_t status)
{
	(void)context;
	(void)status;
	(void)HOST_ADD(&reaped, 1);
}

static void
detach(struct reap_handle handle)
{
	int error = reap_detach(handle);

	if (error == 0)
		(void)HOST_ADD(&detached, 1);
	else if (error != -EBUSY)
		CHECK_EQ(error, -ESRCH);
}

static intptr_t
child(void *arg)
{
	host_delay();
	if (host_choose(8) == 0)
		detach(reap_context_handle(reap_worker_current(reap_worker_self())));
	host_delay();
	return (intptr_t)arg;
}

static intptr_t
sibling(void *arg)
{
	for (int i = 0; i < CHILDREN; i += 2) {
		host_delay();
		detach(handles[i]);
	}
	return (intptr_t)arg;
}

/* Goes through whatever is there, all the time: stale names, names of this round. */
static void *
outsider(void *arg)
{
	host_thread(WORKERS);
	while (!HOST_LOAD(&over)) {
		int n = HOST_LOAD(&published);

		if (n > 0) {
			struct reap_handle handle;

			pthread_mutex_lock(&host.lock);
			handle = handles[host_choose((unsigned)n)];
			pthread_mutex_unlock(&host.lock);
			detach(handle);
		}
		host_delay();
	}
	return arg;
}

static intptr_t
parent(void *arg)
{
	struct reap_result result;
	int error;

	for (intptr_t i = 0; i < CHILDREN; i++) {
		struct reap_context_options options = {
			.size = sizeof(options),
			.entry = child,
			.arg = (void *)i,
			.policy = host_policies[host_choose(HOST_POLICIES)],
			.notify = host_choose(2) ? REAP_NOTIFY_EARLY : REAP_NOTIFY_LATE,
			.off_cpu = count,
		};
		struct reap_context *context;

		CHECK_EQ(reap_context_create(host.domain, &options, &context), 0);
		pthread_mutex_lock(&host.lock);
		handles[i] = reap_context_handle(context);
		pthread_mutex_unlock(&host.lock);
		HOST_STORE(&published, (int)i + 1);
		host_ready(context);
	}
	CHECK_EQ(host_go_with(&host, (struct reap_context_options){ .entry = sibling, .arg = (void *)-1 }, NULL), 0);
	while ((error = reap_wait_any(0, &result)) == 0)
		if (result.status >= 0)
			(void)HOST_ADD(&collected, 1);
	CHECK_EQ(error, -ECHILD);
	CHECK_EQ(reap_children(), 0);
	return (intptr_t)arg;
}

int
main(int argc, char **argv)
{
	pthread_t thread;
	long made;

	rounds = host_main(argc, argv, 12000);
	made = rounds * CHILDREN;
	host_begin(&host, host_options(), WORKERS);
	CHECK_EQ(pthread_create(&thread, NULL, outsider, NULL), 0);
	for (long n = 0; n < rounds; n++) {
		CHECK_EQ(host_run(&host, parent, (void *)n), n);
		(void)reap_adopter_drain(reap_adopter_default(host.domain), 64);
	}
	HOST_STORE(&over, true);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	host_end(&host);
	CHECK_EQ(detached + collected, made);
	CHECK_EQ(reaped, made);
	printf("%ld exits, %ld detached meanwhile, %ld collected, each reaped once\n", made, detached, collected);
	return 0;
}
