/* SPDX-License-Identifier: ISC */
/*
 * sentinel.h: switch with known values in all callee-saved registers, and say what came back in them.
 */
#ifndef REAP_TESTS_SENTINEL_H
#define REAP_TESTS_SENTINEL_H

#include <stdint.h>
#include <string.h>

#include "arch/md.h"

struct reap_worker;

#define SENTINELS	6

struct sentinel {
	uint64_t reg[SENTINELS];	/* on x86-64: rbx rbp r12 r13 r14 r15 */
	uint64_t sp;			/* x86-64: by sentinel_swap() and _jump(): %rsp before their CALL */
};

/* Every function of the machine layer that comes back: a function, so that a program that does not ask needs none of them. */
struct sentinel_way {
	void	(*how)(void);
};

static inline struct sentinel_way
sentinel_way(size_t n)
{
#ifdef REAP_MD_TAIL
	if (n == 1)
		return (struct sentinel_way){ (void (*)(void))reap_md_switch };
	if (n == 2)
		return (struct sentinel_way){ (void (*)(void))reap_md_leave };
#endif
	(void)n;
	return (struct sentinel_way){ (void (*)(void))reap_md_swap };
}

#ifdef REAP_MD_TAIL
#define SENTINEL_WAYS	((size_t)3)
#else
#define SENTINEL_WAYS	((size_t)1)
#endif
#define SENTINEL_SWAP	0u
#define SENTINEL_SWITCH	1u
#define SENTINEL_LEAVE	2u

#ifdef __x86_64__

/*
 * sentinel.S.  how: of a sentinel_way, or reap_md_leave_launch(); reap_md_jump() or reap_md_launch().  pass: for reap_md_switch()
 * the address of a slot; reap_md_leave() and reap_md_leave_launch() are to call sentinel_after(pass, want).  Who is launched begins
 * with the control words at sentinel_control.
 */
void	*sentinel_swap(void **save, void *to, void *pass, struct sentinel *want, struct sentinel *got, void (*how)(void));
_Noreturn void	sentinel_jump(void *to, void *pass, struct sentinel *want, void (*how)(void));
void	sentinel_entry(void *pass);		/* stores registers, uses MOVAPS, goes to *sentinel_entered */
extern uint64_t sentinel_entry_sp, sentinel_entry_reg[5];	/* %rsp; %rbp %r12-%r15 */
extern void	(*sentinel_entered)(void *pass);
extern intptr_t	(*sentinel_after)(struct reap_worker *pass, void *want);
extern const uint64_t *sentinel_control;

#else

/*
 * Values that the compiler must carry across the call, wherever it likes; on most processors that is in the same registers.  With
 * few of them there is no room for more than these: never inlined.
 */
static __attribute__((noinline, unused)) void *
sentinel_swap(void **save, void *to, void *pass, struct sentinel *want, struct sentinel *got, void (*how)(void))
{
	uint64_t a = want->reg[0], b = want->reg[1], c = want->reg[2], d = want->reg[3], e = want->reg[4], f = want->reg[5];

	(void)how;
	__asm__ volatile ("" : "+r" (a), "+r" (b), "+r" (c));
	__asm__ volatile ("" : "+r" (d), "+r" (e), "+r" (f));
	pass = reap_md_swap(save, to, pass);
	__asm__ volatile ("" : "+r" (a), "+r" (b), "+r" (c));
	__asm__ volatile ("" : "+r" (d), "+r" (e), "+r" (f));
	*got = (struct sentinel){ .reg = { a, b, c, d, e, f } };
	return pass;
}

#endif

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
#ifdef __x86_64__
	static const char *const name[SENTINELS] = { "rbx", "rbp", "r12", "r13", "r14", "r15" };
#else
	static const char *const name[SENTINELS] = { "local 1", "local 2", "local 3", "local 4", "local 5", "local 6" };
#endif

	for (int i = 0; i < SENTINELS; i++)
		if (a->reg[i] != b->reg[i])
			return name[i];
	return NULL;
}

#endif
