/* SPDX-License-Identifier: ISC */
/*
 * fork_in_process.c: the process forks, from an OS thread and from a context, while workers churn.  The child has one thread and
 * whatever the locks were; all it may do is _exit() or exec.  The parent goes on as if nothing had happened.
 */
#include <sys/wait.h>

#include "host.h"

#define WORKERS		2
#define FAMILIES	2
#define CHILDREN	8

static struct host host;
static long forks;
static long families;
static bool over;

static void
fork_once(bool exec)
{
	pid_t pid = fork();
	int status;

	CHECK(pid >= 0);
	if (pid == 0) {
		if (exec)
			(void)execl("/bin/true", "true", (char *)NULL);
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static intptr_t
child(void *arg)
{
	host_delay();
	return (intptr_t)arg;
}

static intptr_t
family(void *arg)
{
	while (!HOST_LOAD(&over)) {
		intptr_t sum = 0;
		struct reap_result result;

		for (intptr_t i = 0; i < CHILDREN; i++) {
			struct reap_context_options options = {
				.entry = child, .arg = (void *)i, .policy = host_policies[host_choose(HOST_POLICIES)],
			};

			CHECK_EQ(host_go_with(&host, options, NULL), 0);
		}
		while (reap_wait_any(0, &result) == 0)
			sum += result.status;
		CHECK_EQ(sum, CHILDREN * (CHILDREN - 1) / 2);
		(void)reap_adopter_drain(reap_adopter_default(host.domain), CHILDREN);
		(void)HOST_ADD(&families, 1);
	}
	return (intptr_t)arg;
}

/* On a context's stack. */
static intptr_t
forker(void *arg)
{
	fork_once((intptr_t)arg % 8 == 0);
	return (intptr_t)arg;
}

int
main(int argc, char **argv)
{
	struct reap_handle handle[FAMILIES];

	forks = host_main(argc, argv, 300);
	host_begin(&host, host_options(), WORKERS);
	for (intptr_t i = 0; i < FAMILIES; i++)
		handle[i] = host_go(&host, family, (void *)i);
	for (long n = 0; n < forks; n++)
		if (n % 2)
			fork_once(n % 16 == 1);
		else
			CHECK_EQ(host_run(&host, forker, (void *)(intptr_t)n), n);
	HOST_STORE(&over, true);
	for (int i = 0; i < FAMILIES; i++)
		CHECK_EQ(reap_join(handle[i], 0, NULL), 0);
	host_end(&host);
	printf("%ld forks while %ld families of %d lived, all of them exact\n", forks, families, CHILDREN);
	return 0;
}
