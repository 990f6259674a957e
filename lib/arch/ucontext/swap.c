/* SPDX-License-Identifier: ISC */
/*
 * swap.c: the machine layer over ucontext(3), for processors without a port of their own.
 *
 *	  high	|   caller's frame	|	| nothing: `top'	|
 *		+-----------------------+	+-----------------------+
 *		|   record		| <- sp |   record		| <- sp
 *		|   frame of swap	|	+-----------------------+
 *	  low	+-----------------------+	| stack of makecontext	|
 *			stopped			    never run yet
 *
 * swapcontext(3) sets the signal mask, which is a system call on most systems.
 */
#include <stdint.h>
#include <ucontext.h>

#include "arch/md.h"

/*
 * Lies on the stopped stack for as long as it is stopped (that of a new context: for life, at the top).  Never copied: the C
 * library may keep pointers into it.
 */
struct reap__record {
	ucontext_t uc;			/* by reap_md_make() or by the owner's swapcontext(); read by the resumer */
	void	*pass;			/* by the resumer, before it leaves; read by the resumed */
	void	(*entry)(void *pass);	/* by reap_md_make(); read once, by begin() */
};

/* What makecontext() is told of the stack below the record.  It only adds the two up; the BSDs refuse less than MINSIGSTKSZ. */
#define NOMINAL_SIZE	16384

/* makecontext() passes ints: a pointer travels in two halves, also where it would fit into one. */
static void
begin(unsigned high, unsigned low)
{
	struct reap__record *self = (struct reap__record *)(((uintptr_t)high << 16 << 16) | low);

	self->entry(self->pass);
	__builtin_trap();
}

void *
reap_md_make(void *top, void (*entry)(void *pass))
{
	uintptr_t at = ((uintptr_t)top - sizeof(struct reap__record)) & ~(uintptr_t)15;
	struct reap__record *self = (struct reap__record *)at;

	if (getcontext(&self->uc))
		__builtin_trap();
	self->entry = entry;
	self->uc.uc_link = NULL;
	self->uc.uc_stack.ss_sp = (void *)(at - NOMINAL_SIZE);
	self->uc.uc_stack.ss_size = NOMINAL_SIZE;
	self->uc.uc_stack.ss_flags = 0;
	makecontext(&self->uc, (void (*)(void))begin, 2, (unsigned)(at >> 16 >> 16), (unsigned)at);
	/* AddressSanitizer's swapcontext() clears the shadow of what this describes: it must describe nothing. */
	self->uc.uc_stack.ss_size = 0;
	return self;
}

void *
reap_md_swap(void **save, void *to, void *pass)
{
	struct reap__record *next = to, self;

	next->pass = pass;
	self.uc.uc_stack.ss_sp = NULL;		/* as in reap_md_make(); swapcontext() does not set it */
	self.uc.uc_stack.ss_size = 0;
	*save = (void *)(uintptr_t)&self;
	if (swapcontext(&self.uc, &next->uc))
		__builtin_trap();
	return self.pass;
}

void
reap_md_jump(void *to, void *pass)
{
	struct reap__record *next = to;

	next->pass = pass;
	setcontext(&next->uc);
	__builtin_trap();
}
