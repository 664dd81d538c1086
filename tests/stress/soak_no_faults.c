/* SPDX-License-Identifier: BSD-2-Clause */
/* In a program that loads the library from outside, its calls do not fail. */
#include "soak.h"

const bool faults_happen = false;

void faults_set(unsigned rate) { (void)rate; }

void faults_end(void) {}
