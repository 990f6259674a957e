/* SPDX-License-Identifier: ISC */
/*
 * server.c: an HTTP/1.1 server, static files and an echo, with a context for each connection.
 *
 *	main's context	waits for SIGTERM and SIGINT; parent of the acceptor, waits for its end
 *	acceptor	accepts; parent of all connections, but it wants no zombies: who ends goes to the domain's adopter, which the
 *			workers drain in bounded steps.  At the end it waits until no child is left (-ECHILD)
 *	connections	http.c
 *
 * The domain's limit is the limit on connections: reap_go() says -EAGAIN, and the connection gets a 503.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <http_parser.h>

#include "server.h"

#define MS		UINT64_C(1000000)	/* nanoseconds */
#define CONTROL		2	/* contexts besides those of connections: main's and the acceptor */
#define AT_A_TIME	16	/* connections accepted before others get a turn */
#define BREATHER	(50 * MS)	/* before the next try, when the system has nothing left for us */
#define DRAIN		64	/* corpses that the acceptor reaps before it says that there is no room */

struct server server = {
	.root = -1, .body_max = 1 << 20, .idle = 60000 * MS, .header = 10000 * MS, .body = 30000 * MS, .write = 30000 * MS,
	.drain = 10000 * MS, .end = UINT64_MAX
};

static int listener, signals, spare;	/* spare: a descriptor to give up when there are no others */
static uint32_t accepting;		/* any worker */

size_t
server_stats(char *text, size_t size)
{
	struct reap_domain *domain = reap_runtime_domain(reap_runtime_self());
	struct reap_stats s = { .size = sizeof(s) };
	const struct counters *c = &server.counters;
	int n;

	reap_domain_stats(domain, &s);
	n = snprintf(text, size,
	    "{\"accepted\": %" PRIu64 ", \"refused\": %" PRIu64 ", \"requests\": %" PRIu64 ", \"errors\": %" PRIu64
	    ", \"timeouts\": %" PRIu64 ", \"broken\": %" PRIu64 ",\n"
	    " \"contexts\": {\"created\": %" PRIu64 ", \"live\": %" PRIu64 ", \"zombies\": %" PRIu64 ", \"reaped\": %" PRIu64
	    ", \"backlog\": %" PRIu64 ", \"limit\": %" PRIu64 ", \"limit_hits\": %" PRIu64 ", \"switches\": %" PRIu64
	    ", \"handed_direct\": %" PRIu64 "},\n"
	    " \"reaped_by\": {\"parent\": %" PRIu64 ", \"adopter\": %" PRIu64 "},\n"
	    " \"stacks\": {\"mapped\": %" PRIu64 ", \"cached\": %" PRIu64 ", \"resident\": %" PRIu64 ", \"bytes_returned\": %" PRIu64
	    "}}\n",
	    REAP_LOAD_RELAXED(&c->accepted), REAP_LOAD_RELAXED(&c->refused), REAP_LOAD_RELAXED(&c->requests),
	    REAP_LOAD_RELAXED(&c->errors), REAP_LOAD_RELAXED(&c->timeouts), REAP_LOAD_RELAXED(&c->broken),
	    s.created, s.live, s.zombies, s.reaped, s.backlog, s.limit, s.limit_hits, s.switches, s.handed_direct,
	    s.ledger[REAP_PAYER_PARENT].contexts, s.ledger[REAP_PAYER_ADOPTER].contexts,
	    s.stacks_mapped, s.stacks_cached, s.stacks_resident, s.stack_bytes_returned);
	return n < (int)size ? (size_t)n : size - 1;
}

/* ---- the acceptor */

static void
take_in(int fd)
{
	struct reap_adopter *adopter = reap_adopter_default(reap_runtime_domain(reap_runtime_self()));
	struct reap_context *child;
	int one = 1, err;

	if (io_open(server.io, fd) != 0) {
		http_refuse(fd);
		return;
	}
	/* We gather what belongs together ourselves. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	/* The dead count too, until they are reaped.  If somebody else is draining, then that one makes room. */
	while ((err = reap_go(http_serve, (void *)(intptr_t)fd, &child)) == -EAGAIN && reap_adopter_drain(adopter, DRAIN) > 0)
		continue;
	if (err == 0)
		COUNT(accepted);
	else
		http_refuse(fd);
}

/* No descriptor is left: give up the spare one, so that whoever waits gets an answer. */
static void
accept_without_descriptors(void)
{
	int fd = -1;

	if (spare >= 0) {
		close(spare);
		if ((fd = io_try_accept(listener)) >= 0)
			http_refuse(fd);
	}
	spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (spare < 0 || fd < 0)
		(void)reap_sleep_until(io_now() + BREATHER);
}

static intptr_t
acceptor(void *arg)
{
	int n = 0;

	(void)arg;
	reap_no_zombies(true);
	for (;;) {
		bool last = stopping();		/* before we look: what has come until now is still served */
		int fd = io_try_accept(listener);

		if (fd >= 0) {
			take_in(fd);
			if (++n % AT_A_TIME == 0)
				reap_pause();
		} else if (fd == -EAGAIN) {
			if (last)
				break;
			(void)io_wait(server.io, listener, IO_IN, UINT64_MAX);
		} else if (fd == -EMFILE || fd == -ENFILE)
			accept_without_descriptors();
		else if (fd == -ENOBUFS || fd == -ENOMEM)
			(void)reap_sleep_until(io_now() + BREATHER);
		/* Else: that connection has gone already. */
	}
	io_close(server.io, listener);
	/* No child of ours becomes a zombie: this returns when none is left. */
	while (reap_wait_any(0, NULL) == 0)
		continue;
	REAP_STORE_RELEASE(&accepting, 0);	/* pairs with the acquire in start() */
	io_kick(server.io, signals);
	return 0;
}

