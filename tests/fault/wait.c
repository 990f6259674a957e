/* SPDX-License-Identifier: ISC */
/*
 * wait.c: OS threads that sleep in the kernel, and are woken by signals, by strangers, by nobody; and a kernel without futexes.
 */
#include <signal.h>
#include <sys/wait.h>

#include "fault.h"

#ifdef __linux__
#include <sys/syscall.h>
#endif

#define LOAD(p)		__atomic_load_n((p), __ATOMIC_ACQUIRE)
#define STORE(p, v)	__atomic_store_n((p), (v), __ATOMIC_RELEASE)

/* What a futex, or a condition variable in its place, may say although nobody has woken anybody. */
static const int early[] = { EINTR, EAGAIN, FAULT_SPURIOUS };
#define EARLY	(sizeof(early) / sizeof(early[0]))
#define SLEEPS	(FAULT_FUTEX | FAULT_COND)

static struct reap_completion completion;

/* Every n-th call of a sleeper returns early, or all of them do; only when so many were seen is the post made. */
static void *
post_late(void *arg)
{
	long calls = *(const long *)arg;

	while (fault_seen() < calls)
		(void)sched_yield();
	reap_completion_post(&completion);
	return NULL;
}

static bool
sleeps_by_futex(void)
{
	pthread_t	thread;
	long		one = 1;
	long		before = fault_calls(FAULT_FUTEX);

	reap_completion_init(&completion);
	fault_plan(SLEEPS, 1, 1, EINTR);
	CHECK_EQ(pthread_create(&thread, NULL, post_late, &one), 0);
	CHECK_EQ(reap_completion_wait(&completion), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK(fault_seen() > 0);
	fault_lift();
	return fault_calls(FAULT_FUTEX) > before;
}

TEST(fault_wait, completion_wait_sleeps_again)
{
	for (size_t e = 0; e < EARLY; e++)
		for (long calls = 1; calls < 40; calls++) {
			pthread_t thread;

			reap_completion_init(&completion);
			fault_plan(SLEEPS, 1, calls, early[e]);
			CHECK_EQ(pthread_create(&thread, NULL, post_late, &calls), 0);
			CHECK_EQ(reap_completion_wait(&completion), 0);
			CHECK(reap_completion_posted(&completion));
			CHECK_EQ(pthread_join(thread, NULL), 0);
			CHECK(fault_hits() > 0);
			CHECK_EQ(fault_held(), 0);
			fault_lift();
		}
	ledger_must_be_empty();
}

/* In turn: the first call of all threads is disturbed, the second, ... */
struct waiter {
	struct reap_handle name;
	struct reap_group *group;
	struct reap_adopter *adopter;
	int	 error;
	intptr_t status;
	int	 done;
};

static void *
join(void *arg)
{
	struct waiter		*w = arg;
	struct reap_result	 result = { .status = -1 };

	w->error = reap_join(w->name, 0, &result);
	w->status = result.status;
	STORE(&w->done, 1);
	return NULL;
}

static void *
group_wait(void *arg)
{
	struct waiter *w = arg;

	w->error = reap_group_wait(w->group, 0, &w->status);
	STORE(&w->done, 1);
	return NULL;
}

static void *
adopter_wait(void *arg)
{
	struct waiter *w = arg;

	do
		w->error = reap_adopter_wait(w->adopter);
	while (w->error == 0 && reap_adopter_drain(w->adopter, 1) >= 0);
	STORE(&w->done, 1);
	return NULL;
}

/* They are asleep, or will not fall asleep any more. */
static void
let_them_sleep(long calls)
{
	for (int i = 0; i < 200 && fault_seen() < calls; i++)
		(void)sched_yield();
}

static void
threads_wait(const void *arg)
{
	struct reap_context_options options = { .size = sizeof(options), .entry = host_return, .arg = (void *)5 };
	struct waiter		 w[3] = { { .error = 1 }, { .error = 1 }, { .error = 1 } };
	struct reap_context	*context;
	struct reap_adopter	*adopter;
	struct reap_group	*group;
	pthread_t		 thread[3];

	(void)arg;
	host_open((struct reap_domain_options){ 0 });
	CHECK_EQ(reap_adopter_create(host_domain, NULL, &adopter), 0);
	CHECK_EQ(reap_group_create(host_domain, &group), 0);
	CHECK_EQ(reap_context_create(host_domain, &options, &context), 0);
	w[0].name = reap_context_handle(context);
	CHECK_EQ(pthread_create(&thread[0], NULL, join, &w[0]), 0);
	let_them_sleep(1);
	host_queue(context);
	options.group = w[1].group = group;
	options.adopter = w[2].adopter = adopter;
	CHECK_EQ(reap_context_create(host_domain, &options, &context), 0);
	CHECK_EQ(pthread_create(&thread[1], NULL, group_wait, &w[1]), 0);
	CHECK_EQ(pthread_create(&thread[2], NULL, adopter_wait, &w[2]), 0);
	let_them_sleep(3);
	host_queue(context);
	host_run();
	while (LOAD(&w[0].done) == 0 || LOAD(&w[1].done) == 0 || reap_adopter_backlog(adopter) != 0)
		(void)sched_yield();
	CHECK(LOAD(&w[2].done) == 0);
	reap_adopter_interrupt(adopter);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(pthread_join(thread[i], NULL), 0);
	CHECK(w[0].error == 0 && w[0].status == 5);
	CHECK(w[1].error == 0 && w[1].status == 5);
	CHECK_EQ(w[2].error, -ECANCELED);
	CHECK_EQ(reap_join(w[0].name, 0, NULL), -ESRCH);
	CHECK_EQ(reap_adopter_destroy(adopter), 0);
	CHECK_EQ(host_stats().created, host_stats().reaped);
	host_close();
}

/* Warm, and the number of sleeps is not the same from run to run: so a fixed number of rounds, each disturbed elsewhere. */
TEST(fault_wait, threads_sleep_again)
{
	static const long lengths[] = { 1, 2, 3, FAULT_EVER };
	long hits = 0;

	for (size_t e = 0; e < EARLY; e++)
		for (size_t l = 0; l < sizeof(lengths) / sizeof(lengths[0]); l++)
			for (long first = 1; first < 16; first++) {
				fault_plan(SLEEPS, first, lengths[l], early[e]);
				threads_wait(NULL);
				hits += fault_hits();
				fault_lift();
				ledger_must_be_empty();
			}
	CHECK(hits > 0);
}

/* No memory while they wait changes nothing for them: waiting takes none. */
TEST(fault_wait, waiting_takes_no_memory)
{
	struct waiter		 w = { .error = 1 };
	struct reap_context	*context;
	pthread_t		 thread;

	host_open((struct reap_domain_options){ 0 });
	CHECK_EQ(reap_spawn(host_worker, host_return, (void *)6, &context), 0);
	w.name = reap_context_handle(context);
	CHECK_EQ(pthread_create(&thread, NULL, join, &w), 0);
	fault_plan(FAULT_ALL, 1, FAULT_EVER, 0);
	let_them_sleep(1);
	host_queue(context);
	host_run();
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK(w.error == 0 && w.status == 6);
	CHECK_EQ(fault_seen(), 0);
	fault_lift();
	host_close();
	ledger_must_be_empty();
}

/* A kernel that knows no futex, or a filter that forbids it: said by name, and the end; not a spin, not a lost wakeup. */
TEST(fault_wait, no_futex_is_named)
{
	static const int	fatal[] = { ENOSYS, EPERM, EFAULT };

	if (!sleeps_by_futex())
		SKIP("this build does not sleep on futexes");
	for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++) {
		char	said[512];
		size_t	len = 0;
		ssize_t	n;
		int	fds[2], status;
		pid_t	pid;

		CHECK_EQ(pipe(fds), 0);
		CHECK((pid = fork()) >= 0);
		if (pid == 0) {
			long late = 10000;	/* who spins comes to an end */
			pthread_t thread;

			CHECK(dup2(fds[1], STDERR_FILENO) == STDERR_FILENO);
			CHECK(signal(SIGABRT, SIG_DFL) != SIG_ERR);
			reap_completion_init(&completion);
			fault_plan(SLEEPS, 1, FAULT_EVER, fatal[i]);
			CHECK_EQ(pthread_create(&thread, NULL, post_late, &late), 0);
			(void)reap_completion_wait(&completion);
			_exit(3);
		}
		CHECK_EQ(close(fds[1]), 0);
		while ((n = read(fds[0], said + len, sizeof(said) - 1 - len)) > 0)
			len += (size_t)n;
		said[len] = '\0';
		CHECK_EQ(close(fds[0]), 0);
		CHECK(waitpid(pid, &status, 0) == pid);
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
		CHECK(strstr(said, "os-wait") != NULL);
	}
}
