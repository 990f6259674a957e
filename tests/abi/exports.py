#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Compares a shared library's exports with the REAP_API declarations of headers.

usage: exports.py NM LIBRARY [--except=HEADER] HEADER_OR_DIR...
"""
import pathlib
import re
import subprocess
import sys

COMMENT = re.compile(r'/\*.*?\*/|//[^\n]*', re.S)
DIRECTIVE = re.compile(r'^[ \t]*#(?:\\\n|[^\n])*', re.M)
DECLARATION = re.compile(r'\bREAP_API\b([^;{]*)[;{]')


def declared(paths):
    """The names that headers declare with REAP_API: a function's stands before its parameters, an object's at the end."""
    names = set()
    for path in paths:
        text = DIRECTIVE.sub('', COMMENT.sub(' ', path.read_text()))
        for declaration in DECLARATION.findall(text):
            match = re.search(r'\b(reap_\w+)\s*\)?\s*\(', declaration) or re.search(r'\b(reap_\w+)\s*(?:\[[^]]*\]\s*)*$', declaration)
            if match is None:
                raise SystemExit('%s: no name in: REAP_API%s' % (path, declaration))
            names.add(match.group(1))
    return names


def exported(nm, library):
    """{name: version, or None} of the dynamic symbols that the library defines; the version's own symbol is left out."""
    run = subprocess.run([nm, '-D', '--defined-only', library], check=True, stdout=subprocess.PIPE, text=True)
    symbols = {}
    for line in run.stdout.splitlines():
        kind, symbol = line.split()[-2:]
        name, _, version = symbol.partition('@')
        if kind != 'A':
            symbols[name] = version.lstrip('@') or None
    return symbols


def main():
    nm, library = sys.argv[1:3]
    paths, omitted = [], set()
    for argument in sys.argv[3:]:
        if argument.startswith('--except='):
            omitted.add(argument.partition('=')[2])
        elif pathlib.Path(argument).is_dir():
            paths += sorted(pathlib.Path(argument).rglob('*.h'))
        else:
            paths.append(pathlib.Path(argument))
    promised = declared(p for p in paths if p.name not in omitted)
    symbols = exported(nm, library)
    tests = [
        ('the headers declare something', [] if promised else ['nothing']),
        ('all that the headers declare is exported', sorted(promised - symbols.keys())),
        ('nothing else is exported', sorted(symbols.keys() - promised)),
        ('every export has a version', sorted(n for n, v in symbols.items() if not re.match(r'REAP_(\w+_)?\d', v or ''))),
    ]
    print('TAP version 13\n1..%d' % len(tests))
    for name, wrong in tests:
        print('%s - %s' % ('not ok' if wrong else 'ok', name))
        if wrong:
            print('not so: %s: %s' % (name, ' '.join(wrong)), file=sys.stderr)
    return any(wrong for _, wrong in tests)


if __name__ == '__main__':
    sys.exit(main())
