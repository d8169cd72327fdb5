#include "core/session/edge.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <thread>
#include <unordered_map>
#include <utility>
#include <variant>

#include "seam/metrics.h"
#include "sync/activity.h"
#include "sync/mutex.h"

namespace holdfast::session {
namespace {

constexpr size_t kBufferBytes = 64u << 10;
constexpr size_t kRecordBytes = 16u << 10;  // of TLS: the most that one read gives
constexpr int kEventsMax = 64;
constexpr uint64_t kWakeToken = 0;  // stream id 0 is never used

using seam::Metric;
using seam::Metrics;

struct EndClientOrder {
  std::string serial;
};
struct StopOrder {};

// The stream that a message belongs to; 0: none.
template <typename Message>
uint64_t StreamOf(const Message& m) {
  if constexpr (requires { requires std::is_same_v<decltype(m.id), seam::StreamId>; }) {
    return m.id.value;
  } else {
    return 0;
  }
}
using Order = std::variant<seam::HostToCore, EndClientOrder, StopOrder>;

}  // namespace

struct Edge::Shared {
  std::shared_ptr<TlsContext> context;
  seam::HostEndpoint& host;
  Adopt adopt;
  std::atomic<size_t> connections{0};
  std::atomic<uint64_t> queued{0};  // bytes encrypted and not yet given to the host, of all connections
  std::atomic<bool> refuse_new{false};

  mutable sync::Mutex peers_mutex{sync::LockName::kSession};
  struct Entry {
    Peer peer;
    uint64_t stream;
  };
  std::unordered_map<int, Entry> peers HF_GUARDED_BY(peers_mutex){};
  int fd_low = 0, fd_high = 0;  // chosen before there are threads
  int fd_next HF_GUARDED_BY(peers_mutex) = 0;

  void ChooseFdRange() {
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    fd_high = static_cast<int>(limit.rlim_cur < 65'536 ? limit.rlim_cur : 65'536) - 64;
    fd_low = fd_high / 2;
    sync::MutexLock lock(peers_mutex);
    fd_next = fd_low;
  }
  // Moves `fd` to a number that has not been used for long.
  int Renumber(int fd) {
    sync::MutexLock lock(peers_mutex);
    if (fd_high <= fd_low) return fd;
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, fd_next);
    if (moved < 0) return fd;
    close(fd);
    fd_next = moved + 1 < fd_high ? moved + 1 : fd_low;
    return moved;
  }
};

class Edge::Loop {
 public:
  explicit Loop(Shared& shared) : shared_(shared), buffer_(kBufferBytes) {}
  ~Loop() {
    if (epoll_ >= 0) close(epoll_);
    if (wake_ >= 0) close(wake_);
  }

