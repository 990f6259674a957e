/* SPDX-License-Identifier: ISC */
/*
 * engine.c: every interleaving, up to a number of pre-emptions.
 *
 * The threads of a scenario are coroutines of one OS thread.  A thread is left at a step on a shared word, at a machine switch of
 * the library's, or when it has to wait; where it is left, and who goes on, is what is chosen.
 *
 * The search is depth first: run with the choices so far and all further ones by default, then advance the last choice that has an
 * alternative.  To leave a thread that could go on is a pre-emption; schedules with none come first, then those with one, and so
 * on.  It is tried only before or after steps on words that more than one thread has been seen to use.  Both ends of a step matter:
 * before it, what a thread did plainly is done and its publication is not; after it, what it does plainly is yet to come.  They
 * are searched one after the other, not together, which would cost four times as much for the same errors.
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#include "schedule.h"

#ifdef __SANITIZE_ADDRESS__
#define ASAN	1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ASAN	1
#endif
#endif
#ifdef ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#else
#define ASAN	0
#endif

/* -- from one thread to another: not by what is to be tested */

#if defined(__x86_64__) && !defined(SCHEDULE_UCONTEXT)

struct place {
	void	*sp;
};

void	schedule_swap(struct place *from, struct place *to);

__asm__(
"	.text\n"
"	.globl	schedule_swap\n"
"	.type	schedule_swap, @function\n"
"schedule_swap:\n"
"	endbr64\n"
"	pushq	%rbp\n"
"	pushq	%rbx\n"
"	pushq	%r12\n"
"	pushq	%r13\n"
"	pushq	%r14\n"
"	pushq	%r15\n"
"	movq	%rsp, (%rdi)\n"
"	movq	(%rsi), %rsp\n"
"	popq	%r15\n"
"	popq	%r14\n"
"	popq	%r13\n"
"	popq	%r12\n"
"	popq	%rbx\n"
"	popq	%rbp\n"
"	ret\n"
"	.size	schedule_swap, . - schedule_swap\n"
);

static void
place_make(struct place *place, char *lo, size_t size, void (*entry)(void))
{
	uintptr_t *top = (uintptr_t *)(void *)(lo + size);

	*--top = 0;
	*--top = (uintptr_t)entry;
	for (int i = 0; i < 6; i++)
		*--top = 0;
	place->sp = top;
}

#else

#include <ucontext.h>

struct place {
	ucontext_t uc;
};

static void
schedule_swap(struct place *from, struct place *to)
{
	if (swapcontext(&from->uc, &to->uc) != 0)
		abort();
}

static void
place_make(struct place *place, char *lo, size_t size, void (*entry)(void))
{
	if (getcontext(&place->uc) != 0)
		abort();
	place->uc.uc_link = NULL;
	place->uc.uc_stack.ss_sp = lo;
	place->uc.uc_stack.ss_size = size;
	makecontext(&place->uc, entry, 0);
}

#endif

unsigned schedule_variant;
int	 schedule_mutant;

#define ENGINE_THREADS	(SCHEDULE_THREADS + 2)	/* and the reaper's, twice at most */
#define STACK		((size_t)256 << 10)

struct thread {
	struct place	 place;		/* while others run */
	const void	*lo;		/* of the stack it stands on: its own, or a context's */
	size_t		 size;
	void		*fake;
	void	       (*fn)(void);
	void	      *(*start)(void *);	/* instead, with an argument */
	void		*arg;
	bool		 done;
	bool	       (*ready)(void *);	/* waits: until this */
	void		*ready_arg;
	const char	*on;
	bool		 yields;	/* waits: until the others have changed something */
	bool		 spins;		/* so it seems: it may only be slow */
	unsigned	 dull;		/* steps by which it has changed nothing, since it last did */
	unsigned	 alone;		/* steps since another thread ran */
	uint64_t	 changed;	/* what it changed itself */
	uint64_t	 seen;		/* what the others had changed when it last went on after a yield */
	bool		 woken;
	const void	*sleeps_on;
	unsigned	 quiet;		/* it is not pre-empted */
	unsigned	 nlocks;
	const void	*locks[2];	/* that it holds: the library never takes more at a time */
	void		*self;		/* worker.c's */
};

static struct thread	 outside, threads[ENGINE_THREADS], *current = &outside, *left;
static unsigned		 nthreads;
static uint64_t		 changed;	/* by all */

static const struct schedule_scenario *scenario;

/* -- the choices */

#define CHOICES		8192

struct choice {
	uint32_t	 at;		/* which decision */
	uint8_t		 alt, n;
	bool		 costs;		/* another than the first is a pre-emption */
};

static enum { REPLAY, SEARCH, RANDOM } mode;
static struct choice	 path[CHOICES];		/* SEARCH: those with an alternative; REPLAY: those to be made */
static unsigned		 npath, at_path;
static struct choice	 made[CHOICES];		/* other than by default, in this schedule */
static unsigned		 nmade;
static uint32_t		 decision;
static unsigned		 used, bound;		/* pre-emptions */
static enum { BEFORE, AFTER, EITHER } side;
static uint64_t		 random_state;
static unsigned		 one_in;		/* RANDOM: how seldom a thread is pre-empted */
static uint64_t		 schedules, steps;
static bool		 running, tracing;

