#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Record the processes that a command starts, how they end and who waits for them, for bench/run to replay.

usage: bench/record [-o FILE.csv] [--with tracefs|strace] [--buffer MIB] [--no-cost] -- COMMAND [ARGUMENT ...]

tracefs is taken where it is allowed (root), else strace, which sees no final switch and slows processes down.  What recording costs
is tried out beforehand with a hundred short processes.  FILE.csv is trace.csv unless named.  The exit status is the command's;
2: wrong usage; 125: the recording failed.
"""
import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

TRACING = '/sys/kernel/tracing'
FAILED = 125
HEADER = 'id,parent,kind,spawn,exit,zomb,off,wait,reap,mode,early,name'
CLONE_VFORK, CLONE_THREAD = 0x4000, 0x10000
WNOHANG, WNOWAIT, P_PID = 1, 0x1000000, 1


class Failed(Exception):
    """The recording cannot be had."""


class Task:
    def __init__(self, pid, parent, spawn, kind):
        self.pid, self.parent, self.spawn, self.kind = pid, parent, spawn, kind
        self.exit = self.zomb = self.off = self.wait = self.reap = None
        self.nohang = self.dead = False
        self.name = ''
        self.id = 0

    def mode(self):
        if self.parent is None:
            return 'R'
        if self.exit is not None and self.reap is not None and self.wait is not None:
            return 'N' if self.nohang else 'B' if self.wait <= (self.zomb or self.exit) else 'L'
        if self.dead or (self.kind == 'T' and self.exit is not None):
            return 'A'
        if self.parent.exit is not None and (self.exit is None or self.parent.exit <= self.exit):
            return 'O'
        return 'U'


class Tree:
    """What both recorders tell: who was spawned, who ended, who was waited for.  Times are whole microseconds."""

    def __init__(self, root):
        self.root, self.now, self.tasks, self.waiting = root, {}, [], {}

    def see_root(self, t):
        if not self.tasks:
            self.add(Task(self.root, None, t, 'P'))

    def add(self, task):
        self.now[task.pid] = task
        self.tasks.append(task)

    def alive(self, pid):
        task = self.now.get(pid)
        return task if task and task.exit is None else None

    def spawned(self, t, parent, child, kind):
        if self.alive(parent):
            self.add(Task(child, self.now[parent], t, kind))
            self.now[child].name = self.now[parent].name
        elif child in self.now and child != self.root:
            del self.now[child]             # the number is somebody else's now

    def exited(self, t, pid, name):
        task = self.alive(pid)
        if task:
            task.exit, task.name = t, name

    def notified(self, t, pid):
        task = self.now.get(pid)
        if task and task.exit is not None and task.zomb is None:
            task.zomb = t

    def left(self, t, pid, dead):
        task = self.now.get(pid)
        if task and task.exit is not None and task.off is None:
            task.off, task.dead = t, dead

    def waits(self, t, pid, nohang, whom=None):
        self.waiting[pid] = (t, nohang, whom)

    def returned(self, t, pid, child):
        start, nohang, _ = self.waiting.pop(pid, (t, False, None))
        task = self.now.get(child)
        if task and task.exit is not None and task.reap is None and pid in self.now:
            task.wait, task.reap, task.nohang = start, t, nohang

    def oldest_zombie(self, pid):
        """Of the process that a thread with this number belongs to; a guess where the kernel does not say who was reaped."""
        parent = self.now.get(pid)
        return next((t.pid for t in self.tasks if t.parent is parent and t.exit is not None and t.reap is None and t.kind != 'T'),
                    0)


# ---- tracefs ----

EVENTS = {
    'task/task_newtask': None, 'sched/sched_process_fork': None, 'sched/sched_process_exit': None, 'sched/sched_process_exec': None,
    'signal/signal_generate': 'sig == %d' % signal.SIGCHLD,
    'sched/sched_switch': 'prev_state == 16 || prev_state == 32',      # EXIT_DEAD, EXIT_ZOMBIE
    'syscalls/sys_enter_wait4': None,
    'syscalls/sys_exit_wait4': 'ret != 0',      # a parent that spins in no-hang waits would fill the buffer
    'syscalls/sys_enter_waitid': None, 'syscalls/sys_exit_waitid': 'ret == 0',
}


def poke(path, text):
    with open(path, 'w', encoding='ascii') as file:
        file.write(text)


def peek(path):
    with open(path, encoding='utf-8', errors='replace') as file:
        return file.read()


class Tracefs:
    name = 'tracefs'

    def __init__(self, mib):
        self.mib = mib

    @staticmethod
    def allowed():
        if os.geteuid() != 0:
            return False
        if not os.path.exists(TRACING + '/events'):
            subprocess.call(['mount', '-t', 'tracefs', 'nodev', TRACING], stderr=subprocess.DEVNULL)
        return os.access(TRACING + '/instances', os.W_OK) and os.path.exists(TRACING + '/events/syscalls/sys_enter_wait4')

    def record(self, command, path):
        """An instance of its own: nobody else's tracing is touched.  Returns its status, number and seconds."""
        instance = '%s/instances/libreap.%d' % (TRACING, os.getpid())
        try:
            os.mkdir(instance)
        except OSError as error:
            raise Failed('tracefs: %s: %s' % (instance, error.strerror)) from error
        try:
            poke(instance + '/trace_clock', 'mono')
            poke(instance + '/buffer_size_kb', str(self.mib * 1024))
            for event, condition in EVENTS.items():
                if condition:
                    poke('%s/events/%s/filter' % (instance, event), condition)
                poke('%s/events/%s/enable' % (instance, event), '1')
            poke(instance + '/tracing_on', '1')
            status, root, seconds = run(command)
            time.sleep(0.2)             # those that outlive it a little
            poke(instance + '/tracing_on', '0')
            lost = sum(int(number) for cpu in os.listdir(instance + '/per_cpu')
                       for number in re.findall(r'^(?:overrun|commit overrun|dropped events): (\d+)',
                                                peek('%s/per_cpu/%s/stats' % (instance, cpu)), re.M))
            if lost:
                raise Failed('%d events did not fit into the buffer; record again with --buffer %d' % (lost, self.mib * 4))
            with open(instance + '/trace', 'rb') as trace, open(path, 'wb') as copy:
                shutil.copyfileobj(trace, copy)
            return status, root, seconds
        except OSError as error:
            raise Failed('tracefs: %s' % error) from error
        finally:
            try:
                poke(instance + '/tracing_on', '0')
                os.rmdir(instance)
            except OSError:
                pass

    LINE = re.compile(r'^.{1,16}-(\d+)\s+\[\d+\]\s+\S+\s+(\d+\.\d+): (\w+)(?:: |\()?(.*)$')

    def read(self, path, root):
        tree, flags = Tree(root), {}
        with open(path, encoding='utf-8', errors='replace') as file:
            for line in file:
                found = None if line.startswith('#') else self.LINE.match(line)
                if found:
                    self.event(tree, flags, int(found[1]), round(float(found[2]) * 1e6), found[3], found[4])
        return tree

    @staticmethod
    def event(tree, flags, pid, t, event, rest):
        if pid == tree.root:
            tree.see_root(t)

        def number(word, base=10):
            return int(re.search(r'\b%s=?:? ?(?:0x)?(\w+)' % word, rest)[1], base)
        if event == 'task_newtask':
            flags[number('pid')] = number('clone_flags', 16)
        elif event == 'sched_process_fork':
            child = number('child_pid')
            how = flags.pop(child, 0)
            tree.spawned(t, pid, child, 'T' if how & CLONE_THREAD else 'V' if how & CLONE_VFORK else 'P')
        elif event == 'sched_process_exit':
            tree.exited(t, pid, re.search(r'comm=(.*?) pid=', rest)[1])
        elif event == 'signal_generate':
            tree.notified(t, pid)
        elif event == 'sched_switch':
            tree.left(t, number('prev_pid'), 'prev_state=X' in rest)
        elif event in ('sys_wait4', 'sys_waitid') and pid in tree.now:
            if '->' not in rest:
                options = number('options', 16)
                whom = number('upid', 16) if event == 'sys_waitid' and number('which', 16) == P_PID else None
                if not options & WNOWAIT:
                    tree.waits(t, pid, bool(options & WNOHANG), whom)
                return
            result = int(rest.rpartition('->')[2], 0)
            if event == 'sys_waitid' and result == 0 and pid in tree.waiting:
                result = tree.waiting[pid][2] or tree.oldest_zombie(pid)
            if 0 < result < 1 << 31:
                tree.returned(t, pid, result)


