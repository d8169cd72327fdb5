// Lies about connections, credit and time. A connection that is lied about may end; the others go on, no byte
// of one client is another's, and whatever floods in fills the host's memory and not the core's.
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <mutex>
#include <random>
#include <thread>

#include "honest_client.h"

namespace holdfast::abuse {
namespace {

using seam::Direction;
using seam::Lane;
using seam::Metric;
using seam::StreamBytes;
using seam::StreamClosed;
using seam::StreamCredit;
using seam::StreamId;
using seam::StreamOpened;

constexpr uint64_t kMiB = 1ull << 20;
constexpr uint64_t kGrowthMax = 48 * kMiB;
constexpr uint64_t kWindow = 512u << 10;  // what the core grants each connection
constexpr auto kUser = seam::Listener::kUser;

class Streams : public ::testing::Test {
 protected:
  void Serve(bool by_hand = false) {
    host = std::make_unique<HostileHost>(store, How{.by_hand = by_hand});
    ASSERT_TRUE(host->WaitReady());
    client = std::make_unique<HonestClient>(*host, oracle);
    ASSERT_TRUE(client->Prepare());
    ASSERT_TRUE(client->Works());
    memory_before = host->MemoryPeak();
  }
  template <typename Message>
  void Send(Message m) {
    host->core().FromHost(std::move(m));
  }
  // A connection by hand, when the core has taken it in.
  uint64_t Open() {
    uint64_t id = host->NewStream();
    host->Track(id);
    Send(StreamOpened{StreamId(id), kUser});
    EXPECT_TRUE(host->Eventually([&] { return host->Raw(id).credit > 0; }));
    return id;
  }
  bool Closes(uint64_t id) {
    return host->Eventually([&] { return host->Raw(id).closed > 0; });
  }
  // What a client sends first: recorded from an honest one.
  Bytes ClientHello() {
    std::mutex mutex;
    Bytes hello;
    host->TapToCore([&](seam::HostToCore& m) {
      std::lock_guard lock(mutex);
      auto* bytes = std::get_if<StreamBytes>(&m);
      if (bytes != nullptr && hello.empty()) hello = bytes->bytes;
      return true;
    });
    HonestClient fresh(*host, oracle);
    EXPECT_TRUE(fresh.Works());
    host->TapToCore({});
    EXPECT_GT(hello.size(), 100u);
    return hello;
  }
  void ExpectWorkAndStop() {
    EXPECT_TRUE(client->Works());
    HonestClient fresh(*host, oracle);
    EXPECT_TRUE(fresh.Works());
    EXPECT_TRUE(fresh.GetAll(oracle.AcknowledgedKeys()));
    EXPECT_LT(host->MemoryPeak(), memory_before + kGrowthMax);
  }

