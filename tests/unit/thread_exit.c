/* SPDX-License-Identifier: ISC */
/*
 * thread_exit.c: what ends a thread or a process, or leaves a stack, while contexts are about: pthread_exit(), cancellation, a
 * return from the thread's first function, exit(), longjmp().
 */
#include <setjmp.h>
#include <sys/mman.h>

#include "host.h"
#include "misuse.h"

/* What a process that dies leaves to the test. */
struct left {
	int	unwound;		/* cleanup handlers that ran */
	int	on_the_context;		/* of these, on the stack of the context that had set them up */
	int	exit_handlers;
};

static struct left *left;

static struct left *
left_new(void)
{
	left = mmap(NULL, sizeof(*left), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(left != MAP_FAILED);
	return left;
}

static bool
on_stack_of(const struct reap_context *context, const void *address)
{
	const void *lo, *sp, *hi;

	return reap_context_stack(context, &lo, &sp, &hi) == 0 && (uintptr_t)address >= (uintptr_t)lo &&
	    (uintptr_t)address < (uintptr_t)hi;
}

/* As far as the C library unwinds at all. */
static void
unwound(void *arg)
{
	char here = 0;

	left->unwound++;
	left->on_the_context += arg != NULL && on_stack_of(arg, &here);
}

/* Ways for a thread to end inside a context. */
static intptr_t
leaves(void *arg)
{
	pthread_cleanup_push(unwound, reap_worker_current(reap_worker_self()));
	pthread_exit(arg);
	pthread_cleanup_pop(0);
	return 0;
}

static intptr_t
cancels_itself(void *arg)
{
	pthread_cleanup_push(unwound, reap_worker_current(reap_worker_self()));
	CHECK_EQ(pthread_cancel(pthread_self()), 0);
	pthread_testcancel();
	pthread_cleanup_pop(0);
	return (intptr_t)arg;
}

static struct latch reading = LATCH_INIT;

static intptr_t
reads_for_ever(void *arg)
{
	int	end[2];
	char	nothing;

	(void)arg;
	CHECK_EQ(pipe(end), 0);
	latch_hit(&reading);
	(void)!read(end[0], &nothing, 1);	/* a cancellation point */
	return 0;
}

static void
run_in_main(void *entry)
{
	struct host h;

	host_open(&h, (struct reap_domain_options){ 0 });
	(void)host_spawn(*(reap_entry **)entry, NULL);
	host_run();
	host_close(&h);
}

static void *
worker_runs(void *entry)
{
	run_in_main(entry);
	return NULL;
}

static void
run_in_thread(void *entry)
{
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, worker_runs, entry), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

static void
cancel_from_outside(void *entry)
{
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, worker_runs, entry), 0);
	latch_await(&reading, 1);
	CHECK_EQ(pthread_cancel(thread), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

static void
check_thread_exit(void (*how)(void *), reap_entry *entry)
{
	if (HOST_SANITIZED)
		SKIP("nobody tells the sanitizer that the C library has gone back to the thread's own stack");
	CHECK_MISUSE("thread-exit", how, &entry);
}

TEST(thread_exit, pthread_exit_inside_a_context_aborts)
{
	left_new();
	check_thread_exit(run_in_thread, leaves);
#ifdef __GLIBC__	/* others run the handlers, on the same stack, without unwinding it */
	CHECK_EQ(left->unwound, 1);
	CHECK_EQ(left->on_the_context, 1);	/* the frames of the context were left one by one */
#endif
}

TEST(thread_exit, pthread_exit_by_the_first_thread_aborts)
{
	left_new();
	check_thread_exit(run_in_main, leaves);
}

TEST(thread_exit, cancellation_inside_a_context_aborts)
{
	left_new();
	check_thread_exit(run_in_thread, cancels_itself);
}

TEST(thread_exit, cancellation_from_outside_aborts)
{
	check_thread_exit(cancel_from_outside, reads_for_ever);
}

/* The same from the base context. */
enum how { RETURNS, EXITS, STOPS_BY_HANDLER, STOPS_BY_KEY };

static struct host	*shared;
static struct reap_context *alive;
static pthread_key_t	early, late;		/* made before and after libreap's own */

static void
stop_by_key(void *worker)
{
	CHECK_EQ(reap_worker_stop(worker), 0);
}

static void
stop_by_handler(void *worker)
{
	CHECK_EQ(reap_worker_stop(worker), 0);
}

static void *
ends_as_worker(void *how)
{
	struct host_worker	 me = { .host = shared };
	struct reap_worker	*worker;

	CHECK_EQ(reap_worker_start(shared->domain, &me, &worker), 0);
	switch (*(enum how *)how) {
	case RETURNS:
		break;
	case EXITS:
		pthread_exit(NULL);
	case STOPS_BY_HANDLER:
		pthread_cleanup_push(stop_by_handler, worker);
		pthread_exit(NULL);
		pthread_cleanup_pop(0);
		break;
	case STOPS_BY_KEY:
		CHECK_EQ(pthread_setspecific(early, worker), 0);
		break;
	}
	return NULL;
}

static void
end_a_worker(void *how)
{
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, ends_as_worker, how), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

TEST(thread_exit, a_return_without_stop_aborts)
{
	enum how	how = RETURNS;
	struct host	h;

	host_open(&h, (struct reap_domain_options){ 0 });
	shared = &h;
	CHECK_MISUSE("stop-missing", end_a_worker, &how);
	how = EXITS;
	CHECK_MISUSE("stop-missing", end_a_worker, &how);
	host_close(&h);
}

TEST(thread_exit, cleanup_handlers_and_destructors_may_stop_the_worker)
{
	enum how	how = STOPS_BY_HANDLER;
	struct host	h;

	CHECK_EQ(pthread_key_create(&early, stop_by_key), 0);
	host_open(&h, (struct reap_domain_options){ 0 });
	shared = &h;
	end_a_worker(&how);
	how = STOPS_BY_KEY;
	end_a_worker(&how);
	CHECK_EQ(pthread_key_create(&late, stop_by_key), 0);
	early = late;
	end_a_worker(&how);
	host_close(&h);
}

static void *
stops_and_exits(void *result)
{
	struct host_worker	 me = { .host = shared };
	struct reap_worker	*worker;

	CHECK_EQ(reap_worker_start(shared->domain, &me, &worker), 0);
	CHECK_EQ(reap_worker_stop(worker), 0);
	CHECK_EQ(reap_worker_start(shared->domain, &me, &worker), 0);	/* once more: it is watched anew, and let go anew */
	CHECK_EQ(reap_worker_stop(worker), 0);
	pthread_exit(result);
}

TEST(thread_exit, after_stop_a_thread_ends_as_it_likes)
{
	struct host	h;
	pthread_t	thread;
	void		*result;

	host_open(&h, (struct reap_domain_options){ 0 });
	shared = &h;
	CHECK_EQ(pthread_create(&thread, NULL, stops_and_exits, &h), 0);
	CHECK_EQ(pthread_join(thread, &result), 0);
	CHECK(result == &h);
	host_close(&h);
}

/* Contexts that live on a worker whose thread ends. */
static intptr_t
goes_on(void *arg)
{
	struct reap_worker *before = reap_worker_self();

	(void)reap_switch(before, reap_worker_base(before));
	CHECK(reap_worker_self() != NULL);
	return (intptr_t)arg;
}

static void *
starts_one(void *stops)
{
	struct host_worker		 me = { .host = shared };
	struct reap_context_options	 o = { .size = sizeof(o), .entry = goes_on, .arg = &me };
	struct reap_worker		*worker;

	CHECK_EQ(reap_worker_start(shared->domain, &me, &worker), 0);
	CHECK_EQ(reap_context_create(shared->domain, &o, &alive), 0);
	worker = reap_switch(worker, alive);
	if (stops != NULL)
		CHECK_EQ(reap_worker_stop(worker), 0);
	return NULL;
}

static void
leave_one_alive(void *stops)
{
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, starts_one, stops), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

TEST(thread_exit, live_contexts_do_not_excuse_a_missing_stop)
{
	struct host h;

	host_open(&h, (struct reap_domain_options){ 0 });
	shared = &h;
	CHECK_MISUSE("stop-missing", leave_one_alive, NULL);
	host_close(&h);
}

TEST(thread_exit, live_contexts_outlive_a_worker_that_stopped)
{
	struct host h;

	host_open(&h, (struct reap_domain_options){ 0 });
	shared = &h;
	leave_one_alive(&h);
	h.worker = reap_switch(h.worker, alive);
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 10), 1);
	host_close(&h);
}

