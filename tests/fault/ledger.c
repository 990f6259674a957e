/* SPDX-License-Identifier: ISC */
/*
 * ledger.c: what the system has been asked for and not been given back.
 */
#include <sys/mman.h>

#include "ledger.h"

#define RANGES	8192

static pthread_mutex_t ledger_lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
	char	*lo, *hi;
} range[RANGES];				/* under the lock, in no order */
static size_t nranges, nbytes;			/* under the lock */
struct ledger_counts ledger_counts;

static void
ledger_enter(void)
{
	CHECK_EQ(__real_pthread_mutex_lock(&ledger_lock), 0);
}

static void
ledger_leave(void)
{
	CHECK_EQ(__real_pthread_mutex_unlock(&ledger_lock), 0);
}

void
ledger_mapped(char *base, size_t size)
{
	ledger_enter();
	CHECK(nranges < RANGES);
	range[nranges].lo = base;
	range[nranges++].hi = base + size;
	nbytes += size;
	ledger_leave();
}

/* What is not ours may not be unmapped: it would be a stranger's. */
void
ledger_unmapped(char *lo, size_t size)
{
	char *hi = lo + size;

	ledger_enter();
	for (size_t i = 0; i < nranges;) {
		char *a = range[i].lo > lo ? range[i].lo : lo, *b = range[i].hi < hi ? range[i].hi : hi;

		if (a >= b) {
			i++;
			continue;
		}
		size -= (size_t)(b - a);
		nbytes -= (size_t)(b - a);
		if (range[i].lo < a && b < range[i].hi) {
			CHECK(nranges < RANGES);
			range[nranges].lo = b;
			range[nranges++].hi = range[i].hi;
			range[i++].hi = a;
		} else if (range[i].lo < a)
			range[i++].hi = a;
		else if (b < range[i].hi)
			range[i++].lo = b;
		else
			range[i] = range[--nranges];
	}
	CHECK_EQ(size, 0);
	ledger_leave();
}

struct ledger
ledger_read(void)
{
	struct ledger now;

	ledger_enter();
	now = (struct ledger){ nbytes, nranges, GET(ledger_counts.blocks), GET(ledger_counts.files),
	    GET(ledger_counts.threads) };
	ledger_leave();
	return now;
}

void
ledger_must_be_empty(void)
{
	struct ledger now = ledger_read();

	CHECK_EQ(now.blocks, 0);
	CHECK_EQ(now.bytes, 0);
	CHECK_EQ(now.files, 0);
	CHECK_EQ(now.threads, 0);
	CHECK_EQ(fault_held(), 0);
}

size_t
ledger_resident(void)
{
	const size_t	 page = (size_t)sysconf(_SC_PAGESIZE);
	unsigned char	 in[64];
	size_t		 n = 0;

	ledger_enter();
	for (size_t i = 0; i < nranges; i++)
		for (char *p = range[i].lo; p < range[i].hi;) {
			size_t	left = (size_t)(range[i].hi - p) / page, some = left < sizeof(in) ? left : sizeof(in);

			CHECK_EQ(mincore(p, some * page, in), 0);
			p += some * page;
			while (some > 0)
				n += in[--some] & 1;
		}
	ledger_leave();
	return n;
}

size_t
ledger_unmap_rest(void)
{
	size_t bytes;

	ledger_enter();
	bytes = nbytes;
	while (nranges > 0) {
		nranges--;
		CHECK_EQ(__real_munmap(range[nranges].lo, (size_t)(range[nranges].hi - range[nranges].lo)), 0);
	}
	nbytes = 0;
	ledger_leave();
	return bytes;
}
