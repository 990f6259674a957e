/* SPDX-License-Identifier: ISC */
/*
 * masks.c: the inline switch in code for AVX-512.  All of its mask registers are lost in a switch, k0 too, which compilers like for
 * the result of a comparison.
 */
#include <stdio.h>
#include <stdlib.h>

#include <reap/machine.h>

#include "../check.h"

#if defined(REAP_POINT) && defined(__AVX512BW__)
#include <immintrin.h>

static struct reap_point home, away;
static _Alignas(64) char stack[65536];

static void
spoils(void *pass)
{
	for (;;) {
		__asm__ volatile ("kxnorq %%k0, %%k0, %%k0" ::: "k0");
		pass = reap_point_switch(&away, &home, pass);
	}
}

static __attribute__((noinline)) __mmask64
keeps(const __m512i *a, const __m512i *b)
{
	__mmask64 equal = _mm512_cmpeq_epi8_mask(_mm512_loadu_si512(a), _mm512_loadu_si512(b));

	(void)reap_point_switch(&home, &away, NULL);
	return equal;
}

static void
look(void)
{
	char a[64] = { 1, 2, 3 }, b[64] = { 1, 0, 3 };

	reap_point_make(&away, stack + sizeof(stack), spoils);
	CHECK(keeps((const void *)a, (const void *)b) == ~UINT64_C(2));
	CHECK(keeps((const void *)b, (const void *)b) == ~UINT64_C(0));
}

int
main(void)
{
	if (!__builtin_cpu_supports("avx512bw")) {
		puts("skipped: this processor has no AVX-512");
		return 77;
	}
	look();
	puts("masks: kept");
	return 0;
}
#else
int
main(void)
{
	puts("skipped: there is no inline switch with AVX-512 here");
	return 77;
}
#endif
