/* SPDX-License-Identifier: BSD-2-Clause */
/* What tests of the helper process (os/helper.h) see of it. Include after cmocka.h. */
#ifndef SPARENA_TESTS_HELPER_H
#define SPARENA_TESTS_HELPER_H

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* How many descriptors a process has open, by /proc; 0: it has ended. */
static inline unsigned descriptors_of(int pid)
{
	char path[64];
	unsigned n = 0;
	snprintf(path, sizeof path, "/proc/%d/fd", pid);
	DIR *d = opendir(path);
	if (!d)
		return 0;
	for (struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.';
	closedir(d);
	return n - (pid == getpid());
}

static inline unsigned own_descriptors(void) { return descriptors_of(getpid()); }

/* A file of /proc/PID. */
static inline const char *proc_text(int pid, const char *name)
{
	static char text[16384];
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
	FILE *f = fopen(path, "r");
	size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
	text[n] = '\0';
	if (f)
		fclose(f);
	return text;
}

/* It has ended; nobody may have waited for it yet. */
static inline bool has_ended(int pid)
{
	const char *state = strrchr(proc_text(pid, "stat"), ')');
	return !state || state[2] == 'Z' || state[2] == 'X';
}

static inline bool ends(int pid)
{
	for (int i = 0; i < 400; i++) {
		if (has_ended(pid))
			return true;
		usleep(5000);
	}
	return false;
}

static inline void kill_helper(int pid)
{
	assert_true(pid > 0); /* 0 would be all of us */
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_true(ends(pid));
}

/* Kills a stopped helper when it surely has a request. */
static inline void *kill_soon(void *pid)
{
	usleep(100000);
	kill(*(int *)pid, SIGKILL);
	return NULL;
}

/* From here on a request comes to it, and no answer ever. */
static inline pthread_t stop_and_kill_soon(int *pid)
{
	pthread_t killer;
	assert_true(*pid > 0);
	assert_int_equal(kill(*pid, SIGSTOP), 0);
	assert_int_equal(pthread_create(&killer, NULL, kill_soon, pid), 0);
	return killer;
}

#endif
