#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Is the fuzzer able to see anything?  Seeds errors into a private copy of the library; each must be found.

usage: mutants.py --work DIR [--table FILE] [--update] [--cc CC] [--cflags FLAGS] ROOT LIBRARY-SOURCE... [-- NAME...]

Each is met with the input that is known to find it (mutants.killers), then with the whole corpus, then with programs that are
made up.  An edit that no longer fits the source fails, too.  TAP on standard output.  --update writes mutants.killers, and puts
what was made up, shortened, into the corpus.
--table FILE: tab-separated, mutant, what it does, the input that found it.
"""
import argparse
import glob
import os
import re
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
import build     # noqa: E402: nothing is left in the source tree

SECONDS, SECONDS_LONG = 4, 30       # of made-up programs
KILLERS = os.path.join(build.HERE, 'mutants.killers')
CORPUS = os.path.join(build.HERE, 'corpus')

# name, what, then (file, pattern, replacement): all of them are done, each once, or everywhere if the pattern begins with (?#all).
# Blanks in a pattern fit any run of blanks.
MUTANTS = [
    ('limit-returned-twice', 'a reap gives two credits back',
     ('limits.c', r'REAP_ADD_RELAXED\(&domain->credits, 1\)', 'REAP_ADD_RELAXED(&domain->credits, 2)'),
     ('limits.c', r'REAP_ADD_RELAXED\(&worker->credits, 1\)', 'REAP_ADD_RELAXED(&worker->credits, 2)')),
    ('limit-never-returned', 'a reap gives no credit back',
     ('collect.c', r'reap__limit_return\(domain, worker\);', ';')),
    ('limit-kept-by-failed-create', 'a create that fails after it took a credit keeps it',
     ('context.c', r'(?#all)reap__limit_return\(domain, worker\);', ';')),
    ('reserve-for-everybody', 'who is not privileged draws on the reserve',
     ('limits.c', r'got == 0 && privileged', 'got == 0')),
    ('recall-skipped', 'a create says -EAGAIN while other workers hold credits',
     ('limits.c', r'\n\t\trecall\(domain, worker\);', '\n\t\tREAP__COUNT(domain, worker, recalls);'),
     ('limits.c', r'static void recall\(', 'static __attribute__((unused)) void\nrecall(')),
    ('sweep-forgets-the-count', 'children that others have taken are counted again once their number has been folded',
     ('collect.c', r'parent->kids -= gone;', ';')),
    ('sweep-drops-zombies', 'with the tombstones a zombie leaves the list',
     ('collect.c', r'== REAP__ZOMBIE\) continue; reap__inbox_unlink', '== REAP__FREE)\n\t\t\tcontinue;\n\t\treap__inbox_unlink')),
    ('status-of-the-parent', 'the result has the status of the parent',
     ('collect.c', r'result->status = context->status', 'result->status = (context->parent ? context->parent : context)->status')),
    ('status-cut-short', 'of the status only the low byte is kept',
     ('exit.c', r'(?#all)context->status = status', 'context->status = status & 0xff')),
    ('unlink-lost', 'a child that its parent has collected stays on its list',
     ('collect.c', r'reap__inbox_unlink\(&parent->inbox, context\);', ';')),
    ('wait-any-misses-the-last', 'wait_any does not look at the youngest of the dead',
     ('wait.c', r'for \(; child != NULL; child = next\) \{', 'for (; child != NULL && child != last; child = next) {')),
    ('wait-any-newest-first', 'of those that came together the youngest is the first',
     ('inbox.c', r'context->next = oldest_first; oldest_first = context; context = older;',
      'reap__inbox_append(inbox, context); context = older;')),
    ('wait-any-waits-for-the-gone', 'children that others have taken still count for wait_any',
     ('wait.c', r'return parent->kids - REAP__GONE_COUNT\(REAP_LOAD_RELAXED\(&parent->refs\)\);', 'return parent->kids;')),
    ('stale-handle-joins', 'the claim does not look at the generation',
     ('wait.c', r'if \(generation != 0 && REAP__CLAIM_GENERATION\(word\) != generation\) return -ESRCH;', ';')),
    ('stale-handle-peeks', 'peek and hold do not look at the generation',
     ('wait.c', r'\|\| REAP__CLAIM_GENERATION\(REAP_LOAD_ACQUIRE\(&context->claim\)\) != handle.generation\)', ')'),
     ('wait.c', r'if \(REAP__CLAIM_GENERATION\(word\) == handle.generation && \(', 'if ((')),
    ('generation-repeats', 'every life of a descriptor has the same generation',
     ('context.c', r'return worker->count\.created \+ worker->generation;', 'return 1;')),
    ('stack-freed-twice', 'a collector puts the stack into the cache twice',
     ('collect.c', r'(reap__stack_put\(&domain->depot, worker != NULL \? &worker->cache : NULL, stack\);)', r'\1 \1')),
    ('stack-never-freed', 'a collector forgets the stack',
     ('collect.c', r'reap__stack_put\(&domain->depot, worker != NULL \? &worker->cache : NULL, stack\);', ';')),
    ('spill-loses-a-batch', 'a cache that overflows loses what was spare',
     ('stack/cache.c', r'reap__depot_push\(cache->depot, cache->spare, cache->nspare\);', ';')),
    ('depot-miscounts', 'a batch that comes into the depot counts for one more',
     ('stack/depot.c', r'class->nwarm \+= n;', 'class->nwarm += n + 1;')),
    ('stop-keeps-the-cache', 'a worker that stops keeps the stacks of its current batch',
     ('stack/cache.c', r'if \(cache->count != 0\) reap__depot_add_batch\(depot, unload\(cache, cache->count\), cache->count\);', ';')),
    ('backlog-off-by-one', 'a drain counts one reap too many',
     ('adopter.c', r'adopter->reaped \+ 1', 'adopter->reaped + 1 + (n == 1)')),
    ('drain-over-budget', 'a drain reaps one more than its budget',
     ('adopter.c', r'for \(; n < budget; n\+\+\)', 'for (; n <= budget; n++)')),
    ('drain-of-the-running', 'a drain takes who is still on the CPU',
     ('adopter.c', r'!reap_completion_posted\(&corpse->done\); corpse = corpse->next\)', 'false; corpse = corpse->next)')),
    ('adopter-forgets-corpses', 'an adopter that is destroyed does not pass its corpses on',
     ('adopter.c', r'sleeper = reap__to_adopter\(corpse\);', 'sleeper = NULL;')),
    ('adopter-forgets-stacks', 'nor its stacks',
     ('adopter.c', r'pass_on\(adopter, \(struct reap__stack \*\)REAP_XCHG_ACQ_REL\(&adopter->stacks, CLOSED\)\);',
      '(void)REAP_XCHG_ACQ_REL(&adopter->stacks, CLOSED);')),
    ('adopter-not-inherited', 'a child does not inherit the adopter of its parent',
     ('context.c', r'context->adopter = context->parent != NULL \? context->parent->adopter : NULL;', 'context->adopter = NULL;')),
    ('interrupt-forgotten', 'an interrupt that comes before the wait is lost',
     ('adopter.c', r'REAP_STORE_RELEASE\(&adopter->interrupted, 1\);', ';')),
    ('hold-ignored', 'a hold keeps nothing',
     ('wait.c', r'return refer\(handle, REAP__HOLD\);', 'return refer(handle, 0);')),
    ('release-of-the-free', 'who is not held is released, too',
     ('wait.c', r'\|\| REAP__HOLDS\(REAP_LOAD_RELAXED\(&context->refs\)\) == 0 \|\|', '||')),
    ('detach-leaves-the-count', 'a parent still counts a child that was detached',
     ('wait.c', r'sleeper = reap__let_go\(reap_worker_self\(\), context->parent\);', ';')),
    ('detach-of-the-claimed', 'a context that somebody waits for is detached',
     ('wait.c', r'error = (REAP__CLAIM_STATE\(word\) == REAP__CLAIMED[^;?]*)\? -EBUSY : -ESRCH;', r'error = \1? 0 : -ESRCH;')),
    ('join-takes-the-detached', 'who is detached can be joined',
     ('wait.c', r'case REAP__ZOMBIE: /\* Release', 'case REAP__ADOPTED: case REAP__ORPHANED: case REAP__ZOMBIE: /* Release')),
    ('cycle-not-seen', 'contexts that wait for each other are not told',
     ('wait.c', r'\(context == self \|\| waits_for_us\(self, context\)\)', '(context == self)'),
     ('wait.c', r'static bool waits_for_us', 'static __attribute__((unused)) bool\nwaits_for_us')),
    ('deadlock-keeps-the-claim', 'who was told of a deadlock still has its claim',
     ('wait.c', r'return unclaim_live\(context\) \?', 'return true ?')),
    ('peek-reaps', 'a wait that only peeks reaps',
     ('wait.c', r'if \(flags & REAP_PEEK\) \{ if \(result', 'if (false) { if (result')),
    ('nohang-hangs', 'REAP_NOHANG of wait_any is forgotten',
     ('wait.c', r'== -EAGAIN && \(flags & REAP_NOHANG\) == 0\)', '== -EAGAIN)')),
    ('orphan-not-handed-over', 'the dead children of one that ends are forgotten',
     ('exit.c', r'drainer = reap__to_adopter\(child\);', 'drainer = NULL;')),
    ('late-orphan-not-handed-over', 'a child that ends after its parent is forgotten',
     ('exit.c', r'(orphans\); tell\(told, reap__let_go\(reap_worker_self\(\), parent\)\);)'
      r' tell\(told, reap__to_adopter\(context\)\);', r'\1')),
    ('unwanted-zombie', 'a parent that wants no zombies gets them',
     ('exit.c', r'bool unwanted = parent != NULL', 'bool unwanted = false && parent != NULL'),
     ('exit.c', r'\(REAP__EXITED \| REAP__NO_ZOMBIES\)', '(REAP__EXITED)')),
    ('early-not-told', 'an early notification does not take the waiter',
     ('exit.c', r'\n\t\ttell_early\(context, &told\);', ';'),
     ('exit.c', r'static void tell_early', 'static __attribute__((unused)) void\ntell_early')),
    ('follower-told-twice', 'who follows the dying one straight is readied besides',
     ('exit.c', r'if \(sleeper != NULL\) told->who\[0\] = NULL;', ';')),
    ('sleeper-not-forgotten', 'a context that is destroyed in its sleep is woken later',
     ('exit.c', r'reap__sleep_forget\(context\);', ';')),
    ('destroy-keeps-the-claimed', 'a destroyed waiter leaves whom it had claimed',
     ('exit.c', r'reap__collect\(worker, claimed, context, [^;]*;', ';')),
    ('listeners-oldest-first', 'listeners run in the wrong order',
     ('exit.c', r'listener->reap__next = (context->live->(?:young\.)?listeners); \1 = listener;',
      r'struct reap_exit_listener **end = &\1; while (*end) end = &(*end)->reap__next; '
      'listener->reap__next = NULL; *end = listener;')),
    ('unlisten-drops-the-rest', 'taking one listener off takes those behind it',
     ('exit.c', r'\*link = listener->reap__next; return 0;', '*link = NULL; return 0;')),
    ('adaptive-ignores-the-waiter', 'the stack is shelved although a waiter is there',
     ('landing.c', r'\(told->who\[0\] == NULL && !\(context->flags & REAP__AWAITED\) && [^;{]*?PENDING\)\)\)', '(told != NULL)))')),
    ('host-not-told', 'child_exited() is called for orphans',
     ('landing.c', r'if \(!reap__adopted\(REAP_LOAD_ACQUIRE\(&child->claim\)\)\)', 'if (true)')),
    ('yield-forgotten', 'a context that yielded is not readied by the landing',
     ('landing.c', r'case REAP__PREV_YIELDED: host->ready\(context\);', 'case REAP__PREV_YIELDED:')),
    ('park-ignores-publish', 'who must not park is not readied',
     ('landing.c', r'if \(!parking->publish\(context, parking->arg\)\)', 'if (!parking->publish(context, parking->arg) && false)')),
    ('usage-folded-twice', 'the children of a child are counted twice',
     ('collect.c', r'mine->children \+= 1 \+ its->children;', 'mine->children += 1 + 2 * its->children;')),
    ('last-slice-not-charged', 'what a context used up to its end is not charged',
     ('landing.c', r'reap__charge\(worker, context\);', ';')),
    ('off-cpu-twice', 'off_cpu() is called twice',
     ('collect.c', r'(context->off_cpu\(context, context->status\);)', r'{ \1 \1 }')),
    ('group-has-the-first-status', "the group's status is that of a member that ended before the last",
     ('group.c', r'if \(REAP_ADD_ACQ_REL\(&group->members',
      'if (group->status == 0)\n\t\tgroup->status = status;\n\tif (REAP_ADD_ACQ_REL(&group->members'),
     ('group.c', r'EVER\) return; group->status = status;', 'EVER)\n\t\treturn;')),
    ('group-takes-late-members', 'a group that has ended takes a member',
     ('group.c', r'if \(members == EVER\) return -ESRCH;', ';')),
    ('stop-with-pinned', 'a worker stops although a context is pinned to it',
     ('worker.c', r'\|\| REAP_LOAD_RELAXED\(&worker->pinned\) != 0', '')),
    ('stop-with-bound', 'a worker stops although a context is bound to it',
     ('worker.c', r'reap__bound\(worker\) != 0 \|\|', '')),
    ('share-with-private-children', 'a parent of private children is shared',
     ('context.c', r'if \(reap__private_kids\(context\) != 0\) return -EBUSY;', ';')),
    ('bound-never-returned', 'a bound context that ends still counts',
     ('exit.c', r'worker->loose--;', ';')),
    ('destroy-lists-nobody', 'a domain that ends does not list its zombies',
     ('domain.c', r'if \(listing->unjoined != NULL\) listing->unjoined\(context, listing->arg\);', ';')),
    ('destroy-reaps-twice', 'a domain that ends reaps a zombie twice',
     ('domain.c', r'(reap__collect\(NULL, context, NULL, REAP_PAYER_ADOPTER, NULL\);)', r'\1 \1')),
    ('destroy-with-the-living', 'a domain is destroyed although contexts live',
     ('domain.c', r'if \(listing.live != 0\) return -EBUSY;', ';')),
    ('plain-status-lost', 'a plain exit forgets its status',
     ('plain.h', r'context->status = status;', ';')),
    ('plain-unlink-lost', 'a plain collect leaves the dead one on the list',
     ('plain.h', r'if \(how == REAP__ON_LIST\) reap__inbox_unlink\(&parent->inbox, child\);', ';')),
    ('plain-kids-not-returned', 'a plain collect does not take the child off the count',
     ('plain.h', r'parent->kids--;', ';')),
    ('plain-bound-not-returned', 'a plain exit leaves its worker bound',
     ('plain.h', r'reap__count_own\(&worker->count\.plain, 1\);', ';')),
    ('plain-waiter-not-readied', 'a plain landing readies nobody',
     ('plain.h', r'if \(waiter != NULL\) waiter->ready\(waiter\);', ';')),
    ('plain-follower-told-twice', 'who follows a plain exit is readied besides',
     ('plain.h', r'worker->told.who\[0\] = NULL; REAP_STORE_RELAXED\(&context->done', 'REAP_STORE_RELAXED(&context->done')),
    ('plain-limit-not-returned', 'a plain collect keeps the credit',
     ('collect.c', r'if \(worker->limited\) reap__limit_return\(worker->domain, worker\);', ';')),
    ('plain-handle-repeats', 'a plain spawn does not count the generation on',
     ('plain.h', r'created \+ worker->generation', 'worker->generation')),
    ('plain-parent-ended', 'a plain exit does not see that its parent has ended',
     ('plain.h', r'\(REAP__EXITED \| REAP__NO_ZOMBIES\)', '(REAP__NO_ZOMBIES)')),
    ('plain-unwanted', 'nor that it wants no zombies',
     ('plain.h', r'\(REAP__EXITED \| REAP__NO_ZOMBIES\)', '(REAP__EXITED)')),
    ('plain-with-listeners', 'a plain exit runs no listeners',
     ('exit.c', r'reap__not_plain\(context\);(?=\s+listener->reap__next)', ';')),
    ('plain-with-children', 'a plain exit does not see its children',
     ('plain.h', r'== REAP__PLAIN && context->kids == 0 &&', '== REAP__PLAIN &&')),
    ('plain-cycle-not-seen', 'a plain sleeper may wait for one who waits for it',
     ('plain.h', r'== 0 && child->live->(?:young\.)?claimed == NULL', '== 0')),
    ('plain-after-naming', 'who has been named is still plain',
     ('context.c', r'\(reap__flags\(context\) & ~REAP__PLAINLY\)', 'reap__flags(context)')),
    ('promises-forgotten', 'a cache that is filled anew forgets what it has promised',
     ('stack/cache.c', r'if \(cache->list != NULL\) \{ cache->list->batch', 'if (false) {\n\t\tcache->list->batch')),
    ('handed-over-awaited', 'the stack of one for whom somebody sleeps goes to its successor',
     ('exit.c', r'if \(reap__plain_exit\(worker, context, flags, status\)\) exit_awaited\(worker\);',
      '(void)reap__plain_exit(worker, context, flags, status);'),
     ('exit.c', r'static _Noreturn __attribute__\(\(noinline\)\) void exit_awaited',
      'static _Noreturn __attribute__((noinline, unused)) void\nexit_awaited')),
    ('plain-with-an-adopter', 'who has assumed an adopter is still plain',
     ('adopter.c', r'reap__not_plain\(context\);', ';')),
    ('owned-stack-lost', 'the stack of an owned one that its resumer finds dead is forgotten',
     ('resume.c', r'reap__stack_cache_push\(cache, stack\);', ';')),
    ('owned-generation-repeats', 'an owned birth does not count the generation on',
     ('resume.c', r'created \+ worker->generation', 'worker->generation')),
    ('owned-with-children', 'an owned end does not see its children',
     ('plain.h', r'== REAP__SIMPLE && context->kids == 0 &&', '== REAP__SIMPLE &&')),
    ('owned-destroy-unreaped', 'a suspended one that is destroyed is left to nobody',
     ('exit.c', r'if \(owned\) reap__collect', 'if (false)\n\t\treap__collect')),
    ('cancel-lost', 'a resume does not hand the cancellation on',
     ('resume.c', r'to->live->how = flags;', 'to->live->how = 0;')),
    ('cancel-kept', 'who was cancelled once is cancelled again by a transfer',
     ('resume.c', r'(set_resumer\(to, resumer\); to->live->word = [^;]*;) to->live->how = 0;', r'\1')),
    ('transfer-keeps-its-resumer', 'who transfers still says who had resumed it',
     ('resume.c', r'set_resumer\(self, self\); set_resumer\(to, resumer\);', 'set_resumer(to, resumer);')),
    ('transfer-to-the-wrong-resumer', 'who is transferred to goes back to who transferred',
     ('resume.c', r'set_resumer\(self, self\); set_resumer\(to, resumer\);', 'set_resumer(self, self); set_resumer(to, self);')),
    ('discard-lost', 'what another thread discards is pushed to nobody',
     ('resume.c', r'push\(home, context\);', ';')),
    ('discard-of-the-newest', 'of what others have discarded a worker destroys the newest alone',
     ('resume.c', r'next = context->next;', 'next = NULL;')),
    ('discard-though-resumed', 'another thread discards who is resumed, and sleeps',
     ('resume.c', r'context->live->young\.claimed != NULL \|\| reap_resumed_by\(context\) != NULL',
      'context->live->young.claimed != NULL')),
    ('base-comes-back-alone', 'a base context that runs because nothing else does takes who came back before for an answer',
     ('resume.c', r'REAP_UNLIKELY\(live->young\.claimed != NULL\)', 'false')),
    ('resume-circle-unseen', 'a plain wait does not see that the child has resumed somebody',
     ('plain.h', r'child->live->young\.claimed == NULL', '(child->live->young.claimed == NULL || child->live->young.claimed == child)')),
    ('scan-shows-the-last-word', 'a collector is shown what was passed to the last user of a stack',
     ('scan.c', r'&& it\.state != REAP_STATE_NEW', '')),
    ('trim-lies', 'a trim says that it gave back more than it did',
     ('stack/age.c', r'return bytes;', 'return bytes + 1;')),
]


def fit(pattern):
    """Any run of blanks fits a blank."""
    return re.sub(r'(?<!\\) ', r'\\s+', pattern)


def mutate(root, edits, work):
    """-> {source: changed copy}; None: an edit does not fit.  Who includes a changed header is copied, to lie beside it."""
    work = os.path.join(work, 'edited')
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(work)
    changed = {}
    for name, pattern, replacement in edits:
        path = os.path.join(root, 'lib', name)
        text = changed.get(path) or open(path, encoding='utf-8').read()
        count = 0 if pattern.startswith('(?#all)') else 1
        text, n = re.subn(fit(pattern), replacement, text, count=count)
        if n == 0:
            return None, '%s has nothing like %s' % (name, pattern)
        changed[path] = text
    for header in [os.path.basename(path) for path in changed if path.endswith('.h')]:
        for path in glob.glob(os.path.join(root, 'lib', '*.c')):
            text = open(path, encoding='utf-8').read()
            if '#include "%s"' % header in text:
                changed.setdefault(path, text)
    copies = {}
    for path, text in changed.items():
        copies[path] = os.path.join(work, os.path.basename(path))
        with open(copies[path], 'w', encoding='utf-8') as out:
            out.write(text)
    return copies, None


def tried(command, work):
    """-> what a run of the driver said, or None if it found nothing."""
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors='replace', check=False,
                          cwd=work)
    if done.returncode == 0:
        return None
    said = [line for line in done.stderr.splitlines() if re.match(r'MISMATCH|HANGS|DIES|libreap: misuse|free|double', line)]
    return said[-1] if said else 'status %d' % done.returncode


def main():
    argv, names = sys.argv[1:], []
    if '--' in argv:
        argv, names = argv[:argv.index('--')], argv[argv.index('--') + 1:]
    parser = argparse.ArgumentParser()
    parser.add_argument('--work', required=True)
    parser.add_argument('--table')
    parser.add_argument('--update', action='store_true')
    parser.add_argument('--cc', default='cc')
    parser.add_argument('--cflags', default='')
    parser.add_argument('root')
    parser.add_argument('sources', nargs='+')
    args = parser.parse_args(argv)
    seconds = SECONDS_LONG if os.environ.get('REAP_TEST_LONG', '0') not in ('', '0') else SECONDS
    chosen = [m for m in MUTANTS if not names or m[0] in names]
    killers = {}
    if os.path.exists(KILLERS):
        killers = dict(line.rstrip('\n').split('\t') for line in open(KILLERS, encoding='utf-8') if not line.startswith('#'))
    compiler = build.Compiler(args.cc.split(), ['-O0', '-w'] + args.cflags.split(), args.root, os.path.join(args.work, 'objects'))
    sources = [os.path.abspath(s) for s in args.sources]
    harness = [compiler.object(s) for s in build.HARNESS + [build.DRIVE]]
    objects = {s: compiler.object(s) for s in sources}
    table, survivors = [], 0
    drive = compiler.link(list(objects.values()) + harness, os.path.join(args.work, 'drive'))
    print('TAP version 13\n1..%d' % (len(chosen) + 1), flush=True)
    said = tried([drive, CORPUS], args.work)
    survivors += said is not None
    print('%s 1 - unchanged%s' % ('ok' if said is None else 'not ok', ': ' + said if said else ''), flush=True)
    for number, (name, what, *edits) in enumerate(chosen, 2):
        copies, error = mutate(args.root, edits, args.work)
        killer = None
        if error is None:
            mine = {s: compiler.object(copies[s], out='mutant_%d.o' % i) if s in copies else o
                    for i, (s, o) in enumerate(objects.items())}
            mutant = os.path.join(args.work, 'drive-mutant')
            if os.path.exists(mutant):
                os.unlink(mutant)
            compiler.link(list(mine.values()) + harness, mutant)
            known = os.path.join(CORPUS, killers.get(name, '-'))
            patience = ['--patience', '2']
            if os.path.exists(known):
                said = tried([mutant] + patience + [known], args.work)
                killer = killers[name] if said else None
            if killer is None:
                for file in sorted(os.listdir(CORPUS)):
                    said = tried([mutant] + patience + [os.path.join(CORPUS, file)], args.work)
                    if said:
                        killer = file
                        break
            if killer is None:
                said = tried([mutant] + patience + ['--seconds', str(seconds), '--save', 'last'], args.work)
                killer = 'made up' if said else None
                if killer and args.update:
                    killer = 'finds-' + name
                    subprocess.run([mutant] + patience + ['--minimise', os.path.join(CORPUS, killer),
                                    os.path.join(args.work, 'last')], check=True)
        else:
            said = error
        survivors += killer is None
        if killer is None:
            print('not ok %d - %s: %s: %s' % (number, name, what, error or 'SURVIVES'), flush=True)
        else:
            print('ok %d - %s: %s: %s: %s' % (number, name, what, killer, said), flush=True)
            killers[name] = killer
        table.append((name, what, killer or error or 'survives'))
    if args.table:
        with open(args.table, 'w', encoding='utf-8') as out:
            out.writelines('\t'.join(row) + '\n' for row in table)
    if args.update:
        with open(KILLERS, 'w', encoding='utf-8') as out:
            out.write('# Which file of the corpus finds which mutant; written by mutants.py --update.\n')
            out.writelines('%s\t%s\n' % (m[0], killers[m[0]]) for m in MUTANTS if killers.get(m[0], 'made up') != 'made up')
    return 1 if survivors else 0


sys.exit(main())
