#include <leveldb/cache.h>
#include <leveldb/db.h>
#include <leveldb/filter_policy.h>
#include <leveldb/options.h>
#include <leveldb/write_batch.h>

#include <algorithm>

#include "bench/peers_internal.h"

namespace holdfast::bench {
namespace {

constexpr const char* kName = "leveldb";

void Need(const leveldb::Status& status) {
  if (!status.ok()) FailStore(kName, status.ToString());
}
leveldb::Slice AsSlice(std::string_view s) { return {s.data(), s.size()}; }
std::string_view AsView(const leveldb::Slice& s) { return {s.data(), s.size()}; }

void Fill(leveldb::WriteBatch& batch, std::span<const RowView> rows) {
  for (const RowView& r : rows) batch.Put(AsSlice(r.key), AsSlice(r.value));
}

class Store final : public EmbeddedStore {
 public:
  explicit Store(const Opening& opening)
      : cache_(leveldb::NewLRUCache(opening.cache_bytes)),
        filter_(leveldb::NewBloomFilterPolicy(kBloomBitsPerKey)) {
    leveldb::Options options;
    options.create_if_missing = true;
    options.write_buffer_size = kWriteBufferBytes;
    options.block_cache = cache_.get();
    options.filter_policy = filter_.get();
    leveldb::DB* db = nullptr;
    Need(leveldb::DB::Open(options, opening.directory, &db));
    db_.reset(db);
  }

  void Write(std::span<const RowView> rows) override { Write(rows, true); }
  void Write(std::span<const RowView> rows, bool durable) {
    leveldb::WriteBatch batch;
    Fill(batch, rows);
    leveldb::WriteOptions options;
    options.sync = durable;
    Need(db_->Write(options, &batch));
  }
  bool Get(std::string_view key, std::string& value) override {
    leveldb::Status status = db_->Get({}, AsSlice(key), &value);
    if (!status.IsNotFound()) Need(status);
    return status.ok();
  }
  Scanned Scan() override {
    Scanned all;
    std::unique_ptr<leveldb::Iterator> it(db_->NewIterator({}));
    for (it->SeekToFirst(); it->Valid(); it->Next()) all.Add(AsView(it->key()), AsView(it->value()));
    Need(it->status());
    return all;
  }

 private:
  // The database is closed first: it uses the other two.
  const std::unique_ptr<leveldb::Cache> cache_;
  const std::unique_ptr<const leveldb::FilterPolicy> filter_;
  std::unique_ptr<leveldb::DB> db_;
};

// Unsynced but for a last empty batch, which syncs the log. What lay in earlier logs is in tables, which are
// synced; closing waits for the one that is being written.
void Load(const Opening& opening, const RowPages& pages) {
  Store store(opening);
  constexpr size_t kBatchRows = 1000;
  for (auto page = pages(); !page.empty(); page = pages()) {
    for (; !page.empty(); page = page.subspan(std::min(kBatchRows, page.size()))) {
      store.Write(page.first(std::min(kBatchRows, page.size())), false);
    }
  }
  store.Write({}, true);
}

}  // namespace

EmbeddedSystem LevelDb() {
  EmbeddedSystem s;
  s.name = kName;
  s.version = std::to_string(leveldb::kMajorVersion) + "." + std::to_string(leveldb::kMinorVersion);
  s.leaf_miss_bytes_per_1000_rows = 1678;  // 16 MiB at 10 million rows
  s.load = Load;
  s.open = [](const Opening& opening) { return std::make_unique<Store>(opening); };
  return s;
}

}  // namespace holdfast::bench
