/* SPDX-License-Identifier: ISC */
/*
 * fault.c: the functions that stand in for those of the C library, and the plan by which they fail.
 *
 * A call that fails does nothing, as the standard has it for all of these; close() alone has closed when it says that it failed.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#ifdef __linux__
#include <linux/futex.h>
#endif

#include "fault.h"
#include "ledger.h"

#if defined(SYS_futex)
#define FUTEX_NUMBER	SYS_futex
#elif defined(SYS_futex_time64)
#define FUTEX_NUMBER	SYS_futex_time64
#endif

/* The C library's name of mmap depends on the width of off_t: both come to the same here, the library maps no files. */
void	*__real_mmap(void *, size_t, int, int, int, long);
void	*__wrap_mmap(void *, size_t, int, int, int, long);
void	*__wrap_mmap64(void *, size_t, int, int, int, int64_t);
int	 __wrap_munmap(void *, size_t);
int	 __real_mprotect(void *, size_t, int);
int	 __wrap_mprotect(void *, size_t, int);
int	 __real_madvise(void *, size_t, int);
int	 __wrap_madvise(void *, size_t, int);
void	*__real_malloc(size_t);
void	*__wrap_malloc(size_t);
void	*__real_calloc(size_t, size_t);
void	*__wrap_calloc(size_t, size_t);
void	*__real_realloc(void *, size_t);
void	*__wrap_realloc(void *, size_t);
void	*__real_aligned_alloc(size_t, size_t);
void	*__wrap_aligned_alloc(size_t, size_t);
int	 __real_posix_memalign(void **, size_t, size_t);
int	 __wrap_posix_memalign(void **, size_t, size_t);
void	 __real_free(void *);
void	 __wrap_free(void *);
int	 __real_pthread_create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
int	 __wrap_pthread_create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
int	 __real_pthread_join(pthread_t, void **);
int	 __wrap_pthread_join(pthread_t, void **);
int	 __real_pthread_mutex_init(pthread_mutex_t *, const pthread_mutexattr_t *);
int	 __wrap_pthread_mutex_init(pthread_mutex_t *, const pthread_mutexattr_t *);
int	 __real_pthread_cond_init(pthread_cond_t *, const pthread_condattr_t *);
int	 __wrap_pthread_cond_init(pthread_cond_t *, const pthread_condattr_t *);
int	 __wrap_pthread_mutex_lock(pthread_mutex_t *);
int	 __wrap_pthread_mutex_unlock(pthread_mutex_t *);
int	 __real_pthread_cond_wait(pthread_cond_t *, pthread_mutex_t *);
int	 __wrap_pthread_cond_wait(pthread_cond_t *, pthread_mutex_t *);
int	 __real_pthread_cond_timedwait(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
int	 __wrap_pthread_cond_timedwait(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
long	 __real_syscall(long, ...);
long	 __wrap_syscall(long, ...);
int	 __real_open(const char *, int, ...);
int	 __wrap_open(const char *, int, ...);
int	 __wrap_open64(const char *, int, ...);
int	 __real_pipe2(int *, int);
int	 __wrap_pipe2(int *, int);
ssize_t	 __real_read(int, void *, size_t);
ssize_t	 __wrap_read(int, void *, size_t);
ssize_t	 __real_write(int, const void *, size_t);
ssize_t	 __wrap_write(int, const void *, size_t);
int	 __real_close(int);
int	 __wrap_close(int);

/* The plan.  Made by one thread, looked at by all: the library's threads may run meanwhile. */
static struct {
	unsigned kinds;
	long	 first, length;
	int	 error;
	bool	 lifted;
	long	 seen, hits;
} plan = { .lifted = true };

static long calls[FAULT_KINDS];
static _Thread_local int held;

static const char *const names[FAULT_KINDS] = {
	"mmap", "munmap", "mprotect", "madvise", "an allocation", "pthread_create", "an init", "futex", "membarrier",
	"a condition", "a file", "free", "a lock",
};

static void
trace(unsigned kind, long n)
{
	struct check_text t = { .len = 0 };

	if (getenv("REAP_FAULT_TRACE") == NULL)
		return;
	check_put(&t, "# fault at call ");
	check_put_int(&t, n);
	check_put(&t, ": ");
	check_put(&t, names[__builtin_ctz(kind)]);
	check_put(&t, "\n");
	(void)!__real_write(STDERR_FILENO, t.s, t.len);
}

/* Does this call fail?  Then *error says how. */
static bool
fails(unsigned kind, int usual, int *error)
{
	long n;

	(void)ADD(calls[__builtin_ctz(kind)], 1);
	if (GET(plan.lifted) || (GET(plan.kinds) & kind) == 0)
		return false;
	n = ADD(plan.seen, 1);
	if (n < GET(plan.first) || n - GET(plan.first) >= GET(plan.length))
		return false;
	(void)ADD(plan.hits, 1);
	*error = GET(plan.error) != 0 ? GET(plan.error) : usual;
	trace(kind, n);
	return true;
}

static bool
fails_errno(unsigned kind, int usual)
{
	int error;

	if (!fails(kind, usual, &error))
		return false;
	errno = error;
	return true;
}

void
fault_plan(unsigned kinds, long first, long length, int error)
{
	SET(plan.lifted, true);
	SET(plan.kinds, kinds);
	SET(plan.first, first);
	SET(plan.length, length);
	SET(plan.error, error);
	SET(plan.seen, 0);
	SET(plan.hits, 0);
	SET(plan.lifted, false);
}

void
fault_lift(void)
{
	SET(plan.lifted, true);
}

void
fault_resume(void)
{
	SET(plan.lifted, false);
}

bool
fault_endless(void)
{
	return GET(plan.length) == FAULT_EVER;
}

bool
fault_stubborn(void)
{
	return GET(plan.length) != 1;
}

bool
fault_passes(void)
{
	return GET(plan.kinds) == FAULT_ADVISE && (GET(plan.error) == EINTR || GET(plan.error) == EAGAIN);
}

void
fault_relent(void)
{
	if (fault_stubborn())
		fault_lift();
}

long
fault_hits(void)
{
	return GET(plan.hits);
}

long
fault_seen(void)
{
	return GET(plan.seen);
}

long
fault_calls(unsigned kinds)
{
	long sum = 0;

	for (unsigned i = 0; i < FAULT_KINDS; i++)
		if (kinds & 1u << i)
			sum += GET(calls[i]);
	return sum;
}

int
fault_held(void)
{
	return held;
}

/* ---- mappings */

static void *
map(void *address, size_t size, int protection, int flags, int fd, long offset)
{
	void *base;

	if (fails_errno(FAULT_MAP, ENOMEM))
		return MAP_FAILED;
	base = __real_mmap(address, size, protection, flags, fd, offset);
	if (base != MAP_FAILED && flags & MAP_PRIVATE)
		ledger_mapped(base, size);
	return base;
}

void *
__wrap_mmap(void *address, size_t size, int protection, int flags, int fd, long offset)
{
	return map(address, size, protection, flags, fd, offset);
}

void *
__wrap_mmap64(void *address, size_t size, int protection, int flags, int fd, int64_t offset)
{
	return map(address, size, protection, flags, fd, (long)offset);
}

int
__wrap_munmap(void *base, size_t size)
{
	int error;

	if (fails_errno(FAULT_UNMAP, ENOMEM))
		return -1;
	/* First: another thread may get these addresses at once. */
	ledger_unmapped(base, size);
	error = __real_munmap(base, size);
	if (error != 0)
		ledger_mapped(base, size);
	return error;
}

int
__wrap_mprotect(void *base, size_t size, int protection)
{
	return fails_errno(FAULT_PROTECT, ENOMEM) ? -1 : __real_mprotect(base, size, protection);
}

int
__wrap_madvise(void *base, size_t size, int advice)
{
	return fails_errno(FAULT_ADVISE, ENOMEM) ? -1 : __real_madvise(base, size, advice);
}

/* ---- allocations */

static void *
allocated(void *p)
{
	if (p != NULL)
		(void)ADD(ledger_counts.blocks, 1);
	return p;
}

void *
__wrap_malloc(size_t size)
{
	return fails_errno(FAULT_ALLOC, ENOMEM) ? NULL : allocated(__real_malloc(size));
}

void *
__wrap_calloc(size_t n, size_t size)
{
	return fails_errno(FAULT_ALLOC, ENOMEM) ? NULL : allocated(__real_calloc(n, size));
}

void *
__wrap_realloc(void *old, size_t size)
{
	void *p;

	if (fails_errno(FAULT_ALLOC, ENOMEM))
		return NULL;
	p = __real_realloc(old, size);
	return old == NULL ? allocated(p) : p;
}

void *
__wrap_aligned_alloc(size_t alignment, size_t size)
{
	return fails_errno(FAULT_ALLOC, ENOMEM) ? NULL : allocated(__real_aligned_alloc(alignment, size));
}

int
__wrap_posix_memalign(void **p, size_t alignment, size_t size)
{
	int error;

	if (fails(FAULT_ALLOC, ENOMEM, &error))
		return error;
	if ((error = __real_posix_memalign(p, alignment, size)) == 0)
		(void)allocated(*p);
	return error;
}

void
__wrap_free(void *p)
{
	(void)ADD(calls[__builtin_ctz(FAULT_FREE)], 1);
	if (p != NULL)
		(void)ADD(ledger_counts.blocks, -1);
	__real_free(p);
}

/* ---- threads and their locks */

int
__wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg)
{
	int error;

	if (fails(FAULT_THREAD, EAGAIN, &error))
		return error;
	if ((error = __real_pthread_create(thread, attr, start, arg)) == 0)
		(void)ADD(ledger_counts.threads, 1);
	return error;
}

int
__wrap_pthread_join(pthread_t thread, void **value)
{
	int error = __real_pthread_join(thread, value);

	if (error == 0)
		(void)ADD(ledger_counts.threads, -1);
	return error;
}

/* Who uses what was not made finds out. */
int
__wrap_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attr)
{
	int error;

	if (fails(FAULT_INIT, ENOMEM, &error)) {
		memset(mutex, 0xa5, sizeof(*mutex));
		return error;
	}
	return __real_pthread_mutex_init(mutex, attr);
}

