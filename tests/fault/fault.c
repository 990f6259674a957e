/* SPDX-License-Identifier: ISC */
/*
 * fault.c: the functions that stand in for those of the C library, the plan by which they fail, the ledger of what they gave.
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

#if defined(SYS_futex)
#define FUTEX_NUMBER	SYS_futex
#elif defined(SYS_futex_time64)
#define FUTEX_NUMBER	SYS_futex_time64
#endif

/* The C library's name of mmap depends on the width of off_t: both come to the same here, the library maps no files. */
void	*__real_mmap(void *, size_t, int, int, int, long);
void	*__wrap_mmap(void *, size_t, int, int, int, long);
void	*__wrap_mmap64(void *, size_t, int, int, int, int64_t);
int	 __real_munmap(void *, size_t);
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
int	 __real_pthread_mutex_lock(pthread_mutex_t *);
int	 __wrap_pthread_mutex_lock(pthread_mutex_t *);
int	 __real_pthread_mutex_unlock(pthread_mutex_t *);
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

#define GET(x)		__atomic_load_n(&(x), __ATOMIC_RELAXED)
#define SET(x, v)	__atomic_store_n(&(x), (v), __ATOMIC_RELAXED)
#define ADD(x, n)	__atomic_add_fetch(&(x), (n), __ATOMIC_RELAXED)

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

/* ---- the ledger */

#define RANGES	8192

static pthread_mutex_t ledger_lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
	char	*lo, *hi;
} range[RANGES];				/* under the lock, in no order */
static size_t nranges, nbytes;			/* under the lock */
static long blocks, files, threads;

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

static void
mapped(char *base, size_t size)
{
	ledger_enter();
	CHECK(nranges < RANGES);
	range[nranges].lo = base;
	range[nranges++].hi = base + size;
	nbytes += size;
	ledger_leave();
}

/* What is not ours may not be unmapped: it would be a stranger's. */
static void
unmapped(char *lo, size_t size)
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
	now = (struct ledger){ nbytes, nranges, GET(blocks), GET(files), GET(threads) };
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

/* ---- mappings */

static void *
map(void *address, size_t size, int protection, int flags, int fd, long offset)
{
	void *base;

	if (fails_errno(FAULT_MAP, ENOMEM))
		return MAP_FAILED;
	base = __real_mmap(address, size, protection, flags, fd, offset);
	if (base != MAP_FAILED && flags & MAP_PRIVATE)
		mapped(base, size);
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
	unmapped(base, size);
	error = __real_munmap(base, size);
	if (error != 0)
		mapped(base, size);
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
		(void)ADD(blocks, 1);
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
		(void)ADD(blocks, -1);
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
		(void)ADD(threads, 1);
	return error;
}

int
__wrap_pthread_join(pthread_t thread, void **value)
{
	int error = __real_pthread_join(thread, value);

	if (error == 0)
		(void)ADD(threads, -1);
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
		(void)ADD(files, 1);
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
		(void)ADD(files, 2);
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
		(void)ADD(files, -1);
	return fails_errno(FAULT_FILE, EIO) ? -1 : error;
}

/* ---- what tests are made of */

void
fault_note(struct fault_before *before, struct reap_domain *domain)
{
	*before = (struct fault_before){
		.stats = { .size = sizeof(struct reap_stats) },
		.children = reap_children(),
		.blocks = ledger_read().blocks,
		.hits = fault_hits(),
	};
	if (domain != NULL)
		CHECK_EQ(reap_domain_stats(domain, &before->stats), 0);
}

