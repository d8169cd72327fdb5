#include <grpc/support/time.h>

#include <charconv>

#include "core/session/service_internal.h"

namespace holdfast::session {

// No default: a new code does not compile until somebody has decided.
grpc::StatusCode GrpcCode(Code code) {
  switch (code) {
    case Code::kInternal:
    case Code::kNoRandomness:
    case Code::kIo:
    case Code::kCrashed:
    case Code::kAlien:
    case Code::kProviderLies:
    case Code::kTermExhausted:
    case Code::kChannelVersion:
    case Code::kChannelBroken:
    case Code::kMessageRefused:
    case Code::kPeerGone:
    case Code::kNoCoreProgram:
    case Code::kSandbox:
    case Code::kHostStalls:
    case Code::kKdfBounds:
    case Code::kNoKey:
      return grpc::StatusCode::INTERNAL;
    case Code::kMalformed:
    case Code::kAuthFailed:
    case Code::kChecksum:
    case Code::kForeign:
    case Code::kTorn:
    case Code::kTampered:
    case Code::kMissing:
    case Code::kRolledBack:
    case Code::kForked:
    case Code::kBothSlotsBad:
    case Code::kFreshnessUnproven:
    case Code::kProofRefused:
      return grpc::StatusCode::DATA_LOSS;
    case Code::kTooLarge:
    case Code::kInvalidArgument:
    case Code::kKeySize:
    case Code::kValueSize:
    case Code::kBatchSize:
    case Code::kTableName:
    case Code::kTagName:
    case Code::kKeyType:
    case Code::kValueType:
    case Code::kCompareNeedsDurable:
    case Code::kTransientMixed:
    case Code::kIndexRowSize:
    case Code::kIndexPointer:
    case Code::kCannotShare:
    case Code::kBadUrl:
    case Code::kUsage:
    case Code::kBadConfig:
    case Code::kPassphraseFileMode:
    case Code::kNoPassphrase:
    case Code::kNoCredentials:
    case Code::kCredentialsFileMode:
    case Code::kBadInput:
      return grpc::StatusCode::INVALID_ARGUMENT;
    case Code::kUnsupported:
    case Code::kNoFencing:
      return grpc::StatusCode::UNIMPLEMENTED;
    case Code::kCancelled:
      return grpc::StatusCode::CANCELLED;
    case Code::kDeadline:
      return grpc::StatusCode::DEADLINE_EXCEEDED;
    case Code::kUnknownFormat:
    case Code::kReadOnly:
    case Code::kInUse:
    case Code::kNotEmpty:
    case Code::kNoStore:
    case Code::kFenced:
    case Code::kNotLeader:
    case Code::kSessionTooOld:
    case Code::kNoProof:
    case Code::kDescriptorVersion:
      return grpc::StatusCode::FAILED_PRECONDITION;
    case Code::kWrongPassphrase:
    case Code::kPermission:
    case Code::kRefusedByProvider:
      return grpc::StatusCode::PERMISSION_DENIED;
    case Code::kNotFound:
    case Code::kNoTable:
    case Code::kNoClient:
    case Code::kNoTag:
    case Code::kNoIndex:
      return grpc::StatusCode::NOT_FOUND;
    case Code::kExists:
    case Code::kTableExists:
    case Code::kTagExists:
    case Code::kIndexExists:
      return grpc::StatusCode::ALREADY_EXISTS;
    case Code::kVersionMismatch:
    case Code::kConflict:
    case Code::kBlockLimit:
    case Code::kNotUnique:
      return grpc::StatusCode::ABORTED;
    case Code::kFull:
    case Code::kOverloaded:
    case Code::kTooManyTables:
    case Code::kTooManyTags:
    case Code::kTooManyIndexes:
    case Code::kTransientFull:
    case Code::kIndexBuildSize:
    case Code::kTooManyPins:
    case Code::kTooManyWatches:
    case Code::kTooManyStreams:
    case Code::kTooManyWaits:
    case Code::kTooManyConnections:
    case Code::kSlowReader:
      return grpc::StatusCode::RESOURCE_EXHAUSTED;
    case Code::kPoisoned:
    case Code::kUnreachable:
    case Code::kNoQuorum:
    case Code::kStopping:
    case Code::kServerUnreachable:
      return grpc::StatusCode::UNAVAILABLE;
    case Code::kSnapshotTooOld:
      return grpc::StatusCode::OUT_OF_RANGE;
    case Code::kRevoked:
    case Code::kUnauthenticated:
      return grpc::StatusCode::UNAUTHENTICATED;
  }
  return grpc::StatusCode::INTERNAL;
}

grpc::Status Failure(grpc::CallbackServerContext* context, Code code, uint64_t detail) {
  context->AddTrailingMetadata("holdfast-code", std::to_string(static_cast<unsigned>(code)));
  if (detail != 0 || code == Code::kConflict)
    context->AddTrailingMetadata("holdfast-detail", std::to_string(detail));
  return {GrpcCode(code), std::string(CodeName(code)) + ": " + std::string(CodeText(code))};
}

gpr_timespec DeadlineOf(const grpc::CallbackServerContext& context) {
  gpr_timespec latest =
      gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(kWaitMillisecondsMax, GPR_TIMESPAN));
  gpr_timespec own = gpr_convert_clock_type(context.raw_deadline(), GPR_CLOCK_MONOTONIC);
  return gpr_time_cmp(own, latest) < 0 ? own : latest;
}

