/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SPARENA_OS_RETRY_H
#define SPARENA_OS_RETRY_H

/*
 * How often a system call that says EINTR or EAGAIN is made, so that a kernel (or a fault
 * injector) which never stops saying so is an error in the end and not a hang.
 */
#define RETRIES 100

#endif
