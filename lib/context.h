/* SPDX-License-Identifier: ISC */
/*
 * context.h: the descriptor of a context, and the words that decide its fate.
 *
 * The descriptor is what is left of a thin zombie: 128 bytes, two cache lines.  The first line is what a life on one worker
 * touches, the second is its place in the family.  What is needed only while the context has a stack lies on that stack
 * (struct reap__live).
 *
 * Invariants are cited as [n], by their numbers in docs/design.md.
 *
 * The claim: generation << 8 | one of these.  One atomic transition makes somebody the collector [5].
 *
 *	             wait, join              (the collector meets the barrier: done)
 *	   LIVE ----------------> CLAIMED ------------------------------------------> REAPED --> FREE
 *	    | |                    ^   ^                                               ^ (kept while held, or listed)
 *	    | '---exit---> ZOMBIE -'   |  peek puts it back                            |
 *	    |                |  wait, join, wait_any                                   |
 *	    | detach         | detach; the parent ends                                 |
 *	    '----------------'-----> ADOPTED or ORPHANED -------drain------------------'
 */
#ifndef REAP_LIB_CONTEXT_H
#define REAP_LIB_CONTEXT_H

#include <reap/completion.h>
#include <reap/context.h>
#include <reap/stats.h>
#include <reap/wait.h>

#include "sanitize.h"
#include "stack/stack.h"

enum reap__claim {
	REAP__FREE,		/* no context; the whole word is 0, so that a page given back reads as FREE */
	REAP__LIVE,		/* nobody has asked for it yet */
	REAP__CLAIMED,		/* a collector waits for it, or is freeing it */
	REAP__ZOMBIE,		/* exited, its parent's to collect */
	REAP__ADOPTED,		/* its adopter's to reap, now or when it ends */
	REAP__ORPHANED,		/* the same, because its parent ended first */
	REAP__REAPED,		/* collected; the descriptor stays for a holder, a list or a child */
	REAP__DOOMED		/* CLAIMED, and it has ended: its collector cannot take the claim back */
};

/*
 * A structure of options that a caller built against newer headers: it may be longer, as long as what is not known here is not
 * used.
 */
static inline bool
reap__options_fit(const void *options, size_t size, size_t known)
{
	for (size_t i = known; i < size; i++)
		if (((const unsigned char *)options)[i] != 0)
			return false;
	return size >= known;
}

#define REAP__CLAIM(generation, state)	((uint64_t)(generation) << 8 | (uint64_t)(state))
#define REAP__CLAIM_STATE(claim)	((enum reap__claim)((claim) & 0xff))
#define REAP__CLAIM_GENERATION(claim)	((claim) >> 8)

/* Nobody's to collect but its adopter's. */
static inline bool
reap__adopted(uint64_t claim)
{
	return REAP__CLAIM_STATE(claim) == REAP__ADOPTED || REAP__CLAIM_STATE(claim) == REAP__ORPHANED;
}

/*
 * The reasons why a descriptor's memory stays, in one word:
 *
 *	bits  0-25	references: REAP__REFS_ALIVE until it is reaped, then the children not yet let go, holds, tombstones
 *	bits 26-37	of these, holds
 *	bits 38-63	children that others than the parent have let go, since the parent last folded them into `kids'
 *
 * A parent counts its children in `kids' with plain stores; only others touch this word, and the reap settles the balance.
 * While it lives, each child let go takes one from the references: more than REAP__KIDS_MAX would use them up.
 */
#define REAP__REFS_ALIVE		(UINT64_C(1) << 25)
#define REAP__REFS(refs)		((uint32_t)(refs) & 0x3ffffffu)
#define REAP__HOLD			(UINT64_C(1) << 26 | 1)
#define REAP__HOLDS_MAX			0xfffu
#define REAP__HOLDS(refs)		((unsigned)((refs) >> 26) & REAP__HOLDS_MAX)
#define REAP__GONE			(UINT64_C(1) << 38)
#define REAP__GONE_COUNT(refs)		((uint32_t)((refs) >> 38))
#define REAP__KIDS_MAX			((uint32_t)1 << 24)	/* uncollected children of one parent: checked now and then */
#define REAP__GONE_SWEEP		32u	/* the parent settles at its next create */

