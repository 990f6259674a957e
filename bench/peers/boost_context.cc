/* SPDX-License-Identifier: ISC */
/*
 * boost_context.cc: Boost.Context, a switch and stacks, for those who write schedulers.
 *
 *	fiber		its documented interface, boost::context::fiber (continuation, callcc() is the same under another name)
 *	fcontext	what that stands on, jump_fcontext(), which is not documented
 *
 * The creator resumes a context and gets on when it yields or ends: asymmetric, no join, no handles, one owner.  The dead stack is
 * given up by a function that runs on the stack resumed next.  Timed shapes take stacks from pooled_fixedsize_stack, which has no
 * guards, keeps all, and cannot be trimmed;  `live' takes protected_fixedsize_stack, with mmap(), a guard by mprotect(), and
 * munmap() each time.  The switch saves and loads the floating-point control words: a load that differs from what is there is slow
 * on some processors; here it does not differ.
 */
#define BOOST_ENABLE_ASSERT_HANDLER
#include <boost/context/detail/fcontext.hpp>
#include <boost/context/fiber.hpp>
#include <boost/context/pooled_fixedsize_stack.hpp>
#include <boost/context/protected_fixedsize_stack.hpp>

#include <memory>
#include <new>
#include <utility>
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

namespace ctx = boost::context;

static ctx::pooled_fixedsize_stack pool(PEER_STACK);
static ctx::protected_fixedsize_stack guarded(PEER_STACK);
static long ran;

template <typename Allocator>
static ctx::fiber
empty(Allocator &stacks)
{
	return ctx::fiber(std::allocator_arg, stacks, [](ctx::fiber &&creator) {
		ran++;
		return std::move(creator);
	});
}

template <typename Allocator>
static ctx::fiber
yields(Allocator &stacks)
{
	return ctx::fiber(std::allocator_arg, stacks, [](ctx::fiber &&creator) {
		ran++;
		creator = std::move(creator).resume();
		return std::move(creator);
	});
}

static void
fiber_switches(long n)
{
	static bool over;
	ctx::fiber pong(std::allocator_arg, pool, [](ctx::fiber &&creator) {
		while (!over) {
			ran++;
			creator = std::move(creator).resume();
		}
		return std::move(creator);
	});

	ran = 0;
	over = false;
	for (long i = 0; i < n / 2; i++)
		pong = std::move(pong).resume();
	over = true;
	pong = std::move(pong).resume();
	peer_must(ran == n / 2 && !pong, "counting");
}

static void
fiber_one(long n)
{
	ran = 0;
	for (long i = 0; i < n; i++) {
		ctx::fiber f = empty(pool);

		f = std::move(f).resume();
	}
	peer_must(ran == n, "counting");
}

static std::vector<ctx::fiber> all;

static void
at_a_limit(char const *what)
{
	if (errno == ENOMEM)
		peer_stopped((long)all.size(), "mprotect", errno);
	fprintf(stderr, "assertion failed: %s\n", what);
}

template <typename Allocator>
static void
crowd_of(Allocator &stacks, long n)
{
	ran = 0;
	for (long i = 0; i < n; i++)
		try {
			all.push_back(yields(stacks));
			all.back() = std::move(all.back()).resume();
		} catch (const std::bad_alloc &) {
			peer_stopped(i, "stack allocation", ENOMEM);
		}
	peer_must(ran == n, "counting");
}

static void
fiber_collect(long n)
{
	peer_must(all.size() == (size_t)n, "collecting");
	for (ctx::fiber &f : all)
		f = std::move(f).resume();
	all.clear();
}

static void
fiber_live_1000(long n)
{
	for (long i = 0; i < n; i += PEER_BATCH) {
		crowd_of(pool, PEER_BATCH);
		fiber_collect(PEER_BATCH);
	}
}

