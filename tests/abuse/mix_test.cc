// All lies at once, drawn from a seed, over many lives of one store, while honest clients write and read. Not
// drawn are the two that nobody can see through (docs/threat-model.md): to say that a write is done that is
// not, and to hide the last frames of the journal.
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <mutex>
#include <random>
#include <thread>

#include "folded_store.h"

namespace holdfast::abuse {
namespace {

using seam::Direction;
using seam::Lane;
using seam::StorageOperation;
using seam::StorageReply;
using seam::StorageRequest;
using seam::StreamId;

constexpr uint64_t kMiB = 1ull << 20;
constexpr uint64_t kMemoryMax = 320 * kMiB;
constexpr uint64_t kSecondsDefault = 10;

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

// Thread-safe.
class Draw {
 public:
  explicit Draw(uint64_t seed) : random_(seed) {}
  uint64_t Below(uint64_t n) {
    std::lock_guard lock(mutex_);
    return random_() % n;
  }
  bool In(uint64_t n) { return Below(n) == 0; }  // once in n

 private:
  std::mutex mutex_;
  std::mt19937_64 random_;
};

class Life {
 public:
  Life(FoldedStore& store, Draw& draw, int number)
      : draw_(draw),
        number_(number),
        by_hand_(draw.In(2)),
        oracle_(store.oracle),
        host_(store.deployment, How{.by_hand = by_hand_,
                                    .say_hello = false,
                                    .hello = {.save_period_ms = draw.In(2) ? 15u : 0u,
                                              .cache_bytes = draw.In(2) ? 0 : 8 * kMiB,
                                              .has_anchor = true}}) {}
  ~Life() {
    host_.Lie({});
    host_.TapToCore({});
    host_.TapToHost({});
  }
  Life(const Life&) = delete;
  Life& operator=(const Life&) = delete;

  void Run() {
    const bool lies = draw_.In(3);
    if (lies) host_.Lie([this](const StorageRequest& q, StorageReply& r) { return LieAtOpening(q, r); });
    host_.Hello();
    if (!host_.WaitReady()) {
      EXPECT_TRUE(host_.WaitStopped() || !host_.Alive());
      EXPECT_FALSE(host_.WaitEnd().empty());
      EXPECT_TRUE(lies) << "an honest opening: "
                        << CodeName(host_.WaitStopped().value_or(seam::CoreStopped{}).code) << "\n"
                        << host_.Notes();
      return;
    }
    host_.Lie([this](const StorageRequest& q, StorageReply& r) { return LieWhileServing(q, r); });
    if (draw_.In(2)) {
      host_.TapToCore([this](seam::HostToCore& m) { return Tamper(std::get_if<seam::StreamBytes>(&m)); });
      host_.TapToHost([this](seam::CoreToHost& m) { return Tamper(std::get_if<seam::StreamBytes>(&m)); });
    }
    std::vector<std::thread> clients;
    for (int c = 0; c < 2; ++c) clients.emplace_back([this, c] { Client(c); });
    auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(200 + draw_.Below(800));
    while (std::chrono::steady_clock::now() < until && host_.Alive()) Act();
    over_ = true;
    for (std::thread& t : clients) t.join();
    EXPECT_LT(host_.MemoryPeak(), kMemoryMax);
    if (by_hand_) host_.hand().TakeNothing(false);
    End();
  }

 private:
  void End() {
    if (host_.Alive() && draw_.In(2)) {
      // Released: what was held back for ever would hold the stop up for ever.
      host_.Lie({});
      for (StorageReply& reply : held_) host_.core().FromHost(std::move(reply));
      (void)host_.Stop();
    }
    std::string said = host_.Stderr();
    EXPECT_TRUE(said.empty() || said.starts_with("holdfast-core: k")) << said;
  }

