// Large objects over a provider of small values (rule A3, docs/format.md section 12). Whatever keeps values
// of a limited size, wrapped in this, keeps objects of any size; each row of the provider stays small.
//
//   object that fits one row       <name>               its bytes
//   larger                         parts/<name>.<k>     k = first, first + 1, …: the bytes, `part_bytes` each
//                                  <name>               the index, written last: size, first, part_bytes
//
// A row under the object's own name with exactly the size of an index is one: an object of just that size is
// stored with a single part. Only the index makes an object exist, so what a crash leaves of a write or a
// delete is the old object or the new one, whole; parts that no index names are invisible, and are removed at
// the next opening for writing under an exclusive lock. Names below parts/ are refused (kInvalidArgument) and
// never listed; so is a name of over 238 bytes for a large object.
//
// Order of a write: parts, barrier, index; the old version's parts are deleted after the next Barrier().
// Where the provider's writes become durable in the order of the calls, no barrier is made in between. Parts
// are never overwritten: a new version counts on where the old one ended, and each part is put only if
// absent. Delete: the index; the parts after the next barrier.
//
// The provider's rows must be atomic: after a crash or a failure a row is the old one or the new one.
//
// Errors: those of the provider. kFull: the object is as it was before. kChecksum: an index or a part is
// damaged, or a part is missing. PutIfAbsent and PutIfVersion are decided by the index, so they are as atomic
// as the provider's. No appendables. Thread-safe; a reader never sees part of a write of its own process.
//
// Cost: a range read takes the parts it touches, and the index; List reads the indexes of the large objects
// in its page. Where nobody else can write, indexes are remembered (kIndexesKept of them, 100 bytes each).
#ifndef HOLDFAST_HOST_KV_PARTS_H_
#define HOLDFAST_HOST_KV_PARTS_H_

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "seam/storage.h"

namespace holdfast::host {

// What the index of a large object says. 32 bytes: magic "HFPARTS1", u64 size, u64 first, u32 part_bytes,
// u32 CRC-32C of the 28 bytes before (finds damage, not an adversary).
struct PartIndex {
  static constexpr size_t kBytes = 32;
  static constexpr uint64_t kPartsMax = 1u << 20;

  uint64_t size_bytes = 0;
  uint64_t first = 0;
  uint32_t part_bytes = 0;

  uint64_t parts() const { return size_bytes / part_bytes + (size_bytes % part_bytes != 0 ? 1 : 0); }
  uint64_t PartSize(uint64_t i) const {  // REQUIRES: i < parts()
    return std::min<uint64_t>(part_bytes, size_bytes - i * part_bytes);
  }
  friend bool operator==(const PartIndex&, const PartIndex&) = default;
};
Bytes EncodePartIndex(const PartIndex& index);
// kChecksum: not written by EncodePartIndex, or beyond kPartsMax parts.
Result<PartIndex> DecodePartIndex(ByteView bytes);

struct PartRow {
  std::string name;
  ByteView bytes;
};

struct PartsOptions {
  uint64_t part_bytes = 0;      // 0: the provider's value_bytes_preferred
  bool ordered_writes = false;  // the provider makes writes durable in the order of the calls
  bool locked = false;          // nobody else writes while this is open: indexes are remembered (else those
                                // of names that no two writers use)
  // Puts several new rows at once, in their order, up to 4 MiB, so that they share a sync; with `locked`, or
  // for names that no two writers use. kFull: none of them. Empty: PutIfAbsent for each.
  std::function<Status(std::span<const PartRow>)> put_parts;
};

class PartsStorage : public seam::Storage {
 public:
  // Removes what a crash left if `inner` is open for writing under its exclusive lock. Cost: one listing of
  // all parts' names.
  //   errors  kInvalidArgument: part_bytes that are no more than an index or more than the provider takes
  static Result<std::unique_ptr<seam::Storage>> Open(std::unique_ptr<seam::Storage> inner,
                                                     PartsOptions options);

  seam::Capabilities capabilities() const override;
  Result<UntrustedBytes> Get(std::string_view name) override;
  Result<UntrustedBytes> GetRange(std::string_view name, uint64_t offset, uint64_t length) override;
  Result<seam::VersionedBytes> GetVersioned(std::string_view name) override;
  Status Put(std::string_view name, ByteView bytes) override;
  Status PutIfAbsent(std::string_view name, ByteView bytes) override;
  Result<seam::ObjectVersion> PutIfVersion(std::string_view name, ByteView bytes,
                                           const seam::ObjectVersion& expected) override;
  Status Delete(std::string_view name) override;
  Result<seam::Listing> List(std::string_view prefix, std::string_view after, size_t limit) override;
  Status Barrier() override;
  Status CreateAppendable(std::string_view name, uint64_t reserve_bytes, ByteView first) override;
  Status Append(std::string_view name, uint64_t offset, ByteView bytes) override;
  Status Trim(std::string_view name, uint64_t size_bytes) override;

 private:
  struct Retired {  // parts without an index, to be deleted behind the next barrier
    std::string name;
    uint64_t first = 0, count = 0;
  };
  using Layout = std::optional<PartIndex>;  // nothing: one row

  PartsStorage(std::unique_ptr<seam::Storage> inner, PartsOptions options);

  Status CheckWrite(std::string_view name, uint64_t bytes) const;
  bool FitsRow(uint64_t bytes) const { return bytes <= options_.part_bytes && bytes != PartIndex::kBytes; }
  std::shared_mutex& Stripe(std::string_view name) {
    return stripes_[std::hash<std::string_view>()(name) % stripes_.size()];
  }

  // All REQUIRE the name's stripe; those that change something, exclusively.
  Result<Layout> FindLayout(std::string_view name);
  Result<UntrustedBytes> ReadRow(std::string_view name);                 // and remembers its layout
  Result<UntrustedBytes> Assemble(std::string_view name, ByteView row);  // of a row as it was read
  Result<UntrustedBytes> ReadParts(std::string_view name, const PartIndex& index, uint64_t offset,
                                   uint64_t length);
  Result<std::optional<PartIndex>> OldParts(std::string_view name);  // those a new write replaces
  Result<PartIndex> WriteParts(std::string_view name, ByteView bytes, const std::optional<PartIndex>& old);
  Result<PartIndex> WritePartsAtOnce(std::string_view name, ByteView bytes, PartIndex index);
  template <typename PutRow>  // PutRow(ByteView) -> Status
  Status Replace(std::string_view name, ByteView bytes, PutRow put_row);

  void Remember(std::string_view name, Layout layout);
  void Forget(std::string_view name);
  Result<uint64_t> BehindAllParts(std::string_view name);
  uint64_t FirstFree(std::string_view name, const std::optional<PartIndex>& old);
  Status Retire(std::string_view name, const PartIndex& index);
  Status DeleteParts(std::string_view name, uint64_t first, uint64_t count);
  Status CollectOrphans();

  const std::unique_ptr<seam::Storage> inner_;
  const PartsOptions options_;
  std::array<std::shared_mutex, 64> stripes_;

  std::mutex state_mutex_;  // everything below
  std::map<std::string, Layout, std::less<>> layouts_;
  std::vector<Retired> retired_;
};

}  // namespace holdfast::host

#endif  // HOLDFAST_HOST_KV_PARTS_H_
