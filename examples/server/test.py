#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What the server has to stand, from outside: TAP.

usage: test.py SERVER [--workers N]... [--seeds FROM TO] [NAME...]

At the end of each server its own statistics must say that every context that there was has been reaped.
"""
import argparse, contextlib, errno, json, os, random, resource, select, shutil, signal, socket, struct, subprocess, sys, tempfile
import threading, time

PATIENCE = 60                   # seconds before we say that something will never happen
HELLO = b'GET /hello HTTP/1.1\r\nHost: x\r\n\r\n'
MUCH = b'GET /big HTTP/1.1\r\nHost: x\r\n\r\n'
TESTS = []


def test(function):
    TESTS.append(function)
    return function


class Skip(Exception):
    pass


class Closed(Exception):
    """The server has ended the connection where a response could begin."""


def check(ok, *what):
    if not ok:
        raise AssertionError(' '.join(str(w) for w in what))


def equal(got, wanted, *what):
    check(got == wanted, 'got %r, wanted %r' % (got, wanted), *what)


class Client:
    def __init__(self, port, small=False):
        self.socket = socket.socket()
        if small:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(('127.0.0.1', port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b''

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def more(self):
        data = self.socket.recv(65536)
        self.buffer += data
        return bool(data)

    def response(self, head=False):
        """-> status, headers, body.  Nothing but Closed may come instead, and only before the first byte."""
        while b'\r\n\r\n' not in self.buffer:
            try:
                more = self.more()
            except ConnectionResetError:
                more = False
            if not more:
                if not self.buffer:
                    raise Closed
                raise AssertionError('half an answer: %r' % self.buffer)
        header, _, self.buffer = self.buffer.partition(b'\r\n\r\n')
        lines = header.decode('ascii').split('\r\n')
        version, status, reason = lines[0].split(' ', 2)
        check(version == 'HTTP/1.1' and reason, lines[0])
        headers = {}
        for line in lines[1:]:
            name, colon, value = line.partition(': ')
            check(colon and name.lower() not in headers, line)
            headers[name.lower()] = value
        if int(status) < 200:
            return int(status), headers, b''
        length = int(headers['content-length'])
        if head:
            return int(status), headers, b''
        while len(self.buffer) < length:
            check(self.more(), 'an answer of %d bytes ends after %d' % (length, len(self.buffer)))
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return int(status), headers, body

    def ask(self, data, head=False):
        self.send(data)
        return self.response(head)

    def ended(self):
        """Has the server said that there is no more?  Waits for it."""
        try:
            return not self.more() and not self.buffer
        except ConnectionResetError:
            return not self.buffer

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        self.socket.close()


class Server:
    """With these options.  At its end, unless that was something else: SIGTERM, status 0, nothing left."""

    def __init__(self, *options, files=None):
        limit = (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))) if files else None
        # Unless this is about them, no time limit of the server helps out where a wakeup is lost, or hurries a slow machine.
        command = [ARGS.server, '-p', '0', '-w', str(WORKERS), '-r', ROOT]
        for letter in 'ihBWd':
            command += ['-' + letter, str(20 * PATIENCE * 1000)]
        self.hasty = '-i' in options
        self.process = subprocess.Popen(command + [str(o) for o in options], stdout=subprocess.PIPE, text=True, preexec_fn=limit)
        first = self.process.stdout.readline()
        check(first.startswith('listening on '), 'the server says', repr(first))
        self.port = int(first.split()[-1])

    def __enter__(self):
        return self

    def __exit__(self, kind, *error):
        if kind is not None:
            self.process.kill()
        elif self.process.returncode is None:
            self.stop()
        self.process.stdout.close()
        self.process.wait()

    def client(self, **options):
        return Client(self.port, **options)

    def kill(self):
        self.process.send_signal(signal.SIGTERM)

    def stop(self):
        self.kill()
        self.ends()

    def ends(self):
        text = self.process.stdout.read()
        equal(self.process.wait(PATIENCE), 0, 'exit status')
        last = json.loads(text)
        contexts = last['contexts']
        equal((contexts['live'], contexts['zombies'], contexts['backlog']), (1, 0, 0), text)
        equal(contexts['created'], contexts['reaped'] + 1, text)
        # All but the acceptor were connections, and went to the adopter.
        equal(last['reaped_by']['adopter'], last['accepted'], text)
        self.last = last

    def get(self, path='/hello', headers=''):
        while True:
            with self.client() as client:
                try:
                    return client.ask(b'GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n' % (path.encode(), headers.encode()))
                except (Closed, ConnectionError):
                    if not self.hasty:          # else we were too slow for it
                        raise

    def stats(self):
        status, _, body = self.get('/stats')
        equal(status, 200)
        return json.loads(body)

    def until(self, what, text):
        """Wait until the statistics are so."""
        end = time.monotonic() + PATIENCE
        while True:
            stats = self.stats()
            if what(stats):
                return stats
            check(time.monotonic() < end, 'never:', text, stats)
            time.sleep(0.01)

    def until_alone(self):
        """... until nobody is there but us: main's context, the acceptor, the one that we ask."""
        return self.until(lambda s: s['contexts']['live'] <= 3, 'all others have gone')


