/* SPDX-License-Identifier: ISC */
/*
 * pthread.c: POSIX threads of the C library, for scale: a thread of the kernel is what the others do without.
 *
 * They are preempted, may block, and are bound by the kernel's limits on threads and processes.  A worker is a processor here: the
 * program keeps to one or two of them.  Stacks have a guard page by mprotect(2); the library keeps up to 40 MiB of dead ones
 * for reuse.  pthread_join() waits until the kernel says that the thread is off the CPU, by its own word (CLONE_CHILD_CLEARTID).
 *
 * switch is a hand-over by two semaphores: sched_yield() does not say to whom.  live-1000 yields in a barrier, as a thread
 * would otherwise end before the next one is made.  A dead thread that nobody has joined keeps its stack.
 */
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>

#include "shape.h"

#define RING	1024

static pthread_attr_t attr;
static long ran;

static bool
spawn(pthread_t *thread, void *(*entry)(void *), void *arg)
{
	return (errno = pthread_create(thread, &attr, entry, arg)) == 0;
}

static void
join(pthread_t thread)
{
	peer_must((errno = pthread_join(thread, NULL)) == 0, "pthread_join");
}

static void *
empty(void *arg)
{
	__atomic_fetch_add(&ran, 1, __ATOMIC_RELAXED);
	return arg;
}

static int home;

static void *
tells(void *arg)
{
	if ((uintptr_t)arg % PEER_SAMPLE == 0)
		peer_on(sched_getcpu() != home);
	return arg;
}

static void *
burns(void *arg)
{
	peer_burn();
	return tells(arg);
}

static sem_t ping, pong;

static void *
back(void *arg)
{
	long n = *(long *)arg;

	for (long i = 0; i < n; i++) {
		sem_wait(&ping);
		ran++;
		sem_post(&pong);
	}
	return NULL;
}

static void
switches(long n)
{
	pthread_t thread;
	long half = n / 2;

	ran = 0;
	peer_must(sem_init(&ping, 0, 0) == 0 && sem_init(&pong, 0, 0) == 0, "sem_init");
	peer_must(spawn(&thread, back, &half), "pthread_create");
	for (long i = 0; i < half; i++) {
		sem_post(&ping);
		sem_wait(&pong);
	}
	join(thread);
	peer_must(ran == half, "counting");
}

static void
one(long n)
{
	pthread_t thread;

	ran = 0;
	for (long i = 0; i < n; i++) {
		peer_must(spawn(&thread, empty, NULL), "pthread_create");
		join(thread);
	}
	peer_must(ran == n, "counting");
}

static void
batch(void *(*entry)(void *))
{
	static pthread_t children[PEER_BATCH];

	for (uintptr_t j = 0; j < PEER_BATCH; j++)
		if (!spawn(&children[j], entry, (void *)j))
			peer_stopped((long)j, "pthread_create", errno);
	for (int j = 0; j < PEER_BATCH; j++)
		join(children[j]);
}

static void
batch_1000(long n)
{
	ran = 0;
	for (long i = 0; i < n; i += PEER_BATCH)
		batch(empty);
	peer_must(ran == n, "counting");
}

static pthread_barrier_t barrier;

static void *
yields(void *arg)
{
	pthread_barrier_wait(&barrier);
	__atomic_fetch_add(&ran, 1, __ATOMIC_RELAXED);
	return arg;
}

static void
live_1000(long n)
{
	peer_must((errno = pthread_barrier_init(&barrier, NULL, PEER_BATCH)) == 0, "pthread_barrier_init");
	ran = 0;
	for (long i = 0; i < n; i += PEER_BATCH)
		batch(yields);
	peer_must(ran == n, "counting");
	pthread_barrier_destroy(&barrier);
}

static void two_empty(long n) { (void)n; batch(tells); }
static void two_1us(long n) { (void)n; batch(burns); }

static int there;

static void *
over(void *arg)
{
	__atomic_store_n(&there, 1 + sched_getcpu(), __ATOMIC_RELEASE);
	return arg;
}

/* The kernel moves either of them as it likes, so a spinning parent is not always where it was. */
static void
cross(long n)
{
	long crossed = 0;

	for (long i = 0; i < n; i++) {
		pthread_t thread;
		int where;

		there = 0;
		peer_must(spawn(&thread, over, NULL), "pthread_create");
		while ((where = __atomic_load_n(&there, __ATOMIC_ACQUIRE)) == 0)
			continue;
		crossed += where != 1 + sched_getcpu();
		join(thread);
	}
	peer_note("crossed", (double)crossed / (double)n);
}

