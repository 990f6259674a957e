/* SPDX-License-Identifier: ISC */
/*
 * tbb.cc: oneTBB.  A task is no context: it has no stack of its own, cannot yield and cannot block without blocking its worker.
 * Who spawns ten thousand things that never wait needs no more than this; that is what it is here for.
 *
 * task_group: run() allocates a task from a pool of the thread's own, wait() runs them on the waiting thread's stack, newest
 * first, while idle workers steal the oldest.  Nothing is left of a task when it has ended, so there is nothing to reap and no
 * status.
 */
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/task_group.h>

#include "shape.h"

static long ran;
static tbb::task_group *group;

static void
one(long n)
{
	ran = 0;
	for (long i = 0; i < n; i++) {
		group->run([] { ran++; });
		group->wait();
	}
	peer_must(ran == n, "counting");
}

static void
batch_1000(long n)
{
	ran = 0;
	for (long i = 0; i < n; i += PEER_BATCH) {
		for (int j = 0; j < PEER_BATCH; j++)
			group->run([] { ran++; });
		group->wait();
	}
	peer_must(ran == n, "counting");
}

static void
two(bool burn)
{
	for (int j = 0; j < PEER_BATCH; j++)
		group->run([j, burn] {
			if (burn)
				peer_burn();
			if (j % PEER_SAMPLE == 0)
				peer_on(tbb::this_task_arena::current_thread_index());
		});
	group->wait();
}

static void two_empty(long) { two(false); }
static void two_1us(long) { two(true); }

static void
cross(long n)
{
	static int there;
	long crossed = 0;

	for (long i = 0; i < n; i++) {
		int here = tbb::this_task_arena::current_thread_index(), where;
		double late = 0;

		there = 0;
		group->run([] { __atomic_store_n(&there, 1 + tbb::this_task_arena::current_thread_index(), __ATOMIC_RELEASE); });
		for (unsigned spins = 1; (where = __atomic_load_n(&there, __ATOMIC_ACQUIRE)) == 0; spins++)
			if (spins % 4096 == 0) {
				if (late == 0)
					late = peer_clock(CLOCK_MONOTONIC) + 1e7;
				else if (peer_clock(CLOCK_MONOTONIC) > late)
					break;
			}
		group->wait();
		crossed += where != 0 && where != here + 1;
	}
	peer_note("crossed", (double)crossed / (double)n);
}

static const struct peer_shape shapes[] = {
	{ "life-one", PEER_TIMED, 1000, 1, one },
	{ "batch-1000", PEER_TIMED, PEER_BATCH, 1, batch_1000 },
	{ "two-empty", PEER_BATCHES, PEER_BATCH, 2, two_empty },
	{ "two-1us", PEER_BATCHES, PEER_BATCH, 2, two_1us },
	{ "cross", PEER_TIMED, 100, 2, cross },
	{ nullptr, PEER_ONCE, 0, 0, nullptr }
};

int
main(int argc, char **argv)
{
	peer_args(argc, argv, shapes);

	tbb::global_control workers(tbb::global_control::max_allowed_parallelism, peer_shape->workers);
	tbb::task_arena arena((int)peer_shape->workers);
	tbb::task_group tasks;

	group = &tasks;
	arena.execute([] { peer_run(); });
	return 0;
}
