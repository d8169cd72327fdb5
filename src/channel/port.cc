#include "channel/port.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "channel/wire_end_internal.h"
#include "seam/metrics.h"

namespace holdfast::channel {
namespace {

using seam::Direction;
using seam::Metric;

// The other process could otherwise shrink the memory under us: SIGBUS.
constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

Result<uint8_t*> Map(int fd) {
  struct stat s {};
  if (::fstat(fd, &s) != 0 || static_cast<size_t>(s.st_size) != seam::ChannelMemoryBytes()) {
    return Code::kChannelBroken;
  }
  if ((::fcntl(fd, F_GET_SEALS) & kSeals) != kSeals) return Code::kChannelBroken;
  void* p = ::mmap(nullptr, seam::ChannelMemoryBytes(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (p == MAP_FAILED) return Code::kIo;
  ::close(fd);
  return static_cast<uint8_t*>(p);
}

}  // namespace

Result<Descriptors> MakeDescriptors() {
  Descriptors d;
  int life[2] = {-1, -1};
  d.memory = ::memfd_create("holdfast-channel", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  d.wake_core = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  d.wake_host = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  bool ok = d.memory >= 0 && d.wake_core >= 0 && d.wake_host >= 0 &&
            ::ftruncate(d.memory, static_cast<off_t>(seam::ChannelMemoryBytes())) == 0 &&
            ::fcntl(d.memory, F_ADD_SEALS, kSeals) == 0 && ::pipe2(life, O_CLOEXEC | O_NONBLOCK) == 0;
  d.life_host = life[0];
  d.life_core = life[1];
  if (ok) return d;
  Close(d);
  return Code::kIo;
}

void Close(Descriptors& d) {
  for (int* fd : {&d.memory, &d.wake_core, &d.wake_host, &d.life_host, &d.life_core}) {
    if (*fd >= 0) ::close(*fd);
    *fd = -1;
  }
}

// -- the core, seen from the host

class HostPort::State {
 public:
  State(uint8_t* memory, const Descriptors& d, seam::HostEndpoint& h, Events e)
      : host(h),
        events(std::move(e)),
        end(memory, Direction::kToCore, d.wake_host, d.wake_core, d.life_host) {}
  void Deliver(seam::WireMessage message) {
    uint8_t kind = message.envelope.kind, operation = message.envelope.operation;
    Result<seam::CoreToHost> decoded = seam::DecodeToHost(std::move(message));
    if (decoded) return host.FromCore(std::move(decoded).value());
    seam::Metrics().Add(Metric::kChannelRefused);
    if (events.refused) events.refused(kind, operation);
  }
  seam::HostEndpoint& host;
  Events events;
  WireEnd end;
};

HostPort::HostPort(std::unique_ptr<State> s) : s_(std::move(s)) {}
HostPort::~HostPort() = default;

Result<std::unique_ptr<HostPort>> HostPort::Open(Descriptors d, seam::HostEndpoint& host, Events events) {
  HF_TRY(uint8_t * memory, Map(d.memory));
  return std::unique_ptr<HostPort>(new HostPort(std::make_unique<State>(memory, d, host, std::move(events))));
}

void HostPort::Start() {
  State* s = s_.get();
  s->end.Start({[s](seam::WireMessage m) { s->Deliver(std::move(m)); },
                [](const seam::Envelope&) -> std::optional<uint64_t> { return UINT64_MAX; }, nullptr, true,
                s->events});
}

void HostPort::FromHost(seam::HostToCore message) {
  seam::StorageReply too_large;
  if (auto* reply = std::get_if<seam::StorageReply>(&message)) {
    too_large.id = reply->id;
    too_large.operation = reply->operation;
    too_large.code = Code::kTooLarge;
  }
  seam::WireMessage encoded = seam::Encode(std::move(message));
  // A provider may hold names or objects of any length: what the table does not carry is an error of that
  // call.
  bool is_reply = encoded.envelope.kind == static_cast<uint8_t>(seam::Kind::kStorageReply);
  if (is_reply && !seam::LaneOf(encoded.envelope, Direction::kToCore)) {
    encoded = seam::Encode(seam::HostToCore(std::move(too_large)));
  }
  s_->end.Send(std::move(encoded));
}
void HostPort::Stop() { s_->end.Stop(); }

// -- the host, seen from the core

class CorePort::State {
 public:
  State(uint8_t* memory, const Descriptors& d, Events e)
      : events(std::move(e)), end(memory, Direction::kToHost, d.wake_core, d.wake_host, d.life_core) {}
  void Deliver(seam::WireMessage message) {
    uint8_t kind = message.envelope.kind, operation = message.envelope.operation;
    Result<seam::HostToCore> decoded = seam::DecodeToCore(std::move(message));
    if (decoded) return core->FromHost(std::move(decoded).value());
    seam::Metrics().Add(Metric::kChannelRefused);
    if (events.refused) events.refused(kind, operation);
  }
  std::optional<uint64_t> Permit(const seam::Envelope& e) {
    if (e.kind != static_cast<uint8_t>(seam::Kind::kStorageReply)) return UINT64_MAX;
    return core->ReplyBodyMax(seam::RequestId(e.id), static_cast<seam::StorageOperation>(e.operation));
  }
  seam::CoreEndpoint* core = nullptr;
  Events events;
  WireEnd end;
};

CorePort::CorePort(std::unique_ptr<State> s) : s_(std::move(s)) {}
CorePort::~CorePort() = default;

Result<std::unique_ptr<CorePort>> CorePort::Open(Descriptors d, Events events) {
  HF_TRY(uint8_t * memory, Map(d.memory));
  return std::unique_ptr<CorePort>(new CorePort(std::make_unique<State>(memory, d, std::move(events))));
}

void CorePort::Start(seam::CoreEndpoint& core) {
  State* s = s_.get();
  s->core = &core;
  s->end.Start({[s](seam::WireMessage m) { s->Deliver(std::move(m)); },
                [s](const seam::Envelope& e) { return s->Permit(e); },
                [s] { s->core->FromHost(seam::StreamRoom{}); }, false, s->events});
}

void CorePort::FromCore(seam::CoreToHost message) { s_->end.Send(seam::Encode(std::move(message))); }
bool CorePort::RoomForStreams() const { return s_->end.RoomForStreams(); }
void CorePort::Stop() { s_->end.Stop(); }
void CorePort::Drain(int timeout_ms) { (void)s_->end.Drain(timeout_ms); }

}  // namespace holdfast::channel
