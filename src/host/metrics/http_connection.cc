#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

#include "host/metrics/http_connection_internal.h"

namespace holdfast::host {
namespace {

// So long, and so much, we read on after the answer: closing with bytes unread would send a reset, which may
// overtake the answer.
constexpr int kLingerMs = 500;
constexpr size_t kLingerBytesMax = 64u << 10;

int64_t NowMs() {
  auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

Code OpenError(int error) {
  if (error == EADDRINUSE) return Code::kInUse;
  if (error == EACCES || error == EPERM) return Code::kPermission;
  return error == EADDRNOTAVAIL ? Code::kInvalidArgument : Code::kIo;
}

}  // namespace

Result<int> ListenOn(const std::string& address, uint16_t port, int backlog, uint16_t* chosen) {
  sockaddr_storage any{};
  socklen_t size = 0;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&any);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&any);
  if (::inet_pton(AF_INET, address.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    size = sizeof *v4;
  } else if (::inet_pton(AF_INET6, address.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    size = sizeof *v6;
  } else {
    return Code::kInvalidArgument;
  }
  int fd = ::socket(any.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return Code::kIo;
  int one = 1;
  (void)::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (::bind(fd, reinterpret_cast<sockaddr*>(&any), size) != 0 || ::listen(fd, backlog) != 0 ||
      ::getsockname(fd, reinterpret_cast<sockaddr*>(&any), &size) != 0) {
    Code code = OpenError(errno);
    ::close(fd);
    return code;
  }
  *chosen = ntohs(any.ss_family == AF_INET ? v4->sin_port : v6->sin6_port);
  return fd;
}

HttpConnection::~HttpConnection() { ::close(fd_); }

Status HttpConnection::Wait(short events, int64_t until_ms) const {
  for (;;) {
    pollfd fds[2] = {{fd_, events, 0}, {stop_fd_, POLLIN, 0}};
    int64_t left = until_ms - NowMs();
    if (left <= 0) return Code::kDeadline;
    int n = ::poll(fds, 2, static_cast<int>(left));
    if (n < 0 && errno != EINTR) return Code::kIo;
    if (n <= 0) continue;
    if (fds[1].revents != 0) return Code::kStopping;
    return Ok();
  }
}

Result<std::string> HttpConnection::ReadHead(size_t max_bytes, int timeout_ms) {
  constexpr std::string_view kEnd = "\r\n\r\n";
  int64_t until = NowMs() + timeout_ms;
  std::string head;
  for (;;) {
    HF_TRY_VOID(Wait(POLLIN, until));
    char piece[2048];
    ssize_t n = ::recv(fd_, piece, std::min(sizeof piece, max_bytes + 1 - head.size()), 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (n <= 0) return Code::kPeerGone;
    size_t from = head.size() < kEnd.size() ? 0 : head.size() - kEnd.size();
    head.append(piece, static_cast<size_t>(n));
    size_t end = head.find(kEnd, from);
    if (end != std::string::npos && end + kEnd.size() <= max_bytes) {
      head.resize(end + kEnd.size());
      return head;
    }
    if (head.size() > max_bytes) return Code::kTooLarge;
  }
}

void HttpConnection::Finish(std::string_view answer, int timeout_ms) {
  int64_t until = NowMs() + timeout_ms;
  while (!answer.empty()) {
    ssize_t n = ::send(fd_, answer.data(), answer.size(), MSG_NOSIGNAL);
    if (n > 0) {
      answer.remove_prefix(static_cast<size_t>(n));
    } else if (n < 0 && errno == EAGAIN) {
      if (!Wait(POLLOUT, until)) return;
    } else if (n == 0 || errno != EINTR) {
      return;
    }
  }
  (void)::shutdown(fd_, SHUT_WR);
  until = NowMs() + kLingerMs;
  char dropped[4096];
  for (size_t read = 0; read < kLingerBytesMax && Wait(POLLIN, until);) {
    ssize_t n = ::recv(fd_, dropped, sizeof dropped, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) return;
    if (n > 0) read += static_cast<size_t>(n);
  }
}

}  // namespace holdfast::host
