#include "seam/wire.h"

#include <gtest/gtest.h>

#include <set>

#include "seam/metrics.h"

namespace holdfast::seam {
namespace {

StorageReply SomeReply() {
  StorageReply r;
  r.id = RequestId(5);
  r.operation = static_cast<uint8_t>(StorageOperation::kList);
  r.ok = true;
  r.version = "v";
  r.listing.objects = {{"a", 1}, {"b/c", UINT64_MAX}};
  r.listing.complete = false;
  r.capabilities.append = true;
  r.capabilities.value_bytes_max = 77;
  return r;
}

std::vector<HostToCore> AllToCore() {
  return {HostHello{kChannelVersion, 500, 1u << 20, true, false},
          Tick{1, 2},
          StopRequested{},
          MetricsRequest{RequestId(3)},
          StreamOpened{StreamId(9), Listener::kAdmin},
          StreamBytes{StreamId(9), Bytes(1000, 7)},
          StreamClosed{StreamId(9)},
          StreamCredit{StreamId(9), UINT64_MAX},
          SomeReply()};
}
std::vector<CoreToHost> AllToHost() {
  StorageRequest request;
  request.id = RequestId(4);
  request.volume = Volume::kAnchor;
  request.operation = static_cast<uint8_t>(StorageOperation::kPut);
  request.name = "enclave-state/0/core-enclave";
  request.offset = 512;
  request.bytes = Bytes(3000, 3);
  return {CoreHello{kChannelVersion, 0xFFF},
          MetricsReply{RequestId(3), Metrics().Values()},
          Ready{},
          CoreNote{"torn tail dropped"},
          CoreLog{Code::kTorn, 1, 2},
          CoreStopped{true, Code{}},
          StreamBytes{StreamId(1), Bytes(5)},
          StreamClosed{StreamId(1)},
          StreamCredit{StreamId(1), 5},
          request};
}

// Decoded and encoded again, a message is the same bytes.
TEST(Wire, EveryMessageOfBothDirectionsReadsBackAsItWasWritten) {
  for (HostToCore& m : AllToCore()) {
    size_t index = m.index();
    WireMessage w = Encode(std::move(m));
    Result<HostToCore> back = DecodeToCore(w);
    ASSERT_TRUE(back.has_value()) << index;
    EXPECT_EQ(back->index(), index);
    WireMessage again = Encode(std::move(back).value());
    EXPECT_EQ(again.envelope, w.envelope);
    EXPECT_TRUE(again.head == w.head && again.body == w.body) << index;
  }
  for (CoreToHost& m : AllToHost()) {
    size_t index = m.index();
    WireMessage w = Encode(std::move(m));
    Result<CoreToHost> back = DecodeToHost(w);
    ASSERT_TRUE(back.has_value()) << index;
    WireMessage again = Encode(std::move(back).value());
    EXPECT_EQ(again.envelope, w.envelope);
    EXPECT_TRUE(again.head == w.head && again.body == w.body) << index;
  }
}

TEST(Wire, EveryHeadCutShortOrLengthenedIsRefused) {
  for (HostToCore& m : AllToCore()) {
    WireMessage w = Encode(std::move(m));
    for (size_t n = 0; n <= w.head.size() + 1; ++n) {
      if (n == w.head.size()) continue;
      WireMessage cut = w;
      cut.head.resize(n);
      cut.envelope.head_bytes = n;
      EXPECT_FALSE(DecodeToCore(std::move(cut)).has_value()) << int(w.envelope.kind) << " " << n;
    }
  }
}

TEST(Wire, EveryBitFlippedInAHeadDecodesToItselfOrIsRefusedAndNothingElse) {
  for (HostToCore& m : AllToCore()) {
    WireMessage w = Encode(std::move(m));
    for (size_t bit = 0; bit < 8 * w.head.size(); ++bit) {
      WireMessage flipped = w;
      flipped.head[bit / 8] ^= static_cast<uint8_t>(1 << (bit % 8));
      Bytes head = flipped.head;
      Result<HostToCore> got = DecodeToCore(std::move(flipped));
      if (got) {
        EXPECT_TRUE(Encode(std::move(got).value()).head == head);
      }
    }
  }
}

TEST(Wire, AMessageOfTheOtherDirectionIsRefused) {
  for (CoreToHost& m : AllToHost()) {
    WireMessage w = Encode(std::move(m));
    if (InfoOf(w.envelope.kind)->direction == Direction::kBoth) continue;
    EXPECT_FALSE(DecodeToCore(std::move(w)).has_value());
  }
}

TEST(Wire, AnErrorCodeThatDoesNotExistAListenerOrAVolumeThatIsNoneAreRefused) {
  WireMessage w = Encode(HostToCore(SomeReply()));
  w.head[1] = 0xFF, w.head[2] = 0xFF;  // ok 1, code 2
  EXPECT_FALSE(DecodeToCore(w).has_value());
  w = Encode(HostToCore(StreamOpened{StreamId(1), Listener::kUser}));
  w.head[0] = 3;
  EXPECT_FALSE(DecodeToCore(w).has_value());
}

TEST(Wire, OperationsHaveTheLaneAndTheLimitsOfTheTable) {
  auto lane = [](StorageOperation op, uint64_t body) {
    return LaneOf({static_cast<uint8_t>(Kind::kStorageRequest), static_cast<uint8_t>(op), 1, 10, body},
                  Direction::kToHost);
  };
  EXPECT_EQ(lane(StorageOperation::kAppend, 64u << 20), Lane::kJournal);
  EXPECT_EQ(lane(StorageOperation::kAppend, (64u << 20) + 1), std::nullopt);
  EXPECT_EQ(lane(StorageOperation::kPut, 256u << 20), Lane::kStorage);
  EXPECT_EQ(lane(StorageOperation::kDelete, 1), std::nullopt);
  EXPECT_EQ(lane(static_cast<StorageOperation>(0), 0), std::nullopt);
  EXPECT_EQ(lane(static_cast<StorageOperation>(14), 0), std::nullopt);
}

TEST(Metrics, NamesAreUniqueWithTheirLabelsAndStandTogether) {
  std::set<std::pair<std::string_view, std::string_view>> seen;
  std::set<std::string_view> closed;
  std::string_view current;
  for (size_t i = 0; i < kMetrics; ++i) {
    const MetricInfo& m = InfoOf(static_cast<Metric>(i));
    EXPECT_TRUE(seen.insert({m.name, m.label}).second) << m.name << m.label;
    if (m.name != current) {
      EXPECT_TRUE(closed.insert(m.name).second) << m.name << " stands in two places";
      EXPECT_FALSE(m.help.empty()) << m.name;
      current = m.name;
    }
  }
  EXPECT_LE(4 + 8 * kMetrics, 4096u);  // a MetricsReply
}

}  // namespace
}  // namespace holdfast::seam
