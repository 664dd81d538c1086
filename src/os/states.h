/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * States of memory that are hard to come by, for who shows what the kernel makes of them
 * (os/states.c). As in os.h: 0 or -errno, and errno is left as it was. Not in the libraries.
 */
#ifndef SPARENA_OS_STATES_H
#define SPARENA_OS_STATES_H

#include "os/os.h"

/*
 * An unnamed file on a tmpfs of `size` bytes that was made for it, is nowhere to be seen, and
 * goes with the file. Where the calling process may not mount, it gets namespaces of its own for
 * that, unshare(2), and should end soon. -EPERM, -ENOSPC: it may not have these either.
 */
int os_small_file(size_t size, struct os_file *out);

/*
 * Makes pages that were never populated broken ones, as those are that the hardware reported,
 * ioctl_userfaultfd(2) UFFDIO_POISON; no page of the machine is lost. -EINVAL: a kernel before
 * 6.6; -EPERM, -ENOSYS: no userfaultfd here.
 */
int os_poison(void *addr, size_t size);

/* A file of memory that the kernel itself does not map, memfd_secret(2). -ENOSYS: a kernel
 * before 5.14, or one that is not to have it. */
int os_secret(struct os_file *out);

/* Writes a file's pages to the disk and has the kernel forget them, fdatasync(2),
 * posix_fadvise(2) POSIX_FADV_DONTNEED. Those that somebody else uses stay. */
int os_uncache(int fd);

/* The first mapping that the kernel manages itself, [vvar] of proc_pid_maps(5): VM_PFNMAP and
 * VM_IO. -ENOENT: there is none. */
int os_special_mapping(void **addr, size_t *size);

/* The addresses of a line of /proc/PID/maps or smaps; false: it has none. */
bool os_parse_mapping(const char *line, uintptr_t *from, uintptr_t *to);

#endif
