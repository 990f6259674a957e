/* SPDX-License-Identifier: ISC */
/*
 * http.c: one connection of HTTP/1.1, written down as if there were no other: read a request, answer it, again.
 *
 * All that a connection costs is its context: parser, buffers and answer lie on the stack; a body that is to be echoed is the
 * one thing that is allocated.  Whoever is slow makes this context wait, and nobody else; each wait has its deadline.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <http_parser.h>

#include "server.h"

#define IN		4096		/* bytes read at a time */
#define OUT		4096		/* bytes of answers that are gathered while more requests are there to be answered */
#define URL_MAX		2048
#define VALUE_MAX	128		/* of the headers that are looked at, only so much */
#define LINGER		UINT64_C(1000000000)	/* nanoseconds that we listen to one whom we have told that we do not ... */
#define LINGER_BYTES	(256 * 1024)		/* ... and how much */

/* Headers that are looked at. */
enum header { NONE, HOST, EXPECT, RANGE, CONTENT_TYPE, HEADERS };

static const char header_name[HEADERS][16] = { "", "host", "expect", "range", "content-type" };

struct conn {
	int	 fd;
	bool	 close;			/* after this answer */
	bool	 drained;		/* the last read got less than it asked for: the next one would get nothing yet */
	bool	 heard;			/* something has come since the last request ... */
	bool	 begun;			/* ... the first byte of the next one ... */
	bool	 header_read;		/* ... the end of its header ... */
	bool	 complete;		/* ... and its last byte */
	int	 error;			/* a status of HTTP: what is wrong with the request; 0 */
	uint64_t deadline;		/* of what is being read now */
	http_parser parser;
	size_t	 in_from, in_to, out;

	/* Of one request. */
	enum header header;		/* whose name was read last */
	bool	 named;			/* it is complete: what comes is its value */
	size_t	 name_length, url_length;
	unsigned hosts;
	size_t	 value_length[HEADERS];
	char	*body;
	size_t	 body_length, body_room;

	time_t	 second;		/* of `date' */
	/* Not cleared: what is not used of it costs no memory. */
	char	 date[32], name[16], value[HEADERS][VALUE_MAX], url[URL_MAX + 1], inbuf[IN], outbuf[OUT];
};

/* ---- what the parser finds.  Nothing here switches. */

static struct conn *
conn_of(http_parser *parser)
{
	return parser->data;
}

static int
fail(struct conn *c, int status)
{
	c->error = status;
	return -1;			/* ends http_parser_execute() */
}

static int
on_begin(http_parser *parser)
{
	conn_of(parser)->begun = true;
	return 0;
}

static int
on_url(http_parser *parser, const char *data, size_t n)
{
	struct conn *c = conn_of(parser);

	if (n > URL_MAX - c->url_length)
		return fail(c, 414);
	memcpy(c->url + c->url_length, data, n);
	c->url_length += n;
	return 0;
}

static void
end_value(struct conn *c)
{
	if (c->named && c->header == HOST)
		c->hosts++;
	if (c->named)
		c->name_length = 0;
	c->named = false;
}

static int
on_field(http_parser *parser, const char *data, size_t n)
{
	struct conn *c = conn_of(parser);

	end_value(c);
	/* Whoever reads "Content-Length : 1" in another way than we do lets requests be smuggled past it. */
	if (memchr(data, ' ', n) != NULL)
		return fail(c, 400);
	for (size_t i = 0; i < n && c->name_length + i < sizeof(c->name); i++)
		c->name[c->name_length + i] = data[i];
	c->name_length += n;
	return 0;
}

static int
on_value(http_parser *parser, const char *data, size_t n)
{
	struct conn *c = conn_of(parser);

	if (!c->named) {
		c->named = true;
		for (c->header = HEADERS - 1; c->header > NONE; c->header--)
			if (strlen(header_name[c->header]) == c->name_length &&
			    strncasecmp(header_name[c->header], c->name, c->name_length) == 0)
				break;
		c->value_length[c->header] = 0;		/* of several the last one */
	}
	if (c->header != NONE) {
		size_t *length = &c->value_length[c->header], room = VALUE_MAX - 1 - *length;

		n = n < room ? n : room;
		memcpy(c->value[c->header] + *length, data, n);
		*length += n;
		c->value[c->header][*length] = '\0';
	}
	return 0;
}

