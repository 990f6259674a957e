/* SPDX-License-Identifier: ISC */
/* compare.c: all that can be seen of the library, against the model. */
#include <errno.h>

#include "inside.h"

static void
compare_stats(void)
{
	const struct counts	*c = &model.count;
	struct reap_stats	 s = { .size = sizeof(s) };
	uint64_t		 backlog = 0, stacks = 0;

	SAME("reap_domain_stats()", reap_domain_stats(m.domain, &s), 0);
	SAME("stats.created", s.created, c->created);
	SAME("stats.exited", s.exited, c->exited);
	SAME("stats.reaped", s.reaped, c->reaped);
	SAME("stats.live", s.live, c->created - c->exited);
	SAME("stats.zombies", s.zombies, c->exited - c->reaped);
	SAME("stats.switches", s.switches, c->switches);
	SAME("stats.landings_posted", s.landings_posted, c->exited);	/* no reaper thread */
	SAME("stats.handed_direct", s.handed_direct, c->direct);
	SAME("stats.handed_base", s.handed_base, c->base);
	SAME("stats.barrier_waits", s.barrier_waits, c->barrier);
	SAME("stats.orphans", s.orphans, c->orphans);
	SAME("stats.detached", s.detached, c->detached);
	SAME("stats.limit", s.limit, model.config.limit);
	SAME("stats.limit_hits", s.limit_hits, c->limit_hits);
	SAME("stats.enomem_memory", s.enomem_memory, 0);
	SAME("stats.enomem_maps", s.enomem_maps, 0);
	for (int payer = 0; payer < PAYERS; payer++) {
		SAME_OF("the ledger's stacks", payer, s.ledger[payer].stacks, c->stacks[payer]);
		SAME_OF("the ledger's contexts", payer, s.ledger[payer].contexts, c->contexts[payer]);
		SAME_OF("the ledger's time", payer, s.ledger[payer].ns, 0);	/* the clock stands still meanwhile */
	}
	for (int k = 0; k < ADOPTERS; k++)
		if (model.heir[k].on) {
			SAME_OF("reap_adopter_backlog()", k, reap_adopter_backlog(m.adopter[k]), model_backlog(k));
			backlog += model_backlog(k);
			stacks += model.heir[k].stacks;
		}
	SAME("stats.backlog", s.backlog, backlog);
	for (int x = 0; x < model.nlives; x++)
		stacks += model.life[x].has_stack && model.life[x].stack < STACK_BORROWED;
	/* What is neither in use nor kept is lost; what is kept and in use is given out twice. */
	SAME("stacks in use", s.stacks_mapped - s.stacks_cached, model.config.ops ? 0 : stacks);
	if (s.stacks_resident > s.stacks_cached)
		fail("more stacks are resident than are free");
	SAME("stacks out of the embedder's allocator", m.foreign, model.foreign);
}

static void
compare_life(int x)
{
	const struct life	*l = &model.life[x];
	enum where		 where = model_where(x);
	enum reap_state		 state = REAP_STATE_RUNNING;
	struct reap_result	 result;
	const void		*lo, *sp, *hi;

	if (l->named && m.handle[x].generation != 0) {
		SAME_OF("reap_peek()", x, reap_peek(m.handle[x], &state, &result), where == IS_NONE ? -ESRCH : 0);
		SAME_OF("the state by name", x, state, where);
		if (where >= IS_EXITING) {
			SAME_OF("the status by name", x, result.status, l->status);
			SAME_OF("the handle by name", x, result.handle.generation, m.handle[x].generation);
			SAME_OF("the user word by name", x, (intptr_t)result.user, x + 1);
		}
	}
	if (l->fate == FATE_FREE || l->fate == FATE_REAPED)
		return;
	SAME_OF("reap_context_state()", x, reap_context_state(m.context[x]), where);
	SAME_OF("reap_context_user()", x, (intptr_t)reap_context_user(m.context[x]), x + 1);
	SAME_OF("reap_context_stack()", x, reap_context_stack(m.context[x], &lo, &sp, &hi), l->has_stack ? 0 : -ENOENT);
	if (reap_context_domain(m.context[x]) != m.domain)
		fail("c%d is of another domain", x);
	if (l->base == NOBODY)
		SAME_OF("reap_context_policy()", x, reap_context_policy(m.context[x]), l->policy);
	if (l->fate == FATE_LIVE && reap_context_parent(m.context[x]) != (l->parent != NOBODY ? m.context[l->parent] : NULL))
		fail("the parent of c%d must be c%d", x, l->parent);
	if (!l->exited) {
		if (reap_resumed_by(m.context[x]) != (l->owned && l->claimer != NOBODY ? m.context[l->claimer] : NULL))
			fail("the resumer of c%d must be c%d", x, l->owned ? l->claimer : NOBODY);
		if (l->owned && l->claimer != NOBODY)
			SAME_OF("reap_resumed_word()", x, reap_resumed_word(m.context[x]), l->word);
		if (l->owned && reap_context_parent(m.context[x]) != NULL)
			fail("c%d has a parent", x);
	}
	if (!l->exited) {
		int home = model_home(x);

		if (reap_context_home(m.context[x]) != (home != NOBODY ? m.worker[home] : NULL))
			fail("the home of c%d must be that of T%d", x, home);
	}
}

