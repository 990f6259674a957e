// SPDX-License-Identifier: ISC
//
// exceptions.cpp: C++ exceptions and thread_local in contexts.
//
// An exception is thrown and caught on one stack: nothing is to be done for that.  What the C++ library keeps per thread is the
// list of exceptions that are being handled, and the number of those in flight.  A context that switches in a catch block, or in a
// destructor that an exception runs, takes them along only if the host sees to it: struct reap_kept and on_switch() below are
// all that a host needs.
//
// Each case runs in a process of its own.  Prints TAP.
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <reap.h>
#include <reap/keep.h>

namespace {

#define CHECK(expr)											\
	do {												\
		if (!(expr)) {										\
			std::fprintf(stderr, "%s:%d: %s is false\n", __FILE__, __LINE__, #expr);	\
			std::_Exit(1);									\
		}											\
	} while (0)

// The word of each context, its workers' base contexts included.
struct mine {
	reap_kept kept{};		// while it does not run
	int	next_worker = 0;	// of two: another one each time
	int	(*body)(int) = nullptr;
	int	arg = 0;
};

mine *
of(const reap_context *context)
{
	return static_cast<mine *>(reap_context_user(context));
}

void
on_switch(reap_worker *, reap_context *from, reap_context *to)
{
	CHECK(reap_keep(REAP_KEEP_EXCEPTIONS, &of(from)->kept, &of(to)->kept) == 0);
}

// A first-in first-out host.  With two workers, a context runs on the one and on the other by turns.
struct queue {
	reap_context *head = nullptr, **tail = &head;
};

std::mutex lock;
std::condition_variable more;
queue queues[2];
int workers = 1;
bool stop;
reap_domain *domain;

queue &
queue_of(const reap_worker *worker)
{
	return queues[reinterpret_cast<intptr_t>(reap_worker_user(worker))];
}

reap_context *
next(reap_worker *worker)
{
	std::lock_guard<std::mutex> guard(lock);
	queue &q = queue_of(worker);
	reap_context *context = q.head;

	if (context != nullptr && (q.head = *reap_context_link(context)) == nullptr)
		q.tail = &q.head;
	return context;
}

void
ready(reap_context *context)
{
	std::lock_guard<std::mutex> guard(lock);
	queue &q = queues[of(context)->next_worker++ % workers];

	*reap_context_link(context) = nullptr;
	*q.tail = context;
	q.tail = reap_context_link(context);
	more.notify_all();
}

void
idle(reap_worker *worker)
{
	std::unique_lock<std::mutex> guard(lock);

	more.wait(guard, [worker] { return queue_of(worker).head != nullptr || stop; });
}

void
wake(reap_worker *)
{
}

bool
at_once(reap_context *, void *)
{
	return false;
}

// Off the CPU in any case, unlike reap_yield() when nothing else is runnable.
void
yield()
{
	(void)reap_park(reap_worker_self(), at_once, nullptr);
}

void
begin(int how_many, bool keep_exceptions)
{
	reap_host host{};
	reap_domain_options options{};

	host.next = next;
	host.ready = ready;
	host.idle = how_many > 1 ? idle : nullptr;
	host.wake = how_many > 1 ? wake : nullptr;
	host.on_switch = keep_exceptions ? on_switch : nullptr;
	workers = how_many;
	options.size = sizeof(options);
	options.host = &host;
	options.stack.size = 256 * 1024;	// the C++ library's unwinder takes some
	CHECK(reap_domain_create(&options, &domain) == 0);
}

void
end()
{
	CHECK(reap_domain_destroy(domain, nullptr, nullptr) == 0);
}

// One worker on the calling thread, as long as this lives.
struct worker {
	reap_worker *self = nullptr;
	mine	 base;

	explicit worker(int number = 0)
	{
		CHECK(reap_worker_start(domain, reinterpret_cast<void *>(static_cast<intptr_t>(number)), &self) == 0);
		reap_context_set_user(reap_worker_base(self), &base);
	}
	~worker()
	{
		CHECK(reap_worker_stop(self) == 0);
	}
	worker(const worker &) = delete;
	worker &operator=(const worker &) = delete;
};

intptr_t
entry(void *arg)
{
	mine *me = static_cast<mine *>(arg);

	return me->body(me->arg);
}

reap_context *
make(mine *word)
{
	reap_context_options options{};
	reap_context *context = nullptr;

	options.size = sizeof(options);
	options.entry = entry;
	options.arg = options.user = word;
	CHECK(reap_context_create(domain, &options, &context) == 0);
	return context;
}

// Makes a context that runs body(arg).  Its word lives as long as `words'.
std::vector<std::unique_ptr<mine>> words;

reap_context *
go(int (*body)(int), int arg)
{
	reap_context *context;

	words.push_back(std::unique_ptr<mine>(new mine));
	words.back()->body = body;
	words.back()->arg = arg;
	context = make(words.back().get());
	ready(context);
	return context;
}

int
wait_for(reap_context *context)
{
	reap_result result;

	CHECK(reap_wait(context, 0, &result) == 0);
	return static_cast<int>(result.status);
}

// pthread_self() is declared to be the same for ever: a compiler keeps it from before a switch.
__attribute__((noinline)) std::thread::id
this_thread()
{
	__asm__ volatile ("" : : : "memory");
	return std::this_thread::get_id();
}

struct counted {
	int	&n;

	explicit counted(int &count) : n(count) {}
	~counted() { n++; }
	counted(const counted &) = delete;
	counted &operator=(const counted &) = delete;
};

// Throws n out of `depth' frames that each have something to destroy.
__attribute__((noinline)) int
throw_from(int depth, int n, int &destroyed)
{
	counted here(destroyed);

	if (depth == 0)
		throw n;
	return throw_from(depth - 1, n, destroyed) + 1;
}

// ---- within one context: no host has to do anything

int
throws_and_catches(int arg)
{
	int destroyed = 0;

	for (int i = 0; i < 100; i++) {
		try {
			(void)throw_from(10, arg + i, destroyed);
			CHECK(false);
		} catch (const std::exception &) {
			CHECK(false);
		} catch (int caught) {
			CHECK(caught == arg + i);
			CHECK(std::uncaught_exceptions() == 0);
		}
		CHECK(destroyed == 11 * (i + 1));
		yield();
	}
	try {
		try {
			throw std::runtime_error("inner");
		} catch (std::runtime_error &inner) {
			try {
				throw std::logic_error("outer");
			} catch (std::logic_error &) {
			}
			CHECK(std::string(inner.what()) == "inner");
			throw;
		}
	} catch (std::exception &e) {
		CHECK(std::string(e.what()) == "inner");
	}
	CHECK(std::current_exception() == nullptr);
	return arg;
}

void
throw_and_catch_within_a_context()
{
	begin(1, false);
	{
		worker w;
		reap_context *child[3];

		for (int i = 0; i < 3; i++)
			child[i] = go(throws_and_catches, 1000 * i);
		for (int i = 0; i < 3; i++)
			CHECK(wait_for(child[i]) == 1000 * i);
	}
	end();
}

int destroyed_by_exit;

int
exits_early(int arg)
{
	counted here(destroyed_by_exit);
	int thrown = 0;

	try {
		(void)throw_from(3, arg, thrown);
	} catch (int) {
	}
	CHECK(thrown == 4);
	if (arg > 0)
		reap_exit(arg);		// unwinds nothing
	return arg;
}

void
a_return_destroys_and_reap_exit_does_not()
{
	begin(1, false);
	{
		worker w;

		CHECK(wait_for(go(exits_early, 5)) == 5);
		CHECK(destroyed_by_exit == 0);
		CHECK(wait_for(go(exits_early, 0)) == 0);
		CHECK(destroyed_by_exit == 1);
	}
	end();
}

std::exception_ptr carried;

int
fails(int arg)
{
	try {
		throw std::runtime_error("from " + std::to_string(arg));
	} catch (...) {
		carried = std::current_exception();
	}
	return -1;
}

void
an_exception_travels_by_exception_ptr()
{
	begin(1, false);
	{
		worker w;
		bool caught = false;

		CHECK(wait_for(go(fails, 7)) == -1);
		try {
			std::rethrow_exception(std::exchange(carried, nullptr));
		} catch (std::runtime_error &e) {
			caught = std::string(e.what()) == "from 7";
		}
		CHECK(caught);
	}
	end();
}

// ---- an exception that nobody catches

reap_context *not_this_one;

void
last_words()
{
	reap_worker *w = reap_worker_self();
	const void *lo, *sp, *hi;
	char here;
	bool right = false;

	// On the stack of the context that threw, with its exception at hand.
	CHECK(w != nullptr && reap_worker_current(w) != not_this_one);
	CHECK(reap_context_stack(reap_worker_current(w), &lo, &sp, &hi) == 0);
	CHECK(&here >= lo && &here < hi);
	try {
		std::rethrow_exception(std::current_exception());
	} catch (int n) {
		right = n == 99;
	}
	CHECK(right);
	std::abort();
}

int
lets_it_escape(int arg)
{
	int destroyed = 0;

	return throw_from(5, arg, destroyed);
}

void
an_exception_that_escapes_terminates()
{
	std::set_terminate(last_words);
	begin(1, false);
	worker w;

	not_this_one = reap_worker_base(w.self);
	try {
		(void)wait_for(go(lets_it_escape, 99));
	} catch (...) {
		std::_Exit(3);		// it went past the bottom of its stack
	}
	std::_Exit(4);
}

// ---- switches in catch blocks and in destructors that exceptions run: by the recipe

int
switches_while_handling(int arg)
{
	int destroyed = 0;

	CHECK(std::current_exception() == nullptr);	// made in its parent's catch block
	CHECK(std::uncaught_exceptions() == 0);
	for (int i = 0; i < 50; i++) {
		int number = arg * 1000 + i;

		try {
			try {
				(void)throw_from(i % 5, number, destroyed);
			} catch (int n) {
				yield();
				try {
					throw std::runtime_error(std::to_string(number));
				} catch (std::runtime_error &e) {
					yield();
					CHECK(std::string(e.what()) == std::to_string(number));
					for (int k = 0; k < arg % 3; k++)	// out of step with the others
						yield();
				}
				CHECK(n == number);
				yield();
				throw;
			}
			CHECK(false);
		} catch (int n) {
			CHECK(n == number);
			yield();
		}
		CHECK(std::current_exception() == nullptr);
		CHECK(std::uncaught_exceptions() == 0);
	}
	return arg;
}

constexpr int CONTEXTS = 8;

void
catch_blocks_may_switch()
{
	begin(1, true);
	{
		worker w;
		reap_context *child[CONTEXTS];

		try {
			throw std::logic_error("the base context's");
		} catch (std::logic_error &e) {
			for (int i = 0; i < CONTEXTS; i++)
				child[i] = go(switches_while_handling, i);
			for (int i = 0; i < CONTEXTS; i++)
				CHECK(wait_for(child[i]) == i);
			CHECK(std::string(e.what()) == "the base context's");
			try {
				throw;
			} catch (std::logic_error &again) {
				CHECK(&again == &e);
			}
		}
		CHECK(std::current_exception() == nullptr);
	}
	end();
}

struct yields_when_destroyed {
	int	in_flight;	// what it is to see, there and back

	explicit yields_when_destroyed(int n) : in_flight(n) {}
	~yields_when_destroyed()
	{
		CHECK(std::uncaught_exceptions() == in_flight);
		yield();
		CHECK(std::uncaught_exceptions() == in_flight);
		if (in_flight == 1) {
			// One more in flight, below the first.
			try {
				yields_when_destroyed nested(2);

				throw 0;
			} catch (int) {
				CHECK(std::uncaught_exceptions() == 1);
			}
		}
	}
	yields_when_destroyed(const yields_when_destroyed &) = delete;
	yields_when_destroyed &operator=(const yields_when_destroyed &) = delete;
};

int
switches_while_unwinding(int arg)
{
	for (int i = 0; i < 20; i++) {
		CHECK(std::uncaught_exceptions() == 0);
		try {
			yields_when_destroyed here(1);

			throw arg;
		} catch (int n) {
			CHECK(n == arg);
		}
		{
			yields_when_destroyed here(0);
		}
	}
	return arg;
}

void
destructors_that_unwind_may_switch()
{
	begin(1, true);
	{
		worker w;
		reap_context *child[CONTEXTS];

		for (int i = 0; i < CONTEXTS; i++)
			child[i] = go(switches_while_unwinding, i);
		for (int i = 0; i < CONTEXTS; i++)
			CHECK(wait_for(child[i]) == i);
		CHECK(std::uncaught_exceptions() == 0);
	}
	end();
}

// Without it, the one who throws again throws what another has caught last: this is what the recipe is for.
int
rethrows_after_a_switch(int arg)
{
	int got = -1;

	try {
		try {
			throw arg;
		} catch (int) {
			yield();
			throw;
		}
	} catch (int n) {
		got = n;
	}
	return got;
}

void
without_the_recipe_they_are_mixed_up()
{
	begin(1, false);
	worker w;
	reap_context *first = go(rethrows_after_a_switch, 1), *second = go(rethrows_after_a_switch, 2);

	CHECK(first != second);
	CHECK(wait_for(first) == 2);
	std::_Exit(0);		// nobody knows who owns what by now
}

// ---- two workers: handlers and destructors go on where they were not begun

int
wanders(int arg)
{
	return arg % 2 ? switches_while_handling(arg) : switches_while_unwinding(arg);
}

int
moves(int arg)
{
	std::thread::id before = this_thread();

	yield();
	CHECK(this_thread() != before);
	return wanders(arg);
}

void
serve(int number)
{
	worker w(number);

	for (;;) {
		(void)reap_yield(w.self);
		idle(w.self);
		std::lock_guard<std::mutex> guard(lock);
		if (stop && queues[number].head == nullptr)
			return;
	}
}

void
contexts_take_their_exceptions_to_another_worker()
{
	begin(2, true);
	{
		std::thread threads[2] = { std::thread(serve, 0), std::thread(serve, 1) };
		reap_handle child[CONTEXTS];

		for (int i = 0; i < CONTEXTS; i++) {
			reap_context *context;

			words.push_back(std::unique_ptr<mine>(new mine));
			words.back()->body = i == 0 ? moves : wanders;
			words.back()->arg = i;
			context = make(words.back().get());
			child[i] = reap_context_handle(context);
			ready(context);
		}
		for (int i = 0; i < CONTEXTS; i++) {
			reap_result result;

			CHECK(reap_join(child[i], 0, &result) == 0);
			CHECK(result.status == i);
		}
		{
			std::lock_guard<std::mutex> guard(lock);

			stop = true;
			more.notify_all();
		}
		for (std::thread &t : threads)
			t.join();
	}
	end();
}

// ---- thread_local belongs to the thread, not to the context

int constructed, destroyed;

struct of_the_thread {
	std::thread::id owner = this_thread();

	of_the_thread() { __atomic_add_fetch(&constructed, 1, __ATOMIC_RELAXED); }
	~of_the_thread() { __atomic_add_fetch(&destroyed, 1, __ATOMIC_RELAXED); }
	of_the_thread(const of_the_thread &) = delete;
	of_the_thread &operator=(const of_the_thread &) = delete;
};

thread_local of_the_thread local;

// Never inlined, and opaque: or else the compiler keeps the address from before a switch.
__attribute__((noinline)) of_the_thread *
here()
{
	of_the_thread *p = &local;

	__asm__ volatile ("" : "+r" (p) : : "memory");
	return p;
}

int
changes_threads(int)
{
	of_the_thread *first = here();

	CHECK(first->owner == this_thread());
	(void)reap_switch(reap_worker_self(), reap_worker_base(reap_worker_self()));
	CHECK(here() != first);
	CHECK(here()->owner == this_thread());
	CHECK(first->owner != this_thread());
	return 1;
}

void
thread_locals_are_the_threads()
{
	reap_context *context;
	mine word;

	word.body = changes_threads;
	begin(1, true);
	context = make(&word);
	{
		worker w;

		(void)reap_switch(w.self, context);
		std::thread([context] {
			worker other;

			(void)reap_switch(other.self, context);
		}).join();
		CHECK(constructed == 2);
		CHECK(destroyed == 1);		// with the thread that the context ended on
		CHECK(reap_join(reap_context_handle(context), 0, nullptr) == 0);
	}
	end();
}

// ---- the runner

const struct {
	const char *name;
	void	(*run)();
	int	 signal;
} cases[] = {
	{ "throw_and_catch_within_a_context", throw_and_catch_within_a_context, 0 },
	{ "a_return_destroys_and_reap_exit_does_not", a_return_destroys_and_reap_exit_does_not, 0 },
	{ "an_exception_travels_by_exception_ptr", an_exception_travels_by_exception_ptr, 0 },
	{ "an_exception_that_escapes_terminates", an_exception_that_escapes_terminates, SIGABRT },
	{ "catch_blocks_may_switch", catch_blocks_may_switch, 0 },
	{ "destructors_that_unwind_may_switch", destructors_that_unwind_may_switch, 0 },
	{ "without_the_recipe_they_are_mixed_up", without_the_recipe_they_are_mixed_up, 0 },
	{ "contexts_take_their_exceptions_to_another_worker", contexts_take_their_exceptions_to_another_worker, 0 },
	{ "thread_locals_are_the_threads", thread_locals_are_the_threads, 0 },
};

bool
passes(void (*run)(), int signal)
{
	const rlimit none = { 0, 0 };
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		(void)std::signal(SIGABRT, SIG_DFL);
		if (signal != 0)
			(void)setrlimit(RLIMIT_CORE, &none);
		run();
		std::exit(0);	// not _Exit(): sanitizers report at exit, and change the status
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return false;
	return signal != 0 ? WIFSIGNALED(status) && WTERMSIG(status) == signal : WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}

int
main()
{
	int n = 0, failed = 0;

	std::printf("TAP version 13\n1..%zu\n", sizeof(cases) / sizeof(cases[0]));
	for (const auto &c : cases) {
		std::fflush(stdout);
		bool ok = passes(c.run, c.signal);

		failed += !ok;
		std::printf("%sok %d - cxx::%s\n", ok ? "" : "not ", ++n, c.name);
	}
	return failed != 0;
}