  Status Open() {
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = kWakeToken;
    if (epoll_ < 0 || wake_ < 0 || epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_, &event) != 0) return Code::kIo;
    return Ok();
  }
  void Run() {
    thread_ = std::thread([this] { Main(); });
  }
  void Join() {
    if (thread_.joinable()) thread_.join();
  }
  // The caller's thread does it at once, if nobody is at this loop's connections and nothing waits before it:
  // one change of threads less on the way of every request. Handshakes are long and left to the loop. False:
  // not done.
  bool TakeAtOnce(uint64_t stream, seam::HostToCore& message) {
    if (inside == this) return false;
    if (!work_mutex_.TryLock()) return false;
    bool mine = NothingWaits() && IsOpen(stream);
    if (mine) {
      Inside mark(this);
      Take(message);
    }
    work_mutex_.Unlock();
    return mine;
  }

  bool NothingWaits() {
    sync::MutexLock lock(inbox_mutex_);
    return inbox_.empty() && !ended_;
  }
  bool IsOpen(uint64_t stream) HF_REQUIRES(work_mutex_) {
    auto it = connections_.find(stream);
    return it != connections_.end() && it->second->stage == Stage::kOpen;
  }

  // Waits while the loop has much to take: whoever floods it must not fill our memory.
  void Post(Order order) {
    bool wake;
    {
      sync::MutexLock lock(inbox_mutex_);
      // Who is inside a loop could wait for himself; what he posts answers what a loop has sent.
      while (inbox_.size() >= limits::kEdgeInboxMax && !ended_ && inside == nullptr) {
        inbox_room_.Wait(inbox_mutex_);
      }
      if (ended_) return;
      wake = inbox_.empty();
      inbox_.push_back(std::move(order));
    }
    if (wake) {
      uint64_t one = 1;
      [[maybe_unused]] ssize_t n = write(wake_, &one, sizeof one);
    }
  }

 private:
  enum class Stage : uint8_t { kHandshake, kOpen, kFarewell };
  struct Connection {
    Connection(seam::StreamId i, seam::Listener l, std::shared_ptr<TlsContext> context)
        : id(i), listener(l), tls(std::move(context), l) {}
    seam::StreamId id;
    seam::Listener listener;
    TlsConnection tls;
    Stage stage = Stage::kHandshake;
    uint64_t stage_since_us = 0;
    int fd = -1;          // our end of the pair
    int adopted_fd = -1;  // the number of gRPC's end; not ours any more
    uint32_t interest = 0;
    Bytes plain;  // decrypted, not yet taken by gRPC
    size_t plain_at = 0;
    uint64_t credit_in = 0;         // the host may send that much
    uint64_t credit_out = 0;        // we may send that much
    uint64_t counted = 0;           // our part of Shared::queued
    uint64_t stalled_since_us = 0;  // bytes wait for credit since then; 0: none do
    bool plain_waits() const { return plain_at < plain.size(); }
  };

  // Says that this thread holds the loop's work_mutex_.
  struct Inside {
    explicit Inside(Loop* loop) : before(std::exchange(inside, loop)) {}
    ~Inside() { inside = before; }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;
    Loop* before;
  };
  static thread_local Loop* inside;

  void Main() {
    sync::Activity activity(sync::ActivityKind::kTls);
    epoll_event events[kEventsMax];
    // Only this thread adds connections or stops: what it reads here nobody else makes false.
    while (!stopping_ || Left() != 0) {
      int n = epoll_wait(epoll_, events, kEventsMax, stopping_ ? 0 : -1);
      sync::MutexLock work(work_mutex_);
      Inside mark(this);
      for (int i = 0; i < n; ++i) {
        if (events[i].data.u64 == kWakeToken) {
          uint64_t count;
          [[maybe_unused]] ssize_t got = read(wake_, &count, sizeof count);
        } else if (auto it = connections_.find(events[i].data.u64); it != connections_.end()) {
          Serve(*it->second);
        }
      }
      TakeInbox();
      if (stopping_) LeaveAll();
    }
    sync::MutexLock lock(inbox_mutex_);
    ended_ = true;
    inbox_.clear();
    inbox_room_.NotifyAll();
  }

  size_t Left() {
    sync::MutexLock work(work_mutex_);
    return connections_.size();
  }

  void TakeInbox() HF_REQUIRES(work_mutex_) {
    {
      sync::MutexLock lock(inbox_mutex_);
      orders_.swap(inbox_);
    }
    inbox_room_.NotifyAll();
    for (Order& order : orders_) std::visit([this](auto& o) HF_REQUIRES(work_mutex_) { Take(o); }, order);
    orders_.clear();
  }
  void Take(seam::HostToCore& message) HF_REQUIRES(work_mutex_) {
    std::visit([this](auto& m) HF_REQUIRES(work_mutex_) { Message(m); }, message);
  }
  void Take(EndClientOrder& order) HF_REQUIRES(work_mutex_) {
    std::vector<Connection*> found;
    for (auto& [id, c] : connections_) {
      if (c->tls.serial() == order.serial) found.push_back(c.get());
    }
    for (Connection* c : found) Drop(*c);
  }
  void Take(StopOrder&) HF_REQUIRES(work_mutex_) { stopping_ = true; }

  template <typename Other>
  void Message(Other&) {}  // storage replies and the like are not ours

  void Message(seam::StreamOpened& m) HF_REQUIRES(work_mutex_) {
    if (m.id.value == kWakeToken || connections_.contains(m.id.value)) return;
    if (stopping_ || shared_.refuse_new || shared_.connections >= limits::kConnectionsMax) {
      Metrics().Add(Metric::kRefusedConnections);
      shared_.host.FromCore(seam::StreamClosed{m.id});
      return;
    }
    if (handshakes_ >= kHandshakesMax) DropOldestHandshake();
    auto c = std::make_unique<Connection>(m.id, m.listener, shared_.context);
    c->stage_since_us = now_us_;
    c->credit_in = kStreamWindowBytes;
    connections_.emplace(m.id.value, std::move(c));
    ++handshakes_;
    ++shared_.connections;
    shared_.host.FromCore(seam::StreamCredit{m.id, kStreamWindowBytes});
  }
  void Message(seam::StreamBytes& m) HF_REQUIRES(work_mutex_) {
    auto it = connections_.find(m.id.value);
    if (it == connections_.end()) return;
    Connection& c = *it->second;
    // A host that sends more than it was granted would fill our memory.
    if (m.bytes.size() > c.credit_in) {
      Metrics().Add(Metric::kDroppedCredit);
      return Drop(c);
    }
    Metrics().Add(Metric::kPeerBytesIn, m.bytes.size());
    c.credit_in -= m.bytes.size();
    if (c.stage == Stage::kFarewell) return;
    c.tls.Feed(m.bytes);
    Serve(c, Way::kIn);
  }
  void Message(seam::StreamClosed& m) HF_REQUIRES(work_mutex_) {
    if (auto it = connections_.find(m.id.value); it != connections_.end()) Drop(*it->second);
  }
  void Message(seam::StreamCredit& m) HF_REQUIRES(work_mutex_) {
    auto it = connections_.find(m.id.value);
    if (it == connections_.end()) return;
    uint64_t& credit = it->second->credit_out;
    credit = credit + m.bytes < credit ? UINT64_MAX : credit + m.bytes;
    Serve(*it->second);
  }
  void Message(seam::Tick& m) HF_REQUIRES(work_mutex_) {
    if (now_us_ == 0) {
      for (auto& [id, c] : connections_) c->stage_since_us = m.monotonic_us;
    }
    if (m.monotonic_us > now_us_) now_us_ = m.monotonic_us;
    std::vector<Connection*> late;
    for (auto& [id, c] : connections_) {
      uint64_t age = now_us_ - c->stage_since_us;
      bool slow = c->stalled_since_us != 0 && now_us_ - c->stalled_since_us > limits::kSlowReaderMicroseconds;
      if (slow) Metrics().Add(Metric::kDroppedSlow);
      bool silent = c->stage == Stage::kOpen && c->adopted_fd < 0 && age > kHandshakeMicrosecondsMax;
      if (slow || silent || (c->stage == Stage::kHandshake && age > kHandshakeMicrosecondsMax) ||
          (c->stage == Stage::kFarewell && age > kFarewellMicrosecondsMax)) {
        late.push_back(c.get());
      }
    }
    for (Connection* c : late) Drop(*c);
  }

  // The host's end of the channel has room again.
  void Message(seam::StreamRoom&) HF_REQUIRES(work_mutex_) {
    std::vector<uint64_t> ids;
    for (auto& [id, c] : connections_) {
      if (c->tls.cipher_bytes() > 0) ids.push_back(id);
    }
    for (uint64_t id : ids) {
      if (auto it = connections_.find(id); it != connections_.end()) Serve(*it->second);
    }
  }

  // Moves everything that can move. Bytes of the peer make nothing ready the other way: of what gRPC answers,
  // epoll will tell. May erase `c`.
  enum class Way : uint8_t { kIn, kBoth };
  void Serve(Connection& c, Way way = Way::kBoth) HF_REQUIRES(work_mutex_) {
    if (c.stage == Stage::kHandshake && !GoOnWithHandshake(c)) return;
    if (c.stage == Stage::kOpen) {
      bool alive = PumpIn(c) && (way == Way::kIn || PumpOut(c));
      if (!alive) StartFarewell(c);
    }
    Grant(c);
    Flush(c);
    if (c.stage == Stage::kFarewell && c.tls.cipher_bytes() == 0) return Drop(c);
    UpdateInterest(c);
    if (Count(c) > limits::kPeerBytesQueuedMax) DropLargest();
  }

  // Our part of what waits for all peers; the sum.
  uint64_t Count(Connection& c) HF_REQUIRES(work_mutex_) {
    uint64_t now = c.tls.cipher_bytes();
    uint64_t before = std::exchange(c.counted, now);
    if (now == 0 || c.credit_out > 0) c.stalled_since_us = 0;
    if (now != 0 && c.credit_out == 0 && c.stalled_since_us == 0) c.stalled_since_us = now_us_;
    return shared_.queued += now - before;
  }
  void DropLargest() HF_REQUIRES(work_mutex_) {
    Connection* largest = nullptr;
    for (auto& [id, c] : connections_) {
      if (largest == nullptr || c->counted > largest->counted) largest = c.get();
    }
    if (largest == nullptr || largest->counted == 0) return;
    Metrics().Add(Metric::kDroppedSlow);
    Drop(*largest);
  }

  // False: `c` needs more bytes, or is gone.
  bool GoOnWithHandshake(Connection& c) HF_REQUIRES(work_mutex_) {
    auto done = c.tls.Handshake();
    if (done && *done) {
      c.stage = Stage::kOpen;
      --handshakes_;
      Metrics().Add(Metric::kHandshakes);
      return true;
    }
    if (!done) {
      Metrics().Add(Metric::kHandshakesFailed);
      StartFarewell(c);
    }
    Grant(c);
    Flush(c);
    if (c.stage == Stage::kFarewell && c.tls.cipher_bytes() == 0) Drop(c);
    return false;
  }

  bool OpenPair(Connection& c) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0) return false;
    c.fd = pair[0];
    c.adopted_fd = shared_.Renumber(pair[1]);
    epoll_event event{};
    event.events = c.interest = EPOLLIN;
    event.data.u64 = c.id.value;
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, c.fd, &event) != 0) {
      close(c.adopted_fd);
      c.adopted_fd = -1;
      return false;
    }
    {
      sync::MutexLock lock(shared_.peers_mutex);
      shared_.peers[c.adopted_fd] = {{c.tls.serial(), c.listener}, c.id.value};
    }
    shared_.adopt(c.adopted_fd, c.listener);
    return true;
  }

  // Takes what it can of `bytes`; the count. A gRPC that has closed takes everything, to no effect: what it
  // wrote before is still to be read.
  size_t GiveToGrpc(Connection& c, ByteView bytes) {
    size_t at = 0;
    while (at < bytes.size()) {
      ssize_t n = send(c.fd, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
      if (n < 0) return errno == EAGAIN || errno == EINTR ? at : bytes.size();
      at += static_cast<size_t>(n);
    }
    return at;
  }

  // Peer to gRPC. False: the peer has said farewell, or what it sent is not TLS.
  bool PumpIn(Connection& c) HF_REQUIRES(work_mutex_) {
    if (c.plain_waits()) {
      c.plain_at += GiveToGrpc(c, ByteView(c.plain).subspan(c.plain_at));
      if (c.plain_waits()) return true;
      Bytes().swap(c.plain);  // an idle connection holds no buffer
      c.plain_at = 0;
    }
    for (bool more = true; more;) {
      // Several records at a time: each has at most 16 KiB, and each that is given wakes gRPC.
      size_t held = 0;
      bool alive = true;
      while (alive && more && buffer_.size() - held >= kRecordBytes) {
        auto n = c.tls.Read(MutableByteView(buffer_).subspan(held));
        alive = n.has_value() && !c.tls.closed();
        if (alive) held += *n;
        more = alive && *n != 0;
      }
      if (held != 0) {
        if (c.fd < 0 && !OpenPair(c)) return false;
        ByteView plain(buffer_.data(), held);
        size_t taken = GiveToGrpc(c, plain);
        if (taken != plain.size()) {
          c.plain = ToBytes(plain.subspan(taken));
          c.plain_at = 0;
          return true;  // an end behind it shows when it is taken
        }
      }
      if (!alive) return false;
    }
    return true;
  }

  // gRPC to peer. False: gRPC has closed.
  bool PumpOut(Connection& c) HF_REQUIRES(work_mutex_) {
    if (c.fd < 0) return true;
    while (c.tls.cipher_bytes() < kOutHighWaterBytes) {
      ssize_t n = read(c.fd, buffer_.data(), buffer_.size());
      if (n < 0) return errno == EAGAIN || errno == EINTR;
      if (n == 0 || !c.tls.Write({buffer_.data(), static_cast<size_t>(n)}).has_value()) return false;
      if (static_cast<size_t>(n) < buffer_.size()) return true;  // that was all; epoll tells of more
    }
    return true;
  }

  void Grant(Connection& c) HF_REQUIRES(work_mutex_) {
    uint64_t held = c.credit_in + c.tls.unread_bytes();
    if (c.stage == Stage::kFarewell || held + kStreamWindowBytes / 4 > kStreamWindowBytes) return;
    uint64_t more = kStreamWindowBytes - held;
    c.credit_in += more;
    shared_.host.FromCore(seam::StreamCredit{c.id, more});
  }

  void Flush(Connection& c) HF_REQUIRES(work_mutex_) {
    while (c.credit_out > 0 && c.tls.cipher_bytes() > 0 && shared_.host.RoomForStreams()) {
      Bytes bytes =
          c.tls.TakeCipher(c.credit_out < kBufferBytes ? static_cast<size_t>(c.credit_out) : kBufferBytes);
      c.credit_out -= bytes.size();
      Metrics().Add(Metric::kPeerBytesOut, bytes.size());
      shared_.host.FromCore(seam::StreamBytes{c.id, std::move(bytes)});
    }
  }

  void UpdateInterest(Connection& c) {
    if (c.fd < 0) return;
    uint32_t want =
        (c.tls.cipher_bytes() < kOutHighWaterBytes ? EPOLLIN : 0u) | (c.plain_waits() ? EPOLLOUT : 0u);
    if (want == c.interest) return;
    epoll_event event{};
    event.events = want;
    event.data.u64 = c.id.value;
    // Without interest it must leave the set: a hang-up would be reported again and again.
    int operation = want == 0 ? EPOLL_CTL_DEL : (c.interest == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD);
    epoll_ctl(epoll_, operation, c.fd, &event);
    c.interest = want;
  }

  void ClosePair(Connection& c) {
    if (c.fd >= 0) close(c.fd);
    c.fd = -1;
    sync::MutexLock lock(shared_.peers_mutex);
    auto it = shared_.peers.find(c.adopted_fd);
    if (it != shared_.peers.end() && it->second.stream == c.id.value) shared_.peers.erase(it);
  }

  // What is encrypted already still goes out, and the close_notify; nothing is taken in any more.
  void StartFarewell(Connection& c) HF_REQUIRES(work_mutex_) {
    if (c.stage == Stage::kHandshake) --handshakes_;
    c.stage = Stage::kFarewell;
    c.stage_since_us = now_us_;
    c.tls.Close();
    ClosePair(c);
  }

  // The last message of this stream. Erases `c`.
  void Drop(Connection& c) HF_REQUIRES(work_mutex_) {
    if (c.stage == Stage::kHandshake) --handshakes_;
    ClosePair(c);
    seam::StreamId id = c.id;
    shared_.queued -= c.counted;
    connections_.erase(id.value);
    --shared_.connections;
    shared_.host.FromCore(seam::StreamClosed{id});
  }

  void DropOldestHandshake() HF_REQUIRES(work_mutex_) {
    Connection* oldest = nullptr;
    for (auto& [id, c] : connections_) {
      if (c->stage == Stage::kHandshake && (oldest == nullptr || c->id < oldest->id)) oldest = c.get();
    }
    if (oldest != nullptr) Drop(*oldest);
  }

  void LeaveAll() HF_REQUIRES(work_mutex_) {
    std::vector<Connection*> all;
    for (auto& [id, c] : connections_) all.push_back(c.get());
    for (Connection* c : all) {
      if (c->stage != Stage::kFarewell) StartFarewell(*c);
      Flush(*c);
      Drop(*c);
    }
  }

  Shared& shared_;
  int epoll_ = -1, wake_ = -1;
  std::thread thread_;
  sync::Mutex work_mutex_{sync::LockName::kSession};  // who is at the connections
  sync::Mutex inbox_mutex_{sync::LockName::kSession};
  sync::CondVar inbox_room_;
  bool ended_ HF_GUARDED_BY(inbox_mutex_) = false;
  std::vector<Order> inbox_ HF_GUARDED_BY(inbox_mutex_);
  std::vector<Order> orders_ HF_GUARDED_BY(work_mutex_);
  std::unordered_map<uint64_t, std::unique_ptr<Connection>> connections_ HF_GUARDED_BY(work_mutex_);
  size_t handshakes_ HF_GUARDED_BY(work_mutex_) = 0;
  uint64_t now_us_ HF_GUARDED_BY(work_mutex_) = 0;
  Bytes buffer_ HF_GUARDED_BY(work_mutex_);
  std::atomic<bool> stopping_{false};
};

