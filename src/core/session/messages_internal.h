// Requests from bytes and replies to bytes, by hand: what a request costs is known before it is decoded
// (core/request). The services take gRPC's raw methods for that.
#ifndef HOLDFAST_CORE_SESSION_MESSAGES_INTERNAL_H_
#define HOLDFAST_CORE_SESSION_MESSAGES_INTERNAL_H_

#include <grpcpp/grpcpp.h>

#include "base/check.h"
#include "base/result.h"
#include "core/request/field_count.h"
#include "holdfast/v1/kv.pb.h"

namespace holdfast::session {

inline constexpr size_t kMessageBytesMax = 20u << 20;  // the largest batch and its framing
// Everything but what carries values: names, keys and numbers.
inline constexpr size_t kSmallMessageBytesMax = 64u << 10;
inline constexpr uint64_t kSmallMessageFieldsMax = 256;
// The largest batch has 10,000 operations and 10,000 compares of four fields each. Decoded, so many cost less
// than the bytes of the largest message.
inline constexpr uint64_t kMessageFieldsMax = 200'000;

struct RequestLimits {
  const request::Shape* shape = nullptr;
  size_t bytes_max = kSmallMessageBytesMax;
  uint64_t fields_max = kSmallMessageFieldsMax;
  Code too_many = Code::kTooLarge;  // fields
};
// Of a request without messages inside and without values.
RequestLimits LimitsOf(const google::protobuf::Message&);
RequestLimits LimitsOf(const holdfast::v1::PutRequest&);
RequestLimits LimitsOf(const holdfast::v1::BatchRequest&);
RequestLimits LimitsOf(const holdfast::v1::SessionRequest&);

// kTooLarge, or limits.too_many: over its limits; nothing was decoded. kInvalidArgument: no message. What is
// too short to hold too many fields is not looked into: most requests pay nothing.
Status Check(const grpc::ByteBuffer& bytes, const RequestLimits& limits);

// The bytes are given up, whatever becomes of them.
template <typename Request>
Status Decode(grpc::ByteBuffer* bytes, Request* request) {
  grpc::ByteBuffer own;
  own.Swap(bytes);
  HF_TRY_VOID(Check(own, LimitsOf(*request)));
  bool decoded = grpc::SerializationTraits<Request>::Deserialize(&own, request).ok();
  return decoded ? Ok() : Status(Code::kInvalidArgument);
}

// `bytes` are gRPC's from then on, until it has written them.
template <typename Reply>
void Encode(const Reply& reply, grpc::ByteBuffer* bytes) {
  bool own = false;
  bytes->Clear();
  grpc::Status encoded = grpc::SerializationTraits<Reply>::Serialize(reply, bytes, &own);
  HF_CHECK(encoded.ok());  // proto3: nothing can be missing
}

}  // namespace holdfast::session

#endif  // HOLDFAST_CORE_SESSION_MESSAGES_INTERNAL_H_
