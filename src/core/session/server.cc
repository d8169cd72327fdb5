#include "core/session/server.h"

#include <grpc/grpc.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/server_posix.h>

#include "core/session/pki.h"
#include "core/session/service_internal.h"

namespace holdfast::session {
namespace {

constexpr size_t kReadsQueueMax = 4096;
constexpr size_t kAdminThreads = 2, kAdminQueueMax = 64;
constexpr size_t kProofThreads = 1, kProofsQueueMax = 256;
constexpr int kStreamsPerConnectionMax = 128;
constexpr int kStreamLookaheadBytes = 512 << 10;    // the edge's own window
constexpr int kReadChunkBytes = 64 << 10;           // what the edge writes at a time
constexpr size_t kRequestMemoryBytes = 512u << 20;  // of all gRPC buffers together; then it stops reading
// A peer that is silent for so long is asked, and dropped when it does not answer: half-open connections end.
constexpr int kKeepaliveMs = 60'000, kKeepaliveTimeoutMs = 20'000;

}  // namespace

struct SessionServer::State {
  State(Backend& b, seam::HostEndpoint& h, crypto::Random& r, ServerOptions o)
      : backend(b),
        host(h),
        random(r),
        options(o),
        watches(kWatchPlaces, o.watches_max),
        streams(kStreamPlaces, o.session_streams_max),
        waits(kWaitPlaces, o.waits_max) {}

  Backend& backend;
  seam::HostEndpoint& host;
  crypto::Random& random;
  ServerOptions options;
  Places watches, streams, waits;
  Clients clients;
  std::unique_ptr<WorkPool> reads, admin, proofs;
  std::unique_ptr<Parking> parking;
  std::unique_ptr<Edge> edge;
  std::unique_ptr<Services> services;
  std::unique_ptr<grpc::Service> kv_service, admin_service;
  std::unique_ptr<grpc::Server> user_server, admin_server;
  bool stopped = false;

  std::unique_ptr<grpc::Server> Build(grpc::Service* service, size_t request_bytes_max) {
    grpc::ServerBuilder builder;
    builder.RegisterService(service);
    builder.SetMaxReceiveMessageSize(static_cast<int>(request_bytes_max));
    // A compressed message is small until it is not.
    for (auto algorithm : {GRPC_COMPRESS_DEFLATE, GRPC_COMPRESS_GZIP})
      builder.SetCompressionAlgorithmSupportStatus(algorithm, false);
    builder.AddChannelArgument(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
    builder.SetMaxSendMessageSize(static_cast<int>(kMessageBytesMax));
    builder.SetResourceQuota(grpc::ResourceQuota("holdfast").Resize(kRequestMemoryBytes));
    builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kStreamsPerConnectionMax);
    // What a stream may have on its way is fixed: the peer is a pair of sockets, and gRPC's probes for a
    // better figure are pings that cross both processes.
    builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, kStreamLookaheadBytes);
    builder.AddChannelArgument(GRPC_ARG_TCP_READ_CHUNK_SIZE, kReadChunkBytes);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10'000);
    return builder.BuildAndStart();
  }

  Result<std::shared_ptr<TlsContext>> LoadTls() {
    HF_TRY(auto ca, backend.GetSystem(kCaCertRow));
    HF_TRY(auto cert, backend.GetSystem(kServerCertRow));
    HF_TRY(auto key, backend.GetSystem(kServerKeyRow));
    if (!ca || !cert || !key) return Code::kMissing;
    auto tls = TlsContext::Make(*ca, *cert, *key, [this](const std::string& serial, seam::Listener listener) {
      return clients.Check(serial, listener);
    });
    Wipe(key->data(), key->size());
    return tls;
  }

  void Adopt(int fd, seam::Listener listener) {
    grpc::AddInsecureChannelFromFd(listener == seam::Listener::kUser ? user_server.get() : admin_server.get(),
                                   fd);
  }
};

SessionServer::SessionServer(Backend& backend, seam::HostEndpoint& host, crypto::Random& random,
                             ServerOptions options)
    : s_(std::make_unique<State>(backend, host, random, options)) {}

SessionServer::~SessionServer() { Stop(0); }

Status SessionServer::Start() {
  // Held for the life of the process: the last release would join gRPC's executor, whose thread may sit in a
  // poll of ten seconds and more that nothing interrupts, and a stop would take as long.
  static const bool kHeld = (grpc_init(), true);
  static_cast<void>(kHeld);
  SilenceMessageParser();
  HF_TRY(auto tls, s_->LoadTls());
  auto loaded = s_->clients.Load(s_->backend);
  if (!loaded) return loaded.error();
  s_->edge = std::make_unique<Edge>(
      std::move(tls), s_->host, [s = s_.get()](int fd, seam::Listener l) { s->Adopt(fd, l); },
      s_->options.edge_threads);
  s_->reads =
      std::make_unique<WorkPool>(sync::ActivityKind::kReads, s_->options.read_threads, kReadsQueueMax);
  s_->parking = std::make_unique<Parking>(s_->backend, *s_->reads);
  s_->admin = std::make_unique<WorkPool>(sync::ActivityKind::kRpc, kAdminThreads, kAdminQueueMax);
  s_->proofs = std::make_unique<WorkPool>(sync::ActivityKind::kRpc, kProofThreads, kProofsQueueMax);
  s_->services.reset(new Services{s_->backend, s_->random, s_->clients, *s_->reads, *s_->admin, *s_->proofs,
                                  s_->edge, s_->watches, s_->streams, s_->waits, s_->parking});
  s_->kv_service = NewKvService(*s_->services);
  s_->admin_service = NewAdminService(*s_->services);
  s_->user_server = s_->Build(s_->kv_service.get(), kMessageBytesMax);
  s_->admin_server = s_->Build(s_->admin_service.get(), kSmallMessageBytesMax);
  if (!s_->user_server || !s_->admin_server) return Code::kIo;
  return s_->edge->Start();
}

void SessionServer::FromHost(seam::HostToCore message) {
  if (s_->edge) s_->edge->FromHost(std::move(message));
}

void SessionServer::RevocationsChanged() {
  if (!s_->admin) return;
  s_->admin->Continue([s = s_.get()] {
    auto ended = s->clients.Load(s->backend);
    if (!ended) return;  // what was revoked before stays so
    for (const std::string& serial : *ended) s->edge->EndClient(serial);
  });
}

void SessionServer::Stop(uint64_t grace_ms) {
  if (s_->stopped) return;
  s_->stopped = true;
  if (s_->edge) s_->edge->RefuseNew();
  auto deadline = gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                               gpr_time_from_millis(static_cast<int64_t>(grace_ms), GPR_TIMESPAN));
  if (s_->admin_server) s_->admin_server->Shutdown(deadline);
  if (s_->user_server) s_->user_server->Shutdown(deadline);
  // Their calls are over, so nothing submits any more; then the pump, which the services still name.
  s_->parking.reset();
  s_->reads.reset();
  s_->proofs.reset();
  s_->admin.reset();
  if (s_->edge) s_->edge->Stop();
  s_->user_server.reset();
  s_->admin_server.reset();
}

size_t SessionServer::connections() const { return s_->edge ? s_->edge->connections() : 0; }

}  // namespace holdfast::session
