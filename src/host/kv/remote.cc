#include "host/kv/remote.h"

#include <algorithm>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace holdfast::host {
namespace {

constexpr size_t kWritesAtOnceMax = 8;  // of the parts of one object: a segment of 16 MiB in five round trips

}  // namespace

Status RemoteEngine::WriteNew(std::span<const PartRow> rows) {
  std::vector<Status> done(rows.size());
  std::atomic<size_t> next = 0;
  auto work = [&] {
    for (size_t i = next++; i < rows.size(); i = next++) {
      Result<seam::ObjectVersion> put = Write(rows[i].name, rows[i].bytes, {});
      if (!put) done[i] = put.error();
    }
  };
  std::vector<std::thread> threads;
  for (size_t i = 1; i < std::min(rows.size(), kWritesAtOnceMax); ++i) threads.emplace_back(work);
  work();
  for (std::thread& t : threads) t.join();
  for (const Status& s : done) HF_TRY_VOID(s);
  return Ok();
}

RemoteStorage::RemoteStorage(std::unique_ptr<RemoteEngine> engine, OpenMode mode, bool exclusive)
    : engine_(std::move(engine)),
      traits_(engine_->traits()),
      read_only_(mode == OpenMode::kReadOnly),
      exclusive_(exclusive && !read_only_) {}

seam::Capabilities RemoteStorage::capabilities() const {
  seam::Capabilities c;
  c.conditional_put = traits_.conditional_put && traits_.create_if_absent;
  c.exclusive = exclusive_;
  c.read_only = read_only_;
  c.value_bytes_max = traits_.value_bytes_max;
  c.value_bytes_preferred = std::min(c.value_bytes_preferred, c.value_bytes_max);
  return c;
}

Status RemoteStorage::CheckWrite(std::string_view name, uint64_t bytes) const {
  if (!seam::ValidName(name)) return Code::kInvalidArgument;
  if (read_only_) return Code::kReadOnly;
  if (bytes > traits_.value_bytes_max) return Code::kTooLarge;
  if (poisoned_) return Code::kPoisoned;
  return Ok();
}

Result<seam::VersionedBytes> RemoteStorage::Read(std::string_view name, uint64_t offset, uint64_t length) {
  if (traits_.atomic) return engine_->Read(name, offset, length);
  std::shared_lock stripe(Stripe(name));
  return engine_->Read(name, offset, length);
}

Result<seam::ObjectVersion> RemoteStorage::Write(std::string_view name, ByteView bytes,
                                                 const WriteCondition& condition) {
  Result<seam::ObjectVersion> done = engine_->Write(name, bytes, condition);
  if (done) return done;
  Code code = done.code();
  bool refused = code == Code::kExists || code == Code::kVersionMismatch || code == Code::kFull;
  if (!refused) poisoned_ = true;
  return done;
}

Result<UntrustedBytes> RemoteStorage::Get(std::string_view name) { return GetRange(name, 0, UINT64_MAX); }

Result<UntrustedBytes> RemoteStorage::GetRange(std::string_view name, uint64_t offset, uint64_t length) {
  if (!seam::ValidName(name)) return Code::kInvalidArgument;
  HF_TRY(seam::VersionedBytes got, Read(name, offset, length));
  return std::move(got.bytes);
}

Result<seam::VersionedBytes> RemoteStorage::GetVersioned(std::string_view name) {
  if (!seam::ValidName(name)) return Code::kInvalidArgument;
  if (!capabilities().conditional_put) return Code::kUnsupported;
  return Read(name, 0, UINT64_MAX);
}

Status RemoteStorage::Put(std::string_view name, ByteView bytes) {
  HF_TRY_VOID(CheckWrite(name, bytes.size()));
  std::unique_lock stripe(Stripe(name));
  Result<seam::ObjectVersion> done = Write(name, bytes, {});
  return done ? Ok() : Status(done.error());
}

Status RemoteStorage::PutIfAbsent(std::string_view name, ByteView bytes) {
  HF_TRY_VOID(CheckWrite(name, bytes.size()));
  std::unique_lock stripe(Stripe(name));
  WriteCondition condition;
  if (traits_.create_if_absent) {
    condition.kind = WriteCondition::Kind::kAbsent;
  } else {
    Result<seam::VersionedBytes> there = engine_->Read(name, 0, 0);
    if (there) return Code::kExists;
    if (there.code() != Code::kNotFound) return there.error();
  }
  Result<seam::ObjectVersion> done = Write(name, bytes, condition);
  return done ? Ok() : Status(done.error());
}