static int
on_headers(http_parser *parser)
{
	struct conn *c = conn_of(parser);

	end_value(c);
	if (parser->http_major != 1)
		return fail(c, 505);
	if (c->hosts > 1 || (c->hosts == 0 && parser->http_minor > 0))
		return fail(c, 400);
	if (parser->flags & F_CONTENTLENGTH && parser->content_length > server.body_max)
		return fail(c, 413);
	if (c->value_length[EXPECT] > 0 && strcasecmp(c->value[EXPECT], "100-continue") != 0)
		return fail(c, 417);
	c->header_read = true;
	c->deadline = deadline_in(server.body);
	return 0;
}

static int
on_body(http_parser *parser, const char *data, size_t n)
{
	struct conn *c = conn_of(parser);

	if (n > server.body_max - c->body_length)
		return fail(c, 413);
	if (n > c->body_room - c->body_length) {
		/* What the client says that is to come, or twice what has come; it cannot make us reserve more than body_max. */
		uint64_t room = c->parser.flags & F_CHUNKED ? 2 * (c->body_length + n) : c->body_length + n + c->parser.content_length;
		char *body = realloc(c->body, room < server.body_max ? (size_t)room : server.body_max);

		if (body == NULL)
			return fail(c, 503);
		c->body = body;
		c->body_room = room < server.body_max ? (size_t)room : server.body_max;
	}
	memcpy(c->body + c->body_length, data, n);
	c->body_length += n;
	return 0;
}

static int
on_complete(http_parser *parser)
{
	conn_of(parser)->complete = true;
	http_parser_pause(parser, 1);		/* what follows is the next request: not before this one is answered */
	return 0;
}

static const http_parser_settings settings = {
	.on_message_begin = on_begin, .on_url = on_url, .on_header_field = on_field, .on_header_value = on_value,
	.on_headers_complete = on_headers, .on_body = on_body, .on_message_complete = on_complete,
};

static void
parse(struct conn *c)
{
	size_t n = http_parser_execute(&c->parser, &settings, c->inbuf + c->in_from, c->in_to - c->in_from);
	enum http_errno error = HTTP_PARSER_ERRNO(&c->parser);

	c->in_from += n;
	if (error == HPE_PAUSED)
		http_parser_pause(&c->parser, 0);
	else if (error != HPE_OK && c->error == 0)
		c->error = error == HPE_HEADER_OVERFLOW ? 431 : 400;
}

/* ---- reading and writing: each may wait, none longer than it may.  0, or -errno: the connection is over */

static int
await(struct conn *c, enum io_direction direction, uint64_t deadline)
{
	int err = io_wait(server.io, c->fd, direction, deadline);

	if (err == -ETIMEDOUT)
		COUNT(timeouts);
	return err;
}

static int
send_all(struct conn *c, struct iovec *part, size_t parts, int flags)
{
	struct msghdr message = { .msg_iov = part, .msg_iovlen = parts };

	while (message.msg_iovlen > 0) {
		ssize_t n = io_try_send(c->fd, &message, flags);
		int err;

		if (n == -EAGAIN) {
			if ((err = await(c, IO_OUT, deadline_in(server.write))) != 0)
				return err;
			continue;
		}
		if (n < 0 && n != -EINTR) {
			COUNT(broken);
			return (int)n;
		}
		for (; n >= 0 && message.msg_iovlen > 0 && (size_t)n >= message.msg_iov->iov_len; message.msg_iovlen--)
			n -= (ssize_t)message.msg_iov++->iov_len;
		if (n > 0) {
			message.msg_iov->iov_base = (char *)message.msg_iov->iov_base + n;
			message.msg_iov->iov_len -= (size_t)n;
		}
	}
	return 0;
}

