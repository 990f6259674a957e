/* SPDX-License-Identifier: ISC */
/*
 * boost_fiber.cc: Boost.Fiber, threads of user space with mutexes, channels and futures, on Boost.Context.
 *
 * On one worker with its default scheduler (round_robin) and stacks from pooled_fixedsize_stack: no guards, all kept, no trim.
 * That pool is for one OS thread, so two workers (work_stealing) take its default, fixedsize_stack: malloc(), which recycles, no
 * guards either.  `live' takes protected_fixedsize_stack: mmap(), a guard by mprotect(), munmap().  A context that ends goes to
 * its thread's dispatcher fiber, which frees the terminated ones: the forced switch to idle and the reaper in one. launch::post:
 * the spawner runs on.  An idle worker of work_stealing spins, as it does by default.
 */
#define BOOST_ENABLE_ASSERT_HANDLER
#include <boost/fiber/algo/work_stealing.hpp>
#include <boost/fiber/all.hpp>
#include <boost/fiber/pooled_fixedsize_stack.hpp>
#include <boost/fiber/protected_fixedsize_stack.hpp>

#include <chrono>
#include <memory>
#include <new>
#include <thread>
#include <vector>

#include "shape.h"

static void at_a_limit(char const *what);

/* protected_fixedsize_stack asserts that it got its guard; where assertions are off it goes on without one. */
namespace boost {
void assertion_failed(char const *what, char const *, char const *, long);
void assertion_failed(char const *what, char const *, char const *, long) { at_a_limit(what); abort(); }
void assertion_failed_msg(char const *what, char const *, char const *, char const *, long);
void assertion_failed_msg(char const *what, char const *, char const *, char const *, long) { at_a_limit(what); abort(); }
}

namespace fibers = boost::fibers;

#define RING	1024

static fibers::pooled_fixedsize_stack pool(PEER_STACK);
static fibers::protected_fixedsize_stack guarded(PEER_STACK);
static fibers::fixedsize_stack plain(PEER_STACK);
static long ran;
static std::vector<fibers::fiber> all;

static void
at_a_limit(char const *what)
{
	if (errno == ENOMEM)
		peer_stopped((long)all.size(), "mprotect", errno);
	fprintf(stderr, "assertion failed: %s\n", what);
}

template <typename Allocator, typename Body>
static fibers::fiber
spawn(Allocator &stacks, Body body)
{
	return fibers::fiber(fibers::launch::post, std::allocator_arg, stacks, body);
}

static void
empty()
{
	ran++;
}

static void
yields()
{
	ran++;
	boost::this_fiber::yield();
}

static void
switches(long n)
{
	fibers::fiber pong = spawn(pool, [n] {
		for (long i = 0; i < n / 2; i++) {
			ran++;
			boost::this_fiber::yield();
		}
	});

	ran = 0;
	for (long i = 0; i < n / 2; i++)
		boost::this_fiber::yield();
	pong.join();
	peer_must(ran == n / 2, "counting");
}

static void
one(long n)
{
	ran = 0;
	for (long i = 0; i < n; i++)
		spawn(pool, empty).join();
	peer_must(ran == n, "counting");
}

static void
join_all()
{
	for (fibers::fiber &f : all)
		f.join();
	all.clear();
}

static void
batches(long n, void (*body)())
{
	ran = 0;
	for (long i = 0; i < n; i += PEER_BATCH) {
		for (int j = 0; j < PEER_BATCH; j++)
			all.push_back(spawn(pool, body));
		join_all();
	}
	peer_must(ran == n, "counting");
}

static void live_1000(long n) { batches(n, yields); }
static void batch_1000(long n) { batches(n, empty); }

static thread_local int worker;

static void
two(bool burn)
{
	for (int j = 0; j < PEER_BATCH; j++)
		all.push_back(spawn(plain, [j, burn] {
			if (burn)
				peer_burn();
			if (j % PEER_SAMPLE == 0)
				peer_on(worker);
		}));
	join_all();
}

static void two_empty(long) { two(false); }
static void two_1us(long) { two(true); }

/* Not inlined: the caller may be on another thread afterwards than before. */
static int __attribute__((noinline))
self()
{
	__asm__ volatile("" ::: "memory");
	return worker;
}

