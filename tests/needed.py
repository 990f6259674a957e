#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Print what some suites run of a build, as targets for ninja.

usage: needed.py BUILD SUITE...

meson-test-prereq would be the programs of all suites, and `all' more yet.
"""
import json
import os
import sys


def load(build, what):
    with open(os.path.join(build, 'meson-info', 'intro-%s.json' % what), encoding='utf-8') as text:
        return json.load(text)


def main():
    build, suites = os.path.abspath(sys.argv[1]), set(sys.argv[2:])
    ids = {i for test in load(build, 'tests') if {s.partition(':')[2] for s in test['suite']} & suites for i in test['depends']}
    print('build.ninja')    # always there: without a target ninja makes everything
    for target in load(build, 'targets'):
        if target['id'] in ids:
            for file in target['filename']:
                print(os.path.relpath(file, build))


if __name__ == '__main__':
    main()
