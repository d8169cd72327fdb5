// The one suite that every storage provider passes: each sentence of the contract in seam/storage.h,
// attacked. A GoogleTest suite, parameterised by the provider; include it in one test source of a binary and
// say
//
//   INSTANTIATE_TEST_SUITE_P(Memory, StorageConformance, ::testing::Values(Provider{"memory", [] { … }}),
//   ProviderName);
//
// It shows nothing about durability across a crash: that is the simulated disk's and the crash tests'
// business.
#ifndef HOLDFAST_HOST_KV_CONFORMANCE_H_
#define HOLDFAST_HOST_KV_CONFORMANCE_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <thread>
#include <vector>

#include "base/bytes.h"
#include "seam/storage.h"

namespace holdfast::host {

// One place that keeps bytes, opened and empty at first.
class ProviderUnderTest {
 public:
  virtual ~ProviderUnderTest() = default;
  virtual seam::Storage& storage() = 0;
  virtual void Reopen() = 0;  // closes after a barrier, opens again: everything durable must be there
};

struct Provider {
  std::string name;
  std::function<std::unique_ptr<ProviderUnderTest>()> make;
  friend void PrintTo(const Provider& p, std::ostream* os) { *os << p.name; }
};

inline std::string ProviderName(const ::testing::TestParamInfo<Provider>& info) { return info.param.name; }

class StorageConformance : public ::testing::TestWithParam<Provider> {
 protected:
  void SetUp() override {
    under_test_ = GetParam().make();
    ASSERT_NE(under_test_, nullptr);
  }
  seam::Storage& s() { return under_test_->storage(); }
  void Reopen() {
    ASSERT_TRUE(s().Barrier());
    under_test_->Reopen();
  }
  bool appends() { return s().capabilities().append; }
  bool compares() { return s().capabilities().conditional_put; }

  std::string Text(std::string_view name) {
    Result<UntrustedBytes> r = s().Get(name);
    return r ? ToText(r->parse()) : "<" + std::string(CodeName(r.code())) + ">";
  }
  std::vector<std::string> Names(std::string_view prefix) {
    Result<std::vector<seam::ObjectInfo>> all = seam::ListAll(s(), prefix);
    EXPECT_TRUE(all);
    std::vector<std::string> names;
    if (all) {
      for (const seam::ObjectInfo& o : *all) names.push_back(o.name);
    }
    return names;
  }
  static Bytes Pattern(size_t n, uint64_t seed) {
    Bytes b(n);
    for (size_t i = 0; i < n; ++i) {
      seed = seed * 6364136223846793005u + 1442695040888963407u;
      b[i] = static_cast<uint8_t>(seed >> 56);
    }
    return b;
  }
  template <typename T>
  static Code CodeOf(const Result<T>& r) {
    return r.has_value() ? Code::kInternal : r.code();
  }

