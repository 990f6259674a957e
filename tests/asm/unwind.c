/* SPDX-License-Identifier: ISC */
/*
 * unwind.c: a backtrace is right at every instruction of the machine layer.
 *
 * The trap flag stops the processor after each instruction.  Wherever it stops inside a function of the machine layer, or at the
 * first instruction of a function that is called from there, the handler unwinds, and the stack that %rsp is on says
 * what must come out: which functions, in which order, up to the bottom and not beyond; with which %rsp and which
 * sentinels in the callee-saved registers of the function that called the switch.
 */
#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>

#include "../check.h"
#include "sentinel.h"

#define STACK_SIZE	65536
#define NOINLINE	__attribute__((noinline, noclone))
#define KEEP_FRAME()	__asm__ volatile ("" : : : "memory")	/* after a call: it was no tail call */
#ifdef __clang__
#undef NOINLINE
#define NOINLINE	__attribute__((noinline))
#endif

static _Alignas(64) char stack[2][STACK_SIZE + 64];
static void *base, *sp[2];

int	main(void);
static void entry(void *pass);

#define FRAMES	32

struct trace {
	uintptr_t	ip[FRAMES];		/* as return addresses, but for the first */
	uintptr_t	function[FRAMES];	/* the start of what the unwinder found there */
	uintptr_t	cfa[FRAMES];		/* %rsp in that frame */
	uint64_t	reg[FRAMES][SENTINELS];
	int		n;
	bool		ended;			/* the unwinder said that the last frame has no caller, ... */
	uintptr_t	end;			/* ... and where that one would be */
	uintptr_t	from;			/* leave out what was called from there */
};

static _Unwind_Reason_Code
frame(struct _Unwind_Context *uc, void *arg)
{
	static const int dwarf[SENTINELS] = { 3, 6, 12, 13, 14, 15 };
	struct trace *t = arg;
	int exact;
	uintptr_t ip = _Unwind_GetIPInfo(uc, &exact);

	if (t->n == 0 && ip != t->from)
		return _URC_NO_REASON;
	if (t->n == FRAMES)
		return _URC_END_OF_STACK;
	if (ip == 0) {
		t->ended = true;
		t->end = _Unwind_GetCFA(uc);
		return _URC_END_OF_STACK;
	}
	t->ip[t->n] = ip;
	t->function[t->n] = _Unwind_GetRegionStart(uc);
	t->cfa[t->n] = _Unwind_GetCFA(uc);
#ifdef __x86_64__
	for (int i = 0; i < SENTINELS; i++)
		t->reg[t->n][i] = _Unwind_GetGR(uc, dwarf[i]);
#else
	(void)dwarf;
#endif
	t->n++;
	return _URC_NO_REASON;
}

#if defined(__x86_64__) && !defined(REAP_MD_UCONTEXT)

#include "arch/x86_64/frame.h"

#define TRAPPED_BY_INT3	0x80	/* si_code: SI_KERNEL */
#define TF		0x100

/*
 * The functions in question, with one mark for each byte at which an instruction was stopped at.  Those behind the bottom frame are
 * second halves: whoever stopped in the way of that number goes on there.
 */
static struct code {
	const char	*name;
	uintptr_t	 start;		/* this, and the size, from the program's symbol table: some are not global */
	size_t		 size;
	unsigned char	 seen[512];
} code[] = {
	{ .name = "reap__md_bottom" },
	{ .name = "reap_md_jump" },
	{ .name = "reap_md_swap" },
#ifdef REAP_MD_TAIL
	{ .name = "reap_md_switch" },
	{ .name = "reap_md_leave" },
	{ .name = "reap_md_launch" },
	{ .name = "reap_md_leave_launch" },
	{ .name = "reap__md_switch_back" },
	{ .name = "reap__md_leave_back" },
#endif
};
#define CODES	(sizeof(code) / sizeof(code[0]))
#define BOTTOM	0u
#define LAUNCH		5u
#define LEAVE_LAUNCH	6u
#define BACK		7u	/* the first of the second halves */

