#include <lmdb.h>

#include <filesystem>
#include <utility>

#include "bench/peers_internal.h"

namespace holdfast::bench {
namespace {

constexpr const char* kName = "lmdb";
// Address space, not disk: the file grows as it is filled.
constexpr size_t kMapBytes = size_t{64} << 30;

void Need(int error) {
  if (error != 0) FailStore(kName, mdb_strerror(error));
}
MDB_val AsValue(std::string_view s) { return {s.size(), const_cast<char*>(s.data())}; }
std::string_view AsView(const MDB_val& v) { return {static_cast<const char*>(v.mv_data), v.mv_size}; }

// Ends by itself, changing nothing, unless it was committed.
class Transaction {
 public:
  Transaction(MDB_env* env, unsigned flags) { Need(mdb_txn_begin(env, nullptr, flags, &txn_)); }
  ~Transaction() {
    if (txn_ != nullptr) mdb_txn_abort(txn_);
  }
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  void Commit() { Need(mdb_txn_commit(std::exchange(txn_, nullptr))); }
  MDB_txn* get() const { return txn_; }

 private:
  MDB_txn* txn_ = nullptr;
};

class Store final : public EmbeddedStore {
 public:
  Store(const Opening& opening, unsigned flags) {
    std::filesystem::create_directories(opening.directory);
    Need(mdb_env_create(&env_));
    Need(mdb_env_set_mapsize(env_, kMapBytes));
    Need(mdb_env_open(env_, opening.directory.c_str(), flags, 0600));
    Transaction t(env_, 0);
    Need(mdb_dbi_open(t.get(), nullptr, 0, &table_));
    t.Commit();
  }
  ~Store() override { mdb_env_close(env_); }

  void Write(std::span<const RowView> rows) override {
    Transaction t(env_, 0);
    Put(t, rows, 0);
    t.Commit();
  }
  // A snapshot for each: what an application has that asks for one row now and then.
  bool Get(std::string_view key, std::string& value) override {
    Transaction t(env_, MDB_RDONLY);
    MDB_val k = AsValue(key), v{};
    int error = mdb_get(t.get(), table_, &k, &v);
    if (error == MDB_NOTFOUND) return false;
    Need(error);
    value.assign(AsView(v));
    return true;
  }
  Scanned Scan() override {
    Scanned all;
    Transaction t(env_, MDB_RDONLY);
    MDB_cursor* cursor = nullptr;
    Need(mdb_cursor_open(t.get(), table_, &cursor));
    MDB_val k{}, v{};
    int error = 0;
    while ((error = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) == 0) all.Add(AsView(k), AsView(v));
    mdb_cursor_close(cursor);
    if (error != MDB_NOTFOUND) Need(error);
    return all;
  }

  void Put(Transaction& t, std::span<const RowView> rows, unsigned flags) {
    for (const RowView& r : rows) {
      MDB_val k = AsValue(r.key), v = AsValue(r.value);
      Need(mdb_put(t.get(), table_, &k, &v, flags));
    }
  }
  MDB_env* env() const { return env_; }

 private:
  MDB_env* env_ = nullptr;
  MDB_dbi table_ = 0;
};

void Load(const Opening& opening, const RowPages& pages) {
  Store store(opening, MDB_NOSYNC);
  for (auto page = pages(); !page.empty();) {
    Transaction t(store.env(), 0);
    for (size_t rows = 0; rows < kLoadCommitRows && !page.empty(); page = pages()) {
      store.Put(t, page, MDB_APPEND);
      rows += page.size();
    }
    t.Commit();
  }
  Need(mdb_env_sync(store.env(), 1));
}

}  // namespace

EmbeddedSystem Lmdb() {
  EmbeddedSystem s;
  s.name = kName;
  s.version = std::to_string(MDB_VERSION_MAJOR) + "." + std::to_string(MDB_VERSION_MINOR) + "." +
              std::to_string(MDB_VERSION_PATCH);
  s.write_share = 10;
  s.load = Load;
  s.open = [](const Opening& opening) { return std::make_unique<Store>(opening, 0); };
  return s;
}

}  // namespace holdfast::bench
