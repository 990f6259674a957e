#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Counts the single test cases in meson's logs, shows what failed, and ends with the line `N passed, N failed'.

usage: tally.py [--share N/M] [--budget SUITE=SECONDS ...] BUILD=TESTLOG.json ... [BUILD!=BUILD.log ...]

A program that prints TAP counts by its cases, any other as one: status 77 is a skip, and its last line says why.
`BUILD!=' names a build that did not compile and what its tools said.  Of each suite the seconds are shown that its programs took,
one after the other, in all builds together; and what it may take: to be looked at, nothing fails by it.  --share: N processors
served M programs at a time, so the seconds of each count for so much.
"""
import fractions
import json
import re
import sys

SHOWN = 60      # lines of a failed program's output that are shown
PASSED, FAILED, SKIPPED = 'passed', 'failed', 'skipped'
CASE = re.compile(r'(not )?ok\b\s*\d*\s*-?\s*([^#]*)(?:#\s*(skip|todo)\S*\s*(.*))?$', re.I)


def cases(test):
    """The cases of one program, as (verdict, name, reason)."""
    out = test.get('stdout') or ''
    result = test['result']
    plan = re.search(r'^1\.\.(\d+)', out, re.M)
    if not out.startswith('TAP version') or plan is None:
        lines = out.strip().splitlines()
        if result == 'SKIP':
            return [(SKIPPED, '', lines[-1] if lines else 'no reason given')]
        return [(PASSED if result in ('OK', 'EXPECTEDFAIL') else FAILED, '', result.lower())]
    found = []
    for line in out.splitlines():
        match = CASE.match(line)
        if match is None:
            continue
        name = re.sub(r'\s*\([\d.]+s\)$', '', match.group(2).strip())
        if match.group(1):
            found.append((FAILED, name, ''))
        elif (match.group(3) or '').lower() == 'skip':
            found.append((SKIPPED, name, match.group(4)))
        else:
            found.append((PASSED, name, ''))
    if len(found) < int(plan.group(1)):
        found.append((FAILED, '', '%s after %d of %s cases' % (result.lower(), len(found), plan.group(1))))
    elif result not in ('OK', 'SKIP') and not any(verdict == FAILED for verdict, _, _ in found):
        found.append((FAILED, '', '%s, status %s, though every case passed' % (result.lower(), test.get('returncode'))))
    return found


def excerpt(text):
    """The text, indented, without what went well; of a long one the first part and the last."""
    lines = text.rstrip().splitlines()
    lines = [line for line in lines if not re.match(r'ok\b', line)] or lines
    if len(lines) > SHOWN:
        half = SHOWN // 2
        lines = lines[:half] + ['... %d lines more ...' % (len(lines) - 2 * half)] + lines[-half:]
    return ''.join('    | %s\n' % line for line in lines)


def complaints(log):
    """What is worth reading in a build's log: from the first failure on, without the files that compiled."""
    failure = re.search(r'^FAILED: ', log, re.M)
    return re.sub(r'^\[\d+/\d+\] .*\n', '', log[failure.start():] if failure else log, flags=re.M)


def read_log(path):
    try:
        with open(path, encoding='utf-8', errors='replace') as log:
            return [json.loads(line) for line in log if line.strip()]
    except FileNotFoundError:
        return []


def suite_of(test):
    """The first of the suites that the test is in, as meson prints them: `project:suite+suite / name'."""
    return re.sub(r'^[^:]*:', '', test['name'].partition(' / ')[0]).split('+')[0] if ' / ' in test['name'] else 'none'


def show_seconds(seconds, budgets):
    print()
    for suite, took in sorted(seconds.items(), key=lambda entry: -entry[1]):
        budget = budgets.get(suite)
        late = ' -- too long' if budget is not None and took > budget else ''
        print('%8.1f s  %-10s %s' % (took, suite, '' if budget is None else 'of %d%s' % (budget, late)))
    print('%8.1f s  together' % sum(seconds.values()))


def main():
    counts = {PASSED: 0, FAILED: 0, SKIPPED: 0}
    skips, failures, seconds, budgets = {}, [], {}, {}
    arguments, share = sys.argv[1:], 1

    if arguments and arguments[0] == '--share':
        share = fractions.Fraction(arguments[1])
        del arguments[:2]
    while arguments and arguments[0] == '--budget':
        suite, _, budget = arguments[1].partition('=')
        budgets[suite] = int(budget)
        del arguments[:2]
    for argument in arguments:
        build, _, path = argument.partition('=')
        if build.endswith('!'):
            counts[FAILED] += 1
            with open(path, encoding='utf-8', errors='replace') as log:
                failures.append('%s: did not build\n%s' % (build[:-1], excerpt(complaints(log.read()))))
            continue
        tests = read_log(path)
        if not tests:
            counts[FAILED] += 1
            failures.append('%s: no test ran\n' % build)
        for test in tests:
            program = '%s: %s' % (build, re.sub(r'^\S+:', '', test['name']).strip(' /'))
            failed = []
            seconds[suite_of(test)] = seconds.get(suite_of(test), 0) + float(share) * test.get('duration', 0)
            for verdict, name, reason in cases(test):
                counts[verdict] += 1
                if verdict == FAILED:
                    failed.append('FAILED  %s%s\n' % (' '.join(filter(None, [program, name])), reason and ': ' + reason))
                elif verdict == SKIPPED:
                    where = re.sub(r'^[^:]*: ', '', ' '.join(filter(None, [program, name])))
                    skips.setdefault((where, reason), []).append(build)
            if failed:
                output = test.get('stderr') or ''
                if not output.strip():
                    output = test.get('stdout') or ''
                failures.append(''.join(failed) + excerpt(output))

    if seconds:
        show_seconds(seconds, budgets)
    if skips:
        print()
    for (where, reason), builds in skips.items():
        print('skipped %s (%s): %s' % (where, ', '.join(builds), reason))
    if failures:
        print()
        print('\n'.join(failures), end='')
    print()
    print('%d passed, %d failed' % (counts[PASSED], counts[FAILED]) + (', %d skipped' % counts[SKIPPED] if counts[SKIPPED] else ''))
    return counts[FAILED] != 0 or counts[PASSED] == 0


if __name__ == '__main__':
    sys.exit(main())
