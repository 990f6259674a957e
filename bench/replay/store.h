/* SPDX-License-Identifier: ISC */
/*
 * store.h: DIR/results.json, which is either there whole or as it was before.
 */
#ifndef REPLAY_STORE_H
#define REPLAY_STORE_H

#include <stdio.h>

#define STORE_PATH_MAX	4096

struct store {
	char	 path[STORE_PATH_MAX];		/* DIR/results.json */
	char	 partial[STORE_PATH_MAX + 8];	/* what it is called until it is whole */
};

/* Make DIR if it is not there, and see that one can write in it.  0, or -1 and the reason on standard error. */
int	store_prepare(struct store *store, const char *dir) __attribute__((nonnull));

/* Begin to write; end, and give it its name.  NULL or -1: the reason is on standard error, and nothing has changed. */
FILE	*store_begin(const struct store *store);
int	store_end(const struct store *store, FILE *file);

#endif