#define STEPS_MAX	20000	/* a schedule has some hundreds; one with so many has no end */
#define DULL_MAX	100	/* who has looked so often, and changed nothing, waits for others, but does not say so */
#define ALONE_MAX	500	/* nor does he who has done so much, and nobody else anything */

static uint64_t
random_next(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state >> 11;
}

static size_t
choices_print(char *text, size_t room)
{
	uint32_t next = 0;
	size_t n = (size_t)snprintf(text, room, "%s:%u:", scenario != NULL ? scenario->name : "", schedule_variant);

	for (unsigned i = 0; i < nmade && n < room; i++) {
		n += (size_t)snprintf(text + n, room - n, "%s%u.%u", i > 0 ? "." : "", made[i].at - next, made[i].alt);
		next = made[i].at + 1;
	}
	return n < room ? n : room - 1;
}

static void
put(const char *text, size_t n)
{
	while (n > 0) {
		ssize_t done = write(STDOUT_FILENO, text, n);

		if (done <= 0)
			_exit(2);
		text += done;
		n -= (size_t)done;
	}
}

static void
report(const char *verdict, const char *why)
{
	static char text[65536];	/* this may run on any stack */
	size_t n = (size_t)snprintf(text, sizeof(text), "%s\t", verdict);

	n += choices_print(text + n, sizeof(text) - n - 1024);
	n += (size_t)snprintf(text + n, sizeof(text) - n, "\t%llu\t%.900s\n", (unsigned long long)schedules, why);
	put(text, n < sizeof(text) ? n : sizeof(text) - 1);
}

_Noreturn void
schedule_fail(const char *format, ...)
{
	static char why[1024];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	report("FAIL", why);
	_exit(1);
}

unsigned
schedule_me(void)
{
	return current == &outside ? ENGINE_THREADS : (unsigned)(current - threads);
}

static const char *
who(unsigned thread)
{
	static const char *const name[] = { "t0", "t1", "t2", "t3", "t4", "t5", "setup or finish" };

	_Static_assert(sizeof(name) / sizeof(name[0]) == ENGINE_THREADS + 1, "all have a name");
	return name[thread];
}

/* -- names of what lies in memory */

struct region {
	const char	*lo, *hi;
	const char	*name;
	bool		 gone, barred;
	bool		 mapped, single;
	unsigned	 by;		/* gone: which thread, at which step */
	uint64_t	 at;
};

#define REGIONS		256

static struct region	 regions[REGIONS];
static unsigned		 nregions;
static char		 names[REGIONS][48];

static struct region *
region_of(const void *where)
{
	/* The latest first: they are the more special. */
	for (unsigned i = nregions; i-- > 0;)
		if ((const char *)where >= regions[i].lo && (const char *)where < regions[i].hi)
			return &regions[i];
	return NULL;
}

static struct region *
region_add(const void *lo, size_t size, const char *name)
{
	if (nregions == REGIONS)
		schedule_fail("the engine has no room for another region");
	regions[nregions] = (struct region){ .lo = lo, .hi = (const char *)lo + size, .name = names[nregions] };
	(void)snprintf(names[nregions], sizeof(names[0]), "%s", name);
	return &regions[nregions++];
}

void
schedule_name(const void *lo, size_t size, const char *name)
{
	for (unsigned i = 0; i < nregions; i++)
		if (regions[i].lo == (const char *)lo && regions[i].hi == (const char *)lo + size) {
			(void)snprintf(names[i], sizeof(names[i]), "%s", name);
			return;
		}
	(void)region_add(lo, size, name);
}

static const char *
describe(const void *where, char *text, size_t room)
{
	const struct region *r = region_of(where);

	if (r == NULL)
		(void)snprintf(text, room, "%p", where);
	else if (r->gone)
		(void)snprintf(text, room, "%s+0x%zx, which %s gave up at step %llu", r->name,
		    (size_t)((const char *)where - r->lo), who(r->by), (unsigned long long)r->at);
	else if (r->barred)
		(void)snprintf(text, room, "%s+0x%zx, a stack that was given up", r->name,
		    (size_t)((const char *)where - r->lo));
	else
		(void)snprintf(text, room, "%s+0x%zx", r->name, (size_t)((const char *)where - r->lo));
	return text;
}

/* -- the trace */

static void
say(const char *mark, const char *what, const char *rest)
{
	static char text[512];
	char where[64];
	const struct region *r = region_of(__builtin_frame_address(0));
	size_t n;

	(void)snprintf(where, sizeof(where), "%s", r != NULL && !r->gone ? r->name : "?");
	n = (size_t)snprintf(text, sizeof(text), "%5llu%s  %s  %-14s %-12s %s\n", (unsigned long long)steps, mark,
	    who(schedule_me()), where, what, rest);
	put(text, n < sizeof(text) ? n : sizeof(text) - 1);
}

void
schedule_say(const char *format, ...)
{
	char text[256];
	va_list args;

	if (!tracing)
		return;
	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	say("  ", "--", text);
}

/* -- threads */

void **
schedule_self(void)
{
	return &current->self;
}

void
schedule_stack(const void **lo, size_t *size)
{
	*lo = current->lo;
	*size = current->size;
}

bool
schedule_running(void)
{
	return running;
}

