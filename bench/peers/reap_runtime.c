/* SPDX-License-Identifier: ISC */
/*
 * reap_runtime.c: libreap, door 3: the bundled work-stealing runtime, on one worker or two as the shape says.
 *
 *	(none)		its defaults: the parent or the successor frees the stack
 *	plain		a reaper thread frees each corpse, woken for every one, under a mutex
 *	batching	a reaper thread that takes what is there, and spins before it sleeps
 *
 * Guards, handles, bounded caches, ledger and checks as in reap.c.  A context may run on any worker; idle workers steal.
 */
#include <reap/runtime.h>

#include "shape.h"

#define RING	1024

static long ran;		/* where there is one worker */

static void
must(int error, const char *what)
{
	if (error == 0)
		return;
	errno = -error;
	peer_must(false, what);
}

static struct reap_context *
go(reap_entry *entry, void *arg)
{
	struct reap_context *context;

	must(reap_go(entry, arg, &context), "reap_go");
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
	reap_pause();
	return (intptr_t)arg;
}

static intptr_t
tells(void *arg)
{
	if ((uintptr_t)arg % PEER_SAMPLE == 0)
		peer_on(reap_runtime_worker_index());
	return 0;
}

static intptr_t
burns(void *arg)
{
	peer_burn();
	return tells(arg);
}

static intptr_t
ponger(void *arg)
{
	long n = (intptr_t)arg;

	for (long i = 0; i < n; i++)
		reap_pause();
	return n;
}

static void
switches(long n)
{
	struct reap_context *pong = go(ponger, (void *)(intptr_t)(n / 2));
	struct reap_result result;

	for (long i = 0; i < n / 2; i++)
		reap_pause();
	must(reap_wait(pong, 0, &result), "reap_wait");
	peer_must(result.status == n / 2, "counting");
}

static void
one(long n)
{
	ran = 0;
	for (long i = 0; i < n; i++)
		must(reap_wait(go(empty, NULL), 0, NULL), "reap_wait");
	peer_must(ran == n, "counting");
}

static void
batch(reap_entry *entry)
{
	static struct reap_context *children[PEER_BATCH];

	for (intptr_t j = 0; j < PEER_BATCH; j++)
		children[j] = go(entry, (void *)j);
	for (int j = 0; j < PEER_BATCH; j++)
		must(reap_wait(children[j], 0, NULL), "reap_wait");
}

static void
batches(long n, reap_entry *entry)
{
	ran = 0;
	for (long i = 0; i < n; i += PEER_BATCH)
		batch(entry);
	peer_must(ran == n, "counting");
}

static void live_1000(long n) { batches(n, yields); }
static void batch_1000(long n) { batches(n, empty); }
static void two_empty(long n) { (void)n; batch(tells); }
static void two_1us(long n) { (void)n; batch(burns); }

/* The parent does not let its own worker run the child. */
static int there;

static intptr_t
over(void *arg)
{
	__atomic_store_n(&there, 1 + reap_runtime_worker_index(), __ATOMIC_RELEASE);
	return (intptr_t)arg;
}

static void
cross(long n)
{
	long crossed = 0;

	for (long i = 0; i < n; i++) {
		int here = reap_runtime_worker_index(), where;
		struct reap_context *child;
		double late = 0;

		there = 0;
		child = go(over, NULL);
		for (unsigned spins = 1; (where = __atomic_load_n(&there, __ATOMIC_ACQUIRE)) == 0; spins++)
			if (spins % 4096 == 0) {
				if (late == 0)
					late = peer_clock(CLOCK_MONOTONIC) + 1e7;
				else if (peer_clock(CLOCK_MONOTONIC) > late)
					break;
			}
		must(reap_wait(child, 0, NULL), "reap_wait");
		crossed += where != 0 && where != here + 1;
	}
	peer_note("crossed", (double)crossed / (double)n);
}

static void
crowd(long n)
{
	struct reap_context *context;

	ran = 0;
	for (long i = 0; i < n; i++) {
		int error = reap_go(yields, NULL, &context);

		if (error != 0)
			peer_stopped(i, "reap_go", -error);
	}
	while (ran < n)
		reap_pause();
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
	ran = 0;
	for (long i = 0; i < n; i++) {
		(void)go(empty, NULL);
		while (ran == i)
			reap_pause();
	}
}

