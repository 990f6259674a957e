/* SPDX-License-Identifier: ISC */
/*
 * test.h: the thin macro over two test runners.
 *
 *	TEST(wait, parent_sees_zombie_only_after_off_cpu)
 *	{
 *		CHECK_EQ(reap_wait(child, &status), 0);
 *	}
 *
 * The suite is the module, the name is a fact.  Every test runs in a process of its own, forked from the runner: it may
 * leave threads and contexts behind, and it may die.
 *
 *	TEST(suite, name)			passes when its body comes to its end
 *	TEST_SIGNAL(suite, name, signo)		passes when it dies by the signal signo, and in no other way
 *	SKIP("reason")				ends the test as skipped; from the test's own thread and stack only
 *	CHECK(), CHECK_EQ(), CHECK_STR_EQ()	from check.h: anywhere
 *
 * The runner is Criterion, or with REAP_TEST_PLAIN the small one in plain.c: for ThreadSanitizer, which Criterion does not
 * survive, and for systems without Criterion.  Standard output of a test goes to standard error, so that the runner's own
 * output (TAP) stays clean.
 */
#ifndef REAP_TESTS_UNIT_TEST_H
#define REAP_TESTS_UNIT_TEST_H

#include <signal.h>

#include "../check.h"

#ifdef REAP_TEST_PLAIN

struct test_case {
	const char *suite;
	const char *name;
	void	(*body)(void);
	int	 signo;			/* the signal it must die by; 0: it must not die */
	struct test_case *next;		/* in the order of the file; written by constructors, before main() */
};

void	test_add(struct test_case *tc);
_Noreturn void	test_skip(const char *reason);

#define TEST_SIGNAL(s, n, sig)										\
	static void s##_##n##_body(void);								\
	static struct test_case s##_##n##_case = {							\
		.suite = #s, .name = #n, .body = s##_##n##_body, .signo = (sig)				\
	};												\
	__attribute__((constructor)) static void							\
	s##_##n##_add(void)										\
	{												\
		test_add(&s##_##n##_case);								\
	}												\
	static void s##_##n##_body(void)

#define SKIP(reason)	test_skip(reason)

#else

#include <criterion/criterion.h>
#include <sys/resource.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) && !defined(__SANITIZE_ADDRESS__)
#define __SANITIZE_ADDRESS__	1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

/* The process that runs the test, until its body has come to its end; then 0.  Criterion takes exit(0) for a pass. */
static pid_t test_running;

static inline void
test_at_exit(void)
{
	if (test_running == getpid())
		_exit(1);
}

static inline void
test_begin(int signo)
{
	const struct rlimit none = { 0, 0 };

	CHECK(dup2(STDERR_FILENO, STDOUT_FILENO) == STDOUT_FILENO);
	if (signo != 0) {
		/* No sanitizer's report, and no core file, for a death that is wanted. */
		CHECK(signal(signo, SIG_DFL) != SIG_ERR);
		CHECK(setrlimit(RLIMIT_CORE, &none) == 0);
	}
	test_running = getpid();
	CHECK(atexit(test_at_exit) == 0);
}

static inline void
test_end(void)
{
	test_running = 0;
#ifdef __SANITIZE_ADDRESS__
	CHECK(__lsan_do_recoverable_leak_check() == 0);	/* Criterion does not look at what the leak check at exit says */
#endif
}

#define TEST_SIGNAL(s, n, sig)										\
	static void s##_##n##_body(void);								\
	Test(s, n, .signal = (sig))									\
	{												\
		test_begin(sig);									\
		s##_##n##_body();									\
		test_end();										\
	}												\
	static void s##_##n##_body(void)

#define SKIP(reason)											\
	do {												\
		test_running = 0;									\
		cr_skip_test("%s", (reason));								\
	} while (0)

#endif

#define TEST(s, n)	TEST_SIGNAL(s, n, 0)

#endif
