/* SPDX-License-Identifier: ISC */
/*
 * reap.pml: the protocol of libreap, sequentially consistent, for Spin.
 *
 * Contexts do what they please: spawn, wait for any child, join by name, detach, and end.  They run on workers that take from
 * one queue.  Every access of the library to a shared word is a step here, and anybody may come between two of them; what
 * only its owner can see is done in the same step.  A switch has two ends: the dying or parking context fills the slot in one step and leaves the CPU in a
 * later one, and what its successor does then is the landing.
 *
 *	-DWORKERS=n -DCONTEXTS=n	how many
 *	-DSTAR				only the first context spawns; without: all do
 *	-DJOIN				each context may once join one that is younger than itself (cycles are not the subject)
 *	-DDETACH			each context may once detach one that is younger
 *	-DTHREAD			an OS thread joins some context, sleeping in the kernel
 *	-DUNWANTED			each context may say at its start that it wants no zombies
 *	-DNOTIFY=n			0: late, 1: early, 2: each exit chooses
 *	-DPOLICY=n			0: the collector frees the stack, 1: the landing caches it, 2: adaptive
 *	-DPOLL				the adopter looks again and again at who is not off the CPU yet; without: waits for it
 *
 * MUTANT_x seeds an error; see the list in `run'.
 */
#ifndef WORKERS
#define WORKERS		2
#endif
#ifndef CONTEXTS
#define CONTEXTS	3
#endif
#ifndef NOTIFY
#define NOTIFY		0
#endif
#ifndef POLICY
#define POLICY		2
#endif
#ifdef STAR
#define SPAWNS(me)	((me) == ROOT)
#else
#define SPAWNS(me)	true
#endif
#ifdef THREAD
#define THREADS		1
#else
#define THREADS		0
#endif
#define CACHE		1			/* stacks in a worker's cache; what exceeds it goes to the depot */

/* Who: 0 is the adopter, then the contexts in the order of their making, the base contexts, the OS thread. */
#define ADOPTER		0
#define ROOT		1
#define BASE(w)		(CONTEXTS + 1 + (w))
#define THREAD_ID	(CONTEXTS + 1 + WORKERS)
#define BIT(who)	(1 << (who))

/* The completion. */
#define PENDING		0
#define POSTED		1
#define WAITER(who)	(2 + (who))

/* The claim. */
#define FREE		0
#define LIVE		1
#define CLAIMED		2
#define ZOMBIE		3
#define ADOPTED		4
#define REAPED		5

/* The head of an inbox. */
#define EMPTY		0
#define LIST		1
#define SLEEPER		2
#define KICKED		3
#define CLOSED		4

#define ALIVE		16			/* references of one who has not been reaped */

/* A stack: in the depot or never used, in a worker's cache, or a context's. */
#define DEPOT		0
#define CACHED(w)	(1 + (w))
#define OWNED		32

#define PARKED		64			/* in the slot, beside who: not dead, but to be published */

byte done[CONTEXTS + 1];
byte claim[CONTEXTS + 1];
short refs[CONTEXTS + 1];
byte gone[CONTEXTS + 1];			/* in the library a part of refs */
byte kids[CONTEXTS + 1];
byte parent[CONTEXTS + 1];
byte head[CONTEXTS + 1];
byte list[CONTEXTS + 1];			/* if the head is LIST: which */
byte corpses[CONTEXTS + 1];
byte sleeps_on[CONTEXTS + 1];			/* parked: whose completion; 0: its own inbox */
byte exited;					/* bits: called exit */
byte listed;					/* bits: on the parent's inbox */
byte unwanted;					/* bits: wants no zombies */
byte void_;					/* bits: the descriptor has been freed */
byte reaped;					/* bits */
byte waiting;					/* bits: in a wait, for the properties */

byte at[CONTEXTS + 1 + WORKERS];		/* on the CPU of which worker, plus 1; 0: off the CPU */
byte slot[WORKERS];
byte told[WORKERS];				/* bits: sleepers that the exit in the slot has woken */
byte stack[CONTEXTS];				/* state of each stack */
byte stack_of[CONTEXTS + 1];			/* which, plus 1; 0: none */
chan runnable = [CONTEXTS] of { byte };
byte spawned, live, stopped, owed, ended;
bool awake, readied, interrupted, over;

