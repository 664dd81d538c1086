/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sparena/region.h: sparse memory whose offsets the caller manages: reserve
 * address space once, commit and decommit parts of it as they are plugged and
 * unplugged. What is committed is populated: using it cannot fail any more.
 *
 * All functions are thread-safe, on overlapping ranges too, except that nobody
 * may use a region while it is released. Offsets and lengths are in bytes.
 */
#ifndef SPARENA_REGION_H
#define SPARENA_REGION_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

struct sparena_region;

/*
 * Reserves `size` bytes (rounded up to a whole granule) of address space. `options`
 * is a text such as "limit:1G,thp:always" (see sparena-options(7)), or NULL.
 * On success *out is the region, of which nothing is committed.
 *
 * A region is readable and writable from end to end, but only what is committed is
 * backed; with closed:true, and under strict overcommit (vm.overcommit_memory=2),
 * what was never committed is inaccessible.
 *
 * Returns 0; -EINVAL: size is 0, out is NULL, or an option is wrong (sparena_last_error()
 * says which); -ENOMEM: no such address space (RLIMIT_AS, mmap(2); of a file RLIMIT_FSIZE);
 * or -errno of opening the backing, of which sparena_last_error() says more.
 */
int sparena_region_reserve(const char *options, size_t size, struct sparena_region **out);

/* Gives all memory and the address space back. NULL is allowed. */
void sparena_region_release(struct sparena_region *r);

/*
 * Commits every granule of [offset, offset + length): afterwards all of it is
 * populated and charged, and what was not committed before reads zero. All or
 * nothing. Commits exactly the range, which must be whole granules.
 *
 * Returns 0; -EINVAL: outside the region, empty, or no multiple of the granule;
 * -ENOMEM: over the limit, or no memory left: nothing has changed; -EHWPOISON: the
 * range holds a broken page (madvise(2)). With lock:, -ENOMEM and -EPERM are also mlock2(2)'s:
 * RLIMIT_MEMLOCK.
 */
int sparena_region_commit(struct sparena_region *r, size_t offset, size_t length);

/*
 * Gives the memory of [offset, offset + length) back; its contents are lost. Parts
 * that are not committed are passed over. Returns 0 or -EINVAL as above, or -errno
 * of madvise(2), with the range still committed.
 */
int sparena_region_decommit(struct sparena_region *r, size_t offset, size_t length);

/* First byte of the region, at a multiple of 2 MiB. */
void *sparena_region_base(const struct sparena_region *r);

/* Bytes reserved; the unit of commit and decommit in bytes; bytes committed now. */
size_t sparena_region_size(const struct sparena_region *r);
size_t sparena_region_granule(const struct sparena_region *r);
size_t sparena_region_committed(const struct sparena_region *r);

/*
 * *bytes = how much of the range takes memory by the kernel's own view: proc(5) pagemap,
 * swapped pages included, and for shared small pages where the file has data, lseek(2).
 * Returns 0; -EINVAL: outside, or bytes is NULL; -ENOENT, -EACCES: no /proc; -EMFILE.
 */
int sparena_region_resident(struct sparena_region *r, size_t offset, size_t length, size_t *bytes);

/*
 * *bytes = how much of what sparena_region_resident() counts is in swap. Shared memory on
 * disks and huge pages of a pool are never. Returns as that; -EBADF: the program has closed
 * the region's descriptor.
 */
int sparena_region_swapped(struct sparena_region *r, size_t offset, size_t length, size_t *bytes);

/*
 * Of what is committed in [offset, offset + length), whole granules. It stays committed and
 * charged, with its contents: its backing may be swap, or the file, for a while.
 *
 * cold: it is written out before other memory when that gets short, madvise(2) MADV_COLD.
 * pageout: now, MADV_PAGEOUT; what cannot go, as where no swap is, stays.
 * prefetch: it is read in again, in the background, MADV_WILLNEED; with `wait` all of it is
 * mapped when the call returns, MADV_POPULATE_READ: reading it waits for no disk.
 * populate_read: that alone. Pages of a file do not get dirty.
 *
 * Returns 0; -EINVAL: outside the region, empty, or no multiple of the granule; -EOPNOTSUPP,
 * of cold and pageout: locked memory, huge pages of a pool, or a kernel before 5.4; -ENOMEM,
 * of the others: the machine or a cgroup has no room for it, some of it may be back; -EIO,
 * -EHWPOISON: the kernel could not read it.
 */
int sparena_region_cold(struct sparena_region *r, size_t offset, size_t length);
int sparena_region_pageout(struct sparena_region *r, size_t offset, size_t length);
int sparena_region_prefetch(struct sparena_region *r, size_t offset, size_t length, bool wait);
int sparena_region_populate_read(struct sparena_region *r, size_t offset, size_t length);

/*
 * Changes the limit while in use; SIZE_MAX takes it away. One below what is committed
 * gives nothing back, but refuses commits until enough was decommitted. Returns 0.
 */
int sparena_region_set_limit(struct sparena_region *r, size_t bytes);

/*
 * Descriptor of the memory behind the region; -1 for private memory.
 *
 * A child of fork(2) does not have a region of shared memory: nothing is mapped at its
 * addresses, and commit, decommit and resident are -EINVAL. It has the descriptor, which
 * it may map; releasing the region there closes that, and is nothing to the parent.
 */
int sparena_region_fd(const struct sparena_region *r);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
