/* SPDX-License-Identifier: BSD-2-Clause */
/* The environment: options of the allocator, and programs that must not listen to them. */
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cases.h"

extern char **environ;

#define NOBODY 65534

static const char *const knobs[][2] = {
	{ "SPARENA_CONF", "limit:16M" },
	{ "MALLOC_CONF", "junk:true" },
	{ "MALLOC_PERTURB_", "165" },
};

static void set_knobs(void)
{
	for (size_t i = 0; i < COUNT(knobs); i++)
		NEED(setenv(knobs[i][0], knobs[i][1], 1) == 0);
}

static bool knobs_are_set(void)
{
	const char *set = getenv("MALLOC_PERTURB_");
	return set && strcmp(set, "165") == 0;
}

/* By each option's effect. */
static void say_heeded(void)
{
	unsigned char *p = malloc(1000), *much = malloc(40 * MIB);
	NEED(p);
	say("limit:16M %s", much ? "ignored" : "heeded");
	say("MALLOC_PERTURB_ %s", p[500] == (165 ^ 0xff) ? "heeded" : "ignored");
	say("MALLOC_CONF %s", p[500] == 0xa5 ? "heeded" : "ignored");
	free(much);
	free(p);
}

static void ordinary(size_t with)
{
	char self[] = "/proc/self/exe", name[] = "environment/options";
	char *arguments[] = { self, name, NULL };
	(void)with;
	if (knobs_are_set()) {
		say_heeded();
		return;
	}
	set_knobs();
	execv(self, arguments);
	broken("execv", __LINE__);
}

/* ---- a program that has more rights than who starts it ----------------------------------------- */

/* For nobody, in no group but nogroup, and gone in a moment. */
static void copy_with_rights(const char *path)
{
	struct stat st;
	int in = open("/proc/self/exe", O_RDONLY), out = open(path, O_WRONLY | O_CREAT | O_EXCL, 0700);
	NEED(in >= 0 && out >= 0 && fstat(in, &st) == 0);
	for (off_t at = 0; at < st.st_size;)
		NEED(sendfile(out, in, &at, (size_t)(st.st_size - at)) > 0);
	NEED(fchown(out, 0, NOBODY) == 0 && fchmod(out, 04710) == 0);
	close(out);
	close(in);
}

static void run_as_nobody(const char *path)
{
	char *arguments[] = { (char[]){ "secure" }, (char[]){ "environment/set-user-ID" }, NULL };
	if (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY))
		skip("not allowed to become another user");
	set_knobs();
	execve(path, arguments, environ);
	broken("execve", __LINE__);
}

static void set_user_id(size_t with)
{
	char folder[] = "/tmp/conformance.XXXXXX", path[sizeof folder + 8];
	int status;
	(void)with;
	if (knobs_are_set()) {
		if (!getauxval(AT_SECURE))
			skip("/tmp is mounted nosuid");
		say_heeded();
		return;
	}
	if (getuid())
		skip("not root");
	NEED(mkdtemp(folder) && chmod(folder, 0711) == 0);
	snprintf(path, sizeof path, "%s/secure", folder);
	copy_with_rights(path);
	pid_t child = fork();
	if (child == 0)
		run_as_nobody(path);
	bool waited = child > 0 && waitpid(child, &status, 0) == child;
	unlink(path);
	rmdir(folder);
	NEED(waited);
	if (status)
		say("status %#x", status);
}

/* ---- locked memory ------------------------------------------------------------------------------ */

static void locked(size_t with)
{
	(void)with;
	if (mlockall(MCL_CURRENT | MCL_FUTURE))
		skip("mlockall is not allowed");
	say(churn(1) ? "contents kept" : "refused or changed");
	say(resident_mib() < 300 ? "only what is used is locked" : "much more is locked");
}

const struct conformance_case environment_cases[] = {
	{ "environment/options", ordinary, 0 },
	{ "environment/set-user-ID", set_user_id, 0 },
	{ "environment/mlockall", locked, 0 },
	{ NULL, NULL, 0 },
};