/* What holds for a stack now; [2] is the base's. */
static struct {
	enum { FRESH, ENTERED, RUNS, DEAD } state;
	void	       (*first)(void *);	/* what is called at the bottom */
	uintptr_t	 bottom;	/* by whom: the one with the NOP, or the one that launched it */
	struct sentinel s;
	size_t	 way;		/* of sentinel_way, or: */
	bool	 jumps;		/* it leaves by sentinel_jump() */
} on[3];

static int leaving;		/* whose stack was left last, or is being left */
static uintptr_t launcher;	/* the function that launched last, or is about to */

static unsigned stops;

static void
fail(const struct trace *t, uintptr_t pc, int which, const char *what)
{
	printf("at %#lx, on stack %d: %s\n", (unsigned long)pc, which, what);
	for (size_t i = 0; i < CODES; i++)
		if (pc - code[i].start < code[i].size)
			printf("  which is %s+%#lx\n", code[i].name, (unsigned long)(pc - code[i].start));
	for (int i = 0; i < t->n; i++)
		printf("  %2d  ip %#lx  function %#lx  sp %#lx\n", i, (unsigned long)t->ip[i],
		    (unsigned long)t->function[i], (unsigned long)t->cfa[i]);
	fflush(stdout);
	_exit(1);
}

static NOINLINE void	call_swap(int from, int to);
static NOINLINE void	call_jump(int from, int to);

static char *top[2];			/* of who is to be launched on that stack; else NULL */

#ifdef REAP_MD_TAIL
static uintptr_t slot;			/* what reap_md_switch() looks at; the word that is passed is its address */
static unsigned landings;

void	reap__land(struct reap_worker *worker);
NOINLINE void
reap__land(struct reap_worker *worker)
{
	CHECK((uintptr_t)worker == (uintptr_t)&slot);
	slot = 0;
	landings++;
}

/* Where the library's own contexts are launched. */
void	reap__entry_fresh(void *pass);

static NOINLINE intptr_t
after(struct reap_worker *worker, void *want)
{
	CHECK(want == &on[0].s || want == &on[1].s || want == &on[2].s);
	return (intptr_t)worker;
}

#define PASS	((void *)&slot)
#else
#define PASS	NULL
#endif

/* Whoever is launched has no frame but that of the function that did it, which is its bottom one. */
static bool
launches(const struct code *in)
{
#ifdef REAP_MD_LAUNCH
	return in == &code[LAUNCH] || in == &code[LEAVE_LAUNCH];
#else
	(void)in;
	return false;
#endif
}

static bool
begins_launched(uintptr_t pc)
{
#ifdef REAP_MD_LAUNCH
	return pc == (uintptr_t)reap__entry_fresh;
#else
	(void)pc;
	return false;
#endif
}

/* Which of the functions that the machine layer calls begins here?  0: none. */
static uintptr_t
called(uintptr_t pc)
{
#ifdef REAP_MD_TAIL
	if (pc == (uintptr_t)reap__land || pc == (uintptr_t)after || begins_launched(pc))
		return pc;
#endif
	return pc == (uintptr_t)entry ? pc : 0;
}