#define untouched(who)	assert(!(void_ & BIT(who)))	/* a descriptor that nobody may touch any more */

/* Step by step, as in lib/.  The variables that are not global are those of the process: see `scratch'. */
#define scratch									\
	byte w, x, s, n, word, told_now, tomb, child, late;		\
	bool ok

inline ready(who)
{
	atomic {
		if
		:: who == ADOPTER -> awake = true
		:: who == THREAD_ID -> readied = true
		:: else ->
			assert(at[who] == 0);			/* [7] */
			assert(!(runnable ?? [eval(who)]));
			runnable ! who
		fi
	}
}

inline ready_all(mask)
{
	do
	:: mask == 0 -> break
	:: mask != 0 ->
		atomic {
			s = 0;
			do
			:: mask & BIT(s) -> break
			:: else -> s++
			od;
			mask = mask & ~BIT(s);
			ready(s);
			s = 0
		}
	od;
	skip			/* Spin lets no break lead into a d_step */
}

inline ref_add(who, count)
{
	d_step {
		untouched(who);
		refs[who] = refs[who] + (count);
		assert(refs[who] >= 0);
		if
		:: refs[who] == 0 -> void_ = void_ | BIT(who); claim[who] = FREE
		:: else
		fi
	}
}

/* inbox.c */
inline inbox_push(to, who, mask)
{
	d_step {
		untouched(to);
		if
#ifndef MUTANT_push_to_closed
		:: head[to] == CLOSED -> ok = false
#endif
		:: else ->
			if
			:: head[to] == SLEEPER -> mask = mask | BIT(to)
			:: else
			fi;
			head[to] = LIST;
			list[to] = list[to] | BIT(who);
			ok = true
		fi
	}
}

inline inbox_take(who)
{
	d_step {
		if
		:: head[who] == LIST || head[who] == KICKED ->
			corpses[who] = corpses[who] | list[who];
			list[who] = 0;
			head[who] = EMPTY
		:: else
		fi
	}
}

inline inbox_kick(who, mask)
{
	d_step {
		untouched(who);
		if
		:: head[who] == EMPTY -> head[who] = KICKED
		:: head[who] == SLEEPER -> head[who] = EMPTY; mask = mask | BIT(who)
		:: else
		fi
	}
}

/* exit.c */
inline to_adopter(who, mask)
{
	d_step { owed++ };
	inbox_push(ADOPTER, who, mask)
}

inline let_go(who, mask)
{
#ifdef MUTANT_kick_before_count
	inbox_kick(who, mask);
	d_step { untouched(who); gone[who]++ };
#else
	d_step { untouched(who); gone[who]++ };
#ifdef MUTANT_drop_before_kick
	ref_add(who, -1);
#endif
#ifndef MUTANT_no_kick
	inbox_kick(who, mask);
#endif
#endif
#ifndef MUTANT_drop_before_kick
	ref_add(who, -1)
#endif
}

/* Inside a d_step.  On a worker its cache is first choice; the adopter and the OS thread have none. */
inline put_stack(who)
{
	s = stack_of[who];
	if
	:: s != 0 ->
		assert(at[who] == 0);			/* [1] */
		assert(stack[s - 1] == OWNED);
		stack_of[who] = 0;
		n = 0;
		late = 0;
		do
		:: n < CONTEXTS -> late = late + (stack[n] == CACHED(w)); n++
		:: else -> break
		od;
		stack[s - 1] = (w < WORKERS && late < CACHE -> CACHED(w) : DEPOT)
	:: else
	fi;
	s = 0; n = 0; late = 0
}

inline post(who)
{
	d_step {
		untouched(who);
		assert(done[who] != POSTED);		/* once */
		word = done[who];
		done[who] = POSTED;
		live--
	};
	if
	:: word >= 2 -> ready(word - 2)
	:: else
	fi;
	word = 0
}

