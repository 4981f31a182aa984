/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening disks by name.  This file alone knows every kind of disk that has a name, so that no kind needs to know
 * another.  A new kind adds a line to `schemes`.  It must not let two processes write to one disk: a disk that is no
 * file has no flock(2), so it needs a lease of its own kind.  Only files are made by name (mkfs): others exist already.
 */
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "journal/disk/disk_file.h"

/* Opens the disk `rest`: a URL without its scheme and colon.  Messages call it `name`: the disk copies both. */
typedef int scheme_open(const char *rest, const char *name, unsigned flags, struct th_disk **ret);

struct scheme {
	const char *name;
	scheme_open *open;
	bool is_file; /* the rest of the URL is a path */
};

static int open_file(const char *path, const char *name, unsigned flags, struct th_disk **ret)
{
	struct th_disk_file file = { .fd = -1 };
	int err;

	err = th_disk_file_open(&file, path, name, flags);
	if (err)
		return err;
	err = flags & TH_DISK_THREADS ? -ENOSYS : th_disk_uring_new(&file, ret);
	if (err == -ENOSYS)
		err = th_disk_threads_new(&file, ret);
	if (err)
		th_disk_file_release(&file);
	return err;
}

static const struct scheme schemes[] = {
	{ .name = "file", .open = open_file, .is_file = true },
};
static const struct scheme plain_path = { .open = open_file, .is_file = true };

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

/* Bytes of the scheme (RFC 3986) before the colon; 0 if the URL has none. */
static size_t scheme_size(const char *url)
{
	size_t size = strspn(url, LETTERS) ? strspn(url, LETTERS "0123456789+-.") : 0;

	return url[size] == ':' ? size : 0;
}

/* NULL: the scheme is unknown, and no file has this name.  *ret_rest is the URL without the scheme and its colon. */
static const struct scheme *find_scheme(const char *url, const char **ret_rest)
{
	size_t size = scheme_size(url);

	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		if (size == strlen(schemes[i].name) && strncasecmp(url, schemes[i].name, size) == 0) {
			*ret_rest = url + size + 1;
			return &schemes[i];
		}
	}
	*ret_rest = url;
	return size == 0 || access(url, F_OK) == 0 ? &plain_path : NULL;
}

int th_disk_open(const char *path, unsigned flags, struct th_disk **ret)
{
	return open_file(path, path, flags, ret);
}

int th_disk_open_url(const char *url, unsigned flags, struct th_disk **ret)
{
	const char *rest;
	const struct scheme *scheme = find_scheme(url, &rest);

	return scheme ? scheme->open(rest, url, flags, ret) : -EPFNOSUPPORT;
}

const char *th_disk_url_path(const char *url)
{
	const char *rest;
	const struct scheme *scheme = find_scheme(url, &rest);

	return scheme && scheme->is_file ? rest : NULL;
}
