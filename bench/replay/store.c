/* SPDX-License-Identifier: ISC */
#include "store.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int
complain(const char *path, int error)
{
	fprintf(stderr, "replay: cannot write %s: %s\n", path, strerror(error));
	return -1;
}

int
store_prepare(struct store *store, const char *dir)
{
	size_t len = strlen(dir);
	FILE *file;

	if (len + sizeof("/results.json.partial") > STORE_PATH_MAX)
		return complain(dir, ENAMETOOLONG);
	snprintf(store->path, sizeof(store->path), "%.*s/results.json", (int)len, dir);
	snprintf(store->partial, sizeof(store->partial), "%s.partial", store->path);
	if (mkdir(dir, 0777) != 0 && errno != EEXIST)
		return complain(dir, errno);
	file = store_begin(store);
	if (file == NULL)
		return -1;
	fclose(file);
	unlink(store->partial);
	return 0;
}

FILE *
store_begin(const struct store *store)
{
	FILE *file = fopen(store->partial, "w");

	if (file == NULL)
		complain(store->partial, errno);
	return file;
}

int
store_end(const struct store *store, FILE *file)
{
	int error = 0;

	errno = 0;
	if (fflush(file) != 0 || ferror(file))
		error = errno != 0 ? errno : EIO;
	else if (fsync(fileno(file)) != 0 && errno != EINVAL)	/* not every file system knows fsync */
		error = errno;
	if (fclose(file) != 0 && error == 0)
		error = errno;
	if (error == 0 && rename(store->partial, store->path) != 0)
		error = errno;
	if (error == 0)
		return 0;
	unlink(store->partial);
	return complain(store->path, error);
}
