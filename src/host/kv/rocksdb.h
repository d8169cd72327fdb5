// `rocksdb:PATH` — a directory that RocksDB keeps; rows as in lsm_internal.h, in parts of 64 KiB at most
// (parts.h).
//
// Durability: every write is synced to RocksDB's log before it returns. Opening with kReadWrite replays the
// log; a log that is damaged anywhere but in an incomplete last record is refused (kChecksum), not cut.
// Values are kept beside the tree (blob files), so compaction does not copy them; nothing is compressed:
// it is ciphertext. Checksums are verified at every read, paranoid checks are on.
// Lock: the file LOCK, exclusive, for readers too: kInUse. A reader opens without writing anything; where
// LOCK cannot be opened for writing (a read-only mount) it goes without.
// Failure (rule I1): less than 24 MiB of free space gives kFull before anything is written; any failed write
// poisons. Modes: directories that are made 0700. Thread-safe. Memory: two memtables of 8 MiB, a cache of 16.
#ifndef HOLDFAST_HOST_KV_ROCKSDB_H_
#define HOLDFAST_HOST_KV_ROCKSDB_H_

#include <memory>
#include <string>

#include "host/kv/open_mode.h"
#include "seam/storage.h"

namespace holdfast::host {

struct RocksdbOptions {
  uint64_t part_bytes = 64u << 10;  // docs/benchmarks.md, Providers
};

// kNoStore: no database, or none of ours. kInUse, kNotEmpty, kReadOnly, kPermission. kChecksum, kMalformed:
// damaged.
Result<std::unique_ptr<seam::Storage>> OpenRocksdb(const std::string& path, OpenMode mode,
                                                   RocksdbOptions options = {});

}  // namespace holdfast::host

#endif  // HOLDFAST_HOST_KV_ROCKSDB_H_