/* By a scan. */
struct seen {
	bool	 seen[CTX_MAX];
	const char *lo[CTX_MAX], *hi[CTX_MAX];
};

/* Does a collector see the stack of each, and no more of it than that, and what is passed? */
static void
see(const struct reap_scan *it, void *arg)
{
	struct seen		*scan = arg;
	int			 x = id_of(it->context);
	const struct life	*l = &model.life[x];
	const char		*lo = it->lo, *sp = it->sp, *hi = it->hi;
	enum where		 where = model_where(x);

	if (scan->seen[x])
		fail("a scan shows c%d twice", x);
	scan->seen[x] = true;
	SAME_OF("the state that a scan shows", x, it->state, where);
	SAME_OF("whether a scan shows a base context", x, it->base, l->base != NOBODY);
	SAME_OF("the user word that a scan shows", x, (intptr_t)it->user, x + 1);
	if (l->base != NOBODY || (lo == NULL && where == IS_NEW)) {
		if (lo != NULL || hi != NULL)
			fail("a scan shows a stack of c%d, which has none of the library's", x);
		if (l->base == NOBODY)
			SAME_OF("the argument that a scan shows", x, it->word, x);
		return;
	}
	SAME_OF("the word that a scan shows", x, it->word, l->owned && where != IS_NEW && where != IS_EXITING ? l->word : 0);
	SAME_OF("whether a scan shows a stack pointer", x, sp != NULL, where == IS_NEW || where == IS_SUSPENDED);
	if (lo >= hi || (sp != NULL && (sp < lo || sp >= hi)))
		fail("a scan shows c%d beside its stack", x);
	if (where != IS_NEW && (m.frame[x] < (sp != NULL ? sp : lo) || m.frame[x] >= hi))
		fail("a scan does not show the frames of c%d", x);
	for (int y = 0; y < model.nlives; y++)
		if (scan->lo[y] != NULL && lo < scan->hi[y] && scan->lo[y] < hi)
			fail("a scan shows c%d and c%d on one stack", x, y);
	scan->lo[x] = lo;
	scan->hi[x] = hi;
}

static void
compare_scan(void)
{
	struct seen scan = { { false }, { NULL }, { NULL } };

	(void)reap_domain_scan(m.domain, see, &scan);
	for (int x = 0; x < model.nlives; x++) {
		enum where where = model_where(x);

		SAME_OF("whether a scan shows it", x, scan.seen[x], where != IS_NONE && where != IS_ZOMBIE);
	}
}

void
compare(void)
{
	const struct reap_context *context = m.head;
	size_t	 visible = 0;
	int	 actor = model_actor();

	for (int i = 0; i < model.nqueue; i++) {
		if (context == NULL)
			fail("c%d must be in the host's queue", model.queue[i]);
		SAME("who is in the queue", id_of(context), model.queue[i]);
		context = *reap_context_link((struct reap_context *)(uintptr_t)context);
	}
	if (context != NULL)
		fail("c%d must not be in the host's queue", id_of(context));
	compare_stats();
	for (int x = 0; x < model.nlives; x++) {
		compare_life(x);
		visible += model.life[x].fate != FATE_FREE && model.life[x].fate != FATE_REAPED;
	}
	SAME("reap_domain_for_each()", reap_domain_for_each(m.domain, NULL, NULL), visible);
	compare_scan();
	SAME("reap_children()", reap_children(), actor != NOBODY ? model_children(actor) : 0);
	for (int g = 0; g < GROUPS; g++)
		if (model.club[g].on)
			SAME_OF("reap_group_members()", g, reap_group_members(m.group[g]), model.club[g].members);
	if (reap_domain_user(m.domain) != &m || (actor != NOBODY && reap_worker_domain(reap_worker_self()) != m.domain))
		fail("the domain or its user word is not ours");
	if (actor != NOBODY && reap_worker_current(reap_worker_self()) != m.context[actor])
		fail("the current context must be c%d", actor);
}