  bool LieAtOpening(const StorageRequest& q, StorageReply& r) {
    // A slot that is taken for damaged is opened past, and its segments are collected: no host needs a core
    // to destroy what it keeps.
    bool of_state = q.name.starts_with("members/") || q.name.starts_with("enclave-state/");
    if (of_state || !draw_.In(12)) return true;
    return LieAbout(q, r);
  }
  bool LieWhileServing(const StorageRequest& q, StorageReply& r) {
    if (draw_.In(30)) host_.core().FromHost(r);  // and once more, below
    if (!draw_.In(15)) return true;
    if (draw_.In(10) && IsNodeRead(q)) {
      std::lock_guard lock(mutex_);
      held_.push_back(r);
      return false;
    }
    return LieAbout(q, r);
  }
  bool LieAbout(const StorageRequest& q, StorageReply& r) {
    // Names that were left out of a listing, or added, may be names of the journal.
    if (q.operation == static_cast<uint8_t>(StorageOperation::kList)) return true;
    switch (draw_.Below(5)) {
      case 0:
        if (!r.bytes.empty())
          r.bytes[draw_.Below(r.bytes.size())] ^= static_cast<uint8_t>(1 + draw_.Below(255));
        return true;
      case 1:
        r.bytes.resize(draw_.Below(r.bytes.size() + 1));
        return true;
      case 2: {
        std::lock_guard lock(mutex_);
        Bytes& last = last_[r.bytes.size()];
        if (!last.empty()) std::swap(last, r.bytes);
        if (last.empty()) last = r.bytes;
        return true;
      }
      case 3: {
        StorageReply other = r;
        other.operation = static_cast<uint8_t>(draw_.Below(13) + 1);
        if (other.operation == r.operation) return true;
        other.bytes.clear();
        host_.core().FromHost(std::move(other));
        return true;
      }
      default: {
        constexpr Code kCodes[] = {Code::kIo,       Code::kNotFound,  Code::kFull,     Code{},
                                   Code::kConflict, Code::kBatchSize, Code::kDeadline, Code::kStopping};
        r.ok = false;
        r.code = kCodes[draw_.Below(std::size(kCodes))];
        r.bytes.clear();
        return true;
      }
    }
  }
  bool Tamper(seam::StreamBytes* m) {
    if (m == nullptr || m->bytes.empty() || !draw_.In(60)) return true;
    if (draw_.In(2)) return false;
    m->bytes[draw_.Below(m->bytes.size())] ^= 1;
    return true;
  }

  // No scans: they have no deadline of their own, and an answer may be held back for ever.
  void Client(int c) {
    while (!over_ && host_.Alive()) {
      HonestClient client(host_, oracle_, 300);
      for (int i = 0; i < 12 && !over_; ++i) {
        std::string key = "m/" + std::to_string(c) + "/" + std::to_string(draw_.Below(60));
        while (oracle_.Uncertain(key)) key += "+";
        uint64_t version = static_cast<uint64_t>(number_) << 20 | ++version_;
        Status done;
        if (draw_.In(3)) done = client.Put(key, ValueOf(key, 50 + draw_.Below(5000), version));
        if (done) done = client.Get(key);
        if (done && draw_.In(4)) done = client.Get(FoldedStore::Key(static_cast<int>(draw_.Below(40))));
        if (!done && draw_.In(2)) break;
      }
    }
  }