static void
cross(long n)
{
	static int there;
	long crossed = 0;

	for (long i = 0; i < n; i++) {
		int here = self(), where;
		double late = 0;

		there = 0;
		fibers::fiber child = spawn(plain, [] { __atomic_store_n(&there, 1 + self(), __ATOMIC_RELEASE); });
		for (unsigned spins = 1; (where = __atomic_load_n(&there, __ATOMIC_ACQUIRE)) == 0; spins++)
			if (spins % 4096 == 0) {
				if (late == 0)
					late = peer_clock(CLOCK_MONOTONIC) + 1e7;
				else if (peer_clock(CLOCK_MONOTONIC) > late)
					break;
			}
		child.join();
		crossed += where != 0 && where != here + 1;
	}
	peer_note("crossed", (double)crossed / (double)n);
}

template <typename Allocator>
static void
make(Allocator &stacks, long n, void (*body)())
{
	ran = 0;
	for (long i = 0; i < n; i++)
		try {
			all.push_back(spawn(stacks, body));
		} catch (const std::bad_alloc &) {
			peer_stopped(i, "stack allocation", ENOMEM);
		} catch (const fibers::fiber_error &e) {
			peer_stopped(i, "stack allocation", e.code().value());
		}
	while (ran < n)
		boost::this_fiber::yield();
}

static void crowd_guarded(long n) { make(guarded, n, yields); }
static void crowd_pooled(long n) { make(pool, n, yields); }
static void dead(long n) { make(pool, n, empty); }

static void
collect(long n)
{
	peer_must(all.size() == (size_t)n, "collecting");
	join_all();
}

static void
idle(int ms)
{
	boost::this_fiber::sleep_for(std::chrono::milliseconds(ms));
}

static void lives(long n) { peer_live(n, crowd_guarded, collect, nullptr); }
static void burst(long n) { peer_burst(n, crowd_pooled, collect, idle, nullptr); }
static void zombies(long n) { peer_zombies(n, dead, collect, nullptr); }

static long
pass(long n)
{
	fibers::buffered_channel<fibers::fiber> ring(RING);
	fibers::fiber collector = spawn(plain, [&ring] {
		fibers::fiber f;

		while (ring.pop(f) == fibers::channel_op_status::success)
			f.join();
	});
	long i;

	for (i = 0; i < n && (i % 1024 != 0 || !peer_late()); i++)
		ring.push(spawn(plain, [] {}));
	ring.close();
	collector.join();
	return i;
}

static void handoff(long n) { peer_handoff(n, pass); }

static const struct peer_shape shapes[] = {
	{ "switch", PEER_TIMED, 1000, 1, switches },
	{ "life-one", PEER_TIMED, 1000, 1, one },
	{ "live-1000", PEER_TIMED, PEER_BATCH, 1, live_1000 },
	{ "batch-1000", PEER_TIMED, PEER_BATCH, 1, batch_1000 },
	{ "two-empty", PEER_BATCHES, PEER_BATCH, 2, two_empty },
	{ "two-1us", PEER_BATCHES, PEER_BATCH, 2, two_1us },
	{ "cross", PEER_TIMED, 100, 2, cross },
	{ "live", PEER_ONCE, 100000, 1, lives },
	{ "rss", PEER_ONCE, 100000, 1, burst },
	{ "zombies", PEER_ONCE, 20000, 1, zombies },
	{ "handoff", PEER_ONCE, 1000000, 2, handoff },
	{ nullptr, PEER_ONCE, 0, 0, nullptr }
};

static bool over;
static fibers::mutex lock;
static fibers::condition_variable_any ended;

int
main(int argc, char **argv)
{
	std::thread other;

	peer_args(argc, argv, shapes);
	if (peer_shape->workers == 2) {
		int ready = 0;

		other = std::thread([&ready] {
			worker = 1;
			fibers::use_scheduling_algorithm<fibers::algo::work_stealing>(2);
			__atomic_fetch_add(&ready, 1, __ATOMIC_SEQ_CST);
			std::unique_lock<fibers::mutex> hold(lock);
			ended.wait(hold, [] { return over; });
		});
		fibers::use_scheduling_algorithm<fibers::algo::work_stealing>(2);
		while (__atomic_load_n(&ready, __ATOMIC_SEQ_CST) == 0)
			std::this_thread::yield();
	}
	peer_run();
	if (other.joinable()) {
		{
			std::unique_lock<fibers::mutex> hold(lock);
			over = true;
		}
		ended.notify_all();
		other.join();
	}
	return 0;
}
