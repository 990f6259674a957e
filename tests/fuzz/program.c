/* SPDX-License-Identifier: ISC */
#include <string.h>

#include "program.h"

static const struct {
	const char *name;
	unsigned weight;	/* of the 87 codes that repeat: how many are its */
} ops[] = {
#define X(name, text, weight)	{ text, weight },
	FUZZ_OPS(X)
#undef X
};

#define NOPS	((unsigned)(sizeof(ops) / sizeof(ops[0])))

static unsigned
codes(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < NOPS; i++)
		n += ops[i].weight;
	return n;
}

enum op
program_op(uint8_t code)
{
	unsigned n = code % codes(), i;

	for (i = 0; n >= ops[i].weight; i++)
		n -= ops[i].weight;
	return (enum op)i;
}

uint8_t
program_code(enum op op)
{
	unsigned n = 0;

	for (unsigned i = 0; i < (unsigned)op; i++)
		n += ops[i].weight;
	return (uint8_t)n;
}

const char *
program_name(enum op op)
{
	return op == OP_NONE ? "nothing" : op == OP_END ? "end" : ops[op].name;
}

void
program_decode(struct program *program, const uint8_t *bytes, size_t n)
{
	size_t head = n < FUZZ_HEAD ? n : FUZZ_HEAD;

	memset(program, 0, sizeof(*program));
	memcpy(program->head, bytes, head);
	for (bytes += head, n -= head; n >= 4 && program->n < FUZZ_OPS_MAX; bytes += 4, n -= 4) {
		program->ops[program->n].code = bytes[0];
		program->ops[program->n].a = bytes[1];
		program->ops[program->n].b = bytes[2];
		program->ops[program->n].c = bytes[3];
		program->n++;
	}
}

size_t
program_encode(const struct program *program, uint8_t *bytes)
{
	memcpy(bytes, program->head, FUZZ_HEAD);
	for (unsigned i = 0; i < program->n; i++) {
		uint8_t *op = bytes + FUZZ_HEAD + 4 * i;

		op[0] = program->ops[i].code;
		op[1] = program->ops[i].a;
		op[2] = program->ops[i].b;
		op[3] = program->ops[i].c;
	}
	return FUZZ_HEAD + 4 * (size_t)program->n;
}
