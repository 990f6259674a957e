/* SPDX-License-Identifier: ISC */
/*
 * unwind.c: a backtrace is right at every instruction of the machine layer.
 *
 * These processors have no trap flag for a program's own use, so each instruction of it is replaced by a breakpoint.  Whoever runs
 * into one is examined, gets the instruction back, and the next one that is run into puts the breakpoint there again.
 * Wherever it stops inside reap_md_swap(), reap_md_jump(), the bottom frame or at the first instruction of an entry
 * function, the handler unwinds, and the stack that sp is on says what must come out: which functions, in which order, up to
 * the bottom and not beyond; with which sp and which sentinels in the callee-saved registers of the function that called the
 * switch.  And floating-point control is never written with what it holds already, no context is left by what the processor takes
 * for a return, and the return address of an entry function lies behind its call.
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

#include "../../check.h"
#include "sentinel.h"

#define STACK_SIZE	65536
#ifdef __clang__
#define NOINLINE	__attribute__((noinline))
#else
#define NOINLINE	__attribute__((noinline, noclone))
#endif
#define KEEP_FRAME()	__asm__ volatile ("" : : : "memory")	/* after a call: it was no tail call */

#if defined(__aarch64__)
typedef uint32_t parcel;			/* what instructions are made of */
#define BREAKPOINT	0xd4200000u		/* brk #0 */
#define PARCELS(p)	1
#define IS_TRAP(p)	(*(p) == 0xd4200020u)	/* brk #1 */
#define PC(uc)		((uc)->uc_mcontext.pc)
#define SP(uc)		((uc)->uc_mcontext.sp)
#define SETS_CONTROL(first, at)	(((first) & ~0x1fu) == 0xd51b4400u)			/* msr fpcr, x<n> */
#define CONTROL(uc, first)	((uc)->uc_mcontext.regs[(first) & 0x1f])
#ifdef __ARM_FEATURE_BTI_DEFAULT
#define IS_RETURN(p)	0			/* where landing pads are enforced, it has to be one */
#else
#define IS_RETURN(p)	((*(p) & 0xfffffc1fu) == 0xd65f0000u)		/* ret x<n> */
#endif
#else
typedef uint16_t parcel;
#define BREAKPOINT	0x9002u			/* c.ebreak */
#define PARCELS(p)	((*(p) & 3) == 3 ? 2 : 1)
#define IS_TRAP(p)	(*(p) == 0)		/* c.unimp */
#define PC(uc)		((uc)->uc_mcontext.__gregs[REG_PC])
#define SP(uc)		((uc)->uc_mcontext.__gregs[REG_SP])
#define SETS_CONTROL(first, at)	((first) == 0x1073 && (at)[1] == 0x0023)		/* fsrm t1 */
#define CONTROL(uc, first)	((uc)->uc_mcontext.__gregs[6])
#define IS_RETURN(p)	(*(p) == 0x8082 || *(p) == 0x8282)		/* c.jr ra, c.jr t0 */
#endif

static _Alignas(64) char stack[2][STACK_SIZE + 64];
static void *base, *sp[2];

int	main(void);
static void entry(void *pass);

#define FRAMES	32
#define BELOW	REAP_MD_MIN_FRAME	/* a popped frame lies there */

struct trace {
	uintptr_t	ip[FRAMES];		/* as return addresses, but for the first */
	uintptr_t	function[FRAMES];	/* the start of what the unwinder found there */
	uintptr_t	cfa[FRAMES];		/* sp in that frame */
	uint64_t	reg[FRAMES][SENTINELS];
	int		n;
	bool		ended;			/* the unwinder said that the last frame has no caller, ... */
	uintptr_t	end;			/* ... and where that one would be */
	uintptr_t	from;			/* leave out what was called from there */
};

static _Unwind_Reason_Code
frame(struct _Unwind_Context *uc, void *arg)
{
	static const int dwarf[SENTINELS] = { SENTINEL_DWARF };
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
	for (int i = 0; i < SENTINELS; i++)
		t->reg[t->n][i] = _Unwind_GetGR(uc, dwarf[i]);
	t->n++;
	return _URC_NO_REASON;
}

/* The functions in question. */
static struct code {
	const char	*name;
	uintptr_t	 start;
	size_t		 size;
} code[] = {
	{ .name = "reap_md_swap", .start = (uintptr_t)reap_md_swap },
	{ .name = "reap_md_jump", .start = (uintptr_t)reap_md_jump },
	{ .name = "reap__md_start", .start = (uintptr_t)reap__md_start },
};
#define CODES	(sizeof(code) / sizeof(code[0]))
static uintptr_t bottom;		/* reap__md_bottom: a NOP before reap__md_start */

