/* SPDX-License-Identifier: BSD-2-Clause */
/* Where this process's memory cgroup is: /proc/self/cgroup and /proc/self/mountinfo. */
#define _GNU_SOURCE
#include "base/base.h"
#include "os/cgroup.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* A line of mountinfo has two paths, with escapes; those of other file systems may be
 * longer still and are left out. */
#define LINE_MAX_LENGTH (OS_CGROUP_PATH_MAX + 2048)

/* Of a directory, so that a file's name still fits behind it. */
#define DIRECTORY_MAX (OS_CGROUP_PATH_MAX - 32)

/* How much of the way to the process's cgroup a mount shows. */
enum sight {
	SIGHT_NONE,     /* nothing: something else is mounted over it */
	SIGHT_ASIDE,    /* a directory that does not lie on the way, as far as its name tells */
	SIGHT_ANCESTOR, /* one on the way */
	SIGHT_OWN,      /* the cgroup itself */
};

struct search {
	const char *root;
	struct os_cgroup *out;
	enum sight best;
	size_t best_root;              /* length of its root field: a shorter one shows more ancestors */
	bool v1, v2;                   /* such a hierarchy is mounted */
	struct os_cgroup found;        /* what the mount shows that is looked at */
	char path[OS_CGROUP_PATH_MAX]; /* of the process in the hierarchy; "" for its root */
	char file[1024];               /* that is being read */
	char line[LINE_MAX_LENGTH];
};

/* Whether a comma-separated list contains a word. */
static bool lists(const char *list, const char *word)
{
	size_t length = strlen(word);

	for (;; list++) {
		if (strncmp(list, word, length) == 0 && (list[length] == ',' || list[length] == '\0'))
			return true;
		list = strchr(list, ',');
		if (list == NULL)
			return false;
	}
}

/* "/" is "" here, so that a path can be put behind another. */
static void strip_slashes(char *path)
{
	size_t length = strlen(path);

	while (length > 0 && path[length - 1] == '/')
		path[--length] = '\0';
}

/* ---- /proc/self/cgroup: "4:memory:/path", and "0::/path" of version 2 ---------- */

static bool see_membership(char *line, void *context)
{
	struct search *s = context;
	char *controllers, *path;

	controllers = strchr(line, ':');
	path = controllers == NULL ? NULL : strchr(controllers + 1, ':');
	if (path == NULL)
		return true;
	*controllers++ = '\0';
	*path++ = '\0';
	if (lists(controllers, "memory"))
		s->out->version = OS_CGROUP_V1;
	else if (controllers[0] == '\0' && strcmp(line, "0") == 0)
		s->out->version = OS_CGROUP_V2;
	else
		return true;
	strip_slashes(path);
	if (!text_join(s->path, sizeof(s->path), path, ""))
		s->out->version = OS_CGROUP_NONE;
	return s->out->version != OS_CGROUP_V1; /* that one has it, whatever else there is */
}

/* ---- /proc/self/mountinfo: "31 23 0:28 ROOT POINT OPTIONS ... - TYPE SOURCE OPTIONS" */

struct mount {
	char *root;  /* the directory of the hierarchy that is mounted; "" for its root */
	char *point; /* where */
};

/* Cuts the next word off. NULL at the line's end. */
static char *next_word(char **line)
{
	char *word;

	*line += strspn(*line, " ");
	word = **line == '\0' ? NULL : *line;
	*line += strcspn(*line, " ");
	if (**line != '\0')
		*(*line)++ = '\0';
	return word;
}

/* True: a mount of the hierarchy in which we look. Notes which kinds are mounted. */
static bool parse_mount(struct search *s, char *line, struct mount *out)
{
	char *tail = strstr(line, " - ");
	char *type, *options;

	if (tail == NULL)
		return false;
	*tail = '\0';
	tail += 3;
	type = next_word(&tail);
	(void)next_word(&tail); /* the source, which may be anything */
	options = next_word(&tail);
	if (type == NULL || options == NULL)
		return false;
	s->v1 = s->v1 || strcmp(type, "cgroup") == 0;
	s->v2 = s->v2 || strcmp(type, "cgroup2") == 0;
	if (s->out->version == OS_CGROUP_V1 ? strcmp(type, "cgroup") != 0 || !lists(options, "memory")
	                                    : strcmp(type, "cgroup2") != 0)
		return false;
	for (int i = 0; i < 3; i++) /* id, parent's id, device */
		(void)next_word(&line);
	out->root = next_word(&line);
	out->point = next_word(&line);
	if (out->root == NULL || out->point == NULL)
		return false;
	os_unescape(out->root);
	os_unescape(out->point);
	strip_slashes(out->root);
	strip_slashes(out->point);
	return true;
}

