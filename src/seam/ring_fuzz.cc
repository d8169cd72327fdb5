// A ring whose bytes and positions a hostile process has written, and a thread that goes on rewriting them
// while they are read. Whatever the reader yields keeps the table's limits; the writer over the same ring
// never goes beyond it.
#include <atomic>
#include <cstdlib>
#include <thread>

#include "seam/ring.h"

using namespace holdfast;
using namespace holdfast::seam;

namespace {

// One attacker for the whole run: it rewrites what the last input told it to.
struct Attacker {
  Attacker()
      : memory(static_cast<uint8_t*>(std::aligned_alloc(4096, (ChannelMemoryBytes() + 4095) & ~4095ull))) {
    std::memset(memory, 0, ChannelMemoryBytes());
    thread = std::thread([this] {
      while (!stop) {
        uint64_t x = order.load(std::memory_order_relaxed);
        uint8_t* at = target.load();
        if (at == nullptr) continue;
        for (int i = 0; i < 64; ++i) {
          x ^= x << 13, x ^= x >> 7, x ^= x << 17;
          std::atomic_ref<uint8_t>(at[x % 2048])
              .store(static_cast<uint8_t>(x >> 40), std::memory_order_relaxed);
        }
      }
    });
  }
  ~Attacker() {
    stop = true;
    thread.join();
    std::free(memory);
  }
  uint8_t* memory;
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> order{1};
  std::atomic<uint8_t*> target{nullptr};
  std::thread thread;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Attacker attacker;
  if (size < 24) return 0;
  const Lane lane = static_cast<Lane>(data[0] % kLanes);
  const Direction direction = (data[0] & 0x80) != 0 ? Direction::kToHost : Direction::kToCore;
  RingMemory ring = RingAt(attacker.memory, direction, lane);
  attacker.target = nullptr;
  std::memset(ring.data, 0, 4096);
  size_t n = std::min(size - 24, ring.size);
  std::memcpy(ring.data, data + 24, n);
  *ring.taken = 0;
  *ring.written = (data[1] & 1) != 0 ? LoadLittle<uint64_t>(data + 8) : n;
  attacker.order = LoadLittle<uint64_t>(data + 16) | 1;
  if ((data[1] & 2) != 0) attacker.target = ring.data;
  LaneReader reader(ring, direction, lane, [&](const Envelope& e) -> std::optional<uint64_t> {
    if (e.id % 5 == 4) return std::nullopt;
    return e.id % 5 == 3 ? 100 : UINT64_MAX;
  });
  WireMessage got;
  for (int i = 0; i < 200; ++i) {
    LaneReader::Step step = reader.Next(&got);
    if (step == LaneReader::Step::kNothing || step == LaneReader::Step::kBroken) break;
    if (i % 16 == 0) reader.Release();
    if (step != LaneReader::Step::kMessage) continue;
    const KindInfo* info = InfoOf(got.envelope.kind);
    if (info == nullptr || got.head.size() > info->head_bytes_max || got.body.size() > info->body_bytes_max ||
        LaneOf(got.envelope, direction) != lane || got.body.size() != got.envelope.body_bytes) {
      std::abort();
    }
    if (direction == Direction::kToCore) {
      (void)DecodeToCore(std::move(got)).has_value();
    } else {
      (void)DecodeToHost(std::move(got)).has_value();
    }
    got = WireMessage();
  }
  attacker.target = nullptr;
  // The writer believes no position of the reader.
  LaneWriter writer(ring);
  *ring.taken = LoadLittle<uint64_t>(data + 8);
  bool wrote = false;
  if (lane == Lane::kStream) {
    writer.Push(Encode(HostToCore(StreamBytes{StreamId(1), Bytes(data[2] * 300u)})));
    (void)writer.Flush(&wrote);
  }
  return 0;
}
