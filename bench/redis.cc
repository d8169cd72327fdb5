// Redis, each write in its append-only file and synced before it is answered; no snapshots. No pipelining: as
// many connections as there are operations outstanding, all on one thread. For stream_in one connection,
// pipelined, as our stream is.
#include <hiredis/hiredis.h>
#include <sys/epoll.h>

#include <array>
#include <filesystem>
#include <optional>

#include "bench/failure_internal.h"
#include "bench/load_internal.h"

namespace holdfast::bench {
namespace {

constexpr int kStartAttempts = 3;  // somebody else may take the port between our look and its start
constexpr uint64_t kReadyMilliseconds = 30'000;
constexpr int kAnswerMilliseconds = 30'000;

struct FreeContext {
  void operator()(redisContext* c) const { redisFree(c); }
};
struct FreeReply {
  void operator()(void* r) const { freeReplyObject(r); }
};
using Reply = std::unique_ptr<redisReply, FreeReply>;

// One connection and the operation that is out on it.
struct Connection {
  std::unique_ptr<redisContext, FreeContext> context;
  uint64_t row = 0, begun = 0;
};

using Ready = std::array<Connection*, 64>;

class Epoll {
 public:
  Epoll() : fd_(::epoll_create1(EPOLL_CLOEXEC)) { HF_CHECK(fd_ >= 0); }
  ~Epoll() { CloseSocket(fd_); }
  Epoll(const Epoll&) = delete;
  Epoll& operator=(const Epoll&) = delete;
  void Add(Connection& c) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = &c;
    HF_CHECK(::epoll_ctl(fd_, EPOLL_CTL_ADD, c.context->fd, &event) == 0);
  }
  // The connections that have something to read; 0: none in time.
  size_t Wait(Ready& out) {
    epoll_event events[std::tuple_size_v<Ready>];
    int n = ::epoll_wait(fd_, events, static_cast<int>(out.size()), kAnswerMilliseconds);
    for (int i = 0; i < n; ++i) out[static_cast<size_t>(i)] = static_cast<Connection*>(events[i].data.ptr);
    return n < 0 ? 0 : static_cast<size_t>(n);
  }

 private:
  int fd_;
};

class Redis final : public Target {
 public:
  Redis(std::string directory, std::string program)
      : Target("redis"), directory_(std::move(directory)), program_(std::move(program)) {}

  void Start() override {
    std::filesystem::create_directories(directory_);
    for (int attempt = 1; !TryStart(); ++attempt) {
      if (attempt == kStartAttempts) {
        FailWith(Code::kInternal, "bench: redis-server does not start: " + process_->LastLine());
      }
    }
  }
  void Stop() override {
    connections_.clear();
    if (process_) process_->Stop();
    process_.reset();
  }
  const Process& process() const override { return *process_; }

 protected:
  void Drive(const Load& load, uint64_t first, Stopwatch& watch) override {
    if (load.work == Load::Work::kStream) {
      DrivePipeline(load, first, watch);
    } else {
      DriveConnections(load, first, watch);
    }
  }

 private:
  bool TryStart() {
    port_ = FreePorts(1)[0];
    process_.emplace(
        std::vector<std::string>{program_, "--port", std::to_string(port_), "--bind", "127.0.0.1", "--dir",
                                 directory_, "--daemonize", "no", "--save", "", "--appendonly", "yes",
                                 "--appendfsync", "always", "--loglevel", "warning"},
        directory_ + "/log");
    for (uint64_t waited = 0; waited < kReadyMilliseconds; waited += 10) {
      if (!process_->Running()) return false;
      connections_.clear();
      if (Connect() && IsStatus(Ask(*connections_[0].context, {"PING"}).get(), "PONG")) return true;
      SleepMilliseconds(10);
    }
    Fail("bench: redis-server is not ready", Code::kDeadline);
  }

  bool Connect() {
    int fd = ConnectLoopback(port_);
    if (fd < 0) return false;
    Connection c;
    c.context.reset(redisConnectFd(fd));
    if (c.context == nullptr || c.context->err != 0) return false;
    connections_.push_back(std::move(c));
    return true;
  }

