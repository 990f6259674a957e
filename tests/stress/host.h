/* SPDX-License-Identifier: ISC */
/*
 * host.h: the host of the stress programs: worker threads around one queue under one mutex.  Slow, and obviously right: what
 * breaks is not the host.
 *
 * Rare windows are widened, not hoped for: host_delay() spins or gives the processor away now and then, in next(), ready() and
 * wake(), between the last bookkeeping of an exit and the final switch (host_options()), and wherever a program calls it.  What it
 * chooses follows from the seed that every program prints first; `program SIZE SEED' makes the same choices again.
 */
#ifndef REAP_TESTS_STRESS_HOST_H
#define REAP_TESTS_STRESS_HOST_H

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <reap.h>

#include "../check.h"

#define HOST_WORKERS	16		/* at most */
#define HOST_SECONDS	240		/* until somebody is taken to sleep for ever: enough under any sanitizer */
#define HOST_UNUSED	__attribute__((unused))

#define HOST_LOAD(p)	__atomic_load_n((p), __ATOMIC_ACQUIRE)
#define HOST_STORE(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define HOST_ADD(p, n)	__atomic_add_fetch((p), (n), __ATOMIC_ACQ_REL)

struct host {
	struct reap_domain	*domain;
	pthread_mutex_t		 lock;		/* of all that follows */
	pthread_cond_t		 work;
	struct reap_context	*head, **tail;	/* runnable, oldest first, by reap_context_link() */
	bool			 woken[HOST_WORKERS];
	bool			 stop;
	int			 nworkers;
	pthread_t		 thread[HOST_WORKERS];
};

static uint64_t host_seed;

