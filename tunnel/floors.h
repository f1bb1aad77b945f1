/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_FLOORS_H
#define PA_FLOORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/clock.h"

/*
 * The gateway's floors (pubaddr-protocol(7), ONE HOLDER AT A TIME): for an address the least epoch that may still bind,
 * as the broker's revocation log tells, the number up to which that log is known, and the highest time seen. A floor never
 * sinks. And their form on the disk: a header, then records of one size, each with a checksum over its place too; floors
 * are followed by a mark that says up to which number they are complete. New ones are appended, now and then the file is
 * written anew. Pure; one thread at a time.
 */
struct pa_floors;

#define PA_FLOORS_RECORD 48 /* bytes; the header is as long */

/* Empty, never synced. PA_ENOMEM. */
int pa_floors_new(struct pa_floors **ret);
void pa_floors_free(struct pa_floors *f);

/* The floor of an address; 0: it has none. */
uint64_t pa_floors_get(const struct pa_floors *f, const struct pa_addr *addr);
/* 1 if it was raised, 0 if it is as high already, or PA_ENOMEM. */
int pa_floors_raise(struct pa_floors *f, const struct pa_addr *addr, uint64_t epoch);
/* Everything up to number has been raised. complete: and that was all there is, so from now on the floors are synced. */
void pa_floors_mark(struct pa_floors *f, uint64_t number, bool complete);
uint64_t pa_floors_number(const struct pa_floors *f);
/* True once the whole log was known; stays true, and is remembered on the disk. Until then nobody may be served. */
bool pa_floors_synced(const struct pa_floors *f);
size_t pa_floors_count(const struct pa_floors *f);

/*
 * Floor number i, counted from 0 to below _slots: false if there is none in this place. A place keeps its floor for as long as the
 * number of slots is the same.
 */
size_t pa_floors_slots(const struct pa_floors *f);
bool pa_floors_at(const struct pa_floors *f, size_t i, struct pa_addr *ret_addr, uint64_t *ret_epoch);

/*
 * The time as it may be believed: never behind the highest that was ever seen, and going on from there with the boot clock, so
 * that a clock that was set back does not make expired grants good again. Remembers what it returns.
 */
struct pa_now pa_floors_clock(struct pa_floors *f, struct pa_now now);

/*
 * The whole file, or the records that have to be appended to what _encode_all or _encode_new gave before: the floors raised
 * since and a mark. malloc'd; PA_ENOMEM. Appended records depend on their place, so what was encoded has to be written: after
 * a failure to write, write _encode_all.
 */
int pa_floors_encode_all(struct pa_floors *f, uint8_t **ret, size_t *ret_len);
int pa_floors_encode_new(struct pa_floors *f, uint8_t **ret, size_t *ret_len);
/*
 * Reads a file into floors that are empty. 0; or PA_EFORMAT: it is no such file, or damaged in its middle; what was readable
 * has been raised, which is safe, but the floors are not synced and begin at number 0. A torn end, as a crash leaves it, is
 * passed over: it was never acknowledged. PA_ENOMEM: forget the floors. Write the file anew afterwards.
 */
int pa_floors_decode(struct pa_floors *f, const uint8_t *buf, size_t len);

#endif
