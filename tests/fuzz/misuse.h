/* SPDX-License-Identifier: ISC */
/* misuse.h: calls that must be refused with a code, in any state of the domain, and change nothing. */
#ifndef REAP_TESTS_FUZZ_MISUSE_H
#define REAP_TESTS_FUZZ_MISUSE_H

#include <reap.h>

void	misuse(struct reap_domain *domain, unsigned n, void (*fail)(const char *format, ...));

#endif
