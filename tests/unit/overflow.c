/* SPDX-License-Identifier: ISC */
/*
 * overflow.c: a context that needs more stack than it has meets the guard, and a signal handler can say who it was.
 */
#include "host.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

static struct reap_domain *domain;
static struct reap_context *culprit;
static char	 signal_stack[1 << 17] __attribute__((aligned(64)));

/* On the alternate stack: the context's own is full. */
static void
on_fault(int signo, siginfo_t *si, void *uc)
{
	struct reap_stack_info info;

	(void)signo;
	(void)uc;
	if (reap_stack_lookup(domain, si->si_addr, &info) != 0)
		_exit(3);
	if (info.context != culprit)
		_exit(4);
	if (!info.guard)
		_exit(5);
	if ((uintptr_t)si->si_addr >= (uintptr_t)info.lo || info.lo >= info.hi)
		_exit(6);
	_exit(42);
}

static unsigned
recurse(unsigned depth)
{
	volatile char frame[512];

	frame[0] = (char)depth;
	if (depth < 1u << 20)
		(void)recurse(depth + 1);
	return (unsigned)frame[0];
}

static intptr_t
overflow(void *arg)
{
	culprit = reap_worker_current(reap_worker_self());
	if (arg == NULL)
		return (intptr_t)recurse(0);
	/* As a compiler would that checks nothing: one store below the lowest byte. */
	**(volatile char **)arg = 1;
	return 0;
}

static int
run_into_guard(unsigned flags, bool by_store)
{
	int	status;
	pid_t	pid;

	CHECK((pid = fork()) >= 0);
	if (pid == 0) {
		struct sigaction	sa = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK };
		stack_t			ss = { .ss_sp = signal_stack, .ss_size = sizeof(signal_stack) };
		struct host		h;
		struct reap_context	*child, *neighbour[4];
		struct reap_context_options o = { .size = sizeof(o), .entry = overflow };
		const void		*lo, *sp, *hi;
		char			*below;

		CHECK_EQ(sigaltstack(&ss, NULL), 0);
		CHECK_EQ(sigaction(SIGSEGV, &sa, NULL), 0);
		CHECK_EQ(sigaction(SIGBUS, &sa, NULL), 0);
		host_open(&h, (struct reap_domain_options){ .stack = { .flags = flags } });
		domain = h.domain;
		for (int i = 0; i < 4; i++)	/* stacks lie side by side: none of these may be hit */
			CHECK_EQ(reap_spawn(h.worker, host_return, NULL, &neighbour[i]), 0);
		o.arg = by_store ? &below : NULL;
		CHECK_EQ(reap_context_create(h.domain, &o, &child), 0);
		CHECK_EQ(reap_context_stack(child, &lo, &sp, &hi), 0);
		below = (char *)(uintptr_t)lo - 1;
		(void)reap_switch(h.worker, child);
		_exit(2);			/* it came back */
	}
	while (waitpid(pid, &status, 0) < 0)
		CHECK_EQ(errno, EINTR);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

TEST(overflow, is_caught_by_the_guard_and_named)
{
	CHECK_EQ(run_into_guard(0, true), 42);
	CHECK_EQ(run_into_guard(REAP_STACK_NO_GUARD_INSTALL, true), 42);
}

TEST(overflow, by_recursion_is_named)
{
	if (HOST_SANITIZED)
		SKIP("frames of instrumented code do not lie where the stack pointer is");
	CHECK_EQ(run_into_guard(0, false), 42);
	CHECK_EQ(run_into_guard(REAP_STACK_NO_GUARD_INSTALL, false), 42);
}

TEST(overflow, lookup_knows_the_free_from_the_used)
{
	struct host		h;
	struct reap_context	*child;
	struct reap_stack_info	info;
	const void		*lo, *sp, *hi;
	int			local;

	host_open(&h, (struct reap_domain_options){ .policy = REAP_POLICY_SUCCESSOR });
	CHECK_EQ(reap_stack_lookup(h.domain, &local, &info), -ENOENT);
	CHECK_EQ(reap_stack_lookup(h.domain, NULL, &info), -ENOENT);
	child = host_spawn(host_return, NULL);
	CHECK_EQ(reap_context_stack(child, &lo, &sp, &hi), 0);
	CHECK_EQ(reap_stack_lookup(h.domain, sp, &info), 0);
	CHECK(info.context == child && !info.guard && info.lo == lo && info.hi >= (const char *)hi);
	host_run();
	CHECK_EQ(reap_stack_lookup(h.domain, sp, &info), 0);
	CHECK(info.context == NULL);
	CHECK_EQ(reap_wait(child, 0, NULL), 0);
	host_close(&h);
}
