/* SPDX-License-Identifier: ISC */
/*
 * os.c: the contract of lib/os/os.h, whichever of its layers is built in.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#ifdef __linux__
#include <sys/auxv.h>
#endif
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <reap/atomic.h>

#include "os/os.h"

#include "test.h"

#define THREADS	4

static char *
map(size_t pages)
{
	void *p;

	CHECK_EQ(reap__os_map(pages * reap__os_page(), &p), 0);
	return p;
}

static bool
writing_faults(char *p)
{
	int status;
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL);
		signal(SIGBUS, SIG_DFL);
		*(volatile char *)p = 1;
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	return WIFSIGNALED(status) && (WTERMSIG(status) == SIGSEGV || WTERMSIG(status) == SIGBUS);
}

TEST(os, page_is_a_power_of_two)
{
	size_t page = reap__os_page();

	CHECK(page >= 4096 && (page & (page - 1)) == 0);
}

TEST(os, fresh_memory_is_zero_and_writable)
{
	size_t page = reap__os_page(), i;
	char *p = map(4);

	for (i = 0; i < 4 * page; i++)
		CHECK_EQ(p[i], 0);
	memset(p, 1, 4 * page);
	CHECK_EQ(reap__os_unmap(p, 4 * page), 0);
	CHECK(writing_faults(p));
}

TEST(os, absurd_mapping_gives_enomem)
{
	void *p = NULL;

	CHECK_EQ(reap__os_map(SIZE_MAX & ~(reap__os_page() - 1), &p), -ENOMEM);
	CHECK(p == NULL);
}

TEST(os, decommitted_memory_stays_writable)
{
	size_t page = reap__os_page();
	char *p = map(4);

	memset(p, 1, 4 * page);
	CHECK_EQ(reap__os_decommit(p + page, 2 * page), 0);
	if (reap__os_decommit_zeroes())
		CHECK(p[page] == 0 && p[3 * page - 1] == 0);
	CHECK(p[page - 1] == 1 && p[3 * page] == 1);
	memset(p, 2, 4 * page);
	CHECK_EQ(reap__os_unmap(p, 4 * page), 0);
}

static void
guard_faults_until_removed(enum reap__os_guard how)
{
	size_t page = reap__os_page();
	char *p = map(8);

	memset(p, 1, 8 * page);
	CHECK_EQ(reap__os_guard(how, p + 2 * page, 2 * page), 0);
	CHECK(!writing_faults(p + 2 * page - 1));
	CHECK(writing_faults(p + 2 * page));
	CHECK(writing_faults(p + 4 * page - 1));
	CHECK(!writing_faults(p + 4 * page));
	CHECK_EQ(reap__os_decommit(p, 8 * page), 0);	/* must not take the guard away */
	CHECK(writing_faults(p + 2 * page));
	CHECK(!writing_faults(p + page));
	CHECK_EQ(reap__os_unguard(how, p + 2 * page, 2 * page), 0);
	p[2 * page] = 1;
	p[4 * page - 1] = 1;
	CHECK_EQ(reap__os_unmap(p, 8 * page), 0);
}

TEST(os, protection_faults_until_removed)
{
	guard_faults_until_removed(REAP__OS_PROTECTION);
}

TEST(os, marker_faults_until_removed)
{
	if (!reap__os_marker_works())
		SKIP("no MADV_GUARD_INSTALL here");
	guard_faults_until_removed(REAP__OS_MARKER);
}

TEST(os, marker_answer_is_the_same_twice)
{
	bool works = reap__os_marker_works();

	CHECK_EQ(reap__os_marker_works(), works);
}

/* What the answer is about, tried out. */
TEST(os, marker_answer_is_right)
{
	char *p = map(1);

	CHECK_EQ(reap__os_marker_works(), reap__os_guard(REAP__OS_MARKER, p, reap__os_page()) == 0 && writing_faults(p));
	CHECK_EQ(reap__os_unmap(p, reap__os_page()), 0);
}

#ifdef __linux__
TEST(os, limits_are_the_kernels)
{
	FILE *f = fopen("/proc/sys/vm/max_map_count", "r");
	unsigned long maps, frame = getauxval(51);		/* AT_MINSIGSTKSZ */
	int before, after;

	if (f == NULL || fscanf(f, "%lu", &maps) != 1)
		SKIP("no /proc/sys/vm/max_map_count here");
	CHECK_EQ(fclose(f), 0);
	before = open("/", O_RDONLY);
	CHECK(before >= 0);
	CHECK_EQ(close(before), 0);
	CHECK_EQ(reap__os_max_maps(), maps);
	after = open("/", O_RDONLY);
	CHECK_EQ(after, before);				/* it has closed what it read */
	CHECK_EQ(close(after), 0);
	CHECK(frame == 0 || reap__os_signal_frame() == frame);
}
#endif

