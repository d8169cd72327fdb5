#include "host/kv/parts.h"

#include <algorithm>
#include <random>
#include <utility>

#include "base/codec.h"
#include "base/crc32c.h"

namespace holdfast::host {
namespace {

constexpr std::string_view kPrefix = "parts/";
constexpr std::string_view kBehindParts = "parts/\x7f";  // after every name below kPrefix
constexpr std::string_view kMagic = "HFPARTS1";
constexpr size_t kNameBytesMax = 255 - kPrefix.size() - 11;  // '.' and a number of up to ten digits
constexpr size_t kIndexesKept = 16'384;  // a terabyte of segments; 100 bytes each, beyond them read again
constexpr uint64_t kTogetherBytesMax = 4u << 20;  // a database holds them in memory meanwhile
constexpr int kNumberTries = 8;  // orphans of another writer in the way: counted on behind them

std::string PartName(std::string_view name, uint64_t k) {
  return std::string(kPrefix) + std::string(name) + "." + std::to_string(k);
}

struct PartOf {
  std::string_view name;
  uint64_t k = 0;
};

// "parts/<name>.<k>"; nothing for what we never write.
std::optional<PartOf> ParsePartName(std::string_view row) {
  row.remove_prefix(kPrefix.size());
  size_t dot = row.rfind('.');
  if (dot == std::string_view::npos || dot == 0 || row.size() - dot - 1 > 10 || dot + 1 == row.size())
    return {};
  PartOf part{row.substr(0, dot), 0};
  for (char c : row.substr(dot + 1)) {
    if (c < '0' || c > '9') return {};
    part.k = part.k * 10 + static_cast<uint64_t>(c - '0');
  }
  return part;
}

bool IsPart(std::string_view name) { return name.starts_with(kPrefix); }

// No two writers use such a name, and none uses it twice (docs/format.md 1).
bool NeverRewritten(std::string_view name) {
  return name.starts_with("segments/") || name.starts_with("manifest/");
}

}  // namespace

Bytes EncodePartIndex(const PartIndex& index) {
  Bytes out;
  Writer w(out);
  w.Raw(AsBytes(kMagic)).U64(index.size_bytes).U64(index.first).U32(index.part_bytes).U32(Crc32c(out));
  return out;
}

Result<PartIndex> DecodePartIndex(ByteView bytes) {
  if (bytes.size() != PartIndex::kBytes) return Code::kChecksum;
  Reader r(bytes);
  bool ours = AsText(r.Raw(kMagic.size())) == kMagic;
  PartIndex index;
  index.size_bytes = r.U64();
  index.first = r.U64();
  index.part_bytes = r.U32();
  bool whole = r.U32() == Crc32c(bytes.first(PartIndex::kBytes - 4));
  if (!ours || !whole || index.part_bytes == 0 || index.size_bytes == 0) return Code::kChecksum;
  // Numbers have at most ten digits.
  if (index.parts() > PartIndex::kPartsMax || index.first > 9'000'000'000) return Code::kChecksum;
  return index;
}

PartsStorage::PartsStorage(std::unique_ptr<seam::Storage> inner, PartsOptions options)
    : inner_(std::move(inner)), options_(std::move(options)) {}

Result<std::unique_ptr<seam::Storage>> PartsStorage::Open(std::unique_ptr<seam::Storage> inner,
                                                          PartsOptions options) {
  seam::Capabilities c = inner->capabilities();
  if (options.part_bytes == 0) options.part_bytes = c.value_bytes_preferred;
  if (options.part_bytes <= PartIndex::kBytes || options.part_bytes > UINT32_MAX ||
      options.part_bytes > c.value_bytes_max) {
    return Code::kInvalidArgument;
  }
  std::unique_ptr<PartsStorage> storage(new PartsStorage(std::move(inner), std::move(options)));
  // Without the lock, parts without an index may be those that another writer is about to name.
  if (c.exclusive && !c.read_only) HF_TRY_VOID(storage->CollectOrphans());
  return std::unique_ptr<seam::Storage>(std::move(storage));
}

seam::Capabilities PartsStorage::capabilities() const {
  seam::Capabilities c = inner_->capabilities();
  c.append = false;
  c.value_bytes_preferred = options_.part_bytes;
  c.value_bytes_max = UINT64_MAX;
  return c;
}

Status PartsStorage::CheckWrite(std::string_view name, uint64_t bytes) const {
  if (!seam::ValidName(name) || IsPart(name)) return Code::kInvalidArgument;
  if (FitsRow(bytes)) return Ok();
  if (name.size() > kNameBytesMax) return Code::kInvalidArgument;
  return bytes / options_.part_bytes >= PartIndex::kPartsMax ? Status(Code::kTooLarge) : Ok();
}

void PartsStorage::Remember(std::string_view name, Layout layout) {
  if (!options_.locked && !NeverRewritten(name)) return;
  std::lock_guard state(state_mutex_);
  if (layouts_.size() >= kIndexesKept && layouts_.find(name) == layouts_.end()) layouts_.clear();
  layouts_.insert_or_assign(std::string(name), layout);
}

void PartsStorage::Forget(std::string_view name) {
  std::lock_guard state(state_mutex_);
  auto it = layouts_.find(name);
  if (it != layouts_.end()) layouts_.erase(it);
}

// -- reading

Result<UntrustedBytes> PartsStorage::ReadRow(std::string_view name) {
  HF_TRY(UntrustedBytes row, inner_->Get(name));
  if (row.size() != PartIndex::kBytes) {
    Remember(name, std::nullopt);
    return row;
  }
  HF_TRY(PartIndex index, DecodePartIndex(row.parse()));
  Remember(name, index);
  return row;
}

Result<PartsStorage::Layout> PartsStorage::FindLayout(std::string_view name) {
  {
    std::lock_guard state(state_mutex_);
    auto it = layouts_.find(name);
    if (it != layouts_.end()) return it->second;
  }
  // One byte more than an index has: enough to know that it is none.
  HF_TRY(UntrustedBytes head, inner_->GetRange(name, 0, PartIndex::kBytes + 1));
  Layout layout;
  if (head.size() == PartIndex::kBytes) {
    HF_TRY(layout, DecodePartIndex(head.parse()));
  }
  Remember(name, layout);
  return layout;
}

Result<UntrustedBytes> PartsStorage::ReadParts(std::string_view name, const PartIndex& index, uint64_t offset,
                                               uint64_t length) {
  if (offset >= index.size_bytes) return UntrustedBytes();
  length = std::min(length, index.size_bytes - offset);
  if (length > seam::kGetBytesMax) return Code::kTooLarge;
  Bytes out;
  out.reserve(length);
  while (out.size() < length) {
    uint64_t at = offset + out.size();
    uint64_t i = at / index.part_bytes, from = at % index.part_bytes;
    uint64_t want = std::min<uint64_t>(index.PartSize(i) - from, length - out.size());
    bool all = want == index.PartSize(i);
    std::string part = PartName(name, index.first + i);
    Result<UntrustedBytes> bytes = all ? inner_->Get(part) : inner_->GetRange(part, from, want);
    if (!bytes && bytes.code() != Code::kNotFound) return bytes.error();
    if (!bytes || bytes->size() != want) return Code::kChecksum;
    if (all && want == length) return bytes;  // the whole answer: not copied
    holdfast::Append(out, bytes->parse());
  }
  return UntrustedBytes(std::move(out));
}

Result<UntrustedBytes> PartsStorage::Assemble(std::string_view name, ByteView row) {
  HF_TRY(PartIndex index, DecodePartIndex(row));
  return ReadParts(name, index, 0, UINT64_MAX);
}

Result<UntrustedBytes> PartsStorage::Get(std::string_view name) {
  if (!seam::ValidName(name) || IsPart(name)) return Code::kInvalidArgument;
  std::shared_lock stripe(Stripe(name));
  HF_TRY(UntrustedBytes row, ReadRow(name));
  if (row.size() != PartIndex::kBytes) return row;
  return Assemble(name, row.parse());
}

Result<UntrustedBytes> PartsStorage::GetRange(std::string_view name, uint64_t offset, uint64_t length) {
  if (!seam::ValidName(name) || IsPart(name)) return Code::kInvalidArgument;
  std::shared_lock stripe(Stripe(name));
  HF_TRY(Layout layout, FindLayout(name));
  Result<UntrustedBytes> got =
      layout ? ReadParts(name, *layout, offset, length) : inner_->GetRange(name, offset, length);
  if (got || options_.locked || got.code() != Code::kChecksum) return got;
  // Another writer may have replaced the object between its index and its parts.
  Forget(name);
  HF_TRY(layout, FindLayout(name));
  return layout ? ReadParts(name, *layout, offset, length) : inner_->GetRange(name, offset, length);
}

Result<seam::VersionedBytes> PartsStorage::GetVersioned(std::string_view name) {
  if (!seam::ValidName(name) || IsPart(name)) return Code::kInvalidArgument;
  std::shared_lock stripe(Stripe(name));
  HF_TRY(seam::VersionedBytes row, inner_->GetVersioned(name));
  if (row.bytes.size() != PartIndex::kBytes) return row;
  HF_TRY(UntrustedBytes bytes, Assemble(name, row.bytes.parse()));
  return seam::VersionedBytes{std::move(bytes), std::move(row.version)};
}

Result<seam::Listing> PartsStorage::List(std::string_view prefix, std::string_view after, size_t limit) {
  if (limit == 0) return Code::kInvalidArgument;
  limit = std::min(limit, seam::kListPageMax);
  seam::Listing page;
  std::string from(after);
  while (page.objects.size() < limit) {
    HF_TRY(seam::Listing rows, inner_->List(prefix, from, limit - page.objects.size()));
    page.complete = rows.complete;
    bool skip = false;
    for (seam::ObjectInfo& row : rows.objects) {
      skip = IsPart(row.name);
      if (skip) break;
      std::shared_lock stripe(Stripe(row.name));
      // A damaged index is listed as the row it is, so that somebody reads and names it.
      Result<Layout> layout = row.size_bytes == PartIndex::kBytes ? FindLayout(row.name) : Layout();
      if (!layout && layout.code() == Code::kNotFound) continue;  // deleted meanwhile
      if (layout && *layout) row.size_bytes = (*layout)->size_bytes;
      page.objects.push_back(std::move(row));
    }
    if (!skip && (page.complete || rows.objects.empty())) return page;
    from = skip ? std::string(kBehindParts) : page.objects.back().name;
    page.complete = false;
  }
  return page;
}

// -- writing

uint64_t PartsStorage::FirstFree(std::string_view name, const std::optional<PartIndex>& old) {
  uint64_t first = old ? old->first + old->parts() : 0;
  std::lock_guard state(state_mutex_);
  for (const Retired& r : retired_) {
    if (r.name == name) first = std::max(first, r.first + r.count);
  }
  return first;
}

Status PartsStorage::DeleteParts(std::string_view name, uint64_t first, uint64_t count) {
  for (uint64_t i = 0; i < count; ++i) HF_TRY_VOID(inner_->Delete(PartName(name, first + i)));
  return Ok();
}

Status PartsStorage::Retire(std::string_view name, const PartIndex& index) {
  if (options_.ordered_writes) return DeleteParts(name, index.first, index.parts());
  std::lock_guard state(state_mutex_);
  retired_.push_back({std::string(name), index.first, index.parts()});
  return Ok();
}

// What stands in the way is damage or another writer's: replaced without looking further, its parts collected
// later.
Result<std::optional<PartIndex>> PartsStorage::OldParts(std::string_view name) {
  Result<Layout> layout = FindLayout(name);
  if (layout) return *layout;
  if (layout.code() == Code::kNotFound || layout.code() == Code::kChecksum) return std::optional<PartIndex>();
  return layout.error();
}

// The first number that nobody has used, named by an index or not: a crash may have left any number of them.
Result<uint64_t> PartsStorage::BehindAllParts(std::string_view name) {
  HF_TRY(std::vector<seam::ObjectInfo> rows,
         seam::ListAll(*inner_, std::string(kPrefix) + std::string(name) + "."));
  uint64_t next = 0;
  for (const seam::ObjectInfo& row : rows) {
    std::optional<PartOf> part = ParsePartName(row.name);
    if (part && part->name == name) next = std::max(next, part->k + 1);
  }
  return next;
}

Result<PartIndex> PartsStorage::WriteParts(std::string_view name, ByteView bytes,
                                           const std::optional<PartIndex>& old) {
  PartIndex index;
  index.size_bytes = bytes.size();
  index.part_bytes = static_cast<uint32_t>(options_.part_bytes);
  index.first = FirstFree(name, old);
  if (options_.put_parts && (options_.locked || NeverRewritten(name)))
    return WritePartsAtOnce(name, bytes, index);
  int tries = 0;
  for (uint64_t i = 0; i < index.parts(); ++i) {
    ByteView part = bytes.subspan(i * options_.part_bytes, index.PartSize(i));
    Status put = inner_->PutIfAbsent(PartName(name, index.first + i), part);
    if (put) continue;
    // Nothing names these parts; if their deletion fails too, the next opener does it.
    (void)DeleteParts(name, index.first, i).has_value();
    if (put.code() == Code::kFull) (void)inner_->Delete(PartName(name, index.first + i)).has_value();
    if (put.code() != Code::kExists) return put.error();
    if (++tries == kNumberTries) return Code::kIo;
    HF_TRY(uint64_t behind, BehindAllParts(name));
    // Not side by side with a writer who does the same, or each would stand in the other's way again.
    index.first = behind + index.parts() * (std::random_device()() % 8);
    i = UINT64_MAX;  // from the beginning
  }
  if (!options_.ordered_writes) HF_TRY_VOID(inner_->Barrier());
  return index;
}

Result<PartIndex> PartsStorage::WritePartsAtOnce(std::string_view name, ByteView bytes, PartIndex index) {
  std::vector<PartRow> rows;
  uint64_t put = 0, together = 0;
  for (uint64_t i = 0; i < index.parts(); ++i) {
    rows.push_back(
        {PartName(name, index.first + i), bytes.subspan(i * options_.part_bytes, index.PartSize(i))});
    together += index.PartSize(i);
    if (i + 1 < index.parts() && together + options_.part_bytes <= kTogetherBytesMax) continue;
    Status done = options_.put_parts(rows);
    if (!done) {
      if (done.code() == Code::kFull) (void)DeleteParts(name, index.first, put).has_value();
      return done.error();
    }
    put += rows.size();
    rows.clear();
    together = 0;
  }
  if (!options_.ordered_writes) HF_TRY_VOID(inner_->Barrier());
  return index;
}

template <typename PutRow>
Status PartsStorage::Replace(std::string_view name, ByteView bytes, PutRow put_row) {
  HF_TRY(std::optional<PartIndex> old, OldParts(name));
  Forget(name);
  std::optional<PartIndex> made;
  if (!FitsRow(bytes.size())) {
    HF_TRY(PartIndex index, WriteParts(name, bytes, old));
    made = index;
  }
  Status put = made ? put_row(EncodePartIndex(*made)) : put_row(bytes);
  if (!put) {
    // After any other failure nobody knows whether the index is there and names them.
    Code code = put.code();
    bool refused = code == Code::kExists || code == Code::kVersionMismatch || code == Code::kFull;
    if (made && refused) (void)DeleteParts(name, made->first, made->parts()).has_value();
    return put;
  }
  Remember(name, made);
  return old ? Retire(name, *old) : Ok();
}

Status PartsStorage::Put(std::string_view name, ByteView bytes) {
  HF_TRY_VOID(CheckWrite(name, bytes.size()));
  std::unique_lock stripe(Stripe(name));
  return Replace(name, bytes, [&](ByteView row) { return inner_->Put(name, row); });
}

Status PartsStorage::PutIfAbsent(std::string_view name, ByteView bytes) {
  HF_TRY_VOID(CheckWrite(name, bytes.size()));
  std::unique_lock stripe(Stripe(name));
  if (!FitsRow(bytes.size())) {
    // Known before the parts are written; the index decides.
    Result<UntrustedBytes> there = inner_->GetRange(name, 0, 1);
    if (there) return Code::kExists;
    if (there.code() != Code::kNotFound) return there.error();
  }
  return Replace(name, bytes, [&](ByteView row) { return inner_->PutIfAbsent(name, row); });
}

Result<seam::ObjectVersion> PartsStorage::PutIfVersion(std::string_view name, ByteView bytes,
                                                       const seam::ObjectVersion& expected) {
  HF_TRY_VOID(CheckWrite(name, bytes.size()));
  if (!inner_->capabilities().conditional_put) return Code::kUnsupported;
  std::unique_lock stripe(Stripe(name));
  if (!FitsRow(bytes.size())) {
    Result<seam::VersionedBytes> there = inner_->GetVersioned(name);
    if (!there && there.code() != Code::kNotFound) return there.error();
    if ((there ? there->version : seam::ObjectVersion()) != expected) return Code::kVersionMismatch;
  }
  seam::ObjectVersion version;
  HF_TRY_VOID(Replace(name, bytes, [&](ByteView row) -> Status {
    HF_TRY(version, inner_->PutIfVersion(name, row, expected));
    return Ok();
  }));
  return version;
}

Status PartsStorage::Delete(std::string_view name) {
  HF_TRY_VOID(CheckWrite(name, 0));
  std::unique_lock stripe(Stripe(name));
  HF_TRY(std::optional<PartIndex> old, OldParts(name));
  Forget(name);
  HF_TRY_VOID(inner_->Delete(name));
  return old ? Retire(name, *old) : Ok();
}

Status PartsStorage::Barrier() {
  std::vector<Retired> retired;
  {
    std::lock_guard state(state_mutex_);
    retired = retired_;
  }
  HF_TRY_VOID(inner_->Barrier());
  // Kept in the list until they are gone: so long their numbers are not used again.
  for (const Retired& r : retired) HF_TRY_VOID(DeleteParts(r.name, r.first, r.count));
  std::lock_guard state(state_mutex_);
  std::erase_if(retired_, [&](const Retired& r) {
    return std::any_of(retired.begin(), retired.end(),
                       [&](const Retired& done) { return done.name == r.name && done.first == r.first; });
  });
  return Ok();
}

Status PartsStorage::CollectOrphans() {
  std::string after, name;
  Layout layout;
  for (;;) {
    HF_TRY(seam::Listing page, inner_->List(kPrefix, after, seam::kListPageMax));
    for (const seam::ObjectInfo& row : page.objects) {
      if (row.name <= after || !IsPart(row.name)) return Code::kMalformed;
      after = row.name;
      std::optional<PartOf> part = ParsePartName(row.name);
      if (!part) continue;
      if (part->name != name) {
        name = part->name;
        Result<Layout> found = FindLayout(name);
        // A damaged index names its parts no longer; they stay for whoever wants to mend it.
        if (!found && found.code() == Code::kChecksum) {
          layout = PartIndex{.size_bytes = UINT64_MAX / 2, .first = 0, .part_bytes = 1};
        } else if (!found && found.code() != Code::kNotFound) {
          return found.error();
        } else {
          layout = found ? *found : Layout();
        }
      }
      bool named = layout && part->k >= layout->first && part->k - layout->first < layout->parts();
      if (!named) HF_TRY_VOID(inner_->Delete(row.name));
    }
    if (page.complete || page.objects.empty()) return Ok();
  }
}

Status PartsStorage::CreateAppendable(std::string_view name, uint64_t, ByteView) {
  return seam::ValidName(name) && !IsPart(name) ? Code::kUnsupported : Code::kInvalidArgument;
}

Status PartsStorage::Append(std::string_view name, uint64_t, ByteView) {
  return seam::ValidName(name) && !IsPart(name) ? Code::kUnsupported : Code::kInvalidArgument;
}

Status PartsStorage::Trim(std::string_view name, uint64_t) {
  return seam::ValidName(name) && !IsPart(name) ? Code::kUnsupported : Code::kInvalidArgument;
}

}  // namespace holdfast::host