  std::unique_ptr<ProviderUnderTest> under_test_;
};

#define HF_EXPECT_CODE(expr, expected) EXPECT_EQ(CodeName(CodeOf(expr)), CodeName(expected)) << #expr

TEST_P(StorageConformance, GivesBackWhatWasPut) {
  ASSERT_TRUE(s().Put("a", AsBytes("one")));
  ASSERT_TRUE(s().Put("deep/er/name-1.x_Y", AsBytes("two")));
  EXPECT_EQ(Text("a"), "one");
  EXPECT_EQ(Text("deep/er/name-1.x_Y"), "two");
  HF_EXPECT_CODE(s().Get("b"), Code::kNotFound);
  HF_EXPECT_CODE(s().Get("deep"), Code::kNotFound);
  HF_EXPECT_CODE(s().Get("deep/er"), Code::kNotFound);
  HF_EXPECT_CODE(s().Get("deep/er/other/name"), Code::kNotFound);
}

TEST_P(StorageConformance, PutReplacesTheWholeObject) {
  ASSERT_TRUE(s().Put("a", Pattern(5000, 1)));
  ASSERT_TRUE(s().Put("a", AsBytes("short")));
  EXPECT_EQ(Text("a"), "short");
  ASSERT_TRUE(s().Put("a", Pattern(9000, 2)));
  Result<UntrustedBytes> got = s().Get("a");
  ASSERT_TRUE(got);
  EXPECT_TRUE(Equal(got->parse(), Pattern(9000, 2)));
}

TEST_P(StorageConformance, AnEmptyObjectIsThere) {
  ASSERT_TRUE(s().Put("empty", {}));
  ASSERT_TRUE(s().Barrier());
  EXPECT_EQ(Text("empty"), "");
  EXPECT_EQ(Names(""), std::vector<std::string>{"empty"});
  HF_EXPECT_CODE(s().PutIfAbsent("empty", AsBytes("x")), Code::kExists);
}

TEST_P(StorageConformance, HoldsALargeObjectAndAnyByte) {
  Bytes large = Pattern(std::min<uint64_t>(20u << 20, s().capabilities().value_bytes_max), 3);
  ASSERT_TRUE(s().Put("large", large));
  ASSERT_TRUE(s().Barrier());
  Result<UntrustedBytes> got = s().Get("large");
  ASSERT_TRUE(got);
  EXPECT_TRUE(Equal(got->parse(), large));
}

TEST_P(StorageConformance, ARangeEndsWhereTheObjectEnds) {
  Bytes all = Pattern(10'000, 4);
  ASSERT_TRUE(s().Put("r", all));
  struct {
    uint64_t offset, length;
  } cases[] = {{0, 0},         {0, 1},      {0, 10'000},     {0, 20'000},
               {1, 1},         {4095, 2},   {9'999, 1},      {9'999, 2},
               {10'000, 1},    {10'001, 1}, {3, UINT64_MAX}, {UINT64_MAX, UINT64_MAX},
               {UINT64_MAX, 1}};
  for (const auto& c : cases) {
    Result<UntrustedBytes> got = s().GetRange("r", c.offset, c.length);
    ASSERT_TRUE(got) << c.offset << "+" << c.length;
    uint64_t from = std::min<uint64_t>(c.offset, all.size());
    ByteView want = ByteView(all).subspan(from, std::min<uint64_t>(c.length, all.size() - from));
    EXPECT_TRUE(Equal(got->parse(), want)) << c.offset << "+" << c.length;
  }
  HF_EXPECT_CODE(s().GetRange("absent", 0, 1), Code::kNotFound);
}

TEST_P(StorageConformance, PutIfAbsentNeverReplaces) {
  ASSERT_TRUE(s().PutIfAbsent("x/once", AsBytes("first")));
  HF_EXPECT_CODE(s().PutIfAbsent("x/once", AsBytes("second")), Code::kExists);
  EXPECT_EQ(Text("x/once"), "first");
  ASSERT_TRUE(s().Delete("x/once"));
  ASSERT_TRUE(s().PutIfAbsent("x/once", AsBytes("third")));
  EXPECT_EQ(Text("x/once"), "third");
}

TEST_P(StorageConformance, OnlyOneOfManyThreadsCreatesAnObject) {
  for (int round = 0; round < 20; ++round) {
    std::string name = "race/" + std::to_string(round);
    std::atomic<int> won = 0, other = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        Status r = s().PutIfAbsent(name, AsBytes("thread " + std::to_string(t)));
        if (r) {
          ++won;
        } else if (r.code() != Code::kExists) {
          ++other;
        }
      });
    }
    for (std::thread& t : threads) t.join();
    EXPECT_EQ(won, 1);
    EXPECT_EQ(other, 0);
  }
}

TEST_P(StorageConformance, DeletingWhatIsAbsentIsOk) {
  EXPECT_TRUE(s().Delete("never"));
  EXPECT_TRUE(s().Delete("never/in/a/directory"));
  ASSERT_TRUE(s().Put("d/x", AsBytes("x")));
  ASSERT_TRUE(s().Put("d/y", AsBytes("y")));
  EXPECT_TRUE(s().Delete("d/x"));
  EXPECT_TRUE(s().Delete("d/x"));
  HF_EXPECT_CODE(s().Get("d/x"), Code::kNotFound);
  EXPECT_EQ(Text("d/y"), "y");
  EXPECT_EQ(Names(""), std::vector<std::string>{"d/y"});
}

