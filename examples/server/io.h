/* SPDX-License-Identifier: ISC */
/*
 * io.h: contexts that wait for descriptors, on epoll and the bundled runtime.
 *
 * The worker that has nothing to run sleeps in epoll_wait (reap_poller); what comes is handed to the contexts that wait for
 * it.  Any number of workers.
 *
 * Every descriptor is registered once, edge-triggered, for both directions, each of which has a parking place for one context
 * at a time. An edge unparks; if nobody is parked, the place remembers it.  So: try, and when the kernel says EAGAIN, wait
 * and try again.  A wait may end for nothing; an edge is never lost.
 *
 * Errors are returned as -errno.  errno itself is read in functions that cannot switch: a context may come back on another
 * thread, and a compiler may keep the address of that thread-local variable across any call.
 */
#ifndef EXAMPLE_IO_H
#define EXAMPLE_IO_H

#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <reap/runtime.h>

struct io;

/* Make the loop, and what reap_runtime_options.poller wants of it; take it down when the runtime has ended. */
int			io_create(struct io **io);
struct reap_poller	io_poller(struct io *io);
void			io_destroy(struct io *io);

/* The clock of all deadlines, CLOCK_MONOTONIC in nanoseconds. */
uint64_t	io_now(void);

/*
 * A descriptor that does not block, from here to io_close() of the loop.  Its slot outlives it: an event that was on its way
 * when it was closed ends a wait of its successor for nothing.
 */
int		io_open(struct io *io, int fd);
void		io_close(struct io *io, int fd);

enum io_direction { IO_IN, IO_OUT };

/* Until something may have changed: 0; -ETIMEDOUT; -ENOMEM. */
int		io_wait(struct io *io, int fd, enum io_direction direction, uint64_t deadline);

/*
 * After a read: would the next one say -EAGAIN?  One that got less than it asked for has taken all that there was; unless the
 * end had come as well, of which there will be no second edge.  So this is asked after the read.
 */
bool		io_drained(struct io *io, int fd, size_t wanted, ssize_t got);

/* End the wait that is, or the next one that will be, in both directions: of one descriptor, of all. */
void		io_kick(struct io *io, int fd);
void		io_kick_all(struct io *io);

/* One system call, no wait: -EAGAIN. */
ssize_t		io_try_read(int fd, void *data, size_t size);
ssize_t		io_try_send(int fd, const struct msghdr *message, int flags);
ssize_t		io_try_sendfile(int to, int from, off_t *offset, size_t size);
int		io_try_accept(int fd);

#endif
