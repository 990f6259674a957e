#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Asserts that every file, function and test that docs/mails.md names is there: usage: mails.py SOURCE_ROOT"""
import pathlib
import re
import sys

TEST = re.compile(r'^TEST(?:_SIGNAL)?\((\w+), (\w+)', re.M)


def tests_of(root):
    return {'.'.join(pair) for path in (root / 'tests').rglob('*.c') for pair in TEST.findall(path.read_text())}


def defines(path, name):
    """Is `name' defined or declared at the beginning of a line, in C or in assembly?"""
    name = re.escape(name)
    return re.search(rf'^{name}\(|^(struct|enum) {name} {{|^\S[^;(]*\b{name}\(|^#define {name}\b|^{name}:|^\s*FUNCTION {name}$',
                     path.read_text(), re.M) is not None


def check_code(root, cell, wrong):
    path = None
    for word in re.findall(r'`([^`]+)`', cell):
        if '/' in word:
            path = root / word
            if not path.is_file():
                wrong.append('no file ' + word)
                path = None
        elif path is not None and not defines(path, word):
            wrong.append('no %s in %s' % (word, path.relative_to(root)))
    return '`' in cell


def check_tests(root, tests, cell, wrong):
    for word in re.findall(r'`([^`]+)`', cell):
        if '/' in word:
            if not (root / word).is_file():
                wrong.append('no file ' + word)
        elif word not in tests:
            wrong.append('no test ' + word)
    return '`' in cell


def main():
    root = pathlib.Path(sys.argv[1])
    tests = tests_of(root)
    rows = [[cell.strip() for cell in line.strip('|').split('|')]
            for line in (root / 'docs/mails.md').read_text().splitlines()
            if line.startswith('|') and not line.startswith('|---') and not line.endswith('| code | tests |')]
    print('TAP version 13\n1..%d' % (len(rows) + 1))
    print('%s 1 - there are rows and tests' % ('ok' if len(rows) >= 50 and len(tests) > 100 else 'not ok'))
    for n, row in enumerate(rows, 2):
        wrong = []
        if len(row) != 3:
            wrong.append('not three cells')
        else:
            if not check_code(root, row[1], wrong):
                wrong.append('no code')
            if not check_tests(root, tests, row[2], wrong):
                wrong.append('no test')
        print('%s %d - %s' % ('not ok' if wrong else 'ok', n, row[0].replace('#', '')))
        for text in wrong:
            print('# ' + text)
    return 0


if __name__ == '__main__':
    sys.exit(main())
