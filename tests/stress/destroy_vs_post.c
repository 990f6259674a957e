/* SPDX-License-Identifier: ISC */
/*
 * destroy_vs_post.c: a host destroys contexts that have just been readied, are parked in a wait, or have never run, while
 * others exit into their waits, join them, or are their parents.  What a destroyed waiter had claimed is reaped all the same,
 * its children are orphans, and its own collector gets its status.
 */
#include "host.h"

#define WORKERS		2
#define CHILDREN	4
#define DESTROYED	((intptr_t)-77)

static struct host host;
static long rounds;
static long made, reaped, destroyed, spared, told;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct reap_context *condemned;	/* by reap_context_link() */
static bool over;

static char doomed;			/* the user word of those to be destroyed when they would next run */

static void
count(struct reap_context *context, intptr_t status)
{
	(void)context;
	(void)status;
	(void)HOST_ADD(&reaped, 1);
}

static void
child_exited(struct reap_context *parent, struct reap_context *child)
{
	(void)parent;
	(void)child;
	(void)HOST_ADD(&told, 1);
}

/* Who is readied and doomed goes to the executioner instead of the queue: it is nobody else's. */
static void
ready(struct reap_context *context)
{
	if (reap_context_user(context) != &doomed) {
		host_ready(context);
		return;
	}
	pthread_mutex_lock(&lock);
	*reap_context_link(context) = condemned;
	condemned = context;
	pthread_mutex_unlock(&lock);
}

static bool
execute(void)
{
	struct reap_context *context;
	int error;

	pthread_mutex_lock(&lock);
	context = condemned;
	if (context != NULL)
		condemned = *reap_context_link(context);
	pthread_mutex_unlock(&lock);
	if (context == NULL)
		return false;
	host_delay();
	error = reap_context_destroy(context, DESTROYED);
	if (error == 0)
		(void)HOST_ADD(&destroyed, 1);
	else {
		/* Told early: it has claimed somebody who is still on a CPU. */
		CHECK_EQ(error, -EBUSY);
		(void)HOST_ADD(&spared, 1);
		reap_context_set_user(context, NULL);
		host_ready(context);
	}
	return true;
}

static void *
executioner(void *arg)
{
	host_thread(WORKERS);
	while (!HOST_LOAD(&over))
		if (!execute())
			(void)sched_yield();
	return arg;
}

static struct reap_context *
make(reap_entry *entry, void *arg, void *user)
{
	struct reap_context_options options = {
		.size = sizeof(options),
		.entry = entry,
		.arg = arg,
		.user = user,
		.policy = host_policies[host_choose(HOST_POLICIES)],
		.notify = host_choose(2) ? REAP_NOTIFY_EARLY : REAP_NOTIFY_LATE,
		.off_cpu = count,
	};
	struct reap_context *context;

	CHECK_EQ(reap_context_create(host.domain, &options, &context), 0);
	(void)HOST_ADD(&made, 1);
	return context;
}

static intptr_t
leaf(void *arg)
{
	host_delay();
	return (intptr_t)arg;
}

/* Joins somebody else's child; it is destroyed, or told, when that has ended. */
static intptr_t
joiner(void *arg)
{
	struct reap_handle handle = *(struct reap_handle *)arg;
	int error = reap_join(handle, 0, NULL);

	CHECK(error == 0 || error == -EBUSY || error == -ESRCH);
	return 0;
}

/* Has children, waits for them, and is destroyed in the middle of that. */
static intptr_t
waiter(void *arg)
{
	struct reap_context *child[2];

	for (intptr_t i = 0; i < 2; i++) {
		child[i] = make(leaf, (void *)i, NULL);
		ready(child[i]);
	}
	if (host_choose(2))
		(void)reap_wait(child[0], 0, NULL);
	while (reap_wait_any(0, NULL) == 0)
		continue;
	return (intptr_t)arg;
}

static intptr_t
parent(void *arg)
{
	struct reap_handle handle[CHILDREN];
	struct reap_context *context;
	struct reap_result result;
	int error;

	for (intptr_t i = 0; i < CHILDREN; i++) {
		context = make(leaf, (void *)i, NULL);
		handle[i] = reap_context_handle(context);
		ready(context);
		/* The first time it would run it runs; the next time it is destroyed. */
		context = make(joiner, &handle[i], NULL);
		if (host_choose(4) != 0)
			reap_context_set_user(context, &doomed);
		host_ready(context);
	}
	context = make(waiter, NULL, &doomed);
	host_ready(context);
	context = make(leaf, NULL, &doomed);	/* never runs */
	ready(context);
	while ((error = reap_wait_any(0, &result)) == 0)
		CHECK((result.status >= 0 && result.status < CHILDREN) || result.status == DESTROYED);
	CHECK_EQ(error, -ECHILD);
	return (intptr_t)arg;
}

int
main(int argc, char **argv)
{
	pthread_t thread;

	rounds = host_main(argc, argv, 8000);
	host_calls.ready = ready;
	host_calls.child_exited = child_exited;
	host_begin(&host, host_options(), WORKERS);
	CHECK_EQ(pthread_create(&thread, NULL, executioner, NULL), 0);
	for (long n = 0; n < rounds; n++) {
		CHECK_EQ(host_run(&host, parent, (void *)n), n);
		while (HOST_LOAD(&reaped) < HOST_LOAD(&made))
			if (reap_adopter_drain(reap_adopter_default(host.domain), 64) <= 0)
				(void)sched_yield();
	}
	HOST_STORE(&over, true);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	while (execute())
		continue;
	host_end(&host);
	CHECK_EQ(reaped, made);
	CHECK(told <= made);
	printf("%ld contexts, %ld destroyed, %ld of them at the second attempt, all reaped once\n", made, destroyed, spared);
	return 0;
}