static void
trim(void)
{
	(void)reap_trim(reap_runtime_domain(reap_runtime_self()));
}

static void
idle(int ms)
{
	must(reap_sleep_until((uint64_t)(peer_clock(CLOCK_MONOTONIC) + ms * 1e6)), "reap_sleep_until");
}

static void lives(long n) { peer_live(n, crowd, collect, trim); }
static void burst(long n) { peer_burst(n, crowd, collect, idle, trim); }
static void zombies(long n) { peer_zombies(n, dead, collect, trim); }

/* The caller makes them, another context joins them, both workers run them. */
static struct reap_handle ring[RING];
static long put, got, count;	/* made, joined; how many it is in the end, or -1 */

static intptr_t
joiner(void *arg)
{
	for (;;) {
		long end = __atomic_load_n(&put, __ATOMIC_ACQUIRE);

		for (; got < end; __atomic_store_n(&got, got + 1, __ATOMIC_RELEASE))
			must(reap_join(ring[got % RING], 0, NULL), "reap_join");
		if (__atomic_load_n(&count, __ATOMIC_ACQUIRE) == got)
			return (intptr_t)arg;
		reap_pause();
	}
}

static intptr_t
nothing(void *arg)
{
	return (intptr_t)arg;
}

/* Mapped ones: what is used, cached and on its way. */
static double
stacks(void)
{
	struct reap_stats stats;

	stats.size = sizeof(stats);
	must(reap_domain_stats(reap_runtime_domain(reap_runtime_self()), &stats), "reap_domain_stats");
	return (double)stats.stacks_mapped;
}

static long
pass(long n)
{
	struct reap_context *collector, *context;
	double most = 0;
	long i;

	put = got = 0;
	__atomic_store_n(&count, -1, __ATOMIC_RELEASE);
	collector = go(joiner, NULL);
	for (i = 0; i < n && (i % 1024 != 0 || !peer_late()); i++) {
		while (i - __atomic_load_n(&got, __ATOMIC_ACQUIRE) == RING)
			reap_pause();
		context = go(nothing, NULL);
		ring[i % RING] = reap_context_handle(context);	/* until it is in the ring nobody else can reap it */
		__atomic_store_n(&put, i + 1, __ATOMIC_RELEASE);
		if (i % 4096 == 4095 && stacks() > most)
			most = stacks();
	}
	__atomic_store_n(&count, i, __ATOMIC_RELEASE);
	must(reap_wait(collector, 0, NULL), "reap_wait");
	peer_note("stacks", stacks() > most ? stacks() : most);
	return i;
}

static void handoff(long n) { peer_handoff(n, pass); }

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
	{ "two-empty", PEER_BATCHES, PEER_BATCH, 2, two_empty },
	{ "two-1us", PEER_BATCHES, PEER_BATCH, 2, two_1us },
	{ "cross", PEER_TIMED, 100, 2, cross },
	{ "live", PEER_ONCE, 100000, 1, lives },
	{ "rss", PEER_ONCE, 100000, 1, burst },
	{ "zombies", PEER_ONCE, 20000, 1, zombies },
	{ "handoff", PEER_ONCE, 1000000, 2, handoff },
	{ NULL, PEER_ONCE, 0, 0, NULL }
};

int
main(int argc, char **argv)
{
	struct reap_domain_options domain = { .size = sizeof(domain), .stack = { .size = PEER_STACK } };
	struct reap_runtime_options options = { .size = sizeof(options), .domain = &domain };

	peer_args(argc, argv, shapes);
	options.workers = peer_shape->workers;
	if (strcmp(peer_variant, "plain") == 0 || strcmp(peer_variant, "batching") == 0)
		domain.policy = REAP_POLICY_THREAD;
	options.reaper_batch = strcmp(peer_variant, "batching") == 0 ? 64 : 0;
	must(reap_run(&options, start, NULL, NULL), "reap_run");
	return 0;
}