static void
examine(uintptr_t pc, uintptr_t rsp, const struct code *in)
{
	struct trace t = { .from = pc };
	uintptr_t want[10];
	int which, n = 0, caller = -1;

	for (which = 0; which < 2; which++)
		if (rsp - (uintptr_t)stack[which] <= STACK_SIZE)
			break;
	_Unwind_Backtrace(frame, &t);

	/* Where it stopped, then what called that. */
	want[n++] = in != NULL ? in->start : pc;
	if (in == &code[BOTTOM] || (launches(in) && which < 2 && rsp == (uintptr_t)stack[which] + STACK_SIZE))
		;		/* that is the bottom frame */
	else if (pc == (uintptr_t)entry || (which < 2 && on[which].state == FRESH))
		want[n++] = code[BOTTOM].start;
	else if (begins_launched(pc))
		want[n++] = launcher;
	else {
		/* Who was stopped, and is not yet back in its second half, will come by way of that. */
		if (!on[which].jumps && on[which].way != SENTINEL_SWAP &&
		    (in == NULL || (which != leaving && in < &code[BACK])))
			want[n++] = code[BACK + on[which].way - 1].start;
		caller = n;
		want[n++] = on[which].jumps ? (uintptr_t)sentinel_jump : (uintptr_t)sentinel_swap;
		want[n++] = on[which].jumps ? (uintptr_t)call_jump : (uintptr_t)call_swap;
		if (which < 2) {
			want[n++] = (uintptr_t)on[which].first;
			want[n++] = on[which].bottom;
		} else
			want[n++] = (uintptr_t)main;
	}

	if (which < 2 && (t.n != n || !t.ended))
		fail(&t, pc, which, "it did not end at the bottom");
	if (t.n < n)
		fail(&t, pc, which, "too few frames");
	for (int i = 0; i < n; i++)
		if (t.function[i] != want[i])
			fail(&t, pc, which, "wrong function");
	if (which < 2 && t.end != (uintptr_t)stack[which] + STACK_SIZE)
		fail(&t, pc, which, "the stack does not end at the top");
	if (which < 2 && n > 1 && t.cfa[n - 1] != (uintptr_t)stack[which] + STACK_SIZE)
		fail(&t, pc, which, "the bottom frame is not at the top of the stack");
	if (caller >= 0) {
		if (t.cfa[caller] != on[which].s.sp)
			fail(&t, pc, which, "wrong %rsp in the caller");
		for (int i = 0; i < SENTINELS; i++)
			if (t.reg[caller][i] != on[which].s.reg[i])
				fail(&t, pc, which, "wrong callee-saved register in the caller");
	}
	stops++;
}

static void
trapped(int sig, siginfo_t *info, void *arg)
{
	ucontext_t *uc = arg;
	uintptr_t pc = (uintptr_t)uc->uc_mcontext.gregs[REG_RIP];

	(void)sig;
	if (info->si_code == TRAPPED_BY_INT3) {
		uc->uc_mcontext.gregs[REG_EFL] ^= TF;
		return;
	}
	for (size_t i = 0; i < CODES; i++)
		if (pc - code[i].start < code[i].size) {
			code[i].seen[pc - code[i].start] = 1;
			examine(pc, (uintptr_t)uc->uc_mcontext.gregs[REG_RSP], &code[i]);
		}
	if (called(pc) != 0)
		examine(pc, (uintptr_t)uc->uc_mcontext.gregs[REG_RSP], NULL);
}

/* Where the functions are stands in this program's own symbol table; main() tells where that is in memory. */
static void
measure(void)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	uintptr_t bias = 0;
	const Elf64_Ehdr *elf;
	const Elf64_Shdr *section;
	struct stat st;

	CHECK(fd >= 0 && fstat(fd, &st) == 0);
	elf = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	CHECK(elf != MAP_FAILED);
	close(fd);
	section = (const void *)((const char *)elf + elf->e_shoff);
	for (unsigned i = 0; i < elf->e_shnum; i++) {
		const Elf64_Sym *symbol = (const void *)((const char *)elf + section[i].sh_offset);
		const char *names = (const char *)elf + section[section[i].sh_link].sh_offset;

		if (section[i].sh_type != SHT_SYMTAB)
			continue;
		for (size_t k = 0; k < section[i].sh_size / sizeof(*symbol); k++) {
			if (strcmp(names + symbol[k].st_name, "main") == 0)
				bias = (uintptr_t)main - symbol[k].st_value;
			for (size_t c = 0; c < CODES; c++)
				if (strcmp(names + symbol[k].st_name, code[c].name) == 0) {
					code[c].start = symbol[k].st_value;
					code[c].size = symbol[k].st_size;
				}
		}
	}
	munmap((void *)(uintptr_t)elf, (size_t)st.st_size);
	for (size_t c = 0; c < CODES; c++) {
		CHECK(code[c].size > 0 && code[c].size <= sizeof(code[c].seen));
		code[c].start += bias;
	}
}

