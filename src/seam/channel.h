// Everything that crosses between the untrusted host and the core, as plain structs: two calls, FromHost and
// FromCore.
//
// Requests of the core are transactions: an id is never 0, each gets exactly one reply of the same kind, any
// number of calls later. Bytes of one stream keep their order. Credit: a side sends at most the bytes the
// other granted, so no queue grows without bound. In this build both sides live in one process and a message
// is a function call; a transport between processes changes nothing above this header. docs/protocol.md
// describes the meaning of every message.
#ifndef HOLDFAST_SEAM_CHANNEL_H_
#define HOLDFAST_SEAM_CHANNEL_H_

#include <cstdint>
#include <memory>
#include <string>
#include <variant>

#include "base/ids.h"
#include "seam/storage.h"

namespace holdfast::seam {

inline constexpr uint32_t kChannelVersion = 1;

using StreamId = Number<struct StreamIdTag>;    // never reused
using RequestId = Number<struct RequestIdTag>;  // 0 is refused

enum class Listener : uint8_t { kUser = 1, kAdmin = 2 };
enum class Volume : uint8_t {
  kStore = 1,
  kAnchor = 2
};  // kAnchor: one object named "anchor", kept outside the store

// -- host to core
struct Hello {
  uint32_t version = kChannelVersion;
};
struct Tick {
  uint64_t monotonic_us = 0;
  uint64_t wall_ms = 0;
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

// -- core to host
struct StorageRequest {
  RequestId id;
  Volume volume{};
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
  kCapabilities = 1,
  kGet,
  kGetRange,
  kGetVersioned,
  kPut,
  kPutIfAbsent,
  kPutIfVersion,
  kDelete,
  kList,
  kBarrier,
  kCreateAppendable,
  kAppend,
  kTrim,
};

using HostToCore = std::variant<Hello, Tick, StreamOpened, StreamBytes, StreamClosed, StreamCredit,
                                StorageReply, StopRequested>;
using CoreToHost =
    std::variant<Hello, StreamBytes, StreamClosed, StreamCredit, StorageRequest, Ready, CoreLog, CoreStopped>;

// Implementations never block and may be called from any thread; messages of one caller thread keep their
// order.
class CoreEndpoint {
 public:
  virtual ~CoreEndpoint() = default;
  virtual void FromHost(HostToCore message) = 0;
};
class HostEndpoint {
 public:
  virtual ~HostEndpoint() = default;
  virtual void FromCore(CoreToHost message) = 0;
};

}  // namespace holdfast::seam

#endif  // HOLDFAST_SEAM_CHANNEL_H_
