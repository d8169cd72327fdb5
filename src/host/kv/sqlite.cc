#include "host/kv/sqlite.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <utility>

#include "host/kv/place_internal.h"
#include "host/kv/posix_internal.h"
#include "host/kv/rows.h"

namespace holdfast::host {
namespace {

constexpr int kApplicationId = 0x48464f42;  // "HFOB", in the file's header
constexpr const char* kSchema =
    "CREATE TABLE objects(name TEXT PRIMARY KEY NOT NULL, version BLOB NOT NULL, value BLOB NOT NULL)";
constexpr int kLogBytesMax = 16 << 20;  // then it is copied into the file: what a crash leaves to be replayed
constexpr int kCacheKiB = 16'384;       // pages in memory
constexpr int kLengthMax = 64 << 20;    // of a row that is not ours: its memory

Code CodeOfSqlite(int rc, sqlite3* db) {
  switch (rc & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return Code::kInUse;
    case SQLITE_FULL:
      return Code::kFull;
    case SQLITE_READONLY:
      return Code::kReadOnly;
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return Code::kPermission;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
      return Code::kMalformed;
    case SQLITE_TOOBIG:
      return Code::kTooLarge;
    case SQLITE_CANTOPEN:
    case SQLITE_IOERR: {
      int error = db == nullptr ? 0 : sqlite3_system_errno(db);
      if (error == EROFS) return Code::kReadOnly;
      if (error == EACCES || error == EPERM) return Code::kPermission;
      if (rc == SQLITE_IOERR_WRITE && error == EDQUOT) return Code::kFull;
      return Code::kIo;
    }
    default:
      return Code::kIo;
  }
}

struct Finalizer {
  void operator()(sqlite3_stmt* s) const { sqlite3_finalize(s); }
};
using Statement = std::unique_ptr<sqlite3_stmt, Finalizer>;

// One use of a prepared statement: bound, stepped, and given back.
class Use {
 public:
  explicit Use(const Statement& statement) : s_(statement.get()) {}
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;
  ~Use() {
    sqlite3_reset(s_);
    sqlite3_clear_bindings(s_);
  }
  Use& Text(int i, std::string_view text) {
    sqlite3_bind_text64(s_, i, text.data() == nullptr ? "" : text.data(), text.size(), SQLITE_STATIC,
                        SQLITE_UTF8);
    return *this;
  }
  Use& Blob(int i, ByteView bytes) {
    static constexpr uint8_t kNothing = 0;  // a null pointer would be NULL
    sqlite3_bind_blob64(s_, i, bytes.empty() ? &kNothing : bytes.data(), bytes.size(), SQLITE_STATIC);
    return *this;
  }
  Use& Int(int i, int64_t n) {
    sqlite3_bind_int64(s_, i, n);
    return *this;
  }
  int Step() { return sqlite3_step(s_); }
  int64_t ColumnInt(int i) { return sqlite3_column_int64(s_, i); }
  std::string ColumnText(int i) {
    const void* bytes = sqlite3_column_blob(s_, i);
    return {static_cast<const char*>(bytes), static_cast<size_t>(sqlite3_column_bytes(s_, i))};
  }

 private:
  sqlite3_stmt* s_;
};

class SqliteEngine : public RowEngine {
 public:
  SqliteEngine(OpenMode mode, SqliteOptions options) : mode_(mode), options_(options) {}
  ~SqliteEngine() override { Close(); }

  Status Open(const std::string& path);

  Result<seam::ObjectVersion> Version(std::string_view name) override;
  Result<Bytes> Read(std::string_view name, uint64_t offset, uint64_t length) override;
  Status Write(std::span<const RowWrite> rows) override;
  Status Erase(std::string_view name) override;
  Result<seam::Listing> List(std::string_view prefix, std::string_view after, size_t limit) override;

