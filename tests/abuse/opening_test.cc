// Lies while a store is opened: it opens to what was acknowledged, or says by name why not, and an honest
// opening afterwards finds everything.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <mutex>
#include <random>

#include "core/seal/unlock.h"
#include "core/store/layout.h"
#include "folded_store.h"

namespace holdfast::abuse {
namespace {

using seam::StorageOperation;
using seam::StorageReply;
using seam::StorageRequest;

constexpr uint64_t kMiB = 1ull << 20;
// A core that has opened a small store.
constexpr uint64_t kRestMax = 128 * kMiB;

enum class Lie : int {
  kFlip,
  kCut,
  kEmpty,
  kLonger,
  kNotFound,
  kIo,
  kNoCode,
  kExists,
  kFull,
  kOlder,
  kVersion,
  kCount
};

class Opening : public ::testing::Test {
 protected:
  Opening() {
    // Rows that only the journal has.
    HostileHost host(store.deployment);
    EXPECT_TRUE(host.WaitReady());
    {
      HonestClient client(host, store.oracle);
      for (int i = 0; i < 8; ++i) {
        std::string key = "j/" + std::to_string(i);
        EXPECT_TRUE(client.Put(key, ValueOf(key, 1000)));
      }
    }
    EXPECT_EQ(host.Stop(), Code{});
    kept = store.oracle.AcknowledgedKeys();
    Remember();
  }
  void Remember() {
    copy = store.deployment.CopyStore();
    anchor = store.deployment.anchor().Get(store::kAnchorName).value().take();
  }
  void PutBack() {
    store.deployment.PutBack(copy);
    EXPECT_TRUE(store.deployment.anchor().Put(store::kAnchorName, anchor).has_value());
  }
  // Whatever it comes to, with no wrong answer. The code of CoreStopped, 0 if it opened.
  Code OpenWith(const HostileHost::Liar& liar, seam::HostHello hello = {.has_anchor = true},
                uint64_t memory_max = kRestMax) {
    HostileHost host(store.deployment, How{.say_hello = false, .hello = hello});
    host.Lie(liar);
    host.Hello();
    Code code{};
    if (host.WaitReady()) {
      HonestClient client(host, store.oracle, 3'000);
      (void)client.GetAll(kept);
      host.Lie({});
      (void)client.GetAll(kept);
    } else {
      auto stopped = host.WaitStopped();
      EXPECT_TRUE(stopped && !stopped->clean && stopped->code != Code{});
      code = stopped ? stopped->code : Code{};
      EXPECT_EQ(host.WaitEnd(), "exited with " + std::to_string(CodeExit(code))) << CodeName(code);
    }
    EXPECT_LT(host.MemoryPeak(), memory_max);
    return code;
  }
  void ExpectAllHonestly(const std::string& after) {
    HostileHost host(store.deployment);
    ASSERT_TRUE(host.WaitReady()) << after << ": "
                                  << CodeName(host.WaitStopped().value_or(seam::CoreStopped{}).code);
    HonestClient client(host, store.oracle);
    EXPECT_TRUE(client.GetAll(kept)) << after;
    EXPECT_TRUE(client.Works()) << after;
  }

  FoldedStore store;
  std::set<std::string> kept;  // what is there after PutBack()
  Copy copy;
  Bytes anchor;
};

// One lie in one answer of an opening, each answer in its turn.
TEST_F(Opening, AnyAnswerMayBeALieAndNothingIsLostOrMadeUp) {
  const char* seed_text = std::getenv("HOLDFAST_ABUSE_SEED");
  const uint64_t seed = seed_text != nullptr ? std::strtoull(seed_text, nullptr, 10) : 1;
  int answers = 0;
  (void)OpenWith([&](const StorageRequest&, StorageReply&) { return ++answers, true; });
  ASSERT_GT(answers, 20);
  std::vector<int> turns;
  for (int n = 1; n <= answers; ++n) turns.push_back(n);
  std::shuffle(turns.begin(), turns.end(), std::mt19937_64(seed));
  auto until = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  int opened = 0, refused = 0;
  for (int turn : turns) {
    if (std::chrono::steady_clock::now() > until) break;
    PutBack();
    Lie lie = static_cast<Lie>((seed * 7 + static_cast<uint64_t>(turn)) % static_cast<uint64_t>(Lie::kCount));
    std::mutex mutex;
    int n = 0;
    std::string what;
    std::map<uint8_t, Bytes> before;
    Code code = OpenWith([&](const StorageRequest& q, StorageReply& r) {
      std::lock_guard lock(mutex);
      Bytes older = std::exchange(before[q.operation], r.bytes);
      if (++n != turn) return true;
      what = "lie " + std::to_string(static_cast<int>(lie)) + " about operation " +
             std::to_string(q.operation) + " of " + q.name;
      auto fail = [&](Code c) {
        r.ok = false;
        r.code = c;
        r.bytes.clear();
        r.listing = {};
      };
      switch (lie) {
        case Lie::kFlip:
          if (!r.bytes.empty()) r.bytes[r.bytes.size() * 2 / 3] ^= 0x10;
          if (!r.listing.objects.empty()) r.listing.objects.pop_back();
          return true;
        case Lie::kCut:
          r.bytes.resize(r.bytes.size() / 2);
          r.listing.objects.resize(r.listing.objects.size() / 2);
          return true;
        case Lie::kEmpty:
          r.bytes.clear();
          r.listing = {};
          return true;
        case Lie::kLonger:
          if (q.operation == static_cast<uint8_t>(StorageOperation::kGet)) r.bytes.resize(r.bytes.size() + 1);
          r.listing.objects.push_back({q.name + "zz", UINT64_MAX});
          return true;
        case Lie::kOlder:
          r.bytes = older.size() <= r.bytes.size() ? older : r.bytes;
          std::reverse(r.listing.objects.begin(), r.listing.objects.end());
          return true;
        case Lie::kVersion:
          r.version = std::string(60'000, 'v');
          r.listing.complete = false;
          r.capabilities = {};
          return true;
        case Lie::kNotFound:
          return fail(Code::kNotFound), true;
        case Lie::kExists:
          return fail(Code::kExists), true;
        case Lie::kFull:
          return fail(Code::kFull), true;
        case Lie::kNoCode:
          return fail(Code{}), true;
        default:
          return fail(Code::kIo), true;
      }
    });
    (code == Code{} ? opened : refused) += 1;
    SCOPED_TRACE("after " + what + ": " + std::string(CodeName(code)));
    ExpectAllHonestly(what);
    if (HasFailure()) break;
  }
  EXPECT_GT(opened + refused, 3);
}

TEST_F(Opening, ListingsThatDoNotComeToAnEndAreRefusedWithinABoundOnMemory) {
  // Each name is further on than the last, and there is always another.
  for (size_t name_bytes : {24u, 1900u}) {
    PutBack();
    std::atomic<uint64_t> number{0};
    Code code = OpenWith(
        [&](const StorageRequest& q, StorageReply& r) {
          if (q.operation != static_cast<uint8_t>(StorageOperation::kList) || q.name == "") return true;
          r.listing.objects.clear();
          r.listing.complete = false;
          for (int i = 0; i < 1000; ++i) {
            char digits[24];
            std::snprintf(digits, sizeof digits, "%020llu", static_cast<unsigned long long>(++number));
            r.listing.objects.push_back({q.name + digits + std::string(name_bytes - 20, 'x'), 1});
          }
          return true;
        },
        {.has_anchor = true}, kRestMax + 4 * seam::kListedBytesMax);
    EXPECT_EQ(code, Code::kTooLarge) << CodeName(code);
  }
  PutBack();
  ExpectAllHonestly("endless listings");
}

TEST_F(Opening, ListingsOutOfOrderOrOfForeignNamesAreRefused) {
  using Change = std::function<void(const StorageRequest&, seam::Listing&)>;
  const std::pair<const char*, Change> lies[] = {
      {"the same again",
       [](const StorageRequest&, seam::Listing& l) {
         if (!l.objects.empty()) l.objects.push_back(l.objects.back());
       }},
      {"backwards",
       [](const StorageRequest& q, seam::Listing& l) {
         l.objects = {{q.name + "b", 1}, {q.name + "a", 1}};
       }},
      {"foreign",
       [](const StorageRequest&, seam::Listing& l) {
         l.objects.push_back({"zzz/foreign", 1});
       }},
      {"the page before, for ever",
       [](const StorageRequest& q, seam::Listing& l) {
         l.objects = {{q.name + "a", 1}};
         l.complete = false;
       }},
  };
  for (const auto& [what, change] : lies) {
    PutBack();
    Code code = OpenWith([&change = change](const StorageRequest& q, StorageReply& r) {
      if (q.operation == static_cast<uint8_t>(StorageOperation::kList)) change(q, r.listing);
      return true;
    });
    EXPECT_EQ(code, Code::kMalformed) << what << ": " << CodeName(code);
  }
  // Nothing more, but not complete: an end like another.
  PutBack();
  (void)OpenWith([](const StorageRequest& q, StorageReply& r) {
    if (q.operation == static_cast<uint8_t>(StorageOperation::kList)) r.listing.complete = false;
    return true;
  });
  PutBack();
  ExpectAllHonestly("bad listings");
}

TEST_F(Opening, TheLargestObjectThatAHostMaySendIsReadWithinABoundAndRefused) {
  for (std::string name : {std::string(seal::kUnlockersName), std::string("enclave-state/0/core-enclave")}) {
    PutBack();
    std::atomic<int> lies{0};
    Code code = OpenWith(
        [&](const StorageRequest& q, StorageReply& r) {
          if (q.name != name || q.operation != static_cast<uint8_t>(StorageOperation::kGet)) return true;
          ++lies;
          r.bytes.resize(seam::kGetBytesMax);
          return true;
        },
        // The bytes, once more while they grow, and once handed on.
        {.has_anchor = true}, kRestMax + 3 * seam::kGetBytesMax);
    EXPECT_EQ(lies, 1);
    EXPECT_EQ(code, Code{}) << CodeName(code);  // the other copy serves
  }
  ExpectAllHonestly("objects of 256 MiB");
}

TEST_F(Opening, CapabilitiesThatLieOpenNothingWrong) {
  const seam::Capabilities truth = store.deployment.objects().capabilities();
  std::vector<seam::Capabilities> lies(7, truth);
  lies[0].append = false;
  lies[1].exclusive = false;
  lies[2].conditional_put = false;
  lies[3].strong_listing = false;
  lies[4].read_only = true;
  lies[5].value_bytes_max = lies[5].value_bytes_preferred = 0;
  lies[6].value_bytes_max = 1;
  lies[6].value_bytes_preferred = UINT64_MAX;
  for (const seam::Capabilities& lie : lies) {
    PutBack();
    (void)OpenWith([&](const StorageRequest& q, StorageReply& r) {
      if (q.operation == static_cast<uint8_t>(StorageOperation::kCapabilities)) r.capabilities = lie;
      return true;
    });
    ExpectAllHonestly("capabilities");
  }
}

TEST_F(Opening, AnAnchorThatIsForgedForeignOrGoneIsSaidToBeSo) {
  Deployment other;
  Bytes foreign = other.anchor().Get(store::kAnchorName).value().take();
  Bytes flipped = anchor;
  flipped[50] ^= 1;
  Bytes cut(anchor.begin(), anchor.begin() + 60);
  const std::pair<Bytes, bool> lies[] = {{flipped, false}, {cut, false},         {foreign, false},
                                         {{}, false},      {Bytes(5000), false}, {anchor, true}};
  for (const auto& [bytes, opens] : lies) {
    PutBack();
    Code code = OpenWith([&bytes = bytes](const StorageRequest& q, StorageReply& r) {
      if (q.volume == seam::Volume::kAnchor && q.operation == static_cast<uint8_t>(StorageOperation::kGet))
        r.bytes = bytes;
      return true;
    });
    EXPECT_EQ(code == Code{}, opens) << CodeName(code);
  }
}

TEST_F(Opening, AnOlderCopyOfEverythingIsRefusedByTheAnchor) {
  Copy older = copy;
  store.Fill(1);
  Remember();
  store.deployment.PutBack(older);  // the anchor stays
  EXPECT_EQ(OpenWith({}), Code::kRolledBack);
  // Of the journal alone: as if the host had dropped writes that it acknowledged.
  PutBack();
  {
    HostileHost host(store.deployment);
    ASSERT_TRUE(host.WaitReady());
    ASSERT_TRUE(HonestClient(host, store.oracle).Works());
    kept = store.oracle.AcknowledgedKeys();
    ASSERT_EQ(host.Stop(), Code{});
  }
  Copy journal = copy;
  Remember();
  store.deployment.PutBack(journal, "members/");
  EXPECT_EQ(OpenWith({}), Code::kRolledBack);
  PutBack();
  ExpectAllHonestly("the copy was put away");
}

TEST_F(Opening, OlderVersionsOfSlotFilesAreRefusedOrChangeNothing) {
  Copy older = copy;
  store.Fill(1);
  store.Fill(2);  // both slots have been rewritten
  Remember();
  for (std::string prefix :
       {"enclave-state/", "enclave-state/0/", "enclave-state/1/", "enclave-state/0/core-enclave",
        "enclave-state/1/key-enclave", "enclave-state/0/state-save-number", "enclave-state/1/server-state"}) {
    PutBack();
    store.deployment.PutBack(older, prefix);
    (void)OpenWith({});
  }
  PutBack();
  ExpectAllHonestly("older slots");
}

TEST_F(Opening, SlotsAndSegmentsOfAnotherStoreAreRefused) {
  FoldedStore other;
  Copy foreign = other.deployment.CopyStore();
  for (const char* prefix : {"enclave-state/", "members/", ""}) {
    store.deployment.PutBack(copy);
    store.deployment.PutBack(foreign, prefix);
    EXPECT_NE(OpenWith({}), Code{}) << prefix;
  }
}

TEST_F(Opening, SettingsOfAnyKindOpenTheStore) {
  const seam::HostHello settings[] = {
      {.save_period_ms = UINT64_MAX, .cache_bytes = UINT64_MAX, .has_anchor = true},
      {.save_period_ms = 1, .cache_bytes = 0, .has_anchor = true},
      {.save_period_ms = UINT64_MAX / 1000, .cache_bytes = 1, .discard_tail = true, .has_anchor = false},
  };
  for (const seam::HostHello& hello : settings) {
    EXPECT_EQ(OpenWith({}, hello), Code{});
    ExpectAllHonestly("settings");
  }
}

TEST_F(Opening, ACoreWhoseOpeningIsNeverAnsweredEndsWithItsHost) {
  HostileHost host(store.deployment, How{.say_hello = false});
  std::atomic<int> asked{0};
  host.Lie([&](const StorageRequest&, StorageReply&) { return ++asked, false; });
  host.Hello();
  ASSERT_TRUE(host.Eventually([&] { return asked > 0; }));
  host.core().FromHost(seam::StopRequested{});
  auto before = std::chrono::steady_clock::now();
  host.HangUp();
  EXPECT_EQ(host.WaitEnd(), "exited with 1");
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(2));
}

}  // namespace
}  // namespace holdfast::abuse
