#include "host/kv/fault.h"

#include <algorithm>
#include <utility>

namespace holdfast::host {
namespace {

// Answers that promise that nothing, or nothing but one unnamed object, was touched.
bool IsRefusal(Code code) {
  switch (code) {
    case Code::kFull:
    case Code::kExists:
    case Code::kNotFound:
    case Code::kVersionMismatch:
    case Code::kInvalidArgument:
    case Code::kUnsupported:
    case Code::kTooLarge:
    case Code::kReadOnly:
    case Code::kPermission:
      return true;
    default:
      return false;
  }
}

using Lock = std::lock_guard<std::recursive_mutex>;

}  // namespace

uint64_t FaultStorage::writes() const {
  Lock lock(mutex_);
  return writes_;
}

uint64_t FaultStorage::reads() const {
  Lock lock(mutex_);
  return reads_;
}

bool FaultStorage::crashed() const {
  Lock lock(mutex_);
  return crashed_;
}

Status FaultStorage::Write(WriteOperation operation, const Apply& whole, const Tear& torn) {
  FaultPlan::Fault fault;
  bool planned = false;
  {
    Lock lock(mutex_);
    if (crashed_) return Code::kCrashed;
    operation.number = ++writes_;
    auto it = plan_.writes.find(operation.number);
    planned = it != plan_.writes.end();
    if (planned) fault = it->second;
  }
  if (plan_.before) plan_.before(operation);
  {
    Lock lock(mutex_);
    if (crashed_) return Code::kCrashed;
    if (poisoned_) return Code::kPoisoned;
    if (planned) return Inject(fault, whole, torn);
    if (plan_.drop_unsynced) return whole();
  }
  return whole();
}

Status FaultStorage::Inject(const FaultPlan::Fault& fault, const Apply& whole, const Tear& torn) {
  if (fault.what == FaultPlan::What::kFail) {
    poisoned_ = !IsRefusal(fault.code);
    return fault.code;
  }
  if (fault.what == FaultPlan::What::kTear) {
    torn();
    poisoned_ = !IsRefusal(fault.code);
    return fault.code;
  }
  if (choices_.Happened()) {
    (void)whole().has_value();
  } else {
    torn();
  }
  LosePower();
  return Code::kCrashed;
}

void FaultStorage::CrashNow() {
  Lock lock(mutex_);
  if (!crashed_) LosePower();
}

// Every pending name ends in some state that it went through; then the inner provider makes that durable.
void FaultStorage::LosePower() {
  crashed_ = true;
  for (const auto& [name, states] : unsynced_.all()) {
    std::optional<ObjectState> state = StateAfterCrash(states, choices_);
    if (state) (void)PassOn(name, *state).has_value();
  }
  unsynced_.Clear();
  (void)inner_.Barrier().has_value();
}

Status FaultStorage::CountRead() {
  Lock lock(mutex_);
  if (crashed_) return Code::kCrashed;
  auto it = plan_.reads.find(++reads_);
  return it == plan_.reads.end() ? Ok() : Status(it->second);
}

Status FaultStorage::CheckPut(std::string_view name, ByteView bytes) const {
  if (!seam::ValidName(name)) return Code::kInvalidArgument;
  if (capabilities_.read_only) return Code::kReadOnly;
  if (bytes.size() > capabilities_.value_bytes_max) return Code::kTooLarge;
  return Ok();
}

Status FaultStorage::PassOn(std::string_view name, const ObjectState& state) {
  if (!state) return inner_.Delete(name);
  HF_TRY_VOID(inner_.Put(name, *state));
  auto it = versions_.find(name);
  if (it != versions_.end() && capabilities_.conditional_put) {
    HF_TRY(seam::VersionedBytes now, inner_.GetVersioned(name));
    it->second.inner = now.version;
  }
  return Ok();
}

Status FaultStorage::PassOnPending(std::string_view name) {
  const ObjectState* state = unsynced_.Latest(name);
  if (state == nullptr) return Ok();
  HF_TRY_VOID(PassOn(name, *state));
  unsynced_.Drop(name);
  return Ok();
}

Result<bool> FaultStorage::Exists(std::string_view name) {
  if (const ObjectState* state = unsynced_.Latest(name)) return state->has_value();
  Result<UntrustedBytes> got = inner_.GetRange(name, 0, 0);
  if (got) return true;
  if (got.code() == Code::kNotFound) return false;
  return got.error();
}

Result<seam::ObjectVersion> FaultStorage::VersionOf(std::string_view name) {
  auto it = versions_.find(name);
  if (const ObjectState* state = unsynced_.Latest(name)) {
    return state->has_value() ? it->second.ours : seam::ObjectVersion();
  }
  Result<seam::VersionedBytes> now = inner_.GetVersioned(name);
  if (!now)
    return now.code() == Code::kNotFound ? Result<seam::ObjectVersion>(seam::ObjectVersion()) : now.error();
  return it != versions_.end() && it->second.inner == now->version ? it->second.ours : now->version;
}

seam::ObjectVersion FaultStorage::Keep(std::string_view name, ObjectState state) {
  seam::ObjectVersion version = "unsynced-" + std::to_string(++last_version_);
  versions_.insert_or_assign(std::string(name), Versions{.ours = version, .inner = ""});
  unsynced_.Note(name, std::move(state));
  return version;
}

Result<UntrustedBytes> FaultStorage::Get(std::string_view name) { return GetRange(name, 0, UINT64_MAX); }

Result<UntrustedBytes> FaultStorage::GetRange(std::string_view name, uint64_t offset, uint64_t length) {
  HF_TRY_VOID(CountRead());
  if (plan_.drop_unsynced) {
    Lock lock(mutex_);
    if (const ObjectState* state = unsynced_.Latest(name)) {
      if (!state->has_value()) return Code::kNotFound;
      ByteView all = **state;
      if (offset >= all.size()) return UntrustedBytes();
      return UntrustedBytes(ToBytes(all.subspan(offset, std::min<uint64_t>(length, all.size() - offset))));
    }
  }
  return length == UINT64_MAX && offset == 0 ? inner_.Get(name) : inner_.GetRange(name, offset, length);
}

Result<seam::VersionedBytes> FaultStorage::GetVersioned(std::string_view name) {
  HF_TRY_VOID(CountRead());
  if (!plan_.drop_unsynced || !seam::ValidName(name) || !capabilities_.conditional_put)
    return inner_.GetVersioned(name);
  Lock lock(mutex_);
  HF_TRY(seam::ObjectVersion version, VersionOf(name));
  if (const ObjectState* state = unsynced_.Latest(name)) {
    if (!state->has_value()) return Code::kNotFound;
    return seam::VersionedBytes{UntrustedBytes(**state), std::move(version)};
  }
  HF_TRY(seam::VersionedBytes now, inner_.GetVersioned(name));
  return seam::VersionedBytes{std::move(now.bytes), std::move(version)};
}

Status FaultStorage::Put(std::string_view name, ByteView bytes) {
  HF_TRY_VOID(CheckPut(name, bytes));
  auto put = [&](ByteView b) -> Status {
    if (!plan_.drop_unsynced) return inner_.Put(name, b);
    Keep(name, ToBytes(b));
    return Ok();
  };
  return Write(
      {.kind = WriteKind::kPut, .name = std::string(name)}, [&] { return put(bytes); },
      [&] { (void)put(TearPrefix(bytes, choices_)).has_value(); });
}

Status FaultStorage::PutIfAbsent(std::string_view name, ByteView bytes) {
  HF_TRY_VOID(CheckPut(name, bytes));
  auto put = [&](ByteView b) -> Status {
    if (!plan_.drop_unsynced) return inner_.PutIfAbsent(name, b);
    HF_TRY(bool there, Exists(name));
    if (there) return Code::kExists;
    Keep(name, ToBytes(b));
    return Ok();
  };
  return Write(
      {.kind = WriteKind::kPutIfAbsent, .name = std::string(name)}, [&] { return put(bytes); },
      [&] { (void)put(TearPrefix(bytes, choices_)).has_value(); });
}

Result<seam::ObjectVersion> FaultStorage::PutIfVersion(std::string_view name, ByteView bytes,
                                                       const seam::ObjectVersion& expected) {
  HF_TRY_VOID(CheckPut(name, bytes));
  if (!capabilities_.conditional_put) return Code::kUnsupported;
  seam::ObjectVersion version;
  auto put = [&](ByteView b) -> Status {
    if (!plan_.drop_unsynced) {
      HF_TRY(version, inner_.PutIfVersion(name, b, expected));
      return Ok();
    }
    HF_TRY(seam::ObjectVersion current, VersionOf(name));
    if (current != expected) return Code::kVersionMismatch;
    version = Keep(name, ToBytes(b));
    return Ok();
  };
  HF_TRY_VOID(Write(
      {.kind = WriteKind::kPutIfVersion, .name = std::string(name)}, [&] { return put(bytes); },
      [&] { (void)put(TearPrefix(bytes, choices_)).has_value(); }));
  return version;
}

Status FaultStorage::Delete(std::string_view name) {
  HF_TRY_VOID(CheckPut(name, {}));
  auto remove = [&]() -> Status {
    if (!plan_.drop_unsynced) return inner_.Delete(name);
    Keep(name, std::nullopt);
    return Ok();
  };
  return Write({.kind = WriteKind::kDelete, .name = std::string(name)}, remove, [&] {
    if (choices_.Happened()) (void)remove().has_value();
  });
}

Status FaultStorage::Barrier() {
  auto barrier = [&]() -> Status {
    if (plan_.drop_unsynced) {
      for (const auto& [name, states] : unsynced_.all()) HF_TRY_VOID(PassOn(name, states.back()));
      unsynced_.Clear();
    }
    return inner_.Barrier();
  };
  return Write({.kind = WriteKind::kBarrier, .name = ""}, barrier, [&] {
    if (!plan_.drop_unsynced && choices_.Happened()) (void)inner_.Barrier().has_value();
  });
}

Status FaultStorage::CreateAppendable(std::string_view name, uint64_t reserve_bytes, ByteView first) {
  HF_TRY_VOID(CheckPut(name, first));
  auto create = [&](ByteView b) -> Status {
    if (plan_.drop_unsynced && capabilities_.append) {
      const ObjectState* state = unsynced_.Latest(name);
      if (state != nullptr && state->has_value()) return Code::kExists;
      HF_TRY_VOID(
          PassOnPending(name));  // syncing the directory for the new file makes the old one's removal durable
    }
    return inner_.CreateAppendable(name, reserve_bytes, b);
  };
  return Write(
      {.kind = WriteKind::kCreateAppendable, .name = std::string(name), .position = reserve_bytes},
      [&] { return create(first); },
      [&] {
        if (!choices_.Happened()) return;
        (void)create(TearSectors(Bytes(first.size()), first, choices_)).has_value();
      });
}

Status FaultStorage::Append(std::string_view name, uint64_t offset, ByteView bytes) {
  HF_TRY_VOID(CheckPut(name, bytes));
  auto append = [&](bool torn) -> Status {
    if (plan_.drop_unsynced) HF_TRY_VOID(PassOnPending(name));  // an append syncs the whole file
    if (!torn) return inner_.Append(name, offset, bytes);
    HF_TRY(UntrustedBytes before, inner_.GetRange(name, offset, bytes.size()));
    Bytes part = TearSectors(before.parse(), bytes, choices_);
    return part.empty() ? Ok() : inner_.Append(name, offset, part);
  };
  return Write(
      {.kind = WriteKind::kAppend, .name = std::string(name), .position = offset},
      [&] { return append(false); }, [&] { (void)append(true).has_value(); });
}

Status FaultStorage::Trim(std::string_view name, uint64_t size_bytes) {
  HF_TRY_VOID(CheckPut(name, {}));
  auto trim = [&]() -> Status {
    if (plan_.drop_unsynced) HF_TRY_VOID(PassOnPending(name));
    return inner_.Trim(name, size_bytes);
  };
  return Write({.kind = WriteKind::kTrim, .name = std::string(name), .position = size_bytes}, trim, [&] {
    if (choices_.Happened()) (void)trim().has_value();
  });
}

Result<seam::Listing> FaultStorage::List(std::string_view prefix, std::string_view after, size_t limit) {
  HF_TRY_VOID(CountRead());
  if (!plan_.drop_unsynced) return inner_.List(prefix, after, limit);
  Lock lock(mutex_);
  return ListMerged(prefix, after, limit);
}

Result<seam::Listing> FaultStorage::ListMerged(std::string_view prefix, std::string_view after,
                                               size_t limit) {
  if (limit == 0) return Code::kInvalidArgument;
  limit = std::min(limit, seam::kListPageMax);
  HF_TRY(std::vector<seam::ObjectInfo> inner, seam::ListAll(inner_, prefix));
  std::map<std::string, uint64_t> sizes;
  for (seam::ObjectInfo& o : inner) sizes.emplace(std::move(o.name), o.size_bytes);
  for (const auto& [name, states] : unsynced_.all()) {
    if (!name.starts_with(prefix)) continue;
    if (states.back()) {
      sizes.insert_or_assign(name, states.back()->size());
    } else {
      sizes.erase(name);
    }
  }
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

}  // namespace holdfast::host