/* Inside a d_step: empty the slot, and by policy take the stack of a dead one.  x: who it was. */
inline take_slot()
{
	x = slot[w];
	told_now = told[w];
	told[w] = 0;
#ifndef MUTANT_slot_not_cleared
	slot[w] = 0;
#endif
	if
	:: x != 0 && x < PARKED ->
		untouched(x);
		/* A glance, no more: who comes to wait after it gets a thin zombie. */
		if
		:: POLICY == 1 || (POLICY == 2 && (claim[x] == ADOPTED || (told_now == 0 && done[x] == PENDING))) ->
			put_stack(x)
		:: else
		fi
	:: else
	fi
}

/* The rest of a landing: reap__ended() and publish(). */
inline landing()
{
	if
	:: x == 0
	:: x != 0 && x < PARKED ->
#ifndef MUTANT_post_before_switch
		post(x);
#endif
#ifdef MUTANT_touch_after_post
		untouched(x);
#endif
		x = 0;
		ready_all(told_now)
	:: x >= PARKED ->
#ifndef MUTANT_publish_before_switch
		arm(x - PARKED);
		if
		:: !ok -> ready(x - PARKED)
		:: else
		fi;
		ok = false;
#endif
		x = 0
	fi
}

/* The sleeper's waiter goes where the waker will look, in one step with the last look.  ok: it sleeps. */
inline arm(who)
{
#ifdef MUTANT_park_without_recheck
	ok = (sleeps_on[who] == 0 -> head[who] == EMPTY : done[sleeps_on[who]] == PENDING);
	if
	:: ok ->
		d_step {
			if
			:: sleeps_on[who] == 0 -> head[who] = SLEEPER
			:: else -> done[sleeps_on[who]] = WAITER(who)
			fi
		}
	:: else
	fi
#else
	d_step {
		if
		:: sleeps_on[who] == 0 ->
			ok = head[who] == EMPTY;
			if
			:: ok -> head[who] = SLEEPER
			:: else
			fi
		:: else ->
			untouched(sleeps_on[who]);
			assert(done[sleeps_on[who]] < 2);	/* the claim is ours: no other waiter */
			ok = done[sleeps_on[who]] == PENDING;
			if
			:: ok -> done[sleeps_on[who]] = WAITER(who)
			:: else
			fi
		fi
	}
#endif
}

/* Leave the CPU to the successor that x says; come back when somebody switches here. */
inline leave(me)
{
	d_step {
		assert(at[x] == 0);		/* nobody runs on two CPUs */
		at[me] = 0;
		at[x] = w + 1;
		x = 0;
		w = 0
	}
}

inline arrive(me)
{
	d_step { at[me] != 0 -> w = at[me] - 1; take_slot() };
	landing()
}

/* Inside a d_step: who runs next? */
inline successor()
{
	if
	:: len(runnable) != 0 -> runnable ? x
	:: len(runnable) == 0 -> x = BASE(w)
	fi;
	assert(slot[w] == 0)			/* [3] */
}

inline park(me, on)
{
#ifdef MUTANT_publish_before_switch
	sleeps_on[me] = on;
	arm(me);
	if
	:: ok ->
#endif
	d_step { sleeps_on[me] = on; successor(); slot[w] = PARKED + me };
	leave(me);
	arrive(me)
#ifdef MUTANT_publish_before_switch
	:: else
	fi
#endif
}

/* wait.c.  ok: the caller is the collector now [5] */
inline claim_it(who)
{
#ifdef MUTANT_claim_not_atomic
	ok = claim[who] == LIVE || claim[who] == ZOMBIE;
	if
	:: ok -> claim[who] = CLAIMED
	:: else
	fi
#else
	d_step {
		ok = claim[who] == LIVE || claim[who] == ZOMBIE;
		if
		:: ok -> untouched(who); claim[who] = CLAIMED
		:: else
		fi
	}
#endif
}

#ifdef MUTANT_no_barrier
#define off_cpu(who)	((exited & BIT(who)) != 0)
#else
#define off_cpu(who)	(done[who] == POSTED)
#endif

inline barrier(me, who)
{
	do
	:: d_step { off_cpu(who) -> waiting = waiting & ~BIT(me) }; break
	:: d_step { !off_cpu(who) -> waiting = waiting | BIT(me) };
		park(me, who)
#ifdef MUTANT_early_without_rearm
		; break
#endif
	od
}

