#include "core/runtime/channel_storage.h"

#include "seam/metrics.h"

namespace holdfast::runtime {

using seam::StorageOperation;

namespace {

uint64_t BodyMaxOf(const seam::StorageRequest& request) {
  switch (static_cast<StorageOperation>(request.operation)) {
    case StorageOperation::kGet:
    case StorageOperation::kGetVersioned:
      return seam::kGetBytesMax;
    case StorageOperation::kGetRange:
      return request.length;
    default:
      return 0;
  }
}

// What a provider may fail with (seam/storage.h). Further up, any other code speaks of a command, a table or
// a client, and has consequences that are not the host's to choose; zero would be no error at all.
bool IsOfStorage(Code code) {
  switch (code) {
    case Code::kTooLarge:
    case Code::kInvalidArgument:
    case Code::kUnsupported:
    case Code::kNotFound:
    case Code::kExists:
    case Code::kVersionMismatch:
    case Code::kFull:
    case Code::kIo:
    case Code::kPoisoned:
    case Code::kReadOnly:
    case Code::kPermission:
    case Code::kUnreachable:
    case Code::kCrashed:
      return true;
    default:
      return false;
  }
}

}  // namespace

seam::StorageReply StorageChannel::Call(seam::StorageRequest request) {
  Waiter waiter;
  waiter.operation = request.operation;
  waiter.body_max = BodyMaxOf(request);
  sync::MutexLock lock(mutex_);
  seam::StorageReply none;
  none.code = Code::kStopping;
  if (aborted_) return none;
  uint64_t id = next_id_++;
  request.id = seam::RequestId(id);
  waiting_[id] = &waiter;
  lock.Unlock();
  host_.FromCore(std::move(request));
  lock.Lock();
  while (!waiter.done && !aborted_) waiter.wake.Wait(mutex_);
  waiting_.erase(id);
  return waiter.done ? std::move(waiter.reply) : none;
}

void StorageChannel::OnReply(seam::StorageReply reply) {
  sync::MutexLock lock(mutex_);
  auto it = waiting_.find(reply.id.value);
  // A reply that nobody asked for, of another kind, or a second one, is not an answer.
  if (it == waiting_.end() || it->second->operation != reply.operation || it->second->done ||
      reply.bytes.size() > it->second->body_max) {
    ++refused_;
    seam::Metrics().Add(seam::Metric::kRepliesRefused);
    return;
  }
  Waiter& w = *it->second;
  w.reply = std::move(reply);
  if (!w.reply.ok && !IsOfStorage(w.reply.code)) {
    w.reply.code = Code::kIo;
    ++refused_;
    seam::Metrics().Add(seam::Metric::kRepliesRefused);
  }
  w.done = true;
  w.wake.NotifyOne();
}

std::optional<uint64_t> StorageChannel::BodyMax(seam::RequestId id, StorageOperation operation) {
  sync::MutexLock lock(mutex_);
  auto it = waiting_.find(id.value);
  if (it == waiting_.end() || it->second->operation != static_cast<uint8_t>(operation) || it->second->done) {
    ++refused_;
    seam::Metrics().Add(seam::Metric::kRepliesRefused);
    return {};
  }
  return it->second->body_max;
}

void StorageChannel::Abort() {
  sync::MutexLock lock(mutex_);
  aborted_ = true;
  for (auto& [id, w] : waiting_) w->wake.NotifyOne();
}

uint64_t StorageChannel::refused_replies() const {
  sync::MutexLock lock(mutex_);
  return refused_;
}

Result<seam::StorageReply> ChannelStorage::Send(seam::StorageRequest request) {
  request.volume = volume_;
  request.provider = provider_;
  seam::StorageReply reply = channel_.Call(std::move(request));
  if (!reply.ok) return reply.code;
  return reply;
}

Result<seam::StorageReply> ChannelStorage::Call(StorageOperation op, std::string_view name, ByteView bytes,
                                                uint64_t offset, uint64_t length) {
  seam::StorageRequest r;
  r.operation = static_cast<uint8_t>(op);
  r.name = name;
  r.bytes = ToBytes(bytes);
  r.offset = offset;
  r.length = length;
  return Send(std::move(r));
}

Status ChannelStorage::Simple(StorageOperation op, std::string_view name, ByteView bytes, uint64_t offset,
                              uint64_t length) {
  HF_TRY(seam::StorageReply reply, Call(op, name, bytes, offset, length));
  (void)reply;
  return Ok();
}

Status ChannelStorage::Connect() {
  HF_TRY(seam::StorageReply reply, Call(StorageOperation::kCapabilities, ""));
  capabilities_ = reply.capabilities;
  return Ok();
}

Result<UntrustedBytes> ChannelStorage::Get(std::string_view name) {
  HF_TRY(seam::StorageReply reply, Call(StorageOperation::kGet, name));
  return UntrustedBytes(std::move(reply.bytes));
}
Result<UntrustedBytes> ChannelStorage::GetRange(std::string_view name, uint64_t offset, uint64_t length) {
  HF_TRY(seam::StorageReply reply, Call(StorageOperation::kGetRange, name, {}, offset, length));
  if (reply.bytes.size() > length) return Code::kMalformed;
  return UntrustedBytes(std::move(reply.bytes));
}
Result<seam::VersionedBytes> ChannelStorage::GetVersioned(std::string_view name) {
  HF_TRY(seam::StorageReply reply, Call(StorageOperation::kGetVersioned, name));
  return seam::VersionedBytes{UntrustedBytes(std::move(reply.bytes)), std::move(reply.version)};
}
Status ChannelStorage::Put(std::string_view name, ByteView bytes) {
  return Simple(StorageOperation::kPut, name, bytes);
}
Status ChannelStorage::PutIfAbsent(std::string_view name, ByteView bytes) {
  return Simple(StorageOperation::kPutIfAbsent, name, bytes);
}
Result<seam::ObjectVersion> ChannelStorage::PutIfVersion(std::string_view name, ByteView bytes,
                                                         const seam::ObjectVersion& expected) {
  seam::StorageRequest r;
  r.operation = static_cast<uint8_t>(StorageOperation::kPutIfVersion);
  r.name = name;
  r.bytes = ToBytes(bytes);
  r.version = expected;
  HF_TRY(seam::StorageReply reply, Send(std::move(r)));
  return std::move(reply.version);
}
Status ChannelStorage::Delete(std::string_view name) { return Simple(StorageOperation::kDelete, name); }
Result<seam::Listing> ChannelStorage::List(std::string_view prefix, std::string_view after, size_t limit) {
  seam::StorageRequest r;
  r.operation = static_cast<uint8_t>(StorageOperation::kList);
  r.name = prefix;
  r.after = after;
  r.length = limit;
  HF_TRY(seam::StorageReply reply, Send(std::move(r)));
  return std::move(reply.listing);
}
Status ChannelStorage::Barrier() { return Simple(StorageOperation::kBarrier, ""); }
Status ChannelStorage::CreateAppendable(std::string_view name, uint64_t reserve_bytes, ByteView first) {
  return Simple(StorageOperation::kCreateAppendable, name, first, 0, reserve_bytes);
}
Status ChannelStorage::Append(std::string_view name, uint64_t offset, ByteView bytes) {
  return Simple(StorageOperation::kAppend, name, bytes, offset);
}
Status ChannelStorage::Trim(std::string_view name, uint64_t size_bytes) {
  return Simple(StorageOperation::kTrim, name, {}, 0, size_bytes);
}

}  // namespace holdfast::runtime
