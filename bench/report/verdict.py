#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Renew what was measured in docs/verdict.md.

usage: verdict.py REPORT.json [VERDICT.md]

Between `<!-- measured NAME -->' and `<!-- end -->' everything is written anew: `machine', `1' to `8', `loses', `summary'.
"""
import os
import re
import sys
import textwrap

import figures as N
import questions
import report
import results as R

VERDICT = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), 'docs', 'verdict.md')
WIDTH = 128


def fold(text):
    return textwrap.fill(text.replace('×', 'x'), WIDTH, break_long_words=False, break_on_hyphens=False)


def blocks(results):
    r = results.replay
    noise = results.noise()
    answers = {str(a.number): fold('**%s**' % a.sentence) + '\n\nAgain: `%s`' % a.command for a in questions.answers(results)}
    rows, total, claimed, _ = report.losing_rows(results)
    losses = ['| times as bad | figure | beside | where |', '|---|---|---|---|']
    losses += ['| %s | %s | %s | %s |' % (N.times(ratio), name, theirs, where) for where, name, theirs, ratio, _, _ in rows]
    lost = 'Of %d comparisons %d are lost beyond doubt%s' % (total, claimed, '; the worst:' if claimed
                                                             else '. The worst, none of which can be claimed:')
    answers['loses'] = fold(lost) + ('\n\n' + '\n'.join(losses) if rows else '')
    answers['summary'] = fold(report.verdict(results))
    answers['machine'] = fold('%s, %d processors, %s, %s, libreap %s, %s; `%s`, %.0f seconds. The machine was %s: while rounds '
                              'were played it wavered by up to %.0f%%%s.'
                              % (r['machine']['cpu'], r['machine']['processors'], r['kernel'], r['compiler'], r['commit'],
                                 r['date'][:10],
                                 ' '.join(results.data.get('command', ['bench/run'])), results.data.get('seconds', r['seconds']),
                                 report.steadiness(noise), 100 * noise, ', and every interval is widened by that'
                                 if noise > N.QUIET else ''))
    return answers


def fill(text, new):
    """The text with its blocks renewed."""
    missing = set(new)

    def block(found):
        if found[1] not in new:
            raise R.Bad('nothing is known of the block `%s\'' % found[1])
        missing.discard(found[1])
        return '<!-- measured %s -->\n%s\n<!-- end -->' % (found[1], new[found[1]])
    text = re.sub(r'<!-- measured (\w+) -->\n.*?<!-- end -->', block, text, flags=re.S)
    if missing:
        raise R.Bad('there is no block for %s' % ', '.join(sorted(missing)))
    return text


def renew(results, path=VERDICT):
    if results.data.get('interrupted'):
        raise R.Bad('%s: not renewed: the run was interrupted' % path)
    try:
        with open(path, encoding='utf-8') as file:
            text = file.read()
    except OSError as error:
        raise R.Bad('%s: %s' % (path, error.strerror)) from error
    report.store(path, fill(text, blocks(results)))


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__.strip())
    try:
        renew(R.load(sys.argv[1]), *sys.argv[2:])
    except R.Bad as error:
        sys.exit('verdict: %s' % error)


if __name__ == '__main__':
    main()
