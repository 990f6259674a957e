/* SPDX-License-Identifier: ISC */
/*
 * machine.h: where and with what a result was obtained.
 */
#ifndef REPLAY_MACHINE_H
#define REPLAY_MACHINE_H

#include <stddef.h>

struct machine {
	char	 cpu[128];
	unsigned processors;		/* that this process may use */
	char	 kernel[256];		/* system, release, version, hardware */
	char	 compiler[128];
	const char *commit;		/* of the sources, at build time */
	int	 argc;
	char	**argv;
	char	 date[32];		/* of the start, UTC, ISO 8601 */
	double	 load_before[3], load_after[3];
	double	 seconds;		/* that the run took */
};

/* At the start of a run, and at its end. */
void	machine_describe(struct machine *machine, int argc, char **argv);
void	machine_finish(struct machine *machine);

unsigned	machine_processors(void);

/* Seconds of processor time that the whole machine has spent, and that its host has kept from it, since it started; all processors
 * together.  -1: not known here. */
struct machine_time {
	double	 busy, stolen;
};
struct machine_time	machine_time(void);

#endif