TEST_P(StorageConformance, RefusesNamesThatBreakTheRule) {
  const std::string bad[] = {"",       "/",        "/a",  "a/",   "a//b", ".",      "..",
                             "a/../b", "./a",      "a/.", "../a", "a b",  "a\nb",   std::string("a\0b", 3),
                             "a\\b",   "\xC3\xA9", "a:b", "a*",   "~",    "%2e%2e", std::string(256, 'a')};
  for (const std::string& name : bad) {
    HF_EXPECT_CODE(s().Get(name), Code::kInvalidArgument);
    HF_EXPECT_CODE(s().GetRange(name, 0, 1), Code::kInvalidArgument);
    HF_EXPECT_CODE(s().GetVersioned(name), Code::kInvalidArgument);
    HF_EXPECT_CODE(s().Put(name, AsBytes("x")), Code::kInvalidArgument);
    HF_EXPECT_CODE(s().PutIfAbsent(name, AsBytes("x")), Code::kInvalidArgument);
    HF_EXPECT_CODE(s().PutIfVersion(name, AsBytes("x"), ""), Code::kInvalidArgument);
    HF_EXPECT_CODE(s().Delete(name), Code::kInvalidArgument);
    HF_EXPECT_CODE(s().CreateAppendable(name, 0, AsBytes("x")), Code::kInvalidArgument);
    HF_EXPECT_CODE(s().Append(name, 0, AsBytes("x")), Code::kInvalidArgument);
    HF_EXPECT_CODE(s().Trim(name, 0), Code::kInvalidArgument);
  }
  EXPECT_EQ(Names(""), std::vector<std::string>{});
  EXPECT_TRUE(s().Put("...", AsBytes("three dots are a name")));
  EXPECT_TRUE(s().Put(std::string(255, 'a'), AsBytes("the longest name")));
}

TEST_P(StorageConformance, ARefusalLeavesTheProviderUsable) {
  ASSERT_TRUE(s().Put("a", AsBytes("1")));
  HF_EXPECT_CODE(s().PutIfAbsent("a", AsBytes("2")), Code::kExists);
  HF_EXPECT_CODE(s().Put("..", AsBytes("2")), Code::kInvalidArgument);
  HF_EXPECT_CODE(s().Get("absent"), Code::kNotFound);
  EXPECT_TRUE(s().Put("b", AsBytes("3")));
  EXPECT_TRUE(s().Barrier());
}

TEST_P(StorageConformance, ListsInByteOrderOfWholeNames) {
  // '-' and '.' sort before '/', digits and letters behind: a walk by directories alone would get these
  // wrong.
  std::vector<std::string> names = {"a-b",  "a.b", "a/b", "a/b-c", "a/c/d", "a0",
                                    "aB/x", "ab",  "A",   "a_/z",  "zz/1"};
  for (const std::string& name : names) ASSERT_TRUE(s().Put(name, AsBytes(name)));
  ASSERT_TRUE(s().Barrier());
  std::sort(names.begin(), names.end());
  EXPECT_EQ(Names(""), names);
  EXPECT_EQ(Names("a/"), (std::vector<std::string>{"a/b", "a/b-c", "a/c/d"}));
  EXPECT_EQ(Names("a/b"), (std::vector<std::string>{"a/b", "a/b-c"}));
  EXPECT_EQ(Names("zz/1"), std::vector<std::string>{"zz/1"});
  EXPECT_EQ(Names("zz/11"), std::vector<std::string>{});
  EXPECT_EQ(Names("nothing/"), std::vector<std::string>{});
  for (const std::string& after : names) {
    Result<seam::Listing> page = s().List("", after, seam::kListPageMax);
    ASSERT_TRUE(page);
    EXPECT_EQ(page->objects.size(),
              static_cast<size_t>(names.end() - std::upper_bound(names.begin(), names.end(), after)))
        << "after " << after;
  }
}

TEST_P(StorageConformance, ListsSizes) {
  ASSERT_TRUE(s().Put("a", Pattern(1234, 1)));
  ASSERT_TRUE(s().Put("b", {}));
  Result<std::vector<seam::ObjectInfo>> all = seam::ListAll(s(), "");
  ASSERT_TRUE(all);
  EXPECT_EQ(*all, (std::vector<seam::ObjectInfo>{{"a", 1234}, {"b", 0}}));
}

