/* SPDX-License-Identifier: ISC */
/*
 * options.h: the command line.
 */
#ifndef REPLAY_OPTIONS_H
#define REPLAY_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#define OPTIONS_LIST_MAX	16	/* numbers in a list */
#define OPTIONS_ROUNDS_MAX	99

struct options {
	bool	 quick;
	bool	 list;
	const char *out;		/* directory; NULL: no file is written */
	const char *traces;		/* directory of the bundled traces */
	unsigned sides;			/* a bit per side */
	bool	 sides_given;
	unsigned copies[OPTIONS_LIST_MAX], ncopies;	/* 0: not given */
	unsigned workers[OPTIONS_LIST_MAX], nworkers;	/* likewise */
	double	 scale;			/* 0: chosen */
	unsigned rounds;		/* 0: chosen */
	unsigned pages;
	const char *timeline;	/* a file; NULL: none */
	double	 more;		/* seconds */
	double	 seconds;	/* that a default run may take; 0: chosen */
	char	**files;
	int	 nfiles;
};

/* 0: go on.  1: done, all is well.  2: wrong usage, the reason is on standard error. */
int	options_parse(struct options *options, int argc, char **argv);

#endif
