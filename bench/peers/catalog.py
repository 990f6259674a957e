# SPDX-License-Identifier: ISC
"""The peers, the shapes, and how each program is built."""
import collections
import os
import shutil
import subprocess
import threading

# key: its name in results; source: in this directory; needs: the header that its package brings, or a command; links: for the
# linker; counts: for those that would take minutes with the usual number of contexts; only: of what its program can, these.
Peer = collections.namedtuple('Peer', 'key title source variant package needs links counts only',
                              defaults=('', '', '', (), None, None))

SPEED = ('switch', 'life-one', 'live-1000', 'batch-1000', 'two-empty', 'two-1us', 'cross', 'handoff')   # the memory is another's
ALONE = ('switch', 'life-one', 'live-1000', 'batch-1000')      # one worker
MEMORY = ('live', 'million', 'maps', 'rss', 'zombies')
LIVES = ('life-one', 'batch-1000', 'two-empty', 'two-1us')      # where it matters who frees

PEERS = [
    Peer('private', 'libreap.a, private contexts', 'reap.c', 'private', links=('static',), only=ALONE + MEMORY),
    Peer('private.so', 'libreap.so, private contexts', 'reap.c', 'private', links=('shared',), only=ALONE),
    Peer('shared', 'libreap.a, shared contexts', 'reap.c', 'shared', links=('static',)),
    Peer('shared.so', 'libreap.so, shared contexts', 'reap.c', 'shared', links=('shared',), only=SPEED),
    Peer('owned', 'libreap.a, owned contexts', 'reap_owned.c', links=('static',), only=ALONE),
    Peer('runtime', 'libreap.a, runtime', 'reap_runtime.c', links=('static',)),
    Peer('runtime.so', 'libreap.so, runtime', 'reap_runtime.c', links=('shared',), only=SPEED),
    Peer('plain', 'libreap.a, runtime, plain reaper', 'reap_runtime.c', 'plain', links=('static',), only=LIVES),
    Peer('batching', 'libreap.a, runtime, batching reaper', 'reap_runtime.c', 'batching', links=('static',), only=LIVES),
    Peer('ucontext', 'glibc ucontext', 'ucontext.c', package='libc6-dev', needs='ucontext.h'),
    Peer('boost.fcontext', 'Boost.Context, fcontext', 'boost_context.cc', 'fcontext', 'libboost-context-dev',
         'boost/context/fiber.hpp', ('-lboost_context',), only=SPEED),
    Peer('boost.context', 'Boost.Context, fiber', 'boost_context.cc', 'fiber', 'libboost-context-dev',
         'boost/context/fiber.hpp', ('-lboost_context',)),
    Peer('boost.fiber', 'Boost.Fiber', 'boost_fiber.cc', '', 'libboost-fiber-dev', 'boost/fiber/all.hpp',
         ('-lboost_fiber', '-lboost_context')),
    Peer('st', 'State Threads', 'st.c', '', 'libst-dev', 'st.h', ('-lst',)),
    Peer('go', 'Go', 'go.go', '', 'golang-go', 'go'),
    Peer('tbb', 'oneTBB (tasks, no contexts)', 'tbb.cc', '', 'libtbb-dev', 'oneapi/tbb/task_group.h', ('-ltbb',)),
    Peer('pth', 'GNU Pth', 'pth.c', '', 'libpth-dev', 'pth.h', ('-lpth',), {'live': 2000, 'rss': 2000, 'zombies': 2000}),
    Peer('pthread', 'pthreads', 'pthread.c', '', 'libc6-dev', 'pthread.h'),
    Peer('marker', 'the kernel alone, guard markers', 'bare.c', 'marker', 'libc6-dev', 'sys/mman.h'),
    Peer('mprotect', 'the kernel alone, mprotect guards', 'bare.c', 'mprotect', 'libc6-dev', 'sys/mman.h'),
]
OURS = frozenset(peer.key for peer in PEERS if peer.links in (('static',), ('shared',)))

# title; how many workers; timed (repeated for so long as a sample takes) or with a number of contexts: usual, quick.
# program: the shape as the programs call it.
Shape = collections.namedtuple('Shape', 'name title workers count quick program', defaults=(1, None, None, None))

SHAPES = [
    Shape('switch', 'one way between two contexts (libreap with a scheduler of its host, Boost.Context, ucontext: straight to the '
          'other; the rest: by yield or wait, through their scheduler)'),
    Shape('life-one', 'spawn, run empty, exit, join, recycled; one at a time'),
    Shape('live-1000', '1000 spawned, each yields once, then all joined: 1000 live stacks'),
    Shape('batch-1000', '1000 spawned, none blocks, then all joined'),
    Shape('two-empty', 'the same on two workers, empty bodies; only batches of which each worker ran a tenth', 2),
    Shape('two-1us', 'the same with bodies of 1 us (they are in the figures)', 2),
    Shape('cross', 'spawned on one worker, run and ended on the other, joined on the first', 2),
    Shape('handoff', 'made by one, joined by another', 2, 1000000, 1000000),
    Shape('live', 'that live at the same time, a page touched in each, guarded where the peer can; made, ended, trimmed',
          1, 100000, 20000),
    Shape('million', 'as above', 1, 1000000, None, 'live'),
    Shape('rss', 'have ended: memory that stays', 1, 100000, 20000),
    Shape('zombies', 'have ended and are not joined: memory', 1, 20000, 5000),
    Shape('maps', 'that live, guarded where the peer can: mappings of the process', 1, 200000, 40000, 'live'),
]
TIMED = [shape for shape in SHAPES if shape.count is None]

