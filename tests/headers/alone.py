#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Compiles every public header alone, twice in one file, as C11 and as C++17: usage: alone.py INCLUDE_DIR CC..."""
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

FLAGS = ['-Wall', '-Wextra', '-Wpedantic', '-Werror', '-fsyntax-only']
COMMENT = re.compile(r'/\*.*?\*/|//[^\n]*|("(?:\\.|[^"\\\n])*")', re.S)
FORBIDDEN = {
    r'\bck_': 'Concurrency Kit does not compile as C++',
    r'\b_Atomic\b': 'C++17 has no _Atomic',
    r'\bstdatomic\.h\b': 'C++17 has no <stdatomic.h>',
}


def compilers(configured):
    """(language, standard, command) of every compiler to try; the configured one may be one of the usual two."""
    wanted = [('c', 'c11', configured)]
    for name in ['gcc', 'clang']:
        if shutil.which(configured[0]) != shutil.which(name):
            wanted.append(('c', 'c11', [name]))
    return wanted + [('c++', 'c++17', [name]) for name in ['g++', 'clang++']]


def main():
    include = pathlib.Path(sys.argv[1])
    headers = sorted(p.relative_to(include) for p in include.rglob('*.h'))
    lines, failures = [], 0

    def result(failed, name, skip=None):
        nonlocal failures
        failures += bool(failed)
        lines.append('%s - %s%s' % ('not ok' if failed else 'ok', name, ' # SKIP ' + skip if skip else ''))
        if failed:
            print('%s:\n%s' % (name, failed), file=sys.stderr)

    for language, standard, command in compilers(sys.argv[2:]):
        said = '%s -std=%s' % (shlex.join(command), standard)
        if shutil.which(command[0]) is None:
            result(None, 'headers alone: ' + said, command[0] + ' is not installed')
            continue
        for header in headers:
            text = '#include <%s>\n' % header * 2 + 'extern int not_empty;\n'
            run = subprocess.run(command + FLAGS + ['-std=' + standard, '-I', str(include), '-x', language, '-'],
                                 input=text, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            result(run.stdout or 'exit status %d' % run.returncode if run.returncode else None, '%s alone: %s' % (header, said))

    for header in headers:
        code = COMMENT.sub(lambda m: m.group(1) or ' ', (include / header).read_text())
        found = ['%s: %s' % (word, why) for word, why in FORBIDDEN.items() if re.search(word, code)]
        result('\n'.join(found), '%s has nothing that C++17 lacks' % header)

    if not headers:
        result('no header in %s' % include, 'there are headers')
    print('TAP version 13\n1..%d' % len(lines))
    print('\n'.join(lines))
    return failures != 0


if __name__ == '__main__':
    sys.exit(main())