# ---- answers

@test
def answers_as_http_wants_it():
    with Server() as server, server.client() as client:
        status, headers, body = client.ask(HELLO)
        equal((status, body, headers['content-length']), (200, b'hello\n', '6'))
        check('connection' not in headers and headers['date'].endswith(' GMT'), headers)
        equal(client.ask(HELLO.replace(b'GET', b'HEAD'), head=True)[0], 200)
        equal(client.ask(HELLO.replace(b'GET', b'HEAD'), head=True)[1]['content-length'], '6')
        equal(client.ask(b'POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabcde')[2], b'abcde')
        equal(client.ask(b'POST /echo HTTP/1.1\r\nHost: x\r\n\r\n')[2], b'')
        chunks = b'3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nA: b\r\n\r\n'
        equal(client.ask(E + b'Transfer-Encoding: chunked\r\n\r\n' + chunks)[2], b'abcde')
        status, headers, _ = client.ask(HELLO.replace(b'GET', b'DELETE'))
        equal((status, headers['allow']), (405, 'GET, HEAD'))
        status, headers, _ = client.ask(b'GET /echo HTTP/1.1\r\nHost: x\r\n\r\n')
        equal((status, headers['allow']), (405, 'POST'))
        equal(client.ask(b'GET http://x/hello?a=b HTTP/1.1\r\nHost: x\r\n\r\n')[2], b'hello\n')
        equal(client.ask(b'\r\n\r\nGET /%68ello HTTP/1.1\r\nHost: x\r\n\r\n')[2], b'hello\n')
        client.send(b'POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n')
        equal(client.response()[0], 100)
        equal(client.ask(b'abc')[2], b'abc')
        # None of these has ended the connection.  These do.
        status, headers, _ = client.ask(HELLO.replace(b'\r\n\r\n', b'\r\nConnection: close\r\n\r\n'))
        equal((status, headers['connection']), (200, 'close'))
        check(client.ended())
        with server.client() as old:
            equal(old.ask(b'GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n')[1]['connection'], 'keep-alive')
            equal(old.ask(b'GET /hello HTTP/1.0\r\n\r\n')[1]['connection'], 'close')
            check(old.ended())