# ---- strace ----

class Strace:
    name = 'strace'

    def __init__(self, mib):
        del mib

    @staticmethod
    def allowed():
        return shutil.which('strace') is not None

    def record(self, command, path):
        calls = 'clone,clone3,fork,vfork,execve,wait4,waitid,exit_group,exit'
        status, _, seconds = run(['strace', '-f', '--seccomp-bpf', '-q', '-ttt', '-s', '0', '-e', 'signal=none', '-e', 'trace=?'
                                  + calls.replace(',', ',?'),
                                  '-o', path] + command)
        return status, None, seconds

    LINE = re.compile(r'^(\d+)\s+(\d+\.\d+) (.*)$')

    def read(self, path, root):
        tree, begun, unborn = None, {}, {}
        with open(path, encoding='utf-8', errors='replace') as file:
            for line in file:
                found = self.LINE.match(line)
                if not found:
                    continue
                pid, t, rest = int(found[1]), round(float(found[2]) * 1e6), found[3]
                if tree is None:
                    tree = Tree(pid)
                    tree.see_root(t)
                if pid not in tree.now or (tree.now[pid].reap is not None and pid not in unborn):
                    unborn.setdefault(pid, []).append((t, rest))     # its clone() has yet to return
                    continue
                self.event(tree, begun, unborn, pid, t, rest)
        if tree is None:
            raise Failed('strace has seen nothing')
        for task in tree.tasks:             # no line tells when the parent was notified
            task.zomb = task.zomb or task.exit
        return tree

    def event(self, tree, begun, unborn, pid, t, rest):
        if rest.endswith('<unfinished ...>'):
            begun[pid] = (t, rest[:-len('<unfinished ...>')])
            self.begins(tree, pid, t, rest)
            return
        resumed = re.match(r'<\.\.\. \w+ resumed>(.*)$', rest)
        if resumed:
            _, start = begun.pop(pid, (t, ''))
            rest = start + resumed[1]
        else:
            self.begins(tree, pid, t, rest)
        result = re.search(r'= (-?\d+)', rest.rpartition(')')[2])
        value = int(result[1]) if result else -1
        if re.match(r'(clone3?|v?fork)\(', rest) and value > 0:
            kind = 'T' if 'CLONE_THREAD' in rest else 'V' if 'CLONE_VFORK' in rest or rest.startswith('vfork') else 'P'
            early = unborn.pop(value, [])
            tree.spawned(min([t] + [at for at, _ in early]), pid, value, kind)
            for at, what in early:
                self.event(tree, begun, unborn, value, at, what)
        elif rest.startswith('wait4(') and value > 0:
            tree.returned(t, pid, value)
        elif rest.startswith('waitid(') and value == 0:
            child = re.search(r'si_pid=(\d+)', rest)
            if child and 'WNOWAIT' not in rest:
                tree.returned(t, pid, int(child[1]))
        elif rest.startswith('execve(') and value == 0:
            tree.now[pid].name = os.path.basename(re.match(r'execve\("([^"]*)"',
                                                           rest)[1]) if re.match(r'execve\("([^"]+)"', rest) else ''
        elif rest.startswith('+++'):
            tree.exited(t, pid, tree.now[pid].name)
            tree.notified(t, pid)

    @staticmethod
    def begins(tree, pid, t, rest):
        if rest.startswith(('wait4(', 'waitid(')) and 'WNOWAIT' not in rest:
            tree.waits(t, pid, 'WNOHANG' in rest)
        elif rest.startswith(('exit_group(', 'exit(')):
            tree.exited(t, pid, tree.now[pid].name)


