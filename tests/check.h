/* SPDX-License-Identifier: ISC */
/*
 * check.h: CHECK and its kin, for every test program.
 *
 * A check may stand anywhere: in a helper thread, in a context, on a stack of a few kilobytes, in a landing.  So a failed one
 * takes no lock, allocates nothing and unwinds nothing: it writes one line to standard error and ends the process with
 * status 1.  It does not abort: a test that expects SIGABRT must not be satisfied by a failed check.
 */
#ifndef REAP_TESTS_CHECK_H
#define REAP_TESTS_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Out of the way of who checks: the compiler would otherwise make a copy for each check.  Not cold: who calls it would be, in parts. */
#define CHECK_APART	static __attribute__((noinline, unused))

#define CHECK_SKIPPED	77	/* exit status of a program that could not run here; the convention of Automake and meson */

struct check_text {
	size_t	len;
	char	s[512];
};

CHECK_APART void
check_put(struct check_text *t, const char *s)
{
	while (*s != '\0' && t->len < sizeof(t->s))
		t->s[t->len++] = *s++;
}

CHECK_APART void
check_put_int(struct check_text *t, intmax_t value)
{
	char digits[24], *p = digits + sizeof(digits) - 1;
	uintmax_t u = value < 0 ? 0 - (uintmax_t)value : (uintmax_t)value;

	*p = '\0';
	do
		*--p = (char)('0' + u % 10);
	while ((u /= 10) != 0);
	if (value < 0)
		*--p = '-';
	check_put(t, p);
}

CHECK_APART void
check_put_place(struct check_text *t, const char *file, int line)
{
	check_put(t, file);
	check_put(t, ":");
	check_put_int(t, line);
	check_put(t, ": ");
}

/* A debugger stops here: `break check_end'. */
CHECK_APART _Noreturn void
check_end(struct check_text *t)
{
	if (t->len == sizeof(t->s))
		t->len--;
	t->s[t->len++] = '\n';
	if (write(STDERR_FILENO, t->s, t->len) < 0)
		_exit(2);
	_exit(1);
}

CHECK_APART _Noreturn void
check_failed(const char *file, int line, const char *expr)
{
	struct check_text t = { .len = 0 };

	check_put_place(&t, file, line);
	check_put(&t, expr);
	check_put(&t, " is false");
	check_end(&t);
}

CHECK_APART _Noreturn void
check_failed_eq(const char *file, int line, const char *a, const char *b, intmax_t va, intmax_t vb)
{
	struct check_text t = { .len = 0 };

	check_put_place(&t, file, line);
	check_put(&t, a);
	check_put(&t, " is ");
	check_put_int(&t, va);
	check_put(&t, ", but ");
	check_put(&t, b);
	check_put(&t, " is ");
	check_put_int(&t, vb);
	check_end(&t);
}

CHECK_APART void
check_str_eq(const char *file, int line, const char *a, const char *b, const char *va, const char *vb)
{
	struct check_text t = { .len = 0 };

	if (va == vb || (va != NULL && vb != NULL && strcmp(va, vb) == 0))
		return;
	check_put_place(&t, file, line);
	check_put(&t, a);
	check_put(&t, " is \"");
	check_put(&t, va == NULL ? "(null)" : va);
	check_put(&t, "\", but ");
	check_put(&t, b);
	check_put(&t, " is \"");
	check_put(&t, vb == NULL ? "(null)" : vb);
	check_put(&t, "\"");
	check_end(&t);
}

#define CHECK(expr)											\
	do {												\
		if (!(expr))										\
			check_failed(__FILE__, __LINE__, #expr);					\
	} while (0)

/* Integers only: both are converted to intmax_t. */
#define CHECK_EQ(a, b)											\
	do {												\
		intmax_t check_a_ = (intmax_t)(a), check_b_ = (intmax_t)(b);				\
													\
		if (check_a_ != check_b_)								\
			check_failed_eq(__FILE__, __LINE__, #a, #b, check_a_, check_b_);		\
	} while (0)

#define CHECK_STR_EQ(a, b)	check_str_eq(__FILE__, __LINE__, #a, #b, (a), (b))

/* For programs with a main() of their own: end here, as skipped.  In a TEST() it is SKIP() that does this. */
CHECK_APART _Noreturn void
check_skip_program(const char *reason)
{
	struct check_text t = { .len = 0 };

	check_put(&t, reason);
	if (t.len == sizeof(t.s))
		t.len--;
	t.s[t.len++] = '\n';
	_exit(write(STDOUT_FILENO, t.s, t.len) < 0 ? 2 : CHECK_SKIPPED);
}

/* Under an emulator, as meson says?  It is slow; and its own memory is in what the system says of the process. */
static inline bool
check_emulated(void)
{
	const char *s = getenv("MESON_EXE_WRAPPER");

	return s != NULL && strstr(s, "qemu") != NULL;
}

/* Asked for a long run (`tests/run --long')? */
static inline bool
check_long(void)
{
	const char *s = getenv("REAP_TEST_LONG");

	return s != NULL && *s != '\0' && strcmp(s, "0") != 0;
}

/* Under a checker that takes its time (REAP_TEST_DIVIDE=N): the Nth part of a size, one at least. */
static inline unsigned long
check_divided(unsigned long size)
{
	const char *s = getenv("REAP_TEST_DIVIDE");
	unsigned long n = s != NULL ? strtoul(s, NULL, 10) : 1;

	return n <= 1 ? size : size / n > 0 ? size / n : 1;
}

#endif
