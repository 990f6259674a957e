/* SPDX-License-Identifier: ISC */
/*
 * sentinel.h: switch with known values in all callee-saved registers, and say what came back in them.
 *
 * tests/asm does the same for x86-64.  Here a file of assembly for each architecture has the callers, and this header what is
 * particular about its registers.
 */
#ifndef REAP_TESTS_CROSS_SENTINEL_H
#define REAP_TESTS_CROSS_SENTINEL_H

#include <stdint.h>
#include <string.h>

#include "arch/md.h"

#if defined(__aarch64__)

#include "arch/aarch64/frame.h"

#define SENTINELS	19
#define SENTINEL_ENTRY	0			/* the register that holds the entry function of a context that never ran */
#define SENTINEL_NAMES											\
	"x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x29",			\
	"d8", "d9", "d10", "d11", "d12", "d13", "d14", "d15"
#define SENTINEL_DWARF	19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 72, 73, 74, 75, 76, 77, 78, 79

/* FPCR: rounding mode, flush to zero, default NaN.  No exception traps. */
#define CONTROLS	16

static inline void
control_write(unsigned choice)
{
	uint64_t value = (uint64_t)(choice % CONTROLS) << 22;

	__asm__ volatile ("msr fpcr, %0" : : "r" (value));
}

static inline uint64_t
control_read(void)
{
	uint64_t value;

	__asm__ volatile ("mrs %0, fpcr" : "=r" (value));
	return value;
}

#elif defined(__riscv)

#include "arch/riscv64/frame.h"

#define SENTINELS	24
#define SENTINEL_ENTRY	1
#define SENTINEL_NAMES											\
	"s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11",			\
	"fs0", "fs1", "fs2", "fs3", "fs4", "fs5", "fs6", "fs7", "fs8", "fs9", "fs10", "fs11"
#define SENTINEL_DWARF											\
	8, 9, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 40, 41, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59

/* The rounding mode. */
#define CONTROLS	5

static inline void
control_write(unsigned choice)
{
	uint64_t value = choice % CONTROLS;

	__asm__ volatile ("fsrm %0" : : "r" (value));
}

static inline uint64_t
control_read(void)
{
	uint64_t value;

	__asm__ volatile ("frrm %0" : "=r" (value));
	return value;
}

#else
#error "no sentinels for this architecture"
#endif

struct sentinel {
	uint64_t reg[SENTINELS];	/* in the order of SENTINEL_NAMES */
	uint64_t sp;			/* by sentinel_swap() and _jump(): at their call; by sentinel_entry(): at entry */
};

/* sentinel_*.S */
void	*sentinel_swap(void **save, void *to, void *pass, struct sentinel *want, struct sentinel *got);
_Noreturn void	sentinel_jump(void *to, void *pass, struct sentinel *want);
void	sentinel_entry(void *pass);		/* notes what it finds in sentinel_arrived, goes to *sentinel_entered */
extern struct sentinel sentinel_arrived;
extern void	(*sentinel_entered)(void *pass);

/* Another set for each turn and context; no two registers alike. */
static inline void
sentinel_fill(struct sentinel *s, uint64_t seed)
{
	for (int i = 0; i < SENTINELS; i++) {
		uint64_t z = (seed * SENTINELS + (uint64_t)i + 1) * UINT64_C(0x9e3779b97f4a7c15);

		z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
		s->reg[i] = z ^ z >> 27;
	}
}

/* The name of the first register that differs, or NULL. */
static inline const char *
sentinel_differ(const struct sentinel *a, const struct sentinel *b)
{
	static const char *const name[SENTINELS] = { SENTINEL_NAMES };

	for (int i = 0; i < SENTINELS; i++)
		if (a->reg[i] != b->reg[i])
			return name[i];
	return NULL;
}

#endif
