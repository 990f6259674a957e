/* SPDX-License-Identifier: ISC */
/*
 * linux.c: guards without mappings of their own, futex, the mapping limit.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <reap/atomic.h>
#include <reap/base.h>

#include "os/os.h"

/* Newer than the headers of Debian 12.  Numbers: asm-generic/mman-common.h, the same everywhere. */
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED	24	/* Linux 5.18 */
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL	102	/* Linux 6.13 */
#define MADV_GUARD_REMOVE	103
#endif
#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ		51	/* x86: Linux 5.14; arm64: 4.18 */
#endif
#ifndef SYS_futex			/* young 32-bit architectures have only this one; the timeout is NULL here */
#define SYS_futex		SYS_futex_time64
#endif

static int
advise(void *base, size_t size, int advice)
{
	while (madvise(base, size, advice) != 0)
		if (errno != EINTR && errno != EAGAIN)
			return -errno;
	return 0;
}

int
reap__os_decommit(void *base, size_t size)
{
	int error = advise(base, size, MADV_DONTNEED);

	/* EINVAL: locked by mlockall(2). */
	return error == -EINVAL ? advise(base, size, MADV_DONTNEED_LOCKED) : error;
}

bool
reap__os_decommit_zeroes(void)
{
	return true;
}

int
reap__os_guard(enum reap__os_guard how, void *base, size_t size)
{
	if (how == REAP__OS_MARKER)
		return advise(base, size, MADV_GUARD_INSTALL);
	return mprotect(base, size, PROT_NONE) == 0 ? 0 : -errno;
}

int
reap__os_unguard(enum reap__os_guard how, void *base, size_t size)
{
	if (how == REAP__OS_MARKER)
		return advise(base, size, MADV_GUARD_REMOVE);
	return mprotect(base, size, PROT_READ | PROT_WRITE) == 0 ? 0 : -errno;
}

/*
 * qemu-user 7.2 says that it installed a marker and did not; other emulators and sandboxes may.  So let the kernel read
 * from a page before and after: write(2) must succeed, then give EFAULT.  Returns 1, 0, or -errno if that cannot be told.
 */
static int
probe_marker(void)
{
	size_t page = reap__os_page();
	int fds[2], answer = 0, error;
	void *p;

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) != 0)
		return -errno;
	if ((error = reap__os_map(page, &p)) != 0) {
		answer = error;
	} else {
		if (write(fds[1], p, 1) == 1 && reap__os_guard(REAP__OS_MARKER, p, page) == 0)
			answer = write(fds[1], p, 1) == -1 && errno == EFAULT;
		(void)reap__os_unmap(p, page);	/* refused, it stays: one page of a process, which asks no second time */
	}
	(void)close(fds[0]);
	(void)close(fds[1]);
	return answer;
}

bool
reap__os_marker_works(void)
{
	static uint32_t known;	/* 0: not asked yet, 1: no, 2: yes; whoever asks first, and all get the same answer */
	uint32_t k = REAP_LOAD_RELAXED(&known);

	if (k == 0) {
		int answer = probe_marker();

		if (answer < 0)
			return false;	/* no descriptor or no page just now: ask again next time */
		k = answer == 1 ? 2 : 1;
		REAP_STORE_RELAXED(&known, k);
	}
	return k == 2;
}

size_t
reap__os_max_maps(void)
{
	char text[32], *end;
	unsigned long n;
	ssize_t len;
	int fd;

	if ((fd = open("/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC)) < 0)
		return 65530;	/* DEFAULT_MAX_MAP_COUNT; no /proc in this container */
	len = read(fd, text, sizeof(text) - 1);
	(void)close(fd);
	if (len <= 0)
		return 65530;
	text[len] = '\0';
	n = strtoul(text, &end, 10);
	return end == text || n == 0 ? 65530 : n;
}

size_t
reap__os_signal_frame(void)
{
	/* AVX-512 and AMX outgrew MINSIGSTKSZ, which glibc moreover defines as SIGSTKSZ.  An old kernel: what SIGSTKSZ was. */
	unsigned long n = getauxval(AT_MINSIGSTKSZ);

	return n != 0 ? n : 8192;
}

void
reap__os_wait(const uint32_t *word, uint32_t expected)
{
	if (syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, NULL, NULL, 0) != 0 && errno != EAGAIN &&
	    errno != EINTR)
		reap_misuse("os-wait", "futex(FUTEX_WAIT) failed: the word is not mapped, or the system call is forbidden");
}

void
reap__os_wake(const uint32_t *word)
{
	/* A private futex is its address: the kernel does not read it to wake.  EFAULT and EINVAL can only mean: not mapped. */
	(void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}
