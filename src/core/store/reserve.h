// Space put aside in the store, for the day when the disk is full: what can be done then, saves and deletes,
// takes space before it gives any back. Source: rule I1; docs/decisions/0024. Not thread-safe; blocking.
#ifndef HOLDFAST_CORE_STORE_RESERVE_H_
#define HOLDFAST_CORE_STORE_RESERVE_H_

#include "seam/storage.h"

namespace holdfast::store {

// One provider that appends, and so preallocates: the others cannot put space aside by writing zeros into an
// object (a database may keep or compress them), and of several each has a disk of its own.
bool CanReserve(seam::Storage& storage);

// Makes it, durably; Ok if it is there. kFull: it is not, and nothing is left of the attempt.
Status MakeReserve(seam::Storage& storage, uint64_t bytes);

// Deletes it. True: there was one, and whatever was refused with kFull is worth trying again.
bool GiveUpReserve(seam::Storage& storage);

}  // namespace holdfast::store

#endif  // HOLDFAST_CORE_STORE_RESERVE_H_
