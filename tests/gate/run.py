#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Count instructions with callgrind, exactly; a rise over the baseline fails.

usage: run.py GATE BASELINE COMPILER [--update]

A count is the difference between 2000 and 1000 of a subject, divided by 1000: start and end cancel out.  BASELINE holds one
block per compiler, for counts hold for one compiler and its options only; for another one the test is skipped.
"""
import re
import shutil
import subprocess
import sys

SUBJECTS = ['switch', 'landing-empty', 'life-one', 'life-many', 'life-any', 'life-owned', 'resume']
N = 1000


def collected(gate, subject, n):
    """All instructions of a run."""
    done = subprocess.run(
        ['valgrind', '--tool=callgrind', '--callgrind-out-file=/dev/null', gate, subject, str(n)],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    found = re.search(r'Collected : (\d+)', done.stderr)
    if done.returncode != 0 or found is None:
        sys.exit('gate: %s %d: exit status %d\n%s' % (subject, n, done.returncode, done.stderr))
    return int(found[1])


def baseline(path):
    blocks, block = {}, None
    for line in open(path, encoding='utf-8'):
        line = line.split('#')[0].rstrip()
        if line.startswith('['):
            block = blocks.setdefault(line.strip('[]'), {})
        elif line:
            name, count = line.split()
            block[name] = float(count)
    return blocks


def main():
    gate, path, compiler = sys.argv[1:4]
    update = '--update' in sys.argv[4:]
    if shutil.which('valgrind') is None:
        print('valgrind is not installed')
        return 77
    blocks = baseline(path)
    if compiler not in blocks and not update:
        print('no baseline for ' + compiler)
        return 77
    counts = {s: (collected(gate, s, 2 * N) - collected(gate, s, N)) / N for s in SUBJECTS}
    failed = False
    for subject, count in counts.items():
        old = blocks.get(compiler, {}).get(subject)
        verdict = 'new' if old is None else 'same' if count == old else 'ROSE' if count > old else 'fell: update the baseline'
        print('%-14s %8.2f instructions, baseline %s: %s' % (subject, count, old, verdict))
        failed = failed or (not update and count != old)
    if update:
        blocks[compiler] = counts
        with open(path, 'w', encoding='utf-8') as out:
            out.write('# Instructions per operation, by compiler and options; written by run.py --update.\n')
            for name in sorted(blocks):
                out.write('\n[%s]\n' % name)
                for subject in SUBJECTS:
                    out.write('%-14s %.3f\n' % (subject, blocks[name][subject]))
    return 1 if failed else 0


sys.exit(main())
