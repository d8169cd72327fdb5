// Lies about storage while the store is served. A client gets the right value or an error; what is refused
// leaves the question open; nothing that the host says becomes an answer of the core's own.
#include <gtest/gtest.h>
#include <poll.h>

#include <atomic>
#include <mutex>
#include <thread>

#include "folded_store.h"

namespace holdfast::abuse {
namespace {

using seam::Metric;
using seam::RequestId;
using seam::StorageOperation;
using seam::StorageReply;
using seam::StorageRequest;

constexpr uint64_t kMiB = 1ull << 20;
constexpr uint64_t kGrowthMax = 32 * kMiB;

constexpr Code kAllCodes[] = {
#define HF_CODE(name, ...) Code::name,
#include "base/codes.def"
#undef HF_CODE
};

class StorageLies : public ::testing::Test {
 protected:
  void Serve(bool by_hand = false) {
    host = std::make_unique<HostileHost>(store.deployment, How{.by_hand = by_hand});
    ASSERT_TRUE(host->WaitReady());
    client = std::make_unique<HonestClient>(*host, store.oracle);
    memory_before = host->MemoryPeak();
  }
  void Stop() {
    client.reset();
    EXPECT_EQ(host->Stop(), Code{});
    host.reset();
  }
  // Another core over the same storage, honestly served: everything that was acknowledged is there.
  void ExpectAllAfterReopening() {
    client.reset();
    host.reset();
    Serve();
    ASSERT_NE(client, nullptr);
    EXPECT_TRUE(client->GetAll(store.oracle.AcknowledgedKeys()));
    EXPECT_TRUE(client->Works());
    Stop();
  }
  // All rows are read with this liar at work, then honestly: no wrong answer, and work goes on.
  void ReadAllWith(HostileHost::Liar liar) {
    host->Lie(std::move(liar));
    (void)client->GetAll(store.Keys());
    (void)client->Scan("k/");
    host->Lie({});
    EXPECT_TRUE(client->GetAll(store.Keys()));
    EXPECT_TRUE(client->Scan("k/"));
    EXPECT_TRUE(client->Works());
    EXPECT_LT(host->MemoryPeak(), memory_before + kGrowthMax);
  }

