/* SPDX-License-Identifier: ISC */
/*
 * vm.c: generators for a small bytecode interpreter.  It recurses in C, and C functions that it calls may call it: a generator
 * yields from any depth of that, for it has a stack of its own.  The end of that stack is an error of the language; closing a
 * generator that is suspended unwinds it, as an error would.
 */
#include <errno.h>
#include <stdio.h>

#include <reap.h>

/* A function has an argument and an accumulator, which it returns. */
enum op {
	SET,		/* n: the accumulator is n */
	ARG,		/* it is the argument */
	ADD,		/* n: n more */
	ZERO,		/* n: go on at n if it is 0 */
	JUMP,		/* n: go on at n */
	CALL,		/* f: f of it */
	EACH,		/* f: a C function that calls f(1), f(2), f(3) */
	MAKE,		/* f: the generator is f of it, from now on */
	NEXT,		/* what the generator yields; or, at its end, 0 */
	CLOSE,		/* the generator */
	YIELD, PRINT, RETURN
};

enum { DOWN, NATIVE, DEEP, SHOW, MAIN };	/* functions */

static const intptr_t down[] = { ARG, ZERO, 9, YIELD, ARG, ADD, -1, CALL, DOWN, RETURN };	/* yields n, n - 1, ... 1 */
static const intptr_t native[] = { ARG, EACH, DOWN, RETURN };					/* down from 1, from 2, from 3 */
static const intptr_t deep[] = { ARG, ADD, 1, CALL, DEEP, RETURN };
static const intptr_t show[] = { NEXT, ZERO, 6, PRINT, JUMP, 0, RETURN };
static const intptr_t all[] = {
	SET, 3, MAKE, DOWN, CALL, SHOW,
	SET, 0, MAKE, NATIVE, CALL, SHOW,
	SET, 9, MAKE, DOWN, NEXT, PRINT, CLOSE, NEXT, PRINT,
	SET, 0, MAKE, DEEP, NEXT, RETURN
};
static const intptr_t *const functions[] = { down, native, deep, show, all };

static struct reap_worker *worker;		/* of the one thread */
static struct reap_context *generator;		/* NULL: it has ended */
static struct { intptr_t function, arg; } made;
static const char *error;			/* set: all return */

static intptr_t	run(intptr_t function, intptr_t arg);

static intptr_t
each(intptr_t function)
{
	for (intptr_t i = 1; i <= 3 && error == NULL; i++)
		run(function, i);
	return 0;
}

static intptr_t
body(void *arg)
{
	(void)arg;
	return run(made.function, made.arg);
}

static intptr_t
resume(unsigned how)
{
	struct reap_passed passed = { .word = 0 };

	if (generator != NULL && reap_resume(generator, how, &passed) == REAP_ENDED) {
		generator = NULL;
		passed.word = 0;
		if (error != NULL) {
			printf("error: %s\n", error);
			error = NULL;
		}
	}
	return passed.word;
}

static void
make(intptr_t function, intptr_t arg)
{
	(void)resume(REAP_CANCEL);
	made.function = function;
	made.arg = arg;
	if (reap_spawn_owned(worker, body, NULL, &generator) != 0)
		error = "no memory";
}

static intptr_t
run(intptr_t function, intptr_t arg)
{
	const intptr_t	*code = functions[function];
	intptr_t	 acc = 0;

	if (reap_stack_room() < 8192)
		error = "stack overflow";
	for (const intptr_t *pc = code; error == NULL;)
		switch ((enum op)*pc++) {
		case SET:	acc = *pc++; break;
		case ARG:	acc = arg; break;
		case ADD:	acc += *pc++; break;
		case ZERO:	pc = acc == 0 ? code + *pc : pc + 1; break;
		case JUMP:	pc = code + *pc; break;
		case CALL:	acc = run(*pc++, acc); break;
		case EACH:	acc = each(*pc++); break;
		case MAKE:	make(*pc++, acc); break;
		case NEXT:	acc = resume(0); break;
		case CLOSE:	(void)resume(REAP_CANCEL); break;
		case YIELD:	if (reap_suspend(&acc) == -ECANCELED) error = "closed"; break;
		case PRINT:	printf("%ld\n", (long)acc); break;
		case RETURN:	return acc;
		}
	return 0;
}

int
main(void)
{
	struct reap_domain_options options = { .size = sizeof(options) };
	struct reap_domain *domain;

	if (reap_domain_create(&options, &domain) != 0 || reap_worker_start(domain, NULL, &worker) != 0)
		return 1;
	run(MAIN, 0);
	(void)resume(REAP_CANCEL);
	return error != NULL || reap_worker_stop(worker) != 0 || reap_domain_destroy(domain, NULL, NULL) != 0;
}