static void
go(struct thread *to)
{
	struct thread *from = current;

	left = from;
	current = to;
#if ASAN
	__sanitizer_start_switch_fiber(from->done ? NULL : &from->fake, to->lo, to->size);
#endif
	schedule_swap(&from->place, &to->place);
#if ASAN
	__sanitizer_finish_switch_fiber(current->fake, &left->lo, &left->size);
#endif
}

static uint64_t
of_others(const struct thread *t)
{
	return changed - t->changed;
}

static bool
can_go_on(const struct thread *t)
{
	return !t->done && (t->ready == NULL || t->ready(t->ready_arg)) && (!t->yields || of_others(t) != t->seen);
}

static void
deadlock(void)
{
	char text[600];
	size_t n = 0;

	for (unsigned i = 0; i < nthreads && n < sizeof(text); i++)
		if (!threads[i].done)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%st%u %s %s", n > 0 ? ", " : "", i,
			    threads[i].ready != NULL ? "in" : "spins", threads[i].ready != NULL ? threads[i].on : "for ever");
	schedule_fail("nothing can go on: %s", text);
}

/* One of n.  costs: another than the first is a pre-emption, to be tried only where it may matter. */
static unsigned
choose(unsigned n, bool costs, bool matters)
{
	uint32_t at = decision++;
	unsigned alt = 0;

	switch (mode) {
	case REPLAY:
		if (at_path < npath && path[at_path].at == at && (alt = path[at_path++].alt) >= n)
			schedule_fail("this is no schedule: decision %u has %u choices", at, n);
		break;
	case RANDOM:
		if (!costs)
			alt = (unsigned)(random_next() % n);
		else if (matters && random_next() % one_in == 0)
			alt = 1 + (unsigned)(random_next() % (n - 1));
		break;
	case SEARCH:
		if (at_path < npath && path[at_path].at <= at) {
			if (path[at_path].at != at || path[at_path].n != n || path[at_path].costs != costs)
				schedule_fail("the same choices did not lead to the same place: the harness is wrong");
			alt = path[at_path++].alt;
		} else if (at_path == npath && (!costs || (matters && used < bound))) {
			if (npath == CHOICES)
				schedule_fail("a schedule without an end");
			path[npath++] = (struct choice){ at, 0, (uint8_t)n, costs };
			at_path++;
		}
		break;
	}
	if (alt != 0) {
		used += costs;
		if (nmade == CHOICES)
			schedule_fail("a schedule without an end");
		made[nmade++] = (struct choice){ at, (uint8_t)alt, (uint8_t)n, costs };
	}
	return alt;
}

void
schedule_quiet(int n)
{
	current->quiet += (unsigned)n;
}

/* Somebody goes on: the current thread, if it can, or another.  matters: worth a pre-emption. */
static void
decide(bool matters)
{
	struct thread *c[ENGINE_THREADS + 1];
	unsigned n = 0, alt, me = (unsigned)(current - threads);
	bool costs = !current->yields && can_go_on(current);

	if (costs)
		c[n++] = current;
	for (unsigned i = 1; i < nthreads; i++)
		if (can_go_on(&threads[(me + i) % nthreads]))
			c[n++] = &threads[(me + i) % nthreads];
	if (n == 0 && current->yields && can_go_on(current))
		c[n++] = current;
	for (unsigned i = 0; n == 0 && i < nthreads; i++)
		if (threads[i].yields && threads[i].spins)
			c[n++] = &threads[i];
	if (n == 0)
		deadlock();
	alt = n > 1 ? choose(n, costs, matters && current->quiet == 0) : 0;
	if (c[alt] != current) {
		if (tracing && costs) {
			char text[64];

			(void)snprintf(text, sizeof(text), "pre-empted, decision %u: t%u goes on", decision - 1,
			    (unsigned)(c[alt] - threads));
			say("* ", "--", text);
		} else if (tracing && !current->done && n > 1) {
			char text[64];

			(void)snprintf(text, sizeof(text), "decision %u: t%u goes on", decision - 1, (unsigned)(c[alt] - threads));
			say("  ", "--", text);
		}
		go(c[alt]);
		current->dull = current->alone = 0;
	}
	current->ready = NULL;
	if (current->yields) {
		current->yields = current->spins = false;
		current->seen = of_others(current);
		current->dull = current->alone = 0;
	}
}

static void
step(void)
{
	if (++steps > STEPS_MAX)
		schedule_fail("a schedule without an end");
}

void
schedule_point(const char *what)
{
	if (!running)
		return;
	step();
	if (tracing)
		say("  ", what, "");
	decide(true);
}

void
schedule_yield(void)
{
	if (!running)
		schedule_fail("setup or finish has to wait");
	step();
	if (tracing)
		say("  ", "yield", "");
	current->yields = true;
	decide(true);
}

void
schedule_block(bool (*ready)(void *), void *arg, const char *on)
{
	if (!running) {
		if (!ready(arg))
			schedule_fail("setup or finish has to wait in %s", on);
		return;
	}
	step();
	if (tracing && !ready(arg))
		say("  ", "waits in", on);
	current->ready = ready;
	current->ready_arg = arg;
	current->on = on;
	decide(true);
}

/* -- shared words */

/*
 * A word that is always used under the same lock needs no looking at: taking the lock is a step on a shared word itself.
 */
