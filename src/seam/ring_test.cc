#include "seam/ring.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

namespace holdfast::seam {
namespace {

// The shared memory of one channel, as a plain buffer.
struct Shared {
  Shared() : memory(new (std::align_val_t(64)) uint8_t[ChannelMemoryBytes()]()) {}
  ~Shared() { ::operator delete[](memory, std::align_val_t(64)); }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  RingMemory Ring(Lane lane, Direction d = Direction::kToCore) const { return RingAt(memory, d, lane); }
  uint8_t* memory;
};

LaneReader::Permit Any() {
  return [](const Envelope&) -> std::optional<uint64_t> { return UINT64_MAX; };
}

WireMessage Stream(uint64_t id, size_t bytes, uint8_t fill = 1) {
  return Encode(HostToCore(StreamBytes{StreamId(id), Bytes(bytes, fill)}));
}
WireMessage Reply(uint64_t id, size_t bytes) {
  StorageReply r;
  r.id = RequestId(id);
  r.operation = static_cast<uint8_t>(StorageOperation::kGet);
  r.ok = true;
  r.bytes = Bytes(bytes);
  for (size_t i = 0; i < bytes; ++i) r.bytes[i] = static_cast<uint8_t>(i * 31 + i / 251);
  return Encode(HostToCore(std::move(r)));
}

// A first and last record with these fields, straight into the ring.
void Raw(const RingMemory& ring, const Envelope& e, uint32_t size, uint8_t flags, uint8_t zero = 0) {
  uint8_t h[kRecordHeaderBytes] = {};
  StoreLittle<uint32_t>(h, size);
  h[4] = e.kind, h[5] = e.operation, h[6] = flags, h[7] = zero;
  StoreLittle<uint64_t>(h + 8, e.id);
  StoreLittle<uint64_t>(h + 16, e.head_bytes);
  StoreLittle<uint64_t>(h + 24, e.body_bytes);
  uint64_t at = *ring.written;
  for (size_t i = 0; i < sizeof h; ++i) ring.data[(at + i) & (ring.size - 1)] = h[i];
  *ring.written = at + sizeof h + size;
}

constexpr uint8_t kOne = kFirstRecord | kLastRecord;
const uint8_t kBytesKind = static_cast<uint8_t>(Kind::kStreamBytes);

TEST(Ring, CarriesMessagesLargerThanItselfInOrderWhileBothSidesWork) {
  Shared shared;
  LaneWriter writer(shared.Ring(Lane::kStorage));
  constexpr size_t kLarge = 3 * kStorageRingBytes + 12'345;
  WireMessage sent = Reply(7, kLarge);
  Bytes expected = sent.body;
  writer.Push(std::move(sent));
  writer.Push(Reply(8, 0));
  std::thread reading([&] {
    LaneReader reader(shared.Ring(Lane::kStorage), Direction::kToCore, Lane::kStorage, Any());
    WireMessage got;
    for (uint64_t id = 7; id <= 8;) {
      LaneReader::Step step = reader.Next(&got);
      ASSERT_NE(step, LaneReader::Step::kBroken);
      ASSERT_NE(step, LaneReader::Step::kRefused);
      reader.Release();
      if (step != LaneReader::Step::kMessage) continue;
      EXPECT_EQ(got.envelope.id, id);
      if (id == 7) {
        EXPECT_TRUE(got.body == expected);
      }
      EXPECT_TRUE(DecodeToCore(std::move(got)).has_value());
      ++id;
    }
  });
  bool wrote = false;
  while (writer.waiting()) ASSERT_TRUE(writer.Flush(&wrote));
  reading.join();
  EXPECT_EQ(writer.waiting_bytes(), 0u);
}

TEST(Ring, AMessageThatBreaksALimitIsRefusedBeforeMemoryIsSetAsideAndTheNextOneArrives) {
  Shared shared;
  RingMemory ring = shared.Ring(Lane::kStream);
  struct Case {
    const char* what;
    Envelope envelope;
  };
  const Case cases[] = {
      {"unknown kind", {200, 0, 1, 0, 0}},
      {"kind 0", {0, 0, 1, 0, 0}},
      {"id 0", {kBytesKind, 0, 0, 0, 5}},
      {"an operation where there is none", {kBytesKind, 3, 1, 0, 5}},
      {"the wrong direction", {static_cast<uint8_t>(Kind::kReady), 0, 0, 0, 0}},
      {"the wrong lane", {static_cast<uint8_t>(Kind::kTick), 0, 0, 16, 0}},
      {"a body above the limit", {kBytesKind, 0, 1, 0, (512u << 10) + 1}},
      {"a body near 2^64", {kBytesKind, 0, 1, 0, UINT64_MAX}},
      {"a head near 2^64", {kBytesKind, 0, 1, UINT64_MAX, 0}},
      {"an id where there is none", {static_cast<uint8_t>(Kind::kStopRequested), 0, 9, 0, 0}},
  };
  LaneReader reader(ring, Direction::kToCore, Lane::kStream, Any());
  WireMessage got;
  for (const Case& c : cases) {
    Raw(ring, c.envelope, 100, kFirstRecord);
    Raw(ring, c.envelope, 200, 0);
    Raw(ring, c.envelope, 100, kLastRecord);
    EXPECT_EQ(reader.Next(&got), LaneReader::Step::kRefused) << c.what;
    EXPECT_EQ(got.envelope, c.envelope) << c.what;
    EXPECT_EQ(reader.Next(&got), LaneReader::Step::kPart) << c.what;
    EXPECT_EQ(reader.Next(&got), LaneReader::Step::kPart) << c.what;
    reader.Release();
    Raw(ring, {kBytesKind, 0, 1, 0, 10}, 10, kOne);
    EXPECT_EQ(reader.Next(&got), LaneReader::Step::kMessage) << c.what;
    reader.Release();
  }
}

TEST(Ring, TheReplyThatNobodyAskedForIsSkippedWithoutBeingKept) {
  Shared shared;
  LaneWriter writer(shared.Ring(Lane::kStorage));
  bool wrote = false;
  uint64_t allowed = 0;
  LaneReader reader(shared.Ring(Lane::kStorage), Direction::kToCore, Lane::kStorage,
                    [&](const Envelope& e) -> std::optional<uint64_t> {
                      if (e.id == 99) return std::nullopt;
                      return allowed;
                    });
  WireMessage got;
  writer.Push(Reply(99, 1000));
  writer.Push(Reply(1, 1000));
  ASSERT_TRUE(writer.Flush(&wrote));
  EXPECT_EQ(reader.Next(&got), LaneReader::Step::kRefused);
  EXPECT_EQ(reader.Next(&got), LaneReader::Step::kRefused);  // 1000 bytes, 0 were asked for
  allowed = 1000;
  writer.Push(Reply(2, 1000));
  ASSERT_TRUE(writer.Flush(&wrote));
  EXPECT_EQ(reader.Next(&got), LaneReader::Step::kMessage);
}

TEST(Ring, FramingThatCannotBeRightEndsTheChannelWhateverItIs) {
  struct Case {
    const char* what;
    std::function<void(const RingMemory&)> spoil;
  };
  const Envelope good{kBytesKind, 0, 1, 0, 10};
  const Case cases[] = {
      {"written runs ahead by more than the ring", [](auto& r) { *r.written = r.size + 1; }},
      {"written at the end of numbers", [](auto& r) { *r.written = UINT64_MAX; }},
      {"half a header", [](auto& r) { *r.written = 5; }},
      {"a record longer than the limit", [&](auto& r) { Raw(r, good, limits::kRecordBytesMax + 1, kOne); }},
      {"a record longer than what is there",
       [&](auto& r) {
         Raw(r, good, 10, kOne);
         *r.written -= 1;
       }},
      {"an unknown flag", [&](auto& r) { Raw(r, good, 10, 4); }},
      {"a reserved byte", [&](auto& r) { Raw(r, good, 10, kOne, 1); }},
      {"a second record without a first", [&](auto& r) { Raw(r, good, 10, kLastRecord); }},
      {"a last record too early", [&](auto& r) { Raw(r, good, 9, kOne); }},
      {"bytes beyond the message's size", [&](auto& r) { Raw(r, good, 11, kOne); }},
      {"all bytes and no end", [&](auto& r) { Raw(r, good, 10, kFirstRecord); }},
  };
  for (const Case& c : cases) {
    Shared shared;
    RingMemory ring = shared.Ring(Lane::kStream);
    LaneReader reader(ring, Direction::kToCore, Lane::kStream, Any());
    WireMessage got;
    c.spoil(ring);
    EXPECT_EQ(reader.Next(&got), LaneReader::Step::kBroken) << c.what;
  }
}

TEST(Ring, AMessageBegunInsideAnotherOrUnderAnotherEnvelopeEndsTheChannel) {
  for (bool first : {true, false}) {
    Shared shared;
    RingMemory ring = shared.Ring(Lane::kStream);
    LaneReader reader(ring, Direction::kToCore, Lane::kStream, Any());
    WireMessage got;
    Raw(ring, {kBytesKind, 0, 1, 0, 10}, 4, kFirstRecord);
    EXPECT_EQ(reader.Next(&got), LaneReader::Step::kPart);
    Raw(ring, {kBytesKind, 0, 2, 0, 10}, 6, first ? kOne : kLastRecord);
    EXPECT_EQ(reader.Next(&got), LaneReader::Step::kBroken);
  }
}

TEST(Ring, AWriterDoesNotBelieveAReaderThatTookWhatWasNeverWrittenOrGivesBackWhatItTook) {
  Shared shared;
  RingMemory ring = shared.Ring(Lane::kStream);
  bool wrote = false;
  LaneWriter ahead(ring);
  *ring.taken = 1;
  ahead.Push(Stream(1, 10));
  EXPECT_FALSE(ahead.Flush(&wrote));

  Shared second;
  ring = second.Ring(Lane::kStream);
  LaneWriter back(ring);
  back.Push(Stream(1, 10));
  ASSERT_TRUE(back.Flush(&wrote));
  *ring.taken = *ring.written;
  back.Push(Stream(1, 10));
  ASSERT_TRUE(back.Flush(&wrote));
  *ring.taken = 3;
  back.Push(Stream(1, 10));
  EXPECT_FALSE(back.Flush(&wrote));
}

TEST(Ring, AFullRingKeepsTheRestAndSendsItWhenThereIsRoom) {
  Shared shared;
  LaneWriter writer(shared.Ring(Lane::kStream));
  LaneReader reader(shared.Ring(Lane::kStream), Direction::kToCore, Lane::kStream, Any());
  bool wrote = false;
  for (uint64_t i = 1; i <= 100; ++i) writer.Push(Stream(i, 60'000));
  ASSERT_TRUE(writer.Flush(&wrote));
  EXPECT_TRUE(writer.waiting());
  WireMessage got;
  uint64_t next = 1;
  while (next <= 100) {
    LaneReader::Step step = reader.Next(&got);
    if (step == LaneReader::Step::kNothing) {
      reader.Release();
      wrote = false;
      ASSERT_TRUE(writer.Flush(&wrote));
      ASSERT_TRUE(wrote);
      continue;
    }
    if (step == LaneReader::Step::kMessage) {
      EXPECT_EQ(got.envelope.id, next++);
    } else {
      ASSERT_EQ(step, LaneReader::Step::kPart);
    }
  }
  EXPECT_FALSE(writer.waiting());
}

TEST(Ring, BytesAndPositionsRewrittenWhileTheyAreReadNeverCrashTheReaderNorYieldMoreThanTheLimits) {
  Shared shared;
  RingMemory ring = shared.Ring(Lane::kStream);
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> attacks{0};
  std::thread attacker([&] {
    uint64_t x = 88172645463325252ull;
    while (!stop) {
      ++attacks;
      x ^= x << 13, x ^= x >> 7, x ^= x << 17;
      std::atomic_ref<uint8_t>(ring.data[x % 4096]).store(static_cast<uint8_t>(x >> 32));
      if (x % 64 == 0) std::atomic_ref<uint64_t>(*ring.written).store((x >> 20) % (ring.size * 2));
    }
  });
  uint64_t messages = 0, refused = 0, broken = 0;
  while (attacks < 3'000'000) {
    LaneReader reader(ring, Direction::kToCore, Lane::kStream, Any());
    WireMessage got;
    for (int i = 0; i < 100; ++i) {
      LaneReader::Step step = reader.Next(&got);
      if (step == LaneReader::Step::kBroken) {
        ++broken;
        break;
      }
      refused += step == LaneReader::Step::kRefused;
      if (step != LaneReader::Step::kMessage) continue;
      ++messages;
      ASSERT_LE(got.body.size(), 512u << 10);
      (void)DecodeToCore(std::move(got)).has_value();
    }
  }
  stop = true;
  attacker.join();
  EXPECT_GT(broken, 0u);
}

}  // namespace
}  // namespace holdfast::seam
