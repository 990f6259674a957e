/* SPDX-License-Identifier: ISC */
/*
 * keep.c: the floating-point environment and the signal mask as a context's own.  C++ exceptions: tests/cxx/exceptions.cpp.
 */
#include <fenv.h>

#include <reap/keep.h>

#include "host.h"

#define BOTH	(REAP_KEEP_FENV | REAP_KEEP_SIGMASK)

static unsigned keeps;

static struct reap_kept of_base;

static struct reap_kept *
kept(const struct reap_context *context)
{
	struct reap_kept *mine = reap_context_user(context);

	return mine != NULL ? mine : &of_base;
}

static void
keep(struct reap_worker *worker, struct reap_context *from, struct reap_context *to)
{
	(void)worker;
	keeps++;
	CHECK_EQ(reap_keep(BOTH, kept(from), kept(to)), 0);
}

static bool
blocks(int signo)
{
	sigset_t mask;

	CHECK_EQ(pthread_sigmask(SIG_SETMASK, NULL, &mask), 0);
	return sigismember(&mask, signo) == 1;
}

static void
change(int how, int signo)
{
	sigset_t set;

	CHECK_EQ(sigemptyset(&set), 0);
	CHECK_EQ(sigaddset(&set, signo), 0);
	CHECK_EQ(pthread_sigmask(how, &set, NULL), 0);
}

static intptr_t
with_its_own(void *arg)
{
	int flag = arg != NULL ? FE_INEXACT : FE_OVERFLOW, signo = arg != NULL ? SIGUSR1 : SIGUSR2;

	CHECK(feclearexcept(FE_ALL_EXCEPT) == 0);
	change(SIG_UNBLOCK, SIGUSR1);
	change(SIG_UNBLOCK, SIGUSR2);
	change(SIG_BLOCK, signo);
	CHECK(feraiseexcept(flag) == 0);
	for (int i = 0; i < 3; i++) {
		host_yield();
		CHECK_EQ(fetestexcept(FE_INEXACT | FE_OVERFLOW) & flag, flag);
		CHECK_EQ(blocks(signo), 1);
		CHECK_EQ(blocks(arg != NULL ? SIGUSR2 : SIGUSR1), 0);
	}
	return 0;
}

TEST(keep, each_has_its_own)
{
	static const struct reap_host host = { .next = host_next, .ready = host_ready, .on_switch = keep };
	struct host	 h;
	struct reap_kept kept_by[2];
	int		 tag = 0;

	if (feraiseexcept(FE_OVERFLOW) != 0 || fetestexcept(FE_OVERFLOW) == 0)
		SKIP("no floating-point flags here; valgrind has none");
	memset(kept_by, 0, sizeof(kept_by));
	host_open(&h, (struct reap_domain_options){ .host = &host });
	CHECK(feclearexcept(FE_ALL_EXCEPT) == 0);
	(void)host_create((struct reap_context_options){ .entry = with_its_own, .arg = &tag, .user = &kept_by[0] });
	(void)host_create((struct reap_context_options){ .entry = with_its_own, .user = &kept_by[1] });
	host_run();
	CHECK(keeps >= 8);
	CHECK_EQ(fetestexcept(FE_OVERFLOW), 0);		/* the base context's own */
	CHECK(!blocks(SIGUSR1) && !blocks(SIGUSR2));
	CHECK_EQ(reap_wait_any(0, NULL), 0);
	CHECK_EQ(reap_wait_any(0, NULL), 0);
	host_close(&h);
}

TEST(keep, what_the_program_does_not_have_is_said)
{
	struct reap_kept mine;

	if (HOST_SANITIZED)
		SKIP("a sanitizer's runtime may bring the C++ one along");
	memset(&mine, 0, sizeof(mine));
	CHECK_EQ(reap_keep(REAP_KEEP_EXCEPTIONS | REAP_KEEP_FENV, &mine, &mine), -ENOSYS);	/* a C program */
	CHECK_EQ(mine.what, REAP_KEEP_FENV);
}