/*
 * No instruction here is longer than 7 bytes, and every block that could be skipped is longer than that.  The NOP at the start of
 * what is returned to is never executed.
 */
static void
all_seen(void)
{
	for (size_t c = 0; c < CODES; c++) {
		size_t last = 0;
		unsigned n = 0;

		for (size_t i = 0; i < code[c].size; i++)
			if (code[c].seen[i]) {
				CHECK(i - last <= 7);
				last = i;
				n++;
			}
		CHECK(code[c].size - last <= 7);
		printf("%s: unwound at %u instructions\n", code[c].name, n);
	}
}

/* Two kinds of control words, so that both ways through each comparison are walked: the contexts', by round, and the base's. */
static unsigned control_of_contexts, control_of_base;

static unsigned ways;			/* to leave: another one each time, in changing order */

static void
control(unsigned odd)
{
	__builtin_ia32_ldmxcsr(odd ? 0x3f80 : 0x1f80);
}

static NOINLINE void
call_swap(int from, int to)
{
	void **save = from < 2 ? &sp[from] : &base;
	struct sentinel got;

	on[from].state = RUNS;
	on[from].jumps = false;
	on[from].way = ways % SENTINEL_WAYS;
	ways += 1 + ways / SENTINEL_WAYS % 2;
#ifdef REAP_MD_TAIL
	slot = ways / 2 % 2;
#endif
	leaving = from;
	sentinel_fill(&on[from].s, stops + (unsigned)from);
#ifdef REAP_MD_LAUNCH
	if (to < 2 && top[to] != NULL) {
		on[from].way = SENTINEL_LEAVE;		/* it comes back as if it had been by that */
		launcher = code[LEAVE_LAUNCH].start;
		sentinel_swap(save, top[to], PASS, &on[from].s, &got, (void (*)(void))reap_md_leave_launch);
	} else
#endif
	sentinel_swap(save, to < 2 ? sp[to] : base, PASS, &on[from].s, &got, sentinel_way(on[from].way).how);
	CHECK_STR_EQ(sentinel_differ(&on[from].s, &got), NULL);
	KEEP_FRAME();
}

static NOINLINE void
call_jump(int from, int to)
{
	on[from].jumps = true;
	leaving = from;
	sentinel_fill(&on[from].s, stops + (unsigned)from);
#ifdef REAP_MD_LAUNCH
	if (to < 2 && top[to] != NULL) {
		launcher = code[LAUNCH].start;
		sentinel_jump(top[to], PASS, &on[from].s, (void (*)(void))reap_md_launch);
	}
#endif
	sentinel_jump(to < 2 ? sp[to] : base, PASS, &on[from].s, (void (*)(void))reap_md_jump);
	KEEP_FRAME();
}

static int next_stack;

/* Three kinds of arrival for each of the two contexts; then the first jumps into the second, the second into the base. */
static NOINLINE void
entry(void *pass)
{
	int me = next_stack;

	(void)pass;
	on[me].first = entry;
	on[me].bottom = code[BOTTOM].start;
	on[me].state = ENTERED;
	call_swap(me, 2);
	control(control_of_contexts);
	call_swap(me, 2);
	if (me == 0)
		next_stack = 1;
	call_jump(me, me == 0 ? 1 : 2);
	KEEP_FRAME();
}

#ifdef REAP_MD_LAUNCH

static uint64_t control_words[2];	/* that it may begin with */

/* The first, the second, and another one on the stack of that. */
static unsigned lives;