  FoldedStore store;
  std::unique_ptr<HostileHost> host;
  std::unique_ptr<HonestClient> client;
  uint64_t memory_before = 0;
};

TEST_F(StorageLies, RepliesThatNobodyAskedForOrComeTwiceAreCountedAndChangeNothing) {
  Serve();
  std::atomic<uint64_t> lies{0};
  host->Lie([&](const StorageRequest& q, StorageReply& truth) {
    StorageReply never = truth, other = truth, bad = truth;
    never.id = RequestId(q.id.value + (1ull << 40));
    other.operation = static_cast<uint8_t>(q.operation % 13 + 1);
    other.bytes.clear();
    for (uint8_t& b : bad.bytes) b ^= 1;
    host->core().FromHost(never);
    host->core().FromHost(other);
    host->core().FromHost(truth);
    host->core().FromHost(bad);  // too late: it has its answer
    lies += 3;
    return false;
  });
  EXPECT_TRUE(client->GetAll(store.Keys()));
  EXPECT_TRUE(client->Works());
  host->Lie({});
  EXPECT_GT(lies, 60u);
  EXPECT_TRUE(host->Reaches(Metric::kRepliesRefused, lies));
  EXPECT_TRUE(host->WaitLog(Code::kMessageRefused));
  Stop();
}

TEST_F(StorageLies, AReplyThatNeverComesIsADeadlineForItsClientAndNobodyElse) {
  Serve();
  std::mutex mutex;
  std::vector<StorageReply> held;
  host->Lie([&](const StorageRequest& q, StorageReply& truth) {
    std::lock_guard lock(mutex);
    if (!IsNodeRead(q) || held.size() >= 2) return true;
    held.push_back(truth);
    return false;
  });
  auto waits = std::make_unique<HonestClient>(*host, store.oracle, 600);
  EXPECT_EQ(CodeOf(waits->Get(FoldedStore::Key(3))), Code::kDeadline);
  EXPECT_EQ(CodeOf(waits->Get(FoldedStore::Key(33))), Code::kDeadline);
  EXPECT_TRUE(client->GetAll(store.Keys()));
  EXPECT_TRUE(client->Works());
  for (StorageReply& late : held) host->core().FromHost(std::move(late));
  host->Lie({});
  EXPECT_TRUE(waits->Get(FoldedStore::Key(3)));
  waits.reset();
  Stop();
}

TEST_F(StorageLies, ACoreThatWaitsForAReplyForEverEndsWithItsHost) {
  Serve();
  std::atomic<int> swallowed{0};
  host->Lie([&](const StorageRequest& q, StorageReply&) {
    if (!IsNodeRead(q)) return true;
    ++swallowed;
    return false;
  });
  HonestClient waits(*host, store.oracle, 300);
  EXPECT_FALSE(waits.Get(FoldedStore::Key(3)));
  EXPECT_EQ(swallowed, 1);
  host->core().FromHost(seam::StopRequested{});  // which it cannot finish
  auto before = std::chrono::steady_clock::now();
  host->HangUp();
  EXPECT_EQ(host->WaitEnd(), "exited with 1");
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(2));
}

TEST_F(StorageLies, RepliesLongerThanAskedAreRefusedAndTheTruthIsStillTaken) {
  Serve(/*by_hand=*/true);
  uint64_t before = host->Ask(Metric::kChannelRefused).value();
  std::atomic<uint64_t> lies{0};
  ReadAllWith([&](const StorageRequest& q, StorageReply& truth) {
    if (!IsNodeRead(q)) return true;
    StorageReply longer = truth;
    longer.bytes.resize(q.length + 1 + lies % 3 * 70'000);
    host->core().FromHost(std::move(longer));
    // The most that the table allows, announced and not brought.
    seam::WireMessage most = seam::Encode(truth);
    most.envelope.body_bytes = seam::kGetBytesMax;
    host->hand().SendRecord(seam::Lane::kStorage,
                            Record(most.envelope, seam::kFirstRecord | seam::kLastRecord, {}));
    lies += 2;
    return true;
  });
  EXPECT_GT(lies, 60u);
  EXPECT_TRUE(host->Reaches(Metric::kChannelRefused, before + lies));
  Stop();
}

TEST_F(StorageLies, RepliesShorterThanAskedAreErrors) {
  Serve();
  std::atomic<uint64_t> lies{0};
  ReadAllWith([&](const StorageRequest& q, StorageReply& truth) {
    if (IsNodeRead(q))
      truth.bytes.resize(++lies % 2 == 0 ? 0 : truth.bytes.size() - lies % truth.bytes.size());
    return true;
  });
  EXPECT_GT(lies, 20u);
  Stop();
}

TEST_F(StorageLies, FlippedBitsAreErrors) {
  Serve();
  std::atomic<uint64_t> lies{0};
  ReadAllWith([&](const StorageRequest& q, StorageReply& truth) {
    if (IsNodeRead(q))
      truth.bytes[(++lies * 7919) % truth.bytes.size()] ^= static_cast<uint8_t>(1u << (lies % 8));
    return true;
  });
  EXPECT_GT(lies, 20u);
  EXPECT_EQ(client->Get(FoldedStore::Key(0)).has_value(), true);
  Stop();
}

TEST_F(StorageLies, TheContentOfOnePlaceIsNeverTakenForAnothers) {
  Serve();
  std::mutex mutex;
  std::map<size_t, std::pair<uint64_t, Bytes>> last;  // by size: where it lay, what it was
  int lies = 0;
  ReadAllWith([&](const StorageRequest& q, StorageReply& truth) {
    if (!IsNodeRead(q)) return true;
    std::lock_guard lock(mutex);
    auto [it, fresh] = last.try_emplace(truth.bytes.size(), q.offset, truth.bytes);
    if (fresh || it->second.first == q.offset) return true;
    std::swap(it->second.second, truth.bytes);
    it->second.first = q.offset;
    ++lies;
    return true;
  });
  EXPECT_GT(lies, 20);
  Stop();
}

TEST_F(StorageLies, AnswersSwappedBetweenTwoOutstandingRequestsAreErrors) {
  Serve();
  std::mutex mutex;
  std::optional<StorageReply> held;
  std::atomic<int> swapped{0};
  host->Lie([&](const StorageRequest& q, StorageReply& truth) {
    if (!IsNodeRead(q)) return true;
    std::lock_guard lock(mutex);
    if (!held || held->bytes.size() != truth.bytes.size()) {
      if (held) host->core().FromHost(*std::exchange(held, {}));
      held = truth;
      return false;
    }
    std::swap(held->bytes, truth.bytes);
    host->core().FromHost(*std::exchange(held, {}));
    ++swapped;
    return true;
  });
  std::vector<std::thread> readers;
  for (int r = 0; r < 4; ++r) {
    readers.emplace_back([&, r] {
      HonestClient reader(*host, store.oracle, 700);
      for (int i = 0; i < 15; ++i) {
        (void)reader.Get(FoldedStore::Key((i * (2 * r + 1) + r) % FoldedStore::kRows));
      }
    });
  }
  for (std::thread& t : readers) t.join();
  host->Lie({});
  if (held) host->core().FromHost(*held);
  EXPECT_GT(swapped, 5);
  EXPECT_TRUE(client->GetAll(store.Keys()));
  EXPECT_TRUE(client->Works());
  Stop();
}

TEST_F(StorageLies, WhatExistsAndIsSaidNotToIsAnErrorAndNeverAnAbsentRow) {
  Serve();
  host->Lie([&](const StorageRequest& q, StorageReply& truth) {
    if (IsNodeRead(q)) {
      truth = {.id = q.id,
               .operation = q.operation,
               .ok = false,
               .code = Code::kNotFound,
               .bytes = {},
               .version = {},
               .listing = {},
               .capabilities = {}};
    }
    return true;
  });
  int errors = 0;
  for (const std::string& key : store.Keys()) {
    Status got = client->Get(key);  // expects that no acknowledged row is absent
    if (!got) {
      EXPECT_EQ(got.code(), Code::kMissing);
      ++errors;
    }
  }
  EXPECT_GT(errors, 20);
  host->Lie({});
  EXPECT_TRUE(client->GetAll(store.Keys()));
  Stop();
}

// A provider's error is passed on; what only the core can know of (a conflict, a table, a session) is not the
// host's to say.
TEST_F(StorageLies, ErrorsThatNoStorageHasAreTakenAsInputOutputErrors) {
  Serve();
  std::atomic<unsigned> code{0};
  host->Lie([&](const StorageRequest& q, StorageReply& truth) {
    if (!IsNodeRead(q)) return true;
    truth.ok = false;
    truth.bytes.clear();
    truth.code = static_cast<Code>(code.load());
    return true;
  });
  int row = 0;
  std::vector<Code> all(std::begin(kAllCodes), std::end(kAllCodes));
  all.push_back(Code{});
  for (Code c : all) {
    code = static_cast<unsigned>(c);
    auto before = std::chrono::steady_clock::now();
    Status got;
    // Two keys of which one at least is not in memory.
    for (int i = 0; i < 2 && got; ++i) got = client->Get(FoldedStore::Key(row++ % FoldedStore::kRows));
    EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(4)) << CodeName(c);
    if (got) continue;
    unsigned number = static_cast<unsigned>(got.code());
    bool of_storage = number / 100 == 3 || got.code() == Code::kTooLarge ||
                      got.code() == Code::kUnsupported || got.code() == Code::kInvalidArgument ||
                      got.code() == Code::kMissing;
    EXPECT_TRUE(of_storage) << CodeName(c) << " became " << CodeName(got.code());
  }
  host->Lie({});
  EXPECT_TRUE(client->GetAll(store.Keys()));
  Stop();
}

// An error while an entry is applied ends applying: what came after it would be another history than the one
// in the journal. The codes are those that applying itself has a use for, and none at all.
TEST_F(StorageLies, NoErrorOfTheHostsMakesTheCoreSkipAnEntry) {
  for (Code code : {Code{}, Code::kBatchSize, Code::kConflict, Code::kIo}) {
    Serve();
    std::atomic<int> lies{0};
    host->Lie([&](const StorageRequest& q, StorageReply& truth) {
      if (!IsNodeRead(q)) return true;
      ++lies;
      truth.ok = false;
      truth.bytes.clear();
      truth.code = code;
      return true;
    });
    // Deletes rows that have to be looked for.
    sdk::Batch wipe;
    wipe.operations.push_back({sdk::Operation::Kind::kDeleteRange, kTable, "k/10", "k/12"});
    auto wiped = client->sdk().Apply(wipe);
    EXPECT_FALSE(wiped) << CodeName(code);
    EXPECT_GT(lies, 0);
    host->Lie({});
    // Whether they are gone, nobody can know; whoever is told once must be told so for ever.
    sdk::Batch follows;
    follows.compares.push_back({sdk::Compare::Kind::kPresent, kTable, "k/10", ""});
    std::string key = "follows/" + std::to_string(static_cast<unsigned>(code));
    follows.operations.push_back({sdk::Operation::Kind::kPut, kTable, key, "was there"});
    auto followed = client->sdk().Apply(follows);
    client.reset();
    host.reset();
    Serve();
    auto found = client->sdk().Get(kTable, key);
    ASSERT_TRUE(found);
    EXPECT_TRUE(!followed || found->found) << "acknowledged and gone, after " << CodeName(code);
    auto first = client->sdk().Get(kTable, "k/10"), second = client->sdk().Get(kTable, "k/11");
    ASSERT_TRUE(first && second);
    EXPECT_EQ(first->found, second->found);
    for (int i : {10, 11})
      ASSERT_TRUE(client->Put(FoldedStore::Key(i), ValueOf(FoldedStore::Key(i), 400, 1)));
    Stop();
    store.Fill(2);
  }
}

TEST_F(StorageLies, WritesThatAreSaidToHaveFailedAreNeverAcknowledgedAndNeverHalfDone) {
  for (Code code : {Code::kIo, Code::kFull, Code::kExists, Code::kNotFound, Code::kVersionMismatch, Code{}}) {
    Serve();
    std::atomic<int> lies{0};
    host->Lie([&](const StorageRequest& q, StorageReply& truth) {
      auto operation = static_cast<StorageOperation>(q.operation);
      if (operation != StorageOperation::kAppend && operation != StorageOperation::kCreateAppendable)
        return true;
      if (++lies > 1) return true;
      truth.ok = false;
      truth.code = code;
      return true;
    });
    for (int i = 0; i < 6; ++i) {
      std::string key = "failed/" + std::to_string(static_cast<unsigned>(code)) + "/" + std::to_string(i);
      (void)client->Put(key, ValueOf(key, 300));
      (void)client->Get(key);
    }
    EXPECT_GT(lies, 0);
    host->Lie({});
    (void)client->GetAll(store.oracle.AcknowledgedKeys());
    ExpectAllAfterReopening();
  }
}

TEST_F(StorageLies, SavesThatAreLiedToLoseNothingThatWasAcknowledged) {
  for (int round = 0; round < 4; ++round) {
    host = std::make_unique<HostileHost>(
        store.deployment, How{.hello = {.save_period_ms = 10, .cache_bytes = 0, .has_anchor = true}});
    ASSERT_TRUE(host->WaitReady());
    client = std::make_unique<HonestClient>(*host, store.oracle, 1'500);
    std::atomic<int> seen{0}, lies{0};
    host->Lie([&](const StorageRequest& q, StorageReply& truth) {
      auto operation = static_cast<StorageOperation>(q.operation);
      bool of_journal = q.name.starts_with("members/") && operation != StorageOperation::kList;
      if (of_journal || ++seen % (5 + 3 * round) != 0) return true;
      ++lies;
      if (!truth.bytes.empty()) {
        truth.bytes[truth.bytes.size() / 2] ^= 0x40;
      } else {
        truth.ok = false;
        truth.code = round % 2 == 0 ? Code::kIo : Code::kFull;
      }
      return true;
    });
    for (int i = 0; i < 60 && lies < 3; ++i) {
      std::string key = "saved/" + std::to_string(round) + "/" + std::to_string(i);
      (void)client->Put(key, ValueOf(key, 500));
      (void)client->Get(key);
      ::poll(nullptr, 0, 5);  // saves are due every 10 ms
    }
    EXPECT_GT(lies, 0);
    host->Lie({});
    ExpectAllAfterReopening();
  }
}

}  // namespace
}  // namespace holdfast::abuse
