/* SPDX-License-Identifier: ISC */
/*
 * gc.c: contexts under a conservative collector, Boehm's libgc.
 *
 * Of 500 contexts each keeps a dozen blocks that nothing refers to but its own stack.  They survive 1000 collections, some begun by
 * the base context, some by contexts.  What is needed for that is two hooks:
 *
 *	push_stacks()	the collector asks for more roots: all stacks but the one that runs, which it looks through by itself
 *	land()		it is told where the stack that runs now ends, before anything is allocated there
 *
 * `gc without' leaves the first one out, and succeeds if blocks are lost then: the test sees what it is made to see.
 */
#include <stdio.h>
#include <string.h>

#include <gc/gc.h>
#include <gc/gc_mark.h>

#include <reap.h>

#define CONTEXTS	500
#define COLLECTIONS	1000
#define BLOCKS		12
#define WORDS		6		/* of a block */

static struct reap_domain *domain;
static struct GC_stack_base own;	/* the thread's stack */
static void *thread;			/* what the collector calls it */
static GC_push_other_roots_proc push_others;
static unsigned lost;

static void
push(const struct reap_scan *scan, void *arg)
{
	(void)arg;
	/* Who runs is looked through as the thread.  The base context is on the thread's own stack. */
	if (scan->state != REAP_STATE_RUNNING)
		GC_push_all_eager((void *)(scan->sp != NULL ? scan->sp : scan->lo), scan->base ? own.mem_base : (void *)scan->hi);
}

static void GC_CALLBACK
push_stacks(void)
{
	push_others();
	(void)reap_domain_scan(domain, push, NULL);
}

static void
land(struct reap_worker *worker, struct reap_context *prev, bool dead)
{
	struct GC_stack_base	 here = own;
	const void		*lo, *sp, *hi;

	(void)prev;
	(void)dead;
	if (reap_context_stack(reap_worker_current(worker), &lo, &sp, &hi) == 0)
		here.mem_base = (void *)hi;
	GC_set_stackbottom(thread, &here);
}

static uintptr_t *
block(uintptr_t name)
{
	uintptr_t *words = GC_MALLOC_ATOMIC(WORDS * sizeof(*words));

	for (int i = 0; words != NULL && i < WORDS; i++)
		words[i] = name + (uintptr_t)i;
	return words;
}

/* Takes what the collector believes to be free. */
static void
litter(void)
{
	for (int i = 0; i < 400; i++)
		(void)block(0);
}

static intptr_t
keep(void *arg)
{
	uintptr_t *volatile	mine[BLOCKS];
	uintptr_t		name = (uintptr_t)arg << 16;
	intptr_t		word = 0;

	for (uintptr_t i = 0; i < BLOCKS; i++)
		mine[i] = block(name + (i << 8));
	while (reap_suspend(&word) == 0 && word == 0) {
		GC_gcollect();
		litter();
	}
	for (uintptr_t i = 0; i < BLOCKS; i++)
		for (uintptr_t j = 0; j < WORDS; j++)
			if (mine[i][j] != name + (i << 8) + j) {
				lost++;
				return 0;
			}
	return 0;
}

int
main(int argc, char **argv)
{
	static const struct reap_host host = { .after_switch = land };
	struct reap_domain_options options = { .size = sizeof(options), .host = &host };
	struct reap_context	*contexts[CONTEXTS];
	struct reap_worker	*worker;
	bool			 without = argc > 1 && strcmp(argv[1], "without") == 0;

	GC_INIT();
	thread = GC_get_my_stackbottom(&own);
	push_others = GC_get_push_other_roots();
	if (reap_domain_create(&options, &domain) != 0 || reap_worker_start(domain, NULL, &worker) != 0)
		return 1;
	if (!without)
		GC_set_push_other_roots(push_stacks);
	for (uintptr_t i = 0; i < CONTEXTS; i++)
		if (reap_spawn_owned(worker, keep, (void *)(i + 1), &contexts[i]) != 0 ||
		    reap_resume(contexts[i], 0, NULL) != REAP_SUSPENDED)
			return 1;
	for (unsigned i = 0; i < COLLECTIONS; i++)
		if (i % 3 == 0) {
			struct reap_passed go_on = { .word = 0 };

			if (reap_resume(contexts[i % CONTEXTS], 0, &go_on) != REAP_SUSPENDED)
				return 1;
		} else {
			GC_gcollect();
			litter();
		}
	for (unsigned i = 0; i < CONTEXTS; i++) {
		struct reap_passed end = { .word = 1 };

		if (reap_resume(contexts[i], 0, &end) != REAP_ENDED)
			return 1;
	}
	printf("%u of %u contexts have lost blocks\n", lost, CONTEXTS);
	GC_set_push_other_roots(push_others);
	if (reap_worker_stop(worker) != 0 || reap_domain_destroy(domain, NULL, NULL) != 0)
		return 1;
	return without ? lost < CONTEXTS / 2 : lost != 0;
}
