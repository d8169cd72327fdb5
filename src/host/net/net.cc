#include "host/net/net.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <deque>
#include <map>
#include <thread>
#include <unordered_map>
#include <variant>
#include <vector>

#include "base/limits.h"
#include "sync/mutex.h"

namespace holdfast::host {
namespace {

constexpr size_t kReadBytes = 64u << 10;
constexpr int kBacklog = 512;
constexpr int kEventsMax = 64;
// After the last byte the peer gets this long to close, so that a reset does not overtake it (an alert, say).
constexpr uint64_t kLingerMs = 1000;
constexpr uint64_t kAcceptPauseMs = 100;                  // after a descriptor shortage
constexpr uint64_t kWakeToken = 0, kListenerTokens = 16;  // listeners: 1 to 15, streams: from 16 on

struct ListenOrder {
  int fd;
  seam::Listener listener;
};
struct StopListeningOrder {};
struct StopOrder {};
using Order = std::variant<ListenOrder, StopListeningOrder, StopOrder>;

uint64_t NowMs() {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(
                                   std::chrono::steady_clock::now().time_since_epoch())
                                   .count());
}

Code OpenError(int error) {
  switch (error) {
    case EADDRINUSE:
      return Code::kInUse;
    case EACCES:
    case EPERM:
      return Code::kPermission;
    case EADDRNOTAVAIL:
      return Code::kInvalidArgument;
    default:
      return Code::kIo;
  }
}

struct Connection {
  seam::StreamId id;
  int fd = -1;
  uint32_t interest = 0;
  uint64_t credit = 0;  // bytes the core will still take
  uint64_t window = 0;  // bytes the core may still send
  std::deque<Bytes> out;
  size_t out_at = 0;             // of out.front()
  bool core_closed = false;      // its last message has come
  uint64_t linger_until_ms = 0;  // nonzero: all is sent, the peer may close
};

}  // namespace

struct Net::State {
  explicit State(seam::CoreEndpoint& c) : core(c), buffer(kReadBytes) {}

  seam::CoreEndpoint& core;
  int epoll = -1, wake = -1;
  std::thread thread;
  sync::Mutex inbox_mutex;
  std::vector<Order> inbox HF_GUARDED_BY(inbox_mutex);
  std::vector<Order> orders;
  std::atomic<size_t> count{0};

  // The connections are the thread's, and of whoever brings a message of the core: he sends it himself, which
  // saves a change of threads on the way of every answer. Nothing is said to the core under the lock.
  sync::Mutex mutex;
  std::vector<seam::HostToCore> to_core;  // what is to be said to it afterwards
  std::vector<ListenOrder> listeners;
  bool accepting = true;  // their interest is on
  uint64_t accept_again_ms = 0;
  std::unordered_map<uint64_t, Connection> connections;
  std::map<uint64_t, uint64_t> lingering;  // stream -> until
  uint64_t next_stream = kListenerTokens;
  Bytes buffer;
  bool stopping = false;

  void Post(Order order) {
    bool first;
    {
      sync::MutexLock lock(inbox_mutex);
      first = inbox.empty();
      inbox.push_back(std::move(order));
    }
    if (first) Wake();
  }
  void Wake() const {
    uint64_t one = 1;
    [[maybe_unused]] ssize_t n = write(wake, &one, sizeof one);
  }

