/* SPDX-License-Identifier: ISC */
/*
 * bell.c: a test of io.c.  Who rings is heard by who sleeps next, though somebody who does not sleep looks for events in between:
 * otherwise this never ends.
 */
#include <stdio.h>

#include "io.h"

int
main(void)
{
	struct reap_poller poller;
	struct io *io;

	if (io_create(&io) != 0)
		return 1;
	poller = io_poller(io);
	poller.poll(poller.arg, 0);
	poller.wake(poller.arg);
	poller.poll(poller.arg, 0);
	poller.poll(poller.arg, UINT64_MAX);
	io_destroy(io);
	puts("heard");
	return 0;
}
