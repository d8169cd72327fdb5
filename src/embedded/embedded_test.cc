// The library as a program has it: one store in one file, opened, used by threads, closed.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <set>
#include <stdexcept>
#include <thread>

#include "embedded/holdfast.h"

namespace holdfast::embedded {
namespace {

namespace fs = std::filesystem;
constexpr const char* kPassphrase = "a passphrase for tests only";

class Embedded : public ::testing::Test {
 protected:
  Embedded() {
    // A sync costs nothing there.
    std::string pattern = (fs::exists("/dev/shm") ? "/dev/shm" : fs::temp_directory_path().string()) +
                          std::string("/holdfast-embedded-XXXXXX");
    EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
  }
  ~Embedded() override { fs::remove_all(root_); }

  std::string Path(const std::string& name) const { return root_ + "/" + name; }
  static Options Creating() {
    Options options;
    options.create = true;
    options.memory_bytes = uint64_t{192} << 20;
    options.kdf_memory_kib = 64;
    return options;
  }
  static Store Opened(const std::string& url, const Options& options = Creating()) {
    Result<Store> store = Store::open(url, kPassphrase, options);
    EXPECT_TRUE(store.ok()) << url << ": " << store.status().message();
    return std::move(store).value();
  }
  static Table Opened(Store& store, const std::string& name) {
    Result<Table> table = store.open_table(name, true);
    EXPECT_TRUE(table.ok()) << table.status().message();
    return *table;
  }
  static std::string Got(const Result<std::optional<std::string>>& got) {
    if (!got) return "error " + std::string(name_of(got.code()));
    return *got ? **got : "(none)";
  }
  static std::string Keys(Result<Scan> scan, size_t page_rows = 3) {
    if (!scan) return std::string(name_of(scan.code()));
    std::string keys;
    for (Page page;;) {
      Result<bool> more = scan->next(page, page_rows);
      if (!more) return std::string(name_of(more.code()));
      if (!*more) return keys;
      for (size_t i = 0; i < page.size(); ++i) (keys += keys.empty() ? "" : " ") += page.key(i);
    }
  }