/* Where there is, or will be again, a breakpoint. */
static struct site {
	parcel		*at;
	parcel		 instruction;	/* its first parcel: all that the breakpoint covers */
	unsigned	 stops;
} site[256], *lifted;			/* lifted: the one that has its instruction just now */
static unsigned sites, control_writes;

/* What holds for a stack now; [2] is the base's. */
static struct {
	enum { FRESH, ENTERED, RUNS } state;
	struct sentinel s;
	bool	 jumps;		/* it leaves by sentinel_jump() */
} on[3];

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

static void
examine(uintptr_t pc, uintptr_t at)
{
	struct trace t = { .from = pc };
	uintptr_t want[8];
	int which, n = 0, caller = -1;

	for (which = 0; which < 2; which++)
		if (at - (uintptr_t)stack[which] <= STACK_SIZE)
			break;
	_Unwind_Backtrace(frame, &t);

	/* Where it stopped, then what called that. */
	want[n++] = pc - (uintptr_t)reap__md_start < code[2].size ? bottom :
	    pc == (uintptr_t)entry ? (uintptr_t)entry :
	    pc - code[0].start < code[0].size ? code[0].start : code[1].start;
	if (want[0] == bottom)
		;
	else if (want[0] == (uintptr_t)entry || (which < 2 && on[which].state == FRESH))
		want[n++] = bottom;
	else {
		caller = n;
		want[n++] = on[which].jumps ? (uintptr_t)sentinel_jump : (uintptr_t)sentinel_swap;
		want[n++] = on[which].jumps ? (uintptr_t)call_jump : (uintptr_t)call_swap;
		if (which < 2) {
			want[n++] = (uintptr_t)entry;
			want[n++] = bottom;
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
	if (pc == (uintptr_t)entry && t.ip[1] <= (uintptr_t)reap__md_start)
		fail(&t, pc, which, "an entry that returned would be entered again");
	if (caller >= 0) {
		if (t.cfa[caller] != on[which].s.sp)
			fail(&t, pc, which, "wrong sp in the caller");
		for (int i = 0; i < SENTINELS; i++)
			if (t.reg[caller][i] != on[which].s.reg[i])
				fail(&t, pc, which, "wrong callee-saved register in the caller");
	}
	stops++;
}

static void
put(struct site *s, parcel what)
{
	*(volatile parcel *)s->at = what;
	__builtin___clear_cache((char *)s->at, (char *)(s->at + 1));
}

static void
stopped(int sig, siginfo_t *info, void *arg)
{
	ucontext_t *uc = arg;
	uintptr_t pc = PC(uc);

	(void)sig;
	(void)info;
	if (lifted != NULL)
		put(lifted, BREAKPOINT);
	lifted = NULL;
	for (unsigned i = 0; i < sites; i++)
		if ((uintptr_t)site[i].at == pc)
			lifted = &site[i];
	if (lifted == NULL)
		_exit(2);		/* a breakpoint of nobody's: the trap behind the bottom */
	memset((char *)(uintptr_t)SP(uc) - BELOW, 0xa5, BELOW);	/* there is no red zone */
	examine(pc, SP(uc));
	if (SETS_CONTROL(lifted->instruction, lifted->at)) {
		control_writes++;
		/* Its upper half is stored and loaded, too: it has to be the register's, which is 0. */
		if ((uint32_t)CONTROL(uc, lifted->instruction) == (uint32_t)control_read())
			fail(&(struct trace){ 0 }, pc, 2, "control is written though it does not differ");
	}
	lifted->stops++;
	put(lifted, lifted->instruction);
}

/* The sizes of the functions, and the one place without a global name, stand in this program's own symbol table. */
static void
measure(void)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	const Elf64_Ehdr *elf;
	const Elf64_Shdr *section;
	uintptr_t start = 0;
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
			const char *name = names + symbol[k].st_name;

			for (size_t c = 0; c < CODES; c++)
				if (strcmp(name, code[c].name) == 0)
					code[c].size = symbol[k].st_size;
			if (strcmp(name, "reap__md_bottom") == 0)
				bottom = symbol[k].st_value;
			if (strcmp(name, "reap__md_start") == 0)
				start = symbol[k].st_value;
		}
	}
	CHECK(bottom < start);
	bottom = (uintptr_t)reap__md_start - (start - bottom);
	munmap((void *)(uintptr_t)elf, (size_t)st.st_size);
	for (size_t c = 0; c < CODES; c++)
		CHECK(code[c].size > 0);
}

