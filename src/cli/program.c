/* SPDX-License-Identifier: BSD-2-Clause */
#define _GNU_SOURCE
#include "cli/cli.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Opens name as execvp(3) would find it. */
static int open_program(const char *name)
{
	const char *path = getenv("PATH");
	char candidate[PATH_MAX];

	if (strchr(name, '/') != NULL)
		return open(name, O_RDONLY | O_CLOEXEC);
	for (path = path == NULL ? "/bin:/usr/bin" : path;; path++) {
		size_t length = strcspn(path, ":");
		int n = snprintf(candidate, sizeof(candidate), "%.*s%s%s", (int)length, path,
		                 length == 0 ? "./" : "/", name);

		if (n > 0 && (size_t)n < sizeof(candidate) && access(candidate, X_OK) == 0)
			return open(candidate, O_RDONLY | O_CLOEXEC);
		path += length;
		if (*path == '\0')
			return -1;
	}
}

/* Whether an ELF file names a loader. True when that cannot be found out. */
static bool has_loader(int fd, const ElfW(Ehdr) * header)
{
	for (unsigned i = 0; i < header->e_phnum; i++) {
		ElfW(Phdr) segment;
		off_t offset = (off_t)(header->e_phoff + i * (size_t)header->e_phentsize);

		if (pread(fd, &segment, sizeof(segment), offset) != (ssize_t)sizeof(segment))
			return true;
		if (segment.p_type == PT_INTERP)
			return true;
	}
	return false;
}

static enum cli_obstacle obstacle(int fd)
{
	ElfW(Ehdr) header;
	struct stat st;

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return CLI_OBSTACLE_NONE;
	if (((st.st_mode & S_ISUID) && st.st_uid != getuid()) ||
	    ((st.st_mode & S_ISGID) && st.st_gid != getgid()))
		return CLI_OBSTACLE_SETUID;
	if (pread(fd, &header, sizeof(header), 0) != (ssize_t)sizeof(header) ||
	    memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
		return CLI_OBSTACLE_NONE;
	if (header.e_ident[EI_CLASS] != ELFCLASS64)
		return CLI_OBSTACLE_CLASS;
	return has_loader(fd, &header) ? CLI_OBSTACLE_NONE : CLI_OBSTACLE_STATIC;
}

enum cli_obstacle cli_program_obstacle(const char *name)
{
	enum cli_obstacle found;
	int fd = open_program(name);

	if (fd < 0)
		return CLI_OBSTACLE_NONE;
	found = obstacle(fd);
	close(fd);
	return found;
}

/* The directory of this executable, without a slash at its end. */
static bool own_directory(char directory[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", directory, PATH_MAX - 1);
	char *slash;

	if (n <= 0)
		return false;
	directory[n] = '\0';
	slash = strrchr(directory, '/');
	if (slash == NULL)
		return false;
	*slash = '\0';
	return true;
}

/* A file's path there, with the directory's links followed: it must hold in whatever
 * directory a program goes to. False: it is not there. */
static bool file_in(const char *directory, const char *name, char path[PATH_MAX])
{
	char real[PATH_MAX];
	int n;

	if (realpath(directory, real) == NULL)
		return false;
	n = snprintf(path, PATH_MAX, "%s/%s", real, name);
	return n > 0 && n < PATH_MAX && access(path, R_OK) == 0;
}

/* Where a file may be, for a command that is in `beside`. */
struct places {
	char beside[PATH_MAX];
	char installed[PATH_MAX + sizeof(LIBDIR_FROM_BINDIR) + sizeof(LIBEXECDIR_FROM_BINDIR)];
};

static bool find_places(struct places *p, const char *installed)
{
	if (!own_directory(p->beside))
		return false;
	int length = snprintf(p->installed, sizeof(p->installed), "%s/%s", p->beside, installed);
	return length > 0 && (size_t)length < sizeof(p->installed);
}

const char *cli_look_for_library(void)
{
	static char found[PATH_MAX];
	struct places p;

	if (find_places(&p, LIBDIR_FROM_BINDIR) &&
	    (file_in(p.beside, DROPIN_SONAME, found) || file_in(p.installed, DROPIN_SONAME, found)))
		return found;
	return NULL;
}

const char *cli_find_library(void)
{
	const char *found = cli_look_for_library();
	struct places p;

	if (found != NULL)
		return found;
	if (!find_places(&p, LIBDIR_FROM_BINDIR))
		cli_error("cannot find out where this program is: is /proc mounted?");
	else
		cli_error("cannot find " DROPIN_SONAME ": it is neither in %s nor in %s", p.beside, p.installed);
	return NULL;
}

const char *cli_find_workload(void)
{
	static char found[PATH_MAX];
	struct places p;

	if (!find_places(&p, LIBEXECDIR_FROM_BINDIR "/sparena"))
		cli_error("cannot find out where this program is: is /proc mounted?");
	else if (file_in(p.beside, "bench/workload", found) || file_in(p.installed, "workload", found))
		return found;
	else
		cli_error("cannot find the program of the workloads: it is neither in %s/bench nor in %s",
		          p.beside, p.installed);
	return NULL;
}

bool cli_can_preload(const char *library)
{
	return strpbrk(library, ": \t\n") == NULL;
}
