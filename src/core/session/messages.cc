#include <vector>

#include "core/session/messages_internal.h"

namespace holdfast::session {

namespace v1 = ::holdfast::v1;

namespace {

using request::MessageField;
using request::Shape;

constexpr size_t kFieldBytesMin = 2;

constexpr Shape kLeaves = {};
constexpr MessageField kBatchFields[] = {{v1::BatchRequest::kComparesFieldNumber, &kLeaves},
                                         {v1::BatchRequest::kOperationsFieldNumber, &kLeaves}};
constexpr Shape kBatch = {kBatchFields};
constexpr MessageField kOperationFields[] = {
    {v1::SessionOperation::kOpenFieldNumber, &kLeaves}, {v1::SessionOperation::kGetFieldNumber, &kLeaves},
    {v1::SessionOperation::kPutFieldNumber, &kLeaves},  {v1::SessionOperation::kDeleteFieldNumber, &kLeaves},
    {v1::SessionOperation::kBatchFieldNumber, &kBatch}, {v1::SessionOperation::kSyncFieldNumber, &kLeaves}};
constexpr Shape kOperation = {kOperationFields};
constexpr MessageField kSessionFields[] = {{v1::SessionRequest::kOperationsFieldNumber, &kOperation}};
constexpr Shape kSession = {kSessionFields};

}  // namespace

RequestLimits LimitsOf(const google::protobuf::Message&) { return {.shape = &kLeaves}; }
RequestLimits LimitsOf(const v1::PutRequest&) { return {.shape = &kLeaves, .bytes_max = kMessageBytesMax}; }
RequestLimits LimitsOf(const v1::BatchRequest&) {
  return {&kBatch, kMessageBytesMax, kMessageFieldsMax, Code::kBatchSize};
}
RequestLimits LimitsOf(const v1::SessionRequest&) {
  return {&kSession, kMessageBytesMax, kMessageFieldsMax, Code::kBatchSize};
}

Status Check(const grpc::ByteBuffer& bytes, const RequestLimits& limits) {
  if (bytes.Length() > limits.bytes_max) return Code::kTooLarge;
  if (bytes.Length() <= kFieldBytesMin * limits.fields_max) return Ok();
  std::vector<grpc::Slice> pieces;
  if (!bytes.Dump(&pieces).ok()) return Code::kInvalidArgument;  // compressed, and not well
  request::FieldCount count(*limits.shape, bytes.Length(), limits.fields_max);
  for (const grpc::Slice& piece : pieces) {
    Status fed = count.Feed({piece.begin(), piece.size()});
    if (!fed) return fed.code() == Code::kTooLarge ? limits.too_many : Code::kInvalidArgument;
  }
  return count.Finish() ? Ok() : Status(Code::kInvalidArgument);
}

}  // namespace holdfast::session
