/* SPDX-License-Identifier: ISC */
/*
 * machine.h: does with the library what the model says, and compares all that can be seen.  A difference prints the operations
 * so far and aborts.  All state is made anew for each program, but for the OS threads, which wait for the next one.
 */
#ifndef REAP_TESTS_FUZZ_MACHINE_H
#define REAP_TESTS_FUZZ_MACHINE_H

#include "program.h"

void	machine_run(const struct program *);
void	machine_print(const struct program *);		/* the model alone: what a program does */
void	machine_trace(void);				/* what has been done so far; for signal handlers, too */

#endif
