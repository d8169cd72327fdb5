// `sqlite:PATH` — one file, an SQLite database with one table:
//
//   objects(name TEXT PRIMARY KEY, version BLOB, value BLOB)      in parts of 64 KiB at most (parts.h)
//
// Durability: journal_mode WAL and synchronous FULL, both read back after they were set; a commit for every
// write, so what returned Ok is on stable storage. The log is copied into the file when it has 16 MiB, and at
// a clean close, after which there is only the one file (journal_mode DELETE). A crash leaves PATH and
// PATH-wal: they belong together.
// Lock: SQLite's own exclusive lock, for as long as the store is open. A second opener of any kind gets
// kInUse. Readers share a file that was closed cleanly; to read one that a crash left, a reader takes the
// exclusive lock too, reads file and log, and writes to neither.
// Failure (rule I1): no space gives kFull and changes nothing. Any other failed write, and a failed
// checkpoint, poisons. kMalformed: damaged, or a table that we did not make. What SQLite does not notice (its
// pages have no checksums; a log is taken to end at its first bad checksum) the core does.
//
// One connection under one lock: reads wait for the sync of a write. Modes: the file 0600, directories that
// are made for it 0700. Thread-safe.
#ifndef HOLDFAST_HOST_KV_SQLITE_H_
#define HOLDFAST_HOST_KV_SQLITE_H_

#include <memory>
#include <string>

#include "host/kv/open_mode.h"
#include "seam/storage.h"

namespace holdfast::host {

struct SqliteOptions {
  uint64_t part_bytes = 64u << 10;  // docs/benchmarks.md, Providers; changes nothing for what is stored
  int page_bytes = 8192;            // of a new file: a power of two, 512 to 65,536
  int64_t pages_max = 0;            // for tests: beyond them the disk is full; 0: no limit
};

// kNoStore: no such file, or one that holds something else. kInUse. kNotEmpty: kCreate only. kReadOnly,
// kPermission: the file or its directory cannot be written. kMalformed: damaged.
Result<std::unique_ptr<seam::Storage>> OpenSqlite(const std::string& path, OpenMode mode,
                                                  SqliteOptions options = {});

}  // namespace holdfast::host

#endif  // HOLDFAST_HOST_KV_SQLITE_H_