/* flags; written by the context's owner before it is shared, except EXITED */
#define REAP__BASE		0x001u	/* a worker's base context */
#define REAP__PINNED		0x002u
#define REAP__GROUPED		0x004u	/* live->group */
#define REAP__BORROWED		0x008u	/* the stack is the embedder's: it goes whole to the collector */
#define REAP__NO_ZOMBIES	0x010u	/* as a parent; by itself, read by its children */
#define REAP__EXITED		0x020u	/* the status is valid; released after it */
#define REAP__LISTED		0x040u	/* on its parent's inbox; by itself before the post */
#define REAP__NEW		0x080u	/* has a stack, and has not run yet; who is FRESH has not run either */
#define REAP__EARLY		0x100u	/* tell the heir at exit */
#define REAP__SUB_ADOPTED	0x200u	/* holds a reference on its adopter */
#define REAP__SHARED		0x400u	/* others than its worker may reach it; see below */
#define REAP__KIN		0x800u	/* as a parent: it has or had a shared child, who writes to its inbox */
#define REAP__BOUND		0x1000u	/* not shared, with children that are not, or a base: only its home runs it */
#define REAP__POLICY_SHIFT	13	/* enum reap_policy, 3 bits */
#define REAP__AWAITED		0x10000u /* somebody waits for it who was told, or resumed, before the landing; by itself.  Its parent
					  * sleeps for it alone, plainly; by that one */
#define REAP__PLAIN		0x20000u /* born by reap_spawn() with nothing uncommon about it: plain.h */
#define REAP__THINS		0x40000u /* its policy may leave a thin zombie of a plain one; with PLAIN only */
#define REAP__OWNED		0x80000u /* its resumer reaps it: resume.c */
#define REAP__SIMPLE		0x100000u /* OWNED, born by reap_spawn_owned() with nothing uncommon about it: resume.c */
#define REAP__STRAIGHT		0x200000u /* its end may go straight to its parent, who gets the stack as well; with PLAIN only */
#define REAP__PLAINLY		(REAP__PLAIN | REAP__THINS | REAP__STRAIGHT | REAP__SIMPLE)	/* go together */
#define REAP__POLICY_OF(flags)	((enum reap_policy)((flags) >> REAP__POLICY_SHIFT & 7))

/*
 * Private and shared.  Where the host promises to say so (struct reap_host: shares), a context is born private to its worker:
 * nobody else can reach it, so its claim, its completion and its references are written plainly, and a life that stays on one
 * worker executes no locked instruction.  It becomes SHARED, by its own worker and before anybody else can know it,
 *	when somebody takes its handle		a stale handle never matches the generation of a private one
 *	when the host lets other workers run it	reap_context_share()
 * A parent stays BOUND to its worker as long as it has private children, so that both ends of each such pair are there; its
 * inbox is plain until its first child is shared (KIN).
 */
static inline bool
reap__private(uint32_t flags)
{
	return (flags & REAP__SHARED) == 0;
}

/*
 * What somebody owes: the dead children of a parent, the corpses of an adopter.  Many push, one takes.
 *
 *	head	0		nothing has come
 *		context		the newest, linked by `next' to the older ones
 *		waiter | 1	the taker sleeps
 *		KICKED		nothing has come, but the taker must look again
 *		CLOSED		the taker has ended: ask its heir
 */
struct reap__inbox {
	uintptr_t		 head;		/* any thread */
	struct reap_context	*corpses;	/* taken out of head, oldest first, a ring by next and prev; the taker only */
};

#define REAP__INBOX_WAITER	((uintptr_t)1)
#define REAP__INBOX_KICKED	((uintptr_t)2)
#define REAP__INBOX_CLOSED	((uintptr_t)4)

struct reap__live;

struct reap_context {
	void			*sp;		/* stopped: where; FRESH; NULL: running or dead.  Who switches */
	struct reap_completion	 done;		/* off the CPU */
	/* Aligned where pointers are small: REAP_CONTEXT_ALIGN divides the size. */
	_Alignas(sizeof(void *) == 8 ? 8 : REAP_CONTEXT_ALIGN) uint64_t claim;	/* any thread, by compare-and-swap */
	uint64_t		 refs;		/* any thread, by addition */
	uint32_t		 flags;		/* REAP__*; see there */
	uint32_t		 kids;		/* children spawned, less those collected by itself; itself only */
	struct reap__live	*live;		/* on the stack; in the worker for a base, or who is fresh and not shared; NULL: thin */
	struct reap__stack	*stack;		/* its owner; the landing or the collector takes it away; NULL: fresh and not shared, thin */
	struct reap_context	*parent;	/* constant */