/* A crowd waits in a gate that has a mutex: a barrier would have to know its number. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t arrived = PTHREAD_COND_INITIALIZER, opened = PTHREAD_COND_INITIALIZER;
static bool is_open;
static pthread_t *all;

static void *
waits(void *arg)
{
	pthread_mutex_lock(&lock);
	ran++;
	pthread_cond_signal(&arrived);
	while (!is_open)
		pthread_cond_wait(&opened, &lock);
	pthread_mutex_unlock(&lock);
	return arg;
}

static void
crowd(long n)
{
	if (all == NULL)
		peer_must((all = (pthread_t *)calloc((size_t)n, sizeof(*all))) != NULL, "calloc");
	ran = 0;
	is_open = false;
	for (long i = 0; i < n; i++)
		if (!spawn(&all[i], waits, NULL))
			peer_stopped(i, "pthread_create", errno);
	pthread_mutex_lock(&lock);
	while (ran < n)
		pthread_cond_wait(&arrived, &lock);
	pthread_mutex_unlock(&lock);
}

static void
collect(long n)
{
	pthread_mutex_lock(&lock);
	is_open = true;
	pthread_cond_broadcast(&opened);
	pthread_mutex_unlock(&lock);
	for (long i = 0; i < n; i++)
		join(all[i]);
}

static void
dead(long n)
{
	free(all);
	peer_must((all = (pthread_t *)calloc((size_t)n, sizeof(*all))) != NULL, "calloc");
	ran = 0;
	for (long i = 0; i < n; i++)
		if (!spawn(&all[i], empty, NULL))
			peer_stopped(i, "pthread_create", errno);
	while (__atomic_load_n(&ran, __ATOMIC_RELAXED) < n)
		sched_yield();
}

static void
collect_dead(long n)
{
	for (long i = 0; i < n; i++)
		join(all[i]);
}

/* Stacks that are beyond the library's own cache have been unmapped by then; the rest it keeps for good. */
static void
trim(void)
{
	(void)malloc_trim(0);
}

static void
idle(int ms)
{
	usleep((useconds_t)ms * 1000);
}

static void lives(long n) { peer_live(n, crowd, collect, NULL); }
static void burst(long n) { peer_burst(n, crowd, collect, idle, trim); }
static void zombies(long n) { peer_zombies(n, dead, collect_dead, trim); }

static pthread_t ring[RING];
static sem_t full, room;

static void *
joiner(void *arg)
{
	for (long i = 0;; i++) {
		sem_wait(&full);
		if (ring[i % RING] == pthread_self())
			return arg;
		join(ring[i % RING]);
		sem_post(&room);
	}
}

static long
pass(long n)
{
	pthread_t collector, thread;
	long i;

	peer_must(sem_init(&full, 0, 0) == 0 && sem_init(&room, 0, RING) == 0, "sem_init");
	peer_must(spawn(&collector, joiner, NULL), "pthread_create");
	for (i = 0; i < n && (i % 1024 != 0 || !peer_late()); i++) {
		sem_wait(&room);
		if (!spawn(&thread, empty, NULL))
			peer_stopped(i, "pthread_create", errno);
		ring[i % RING] = thread;
		sem_post(&full);
	}
	sem_wait(&room);
	ring[i % RING] = collector;
	sem_post(&full);
	join(collector);
	return i;
}

static void handoff(long n) { peer_handoff(n, pass); }

static const struct peer_shape shapes[] = {
	{ "switch", PEER_TIMED, 1000, 1, switches },
	{ "life-one", PEER_TIMED, 100, 1, one },
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

/* As many processors as the shape has workers. */
static void
keep_to(unsigned workers)
{
	cpu_set_t may, set;

	CPU_ZERO(&set);
	peer_must(sched_getaffinity(0, sizeof(may), &may) == 0, "sched_getaffinity");
	for (int i = 0; i < CPU_SETSIZE && workers > 0; i++)
		if (CPU_ISSET(i, &may)) {
			CPU_SET(i, &set);
			home = i;
			workers--;
		}
	peer_must(sched_setaffinity(0, sizeof(set), &set) == 0, "sched_setaffinity");
}

int
main(int argc, char **argv)
{
	peer_args(argc, argv, shapes);
	keep_to(peer_shape->workers);
	peer_must((errno = pthread_attr_init(&attr)) == 0, "pthread_attr_init");
	peer_must((errno = pthread_attr_setstacksize(&attr, PEER_STACK)) == 0, "pthread_attr_setstacksize");
	peer_run();
	return 0;
}