TEST_P(StorageConformance, ListsPageByPageWithoutGapOrRepeat) {
  std::vector<std::string> names;
  for (int i = 0; i < 25; ++i) {
    names.push_back("p/" + std::to_string(100 + i) + (i % 2 == 0 ? "" : "/x"));
    ASSERT_TRUE(s().Put(names.back(), {}));
  }
  ASSERT_TRUE(s().Put("q", {}));
  for (size_t limit : {1u, 2u, 5u, 24u, 25u, 26u}) {
    std::vector<std::string> seen;
    std::string after;
    for (;;) {
      Result<seam::Listing> page = s().List("p/", after, limit);
      ASSERT_TRUE(page);
      EXPECT_LE(page->objects.size(), limit);
      for (const seam::ObjectInfo& o : page->objects) seen.push_back(o.name);
      if (page->complete) break;
      ASSERT_FALSE(page->objects.empty());
      after = page->objects.back().name;
    }
    EXPECT_EQ(seen, names) << "limit " << limit;
  }
  HF_EXPECT_CODE(s().List("", "", 0), Code::kInvalidArgument);
}

TEST_P(StorageConformance, APageIsNeverLongerThanTheLimitOfPages) {
  for (size_t i = 0; i < seam::kListPageMax + 7; ++i)
    ASSERT_TRUE(s().Put("m/" + std::to_string(10'000 + i), {}));
  Result<seam::Listing> page = s().List("", "", SIZE_MAX);
  ASSERT_TRUE(page);
  EXPECT_EQ(page->objects.size(), seam::kListPageMax);
  EXPECT_FALSE(page->complete);
  EXPECT_EQ(Names("").size(), seam::kListPageMax + 7);
}

TEST_P(StorageConformance, WhatIsBehindABarrierOutlivesTheOpener) {
  ASSERT_TRUE(s().Put("keep/a", AsBytes("a")));
  ASSERT_TRUE(s().Put("keep/b", AsBytes("old")));
  ASSERT_TRUE(s().Put("keep/b", AsBytes("new")));
  ASSERT_TRUE(s().PutIfAbsent("gone", AsBytes("x")));
  ASSERT_TRUE(s().Barrier());
  ASSERT_TRUE(s().Delete("gone"));
  Reopen();
  EXPECT_EQ(Names(""), (std::vector<std::string>{"keep/a", "keep/b"}));
  EXPECT_EQ(Text("keep/b"), "new");
  EXPECT_TRUE(s().Barrier());
  EXPECT_TRUE(s().Barrier());
}

TEST_P(StorageConformance, ManyUnsyncedObjectsShareOneBarrier) {
  for (int i = 0; i < 300; ++i)
    ASSERT_TRUE(s().Put("many/" + std::to_string(i % 7) + "/" + std::to_string(i), Pattern(64, i)));
  Reopen();
  EXPECT_EQ(Names("many/").size(), 300u);
}

TEST_P(StorageConformance, AReaderNeverSeesPartOfAPut) {
  constexpr size_t kSize = 300'000;
  ASSERT_TRUE(s().Put("seen", Bytes(kSize, 0)));
  std::atomic<bool> done = false;
  std::atomic<int> torn = 0, reads = 0;
  std::vector<std::thread> readers;
  for (int t = 0; t < 2; ++t) {
    readers.emplace_back([&] {
      while (!done) {
        Result<UntrustedBytes> got = s().Get("seen");
        ByteView b = got ? got->parse() : ByteView();
        if (b.size() != kSize || std::any_of(b.begin(), b.end(), [&](uint8_t x) { return x != b[0]; }))
          ++torn;
        ++reads;
      }
    });
  }
  for (int i = 1; i < 60 || reads < 20; ++i)
    ASSERT_TRUE(s().Put("seen", Bytes(kSize, static_cast<uint8_t>(i))));
  done = true;
  for (std::thread& t : readers) t.join();
  EXPECT_EQ(torn, 0);
}

TEST_P(StorageConformance, ThreadsWithTheirOwnNamesDoNotDisturbEachOther) {
  std::atomic<int> bad = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::string base = "t" + std::to_string(t) + "/";
      for (int i = 0; i < 50; ++i) {
        std::string name = base + std::to_string(i);
        if (!s().Put(name, AsBytes(name)) || Text(name) != name || (i % 10 == 0 && !s().Barrier())) ++bad;
        if (i % 3 == 0 && !s().Delete(name)) ++bad;
      }
      if (Names(base).size() != 33) ++bad;
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(bad, 0);
}

TEST_P(StorageConformance, PutIfVersionReplacesOnlyWhatItExpects) {
  if (!compares()) {
    HF_EXPECT_CODE(s().PutIfVersion("v", AsBytes("x"), ""), Code::kUnsupported);
    HF_EXPECT_CODE(s().GetVersioned("v"), Code::kUnsupported);
    return;
  }
  HF_EXPECT_CODE(s().GetVersioned("v"), Code::kNotFound);
  HF_EXPECT_CODE(s().PutIfVersion("v", AsBytes("x"), "some version"), Code::kVersionMismatch);
  HF_EXPECT_CODE(s().Get("v"), Code::kNotFound);
  Result<seam::ObjectVersion> first = s().PutIfVersion("v", AsBytes("1"), "");
  ASSERT_TRUE(first);
  EXPECT_FALSE(first->empty());
  HF_EXPECT_CODE(s().PutIfVersion("v", AsBytes("2"), ""), Code::kVersionMismatch);
  EXPECT_EQ(Text("v"), "1");
  Result<seam::ObjectVersion> second = s().PutIfVersion("v", AsBytes("2"), *first);
  ASSERT_TRUE(second);
  EXPECT_NE(*second, *first);
  HF_EXPECT_CODE(s().PutIfVersion("v", AsBytes("3"), *first), Code::kVersionMismatch);
  Result<seam::VersionedBytes> read = s().GetVersioned("v");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->version, *second);
  EXPECT_EQ(ToText(read->bytes.parse()), "2");
}

TEST_P(StorageConformance, EveryOtherWriteChangesTheVersion) {
  if (!compares()) GTEST_SKIP() << "no conditional put";
  Result<seam::ObjectVersion> v = s().PutIfVersion("v", AsBytes("same"), "");
  ASSERT_TRUE(v);
  ASSERT_TRUE(s().Put("other", AsBytes("same")));
  ASSERT_TRUE(s().Barrier());
  ASSERT_TRUE(s().PutIfVersion("v", AsBytes("same"), *v)) << "another object and a barrier are no change";
  // The same size and the same bytes in the same tick of the clock are a change all the same.
  for (int i = 0; i < 50; ++i) {
    Result<seam::VersionedBytes> before = s().GetVersioned("v");
    ASSERT_TRUE(before);
    ASSERT_TRUE(s().Put("v", AsBytes("same")));
    HF_EXPECT_CODE(s().PutIfVersion("v", AsBytes("late"), before->version), Code::kVersionMismatch);
  }
  Result<seam::VersionedBytes> before = s().GetVersioned("v");
  ASSERT_TRUE(before);
  ASSERT_TRUE(s().Delete("v"));
  HF_EXPECT_CODE(s().PutIfVersion("v", AsBytes("late"), before->version), Code::kVersionMismatch);
  ASSERT_TRUE(s().PutIfAbsent("v", AsBytes("same")));
  HF_EXPECT_CODE(s().PutIfVersion("v", AsBytes("late"), before->version), Code::kVersionMismatch);
  EXPECT_EQ(Text("v"), "same");
}

TEST_P(StorageConformance, OfManyConditionalPutsAgainstOneVersionOneWins) {
  if (!compares()) GTEST_SKIP() << "no conditional put";
  Result<seam::ObjectVersion> version = s().PutIfVersion("v", AsBytes("0"), "");
  ASSERT_TRUE(version);
  for (int round = 0; round < 20; ++round) {
    std::atomic<int> won = 0, lost = 0;
    std::vector<seam::ObjectVersion> versions(4);
    std::vector<std::thread> threads;
    for (size_t t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        Result<seam::ObjectVersion> r = s().PutIfVersion("v", AsBytes(std::to_string(t)), *version);
        if (r) versions[t] = *r;
        if (r) ++won;
        if (!r && r.code() == Code::kVersionMismatch) ++lost;
      });
    }
    for (std::thread& t : threads) t.join();
    ASSERT_EQ(won, 1);
    ASSERT_EQ(lost, 3);
    for (const seam::ObjectVersion& v : versions) {
      if (!v.empty()) version = v;
    }
  }
}

