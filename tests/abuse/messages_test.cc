// Messages that break the rules of the catalogue, with framing intact: refused, counted, told, and nothing
// else happens. Then framing itself: the core ends at once, by its own word.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <memory>

#include "honest_client.h"
#include "hostile_host.h"

namespace holdfast::abuse {
namespace {

using seam::Direction;
using seam::Envelope;
using seam::Kind;
using seam::Lane;
using seam::Metric;
using seam::RequestId;
using seam::StreamId;
using seam::WireMessage;

constexpr uint64_t kNobody = 1ull << 50;  // a stream or request that there never was
constexpr uint64_t kMiB = 1ull << 20;
// A core that serves one client is below it by far; what it may grow by here is noise.
constexpr uint64_t kGrowthMax = 24 * kMiB;

// One of each kind that a host may send, none of which concerns anybody.
std::vector<WireMessage> OneOfEach() {
  std::vector<WireMessage> all;
  auto add = [&](seam::HostToCore m) { all.push_back(seam::Encode(std::move(m))); };
  add(seam::HostHello{});
  add(seam::Tick{1, 1});
  add(seam::StopRequested{});
  add(seam::MetricsRequest{RequestId(kNobody)});
  add(seam::StreamOpened{StreamId(kNobody), seam::Listener::kUser});
  add(seam::StreamBytes{StreamId(kNobody), Bytes(100)});
  add(seam::StreamClosed{StreamId(kNobody)});
  add(seam::StreamCredit{StreamId(kNobody), 100});
  for (uint8_t operation = 1; operation <= 13; ++operation) {
    seam::StorageReply reply;
    reply.id = RequestId(kNobody);
    reply.operation = operation;
    reply.version = "v";
    reply.listing.objects = {{"a", 1}, {"b", 2}};
    add(std::move(reply));
  }
  return all;
}

Lane LaneFor(const WireMessage& m) { return seam::LaneOf(m.envelope, Direction::kToCore).value(); }

class Messages : public ::testing::Test {
 protected:
  void Serve() {
    host = std::make_unique<HostileHost>(store, How{.by_hand = true});
    ASSERT_TRUE(host->WaitReady());
    client = std::make_unique<HonestClient>(*host, oracle);
    ASSERT_TRUE(client->Prepare());
    ASSERT_TRUE(client->Works());
    refused_before = host->Ask(Metric::kChannelRefused).value();
    memory_before = host->MemoryPeak();
  }
  // Exactly so many were refused, it was told, honest work goes on, and nothing was set aside for them.
  void ExpectRefused(uint64_t n) {
    EXPECT_TRUE(host->Reaches(Metric::kChannelRefused, refused_before + n));
    EXPECT_TRUE(host->Eventually([&] { return host->hand().Taken(); }));
    EXPECT_EQ(host->Ask(Metric::kChannelRefused).value_or(0) - refused_before, n);
    EXPECT_TRUE(host->WaitLog(Code::kMessageRefused));
    EXPECT_TRUE(client->Works());
    EXPECT_LT(host->MemoryPeak(), memory_before + kGrowthMax);
  }
  void TearDown() override {
    client.reset();
    if (host && host->Alive()) {
      EXPECT_EQ(host->Stop(), Code{});
    }
  }

