/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_PRELOAD_EARLY_H
#define TESTS_PRELOAD_EARLY_H

/* 1 while what the constructor allocated is as it was. */
int early_linked_check(void);
int early_opened_check(void);

#endif