/* What has been gathered, and then this. */
static int
flush(struct conn *c, const void *data, size_t n, int flags)
{
	struct iovec part[2] = { { c->outbuf, c->out }, { (void *)(uintptr_t)data, n } };

	c->out = 0;
	return send_all(c, part, n > 0 ? 2 : part[0].iov_len > 0 ? 1 : 0, flags);
}

/* Gather, or send. */
static int
put(struct conn *c, const void *data, size_t n)
{
	if (n > OUT - c->out)
		return flush(c, data, n, 0);
	memcpy(c->outbuf + c->out, data, n);
	c->out += n;
	return 0;
}

/* 1: there is more to parse; 0: the end, or time to stop; -errno. */
static int
fill(struct conn *c)
{
	int err;

	if ((err = flush(c, NULL, 0, 0)) != 0)
		return err;
	for (;;) {
		ssize_t n = -EAGAIN;

		if ((!c->drained || stopping()) && (n = io_try_read(c->fd, c->inbuf, IN)) > 0) {
			if (!c->heard)
				c->deadline = deadline_in(server.header);
			c->heard = true;
			c->drained = io_drained(server.io, c->fd, IN, n);
			c->in_from = 0;
			c->in_to = (size_t)n;
			return 1;
		}
		c->drained = false;
		if (n == 0)
			return 0;
		if (n == -EAGAIN) {
			uint64_t end = REAP_LOAD_ACQUIRE(&server.end);

			/* Stopping.  Who has begun a request may finish it. */
			if (!c->begun && end != UINT64_MAX)
				return 0;
			if ((err = await(c, IO_IN, c->deadline < end ? c->deadline : end)) != 0)
				return err;
		} else if (n != -EINTR) {
			COUNT(broken);
			return (int)n;
		}
	}
}

/* ---- answers */