inline free_family(me, who)
{
	if
	:: parent[who] != 0 && claim[who] != ADOPTED && parent[who] == me ->
		if
		:: listed & BIT(who) ->
			inbox_take(me);
			d_step {
				assert(corpses[me] & BIT(who));
				corpses[me] = corpses[me] & ~BIT(who);
				kids[me]--
			}
		:: else -> kids[me]--
		fi
	:: parent[who] != 0 && claim[who] != ADOPTED && parent[who] != me ->
#ifndef MUTANT_no_tombstone
		tomb = (listed & BIT(who) -> 1 : 0);
#endif
		let_go(parent[who], told_now)
	:: else
	fi
}

/* collect.c.  me: who does it; the adopter and the OS thread have no worker. */
inline collect(me, who)
{
	d_step {
		untouched(who);
		assert(claim[who] == CLAIMED || claim[who] == ADOPTED);
		assert(exited & BIT(who));
		put_stack(who)
	};
	free_family(me, who);
	d_step {
		assert(!(reaped & BIT(who)));		/* [5] */
		reaped = reaped | BIT(who);
		claim[who] = REAPED
	};
	ref_add(who, kids[who] + tomb - ALIVE);
	tomb = 0;
	ready_all(told_now)
}

/* Inside a d_step: n, or the next one that is in the set. */
inline next_in(set)
{
	do
	:: n <= CONTEXTS && !(set & BIT(n)) -> n++
	:: else -> break
	od
}

/* Of the corpses of `me' the first that is off the CPU, else the first that is not.  child: claimed, or 0. */
inline pick(me)
{
	do
	:: n = 1;
		do
		:: d_step {
				next_in(corpses[me]);
				word = 0;
				if
				:: n > CONTEXTS
				:: n <= CONTEXTS && claim[n] != ZOMBIE ->	/* a joiner's */
					word = 1;
					corpses[me] = corpses[me] & ~BIT(n)
				:: n <= CONTEXTS && claim[n] == ZOMBIE && done[n] == POSTED -> word = 2
				:: n <= CONTEXTS && claim[n] == ZOMBIE && done[n] != POSTED ->
					late = (late == 0 -> n : late);
					n++
				fi
			};
			if
			:: n > CONTEXTS -> break
			:: n <= CONTEXTS && word == 0
			:: n <= CONTEXTS && word == 1 -> word = 0; ref_add(n, -1)
			:: n <= CONTEXTS && word == 2 -> word = 0;
				claim_it(n);
				if
				:: ok -> child = n; break
				:: else				/* a joiner's by now: looked at again */
				fi
			fi
		od;
		if
		:: child == 0 && late != 0 ->
			claim_it(late);
			if
			:: ok -> child = late; break
			:: else -> late = 0
			fi
		:: else -> break
		fi
	od;
	skip;
	d_step { n = 0; late = 0; word = 0; ok = false }
}

/* Until `child' is somebody to be collected, or there is none that could be waited for: -ECHILD. */
inline wait_any(me)
{
	do
	:: true ->
		inbox_take(me);
		pick(me);
		if
		:: child != 0 -> break
		:: child == 0 && kids[me] == gone[me] -> waiting = waiting & ~BIT(me); break
		:: child == 0 && kids[me] != gone[me] -> waiting = waiting | BIT(me)
		fi;
		park(me, 0)
	od
}

/* n: somebody younger than `me' */
inline younger(me)
{
	n = me + 1;
	do
	:: n < spawned -> n++
	:: break
	od
}

inline join(who)
{
	claim_it(who);
	d_step { child = (ok -> who : 0); ok = false }
}

/* `held' until the end: a zombie is joined instead. */
inline detach(who)
{
	d_step {
		ok = refs[who] != 0 && claim[who] != REAPED;
		refs[who] = (ok -> refs[who] + 1 : refs[who]);
		held = (ok -> who : 0);
		ok = false
	};
	if
	:: held != 0 ->
#ifdef MUTANT_detach_not_atomic
		word = claim[held];
		claim[held] = (word == LIVE -> ADOPTED : claim[held]);
#else
		d_step {
			word = claim[held];
			claim[held] = (word == LIVE -> ADOPTED : claim[held])
		};
#endif
		if
		:: word == LIVE -> word = 0; let_go(parent[held], told_now)
		:: word == ZOMBIE -> word = 0; join(held)
		:: else -> word = 0
		fi
	:: else
	fi
}

