#include <sqlite3.h>

#include <filesystem>
#include <mutex>

#include "bench/peers_internal.h"

namespace holdfast::bench {
namespace {

constexpr const char* kName = "sqlite";
constexpr int kCheckpointPages = 16'384;  // 64 MiB, as the write buffers of the others

// One connection; a transaction at a time, whoever asks.
class Store final : public EmbeddedStore {
 public:
  Store(const Opening& opening, const char* synchronous) {
    std::filesystem::create_directories(opening.directory);
    Need(sqlite3_open((opening.directory + "/db").c_str(), &db_));
    Do("PRAGMA journal_mode = WAL");
    Do(std::string("PRAGMA synchronous = ") + synchronous);
    Do("PRAGMA wal_autocheckpoint = " + std::to_string(kCheckpointPages));
    Do("PRAGMA cache_size = -" + std::to_string(opening.cache_bytes >> 10));
    Do("CREATE TABLE IF NOT EXISTS t (k BLOB PRIMARY KEY, v BLOB NOT NULL) WITHOUT ROWID");
    put_ = Prepare("INSERT INTO t VALUES (?1, ?2) ON CONFLICT (k) DO UPDATE SET v = excluded.v");
    get_ = Prepare("SELECT v FROM t WHERE k = ?1");
    scan_ = Prepare("SELECT k, v FROM t ORDER BY k");
  }
  ~Store() override {
    for (sqlite3_stmt* s : {put_, get_, scan_}) sqlite3_finalize(s);
    sqlite3_close(db_);
  }

  void Write(std::span<const RowView> rows) override {
    std::lock_guard<std::mutex> lock(mutex_);
    Do("BEGIN IMMEDIATE");
    Put(rows);
    Do("COMMIT");
  }
  bool Get(std::string_view key, std::string& value) override {
    std::lock_guard<std::mutex> lock(mutex_);
    Bind(get_, 1, key);
    const bool found = Step(get_);
    if (found) value.assign(Column(get_, 0));
    Need(sqlite3_reset(get_));
    return found;
  }
  Scanned Scan() override {
    std::lock_guard<std::mutex> lock(mutex_);
    Scanned all;
    while (Step(scan_)) all.Add(Column(scan_, 0), Column(scan_, 1));
    Need(sqlite3_reset(scan_));
    return all;
  }
  void PayDebt() override {
    std::lock_guard<std::mutex> lock(mutex_);
    Do("PRAGMA wal_checkpoint(TRUNCATE)");
  }

  void Put(std::span<const RowView> rows) {
    for (const RowView& r : rows) {
      Bind(put_, 1, r.key);
      Bind(put_, 2, r.value);
      (void)Step(put_);
      Need(sqlite3_reset(put_));
    }
  }
  void Do(const std::string& sql) { Need(sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr)); }

 private:
  void Need(int error) {
    if (error != SQLITE_OK) FailStore(kName, sqlite3_errmsg(db_));
  }
  sqlite3_stmt* Prepare(const char* sql) {
    sqlite3_stmt* s = nullptr;
    Need(sqlite3_prepare_v2(db_, sql, -1, &s, nullptr));
    return s;
  }
  // REQUIRES: the bytes stay until the statement is reset.
  void Bind(sqlite3_stmt* s, int at, std::string_view bytes) {
    Need(sqlite3_bind_blob(s, at, bytes.data(), static_cast<int>(bytes.size()), SQLITE_STATIC));
  }
  bool Step(sqlite3_stmt* s) {
    int got = sqlite3_step(s);
    if (got != SQLITE_ROW && got != SQLITE_DONE) Need(got);
    return got == SQLITE_ROW;
  }
  static std::string_view Column(sqlite3_stmt* s, int at) {
    return {static_cast<const char*>(sqlite3_column_blob(s, at)),
            static_cast<size_t>(sqlite3_column_bytes(s, at))};
  }

  std::mutex mutex_;
  sqlite3* db_ = nullptr;
  sqlite3_stmt *put_ = nullptr, *get_ = nullptr, *scan_ = nullptr;
};

// The last transaction lies in the log when syncing is turned on: its checkpoint syncs the whole file.
void Load(const Opening& opening, const RowPages& pages) {
  Store store(opening, "OFF");
  for (auto page = pages(); !page.empty();) {
    store.Do("BEGIN IMMEDIATE");
    for (size_t rows = 0; rows < kLoadCommitRows && !page.empty(); page = pages()) {
      store.Put(page);
      rows += page.size();
    }
    store.Do("COMMIT");
  }
  store.Do("PRAGMA synchronous = FULL");
  store.Do("BEGIN IMMEDIATE");
  store.Do("PRAGMA user_version = 1");
  store.Do("COMMIT");
  store.PayDebt();
}

}  // namespace

EmbeddedSystem Sqlite() {
  EmbeddedSystem s;
  s.name = kName;
  s.version = SQLITE_VERSION;
  s.write_share = 10;
  s.load = Load;
  s.open = [](const Opening& opening) { return std::make_unique<Store>(opening, "FULL"); };
  return s;
}

}  // namespace holdfast::bench