Result<seam::ObjectVersion> RemoteStorage::PutIfVersion(std::string_view name, ByteView bytes,
                                                        const seam::ObjectVersion& expected) {
  HF_TRY_VOID(CheckWrite(name, bytes.size()));
  if (!capabilities().conditional_put) return Code::kUnsupported;
  std::unique_lock stripe(Stripe(name));
  bool absent = expected.empty();
  WriteCondition condition{absent ? WriteCondition::Kind::kAbsent : WriteCondition::Kind::kVersion, expected};
  Result<seam::ObjectVersion> done = Write(name, bytes, condition);
  if (!done && done.code() == Code::kExists) return Code::kVersionMismatch;
  return done;
}

Status RemoteStorage::PutNew(std::span<const PartRow> rows) {
  for (const PartRow& row : rows) HF_TRY_VOID(CheckWrite(row.name, row.bytes.size()));
  Status done = engine_->WriteNew(rows);
  if (!done && done.code() != Code::kFull) poisoned_ = true;
  return done;
}

Status RemoteStorage::Delete(std::string_view name) {
  HF_TRY_VOID(CheckWrite(name, 0));
  std::unique_lock stripe(Stripe(name));
  Status done = engine_->Erase(name);
  if (!done) poisoned_ = true;
  return done;
}

Result<seam::Listing> RemoteStorage::List(std::string_view prefix, std::string_view after, size_t limit) {
  if (limit == 0) return Code::kInvalidArgument;
  return engine_->List(prefix, after, std::min(limit, seam::kListPageMax));
}

Status RemoteStorage::Barrier() { return poisoned_ ? Status(Code::kPoisoned) : Ok(); }

Status RemoteStorage::CreateAppendable(std::string_view name, uint64_t, ByteView) {
  return seam::ValidName(name) ? Code::kUnsupported : Code::kInvalidArgument;
}

Status RemoteStorage::Append(std::string_view name, uint64_t, ByteView) {
  return seam::ValidName(name) ? Code::kUnsupported : Code::kInvalidArgument;
}

Status RemoteStorage::Trim(std::string_view name, uint64_t) {
  return seam::ValidName(name) ? Code::kUnsupported : Code::kInvalidArgument;
}

Result<std::unique_ptr<seam::Storage>> OpenRemote(std::unique_ptr<RemoteEngine> engine, OpenMode mode,
                                                  bool exclusive) {
  uint64_t row_bytes = engine->traits().value_bytes_max;
  auto rows = std::make_unique<RemoteStorage>(std::move(engine), mode, exclusive);
  PartsOptions options{.part_bytes = row_bytes, .ordered_writes = true, .locked = exclusive, .put_parts = {}};
  options.put_parts = [&rows = *rows](std::span<const PartRow> parts) { return rows.PutNew(parts); };
  return PartsStorage::Open(std::move(rows), std::move(options));
}

Result<seam::VersionedBytes> Cut(Bytes whole, uint64_t offset, uint64_t length, seam::ObjectVersion version) {
  uint64_t from = std::min<uint64_t>(offset, whole.size());
  whole.erase(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(from));
  if (whole.size() > length) whole.resize(length);
  return seam::VersionedBytes{UntrustedBytes(std::move(whole)), std::move(version)};
}

Result<seam::ObjectVersion> UnlessOurs(const Result<seam::VersionedBytes>& there, std::string_view write,
                                       Code refusal) {
  if (!there) return there.code() == Code::kNotFound ? Error(refusal) : there.error();
  std::string_view version = there->version;
  bool ours = version == write || version.ends_with(" " + std::string(write));
  return ours ? Result<seam::ObjectVersion>(there->version) : refusal;
}

Status CheckPlace(RemoteEngine& engine, OpenMode mode) {
  HF_TRY(seam::Listing there, engine.List("", "", 1));
  if (mode == OpenMode::kCreate) return there.objects.empty() ? Ok() : Status(Code::kNotEmpty);
  return there.objects.empty() ? Status(Code::kNoStore) : Ok();
}

}  // namespace holdfast::host