/* exit() inside a context: the process ends as it would anywhere else, on that context's stack. */
static struct reap_context *exiting;

static void
exit_handler(void)
{
	char here = 0;

	if (exiting != NULL)
		left->exit_handlers += on_stack_of(exiting, &here) ? 1 : 100;
}

static intptr_t
exits_the_process(void *arg)
{
	exiting = reap_worker_current(reap_worker_self());
	CHECK_EQ(atexit(exit_handler), 0);
	exit((int)(intptr_t)arg);
}

static intptr_t
turns(void *arg)
{
	latch_hit(arg);
	while (arg != NULL)
		host_yield();
	return 0;
}

TEST(thread_exit, exit_inside_a_context_ends_the_process)
{
	static struct latch	turning = LATCH_INIT;
	struct host		h;
	struct host_thread	t;
	int			status;
	pid_t			pid;

	left_new();
	CHECK((pid = fork()) >= 0);
	if (pid == 0) {
		/* Another worker, and a context that has stopped, are in the midst of things. */
		host_open_shared(&h, (struct reap_domain_options){ .stack = { .size = 256 * 1024 } });
		host_thread_start(&t, &h);
		(void)host_spawn(turns, &turning);
		latch_await(&turning, 1);
		CHECK_EQ(reap_wait(host_spawn(exits_the_process, (void *)(intptr_t)42), 0, NULL), 0);
		_exit(0);
	}
	while (waitpid(pid, &status, 0) < 0)
		CHECK_EQ(errno, EINTR);
	CHECK(WIFEXITED(status));
	CHECK_EQ(WEXITSTATUS(status), 42);
	CHECK_EQ(left->exit_handlers, 1);
}