  static Reply Ask(redisContext& context, const std::vector<std::string_view>& words) {
    Queue(context, words);
    return Answer(context);
  }
  static void Queue(redisContext& context, const std::vector<std::string_view>& words) {
    std::array<const char*, 3> texts{};
    std::array<size_t, 3> sizes{};
    HF_CHECK(words.size() <= texts.size());
    for (size_t i = 0; i < words.size(); ++i) {
      texts[i] = words[i].data();
      sizes[i] = words[i].size();
    }
    redisAppendCommandArgv(&context, static_cast<int>(words.size()), texts.data(), sizes.data());
  }
  // Null: the connection broke.
  static Reply Answer(redisContext& context) {
    void* reply = nullptr;
    return redisGetReply(&context, &reply) == REDIS_OK ? Reply(static_cast<redisReply*>(reply)) : nullptr;
  }
  static bool IsStatus(const redisReply* reply, std::string_view text) {
    return reply != nullptr && reply->type == REDIS_REPLY_STATUS &&
           std::string_view(reply->str, reply->len) == text;
  }
  static bool Good(const Load& load, const redisReply* reply, uint64_t row) {
    if (load.work != Load::Work::kGet) return IsStatus(reply, "OK");
    return reply != nullptr && reply->type == REDIS_REPLY_STRING &&
           std::string_view(reply->str, reply->len) == Row(row).value();
  }

  static void Begin(const Load& load, Connection& c) {
    Row row(c.row);
    c.begun = Nanoseconds();
    if (load.work == Load::Work::kGet) {
      Queue(*c.context, {"GET", row.key()});
    } else {
      Queue(*c.context, {"SET", row.key(), row.value()});
    }
  }

  // Requests are small: a socket that is asked one thing at a time always takes one whole.
  static bool Send(Connection& c) {
    int done = 0;
    while (done == 0) {
      if (redisBufferWrite(c.context.get(), &done) != REDIS_OK) return false;
    }
    return true;
  }

  void DriveConnections(const Load& load, uint64_t first, Stopwatch& watch) {
    while (connections_.size() < load.outstanding) {
      if (!Connect()) Fail("bench: redis", Code::kServerUnreachable);
    }
    Epoll epoll;
    Dice dice(first);
    uint64_t begun = 0, answered = 0;
    auto begin = [&](Connection& c) {
      c.row = load.work == Load::Work::kGet ? dice.Below(load.rows) : first + begun;
      ++begun;
      Begin(load, c);
      if (!Send(c)) watch.Broke(Code::kServerUnreachable);
    };
    for (size_t i = 0; i < load.outstanding; ++i) {
      epoll.Add(connections_[i]);
      if (watch.GoesOn(begun)) begin(connections_[i]);
    }
    Ready ready{};
    ready[0] = &connections_[0];
    while (answered < begun) {
      size_t n = load.outstanding == 1 ? 1 : epoll.Wait(ready);  // one: reading waits by itself
      if (n == 0) Fail("bench: redis", Code::kDeadline);
      for (size_t i = 0; i < n; ++i) {
        Connection& c = *ready[i];
        Reply reply;
        if (!Received(c, &reply)) Fail("bench: redis", Code::kServerUnreachable);
        if (reply == nullptr) continue;
        ++answered;
        watch.Answered(c.begun);
        if (!Good(load, reply.get(), c.row)) watch.Broke(Code::kInternal);
        if (watch.GoesOn(begun)) begin(c);
      }
    }
  }

  // False: it broke. A null reply: it is not whole yet.
  static bool Received(Connection& c, Reply* reply) {
    void* whole = nullptr;
    if (redisBufferRead(c.context.get()) != REDIS_OK ||
        redisGetReplyFromReader(c.context.get(), &whole) != REDIS_OK) {
      return false;
    }
    reply->reset(static_cast<redisReply*>(whole));
    return true;
  }

  void DrivePipeline(const Load& load, uint64_t first, Stopwatch& watch) {
    redisContext& context = *connections_[0].context;
    std::array<uint64_t, kOutstandingMax> begun_at{};
    uint64_t begun = 0, answered = 0;
    while (answered < begun || watch.GoesOn(begun)) {
      while (begun - answered < load.outstanding && watch.GoesOn(begun)) {
        Row row(first + begun);
        begun_at[begun % kOutstandingMax] = Nanoseconds();
        Queue(context, {"SET", row.key(), StreamValue(first + begun++)});
      }
      Reply reply = Answer(context);
      if (reply == nullptr) Fail("bench: redis", Code::kServerUnreachable);
      if (!IsStatus(reply.get(), "OK")) watch.Broke(Code::kInternal);
      watch.Answered(begun_at[answered++ % kOutstandingMax]);
    }
  }

  const std::string directory_, program_;
  std::optional<Process> process_;
  std::vector<Connection> connections_;
  uint16_t port_ = 0;
};

}  // namespace

std::unique_ptr<Target> MakeRedis(std::string directory, std::string program) {
  return std::make_unique<Redis>(std::move(directory), std::move(program));
}

}  // namespace holdfast::bench