TEST(os, limits_are_sane)
{
	CHECK(reap__os_max_maps() >= 1000);
	CHECK(reap__os_signal_frame() >= 1024 && reap__os_signal_frame() < 65536);
}

TEST(os, clock_does_not_go_back)
{
	uint64_t then = reap__os_clock(NULL), now;
	int i;

	for (i = 0; i < 10000; i++, then = now) {
		now = reap__os_clock(NULL);
		CHECK(now >= then);
	}
	reap__os_yield();
}

TEST(os, clock_is_monotonic_and_in_nanoseconds)
{
	struct timespec ts[2];
	uint64_t now;

	CHECK_EQ(clock_gettime(CLOCK_MONOTONIC, &ts[0]), 0);
	now = reap__os_clock(NULL);
	CHECK_EQ(clock_gettime(CLOCK_MONOTONIC, &ts[1]), 0);
	CHECK(now >= (uint64_t)ts[0].tv_sec * 1000000000 + (uint64_t)ts[0].tv_nsec);
	CHECK(now <= (uint64_t)ts[1].tv_sec * 1000000000 + (uint64_t)ts[1].tv_nsec);
}

TEST(os, wait_leaves_cancellation_as_it_was)
{
	uint32_t word = 1;
	int state;

	reap__os_wait(&word, 0);
	CHECK_EQ(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state), 0);
	CHECK_EQ(state, PTHREAD_CANCEL_ENABLE);
	reap__os_wait(&word, 0);
	CHECK_EQ(pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state), 0);
	CHECK_EQ(state, PTHREAD_CANCEL_DISABLE);
}

TEST(os, wait_returns_at_once_if_the_word_differs)
{
	uint32_t word = 1;

	reap__os_wait(&word, 0);
}

TEST(os, wake_does_not_read_the_word)
{
	size_t page = reap__os_page();
	char *p = map(1);

	CHECK_EQ(reap__os_unmap(p, page), 0);
	reap__os_wake((const uint32_t *)(void *)p);
}

/* Ping-pong: each lost wakeup is a hang. */
struct rally {
	uint32_t turn;
	unsigned rounds;
};

static void
play(struct rally *r, uint32_t me)
{
	unsigned i;
	uint32_t turn;

	for (i = 0; i < r->rounds; i++) {
		/* Pairs with the release of the other player. */
		while ((turn = REAP_LOAD_ACQUIRE(&r->turn)) != me)
			reap__os_wait(&r->turn, turn);
		REAP_STORE_RELEASE(&r->turn, !me);	/* pairs with the acquire of the other player */
		reap__os_wake(&r->turn);
	}
}

static void *
play_one(void *arg)
{
	play(arg, 1);
	return NULL;
}

TEST(os, no_wakeup_is_lost)
{
	struct rally r = { .turn = 0, .rounds = check_long() ? 1000000 : 20000 };
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, play_one, &r), 0);
	play(&r, 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(r.turn, 0);
}

struct crowd {
	uint32_t gate;
	uint32_t inside;
};

static void *
pass_gate(void *arg)
{
	struct crowd *c = arg;

	/* Pairs with the release of the gate's keeper. */
	while (REAP_LOAD_ACQUIRE(&c->gate) == 0)
		reap__os_wait(&c->gate, 0);
	REAP_ADD_RELAXED(&c->inside, 1);	/* the join orders it */
	return NULL;
}

TEST(os, wake_wakes_all)
{
	struct crowd c = { 0, 0 };
	pthread_t threads[THREADS];
	int i;

	for (i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, pass_gate, &c), 0);
	for (i = 0; i < 100; i++)
		reap__os_yield();
	REAP_STORE_RELEASE(&c.gate, 1);		/* pairs with the acquire in pass_gate() */
	reap__os_wake(&c.gate);
	for (i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
	CHECK_EQ(c.inside, THREADS);
}

struct cancelled {
	uint32_t word;
	uint32_t returns;
};

static void *
wait_cancelled(void *arg)
{
	struct cancelled *c = arg;

	CHECK_EQ(pthread_cancel(pthread_self()), 0);
	while (REAP_LOAD_RELAXED(&c->word) == 0) {
		reap__os_wait(&c->word, 0);
		REAP_ADD_RELAXED(&c->returns, 1);
	}
	return NULL;
}

/* Regression: the wait of the POSIX layer was a cancellation point, and took the lock of all who wake along. */
TEST(os, wait_is_no_place_to_be_cancelled)
{
	struct cancelled c = { 0, 0 };
	pthread_t thread;
	void *result = &c;

	CHECK_EQ(pthread_create(&thread, NULL, wait_cancelled, &c), 0);
	while (REAP_LOAD_RELAXED(&c.returns) == 0)	/* or else it was never in there */
		reap__os_wake(&c.word);
	REAP_STORE_RELAXED(&c.word, 1);
	reap__os_wake(&c.word);
	CHECK_EQ(pthread_join(thread, &result), 0);
	CHECK(result == NULL);
}