  Deployment store;
  Oracle oracle;
  std::unique_ptr<HostileHost> host;
  std::unique_ptr<HonestClient> client;
  uint64_t memory_before = 0;
};

TEST_F(Streams, AnIdOpenedTwiceIsOneConnectionAndClosedTwiceIsClosedOnce) {
  Serve();
  uint64_t id = Open();
  Send(StreamOpened{StreamId(id), seam::Listener::kAdmin});
  Send(StreamOpened{StreamId(id), kUser});
  Send(StreamClosed{StreamId(id)});
  Send(StreamClosed{StreamId(id)});
  EXPECT_TRUE(Closes(id));
  uint64_t never = host->NewStream();
  host->Track(never);
  Send(StreamClosed{StreamId(never)});
  Send(StreamBytes{StreamId(never), Bytes(1000)});
  Send(StreamCredit{StreamId(never), 1000});
  uint64_t after = Open();  // the same loop or the other: both have taken what came before
  uint64_t again = Open();
  EXPECT_EQ(host->Raw(id).closed, 1);
  EXPECT_EQ(host->Raw(id).credit, kWindow);
  EXPECT_EQ(host->Raw(never).closed + host->Raw(never).bytes + host->Raw(never).credit, 0u);
  for (uint64_t i : {after, again}) Send(StreamClosed{StreamId(i)});
  ExpectWorkAndStop();
}

TEST_F(Streams, BytesBeyondTheCreditEndTheirConnectionAndNoOther) {
  Serve();
  Bytes hello = ClientHello();
  uint64_t before = host->Ask(Metric::kDroppedCredit).value();
  uint64_t id = Open();
  EXPECT_EQ(host->Raw(id).credit, kWindow);
  hello.resize(50);
  Send(StreamBytes{StreamId(id), hello});  // there is more to come, TLS says, and waits
  Send(StreamBytes{StreamId(id), Bytes(kWindow)});
  EXPECT_TRUE(Closes(id));
  EXPECT_TRUE(host->Reaches(Metric::kDroppedCredit, before + 1));
  ExpectWorkAndStop();
}

TEST_F(Streams, CreditOfAnySizeAndNumberDoesNoHarm) {
  Serve();
  Bytes refused = ClientHello();
  refused[5] = 2;  // a ServerHello, from a client
  std::vector<uint64_t> ids;
  for (int i = 0; i < 4; ++i) ids.push_back(Open());
  for (uint64_t id : ids) {
    for (uint64_t credit : {uint64_t{0}, UINT64_MAX, uint64_t{1}, UINT64_MAX, UINT64_MAX - 1}) {
      Send(StreamCredit{StreamId(id), credit});
    }
    for (int i = 0; i < 10'000; ++i) Send(StreamCredit{StreamId(id), 0});
    for (int i = 0; i < 10'000; ++i) Send(StreamBytes{StreamId(id), {}});
    EXPECT_EQ(host->Raw(id).closed, 0);
    Send(StreamBytes{StreamId(id), refused});
    EXPECT_TRUE(Closes(id));
    EXPECT_GT(host->Raw(id).bytes, 0u);  // an alert
    EXPECT_LT(host->Raw(id).bytes, 100u);
  }
  ExpectWorkAndStop();
}

// Records of TLS belong to one handshake: neither repeated nor told to another can they be of use.
TEST_F(Streams, ARecordedConnectionThatIsPlayedAgainIsNobody) {
  Serve();
  std::mutex mutex;
  std::optional<uint64_t> recorded;
  std::vector<Bytes> record;
  host->TapToCore([&](seam::HostToCore& m) {
    std::lock_guard lock(mutex);
    auto* bytes = std::get_if<StreamBytes>(&m);
    if (bytes == nullptr) return true;
    if (!recorded) recorded = bytes->id.value;
    if (bytes->id.value == *recorded) record.push_back(bytes->bytes);
    return true;
  });
  {
    HonestClient fresh(*host, oracle);
    EXPECT_TRUE(fresh.Works());
  }
  host->TapToCore({});
  uint64_t handshakes = host->Ask(Metric::kHandshakes).value();
  uint64_t id = Open();
  Send(StreamCredit{StreamId(id), kMiB});
  {
    std::lock_guard lock(mutex);
    EXPECT_GT(record.size(), 3u);
    for (const Bytes& b : record) Send(StreamBytes{StreamId(id), b});
  }
  EXPECT_TRUE(Closes(id));
  EXPECT_EQ(host->Ask(Metric::kHandshakes).value_or(0), handshakes);
  ExpectWorkAndStop();
}

TEST_F(Streams, BytesThatAreSwappedChangedDroppedRepeatedOrReorderedNeverBecomeAWrongAnswer) {
  Serve();
  enum Lie { kSwap, kFlip, kDrop, kRepeat, kReorder, kLies };
  for (int direction : {0, 1}) {
    for (int lie = 0; lie < kLies; ++lie) {
      std::mutex mutex;
      std::mt19937_64 random(static_cast<uint64_t>(lie * 2 + direction));
      StreamId last;
      std::optional<Bytes> held;
      int lies = 0;
      auto tamper = [&](StreamBytes& m, const std::function<void(StreamBytes)>& also) {
        std::lock_guard lock(mutex);
        StreamId other = std::exchange(last, m.id);
        if (random() % 6 != 0 || m.bytes.empty()) return true;
        ++lies;
        switch (lie) {
          case kSwap:
            if (other.value != 0) m.id = other;
            return true;
          case kFlip:
            m.bytes[random() % m.bytes.size()] ^= static_cast<uint8_t>(1 + random() % 255);
            return true;
          case kDrop:
            return false;
          case kRepeat:
            also(m);
            return true;
          default:
            std::swap(m.bytes, held ? *held : held.emplace());
            return !m.bytes.empty();
        }
      };
      if (direction == 0) {
        host->TapToCore([&](seam::HostToCore& m) {
          auto* bytes = std::get_if<StreamBytes>(&m);
          return bytes == nullptr || tamper(*bytes, [&](StreamBytes b) { Send(std::move(b)); });
        });
      } else {
        host->TapToHost([&](seam::CoreToHost& m) {
          auto* bytes = std::get_if<StreamBytes>(&m);
          // Twice the same is what a Net would hand on as it is.
          return bytes == nullptr || tamper(*bytes, [&](StreamBytes b) { Append(bytes->bytes, b.bytes); });
        });
      }
      std::vector<std::thread> clients;
      for (int c = 0; c < 2; ++c) {
        clients.emplace_back([&, c] {
          std::string key =
              "lied/" + std::to_string(direction) + std::to_string(lie) + std::to_string(c) + "/";
          for (int i = 0; i < 4; ++i) {
            HonestClient fresh(*host, oracle, 250);
            for (int k = 0; k < 3; ++k) {
              std::string name = key + std::to_string(i) + std::to_string(k);
              if (!fresh.Put(name, ValueOf(name, 3000)) || !fresh.Get(name)) break;
            }
          }
        });
      }
      for (std::thread& t : clients) t.join();
      host->TapToCore({});
      host->TapToHost({});
      EXPECT_GT(lies, 0) << direction << lie;
    }
  }
  ExpectWorkAndStop();
}

TEST_F(Streams, AFloodOfOpenedIdsIsBoundedAndHoldsUpNobodyWhoIsIn) {
  Serve(/*by_hand=*/true);
  const char* seconds = std::getenv("HOLDFAST_ABUSE_SECONDS");
  const uint64_t kIds = 30'000 * (seconds != nullptr ? std::strtoull(seconds, nullptr, 10) : 10);
  constexpr uint64_t kBurst = 10'000;
  uint64_t closed_before = host->raw_closed();
  for (uint64_t i = 0; i < kIds; i += kBurst) {
    for (uint64_t k = 0; k < kBurst; ++k) Send(StreamOpened{StreamId(host->NewStream()), kUser});
    ASSERT_TRUE(host->Eventually([&] { return host->hand().Taken(); }));
    if (i % 100'000 != 0) continue;
    EXPECT_TRUE(client->Works());
  }
  // All but the handshakes that may wait at a time have been told that they are not wanted.
  EXPECT_TRUE(host->Eventually([&] { return host->raw_closed() - closed_before >= kIds - 256; }));
  ExpectWorkAndStop();
}

TEST_F(Streams, TenThousandConnectionsLeaveNoDescriptorAndNoMemoryBehind) {
  Serve(/*by_hand=*/true);
  Bytes hello = ClientHello();
  std::optional<size_t> descriptors = host->OpenDescriptors();
  constexpr int kConnections = 10'000, kBurst = 200;
  std::mt19937_64 random(7);
  Bytes garbage(300);
  for (uint8_t& b : garbage) b = static_cast<uint8_t>(random());
  std::vector<uint64_t> resident;
  for (int i = 0; i < kConnections; i += kBurst) {
    for (int k = 0; k < kBurst; ++k) {
      StreamId id(host->NewStream());
      Send(StreamOpened{id, k % 5 == 0 ? seam::Listener::kAdmin : kUser});
      if (k % 4 == 1) Send(StreamBytes{id, garbage});
      if (k % 4 == 2) Send(StreamBytes{id, Bytes(hello.begin(), hello.begin() + 50)});
      if (k % 4 == 3) Send(StreamBytes{id, hello});  // the core signs, and waits for the client's certificate
      if (k % 8 != 1) Send(StreamClosed{id});        // some are left to the core
    }
    ASSERT_TRUE(host->Eventually([&] { return host->hand().Taken(); }));
    if (i % 1000 == 0) resident.push_back(host->MemoryNow());
  }
  // And some that get as far as gRPC.
  for (int i = 0; i < 30; ++i) {
    HonestClient fresh(*host, oracle);
    EXPECT_TRUE(fresh.Get("works/1"));
  }
  EXPECT_TRUE(client->Works());
  if (descriptors) {
    EXPECT_TRUE(host->Eventually([&] { return host->OpenDescriptors().value_or(0) <= *descriptors + 8; }))
        << *host->OpenDescriptors() << " descriptors, before " << *descriptors;
  }
  EXPECT_LT(resident.back(), resident.front() + 16 * kMiB);
  ExpectWorkAndStop();
}

TEST_F(Streams, AHostThatTakesNothingForAWhileIsWaitedForWithinABound) {
  Serve(/*by_hand=*/true);
  constexpr int kReaders = 8;
  constexpr size_t kBytes = 3u << 20;
  for (int r = 0; r < kReaders; ++r) {
    std::string key = "large/" + std::to_string(r);
    ASSERT_TRUE(client->Put(key, ValueOf(key, kBytes)));
  }
  std::vector<std::unique_ptr<HonestClient>> readers;
  for (int r = 0; r < kReaders; ++r) {
    readers.push_back(std::make_unique<HonestClient>(*host, oracle, 25'000));
    ASSERT_TRUE(readers.back()->Get("works/1"));
  }
  memory_before = host->MemoryPeak();
  host->hand().TakeNothing(true);
  std::vector<std::thread> threads;
  std::atomic<int> right{0};
  for (int r = 0; r < kReaders; ++r) {
    threads.emplace_back(
        [&, r] { right += readers[static_cast<size_t>(r)]->Get("large/" + std::to_string(r)) ? 1 : 0; });
  }
  seam::RingMemory ring = seam::RingAt(host->memory(), Direction::kToHost, Lane::kStream);
  auto waits = [&] {
    return std::atomic_ref<uint64_t>(*ring.written).load() - std::atomic_ref<uint64_t>(*ring.taken).load();
  };
  EXPECT_TRUE(host->Eventually([&] { return waits() + limits::kRecordBytesMax > ring.size; }));
  EXPECT_EQ(right, 0);
  EXPECT_LT(host->MemoryPeak(), memory_before + kReaders * 4 * kBytes);
  host->hand().TakeNothing(false);
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(right, kReaders);
  EXPECT_TRUE(client->Works());
}

TEST_F(Streams, AHostThatNeverTakesEndsTheCoreByNameBeforeItsMemoryFills) {
  for (bool metrics : {false, true}) {
    Deployment fresh;
    HostileHost stalls(fresh, How{.by_hand = true});
    ASSERT_TRUE(stalls.WaitReady());
    uint64_t before = stalls.MemoryPeak();
    stalls.FreezeTicks(true);
    stalls.hand().TakeNothing(true);
    for (int i = 0; i < 400'000 && stalls.Alive(); i += 2'000) {
      for (int k = 0; k < 2'000; ++k) {
        if (metrics) {
          stalls.core().FromHost(seam::MetricsRequest{seam::RequestId(1)});
        } else {
          stalls.core().FromHost(StreamOpened{StreamId(stalls.NewStream()), kUser});
        }
      }
      ASSERT_TRUE(stalls.Eventually([&] { return stalls.hand().Taken() || !stalls.Alive(); }));
      EXPECT_LT(stalls.MemoryNow(), before + 160 * kMiB);
    }
    EXPECT_EQ(stalls.WaitEnd(), "exited with 1");
    EXPECT_TRUE(stalls.Stderr().starts_with("holdfast-core: kHostStalls: ")) << stalls.Stderr();
  }
}

TEST_F(Streams, TicksThatStandRaceJumpOrRunBackDecideNothing) {
  Serve(/*by_hand=*/true);
  host->FreezeTicks(true);
  EXPECT_TRUE(client->Works());
  uint64_t now = 1ull << 40;
  for (int i = 0; i < 200'000; ++i) {
    Send(seam::Tick{now + static_cast<uint64_t>(i), 0});
    if (i % 20'000 != 0) continue;
    ASSERT_TRUE(host->Eventually([&] { return host->hand().Taken(); }));
  }
  EXPECT_TRUE(client->Works());
  for (int i = 0; i < 20'000; ++i) Send(seam::Tick{now - static_cast<uint64_t>(i) * 100'000, UINT64_MAX});
  EXPECT_TRUE(client->Works());
  uint64_t waits = Open();  // a handshake that has not begun
  Send(seam::Tick{now + 1'000'000'000'000, 0});
  EXPECT_TRUE(Closes(waits));  // for it, eleven days have passed
  EXPECT_TRUE(client->Works());
  Send(seam::Tick{UINT64_MAX, UINT64_MAX});
  Send(seam::Tick{0, 0});
  Send(seam::Tick{UINT64_MAX, 0});
  ExpectWorkAndStop();
}

TEST_F(Streams, AFloodOfQuestionsIsAnsweredAndHoldsUpNobody) {
  Serve(/*by_hand=*/true);
  for (int i = 0; i < 20; ++i) {
    for (int k = 0; k < 1'000; ++k) Send(seam::MetricsRequest{seam::RequestId(1ull << 41)});
    ASSERT_TRUE(host->Eventually([&] { return host->hand().Taken(); }));
  }
  ExpectWorkAndStop();
}

}  // namespace
}  // namespace holdfast::abuse
