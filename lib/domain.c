/* SPDX-License-Identifier: ISC */
/*
 * domain.c: making and ending what belongs together.
 */
#include <errno.h>
#include <stdlib.h>

#include <reap/atomic.h>

#include "os/os.h"
#include "worker.h"

int
reap_domain_create(const struct reap_domain_options *options, struct reap_domain **out)
{
	struct reap_domain	*domain;
	int			 error;

	if (options == NULL || out == NULL || !reap__options_fit(options, options->size, sizeof(*options)) ||
	    (unsigned)options->policy > REAP_POLICY_THREAD || (unsigned)options->notify > REAP_NOTIFY_EARLY ||
	    (options->limit == 0 ? options->reserve != 0 : options->reserve > options->limit) ||
	    (options->host != NULL && (options->host->next == NULL) != (options->host->ready == NULL)))
		return -EINVAL;
	domain = aligned_alloc(64, (sizeof(*domain) + 63) & ~(size_t)63);
	if (domain == NULL)
		return -ENOMEM;
	*domain = (struct reap_domain){
		.policy = options->policy != REAP_POLICY_DEFAULT ? options->policy : REAP_POLICY_ADAPTIVE,
		.notify = options->notify != REAP_NOTIFY_DEFAULT ? options->notify : REAP_NOTIFY_LATE,
		.limit = options->limit,
		.reserve = options->reserve,
		.credits = options->limit,
		.user = options->user,
		.usage = options->usage,
		.ledger_time = options->ledger_time,
		.clock = options->clock != NULL ? options->clock : reap__os_clock,
		.clock_arg = options->clock_arg,
		.before_final_switch = options->before_final_switch,
		.generation = 1,	/* 0 is nobody's */
	};
	if (options->host != NULL) {
		domain->host = *options->host;
		domain->hosted = options->host->next != NULL;
	}
	error = reap__depot_init(&domain->depot, &options->stack, domain->clock, domain->clock_arg);
	if (error != 0) {
		free(domain);
		return error;
	}
	if (pthread_mutex_init(&domain->lock, NULL) != 0) {
		reap__depot_fini(&domain->depot);
		free(domain);
		return -ENOMEM;
	}
	reap__adopter_init(&domain->adopter, domain, NULL);
	*out = domain;
	return 0;
}

void *
reap_domain_user(const struct reap_domain *domain)
{
	return domain->user;
}

struct listing {
	void	(*unjoined)(struct reap_context *, void *);
	void	*arg;
	size_t	 live;
};

static void
count_live(struct reap_context *context, void *arg)
{
	struct listing *listing = arg;

	/* One that has exited but is not posted is in the hands of the reaper thread: no worker is left. */
	if (!(reap__flags(context) & REAP__EXITED))
		listing->live++;
}

/* Nobody has waited for it either; its adopter has not come to it yet. */
static void
list_orphan(struct reap_context *context, void *arg)
{
	struct listing *listing = arg;

	if (listing->unjoined != NULL &&
	    REAP__CLAIM_STATE(REAP_LOAD_RELAXED(&context->claim)) == REAP__ORPHANED)
		listing->unjoined(context, listing->arg);
}

static void
bury(struct reap_context *context, void *arg)
{
	struct listing *listing = arg;

	if (listing->unjoined != NULL)
		listing->unjoined(context, listing->arg);
	/* It has no family any more: whoever was its parent has ended and has let it go, or is buried in this same walk. */
	REAP_STORE_RELAXED(&context->claim,
	    REAP__CLAIM(REAP__CLAIM_GENERATION(REAP_LOAD_RELAXED(&context->claim)), REAP__ADOPTED));
	reap__collect(NULL, context, NULL, REAP_PAYER_ADOPTER, NULL);
}

int
reap_domain_destroy(struct reap_domain *domain, void (*unjoined)(struct reap_context *, void *), void *arg)
{
	struct listing listing = { unjoined, arg, 0 };

	if (domain == NULL)
		return -EINVAL;
	if (domain->nworkers != 0 || domain->adopters != NULL || REAP_LOAD_RELAXED(&domain->ngroups) != 0)
		return -EBUSY;
	(void)reap_domain_for_each(domain, count_live, &listing);
	if (listing.live != 0)
		return -EBUSY;
	reap__reaper_fini(domain);
	(void)reap_domain_for_each(domain, list_orphan, &listing);
	while (reap_adopter_drain(&domain->adopter, 1024) > 0)
		continue;
	(void)reap_domain_for_each(domain, bury, &listing);
	reap__descriptor_fini(domain);
	reap__depot_fini(&domain->depot);
	pthread_mutex_destroy(&domain->lock);
	free(domain);
	return 0;
}

int
reap_stack_lookup(const struct reap_domain *domain, const void *address, struct reap_stack_info *info)
{
	return reap__stack_lookup(&domain->depot, address, info);
}

size_t
reap_trim(struct reap_domain *domain)
{
	struct reap_worker	*worker = reap__worker_in(domain);
	size_t			 bytes = reap__stack_trim(&domain->depot, worker != NULL ? &worker->cache : NULL);

	reap__descriptor_trim(domain, worker);
	return bytes;
}

uint64_t
reap_trim_aged(struct reap_domain *domain)
{
	struct reap_worker *worker = reap__worker_in(domain);

	uint64_t		 stacks = reap__stack_trim_aged(&domain->depot, worker != NULL ? &worker->cache : NULL);
	uint64_t		 descriptors = reap__descriptor_trim_aged(domain, worker);

	return stacks < descriptors ? stacks : descriptors;
}