  void Act() {
    ::poll(nullptr, 0, static_cast<int>(draw_.Below(8)));
    switch (draw_.Below(by_hand_ ? 11 : 6)) {
      case 0:
        return Connections();
      case 1:
        for (int i = 0; i < 50; ++i) {
          host_.core().FromHost(
              seam::Tick{draw_.Below(UINT64_MAX) >> draw_.Below(64), draw_.Below(UINT64_MAX)});
        }
        return;
      case 2:
        for (int i = 0; i < 20; ++i) host_.core().FromHost(seam::MetricsRequest{seam::RequestId(1ull << 45)});
        return;
      case 3: {
        StorageReply reply;
        reply.id = seam::RequestId(1 + draw_.Below(draw_.In(2) ? 2000 : UINT64_MAX));
        reply.operation = static_cast<uint8_t>(draw_.Below(13) + 1);
        reply.ok = false;  // may hit one that is asked for
        reply.code = Code::kIo;
        return host_.core().FromHost(std::move(reply));
      }
      case 4:
        return host_.core().FromHost(seam::HostHello{.cache_bytes = draw_.Below(UINT64_MAX)});
      case 5: {
        uint64_t many = 1 + draw_.Below(1000);
        (void)!::write(host_.descriptors().wake_core, &many, sizeof many);
        return;
      }
      case 6:
        host_.hand().TakeNothing(true);
        ::poll(nullptr, 0, static_cast<int>(draw_.Below(60)));
        return host_.hand().TakeNothing(false);
      case 7:
      case 8:
        return Malformed();
      default:
        if (draw_.In(25)) Break();
    }
  }
  void Connections() {
    for (int i = 0; i < 40; ++i) {
      StreamId id(draw_.In(4) ? (1ull << 44) + draw_.Below(50) : host_.NewStream());
      if (!draw_.In(5)) host_.core().FromHost(seam::StreamOpened{id, seam::Listener::kUser});
      if (draw_.In(3)) host_.core().FromHost(seam::StreamBytes{id, Bytes(draw_.Below(300'000), 0x16)});
      if (draw_.In(3)) host_.core().FromHost(seam::StreamCredit{id, draw_.Below(UINT64_MAX)});
      if (!draw_.In(4)) host_.core().FromHost(seam::StreamClosed{id});
    }
  }
  void Malformed() {
    for (int i = 0; i < 20; ++i) {
      seam::WireMessage m;
      m.envelope.kind = static_cast<uint8_t>(draw_.Below(40));
      if (m.envelope.kind == static_cast<uint8_t>(seam::Kind::kStopRequested)) continue;
      m.envelope.operation = static_cast<uint8_t>(draw_.In(2) ? 0 : draw_.Below(15));
      m.envelope.id = draw_.In(3) ? 0 : (1ull << 46) + draw_.Below(100);
      m.head.resize(draw_.Below(60));
      for (uint8_t& b : m.head) b = static_cast<uint8_t>(draw_.Below(256));
      if (draw_.In(3)) m.body.resize(draw_.Below(70'000));
      m.envelope.head_bytes = m.head.size();
      m.envelope.body_bytes = m.body.size();
      host_.hand().Send(static_cast<Lane>(draw_.Below(seam::kLanes)), m);
    }
  }
  void Break() {
    seam::RingMemory ring =
        seam::RingAt(host_.memory(), Direction::kToCore, static_cast<Lane>(draw_.Below(seam::kLanes)));
    if (draw_.In(2)) return host_.hand().SendRecord(Lane::kStream, Bytes(1 + draw_.Below(3000), 0xa5));
    std::atomic_ref<uint64_t>(*ring.written).fetch_add(draw_.Below(1u << draw_.Below(24)));
  }

  Draw& draw_;
  const int number_;
  const bool by_hand_;
  Oracle& oracle_;
  std::atomic<uint64_t> version_{0};
  std::atomic<bool> over_{false};
  std::mutex mutex_;
  std::map<size_t, Bytes> last_;
  std::vector<StorageReply> held_;
  HostileHost host_;
};

TEST(Mix, OfAllLiesNeverBecomesAWrongAnswerNorLosesWhatWasAcknowledged) {
  const uint64_t seed = FromEnvironment("HOLDFAST_ABUSE_SEED", 1);
  const auto until = std::chrono::steady_clock::now() +
                     std::chrono::seconds(FromEnvironment("HOLDFAST_ABUSE_SECONDS", kSecondsDefault));
  FoldedStore store;
  Draw draw(seed);
  int lives = 0;
  while (std::chrono::steady_clock::now() < until && !testing::Test::HasFailure()) {
    SCOPED_TRACE("seed " + std::to_string(seed) + ", life " + std::to_string(lives));
    Life(store, draw, lives++).Run();
  }
  RecordProperty("lives", lives);
  RecordProperty("acknowledged", static_cast<int>(store.oracle.AcknowledgedKeys().size()));
  HostileHost honest(store.deployment);
  ASSERT_TRUE(honest.WaitReady()) << CodeName(honest.WaitStopped().value_or(seam::CoreStopped{}).code) << "\n"
                                  << honest.Notes();
  HonestClient client(honest, store.oracle);
  EXPECT_TRUE(client.GetAll(store.oracle.AcknowledgedKeys()));
  EXPECT_TRUE(client.Scan(""));
  EXPECT_TRUE(client.Works());
}

}  // namespace
}  // namespace holdfast::abuse
