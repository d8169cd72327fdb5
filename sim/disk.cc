#include "sim/disk.h"

#include <algorithm>
#include <utility>

#include "host/kv/append_end.h"

namespace holdfast::sim {

using host::CheckAppend;
using host::CrashChoices;
using host::EndAfterTrim;
using host::ObjectState;
using host::RoundUpToSector;

namespace {

using Lock = std::lock_guard<std::recursive_mutex>;

// `bytes` at `offset`, the object growing as needed.
void Overwrite(Bytes& object, uint64_t offset, ByteView bytes) {
  if (object.size() < offset + bytes.size()) object.resize(offset + bytes.size());
  std::copy(bytes.begin(), bytes.end(), object.begin() + static_cast<ptrdiff_t>(offset));
}

}  // namespace

void SimDisk::CrashAt(uint64_t operation) {
  Lock lock(mutex_);
  crash_at_ = operation;
}

void SimDisk::CrashNow() {
  Lock lock(mutex_);
  crashed_ = true;
}

uint64_t SimDisk::operations() const {
  Lock lock(mutex_);
  return operations_;
}

bool SimDisk::crashed() const {
  Lock lock(mutex_);
  return crashed_;
}

void SimDisk::OnEveryWrite(std::function<void(const WriteOperation&)> watch) {
  Lock lock(mutex_);
  watch_ = std::move(watch);
}

void SimDisk::SetFreeBytes(std::optional<uint64_t> free_bytes) {
  Lock lock(mutex_);
  capacity_bytes_ = free_bytes ? std::optional(UsedBytes() + *free_bytes) : std::nullopt;
}

// ---- what the next process finds

std::unique_ptr<SimDisk> SimDisk::Copy() const {
  auto copy = std::make_unique<SimDisk>(capabilities_);
  copy->durable_ = durable_;
  copy->unsynced_ = unsynced_;
  copy->capacity_bytes_ = capacity_bytes_;
  return copy;
}

std::unique_ptr<SimDisk> SimDisk::Clone() const {
  Lock lock(mutex_);
  std::unique_ptr<SimDisk> copy = Copy();
  copy->ends_ = ends_;
  copy->versions_ = versions_;
  copy->last_version_ = last_version_;
  copy->operations_ = operations_;
  return copy;
}

std::unique_ptr<SimDisk> SimDisk::AfterCrash(uint64_t seed) const {
  Lock lock(mutex_);
  std::unique_ptr<SimDisk> next = Copy();
  CrashChoices choices(seed);
  if (in_flight_) next->Land(*in_flight_, choices);
  for (const auto& [name, states] : next->unsynced_.all()) {
    std::optional<ObjectState> state = StateAfterCrash(states, choices);
    if (!state) continue;
    if (*state) {
      next->durable_[name] = std::move(**state);
    } else {
      next->durable_.erase(name);
    }
  }
  next->unsynced_.Clear();
  return next;
}

void SimDisk::Land(const InFlight& write, CrashChoices& choices) {
  const WriteOperation& op = write.operation;
  switch (op.kind) {
    case WriteKind::kBarrier:
      break;  // some of what is pending, as without it
    case WriteKind::kPut:
    case WriteKind::kPutIfAbsent:
    case WriteKind::kPutIfVersion:
      unsynced_.Note(op.name, write.bytes);
      break;
    case WriteKind::kDelete:
      unsynced_.Note(op.name, std::nullopt);
      break;
    case WriteKind::kCreateAppendable: {
      if (!choices.Happened()) break;
      unsynced_.Drop(op.name);
      uint64_t size = std::max<uint64_t>(op.position, write.bytes.size());
      // Caught while it was filled with zeros, or while its first bytes were on their way.
      bool filled = choices.Happened();
      Bytes object(filled || size == 0 ? size : choices.Below(size));
      if (filled) Overwrite(object, 0, TearSectors(Bytes(write.bytes.size()), write.bytes, choices));
      durable_[op.name] = std::move(object);
      break;
    }
    case WriteKind::kAppend: {
      Settle(op.name);
      Bytes& object = durable_[op.name];
      ByteView before = ByteView(object).subspan(std::min<uint64_t>(op.position, object.size()));
      Bytes part =
          TearSectors(before.first(std::min(before.size(), write.bytes.size())), write.bytes, choices);
      if (!part.empty()) Overwrite(object, op.position, part);
      break;
    }
    case WriteKind::kTrim:
      Settle(op.name);
      if (choices.Happened()) durable_[op.name].resize(op.position);
      break;
  }
}

// ---- the view: durable and unsynced together

const Bytes* SimDisk::View(std::string_view name) const {
  if (const ObjectState* state = unsynced_.Latest(name)) return state->has_value() ? &**state : nullptr;
  auto it = durable_.find(std::string(name));
  return it == durable_.end() ? nullptr : &it->second;
}

std::map<std::string, uint64_t> SimDisk::ViewSizes(std::string_view prefix) const {
  std::map<std::string, uint64_t> sizes;
  for (auto it = durable_.lower_bound(std::string(prefix));
       it != durable_.end() && it->first.starts_with(prefix); ++it) {
    sizes.emplace(it->first, it->second.size());
  }
  for (const auto& [name, states] : unsynced_.all()) {
    if (!name.starts_with(prefix)) continue;
    if (states.back()) {
      sizes.insert_or_assign(name, states.back()->size());
    } else {
      sizes.erase(name);
    }
  }
  return sizes;
}

uint64_t SimDisk::UsedBytes() const {
  uint64_t used = 0;
  for (const auto& [name, size] : ViewSizes("")) used += size;
  return used;
}

uint64_t SimDisk::FreeBytes() const {
  if (!capacity_bytes_) return UINT64_MAX;
  uint64_t used = UsedBytes();
  return used < *capacity_bytes_ ? *capacity_bytes_ - used : 0;
}

void SimDisk::Settle(std::string_view name) {
  const ObjectState* state = unsynced_.Latest(name);
  if (state == nullptr) return;
  if (state->has_value()) {
    durable_[std::string(name)] = **state;
  } else {
    durable_.erase(std::string(name));
  }
  unsynced_.Drop(name);
}

uint64_t SimDisk::VersionOf(std::string_view name) {
  auto [it, is_new] = versions_.try_emplace(std::string(name), last_version_ + 1);
  if (is_new) ++last_version_;
  return it->second;
}

// ---- reading

Result<UntrustedBytes> SimDisk::Get(std::string_view name) { return GetRange(name, 0, UINT64_MAX); }

Result<UntrustedBytes> SimDisk::GetRange(std::string_view name, uint64_t offset, uint64_t length) {
  if (!seam::ValidName(name)) return Code::kInvalidArgument;
  Lock lock(mutex_);
  if (crashed_) return Code::kCrashed;
  const Bytes* object = View(name);
  if (object == nullptr) return Code::kNotFound;
  if (offset >= object->size()) return UntrustedBytes();
  length = std::min<uint64_t>(length, object->size() - offset);
  if (length > seam::kGetBytesMax) return Code::kTooLarge;
  return UntrustedBytes(ToBytes(ByteView(*object).subspan(offset, length)));
}

Result<seam::VersionedBytes> SimDisk::GetVersioned(std::string_view name) {
  if (!capabilities_.conditional_put && seam::ValidName(name)) return Code::kUnsupported;
  Lock lock(mutex_);
  HF_TRY(UntrustedBytes bytes, Get(name));
  return seam::VersionedBytes{std::move(bytes), std::to_string(VersionOf(name))};
}

Result<seam::Listing> SimDisk::List(std::string_view prefix, std::string_view after, size_t limit) {
  if (limit == 0) return Code::kInvalidArgument;
  limit = std::min(limit, seam::kListPageMax);
  Lock lock(mutex_);
  if (crashed_) return Code::kCrashed;
  std::map<std::string, uint64_t> sizes = ViewSizes(prefix);
  seam::Listing page;
  for (auto it = sizes.upper_bound(std::string(after)); it != sizes.end(); ++it) {
    if (page.objects.size() == limit) {
      page.complete = false;
      break;
    }
    page.objects.push_back({it->first, it->second});
  }
  return page;
}

// ---- writing

Status SimDisk::CheckWrite(std::string_view name, size_t bytes, bool capable) const {
  if (!seam::ValidName(name)) return Code::kInvalidArgument;
  if (!capable) return Code::kUnsupported;
  if (crashed_) return Code::kCrashed;
  if (capabilities_.read_only) return Code::kReadOnly;
  if (bytes > capabilities_.value_bytes_max) return Code::kTooLarge;
  return Ok();
}

// Counts a write that is going to take effect, shows it to the watcher, and crashes in it if its time has
// come.
Status SimDisk::Begin(WriteKind kind, std::string_view name, uint64_t position, ByteView bytes) {
  if (crashed_) return Code::kCrashed;
  ++operations_;
  bool crash = operations_ == crash_at_;
  if (!crash && !watch_) return Ok();
  in_flight_ = InFlight{{kind, std::string(name), position, operations_}, ToBytes(bytes)};
  if (watch_) watch_(in_flight_->operation);
  crashed_ = crashed_ || crash;
  if (crashed_) return Code::kCrashed;
  in_flight_.reset();
  return Ok();
}

Status SimDisk::PutView(std::string_view name, ByteView bytes) {
  const Bytes* old = View(name);
  uint64_t room = FreeBytes();
  if (old != nullptr && room != UINT64_MAX) room += old->size();
  ByteView fits = bytes.first(std::min<uint64_t>(bytes.size(), room));
  unsynced_.Note(name, ToBytes(fits));
  versions_.insert_or_assign(std::string(name), ++last_version_);
  auto end = ends_.find(name);
  if (end != ends_.end()) ends_.erase(end);
  return fits.size() == bytes.size() ? Ok() : Code::kFull;
}

Status SimDisk::Put(std::string_view name, ByteView bytes) {
  Lock lock(mutex_);
  HF_TRY_VOID(CheckWrite(name, bytes.size()));
  HF_TRY_VOID(Begin(WriteKind::kPut, name, 0, bytes));
  return PutView(name, bytes);
}

Status SimDisk::PutIfAbsent(std::string_view name, ByteView bytes) {
  Lock lock(mutex_);
  HF_TRY_VOID(CheckWrite(name, bytes.size()));
  if (View(name) != nullptr) return Code::kExists;
  HF_TRY_VOID(Begin(WriteKind::kPutIfAbsent, name, 0, bytes));
  return PutView(name, bytes);
}

Result<seam::ObjectVersion> SimDisk::PutIfVersion(std::string_view name, ByteView bytes,
                                                  const seam::ObjectVersion& expected) {
  Lock lock(mutex_);
  HF_TRY_VOID(CheckWrite(name, bytes.size(), capabilities_.conditional_put));
  seam::ObjectVersion current = View(name) == nullptr ? "" : std::to_string(VersionOf(name));
  if (current != expected) return Code::kVersionMismatch;
  HF_TRY_VOID(Begin(WriteKind::kPutIfVersion, name, 0, bytes));
  HF_TRY_VOID(PutView(name, bytes));
  return std::to_string(VersionOf(name));
}

Status SimDisk::Delete(std::string_view name) {
  Lock lock(mutex_);
  HF_TRY_VOID(CheckWrite(name, 0));
  HF_TRY_VOID(Begin(WriteKind::kDelete, name, 0, {}));
  if (View(name) == nullptr) return Ok();
  unsynced_.Note(name, std::nullopt);
  versions_.erase(std::string(name));
  ends_.erase(std::string(name));
  return Ok();
}

Status SimDisk::Barrier() {
  Lock lock(mutex_);
  HF_TRY_VOID(Begin(WriteKind::kBarrier, "", 0, {}));
  while (!unsynced_.all().empty()) Settle(std::string(unsynced_.all().begin()->first));
  return Ok();
}

Status SimDisk::CreateAppendable(std::string_view name, uint64_t reserve_bytes, ByteView first) {
  Lock lock(mutex_);
  HF_TRY_VOID(CheckWrite(name, first.size(), capabilities_.append));
  if (View(name) != nullptr) return Code::kExists;
  uint64_t size = std::max<uint64_t>(reserve_bytes, first.size());
  if (size > FreeBytes()) return Code::kFull;
  HF_TRY_VOID(Begin(WriteKind::kCreateAppendable, name, reserve_bytes, first));
  Settle(name);  // the directory is synced for the new name, and with it the removal of an old one
  Bytes object = ToBytes(first);
  object.resize(size);
  durable_[std::string(name)] = std::move(object);
  ends_.insert_or_assign(std::string(name), RoundUpToSector(first.size()));
  versions_.insert_or_assign(std::string(name), ++last_version_);
  return Ok();
}

Status SimDisk::Append(std::string_view name, uint64_t offset, ByteView bytes) {
  Lock lock(mutex_);
  HF_TRY_VOID(CheckWrite(name, bytes.size(), capabilities_.append));
  const Bytes* object = View(name);
  if (object == nullptr) return Code::kNotFound;
  auto end = ends_.find(name);
  HF_TRY_VOID(
      CheckAppend(end == ends_.end() ? std::nullopt : std::optional(end->second), object->size(), offset));
  if (offset + bytes.size() > object->size() && offset + bytes.size() - object->size() > FreeBytes()) {
    return Code::kFull;
  }
  HF_TRY_VOID(Begin(WriteKind::kAppend, name, offset, bytes));
  Settle(name);
  Overwrite(durable_[std::string(name)], offset, bytes);
  ends_.insert_or_assign(std::string(name), RoundUpToSector(offset + bytes.size()));
  versions_.insert_or_assign(std::string(name), ++last_version_);
  return Ok();
}

Status SimDisk::Trim(std::string_view name, uint64_t size_bytes) {
  Lock lock(mutex_);
  HF_TRY_VOID(CheckWrite(name, 0, capabilities_.append));
  const Bytes* object = View(name);
  if (object == nullptr) return Code::kNotFound;
  if (size_bytes > object->size()) return Code::kInvalidArgument;
  HF_TRY_VOID(Begin(WriteKind::kTrim, name, size_bytes, {}));
  Settle(name);
  durable_[std::string(name)].resize(size_bytes);
  auto end = ends_.find(name);
  std::optional<uint64_t> old = end == ends_.end() ? std::nullopt : std::optional(end->second);
  ends_.insert_or_assign(std::string(name), *EndAfterTrim(old, size_bytes));
  versions_.insert_or_assign(std::string(name), ++last_version_);
  return Ok();
}

}  // namespace holdfast::sim