struct word {
	uintptr_t	 address;
	uint64_t	 schedule;	/* in which the following were seen */
	uint8_t		 readers, writers;
	unsigned	 nlocks;	/* held at each use of it */
	const void	*locks[2];
	bool		 shared;	/* by two threads, one of which writes, without a common lock: in some schedule so far */
};

#define WORDS	32768u

static struct word	 words[WORDS];
static unsigned		 nwords;
static bool		 learned;	/* a word was found to be shared: the search has left out choices */

static struct word *
word_of(const void *address)
{
	uintptr_t a = (uintptr_t)address;
	unsigned i = (unsigned)((a >> 2) * UINT64_C(0x9e3779b97f4a7c15) >> 49);

	while (words[i].address != a && words[i].address != 0)
		i = (i + 1) % WORDS;
	if (words[i].address == 0) {
		if (++nwords > WORDS / 4 * 3)
			schedule_fail("the engine has no room for another word");
		words[i].address = a;
	}
	return &words[i];
}

static bool
note(struct word *w, bool wrote)
{
	uint8_t me = (uint8_t)(1u << schedule_me()), all;

	if (w->schedule != schedules) {
		w->schedule = schedules;
		w->readers = w->writers = 0;
		w->nlocks = current->nlocks;
		memcpy(w->locks, current->locks, sizeof(w->locks));
	}
	for (unsigned i = 0; i < w->nlocks;)
		if ((current->nlocks > 0 && current->locks[0] == w->locks[i]) ||
		    (current->nlocks > 1 && current->locks[1] == w->locks[i]))
			i++;
		else
			w->locks[i] = w->locks[--w->nlocks];
	*(wrote ? &w->writers : &w->readers) |= me;
	all = w->readers | w->writers;
	if (!w->shared && w->nlocks == 0 && w->writers != 0 && (all & (all - 1)) != 0) {
		w->shared = true;
		learned = true;
	}
	return w->shared;
}

void
schedule_before(const struct schedule_site *site, const void *address)
{
	if (!running)
		return;
	step();
	decide(side != AFTER && word_of(address)->shared);
	(void)site;
}

static const char *
base_name(const char *path_name)
{
	const char *slash = strrchr(path_name, '/');

	return slash != NULL ? slash + 1 : path_name;
}

void
schedule_after(const struct schedule_site *site, const void *address, uint64_t was, uint64_t is)
{
	bool wrote = site->what[0] != 'l' && !(site->what[0] == 'c' && was == is), shared;

	schedule_inside_access(site, address, wrote);
	if (!running)
		return;
	if (tracing) {
		char text[400], where[100], a[48], b[48];
		size_t n = (size_t)snprintf(text, sizeof(text), "%-28.40s %-24s %s", site->expr, describe(address, where,
		    sizeof(where)), schedule_inside_value(address, was, a, sizeof(a)));

		if (site->what[0] != 'l')
			n += (size_t)snprintf(text + n, sizeof(text) - n, " -> %s",
			    schedule_inside_value(address, is, b, sizeof(b)));
		(void)snprintf(text + n, sizeof(text) - n, "   %s:%d %s", base_name(site->file), site->line, site->function);
		say("  ", site->what, text);
	}
	if (was != is) {
		changed++;
		current->changed++;
		current->dull = 0;
	} else
		current->dull++;
	if (current->dull > DULL_MAX || ++current->alone > ALONE_MAX) {
		current->yields = current->spins = true;
		decide(false);
	}
	shared = note(word_of(address), wrote);
	/* Decisions are counted on either side, whatever the search: so a schedule says the same everywhere. */
	if (wrote)
		decide(side != BEFORE && shared);
}

/* -- locks, sleep and wake: as the library calls them */

static uint32_t *
lock_word(void *mutex)
{
	return mutex;
}

static bool
lock_free(void *mutex)
{
	return *lock_word(mutex) == 0;
}

void
schedule_lock(const struct schedule_site *site, void *mutex)
{
	uint32_t was;

	schedule_before(site, mutex);
	if (*lock_word(mutex) == schedule_me() + 1)
		schedule_fail("a thread locks what it has locked: %s", site->expr);
	if (!lock_free(mutex))
		schedule_block(lock_free, mutex, "a lock");
	if (current->nlocks == 2)
		schedule_fail("a thread holds three locks");
	was = *lock_word(mutex);
	*lock_word(mutex) = schedule_me() + 1;
	schedule_after(site, mutex, was, *lock_word(mutex));
	current->locks[current->nlocks++] = mutex;
}

static void
forget_lock(const void *mutex)
{
	if (current->locks[--current->nlocks] != mutex)
		current->locks[0] = current->locks[1];
}

void
schedule_unlock(void *mutex)
{
	static const struct schedule_site site = { "store", "unlock", __FILE__, "schedule_unlock", __LINE__ };
	uint32_t was = *lock_word(mutex);

	if (was != schedule_me() + 1)
		schedule_fail("a thread unlocks what it has not locked");
	*lock_word(mutex) = 0;
	forget_lock(mutex);
	schedule_after(&site, mutex, was, 0);
}

static bool
was_woken(void *arg)
{
	return ((struct thread *)arg)->woken;
}