uint64_t LeftMs(gpr_timespec deadline) {
  int64_t left = gpr_time_to_millis(gpr_time_sub(deadline, gpr_now(GPR_CLOCK_MONOTONIC)));
  return left > 0 ? static_cast<uint64_t>(left) : 0;
}

std::string SerialOf(const Services& services, const grpc::CallbackServerContext& context) {
  std::string peer = context.peer();  // "fd:12"
  int fd = -1;
  if (!peer.starts_with("fd:")) return {};
  std::from_chars(peer.data() + 3, peer.data() + peer.size(), fd);
  auto found = services.edge->Identify(fd);
  return found ? found->serial : std::string();
}

void FillReply(const WriteReply& from, v1::WriteReply* to) {
  to->set_term(from.term.value);
  to->set_index(from.index.value);
  to->set_reached(from.reached == kernel::Wait::kNone ? v1::WAIT_NONE : v1::WAIT_DURABLE);
}

namespace {

Result<v1::GetReply> ReadTag(const OpenedTable& open, const v1::GetRequest& request) {
  HF_TRY(auto value, open.snapshot->Get(open.table, AsBytes(request.key())));
  v1::GetReply reply;
  reply.set_found(value.has_value());
  if (value) reply.set_value(value->data(), value->size());
  reply.set_index(open.snapshot->index().value);
  return reply;
}

Result<OpenedTable> TableOfTag(Backend& backend, std::string_view table, std::string_view tag) {
  OpenedTable open;
  HF_TRY(open.snapshot, backend.OpenTag(tag));
  HF_TRY(open.table, open.snapshot->FindTable(table));
  return open;
}

}  // namespace

Result<OpenedTable> OpenTable(Backend& backend, std::string_view table, std::string_view tag) {
  if (!tag.empty()) return TableOfTag(backend, table, tag);
  auto id = backend.FindTable(table);
  if (id) return OpenedTable{*id, nullptr};
  if (id.code() != Code::kReadOnly) return id.error();
  size_t at = table.rfind('@');
  if (at == table.npos) return id.error();
  return TableOfTag(backend, table.substr(0, at), table.substr(at + 1));
}

Result<v1::GetReply> ReadOne(Backend& backend, const v1::GetRequest& request, LogIndex at_least) {
  if (request.key().empty() || request.key().size() > limits::kKeyBytesMax) return Code::kKeySize;
  HF_TRY(OpenedTable open, OpenTable(backend, request.table(), request.tag()));
  if (open.snapshot != nullptr) return ReadTag(open, request);
  if (at_least.value < request.at_least()) at_least = LogIndex(request.at_least());
  LogIndex index = backend.AppliedIndex();  // asked first: what is read is of this state or a later one
  HF_TRY(auto value, backend.Get(open.table, AsBytes(request.key()), at_least, 0));
  v1::GetReply reply;
  reply.set_found(value.has_value());
  if (value) reply.set_value(value->data(), value->size());
  reply.set_index(index < at_least ? at_least.value : index.value);
  return reply;
}

std::optional<Result<v1::GetReply>> ReadNow(Backend& backend, const v1::GetRequest& request,
                                            LogIndex at_least) {
  if (request.key().empty() || request.key().size() > limits::kKeyBytesMax) {
    return Result<v1::GetReply>(Code::kKeySize);
  }
  if (!request.tag().empty()) return std::nullopt;
  Result<TableId> table = backend.FindTable(request.table());
  if (!table && table.code() == Code::kReadOnly) return std::nullopt;  // of a tag
  if (!table) return Result<v1::GetReply>(table.error());
  if (at_least.value < request.at_least()) at_least = LogIndex(request.at_least());
  LogIndex index = backend.AppliedIndex();  // asked first: what is read is of this state or a later one
  auto value = backend.GetNow(*table, AsBytes(request.key()), at_least);
  if (!value) return std::nullopt;
  if (!*value) return Result<v1::GetReply>(value->error());
  v1::GetReply reply;
  const std::optional<Bytes>& found = **value;
  reply.set_found(found.has_value());
  if (found) reply.set_value(found->data(), found->size());
  reply.set_index(index < at_least ? at_least.value : index.value);
  return Result<v1::GetReply>(std::move(reply));
}

}  // namespace holdfast::session