  std::string root_;
};

std::map<std::string, std::string> Numbers(const std::string& file, const std::regex& line) {
  std::ifstream in(std::string(HF_SOURCE_DIR) + "/" + file);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  std::map<std::string, std::string> numbers;
  for (std::sregex_iterator at(text.begin(), text.end(), line), end; at != end; ++at)
    numbers[(*at)[1]] = (*at)[2];
  return numbers;
}

TEST_F(Embedded, EveryCodeOfTheHeaderHasTheNumberThatItHasEverywhere) {
  auto ours = Numbers("src/embedded/holdfast.h", std::regex(R"(\n  (k\w+) = (\d{3}),)"));
  auto all = Numbers("src/base/codes.def", std::regex(R"(HF_CODE\((k\w+), +(\d{3}),)"));
  ASSERT_GT(ours.size(), 45U);
  for (const auto& [name, number] : ours) {
    EXPECT_EQ(all[name], number) << name;
    EXPECT_EQ(name_of(static_cast<Code>(std::stoi(number))), name);
  }
  EXPECT_EQ(text_of(Code::kWrongPassphrase), "wrong passphrase");
  EXPECT_EQ(text_of(Code::kOk), "ok");
}

TEST_F(Embedded, RowsAreThereAfterTheStoreWasClosedAndOpenedAgain) {
  for (const std::string& url : {Path("plain"), "sqlite:" + Path("s"), "dir:" + Path("d")}) {
    {
      Store store = Opened(url);
      Table t = Opened(store, "t");
      ASSERT_TRUE(t.put("a", "1"));
      ASSERT_TRUE(t.put("empty", ""));
      ASSERT_TRUE(t.put("gone", "x"));
      ASSERT_TRUE(t.erase("gone"));
      ASSERT_TRUE(t.erase("never there"));
      ASSERT_TRUE(store.save());
      ASSERT_TRUE(t.put("b", "2"));
      EXPECT_TRUE(store.close());
      EXPECT_TRUE(store.close());
    }
    Options options = Creating();
    options.create = false;
    Store store = Opened(url, options);
    Result<Table> t = store.open_table("t");
    ASSERT_TRUE(t);
    EXPECT_EQ(Got(t->get("a")) + Got(t->get("empty")) + Got(t->get("gone")) + Got(t->get("b")), "1(none)2");
    EXPECT_EQ(store.open_table("u").code(), Code::kNoTable);
    EXPECT_TRUE(store.verify());
  }
}

TEST_F(Embedded, WhatCannotBeOpenedIsRefusedWithItsCodeAndLeftAsItWas) {
  Options options = Creating();
  options.create = false;
  EXPECT_EQ(Store::open(Path("none"), kPassphrase, options).code(), Code::kNoStore);
  EXPECT_FALSE(fs::exists(Path("none")));
  EXPECT_EQ(Store::open(Path("none"), "", Creating()).code(), Code::kNoPassphrase);
  EXPECT_EQ(Store::open("postgres:x", kPassphrase, Creating()).code(), Code::kBadUrl);
  EXPECT_EQ(Store::open("nothing:x", kPassphrase, Creating()).code(), Code::kBadUrl);
  Options little = Creating();
  little.memory_bytes = (uint64_t{192} << 20) - 1;
  EXPECT_EQ(Store::open(Path("none"), kPassphrase, little).code(), Code::kInvalidArgument);

  std::ofstream(Path("letter")) << "no store, but somebody's";
  EXPECT_EQ(Store::open(Path("letter"), kPassphrase, Creating()).code(), Code::kMalformed);
  EXPECT_EQ(Store::open("dir:" + root_, kPassphrase, Creating()).code(), Code::kNotEmpty);
  EXPECT_EQ(fs::file_size(Path("letter")), 24U);

  ASSERT_TRUE(Opened(Path("s")).close());
  EXPECT_EQ(Store::open(Path("s"), "another", Creating()).code(), Code::kWrongPassphrase);
  EXPECT_TRUE(Opened(Path("s")).close());
}

TEST_F(Embedded, ASecondOpenerGetsInUseAndTheFirstGoesOn) {
  for (const std::string& url : {Path("s"), "dir:" + Path("d"), "rocksdb:" + Path("r")}) {
    Store store = Opened(url);
    EXPECT_EQ(Store::open(url, kPassphrase, Creating()).code(), Code::kInUse) << url;
    EXPECT_EQ(Store::open(url, kPassphrase, Creating()).code(), Code::kInUse) << url;
    Table t = Opened(store, "t");
    EXPECT_TRUE(t.put("k", "v"));
    EXPECT_TRUE(store.close());
    EXPECT_TRUE(Opened(url).close());
  }
}

TEST_F(Embedded, AColonInAPathIsPartOfItWhenThePathBeginsAsPathsDo) {
  EXPECT_TRUE(Opened(Path("a:b")).close());
  EXPECT_TRUE(fs::is_regular_file(Path("a:b")));
}

TEST_F(Embedded, LimitsOfKeysValuesBatchesAndNamesHaveTheirCodes) {
  Store store = Opened("memory:");
  Table t = Opened(store, "t");
  EXPECT_EQ(t.put("", "v").code(), Code::kKeySize);
  EXPECT_EQ(t.put(std::string(1025, 'k'), "v").code(), Code::kKeySize);
  EXPECT_TRUE(t.put(std::string(1024, 'k'), "v"));
  std::string large(size_t{16} << 20, 'v');
  EXPECT_TRUE(t.put("large", large));
  EXPECT_EQ(*t.get("large"), large);
  EXPECT_EQ(t.put("large", large + "v").code(), Code::kValueSize);
  Batch batch;
  for (int i = 0; i < 10'001; ++i) batch.put(t, std::to_string(i), "");
  EXPECT_EQ(store.write(std::move(batch)).code(), Code::kBatchSize);
  EXPECT_EQ(store.create_table("").code(), Code::kTableName);
  EXPECT_EQ(store.create_table("t").code(), Code::kTableExists);
  EXPECT_EQ(Got(t.get("1")), "(none)");
}

TEST_F(Embedded, AScanGivesEachRowOnceInBothDirectionsAndWithinItsBounds) {
  Store store = Opened(Path("s"));
  Table t = Opened(store, "t");
  Batch batch;
  for (const char* key : {"a", "b", "b\xff", "b\xff\xff", "c", "d", "e", "\xff", "\xff\xff"}) {
    batch.put(t, key, key);
  }
  ASSERT_TRUE(store.write(std::move(batch)));
  for (bool saved : {false, true}) {
    if (saved) {
      ASSERT_TRUE(store.save());
    }
    EXPECT_EQ(Keys(t.scan()), "a b b\xff b\xff\xff c d e \xff \xff\xff");
    EXPECT_EQ(Keys(t.scan({}, Direction::kBackward)), "\xff\xff \xff e d c b\xff\xff b\xff b a");
    EXPECT_EQ(Keys(t.scan({"b", "d"})), "b b\xff b\xff\xff c");
    EXPECT_EQ(Keys(t.scan({"b", "d"}, Direction::kBackward), 1), "c b\xff\xff b\xff b");
    EXPECT_EQ(Keys(t.scan(Bounds::prefix("b\xff"))), "b\xff b\xff\xff");
    EXPECT_EQ(Keys(t.scan(Bounds::prefix("\xff"))), "\xff \xff\xff");
    EXPECT_EQ(Keys(t.scan(Bounds::prefix("x"))), "");
    EXPECT_EQ(Keys(t.scan({"d", "b"})), "");
  }
}

TEST_F(Embedded, ASnapshotStaysAsItWasWhateverIsWrittenSavedOrDropped) {
  Store store = Opened(Path("s"));
  Table t = Opened(store, "t");
  ASSERT_TRUE(t.put("k", "old"));
  Result<Snapshot> snapshot = store.snapshot();
  ASSERT_TRUE(snapshot);
  auto commit = t.put("k", "new");
  ASSERT_TRUE(commit);
  EXPECT_LT(snapshot->index(), commit->index);
  ASSERT_TRUE(t.put("later", "x"));
  ASSERT_TRUE(store.save());
  ASSERT_TRUE(store.drop_table("t"));
  EXPECT_EQ(Got(snapshot->get(t, "k")), "old");
  EXPECT_EQ(Keys(snapshot->scan(t)), "k");
  EXPECT_EQ(Got(t.get("k")), "error kNoTable");
  EXPECT_EQ(t.put("k", "v").code(), Code::kNoTable);
  Table again = Opened(store, "t");
  EXPECT_EQ(t.put("k", "v").code(), Code::kNoTable) << "a table of the same name is another table";
  EXPECT_TRUE(again.put("k", "v"));
}

TEST_F(Embedded, EverythingMayOutliveTheStoreAndAnswersStopping) {
  auto store = std::make_unique<Store>(Opened(Path("s")));
  Table t = Opened(*store, "t");
  ASSERT_TRUE(t.put("k", "v"));
  Result<Snapshot> snapshot = store->snapshot();
  Result<Scan> scan = t.scan();
  ASSERT_TRUE(snapshot && scan);
  store.reset();
  EXPECT_EQ(t.get("k").code(), Code::kStopping);
  EXPECT_EQ(t.put("k", "v").code(), Code::kStopping);
  EXPECT_EQ(snapshot->get(t, "k").code(), Code::kStopping);
  Page page;
  EXPECT_EQ(scan->next(page).code(), Code::kStopping);
  Store again = Opened(Path("s"));
  EXPECT_EQ(again.snapshot()->get(t, "k").code(), Code::kInvalidArgument) << "a table of another store";
}

TEST_F(Embedded, ABatchHappensAltogetherOrNotAtAllAndNamesTheExpectationThatFailed) {
  Store store = Opened("memory:"), other = Opened("memory:");
  Table t = Opened(store, "t"), u = Opened(store, "u"), foreign = Opened(other, "t");
  Batch first;
  first.expect_absent(t, "a").put(t, "a", "1").put(u, "b", "2").put(u, "c", "3");
  ASSERT_TRUE(store.write(std::move(first)));
  Batch second;
  second.expect_present(t, "a").expect_equals(u, "b", "2").expect_equals(u, "c", "other").put(t, "a", "9");
  Result<Commit> refused = store.write(std::move(second));
  EXPECT_EQ(refused.code(), Code::kConflict);
  EXPECT_EQ(refused.status().number(), 2U);
  EXPECT_EQ(Got(t.get("a")), "1");
  Batch third;
  third.expect_present(t, "a").erase(t, "a").erase_range(u, {"b", "c"});
  ASSERT_TRUE(store.write(std::move(third)));
  EXPECT_EQ(Got(t.get("a")) + Got(u.get("b")) + Got(u.get("c")), "(none)(none)3");

  Batch loose;
  EXPECT_EQ(store.write(std::move(loose.expect_absent(t, "x").put(t, "x", "")), Wait::kNone).code(),
            Code::kCompareNeedsDurable);
  Batch strange, mixed;
  EXPECT_EQ(store.write(std::move(strange.put(foreign, "x", ""))).code(), Code::kInvalidArgument);
  EXPECT_EQ(store.write(std::move(mixed.put(foreign, "x", "").put(t, "x", ""))).code(),
            Code::kInvalidArgument);
  EXPECT_EQ(Got(t.get("x")), "(none)");
}

TEST_F(Embedded, RuleH2ATransactionSeesItsOwnWritesAndNothingOfItStaysWhenItFails) {
  Store store = Opened("memory:");
  Table t = Opened(store, "t");
  ASSERT_TRUE(t.put("a", "1"));
  auto written = [&](Transaction& x) -> Status {
    EXPECT_EQ(Got(x.get(t, "a")), "1");
    EXPECT_TRUE(x.put(t, "a", "2"));
    EXPECT_EQ(Got(x.get(t, "a")), "2");
    EXPECT_EQ(Got(t.get("a")), "1") << "nobody else sees it yet";
    EXPECT_TRUE(x.put(t, "b", "3"));
    EXPECT_TRUE(x.erase_range(t, {"b", ""}));
    EXPECT_EQ(Got(x.get(t, "b")), "(none)");
    EXPECT_TRUE(x.put(t, "c", "4"));
    EXPECT_TRUE(x.erase(t, "c"));
    EXPECT_EQ(Got(x.get(t, "c")), "(none)");
    return {};
  };
  ASSERT_TRUE(store.atomic(written));
  EXPECT_EQ(Got(t.get("a")) + Got(t.get("b")), "2(none)");

  Result<Commit> refused = store.atomic([&](Transaction& x) -> Status {
    EXPECT_TRUE(x.put(t, "a", "never"));
    return Status(Code::kCancelled, "no");
  });
  EXPECT_EQ(refused.code(), Code::kCancelled);
  EXPECT_EQ(refused.status().detail(), "no");
  EXPECT_THROW((void)store.atomic([&](Transaction& x) -> Status {
    EXPECT_TRUE(x.put(t, "a", "never"));
    throw std::runtime_error("no");
  }),
               std::runtime_error);
  EXPECT_EQ(Got(t.get("a")), "2");
  EXPECT_EQ(store.atomic([&](Transaction& x) { return x.put(t, "", "bad key"); }).code(), Code::kKeySize);
  EXPECT_TRUE(store.atomic([](Transaction&) { return Status(); })) << "nothing to do is done";
}

TEST_F(Embedded, RuleH2ATransactionIsCalledAgainWhenWhatItReadHasChanged) {
  Store store = Opened("memory:");
  Table t = Opened(store, "t");
  int calls = 0;
  auto disturbed = [&](Transaction& x) -> Status {
    auto seen = x.get(t, "row");
    if (calls++ < 3) {
      EXPECT_TRUE(t.put("row", std::to_string(calls)));  // somebody else's
    }
    return x.put(t, "sum", seen && *seen ? **seen : "absent");
  };
  ASSERT_TRUE(store.atomic(disturbed));
  EXPECT_EQ(calls, 4);
  EXPECT_EQ(Got(t.get("sum")), "3");
  calls = 0;
  EXPECT_EQ(store.atomic(disturbed, 3).code(), Code::kConflict);
  EXPECT_EQ(calls, 3);
}

TEST_F(Embedded, RuleH2IncrementsOfManyThreadsAreAllCounted) {
  Store store = Opened(Path("s"));
  Table t = Opened(store, "t");
  // Without turns, losers lose until the winner has done all of its own: more often than they may here.
  constexpr int kThreads = 12, kEach = 25, kAttempts = 8;
  std::vector<std::thread> threads;
  for (int n = 0; n < kThreads; ++n) {
    threads.emplace_back([&] {
      for (int i = 0; i < kEach; ++i) {
        auto counted = store.atomic(
            [&](Transaction& x) -> Status {
              auto now = x.get(t, "counter");
              if (!now) return now.status();
              return x.put(t, "counter", std::to_string((*now ? std::stoi(**now) : 0) + 1));
            },
            kAttempts);
        EXPECT_TRUE(counted) << counted.status().message();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Got(t.get("counter")), std::to_string(kThreads * kEach));
}

TEST_F(Embedded, RuleH2TransactionsThatMeetAtSeveralRowsAllGetThrough) {
  Store store = Opened(Path("s"));
  Table t = Opened(store, "t");
  constexpr int kThreads = 6, kEach = 10, kRows = 3;
  std::vector<std::thread> threads;
  for (int n = 0; n < kThreads; ++n) {
    threads.emplace_back([&, n] {
      for (int i = 0; i < kEach; ++i) {
        // From one row to the next, in both directions.
        const std::string from = std::to_string(n % kRows), to = std::to_string((n + 1 + n / kRows) % kRows);
        auto moved = store.atomic([&](Transaction& x) -> Status {
          auto a = x.get(t, from), b = x.get(t, to);
          if (!a || !b) return a ? b.status() : a.status();
          Status less = x.put(t, from, std::to_string((*a ? std::stoi(**a) : 0) - 1));
          return less ? x.put(t, to, std::to_string((*b ? std::stoi(**b) : 0) + 1)) : less;
        });
        EXPECT_TRUE(moved) << moved.status().message();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  int sum = 0;
  for (int r = 0; r < kRows; ++r) sum += std::stoi(Got(t.get(std::to_string(r))));
  EXPECT_EQ(sum, 0);
}

TEST_F(Embedded, RuleH2ATransactionWithinAnothersBodyDoesNotWaitForItsTurn) {
  Store store = Opened("memory:");
  Table t = Opened(store, "t");
  int calls = 0;
  auto outer = store.atomic([&](Transaction& x) -> Status {
    auto seen = x.get(t, "row");
    if (++calls <= 2) {  // the second time the outer one has a turn at the row
      auto inner = store.atomic([&](Transaction& y) -> Status {
        auto now = y.get(t, "row");
        return now ? y.put(t, "row", std::to_string(calls)) : now.status();
      });
      EXPECT_TRUE(inner) << inner.status().message();
    }
    return x.put(t, "sum", seen && *seen ? **seen : "absent");
  });
  ASSERT_TRUE(outer) << outer.status().message();
  EXPECT_EQ(calls, 3);
  EXPECT_EQ(Got(t.get("sum")), "2");
}

TEST_F(Embedded, ATableMayStoreEqualValuesOnce) {
  const std::string value = "{\"n\":4,\"rest\":\"" + std::string(100'000, 'v') + "\"}";
  TableOptions sharing;
  sharing.share_values = true;
  sharing.value_type = Type::kJson;
  sharing.indexes = {{"by-n", "/n", false}};
  {
    Store store = Opened(Path("s"));
    auto t = store.create_table("files", sharing);
    ASSERT_TRUE(t) << t.status().message();
    for (int i = 0; i < 20; ++i) {
      ASSERT_TRUE(t->put("k" + std::to_string(i), i % 2 == 0 ? value : "5"));
    }
    sharing.transient = true;
    EXPECT_EQ(store.create_table("other", sharing).code(), Code::kCannotShare);
    ASSERT_TRUE(store.save());
    EXPECT_EQ(Got(t->get("k4")), value);
  }
  Store store = Opened(Path("s"));
  auto t = store.open_table("files");
  ASSERT_TRUE(t);
  EXPECT_EQ(Got(t->get("k4")), value);
  auto tables = store.tables();
  ASSERT_TRUE(tables);
  ASSERT_EQ(tables->size(), 1U) << "the table of the values is not one for users";
  EXPECT_TRUE(tables->front().options.share_values);
  EXPECT_EQ(tables->front().options.indexes.size(), 1U);
}

TEST_F(Embedded, ATransientTableIsEmptyAfterTheNextOpeningAndTransactionsWorkOnIt) {
  {
    Store store = Opened(Path("s"));
    TableOptions transient;
    transient.transient = true;
    auto cache = store.create_table("cache", transient);
    ASSERT_TRUE(cache) << cache.status().message();
    Table t = Opened(store, "t");
    ASSERT_TRUE(cache->put("a", "1", Wait::kNone));
    EXPECT_EQ(Got(cache->get("a")), "1") << "at once";
    ASSERT_TRUE(store.atomic([&](Transaction& x) -> Status {
      auto a = x.get(*cache, "a");
      return a ? x.put(*cache, "b", **a + "2") : a.status();
    }));
    EXPECT_EQ(Got(cache->get("b")), "12");
    EXPECT_EQ(store.write(std::move(Batch().put(*cache, "c", "1").put(t, "c", "1"))).code(),
              Code::kTransientMixed);
    auto tables = store.tables();
    ASSERT_EQ(tables->size(), 2U);
    for (const TableInfo& info : *tables) EXPECT_EQ(info.options.transient, info.name == "cache");
  }
  Store store = Opened(Path("s"));
  auto cache = store.open_table("cache");
  ASSERT_TRUE(cache);
  EXPECT_EQ(Got(cache->get("a")), "(none)");
}

TEST_F(Embedded, ScansGoByAnIndexAndAUniqueOneIsKept) {
  Store store = Opened(Path("s"));
  TableOptions options;
  options.value_type = Type::kJson;
  options.indexes = {{"city", "/city", false}, {"mail", "/mail", true}};
  auto people = store.create_table("people", options);
  ASSERT_TRUE(people) << people.status().message();
  auto person = [](const char* city, const char* mail) {
    return std::string("{\"city\":\"") + city + "\",\"mail\":\"" + mail + "\"}";
  };
  ASSERT_TRUE(people->put("3", person("Ulm", "c")));
  ASSERT_TRUE(people->put("1", person("Bonn", "a")));
  ASSERT_TRUE(people->put("2", person("Ulm", "b")));
  EXPECT_EQ(people->put("4", person("Jena", "a")).code(), Code::kNotUnique);
  EXPECT_EQ(people->put("4", "no json").code(), Code::kValueType);
  auto before = store.snapshot();
  ASSERT_TRUE(before);
  ASSERT_TRUE(people->put("1", person("Zwickau", "a")));
  EXPECT_EQ(Keys(people->scan_index("city"), 1), "2 3 1");
  EXPECT_EQ(Keys(before->scan_index(*people, "city"), 2), "1 2 3");
  EXPECT_EQ(Keys(people->scan_index("city", {}, Direction::kBackward), 1), "1 3 2");
  IndexBounds ulm;
  ulm.equals = "\"Ulm\"";
  EXPECT_EQ(Keys(people->scan_index("city", ulm)), "2 3");
  ulm.from = "0";
  EXPECT_EQ(people->scan_index("city", ulm).code(), Code::kInvalidArgument);
  EXPECT_EQ(people->scan_index("none").code(), Code::kNoIndex);
  ASSERT_TRUE(store.create_index("people", {"whole", "", false}));
  EXPECT_EQ(before->scan_index(*people, "whole").code(), Code::kNoIndex) << "the snapshot is older";
  ASSERT_TRUE(store.drop_index("people", "mail"));
  EXPECT_TRUE(people->put("4", person("Jena", "a")));
  ASSERT_TRUE(store.save());
  ASSERT_TRUE(store.verify());
  ASSERT_TRUE(store.close());
  Store again = Opened(Path("s"));
  EXPECT_EQ(Keys(Opened(again, "people").scan_index("city")), "4 2 3 1");
}

TEST_F(Embedded, WritesThatDoNotWaitAreSeenAfterACommitWaitOrALaterDurableOne) {
  Store store = Opened(Path("s"));
  Table t = Opened(store, "t");
  constexpr int kWrites = 50'000;  // more than may be on their way at once
  for (int i = 0; i < kWrites; ++i) {
    auto commit = t.put("a", std::to_string(i), Wait::kNone);
    ASSERT_TRUE(commit) << commit.status().message();
    EXPECT_EQ(commit->index, 0U);
  }
  ASSERT_TRUE(store.commit_wait());
  EXPECT_EQ(Got(t.get("a")), std::to_string(kWrites - 1));
  EXPECT_EQ(t.put("", "1", Wait::kNone).code(), Code::kKeySize)
      << "what can be known at once is said at once";
  EXPECT_TRUE(store.commit_wait());
  ASSERT_TRUE(t.put("b", "1", Wait::kNone));
  EXPECT_TRUE(t.put("c", "1")) << "durable, and what came before it with it";
  EXPECT_EQ(Got(t.get("b")), "1");
}

TEST_F(Embedded, ClosingWhileThreadsWriteLosesNothingThatWasAcknowledged) {
  constexpr int kThreads = 4;
  std::vector<std::set<int>> acknowledged(kThreads);
  {
    Store store = Opened(Path("s"));
    Table t = Opened(store, "t");
    std::atomic<int> written{0};
    std::vector<std::thread> threads;
    for (int n = 0; n < kThreads; ++n) {
      threads.emplace_back([&, n] {
        for (int i = 0;; ++i) {
          auto commit = t.put(std::to_string(n) + "/" + std::to_string(i), "v");
          if (!commit) {
            EXPECT_EQ(commit.code(), Code::kStopping);
            return;
          }
          acknowledged[static_cast<size_t>(n)].insert(i);
          ++written;
        }
      });
    }
    while (written < 200) std::this_thread::yield();
    EXPECT_TRUE(store.close());
    for (std::thread& thread : threads) thread.join();
  }
  Store store = Opened(Path("s"));
  Table t = Opened(store, "t");
  for (int n = 0; n < kThreads; ++n) {
    for (int i : acknowledged[static_cast<size_t>(n)])
      EXPECT_EQ(Got(t.get(std::to_string(n) + "/" + std::to_string(i))), "v");
  }
}

TEST_F(Embedded, SeveralStoresInOneProcessKnowNothingOfEachOther) {
  std::vector<std::thread> threads;
  for (const std::string& url : {Path("one"), "dir:" + Path("two"), std::string("memory:")}) {
    threads.emplace_back([url] {
      Store store = Opened(url);
      Table t = Opened(store, "t");
      for (int i = 0; i < 50; ++i) EXPECT_TRUE(t.put(std::to_string(i), url));
      EXPECT_TRUE(store.save());
      Page page;
      Result<Scan> scan = t.scan();
      ASSERT_TRUE(scan && scan->next(page));
      ASSERT_EQ(page.size(), 50U);
      for (size_t i = 0; i < page.size(); ++i) EXPECT_EQ(page.value(i), url);
      EXPECT_TRUE(store.verify());
      EXPECT_TRUE(store.close());
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(Embedded, AnOlderCopyIsRefusedByTheAnchorAndSoIsANewStoreInPlaceOfOneThatIsGone) {
  Options options = Creating();
  options.anchor_file = Path("anchor");
  {
    Store store = Opened(Path("s"), options);
    ASSERT_TRUE(Opened(store, "t").put("k", "old"));
    ASSERT_TRUE(store.close());
  }
  fs::copy_file(Path("s"), Path("older"));
  {
    Store store = Opened(Path("s"), options);
    EXPECT_NE(store.info()->freshness.find("fresh to index"), std::string::npos);
    ASSERT_TRUE(Opened(store, "t").put("k", "new"));
    EXPECT_TRUE(store.verify(nullptr, true));
    ASSERT_TRUE(store.close());
  }
  fs::copy_file(Path("older"), Path("s"), fs::copy_options::overwrite_existing);
  EXPECT_EQ(Store::open(Path("s"), kPassphrase, options).code(), Code::kRolledBack);
  fs::remove(Path("s"));
  Result<Store> anew = Store::open(Path("s"), kPassphrase, options);
  EXPECT_EQ(anew.code(), Code::kRolledBack);
  EXPECT_NE(anew.status().detail().find(Path("anchor")), std::string::npos);
}

TEST_F(Embedded, AChangedByteIsFoundByVerifyAndItsPlaceIsNamed) {
  Store store = Opened("dir:" + Path("d"));
  Table t = Opened(store, "t");
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(t.put(std::to_string(i), "value"));
  ASSERT_TRUE(store.save());
  std::vector<std::string> findings;
  ASSERT_TRUE(store.verify(&findings));
  fs::path segment = fs::directory_iterator(Path("d/segments"))->path();
  std::fstream file(segment, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(1000);
  char byte = static_cast<char>(file.get());
  file.seekp(1000);
  file.put(static_cast<char>(byte ^ 1));
  file.close();
  findings.clear();
  Status bad = store.verify(&findings);
  EXPECT_EQ(bad.code(), Code::kTampered) << bad.message();
  ASSERT_FALSE(findings.empty());
  EXPECT_NE(findings[0].find(segment.filename().string()), std::string::npos) << findings[0];
}

TEST_F(Embedded, AfterAChangeOfThePassphraseOnlyTheNewOneOpens) {
  {
    Store store = Opened(Path("s"));
    EXPECT_EQ(store.change_passphrase("wrong", "new").code(), Code::kWrongPassphrase);
    EXPECT_EQ(store.change_passphrase(kPassphrase, "").code(), Code::kNoPassphrase);
    ASSERT_TRUE(store.change_passphrase(kPassphrase, "new"));
    ASSERT_TRUE(store.close());
  }
  EXPECT_EQ(Store::open(Path("s"), kPassphrase, Creating()).code(), Code::kWrongPassphrase);
  EXPECT_TRUE(Store::open(Path("s"), "new", Creating()));
}

TEST_F(Embedded, TooManySnapshotsAreRefusedAndEachThatGoesMakesRoom) {
  Store store = Opened("memory:");
  std::vector<Snapshot> held;
  for (int i = 0; i < 256; ++i) held.push_back(*store.snapshot());
  EXPECT_EQ(store.snapshot().code(), Code::kTooManyPins);
  held.pop_back();
  EXPECT_TRUE(store.snapshot());
}

}  // namespace
}  // namespace holdfast::embedded
