/* SPDX-License-Identifier: BSD-2-Clause */
/* Files on tmpfs, hugetlbfs and disk file systems: unnamed ones in a directory, or one
 * whose name the user gave. */
#include <errno.h>

#include "backing/backing.h"

static const char *reason_for(int err, bool directory)
{
	switch (err) {
	case -EEXIST:
		return "the file is there already, with something in it: remove it, or name another";
	case -EPERM:
		return "the file is another user's, or open to others: it must be yours, with mode 0600";
	case -ELOOP:
		return "the file is a symbolic link: name what it leads to";
	case -EINVAL:
		return "not a regular file with one name: name a directory or a file";
	case -EACCES:
		return "no permission to make a file there";
	case -EROFS:
		return "the file system is mounted read-only";
	case -ENOENT:
		return "there is no such directory";
	case -EMFILE:
	case -ENFILE:
		return "no descriptor is left for the file: see ulimit -n";
	case -EOPNOTSUPP:
		return directory ? "the file system makes no unnamed files: name a file in it"
		                 : "the file system lacks what is needed";
	case -ENOSPC:
		return "the file system is full";
	default:
		return "the file cannot be opened";
	}
}

static int open_path(struct backing *b, const struct backing_config *c)
{
	bool directory = os_is_directory(c->path);
	int err = directory ? os_unnamed_file(c->path, &b->file) : os_named_file(c->path, &b->file);
	if (err)
		b->reason = reason_for(err, directory);
	else if (!directory && !c->keep)
		b->path = c->path;
	return err;
}

/* A huge-page file system has its own page size. */
static int adopt_filesystem(struct backing *b, const struct backing_config *c)
{
	enum os_filesystem kind;
	int err = os_filesystem(b->file.fd, &kind, &b->page_size);
	if (!err && c->page && c->page != b->page_size) {
		b->reason = "the file system's pages have another size than `page` asks for";
		err = -EINVAL;
	}
	return err;
}

static int file_open(struct backing *b, const struct backing_config *c)
{
	b->file.fd = -1;
	int err = open_path(b, c);
	if (!err)
		err = adopt_filesystem(b, c);
	if (!err)
		err = backing_map_file(b, c);
	if (err)
		backing_close(b);
	return err;
}

const struct backing_ops backing_file = {
	.name = "file",
	.open = file_open,
	.unlock = backing_unlock,
	.lock = backing_lock,
	.populate = backing_shared_populate,
	.discard = backing_shared_discard,
	.prefer_huge = backing_shared_prefer_small,
	.resident = backing_shared_resident,
	.close = backing_close,
};