thread_local Edge::Loop* Edge::Loop::inside = nullptr;

Edge::Edge(std::shared_ptr<TlsContext> context, seam::HostEndpoint& host, Adopt adopt, size_t threads)
    : shared_(new Shared{std::move(context), host, std::move(adopt)}) {
  for (size_t i = 0; i < (threads == 0 ? 1 : threads); ++i)
    loops_.push_back(std::make_unique<Loop>(*shared_));
}

Edge::~Edge() { Stop(); }

Status Edge::Start() {
  shared_->ChooseFdRange();
  for (auto& loop : loops_) HF_TRY_VOID(loop->Open());
  for (auto& loop : loops_) loop->Run();
  return Ok();
}

void Edge::FromHost(seam::HostToCore message) {
  uint64_t stream = std::visit([](const auto& m) { return StreamOf(m); }, message);
  if (stream != 0) {
    Loop& loop = *loops_[stream % loops_.size()];
    if (!loop.TakeAtOnce(stream, message)) loop.Post(std::move(message));
  } else if (const auto* tick = std::get_if<seam::Tick>(&message)) {
    for (auto& loop : loops_) loop->Post(seam::HostToCore(*tick));
  } else if (std::holds_alternative<seam::StreamRoom>(message)) {
    for (auto& loop : loops_) loop->Post(seam::HostToCore(seam::StreamRoom{}));
  }
}

void Edge::EndClient(const std::string& serial) {
  for (auto& loop : loops_) loop->Post(EndClientOrder{serial});
}

void Edge::RefuseNew() { shared_->refuse_new = true; }

void Edge::Stop() {
  for (auto& loop : loops_) loop->Post(StopOrder{});
  for (auto& loop : loops_) loop->Join();
}

size_t Edge::connections() const { return shared_->connections; }

std::optional<Peer> Edge::Identify(int fd) const {
  sync::MutexLock lock(shared_->peers_mutex);
  auto it = shared_->peers.find(fd);
  if (it == shared_->peers.end()) return std::nullopt;
  return it->second.peer;
}

}  // namespace holdfast::session
