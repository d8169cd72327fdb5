// What the gRPC services share.
#ifndef HOLDFAST_CORE_SESSION_SERVICE_INTERNAL_H_
#define HOLDFAST_CORE_SESSION_SERVICE_INTERNAL_H_

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "core/session/backend.h"
#include "core/session/clients.h"
#include "core/session/edge.h"
#include "core/session/messages_internal.h"
#include "core/session/parking.h"
#include "core/session/places.h"
#include "core/session/requests_internal.h"
#include "core/session/work_pool.h"
#include "crypto/random.h"
#include "holdfast/v1/kv.grpc.pb.h"

namespace holdfast::session {

struct Services {
  Backend& backend;
  crypto::Random& random;
  Clients& clients;
  WorkPool& reads;   // Get, Scan, Watch
  WorkPool& admin;   // Verify and the like, so that a long one keeps no reader waiting
  WorkPool& proofs;  // one at a time, since they may save; and no administrator waits for them
  std::unique_ptr<Edge>& edge;
  Places& watches;
  Places& streams;
  Places& waits;                      // calls that wait for an index, or until their write is answered
  std::unique_ptr<Parking>& parking;  // where those for an index wait
};

inline constexpr size_t kReplyBytesTarget = 256u << 10;   // of one message in a stream; one row may exceed it
inline constexpr uint64_t kWaitMillisecondsMax = 60'000;  // of a call without a deadline

// The one mapping from our codes to gRPC's.
grpc::StatusCode GrpcCode(Code code);
// Status with message "kName: text"; numbers go into the trailing metadata.
grpc::Status Failure(grpc::CallbackServerContext* context, Code code, uint64_t detail = 0);
// When a call gives up: its own deadline, or kWaitMillisecondsMax from now.
gpr_timespec DeadlineOf(const grpc::CallbackServerContext& context);
uint64_t LeftMs(gpr_timespec deadline);
// The client's serial; empty when the connection has just ended.
std::string SerialOf(const Services& services, const grpc::CallbackServerContext& context);

void FillReply(const WriteReply& from, v1::WriteReply* to);
// A table to read, by its name: of the newest state, or, with a snapshot, of a tag, which `tag` or the
// name (TABLE@TAG) says. kNoTable, kNoTag, kTooManyPins.
struct OpenedTable {
  TableId table;
  std::unique_ptr<Snapshot> snapshot;
};
Result<OpenedTable> OpenTable(Backend& backend, std::string_view table, std::string_view tag);
// The answer if nothing has to be waited for (Backend::GetNow).
std::optional<Result<v1::GetReply>> ReadNow(Backend& backend, const v1::GetRequest& request,
                                            LogIndex at_least);
// Blocking, but not for the index: kDeadline while that is not applied.
Result<v1::GetReply> ReadOne(Backend& backend, const v1::GetRequest& request, LogIndex at_least);

grpc::ServerWriteReactor<grpc::ByteBuffer>* NewScan(Services& services, grpc::CallbackServerContext* context,
                                                    v1::ScanRequest request);
grpc::ServerWriteReactor<grpc::ByteBuffer>* NewWatch(Services& services, grpc::CallbackServerContext* context,
                                                     const v1::WatchRequest& request);
grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* NewSessionStream(
    Services& services, grpc::CallbackServerContext* context);
std::unique_ptr<grpc::Service> NewKvService(Services& services);
std::unique_ptr<grpc::Service> NewAdminService(Services& services);

}  // namespace holdfast::session

#endif  // HOLDFAST_CORE_SESSION_SERVICE_INTERNAL_H_