static void
launch_next(int on_stack)
{
	top[0] = top[1] = NULL;
	top[on_stack] = stack[on_stack] + STACK_SIZE;
	next_stack = on_stack;
	sentinel_control = &control_words[(ways ^ lives) & 1];
}

NOINLINE void
reap__entry_fresh(void *pass)
{
	int me = next_stack;

	CHECK(pass == PASS);
	on[me].first = reap__entry_fresh;
	on[me].bottom = launcher;
	top[me] = NULL;
	on[me].state = ENTERED;
	call_swap(me, 2);
	control(control_of_contexts);
	call_swap(me, 2);
	if (++lives == 3)
		call_jump(me, 2);
	launch_next(1);
	call_jump(me, 1);
	KEEP_FRAME();
}

static inline __attribute__((always_inline)) void
launch_each(void)
{
	control(0);
	reap_md_control(&control_words[0]);
	control(1);
	reap_md_control(&control_words[1]);
	control(control_of_base);
	lives = 0;
	launch_next(0);
	__asm__ volatile ("int3");
	call_swap(2, 0);		/* the first begins */
	call_swap(2, 0);
	control(control_of_base);
	call_swap(2, 0);		/* it launches the second, which comes back */
	call_swap(2, 1);
	call_swap(2, 1);		/* that launches the third, on its own stack */
	call_swap(2, 1);
	call_swap(2, 1);		/* that jumps to us */
	__asm__ volatile ("int3");
}

#endif

static void
make(int i)
{
	/* What lies above the top looks like a caller: an unwinder that does not stop goes on there. */
	for (int k = 0; k < 8; k++)
		((uintptr_t *)(void *)(stack[i] + STACK_SIZE))[k] = (uintptr_t)main + 1;
	on[i].state = FRESH;
	sp[i] = reap_md_make(stack[i] + STACK_SIZE, entry);
}

int
main(void)
{
	struct sigaction action = { .sa_sigaction = trapped, .sa_flags = SA_SIGINFO };

	measure();
#ifdef REAP_MD_TAIL
	sentinel_after = after;
#endif
	CHECK(sigaction(SIGTRAP, &action, NULL) == 0);
	for (unsigned round = 0; round < 4 * (2 * SENTINEL_WAYS - 1); round++) {
		make(0);
		make(1);
		next_stack = 0;
		control_of_contexts = round & 1;
		control_of_base = round >> 1 & 1;
		__asm__ volatile ("int3");
		call_swap(2, 0);		/* to a fresh one */
		call_swap(2, 0);		/* to one that has run */
		control(control_of_base);
		call_swap(2, 0);		/* it jumps into the second, a fresh one, which comes back */
		call_swap(2, 1);
		call_swap(2, 1);		/* it jumps to us */
		__asm__ volatile ("int3");
#ifdef REAP_MD_LAUNCH
		launch_each();
#endif
	}
	all_seen();
	printf("%u backtraces: functions, %%rsp, callee-saved registers, the end\n", stops);
	return 0;
}

#else

/* No instruction of the C library's switch is stopped at: a backtrace on a context reaches its entry function and ends. */
static struct trace seen;

static NOINLINE void
look(void)
{
	seen.from = (uintptr_t)__builtin_extract_return_addr(__builtin_return_address(0));
	_Unwind_Backtrace(frame, &seen);
	KEEP_FRAME();
}

static NOINLINE void
entry(void *pass)
{
	(void)pass;
	look();
	reap_md_jump(base, NULL);
}

int
main(void)
{
	sp[0] = reap_md_make(stack[0] + STACK_SIZE, entry);
	reap_md_swap(&base, sp[0], NULL);
	CHECK(seen.n > 0);
	CHECK(seen.function[0] == (uintptr_t)entry);
	CHECK(seen.n < 8);
	for (int i = 0; i < seen.n; i++)
		CHECK(seen.function[i] != (uintptr_t)main);
	printf("a backtrace on a context: %d frames from entry to its end\n", seen.n);
	return 0;
}

#endif