OPTIMISE = ['-O2', '-D_GNU_SOURCE', '-Wall', '-Wextra', '-Wpedantic']     # for all programs alike
HERE = os.path.dirname(os.path.abspath(__file__))


class Built:
    """A peer's program, or why there is none."""

    def __init__(self, peer, path=None, missing=None, failure=None, shapes=()):
        self.peer, self.path, self.missing, self.failure, self.shapes = peer, path, missing, failure, shapes

    def command(self, shape, *options):
        variant = ['--variant', self.peer.variant] if self.peer.variant else []
        return [self.path, *variant, *options, shape]


class Builder:
    """Builds with `cc' and its C++ sister into `out', against the libreap of meson's build directory `tree'."""

    def __init__(self, tree, out, cc, werror=False):
        self.tree, self.out, self.cc, self.werror = tree, out, cc, werror
        words = cc.split()
        name = os.path.basename(words[-1])
        sister = name.replace('clang', 'clang++') if 'clang' in name else name.replace('gcc', 'g++')
        self.cxx = words[:-1] + [os.path.join(os.path.dirname(words[-1]), 'g++' if sister == name else sister)]
        self.once = collections.defaultdict(threading.Lock)
        os.makedirs(out, exist_ok=True)

    def has(self, peer):
        """Is what it stands on installed?"""
        if not peer.needs:
            return True
        if peer.source.endswith('.go'):
            return shutil.which(peer.needs) is not None
        compiler, language = (self.cxx, 'c++') if peer.source.endswith('.cc') else (self.cc.split(), 'c')
        if shutil.which(compiler[0]) is None:
            return False
        probe = subprocess.run([*compiler, '-E', '-x', language, '-o', os.devnull, '-'], input='#include <%s>\n' % peer.needs,
                               stderr=subprocess.DEVNULL, text=True, check=False)
        return probe.returncode == 0

    def recipe(self, peer, target):
        """The command that builds it, and the files that it is built from."""
        source = os.path.join(HERE, peer.source)
        if peer.source.endswith('.go'):
            return ['go', 'build', '-o', target, source], [source]
        compiler = [*self.cc.split(), '-std=gnu11'] if peer.source.endswith('.c') else [*self.cxx, '-std=c++17']
        command = [*compiler, *OPTIMISE, *(['-Werror'] if self.werror else []), '-o', target, source]
        files = [source, os.path.join(HERE, 'shape.h')]
        if peer.key in OURS:
            lib = os.path.join(self.tree, 'lib')
            runtime = os.path.join(lib, 'runtime')
            command += ['-I' + os.path.join(HERE, '..', '..', 'include')]
            if peer.links == ('static',):
                libraries = [os.path.join(runtime, 'libreap-runtime-alone.a'), os.path.join(lib, 'libreap.a')]
            else:
                libraries = [os.path.join(runtime, 'libreap-runtime.so'), os.path.join(lib, 'libreap.so')]
                command += ['-Wl,-rpath,' + runtime, '-Wl,-rpath,' + lib]
            if peer.source != 'reap_runtime.c':
                libraries = libraries[1:]
            command += libraries
            files += libraries
        else:
            command += peer.links
        return command + ['-pthread'], files

    def build(self, peer):
        """Builds the program if anything has changed since; variants share one."""
        package = peer.package if not peer.source.endswith('.cc') or shutil.which(self.cxx[0]) else peer.package + ', g++'
        if not self.has(peer):
            return Built(peer, missing=package)
        name = os.path.splitext(peer.source)[0] + ('-' + peer.links[0] if peer.key in OURS else '')
        target = os.path.join(self.out, name)
        command, files = self.recipe(peer, target)
        with self.once[target]:
            try:
                recipe = '\n'.join(command + ['%s %d' % (path, os.stat(path).st_mtime_ns) for path in files])
            except OSError as error:
                return Built(peer, failure='%s is not built: %s' % (error.filename, error.strerror))
            note = target + '.recipe'
            if not (os.path.exists(target) and os.path.exists(note) and open(note, encoding='utf-8').read() == recipe):
                environ = dict(os.environ, GOCACHE=os.path.join(self.out, 'go-cache'), GO111MODULE='off', GOFLAGS='')
                made = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environ,
                                      check=False)
                if made.returncode != 0:
                    return Built(peer, failure='did not build: %s\n%s' % (' '.join(command), made.stdout))
                with open(note, 'w', encoding='utf-8') as file:
                    file.write(recipe)
        shapes = subprocess.run([target, '--shapes'], stdout=subprocess.PIPE, text=True, check=False)
        if shapes.returncode != 0:
            return Built(peer, failure='cannot be run: status %d' % shapes.returncode)
        return Built(peer, path=target, shapes=tuple(shapes.stdout.split()))