	struct reap_context	*next;		/* live: the host's link.  Dead: the list it is on.  Free: the next free one */
	struct reap_context	*prev;		/* live: who claimed it, or resumed it; itself: a thread, or nobody; NULL: not said yet.
						 * Dead: the list */
	union {
		struct reap__inbox	 inbox;	/* as a parent, which it can be once it has run */
		struct {			/* FRESH: what it is to run; until it has a stack */
			reap_entry	*entry;
			void		*arg;
		} fresh;
	};
	struct reap_adopter	*adopter;	/* heir; itself and its creator */
	void			*user;		/* the embedder's */
	void		       (*off_cpu)(struct reap_context *, intptr_t);
	union {
		intptr_t	 status;	/* itself, before EXITED */
		uint64_t	 control;	/* FRESH: the control words that it begins with */
	};
};

_Static_assert(sizeof(void *) != 8 || sizeof(struct reap_context) == 128, "a thin zombie is two cache lines");
_Static_assert(sizeof(struct reap_context) % REAP_CONTEXT_ALIGN == 0, "who lies in a slab is aligned as promised");

/*
 * A context of this sp has not run and has no stack: its worker has promised it one (reap__stack_promise()).  Many contexts that
 * are spawned, and run one after the other, then share the few stacks that are hot.  Who is born plain, or simple, is fresh.  One that
 * is shared before it has run has a stack, of which nothing has been touched yet: what `live' says of it is to be written first.
 */
#define REAP__FRESH		((void *)1)

/* Sleepers that an end has woken: readied early, or after the post. */
#define REAP__TOLD_MAX		3

struct reap__told {
	struct reap_waiter	*who[REAP__TOLD_MAX];	/* NULL behind the last */
};

/* What is slept on: a completion, or the caller's own inbox. */
struct reap__sleep {
	struct reap_waiter	 waiter;
	struct reap_completion	*done;		/* NULL: the inbox */
	const struct reap_context *whose;	/* the context that `done' is of; NULL: of none */
	struct reap__inbox	*inbox;
	struct reap_context	*context;	/* who sleeps */
	struct reap_worker	*worker;	/* a base context's */
	uint32_t		 readied;	/* a base context: by the waker, its last touch */
	int			 error;		/* of arming; by publish */
};

/* What a landing needs to publish the one who left. */
struct reap__parking {
	struct reap_context	*context;
	bool		       (*publish)(struct reap_context *, void *);
	void			*arg;
};

/* What is known of a context only while it has a stack.  At the top of that stack; in the worker for a base context. */
struct reap__live {
	/* One line of the cache: what a life cannot do without. */
	reap_entry		*entry;
	void			*arg;
	struct reap_worker	*home;		/* PINNED, BASE, BOUND: the only worker that runs it */
	struct reap_worker	*clean;		/* home, if a plain life ended here: then `young' is zero; else NULL, or not who asks */
	struct {				/* all zero at birth */
		struct reap_exit_listener *listeners;	/* newest first */
		struct reap_context	*claimed;	/* whom it waits for, having claimed it; itself in a resume */
		struct reap__sleep	*sleep;		/* parked in a wait: `waits', or one on its own stack; itself */
	} young;
	struct reap_group	*group;		/* GROUPED: the one it is a member of */
	uint32_t		 shared_kids;	/* KIN: how many of `kids' are shared; itself only */
	/* Parked, it has left the function that parked it: what that needs afterwards is here.  Itself. */
	unsigned		 how;		/* REAP_PEEK, ... */
	struct reap__sleep	 waits;
	struct reap_context	*target;	/* of a wait */
	struct reap_result	*result;	/* where it goes, or NULL */
	struct reap__parking	 parking;
	struct reap_context	*came;		/* who came back from the reap_resume() that it is in; whoever comes back, but who
						 * ends simply, to a context that is no base */
	intptr_t		 word;		/* OWNED: what was passed to it, or by it; its resumer, itself */
	struct reap__told	 told;		/* THREAD: whom the reaper thread tells after the post; the landing */
	REAP__SAN_FIELD
};

