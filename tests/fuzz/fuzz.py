#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Fuzz with libFuzzer, AddressSanitizer and UndefinedBehaviorSanitizer, from the kept corpus.

usage: fuzz.py --work DIR [--seconds N] [--merge] [--cflags FLAGS] ROOT LIBRARY-SOURCE...

What is found lies in DIR/found and is printed in words.  --merge: afterwards the kept corpus is made anew: what covers all
that it covered before, and what was found to cover more, in as few files as that takes.  Status 77: no clang with that runtime.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
import build     # noqa: E402: nothing is left in the source tree

SECONDS, SECONDS_LONG = 30, 300
SANITIZE = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all']
# Contexts stand on stacks of their own: how deep one is says nothing.
COVER = ['-fsanitize=fuzzer-no-link', '-fno-sanitize-coverage=stack-depth']
FILES_MAX, BYTES_MAX = 200, 200 * 1024


def clang(work):
    """-> a clang that can link a fuzzer, or a reason why not."""
    found = [n for n in ['clang'] + ['clang-%d' % v for v in range(20, 11, -1)] if shutil.which(n)]
    if not found:
        return None, 'clang is not installed'
    source = os.path.join(work, 'probe.c')
    with open(source, 'w', encoding='utf-8') as out:
        out.write('#include <stddef.h>\n#include <stdint.h>\nint LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);\n'
                  'int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)\n{\n\treturn n > 4 && bytes[0];\n}\n')
    for name in found:
        if subprocess.run([name, '-fsanitize=fuzzer,address', source, '-o', os.path.join(work, 'probe')], check=False,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0:
            return name, None
    return None, 'clang has no libFuzzer: its runtime (libclang-rt-NN-dev) is not installed'


def merge(fuzzer, sources, kept):
    """Keep what covers most; the names of regressions, which say what they are, stay."""
    named = [f for f in os.listdir(kept) if not re.fullmatch(r'[0-9a-f]{40}', f)]
    with tempfile.TemporaryDirectory() as new:
        for name in named:
            shutil.copy(os.path.join(kept, name), new)
        subprocess.run([fuzzer, '-set_cover_merge=1', '-use_counters=0', '-max_len=648', new] + sources, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        files = [os.path.join(new, f) for f in os.listdir(new)]
        size = sum(os.path.getsize(f) for f in files)
        print('the corpus: %d files, %d bytes' % (len(files), size))
        if len(files) > FILES_MAX or size > BYTES_MAX:
            sys.exit('that is too much: nothing was changed')
        for name in os.listdir(kept):
            os.unlink(os.path.join(kept, name))
        for path in files:
            shutil.copy(path, kept)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--work', required=True)
    parser.add_argument('--seconds', type=int)
    parser.add_argument('--merge', action='store_true')
    parser.add_argument('--cflags', default='')
    parser.add_argument('root')
    parser.add_argument('sources', nargs='+')
    args = parser.parse_args()
    os.makedirs(args.work, exist_ok=True)
    cc, reason = clang(args.work)
    if cc is None:
        print(reason)
        return 77
    seconds = args.seconds
    if seconds is None:
        seconds = SECONDS_LONG if os.environ.get('REAP_TEST_LONG', '0') not in ('', '0') else SECONDS
    compiler = build.Compiler([cc], ['-O1'] + SANITIZE + args.cflags.split(), args.root, os.path.join(args.work, 'objects'))
    compiler.flags = compiler.flags + COVER
    objects = [compiler.object(os.path.abspath(s)) for s in args.sources + build.HARNESS + [build.FUZZER]]
    compiler.flags = ['-O1', '-fsanitize=fuzzer'] + SANITIZE
    fuzzer = compiler.link(objects, os.path.join(args.work, 'fuzzer'))

    kept = os.path.join(build.HERE, 'corpus')
    corpus, found = os.path.join(args.work, 'corpus'), os.path.join(args.work, 'found')
    os.makedirs(corpus, exist_ok=True)
    os.makedirs(found, exist_ok=True)
    # Leaks are looked for at the end of all: in between, suspended contexts would have to be walked each time.
    done = subprocess.run([fuzzer, '-max_len=648', '-len_control=50', '-timeout=30', '-rss_limit_mb=2048',
                           '-max_total_time=%d' % seconds, '-print_final_stats=1', '-verbosity=0',
                           '-artifact_prefix=' + found + '/', corpus, kept],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors='replace', check=False)
    for wanted in (r'stat::number_of_executed_units: +(\d+)', r'stat::average_exec_per_sec: +(\d+)'):
        match = re.search(wanted, done.stdout)
        if match:
            print('%s: %s' % (wanted[6:wanted.index(':', 6)].replace('_', ' '), match[1]))
    if done.returncode != 0:
        print(done.stdout[-12000:])
        artifact = re.search(r"Test unit written to (\S+)", done.stdout)
        if artifact:
            print('The input is %s; `drive --print FILE` and `drive --minimise OUT FILE` say more.' % artifact[1])
        return 1
    if args.merge:
        merge(fuzzer, [corpus, kept], kept)
    return 0


sys.exit(main())
