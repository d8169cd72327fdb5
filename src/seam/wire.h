// Messages as bytes. A message is a kind, an id, a head (all its fields but one) and a body (the one that may
// be large and is moved, not copied again). All of it follows from catalogue.def.
//
// Decode* take bytes of the other side: they are checked against the table's limits, read once, and a message
// that breaks a rule is kMessageRefused, whatever it is. They allocate at most what they were given.
#ifndef HOLDFAST_SEAM_WIRE_H_
#define HOLDFAST_SEAM_WIRE_H_

#include <string_view>

#include "seam/channel.h"

namespace holdfast::seam {

enum class Kind : uint8_t {
  kNone = 0,
#define HF_MESSAGE(name, number, ...) k##name = number,
#define HF_STORAGE_OPERATION(...)
#include "seam/catalogue.def"
#undef HF_STORAGE_OPERATION
#undef HF_MESSAGE
};
enum class Direction : uint8_t { kToCore, kToHost, kBoth };
enum class Lane : uint8_t { kControl, kJournal, kStorage, kStream, kByOperation };
inline constexpr size_t kLanes = 4;

struct KindInfo {
  Kind kind{};
  std::string_view name;
  Direction direction{};
  Lane lane{};
  uint64_t head_bytes_max = 0, body_bytes_max = 0;
  Kind reply{};
};
// Nothing for a number that no message has.
const KindInfo* InfoOf(uint8_t kind);

struct Envelope {
  uint8_t kind = 0;
  uint8_t operation = 0;  // of storage messages, else 0
  uint64_t id = 0;        // stream or request; 0: this kind has none
  uint64_t head_bytes = 0, body_bytes = 0;
  friend bool operator==(const Envelope&, const Envelope&) = default;
};
struct WireMessage {
  Envelope envelope;
  Bytes head, body;
};

// The lane of a message with this envelope, if it may go in this direction and keeps the table's limits.
std::optional<Lane> LaneOf(const Envelope& envelope, Direction direction);

WireMessage Encode(HostToCore message);  // REQUIRES: not StreamRoom
WireMessage Encode(CoreToHost message);

// errors  kMessageRefused
Result<HostToCore> DecodeToCore(WireMessage message);
Result<CoreToHost> DecodeToHost(WireMessage message);

}  // namespace holdfast::seam

#endif  // HOLDFAST_SEAM_WIRE_H_