/* Whether a path leads upwards anywhere, as those of other namespaces do. */
static bool leads_up(const char *path)
{
	for (; path != NULL && *path != '\0'; path = strchr(path + 1, '/'))
		if (strncmp(path, "/..", 3) == 0 && (path[3] == '/' || path[3] == '\0'))
			return true;
	return false;
}

/* The way from a mount's root to the process's cgroup. NULL: it is not below it, or
 * nothing says where. */
static const char *way_down(const char *mount_root, const char *path)
{
	size_t length = strlen(mount_root);

	if (strncmp(mount_root, path, length) != 0 || (path[length] != '/' && path[length] != '\0'))
		return NULL;
	return leads_up(path + length) ? NULL : path + length;
}

/* The directory is one when it has a file that every cgroup has. */
static bool is_cgroup(char directory[OS_CGROUP_PATH_MAX])
{
	size_t length = strlen(directory);
	bool is;

	is = text_join(directory + length, OS_CGROUP_PATH_MAX - length, "/cgroup.procs", "") &&
	     access(directory, F_OK) == 0;
	directory[length] = '\0';
	return is;
}

/* Where the way ends as far as there are cgroups on it; `out` has the mount point. */
static enum sight go_down(const char *way, struct os_cgroup *out)
{
	size_t room = DIRECTORY_MAX - out->mount_length;
	size_t length = strlen(way), all = length;

	for (;;) {
		/* What is too long can't be opened, so that its nearest ancestor has to do. */
		if (length < room) {
			memcpy(out->directory + out->mount_length, way, length);
			out->directory[out->mount_length + length] = '\0';
			if (is_cgroup(out->directory))
				return length == all ? SIGHT_OWN : SIGHT_ANCESTOR;
		}
		if (length == 0)
			return SIGHT_NONE;
		while (way[--length] != '/')
			;
	}
}

/* What a mount shows. */
static enum sight look(const struct search *s, const struct mount *m, struct os_cgroup *out)
{
	const char *way = way_down(m->root, s->path);

	if (!text_join(out->directory, DIRECTORY_MAX, s->root, m->point))
		return SIGHT_NONE;
	out->mount_length = strlen(out->directory);
	if (way != NULL)
		return go_down(way, out);
	if (!is_cgroup(out->directory))
		return SIGHT_NONE;
	/* The mount was made above this process's namespace: all of that is above it. */
	return leads_up(m->root) && !leads_up(s->path) ? SIGHT_ANCESTOR : SIGHT_ASIDE;
}

static bool see_mount(char *line, void *context)
{
	struct search *s = context;
	struct mount m;
	enum sight sight;

	if (!parse_mount(s, line, &m))
		return true;
	sight = look(s, &m, &s->found);
	/* Of two alike the later, which may hide the earlier. */
	if (sight == SIGHT_NONE || sight < s->best || (sight == s->best && strlen(m.root) > s->best_root))
		return true;
	s->best = sight;
	s->best_root = strlen(m.root);
	s->out->exact = sight == SIGHT_OWN;
	s->out->mount_length = s->found.mount_length;
	memcpy(s->out->directory, s->found.directory, sizeof(s->found.directory));
	return true;
}

/* Reads root/name line by line. */
static int read_proc(struct search *s, const char *name, bool (*each)(char *line, void *context))
{
	if (!text_join(s->file, sizeof(s->file), s->root, name))
		return -ENAMETOOLONG;
	return os_read_lines(s->file, s->line, sizeof(s->line), each, s);
}

static int find(struct search *s)
{
	int r = read_proc(s, "/proc/self/cgroup", see_membership);

	if (r != 0)
		return r;
	if (s->out->version == OS_CGROUP_NONE)
		return -ENOENT;
	r = read_proc(s, "/proc/self/mountinfo", see_mount);
	s->out->hybrid = s->v1 && s->v2;
	if (s->best != SIGHT_NONE)
		return 0;
	return r != 0 ? r : -ENODEV;
}

static size_t search_bytes(void)
{
	return size_up(sizeof(struct search), os_page_size());
}

int os_cgroup_find(const char *root, struct os_cgroup *out)
{
	int saved_errno = errno;
	struct search *s;
	void *memory;
	int r;

	memset(out, 0, sizeof(*out));
	r = os_new(search_bytes(), &memory);
	if (r != 0)
		return r;
	s = memory;
	s->root = root;
	s->out = out;
	r = find(s);
	os_release(memory, search_bytes());
	errno = saved_errno;
	return r;
}

bool os_cgroup_up(struct os_cgroup *g)
{
	char *slash = strrchr(g->directory, '/');

	if (slash == NULL || strlen(g->directory) <= g->mount_length)
		return false;
	*slash = '\0';
	return true;
}
