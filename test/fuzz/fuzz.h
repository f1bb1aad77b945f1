/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_FUZZ_H
#define PA_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* The entry that libFuzzer calls; every target defines it, replay_main.c calls it without libFuzzer. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#endif