static void
fiber_batch_1000(long n)
{
	ran = 0;
	for (long i = 0; i < n; i += PEER_BATCH) {
		for (int j = 0; j < PEER_BATCH; j++)
			all.push_back(empty(pool));
		fiber_collect(PEER_BATCH);
	}
	peer_must(ran == n, "counting");
}

static void crowd_guarded(long n) { crowd_of(guarded, n); }
static void crowd_pooled(long n) { crowd_of(pool, n); }

/* The raw switch.  A context tells its creator by the data that it passes that it is done; the creator frees its stack. */
namespace raw = boost::context::detail;

struct bare {
	ctx::stack_context stack;
	raw::fcontext_t at;
};

static void
raw_empty(raw::transfer_t creator)
{
	ran++;
	raw::jump_fcontext(creator.fctx, nullptr);
}

static void
raw_yields(raw::transfer_t creator)
{
	ran++;
	creator = raw::jump_fcontext(creator.fctx, nullptr);
	raw::jump_fcontext(creator.fctx, nullptr);
}

static void
raw_back(raw::transfer_t creator)
{
	for (;;) {
		ran++;
		creator = raw::jump_fcontext(creator.fctx, nullptr);
	}
}

static bare
raw_make(void (*entry)(raw::transfer_t))
{
	bare b;

	b.stack = pool.allocate();
	b.at = raw::make_fcontext(b.stack.sp, b.stack.size, entry);
	return b;
}

static void
raw_resume(bare &b)
{
	b.at = raw::jump_fcontext(b.at, nullptr).fctx;
}

static void
raw_end(bare &b)
{
	raw_resume(b);
	pool.deallocate(b.stack);
}

static void
raw_switches(long n)
{
	bare pong = raw_make(raw_back);

	ran = 0;
	for (long i = 0; i < n / 2; i++)
		raw_resume(pong);
	pool.deallocate(pong.stack);
	peer_must(ran == n / 2, "counting");
}

static void
raw_one(long n)
{
	ran = 0;
	for (long i = 0; i < n; i++) {
		bare b = raw_make(raw_empty);

		raw_end(b);
	}
	peer_must(ran == n, "counting");
}

static void
raw_batches(long n, bool yield)
{
	static bare children[PEER_BATCH];

	ran = 0;
	for (long i = 0; i < n; i += PEER_BATCH) {
		for (bare &b : children) {
			b = raw_make(yield ? raw_yields : raw_empty);
			if (yield)
				raw_resume(b);
		}
		for (bare &b : children)
			raw_end(b);
	}
	peer_must(ran == n, "counting");
}

static bool
is_raw()
{
	return strcmp(peer_variant, "fcontext") == 0;
}

static void switches(long n) { is_raw() ? raw_switches(n) : fiber_switches(n); }
static void one(long n) { is_raw() ? raw_one(n) : fiber_one(n); }
static void live_1000(long n) { is_raw() ? raw_batches(n, true) : fiber_live_1000(n); }
static void batch_1000(long n) { is_raw() ? raw_batches(n, false) : fiber_batch_1000(n); }
static void idle(int ms) { usleep((useconds_t)ms * 1000); }
static void lives(long n) { peer_live(n, crowd_guarded, fiber_collect, nullptr); }
static void burst(long n) { peer_burst(n, crowd_pooled, fiber_collect, idle, nullptr); }

static const struct peer_shape shapes[] = {
	{ "switch", PEER_TIMED, 1000, 1, switches },
	{ "life-one", PEER_TIMED, 1000, 1, one },
	{ "live-1000", PEER_TIMED, PEER_BATCH, 1, live_1000 },
	{ "batch-1000", PEER_TIMED, PEER_BATCH, 1, batch_1000 },
	{ "live", PEER_ONCE, 100000, 1, lives },
	{ "rss", PEER_ONCE, 100000, 1, burst },
	{ nullptr, PEER_ONCE, 0, 0, nullptr }
};

int
main(int argc, char **argv)
{
	peer_args(argc, argv, shapes);
	peer_run();
	return 0;
}