static void
sleep_on(const void *what, const char *name)
{
	current->woken = false;
	current->sleeps_on = what;
	schedule_block(was_woken, current, name);
	current->sleeps_on = NULL;
}

static void
wake_all(const void *what)
{
	for (unsigned i = 0; i < nthreads; i++)
		if (threads[i].sleeps_on == what && !threads[i].woken) {
			threads[i].woken = true;
			changed++;
			current->changed++;
		}
}

void
schedule_cond_wait(void *cond, void *mutex)
{
	static const struct schedule_site site = { "lock", "after a condition", __FILE__, "schedule_cond_wait", __LINE__ };

	/* Falling asleep and unlocking are one step. */
	current->woken = false;
	current->sleeps_on = cond;
	*lock_word(mutex) = 0;
	forget_lock(mutex);
	changed++;
	current->changed++;
	schedule_block(was_woken, current, "a condition");
	current->sleeps_on = NULL;
	schedule_lock(&site, mutex);
}

void
schedule_cond_signal(void *cond)
{
	schedule_point("signal");
	wake_all(cond);		/* as it may wake more than one: they look again */
}

/* lib/os/os.h, all of it */
size_t	 reap__os_page(void);
int	 reap__os_map(size_t size, void **base);
int	 reap__os_unmap(void *base, size_t size);
int	 reap__os_decommit(void *base, size_t size);
bool	 reap__os_decommit_zeroes(void);
bool	 reap__os_marker_works(void);
int	 reap__os_guard(int how, void *base, size_t size);
int	 reap__os_unguard(int how, void *base, size_t size);
size_t	 reap__os_max_maps(void);
size_t	 reap__os_signal_frame(void);
uint64_t reap__os_clock(void *);
void	 reap__os_wait(const uint32_t *word, uint32_t expected);
void	 reap__os_wake(const uint32_t *word);
void	 reap__os_yield(void);
_Noreturn void reap_misuse(const char *rule, const char *why);

void
reap__os_wait(const uint32_t *word, uint32_t expected)
{
	static const struct schedule_site site = { "load", "os_wait", __FILE__, "reap__os_wait", __LINE__ };

	schedule_before(&site, word);
	schedule_after(&site, word, *word, *word);
	if (*word == expected)
		sleep_on(word, "os_wait");
}

void
reap__os_wake(const uint32_t *word)
{
	char text[100];

	if (running) {
		step();
		if (tracing)
			say("  ", "os_wake", describe(word, text, sizeof(text)));
		decide(true);
	}
	wake_all(word);		/* nothing lies there any more, perhaps: only its address is used */
}

void
reap__os_yield(void)
{
	schedule_yield();
}

size_t
reap__os_page(void)
{
	return 4096;
}

size_t
reap__os_max_maps(void)
{
	return SIZE_MAX;
}

size_t
reap__os_signal_frame(void)
{
	return 4096;
}

uint64_t
reap__os_clock(void *unused)
{
	(void)unused;
	return steps;
}

bool
reap__os_marker_works(void)
{
	return false;
}

bool
reap__os_decommit_zeroes(void)
{
	return true;
}

int
reap__os_map(size_t size, void **base)
{
	/* As the descriptors want it: then less is mapped for nothing. */
	*base = schedule_map(size, (size_t)1 << 20, "mapping");
	return 0;
}

int
reap__os_unmap(void *base, size_t size)
{
	schedule_unmap(base, size);
	return 0;
}

int
reap__os_decommit(void *base, size_t size)
{
	schedule_inside_gone(base, size);
	return madvise(base, size, MADV_DONTNEED) == 0 ? 0 : -errno;
}

int
reap__os_guard(int how, void *base, size_t size)
{
	(void)how;
	return mprotect(base, size, PROT_NONE) == 0 ? 0 : -errno;
}

int
reap__os_unguard(int how, void *base, size_t size)
{
	(void)how;
	return mprotect(base, size, PROT_READ | PROT_WRITE) == 0 ? 0 : -errno;
}

_Noreturn void
reap_misuse(const char *rule, const char *why)
{
	schedule_fail("misuse: %s: %s", rule, why);
}

/* -- memory.  Every schedule finds the same addresses. */

#define STACKS_AT	((char *)0x200000000000)	/* of the threads; for ever */
#define HEAP_AT		((char *)0x210000000000)	/* mapped for ever; a page or more for each object */
#define MAPS_AT		((char *)0x220000000000)
#define HEAP_SIZE	((size_t)8 << 20)
#define PAGE		((size_t)4096)

static char	*heap_end, *maps_end;
static size_t	 mapped;		/* bytes now */
static unsigned	 allocated;		/* objects now */

static void
system_failed(const char *what)
{
	schedule_fail("the harness itself: %s: %s", what, strerror(errno));
}

static void
gone(struct region *r)
{
	r->gone = true;
	r->by = schedule_me();
	r->at = steps;
}

void *
schedule_map(size_t size, size_t align, const char *name)
{
	char *at = (char *)(((uintptr_t)maps_end + align - 1) & ~(uintptr_t)(align - 1));
	struct region *r;

	size = (size + PAGE - 1) & ~(PAGE - 1);
	maps_end = at + size + PAGE;
	if (mmap(at, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_NORESERVE, -1, 0) != at)
		system_failed("mmap");
	mapped += size;
	r = region_add(at, size, name);
	r->mapped = true;
	r->single = align == 1;
	return at;
}