/* At the top of the stack, as far as frames are concerned: the first one starts below it. */
static inline struct reap__live *
reap__live_of(const struct reap__stack *stack)
{
	return (struct reap__live *)(void *)(stack->top - ((sizeof(struct reap__live) + 63) & ~(size_t)63));
}

/* The descriptors of a domain lie in slabs of this size and alignment, behind a header. */
#define REAP__SLAB_SIZE		((size_t)1 << 20)
#define REAP__SLAB_BLOCKS	128u		/* at the most */

struct reap__descriptors {			/* the header */
	struct reap_domain	*domain;	/* constant */
	struct reap__descriptors *next;		/* the domain's other slabs; constant once linked */
	void			*map;		/* the mapping it lies in, of which the ends could perhaps not be unmapped ... */
	size_t			 mapped;	/* ... and its size; constant */
	uint32_t		 stride;	/* bytes from one descriptor to the next; constant */
	uint32_t		 capacity;	/* constant */
	uint32_t		 block;		/* descriptors, the header's place included, that fill whole pages together; constant */
	uint32_t		 carved;	/* the first so many may be in use; under the domain's lock, read by walkers */
	/* The rest is under the lock. */
	uint64_t		 gone[REAP__SLAB_BLOCKS / 64];	/* blocks among these whose pages were given back: on no list */
	uint16_t		 idle[REAP__SLAB_BLOCKS];	/* scratch of trim */
};

/* Which domain does a descriptor belong to?  The slab knows: it spares every zombie a pointer. */
static inline struct reap_domain *
reap__domain_of(const struct reap_context *context)
{
	return ((struct reap__descriptors *)((uintptr_t)context & ~(uintptr_t)(REAP__SLAB_SIZE - 1)))->domain;
}

/*
 * On a free list: who has a stale handle may still read the words from `done' to `flags', to be told by the claim that they are
 * nobody's; `next' links the list.  The rest is not touched.
 */
#if REAP__SAN_DESCRIPTORS
#define REAP__SAN_DESCRIPTOR(context, what) do {							\
	what(&(context)->sp, sizeof((context)->sp));							\
	what(&(context)->live, offsetof(struct reap_context, next) - offsetof(struct reap_context, live)); \
	what(&(context)->prev, sizeof(*(context)) - offsetof(struct reap_context, prev));		\
} while (0)
#else	/* not even the addresses are to be made */
#define REAP__SAN_DESCRIPTOR(context, what)	((void)0)
#endif

static inline struct reap_context *
reap__context_of(struct reap_completion *done)
{
	return (struct reap_context *)(void *)((char *)done - offsetof(struct reap_context, done));
}

static inline uint32_t
reap__flags(const struct reap_context *context)
{
	return REAP_LOAD_RELAXED(&context->flags);
}

static inline void
reap__set_flags(struct reap_context *context, uint32_t set)
{
	/* No atomic addition: there is one writer at a time, the context itself or who makes, ends or collects it. */
	REAP_STORE_RELAXED(&context->flags, REAP_LOAD_RELAXED(&context->flags) | set);
}

/* Something about it turned out to be uncommon. */
static inline void
reap__not_plain(struct reap_context *context)
{
	REAP_STORE_RELAXED(&context->flags, REAP_LOAD_RELAXED(&context->flags) & ~REAP__PLAINLY);
	context->live->clean = NULL;
}

/* Has not run, and has no stack yet. */
static inline bool
reap__fresh(const struct reap_context *context)
{
	return REAP_LOAD_RELAXED(&context->sp) == REAP__FRESH;
}

/* How many of its children are private to its worker; by itself. */
static inline uint32_t
reap__private_kids(const struct reap_context *parent)
{
	return parent->kids - (reap__flags(parent) & REAP__KIN ? parent->live->shared_kids : 0);
}

/* One of its children is shared from now on. */
static inline void
reap__make_kin(struct reap_context *parent)
{
	if ((reap__flags(parent) & REAP__KIN) == 0) {
		parent->live->shared_kids = 0;
		reap__set_flags(parent, REAP__KIN);
	}
	parent->live->shared_kids++;
}

/* Usage lies behind the descriptor, in domains that keep it. */
static inline struct reap_usage *
reap__usage(struct reap_context *context)
{
	return (struct reap_usage *)(context + 1);
}

/* context.c */
uint64_t		 reap__context_init(struct reap_domain *, struct reap_worker *, struct reap_context *, uint32_t flags);
void			 reap__share_words(struct reap_context *);
void			*reap__bind(struct reap_context *) __attribute__((visibility("hidden")));

