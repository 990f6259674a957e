#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Asserts that a test runner tells a failed test from a passed one: usage: macro.py PROGRAM [ARGUMENT...]"""
import os
import re
import shlex
import subprocess
import sys

EXPECTED = {
    'pass::reaches_its_end': 'ok',
    'pass::may_write_to_standard_output': 'ok',
    'pass::may_have_children_that_exit': 'ok',
    'skip::says_why': 'skip',
    'fail::check': 'not ok',
    'fail::check_eq': 'not ok',
    'fail::check_str_eq': 'not ok',
    'fail::check_in_a_thread': 'not ok',
    'fail::leaves_by_exit': 'not ok',
    'fail::aborts': 'not ok',
    'signal::dies_as_it_should': 'ok',
    'signal::faults_as_it_should': 'ok',
    'signal::survives': 'not ok',
    'signal::fails_a_check': 'not ok',
    'signal::dies_by_another': 'not ok',
}
SAID = ['zero == 1 is false', 'zero - 12 is -12, but 1 is 1', '"this" is "this", but NULL is "(null)"']


def main():
    wrapper = shlex.split(os.environ.get('MESON_EXE_WRAPPER', ''))      # meson says what runs a cross-compiled program
    run = subprocess.run(wrapper + sys.argv[1:], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors='replace')
    seen = {}
    for line in run.stdout.splitlines():
        match = re.match(r'(not ok|ok)\b[ \d]*-\s+(\S+)(.*)', line)
        if match:
            verdict = 'skip' if '# SKIP the reason' in match.group(3) else match.group(1)
            seen[match.group(2)] = verdict
    names = sorted(EXPECTED.keys() | seen.keys())
    wrong = [n for n in names if EXPECTED.get(n) != seen.get(n)]
    print('TAP version 13\n1..%d' % (len(names) + len(SAID) + 1))
    for name in names:
        print('%s - %s is reported as %s' % ('not ok' if name in wrong else 'ok', name, seen.get(name)))
    for text in SAID:
        print('%s - a failed check says: %s' % ('ok' if text in run.stderr else 'not ok', text))
    print('%s - a failure shows in the exit status' % ('ok' if run.returncode == 1 else 'not ok'))
    if wrong:
        print(run.stdout + run.stderr, file=sys.stderr)
    return 0


if __name__ == '__main__':
    sys.exit(main())
