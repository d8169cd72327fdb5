#ifndef HOLDFAST_SDK_RPC_INTERNAL_H_
#define HOLDFAST_SDK_RPC_INTERNAL_H_

#include <grpcpp/grpcpp.h>

#include <memory>

#include "holdfast/v1/kv.grpc.pb.h"
#include "sdk/client.h"

namespace holdfast::sdk {

namespace v1 = ::holdfast::v1;

class Channel {
 public:
  explicit Channel(std::shared_ptr<grpc::Channel> c) : grpc_channel(std::move(c)) {}
  std::shared_ptr<grpc::Channel> grpc_channel;
};

// The server's own code out of the trailing metadata, or what gRPC says translated. REQUIRES: !status.ok().
Code CodeOf(const grpc::Status& status, const grpc::ClientContext& context);
Code CodeOfNumber(uint32_t number);  // kInternal for a number this client does not know
void SetTimeout(grpc::ClientContext& context, uint64_t timeout_ms);

inline v1::Wait ToProto(Wait wait) { return wait == Wait::kNone ? v1::WAIT_NONE : v1::WAIT_DURABLE; }
inline Written FromProto(const v1::WriteReply& r) {
  return {r.term(), r.index(), r.reached() == v1::WAIT_NONE ? Wait::kNone : Wait::kDurable};
}
void FillBatch(const Batch& from, v1::BatchRequest* to);

}  // namespace holdfast::sdk

#endif  // HOLDFAST_SDK_RPC_INTERNAL_H_
