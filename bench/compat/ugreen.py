#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Starts a uWSGI with uGreen on a socket of its own, sends it requests, one after the other, prints a sum of the answers.

usage: ugreen.py DIR REQUESTS
"""
import hashlib
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

APP = '''
import uwsgi

def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    n = int(environ['PATH_INFO'].strip('/') or 0)
    for i in range(100):
        n = (n * 31 + i) & 0xffffffff
        uwsgi.suspend()
        yield b'%d\\n' % n
'''


def ask(path, number):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(60)
        s.connect(path)
        s.sendall(b'GET /%d HTTP/1.0\r\n\r\n' % number)
        answer = b''
        while True:
            part = s.recv(65536)
            if not part:
                return answer
            answer += part


def main():
    work, requests = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    path = str(work / 'socket')
    (work / 'app.py').write_text(APP, encoding='utf-8')
    if os.path.exists(path):
        os.remove(path)
    server = subprocess.Popen(['uwsgi-core', '--plugins', 'python3,ugreen', '--ugreen', '--async', '4', '--http-socket', path,
                               '--wsgi-file', str(work / 'app.py'), '--die-on-term'],
                              stdin=subprocess.DEVNULL, stdout=open(work / 'server.log', 'w', encoding='utf-8'),
                              stderr=subprocess.STDOUT)
    answers = []
    try:
        limit = time.monotonic() + 60
        while True:
            if server.poll() is not None or time.monotonic() > limit:
                print((work / 'server.log').read_text(encoding='utf-8')[-2000:], file=sys.stderr)
                return 1
            try:
                ask(path, 0)
                break
            except (FileNotFoundError, ConnectionRefusedError):
                time.sleep(0.02)

        answers = [ask(path, number) for number in range(requests)]
    finally:
        if server.poll() is None:
            server.send_signal(signal.SIGTERM)
        server.wait(60)
    print(len(answers), sum(a.count(b'\n') for a in answers), hashlib.sha256(b''.join(answers)).hexdigest())
    return 0


if __name__ == '__main__':
    sys.exit(main())
