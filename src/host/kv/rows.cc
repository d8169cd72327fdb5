#include "host/kv/rows.h"

#include <mutex>
#include <random>
#include <utility>

#include "host/kv/parts.h"

namespace holdfast::host {
namespace {

// Not a secret: it only must not repeat.
uint64_t RandomNumber() {
  std::random_device device;
  return (uint64_t{device()} << 32) | device();
}

}  // namespace

RowStorage::RowStorage(std::unique_ptr<RowEngine> engine, OpenMode mode, uint64_t row_bytes_max)
    : engine_(std::move(engine)),
      read_only_(mode == OpenMode::kReadOnly),
      row_bytes_max_(row_bytes_max),
      opener_(RandomNumber()) {}

seam::Capabilities RowStorage::capabilities() const {
  seam::Capabilities c;
  c.conditional_put = true;
  c.exclusive = !read_only_;
  c.read_only = read_only_;
  c.value_bytes_preferred = c.value_bytes_max = row_bytes_max_;
  return c;
}

Status RowStorage::CheckWrite(std::string_view name, uint64_t bytes) const {
  if (!seam::ValidName(name)) return Code::kInvalidArgument;
  if (read_only_) return Code::kReadOnly;
  if (bytes > row_bytes_max_) return Code::kTooLarge;
  if (poisoned_) return Code::kPoisoned;
  return Ok();
}

Status RowStorage::Poisoning(Status done) {
  if (!done && done.code() != Code::kFull) poisoned_ = true;
  return done;
}

seam::ObjectVersion RowStorage::NextVersion() {
  uint8_t bytes[16];
  StoreLittle(bytes, opener_);
  StoreLittle(bytes + 8, ++count_);
  return ToText({bytes, sizeof(bytes)});
}

Result<UntrustedBytes> RowStorage::Get(std::string_view name) { return GetRange(name, 0, UINT64_MAX); }

Result<UntrustedBytes> RowStorage::GetRange(std::string_view name, uint64_t offset, uint64_t length) {
  if (!seam::ValidName(name)) return Code::kInvalidArgument;
  HF_TRY(Bytes bytes, engine_->Read(name, offset, length));
  return UntrustedBytes(std::move(bytes));
}

Result<seam::VersionedBytes> RowStorage::GetVersioned(std::string_view name) {
  if (!seam::ValidName(name)) return Code::kInvalidArgument;
  std::shared_lock stripe(Stripe(name));
  HF_TRY(seam::ObjectVersion version, engine_->Version(name));
  HF_TRY(Bytes bytes, engine_->Read(name, 0, UINT64_MAX));
  return seam::VersionedBytes{UntrustedBytes(std::move(bytes)), std::move(version)};
}

Status RowStorage::PutAll(std::vector<RowWrite> rows) {
  for (RowWrite& row : rows) {
    HF_TRY_VOID(CheckWrite(row.name, row.bytes.size()));
    row.version = NextVersion();
  }
  return Poisoning(engine_->Write(rows));
}

Status RowStorage::PutOne(std::string_view name, ByteView bytes, seam::ObjectVersion version) {
  RowWrite row{name, bytes, std::move(version)};
  return Poisoning(engine_->Write({&row, 1}));
}

Status RowStorage::Put(std::string_view name, ByteView bytes) {
  HF_TRY_VOID(CheckWrite(name, bytes.size()));
  std::unique_lock stripe(Stripe(name));
  return PutOne(name, bytes, NextVersion());
}

Status RowStorage::PutIfAbsent(std::string_view name, ByteView bytes) {
  HF_TRY_VOID(CheckWrite(name, bytes.size()));
  std::unique_lock stripe(Stripe(name));
  Result<seam::ObjectVersion> there = engine_->Version(name);
  if (there) return Code::kExists;
  if (there.code() != Code::kNotFound) return there.error();
  return PutOne(name, bytes, NextVersion());
}

Result<seam::ObjectVersion> RowStorage::PutIfVersion(std::string_view name, ByteView bytes,
                                                     const seam::ObjectVersion& expected) {
  HF_TRY_VOID(CheckWrite(name, bytes.size()));
  std::unique_lock stripe(Stripe(name));
  Result<seam::ObjectVersion> there = engine_->Version(name);
  if (!there && there.code() != Code::kNotFound) return there.error();
  if ((there ? *there : seam::ObjectVersion()) != expected) return Code::kVersionMismatch;
  seam::ObjectVersion version = NextVersion();
  HF_TRY_VOID(PutOne(name, bytes, version));
  return version;
}

Status RowStorage::Delete(std::string_view name) {
  HF_TRY_VOID(CheckWrite(name, 0));
  std::unique_lock stripe(Stripe(name));
  return Poisoning(engine_->Erase(name));
}

Result<seam::Listing> RowStorage::List(std::string_view prefix, std::string_view after, size_t limit) {
  if (limit == 0) return Code::kInvalidArgument;
  return engine_->List(prefix, after, std::min(limit, seam::kListPageMax));
}

Status RowStorage::Barrier() { return poisoned_ ? Status(Code::kPoisoned) : Ok(); }

Status RowStorage::CreateAppendable(std::string_view name, uint64_t, ByteView) {
  return seam::ValidName(name) ? Code::kUnsupported : Code::kInvalidArgument;
}

Status RowStorage::Append(std::string_view name, uint64_t, ByteView) {
  return seam::ValidName(name) ? Code::kUnsupported : Code::kInvalidArgument;
}

Status RowStorage::Trim(std::string_view name, uint64_t) {
  return seam::ValidName(name) ? Code::kUnsupported : Code::kInvalidArgument;
}

Result<std::unique_ptr<seam::Storage>> OpenRows(std::unique_ptr<RowEngine> engine, OpenMode mode,
                                                uint64_t row_bytes) {
  auto rows = std::make_unique<RowStorage>(std::move(engine), mode, row_bytes);
  PartsOptions options{.part_bytes = row_bytes, .ordered_writes = true, .locked = true, .put_parts = {}};
  options.put_parts = [&rows = *rows](std::span<const PartRow> parts) {
    std::vector<RowWrite> writes;
    for (const PartRow& part : parts) writes.push_back({part.name, part.bytes, {}});
    return rows.PutAll(std::move(writes));
  };
  return PartsStorage::Open(std::move(rows), std::move(options));
}

}  // namespace holdfast::host
