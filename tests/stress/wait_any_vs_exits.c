/* SPDX-License-Identifier: ISC */
/*
 * wait_any_vs_exits.c: parents sleep in wait_any while their children exit on other workers and strangers join and detach some
 * of them.  Every child is accounted for exactly once, no wakeup is lost, and in the end there is -ECHILD.
 */
#include "host.h"

#define WORKERS		3
#define PARENTS		3
#define CHILDREN	8
#define THREADS		1

static struct host host;
static long rounds;
static long collected, joined, detached, peeked, unwanted, reaped, made;	/* unwanted: by parents without zombies, at most */
static bool over;

/* Each parent publishes the children of its round; strangers take a look now and then. */
static struct {
	pthread_mutex_t	lock;
	struct reap_handle handle[CHILDREN];
} board[PARENTS];

static void
count(struct reap_context *context, intptr_t status)
{
	(void)context;
	(void)status;
	(void)HOST_ADD(&reaped, 1);
}

static intptr_t
child(void *arg)
{
	host_delay();
	return (intptr_t)arg;
}

static void
meddle(void)
{
	unsigned p = host_choose(PARENTS), i = host_choose(CHILDREN), how = host_choose(4);
	struct reap_handle handle;
	struct reap_result result;
	int error;

	pthread_mutex_lock(&board[p].lock);
	handle = board[p].handle[i];
	pthread_mutex_unlock(&board[p].lock);
	if (how == 0) {
		error = reap_detach(handle);
		if (error == 0)
			(void)HOST_ADD(&detached, 1);
	} else {
		error = reap_join(handle, how == 1 ? REAP_NOHANG : 0, &result);
		if (error == 0) {
			CHECK_EQ(result.status % CHILDREN, i);
			CHECK_EQ(result.status / CHILDREN % PARENTS, p);
			(void)HOST_ADD(&joined, 1);
		}
	}
	CHECK(error == 0 || error == -ESRCH || error == -EBUSY || error == -EAGAIN);
}

static intptr_t
stranger(void *arg)
{
	while (!HOST_LOAD(&over)) {
		meddle();
		host_pause();
	}
	return (intptr_t)arg;
}

static void *
thread_stranger(void *arg)
{
	host_thread(WORKERS);
	while (!HOST_LOAD(&over)) {
		meddle();
		host_delay();
		(void)sched_yield();
	}
	return arg;
}

static void
spawn(intptr_t me, long n, int i)
{
	struct reap_context_options options = {
		.size = sizeof(options),
		.entry = child,
		.arg = (void *)(intptr_t)((n * PARENTS + me) * CHILDREN + i),
		.policy = host_policies[host_choose(HOST_POLICIES)],
		.notify = host_choose(2) ? REAP_NOTIFY_EARLY : REAP_NOTIFY_LATE,
		.off_cpu = count,
	};
	struct reap_context *context;

	CHECK_EQ(reap_context_create(host.domain, &options, &context), 0);
	pthread_mutex_lock(&board[me].lock);
	board[me].handle[i] = reap_context_handle(context);
	pthread_mutex_unlock(&board[me].lock);
	host_ready(context);
}

static intptr_t
parent(void *arg)
{
	intptr_t me = (intptr_t)arg;
	struct reap_result result;

	for (long n = 0; n < rounds; n++) {
		unsigned seen = 0, flags;
		bool none = host_choose(16) == 0;
		int error;

		CHECK_EQ(reap_no_zombies(none), 0);
		for (int i = 0; i < CHILDREN; i++)
			spawn(me, n, i);
		(void)HOST_ADD(&made, CHILDREN);
		for (;;) {
			flags = (host_choose(4) == 0 ? REAP_NOHANG : 0) | (host_choose(8) == 0 ? REAP_PEEK : 0);
			error = reap_wait_any(flags, &result);
			if (error == -EAGAIN) {
				CHECK(flags & REAP_NOHANG);
				host_pause();
				continue;
			}
			if (error != 0)
				break;
			CHECK_EQ(result.status / CHILDREN, n * PARENTS + me);
			if (flags & REAP_PEEK) {
				(void)HOST_ADD(&peeked, 1);
				continue;
			}
			CHECK((seen & 1u << result.status % CHILDREN) == 0);
			seen |= 1u << result.status % CHILDREN;
			(void)HOST_ADD(&collected, 1);
		}
		CHECK_EQ(error, -ECHILD);
		CHECK_EQ(reap_children(), 0);
		if (none)
			(void)HOST_ADD(&unwanted, CHILDREN);
		(void)reap_adopter_drain(reap_adopter_default(host.domain), 32);
	}
	return me;
}

int
main(int argc, char **argv)
{
	struct reap_handle handle[PARENTS], context;
	pthread_t thread[THREADS];

	rounds = host_main(argc, argv, 8000);
	for (int i = 0; i < PARENTS; i++)
		pthread_mutex_init(&board[i].lock, NULL);
	host_begin(&host, host_options(), WORKERS);
	for (intptr_t i = 0; i < PARENTS; i++)
		handle[i] = host_go(&host, parent, (void *)i);
	context = host_go(&host, stranger, NULL);
	for (int i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_create(&thread[i], NULL, thread_stranger, NULL), 0);
	for (int i = 0; i < PARENTS; i++)
		CHECK_EQ(reap_join(handle[i], 0, NULL), 0);
	HOST_STORE(&over, true);
	for (int i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_join(thread[i], NULL), 0);
	CHECK_EQ(reap_join(context, 0, NULL), 0);
	host_end(&host);
	CHECK_EQ(reaped, made);
	CHECK(collected + joined + detached <= made);
	CHECK(collected + joined + detached >= made - unwanted);
	printf("%ld children, %ld collected, %ld joined and %ld detached by strangers, %ld peeks, all reaped once\n", made,
	    collected, joined, detached, peeked);
	return 0;
}