@test
def files_and_nothing_but_files():
    with Server() as server, server.client() as client:
        def get(path, *headers):
            return client.ask(b'\r\n'.join([b'GET %s HTTP/1.1' % path, b'Host: x', *headers, b'', b'']))

        status, headers, body = get(b'/')
        equal((status, headers['content-type'], body), (200, 'text/html; charset=utf-8', b'<p>index\n'))
        equal(get(b'/sub/')[2], b'<p>sub\n')
        equal(get(b'/sub')[2], b'<p>sub\n')
        equal(get(b'/sub//a.txt')[2], b'a\n')
        equal(get(b'/sub%2fa.txt?x=..')[2], b'a\n')
        equal(get(b'/big')[2], BIG)
        equal(client.ask(b'HEAD /big HTTP/1.1\r\nHost: x\r\n\r\n', head=True)[1]['content-length'], str(len(BIG)))
        for path in (b'/nothing', b'/sub/a.txt/', b'/sub/a.txt/b', b'/nothing/a', b'/' + b'a' * 300, b'/empty'):
            equal(get(path)[0], 404, path)
        # What is not below the root, or not a file.
        for path in (b'/../secret', b'/sub/../../secret', b'/%2e%2e/secret', b'/..%2fsecret', b'/sub/%2e./a.txt',
                     b'/.hidden', b'/./big', b'/link', b'/loop/a.txt', b'/pipe', b'//../secret'):
            check(get(path)[0] in (403, 404), path)
        for path in (b'/%', b'/%0', b'/%zz', b'/%00', b'/big%00.txt'):
            equal(get(path)[0], 400, path)

        def part(text):
            status, headers, body = get(b'/big', b'Range: ' + text)
            return status, headers.get('content-range'), body

        size = len(BIG)
        equal(part(b'bytes=0-9'), (206, 'bytes 0-9/%d' % size, BIG[:10]))
        equal(part(b'bytes=-10'), (206, 'bytes %d-%d/%d' % (size - 10, size - 1, size), BIG[-10:]))
        equal(part(b'bytes=%d-' % (size - 1)), (206, 'bytes %d-%d/%d' % (size - 1, size - 1, size), BIG[-1:]))
        equal(part(b'bytes=5-99999999999')[2], BIG[5:])
        equal(part(b'bytes=%d-' % size)[:2], (416, 'bytes */%d' % size))
        for text in (b'bytes=9-5', b'bytes=', b'bytes=-', b'lines=1-2', b'bytes=1-2,4-5', b'bytes=x-', b'bytes=-0x1'):
            equal(part(text)[::2], (200, BIG), text)


@test
def pipelined_requests_are_answered_in_their_order():
    rng = random.Random(1)
    with Server() as server, server.client() as client:
        bodies = [rng.randbytes(rng.choice((0, 1, 100, 5000, 60000))) for _ in range(60)]
        data = b''.join(b'POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s' % (len(b), b) + HELLO for b in bodies)
        # While we send, they answer; who does not read would at last be waited for.
        sender = threading.Thread(target=client.send, args=(data,))
        sender.start()
        for body in bodies:
            equal(client.response()[2], body)
            equal(client.response()[2], b'hello\n')
        sender.join()
        # One byte at a time.
        for i in range(len(HELLO)):
            client.send(HELLO[i:i + 1])
        equal(client.response()[0], 200)
        # After an error nothing more is answered.
        client.send(HELLO + b'nonsense\r\n\r\n' + HELLO)
        equal([client.response()[0], client.response()[0]], [200, 400])
        check(client.ended())


# ---- what is wrong

