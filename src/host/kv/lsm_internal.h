// The engine of rocksdb: and leveldb:, whose interfaces are alike: a template over the few names that differ.
//
//   "f"             format: "holdfast objects 1"
//   "n" || name     u64 size, version [16]      listings and conditions read these alone
//   "v" || name     the bytes
//
// Both rows of an object are one batch, and every batch is synced (WriteOptions.sync): see rows.h for why.
// Space is looked for before it is needed: a log that met a full disk cannot be trusted to go on, so a write
// that would leave less than kReserveBytes gets kFull before the database sees it, and one that fails
// nevertheless poisons. Deletes may use the reserve.
#ifndef HOLDFAST_HOST_KV_LSM_INTERNAL_H_
#define HOLDFAST_HOST_KV_LSM_INTERNAL_H_

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/codec.h"
#include "host/kv/place_internal.h"
#include "host/kv/rows.h"

namespace holdfast::host {

constexpr size_t kMemtableBytes = 8u << 20;
constexpr uint64_t kReserveBytes = 3 * kMemtableBytes;  // a memtable, its table, its log
constexpr std::string_view kFormatKey = "f";
constexpr std::string_view kFormat = "holdfast objects 1";

// What Lsm says: DB, Status, Slice, Batch, Iterator, ReadOptions, WriteOptions, Value (a Get's result, with
// data() and size()), `static Status Get(DB&, options, Slice, Value*)`.
template <typename Lsm>
class LsmEngine : public RowEngine {
 public:
  using Status_ = typename Lsm::Status;
  using Slice = typename Lsm::Slice;

  LsmEngine(std::string path, std::unique_ptr<typename Lsm::DB> db)
      : path_(std::move(path)), db_(std::move(db)) {}

  static Code CodeOf(const Status_& s) {
    if (s.IsNotFound()) return Code::kNotFound;
    if (s.IsCorruption()) return Code::kChecksum;
    if (s.IsInvalidArgument() || s.IsNotSupportedError()) return Code::kMalformed;
    return Code::kIo;
  }

  // kNoStore: a database, but none of ours.
  holdfast::Status CheckFormat() {
    typename Lsm::Value value;
    Status_ got = Lsm::Get(*db_, Reading(), AsSlice(kFormatKey), &value);
    if (got.IsNotFound()) return Code::kNoStore;
    if (!got.ok()) return CodeOf(got);
    return std::string_view(value.data(), value.size()) == kFormat ? Ok()
                                                                   : holdfast::Status(Code::kUnknownFormat);
  }
  holdfast::Status WriteFormat() {
    typename Lsm::Batch batch;
    batch.Put(AsSlice(kFormatKey), AsSlice(kFormat));
    return Commit(batch);
  }

  Result<seam::ObjectVersion> Version(std::string_view name) override {
    HF_TRY(Meta meta, FindMeta(name));
    return std::move(meta.version);
  }

  Result<Bytes> Read(std::string_view name, uint64_t offset, uint64_t length) override {
    typename Lsm::Value value;
    Status_ got = Lsm::Get(*db_, Reading(), AsSlice(Key('v', name)), &value);
    if (!got.ok()) return CodeOf(got);
    if (offset >= value.size()) return Bytes();
    length = std::min<uint64_t>(length, value.size() - offset);
    if (length > seam::kGetBytesMax) return Code::kTooLarge;
    return ToBytes(std::string_view(value.data() + offset, length));
  }

  holdfast::Status Write(std::span<const RowWrite> rows) override {
    uint64_t bytes = 0;
    typename Lsm::Batch batch;
    for (const RowWrite& row : rows) {
      bytes += row.bytes.size();
      Bytes meta;
      Writer(meta).U64(row.bytes.size()).Raw(AsBytes(row.version));
      batch.Put(AsSlice(Key('n', row.name)), AsSlice(AsText(meta)));
      batch.Put(AsSlice(Key('v', row.name)), AsSlice(AsText(row.bytes)));
    }
    if (!HasSpace(path_, bytes + kReserveBytes)) return Code::kFull;
    return Commit(batch);
  }

  holdfast::Status Erase(std::string_view name) override {
    typename Lsm::Batch batch;
    batch.Delete(AsSlice(Key('n', name)));
    batch.Delete(AsSlice(Key('v', name)));
    return Commit(batch);
  }

  Result<seam::Listing> List(std::string_view prefix, std::string_view after, size_t limit) override {
    std::unique_ptr<typename Lsm::Iterator> it(db_->NewIterator(Reading()));
    seam::Listing page;
    std::string from = Key('n', std::max(prefix, after));
    for (it->Seek(AsSlice(from)); it->Valid(); it->Next()) {
      std::string_view key(it->key().data(), it->key().size());
      if (!key.starts_with('n') || !key.substr(1).starts_with(prefix)) break;
      if (key.substr(1) <= after) continue;
      if (page.objects.size() == limit) {
        page.complete = false;
        break;
      }
      HF_TRY(Meta meta, ParseMeta(AsBytes(std::string_view(it->value().data(), it->value().size()))));
      page.objects.push_back({std::string(key.substr(1)), meta.size_bytes});
    }
    if (!it->status().ok()) return CodeOf(it->status());
    return page;
  }

 private:
  struct Meta {
    uint64_t size_bytes = 0;
    seam::ObjectVersion version;
  };

  static Slice AsSlice(std::string_view s) { return Slice(s.data() == nullptr ? "" : s.data(), s.size()); }
  static std::string Key(char kind, std::string_view name) {
    std::string key(1, kind);
    key += name;
    return key;
  }
  static typename Lsm::ReadOptions Reading() {
    typename Lsm::ReadOptions o;
    o.verify_checksums = true;
    return o;
  }
  // The only way to write.
  holdfast::Status Commit(typename Lsm::Batch& batch) {
    typename Lsm::WriteOptions durable;
    durable.sync = true;
    Status_ done = db_->Write(durable, &batch);
    return done.ok() ? Ok() : holdfast::Status(CodeOf(done));
  }
  static Result<Meta> ParseMeta(ByteView bytes) {
    Reader r(bytes);
    Meta meta;
    meta.size_bytes = r.U64();
    meta.version = ToText(r.Raw(16));
    if (!r.Finish()) return Code::kMalformed;
    return meta;
  }
  Result<Meta> FindMeta(std::string_view name) {
    typename Lsm::Value value;
    Status_ got = Lsm::Get(*db_, Reading(), AsSlice(Key('n', name)), &value);
    if (!got.ok()) return CodeOf(got);
    return ParseMeta(AsBytes(std::string_view(value.data(), value.size())));
  }

  const std::string path_;
  std::unique_ptr<typename Lsm::DB> db_;
};

// The directory of a database before it is opened; true: one is there.
//   errors  kNoStore kNotEmpty (kCreate: it holds something else) kPermission kReadOnly
Result<bool> PrepareLsmDirectory(const std::string& path, OpenMode mode);

// What opening failed with: the database's own words are the only thing that tells a lock from other trouble.
Code CodeOfOpening(Code code, std::string_view said);

}  // namespace holdfast::host

#endif  // HOLDFAST_HOST_KV_LSM_INTERNAL_H_
