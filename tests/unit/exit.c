/* SPDX-License-Identifier: ISC */
/*
 * exit.c: the end of a context: listeners, the no-block point, the successor, what may not exit.
 */
#include "host.h"
#include "misuse.h"

static void
exit_now(void *arg)
{
	(void)arg;
	reap_exit(1);
}

TEST(exit, from_a_base_context_aborts)
{
	struct host h;

	host_open(&h, (struct reap_domain_options){ 0 });
	CHECK_MISUSE("exit-base", exit_now, NULL);
	host_close(&h);
}

TEST(exit, outside_any_context_aborts)
{
	CHECK_MISUSE("exit-base", exit_now, NULL);
}

static bool
holds_a_lock(struct reap_context *dying)
{
	CHECK(dying == reap_worker_current(reap_worker_self()));
	return reap_context_user(dying) != NULL;
}

static void
exit_with_lock(void *arg)
{
	(void)host_create((struct reap_context_options){ .entry = host_return, .user = arg });
	host_run();
}

TEST(exit, with_a_lock_held_aborts)
{
	struct reap_host	callbacks = host_alone;
	struct host		h;

	callbacks.locks_held = holds_a_lock;
	host_open(&h, (struct reap_domain_options){ .host = &callbacks });
	CHECK_EQ(reap_wait(host_spawn(host_return, NULL), 0, NULL), 0);
	CHECK_MISUSE("exit-with-lock", exit_with_lock, &h);
	host_close(&h);
}

static void
go_down(int n)
{
	if (n == 5)
		reap_exit(-3);
	if (n < 10)
		go_down(n + 1);
}

static intptr_t
exit_deep(void *arg)
{
	(void)arg;
	go_down(0);
	return 0;
}

TEST(exit, from_anywhere_gives_the_status)
{
	struct host		h;
	struct reap_result	r;

	host_open(&h, (struct reap_domain_options){ 0 });
	CHECK_EQ(reap_wait(host_spawn(exit_deep, NULL), 0, &r), 0);
	CHECK_EQ(r.status, -3);
	host_close(&h);
}

/* Listeners. */
struct noted {
	struct reap_exit_listener listener;
	int	 number;
};

static int	 heard[8];
static unsigned	 nheard;

static void
note(struct reap_exit_listener *listener, struct reap_context *dying, intptr_t status)
{
	CHECK(dying == reap_worker_current(reap_worker_self()));
	CHECK_EQ(status, 4);
	CHECK_EQ(reap_context_state(dying), REAP_STATE_RUNNING);
	CHECK(nheard < 8);
	heard[nheard++] = ((struct noted *)listener)->number;
}

static void
note_and_block(struct reap_exit_listener *listener, struct reap_context *dying, intptr_t status)
{
	host_yield();
	CHECK_EQ(reap_wait(host_spawn(host_return, NULL), 0, NULL), 0);
	note(listener, dying, status);
}

static intptr_t
listen_and_end(void *arg)
{
	struct noted		inner = { { .exiting = note_and_block }, 3 }, off = { { .exiting = note }, 99 };
	struct reap_context	*self = reap_worker_current(reap_worker_self());

	(void)arg;
	reap_exit_listen(self, &inner.listener);
	reap_exit_listen(self, &off.listener);
	CHECK_EQ(reap_exit_unlisten(self, &off.listener), 0);
	CHECK_EQ(reap_exit_unlisten(self, &off.listener), -ENOENT);
	reap_exit(4);
}

TEST(exit, listeners_hear_of_it_newest_first_and_may_block)
{
	struct host		h;
	struct noted		first = { { .exiting = note }, 1 }, second = { { .exiting = note_and_block }, 2 };
	struct reap_context	*child;

	host_open(&h, (struct reap_domain_options){ 0 });
	child = host_spawn(listen_and_end, NULL);
	reap_exit_listen(child, &first.listener);
	reap_exit_listen(child, &second.listener);
	CHECK_EQ(reap_wait(child, 0, NULL), 0);
	CHECK_EQ(nheard, 3);
	CHECK_EQ(heard[0], 3);
	CHECK_EQ(heard[1], 2);
	CHECK_EQ(heard[2], 1);
	host_close(&h);
}

/* The successor is whoever is runnable; the base context only if nobody is. */
TEST(exit, goes_straight_to_the_successor)
{
	struct host		h;
	struct reap_stats	s;

	host_open(&h, (struct reap_domain_options){ 0 });
	for (int i = 0; i < 10; i++)
		(void)host_spawn(host_return, NULL);
	host_run();
	s = host_stats(&h);
	CHECK_EQ(s.handed_direct, 9);
	CHECK_EQ(s.handed_base, 1);
	CHECK_EQ(s.switches, 11);		/* one in, ten of the dead */
	CHECK_EQ(s.landings_posted, 10);
	CHECK_EQ(s.exited, 10);
	CHECK_EQ(s.zombies, 10);
	CHECK_EQ(s.live, 0);
	while (reap_wait_any(0, NULL) == 0)
		continue;
	host_close(&h);
}

/*
 * The no-block point: what may block comes before it, what comes after it is told apart here.  In the order of one exit:
 * locks_held, listener, next, before_final_switch, on_switch, after_switch, child_exited.
 */
static char	 trace[32];
static unsigned	 ntrace;
static struct reap_context *traced;

static void
mark(char c)
{
	CHECK(ntrace < sizeof(trace) - 1);
	trace[ntrace++] = c;
}

static bool
trace_locks(struct reap_context *dying)
{
	if (dying == traced)
		mark('K');
	return false;
}

static void
trace_listener(struct reap_exit_listener *listener, struct reap_context *dying, intptr_t status)
{
	(void)listener;
	(void)dying;
	(void)status;
	mark('L');
}

