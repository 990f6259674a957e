/* SPDX-License-Identifier: ISC */
/*
 * syscalls.c: a warm life cycle does not enter the kernel.  The kernel itself is the witness: a filter kills the process at any
 * system call but write and exit.
 */
#include "host.h"

#if defined(__linux__)

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static bool
forbid_system_calls(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_exit_group, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_write, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	struct sock_fprog program = { .len = sizeof(code) / sizeof(code[0]), .filter = code };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static intptr_t
parent_in_a_context(void *arg)
{
	(void)arg;
	for (int i = 0; i < 8; i++)
		(void)host_spawn(host_return, NULL);
	for (int i = 0; i < 8; i++)
		CHECK_EQ(reap_wait_any(0, NULL), 0);
	CHECK_EQ(reap_wait_any(0, NULL), -ECHILD);
	return 0;
}

static void
life_cycles(const struct host *h, int n)
{
	struct reap_adopter *init = reap_adopter_default(h->domain);

	for (int i = 0; i < n; i++) {
		struct reap_handle name;

		CHECK_EQ(reap_wait(host_spawn(host_return, NULL), 0, NULL), 0);
		CHECK_EQ(reap_wait(host_spawn(parent_in_a_context, NULL), 0, NULL), 0);
		name = reap_context_handle(host_spawn(host_return, NULL));
		CHECK_EQ(reap_hold(name), 0);
		CHECK_EQ(reap_join(name, 0, NULL), 0);
		CHECK_EQ(reap_peek(name, NULL, NULL), 0);
		CHECK_EQ(reap_release(name), 0);
		(void)host_create((struct reap_context_options){ .entry = host_return, .flags = REAP_CONTEXT_DETACHED });
		host_run();
		while (reap_adopter_drain(init, 4) > 0)
			continue;
	}
}

/* What the filter says of a process that makes one call too many: else a pass would mean nothing. */
static int
filtered(void (*body)(void *), void *arg)
{
	int	status;
	pid_t	pid;

	CHECK((pid = fork()) >= 0);
	if (pid == 0) {
		body(arg);
		syscall(SYS_exit_group, 0);
	}
	while (waitpid(pid, &status, 0) < 0)
		CHECK_EQ(errno, EINTR);
	return status;
}

static void
ask_for_pid(void *arg)
{
	(void)arg;
	if (!forbid_system_calls())
		syscall(SYS_exit_group, 77);
	(void)syscall(SYS_getppid);
}

static void
live_warm(void *arg)
{
	struct reap_domain_options	*options = arg;
	struct host			 h;

	host_open(&h, *options);
	life_cycles(&h, 200);
	if (!forbid_system_calls())
		syscall(SYS_exit_group, 77);
	life_cycles(&h, 200);
}

static void
check_warm(struct reap_domain_options options)
{
	int status = filtered(ask_for_pid, NULL);

	if (HOST_SANITIZED || (WIFEXITED(status) && WEXITSTATUS(status) == 77))
		SKIP("no system call filter here");
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
	status = filtered(live_warm, &options);
	CHECK(!WIFSIGNALED(status));
	CHECK_EQ(WEXITSTATUS(status), 0);
}

#ifdef REAP_MD_UCONTEXT
#define ASSEMBLY_ONLY()	SKIP("swapcontext(3) sets the signal mask at every switch")
#else
#define ASSEMBLY_ONLY()	(void)0
#endif

TEST(system_calls, none_in_a_warm_life_cycle)
{
	ASSEMBLY_ONLY();
	check_warm((struct reap_domain_options){ 0 });
}

TEST(system_calls, none_under_the_other_policies)
{
	static const enum reap_policy policies[] = { REAP_POLICY_PARENT, REAP_POLICY_SUCCESSOR, REAP_POLICY_ADOPTER };

	ASSEMBLY_ONLY();
	for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++)
		check_warm((struct reap_domain_options){ .policy = policies[i] });
}

TEST(system_calls, none_with_a_limit_and_early_notification)
{
	ASSEMBLY_ONLY();
	check_warm((struct reap_domain_options){ .limit = 1000, .notify = REAP_NOTIFY_EARLY });
}

#else

TEST(system_calls, none_in_a_warm_life_cycle)
{
	SKIP("the filter is Linux's");
}

#endif
