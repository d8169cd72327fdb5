// etcd with one member: gRPC without TLS, one connection, one thread with a completion queue.
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <filesystem>
#include <optional>

#include "bench/failure_internal.h"
#include "bench/load_internal.h"
#include "etcd_kv.grpc.pb.h"

namespace holdfast::bench {
namespace {

namespace etcd = ::etcdserverpb;

constexpr int kStartAttempts = 3;  // somebody else may take a port between our look and its start
constexpr uint64_t kReadyMilliseconds = 30'000;
constexpr auto kCallTimeout = std::chrono::seconds(30), kReadyTimeout = std::chrono::seconds(1);
constexpr const char* kQuotaBytes = "8589934592";  // for stream_in; etcd's own advice is at most this

// One call that is out.
struct Call {
  std::optional<grpc::ClientContext> context;
  grpc::Status status;
  etcd::PutRequest put;
  etcd::PutResponse put_response;
  etcd::RangeRequest range;
  etcd::RangeResponse range_response;
  uint64_t row = 0, begun = 0;
};

class Etcd final : public Target {
 public:
  Etcd(std::string directory, std::string program)
      : Target("etcd"), directory_(std::move(directory)), program_(std::move(program)) {}

  void Start() override {
    std::filesystem::create_directories(directory_);
    for (int attempt = 1; !TryStart(); ++attempt) {
      if (attempt == kStartAttempts) {
        FailWith(Code::kInternal, "bench: etcd does not start: " + process_->LastLine());
      }
    }
  }
  void Stop() override {
    stub_.reset();
    if (process_) process_->Stop();
    process_.reset();
  }
  const Process& process() const override { return *process_; }

 protected:
  void Drive(const Load& load, uint64_t first, Stopwatch& watch) override {
    std::vector<Call> calls(load.outstanding);
    Dice dice(first);
    grpc::CompletionQueue done;
    uint64_t begun = 0, answered = 0;
    auto begin = [&](Call& call) {
      call.row = load.work == Load::Work::kGet ? dice.Below(load.rows) : first + begun;
      ++begun;
      Begin(load, call, done);
    };
    for (Call& call : calls) {
      if (watch.GoesOn(begun)) begin(call);
    }
    void* tag = nullptr;
    bool ok = false;
    while (answered < begun && done.Next(&tag, &ok)) {
      Call& call = *static_cast<Call*>(tag);
      ++answered;
      watch.Answered(call.begun);
      if (!ok || !call.status.ok()) {
        watch.Broke(Code::kServerUnreachable);
      } else if (!Good(load, call)) {
        watch.Broke(Code::kInternal);
      }
      if (watch.GoesOn(begun)) begin(call);
    }
    done.Shutdown();
    while (done.Next(&tag, &ok)) {
    }
  }

 private:
  bool TryStart() {
    std::vector<uint16_t> ports = FreePorts(2);
    auto url = [&](size_t i) { return "http://127.0.0.1:" + std::to_string(ports[i]); };
    process_.emplace(std::vector<std::string>{program_,
                                              "--name",
                                              "bench",
                                              "--data-dir",
                                              directory_ + "/data",
                                              "--listen-client-urls",
                                              url(0),
                                              "--advertise-client-urls",
                                              url(0),
                                              "--listen-peer-urls",
                                              url(1),
                                              "--initial-advertise-peer-urls",
                                              url(1),
                                              "--initial-cluster",
                                              "bench=" + url(1),
                                              "--quota-backend-bytes",
                                              kQuotaBytes,
                                              "--logger",
                                              "zap",
                                              "--log-level",
                                              "error"},
                     directory_ + "/log");
    for (uint64_t waited = 0; waited < kReadyMilliseconds; waited += 20) {
      if (!process_->Running()) return false;
      if (Answers(ports[0])) return true;
      SleepMilliseconds(20);
    }
    Fail("bench: etcd is not ready", Code::kDeadline);
  }

  // A new channel each time: one that came before etcd was ready to speak would wait for long.
  bool Answers(uint16_t port) {
    grpc::ChannelArguments options;
    options.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
    options.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    options.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    stub_ = etcd::KV::NewStub(grpc::CreateCustomChannel("ipv4:127.0.0.1:" + std::to_string(port),
                                                        grpc::InsecureChannelCredentials(), options));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kReadyTimeout);
    etcd::RangeRequest request;
    etcd::RangeResponse response;
    request.set_key("x");
    return stub_->Range(&context, request, &response).ok();
  }

  void Begin(const Load& load, Call& call, grpc::CompletionQueue& done) {
    call.context.emplace();
    call.context->set_deadline(std::chrono::system_clock::now() + kCallTimeout);
    Row row(call.row);
    if (load.work == Load::Work::kGet) {
      call.range.set_key(row.key().data(), row.key().size());
      call.begun = Nanoseconds();
      auto reader = stub_->AsyncRange(&*call.context, call.range, &done);
      reader->Finish(&call.range_response, &call.status, &call);
      return;
    }
    std::string_view value = load.work == Load::Work::kStream ? StreamValue(call.row) : row.value();
    call.put.set_key(row.key().data(), row.key().size());
    call.put.set_value(value.data(), value.size());
    call.begun = Nanoseconds();
    auto reader = stub_->AsyncPut(&*call.context, call.put, &done);
    reader->Finish(&call.put_response, &call.status, &call);
  }
  static bool Good(const Load& load, const Call& call) {
    if (load.work != Load::Work::kGet) return true;
    return call.range_response.kvs_size() == 1 && call.range_response.kvs(0).value() == Row(call.row).value();
  }

  const std::string directory_, program_;
  std::optional<Process> process_;
  std::unique_ptr<etcd::KV::Stub> stub_;
};

}  // namespace

std::unique_ptr<Target> MakeEtcd(std::string directory, std::string program) {
  return std::make_unique<Etcd>(std::move(directory), std::move(program));
}

}  // namespace holdfast::bench