/* ---- begin and end */

static bool
signalled(void)
{
	struct signalfd_siginfo info;

	return io_try_read(signals, &info, sizeof(info)) == (ssize_t)sizeof(info);
}

static intptr_t
start(void *arg)
{
	struct reap_domain *domain = reap_runtime_domain(reap_runtime_self());
	struct reap_stats s = { .size = sizeof(s) };
	struct reap_context *child;
	char text[STATS_MAX];
	uint64_t now;

	(void)arg;
	if (io_open(server.io, listener) != 0 || io_open(server.io, signals) != 0 || reap_go(acceptor, NULL, &child) != 0)
		return 1;
	while (REAP_LOAD_ACQUIRE(&accepting) != 0) {
		if (!signalled()) {
			(void)io_wait(server.io, signals, IO_IN, UINT64_MAX);
			continue;
		}
		/* The first one: what has begun may end.  The second one: at once. */
		now = io_now();
		REAP_STORE_RELEASE(&server.end, stopping() ? now : now + server.drain);
		io_kick_all(server.io);
	}
	if (reap_wait(child, 0, NULL) != 0)
		return 1;
	while (reap_adopter_backlog(reap_adopter_default(domain)) > 0)
		if (reap_adopter_drain(reap_adopter_default(domain), DRAIN) <= 0)
			reap_pause();
	reap_trim(domain);
	(void)server_stats(text, sizeof(text));
	fputs(text, stdout);
	reap_domain_stats(domain, &s);
	return s.live == 1 && s.zombies == 0 ? 0 : 1;
}

static int
listen_at(const char *address, const char *port)
{
	struct addrinfo hints = { .ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM }, *found, *a;
	char host[64], service[16];
	struct sockaddr_storage name;
	socklen_t length = sizeof(name);
	int fd = -1, one = 1, err;

	if ((err = getaddrinfo(address, port, &hints, &found)) != 0) {
		fprintf(stderr, "server: %s port %s: %s\n", address, port, gai_strerror(err));
		return -1;
	}
	for (a = found; a != NULL && fd < 0; a = a->ai_next) {
		if ((fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol)) < 0)
			continue;
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		if (bind(fd, a->ai_addr, a->ai_addrlen) != 0 || listen(fd, SOMAXCONN) != 0) {
			err = errno;
			close(fd);
			fd = -1;
			errno = err;
		}
	}
	if (fd < 0)
		fprintf(stderr, "server: %s port %s: %s\n", address, port, strerror(errno));
	else if (getsockname(fd, (struct sockaddr *)&name, &length) == 0 &&
	    getnameinfo((struct sockaddr *)&name, length, host, sizeof(host), service, sizeof(service),
	    NI_NUMERICHOST | NI_NUMERICSERV) == 0)
		printf("listening on %s port %s\n", host, service);
	freeaddrinfo(found);
	return fd;
}

static int
usage(void)
{
	fputs("usage: server [-a address] [-p port] [-r directory] [-w workers] [-c connections] [-H header_bytes] [-b body_bytes]\n"
	    "              [-i idle_ms] [-h header_ms] [-B body_ms] [-W write_ms] [-d drain_ms]\n", stderr);
	return 2;
}

static uint64_t
number(const char *text)
{
	char *end;
	unsigned long long value = strtoull(text, &end, 10);

	if (*text < '0' || *text > '9' || *end != '\0' || value > UINT32_MAX)
		exit(usage());
	return value;
}

int
main(int argc, char **argv)
{
	struct reap_domain_options domain = { .size = sizeof(domain), .limit = 1024 + CONTROL };
	struct reap_runtime_options options = { .size = sizeof(options), .domain = &domain };
	const char *address = "127.0.0.1", *port = "8080";
	intptr_t status = 1;
	struct rlimit files;
	sigset_t set;
	int opt;

	http_parser_set_max_header_size(8192);
	while ((opt = getopt(argc, argv, "a:p:r:w:c:H:b:i:h:B:W:d:")) != -1)
		switch (opt) {
		case 'a': address = optarg; break;
		case 'p': port = optarg; break;
		case 'r':
			if ((server.root = open(optarg, O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0) {
				perror(optarg);
				return 1;
			}
			break;
		case 'w': options.workers = (unsigned)number(optarg); break;
		case 'c': domain.limit = number(optarg) + CONTROL; break;
		case 'H': http_parser_set_max_header_size((uint32_t)number(optarg)); break;
		case 'b': server.body_max = number(optarg); break;
		case 'i': server.idle = number(optarg) * MS; break;
		case 'h': server.header = number(optarg) * MS; break;
		case 'B': server.body = number(optarg) * MS; break;
		case 'W': server.write = number(optarg) * MS; break;
		case 'd': server.drain = number(optarg) * MS; break;
		default: return usage();
		}
	if (optind != argc)
		return usage();

	/* Signals are read from a descriptor; all threads inherit that they do not get them otherwise. */
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
	signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals < 0 || io_create(&server.io) != 0) {
		perror("server");
		return 1;
	}
	if ((listener = listen_at(address, port)) < 0)
		return 1;
	accepting = 1;
	options.poller = io_poller(server.io);
	if (reap_run(&options, start, NULL, &status) != 0)
		status = 1;
	io_destroy(server.io);
	return (int)status;
}