  bool Watch(int operation, int fd, uint32_t events, uint64_t token) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = token;
    return epoll_ctl(epoll, operation, fd, &event) == 0;
  }

  void Main() {
    epoll_event events[kEventsMax];
    sync::MutexLock lock(mutex);
    while (!stopping) {
      int timeout_ms = NextTimeoutMs();
      lock.Unlock();
      int n = epoll_wait(epoll, events, kEventsMax, timeout_ms);
      lock.Lock();
      for (int i = 0; i < n; ++i) {
        Event(events[i]);
        TellCore();
      }
      TakeInbox();
      Timers();
      TellCore();
    }
    TakeInbox();
    EndAll();
    TellCore();
  }
  void Event(const epoll_event& event) {
    uint64_t token = event.data.u64;
    if (token == kWakeToken) {
      uint64_t value;
      [[maybe_unused]] ssize_t got = read(wake, &value, sizeof value);
    } else if (token < kListenerTokens) {
      Accept(token - 1);
    } else if (auto it = connections.find(token); it != connections.end()) {
      Ready(it->second, event.events);
    }
  }
  void EndAll() {
    std::vector<uint64_t> ids;
    for (auto& [id, c] : connections) ids.push_back(id);
    for (uint64_t id : ids) {
      Connection& c = connections.at(id);
      if (Send(c)) End(c);
    }
    CloseListeners();
  }
  // Says what there is to say, without the lock: the core may answer at once.
  void TellCore() HF_REQUIRES(mutex) {
    if (to_core.empty()) return;
    std::vector<seam::HostToCore> messages;
    messages.swap(to_core);
    mutex.Unlock();
    for (seam::HostToCore& m : messages) core.FromHost(std::move(m));
    mutex.Lock();
  }
  template <typename Message>
  void FromCore(Message m) {
    sync::MutexLock lock(mutex);
    size_t lingered = lingering.size();
    Take(m);
    bool earlier = lingering.size() > lingered;  // the thread sleeps longer than that
    TellCore();
    lock.Unlock();
    if (earlier) Wake();
  }

  int NextTimeoutMs() {
    uint64_t at = UINT64_MAX;
    if (accept_again_ms != 0) at = accept_again_ms;
    for (auto& [id, until] : lingering) at = std::min(at, until);
    if (at == UINT64_MAX) return -1;
    uint64_t now = NowMs();
    return at <= now ? 0 : static_cast<int>(at - now);
  }
  void Timers() {
    if (accept_again_ms == 0 && lingering.empty()) return;
    uint64_t now = NowMs();
    if (accept_again_ms != 0 && now >= accept_again_ms) {
      accept_again_ms = 0;
      SetAccepting(connections.size() < limits::kConnectionsMax);
    }
    std::vector<uint64_t> over;
    for (auto& [id, until] : lingering) {
      if (until <= now) over.push_back(id);
    }
    for (uint64_t id : over) End(connections.at(id));
  }

  void TakeInbox() {
    {
      sync::MutexLock lock(inbox_mutex);
      orders.swap(inbox);
    }
    for (Order& order : orders) std::visit([this](auto& o) { Take(o); }, order);
    orders.clear();
  }
  void Take(ListenOrder& order) {
    listeners.push_back(order);
    Watch(EPOLL_CTL_ADD, order.fd, accepting ? EPOLLIN : 0u, listeners.size());
  }
  void Take(StopListeningOrder&) { CloseListeners(); }
  void Take(StopOrder&) { stopping = true; }
  void Take(seam::StreamBytes& m) {
    auto it = connections.find(m.id.value);
    if (it == connections.end() || it->second.core_closed || m.bytes.empty()) return;
    Connection& c = it->second;
    if (m.bytes.size() > c.window) return End(c);  // more than was granted
    c.window -= m.bytes.size();
    c.out.push_back(std::move(m.bytes));
    if (Send(c)) Update(c);
  }
  void Take(seam::StreamClosed& m) {
    auto it = connections.find(m.id.value);
    if (it == connections.end()) return;
    it->second.core_closed = true;
    if (Send(it->second)) Update(it->second);
  }
  void Take(seam::StreamCredit& m) {
    auto it = connections.find(m.id.value);
    if (it == connections.end()) return;
    it->second.credit = it->second.credit + m.bytes < m.bytes ? UINT64_MAX : it->second.credit + m.bytes;
    Update(it->second);
  }

  void CloseListeners() {
    for (auto& l : listeners) {
      if (l.fd >= 0) close(l.fd);
      l.fd = -1;
    }
  }
  void SetAccepting(bool on) {
    if (on == accepting) return;
    accepting = on;
    for (size_t i = 0; i < listeners.size(); ++i) {
      if (listeners[i].fd >= 0) Watch(EPOLL_CTL_MOD, listeners[i].fd, on ? EPOLLIN : 0u, i + 1);
    }
  }

  void Accept(size_t which) {
    while (which < listeners.size() && listeners[which].fd >= 0) {
      if (connections.size() >= limits::kConnectionsMax) return SetAccepting(false);
      int fd = accept4(listeners[which].fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) {
        if (errno == EINTR || errno == ECONNABORTED) continue;
        if (errno == EAGAIN) return;
        accept_again_ms = NowMs() + kAcceptPauseMs;  // out of descriptors or memory
        return SetAccepting(false);
      }
      Open(fd, listeners[which].listener);
    }
  }
  void Open(int fd, seam::Listener listener) {
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    Connection c;
    c.id = seam::StreamId(next_stream++);
    c.fd = fd;
    c.window = kNetWindowBytes;
    if (!Watch(EPOLL_CTL_ADD, fd, 0, c.id.value)) {
      close(fd);
      return;
    }
    seam::StreamId id = c.id;
    connections.emplace(id.value, std::move(c));
    count = connections.size();
    to_core.push_back(seam::StreamOpened{id, listener});
    to_core.push_back(seam::StreamCredit{id, kNetWindowBytes});
  }

  void Ready(Connection& c, uint32_t events) {
    if ((events & EPOLLERR) != 0) return End(c);
    if ((events & EPOLLOUT) != 0 && !Send(c)) return;
    if ((events & (EPOLLIN | EPOLLHUP)) != 0 && !Receive(c)) return;
    Update(c);
  }

  // False: the connection has ended.
  bool Receive(Connection& c) {
    bool discard = c.core_closed;  // lingering: only the peer's close is of interest
    if (!discard && c.credit == 0) {
      // Nothing may be read now. EPOLLHUP comes unasked when both directions are shut.
      End(c);
      return false;
    }
    size_t want = discard || c.credit > buffer.size() ? buffer.size() : static_cast<size_t>(c.credit);
    ssize_t n = recv(c.fd, buffer.data(), want, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return true;
    if (n <= 0) {
      End(c);
      return false;
    }
    if (discard) return true;
    c.credit -= static_cast<uint64_t>(n);
    to_core.push_back(seam::StreamBytes{c.id, Bytes(buffer.begin(), buffer.begin() + n)});
    return true;
  }

  // False: the connection has ended.
  bool Send(Connection& c) {
    uint64_t sent = 0;
    while (!c.out.empty()) {
      const Bytes& b = c.out.front();
      ssize_t n = send(c.fd, b.data() + c.out_at, b.size() - c.out_at, MSG_NOSIGNAL);
      if (n < 0) {
        if (errno == EAGAIN || errno == EINTR) break;
        End(c);
        return false;
      }
      sent += static_cast<uint64_t>(n);
      c.out_at += static_cast<size_t>(n);
      if (c.out_at == b.size()) {
        c.out.pop_front();
        c.out_at = 0;
      }
    }
    if (sent != 0 && !c.core_closed) {
      c.window += sent;
      to_core.push_back(seam::StreamCredit{c.id, sent});
    }
    if (c.core_closed && c.out.empty() && c.linger_until_ms == 0) {
      shutdown(c.fd, SHUT_WR);
      c.linger_until_ms = NowMs() + kLingerMs;
      lingering[c.id.value] = c.linger_until_ms;
    }
    return true;
  }

  void Update(Connection& c) {
    uint32_t want = (c.core_closed || c.credit > 0 ? EPOLLIN : 0u) | (c.out.empty() ? 0u : EPOLLOUT);
    if (want == c.interest) return;
    c.interest = want;
    Watch(EPOLL_CTL_MOD, c.fd, want, c.id.value);
  }

  // Erases `c`.
  void End(Connection& c) {
    close(c.fd);
    seam::StreamId id = c.id;
    bool tell = !c.core_closed;
    lingering.erase(id.value);
    connections.erase(id.value);
    count = connections.size();
    if (tell) to_core.push_back(seam::StreamClosed{id});
    if (accept_again_ms == 0) SetAccepting(true);
  }
};