  Deployment store;
  Oracle oracle;
  std::unique_ptr<HostileHost> host;
  std::unique_ptr<HonestClient> client;
  uint64_t refused_before = 0, memory_before = 0;
};

TEST_F(Messages, OfEachKindCutShortOrTooLongAreRefusedAndWorkGoesOn) {
  Serve();
  uint64_t sent = 0;
  for (const WireMessage& whole : OneOfEach()) {
    std::vector<size_t> sizes;
    for (size_t n = 0; n < whole.head.size(); ++n) sizes.push_back(n);
    sizes.push_back(whole.head.size() + 1);
    for (size_t n : sizes) {
      WireMessage m = whole;
      m.head.resize(n);
      m.envelope.head_bytes = n;
      host->hand().Send(LaneFor(whole), m);
      ++sent;
    }
  }
  ExpectRefused(sent);
}

TEST_F(Messages, WithEveryBitOfTheirHeadsFlippedDoNoHarm) {
  Serve();
  for (const WireMessage& whole : OneOfEach()) {
    for (size_t bit = 0; bit < 8 * whole.head.size(); ++bit) {
      WireMessage m = whole;
      m.head[bit / 8] = static_cast<uint8_t>(m.head[bit / 8] ^ (1u << (bit % 8)));
      host->hand().Send(LaneFor(whole), m);
    }
  }
  EXPECT_TRUE(host->Eventually([&] { return host->hand().Taken(); }));
  EXPECT_TRUE(client->Works());
  EXPECT_TRUE(host->WaitLog(Code::kMessageRefused));
  EXPECT_LT(host->MemoryPeak(), memory_before + kGrowthMax);
}

TEST_F(Messages, OfUnknownKindsDirectionsLanesAndIdZeroAreRefused) {
  Serve();
  uint64_t sent = 0;
  for (unsigned kind = 0; kind < 256; ++kind) {
    for (size_t l = 0; l < seam::kLanes; ++l) {
      for (uint64_t id : {uint64_t{0}, kNobody}) {
        Lane lane = static_cast<Lane>(l);
        WireMessage m;
        m.envelope.kind = static_cast<uint8_t>(kind);
        m.envelope.id = id;
        // Rightly sent, and of no fields: StopRequested, MetricsRequest, StreamBytes, StreamClosed. What
        // lacks its fields is refused as well.
        if (seam::LaneOf(m.envelope, Direction::kToCore) == lane && seam::DecodeToCore(m)) continue;
        host->hand().Send(lane, m);
        ++sent;
      }
    }
  }
  for (unsigned operation = 0; operation < 256; ++operation) {
    WireMessage m = OneOfEach().back();
    m.envelope.operation = static_cast<uint8_t>(operation);
    host->hand().Send(operation % 2 == 0 ? Lane::kJournal : Lane::kStorage, m);
    ++sent;
  }
  ExpectRefused(sent);
}

TEST_F(Messages, OfSizesOverEveryLimitAreRefusedBeforeMemoryIsTaken) {
  Serve();
  uint64_t sent = 0;
  for (const WireMessage& whole : OneOfEach()) {
    const seam::KindInfo& info = *seam::InfoOf(whole.envelope.kind);
    for (uint64_t over : {uint64_t{1}, uint64_t{1} << 31, uint64_t{1} << 32, uint64_t{1} << 62}) {
      for (int which : {1, 2, 3}) {
        Envelope e = whole.envelope;
        if ((which & 1) != 0) e.head_bytes = info.head_bytes_max + over;
        if ((which & 2) != 0) e.body_bytes = info.body_bytes_max + over;
        host->hand().SendRecord(LaneFor(whole), Record(e, seam::kFirstRecord | seam::kLastRecord, {}));
        ++sent;
      }
    }
    Envelope e = whole.envelope;
    e.head_bytes = e.body_bytes = UINT64_MAX;  // their sum is a small number
    host->hand().SendRecord(LaneFor(whole), Record(e, seam::kFirstRecord | seam::kLastRecord, {}));
    ++sent;
  }
  // One that really brings what it announces is skipped piece by piece.
  Envelope giant{static_cast<uint8_t>(Kind::kStreamBytes), 0, kNobody, 0, 64 * kMiB};
  Bytes piece(limits::kRecordBytesMax);
  std::vector<Bytes> pieces;
  for (uint64_t at = 0; at < giant.body_bytes; at += piece.size()) {
    uint8_t flags = at == 0                                 ? seam::kFirstRecord
                    : at + piece.size() == giant.body_bytes ? seam::kLastRecord
                                                            : 0;
    pieces.push_back(Record(giant, flags, piece));
  }
  host->hand().SendRecords(Lane::kStream, std::move(pieces));
  ExpectRefused(sent + 1);
}

TEST_F(Messages, AMessageThatIsNeverFinishedHoldsUpNoOtherLane) {
  Serve();
  host->FreezeTicks(true);  // they go the same way
  Envelope never{static_cast<uint8_t>(Kind::kHostHello), 0, 0, 22, 0};
  host->hand().SendRecord(Lane::kControl, Record(never, seam::kFirstRecord, Bytes(10)));
  EXPECT_TRUE(client->Works());
  // The rest comes after all.
  host->hand().SendRecord(Lane::kControl, Record(never, seam::kLastRecord, Bytes(12)));
  EXPECT_TRUE(host->Ask(Metric::kChannelIn));
}

TEST_F(Messages, ASecondHelloIsRefusedAndChangesNothing) {
  Serve();
  host->core().FromHost(seam::HostHello{.version = 99, .save_period_ms = 1, .cache_bytes = UINT64_MAX});
  EXPECT_TRUE(host->WaitLog(Code::kMessageRefused));
  EXPECT_TRUE(client->Works());
}

// -- framing. These cores have heard no hello: what they do about framing needs no store.

class Framing : public ::testing::Test {
 protected:
  std::unique_ptr<HostileHost> New() {
    return std::make_unique<HostileHost>(store, How{.by_hand = true, .say_hello = false});
  }
  // Sent to a core of its own, which ends as the header promises.
  void ExpectBroken(Lane lane, const std::vector<Bytes>& records, const std::string& what) {
    auto host = New();
    for (const Bytes& r : records) host->hand().SendRecord(lane, r);
    EXPECT_EQ(host->WaitEnd(), "exited with 1") << what;
    EXPECT_TRUE(host->Stderr().starts_with("holdfast-core: kChannelBroken: "))
        << what << ": " << host->Stderr();
  }
  Deployment store;
};

TEST_F(Framing, EachFlippedBitOfARecordsHeaderIsRefusedOrEndsTheCoreByName) {
  WireMessage hello = seam::Encode(seam::HostHello{});
  Bytes right = Record(hello.envelope, seam::kFirstRecord | seam::kLastRecord, hello.head);
  auto host = New();
  int broken = 0, refused = 0;
  for (size_t bit = 0; bit < 8 * seam::kRecordHeaderBytes; ++bit) {
    Bytes record = right;
    record[bit / 8] = static_cast<uint8_t>(record[bit / 8] ^ (1u << (bit % 8)));
    host->hand().SendRecord(Lane::kControl, record);
    // Taken: refused, and it goes on. Never taken: it ends.
    ASSERT_TRUE(host->Eventually([&] { return host->hand().Taken() || !host->Alive(); })) << bit;
    if (host->Alive()) {
      ++refused;
      continue;
    }
    ++broken;
    EXPECT_EQ(host->WaitEnd(), "exited with 1") << "bit " << bit;
    EXPECT_TRUE(host->Stderr().starts_with("holdfast-core: kChannelBroken: "))
        << bit << ": " << host->Stderr();
    host = New();
  }
  EXPECT_GT(broken, 40);    // sizes, flags
  EXPECT_GT(refused, 150);  // kind, operation, id, announced sizes over the limit
  host->hand().Send(Lane::kControl, hello);
  EXPECT_TRUE(host->WaitHello());
}

TEST_F(Framing, RecordsThatCannotBeEndTheCoreByName) {
  Envelope e{static_cast<uint8_t>(Kind::kStreamBytes), 0, kNobody, 0, 1000};
  Bytes part(100), whole(1000);
  const uint8_t first = seam::kFirstRecord, last = seam::kLastRecord, both = first | last;
  ExpectBroken(Lane::kStream, {Record(e, both, whole, 65'537)}, "a record larger than the limit");
  ExpectBroken(Lane::kStream, {Record(e, both, whole, UINT32_MAX)}, "a record of 4 GiB");
  ExpectBroken(Lane::kStream, {Record(e, both, whole, 1001)}, "more than was written");
  ExpectBroken(Lane::kStream, {Bytes(31)}, "less than a header");
  ExpectBroken(Lane::kStream, {Record(e, first, part), Record(e, both, whole)}, "a message within another");
  ExpectBroken(Lane::kStream, {Record(e, last, part)}, "an end without a beginning");
  ExpectBroken(Lane::kStream, {Record(e, 0, part)}, "a middle without a beginning");
  Envelope other = e;
  other.id += 1;
  ExpectBroken(Lane::kStream, {Record(e, first, part), Record(other, last, Bytes(900))}, "another's end");
  ExpectBroken(Lane::kStream, {Record(e, both, part)}, "an end that comes too early");
  ExpectBroken(Lane::kStream, {Record(e, first, whole)}, "all is there, and no end");
  ExpectBroken(Lane::kStream, {Record(e, first, part), Record(e, last, whole)}, "more than announced");
  ExpectBroken(Lane::kControl, {Record(e, 4, part)}, "a flag that there is not");
}

TEST_F(Framing, APositionOfAWriterThatCannotBeEndsTheCoreByName) {
  for (size_t l = 0; l < seam::kLanes; ++l) {
    auto host = New();
    seam::RingMemory ring = seam::RingAt(host->memory(), Direction::kToCore, static_cast<Lane>(l));
    const uint64_t positions[] = {UINT64_MAX, ring.size + 1, 31, 1ull << 63};
    std::atomic_ref<uint64_t>(*ring.written).store(positions[l]);
    uint64_t one = 1;
    (void)!::write(host->descriptors().wake_core, &one, sizeof one);
    EXPECT_EQ(host->WaitEnd(), "exited with 1") << l;
    EXPECT_TRUE(host->Stderr().starts_with("holdfast-core: kChannelBroken: ")) << host->Stderr();
  }
}

TEST_F(Framing, APositionOfAReaderThatCannotBeEndsTheCoreByName) {
  for (uint64_t position : {uint64_t{1}, UINT64_MAX}) {
    auto host = New();
    seam::RingMemory ring = seam::RingAt(host->memory(), Direction::kToHost, Lane::kControl);
    std::atomic_ref<uint64_t>(*ring.taken).store(position);
    host->Hello();  // it answers, and looks at the room that there is
    EXPECT_EQ(host->WaitEnd(), "exited with 1");
    EXPECT_TRUE(host->Stderr().starts_with("holdfast-core: kChannelBroken: ")) << host->Stderr();
  }
}

TEST_F(Framing, AReadersPositionThatGoesBackEndsTheCoreByName) {
  HostileHost host(store, How{.by_hand = true});
  ASSERT_TRUE(host.WaitReady());
  ASSERT_TRUE(host.Ask(Metric::kChannelIn));
  ASSERT_TRUE(host.Ask(Metric::kChannelIn));  // by now it has seen us take the first answer
  host.hand().TakeNothing(true);
  seam::RingMemory ring = seam::RingAt(host.memory(), Direction::kToHost, Lane::kControl);
  std::atomic_ref<uint64_t>(*ring.taken).store(0);
  host.core().FromHost(seam::MetricsRequest{RequestId(1)});
  EXPECT_EQ(host.WaitEnd(), "exited with 1");
  EXPECT_TRUE(host.Stderr().starts_with("holdfast-core: kChannelBroken: ")) << host.Stderr();
}

}  // namespace
}  // namespace holdfast::abuse
