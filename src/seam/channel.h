// Everything that crosses between the untrusted host and the core, as plain structs: two calls, FromHost and
// FromCore.
//
// Requests of the core are transactions: an id is never 0, each gets exactly one reply of the same kind, any
// number of calls later. Bytes of one stream keep their order. Credit: a side sends at most the bytes the
// other granted, so no queue grows without bound. In one process a message is a function call; between two it
// goes through rings in shared memory (seam/ring.h, channel/port.h), as catalogue.def and seam/wire.h say.
// docs/protocol.md describes the meaning of every message.
#ifndef HOLDFAST_SEAM_CHANNEL_H_
#define HOLDFAST_SEAM_CHANNEL_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "seam/storage.h"

namespace holdfast::seam {

inline constexpr uint32_t kChannelVersion = 3;

using StreamId = Number<struct StreamIdTag>;    // never reused
using RequestId = Number<struct RequestIdTag>;  // 0 is refused

enum class Listener : uint8_t { kUser = 1, kAdmin = 2 };
enum class Volume : uint8_t {
  kStore = 1,
  kAnchor = 2
};  // kAnchor: one object named "anchor", kept outside the store

// -- host to core
struct HostHello {
  uint32_t version = kChannelVersion;
  uint64_t save_period_ms = 0;  // 0: no periodic saves
  uint64_t cache_bytes = 0;
  bool discard_tail = false;
  bool has_anchor = false;  // the host answers for Volume::kAnchor
  uint32_t providers = 1;   // that the host has been told of; which must exist, the store says itself
  friend bool operator==(const HostHello&, const HostHello&) = default;
};
struct Tick {
  uint64_t monotonic_us = 0;
  uint64_t wall_ms = 0;
};
struct MetricsRequest {
  RequestId id;
};
struct StreamOpened {
  StreamId id;
  Listener listener{};
};
struct StreamBytes {
  StreamId id;
  Bytes bytes;
};  // both directions
struct StreamClosed {
  StreamId id;
};  // both directions; the last message of that id from that side
struct StreamCredit {
  StreamId id;
  uint64_t bytes = 0;
};  // both directions: that many more may be sent to me
struct StorageReply {
  RequestId id;
  uint8_t operation = 0;  // repeats the request's
  bool ok = false;
  Code code{};  // if !ok
  Bytes bytes;
  std::string version;
  Listing listing;
  Capabilities capabilities;
};
struct StopRequested {};  // SIGTERM: finish cleanly
// Never on the channel: the core's own end of it says that streams may be written to again (HostEndpoint).
struct StreamRoom {};

// -- core to host
struct CoreHello {
  uint32_t version = kChannelVersion;
  uint32_t isolation = 0;  // bits of isolation.def that are in force
  friend bool operator==(const CoreHello&, const CoreHello&) = default;
};
struct MetricsReply {
  RequestId id;
  std::vector<uint64_t> values;  // in the order of metrics.def
};
struct CoreNote {
  std::string line;  // what opening had to say: names of objects, numbers, no user data
};
struct StorageRequest {
  RequestId id;
  Volume volume{};
  uint8_t provider = 0;   // of Volume::kStore, from 0
  uint8_t operation = 0;  // StorageOperation
  std::string name, after, version;
  uint64_t offset = 0, length = 0;
  Bytes bytes;
};
struct Ready {};  // the core serves: open the listeners, write the port files
struct CoreLog {
  Code code{};
  uint64_t a = 0, b = 0;
};  // (code, numbers), never user data
struct CoreStopped {
  bool clean = false;
  Code code{};
};

enum class StorageOperation : uint8_t {
#define HF_MESSAGE(...)
#define HF_STORAGE_OPERATION(name, number, lane, request_body_max, reply_body_max) name = number,
#include "seam/catalogue.def"
#undef HF_STORAGE_OPERATION
#undef HF_MESSAGE
};

using HostToCore = std::variant<HostHello, Tick, StopRequested, MetricsRequest, StreamOpened, StreamBytes,
                                StreamClosed, StreamCredit, StorageReply, StreamRoom>;
using CoreToHost = std::variant<CoreHello, MetricsReply, Ready, CoreNote, CoreLog, CoreStopped, StreamBytes,
                                StreamClosed, StreamCredit, StorageRequest>;

// May be called from any thread; messages of one caller thread keep their order. FromCore does not
// block, but for calls of the journal, whose caller waits for their reply anyway.
// FromHost may wait for the core's own threads, never for the host, so that a flood fills the host's memory
// and not the core's.
class CoreEndpoint {
 public:
  virtual ~CoreEndpoint() = default;
  virtual void FromHost(HostToCore message) = 0;
  // How long a body the reply to that request may have; nothing: it is not outstanding, or of another kind.
  // Asked before memory is set aside.
  virtual std::optional<uint64_t> ReplyBodyMax(RequestId, StorageOperation) { return UINT64_MAX; }
};
class HostEndpoint {
 public:
  virtual ~HostEndpoint() = default;
  virtual void FromCore(CoreToHost message) = 0;
  // False: so much waits for the host that streams should be read from no further; StreamRoom will come.
  virtual bool RoomForStreams() const { return true; }
};

}  // namespace holdfast::seam

#endif  // HOLDFAST_SEAM_CHANNEL_H_
