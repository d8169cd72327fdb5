#include "host/kv/leveldb.h"

#include <fcntl.h>
#include <leveldb/cache.h>
#include <leveldb/db.h>
#include <leveldb/env.h>
#include <leveldb/write_batch.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "host/kv/lsm_internal.h"
#include "host/kv/posix_internal.h"

namespace holdfast::host {
namespace {

using LStatus = leveldb::Status;
using leveldb::Slice;

class NoLog : public leveldb::Logger {
 public:
  void Logv(const char*, std::va_list) override {}
};

// Read with pread: LevelDB's own maps the file, and a file that was cut since would be a signal.
class ReadFile : public leveldb::RandomAccessFile {
 public:
  explicit ReadFile(Fd fd) : fd_(std::move(fd)) {}
  LStatus Read(uint64_t offset, size_t n, Slice* result, char* scratch) const override {
    size_t got = 0;
    while (got < n) {
      ssize_t r = ::pread(fd_.get(), scratch + got, n - got, static_cast<off_t>(offset + got));
      if (r < 0 && errno == EINTR) continue;
      if (r < 0) return LStatus::IOError("read", std::strerror(errno));
      if (r == 0) break;
      got += static_cast<size_t>(r);
    }
    *result = Slice(scratch, got);
    return LStatus::OK();
  }

 private:
  const Fd fd_;
};

class DatabaseEnv : public leveldb::EnvWrapper {
 public:
  DatabaseEnv() : leveldb::EnvWrapper(leveldb::Env::Default()) {}
  LStatus NewRandomAccessFile(const std::string& name, leveldb::RandomAccessFile** result) override {
    Fd fd(::open(name.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd && errno == ENOENT) return LStatus::NotFound(name, std::strerror(errno));
    if (!fd) return LStatus::IOError(name, std::strerror(errno));
    *result = new ReadFile(std::move(fd));
    return LStatus::OK();
  }
};

using Contents = std::shared_ptr<std::string>;

class MemoryRead : public leveldb::SequentialFile, public leveldb::RandomAccessFile {
 public:
  explicit MemoryRead(Contents contents) : contents_(std::move(contents)) {}
  LStatus Read(uint64_t offset, size_t n, Slice* result, char*) const override {
    offset = std::min<uint64_t>(offset, contents_->size());
    *result = Slice(contents_->data() + offset, std::min(n, contents_->size() - offset));
    return LStatus::OK();
  }
  LStatus Read(size_t n, Slice* result, char* scratch) override {
    LStatus s = std::as_const(*this).Read(at_, n, result, scratch);
    at_ += result->size();
    return s;
  }
  LStatus Skip(uint64_t n) override {
    at_ += std::min<uint64_t>(n, contents_->size() - std::min(at_, contents_->size()));
    return LStatus::OK();
  }

 private:
  const Contents contents_;
  size_t at_ = 0;
};

class MemoryWrite : public leveldb::WritableFile {
 public:
  explicit MemoryWrite(Contents contents) : contents_(std::move(contents)) {}
  LStatus Append(const Slice& data) override {
    contents_->append(data.data(), data.size());
    return LStatus::OK();
  }
  LStatus Close() override { return LStatus::OK(); }
  LStatus Flush() override { return LStatus::OK(); }
  LStatus Sync() override { return LStatus::OK(); }

 private:
  const Contents contents_;
};

class NoLock : public leveldb::FileLock {};

// A directory that is only read: what is written to it stays in memory, what is removed is only hidden.
// Bounded by the log that is replayed, since background work waits for the close, which cancels it.
class ReadOnlyEnv : public DatabaseEnv {
 public:
  ~ReadOnlyEnv() override { FinishBackgroundWork(); }

  LStatus NewSequentialFile(const std::string& name, leveldb::SequentialFile** result) override {
    return Open(name, result, [&] { return DatabaseEnv::NewSequentialFile(name, result); });
  }
  LStatus NewRandomAccessFile(const std::string& name, leveldb::RandomAccessFile** result) override {
    return Open(name, result, [&] { return DatabaseEnv::NewRandomAccessFile(name, result); });
  }
  LStatus NewWritableFile(const std::string& name, leveldb::WritableFile** result) override {
    std::lock_guard lock(mutex_);
    Contents contents = made_[name] = std::make_shared<std::string>();
    hidden_.erase(name);
    *result = new MemoryWrite(std::move(contents));
    return LStatus::OK();
  }
  LStatus NewAppendableFile(const std::string& name, leveldb::WritableFile**) override {
    return LStatus::NotSupported(name, "read only");
  }
  bool FileExists(const std::string& name) override {
    std::lock_guard lock(mutex_);
    return made_.contains(name) || (!hidden_.contains(name) && DatabaseEnv::FileExists(name));
  }
  LStatus GetChildren(const std::string& directory, std::vector<std::string>* result) override {
    LStatus s = DatabaseEnv::GetChildren(directory, result);
    std::lock_guard lock(mutex_);
    std::erase_if(*result, [&](const std::string& leaf) {
      std::string name = directory + "/" + leaf;
      return hidden_.contains(name) || made_.contains(name);
    });
    for (const auto& [name, contents] : made_) {
      if (name.starts_with(directory + "/")) result->push_back(name.substr(directory.size() + 1));
    }
    return s;
  }
  LStatus RemoveFile(const std::string& name) override {
    std::lock_guard lock(mutex_);
    made_.erase(name);
    hidden_.insert(name);
    return LStatus::OK();
  }
  LStatus DeleteFile(const std::string& name) override { return RemoveFile(name); }
  LStatus CreateDir(const std::string&) override { return LStatus::OK(); }
  LStatus RemoveDir(const std::string&) override { return LStatus::OK(); }
  LStatus DeleteDir(const std::string&) override { return LStatus::OK(); }
  LStatus GetFileSize(const std::string& name, uint64_t* size) override {
    std::lock_guard lock(mutex_);
    auto it = made_.find(name);
    if (it == made_.end()) return DatabaseEnv::GetFileSize(name, size);
    *size = it->second->size();
    return LStatus::OK();
  }
  LStatus RenameFile(const std::string& from, const std::string& to) override {
    std::lock_guard lock(mutex_);
    auto it = made_.find(from);
    if (it == made_.end()) return LStatus::NotFound(from, "read only");
    made_[to] = it->second;
    hidden_.erase(to);
    made_.erase(from);
    return LStatus::OK();
  }
  LStatus LockFile(const std::string& name, leveldb::FileLock** lock) override {
    LStatus s = DatabaseEnv::LockFile(name, lock);
    Code code = s.ok() ? Code::kInternal : CodeOfOpening(Code::kIo, s.ToString());
    if (code != Code::kReadOnly && code != Code::kPermission) return s;
    *lock = new NoLock();  // nobody writes here
    return LStatus::OK();
  }
  LStatus UnlockFile(leveldb::FileLock* lock) override {
    if (dynamic_cast<NoLock*>(lock) == nullptr) return DatabaseEnv::UnlockFile(lock);
    delete lock;
    return LStatus::OK();
  }
  void Schedule(void (*function)(void*), void* argument) override {
    std::lock_guard lock(mutex_);
    if (closing_) {
      workers_.emplace_back(function, argument);
    } else {
      held_.emplace_back(function, argument);
    }
  }