H = b'GET /hello HTTP/1.1\r\nHost: x\r\n'
E = b'POST /echo HTTP/1.1\r\nHost: x\r\n'
WRONG = [       # after each of these the connection is closed
    (400, b'nonsense\r\n\r\n'), (400, b'HELLO / HTTP/1.1\r\n\r\n'), (400, b'GET\r\n\r\n'),
    (400, b'GET /hello\x01 HTTP/1.1\r\n\r\n'), (400, b'GET /hello HTTP/x\r\n\r\n'),
    (400, b'GET /hello JTTP/1.1\r\n\r\n'), (400, b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'), (400, b'\0' * 20),
    (400, b'GET /hello HTTP/1.1\r\n\r\n'), (400, H + b'Host: y\r\n\r\n'), (400, H + b'A b: c\r\n\r\n'),
    (400, H + b'Content-Length : 3\r\n\r\nabc'), (400, H + b'A: b\x01\r\n\r\n'),
    (400, H + b': c\r\n\r\n'), (400, H + b'Content-Length: x\r\n\r\n'), (400, H + b'Content-Length: -1\r\n\r\n'),
    (400, H + b'Content-Length: 1\r\nContent-Length: 2\r\n\r\n'), (400, H + b'Content-Length: 99999999999999999999999\r\n\r\n'),
    (400, E + b'Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n'), (400, E + b'Transfer-Encoding: chunked\r\n\r\nx\r\n'),
    (400, E + b'Transfer-Encoding: chunked\r\n\r\n-1\r\n'), (400, E + b'Transfer-Encoding: chunked\r\n\r\n1\r\nabcxyz'),
    (400, E + b'Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n'), (400, E + b'Transfer-Encoding: gzip\r\n\r\n'),
    (417, E + b'Expect: miracles\r\nContent-Length: 3\r\n\r\n'), (505, b'GET /hello HTTP/2.0\r\nHost: x\r\n\r\n'),
    (505, b'GET /hello\r\n\r\n'),
    (414, b'GET /%s HTTP/1.1\r\nHost: x\r\n\r\n' % (b'a' * 3000)), (431, H + b'A: %s\r\n\r\n' % (b'a' * 9000)),
    (431, H + b''.join(b'A%d: b\r\n' % i for i in range(2000)) + b'\r\n'), (431, H + b'A' * 9000),
    (413, E + b'Content-Length: 50001\r\n\r\n'), (413, E + b'Expect: 100-continue\r\nContent-Length: 4000000000\r\n\r\n'),
    (413, E + b'Transfer-Encoding: chunked\r\n\r\n' + b'1000\r\n%s\r\n' % (b'a' * 4096) * 13),
]
FINE = [        # after these it is not
    (200, HELLO), (200, HELLO.replace(b'Host', b'hOST')), (200, H + b'A: %s\r\n\r\n' % (b'a' * 4000)),
    (404, b'GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n'), (403, b'GET /../secret HTTP/1.1\r\nHost: x\r\n\r\n'),
    (400, b'GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n'), (405, b'PUT /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc'),
    (200, E + b'Content-Length: 3\r\n\r\nabc'), (200, E + b'Content-Length: 20000\r\n\r\n' + b'b' * 20000),
    (200, E + b'Transfer-Encoding: chunked\r\n\r\n' + b'100\r\n%s\r\n' % (b'c' * 256) * 9 + b'0\r\n\r\n'),
    (200, b'GET /big HTTP/1.1\r\nHost: x\r\n\r\n'), (200, H + b'Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n\r\n'),
]


def try_send(client, data):
    try:
        client.send(data)
    except OSError:
        pass                    # they have heard enough, and said so before


@test
def malformed_requests_get_what_they_deserve():
    with Server('-b', 50000) as server:
        for status, data in WRONG:
            with server.client() as client:
                try_send(client, data)
                got, headers, _ = client.response()
                equal((got, headers.get('connection')), (status, 'close'), data[:80])
                check(client.ended(), data[:80])
        for status, data in FINE:
            with server.client() as client:
                equal(client.ask(data)[0], status, data[:80])
                equal(client.ask(HELLO)[0], 200, data[:80])
        server.until_alone()


@test
def any_sequence_in_any_pieces():
    with Server('-b', 50000) as server:
        for seed in range(*ARGS.seeds):
            rng = random.Random(seed)
            chosen = [rng.choice(FINE) for _ in range(rng.randrange(6))]
            wrong = rng.random() < 0.6
            if wrong:
                chosen.append(rng.choice(WRONG))
            data = b''.join(d for _, d in chosen)
            with server.client() as client:
                def send():
                    at = 0
                    while at < len(data):
                        n = rng.choice((1, 2, 7, 100, 1500, 10000))
                        try_send(client, data[at:at + n])
                        at += n
                sender = threading.Thread(target=send)
                sender.start()
                for status, d in chosen:
                    equal(client.response()[0], status, 'seed', seed, d[:60])
                if wrong:
                    check(client.ended(), 'seed', seed)
                sender.join()
                if not wrong:
                    equal(client.ask(HELLO)[0], 200, 'seed', seed)
        server.until_alone()


@test
def noise_is_answered_or_not_but_survived():
    with Server('-b', 50000) as server:
        for seed in range(*ARGS.seeds):
            rng = random.Random(seed)
            data = bytearray(b''.join(d for _, d in rng.choices(FINE + WRONG, k=3)))
            for _ in range(rng.choice((1, 3, 20))):
                i = rng.randrange(len(data))
                data[i:i + rng.choice((0, 1, 5))] = rng.randbytes(rng.choice((0, 1, 4)))
            with server.client() as client:
                try_send(client, bytes(data))
                with contextlib.suppress(OSError):
                    client.socket.shutdown(socket.SHUT_WR)
                with contextlib.suppress(Closed):
                    while True:
                        check(100 <= client.response(head=None)[0] < 600)
        equal(server.get()[0], 200)
        server.until_alone()


# ---- the slow and the rude

def answers_meanwhile(server):
    with server.client() as client:
        for _ in range(20):
            equal(client.ask(HELLO)[0], 200)


@test
def who_is_slow_waits_alone():
    with Server('-h', 200, '-B', 200, '-W', 200) as server:
        with contextlib.ExitStack() as stack:
            def some(n, data, **options):
                clients = [stack.enter_context(server.client(**options)) for _ in range(n)]
                for client in clients:
                    client.send(data)
                return clients

            headers = some(100, b'GET /hello HTTP/1.1\r\nHost: x\r\nA: ')
            blank = some(10, b'\r\n')
            bodies = some(20, E + b'Content-Length: 100\r\n\r\nabc')
            deaf = some(20, MUCH * 200, small=True)
            # They are never quite silent.  No byte helps: a request is to be there in time.
            talking = set(headers + blank)
            while talking:
                answers_meanwhile(server)
                ended, _, _ = select.select([c.socket for c in talking], [], [], 0.02)
                talking = {c for c in talking if c.socket not in ended}
                for client in talking:
                    try_send(client, b'\r\n' if client in blank else b'a')
            for client in headers + bodies:
                status, answer, _ = client.response()
                equal((status, answer['connection']), (408, 'close'))
                check(client.ended())
                client.socket.close()
            for client in blank:
                check(client.ended())
            # Those who do not listen are left alone with what their kernel has taken.
            server.until(lambda s: s['contexts']['live'] <= 3, 'the deaf are given up')
            del deaf
        check(server.stats()['timeouts'] >= 150)


@test
def who_is_idle_is_sent_home():
    with Server('-i', 100) as server:
        clients = [server.client() for _ in range(40)]
        for client in clients[20:]:
            try_send(client, HELLO)
        for client in clients[20:]:
            with contextlib.suppress(Closed):       # too slow for it
                equal(client.response()[0], 200)
        for client in clients:
            check(client.ended())
            client.socket.close()
        server.until_alone()
        check(server.stats()['timeouts'] >= 40)


@test
def the_last_request_and_the_end_come_together():
    with Server() as server:
        clients = [server.client() for _ in range(200)]
        for client in clients:
            equal(client.ask(HELLO)[0], 200)
        for client in clients:          # one event tells of both, more often than not
            client.send(HELLO)
            client.socket.shutdown(socket.SHUT_WR)
        for client in clients:
            equal(client.response()[0], 200)
            check(client.ended())
            client.socket.close()
        server.until_alone()


@test
def resets_in_the_midst_of_something():
    with Server() as server:
        for i in range(60):
            client = server.client()
            client.send((E + b'Content-Length: 1000\r\n\r\n' + b'a' * 500, b'GET /he', HELLO, MUCH * 20)[i % 4])
            if i % 8 == 7:
                client.more()
            client.reset()
            if i % 16 == 0:
                answers_meanwhile(server)
        server.until_alone()


# ---- limits

@test
def the_limit_on_connections():
    with Server('-c', 8) as server:
        held = [server.client() for _ in range(8)]
        for client in held:
            equal(client.ask(HELLO)[0], 200)
        for _ in range(20):
            with server.client() as client:
                status, headers, _ = client.response()
                equal((status, headers['connection']), (503, 'close'))
                check(client.ended())
        for client in held[1:]:
            equal(client.ask(HELLO)[0], 200)
        stats = json.loads(held[1].ask(HELLO.replace(b'/hello', b'/stats'))[2])
        check(stats['refused'] == 20 and stats['contexts']['limit_hits'] >= 20, stats)
        held[0].socket.close()
        # It is not full any more, as soon as the server has seen that.
        end = time.monotonic() + PATIENCE
        while True:
            with server.client() as client:
                with contextlib.suppress(Closed, OSError):
                    if client.ask(HELLO)[0] == 200:
                        break
            check(time.monotonic() < end, 'never: room for another one')
        for client in held[1:]:
            client.socket.close()


@test
def no_descriptors_left():
    with Server(files=32) as server:
        clients = [server.client() for _ in range(60)]
        served = refused = 0
        for client in clients:
            try_send(client, HELLO)
        for client in clients:
            try:
                status = client.response()[0]
            except (Closed, OSError):
                status = 503            # its request came after the refusal, which was lost then
            check(status in (200, 503), status)
            client.fine = status == 200
            served += client.fine
        refused = len(clients) - served
        check(served >= 10 and refused >= 20, served, refused)
        # Nor for a file.  Who is connected stays so.
        fine = [c for c in clients if c.fine]
        equal(fine[0].ask(b'GET /big HTTP/1.1\r\nHost: x\r\n\r\n')[0], 503)
        for client in clients:
            if client is not fine[0]:
                client.socket.close()
        end = time.monotonic() + PATIENCE
        while fine[0].ask(b'GET /big HTTP/1.1\r\nHost: x\r\n\r\n')[0] != 200:
            check(time.monotonic() < end, 'never: a descriptor for a file')
        fine[0].socket.close()
        equal(server.until_alone()['refused'], refused)


@test
def a_thousand_at_once_and_then_none():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 1100:
        raise Skip('only %d descriptors' % hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard != resource.RLIM_INFINITY and hard < 4096 else max(soft, 4096), hard))

    def rss():
        with open('/proc/%d/statm' % server.process.pid) as statm:
            return int(statm.read().split()[1]) * resource.getpagesize()

    with Server() as server:
        answers_meanwhile(server)
        before = rss()
        clients = [server.client() for _ in range(1000)]
        for client in clients:
            client.send(HELLO[:-2])
        server.until(lambda s: s['contexts']['live'] >= 1003, 'a thousand live contexts')
        for client in clients:
            client.send(HELLO[-2:])
        for client in clients:
            equal(client.response()[0], 200)
        peak = rss()
        for client in clients:
            client.socket.close()
        server.until_alone()
        if SANITIZED:
            return              # which keep what is freed
        check(peak > before + (4 << 20), 'it is not the memory of the connections that we see', before, peak)
        end = time.monotonic() + PATIENCE
        while rss() > before + (2 << 20):
            check(time.monotonic() < end, 'never: memory is given back', before, peak, rss())
            time.sleep(0.05)


