/* SPDX-License-Identifier: ISC */
/*
 * file.c: the path is walked one directory at a time, each relative to the one before and none through a symbolic link: what
 * is not below the root cannot be named.  Names that begin with a dot are refused, `..' and hidden files alike.
 *
 * These calls block the worker for as long as the disk takes: the kernel knows no other way to open a file.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "server.h"

/* Negative statuses of HTTP. */
static int
status_of(int error)
{
	switch (error) {
	case EMFILE:
	case ENFILE:
	case ENOMEM:
		return -503;
	case EACCES:
	case EPERM:
	case ELOOP:			/* a symbolic link */
		return -403;
	default:
		return -404;
	}
}

/* The name is n bytes long; consumes dir unless that is the root. */
static int
step(int dir, const char *name, size_t n, int flags)
{
	char copy[NAME_MAX + 1];
	int fd, error;

	if (n > NAME_MAX)
		fd = -1, error = ENAMETOOLONG;
	else {
		memcpy(copy, name, n);
		copy[n] = '\0';
		fd = openat(dir, copy, flags | O_NOFOLLOW | O_CLOEXEC);
		error = errno;
	}
	if (dir != server.root)
		close(dir);
	return fd >= 0 ? fd : status_of(error);
}

/* Nothing here switches: errno may be used. */
int
file_open(const char *path, struct stat *st)
{
	int fd = server.root;
	bool directory = true;

	if (fd < 0)
		return -404;
	while (fd >= 0) {
		size_t n;

		path += strspn(path, "/");
		n = strcspn(path, "/");
		if (n == 0)
			break;
		if (*path == '.') {
			if (fd != server.root)
				close(fd);
			return -403;
		}
		/* Who waits for the other end of a pipe, or for a device, would keep the worker: O_NONBLOCK. */
		fd = step(fd, path, n, path[n] == '/' ? O_PATH | O_DIRECTORY : O_RDONLY | O_NONBLOCK);
		path += n;
		directory = *path == '/';
		if (fd >= 0 && !directory) {
			if (fstat(fd, st) != 0)
				break;
			directory = S_ISDIR(st->st_mode);
		}
	}
	if (fd >= 0 && directory)
		fd = step(fd, "index.html", strlen("index.html"), O_RDONLY | O_NONBLOCK);
	if (fd >= 0 && (fstat(fd, st) != 0 || !S_ISREG(st->st_mode))) {
		close(fd);
		return -403;
	}
	return fd;
}

const char *
file_type(const char *path)
{
	static const struct {
		char	ending[8];
		const char *type;
	} types[] = {
		{ ".html", "text/html; charset=utf-8" }, { ".css", "text/css" }, { ".js", "text/javascript" },
		{ ".json", "application/json" }, { ".txt", "text/plain; charset=utf-8" }, { ".md", "text/plain; charset=utf-8" },
		{ ".png", "image/png" }, { ".jpg", "image/jpeg" }, { ".svg", "image/svg+xml" }, { ".pdf", "application/pdf" },
	};
	size_t n = strlen(path);

	if (n > 0 && path[n - 1] == '/')
		return types[0].type;		/* its index */
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		size_t m = strlen(types[i].ending);

		if (n > m && strcasecmp(path + n - m, types[i].ending) == 0)
			return types[i].type;
	}
	return "application/octet-stream";
}