int
__wrap_pthread_cond_init(pthread_cond_t *cond, const pthread_condattr_t *attr)
{
	int error;

	if (fails(FAULT_INIT, ENOMEM, &error)) {
		memset(cond, 0xa5, sizeof(*cond));
		return error;
	}
	return __real_pthread_cond_init(cond, attr);
}

int
__wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
	/* One that was never made, or is gone. */
	CHECK_EQ(__real_pthread_mutex_lock(mutex), 0);
	(void)ADD(calls[__builtin_ctz(FAULT_LOCK)], 1);
	held++;
	return 0;
}

int
__wrap_pthread_mutex_unlock(pthread_mutex_t *mutex)
{
	CHECK_EQ(__real_pthread_mutex_unlock(mutex), 0);
	held--;
	return 0;
}

/* A wait that nobody ended: others get the lock meanwhile. */
static int
wait_in_vain(pthread_mutex_t *mutex, int error)
{
	CHECK_EQ(__real_pthread_mutex_unlock(mutex), 0);
	(void)sched_yield();
	CHECK_EQ(__real_pthread_mutex_lock(mutex), 0);
	return error;
}

int
__wrap_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex)
{
	int error;

	if (fails(FAULT_COND, 0, &error))
		return wait_in_vain(mutex, 0);
	return __real_pthread_cond_wait(cond, mutex);
}

