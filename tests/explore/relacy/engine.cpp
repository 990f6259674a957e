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

// How many stores of a word may still be seen: Relacy has three, a life makes more.  A power of two, as indices wrap.
#include <relacy/pch.hpp>
#define atomic_history_size relacy_history_size
#include <relacy/defs.hpp>
#undef atomic_history_size
namespace rl { size_t const atomic_history_size = 8; }

#include <relacy/relacy.hpp>
#undef new
#undef delete
#undef malloc
#undef calloc
#undef realloc
#undef free
#undef assert
#undef errno

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <map>
#include <new>
#include <string>
#include <vector>
#include <sys/mman.h>

#include "explore.h"

enum order { RELAXED, ACQUIRE, RELEASE, ACQ_REL, SEQ_CST };	// as in shim.h

struct explore_site {
	const char *file, *function, *macro, *word, *value, *base;
	int line, counter;
	int order;
	int id;
};

unsigned explore_variant;

namespace {

typedef rl::generic_atomic<uint64_t, false> atomic64;
typedef rl::generic_atomic<uint32_t, false> atomic32;
typedef rl::generic_mutex<rl::mutex_tag_std> mutex;

bool exploring;			// in a thread of a scenario: what is touched counts
unsigned long long schedule, traced;	// the schedule that runs; the one whose accesses are printed

// -- sites and their mutants

enum weakening { NO_ACQUIRE, NO_RELEASE };

struct known_site {
	char name[160];		// see shim.h
	int order;
	bool met;		// by a thread of a scenario
	bool counts;		// statistics: nothing depends on when
};
known_site sites[1024];
int nsites;
int mutant_site = -1;
weakening mutant_kind;

const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

// &inbox->head: head; REAP__CLAIM(generation, REAP__ZOMBIE): REAP__ZOMBIE; a number: nothing.
std::string last_name(const char *text)
{
	std::string s = text;
	size_t end = s.find_last_not_of(") "), begin;

	if (end == s.npos)
		return "";
	begin = s.find_last_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789", end) + 1;
	return begin > end || (s[begin] >= '0' && s[begin] <= '9') ? "" : s.substr(begin, end + 1 - begin);
}

// Where a use is, without the file that included it.
int compared(const explore_site *a, const explore_site *b)
{
	int c = strcmp(base_name(a->file), base_name(b->file));

	if (c == 0)
		c = strcmp(a->function, b->function);
	if (c == 0)
		c = a->line - b->line;
	if (c == 0)
		c = strcmp(a->macro, b->macro);
	if (c == 0)
		c = strcmp(a->word, b->word);
	return c != 0 ? c : strcmp(a->value, b->value);
}

bool before(const explore_site *a, const explore_site *b)
{
	int c = compared(a, b);

	if (c == 0)
		c = strcmp(a->base, b->base);
	return c != 0 ? c < 0 : a->counter < b->counter;
}

// What a header's inline function uses is one site, however many files include it; two on one line of one file are two.
void sites_find(explore_site **begin, explore_site **end)
{
	std::map<std::string, int> seen;
	int first = 0;

	std::sort(begin, end, before);
	for (explore_site **s = begin; s != end; s++) {
		std::string name = std::string(base_name((*s)->file)) + ":" + (*s)->function + ":" + (*s)->macro + "(" +
		    last_name((*s)->word);

		if (!last_name((*s)->value).empty())
			name += ", " + last_name((*s)->value);
		name += ")";

		if (s == begin || compared(s[-1], *s) != 0)
			first = nsites;
		else if (strcmp(s[-1]->base, (*s)->base) != 0) {
			(*s)->id = first;
			continue;
		}
		(*s)->id = s != begin && compared(s[-1], *s) == 0 ? s[-1]->id + 1 : nsites;
		if ((*s)->id < nsites)
			continue;
		if (nsites == sizeof sites / sizeof *sites)
			abort();
		sites[nsites].order = (*s)->order;
		sites[nsites].counts = (*s)->order == RELAXED && (strstr((*s)->word, ")->count.") != NULL ||
		    strcmp((*s)->function, "reap__counters_add") == 0);
		snprintf(sites[nsites++].name, sizeof sites->name, "%s#%d", name.c_str(), ++seen[name]);
	}
}

int weakened(explore_site *s)
{
	if (exploring)
		sites[s->id].met = true;
	if (s->id != mutant_site)
		return s->order;
	if (s->order == ACQ_REL)
		return mutant_kind == NO_ACQUIRE ? RELEASE : ACQUIRE;
	return RELAXED;
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

char *arena;		// all memory that the library allocates or maps
rl::debug_info where("", "", 0);
char reason[256];

void fail(rl::test_result_e result, const char *why)
{
	exploring = false;
	snprintf(reason, sizeof reason, "%s", why);
	rl::ctx().fail_test(why, result, where);
}

rl::thread_info_base &self() { return *rl::ctx().threadx_; }

void trace(const explore_site *s, const void *word, uint64_t value, const char *what)
{
	if (schedule == traced)
		fprintf(stderr, "%u: %s%s%s %p = %#llx%s\n", self().index_, s->function, *s->macro ? ":" : "", s->macro, word,
		    (unsigned long long)value, what);
}

void trace(const char *what, const void *of = NULL)
{
	if (schedule == traced)
		fprintf(stderr, "%u: %s %p\n", self().index_, what, of);
}

// -- what is thread-local, of the thread that runs; the others' is kept here

extern "C" char __start_explore_threads[] __attribute__((weak)), __stop_explore_threads[] __attribute__((weak));

char locals[EXPLORE_THREADS + 1][256], locals_first[256];	// the last one's: of what runs alone
unsigned locals_of = EXPLORE_THREADS;

size_t locals_size()
{
	size_t size = __stop_explore_threads - __start_explore_threads;

	if (size > sizeof locals_first)
		abort();
	return size;
}

bool is_local(uintptr_t address)
{
	return address >= (uintptr_t)__start_explore_threads && address < (uintptr_t)__stop_explore_threads;
}

void locals_to(unsigned thread)
{
	if (thread == locals_of)
		return;
	memcpy(locals[locals_of], __start_explore_threads, locals_size());
	memcpy(__start_explore_threads, locals[thread], locals_size());
	locals_of = thread;
}

void locals_begin()
{
	for (auto &of : locals)
		memcpy(of, locals_first, sizeof of);
	memcpy(__start_explore_threads, locals_first, locals_size());
	locals_of = EXPLORE_THREADS;
}

// On the way back into the library, by everything that Relacy may have switched threads in.
struct coming_back {
	~coming_back() { if (exploring) locals_to(self().index_); }
};

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

void race(const cell *c)
{
	char why[128];

	snprintf(why, sizeof why, "%u bytes at %p+%zx", c->size, arena, (size_t)(c->address - (uintptr_t)arena));
	fail(rl::test_result_data_race, why);
}

void unordered(const cell *c, const rl::timestamp_t *theirs)
{
	const rl::timestamp_t *seen = self().acq_rel_order_;

	for (unsigned i = 0; i < rl::ctx().get_thread_count(); i++)
		if (seen[i] < theirs[i])
			race(c);
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
	// Its first value was there before all threads: it gets a time that all of them have seen.
	rl::timestamp_t time = self().own_acq_rel_order_;

	self().own_acq_rel_order_ = 0;
	rl::ctx().disable_preemption();
	if (c->size == 8)
		((atomic64 *)c->atomic)->store(0, rl::mo_relaxed, where);
	else
		((atomic32 *)c->atomic)->store(0, rl::mo_relaxed, where);
	rl::ctx().enable_preemption();
	self().own_acq_rel_order_ = time;
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

	if (!exploring || is_local(address))
		return;
	settle();
	c = cell_at(address, size);
	unordered(c, c->writes);
	unordered(c, c->stores);
	if (!write) {
		mark(c->reads);
		return;
	}
	unordered(c, c->reads);
	unordered(c, c->loads);
	mark(c->writes);
	if (c->atomic != NULL) {
		if (npending[self().index_] == 64)
			fail(rl::test_result_resource_leak, "too many words written at once");
		pending[self().index_][npending[self().index_]++] = c;
	}
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

cell *atomic_cell(const void *word, unsigned size, const explore_site *site)
{
	cell *c;

	settle();
	if (sites[site->id].counts)
		rl::ctx().disable_preemption();
	c = cell_at((uintptr_t)word, size);
	if (c->atomic == NULL) {
		c->size = size;
		atomic_create(c);
	}
	return c;
}

// What a thread has loaded since it last wrote.  Nothing says when a store is seen, but that it is: who looks for the fourth
// time gets there.
struct look {
	const void *word;
	const explore_site *site;
	unsigned times;
} looks[EXPLORE_THREADS][8];

bool looked_often(const void *word, const explore_site *site)
{
	look *mine = looks[self().index_];
	unsigned i = 0;

	while (i < 8 && mine[i].word != NULL && (mine[i].word != word || mine[i].site != site))
		i++;
	if (i == 8)
		memset(mine, 0, sizeof looks[0]), i = 0;
	mine[i].word = word;
	mine[i].site = site;
	return ++mine[i].times > 3;
}

// Called when the access has been made: Relacy switches threads before it.
void accessed(cell *c, bool write, const explore_site *site)
{
	if (sites[site->id].counts)
		rl::ctx().enable_preemption();
	if (nfreed != 0)
		(void)cell_at(c->address, c->size);
	unordered(c, c->writes);
	if (write)
		unordered(c, c->reads);
	if (write)
		memset(looks[self().index_], 0, sizeof looks[0]);
	// Not one more than Relacy's: who sees what this store released has seen the store.
	(write ? c->stores : c->loads)[self().index_] = self().own_acq_rel_order_;
}

// -- memory

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
bool spurious[EXPLORE_THREADS];		// has been woken for nothing: once is enough
bool nudged[EXPLORE_THREADS], woken[EXPLORE_THREADS];	// something was readied; wake() was called

struct entry {
	void *what;
	int thread;			// whose it is, -1: anybody's
	rl::timestamp_t clock[EXPLORE_THREADS];
} queue[33], sent[17];			// one more than may be full
unsigned queued, nsent;
bool receives[EXPLORE_THREADS];
entry wakes[EXPLORE_THREADS];		// by whom, and what that one had seen
int left;
bool begun;
const void *workers[EXPLORE_THREADS];
void *onces[8];			// done; no container of C++: its memory would be taken for a leak of the scenario's
unsigned nonces;
bool conditional[EXPLORE_THREADS];	// sleeps on a condition
bool timed[EXPLORE_THREADS];		// ... and for a certain time only
bool time_passes;
uint64_t now_ns;
entry started, starts;
void *started_arg;
unsigned stage, awaits[EXPLORE_THREADS];
int start_state, starter, joiner;	// 1: to be started, 2: has ended; -1: nobody waits for that

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
	begun = false;
	memset(receives, 0, sizeof receives);
	memset(queue, 0, sizeof queue);
	memset(sent, 0, sizeof sent);
	memset(wakes, 0, sizeof wakes);
	memset(npending, 0, sizeof npending);
	memset(sleeps_on, 0, sizeof sleeps_on);
	memset(idles, 0, sizeof idles);
	memset(spurious, 0, sizeof spurious);
	memset(nudged, 0, sizeof nudged);
	memset(woken, 0, sizeof woken);
	memset(workers, 0, sizeof workers);
	nonces = 0;
	memset(conditional, 0, sizeof conditional);
	memset(timed, 0, sizeof timed);
	time_passes = false;
	now_ns = 0;
	memset(&started, 0, sizeof started);
	memset(&starts, 0, sizeof starts);
	stage = 0;
	memset(awaits, 0, sizeof awaits);
	start_state = 0;
	starter = joiner = -1;
	memset(looks, 0, sizeof looks);
	locals_begin();
	schedule++;
}

void unpark(unsigned thread)
{
	idles[thread] = false;
	sleeps_on[thread] = 0;
	rl::ctx().unpark_thread(thread, false, where);
}

// To Relacy a park is a yield, after which a thread sees what it would have overlooked.  Here it sees what its waker tells it.
void park()
{
	rl::timestamp_t yielded = self().last_yield_;

	rl::ctx().park_current_thread(false, false, false, where);
	self().last_yield_ = yielded;
}

// What comes before put() happens before what follows get(); for a second put() before it, too.
void put(entry *e, void *what)
{
	e->what = what;
	++self().own_acq_rel_order_;
	for (unsigned i = 0; i < rl::ctx().get_thread_count(); i++)
		if (e->clock[i] < self().acq_rel_order_[i])
			e->clock[i] = self().acq_rel_order_[i];
}

void *get(entry *e)
{
	for (unsigned i = 0; i < rl::ctx().get_thread_count(); i++)
		if (self().acq_rel_order_[i] < e->clock[i])
			self().acq_rel_order_[i] = e->clock[i];
	memset(e->clock, 0, sizeof e->clock);
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
	coming_back here;
	if (looked_often(word, site))
		explore_yield();
	c = atomic_cell(word, size, site);
	v = (size == 8 ? ((atomic64 *)c->atomic)->load(order, where) : ((atomic32 *)c->atomic)->load(order, where)) + c->base;
	accessed(c, false, site);
	trace(site, word, v, "");
	return size == 8 ? v : (uint32_t)v;
}

void explore_store(void *word, unsigned size, uint64_t value, explore_site *site)
{
	rl::memory_order order = order_of(weakened(site));
	cell *c;

	if (!exploring)
		return memory_set((uintptr_t)word, size, value);
	coming_back here;
	c = atomic_cell(word, size, site);
	if (size == 8)
		((atomic64 *)c->atomic)->store(value - c->base, order, where);
	else
		((atomic32 *)c->atomic)->store((uint32_t)(value - c->base), order, where);
	accessed(c, true, site);
	trace(site, word, value, "");
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
	coming_back here;
	c = atomic_cell(word, size, site);
	v = (size == 8 ? ((atomic64 *)c->atomic)->exchange(value - c->base, order, where) :
	    ((atomic32 *)c->atomic)->exchange((uint32_t)(value - c->base), order, where)) + c->base;
	accessed(c, true, site);
	trace(site, word, value, "");
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
	coming_back here;
	c = atomic_cell(word, size, site);
	v = (size == 8 ? ((atomic64 *)c->atomic)->fetch_add(n, order, where) :
	    ((atomic32 *)c->atomic)->fetch_add((uint32_t)n, order, where)) + c->base + n;
	accessed(c, true, site);
	trace(site, word, v, "");
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
	coming_back here;
	c = atomic_cell(word, size, site);
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
	accessed(c, done, site);
	trace(site, word, done ? value : *expected, done ? "" : " (failed)");
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
	trace(site, NULL, 0, "");
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

// Only what is empty grows here.
void *explore_realloc(void *p, size_t size)
{
	if (p != NULL)
		explore_fail("grown twice");
	return explore_malloc(size);
}

void explore_free(void *p)
{
	if (p == NULL || !exploring)
		return;
	settle();
	plain_range((uintptr_t)p, *(size_t *)((char *)p - 128), true);
	npending[self().index_] = 0;
	if (nfreed == sizeof freed / sizeof *freed)
		fail(rl::test_result_resource_leak, "freed too often");
	trace("free", p);
	freed[nfreed].lo = (uintptr_t)p;
	freed[nfreed++].hi = (uintptr_t)p + *(size_t *)((char *)p - 128);
}

void explore_mutex_lock(void *m)
{
	if (!exploring)
		return;
	coming_back here;
	settle();
	mutex_of(m)->lock(where);
	trace("lock", m);
}

void explore_mutex_unlock(void *m)
{
	if (!exploring)
		return;
	coming_back here;
	settle();
	trace("unlock", m);
	mutex_of(m)->unlock(where);
}

void explore_once(void *once, void (*f)(void))
{
	explore_mutex_lock(once);
	if (std::find(onces, onces + nonces, once) == onces + nonces) {
		if (nonces == sizeof onces / sizeof *onces)
			explore_fail("too many onces");
		onces[nonces++] = once;
		f();
	}
	explore_mutex_unlock(once);
}

void explore_condition_wait(void *c, void *m)
{
	coming_back here;

	settle();
	sleeps_on[self().index_] = (uintptr_t)c;
	mutex_of(m)->unlock(where);
	// Woken meanwhile: the same as for nothing.
	if (sleeps_on[self().index_] != 0) {
		conditional[self().index_] = true;
		park();
		conditional[self().index_] = false;
	}
	mutex_of(m)->lock(where);
}

void explore_condition_signal(void *c)
{
	coming_back here;

	settle();
	rl::ctx().sched();
	for (unsigned i = 0; i < rl::ctx().get_thread_count(); i++)
		if (sleeps_on[i] == (uintptr_t)c) {
			sleeps_on[i] = 0;
			if (conditional[i])
				unpark(i);
		}
}

// 0: woken; else time is up.
int explore_condition_wait_timed(void *c, void *m)
{
	unsigned me = self().index_;

	timed[me] = true;
	if (time_passes)
		explore_mutex_unlock(m), explore_yield(), explore_mutex_lock(m);
	else
		explore_condition_wait(c, m);
	timed[me] = false;
	return time_passes ? ETIMEDOUT : 0;
}

void explore_time(void)
{
	coming_back here;

	settle();
	rl::ctx().sched();
	time_passes = true;
	for (unsigned i = 0; i < rl::ctx().get_thread_count(); i++)
		if (timed[i] && sleeps_on[i] != 0) {
			sleeps_on[i] = 0;
			if (conditional[i])
				unpark(i);
		}
}

int explore_clock(struct timespec *ts)
{
	now_ns += EXPLORE_TICK;
	ts->tv_sec = now_ns / 1000000000;
	ts->tv_nsec = now_ns % 1000000000;
	return 0;
}

void explore_start(void *(*start)(void *), void *arg)
{
	started_arg = arg;
	start_state = 1;
	if (!exploring) {
		starts.what = (void *)start;
		return;
	}
	coming_back here;
	settle();
	put(&starts, (void *)start);
	if (starter >= 0)
		unpark(starter);
}

void explore_started(void)
{
	coming_back here;

	settle();
	if (start_state == 0) {
		starter = self().index_;
		park();
	}
	locals_to(self().index_);
	((void *(*)(void *))get(&starts))(started_arg);
	settle();
	put(&started, NULL);
	start_state = 2;
	if (joiner >= 0)
		unpark(joiner);
}

void explore_join(void)
{
	coming_back here;

	settle();
	if (!exploring)
		return;
	if (start_state != 2) {
		joiner = self().index_;
		park();
	}
	get(&started);
}

size_t reap__os_page(void) { return 4096; }
int reap__os_map(size_t size, void **base) { *base = arena_take(size, 4096); return 0; }
int reap__os_unmap(void *, size_t) { return 0; }
bool reap__os_decommit_zeroes(void) { return true; }
bool reap__os_marker_works(void) { return true; }
int reap__os_guard(int, void *, size_t) { return 0; }
int reap__os_unguard(int, void *, size_t) { return 0; }
size_t reap__os_max_maps(void) { return 65530; }
size_t reap__os_signal_frame(void) { return 4096; }
uint64_t reap__os_clock(void *) { return 0; }

// The kernel takes the pages away: whoever looks from now on finds zeroes.
int reap__os_decommit(void *p, size_t size)
{
	uintptr_t lo = (uintptr_t)p, hi = lo + size;

	coming_back here;
	settle();
	madvise(p, size, MADV_DONTNEED);
	for (unsigned i = 0; exploring && i < natomics; i++)
		if (atomics[i]->address >= lo && atomics[i]->address < hi) {
			pending[self().index_][npending[self().index_]++] = atomics[i];
			settle();
		}
	return 0;
}

void reap__os_yield(void)
{
	explore_yield();
}

// The comparison and the falling asleep are one step: nobody else runs in between.
void reap__os_wait(const uint32_t *word, uint32_t expected)
{
	coming_back here;
	settle();
	rl::ctx().sched();
	if (memory_get((uintptr_t)word, 4) != expected) {
		rl::ctx().yield(1, where);	// what the kernel has seen, the caller sees next
		return;
	}
	sleeps_on[self().index_] = (uintptr_t)word;
	trace("sleep", word);
	// The kernel may wake whom it likes, when it likes.
	rl::ctx().park_current_thread(false, !spurious[self().index_], false, where);
	spurious[self().index_] = true;
	sleeps_on[self().index_] = 0;
}

// By the address alone: the word may be gone.
void reap__os_wake(const uint32_t *word)
{
	if (!exploring)
		return;
	coming_back here;
	settle();
	rl::ctx().sched();
	trace("wake", word);
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
	coming_back here;
	settle();
	rl::ctx().yield(1, where);
}

void explore_is(const void *worker)
{
	workers[self().index_] = worker;
}

static int thread_of(const void *worker)
{
	for (unsigned i = 0; worker != NULL && i < EXPLORE_THREADS; i++)
		if (workers[i] == worker)
			return i;
	return -1;
}

// Whoever idles looks again.  It learns nothing else by that.
static void nudge()
{
	for (unsigned i = 0; i < rl::ctx().get_thread_count(); i++) {
		nudged[i] = true;
		if (idles[i])
			unpark(i);
	}
}

void explore_ready(void *what, const void *worker)
{
	if (!exploring)
		explore_fail("ready() outside a thread");
	coming_back here;
	settle();
	rl::ctx().sched();
	if (queued == sizeof queue / sizeof *queue - 1)
		explore_fail("readied too often");
	trace("ready", what);
	queue[queued].thread = thread_of(worker);
	put(&queue[queued++], what);
	nudge();
}

static entry *mine(void)
{
	for (unsigned i = 0; i < queued; i++)
		if (queue[i].thread < 0 || queue[i].thread == (int)self().index_)
			return &queue[i];
	return NULL;
}

void *explore_next(void)
{
	void *what;
	entry *e;

	if (!exploring)
		return NULL;
	coming_back here;
	settle();
	rl::ctx().sched();
	if ((e = mine()) == NULL)
		return NULL;
	what = get(e);
	trace("next", what);
	memmove(e, e + 1, (char *)&queue[queued--] - (char *)e);
	return what;
}

void explore_send(void *what)
{
	coming_back here;
	settle();
	rl::ctx().sched();
	if (nsent == sizeof sent / sizeof *sent - 1)
		explore_fail("sent too much");
	trace("send", what);
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
	coming_back here;
	void *what;

	settle();
	while (nsent == 0) {
		receives[self().index_] = true;
		park();
	}
	what = get(&sent[0]);
	trace("receive", what);
	memmove(&sent[0], &sent[1], nsent-- * sizeof sent[0]);
	return what;
}

void explore_stage(unsigned n)
{
	coming_back here;

	settle();
	rl::ctx().sched();
	stage = n;
	for (unsigned i = 0; i < rl::ctx().get_thread_count(); i++)
		if (awaits[i] != 0 && awaits[i] <= n) {
			awaits[i] = 0;
			unpark(i);
		}
}

void explore_await(unsigned n)
{
	coming_back here;

	settle();
	rl::ctx().sched();
	if (stage < n) {
		awaits[self().index_] = n;
		park();
	}
}

void explore_left(int more)
{
	left += more;
	begun = true;
	if (left == 0)
		nudge();
}

bool explore_over(void)
{
	return begun && left == 0;
}

void explore_idle(bool serving)
{
	unsigned me = self().index_;
	coming_back here;

	settle();
	rl::ctx().sched();
	if (mine() == NULL && !nudged[me] && !woken[me] && !(serving && explore_over())) {
		idles[me] = true;
		trace("idle");
		park();
		idles[me] = false;
	}
	if (woken[me])
		get(&wakes[me]);
	nudged[me] = woken[me] = false;
}

// What comes before wake() happens before what follows the idle() that it ends, or keeps from sleeping.
void explore_wake(const void *worker)
{
	int thread = thread_of(worker);

	if (thread < 0)
		explore_fail("wake() of a worker that is none");
	trace("wake", worker);
	put(&wakes[thread], NULL);
	woken[thread] = true;
	if (idles[thread])
		unpark(thread);
}

} // extern "C"

// -- running

namespace {

const explore_scenarios *const tables[] = {
	&explore_words, &explore_family, &explore_names, &explore_private, &explore_adopter, &explore_runtime
};
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
		locals_to(i);
		scenario->thread[i]();
		settle();
	}
	void after()
	{
		settle();
		exploring = false;
		locals_to(EXPLORE_THREADS);
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
	params.execution_depth_limit = 5000;
	params.output_stream = params.progress_stream = &silent;
	schedule = 0;
	out.result = search == rl::sched_random ?
	    rl::run_test<suite<threads>, rl::random_scheduler<threads> >(params, state, false) :
	    rl::run_test<suite<threads>, rl::context_bound_scheduler<threads> >(params, state, false);
	out.iterations = params.stop_iteration;
	exploring = false;
	nlocks = 0;
	return out;
}

outcome run(const explore_scenario *s, unsigned variant, rl::scheduler_type_e search, unsigned bound,
    unsigned long long count)
{
	scenario = s;
	reason[0] = 0;
	explore_variant = variant;
	return s->threads == 2 ? simulate<2>(search, bound, count) : simulate<3>(search, bound, count);
}

double now()
{
	return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Says how it ended.
bool search_once(const explore_scenario *s, unsigned variant, unsigned bound, unsigned long long random)
{
	double begun = now();
	outcome o = random != 0 ? run(s, variant, rl::sched_random, 0, random) : run(s, variant, rl::sched_bound, bound, ~0ull >> 1);

	printf("%s\t%s\t%u\t%s\t%llu\t%.2f\t%s\n", rl::test_result_str(o.result), s->name, variant, random != 0 ? "random" : "bound",
	    o.iterations, now() - begun, reason);
	fflush(stdout);
	return o.result == rl::test_result_success;
}

// One scenario in all its variants, or one of them; of those the first that fails is the last.
bool check(const explore_scenario *s, int variant, unsigned bound, unsigned long long random)
{
	bool right = true;

	for (unsigned v = variant < 0 ? 0 : variant; right && v < (variant < 0 ? s->variants : variant + 1u); v++) {
		if (random != 0)		// first: mutants fall to chance soonest
			right = search_once(s, v, 0, random);
		if (right && bound != 0)
			right = search_once(s, v, bound, 0);
	}
	return right;
}

} // namespace

extern "C" explore_site *__start_explore_sites[], *__stop_explore_sites[];

// explore [-m SITE -a|-r] [-s SCENARIO]... [-v VARIANT] [-b BOUND | -L] [-n RANDOM] [-t SCHEDULE] [-l] | -S
// Lines of: result, scenario, variant, search, schedules, seconds, reason; for -l, of: `met', site, scenario, and of: `site',
// site, order.  -t prints what the threads do in that schedule; -S lists the scenarios.
int main(int argc, char **argv)
{
	static const char *const orders[] = { "relaxed", "acquire", "release", "acq_rel", "seq_cst" };
	std::vector<const explore_scenario *> all;
	std::vector<std::string> only;
	const char *site = NULL;
	unsigned long long random = 0;
	int bound = -1, variant = -1, c;
	bool list = false, deep = false, right = true;

	for (const explore_scenarios *table : tables)
		for (unsigned i = 0; i < table->n; i++)
			all.push_back(table->first + i);
	sites_find(__start_explore_sites, __stop_explore_sites);
	memcpy(locals_first, __start_explore_threads, locals_size());
	while ((c = getopt(argc, argv, "m:ars:v:b:n:t:lLS")) != -1)
		switch (c) {
		case 'm': site = optarg; break;
		case 'a': mutant_kind = NO_ACQUIRE; break;
		case 'r': mutant_kind = NO_RELEASE; break;
		case 's': only.push_back(optarg); break;
		case 'v': variant = atoi(optarg); break;
		case 'b': bound = atoi(optarg); break;
		case 'n': random = strtoull(optarg, NULL, 10); break;
		case 't': traced = strtoull(optarg, NULL, 10); break;
		case 'l': list = true; break;
		case 'L': deep = true; break;
		case 'S':
			for (const explore_scenario *s : all)
				puts(s->name);
			return 0;
		default: return 2;
		}
	for (int i = 0; site != NULL && i < nsites; i++)
		if (strcmp(sites[i].name, site) == 0)
			mutant_site = i;
	if (site != NULL && mutant_site < 0) {
		fprintf(stderr, "explore: no such site: %s\n", site);
		return 2;
	}
	for (const explore_scenario *s : all) {
		if (!right && site != NULL)
			break;
		if (!only.empty() && std::find(only.begin(), only.end(), s->name) == only.end())
			continue;
		if (variant >= (int)s->variants) {
			fprintf(stderr, "explore: %s has %u variants\n", s->name, s->variants);
			return 2;
		}
		for (int j = 0; j < nsites; j++)
			sites[j].met = false;
		right &= check(s, variant, bound >= 0 ? bound : deep ? s->long_bound : s->bound, random);
		for (int j = 0; list && j < nsites; j++)
			if (sites[j].met)
				printf("met\t%s\t%s\n", sites[j].name, s->name);
	}
	for (int i = 0; list && i < nsites; i++)
		printf("site\t%s\t%s\n", sites[i].name, orders[sites[i].order]);
	return right ? 0 : 1;
}