static struct reap_context *
trace_next(struct reap_worker *worker)
{
	if (reap_worker_current(worker) == traced)
		mark('n');
	return host_next(worker);
}

static void
trace_final(struct reap_context *dying)
{
	if (dying == traced)
		mark('f');
}

static void
trace_on(struct reap_worker *worker, struct reap_context *from, struct reap_context *to)
{
	CHECK(from == reap_worker_current(worker) && to != from);
	if (from == traced)
		mark('s');
}

static void
trace_after(struct reap_worker *worker, struct reap_context *prev, bool dead)
{
	CHECK(prev != reap_worker_current(worker));
	if (prev == traced && dead) {
		CHECK_EQ(reap_context_state(prev), REAP_STATE_EXITING);		/* not posted yet */
		mark('a');
	}
}

static void
trace_child(struct reap_context *parent, struct reap_context *child)
{
	CHECK(parent == reap_context_parent(child));
	if (child == traced) {
		CHECK_EQ(reap_context_state(child), REAP_STATE_EXITING);
		mark('c');
	}
}

static void
trace_off_cpu(struct reap_context *context, intptr_t status)
{
	CHECK(context == traced && status == 6);
	CHECK_EQ(reap_context_state(context), REAP_STATE_ZOMBIE);
	mark('o');
}

static void
check_trace(enum reap_notify notify, const char *expected)
{
	const struct reap_host	callbacks = {
		.next = trace_next, .ready = host_ready, .on_switch = trace_on, .after_switch = trace_after,
		.child_exited = trace_child, .locks_held = trace_locks
	};
	struct reap_exit_listener listener = { .exiting = trace_listener };
	struct host		h;

	host_open(&h, (struct reap_domain_options){ .host = &callbacks, .before_final_switch = trace_final, .notify = notify });
	traced = host_create((struct reap_context_options){ .entry = host_return, .arg = (void *)6, .off_cpu = trace_off_cpu });
	reap_exit_listen(traced, &listener);
	(void)host_spawn(host_return, NULL);
	host_run();
	CHECK_EQ(reap_wait_any(0, NULL), 0);
	CHECK_EQ(reap_wait_any(0, NULL), 0);
	trace[ntrace] = '\0';
	CHECK_STR_EQ(trace, expected);
	host_close(&h);
}

TEST(exit, after_the_no_block_point_nothing_may_block)
{
	check_trace(REAP_NOTIFY_LATE, "KLnfsaco");
}

TEST(exit, early_notification_comes_before_the_final_switch)
{
	check_trace(REAP_NOTIFY_EARLY, "KLcnfsao");
}

/* off_cpu: once, whoever reaps. */
static unsigned offs;

static void
count_off_cpu(struct reap_context *context, intptr_t status)
{
	CHECK_EQ(reap_context_state(context), REAP_STATE_ZOMBIE);
	CHECK_EQ(status, 2);
	offs++;
}

TEST(exit, off_cpu_runs_exactly_once_under_every_policy)
{
	static const enum reap_policy policies[] = {
		REAP_POLICY_ADAPTIVE, REAP_POLICY_PARENT, REAP_POLICY_SUCCESSOR, REAP_POLICY_ADOPTER, REAP_POLICY_THREAD
	};
	struct host		h;
	unsigned		expected = 0;

	host_open(&h, (struct reap_domain_options){ 0 });
	CHECK_EQ(reap_thread_start(h.domain, 0), 0);
	for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
		struct reap_context_options o = {
			.entry = host_return, .arg = (void *)2, .policy = policies[i], .off_cpu = count_off_cpu
		};
		struct reap_context	*child = host_create(o);

		host_run();
		CHECK_EQ(offs, expected);
		CHECK_EQ(reap_wait(child, 0, NULL), 0);
		CHECK_EQ(offs, ++expected);
		child = host_create(o);
		CHECK_EQ(reap_wait(child, REAP_PEEK, NULL), 0);
		CHECK_EQ(offs, expected);
		CHECK_EQ(reap_detach(reap_context_handle(child)), 0);
		CHECK_EQ(offs, ++expected);
		if (policies[i] == REAP_POLICY_THREAD)
			break;		/* the reaper thread drains the default adopter by itself */
		o.flags = REAP_CONTEXT_DETACHED;
		(void)host_create(o);
		host_run();
		CHECK_EQ(offs, expected);
		while (reap_adopter_drain(reap_adopter_default(h.domain), 10) > 0)
			continue;
		CHECK_EQ(offs, ++expected);
	}
	CHECK_EQ(reap_thread_stop(h.domain), 0);
	CHECK_EQ(offs, expected);
	host_close(&h);
}

/* The library neither reads nor sets errno. */
static intptr_t
errno_body(void *arg)
{
	(void)arg;
	host_yield();
	return 0;
}

TEST(exit, errno_is_neither_read_nor_set)
{
	static const int values[] = { 0, EINTR, EAGAIN, 9999 };
	struct reap_context_options refused = { .size = sizeof(refused) };
	struct host		h;
	struct reap_context	*child = NULL;
	struct reap_handle	name;

	host_open(&h, (struct reap_domain_options){ 0 });
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		errno = values[i];
		child = host_spawn(errno_body, NULL);
		name = reap_context_handle(child);
		CHECK_EQ(reap_wait(child, REAP_NOHANG, NULL), -EAGAIN);
		CHECK_EQ(reap_wait_any(0, NULL), 0);
		CHECK_EQ(reap_join(name, 0, NULL), -ESRCH);
		CHECK_EQ(reap_context_create(h.domain, &refused, &child), -EINVAL);
		CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 10), 0);
		CHECK_EQ(errno, values[i]);
	}
	host_close(&h);
}
