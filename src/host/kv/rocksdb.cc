#include "host/kv/rocksdb.h"

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>

#include <utility>

#include "host/kv/lsm_internal.h"

namespace holdfast::host {
namespace {

// A database that is closed before its lock is given back.
class LockedRocks {
 public:
  LockedRocks(rocksdb::DB* db, rocksdb::FileLock* lock) : db_(db), lock_(lock) {}
  LockedRocks(const LockedRocks&) = delete;
  LockedRocks& operator=(const LockedRocks&) = delete;
  ~LockedRocks() {
    db_.reset();
    if (lock_ != nullptr) (void)rocksdb::Env::Default()->UnlockFile(lock_).ok();
  }
  rocksdb::Status Write(const rocksdb::WriteOptions& options, rocksdb::WriteBatch* batch) {
    return db_->Write(options, batch);
  }
  rocksdb::Iterator* NewIterator(const rocksdb::ReadOptions& options) { return db_->NewIterator(options); }
  rocksdb::DB& db() { return *db_; }

 private:
  std::unique_ptr<rocksdb::DB> db_;
  rocksdb::FileLock* lock_;  // a reader's; a writer's is RocksDB's own
};

// As lsm_internal.h wants it named.
class RocksStatus : public rocksdb::Status {
 public:
  RocksStatus(rocksdb::Status s) : rocksdb::Status(std::move(s)) {}  // NOLINT: implicit
  bool IsNotSupportedError() const { return IsNotSupported(); }
};

struct Rocks {
  using DB = LockedRocks;
  using Status = RocksStatus;
  using Slice = rocksdb::Slice;
  using Batch = rocksdb::WriteBatch;
  using Iterator = rocksdb::Iterator;
  using ReadOptions = rocksdb::ReadOptions;
  using WriteOptions = rocksdb::WriteOptions;
  using Value = rocksdb::PinnableSlice;
  static Status Get(DB& locked, const ReadOptions& options, Slice key, Value* value) {
    return locked.db().Get(options, locked.db().DefaultColumnFamily(), key, value);
  }
};

// RocksDB's own log of what it does: nobody reads it, and a reader must not write.
class NoLog : public rocksdb::Logger {
 public:
  using rocksdb::Logger::Logv;
  void Logv(const char*, va_list) override {}
};

rocksdb::Options OptionsOf(OpenMode mode) {
  rocksdb::Options o;
  o.create_if_missing = mode == OpenMode::kCreate;
  o.paranoid_checks = true;
  o.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  o.compression = rocksdb::kNoCompression;
  o.write_buffer_size = kMemtableBytes;
  o.max_open_files = 256;
  o.enable_blob_files = true;
  o.min_blob_size = 4096;
  o.blob_file_size = 64u << 20;
  o.enable_blob_garbage_collection = true;
  o.stats_dump_period_sec = 0;
  o.info_log = std::make_shared<NoLog>();
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(16u << 20);
  table.format_version = 5;
  o.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return o;
}

struct Opened {
  rocksdb::Status status;
  std::unique_ptr<LockedRocks> db;
};

Opened OpenForReading(const std::string& path, const rocksdb::Options& options) {
  rocksdb::FileLock* lock = nullptr;
  rocksdb::Status s = rocksdb::Env::Default()->LockFile(path + "/LOCK", &lock);
  Code code = s.ok() ? Code::kInternal : CodeOfOpening(Code::kIo, s.ToString());
  if (!s.ok() && code != Code::kReadOnly && code != Code::kPermission) return {s, nullptr};
  rocksdb::DB* db = nullptr;
  s = rocksdb::DB::OpenForReadOnly(options, path, &db);
  auto locked = std::make_unique<LockedRocks>(db, lock);
  return {s, s.ok() ? std::move(locked) : nullptr};
}

Opened OpenForWriting(const std::string& path, const rocksdb::Options& options) {
  rocksdb::DB* db = nullptr;
  rocksdb::Status s = rocksdb::DB::Open(options, path, &db);
  return {s, s.ok() ? std::make_unique<LockedRocks>(db, nullptr) : nullptr};
}

}  // namespace

Result<std::unique_ptr<seam::Storage>> OpenRocksdb(const std::string& path, OpenMode mode,
                                                   RocksdbOptions options) {
  HF_TRY(bool there, PrepareLsmDirectory(path, mode));
  rocksdb::Options o = OptionsOf(mode);
  Opened opened = mode == OpenMode::kReadOnly ? OpenForReading(path, o) : OpenForWriting(path, o);
  if (!opened.status.ok()) {
    return CodeOfOpening(LsmEngine<Rocks>::CodeOf(opened.status), opened.status.ToString());
  }
  auto engine = std::make_unique<LsmEngine<Rocks>>(path, std::move(opened.db));
  if (!there) HF_TRY_VOID(engine->WriteFormat());
  Status ours = engine->CheckFormat();
  if (!ours) return mode == OpenMode::kCreate ? Error(Code::kNotEmpty) : ours.error();
  if (mode == OpenMode::kCreate) {
    HF_TRY(seam::Listing listing, engine->List("", "", 1));
    if (!listing.objects.empty()) return Code::kNotEmpty;
  }
  return OpenRows(std::move(engine), mode, options.part_bytes);
}

}  // namespace holdfast::host