void
schedule_unmap(void *base, size_t size)
{
	char *lo = base, *hi = lo + ((size + PAGE - 1) & ~(PAGE - 1));

	schedule_inside_gone(base, size);
#if ASAN
	__asan_unpoison_memory_region(base, size);
#endif
	if (munmap(lo, (size_t)(hi - lo)) != 0)
		system_failed("munmap");
	mapped -= (size_t)(hi - lo);
	for (unsigned i = 0; i < nregions; i++)
		if (regions[i].lo >= lo && regions[i].hi <= hi)
			gone(&regions[i]);
}

/* Not one that is its own mapping: it will be unmapped at once, and until then its record is read, which lies on the same page. */
void
schedule_bar(const void *lo, size_t size)
{
	char *hi = (char *)(((uintptr_t)lo + size + PAGE - 1) & ~(uintptr_t)(PAGE - 1));
	struct region *r = region_of(lo);

	for (unsigned i = 0; i < nregions; i++)
		if (regions[i].single && regions[i].lo <= (const char *)lo && (const char *)lo < regions[i].hi)
			return;
	if (r == NULL)
		return;
	if (mprotect((void *)(uintptr_t)lo, (size_t)(hi - (const char *)lo), PROT_NONE) != 0)
		system_failed("mprotect");
	if (r->lo != (const char *)lo)
		r = region_add(lo, (size_t)(hi - (const char *)lo), "stack");
	r->barred = true;
}

void
schedule_unbar(const void *lo, size_t size)
{
	char *hi = (char *)(((uintptr_t)lo + size + PAGE - 1) & ~(uintptr_t)(PAGE - 1));
	struct region *r = region_of(lo);

	if (r == NULL || !r->barred || r->lo != (const char *)lo)
		return;
	if (mprotect((void *)(uintptr_t)lo, (size_t)(hi - (const char *)lo), PROT_READ | PROT_WRITE) != 0)
		system_failed("mprotect");
	r->barred = false;
}

void *
schedule_alloc(size_t size, bool zero, const char *name)
{
	size_t pages = (size + PAGE - 1) & ~(PAGE - 1);
	char *at = heap_end;

	if (pages == 0)
		pages = PAGE;
	heap_end += pages;
	if (heap_end > HEAP_AT + HEAP_SIZE)
		schedule_fail("the engine's heap is full");
	allocated++;
	(void)region_add(at, pages, name);
#if ASAN
	__asan_unpoison_memory_region(at, size);
	__asan_poison_memory_region(at + size, pages - size);
#endif
	memset(at, zero ? 0 : 0xa5, size);
	return at;
}

void
schedule_free(void *p)
{
	struct region *r = region_of(p);

	if (p == NULL)
		return;
	if (r == NULL || r->lo != p || r->gone || r->mapped)
		schedule_fail("free of what is no object, or was freed before");
	allocated--;
	if (mprotect(p, (size_t)(r->hi - r->lo), PROT_NONE) != 0)
		system_failed("mprotect");
	gone(r);
}

static void
memory_begin(void)
{
	if (heap_end != NULL) {
		if (heap_end > HEAP_AT && mprotect(HEAP_AT, (size_t)(heap_end - HEAP_AT), PROT_READ | PROT_WRITE) != 0)
			system_failed("mprotect");
	} else if (mmap(HEAP_AT, HEAP_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) !=
	    HEAP_AT)
		system_failed("mmap");
	heap_end = HEAP_AT;
	maps_end = MAPS_AT;
	mapped = 0;
	allocated = 0;
	nregions = 0;
}

/* -- one schedule */

static void
thread_main(void)
{
#if ASAN
	__sanitizer_finish_switch_fiber(NULL, &left->lo, &left->size);
#endif
	current->ready = NULL;
	current->yields = false;
	if (current->start != NULL)
		(void)current->start(current->arg);
	else
		current->fn();
	if (current->self != NULL)
		schedule_fail("a thread ended that was still a worker");
	current->done = true;
	changed++;
	current->changed++;
	if (tracing)
		say("  ", "ends", "");
	for (unsigned i = 0; i < nthreads; i++)
		if (!threads[i].done) {
			decide(true);
			__builtin_unreachable();
		}
	go(&outside);
}

static void
thread_begin(void (*fn)(void), void *(*start)(void *), void *arg)
{
	struct thread *t = &threads[nthreads];
	char *lo = STACKS_AT + nthreads * (STACK + PAGE), name[16];

	if (nthreads++ == ENGINE_THREADS)
		schedule_fail("too many threads");
	*t = (struct thread){ .fn = fn, .start = start, .arg = arg, .lo = lo, .size = STACK };
#if ASAN
	__asan_unpoison_memory_region(lo, STACK);
#endif
	(void)snprintf(name, sizeof(name), "thread %u", nthreads - 1);
	(void)region_add(lo, STACK, name);
	place_make(&t->place, lo, STACK, thread_main);
}

static bool
thread_done(void *arg)
{
	return ((struct thread *)arg)->done;
}

int
schedule_thread_create(unsigned long *id, void *(*fn)(void *), void *arg)
{
	*id = nthreads;
	thread_begin(NULL, fn, arg);
	return 0;
}

