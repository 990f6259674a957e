/* SPDX-License-Identifier: ISC */
/*
 * ucontext.c: swapcontext(3) of the C library and a pool of stacks, as a program would write it that has nothing else.
 *
 * Every switch saves and restores the signal mask: two system calls.  Stacks have a guard page by mprotect(2), so the kernel's
 * limit on mappings, 65,530 by default, ends it at some 32,700 of them.  The pool is a list, last in first out, without a bound,
 * and given back only when somebody asks.  No handles, no status, no join: whoever resumed a context gets on when it ends, and
 * puts its stack into the pool; there is one thread.
 */
#include <sys/mman.h>
#include <ucontext.h>

#include "shape.h"

#define GUARD	4096

struct context {
	ucontext_t uc;
	struct context *next;		/* in the pool */
};

static ucontext_t here;
static struct context *pool, **all;
static long ran;

/* The context lies at the top of its stack. */
static struct context *
take(long reached)
{
	struct context *c = pool;
	char *p;

	if (c != NULL) {
		pool = c->next;
		return c;
	}
	p = (char *)mmap(NULL, GUARD + PEER_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (p == (char *)MAP_FAILED)
		peer_stopped(reached, "mmap", errno);
	if (mprotect(p, GUARD, PROT_NONE) != 0)
		peer_stopped(reached, "mprotect", errno);
	return (struct context *)(void *)(p + GUARD + PEER_STACK - (sizeof(struct context) + 63) / 64 * 64);
}

static void
give(struct context *c)
{
	c->next = pool;
	pool = c;
}

static char *
bottom(struct context *c)
{
	return (char *)c + (sizeof(*c) + 63) / 64 * 64 - PEER_STACK;
}

/* By itself: getcontext() returns twice as far as compilers know, which would cost its caller its registers. */
static int __attribute__((noinline))
fill(ucontext_t *uc)
{
	return getcontext(uc);
}

static struct context *
make(void (*entry)(void), long reached)
{
	struct context *c = take(reached);

	peer_must(fill(&c->uc) == 0, "getcontext");
	c->uc.uc_stack.ss_sp = bottom(c);
	c->uc.uc_stack.ss_size = (size_t)((char *)c - bottom(c));
	c->uc.uc_link = &here;
	makecontext(&c->uc, entry, 0);
	return c;
}

static void
resume(struct context *c)
{
	peer_must(swapcontext(&here, &c->uc) == 0, "swapcontext");
}

static void
empty(void)
{
	ran++;
}

static struct context *running;

static void
yields(void)
{
	struct context *self = running;

	ran++;
	swapcontext(&self->uc, &here);
}

static struct context *pong;

static void
back(void)
{
	for (;;) {
		ran++;
		swapcontext(&pong->uc, &here);
	}
}

static void
switches(long n)
{
	if (pong == NULL)
		pong = make(back, 0);
	ran = 0;
	for (long i = 0; i < n / 2; i++)
		resume(pong);
	peer_must(ran == n / 2, "counting");
}

static void
one(long n)
{
	ran = 0;
	for (long i = 0; i < n; i++) {
		struct context *c = make(empty, 0);

		resume(c);
		give(c);
	}
	peer_must(ran == n, "counting");
}

static void
crowd(long n)
{
	if (all == NULL)
		peer_must((all = (struct context **)calloc((size_t)n, sizeof(*all))) != NULL, "calloc");
	ran = 0;
	for (long i = 0; i < n; i++) {
		running = all[i] = make(yields, i);
		resume(all[i]);
	}
	peer_must(ran == n, "counting");
}

static void
collect(long n)
{
	for (long i = 0; i < n; i++) {
		resume(all[i]);
		give(all[i]);
	}
}

static void
live_1000(long n)
{
	for (long i = 0; i < n; i += PEER_BATCH) {
		crowd(PEER_BATCH);
		collect(PEER_BATCH);
	}
}

static void
batch_1000(long n)
{
	static struct context *children[PEER_BATCH];

	ran = 0;
	for (long i = 0; i < n; i += PEER_BATCH) {
		for (int j = 0; j < PEER_BATCH; j++)
			children[j] = make(empty, 0);
		for (int j = 0; j < PEER_BATCH; j++) {
			resume(children[j]);
			give(children[j]);
		}
	}
	peer_must(ran == n, "counting");
}

static void
trim(void)
{
	struct context *c;

	while ((c = pool) != NULL) {
		pool = c->next;
		peer_must(munmap(bottom(c) - GUARD, GUARD + PEER_STACK) == 0, "munmap");
	}
}

static void
idle(int ms)
{
	usleep((useconds_t)ms * 1000);
}

static void lives(long n) { peer_live(n, crowd, collect, trim); }
static void burst(long n) { peer_burst(n, crowd, collect, idle, trim); }

static const struct peer_shape shapes[] = {
	{ "switch", PEER_TIMED, 1000, 1, switches },
	{ "life-one", PEER_TIMED, 1000, 1, one },
	{ "live-1000", PEER_TIMED, PEER_BATCH, 1, live_1000 },
	{ "batch-1000", PEER_TIMED, PEER_BATCH, 1, batch_1000 },
	{ "live", PEER_ONCE, 100000, 1, lives },
	{ "rss", PEER_ONCE, 100000, 1, burst },
	{ NULL, PEER_ONCE, 0, 0, NULL }
};

int
main(int argc, char **argv)
{
	peer_args(argc, argv, shapes);
	peer_run();
	return 0;
}