  // Before the database is closed, which waits for its work: that then sees that it is too late.
  void Closing() {
    std::lock_guard lock(mutex_);
    closing_ = true;
    for (const auto& [function, argument] : held_) workers_.emplace_back(function, argument);
    held_.clear();
  }

 private:
  template <typename File, typename Base>
  LStatus Open(const std::string& name, File** result, Base base) {
    std::lock_guard lock(mutex_);
    auto it = made_.find(name);
    if (it != made_.end()) {
      *result = new MemoryRead(it->second);
      return LStatus::OK();
    }
    return hidden_.contains(name) ? LStatus::NotFound(name, "removed") : base();
  }
  void FinishBackgroundWork() {
    std::vector<std::thread> workers;
    {
      std::lock_guard lock(mutex_);
      workers.swap(workers_);
    }
    for (std::thread& t : workers) t.join();
  }

  std::mutex mutex_;
  std::map<std::string, Contents> made_;
  std::set<std::string> hidden_;
  std::vector<std::pair<void (*)(void*), void*>> held_;
  std::vector<std::thread> workers_;
  bool closing_ = false;
};

// The database and what it stands on, in the order in which they are taken down.
class OwnedLevel {
 public:
  explicit OwnedLevel(OpenMode mode) : cache_(leveldb::NewLRUCache(16u << 20)) {
    if (mode == OpenMode::kReadOnly) {
      auto env = std::make_unique<ReadOnlyEnv>();
      read_only_ = env.get();
      env_ = std::move(env);
    } else {
      env_ = std::make_unique<DatabaseEnv>();
    }
  }
  OwnedLevel(const OwnedLevel&) = delete;
  OwnedLevel& operator=(const OwnedLevel&) = delete;
  ~OwnedLevel() {
    if (read_only_ != nullptr) read_only_->Closing();
    db_.reset();
  }
  LStatus Open(const std::string& path, bool create) {
    leveldb::Options o;
    o.create_if_missing = create;
    o.paranoid_checks = true;
    o.compression = leveldb::kNoCompression;
    o.write_buffer_size = kMemtableBytes;
    o.max_open_files = 256;
    o.env = env_.get();
    o.info_log = &log_;
    o.block_cache = cache_.get();
    leveldb::DB* db = nullptr;
    LStatus s = leveldb::DB::Open(o, path, &db);
    db_.reset(db);
    return s;
  }
  LStatus Write(const leveldb::WriteOptions& options, leveldb::WriteBatch* batch) {
    return db_->Write(options, batch);
  }
  leveldb::Iterator* NewIterator(const leveldb::ReadOptions& options) { return db_->NewIterator(options); }
  leveldb::DB& db() { return *db_; }

 private:
  NoLog log_;
  std::unique_ptr<leveldb::Cache> cache_;
  std::unique_ptr<leveldb::Env> env_;
  ReadOnlyEnv* read_only_ = nullptr;
  std::unique_ptr<leveldb::DB> db_;
};

// As lsm_internal.h wants it named.
struct Level {
  using DB = OwnedLevel;
  using Status = leveldb::Status;
  using Slice = leveldb::Slice;
  using Batch = leveldb::WriteBatch;
  using Iterator = leveldb::Iterator;
  using ReadOptions = leveldb::ReadOptions;
  using WriteOptions = leveldb::WriteOptions;
  using Value = std::string;
  static Status Get(DB& owned, const ReadOptions& options, Slice key, Value* value) {
    return owned.db().Get(options, key, value);
  }
};

}  // namespace

Result<std::unique_ptr<seam::Storage>> OpenLeveldb(const std::string& path, OpenMode mode,
                                                   LeveldbOptions options) {
  HF_TRY(bool there, PrepareLsmDirectory(path, mode));
  auto db = std::make_unique<OwnedLevel>(mode);
  LStatus opened = db->Open(path, !there);
  if (!opened.ok()) return CodeOfOpening(LsmEngine<Level>::CodeOf(opened), opened.ToString());
  auto engine = std::make_unique<LsmEngine<Level>>(path, std::move(db));
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
