/* SPDX-License-Identifier: ISC */
/*
 * reap.c: libreap, door 2: our switch and life cycle under a scheduler of twenty lines, on one worker.
 *
 *	private		the host promises to say when a context may migrate (reap_host.shares), and none does
 *	shared		it does not promise: every context is made for many workers, and pays for that
 *
 * In the shape `cross' there is a second worker, to which the host sends the children, and workers without work spin.  What the
 * bundled runtime adds there, when to wake whom, is a question of its own.
 *
 * Everything is on that is on by default: a guard page below each stack, handles with generations, a bounded cache that gives
 * back what is idle, the ledger's counts, and the cheap internal checks.  There is no limit on contexts.
 */
#include <pthread.h>
#include <sched.h>

#include "../micro/run_queue.h"
#include "shape.h"

static struct reap_domain *domain;
static long ran;

static void
must(int error, const char *what)
{
	if (error == 0)
		return;
	errno = -error;
	peer_must(false, what);
}

static struct reap_context *
spawn(reap_entry *entry)
{
	struct reap_context *context;

	must(reap_spawn(reap_worker_self(), entry, NULL, &context), "reap_spawn");
	ready(context);
	return context;
}

static intptr_t
empty(void *arg)
{
	ran++;
	return (intptr_t)arg;
}

static intptr_t
yields(void *arg)
{
	ran++;
	reap_yield(reap_worker_self());
	return (intptr_t)arg;
}

static struct reap_context *ping, *pong;

static intptr_t
back(void *arg)
{
	struct reap_worker *worker = reap_worker_self();

	(void)arg;
	for (;;) {
		ran++;
		worker = reap_switch(worker, ping);
	}
	return 0;
}

static void
switches(long n)
{
	struct reap_worker *worker = reap_worker_self();

	if (pong == NULL)
		must(reap_spawn(worker, back, NULL, &pong), "reap_spawn");
	ping = reap_worker_current(worker);
	ran = 0;
	for (long i = 0; i < n / 2; i++)
		worker = reap_switch(worker, pong);
	peer_must(ran == n / 2, "counting");
}

static void
one(long n)
{
	ran = 0;
	for (long i = 0; i < n; i++)
		must(reap_wait(spawn(empty), 0, NULL), "reap_wait");
	peer_must(ran == n, "counting");
}

static void
batches(long n, reap_entry *entry)
{
	static struct reap_context *children[PEER_BATCH];

	ran = 0;
	for (long i = 0; i < n; i += PEER_BATCH) {
		for (int j = 0; j < PEER_BATCH; j++)
			children[j] = spawn(entry);
		for (int j = 0; j < PEER_BATCH; j++)
			must(reap_wait(children[j], 0, NULL), "reap_wait");
	}
	peer_must(ran == n, "counting");
}

static void live_1000(long n) { batches(n, yields); }
static void batch_1000(long n) { batches(n, empty); }

/* All are made, each runs to its yield. */
static void
crowd(long n)
{
	struct reap_context *context;

	ran = 0;
	for (long i = 0; i < n; i++) {
		int error = reap_spawn(reap_worker_self(), yields, NULL, &context);

		if (error != 0)
			peer_stopped(i, "reap_spawn", -error);
		ready(context);
	}
	reap_yield(reap_worker_self());
	peer_must(ran == n, "counting");
}

static void
collect(long n)
{
	for (long i = 0; i < n; i++)
		must(reap_wait_any(0, NULL), "reap_wait_any");
}

static void
dead(long n)
{
	for (long i = 0; i < n; i++) {
		(void)spawn(empty);
		reap_yield(reap_worker_self());
	}
}

static void
trim(void)
{
	(void)reap_trim(domain);
}

/* A host with nothing to do asks now and then whether something is due. */
static void
idle(int ms)
{
	for (; ms > 0; ms -= 100) {
		usleep(100000);
		(void)reap_trim_aged(domain);
	}
}

static void lives(long n) { peer_live(n, crowd, collect, trim); }
static void burst(long n) { peer_burst(n, crowd, collect, idle, trim); }
static void zombies(long n) { peer_zombies(n, dead, collect, trim); }

/* Two workers, a queue each; a context's user pointer says which is its own. */
static struct queue {
	int	 lock;			/* taken for a few instructions */
	struct reap_context *first, **last;
} queues[2];
static bool over;

static struct reap_context *
pop(struct reap_worker *worker)
{
	struct queue *queue = reap_worker_user(worker);
	struct reap_context *context;

	if (__atomic_load_n(&queue->first, __ATOMIC_RELAXED) == NULL)
		return NULL;
	while (__atomic_exchange_n(&queue->lock, 1, __ATOMIC_ACQUIRE) != 0)
		continue;
	context = queue->first;
	if (context != NULL && (queue->first = *reap_context_link(context)) == NULL)
		queue->last = &queue->first;
	__atomic_store_n(&queue->lock, 0, __ATOMIC_RELEASE);
	return context;
}