/* reap__sweep(), with a threshold of one */
inline sweep(me)
{
	if
	:: gone[me] != 0 ->
		s = gone[me];
		inbox_take(me);
		n = 1;
		do
		:: d_step {
				next_in(corpses[me]);
				word = (n <= CONTEXTS && claim[n] != ZOMBIE -> n : 0);
				corpses[me] = (word != 0 -> corpses[me] & ~BIT(n) : corpses[me])
			};
			if
			:: n > CONTEXTS -> break
			:: n <= CONTEXTS && word != 0 -> word = 0; ref_add(n, -1)
			:: n <= CONTEXTS && word == 0 -> n++
			fi
		od;
		skip;
		d_step {
			kids[me] = kids[me] - s;
			refs[me] = refs[me] + s;
			gone[me] = gone[me] - s;
			s = 0; n = 0
		}
	:: else
	fi
}

inline spawn(me, who)
{
	sweep(me);
	d_step {
		kids[me]++;
		claim[who] = LIVE;
		refs[who] = ALIVE;
		parent[who] = me;
		live++;
		/* One's own cache, then the depot: a stack of another worker's cache is never taken. */
		n = 0;
		do
		:: n < CONTEXTS && stack[n] != CACHED(w) -> n++
		:: else -> break
		od;
		if
		:: n == CONTEXTS ->
			n = 0;
			do
			:: n < CONTEXTS && stack[n] != DEPOT -> n++
			:: else -> break
			od
		:: else
		fi;
		assert(n < CONTEXTS);			/* bounded: there are as many stacks as contexts */
		stack[n] = OWNED;
		stack_of[who] = n + 1;
		n = 0
	};
	ready(who)
}

inline disinherit(me)
{
	if
	:: kids[me] != 0 ->
		d_step {
#ifndef MUTANT_inbox_left_open
			head[me] = CLOSED;
#endif
			corpses[me] = corpses[me] | list[me];
			list[me] = 0
		};
		n = 1;
		do
		:: d_step {
				next_in(corpses[me]);
				if
				:: n <= CONTEXTS ->
					corpses[me] = corpses[me] & ~BIT(n);
					ok = claim[n] == ZOMBIE;
					claim[n] = (ok -> ADOPTED : claim[n]);
					kids[me] = (ok -> kids[me] - 1 : kids[me])
				:: else
				fi
			};
			if
			:: n > CONTEXTS -> break
			:: n <= CONTEXTS && ok ->
				to_adopter(n, told_now);
				ready_all(told_now)
			:: n <= CONTEXTS && !ok -> ref_add(n, -1)
			fi
		od;
		n = 0
	:: else
	fi
}

inline bequeath(me)
{
	d_step {
		exited = exited | BIT(me);
		x = (unwanted & BIT(parent[me]) -> ADOPTED : ZOMBIE);
		word = claim[me];
		if
		:: word == LIVE -> claim[me] = x
		:: else
		fi
	};
	if
	:: word == LIVE && x == ADOPTED ->
		let_go(parent[me], told_now);
		to_adopter(me, told_now)
	:: word == LIVE && x == ZOMBIE ->
		listed = listed | BIT(me);	/* nobody looks before the post */
		inbox_push(parent[me], me, told_now);
		if
		:: ok
		:: else ->
			listed = listed & ~BIT(me);
			d_step {
				ok = claim[me] == ZOMBIE;
				if
				:: ok -> claim[me] = ADOPTED
				:: else
				fi
			};
			if
			:: ok ->
				let_go(parent[me], told_now);
				to_adopter(me, told_now)
			:: else
			fi
		fi
	:: word == ADOPTED -> to_adopter(me, told_now)
	:: else					/* claimed: the collector sleeps on the completion, or will look at it */
	fi;
	d_step { x = 0; word = 0; ok = false }
}

