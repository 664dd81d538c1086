/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * harden:true: each block is looked at when it is freed, resized or asked for its size. One
 * that was written beyond its end, was freed already or never was a block ends the program
 * by abort(3), after a line on standard error that says which.
 */
#ifndef SPARENA_HEAP_HARDEN_H
#define SPARENA_HEAP_HARDEN_H

#include "heap/heap.h"

/* Before the heap's first block: makes up the secret of its tails, and sets its checks. */
void harden_start(struct heap *h);

#endif