/* Never inlined: a context may go on in another thread, and must not remember where this one's word was. */
static HOST_UNUSED __attribute__((noinline)) uint64_t
host_random(const uint64_t *start)
{
	static _Thread_local uint64_t state;

	if (start != NULL || state == 0)
		state = (host_seed + (start != NULL ? *start : 0)) * UINT64_C(0x9e3779b97f4a7c15) | 1;
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* The calling thread chooses as number n. */
static HOST_UNUSED void
host_thread(unsigned n)
{
	uint64_t start = n + 1;

	(void)host_random(&start);
}

static HOST_UNUSED unsigned
host_choose(unsigned n)
{
	return (unsigned)((host_random(NULL) >> 11) % n);
}

static HOST_UNUSED void
host_spin(unsigned n)
{
	for (volatile unsigned i = 0; i < n; i++)
		continue;
}

/* Mostly nothing; now and then as long as a short function, a contended lock, a thread that falls asleep and wakes. */
static HOST_UNUSED void
host_delay(void)
{
	unsigned choice = host_choose(128);

	if (choice == 0)
		for (unsigned n = host_choose(4); n > 0; n--)
			(void)sched_yield();
	else if (choice == 1)
		host_spin(host_choose(1u << 16));
	else if (choice < 4)
		host_spin(host_choose(1u << 12));
	else if (choice < 24)
		host_spin(host_choose(1u << 8));
}

/* options.before_final_switch: the dying one is slow to leave. */
static HOST_UNUSED void
host_linger(struct reap_context *dying)
{
	(void)dying;
	host_delay();
}

static HOST_UNUSED struct reap_context *
host_next(struct reap_worker *worker)
{
	struct host *host = reap_domain_user(reap_worker_domain(worker));
	struct reap_context *context;

	host_delay();	/* who has decided to sleep is not published yet */
	pthread_mutex_lock(&host->lock);
	context = host->head;
	if (context != NULL) {
		host->head = *reap_context_link(context);
		if (host->head == NULL)
			host->tail = &host->head;
	}
	pthread_mutex_unlock(&host->lock);
	return context;
}

static HOST_UNUSED void
host_ready(struct reap_context *context)
{
	struct host *host = reap_domain_user(reap_context_domain(context));

	host_delay();
	*reap_context_link(context) = NULL;
	pthread_mutex_lock(&host->lock);
	*host->tail = context;
	host->tail = reap_context_link(context);
	pthread_cond_signal(&host->work);
	pthread_mutex_unlock(&host->lock);
}

static HOST_UNUSED void
host_idle(struct reap_worker *worker)
{
	struct host *host = reap_domain_user(reap_worker_domain(worker));
	intptr_t me = (intptr_t)reap_worker_user(worker);

	pthread_mutex_lock(&host->lock);
	while (host->head == NULL && !host->woken[me] && !host->stop)
		pthread_cond_wait(&host->work, &host->lock);
	HOST_STORE(&host->woken[me], false);
	pthread_mutex_unlock(&host->lock);
}

static HOST_UNUSED void
host_wake(struct reap_worker *worker)
{
	struct host *host = reap_domain_user(reap_worker_domain(worker));
	intptr_t me = (intptr_t)reap_worker_user(worker);

	host_delay();
	pthread_mutex_lock(&host->lock);
	HOST_STORE(&host->woken[me], true);
	pthread_cond_broadcast(&host->work);
	pthread_mutex_unlock(&host->lock);
	/* Now and then not before the woken one has been round once: what it should see must be there, or wake it again. */
	if (host_choose(16) == 0) {
		for (int i = 0; i < 1000 && HOST_LOAD(&host->woken[me]); i++)
			(void)sched_yield();
		host_spin(1u << 12);
	}
}

/* A program may add to it before host_begin(). */
static HOST_UNUSED struct reap_host host_calls = {
	.next = host_next, .ready = host_ready, .idle = host_idle, .wake = host_wake,
};

static HOST_UNUSED struct reap_domain_options
host_options(void)
{
	return (struct reap_domain_options){
		.size = sizeof(struct reap_domain_options),
		.before_final_switch = host_linger,
		.stack = { .size = 64 * 1024 },
	};
}

/* What a worker's base context does: run contexts, and reap what nobody else does. */
static HOST_UNUSED void
host_loop(struct host *host, struct reap_worker *worker)
{
	for (;;) {
		bool stop;

		(void)reap_yield(worker);
		(void)reap_adopter_drain(reap_adopter_default(host->domain), 16);
		host_calls.idle(worker);
		pthread_mutex_lock(&host->lock);
		stop = host->stop && host->head == NULL;
		pthread_mutex_unlock(&host->lock);
		if (stop)
			return;
	}
}

struct host_start {
	struct host	*host;
	intptr_t	 index;
};

static HOST_UNUSED void *
host_worker(void *arg)
{
	struct host_start start = *(struct host_start *)arg;
	struct reap_worker *worker;

	free(arg);
	host_thread((unsigned)start.index);
	CHECK_EQ(reap_worker_start(start.host->domain, (void *)start.index, &worker), 0);
	host_loop(start.host, worker);
	CHECK_EQ(reap_worker_stop(worker), 0);
	return NULL;
}

/* A domain without workers: the program's own threads become workers. */
static HOST_UNUSED void
host_init(struct host *host, struct reap_domain_options options)
{
	*host = (struct host){ .nworkers = 0 };
	host->tail = &host->head;
	pthread_mutex_init(&host->lock, NULL);
	pthread_cond_init(&host->work, NULL);
	options.host = &host_calls;
	options.user = host;
	CHECK_EQ(reap_domain_create(&options, &host->domain), 0);
}

static HOST_UNUSED void
host_begin(struct host *host, struct reap_domain_options options, int nworkers)
{
	host_init(host, options);
	host->nworkers = nworkers;
	for (int i = 0; i < nworkers; i++) {
		struct host_start *start = malloc(sizeof(*start));

		CHECK(start != NULL);
		*start = (struct host_start){ host, i };
		CHECK_EQ(pthread_create(&host->thread[i], NULL, host_worker, start), 0);
	}
}

static HOST_UNUSED void
host_unjoined(struct reap_context *context, void *arg)
{
	(void)context;
	++*(long *)arg;
}

static HOST_UNUSED struct reap_stats
host_stats(struct host *host)
{
	struct reap_stats stats = { .size = sizeof(stats) };

	CHECK_EQ(reap_domain_stats(host->domain, &stats), 0);
	return stats;
}

/* All are dead and reaped, exactly once: what remains is a bug. */
static HOST_UNUSED void
host_fini(struct host *host)
{
	struct reap_stats stats;
	long unjoined = 0;

	while (reap_adopter_drain(reap_adopter_default(host->domain), 1024) > 0)
		continue;
	stats = host_stats(host);
	CHECK_EQ(stats.live, 0);
	CHECK_EQ(stats.exited, stats.created);
	CHECK_EQ(stats.reaped, stats.created);
	CHECK_EQ(stats.backlog, 0);
	CHECK_EQ(stats.stacks_cached, stats.stacks_mapped);
	CHECK_EQ(reap_domain_for_each(host->domain, NULL, NULL), 0);
	CHECK_EQ(reap_domain_destroy(host->domain, host_unjoined, &unjoined), 0);
	CHECK_EQ(unjoined, 0);
	pthread_cond_destroy(&host->work);
	pthread_mutex_destroy(&host->lock);
}

static HOST_UNUSED void
host_end(struct host *host)
{
	pthread_mutex_lock(&host->lock);
	host->stop = true;
	pthread_cond_broadcast(&host->work);
	pthread_mutex_unlock(&host->lock);
	for (int i = 0; i < host->nworkers; i++)
		CHECK_EQ(pthread_join(host->thread[i], NULL), 0);
	host_fini(host);
}

/* Make a context and hand it to the workers.  It may be gone when this returns: it is known by its handle. */
static HOST_UNUSED int
host_go_with(struct host *host, struct reap_context_options options, struct reap_handle *handle)
{
	struct reap_context *context;
	int error;

	options.size = sizeof(options);
	if ((error = reap_context_create(host->domain, &options, &context)) != 0)
		return error;
	if (handle != NULL)
		*handle = reap_context_handle(context);
	host_ready(context);
	return 0;
}

static HOST_UNUSED struct reap_handle
host_go(struct host *host, reap_entry *entry, void *arg)
{
	struct reap_handle handle;

	CHECK_EQ(host_go_with(host, (struct reap_context_options){ .entry = entry, .arg = arg }, &handle), 0);
	return handle;
}

/* From an OS thread that is no worker: run one context and wait for it. */
static HOST_UNUSED intptr_t
host_run(struct host *host, reap_entry *entry, void *arg)
{
	struct reap_handle handle = host_go(host, entry, arg);
	struct reap_result result;

	CHECK_EQ(reap_join(handle, 0, &result), 0);
	return result.status;
}

static HOST_UNUSED void
host_pause(void)
{
	struct reap_worker *worker = reap_worker_self();

	if (worker != NULL)
		(void)reap_yield(worker);
	else
		(void)sched_yield();
}

static HOST_UNUSED void
host_stuck(int signo)
{
	static const char message[] = "nothing moves any more, a wakeup was lost\n";

	(void)signo;
	_exit(write(STDERR_FILENO, message, sizeof(message) - 1) < 0 ? 2 : 1);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HOST_SANITIZED	1
#elif defined(__has_feature)
#define HOST_SANITIZED	(__has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer))
#else
#define HOST_SANITIZED	0
#endif

/* Bytes of this process that have memory behind them; 0 where that cannot be told, or sanitizers keep most of it. */
static HOST_UNUSED long
host_rss(void)
{
	FILE *f = HOST_SANITIZED ? NULL : fopen("/proc/self/statm", "r");
	long size, pages = 0;

	if (f != NULL) {
		if (fscanf(f, "%ld %ld", &size, &pages) != 2)
			pages = 0;
		fclose(f);
	}
	return pages * sysconf(_SC_PAGESIZE);
}

/* program [SIZE [SEED]].  Returns the size; prints the first half of the program's one line. */
static HOST_UNUSED long
host_main(int argc, char **argv, long size)
{
	struct timespec now;

	size = argc > 1 ? atol(argv[1]) : check_long() ? 20 * size : (long)check_divided((unsigned long)size);
	(void)clock_gettime(CLOCK_REALTIME, &now);
	host_seed = argc > 2 ? strtoull(argv[2], NULL, 10) : (uint64_t)now.tv_nsec / 1000 % 1000000;
	host_thread(HOST_WORKERS);
	(void)signal(SIGALRM, host_stuck);
	(void)alarm(argc > 1 || check_long() ? 20 * HOST_SECONDS : HOST_SECONDS);
	printf("seed %llu: ", (unsigned long long)host_seed);
	(void)fflush(stdout);
	return size;
}

/* Every way of giving a stack back, told late and early. */
static HOST_UNUSED const enum reap_policy host_policies[] = {
	REAP_POLICY_ADAPTIVE, REAP_POLICY_PARENT, REAP_POLICY_SUCCESSOR, REAP_POLICY_ADOPTER,
};
#define HOST_POLICIES	((int)(sizeof(host_policies) / sizeof(host_policies[0])))

#endif