#define REAP__DESCRIPTORS_KEPT	1024	/* free ones that a worker keeps: 128 KiB */

/* descriptor.c; the warm halves are in worker.h */
struct reap_context	*reap__descriptor_get_cold(struct reap_domain *domain, struct reap_worker *worker);
void			 reap__descriptor_put_cold(struct reap_domain *domain, struct reap_context *);
void			 reap__descriptor_give_back(struct reap_domain *domain, struct reap_context *);
void			 reap__descriptor_hand_on(struct reap_worker *worker);
void			 reap__descriptor_donate(struct reap_worker *worker);
void			 reap__descriptor_trim(struct reap_domain *domain, struct reap_worker *worker);
uint64_t		 reap__descriptor_trim_aged(struct reap_domain *domain, struct reap_worker *worker);
void			 reap__descriptor_fini(struct reap_domain *domain);
void			 reap__ref_add(struct reap_worker *worker, struct reap_context *context, uint64_t n);

/* inbox.c */
bool			 reap__inbox_push(struct reap__inbox *, struct reap_context *, struct reap_waiter **sleeper);
void			 reap__inbox_take_cold(struct reap__inbox *);
struct reap_waiter	*reap__inbox_receive_cold(struct reap_context *parent, struct reap_context *child);
bool			 reap__inbox_await(struct reap__inbox *, struct reap_waiter *);
bool			 reap__inbox_unawait(struct reap__inbox *, struct reap_waiter *);
struct reap_waiter	*reap__inbox_kick(struct reap__inbox *);
struct reap_waiter	*reap__inbox_close(struct reap__inbox *);

static inline void
reap__inbox_append(struct reap__inbox *inbox, struct reap_context *context)
{
	struct reap_context *oldest = inbox->corpses;

	if (oldest == NULL) {
		context->next = context->prev = context;
		inbox->corpses = context;
		return;
	}
	context->next = oldest;
	context->prev = oldest->prev;
	oldest->prev->next = context;
	oldest->prev = context;
}

static inline void
reap__inbox_unlink(struct reap__inbox *inbox, struct reap_context *context)
{
	if (context->next == context) {
		inbox->corpses = NULL;
		return;
	}
	context->next->prev = context->prev;
	context->prev->next = context->next;
	if (inbox->corpses == context)
		inbox->corpses = context->next;
}

/* Move what has come to the corpses. */
static inline void
reap__inbox_take(struct reap__inbox *inbox)
{
	if (REAP_LOAD_RELAXED(&inbox->head) != 0)
		reap__inbox_take_cold(inbox);
}

/* barrier.c */
void			 reap__sleep_forget(struct reap_context *);
struct reap_context	*reap__sleeper(struct reap_waiter *);

/* exit.c: the first and the last of a context, up to the post */
void			 reap__entry(void *pass) __attribute__((visibility("hidden")));
void			 reap__entry_fresh(void *pass) __attribute__((visibility("hidden")));
void			 reap__bequeath(struct reap_context *, struct reap__told *);
struct reap_waiter	*reap__to_adopter(struct reap_context *);
struct reap_waiter	*reap__let_go(struct reap_worker *, struct reap_context *parent);
void			 reap__disinherit(struct reap_worker *, struct reap_context *);
struct reap_context	*reap__follower(const struct reap_worker *, struct reap_waiter *);

/* resume.c */
struct reap_context	*reap__resumer_of(struct reap_context *);
_Noreturn void		 reap__simple_exit(struct reap_worker *, struct reap_context *, uint32_t flags, intptr_t status)
			    __attribute__((visibility("hidden")));
uint32_t		 reap__simple_birth(const struct reap_domain *);

/* landing.c: from off the CPU to the post */
void			 reap__tell_host(struct reap_domain *, struct reap_context *child);
void			 reap__ready_all(struct reap__told *);
void			 reap__ended(struct reap_worker *, struct reap_context *, struct reap__told *);

/* collect.c: the reap */
void			 reap__result(struct reap_context *, struct reap_result *);
void			 reap__collect(struct reap_worker *, struct reap_context *, struct reap_context *collector,
			    enum reap_payer, struct reap_result *);
void			 reap__sweep(struct reap_worker *, struct reap_context *parent);

#endif