# ---- the command ----

def run(command):
    """Its status, as a shell tells it, its process number, and its seconds.  It waits for our word, so that
    nothing of it is missed."""
    go, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(tell)
        os.read(go, 1)
        try:
            os.execvp(command[0], command)
        except OSError as error:
            print('bench/record: %s: %s' % (command[0], error.strerror), file=sys.stderr)
            os._exit(127 if error.errno == 2 else 126)
    os.close(go)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)      # it is the command's to end
    start = time.monotonic()
    os.write(tell, b'x')
    os.close(tell)
    _, status = os.waitpid(pid, 0)
    seconds = time.monotonic() - start
    signal.signal(signal.SIGINT, before)
    return (os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)), pid, seconds


def cost(recorder, directory):
    """What a short process takes with and without, microseconds: A B A B A B, the best of each."""
    loop = ['sh', '-c', 'i=0; while [ $i -lt 100 ]; do /bin/true; i=$((i + 1)); done']
    took = {True: [], False: []}
    for _ in range(3):
        for traced in (False, True):
            path = os.path.join(directory, 'cost')
            took[traced].append(1e4 * (recorder.record(loop, path) if traced else run(loop))[2])
    return min(took[False]), min(took[True])


# ---- the file ----

def noted(name):
    name = ''.join(c if c.isprintable() and c not in '",' else '_' for c in name)
    return name[:15]