Net::Net(seam::CoreEndpoint& core) : s_(std::make_unique<State>(core)) {}

Net::~Net() {
  Stop();
  if (s_->epoll >= 0) close(s_->epoll);
  if (s_->wake >= 0) close(s_->wake);
}

Status Net::Start() {
  s_->epoll = epoll_create1(EPOLL_CLOEXEC);
  s_->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (s_->epoll < 0 || s_->wake < 0 || !s_->Watch(EPOLL_CTL_ADD, s_->wake, EPOLLIN, kWakeToken))
    return Code::kIo;
  s_->thread = std::thread([this] { s_->Main(); });
  return Ok();
}

Result<uint16_t> Net::Listen(seam::Listener listener, const std::string& address, uint16_t port) {
  sockaddr_storage any{};
  socklen_t size = 0;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&any);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&any);
  if (inet_pton(AF_INET, address.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    size = sizeof *v4;
  } else if (inet_pton(AF_INET6, address.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    size = sizeof *v6;
  } else {
    return Code::kInvalidArgument;
  }
  int fd = socket(any.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return Code::kIo;
  int one = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(fd, reinterpret_cast<sockaddr*>(&any), size) != 0 || listen(fd, kBacklog) != 0 ||
      getsockname(fd, reinterpret_cast<sockaddr*>(&any), &size) != 0) {
    Code code = OpenError(errno);
    close(fd);
    return code;
  }
  s_->Post(ListenOrder{fd, listener});
  return ntohs(any.ss_family == AF_INET ? v4->sin_port : v6->sin6_port);
}

void Net::FromCore(seam::StreamBytes message) { s_->FromCore(std::move(message)); }
void Net::FromCore(seam::StreamClosed message) { s_->FromCore(message); }
void Net::FromCore(seam::StreamCredit message) { s_->FromCore(message); }
void Net::StopListening() { s_->Post(StopListeningOrder{}); }

void Net::Stop() {
  if (!s_->thread.joinable()) return;
  s_->Post(StopOrder{});
  s_->thread.join();
}

size_t Net::connections() const { return s_->count; }

}  // namespace holdfast::host