TEST_P(StorageConformance, AVersionHoldsAcrossABarrier) {
  if (!compares()) GTEST_SKIP() << "no conditional put";
  Result<seam::ObjectVersion> v = s().PutIfVersion("v", AsBytes("1"), "");
  ASSERT_TRUE(v);
  ASSERT_TRUE(s().Barrier());
  Result<seam::VersionedBytes> read = s().GetVersioned("v");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->version, *v);
  EXPECT_TRUE(s().PutIfVersion("v", AsBytes("2"), *v));
}

TEST_P(StorageConformance, WithoutTheCapabilityAppendablesAreRefused) {
  if (appends()) GTEST_SKIP() << "has append";
  HF_EXPECT_CODE(s().CreateAppendable("j", 512, Bytes(512)), Code::kUnsupported);
  HF_EXPECT_CODE(s().Append("j", 0, Bytes(512)), Code::kUnsupported);
  HF_EXPECT_CODE(s().Trim("j", 0), Code::kUnsupported);
  EXPECT_EQ(Names(""), std::vector<std::string>{});
}

TEST_P(StorageConformance, AnAppendableHoldsItsFirstBytesAndZeros) {
  if (!appends()) GTEST_SKIP() << "no append";
  Bytes first = Pattern(1024, 5);
  ASSERT_TRUE(s().CreateAppendable("members/M/journal/1", 3u << 20, first));
  Result<UntrustedBytes> all = s().Get("members/M/journal/1");
  ASSERT_TRUE(all);
  Bytes want = first;
  want.resize(3u << 20);
  EXPECT_TRUE(Equal(all->parse(), want));
  Result<std::vector<seam::ObjectInfo>> listed = seam::ListAll(s(), "members/");
  ASSERT_TRUE(listed);
  EXPECT_EQ(*listed, (std::vector<seam::ObjectInfo>{{"members/M/journal/1", 3u << 20}}));
  HF_EXPECT_CODE(s().CreateAppendable("members/M/journal/1", 0, Bytes(512)), Code::kExists);
  ASSERT_TRUE(s().Put("object", AsBytes("x")));
  HF_EXPECT_CODE(s().CreateAppendable("object", 0, Bytes(512)), Code::kExists);
  EXPECT_EQ(Text("object"), "x");
  all = s().Get("members/M/journal/1");
  ASSERT_TRUE(all);
  EXPECT_TRUE(Equal(all->parse(), want)) << "kExists changes nothing";
}