# ---- the end

def refuses(server):
    """Wait until nobody listens any more: the signal has been understood."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            server.client().socket.close()
        except ConnectionError:
            return
        check(time.monotonic() < end, 'never: the end of listening')


@test
def ends_gracefully_under_load():
    with Server() as server:
        idle = [server.client() for _ in range(10)]
        for client in idle:
            equal(client.ask(HELLO)[0], 200)
        begun = [server.client() for _ in range(20)]
        request = E + b'Content-Length: 6\r\n\r\nabcdef'
        for i, client in enumerate(begun):
            client.send(request[:1 + i * (len(request) - 1) // 20])
        answers, wrong = [0], []

        def load():
            try:
                with server.client() as client:
                    while True:
                        status, headers, _ = client.ask(HELLO)
                        equal(status, 200)
                        answers[0] += 1
                        if headers.get('connection') == 'close':
                            check(client.ended())
                            return
            except (Closed, ConnectionError):
                pass                    # it was idle when the end came
            except Exception as error:
                wrong.append(error)

        threads = [threading.Thread(target=load) for _ in range(10)]
        server.until(lambda s: s['accepted'] >= 30, 'all are known')
        for thread in threads:
            thread.start()
        while answers[0] < 100:
            time.sleep(0.001)
        server.kill()
        refuses(server)
        for client in idle:
            check(client.ended())
        for i, client in enumerate(begun):
            status, headers, body = client.ask(request[1 + i * (len(request) - 1) // 20:])
            equal((status, headers['connection'], body), (200, 'close', b'abcdef'))
            check(client.ended())
            client.socket.close()
        for thread in threads:
            thread.join()
        equal(wrong, [])
        server.ends()
        check(server.last['requests'] >= answers[0] + 30)


@test
def ends_in_time_whatever_they_do():
    with Server('-d', 200) as server, server.client() as stuck:
        stuck.send(HELLO[:-1])
        server.until(lambda s: s['accepted'] >= 1, 'it is known')
        server.stop()
    # At the second signal it does not wait for them, nor for those who do not listen.
    with Server() as server, server.client() as stuck, server.client(small=True) as deaf:
        stuck.send(HELLO[:-1])
        deaf.send(MUCH * 50)
        server.until(lambda s: s['accepted'] >= 2, 'they are known')
        server.kill()
        refuses(server)
        server.process.send_signal(signal.SIGINT)
        server.ends()


def make_root(top):
    root = os.path.join(top, 'root')
    os.makedirs(os.path.join(root, 'sub'))
    os.makedirs(os.path.join(root, 'empty'))
    for name, data in (('index.html', b'<p>index\n'), ('sub/index.html', b'<p>sub\n'), ('sub/a.txt', b'a\n'), ('big', BIG),
                       ('.hidden', b'h\n'), ('../secret', b's\n')):
        with open(os.path.join(root, name), 'wb') as file:
            file.write(data)
    os.symlink('../secret', os.path.join(root, 'link'))
    os.symlink('sub', os.path.join(root, 'loop'))
    os.mkfifo(os.path.join(root, 'pipe'))
    return root


if __name__ == '__main__':
    LONG = os.environ.get('REAP_TEST_LONG', '0') not in ('', '0')
    SANITIZED = 'ASAN_OPTIONS' in os.environ
    parser = argparse.ArgumentParser()
    parser.add_argument('server')
    parser.add_argument('names', nargs='*')
    parser.add_argument('--workers', type=int, action='append')
    parser.add_argument('--seeds', type=int, nargs=2, default=(0, 3000 if LONG else 150))
    ARGS = parser.parse_args()
    BIG = random.Random(0).randbytes(300000)
    chosen = [t for t in TESTS if not ARGS.names or t.__name__ in ARGS.names]
    number = failed = 0
    top = tempfile.mkdtemp(prefix='reap-server-')
    try:
        ROOT = make_root(top)
        print('TAP version 13\n1..%d' % (len(chosen) * len(ARGS.workers or (1, 3))))
        for WORKERS in ARGS.workers or (1, 3):
            for t in chosen:
                number += 1
                what, note, begin = 'ok', '', time.monotonic()
                try:
                    t()
                except Skip as reason:
                    note = ' # SKIP %s' % reason
                except Exception as error:
                    what, failed = 'not ok', failed + 1
                    import traceback
                    print(''.join('# ' + line + '\n' for line in traceback.format_exc().splitlines()), end='')
                print('%s %d - %s, %d worker%s%s' % (what, number, t.__name__, WORKERS, 's' * (WORKERS > 1), note), flush=True)
                if os.environ.get('REAP_TEST_TIMES'):
                    print('# %.2f s' % (time.monotonic() - begin))
    finally:
        shutil.rmtree(top)
    sys.exit(failed > 0)
