/* SPDX-License-Identifier: ISC */
/*
 * thread_waiters.c: OS threads that are no workers join contexts by name.  They sleep in the kernel: the wake must not touch
 * what the sleeper has freed, and being told early is no leave to free a stack that is still on a CPU.
 *
 * Freed stacks fault for a while (quarantine), and the dying linger on theirs.
 */
#include "host.h"

#define THREADS		3
#define WORKERS		2

static struct host host;
static long rounds;
static long joined;

/* Uses its stack up to the end; with quarantine a late touch faults. */
static intptr_t
body(void *arg)
{
	host_delay();
	return (intptr_t)arg ^ 0x5a5a;
}

static void *
joiner(void *arg)
{
	struct reap_handle handle[4];
	struct reap_result result;

	host_thread((unsigned)(intptr_t)arg + WORKERS);
	for (long n = 0; n < rounds; n++) {
		int batch = 1 + (int)host_choose(4);

		for (intptr_t i = 0; i < batch; i++) {
			struct reap_context_options options = {
				.entry = body,
				.arg = (void *)(n * 4 + i),
				.policy = host_policies[host_choose(HOST_POLICIES)],
				.notify = host_choose(2) ? REAP_NOTIFY_EARLY : REAP_NOTIFY_LATE,
			};

			CHECK_EQ(host_go_with(&host, options, &handle[i]), 0);
		}
		for (int i = 0; i < batch; i++) {
			int error;

			if (host_choose(4) == 0)
				while ((error = reap_join(handle[i], REAP_NOHANG, &result)) == -EAGAIN)
					host_pause();
			else
				error = reap_join(handle[i], 0, &result);
			CHECK_EQ(error, 0);
			CHECK_EQ(result.status, (n * 4 + i) ^ 0x5a5a);
			CHECK(result.handle.where == handle[i].where && result.handle.generation == handle[i].generation);
			CHECK_EQ(reap_join(handle[i], 0, NULL), -ESRCH);
		}
		(void)HOST_ADD(&joined, batch);
		(void)reap_adopter_drain(reap_adopter_default(host.domain), 16);
	}
	return NULL;
}

int
main(int argc, char **argv)
{
	struct reap_domain_options options = host_options();
	pthread_t thread[THREADS];

	rounds = host_main(argc, argv, 8000);
	options.stack.quarantine = 32;
	host_begin(&host, options, WORKERS);
	for (intptr_t i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_create(&thread[i], NULL, joiner, (void *)i), 0);
	for (int i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_join(thread[i], NULL), 0);
	host_end(&host);
	printf("%ld contexts joined by %d threads that are no workers, each once, none on a CPU\n", joined, THREADS);
	return 0;
}
