// A ring of records in memory that two processes share, one writing, one reading; and on top of it whole
// messages, cut into records. Nothing here waits, allocates without a limit, or believes what the other side
// wrote: own positions are private, the other's are read once and checked, bytes are copied out once and then
// parsed.
//
//   shared:   | positions: written, taken, wants | data: a power of two of bytes                            |
//   record:   | size 4 | kind 1 | operation 1 | flags 1 | 0 | id 8 | head_bytes 8 | body_bytes 8 | payload …
//   |
//
// A message is a first record (flag 1), any number of further ones, a last one (flag 2); head first, then
// body. Records of different messages do not mix within one ring. Little-endian, no padding; a record may
// wrap.
#ifndef HOLDFAST_SEAM_RING_H_
#define HOLDFAST_SEAM_RING_H_

#include <deque>
#include <functional>

#include "base/limits.h"
#include "seam/wire.h"

namespace holdfast::seam {

inline constexpr size_t kRecordHeaderBytes = 32;
inline constexpr uint8_t kFirstRecord = 1, kLastRecord = 2;

// One ring's place in the shared memory. Each position has a cache line of its own.
struct RingMemory {
  uint64_t* written = nullptr;  // by the writer: bytes since the beginning
  uint64_t* taken = nullptr;    // by the reader
  uint32_t* wants = nullptr;    // by the writer: it waits for room and wants to be woken
  uint8_t* data = nullptr;
  size_t size = 0;  // a power of two
};

class RingWriter {
 public:
  explicit RingWriter(const RingMemory& memory) : m_(memory) {}
  // Bytes that fit now; nothing: the reader's position is impossible (kChannelBroken).
  std::optional<size_t> Free();
  void Copy(ByteView bytes);  // REQUIRES: it fits behind what was copied before
  void Publish();             // what was copied becomes visible
  void WantRoom(bool on);

 private:
  RingMemory m_;
  uint64_t at_ = 0, published_ = 0, taken_ = 0;
};

class RingReader {
 public:
  explicit RingReader(const RingMemory& memory) : m_(memory) {}
  // Bytes that may be taken now; nothing: the writer's position is impossible.
  std::optional<size_t> Available();
  void Copy(uint8_t* to, size_t n);    // REQUIRES: n available. Each shared byte is read once.
  void CopyInto(Bytes& to, size_t n);  // appends
  void Skip(size_t n) { at_ += n; }
  void Release();  // the writer may overwrite what was taken
  bool WriterWaits() const;

 private:
  RingMemory m_;
  uint64_t at_ = 0, written_ = 0;
};

// Messages into one ring. What does not fit waits here; whoever feeds it bounds it. Not thread-safe.
class LaneWriter {
 public:
  explicit LaneWriter(const RingMemory& memory) : ring_(memory) {}
  void Push(WireMessage message);
  // Copies what fits; false: the ring is broken. `wrote` is set when something became visible.
  bool Flush(bool* wrote);
  bool waiting() const { return !queue_.empty(); }
  size_t waiting_messages() const { return queue_.size(); }
  uint64_t waiting_bytes() const { return waiting_bytes_; }
  void WantRoom(bool on) { ring_.WantRoom(on); }

 private:
  bool WriteSome(bool* wrote);
  RingWriter ring_;
  std::deque<WireMessage> queue_;
  uint64_t sent_ = 0;  // of the first message: head and body bytes
  bool started_ = false;
  uint64_t waiting_bytes_ = 0;
};

// Messages out of one ring. Not thread-safe.
class LaneReader {
 public:
  // `permit` is asked at the first record of each message that keeps the table's limits: the largest body it
  // may have, or nothing to refuse it.
  using Permit = std::function<std::optional<uint64_t>(const Envelope&)>;
  LaneReader(const RingMemory& memory, Direction direction, Lane lane, Permit permit)
      : ring_(memory), direction_(direction), lane_(lane), permit_(std::move(permit)) {}

  enum class Step : uint8_t {
    kNothing,  // the ring is empty
    kPart,     // something was taken, no message is complete
    kMessage,  // *out holds one, its sizes as its envelope says
    kRefused,  // a message breaks a rule: it will be skipped; out->envelope says which
    kBroken,   // framing is lost: nothing more can be read
  };
  Step Next(WireMessage* out);
  bool Empty();  // also false when broken: Next will tell
  // After a number of steps. True: the writer waits for room and should be woken.
  bool Release();

 private:
  Step Begin(const Envelope& envelope, WireMessage* out);
  RingReader ring_;
  Direction direction_;
  Lane lane_;
  Permit permit_;
  bool inside_ = false, skipping_ = false;
  Envelope envelope_;
  Bytes head_, body_;
  uint64_t got_ = 0;
};

// The whole channel's memory: flags of the two readers, then for each direction the rings of kLanes lanes.
inline constexpr size_t kControlRingBytes = 64u << 10;
inline constexpr size_t kJournalRingBytes = 1u << 20;
inline constexpr size_t kStorageRingBytes = 2u << 20;
inline constexpr size_t kStreamRingBytes = 2u << 20;
size_t ChannelMemoryBytes();
RingMemory RingAt(uint8_t* memory, Direction direction, Lane lane);
// Set by a reader that goes to sleep; who writes for it and finds it set wakes it.
uint32_t* ReaderSleeps(uint8_t* memory, Direction direction);
// The same for the host's reader of the journal's lane, a thread of its own; a futex.
uint32_t* JournalReaderSleeps(uint8_t* memory);

}  // namespace holdfast::seam

#endif  // HOLDFAST_SEAM_RING_H_