static void
watch(parcel *at)
{
	CHECK(sites < sizeof(site) / sizeof(site[0]));
	site[sites++] = (struct site){ .at = at, .instruction = *at };
}

/* Breakpoints on every instruction that can be reached.  The pages they are on must be written to and run at the same time. */
static void
plant(void)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);

	for (size_t c = 0; c < CODES; c++) {
		parcel *p = (parcel *)code[c].start, *end = p + code[c].size / sizeof(parcel);

		for (; p < end; p += PARCELS(p))
			if (!IS_TRAP(p)) {
				CHECK(!IS_RETURN(p));	/* it would be predicted to go where the last call came from */
				watch(p);
			}
	}
	watch((parcel *)(uintptr_t)entry);
	for (unsigned i = 0; i < sites; i++) {
		uintptr_t start = (uintptr_t)site[i].at & ~(page - 1);

		if (mprotect((void *)start, page, PROT_READ | PROT_WRITE | PROT_EXEC) != 0)
			check_skip_program("this system does not let a program write to its own instructions");
		put(&site[i], BREAKPOINT);
	}
}

/* Two kinds of control, so that both ways through each comparison are walked: the contexts', by round, and the base's. */
static unsigned control_of_contexts, control_of_base;

static NOINLINE void
call_swap(int from, int to)
{
	void **save = from < 2 ? &sp[from] : &base;
	struct sentinel got;

	on[from].state = RUNS;
	on[from].jumps = false;
	sentinel_fill(&on[from].s, stops + (unsigned)from);
	sentinel_swap(save, to < 2 ? sp[to] : base, NULL, &on[from].s, &got);
	CHECK_STR_EQ(sentinel_differ(&on[from].s, &got), NULL);
	KEEP_FRAME();
}

static NOINLINE void
call_jump(int from, int to)
{
	on[from].jumps = true;
	sentinel_fill(&on[from].s, stops + (unsigned)from);
	sentinel_jump(to < 2 ? sp[to] : base, NULL, &on[from].s);
	KEEP_FRAME();
}

static int next_stack;

/* Three kinds of arrival for each of the two contexts; then the first jumps into the second, the second into the base. */
static NOINLINE void
entry(void *pass)
{
	int me = next_stack;

	(void)pass;
	on[me].state = ENTERED;
	call_swap(me, 2);
	control_write(control_of_contexts);
	call_swap(me, 2);
	if (me == 0)
		next_stack = 1;
	call_jump(me, me == 0 ? 1 : 2);
	KEEP_FRAME();
}

static void
make(int i)
{
	/* What lies above the top looks like a caller: an unwinder that does not stop goes on there. */
	for (int k = 0; k < 8; k++)
		((uintptr_t *)(void *)(stack[i] + STACK_SIZE))[k] = (uintptr_t)main + 4;
	on[i].state = FRESH;
	sp[i] = reap_md_make(stack[i] + STACK_SIZE, entry);
}

int
main(void)
{
	struct sigaction action = { .sa_sigaction = stopped, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	static char handler_stack[4 * STACK_SIZE];
	stack_t alternative = { .ss_sp = handler_stack, .ss_size = sizeof(handler_stack) };

	measure();
	CHECK(sigaltstack(&alternative, NULL) == 0);
	CHECK(sigaction(SIGTRAP, &action, NULL) == 0);
	plant();
	for (unsigned round = 0; round < 4; round++) {
		make(0);
		make(1);
		next_stack = 0;
		control_of_contexts = round & 1;
		control_of_base = round >> 1;
		call_swap(2, 0);		/* to a fresh one */
		call_swap(2, 0);		/* to one that has run */
		control_write(control_of_base);
		call_swap(2, 0);		/* it jumps into the second, a fresh one, which comes back */
		call_swap(2, 1);
		call_swap(2, 1);		/* it jumps to us */
	}
	for (unsigned i = 0; i < sites; i++)
		if (site[i].stops == 0) {
			printf("never stopped at %p\n", (void *)site[i].at);
			return 1;
		}
	CHECK(control_writes > 0);
	printf("%u backtraces at %u instructions: functions, sp, callee-saved registers, the end\n", stops, sites);
	return 0;
}
