/* SPDX-License-Identifier: BSD-2-Clause */
/* glibc's own: parameters, reports, trim, and the names that only it has. */
#include <malloc.h>
#include <stdio.h>
#include <unistd.h>

#include "cases.h"

/* ---- mallopt ------------------------------------------------------------------------------------ */

struct option {
	int parameter, value;
};
static const struct option options[] = {
	{ M_MXFAST, 64 }, { M_TRIM_THRESHOLD, 1 << 20 }, { M_TOP_PAD, 1 << 16 }, { M_MMAP_THRESHOLD, 1 << 20 },
	{ M_MMAP_MAX, 1000 }, { M_CHECK_ACTION, 3 }, { M_PERTURB, 0 }, { M_ARENA_TEST, 4 }, { M_ARENA_MAX, 2 },
	{ 4711, 1 }, { M_MXFAST, 1 << 20 }, { M_MMAP_THRESHOLD, 1 << 30 },
};

static void parameter(size_t with)
{
	say("returns %d", mallopt(options[with].parameter, options[with].value));
	say(churn(1) ? "malloc works" : "refused or changed");
}

static void perturb(size_t with)
{
	(void)with;
	NEED(mallopt(M_PERTURB, 0xa5) == 1);
	unsigned char *p = malloc(1000);
	NEED(p);
	say(p[500] == (0xa5 ^ 0xff) ? "blocks filled" : "blocks not filled");
	free(p);
}

/* ---- reports ------------------------------------------------------------------------------------- */

static void info2(size_t with)
{
	(void)with;
	struct mallinfo2 before = mallinfo2();
	void *p = malloc(32 * MIB);
	NEED(p);
	struct mallinfo2 m = mallinfo2();
	free(p);
	size_t more = m.uordblks + m.hblkhd - before.uordblks - before.hblkhd;
	say(more >= 31 * MIB && more < 36 * MIB ? "uordblks + hblkhd grew" : "uordblks + hblkhd: %zd B", more);
	say(m.arena + m.hblkhd >= m.uordblks + m.fordblks ? "no more than arena + hblkhd" : "more than arena + hblkhd");
	say(in_use() < before.uordblks + before.hblkhd + MIB ? "and went back" : "and stayed");
}

/* The old one has int for size_t. */
static void info(size_t with)
{
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
	(void)with;
	struct mallinfo before = mallinfo();
	void *p = malloc(32 * MIB);
	NEED(p);
	struct mallinfo m = mallinfo();
	free(p);
	int more = m.uordblks + m.hblkhd - before.uordblks - before.hblkhd;
	say(more >= (int)(31 * MIB) ? "uordblks + hblkhd grew" : "uordblks + hblkhd: %d B", more);
}

static char *report(int argument, int *result)
{
	static char text[65536];
	FILE *f = fmemopen(text, sizeof text, "w");
	NEED(f);
	errno = 0;
	*result = malloc_info(argument, f);
	int error = errno;
	fclose(f);
	errno = error;
	return text;
}

static void xml(size_t with)
{
	int result;
	(void)with;
	const char *text = report(0, &result);
	say("returns %d", result);
	say(strncmp(text, "<malloc version=\"", 17) == 0 ? "<malloc version=...>" : "no <malloc>");
	say(strstr(text, "</malloc>\n") ? "</malloc>" : "no </malloc>");
}

static void xml_version(size_t with)
{
	int result;
	(void)with;
	const char *version = strchr(report(0, &result), '"');
	NEED(version);
	say("%.*s", (int)strcspn(version + 1, "\""), version + 1);
}

static void xml_argument(size_t with)
{
	int result;
	(void)with;
	const char *text = report(1, &result);
	say(result == -1 ? "returns -1" : "returns %s", error_name(result));
	say("%s", error_name(errno));
	say(*text ? "something written" : "nothing written");
}