#define SAME(field)											\
	if (now.stats.field != before->stats.field)							\
		check_failed_eq(file, line, #field, "before", (intmax_t)now.stats.field, (intmax_t)before->stats.field)

void
fault_compare(const struct fault_before *before, struct reap_domain *domain, const char *file, int line, const char *what,
    int error, int allowed)
{
	struct fault_before now;

	if (error != allowed)
		check_failed_eq(file, line, what, "allowed", error, allowed);
	fault_note(&now, domain);
	if (now.hits == before->hits)
		check_failed(file, line, "a call failed although nothing had failed in it: that there was a fault");
	if (GET(plan.kinds) == FAULT_ADVISE && (GET(plan.error) == EINTR || GET(plan.error) == EAGAIN))
		check_failed(file, line, "a call failed which only had to ask again: that it did");
	if (now.children != before->children)
		check_failed_eq(file, line, "children", "before", (intmax_t)now.children, (intmax_t)before->children);
	if (now.blocks > before->blocks)
		check_failed_eq(file, line, "blocks", "before", now.blocks, before->blocks);
	if (domain == NULL)
		return;
	SAME(created);
	SAME(exited);
	SAME(orphans);
	SAME(detached);
	SAME(limit_hits);
	/* Handed out.  A reaper thread may have taken some back meanwhile. */
	if (now.stats.stacks_mapped - now.stats.stacks_cached > before->stats.stacks_mapped - before->stats.stacks_cached)
		check_failed(file, line, "no more stacks are in use than before: that");
}

long
fault_sweep(void (*scenario)(const void *), const void *arg, unsigned kinds, int error)
{
	/* Of a signal, or a moment's shortage, there is an end: who asks again and again may rely on it. */
	const long lengths[] = { 1, 2, error == EINTR || error == EAGAIN ? 5 : FAULT_EVER };
	long	most, clean;

	/* Nothing fails: how many calls are there?  Once more, warm: what is done once in a process has been done. */
	for (int i = 0; i < 2; i++) {
		fault_plan(kinds, FAULT_EVER, 1, 0);
		scenario(arg);
		most = clean = fault_seen();
		fault_lift();
		ledger_must_be_empty();
	}
	CHECK(clean > 0);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
		for (long first = 1;; first++) {
			fault_plan(kinds, first, lengths[i], error);
			scenario(arg);
			if (fault_seen() > most)
				most = fault_seen();
			fault_lift();
			ledger_must_be_empty();
			/* Other threads may make a few calls more or less from run to run. */
			if (fault_hits() == 0 && first > clean)
				break;
		}
	return most;
}

/* ---- the host */

struct reap_domain *host_domain;
struct reap_worker *host_worker;
static pthread_mutex_t queue_lock = PTHREAD_MUTEX_INITIALIZER;
static struct reap_context *queue, **queue_end = &queue;	/* under the lock */

static struct reap_context *
queue_take(struct reap_worker *worker)
{
	struct reap_context *context;

	(void)worker;
	CHECK_EQ(__real_pthread_mutex_lock(&queue_lock), 0);
	context = queue;
	if (context != NULL && (queue = *reap_context_link(context)) == NULL)
		queue_end = &queue;
	CHECK_EQ(__real_pthread_mutex_unlock(&queue_lock), 0);
	return context;
}

void
host_queue(struct reap_context *context)
{
	CHECK_EQ(__real_pthread_mutex_lock(&queue_lock), 0);
	*reap_context_link(context) = NULL;
	*queue_end = context;
	queue_end = reap_context_link(context);
	CHECK_EQ(__real_pthread_mutex_unlock(&queue_lock), 0);
}

static void
idle(struct reap_worker *worker)
{
	(void)worker;
	(void)sched_yield();
}

static void
wake(struct reap_worker *worker)
{
	(void)worker;		/* it does not sleep */
}

const struct reap_host host_calls = { .next = queue_take, .ready = host_queue, .idle = idle, .wake = wake };

void
host_open(struct reap_domain_options options)
{
	options.size = sizeof(options);
	if (options.host == NULL)
		options.host = &host_calls;
	host_domain = NULL;
	host_worker = NULL;
	ATTEMPT_IN(NULL, reap_domain_create(&options, &host_domain), -ENOMEM);
	ATTEMPT(reap_worker_start(host_domain, NULL, &host_worker), -ENOMEM);
	CHECK(reap_worker_self() == host_worker);
}

static void
unjoined(struct reap_context *context, void *arg)
{
	(void)context;
	++*(unsigned *)arg;
}

void
host_close(void)
{
	unsigned left = 0;

	CHECK(queue == NULL);
	CHECK_EQ(reap_worker_stop(host_worker), 0);
	CHECK(reap_worker_self() == NULL);
	fault_relent();
	CHECK_EQ(reap_domain_destroy(host_domain, unjoined, &left), 0);
	CHECK_EQ(left, 0);
	host_domain = NULL;
}

void
host_run(void)
{
	bool more;

	do {
		(void)reap_yield(host_worker);
		CHECK_EQ(__real_pthread_mutex_lock(&queue_lock), 0);
		more = queue != NULL;
		CHECK_EQ(__real_pthread_mutex_unlock(&queue_lock), 0);
	} while (more);
}

struct reap_stats
host_stats(void)
{
	struct reap_stats stats = { .size = sizeof(stats) };

	CHECK_EQ(reap_domain_stats(host_domain, &stats), 0);
	return stats;
}

intptr_t
host_return(void *arg)
{
	return (intptr_t)arg;
}