TEST_P(StorageConformance, AppendsFollowEachOtherAndGrowPastTheReserve) {
  if (!appends()) GTEST_SKIP() << "no append";
  ASSERT_TRUE(s().CreateAppendable("j", 4096, Pattern(512, 0)));
  Bytes want = Pattern(512, 0);
  for (uint64_t i = 1; i <= 10; ++i) {
    Bytes piece = Pattern(512 * (i % 3 + 1), i);
    ASSERT_TRUE(s().Append("j", want.size(), piece)) << i;
    Append(want, piece);
  }
  ASSERT_GT(want.size(), 4096u);
  Result<UntrustedBytes> all = s().Get("j");
  ASSERT_TRUE(all);
  EXPECT_TRUE(Equal(all->parse(), want));
  Result<UntrustedBytes> middle = s().GetRange("j", 700, 3000);
  ASSERT_TRUE(middle);
  EXPECT_TRUE(Equal(middle->parse(), ByteView(want).subspan(700, 3000)));
}

TEST_P(StorageConformance, AnAppendAnywhereElseThanAtTheEndIsRefused) {
  if (!appends()) GTEST_SKIP() << "no append";
  ASSERT_TRUE(s().CreateAppendable("j", 8192, Pattern(1024, 1)));
  for (uint64_t offset : {uint64_t{0}, uint64_t{1}, uint64_t{512}, uint64_t{1000}, uint64_t{1536},
                          uint64_t{8192}, uint64_t{1} << 40, UINT64_MAX, UINT64_MAX - 511}) {
    HF_EXPECT_CODE(s().Append("j", offset, Bytes(512)), Code::kInvalidArgument);
  }
  HF_EXPECT_CODE(s().Append("absent", 0, Bytes(512)), Code::kNotFound);
  HF_EXPECT_CODE(s().Append("absent/deeper", 0, Bytes(512)), Code::kNotFound);
  EXPECT_TRUE(s().Append("j", 1024, Pattern(700, 2)));
  EXPECT_TRUE(s().Append("j", 2048, Pattern(512, 3))) << "an odd end is rounded up to the sector";
}