void
schedule_thread_join(unsigned long id)
{
	schedule_block(thread_done, &threads[id], "pthread_join");
}

static bool
always(void *unused)
{
	(void)unused;
	return true;
}

static void
run(void)
{
	schedules++;
	decision = 0;
	steps = 0;
	at_path = 0;
	nmade = 0;
	used = 0;
	changed = 0;
	current = &outside;
	outside = (struct thread){ .lo = outside.lo, .size = outside.size };
	nthreads = 0;
	memory_begin();
	schedule_inside_begin();
	for (unsigned i = 0; i < SCHEDULE_THREADS && scenario->thread[i] != NULL; i++)
		thread_begin(scenario->thread[i], NULL, NULL);
	scenario->setup();
	running = true;
	/* The outside waits until all is over; who begins is chosen as if the last thread had just ended. */
	current = &threads[nthreads - 1];
	current->ready = always;
	{
		struct thread *c[ENGINE_THREADS];
		unsigned n = nthreads, alt;

		for (unsigned i = 0; i < n; i++)
			c[i] = &threads[i];
		alt = n > 1 ? choose(n, false, false) : 0;
		current = &outside;
		go(c[alt]);
	}
	running = false;
	if (tracing)
		say("  ", "--", "all have ended");
	scenario->finish();
	schedule_inside_end();
	if (mapped != 0)
		schedule_fail("%zu bytes were mapped and not given back", mapped);
	if (allocated != 0)
		for (unsigned i = 0; i < nregions; i++)
			if (regions[i].lo >= HEAP_AT && regions[i].lo < heap_end && !regions[i].gone)
				schedule_fail("%u objects were allocated and not freed, one of them by %s", allocated,
				    regions[i].name);
}

/* -- all schedules */

static unsigned long long cap;		/* no more than so many, in all */

static bool
advance(void)
{
	while (npath > 0 && path[npath - 1].alt + 1u == path[npath - 1].n)
		npath--;
	if (npath == 0)
		return false;
	path[npath - 1].alt++;
	return true;
}

/* False: the cap was reached. */
static bool
search(unsigned least, unsigned most)
{
	mode = SEARCH;
	for (bound = least; bound <= most; bound++)
		for (int s = BEFORE; s <= AFTER; s++) {
			side = (unsigned)s == BEFORE ? BEFORE : AFTER;
			/* Without a pre-emption both are the same. */
			if (bound == 0 && side == AFTER)
				continue;
			do {
				learned = false;
				npath = 0;
				do {
					if (cap != 0 && schedules >= cap)
						return false;
					run();
				} while (advance());
			} while (learned);
		}
	return true;
}

static void
at_random(unsigned n, uint64_t seed)
{
	mode = RANDOM;
	side = EITHER;
	bound = CHOICES;
	random_state = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15) | 1;
	for (unsigned i = 0; i < n; i++) {
		one_in = 2u << random_next() % 6;
		run();
	}
}

static void
parse(const char *text)
{
	uint32_t next = 0;
	char *end;

	mode = REPLAY;
	side = EITHER;
	npath = 0;
	while (*text != '\0') {
		unsigned long gap = strtoul(text, &end, 10), alt;

		if (end == text || *end != '.' || npath == CHOICES)
			break;
		text = end + 1;
		alt = strtoul(text, &end, 10);
		if (end == text || (*end != '.' && *end != '\0'))
			break;
		path[npath++] = (struct choice){ next + (uint32_t)gap, (uint8_t)alt, 0, false };
		next += (uint32_t)gap + 1;
		text = *end == '.' ? end + 1 : end;
	}
	if (*text != '\0') {
		(void)fprintf(stderr, "schedule: this is no schedule, from here on: %s\n", text);
		exit(2);
	}
}

/* -- faults */

static void
on_fault(int signo, siginfo_t *info, void *unused)
{
	char text[200];

	(void)unused;
	(void)signal(signo, SIG_DFL);
	if (signo == SIGSEGV || signo == SIGBUS)
		schedule_fail("%s touched %s", who(schedule_me()), describe(info->si_addr, text, sizeof(text)));
	schedule_fail("%s got signal %d", who(schedule_me()), signo);
}

static void
on_tick(int signo)
{
	static uint64_t last_schedule, last_steps;

	(void)signo;
	if (last_schedule == schedules && last_steps == steps && schedules != 0)
		schedule_fail("%s goes on for ever without a step", who(schedule_me()));
	last_schedule = schedules;
	last_steps = steps;
}

#if ASAN
const char *__asan_default_options(void);

const char *
__asan_default_options(void)
{
	return "detect_leaks=0:handle_segv=0:handle_sigbus=0:handle_abort=0:handle_sigill=0:handle_sigfpe=0:"
	    "detect_stack_use_after_return=0:allow_user_segv_handler=1";
}

static void
on_report(const char *text)
{
	const char *line = strstr(text, "ERROR: ");

	schedule_fail("%.*s", line != NULL ? (int)strcspn(line, "\n") : 80, line != NULL ? line : text);
}
#endif

