/* SPDX-License-Identifier: BSD-2-Clause */
/* What the C library allocates and frees itself, when the program says so. */
#include <dirent.h>
#include <fcntl.h>
#include <glob.h>
#include <iconv.h>
#include <ifaddrs.h>
#include <locale.h>
#include <malloc.h>
#include <netdb.h>
#include <pwd.h>
#include <regex.h>
#include <search.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <wordexp.h>

#include "cases.h"

static void directory(size_t with)
{
	struct dirent **entries;
	int n = scandir("/", &entries, NULL, alphasort);
	bool known = n > 2;
	(void)with;
	for (int i = 0; i < n; i++) {
		known = known && malloc_usable_size(entries[i]) > 0 && entries[i]->d_name[0];
		free(entries[i]);
	}
	NEED(n > 2);
	free(entries);
	say(known ? "blocks, freed" : "not blocks of malloc's");
}

static void globbed(size_t with)
{
	glob_t g;
	(void)with;
	NEED(glob("/proc/self/*", 0, NULL, &g) == 0 && g.gl_pathc > 5);
	globfree(&g);
	say("freed");
}

static void words(size_t with)
{
	wordexp_t w;
	(void)with;
	NEED(wordexp("three 'words of' ${NOT_SET:-these}", &w, 0) == 0 && w.we_wordc == 3);
	NEED(strcmp(w.we_wordv[1], "words of") == 0);
	wordfree(&w);
	say("freed");
}

static void expressions(size_t with)
{
	regex_t re;
	(void)with;
	NEED(regcomp(&re, "^(a|b)*([0-9]{1,50})+x?$", REG_EXTENDED) == 0);
	NEED(regexec(&re, "ababab12345678901234567890x", 0, NULL, 0) == 0);
	NEED(regexec(&re, "ababab1234567890y", 0, NULL, 0) == REG_NOMATCH);
	regfree(&re);
	say("freed");
}

static void variables(size_t with)
{
	static char own[] = "CONFORMANCE_OWN=1";
	char name[40], value[20];
	(void)with;
	for (int i = 0; i < 3000; i++) {
		snprintf(name, sizeof name, "CONFORMANCE_%d", i % 1000);
		snprintf(value, sizeof value, "%d", i);
		NEED(setenv(name, value, 1) == 0);
	}
	NEED(putenv(own) == 0 && strcmp(getenv("CONFORMANCE_999"), "2999") == 0);
	NEED(unsetenv("CONFORMANCE_OWN") == 0 && clearenv() == 0);
	say("kept and cleared");
}

static int by_value(const void *a, const void *b)
{
	return *(const int *)a < *(const int *)b ? -1 : *(const int *)a > *(const int *)b;
}

static void sorted(size_t with)
{
	enum { N = 300000 };
	int *p = malloc(N * sizeof *p);
	(void)with;
	NEED(p);
	for (int i = 0; i < N; i++)
		p[i] = (int)(i * 7919LL % N);
	qsort(p, N, sizeof *p, by_value);
	for (int i = 0; i < N; i++)
		NEED(p[i] == i);
	free(p);
	say("sorted");
}

static void nothing(void *key) { (void)key; }

static void tree(size_t with)
{
	static int keys[2000];
	void *root = NULL;
	(void)with;
	for (int i = 0; i < 2000; i++) {
		keys[i] = i * 7919 % 2000;
		NEED(tsearch(&keys[i], &root, by_value));
	}
	for (int i = 0; i < 1000; i++)
		NEED(tdelete(&keys[i], &root, by_value));
	tdestroy(root, nothing);
	NEED(hcreate(100));
	hdestroy();
	say("freed");
}

static void files(size_t with)
{
	FILE *open_files[20];
	char line[10], *buffer = malloc(100000);
	(void)with;
	for (size_t i = 0; i < COUNT(open_files); i++) {
		NEED(open_files[i] = fopen("/proc/self/comm", "r"));
		NEED(i % 2 || setvbuf(open_files[i], NULL, _IOFBF, 100000 * (i + 1)) == 0);
		NEED(fgets(line, sizeof line, open_files[i]));
	}
	for (size_t i = 0; i < COUNT(open_files); i++)
		NEED(fclose(open_files[i]) == 0);
	FILE *f = fopen("/proc/self/comm", "r"); /* with a buffer of the program's, freed after it */
	NEED(f && buffer && setvbuf(f, buffer, _IOFBF, 100000) == 0 && fgets(line, sizeof line, f) && fclose(f) == 0);
	free(buffer);
	DIR *d = opendir("/");
	NEED(d && readdir(d) && closedir(d) == 0);
	say("freed");
}

static void locale(size_t with)
{
	(void)with;
	NEED(setlocale(LC_ALL, "C.UTF-8") && setlocale(LC_ALL, "C"));
	locale_t l = newlocale(LC_ALL_MASK, "C.UTF-8", NULL);
	NEED(l);
	locale_t copy = duplocale(l);
	NEED(copy);
	freelocale(copy);
	freelocale(l);
	say("freed");
}

static void zone(size_t with)
{
	struct tm tm;
	time_t t = 0;
	(void)with;
	for (int i = 0; i < 50; i++) {
		NEED(setenv("TZ", i & 1 ? "XYZ-3" : "ABC+5DEF,M3.2.0,M11.1.0", 1) == 0);
		tzset();
		NEED(localtime_r(&t, &tm));
	}
	say("freed");
}

#ifndef CONFORMANCE_STATIC
static void addresses(size_t with)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM }, *info;
	struct ifaddrs *interfaces;
	(void)with;
	NEED(getaddrinfo("127.0.0.1", "80", &hints, &info) == 0);
	freeaddrinfo(info);
	NEED(getifaddrs(&interfaces) == 0);
	freeifaddrs(interfaces);
	say("freed");
}

static void users(size_t with)
{
	(void)with;
	for (int i = 0; i < 20; i++) {
		struct passwd *p = getpwuid(0);
		NEED(p && p->pw_uid == 0 && p->pw_dir);
		setpwent();
		NEED(getpwent());
		endpwent();
	}
	say("freed");
}

static void charsets(size_t with)
{
	(void)with;
	for (int i = 0; i < 20; i++) {
		iconv_t c = iconv_open("ISO-8859-15", "UTF-8");
		char in[] = "\xe2\x82\xac", out[4], *from = in, *to = out;
		size_t from_left = 3, to_left = sizeof out;
		NEED(c != (iconv_t)-1 && iconv(c, &from, &from_left, &to, &to_left) == 0);
		NEED((unsigned char)out[0] == 0xa4 && iconv_close(c) == 0);
	}
	say("freed");
}
#endif

const struct conformance_case libc_cases[] = {
	{ "C library/scandir", directory, 0 },
	{ "C library/glob, globfree", globbed, 0 },
	{ "C library/wordexp, wordfree", words, 0 },
	{ "C library/regcomp, regfree", expressions, 0 },
	{ "C library/setenv, putenv, clearenv", variables, 0 },
	{ "C library/qsort", sorted, 0 },
	{ "C library/tsearch, tdestroy, hcreate, hdestroy", tree, 0 },
	{ "C library/fopen, setvbuf, fclose, opendir, closedir", files, 0 },
	{ "C library/setlocale, newlocale, freelocale", locale, 0 },
	{ "C library/tzset", zone, 0 },
#ifndef CONFORMANCE_STATIC
	{ "C library/getaddrinfo, getifaddrs", addresses, 0 },
	{ "C library/getpwuid, getpwent", users, 0 },
	{ "C library/iconv_open, iconv_close", charsets, 0 },
#endif
	{ NULL, NULL, 0 },
};
