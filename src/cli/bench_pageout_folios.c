/* SPDX-License-Identifier: BSD-2-Clause */
/* Folios of one size: the kernel's settings, and whether it made such. */
#define _GNU_SOURCE
#include "cli/bench_pageout.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

void pageout_folios_look(struct pageout_folios *f)
{
	*f = (struct pageout_folios){.sizes = os_mthp_sizes(os_page_size())};
	for (unsigned n = 0; n < 64; n++) {
		size_t size = (size_t)1 << n;

		if ((f->sizes >> n & 1) == 0)
			continue;
		if (os_mthp_setting("", size, f->before[n]) != 0)
			f->sizes &= ~(UINT64_C(1) << n);
		else if (!f->may_set) /* what is there already, to see whether that may be */
			f->may_set = os_mthp_set("", size, f->before[n]) == 0;
	}
}

/* As it is set now: of all sizes that memory with MADV_HUGEPAGE may get, it gets the largest. */
static bool is_largest(const struct pageout_folios *f, size_t folio)
{
	uint64_t advised = os_mthp_advised("", f->sizes);

	return advised != 0 && (size_t)1 << (63 - __builtin_clzll(advised)) == folio;
}

const char *pageout_folios_refuse(const struct pageout_folios *f, size_t folio, struct bench_notes *notes)
{
	bool known = (f->sizes >> size_log2(folio) & 1) != 0;

	if (folio == os_page_size() || (known && (f->may_set || is_largest(f, folio))))
		return NULL;
	if (known)
		return bench_note(notes,
		                  "the kernel is not set to make them here, which root could change "
		                  "(transparent_hugepage/hugepages-%zukB/enabled)",
		                  folio / KiB);
	if (f->sizes == 0 && folio == BENCH_HUGE_PAGE && os_thp_usable(folio))
		return NULL;
	return bench_note(notes, "the kernel makes no folios of that size");
}

const char *pageout_folios_word(size_t size, size_t folio)
{
	return size == folio ? "madvise" : "never";
}

int pageout_folios_set(struct pageout_folios *f, size_t folio)
{
	int r = 0;

	if (!f->may_set)
		return 0;
	f->changed = true;
	for (unsigned n = 0; n < 64 && r == 0; n++)
		if ((f->sizes >> n & 1) != 0)
			r = os_mthp_set("", (size_t)1 << n, pageout_folios_word((size_t)1 << n, folio));
	return r;
}

int pageout_folios_restore(struct pageout_folios *f)
{
	int worst = 0;

	for (unsigned n = 0; n < 64 && f->changed; n++) {
		int r = 0;

		if ((f->sizes >> n & 1) != 0)
			r = os_mthp_set("", (size_t)1 << n, f->before[n]);
		worst = r != 0 ? r : worst;
	}
	f->changed = worst != 0;
	return worst;
}

double pageout_folios_count(size_t folio, const char *name)
{
	size_t count;

	return os_mthp_count("", folio, name, &count) == 0 ? (double)count : NAN;
}

double pageout_folios_huge(void)
{
	char text[2048];
	size_t bytes;

	if (os_read_file("/proc/self/smaps_rollup", text, sizeof(text), NULL) != 0 ||
	    os_field_bytes(text, "AnonHugePages", &bytes) != 0)
		return NAN;
	return (double)bytes;
}