TEST_P(StorageConformance, ANewOpenerMayAppendAtAnySectorInside) {
  if (!appends()) GTEST_SKIP() << "no append";
  ASSERT_TRUE(s().CreateAppendable("j", 4096, Pattern(512, 1)));
  ASSERT_TRUE(s().Append("j", 512, Pattern(512, 2)));
  Reopen();
  Bytes want = Pattern(512, 1);
  Append(want, Pattern(512, 2));
  Append(want, Pattern(512, 3));
  ASSERT_TRUE(s().Append("j", 1024, Pattern(512, 3)));
  HF_EXPECT_CODE(s().Append("j", 1024, Pattern(512, 4)), Code::kInvalidArgument);
  Result<UntrustedBytes> all = s().GetRange("j", 0, 1536);
  ASSERT_TRUE(all);
  EXPECT_TRUE(Equal(all->parse(), want));
}

TEST_P(StorageConformance, TrimCutsAndAppendContinuesThere) {
  if (!appends()) GTEST_SKIP() << "no append";
  ASSERT_TRUE(s().CreateAppendable("j", 1u << 20, Pattern(2048, 1)));
  HF_EXPECT_CODE(s().Trim("j", (1u << 20) + 1), Code::kInvalidArgument);
  HF_EXPECT_CODE(s().Trim("absent", 0), Code::kNotFound);
  ASSERT_TRUE(s().Trim("j", 1024));
  Result<std::vector<seam::ObjectInfo>> listed = seam::ListAll(s(), "");
  ASSERT_TRUE(listed);
  EXPECT_EQ(*listed, (std::vector<seam::ObjectInfo>{{"j", 1024}}));
  ASSERT_TRUE(s().Append("j", 1024, Pattern(512, 2)));
  Bytes want = Pattern(2048, 1);
  want.resize(1024);
  Append(want, Pattern(512, 2));
  Reopen();
  Result<UntrustedBytes> all = s().Get("j");
  ASSERT_TRUE(all);
  EXPECT_TRUE(Equal(all->parse(), want));
}

TEST_P(StorageConformance, AnAppendableIsDeletedLikeAnObject) {
  if (!appends()) GTEST_SKIP() << "no append";
  ASSERT_TRUE(s().CreateAppendable("j", 4096, Pattern(512, 1)));
  ASSERT_TRUE(s().Delete("j"));
  HF_EXPECT_CODE(s().Append("j", 512, Bytes(512)), Code::kNotFound);
  HF_EXPECT_CODE(s().Get("j"), Code::kNotFound);
  ASSERT_TRUE(s().CreateAppendable("j", 1024, Pattern(512, 7)));
  ASSERT_TRUE(s().Append("j", 512, Pattern(512, 8)));
  ASSERT_TRUE(s().Barrier());
  Result<UntrustedBytes> all = s().Get("j");
  ASSERT_TRUE(all);
  EXPECT_EQ(all->size(), 1024u);
}

TEST_P(StorageConformance, AReaderSeesWhatWasAppendedWhileItIsAppended) {
  if (!appends()) GTEST_SKIP() << "no append";
  ASSERT_TRUE(s().CreateAppendable("j", 64u << 10, Bytes(512, 1)));
  std::atomic<uint64_t> appended = 512;
  std::atomic<bool> done = false;
  std::atomic<int> bad = 0;
  std::thread reader([&] {
    while (!done) {
      uint64_t upto = appended;
      Result<UntrustedBytes> got = s().GetRange("j", 0, upto);
      ByteView b = got ? got->parse() : ByteView();
      if (b.size() != upto || std::any_of(b.begin(), b.end(), [](uint8_t x) { return x != 1; })) ++bad;
    }
  });
  for (int i = 1; i < 100; ++i) {
    ASSERT_TRUE(s().Append("j", appended, Bytes(512, 1)));
    appended += 512;
  }
  done = true;
  reader.join();
  EXPECT_EQ(bad, 0);
}

}  // namespace holdfast::host

#endif  // HOLDFAST_HOST_KV_CONFORMANCE_H_
