#include "host/kv/memory.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "host/kv/append_end.h"

namespace holdfast::host {

Status MemoryStorage::CheckWrite(std::string_view name, size_t bytes, bool capable) const {
  if (!seam::ValidName(name)) return Code::kInvalidArgument;
  if (!capable) return Code::kUnsupported;
  if (capabilities_.read_only) return Code::kReadOnly;
  if (bytes > capabilities_.value_bytes_max) return Code::kTooLarge;
  return Ok();
}

seam::ObjectVersion MemoryStorage::Replace(std::string_view name, ByteView bytes) {
  Object& object = objects_[std::string(name)];
  object = {.bytes = ToBytes(bytes), .end = std::nullopt, .version = ++last_version_};
  return std::to_string(object.version);
}

Result<UntrustedBytes> MemoryStorage::Get(std::string_view name) {
  if (!seam::ValidName(name)) return Code::kInvalidArgument;
  std::shared_lock lock(mutex_);
  auto it = objects_.find(name);
  if (it == objects_.end()) return Code::kNotFound;
  if (it->second.bytes.size() > seam::kGetBytesMax) return Code::kTooLarge;
  return UntrustedBytes(it->second.bytes);
}

Result<UntrustedBytes> MemoryStorage::GetRange(std::string_view name, uint64_t offset, uint64_t length) {
  if (!seam::ValidName(name)) return Code::kInvalidArgument;
  std::shared_lock lock(mutex_);
  auto it = objects_.find(name);
  if (it == objects_.end()) return Code::kNotFound;
  ByteView all = it->second.bytes;
  if (offset >= all.size()) return UntrustedBytes();
  length = std::min<uint64_t>(length, all.size() - offset);
  if (length > seam::kGetBytesMax) return Code::kTooLarge;
  return UntrustedBytes(ToBytes(all.subspan(offset, length)));
}

Result<seam::VersionedBytes> MemoryStorage::GetVersioned(std::string_view name) {
  if (!seam::ValidName(name)) return Code::kInvalidArgument;
  if (!capabilities_.conditional_put) return Code::kUnsupported;
  std::shared_lock lock(mutex_);
  auto it = objects_.find(name);
  if (it == objects_.end()) return Code::kNotFound;
  return seam::VersionedBytes{UntrustedBytes(it->second.bytes), std::to_string(it->second.version)};
}

Status MemoryStorage::Put(std::string_view name, ByteView bytes) {
  HF_TRY_VOID(CheckWrite(name, bytes.size()));
  std::unique_lock lock(mutex_);
  Replace(name, bytes);
  return Ok();
}

Status MemoryStorage::PutIfAbsent(std::string_view name, ByteView bytes) {
  HF_TRY_VOID(CheckWrite(name, bytes.size()));
  std::unique_lock lock(mutex_);
  if (objects_.find(name) != objects_.end()) return Code::kExists;
  Replace(name, bytes);
  return Ok();
}

Result<seam::ObjectVersion> MemoryStorage::PutIfVersion(std::string_view name, ByteView bytes,
                                                        const seam::ObjectVersion& expected) {
  HF_TRY_VOID(CheckWrite(name, bytes.size(), capabilities_.conditional_put));
  std::unique_lock lock(mutex_);
  auto it = objects_.find(name);
  seam::ObjectVersion current = it == objects_.end() ? "" : std::to_string(it->second.version);
  if (current != expected) return Code::kVersionMismatch;
  return Replace(name, bytes);
}

Status MemoryStorage::Delete(std::string_view name) {
  HF_TRY_VOID(CheckWrite(name, 0));
  std::unique_lock lock(mutex_);
  auto it = objects_.find(name);
  if (it != objects_.end()) objects_.erase(it);
  return Ok();
}

Result<seam::Listing> MemoryStorage::List(std::string_view prefix, std::string_view after, size_t limit) {
  if (limit == 0) return Code::kInvalidArgument;
  limit = std::min(limit, seam::kListPageMax);
  std::shared_lock lock(mutex_);
  seam::Listing page;
  auto it = after < prefix ? objects_.lower_bound(prefix) : objects_.upper_bound(after);
  for (; it != objects_.end() && it->first.starts_with(prefix); ++it) {
    if (page.objects.size() == limit) {
      page.complete = false;
      break;
    }
    page.objects.push_back({it->first, it->second.bytes.size()});
  }
  return page;
}

Status MemoryStorage::CreateAppendable(std::string_view name, uint64_t reserve_bytes, ByteView first) {
  HF_TRY_VOID(CheckWrite(name, first.size(), capabilities_.append));
  std::unique_lock lock(mutex_);
  if (objects_.find(name) != objects_.end()) return Code::kExists;
  Replace(name, first);
  Object& object = objects_.find(name)->second;
  object.bytes.resize(std::max<uint64_t>(reserve_bytes, first.size()));
  object.end = RoundUpToSector(first.size());
  return Ok();
}

Status MemoryStorage::Append(std::string_view name, uint64_t offset, ByteView bytes) {
  HF_TRY_VOID(CheckWrite(name, bytes.size(), capabilities_.append));
  std::unique_lock lock(mutex_);
  auto it = objects_.find(name);
  if (it == objects_.end()) return Code::kNotFound;
  Object& object = it->second;
  HF_TRY_VOID(CheckAppend(object.end, object.bytes.size(), offset));
  if (object.bytes.size() < offset + bytes.size()) object.bytes.resize(offset + bytes.size());
  std::copy(bytes.begin(), bytes.end(), object.bytes.begin() + static_cast<ptrdiff_t>(offset));
  object.end = RoundUpToSector(offset + bytes.size());
  object.version = ++last_version_;
  return Ok();
}

Status MemoryStorage::Trim(std::string_view name, uint64_t size_bytes) {
  HF_TRY_VOID(CheckWrite(name, 0, capabilities_.append));
  std::unique_lock lock(mutex_);
  auto it = objects_.find(name);
  if (it == objects_.end()) return Code::kNotFound;
  Object& object = it->second;
  if (size_bytes > object.bytes.size()) return Code::kInvalidArgument;
  object.bytes.resize(size_bytes);
  object.end = EndAfterTrim(object.end, size_bytes);
  object.version = ++last_version_;
  return Ok();
}

}  // namespace holdfast::host