static const char *
date(struct conn *c)
{
	time_t now = time(NULL);
	struct tm tm;

	if (now != c->second && gmtime_r(&now, &tm) != NULL) {
		strftime(c->date, sizeof(c->date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
		c->second = now;
	}
	return c->date;
}

/* The header of an answer.  `more': further lines, each with its end, or "".  A length, always: so a connection may stay open. */
static int
answer_header(struct conn *c, int status, const char *type, uint64_t length, const char *more)
{
	char text[512];
	int n;

	COUNT(requests);
	if (status >= 400)
		COUNT(errors);
	n = snprintf(text, sizeof(text), "HTTP/1.1 %d %s\r\nDate: %s\r\nContent-Type: %s\r\nContent-Length: %llu\r\n%s%s\r\n", status,
	    http_status_str((enum http_status)status), date(c), type, (unsigned long long)length, more,
	    c->close ? "Connection: close\r\n" : c->parser.http_minor == 0 ? "Connection: keep-alive\r\n" : "");
	return n < (int)sizeof(text) ? put(c, text, (size_t)n) : -EMSGSIZE;
}

static int
answer(struct conn *c, int status, const char *type, const void *data, size_t n, const char *more)
{
	int err = answer_header(c, status, type, n, more);

	/* The parser says HEAD as soon as it has seen an H: only a URL confirms it. */
	return err != 0 || (c->parser.method == HTTP_HEAD && c->url_length > 0) ? err : put(c, data, n);
}

static int
answer_error(struct conn *c, int status, const char *more)
{
	char text[64];
	int n = snprintf(text, sizeof(text), "%d %s\n", status, http_status_str((enum http_status)status));

	return answer(c, status, "text/plain", text, (size_t)n, more);
}

/* "bytes=FROM-TO", "bytes=FROM-", "bytes=-LAST": 206 and the range; 416: there is none of it; 200, all: it is anything else. */
static int
range_of(const char *text, off_t size, off_t *from, off_t *to)
{
	char *end;
	long long a, b;

	*from = 0;
	*to = size;
	if (strncmp(text, "bytes=", 6) != 0 || strchr(text, ',') != NULL)
		return 200;
	text += 6;
	errno = 0;			/* nothing here switches */
	if (*text == '-') {
		a = strtoll(text + 1, &end, 10);
		if (text[1] < '0' || text[1] > '9' || *end != '\0')
			return 200;
		if (a == 0 || size == 0)
			return 416;
		*from = a < size ? size - (off_t)a : 0;
		return 206;
	}
	a = strtoll(text, &end, 10);
	if (*text < '0' || *text > '9' || *end++ != '-' || errno != 0)
		return 200;
	b = LLONG_MAX;
	if (*end != '\0') {
		text = end;
		b = strtoll(text, &end, 10);
		if (*text < '0' || *text > '9' || *end != '\0' || b < a)
			return 200;
	}
	if (a >= size)
		return 416;
	*from = (off_t)a;
	*to = b < size ? (off_t)b + 1 : size;
	return 206;
}

static int
send_file(struct conn *c, const char *path)
{
	char more[96] = "Accept-Ranges: bytes\r\n";
	struct stat st;
	off_t from, to;
	int fd, err, status = 200;

	if ((fd = file_open(path, &st)) < 0)
		return answer_error(c, -fd, "");
	from = 0;
	to = st.st_size;
	if (c->value_length[RANGE] > 0 && c->parser.method == HTTP_GET)
		status = range_of(c->value[RANGE], st.st_size, &from, &to);
	if (status == 206)
		snprintf(more, sizeof(more), "Content-Range: bytes %lld-%lld/%lld\r\n", (long long)from, (long long)to - 1,
		    (long long)st.st_size);
	if (status == 416) {
		snprintf(more, sizeof(more), "Content-Range: bytes */%lld\r\n", (long long)st.st_size);
		close(fd);
		return answer_error(c, status, more);
	}
	if ((err = answer_header(c, status, file_type(path), (uint64_t)(to - from), more)) == 0 && c->parser.method != HTTP_HEAD &&
	    (err = flush(c, NULL, 0, MSG_MORE)) == 0)
		while (from < to) {
			ssize_t n = io_try_sendfile(c->fd, fd, &from, (size_t)(to - from));

			if (n == -EAGAIN) {
				if ((err = await(c, IO_OUT, deadline_in(server.write))) != 0)
					break;
			} else if (n <= 0 && n != -EINTR) {
				/* The file has become shorter, or they are gone: the length that we promised cannot be kept. */
				COUNT(broken);
				err = n < 0 ? (int)n : -EIO;
				break;
			}
		}
	close(fd);
	return err;
}

static int
hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The path of the request, decoded in place.  NULL: it has none, or one that no file can have. */
static char *
path_of(struct conn *c)
{
	struct http_parser_url url;
	char *path, *to;
	size_t n;

	http_parser_url_init(&url);
	if (http_parser_parse_url(c->url, c->url_length, 0, &url) != 0 || (url.field_set & 1 << UF_PATH) == 0)
		return NULL;
	path = to = c->url + url.field_data[UF_PATH].off;
	n = url.field_data[UF_PATH].len;
	for (size_t i = 0; i < n; i++) {
		int value = (unsigned char)path[i];

		if (value == '%') {
			value = i + 2 < n && hex(path[i + 1]) >= 0 ? hex(path[i + 1]) * 16 + hex(path[i + 2]) : 0;
			if (value <= 0 || hex(path[i + 2]) < 0)
				return NULL;
			i += 2;
		}
		*to++ = (char)value;
	}
	*to = '\0';
	return path;
}

/* 0, or -errno: the connection is over. */
static int
respond(struct conn *c)
{
	char text[STATS_MAX];
	const char *path = path_of(c);
	bool read_only = c->parser.method == HTTP_GET || c->parser.method == HTTP_HEAD;

	if (path == NULL)
		return answer_error(c, 400, "");
	if (strcmp(path, "/echo") == 0) {
		if (c->parser.method != HTTP_POST)
			return answer_error(c, 405, "Allow: POST\r\n");
		return answer(c, 200, "application/octet-stream", c->body != NULL ? c->body : "", c->body_length, "");
	}
	if (!read_only)
		return answer_error(c, 405, "Allow: GET, HEAD\r\n");
	if (strcmp(path, "/hello") == 0)
		return answer(c, 200, "text/plain", "hello\n", 6, "");
	if (strcmp(path, "/stats") == 0)
		return answer(c, 200, "application/json", text, server_stats(text, sizeof(text)), "Cache-Control: no-store\r\n");
	return send_file(c, path);
}

static void
forget_request(struct conn *c)
{
	free(c->body);
	c->body = NULL;
	c->body_length = c->body_room = 0;
	c->heard = c->begun = c->header_read = c->complete = c->named = false;
	c->header = NONE;
	c->name_length = c->url_length = 0;
	c->hosts = 0;
	memset(c->value_length, 0, sizeof(c->value_length));
}

/* 1: a request is there, or c->error; 0: there is none, and none will come; -errno. */
static int
read_request(struct conn *c)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	bool welcome = false;			/* we have said that we want its body */
	int more;

	c->heard = c->in_from < c->in_to;
	c->deadline = deadline_in(c->heard ? server.header : server.idle);
	for (;;) {
		if (c->in_from < c->in_to)
			parse(c);
		if (c->error != 0 || c->complete)
			return 1;
		if (c->header_read && !welcome && c->value_length[EXPECT] > 0 && c->parser.http_minor > 0) {
			welcome = true;
			if ((more = put(c, go_on, sizeof(go_on) - 1)) != 0)
				return more;
		}
		more = fill(c);
		if (more == 0 && c->begun) {
			COUNT(broken);
			return -ECONNRESET;
		}
		if (more == -ETIMEDOUT && c->begun) {
			c->error = 408;
			return 1;
		}
		if (more <= 0)
			return more;
	}
}

/*
 * The last answer is sent, and the client may still be talking.  To close now would answer that with a reset, which may
 * overtake the answer.  So: no more from us, and a while of listening.
 */
static void
linger(struct conn *c)
{
	uint64_t deadline = io_now() + LINGER, end;
	size_t heard = 0;

	if (shutdown(c->fd, SHUT_WR) != 0)
		return;
	while (heard < LINGER_BYTES) {
		ssize_t n = io_try_read(c->fd, c->inbuf, IN);

		if (n > 0)
			heard += (size_t)n;
		else if (n != -EAGAIN)
			break;
		else {
			end = REAP_LOAD_ACQUIRE(&server.end);
			if (io_wait(server.io, c->fd, IO_IN, deadline < end ? deadline : end) != 0)
				break;
		}
	}
}

intptr_t
http_serve(void *arg)
{
	struct conn c;
	int got;

	memset(&c, 0, offsetof(struct conn, date));
	c.fd = (int)(intptr_t)arg;
	http_parser_init(&c.parser, HTTP_REQUEST);
	c.parser.data = &c;
	while ((got = read_request(&c)) > 0) {
		c.close = c.error != 0 || stopping() || !http_should_keep_alive(&c.parser);
		got = c.error != 0 ? answer_error(&c, c.error, "") : respond(&c);
		forget_request(&c);
		if (got != 0 || c.close)
			break;
	}
	free(c.body);
	if (got == 0 && flush(&c, NULL, 0, 0) == 0 && c.close && (c.error != 0 || c.in_from < c.in_to || stopping()))
		linger(&c);
	io_close(server.io, c.fd);
	return 0;
}

void
http_refuse(int fd)
{
	static const char text[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nContent-Length: 24\r\n"
	    "Retry-After: 1\r\nConnection: close\r\n\r\n503 Service Unavailable\n";
	char rest[1024];

	COUNT(refused);
	/* What has come already is read, so that closing does not reset; what comes later may do so. */
	if (send(fd, text, sizeof(text) - 1, MSG_DONTWAIT | MSG_NOSIGNAL) > 0 && shutdown(fd, SHUT_WR) == 0)
		while (recv(fd, rest, sizeof(rest), MSG_DONTWAIT) > 0)
			continue;
	close(fd);
}