 private:
  Error Failed(int rc) const { return CodeOfSqlite(rc, db_); }
  Status Do(const char* sql);
  Result<std::string> Ask(const char* sql);  // the first column of the first row
  Status Expect(const char* sql, std::string_view answer);
  Status Connect(const std::string& path);
  Status Configure();
  Status MakeTable();
  Status CheckTable();
  Status PrepareAll();
  Status Prepare(const char* sql, Statement* to);
  Status LockShared();
  Status GoDurable();
  Status PutRow(const RowWrite& row);
  Status PutRows(std::span<const RowWrite> rows);
  Status CheckpointIfDue();
  Status Changed(Status done);
  void Close();

  const OpenMode mode_;
  const SqliteOptions options_;
  bool log_only_ours_ = false;  // WAL: this connection alone may read it
  bool failed_ = true;          // nothing is written, not at the close either; so until it is open

  std::mutex mutex_;  // everything below
  sqlite3* db_ = nullptr;
  int log_pages_ = 0;
  Statement version_, find_, put_, erase_, list_;
};

Status SqliteEngine::Do(const char* sql) {
  int rc = sqlite3_exec(db_, sql, nullptr, nullptr, nullptr);
  return rc == SQLITE_OK ? Ok() : Status(CodeOfSqlite(sqlite3_extended_errcode(db_), db_));
}

Result<std::string> SqliteEngine::Ask(const char* sql) {
  Statement statement;
  HF_TRY_VOID(Prepare(sql, &statement));
  Use use(statement);
  int rc = use.Step();
  if (rc == SQLITE_DONE) return std::string();
  if (rc != SQLITE_ROW) return Failed(sqlite3_extended_errcode(db_));
  return use.ColumnText(0);
}

Status SqliteEngine::Expect(const char* sql, std::string_view answer) {
  HF_TRY(std::string got, Ask(sql));
  return got == answer ? Ok() : Status(Code::kUnsupported);
}

Status SqliteEngine::Prepare(const char* sql, Statement* to) {
  sqlite3_stmt* made = nullptr;
  int rc = sqlite3_prepare_v3(db_, sql, -1, SQLITE_PREPARE_PERSISTENT, &made, nullptr);
  to->reset(made);
  if (rc == SQLITE_OK) return Ok();
  // An SQL error here is a table that is not ours.
  return rc == SQLITE_ERROR ? Error(Code::kMalformed) : Failed(sqlite3_extended_errcode(db_));
}

// A log, or a file whose header says that there may be one (byte 18).
bool HasLog(const std::string& path) {
  struct stat log {};
  if (::stat((path + "-wal").c_str(), &log) == 0) return true;
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  uint8_t version = 0;
  return fd && ::pread(fd.get(), &version, 1, 18) == 1 && version == 2;
}

Status SqliteEngine::Connect(const std::string& path) {
  // To read a log, SQLite locks the file as a writer does; nothing is written for that.
  log_only_ours_ = mode_ != OpenMode::kReadOnly || HasLog(path);
  int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
              (log_only_ours_ ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY);
  // Never a name that SQLite reads as something else (":memory:", a URI).
  std::string file = path.starts_with('/') ? path : "./" + path;
  int rc = sqlite3_open_v2(file.c_str(), &db_, flags, nullptr);
  if (rc != SQLITE_OK) return Failed(rc);
  // A file that may not be written is opened for reading without a word.
  if (log_only_ours_ && sqlite3_db_readonly(db_, "main") == 1) {
    return ::access(path.c_str(), W_OK) != 0 && errno == EROFS ? Code::kReadOnly : Code::kPermission;
  }
  return Ok();
}

// The file is not trusted: no triggers and views run, nothing in it configures us.
Status SqliteEngine::Configure() {
  sqlite3_busy_timeout(db_, 0);
  sqlite3_limit(db_, SQLITE_LIMIT_LENGTH, kLengthMax);
  sqlite3_db_config(db_, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(db_, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_db_config(db_, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, nullptr);
  sqlite3_db_config(db_, SQLITE_DBCONFIG_ENABLE_VIEW, 0, nullptr);
  sqlite3_db_config(db_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, mode_ == OpenMode::kReadOnly ? 1 : 0, nullptr);
  // In this order: the lock before the first look into the file, which else shares an index of the log beside
  // it; the size of pages before an empty file settles on one.
  std::string sql = log_only_ours_ ? "PRAGMA locking_mode=EXCLUSIVE;" : "";
  sql += "PRAGMA page_size=" + std::to_string(options_.page_bytes) + ";";
  sql += "PRAGMA mmap_size=0; PRAGMA cell_size_check=ON; PRAGMA temp_store=MEMORY;";
  sql += "PRAGMA cache_size=-" + std::to_string(kCacheKiB) + ";";
  return Do(sql.c_str());
}

Status SqliteEngine::MakeTable() {
  HF_TRY(std::string tables, Ask("SELECT count(*) FROM sqlite_schema"));
  if (tables != "0") return Ok();
  HF_TRY_VOID(Do(("PRAGMA application_id=" + std::to_string(kApplicationId)).c_str()));
  return Do(kSchema);
}

// Exactly our table and its index: what else is there could make our statements do something else.
Status SqliteEngine::CheckTable() {
  HF_TRY(std::string id, Ask("PRAGMA application_id"));
  if (id != std::to_string(kApplicationId)) return Code::kNoStore;
  HF_TRY(std::string entries, Ask("SELECT count(*) FROM sqlite_schema"));
  HF_TRY(std::string sql, Ask("SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = 'objects'"));
  return entries == "2" && sql == kSchema ? Ok() : Status(Code::kMalformed);
}

Status SqliteEngine::PrepareAll() {
  HF_TRY_VOID(Prepare("SELECT version FROM objects WHERE name = ?1", &version_));
  HF_TRY_VOID(Prepare("SELECT rowid, length(value) FROM objects WHERE name = ?1", &find_));
  HF_TRY_VOID(
      Prepare("INSERT INTO objects VALUES(?1, ?2, ?3) ON CONFLICT(name) DO UPDATE SET "
              "version = excluded.version, value = excluded.value",
              &put_));
  HF_TRY_VOID(Prepare("DELETE FROM objects WHERE name = ?1", &erase_));
  return Prepare(
      "SELECT name, length(value) FROM objects WHERE name >= ?1 AND name > ?2 ORDER BY name LIMIT ?3",
      &list_);
}

// Held until the close: a read transaction keeps the lock that readers share.
Status SqliteEngine::LockShared() {
  HF_TRY_VOID(Do("BEGIN"));
  return Ask("SELECT count(*) FROM sqlite_schema").has_value()
             ? Ok()
             : Status(Failed(sqlite3_extended_errcode(db_)));
}

Status SqliteEngine::GoDurable() {
  HF_TRY_VOID(Expect("PRAGMA journal_mode=WAL", "wal"));
  HF_TRY_VOID(Do("PRAGMA synchronous=FULL"));
  HF_TRY_VOID(Expect("PRAGMA synchronous", "2"));
  HF_TRY_VOID(Expect("PRAGMA locking_mode", "exclusive"));
  HF_TRY_VOID(Do("PRAGMA wal_autocheckpoint=0"));  // ours sees its errors
  sqlite3_wal_hook(
      db_,
      [](void* self, sqlite3*, const char*, int pages) {
        static_cast<SqliteEngine*>(self)->log_pages_ = pages;
        return SQLITE_OK;
      },
      this);
  // The lock comes with the first write.
  HF_TRY_VOID(Do("BEGIN EXCLUSIVE; COMMIT"));
  if (options_.pages_max != 0) {
    HF_TRY_VOID(Do(("PRAGMA max_page_count=" + std::to_string(options_.pages_max)).c_str()));
  }
  return Ok();
}

Status SqliteEngine::Open(const std::string& path) {
  std::lock_guard lock(mutex_);
  HF_TRY_VOID(Connect(path));
  HF_TRY_VOID(Configure());
  if (mode_ == OpenMode::kReadOnly) {
    HF_TRY_VOID(LockShared());
  } else {
    // Before the file's first page is asked for anything: a live server is no damage.
    HF_TRY_VOID(Do("BEGIN EXCLUSIVE; COMMIT"));
    if (mode_ == OpenMode::kCreate) HF_TRY_VOID(MakeTable());
  }
  HF_TRY_VOID(CheckTable());
  if (mode_ != OpenMode::kReadOnly) HF_TRY_VOID(GoDurable());
  HF_TRY_VOID(PrepareAll());
  failed_ = false;
  return Ok();
}

void SqliteEngine::Close() {
  std::lock_guard lock(mutex_);
  if (db_ == nullptr) return;
  for (Statement* s : {&version_, &find_, &put_, &erase_, &list_}) s->reset();
  if (failed_) {
    sqlite3_db_config(db_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  } else if (mode_ != OpenMode::kReadOnly && log_only_ours_) {
    // One file again. If it fails the log stays, and nothing is lost.
    (void)Do("PRAGMA journal_mode=DELETE").has_value();
  }
  sqlite3_close_v2(db_);
  db_ = nullptr;
}

Result<seam::ObjectVersion> SqliteEngine::Version(std::string_view name) {
  std::lock_guard lock(mutex_);
  Use use(version_);
  int rc = use.Text(1, name).Step();
  if (rc == SQLITE_DONE) return Code::kNotFound;
  if (rc != SQLITE_ROW) return Failed(rc);
  return use.ColumnText(0);
}

struct BlobCloser {
  void operator()(sqlite3_blob* b) const { sqlite3_blob_close(b); }
};

Result<Bytes> SqliteEngine::Read(std::string_view name, uint64_t offset, uint64_t length) {
  std::lock_guard lock(mutex_);
  Use use(find_);
  int rc = use.Text(1, name).Step();
  if (rc == SQLITE_DONE) return Code::kNotFound;
  if (rc != SQLITE_ROW) return Failed(rc);
  uint64_t size = static_cast<uint64_t>(std::max<int64_t>(0, use.ColumnInt(1)));
  if (offset >= size || length == 0) return Bytes();
  length = std::min(length, size - offset);
  if (length > seam::kGetBytesMax) return Code::kTooLarge;
  sqlite3_blob* opened = nullptr;
  rc = sqlite3_blob_open(db_, "main", "objects", "value", use.ColumnInt(0), 0, &opened);
  std::unique_ptr<sqlite3_blob, BlobCloser> blob(opened);
  if (rc != SQLITE_OK) return rc == SQLITE_ERROR ? Error(Code::kMalformed) : Failed(rc);
  Bytes bytes(length);
  rc = sqlite3_blob_read(opened, bytes.data(), static_cast<int>(length), static_cast<int>(offset));
  if (rc != SQLITE_OK) return rc == SQLITE_ERROR ? Error(Code::kMalformed) : Failed(rc);
  return bytes;
}

// REQUIRES: no transaction.
Status SqliteEngine::CheckpointIfDue() {
  if (log_pages_ < kLogBytesMax / options_.page_bytes) return Ok();
  int rc = sqlite3_wal_checkpoint_v2(db_, nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
  // Without space for it the log goes on growing, until it finds none either; nothing is lost.
  if (rc == SQLITE_OK || CodeOfSqlite(rc, db_) == Code::kFull) return Ok();
  return Failed(rc);
}

Status SqliteEngine::PutRow(const RowWrite& row) {
  Use use(put_);
  int rc = use.Text(1, row.name).Blob(2, AsBytes(row.version)).Blob(3, row.bytes).Step();
  return rc == SQLITE_DONE ? Ok() : Status(Failed(rc));
}

// REQUIRES: no transaction. Afterwards there is none either.
Status SqliteEngine::PutRows(std::span<const RowWrite> rows) {
  if (rows.size() == 1) return PutRow(rows[0]);
  HF_TRY_VOID(Do("BEGIN"));
  Status done;
  for (const RowWrite& row : rows) {
    if (done) done = PutRow(row);
  }
  if (done) done = Do("COMMIT");
  // Some failures have rolled it back already.
  if (!done && sqlite3_get_autocommit(db_) == 0 && !Do("ROLLBACK")) return Code::kIo;
  return done;
}

// What every change ends with: a failure that is no refusal is the last.
Status SqliteEngine::Changed(Status done) {
  if (done) done = CheckpointIfDue();
  if (!done && done.code() != Code::kFull) failed_ = true;
  return done;
}

Status SqliteEngine::Write(std::span<const RowWrite> rows) {
  std::lock_guard lock(mutex_);
  return Changed(PutRows(rows));
}

Status SqliteEngine::Erase(std::string_view name) {
  std::lock_guard lock(mutex_);
  int rc = Use(erase_).Text(1, name).Step();
  return Changed(rc == SQLITE_DONE ? Ok() : Status(Failed(rc)));
}

Result<seam::Listing> SqliteEngine::List(std::string_view prefix, std::string_view after, size_t limit) {
  std::lock_guard lock(mutex_);
  Use use(list_);
  use.Text(1, prefix).Text(2, after).Int(3, static_cast<int64_t>(limit) + 1);
  seam::Listing page;
  for (;;) {
    int rc = use.Step();
    if (rc == SQLITE_DONE) return page;
    if (rc != SQLITE_ROW) return Failed(rc);
    std::string name = use.ColumnText(0);
    if (!name.starts_with(prefix)) return page;
    if (page.objects.size() == limit) {
      page.complete = false;
      return page;
    }
    page.objects.push_back({std::move(name), static_cast<uint64_t>(std::max<int64_t>(0, use.ColumnInt(1)))});
  }
}

// kCreate: an empty file, made if absent; a database of ours without objects counts as one.
Status PreparePlace(const std::string& path, OpenMode mode) {
  struct stat st {};
  bool there = ::stat(path.c_str(), &st) == 0;
  if (mode != OpenMode::kCreate) {
    if (!there) return errno == EACCES ? Code::kPermission : Code::kNoStore;
    return S_ISREG(st.st_mode) && st.st_size != 0 ? Ok() : Status(Code::kNoStore);
  }
  if (there) return S_ISREG(st.st_mode) ? Ok() : Status(Code::kNotEmpty);
  HF_TRY_VOID(MakePrivateDirectories(ParentDirectory(path)));
  return MakePrivateFile(path);
}

}  // namespace

Result<std::unique_ptr<seam::Storage>> OpenSqlite(const std::string& path, OpenMode mode,
                                                  SqliteOptions options) {
  if (path.empty()) return Code::kInvalidArgument;
  HF_TRY_VOID(PreparePlace(path, mode));
  if (mode != OpenMode::kReadOnly) HF_TRY_VOID(CheckWritableDirectory(ParentDirectory(path)));
  auto engine = std::make_unique<SqliteEngine>(mode, options);
  Status opened = engine->Open(path);
  if (!opened) {
    bool foreign = opened.code() == Code::kNoStore || opened.code() == Code::kMalformed;
    return mode == OpenMode::kCreate && foreign ? Error(Code::kNotEmpty) : opened.error();
  }
  if (mode == OpenMode::kCreate) {
    HF_TRY(seam::Listing listing, engine->List("", "", 1));
    if (!listing.objects.empty()) return Code::kNotEmpty;
  }
  return OpenRows(std::move(engine), mode, options.part_bytes);
}

}  // namespace holdfast::host
