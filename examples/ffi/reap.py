#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""libreap from another language: Python, by ctypes.  usage: reap.py LIBREAP.so

Door 1: the slot and the completion, whose inline functions are exported once more under names that end in `_'.
Door 2: Python is the scheduler, next() and ready() of a queue.  A context runs a function of Python's or of C's.

What a context of Python's may not do is to switch: CPython keeps the frames of a thread in one stack of its own.  One that runs C
may.  An interpreter that looks at its stack pointer (CPython from 3.14 on) needs to be told of every stack besides.
"""
import collections
import ctypes
import sys
from ctypes import POINTER, Structure, byref, c_bool, c_byte, c_int, c_size_t, c_uint, c_uint64, c_void_p

if sys.version_info >= (3, 14):
    print('CPython looks at its stack pointer from 3.14 on')
    sys.exit(77)

lib = ctypes.CDLL(sys.argv[1])
c_intptr = ctypes.c_ssize_t
Entry = ctypes.CFUNCTYPE(c_intptr, c_void_p)
Next = ctypes.CFUNCTYPE(c_void_p, c_void_p)
Ready = ctypes.CFUNCTYPE(None, c_void_p)


class Slot(Structure):
    _fields_ = [('prev', c_size_t)]


class Completion(Structure):
    _fields_ = [('word', c_size_t)]


class Host(Structure):
    _fields_ = [('next', Next), ('ready', Ready), ('idle', c_void_p), ('wake', c_void_p), ('shares', c_bool), ('direct', c_bool),
                ('observers', c_void_p * 4)]


# Options tell their size.  They may be longer than the library's, if what is too much is zero: so the end needs no names here.
class DomainOptions(Structure):
    _fields_ = [('size', c_size_t), ('host', POINTER(Host)), ('rest', c_byte * 496)]


class ContextOptions(Structure):
    _fields_ = [('size', c_size_t), ('entry', c_void_p), ('arg', c_void_p), ('user', c_void_p), ('policy', c_int),
                ('notify', c_int), ('flags', c_uint), ('stack_size', c_size_t), ('rest', c_byte * 256)]


class Result(Structure):
    _fields_ = [('where', c_size_t), ('generation', c_uint64), ('user', c_void_p), ('status', c_intptr), ('usage', c_uint64 * 4)]


def declare(result, *names_and_arguments):
    for name, *arguments in names_and_arguments:
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments


declare(None, ('reap_completion_init_', POINTER(Completion)), ('reap_slot_put_', POINTER(Slot), POINTER(Completion)),
        ('reap_slot_landed_', POINTER(Slot)))
declare(c_bool, ('reap_completion_posted_', POINTER(Completion)))
declare(c_void_p, ('reap_switch', c_void_p, c_void_p), ('reap_yield', c_void_p))
declare(c_int, ('reap_domain_create', POINTER(DomainOptions), POINTER(c_void_p)),
        ('reap_domain_destroy', c_void_p, c_void_p, c_void_p),
        ('reap_worker_start', c_void_p, c_void_p, POINTER(c_void_p)), ('reap_worker_stop', c_void_p),
        ('reap_context_create', c_void_p, POINTER(ContextOptions), POINTER(c_void_p)),
        ('reap_wait', c_void_p, c_uint, POINTER(Result)))


def check(error):
    if error != 0:
        raise OSError(-error, 'libreap')


def door_1():
    slot, dead = Slot(), Completion()
    lib.reap_completion_init_(byref(dead))
    lib.reap_slot_put_(byref(slot), byref(dead))        # a fiber dies: the last thing before its switch
    print('dying: off the CPU:', lib.reap_completion_posted_(byref(dead)))
    lib.reap_slot_landed_(byref(slot))                  # its successor: the first thing after it
    print('landed: off the CPU:', lib.reap_completion_posted_(byref(dead)))


def door_2():
    runnable = collections.deque()

    @Next
    def next_(worker):
        return runnable.popleft() if runnable else None

    @Ready
    def ready(context):
        print('ready:', names[context])
        runnable.append(context)

    @Entry
    def double(number):
        print('doubling', number)
        return 2 * number

    names = {}
    host = Host(next=next_, ready=ready)
    domain, worker = c_void_p(), c_void_p()
    check(lib.reap_domain_create(byref(DomainOptions(size=ctypes.sizeof(DomainOptions), host=ctypes.pointer(host))), byref(domain)))
    check(lib.reap_worker_start(domain, None, byref(worker)))

    def create(name, entry, arg):
        context = c_void_p()
        options = ContextOptions(size=ctypes.sizeof(ContextOptions), entry=ctypes.cast(entry, c_void_p), arg=arg,
                                 stack_size=1 << 20)      # an interpreter runs on it
        check(lib.reap_context_create(domain, byref(options), byref(context)))
        names[context.value] = name
        return context

    def wait(context):
        result = Result()
        check(lib.reap_wait(context, 0, byref(result)))
        return result.status

    first = create('first', double, 21)
    print('switched to first, which ended on worker', 0 if lib.reap_switch(worker, first) == worker.value else 1)
    print('waited for first:', wait(first))

    yields = create('yields', lib.reap_yield, worker)   # the address of a C function: it comes back by ready() and next()
    second = create('second', double, 4)
    runnable.extend([yields.value, second.value])
    print('waited for second:', wait(second))           # our base context runs the others meanwhile
    print('waited for yields, which came back on worker', 0 if wait(yields) == worker.value else 1)
    check(lib.reap_worker_stop(worker))
    check(lib.reap_domain_destroy(domain, None, None))


door_1()
door_2()
