// `leveldb:PATH` — a directory that LevelDB keeps; rows as in lsm_internal.h, in parts of 64 KiB at most
// (parts.h).
//
// Durability: every write is synced to LevelDB's log before it returns (LevelDB closes a full log without
// syncing it, so a sync now and then would not cover what went before). Paranoid checks are on: a log or a
// table that is damaged is refused (kChecksum), not repaired. Nothing is compressed: it is ciphertext.
// Checksums are verified at every read; tables are read, not mapped, so that a file that shrinks is an error
// and no signal.
// Lock: the file LOCK, exclusive, for readers too: kInUse. LevelDB itself cannot open without writing; for a
// reader all that it writes (tables made of the log, a manifest) goes into memory, and nothing is compacted.
// Failure (rule I1): less than 24 MiB of free space gives kFull before anything is written; any failed write
// poisons. Modes: directories that are made 0700. Thread-safe. Memory: two memtables of 8 MiB, a cache of 16.
#ifndef HOLDFAST_HOST_KV_LEVELDB_H_
#define HOLDFAST_HOST_KV_LEVELDB_H_

#include <memory>
#include <string>

#include "host/kv/open_mode.h"
#include "seam/storage.h"

namespace holdfast::host {

struct LeveldbOptions {
  uint64_t part_bytes = 64u << 10;  // docs/benchmarks.md, Providers
};

// kNoStore: no database, or none of ours. kInUse, kNotEmpty, kReadOnly, kPermission. kChecksum, kMalformed:
// damaged.
Result<std::unique_ptr<seam::Storage>> OpenLeveldb(const std::string& path, OpenMode mode,
                                                   LeveldbOptions options = {});

}  // namespace holdfast::host

#endif  // HOLDFAST_HOST_KV_LEVELDB_H_
