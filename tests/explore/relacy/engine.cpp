// SPDX-License-Identifier: ISC
//
// engine.cpp: Relacy explores the library's object code.
//
// The library is compiled as it is, as C; the two ends by which it meets the explorer are in shim.h.  Each word that is
// touched gets a cell here, found by its address:
//
//	atomic access	goes to an atomic of Relacy's, which knows the order of all stores and what each thread may still see;
//			the memory itself always holds the newest value
//	plain access	happens in memory; here it is only checked to be ordered with all others that it conflicts with, by
//			Relacy's own vector clocks
//
// A plain write to a word that is also accessed atomically is told to its atomic before its thread does anything else.  The
// workers are Relacy's threads; the contexts run on them by the library's own switch.

#include <relacy/relacy.hpp>
#undef new
#undef delete
#undef malloc
#undef calloc
#undef realloc
#undef free
#undef assert
#undef errno

#include <chrono>
#include <cstdio>
#include <cstring>
#include <new>
#include <sys/mman.h>

#include "explore.h"

enum order { RELAXED, ACQUIRE, RELEASE, ACQ_REL, SEQ_CST };	// as in shim.h

struct explore_site {
	const char *file;
	int line;
	const char *what;
	int order;
	int id;
};

unsigned explore_variant;

namespace {

typedef rl::generic_atomic<uint64_t, true> atomic64;
typedef rl::generic_atomic<uint32_t, true> atomic32;
typedef rl::generic_mutex<rl::mutex_tag_std> mutex;

bool exploring;			// in a thread of a scenario: what is touched counts

// -- sites and their mutants

enum weakening { AS_IS, NO_ACQUIRE, NO_RELEASE };

struct known_site {
	char name[64];
	const char *what;
	int order;
	unsigned long long hits;	// in the scenario that runs
};
known_site sites[512];
int nsites = 1;			// 0 is nobody's
int mutant_site;
weakening mutant_kind;

int weakened(explore_site *s)
{
	if (s->id == 0) {
		const char *base = strrchr(s->file, '/');
		char name[64];

		snprintf(name, sizeof name, "%s:%d", base != NULL ? base + 1 : s->file, s->line);
		for (s->id = 1; s->id < nsites; s->id++)
			if (strcmp(sites[s->id].name, name) == 0 && strcmp(sites[s->id].what, s->what) == 0)
				break;
		if (s->id == nsites) {
			strcpy(sites[nsites].name, name);
			sites[nsites].what = s->what;
			sites[nsites++].order = s->order;
		}
	}
	if (exploring)
		sites[s->id].hits++;
	if (s->id != mutant_site)
		return s->order;
	switch (s->order) {
	case ACQ_REL:
		return mutant_kind == NO_ACQUIRE ? RELEASE : ACQUIRE;
	default:
		return RELAXED;
	}
}

rl::memory_order order_of(int order)
{
	static const rl::memory_order orders[] = { rl::mo_relaxed, rl::mo_acquire, rl::mo_release, rl::mo_acq_rel,
	    rl::mo_seq_cst };

	return orders[order];
}

// -- cells

struct cell {
	uintptr_t address;
	uint64_t epoch;
	unsigned size;
	rl::timestamp_t reads[EXPLORE_THREADS], writes[EXPLORE_THREADS];		// plain
	rl::timestamp_t loads[EXPLORE_THREADS], stores[EXPLORE_THREADS];	// atomic
	void *atomic;
	uint64_t base;		// an atomic begins as 0: it holds the difference
};

const size_t CELLS = 1 << 16;
cell cells[CELLS];
uint64_t epoch = 1;
cell *atomics[4096];
unsigned natomics;

struct range { uintptr_t lo, hi; } freed[64];
unsigned nfreed;

cell *pending[EXPLORE_THREADS][64];
unsigned npending[EXPLORE_THREADS];

rl::debug_info where("", "", 0);

void fail(rl::test_result_e result, const char *why)
{
	exploring = false;
	rl::ctx().fail_test(why, result, where);
}

rl::thread_info_base &self() { return *rl::ctx().threadx_; }

uint64_t memory_get(uintptr_t a, unsigned size)
{
	uint64_t v = 0;

	memcpy(&v, (void *)a, size);
	return v;
}

void memory_set(uintptr_t a, unsigned size, uint64_t v) { memcpy((void *)a, &v, size); }

cell *cell_at(uintptr_t address, unsigned size)
{
	size_t i = (address >> 2) * 0x9e3779b97f4a7c15ull >> 48;

	for (unsigned n = 0; n < nfreed; n++)
		if (address >= freed[n].lo && address < freed[n].hi)
			fail(rl::test_result_access_to_freed_memory, "");
	for (;; i = (i + 1) % CELLS) {
		cell *c = &cells[i];

		if (c->epoch == epoch && c->address == address)
			return c;
		if (c->epoch != epoch) {
			memset(c, 0, sizeof *c);
			c->address = address;
			c->epoch = epoch;
			c->size = size;
			return c;
		}
	}
}

void unordered(const rl::timestamp_t *theirs)
{
	const rl::timestamp_t *seen = self().acq_rel_order_;

	for (unsigned i = 0; i < rl::ctx().get_thread_count(); i++)
		if (seen[i] < theirs[i])
			fail(rl::test_result_data_race, "");
}

void mark(rl::timestamp_t *mine)
{
	mine[self().index_] = ++self().own_acq_rel_order_;
}

void atomic_create(cell *c)
{
	void *p = (::malloc)(c->size == 8 ? sizeof(atomic64) : sizeof(atomic32));

	c->base = memory_get(c->address, c->size);
	c->atomic = c->size == 8 ? (void *)::new (p) atomic64 : (void *)::new (p) atomic32;
	if (natomics == sizeof atomics / sizeof *atomics)
		fail(rl::test_result_resource_leak, "too many atomics");
	atomics[natomics++] = c;
}

void atomics_destroy()
{
	for (; natomics > 0; natomics--) {
		cell *c = atomics[natomics - 1];

		if (c->size == 8)
			((atomic64 *)c->atomic)->~atomic64();
		else
			((atomic32 *)c->atomic)->~atomic32();
		(::free)(c->atomic);
	}
}

// What the running thread has written plainly since it was last here.
void settle()
{
	unsigned &n = npending[self().index_];

	while (n > 0) {
		cell *c = pending[self().index_][--n];
		uint64_t v = memory_get(c->address, c->size) - c->base;

		rl::ctx().disable_preemption();
		if (c->size == 8)
			((atomic64 *)c->atomic)->store(v, rl::mo_relaxed, where);
		else
			((atomic32 *)c->atomic)->store((uint32_t)v, rl::mo_relaxed, where);
		rl::ctx().enable_preemption();
	}
}

void plain(uintptr_t address, unsigned size, bool write)
{
	cell *c;

	if (!exploring)
		return;
	settle();
	c = cell_at(address, size);
	unordered(c->writes);
	unordered(c->stores);
	if (!write) {
		mark(c->reads);
		return;
	}
	unordered(c->reads);
	unordered(c->loads);
	mark(c->writes);
	if (c->atomic != NULL)
		pending[self().index_][npending[self().index_]++] = c;
}

void plain_range(uintptr_t address, size_t size, bool write)
{
	if (!exploring)
		return;
	settle();
	while (size > 0) {
		unsigned n = address % 8 == 0 && size >= 8 ? 8 : address % 4 == 0 && size >= 4 ? 4 : 1;
		unsigned before = npending[self().index_];

		npending[self().index_] = 0;	// the range is written after the last of these calls
		plain(address, n, write);
		if (npending[self().index_] != 0) {
			pending[self().index_][before] = pending[self().index_][0];
			before++;
		}
		npending[self().index_] = before;
		address += n;
		size -= n;
	}
}

cell *atomic_cell(const void *word, unsigned size)
{
	cell *c;

	settle();
	c = cell_at((uintptr_t)word, size);
	if (c->atomic == NULL) {
		c->size = size;
		atomic_create(c);
	}
	return c;
}

// Called when the access has been made: Relacy switches threads before it.
void accessed(cell *c, bool write)
{
	if (nfreed != 0)
		(void)cell_at(c->address, c->size);
	unordered(c->writes);
	if (write)
		unordered(c->reads);
	// Not one more than Relacy's: who sees what this store released has seen the store.
	(write ? c->stores : c->loads)[self().index_] = self().own_acq_rel_order_;
}

// -- memory

char *arena;
const size_t ARENA = (size_t)256 << 20;
size_t arena_used;

void *arena_take(size_t size, size_t align)
{
	arena_used = (arena_used + align - 1) & ~(align - 1);
	if (arena_used + size > ARENA)
		fail(rl::test_result_resource_leak, "out of memory");
	arena_used += size;
	return arena + arena_used - size;
}

// -- locks, sleeping, the host's scheduler

uintptr_t sleeps_on[EXPLORE_THREADS];
bool idles[EXPLORE_THREADS];
bool woken;

struct entry {
	void *what;
	rl::timestamp_t clock[EXPLORE_THREADS];
} queue[32], sent[8];
unsigned queued, nsent;
bool receives[EXPLORE_THREADS];
int left;
struct reap_worker *selves[EXPLORE_THREADS + 1];

void iteration_begin()
{
	if (arena == NULL)
		arena = (char *)mmap(NULL, ARENA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	else
		madvise(arena, arena_used, MADV_DONTNEED);
	arena_used = 0;
	epoch++;
	natomics = nfreed = queued = nsent = 0;
	left = 0;
	memset(receives, 0, sizeof receives);
	memset(npending, 0, sizeof npending);
	memset(sleeps_on, 0, sizeof sleeps_on);
	memset(idles, 0, sizeof idles);
	memset(selves, 0, sizeof selves);
	woken = false;
}

void unpark(unsigned thread)
{
	idles[thread] = false;
	sleeps_on[thread] = 0;
	rl::ctx().unpark_thread(thread, false, where);
}

void park()
{
	rl::ctx().park_current_thread(false, false, false, where);
}

void put(entry *e, void *what)
{
	e->what = what;
	++self().own_acq_rel_order_;
	for (unsigned i = 0; i < rl::ctx().get_thread_count(); i++)
		e->clock[i] = self().acq_rel_order_[i];
}

void *get(entry *e)
{
	for (unsigned i = 0; i < rl::ctx().get_thread_count(); i++)
		if (self().acq_rel_order_[i] < e->clock[i])
			self().acq_rel_order_[i] = e->clock[i];
	return e->what;
}

struct mutex_at {
	void *address;
	mutex *m;
} locks[64];
unsigned nlocks;

mutex *mutex_of(void *address)
{
	for (unsigned i = 0; i < nlocks; i++)
		if (locks[i].address == address)
			return locks[i].m;
	locks[nlocks].address = address;
	locks[nlocks].m = ::new ((::malloc)(sizeof(mutex))) mutex;
	locks[nlocks].m->init(false, false, false, false, where);
	return locks[nlocks++].m;
}

void mutexes_destroy()
{
	for (; nlocks > 0; nlocks--) {
		locks[nlocks - 1].m->deinit(where);
		(::free)(locks[nlocks - 1].m);
	}
}

} // namespace

extern "C" {

uint64_t explore_load(const void *word, unsigned size, explore_site *site)
{
	rl::memory_order order = order_of(weakened(site));
	uint64_t v;
	cell *c;

	if (!exploring)
		return memory_get((uintptr_t)word, size);
	c = atomic_cell(word, size);
	v = (size == 8 ? ((atomic64 *)c->atomic)->load(order, where) : ((atomic32 *)c->atomic)->load(order, where)) + c->base;
	accessed(c, false);
	return size == 8 ? v : (uint32_t)v;
}

void explore_store(void *word, unsigned size, uint64_t value, explore_site *site)
{
	rl::memory_order order = order_of(weakened(site));
	cell *c;

	if (!exploring)
		return memory_set((uintptr_t)word, size, value);
	c = atomic_cell(word, size);
	if (size == 8)
		((atomic64 *)c->atomic)->store(value - c->base, order, where);
	else
		((atomic32 *)c->atomic)->store((uint32_t)(value - c->base), order, where);
	accessed(c, true);
	memory_set((uintptr_t)word, size, value);
}

uint64_t explore_exchange(void *word, unsigned size, uint64_t value, explore_site *site)
{
	rl::memory_order order = order_of(weakened(site));
	uint64_t v;
	cell *c;

	if (!exploring) {
		v = memory_get((uintptr_t)word, size);
		memory_set((uintptr_t)word, size, value);
		return v;
	}
	c = atomic_cell(word, size);
	v = (size == 8 ? ((atomic64 *)c->atomic)->exchange(value - c->base, order, where) :
	    ((atomic32 *)c->atomic)->exchange((uint32_t)(value - c->base), order, where)) + c->base;
	accessed(c, true);
	memory_set((uintptr_t)word, size, value);
	return size == 8 ? v : (uint32_t)v;
}

uint64_t explore_add(void *word, unsigned size, uint64_t n, explore_site *site)
{
	rl::memory_order order = order_of(weakened(site));
	uint64_t v;
	cell *c;

	if (!exploring) {
		v = memory_get((uintptr_t)word, size) + n;
		memory_set((uintptr_t)word, size, v);
		return size == 8 ? v : (uint32_t)v;
	}
	c = atomic_cell(word, size);
	v = (size == 8 ? ((atomic64 *)c->atomic)->fetch_add(n, order, where) :
	    ((atomic32 *)c->atomic)->fetch_add((uint32_t)n, order, where)) + c->base + n;
	accessed(c, true);
	memory_set((uintptr_t)word, size, v);
	return size == 8 ? v : (uint32_t)v;
}

bool explore_cas(void *word, unsigned size, uint64_t *expected, uint64_t value, explore_site *site)
{
	int weak = weakened(site);
	rl::memory_order order = order_of(weak);
	rl::memory_order failure = weak == ACQ_REL || weak == ACQUIRE ? rl::mo_acquire : rl::mo_relaxed;
	bool done;
	cell *c;

	if (!exploring) {
		uint64_t v = memory_get((uintptr_t)word, size);

		if (v != *expected) {
			*expected = v;
			return false;
		}
		memory_set((uintptr_t)word, size, value);
		return true;
	}
	c = atomic_cell(word, size);
	if (size == 8) {
		uint64_t e = *expected - c->base;

		done = ((atomic64 *)c->atomic)->compare_exchange_strong(e, value - c->base, order, where, failure, where);
		*expected = e + c->base;
	} else {
		uint32_t e = (uint32_t)(*expected - c->base);

		done = ((atomic32 *)c->atomic)->compare_exchange_strong(e, (uint32_t)(value - c->base), order, where, failure,
		    where);
		*expected = (uint32_t)(e + c->base);
	}
	accessed(c, done);
	if (done)
		memory_set((uintptr_t)word, size, value);
	return done;
}

void explore_fence(explore_site *site)
{
	int weak = weakened(site);

	if (!exploring)
		return;
	settle();
	if (weak == SEQ_CST)
		rl::ctx().atomic_thread_fence_seq_cst();
}

// -- what the compiler calls for every plain access

#define PLAIN(n)									\
	void __tsan_read##n(void *p) { plain((uintptr_t)p, n, false); }			\
	void __tsan_write##n(void *p) { plain((uintptr_t)p, n, true); }			\
	void __tsan_unaligned_read##n(void *p) { plain_range((uintptr_t)p, n, false); }	\
	void __tsan_unaligned_write##n(void *p) { plain_range((uintptr_t)p, n, true); }	\
	void __tsan_volatile_read##n(void *p) { plain((uintptr_t)p, n, false); }	\
	void __tsan_volatile_write##n(void *p) { plain((uintptr_t)p, n, true); }
PLAIN(1)
PLAIN(2)
PLAIN(4)
PLAIN(8)
void __tsan_read16(void *p) { plain_range((uintptr_t)p, 16, false); }
void __tsan_write16(void *p) { plain_range((uintptr_t)p, 16, true); }
void __tsan_unaligned_read16(void *p) { plain_range((uintptr_t)p, 16, false); }
void __tsan_unaligned_write16(void *p) { plain_range((uintptr_t)p, 16, true); }
void __tsan_read_range(void *p, size_t size) { plain_range((uintptr_t)p, size, false); }
void __tsan_write_range(void *p, size_t size) { plain_range((uintptr_t)p, size, true); }
void __tsan_init(void) {}
void __tsan_func_entry(void *) {}
void __tsan_func_exit(void) {}

// -- what the library needs of its surroundings

void *explore_malloc(size_t size)
{
	size_t *p = (size_t *)arena_take(size + 128, 128);

	*p = size;
	return (char *)p + 128;
}

void *explore_calloc(size_t n, size_t size) { return explore_malloc(n * size); }
void *explore_aligned_alloc(size_t, size_t size) { return explore_malloc(size); }

void explore_free(void *p)
{
	if (p == NULL || !exploring)
		return;
	settle();
	plain_range((uintptr_t)p, *(size_t *)((char *)p - 128), true);
	npending[self().index_] = 0;
	freed[nfreed].lo = (uintptr_t)p;
	freed[nfreed++].hi = (uintptr_t)p + *(size_t *)((char *)p - 128);
}

void explore_mutex_lock(void *m)
{
	if (!exploring)
		return;
	settle();
	mutex_of(m)->lock(where);
}

void explore_mutex_unlock(void *m)
{
	if (!exploring)
		return;
	settle();
	mutex_of(m)->unlock(where);
}

struct reap_worker **explore_self(void)
{
	return &selves[exploring ? self().index_ : EXPLORE_THREADS];
}

size_t reap__os_page(void) { return 4096; }
int reap__os_map(size_t size, void **base) { *base = arena_take(size, 4096); return 0; }
int reap__os_unmap(void *, size_t) { return 0; }
int reap__os_decommit(void *, size_t) { return 0; }
bool reap__os_decommit_zeroes(void) { return false; }
bool reap__os_marker_works(void) { return true; }
int reap__os_guard(int, void *, size_t) { return 0; }
int reap__os_unguard(int, void *, size_t) { return 0; }
size_t reap__os_max_maps(void) { return 65530; }
size_t reap__os_signal_frame(void) { return 4096; }
uint64_t reap__os_clock(void *) { return 0; }

void reap__os_yield(void)
{
	explore_yield();
}

// The comparison and the falling asleep are one step: nobody else runs in between.
void reap__os_wait(const uint32_t *word, uint32_t expected)
{
	settle();
	rl::ctx().sched();
	if (memory_get((uintptr_t)word, 4) != expected)
		return;
	sleeps_on[self().index_] = (uintptr_t)word;
	// The kernel may wake whom it likes, when it likes.
	rl::ctx().park_current_thread(false, true, false, where);
	sleeps_on[self().index_] = 0;
}

// By the address alone: the word may be gone.
void reap__os_wake(const uint32_t *word)
{
	if (!exploring)
		return;
	settle();
	rl::ctx().sched();
	for (unsigned i = 0; i < rl::ctx().get_thread_count(); i++)
		if (sleeps_on[i] == (uintptr_t)word)
			unpark(i);
}

__attribute__((noreturn)) void reap_misuse(const char *rule, const char *)
{
	explore_fail(rule);
}

// -- for scenarios

__attribute__((noreturn)) void explore_fail(const char *why)
{
	if (rl::is_ctx())
		fail(rl::test_result_user_assert_failed, why);
	fprintf(stderr, "explore: %s\n", why);
	abort();
}

void explore_touch(const void *p)
{
	plain((uintptr_t)p, 1, true);
}

void explore_yield(void)
{
	if (!exploring)
		return;
	settle();
	rl::ctx().yield(1, where);
}

void explore_ready(void *what)
{
	if (!exploring)
		explore_fail("ready() outside a thread");
	settle();
	rl::ctx().sched();
	put(&queue[queued++], what);
	explore_wake();
}

void *explore_next(void)
{
	void *what;

	if (!exploring)
		return NULL;
	settle();
	rl::ctx().sched();
	if (queued == 0)
		return NULL;
	what = get(&queue[0]);
	memmove(&queue[0], &queue[1], --queued * sizeof queue[0]);
	return what;
}

void explore_send(void *what)
{
	settle();
	rl::ctx().sched();
	put(&sent[nsent++], what);
	for (unsigned i = 0; i < rl::ctx().get_thread_count(); i++)
		if (receives[i]) {
			receives[i] = false;
			rl::ctx().unpark_thread(i, false, where);
			break;
		}
}

void *explore_receive(void)
{
	void *what;

	settle();
	while (nsent == 0) {
		receives[self().index_] = true;
		park();
	}
	what = get(&sent[0]);
	memmove(&sent[0], &sent[1], --nsent * sizeof sent[0]);
	return what;
}

void explore_left(int more)
{
	left += more;
	if (left == 0)
		explore_wake();
}

bool explore_over(void)
{
	return left == 0;
}

void explore_idle(void)
{
	settle();
	rl::ctx().sched();
	if (queued == 0 && !woken && left != 0) {
		idles[self().index_] = true;
		park();
		idles[self().index_] = false;
	}
	woken = false;
}

void explore_wake(void)
{
	bool any = false;

	for (unsigned i = 0; i < rl::ctx().get_thread_count(); i++)
		if (idles[i]) {
			unpark(i);
			any = true;
		}
	if (!any)
		woken = true;
}

} // extern "C"

// -- running

namespace {

const explore_scenario *scenario;

template<unsigned threads>
struct suite : rl::test_suite<suite<threads>, threads> {
	void before()
	{
		exploring = false;
		iteration_begin();
		scenario->setup();
		exploring = true;
	}
	void thread(unsigned i)
	{
		scenario->thread[i]();
		settle();
	}
	void after()
	{
		settle();
		exploring = false;
		scenario->finish();
		atomics_destroy();
		mutexes_destroy();
	}
};

struct outcome {
	rl::test_result_e result;
	unsigned long long iterations;
};

struct nowhere : std::streambuf {
	int overflow(int c) { return c; }
};

template<unsigned threads>
outcome simulate(rl::scheduler_type_e search, unsigned bound, unsigned long long count)
{
	static nowhere buffer;
	static std::ostream silent(&buffer);
	rl::test_params params;
	rl::ostringstream state;
	outcome out;

	params.search_type = search;
	params.context_bound = bound;
	params.iteration_count = count;
	params.execution_depth_limit = 20000;
	params.output_stream = params.progress_stream = &silent;
	out.result = search == rl::sched_random ?
	    rl::run_test<suite<threads>, rl::random_scheduler<threads> >(params, state, false) : search == rl::sched_bound ?
	    rl::run_test<suite<threads>, rl::context_bound_scheduler<threads> >(params, state, false) :
	    rl::run_test<suite<threads>, rl::full_search_scheduler<threads> >(params, state, false);
	out.iterations = params.stop_iteration;
	exploring = false;
	nlocks = 0;
	return out;
}

outcome run(const explore_scenario *s, unsigned variant, rl::scheduler_type_e search, unsigned bound,
    unsigned long long count)
{
	scenario = s;
	explore_variant = variant;
	return s->threads == 2 ? simulate<2>(search, bound, count) : simulate<3>(search, bound, count);
}

double now()
{
	return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

#include "report.h"

} // namespace

int main(int argc, char **argv)
{
	return report_main(argc, argv);
}
