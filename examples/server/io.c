/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/sendfile.h>
#include <time.h>
#include <unistd.h>

#include "io.h"

#define SLOTS		1024	/* descriptors in a page of the table */
#define PAGES		1024	/* of these: 2^20 descriptors, what Linux allows a process by default */
#define EVENTS		128	/* taken at a time: 1.5 KiB on the stack of whoever looks */

struct slot {
	struct reap_parking place[2];	/* by direction */
	uint32_t ended;			/* 1: an event has told of the end, or of an error; by the macros of atomic.h */
};

struct io {
	int	 epoll, bell;
	uintptr_t page[PAGES];		/* of slots; made by whoever needs it first, stays until the end; by the macros of atomic.h */
};

uint64_t
io_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static struct slot *
slot_of(struct io *io, int fd)
{
	/* Acquire: pairs with the release in make_page(). */
	return (struct slot *)REAP_LOAD_ACQUIRE(&io->page[fd / SLOTS]) + fd % SLOTS;
}

static int
make_page(struct io *io, int fd)
{
	uintptr_t none = 0, *page;
	struct slot *slots;

	if (fd / SLOTS >= PAGES)
		return -EMFILE;
	page = &io->page[fd / SLOTS];
	if (REAP_LOAD_RELAXED(page) != 0)
		return 0;
	if ((slots = calloc(SLOTS, sizeof(*slots))) == NULL)
		return -ENOMEM;
	/* Release: pairs with the acquire in slot_of(). */
	if (!REAP_CAS_RELEASE(page, &none, (uintptr_t)slots))
		free(slots);			/* another worker was faster */
	return 0;
}

static void
ring(void *arg)
{
	struct io *io = arg;

	(void)eventfd_write(io->bell, 1);
}

/* As the runtime asks for it: by any worker, by several at a time. */
static void
look(void *arg, uint64_t wait)
{
	struct epoll_event events[EVENTS];
	struct io *io = arg;
	uint64_t ms = wait / 1000000 + (wait % 1000000 != 0);
	int i, n;

	n = epoll_wait(io->epoll, events, EVENTS, wait == UINT64_MAX ? -1 : ms < INT_MAX ? (int)ms : INT_MAX);
	for (i = 0; i < n; i++) {
		struct slot *slot;

		if (events[i].data.fd == io->bell) {
			/* Edge-triggered: it need not be read.  But it is told once, and not meant for who does not sleep. */
			if (wait == 0)
				ring(io);
			continue;
		}
		slot = slot_of(io, events[i].data.fd);
		/* Before the unpark, which releases it. */
		if (events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
			REAP_STORE_RELAXED(&slot->ended, 1);
		/* The end and errors are for both to see. */
		if (events[i].events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
			reap_unpark(&slot->place[IO_IN]);
		if (events[i].events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
			reap_unpark(&slot->place[IO_OUT]);
	}
}

struct reap_poller
io_poller(struct io *io)
{
	return (struct reap_poller){ look, ring, io };
}

static int
watch(struct io *io, int fd, uint32_t what)
{
	struct epoll_event event = { .events = what | EPOLLET, .data.fd = fd };

	return epoll_ctl(io->epoll, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

int
io_create(struct io **made)
{
	struct io *io = calloc(1, sizeof(*io));
	int err;

	if (io == NULL)
		return -ENOMEM;
	io->epoll = epoll_create1(EPOLL_CLOEXEC);
	io->bell = io->epoll >= 0 ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) : -1;
	err = io->bell >= 0 ? watch(io, io->bell, EPOLLIN) : -errno;
	if (err != 0)
		io_destroy(io);
	else
		*made = io;
	return err;
}

void
io_destroy(struct io *io)
{
	for (size_t i = 0; i < PAGES; i++)
		free((void *)io->page[i]);
	if (io->bell >= 0)
		close(io->bell);
	if (io->epoll >= 0)
		close(io->epoll);
	free(io);
}

int
io_open(struct io *io, int fd)
{
	int err = make_page(io, fd);

	if (err != 0)
		return err;
	REAP_STORE_RELAXED(&slot_of(io, fd)->ended, 0);
	return watch(io, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP);
}

bool
io_drained(struct io *io, int fd, size_t wanted, ssize_t got)
{
	return got >= 0 && (size_t)got < wanted && REAP_LOAD_RELAXED(&slot_of(io, fd)->ended) == 0;
}

void
io_close(struct io *io, int fd)
{
	(void)io;		/* epoll forgets a descriptor that is closed, as long as nobody has a duplicate */
	close(fd);
}

int
io_wait(struct io *io, int fd, enum io_direction direction, uint64_t deadline)
{
	return reap_park_until(&slot_of(io, fd)->place[direction], deadline);
}

void
io_kick(struct io *io, int fd)
{
	reap_unpark(&slot_of(io, fd)->place[IO_IN]);
	reap_unpark(&slot_of(io, fd)->place[IO_OUT]);
}

void
io_kick_all(struct io *io)
{
	for (int page = 0; page < PAGES; page++)
		/* Relaxed: whoever opens its first descriptor after this sees what was stored before it, or waits with a
		 * deadline: the caller's business.  io_kick() has the acquire. */
		for (int i = 0; i < SLOTS && REAP_LOAD_RELAXED(&io->page[page]) != 0; i++)
			io_kick(io, page * SLOTS + i);
}

ssize_t
io_try_read(int fd, void *data, size_t size)
{
	ssize_t n = read(fd, data, size);

	return n >= 0 ? n : -errno;
}

ssize_t
io_try_send(int fd, const struct msghdr *message, int flags)
{
	ssize_t n = sendmsg(fd, message, flags | MSG_NOSIGNAL);

	return n >= 0 ? n : -errno;
}

ssize_t
io_try_sendfile(int to, int from, off_t *offset, size_t size)
{
	ssize_t n = sendfile(to, from, offset, size);

	return n >= 0 ? n : -errno;
}

int
io_try_accept(int fd)
{
	int got = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	return got >= 0 ? got : -errno;
}
