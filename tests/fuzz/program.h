/* SPDX-License-Identifier: ISC */
/*
 * program.h: what the bytes of an input mean: a head that configures the domain, then operations of four bytes each.
 *
 * Every string of bytes is a program.  An operation names its targets by numbers that are taken modulo what there is at that
 * moment, so that few operations come to nothing; which one was meant is decided in model.c.
 */
#ifndef REAP_TESTS_FUZZ_PROGRAM_H
#define REAP_TESTS_FUZZ_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In the order of their codes, which the corpus depends on: append only. */
#define FUZZ_OPS(X)											\
	X(CREATE, "create", 6)		X(READY, "ready", 4)		X(SWITCH, "switch", 3)		\
	X(YIELD, "yield", 5)		X(PARK, "park", 2)		X(EXIT, "exit", 6)		\
	X(WAIT, "wait", 4)		X(WAIT_ANY, "wait-any", 3)	X(JOIN, "join", 3)		\
	X(DETACH, "detach", 2)		X(NO_ZOMBIES, "no-zombies", 1)	X(HOLD, "hold", 1)		\
	X(RELEASE, "release", 1)	X(PEEK, "peek", 1)		X(DESTROY, "destroy", 2)	\
	X(DRAIN, "drain", 2)		X(ADOPTER, "adopter", 1)	X(ADOPTER_END, "adopter-end", 1) \
	X(ASSUME, "assume", 1)		X(ADOPTER_WAIT, "adopter-wait", 1) X(INTERRUPT, "interrupt", 1)	\
	X(GROUP, "group", 1)		X(GROUP_WAIT, "group-wait", 1)	X(GROUP_END, "group-end", 1)	\
	X(TRIM, "trim", 1)		X(TRIM_AGED, "trim-aged", 1)	X(LISTEN, "listen", 1)		\
	X(UNLISTEN, "unlisten", 1)	X(SHARE, "share", 1)		X(NAME, "name", 1)		\
	X(LOOKUP, "lookup", 1)		X(START, "start", 1)		X(STOP, "stop", 1)		\
	X(BATON, "baton", 2)		X(DOMAIN, "domain", 1)		X(MISUSE, "misuse", 1)		\
	X(OWN, "own", 4)		X(RESUME, "resume", 6)		X(SUSPEND, "suspend", 5)	\
	X(TRANSFER, "transfer", 2)	X(DISCARD, "discard", 2)	X(DISCARDED, "discarded", 1)

enum op {
#define X(name, text, weight)	OP_##name,
	FUZZ_OPS(X)
#undef X
	OP_NONE,		/* comes to nothing */
	OP_END			/* all is tidied up */
};

#define FUZZ_HEAD	8u
#define FUZZ_OPS_MAX	160u

struct program {
	uint8_t	 head[FUZZ_HEAD];
	unsigned n;
	struct {
		uint8_t code, a, b, c;
	} ops[FUZZ_OPS_MAX];
};

void		 program_decode(struct program *, const uint8_t *bytes, size_t n);
size_t		 program_encode(const struct program *, uint8_t *bytes);	/* at most FUZZ_BYTES_MAX */
enum op		 program_op(uint8_t code);
uint8_t		 program_code(enum op);
const char	*program_name(enum op);

#define FUZZ_BYTES_MAX	(FUZZ_HEAD + 4 * FUZZ_OPS_MAX)

#endif
