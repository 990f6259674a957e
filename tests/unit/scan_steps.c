/* SPDX-License-Identifier: ISC */
/*
 * scan_steps.c: a collector stops the thread at whatever instruction: at none of them may what a context is about to be given be
 * nowhere, neither in a register nor in what reap_domain_scan() shows.  The processor's trap flag stops it at each.
 */
#include <reap/scan.h>

#include "resume.h"

#if defined(__x86_64__) && !defined(__ILP32__) && defined(__linux__) && !HOST_SANITIZED
#include <signal.h>
#include <ucontext.h>

#define TRAP_FLAG	0x100
#define WANTED		(~hidden)		/* whose complement alone the test itself remembers */

static volatile uintptr_t hidden = ~(uintptr_t)0x5eed5eed5eed;
static volatile uintptr_t arrived;
static struct reap_domain *domain;
static bool found;
static unsigned steps, missed;

static void
search(const struct reap_scan *scan, void *arg)
{
	(void)arg;
	found = found || (uintptr_t)scan->word == WANTED;
	if (scan->base || scan->lo == NULL)
		return;
	for (const uintptr_t *p = scan->sp != NULL ? scan->sp : scan->lo; p < (const uintptr_t *)scan->hi; p++)
		found = found || *p == WANTED;
}

static void
at_an_instruction(int signo, siginfo_t *info, void *ucontext)
{
	greg_t *registers = ((ucontext_t *)ucontext)->uc_mcontext.gregs;

	(void)signo;
	(void)info;
	if (arrived != 0) {
		registers[REG_EFL] &= ~TRAP_FLAG;
		return;
	}
	found = false;
	for (int i = REG_R8; i <= REG_RSP; i++)
		found = found || (uintptr_t)registers[i] == WANTED;
	reap_domain_scan(domain, search, NULL);
	steps++;
	missed += !found;
}

#define STEP()	__asm__ volatile("pushfq; orq %0, (%%rsp); popfq" : : "i" (TRAP_FLAG) : "memory", "cc")

static intptr_t
arrives(void *arg)
{
	arrived = (uintptr_t)arg;
	return 0;
}

static intptr_t
steps_to_its_end(void *arg)
{
	STEP();
	return (intptr_t)arg;
}

static intptr_t
steps_to_a_child(void *arg)
{
	struct reap_context *child = host_spawn(arrives, (void *)WANTED);

	(void)arg;
	STEP();
	return reap_wait(child, 0, NULL);
}

static void
expect_none_missed(void)
{
	CHECK_EQ(arrived, WANTED);
	CHECK(steps > 20);
	CHECK_EQ(missed, 0);
	arrived = steps = missed = 0;
}

static void
begin(struct host *h)
{
	static char stack[65536];
	const stack_t alternative = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction action = { .sa_sigaction = at_an_instruction, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	struct reap_context *children[4];

	CHECK_EQ(sigaltstack(&alternative, NULL), 0);
	CHECK_EQ(sigaction(SIGTRAP, &action, NULL), 0);
	host_open(h, (struct reap_domain_options){ 0 });
	domain = h->domain;
	for (int i = 0; i < 4; i++)
		children[i] = host_spawn(host_return, NULL);
	host_run();
	for (int i = 0; i < 4; i++)
		CHECK_EQ(reap_wait(children[i], 0, NULL), 0);
}

TEST(scan, finds_an_argument_while_it_is_launched_by_a_resume)
{
	struct host		h;
	struct reap_context	*context;

	begin(&h);
	context = owned(&h, arrives, (void *)WANTED);
	STEP();
	(void)reap_resume(context, 0, NULL);
	expect_none_missed();
	host_close(&h);
}

TEST(scan, finds_an_argument_while_it_is_launched_by_a_wait)
{
	struct host		h;
	struct reap_context	*parent;

	begin(&h);
	parent = host_spawn(steps_to_a_child, NULL);
	host_run();
	expect_none_missed();
	CHECK_EQ(reap_wait(parent, 0, NULL), 0);
	host_close(&h);
}

TEST(scan, finds_an_argument_while_it_is_launched_by_an_exit)
{
	struct host		h;
	struct reap_context	*first, *second;

	begin(&h);
	first = host_spawn(steps_to_its_end, NULL);
	second = host_spawn(arrives, (void *)WANTED);
	host_run();
	expect_none_missed();
	CHECK_EQ(reap_wait(first, 0, NULL), 0);
	CHECK_EQ(reap_wait(second, 0, NULL), 0);
	host_close(&h);
}
#else
TEST(scan, finds_an_argument_while_it_is_launched)
{
	SKIP("nothing that stops a thread at each instruction here");
}
#endif