inline tell_early(me)
{
	d_step {
		if
		:: done[me] >= 2 -> word = done[me]; done[me] = PENDING
		:: else
		fi
	};
	if
	:: word != 0 -> ready(word - 2)
	:: else
	fi;
	word = 0;
	ready_all(told_now)
}

proctype context(byte me)
{
	scratch;
	bool joined, detached;
	byte held;

	if
	:: stopped == WORKERS && me > spawned -> goto never_made
#ifdef MUTANT_no_landing_at_entry
	:: d_step { at[me] != 0 -> w = at[me] - 1 }
#else
	:: d_step { at[me] != 0 -> w = at[me] - 1; take_slot() }
#endif
	fi;
	landing();				/* the first run of a fresh context included [4] */
#ifdef UNWANTED
	if
	:: me == ROOT -> unwanted = unwanted | BIT(me)
	:: true
	fi;
#endif
	do
	:: atomic { SPAWNS(me) && spawned < CONTEXTS -> spawned++; child = spawned };
		spawn(me, child);
		child = 0
	:: kids[me] != 0 ->
		wait_any(me);
		if
		:: child == 0 -> break
		:: child != 0 -> goto collects
		fi
#ifdef JOIN
	:: !joined && me < spawned ->
		joined = true;
		younger(me);
		join(n);
		n = 0;
		goto collects
#endif
#ifdef DETACH
	:: !detached && me < spawned ->
		detached = true;
		younger(me);
		detach(n);
		n = 0;
		goto collects
#endif
	:: false ->
collects:	if
		:: child != 0 ->
			barrier(me, child);
			collect(me, child);
			child = 0
		:: else
		fi;
#ifdef DETACH
		if
		:: held != 0 ->
			ref_add(held, -1);
			held = 0;
			ready_all(told_now)
		:: else
		fi
#endif
	:: break
	od;
	skip;
	d_step { ok = false; joined = false; detached = false };

	/* reap_exit() */
	disinherit(me);
	bequeath(me);
	if
#if NOTIFY != 0
	:: tell_early(me)
#endif
#if NOTIFY != 1
	:: true
#endif
	fi;
	d_step {
		successor();
#ifdef MUTANT_shelve_before_switch
		put_stack(me);
#endif
		slot[w] = me;
		told[w] = told_now;
		told_now = 0
	};
#ifdef MUTANT_post_before_switch
	post(me);
#endif
	leave(me);
never_made:
	skip
}

proctype worker(byte w_; bool runs)
{
	scratch;

	w = w_;
	do
	:: !runs ->
#ifdef MUTANT_no_landing_at_base
		d_step { at[BASE(w_)] != 0 -> w = w_; runs = true }
#else
		arrive(BASE(w_));
		runs = true
#endif
	:: d_step { runs && nempty(runnable) -> runnable ? x; assert(slot[w] == 0); runs = false };
		leave(BASE(w))
	:: runs && live == 0 -> break
	od;
	/* reap_worker_stop() */
	skip;
	d_step {
		assert(slot[w] == 0);			/* [9] */
#ifndef MUTANT_stop_keeps_cache
		do
		:: n < CONTEXTS ->
			stack[n] = (stack[n] == CACHED(w) -> DEPOT : stack[n]);
			n++
		:: else -> break
		od;
#endif
		n = 0;
		at[BASE(w_)] = 0;
		stopped++;
		x = (stopped == WORKERS -> 1 : 0)
	};
	if
	:: x != 0 ->
		interrupted = true;
		inbox_kick(ADOPTER, told_now);
		ready_all(told_now)
	:: else
	fi
}

