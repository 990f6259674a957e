/* SPDX-License-Identifier: ISC */
/*
 * macro.c: tests that end in every way a test can.  Most of them are wrong on purpose; macro.py knows which, and asserts
 * that the runner says so.
 */
#include <pthread.h>
#include <stdio.h>

#include "test.h"

static int	zero;		/* written by nobody */

TEST(pass, reaches_its_end)
{
	CHECK(zero == 0);
	CHECK_EQ(zero, 0);
	CHECK_STR_EQ("same", "same");
}

TEST(pass, may_write_to_standard_output)
{
	puts("not ok 1 - this is no TAP");
	fflush(stdout);
}

TEST(pass, may_have_children_that_exit)
{
	pid_t pid = fork();

	if (pid == 0)
		exit(0);
	CHECK(pid > 0);
}

TEST(skip, says_why)
{
	SKIP("the reason");
}

TEST(fail, check)
{
	CHECK(zero == 1);
}

TEST(fail, check_eq)
{
	CHECK_EQ(zero - 12, 1);
}

TEST(fail, check_str_eq)
{
	CHECK_STR_EQ("this", NULL);
}

static void *
failing_thread(void *arg)
{
	(void)arg;
	CHECK(zero == 1);
	return NULL;
}

TEST(fail, check_in_a_thread)
{
	pthread_t thread;

	CHECK(pthread_create(&thread, NULL, failing_thread, NULL) == 0);
	pthread_join(thread, NULL);
}

TEST(fail, leaves_by_exit)
{
	exit(0);
}

TEST(fail, aborts)
{
	abort();
}

TEST_SIGNAL(signal, dies_as_it_should, SIGABRT)
{
	abort();
}

TEST_SIGNAL(signal, faults_as_it_should, SIGSEGV)
{
	CHECK(raise(SIGSEGV) == 0);
}

TEST_SIGNAL(signal, survives, SIGABRT)
{
	CHECK(zero == 0);
}

TEST_SIGNAL(signal, fails_a_check, SIGABRT)
{
	CHECK(zero == 1);
}

TEST_SIGNAL(signal, dies_by_another, SIGABRT)
{
	raise(SIGKILL);
}
