// The writing end of a ring against a reader that follows the input: honest at first, then one that moves its
// position as it likes. The writer stays inside the ring and gives up on an impossible position; as long as
// the reader is honest, every message arrives as it was pushed.
//
//   input   lane 1, then steps: 0 push, size 2 | 1 flush | 2 read, records 1 | 3 the reader's position is
//           that many bytes behind the writer's 4
#include <deque>
#include <memory>

#include "base/check.h"
#include "base/codec.h"
#include "seam/ring.h"

using namespace holdfast;
using namespace holdfast::seam;

namespace {

constexpr uint64_t kWaitingBytesMax = 4u << 20;  // a fuzzer that pushes for ever finds nothing more

struct Ring {
  explicit Ring(size_t bytes) : data(new uint8_t[bytes]()), size(bytes) {}
  RingMemory memory() { return {&written, &taken, &wants, data.get(), size}; }
  uint64_t written = 0, taken = 0;
  uint32_t wants = 0;
  std::unique_ptr<uint8_t[]> data;
  size_t size;
};

class Pair {
 public:
  explicit Pair(bool stream)
      : lane_(stream ? Lane::kStream : Lane::kJournal),
        ring_(stream ? kStreamRingBytes : kJournalRingBytes),
        writer_(ring_.memory()),
        reader_(ring_.memory(), kDirection, lane_,
                [](const Envelope&) { return std::optional(UINT64_MAX); }) {}

  void Push(uint16_t size) {
    if (writer_.waiting_bytes() > kWaitingBytesMax) return;
    WireMessage m = lane_ == Lane::kStream ? Stream(size) : Request(size);
    if (honest_) expected_.push_back(m);
    writer_.Push(std::move(m));
  }
  void Flush() {
    bool wrote = false;
    const uint64_t before = ring_.written;
    alive_ = alive_ && writer_.Flush(&wrote);
    HF_CHECK(alive_ || !honest_);
    HF_CHECK(wrote == (ring_.written != before));
    HF_CHECK(ring_.written >= before && ring_.written - before <= ring_.size);
    if (honest_) HF_CHECK(ring_.written - ring_.taken <= ring_.size);
  }
  void Read(uint8_t records) {
    WireMessage got;
    for (int i = 0; i < records && !broken_; ++i) {
      LaneReader::Step step = reader_.Next(&got);
      if (step == LaneReader::Step::kNothing) break;
      broken_ = step == LaneReader::Step::kBroken;
      HF_CHECK(!honest_ || step == LaneReader::Step::kMessage || step == LaneReader::Step::kPart);
      if (step == LaneReader::Step::kMessage && honest_) {
        HF_CHECK(!expected_.empty());
        const WireMessage& e = expected_.front();
        HF_CHECK(got.envelope == e.envelope && got.head == e.head && got.body == e.body);
        expected_.pop_front();
      }
    }
    if (!broken_) reader_.Release();
  }
  void Lie(uint32_t behind) {
    honest_ = false;
    ring_.taken = ring_.written - behind;
  }
  void ReadToTheEnd() {
    if (!honest_) return;
    while (writer_.waiting() || ring_.taken != ring_.written) {
      const uint64_t before = ring_.taken;
      Flush();
      Read(255);
      HF_CHECK(ring_.taken != before);  // an honest pair always moves on
    }
    HF_CHECK(expected_.empty() && writer_.waiting_bytes() == 0);
  }

 private:
  static constexpr Direction kDirection = Direction::kToHost;

  static Bytes Filled(size_t size, uint64_t id) {
    Bytes b(size);
    for (size_t i = 0; i < size; i += 61) b[i] = static_cast<uint8_t>(i ^ id);
    return b;
  }
  WireMessage Stream(uint16_t size) {
    ++id_;
    return Encode(CoreToHost(StreamBytes{StreamId(id_), Filled(size * size_t{8}, id_)}));
  }
  WireMessage Request(uint16_t size) {
    StorageRequest r;
    r.id = RequestId(++id_);
    r.volume = Volume::kStore;
    r.operation = static_cast<uint8_t>(StorageOperation::kAppend);
    r.name = std::string(size % 200, 'n');
    r.bytes = Filled(size * size_t{16}, id_);
    return Encode(CoreToHost(std::move(r)));
  }

  const Lane lane_;
  Ring ring_;
  LaneWriter writer_;
  LaneReader reader_;
  std::deque<WireMessage> expected_;
  uint64_t id_ = 0;
  bool honest_ = true, alive_ = true, broken_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Reader in({data, size});
  Pair pair((in.U8() & 1) != 0);
  for (int steps = 0; in.remaining() != 0 && steps < 400; ++steps) {
    switch (in.U8() % 4) {
      case 0:
        pair.Push(in.U16());
        break;
      case 1:
        pair.Flush();
        break;
      case 2:
        pair.Read(in.U8());
        break;
      case 3:
        pair.Lie(in.U32());
        break;
    }
  }
  pair.ReadToTheEnd();
  return 0;
}
