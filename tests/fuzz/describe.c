/* SPDX-License-Identifier: ISC */
/* describe.c: an operation in words. */
#include <stdio.h>
#include <string.h>

#include "model.h"

#define LIFE(x)		(&model.life[x])

static const char *
actor_name(char *text, int actor)
{
	if (actor == NOBODY)
		strcpy(text, "-");
	else if (LIFE(actor)->base != NOBODY)
		snprintf(text, 16, "base%d", actor);
	else
		snprintf(text, 16, "c%d", actor);
	return text;
}

int
model_describe(const struct plan *p, char *line, size_t size)
{
	static const char *policies[] = { "", " adaptive", " parent", " successor", " adopter", " thread" };
	static const char *notifies[] = { "", " late", " early" };
	static const char *acts[] = { "", " that holds", " that creates", " that drains", " that trims", " that joins" };
	static const char *stacks[] = { "", " sized", " borrowed", " ops" };
	char who[16], x[16];
	int n = snprintf(line, size, "T%d%s %-6s %s", p->thread, p->idle ? " idle" : "", actor_name(who, p->actor),
	    program_name(p->op));

#define ADD(...)	(n += snprintf(line + n, (size_t)n < size ? size - (size_t)n : 0, __VA_ARGS__))
	if (p->x != NOBODY)
		ADD(" %s%s", actor_name(x, p->x), p->name ? " (named)" : "");
	switch (p->op) {
	case OP_CREATE:
	case OP_OWN:
		ADD("%s%s%s%s%s%s%s%s%s%s%s", p->create.spawn ? " spawn" : "", policies[p->create.policy],
		    notifies[p->create.notify], stacks[p->create.stack], p->create.small ? " too small" : "",
		    p->create.detached ? " detached" : "", p->create.privileged ? " privileged" : "",
		    p->create.pinned ? " pinned" : "", p->create.off_cpu ? " off_cpu" : "",
		    acts[p->create.off_act], p->create.ready ? " ready" : "");
		if (p->create.group != NOBODY)
			ADD(" group %d", p->create.group);
		if (p->create.adopter != NOBODY)
			ADD(" adopter %d", p->create.adopter);
		if (p->create.listeners != 0)
			ADD(" %d listeners%s", p->create.listeners, p->create.acts ? ", one acts" : "");
		break;
	case OP_EXIT:
		ADD(" %ld%s", (long)p->v, p->returns ? " by return" : "");
		if (p->k != NOBODY)
			ADD(" window for T%d", p->k);
		break;
	case OP_WAIT:
	case OP_WAIT_ANY:
	case OP_JOIN:
	case OP_GROUP_WAIT:
		if (p->op == OP_GROUP_WAIT)
			ADD(" %d", p->k);
		ADD("%s%s%s", p->flags & FLAG_NOHANG ? " nohang" : "", p->flags & FLAG_PEEK ? " peek" : "",
		    p->quiet ? " (no result)" : "");
		break;
	case OP_PARK:
		ADD(" %s", p->k ? "stays" : "readied");
		break;
	case OP_NO_ZOMBIES:
		ADD(" %s", p->k ? "on" : "off");
		break;
	case OP_RESUME:
	case OP_SUSPEND:
	case OP_TRANSFER:
		ADD("%s with %ld%s", p->flags != 0 && p->op == OP_RESUME ? " cancelled" : "", (long)p->v,
		    p->quiet ? " (not passed)" : "");
		break;
	case OP_DESTROY:
	case OP_DISCARD:
		ADD(" %ld", (long)p->v);
		break;
	case OP_DRAIN:
		ADD(" %d budget %ld", p->k, (long)p->v);
		break;
	case OP_ADOPTER:
		ADD(" %d heir %d", p->k, p->l);
		break;
	case OP_ADOPTER_END:
	case OP_ASSUME:
	case OP_ADOPTER_WAIT:
	case OP_INTERRUPT:
	case OP_GROUP:
	case OP_GROUP_END:
	case OP_MISUSE:
		ADD(" %d", p->k);
		break;
	case OP_LISTEN:
	case OP_UNLISTEN:
		ADD(" %d%s", p->k, p->op == OP_LISTEN && p->v ? " acts" : "");
		break;
	case OP_TRIM_AGED:
		ADD(" after %ld ns", (long)p->v);
		break;
	case OP_BATON:
		ADD(" T%d", p->k);
		break;
	default:
		break;
	}
	if (p->dequeue)
		ADD(" (off the queue)");
#undef ADD
	return n;
}