/* longjmp(): within a context as within a thread, whatever has switched in between. */
static jmp_buf place[2];

static intptr_t
jumps_at_home(void *arg)
{
	intptr_t	me = (intptr_t)arg;
	volatile int	times = 0;

	if (setjmp(place[me]) < 3) {
		times++;
		host_yield();
		longjmp(place[me], times);
	}
	return times;
}

TEST(thread_exit, longjmp_within_a_context_is_ordinary)
{
	struct host		h;
	struct reap_context	*child[2];

	host_open(&h, (struct reap_domain_options){ 0 });
	for (intptr_t i = 0; i < 2; i++)
		child[i] = host_spawn(jumps_at_home, (void *)i);
	for (int i = 0; i < 2; i++) {
		struct reap_result result;

		CHECK_EQ(reap_wait(child[i], 0, &result), 0);
		CHECK_EQ(result.status, 3);
	}
	host_close(&h);
}

static intptr_t
jumps_away(void *arg)
{
	longjmp(arg, 1);
}

/* Whoever leaves a context in this way is taken for it for ever after: found, at the latest, where only the base may be. */
static void
stop_after_jump(void *unused)
{
	struct host h;

	(void)unused;
	host_open(&h, (struct reap_domain_options){ 0 });
	if (setjmp(place[0]) == 0) {
		(void)host_spawn(jumps_away, place[0]);
		host_run();
		_exit(0);
	}
	(void)reap_worker_stop(reap_worker_self());
}

static void *
end_after_jump(void *unused)
{
	struct host h;

	(void)unused;
	host_open(&h, (struct reap_domain_options){ 0 });
	if (setjmp(place[0]) == 0) {
		(void)host_spawn(jumps_away, place[0]);
		host_run();
		_exit(0);
	}
	return NULL;
}

static void
end_thread_after_jump(void *unused)
{
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, end_after_jump, unused), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

TEST(thread_exit, longjmp_out_of_a_context_is_found_when_the_worker_ends)
{
	if (HOST_SANITIZED)
		SKIP("sanitizers have words of their own for it");
	CHECK_MISUSE("stop-from-base", stop_after_jump, NULL);
	CHECK_MISUSE("thread-exit", end_thread_after_jump, NULL);
}