def rows(tree):
    """In order of spawn, and so that every rule of bench/traces/README.md holds."""
    tasks = sorted(tree.tasks, key=lambda t: t.spawn)
    for i, task in enumerate(tasks):
        task.id = i + 1
    start, last = tasks[0].spawn, 0
    for task in tasks:
        mode = task.mode()
        spawn = max(task.spawn, last)
        if task.parent is not None and task.parent.exit is not None:
            spawn = min(spawn, max(task.parent.exit, task.parent.spawn))
        last = max(spawn, last)
        ended = None if task.exit is None else max(task.exit, spawn)
        zomb, off, wait, reap = (None if t is None or ended is None else t for t in (task.zomb, task.off, task.wait, task.reap))
        zomb = zomb and max(zomb, ended)
        off = off and max(off, ended)
        reap = max(reap, ended) if reap else task.off if mode == 'A' else None
        if mode == 'R':
            wait = reap = None
        early = mode in 'BLN' and off is not None and (task.dead or reap < off)
        yield [task.id, task.parent.id if task.parent else 0, task.kind] + \
              ['' if t is None else t - start for t in (spawn, ended, zomb, off, wait if mode in 'BLN' else None, reap)] + \
              [mode, int(early), noted(task.name)]


def write(path, tree):
    lines = [HEADER] + [','.join(map(str, row)) for row in rows(tree)]
    partial = path + '.partial'
    try:
        with open(partial, 'w', encoding='utf-8') as file:
            file.write('\n'.join(lines) + '\n')
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        if os.path.exists(partial):
            os.unlink(partial)
        raise Failed('cannot write %s: %s' % (path, error.strerror)) from error


def summary(tree):
    modes = [task.mode() for task in tree.tasks]
    kinds = {'B': 'waited for already', 'L': 'waited for late', 'N': 'taken by a no-hang call', 'A': 'reaped automatically',
             'O': 'orphaned',
             'U': 'not reaped'}
    return '%d tasks: %s' % (len(modes), ', '.join('%d %s' % (modes.count(m), words) for m, words in kinds.items() if m in modes)
                             or 'no children')


def choose(wanted, mib):
    for kind in (Tracefs, Strace):
        if wanted in (None, kind.name):
            if kind.allowed():
                return kind(mib)
            if wanted:
                raise Failed('%s cannot be used here' % wanted)
    raise Failed('neither tracefs (root only) nor strace can be used here')


def main():
    parser = argparse.ArgumentParser(prog='bench/record', usage=__doc__.split('usage: ')[1].split('\n')[0], add_help=False)
    parser.add_argument('-o', default='trace.csv')
    parser.add_argument('--with', dest='recorder', choices=('tracefs', 'strace'))
    parser.add_argument('--buffer', type=int, default=32, metavar='MIB')
    parser.add_argument('--no-cost', action='store_true')
    parser.add_argument('--help', action='store_true')
    args = sys.argv[1:]
    command = args[args.index('--') + 1:] if '--' in args else []
    options = parser.parse_args(args[:args.index('--')] if '--' in args else args)
    if options.help:
        print(__doc__.strip())
        return 0
    if not command or options.buffer < 1:
        parser.error('no command: what is to be recorded stands after --' if not command else '--buffer: at least 1')
    try:
        recorder = choose(options.recorder, options.buffer)
        with tempfile.TemporaryDirectory() as directory:
            open(options.o + '.partial', 'w', encoding='ascii').close()      # said before the command is run
            os.unlink(options.o + '.partial')
            if options.no_cost:
                price = ''
            else:
                without, traced = cost(recorder, directory)
                price = '; a short process takes %.0f us with it and %.0f us without%s' % (
                    traced, without, '' if traced >= without else ': no cost that could be told from what else this machine does')
            print('bench/record: by %s%s' % (recorder.name, price), file=sys.stderr)
            recording = os.path.join(directory, 'recording')
            status, root, _ = recorder.record(command, recording)
            tree = recorder.read(recording, root)
            if not tree.tasks:
                raise Failed('nothing was seen of the command')
            write(options.o, tree)
        print('bench/record: %s: %s; replay: ./bench/run %s' % (options.o, summary(tree), options.o), file=sys.stderr)
        return status
    except OSError as error:
        print('bench/record: cannot write %s: %s' % (options.o, error.strerror), file=sys.stderr)
    except Failed as error:
        print('bench/record: %s' % error, file=sys.stderr)
    return FAILED


if __name__ == '__main__':
    sys.exit(main())
