/* SPDX-License-Identifier: ISC */
/*
 * fork.c: a process with a domain forks.  The child has the forking thread alone; it may go on with what that one owns, or exit.
 */
#include <sys/wait.h>

#include "host.h"

static int
wait_for_process(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		CHECK_EQ(errno, EINTR);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

TEST(fork, the_child_may_exit)
{
	struct host	h;
	struct gate	gate = GATE_INIT;
	pid_t		pid;

	host_open(&h, (struct reap_domain_options){ 0 });
	(void)host_spawn(host_gated, &gate);
	(void)host_spawn(host_return, NULL);
	host_run();
	CHECK((pid = fork()) >= 0);
	if (pid == 0)
		_exit(11);
	CHECK_EQ(wait_for_process(pid), 11);
	gate_open(&gate);
	while (reap_wait_any(0, NULL) == 0)
		continue;
	host_close(&h);
}

TEST(fork, the_child_goes_on_with_its_worker)
{
	struct host	h;
	struct gate	gate = GATE_INIT;
	pid_t		pid;

	if (HOST_SANITIZED)
		SKIP("ThreadSanitizer loses what it knew of fibers when a process forks");
	host_open(&h, (struct reap_domain_options){ 0 });
	(void)host_spawn(host_gated, &gate);
	host_run();
	CHECK((pid = fork()) >= 0);
	/* Both go the same way from here. */
	(void)host_spawn(host_return, NULL);
	gate_open(&gate);
	CHECK_EQ(reap_wait_any(0, NULL), 0);
	CHECK_EQ(reap_wait_any(0, NULL), 0);
	CHECK_EQ(reap_wait_any(0, NULL), -ECHILD);
	host_close(&h);
	if (pid == 0)
		_exit(12);
	CHECK_EQ(wait_for_process(pid), 12);
}

static pid_t from_context;

static intptr_t
fork_inside(void *arg)
{
	(void)arg;
	CHECK((from_context = fork()) >= 0);
	if (from_context == 0)
		_exit(13);
	return 0;
}

TEST(fork, from_a_context_while_other_workers_run)
{
	struct host		h;
	struct host_thread	t;

	host_open_shared(&h, (struct reap_domain_options){ 0 });
	host_thread_start(&t, &h);
	(void)host_create((struct reap_context_options){ .entry = fork_inside, .stack_size = 1 << 18 });
	CHECK_EQ(reap_wait_any(0, NULL), 0);
	CHECK_EQ(wait_for_process(from_context), 13);
	host_thread_stop(&t);
	host_close(&h);
}
