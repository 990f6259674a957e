# SPDX-License-Identifier: ISC
"""build.py: compile the library and the fuzzing programs apart from the build that asks for it, and only what has changed."""
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
HARNESS = [os.path.join(HERE, name) for name in ('program.c', 'model.c', 'flow.c', 'books.c', 'owned.c', 'choose.c', 'tidy.c', 'describe.c',
                                                     'machine.c', 'callbacks.c', 'compare.c', 'say.c', 'misuse.c')]
DRIVE = os.path.join(HERE, 'drive.c')
WRAPS = ['-Wl,--wrap=malloc,--wrap=calloc,--wrap=aligned_alloc,--wrap=free']      # for machine.c
FUZZER = os.path.join(HERE, 'fuzzer.c')


def newest(root):
    """When any header changed last."""
    times = [0]
    for folder in ('include', 'lib', 'tests/fuzz'):
        for where, _, names in os.walk(os.path.join(root, folder)):
            times += [os.path.getmtime(os.path.join(where, n)) for n in names if n.endswith('.h')]
    return max(times)


class Compiler:
    """cc: command; flags: of every step; root: of the tree whose headers are used."""

    def __init__(self, cc, flags, root, work):
        self.cc, self.flags, self.root, self.work = cc, flags, root, work
        os.makedirs(work, exist_ok=True)
        recipe = ' '.join(cc + flags + [root])
        record = os.path.join(work, 'recipe')
        if not os.path.exists(record) or open(record, encoding='utf-8').read() != recipe:
            for name in os.listdir(work):
                if name.endswith('.o'):
                    os.unlink(os.path.join(work, name))
            with open(record, 'w', encoding='utf-8') as out:
                out.write(recipe)
        self.headers = newest(root)

    def run(self, args):
        done = subprocess.run(self.cc + args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode != 0:
            sys.exit('%s\n%s' % (' '.join(self.cc + args), done.stdout))

    def object(self, source, out=None):
        """-> the object file of a source, which is compiled if that or a header is newer."""
        base = os.path.relpath(source, self.root).replace('..', '').replace('/', '_')
        target = os.path.join(self.work, out or base + '.o')
        if out is None and os.path.exists(target) and os.path.getmtime(target) > max(self.headers, os.path.getmtime(source)):
            return target
        lib = os.path.join(self.root, 'lib')
        self.run(self.flags + ['-std=c11', '-g', '-D_GNU_SOURCE', '-I' + os.path.join(self.root, 'include'), '-I' + lib,
                 '-I' + os.path.join(lib, 'stack'), '-c', source, '-o', target])
        return target

    def link(self, objects, target):
        if not os.path.exists(target) or any(os.path.getmtime(o) >= os.path.getmtime(target) for o in objects):
            self.run(self.flags + objects + WRAPS + ['-lpthread', '-o', target])
        return target
