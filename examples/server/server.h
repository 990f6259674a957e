/* SPDX-License-Identifier: ISC */
/*
 * server.h: what the parts of the server share.
 *
 *	server.c	options; the acceptor, parent of all connections; the end
 *	http.c		one connection: a context that reads requests and answers them
 *	file.c		from the path of a request to an open file below the root
 *	io.c		how a context waits for a descriptor
 */
#ifndef EXAMPLE_SERVER_H
#define EXAMPLE_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "io.h"

/* Of events, since the start; any worker, by the macros of atomic.h. */
struct counters {
	uint64_t accepted;		/* connections that got a context */
	uint64_t refused;		/* connections that got a 503 instead: at the limit, or out of descriptors or memory */
	uint64_t requests;		/* answered, whatever the answer */
	uint64_t errors;		/* of these, with a status of 400 and more */
	uint64_t timeouts;		/* connections ended because the other side took too long, idle ones included */
	uint64_t broken;		/* connections ended by the other side in the midst of something */
};

struct server {
	/* Constant once the workers run. */
	struct io *io;
	int	 root;			/* directory; -1: no files */
	size_t	 body_max;		/* bytes of a request's body */
	uint64_t idle, header, body, write;	/* nanoseconds: for the next request to begin; for its header, from its first byte
						 * on; for its body; for any progress in taking our answer */
	uint64_t drain;			/* ... from the signal to the end */

	/* Any worker, by the macros of atomic.h. */
	uint64_t end;			/* when everything has to be over; UINT64_MAX: not stopping */
	struct counters counters;
};

extern struct server server;

#define COUNT(what)	((void)REAP_ADD_RELAXED(&server.counters.what, 1))

/* Acquire: pairs with the release in server.c: who was kicked sees why. */
static inline bool
stopping(void)
{
	return REAP_LOAD_ACQUIRE(&server.end) != UINT64_MAX;
}

/* So many nanoseconds from now, but not later than the end. */
static inline uint64_t
deadline_in(uint64_t ns)
{
	uint64_t end = REAP_LOAD_ACQUIRE(&server.end), when = io_now() + ns;

	return when < end ? when : end;
}

/* http.c: serve one connection until it ends; arg is its descriptor.  The body of a context. */
intptr_t	http_serve(void *fd);

/* http.c: tell a new connection that there is no room, and close it.  Does not wait. */
void		http_refuse(int fd);

/* server.c: the numbers as a JSON object; returns its length, which is less than size. */
#define STATS_MAX	2048
size_t		server_stats(char *text, size_t size);

/* file.c: open what a decoded path names: a descriptor, its stat filled; or a status of HTTP, negative. */
int		file_open(const char *path, struct stat *st);
const char	*file_type(const char *path);

#endif