static void
begin(void)
{
	static char altstack[128 << 10];
	const stack_t ss = { .ss_sp = altstack, .ss_size = sizeof(altstack) };
	const struct itimerval tick = { { 10, 0 }, { 10, 0 } };
	struct sigaction sa = { .sa_flags = SA_SIGINFO | SA_ONSTACK };

	sa.sa_sigaction = on_fault;
	if (sigaltstack(&ss, NULL) != 0 || sigaction(SIGSEGV, &sa, NULL) != 0 || sigaction(SIGBUS, &sa, NULL) != 0 ||
	    sigaction(SIGILL, &sa, NULL) != 0 || sigaction(SIGABRT, &sa, NULL) != 0 || sigaction(SIGFPE, &sa, NULL) != 0 ||
	    sigaction(SIGTRAP, &sa, NULL) != 0)
		system_failed("sigaction");
	sa.sa_flags = SA_ONSTACK | SA_RESTART;
	sa.sa_handler = on_tick;
	if (sigaction(SIGPROF, &sa, NULL) != 0 || setitimer(ITIMER_PROF, &tick, NULL) != 0)
		system_failed("setitimer");
	for (unsigned i = 0; i < ENGINE_THREADS; i++)
		if (mmap(STACKS_AT + i * (STACK + PAGE), STACK, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED)
			system_failed("mmap");
#if ASAN
	{
		void *fake;

		/* To nowhere and back: the first arrival tells where we were. */
		__sanitizer_start_switch_fiber(&fake, STACKS_AT, STACK);
		__sanitizer_finish_switch_fiber(fake, &outside.lo, &outside.size);
		__sanitizer_start_switch_fiber(&fake, outside.lo, outside.size);
		__sanitizer_finish_switch_fiber(fake, NULL, NULL);
		__asan_set_error_report_callback(on_report);
	}
#endif
}

static const char usage[] =
    "usage: schedule [-l] [-L] [-b BOUND] [-n RANDOM] [-S SEED] [-c CAP] [-m MUTANT] [-v VARIANT] [-s SCENARIO]\n"
    "                [-q] [-r SCHEDULE]\n";

static const struct schedule_scenario *
find(const char *name, size_t n)
{
	for (unsigned i = 0; i < schedule_nscenarios; i++)
		if (strlen(schedule_scenarios[i].name) == n && memcmp(schedule_scenarios[i].name, name, n) == 0)
			return &schedule_scenarios[i];
	(void)fprintf(stderr, "schedule: no scenario %.*s\n", (int)n, name);
	exit(2);
}

int
main(int argc, char **argv)
{
	const struct schedule_scenario *only = NULL;
	unsigned long most = 99, random = 0, seed = 0;
	long variant = -1;
	bool long_run = false, list = false, quiet = false;
	const char *replay = NULL;
	int c;

	while ((c = getopt(argc, argv, "lLqb:n:S:c:m:v:s:r:")) != -1)
		switch (c) {
		case 'l': list = true; break;
		case 'L': long_run = true; break;
		case 'q': quiet = true; break;
		case 'b': most = strtoul(optarg, NULL, 10); break;
		case 'n': random = strtoul(optarg, NULL, 10); break;
		case 'S': seed = strtoul(optarg, NULL, 10); break;
		case 'c': cap = strtoull(optarg, NULL, 10); break;
		case 'm': schedule_mutant = atoi(optarg); break;
		case 'v': variant = strtol(optarg, NULL, 10); break;
		case 's': only = find(optarg, strlen(optarg)); break;
		case 'r': replay = optarg; break;
		default: (void)fputs(usage, stderr); return 2;
		}
	if (list) {
		for (unsigned i = 0; i < schedule_nscenarios; i++)
			for (unsigned v = 0; v < 8; v++)
				if (schedule_scenarios[i].variants >> v & 1)
					printf("%s\t%u\t%s\n", schedule_scenarios[i].name, v, schedule_scenarios[i].what);
		return 0;
	}
	begin();
	if (replay != NULL) {
		const char *colon = strchr(replay, ':');
		char *end;

		if (colon == NULL) {
			(void)fputs(usage, stderr);
			return 2;
		}
		scenario = find(replay, (size_t)(colon - replay));
		schedule_variant = (unsigned)strtoul(colon + 1, &end, 10);
		parse(*end == ':' ? end + 1 : end);
		tracing = !quiet;
		run();
		report("PASS", "this schedule is right");
		return 0;
	}
	for (unsigned i = 0; i < schedule_nscenarios; i++)
		for (unsigned v = 0; v < 8; v++) {
			unsigned b;
			char text[100];
			bool whole;

			scenario = &schedule_scenarios[i];
			if ((only != NULL && scenario != only) || !(scenario->variants >> v & 1) ||
			    (variant >= 0 && (unsigned)variant != v))
				continue;
			schedule_variant = v;
			memset(words, 0, sizeof(words));
			nwords = 0;
			schedules = 0;
			b = long_run ? scenario->long_bound : scenario->bound;
			if (most != 99)
				b = (unsigned)most;
			/* What needs many pre-emptions is found sooner by chance. */
			whole = search(0, b < 1 ? b : 1);
			at_random((unsigned)random, seed);
			whole = whole && search(2, b);
			(void)snprintf(text, sizeof(text), whole ? "all with up to %d pre-emptions" :
			    "all with up to %d pre-emptions, then stopped at the cap", whole ? (int)b : (int)bound - 1);
			nmade = 0;
			report("PASS", text);
		}
	return 0;
}
