/* SPDX-License-Identifier: ISC */
/*
 * burst.c: many contexts at once, then many one after another: what a sanitizer keeps for each of them is enough for all, and is
 * given back.
 *
 * A wave is made and run until each of its contexts is parked, all of them live; then they are woken, migrate, and end.  What a
 * context holds by a variable on its stack alone is not lost.  Then as many live one after another, each on the stack of one
 * before.  A long run has five times as many, unless under a sanitizer.
 */
#include "host.h"

#if defined(__SANITIZE_ADDRESS__)
#define BURST_ASAN	1
#elif defined(__has_feature)
#define BURST_ASAN	__has_feature(address_sanitizer)
#else
#define BURST_ASAN	0
#endif
#if BURST_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/lsan_interface.h>
#endif

#define WORKERS		2
#if defined(__SANITIZE_THREAD__)
#define SIZE		4000	/* gcc 12's ThreadSanitizer has room for 8128 fibers, and takes 0.8 MB for each */
#else
#define SIZE		10000
#endif

static struct host host;
static long size, parked;		/* parked: at most as many as are; under the host's lock */
static struct reap_context *waiting;	/* as parked */

static bool
publish(struct reap_context *context, void *arg)
{
	(void)arg;
	pthread_mutex_lock(&host.lock);
	*reap_context_link(context) = waiting;
	waiting = context;
	parked++;
	pthread_mutex_unlock(&host.lock);
	return true;
}

static intptr_t
holds(void *arg)
{
	long *volatile held = malloc(sizeof(*held));
	volatile char pattern[200];

	CHECK(held != NULL);
	*held = (intptr_t)arg;
	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = (char)((size_t)*held + i);
	(void)reap_park(reap_worker_self(), publish, NULL);
	for (size_t i = 0; i < sizeof(pattern); i++)
		CHECK_EQ(pattern[i], (char)((size_t)*held + i));
	CHECK_EQ(*held, (intptr_t)arg);
	free(held);
	return (intptr_t)arg;
}

static intptr_t
ends(void *arg)
{
	return (intptr_t)arg;
}

/* By the thread that started it all, while the workers sleep. */
static void
look(void)
{
	CHECK_EQ(host_stats(&host).live, size + 1);
#if BURST_ASAN
	if (__asan_get_current_fake_stack() == NULL)	/* or else the variables are where LeakSanitizer does not look */
		CHECK_EQ(__lsan_do_recoverable_leak_check(), 0);
#endif
}

static intptr_t
wave(void *arg)
{
	struct reap_result result;
	intptr_t sum = 0;

	for (long i = 0; i < size; i++) {
		struct reap_context_options options = { .entry = holds, .arg = (void *)(intptr_t)i,
			.policy = host_policies[i % HOST_POLICIES] };

		CHECK_EQ(host_go_with(&host, options, NULL), 0);
	}
	for (long i = 0; i < size; i++) {
		CHECK_EQ(reap_wait_any(0, &result), 0);
		sum += result.status;
		if (i % 64 == 0)
			(void)reap_adopter_drain(reap_adopter_default(host.domain), 64);
	}
	CHECK_EQ(reap_wait_any(0, NULL), -ECHILD);
	return arg == NULL ? sum : -1;
}

static intptr_t
row(void *arg)
{
	intptr_t sum = 0;

	for (long i = 0; i < size; i++) {
		struct reap_result result;
		struct reap_handle handle = host_go(&host, ends, (void *)(intptr_t)i);

		CHECK_EQ(reap_join(handle, 0, &result), 0);
		sum += result.status;
	}
	return arg == NULL ? sum : -1;
}

static void
wake(void)
{
	struct reap_context *context = NULL;

	for (bool all = false; !all;) {
		pthread_mutex_lock(&host.lock);
		all = parked == size;
		if (all) {
			context = waiting;
			waiting = NULL;
			parked = 0;
		}
		pthread_mutex_unlock(&host.lock);
		(void)sched_yield();
	}
	look();
	while (context != NULL) {
		struct reap_context *next = *reap_context_link(context);

		host_ready(context);
		context = next;
	}
}

int
main(int argc, char **argv)
{
	struct reap_domain_options options = host_options();
	struct reap_handle handle;
	struct reap_result result;

	size = host_main(argc, argv, SIZE);
	if (argc < 2 && size > (HOST_SANITIZED ? 1 : 5) * SIZE)
		size = (HOST_SANITIZED ? 1 : 5) * SIZE;
	options.before_final_switch = NULL;
	host_begin(&host, options, WORKERS);
	for (int i = 0; i < 2; i++) {
		handle = host_go(&host, wave, NULL);
		wake();
		CHECK_EQ(reap_join(handle, 0, &result), 0);
		CHECK_EQ(result.status, size * (size - 1) / 2);
	}
	CHECK_EQ(host_run(&host, row, NULL), size * (size - 1) / 2);
	CHECK_EQ(host_stats(&host).created, 3 * size + 3);
	host_end(&host);
	printf("%ld contexts live at once, twice; %ld one after another\n", size, size);
	return 0;
}
