#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>
#include <rocksdb/version.h>
#include <rocksdb/write_batch.h>

#include <algorithm>

#include "bench/peers_internal.h"

namespace holdfast::bench {
namespace {

constexpr const char* kName = "rocksdb";

void Need(const rocksdb::Status& status) {
  if (!status.ok()) FailStore(kName, status.ToString());
}
rocksdb::Slice AsSlice(std::string_view s) { return {s.data(), s.size()}; }

rocksdb::Options OptionsOf(const Opening& opening) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(opening.cache_bytes);
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(kBloomBitsPerKey));
  rocksdb::Options options;
  options.create_if_missing = true;
  options.write_buffer_size = kWriteBufferBytes;
  options.IncreaseParallelism(2);
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

std::unique_ptr<rocksdb::DB> OpenDb(const Opening& opening) {
  rocksdb::DB* db = nullptr;
  Need(rocksdb::DB::Open(OptionsOf(opening), opening.directory, &db));
  return std::unique_ptr<rocksdb::DB>(db);
}

void Fill(rocksdb::WriteBatch& batch, std::span<const RowView> rows) {
  for (const RowView& r : rows) Need(batch.Put(AsSlice(r.key), AsSlice(r.value)));
}

class Store final : public EmbeddedStore {
 public:
  explicit Store(const Opening& opening) : db_(OpenDb(opening)) {}
  ~Store() override { (void)db_->Close(); }

  void Write(std::span<const RowView> rows) override {
    rocksdb::WriteBatch batch;
    Fill(batch, rows);
    rocksdb::WriteOptions durable;
    durable.sync = true;
    Need(db_->Write(durable, &batch));
  }
  bool Get(std::string_view key, std::string& value) override {
    rocksdb::Status status = db_->Get({}, AsSlice(key), &value);
    if (!status.IsNotFound()) Need(status);
    return status.ok();
  }
  Scanned Scan() override {
    Scanned all;
    std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator({}));
    for (it->SeekToFirst(); it->Valid(); it->Next()) {
      all.Add(it->key().ToStringView(), it->value().ToStringView());
    }
    Need(it->status());
    return all;
  }
  void PayDebt() override { Need(db_->Flush({})); }  // compaction follows by itself

 private:
  const std::unique_ptr<rocksdb::DB> db_;
};

// Without a log: what is loaded is durable once it is flushed.
void Load(const Opening& opening, const RowPages& pages) {
  std::unique_ptr<rocksdb::DB> db = OpenDb(opening);
  rocksdb::WriteOptions unlogged;
  unlogged.disableWAL = true;
  constexpr size_t kBatchRows = 1000;
  for (auto page = pages(); !page.empty(); page = pages()) {
    for (; !page.empty(); page = page.subspan(std::min(kBatchRows, page.size()))) {
      rocksdb::WriteBatch batch;
      Fill(batch, page.first(std::min(kBatchRows, page.size())));
      Need(db->Write(unlogged, &batch));
    }
  }
  Need(db->Flush({}));
  Need(db->Close());
}

}  // namespace

EmbeddedSystem RocksDb() {
  EmbeddedSystem s;
  s.name = kName;
  s.version = std::to_string(ROCKSDB_MAJOR) + "." + std::to_string(ROCKSDB_MINOR) + "." +
              std::to_string(ROCKSDB_PATCH);
  s.leaf_miss_bytes_per_1000_rows = 1678;  // 16 MiB at 10 million rows
  s.load = Load;
  s.open = [](const Opening& opening) { return std::make_unique<Store>(opening); };
  return s;
}

}  // namespace holdfast::bench