static void
push(struct reap_context *context)
{
	struct queue *queue = reap_context_user(context);

	*reap_context_link(context) = NULL;
	while (__atomic_exchange_n(&queue->lock, 1, __ATOMIC_ACQUIRE) != 0)
		continue;
	__atomic_store_n(queue->last, context, __ATOMIC_RELAXED);
	queue->last = reap_context_link(context);
	__atomic_store_n(&queue->lock, 0, __ATOMIC_RELEASE);
}

/* It does not sleep, so nobody needs to be woken; now and then it lets the other one run, if there is one processor only. */
static void
spin(struct reap_worker *worker)
{
	static _Thread_local unsigned spins;

	(void)worker;
	if (++spins % 65536 == 0)
		sched_yield();
}

static void
no_wake(struct reap_worker *worker)
{
	(void)worker;
}

static void *
second(void *arg)
{
	struct reap_worker *worker;
	struct reap_context *context;

	must(reap_worker_start(domain, &queues[1], &worker), "reap_worker_start");
	while (!__atomic_load_n(&over, __ATOMIC_ACQUIRE))
		if ((context = pop(worker)) != NULL)
			worker = reap_switch(worker, context);
		else
			spin(worker);
	must(reap_worker_stop(worker), "reap_worker_stop");
	return arg;
}

static intptr_t
over_there(void *arg)
{
	*(bool *)arg = reap_worker_user(reap_worker_self()) == &queues[1];
	return 0;
}

static void
cross(long n)
{
	bool there = false;
	struct reap_context_options child = {
		.size = sizeof(child), .entry = over_there, .arg = &there, .user = &queues[1],
	};
	struct reap_context *context;

	for (long i = 0; i < n; i++) {
		there = false;
		must(reap_context_create(domain, &child, &context), "reap_context_create");
		push(context);
		must(reap_wait(context, 0, NULL), "reap_wait");
		peer_must(there, "crossing");
	}
	peer_note("crossed", 1);
}

static intptr_t
start(void *arg)
{
	(void)arg;
	peer_run();
	return 0;
}

static const struct peer_shape shapes[] = {
	{ "switch", PEER_TIMED, 1000, 1, switches },
	{ "life-one", PEER_TIMED, 1000, 1, one },
	{ "live-1000", PEER_TIMED, PEER_BATCH, 1, live_1000 },
	{ "batch-1000", PEER_TIMED, PEER_BATCH, 1, batch_1000 },
	{ "cross", PEER_TIMED, 100, 2, cross },
	{ "live", PEER_ONCE, 100000, 1, lives },
	{ "rss", PEER_ONCE, 100000, 1, burst },
	{ "zombies", PEER_ONCE, 20000, 1, zombies },
	{ NULL, PEER_ONCE, 0, 0, NULL }
};

int
main(int argc, char **argv)
{
	struct reap_host host = { .next = next, .ready = ready, .direct = true };
	struct reap_domain_options options = { .size = sizeof(options), .host = &host };
	struct reap_context_options first_context = { .size = sizeof(first_context), .entry = start, .user = &queues[0] };
	struct reap_context *context;
	struct reap_worker *worker;
	pthread_t thread;
	bool two;

	peer_args(argc, argv, shapes);
	two = peer_shape->workers == 2;
	host.shares = !two && strcmp(peer_variant, "shared") != 0;
	if (two) {
		host.next = pop;
		host.ready = push;
		host.idle = spin;
		host.wake = no_wake;
		queues[0].last = &queues[0].first;
		queues[1].last = &queues[1].first;
	}
	options.stack.size = PEER_STACK;
	must(reap_domain_create(&options, &domain), "reap_domain_create");
	must(reap_worker_start(domain, &queues[0], &worker), "reap_worker_start");
	if (two)
		must(-pthread_create(&thread, NULL, second, NULL), "pthread_create");
	must(reap_context_create(domain, &first_context, &context), "reap_context_create");
	host.ready(context);
	must(reap_wait(context, 0, NULL), "reap_wait");
	if (two) {
		__atomic_store_n(&over, true, __ATOMIC_RELEASE);
		must(-pthread_join(thread, NULL), "pthread_join");
	}
	if (pong != NULL)
		must(reap_context_destroy(pong, 0), "reap_context_destroy");
	must(reap_worker_stop(worker), "reap_worker_stop");
	while (reap_adopter_drain(reap_adopter_default(domain), 1000) > 0)
		continue;
	must(reap_domain_destroy(domain, NULL, NULL), "reap_domain_destroy");
	return 0;
}
