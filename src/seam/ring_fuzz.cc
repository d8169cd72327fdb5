// A ring whose bytes and positions a hostile process has written, and a thread that goes on rewriting them
// while they are read. Whatever the reader yields keeps the table's limits and what it was permitted.
//
//   input   lane and direction 1 | mode 1 | 6 unused | position 8 | order 8 | bytes of the ring …
//   mode    1: the writer's position is `position`; 2: the bytes change while they are read; 4: they begin
//           just before the ring's end; 8: `position` bytes are said to be there
#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <thread>

#include "base/check.h"
#include "seam/ring.h"

using namespace holdfast;
using namespace holdfast::seam;

namespace {

constexpr size_t kHeadBytes = 24, kAttackBytes = 2048, kBeforeEndBytes = 48;
constexpr uint8_t kWildPosition = 1, kRewritten = 2, kAtTheEnd = 4, kSaidLength = 8;

// A ring of its own allocation, so that a byte read beyond it is found at once.
struct OwnRing {
  explicit OwnRing(size_t bytes) : data(new uint8_t[bytes]), size(bytes) {}
  RingMemory memory() { return {&written, &taken, &wants, data.get(), size}; }
  alignas(64) uint64_t written = 0;
  alignas(64) uint64_t taken = 0;
  uint32_t wants = 0;
  std::unique_ptr<uint8_t[]> data;
  size_t size;
};

// One attacker for the whole run: it rewrites what the last input told it to.
class Attacker {
 public:
  Attacker()
      : thread_([this] {
          while (!stop_) Rewrite();
        }) {}
  ~Attacker() {
    stop_ = true;
    thread_.join();
  }
  void Begin(OwnRing& ring, uint64_t from, uint64_t order) {
    from_ = from;
    order_ = order | 1;
    ring_ = &ring;
  }
  void End() {
    ring_ = nullptr;
    while (busy_) std::this_thread::yield();
  }

 private:
  void Rewrite() {
    busy_ = true;
    if (OwnRing* ring = ring_.load()) {
      for (int i = 0; i < 64; ++i) {
        x_ ^= x_ << 13, x_ ^= x_ >> 7, x_ ^= x_ << 17;
        size_t at = (from_ + (x_ ^ order_) % kAttackBytes) & (ring->size - 1);
        std::atomic_ref<uint8_t>(ring->data[at])
            .store(static_cast<uint8_t>(x_ >> 40), std::memory_order_relaxed);
      }
      busy_ = false;
    } else {
      busy_ = false;
      std::this_thread::yield();
    }
  }
  uint64_t x_ = 88172645463325252u;
  std::atomic<bool> stop_{false}, busy_{false};
  std::atomic<uint64_t> from_{0}, order_{1};
  std::atomic<OwnRing*> ring_{nullptr};
  std::thread thread_;
};

OwnRing& RingOf(Lane lane) {
  static std::array<OwnRing, kLanes> rings = {OwnRing(kControlRingBytes), OwnRing(kJournalRingBytes),
                                              OwnRing(kStorageRingBytes), OwnRing(kStreamRingBytes)};
  return rings[static_cast<size_t>(lane)];
}

void PutAt(OwnRing& ring, uint64_t position, ByteView bytes) {
  for (size_t i = 0; i < bytes.size(); ++i) ring.data[(position + i) & (ring.size - 1)] = bytes[i];
}

// Brings the reader to `position` by messages that it refuses.
void MoveTo(OwnRing& ring, LaneReader& reader, uint64_t position) {
  WireMessage refused;
  for (uint64_t at = 0; at < position;) {
    uint64_t n = std::min<uint64_t>(position - at, kRecordHeaderBytes + limits::kRecordBytesMax);
    if (position - at - n < kRecordHeaderBytes && n != position - at) n -= kRecordHeaderBytes;
    uint8_t header[kRecordHeaderBytes] = {};
    StoreLittle<uint32_t>(header, static_cast<uint32_t>(n - kRecordHeaderBytes));
    header[6] = kFirstRecord | kLastRecord;
    PutAt(ring, at, header);
    at = ring.written = at + n;
    HF_CHECK(reader.Next(&refused) == LaneReader::Step::kRefused);
    reader.Release();
  }
}

std::optional<uint64_t> Permitted(const Envelope& e) {
  if (e.id % 5 == 4) return std::nullopt;
  return e.id % 5 == 3 ? 100 : UINT64_MAX;
}

void CheckMessage(const WireMessage& m, Direction direction, Lane lane) {
  const KindInfo* info = InfoOf(m.envelope.kind);
  HF_CHECK(info != nullptr && m.head.size() <= info->head_bytes_max && m.body.size() <= info->body_bytes_max);
  HF_CHECK(m.head.size() == m.envelope.head_bytes && m.body.size() == m.envelope.body_bytes);
  HF_CHECK(LaneOf(m.envelope, direction) == lane);
  std::optional<uint64_t> permitted = Permitted(m.envelope);
  HF_CHECK(permitted && m.body.size() <= *permitted);
}

void ReadAll(OwnRing& ring, LaneReader& reader, Direction direction, Lane lane) {
  WireMessage got;
  // Each step takes a record of at least a header, so a ring that nobody fills ends.
  for (size_t i = 0; i <= ring.size / kRecordHeaderBytes; ++i) {
    LaneReader::Step step = reader.Next(&got);
    if (step == LaneReader::Step::kNothing || step == LaneReader::Step::kBroken) return;
    if (i % 16 == 0) reader.Release();
    HF_CHECK(ring.taken <= ring.written);
    if (step != LaneReader::Step::kMessage) continue;
    CheckMessage(got, direction, lane);
    if (direction == Direction::kToCore) {
      (void)DecodeToCore(std::move(got)).has_value();
    } else {
      (void)DecodeToHost(std::move(got)).has_value();
    }
    got = WireMessage();
  }
  CheckFailed(__FILE__, __LINE__, "the reader took more records than a ring holds");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Attacker attacker;
  if (size < kHeadBytes) return 0;
  const Lane lane = static_cast<Lane>(data[0] % kLanes);
  const Direction direction = (data[0] & 0x80) != 0 ? Direction::kToHost : Direction::kToCore;
  const uint8_t mode = data[1];
  OwnRing& ring = RingOf(lane);
  std::memset(ring.data.get(), 0, ring.size);
  ring.written = ring.taken = 0;
  LaneReader reader(ring.memory(), direction, lane, Permitted);
  const uint64_t begin = (mode & kAtTheEnd) != 0 ? ring.size - kBeforeEndBytes : 0;
  MoveTo(ring, reader, begin);

  ByteView bytes(data + kHeadBytes, std::min(size - kHeadBytes, ring.size));
  PutAt(ring, begin, bytes);
  const uint64_t position = LoadLittle<uint64_t>(data + 8);
  uint64_t length = (mode & kSaidLength) != 0 ? position % (ring.size + 1) : bytes.size();
  ring.written = (mode & kWildPosition) != 0 ? position : begin + length;
  if ((mode & kRewritten) != 0) attacker.Begin(ring, begin, LoadLittle<uint64_t>(data + 16));
  ReadAll(ring, reader, direction, lane);
  attacker.End();
  return 0;
}
