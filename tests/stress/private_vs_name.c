/* SPDX-License-Identifier: ISC */
/*
 * private_vs_name.c: contexts begin private to their worker, where nothing of them is atomic, and are shared when somebody takes
 * their name or another worker may run them: while they run, wait, are waited for, or are dead already.  From then on anybody
 * may join, detach, hold and steal them.
 *
 * A host that promises to share (reap_host.shares): one queue per worker; what is not at home on its worker may be stolen.
 */
#include "host.h"

#define WORKERS		3
#define PARENTS		4
#define CHILDREN	6
#define BOARD		32

static struct host host;
static long rounds;
static long made, reaped, collected, joined, detached, stolen, shared;
static bool over;

static struct {
	pthread_mutex_t	 lock;
	struct reap_context *head, **tail;	/* by reap_context_link() */
} queues[WORKERS];

static pthread_mutex_t board_lock = PTHREAD_MUTEX_INITIALIZER;
static struct reap_handle board[BOARD];

static void
queue_put(int i, struct reap_context *context)
{
	*reap_context_link(context) = NULL;
	pthread_mutex_lock(&queues[i].lock);
	*queues[i].tail = context;
	queues[i].tail = reap_context_link(context);
	pthread_mutex_unlock(&queues[i].lock);
	pthread_mutex_lock(&host.lock);
	pthread_cond_broadcast(&host.work);
	pthread_mutex_unlock(&host.lock);
}

/* Who may run anywhere goes anywhere; the others where they must. */
static void
ready(struct reap_context *context)
{
	struct reap_worker *home = reap_context_home(context), *here = reap_worker_self();

	host_delay();
	if (home == here && home != NULL && host_choose(2) && reap_context_share(context) == 0) {
		(void)HOST_ADD(&shared, 1);
		home = NULL;
	}
	queue_put(home != NULL ? (int)(intptr_t)reap_worker_user(home) : (int)host_choose(WORKERS), context);
}

/* One's own first, then what others hold and is nobody's: only the oldest is looked at. */
static struct reap_context *
next(struct reap_worker *worker)
{
	int me = (int)(intptr_t)reap_worker_user(worker);

	for (int i = 0; i < WORKERS; i++) {
		int from = (me + i) % WORKERS;
		struct reap_context *context;

		pthread_mutex_lock(&queues[from].lock);
		context = queues[from].head;
		if (context != NULL && i > 0 && reap_context_home(context) != NULL)
			context = NULL;
		if (context != NULL) {
			queues[from].head = *reap_context_link(context);
			if (queues[from].head == NULL)
				queues[from].tail = &queues[from].head;
		}
		pthread_mutex_unlock(&queues[from].lock);
		if (context != NULL) {
			if (i > 0)
				(void)HOST_ADD(&stolen, 1);
			return context;
		}
	}
	return NULL;
}

/* Others' queues are not looked at: a glance too much is a yield, a wakeup missed would be for ever. */
static void
idle(struct reap_worker *worker)
{
	(void)worker;
	(void)sched_yield();
}

static void
publish(struct reap_context *context)
{
	struct reap_handle handle = reap_context_handle(context);

	pthread_mutex_lock(&board_lock);
	board[host_choose(BOARD)] = handle;
	pthread_mutex_unlock(&board_lock);
}

static void
count(struct reap_context *context, intptr_t status)
{
	/* Its name may still be wanted, dead as it is. */
	if (host_choose(4) == 0)
		(void)reap_context_handle(context);
	(void)status;
	(void)HOST_ADD(&reaped, 1);
}

static intptr_t
child(void *arg)
{
	struct reap_context *self = reap_worker_current(reap_worker_self());

	host_delay();
	if (host_choose(4) == 0)
		publish(self);
	if (host_choose(4) == 0)
		(void)reap_yield(reap_worker_self());
	host_delay();
	return (intptr_t)arg;
}

static struct reap_context *
spawn(reap_entry *entry, intptr_t arg)
{
	struct reap_context_options options = {
		.size = sizeof(options),
		.entry = entry,
		.arg = (void *)arg,
		.policy = host_policies[host_choose(HOST_POLICIES)],
		.notify = host_choose(2) ? REAP_NOTIFY_EARLY : REAP_NOTIFY_LATE,
		.off_cpu = count,
	};
	struct reap_context *context;

	CHECK_EQ(reap_context_create(host.domain, &options, &context), 0);
	(void)HOST_ADD(&made, 1);
	return context;
}