static void statistics(size_t with)
{
	int ends[2], saved = dup(STDERR_FILENO);
	char text[100];
	(void)with;
	NEED(saved >= 0 && pipe(ends) == 0 && dup2(ends[1], STDERR_FILENO) >= 0);
	close(ends[1]);
	malloc_stats();
	NEED(dup2(saved, STDERR_FILENO) >= 0);
	say(read(ends[0], text, sizeof text) > 0 ? "written to stderr" : "nothing written");
}

/* ---- malloc_trim ---------------------------------------------------------------------------------- */

static void trim(size_t with)
{
	enum { BLOCKS = 64 * 1024 };
	static void *blocks[BLOCKS];
	for (size_t i = 0; i < BLOCKS; i++) {
		NEED(blocks[i] = malloc(1000));
		memset(blocks[i], 1, 1000);
	}
	void *last = malloc(1000); /* so that glibc's heap does not end here */
	for (size_t i = 0; i < BLOCKS; i++)
		free(blocks[i]);
	if (with) {
		size_t before = resident_mib();
		malloc_trim(0);
		say(resident_mib() + 50 < before ? "the memory goes back" : "the memory stays");
	} else {
		say("returns %d", malloc_trim(0));
		say("then %d", malloc_trim(0));
	}
	say(churn(1) ? "malloc works" : "refused or changed");
	free(last);
}

static void trim_of_nothing(size_t with)
{
	(void)with;
	malloc_trim(0);
	say("returns %d", malloc_trim(0));
}

/* ---- freed by other names --------------------------------------------------------------------------- */

#ifndef CONFORMANCE_STATIC
void *__libc_malloc(size_t size);
void *__libc_memalign(size_t align, size_t size);
void *__libc_realloc(void *p, size_t size);
void __libc_free(void *p);

/* Programs that put a function of their own around malloc know no other way to the original. */
static void libc_names(size_t with)
{
	(void)with;
	void *a = __libc_malloc(MIB), *b = __libc_memalign(4096, MIB), *c = malloc(MIB), *d = __libc_malloc(MIB);
	NEED(a && b && c && d);
	fill(d, MIB, 1);
	size_t before = in_use();
	d = realloc(d, 2 * MIB);
	say(d && is_filled(d, MIB, 1) ? "realloc keeps them" : "realloc refuses them");
	free(a);
	free(b);
	free(d);
	say(in_use() + 2 * MIB < before ? "free frees them" : "free does not free them");
	before = in_use();
	__libc_free(c);
	say(in_use() + MIB / 2 < before ? "__libc_free frees malloc's" : "__libc_free does not free malloc's");
}
#endif

#define OPTION(i, name) { "mallopt/" name, parameter, i }

const struct conformance_case glibc_cases[] = {
	OPTION(0, "M_MXFAST"), OPTION(1, "M_TRIM_THRESHOLD"), OPTION(2, "M_TOP_PAD"), OPTION(3, "M_MMAP_THRESHOLD"),
	OPTION(4, "M_MMAP_MAX"), OPTION(5, "M_CHECK_ACTION"), OPTION(6, "M_PERTURB"), OPTION(7, "M_ARENA_TEST"),
	OPTION(8, "M_ARENA_MAX"), OPTION(9, "an unknown one"), OPTION(10, "M_MXFAST, too large"),
	OPTION(11, "M_MMAP_THRESHOLD, too large"),
	{ "mallopt/M_PERTURB's effect", perturb, 0 },
	{ "reports/mallinfo2", info2, 0 },
	{ "reports/mallinfo", info, 0 },
	{ "reports/malloc_info", xml, 0 },
	{ "reports/malloc_info's version", xml_version, 0 },
	{ "reports/malloc_info(1)", xml_argument, 0 },
	{ "reports/malloc_stats", statistics, 0 },
	{ "malloc_trim/after 64 MiB were freed", trim, 0 },
	{ "malloc_trim/its effect", trim, 1 },
	{ "malloc_trim/with nothing free", trim_of_nothing, 0 },
#ifndef CONFORMANCE_STATIC
	{ "other names/__libc_malloc, __libc_memalign, __libc_free", libc_names, 0 },
#endif
	{ NULL, NULL, 0 },
};