int
__wrap_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *until)
{
	int error;

	if (fails(FAULT_COND, 0, &error))
		return wait_in_vain(mutex, error == FAULT_SPURIOUS ? 0 : ETIMEDOUT);
	return __real_pthread_cond_timedwait(cond, mutex, until);
}

/* ---- the rest */

long
__wrap_syscall(long number, ...)
{
	va_list	ap;
	long	a[6];
	int	error = 0;

	va_start(ap, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
#ifdef FUTEX_NUMBER
	if (number == FUTEX_NUMBER && fails(FAULT_FUTEX, EINTR, &error)) {
		/* A sleep ends early.  A wake has woken whoever slept; what it says may be that the word is gone. */
		if ((a[1] & FUTEX_CMD_MASK) == FUTEX_WAKE) {
			(void)__real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
			error = EFAULT;
		} else
			(void)sched_yield();
		errno = error;
		return error == FAULT_SPURIOUS ? 0 : -1;
	}
#endif
#ifdef SYS_membarrier
	if (number == SYS_membarrier && fails(FAULT_BARRIER, ENOSYS, &error)) {
		errno = error;
		return -1;
	}
#endif
	return __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static int
opened(const char *path, int flags, mode_t mode)
{
	int fd;

	if (fails_errno(FAULT_FILE, EMFILE))
		return -1;
	if ((fd = __real_open(path, flags, mode)) >= 0)
		(void)ADD(ledger_counts.files, 1);
	return fd;
}

static mode_t
mode_of(int flags, va_list ap)
{
	return flags & O_CREAT ? (mode_t)va_arg(ap, unsigned) : 0;
}

int
__wrap_open(const char *path, int flags, ...)
{
	va_list	ap;
	mode_t	mode;

	va_start(ap, flags);
	mode = mode_of(flags, ap);
	va_end(ap);
	return opened(path, flags, mode);
}

int
__wrap_open64(const char *path, int flags, ...)
{
	va_list	ap;
	mode_t	mode;

	va_start(ap, flags);
	mode = mode_of(flags, ap);
	va_end(ap);
	return opened(path, flags, mode);
}

int
__wrap_pipe2(int *fds, int flags)
{
	int error;

	if (fails_errno(FAULT_FILE, EMFILE))
		return -1;
	if ((error = __real_pipe2(fds, flags)) == 0)
		(void)ADD(ledger_counts.files, 2);
	return error;
}

ssize_t
__wrap_read(int fd, void *to, size_t n)
{
	return fails_errno(FAULT_FILE, EIO) ? -1 : __real_read(fd, to, n);
}

ssize_t
__wrap_write(int fd, const void *from, size_t n)
{
	return fd > STDERR_FILENO && fails_errno(FAULT_FILE, EIO) ? -1 : __real_write(fd, from, n);
}

int
__wrap_close(int fd)
{
	int error = __real_close(fd);

	if (error == 0)
		(void)ADD(ledger_counts.files, -1);
	return fails_errno(FAULT_FILE, EIO) ? -1 : error;
}