/* Has children and leaves them, now and then with a look at one that may be dead. */
static intptr_t
careless(void *arg)
{
	for (intptr_t i = 0; i < CHILDREN / 2; i++)
		ready(spawn(child, i));
	if (host_choose(2))
		(void)reap_yield(reap_worker_self());
	if (host_choose(2) && reap_wait_any(REAP_NOHANG, NULL) == 0)
		(void)HOST_ADD(&collected, 1);
	return (intptr_t)arg;
}

static intptr_t
parent(void *arg)
{
	for (long n = 0; n < rounds; n++) {
		struct reap_context *context;
		struct reap_result result;
		unsigned seen = 0;
		int error;

		CHECK_EQ(reap_no_zombies(host_choose(16) == 0), 0);
		for (intptr_t i = 0; i < CHILDREN; i++) {
			context = spawn(i == 0 ? careless : child, i);
			if (host_choose(4) == 0)
				publish(context);
			ready(context);
		}
		if (host_choose(4) == 0) {
			/* One's own child, private, waited for by address; nobody else can know it, or it may be gone. */
			context = spawn(child, CHILDREN);
			if (reap_context_home(context) != NULL) {
				error = reap_context_share(context);
				CHECK(error == 0);
			}
			queue_put((int)host_choose(WORKERS), context);
		}
		for (;;) {
			unsigned flags = (host_choose(4) == 0 ? REAP_NOHANG : 0) | (host_choose(8) == 0 ? REAP_PEEK : 0);

			error = reap_wait_any(flags, &result);
			if (error == -EAGAIN)
				(void)reap_yield(reap_worker_self());
			else if (error != 0)
				break;
			else if (!(flags & REAP_PEEK)) {
				CHECK((seen & 1u << result.status) == 0);
				seen |= 1u << result.status;
				(void)HOST_ADD(&collected, 1);
			}
		}
		CHECK_EQ(error, -ECHILD);
		CHECK_EQ(reap_children(), 0);
		/* Without children there is nothing private left that would tie the parent to this worker. */
		CHECK_EQ(reap_context_share(reap_worker_current(reap_worker_self())), 0);
		(void)reap_adopter_drain(reap_adopter_default(host.domain), 16);
	}
	return (intptr_t)arg;
}

static void *
stranger(void *arg)
{
	host_thread(WORKERS);
	while (!HOST_LOAD(&over)) {
		struct reap_handle handle;
		int error;

		pthread_mutex_lock(&board_lock);
		handle = board[host_choose(BOARD)];
		pthread_mutex_unlock(&board_lock);
		switch (host_choose(4)) {
		case 0:
			if ((error = reap_detach(handle)) == 0)
				(void)HOST_ADD(&detached, 1);
			break;
		case 1:
			if ((error = reap_hold(handle)) == 0) {
				host_delay();
				CHECK_EQ(reap_peek(handle, NULL, NULL), 0);
				CHECK_EQ(reap_release(handle), 0);
			}
			break;
		default:
			if ((error = reap_join(handle, 0, NULL)) == 0)
				(void)HOST_ADD(&joined, 1);
		}
		CHECK(error == 0 || error == -ESRCH || error == -EBUSY);
		(void)sched_yield();
	}
	return arg;
}

int
main(int argc, char **argv)
{
	struct reap_handle handle[PARENTS];
	pthread_t thread;

	rounds = host_main(argc, argv, 1000);
	for (int i = 0; i < WORKERS; i++) {
		pthread_mutex_init(&queues[i].lock, NULL);
		queues[i].tail = &queues[i].head;
	}
	host_calls = (struct reap_host){ .next = next, .ready = ready, .idle = idle, .wake = host_wake, .shares = true };
	host_begin(&host, host_options(), WORKERS);
	for (intptr_t i = 0; i < PARENTS; i++) {
		struct reap_context_options options = { .size = sizeof(options), .entry = parent, .arg = (void *)i };
		struct reap_context *context;

		CHECK_EQ(reap_context_create(host.domain, &options, &context), 0);
		handle[i] = reap_context_handle(context);
		ready(context);
	}
	CHECK_EQ(pthread_create(&thread, NULL, stranger, NULL), 0);
	for (int i = 0; i < PARENTS; i++) {
		struct reap_result result;

		CHECK_EQ(reap_join(handle[i], 0, &result), 0);
		CHECK_EQ(result.status, i);
	}
	while (HOST_LOAD(&reaped) < HOST_LOAD(&made))
		if (reap_adopter_drain(reap_adopter_default(host.domain), 16) <= 0)
			(void)sched_yield();
	HOST_STORE(&over, true);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	host_end(&host);
	CHECK_EQ(reaped, made);
	printf("%ld contexts, %ld shared by the host, %ld stolen, %ld joined and %ld detached by a stranger, all reaped once\n", made,
	    shared, stolen, joined, detached);
	return 0;
}