/* adopter.c, driven by a thread of its own */
proctype adopter()
{
	scratch;

	w = WORKERS;
	do
	:: d_step {
			corpses[ADOPTER] = corpses[ADOPTER] | list[ADOPTER];
			list[ADOPTER] = 0;
			head[ADOPTER] = (head[ADOPTER] == SLEEPER -> SLEEPER : EMPTY);
			n = 1;
			do
			:: n <= CONTEXTS && !((corpses[ADOPTER] & BIT(n)) && done[n] == POSTED) -> n++
			:: else -> break
			od;
			child = (n <= CONTEXTS -> n : 0);
			n = 0;
			corpses[ADOPTER] = (child != 0 -> corpses[ADOPTER] & ~BIT(child) : corpses[ADOPTER])
		};
		if
		:: child != 0 -> collect(ADOPTER, child); d_step { child = 0; owed-- }
		:: else ->
			d_step { head[ADOPTER] = (head[ADOPTER] == KICKED -> EMPTY : head[ADOPTER]) };
			if
			:: owed == 0 && interrupted -> break
			:: owed == 0 && !interrupted ->
				d_step {
					ok = head[ADOPTER] == EMPTY;
					head[ADOPTER] = (ok -> SLEEPER : head[ADOPTER])
				};
				if
				:: ok -> awake; awake = false
				:: else
				fi;
				ok = false
			:: owed != 0 ->
#ifdef POLL
				skip
#else
				/* What is owed comes, and leaves its CPU. */
				head[ADOPTER] != EMPTY || interrupted ||
				    ((corpses[ADOPTER] & BIT(1)) && done[1] == POSTED) ||
#if CONTEXTS > 1
				    ((corpses[ADOPTER] & BIT(2)) && done[2] == POSTED) ||
#endif
#if CONTEXTS > 2
				    ((corpses[ADOPTER] & BIT(3)) && done[3] == POSTED) ||
#endif
#if CONTEXTS > 3
				    ((corpses[ADOPTER] & BIT(4)) && done[4] == POSTED) ||
#endif
				    false
#endif
			fi
		fi
	od;
	ended++
}

#ifdef THREAD
/* reap_join() by an OS thread that is no worker */
proctype thread()
{
	scratch;

	w = WORKERS;
	child = ROOT;
	do
	:: child < CONTEXTS -> child++
	:: break
	od;
	if
	:: child > spawned -> skip			/* a name that nobody has */
	:: else ->
		claim_it(child);
		if
		:: ok ->
			do
			:: done[child] == POSTED -> break
			:: else ->
				readied = false;
				d_step {
					ok = done[child] == PENDING;
					done[child] = (ok -> WAITER(THREAD_ID) : done[child])
				};
				if
				:: ok -> readied
				:: else
				fi
			od;
			collect(THREAD_ID, child)
		:: else
		fi
	fi;
	ended++
}
#endif

init
{
	byte i;

	atomic {
		spawned = 1;
		live = 1;
		refs[ROOT] = ALIVE;
		claim[ROOT] = ADOPTED;			/* made by a thread, detached: it has no parent */
		stack[0] = OWNED;
		stack_of[ROOT] = 1;
		refs[ADOPTER] = ALIVE;
		i = 0;
		do
		:: i < WORKERS -> at[BASE(i)] = i + 1; i++
		:: else -> break
		od;
		at[BASE(0)] = 0;		/* it begins where it would get to: workers are alike */
		at[ROOT] = 1;
		i = 1;
		do
		:: i <= CONTEXTS -> run context(i); i++
		:: else -> break
		od;
		i = 0;
		do
		:: i < WORKERS -> run worker(i, i != 0); i++
		:: else -> break
		od;
		run adopter();
#ifdef THREAD
		run thread();
#endif
	}
	ended == 1 + THREADS;			/* the adopter is the last to end, but for the OS thread */
	d_step {
		i = 1;
		do
		:: i <= spawned ->
			assert(done[i] == POSTED);	/* [9] */
			assert(reaped & BIT(i));
			assert(void_ & BIT(i));		/* no descriptor leaks */
			i++
		:: else -> break
		od;
		i = 0;
		do
		:: i < CONTEXTS -> assert(stack[i] == DEPOT); i++
		:: else -> break
		od;
		i = 0;
		do
		:: i < WORKERS -> assert(slot[i] == 0); i++
		:: else -> break
		od;
		assert(owed == 0 && live == 0);
		over = true
	}
}

ltl all_ends { <> over }
/* Of the first two contexts besides the root; the others are like them. */
ltl exit_leaves_cpu { [] ((exited & BIT(2)) -> <> (done[2] == POSTED)) }
ltl waiter_returns { [] ((waiting & BIT(1)) -> <> !(waiting & BIT(1))) }
ltl detached_is_reaped { [] ((claim[2] == ADOPTED) -> <> (reaped & BIT(2))) }
