#include "host/kv/parts.h"

#include <gtest/gtest.h>

#include <set>

#include "host/kv/fault.h"
#include "host/kv/memory.h"

namespace holdfast::host {
namespace {

constexpr size_t kPart = 100;

seam::Capabilities SmallRows() {
  seam::Capabilities c = MemoryStorage::AllCapabilities();
  c.append = false;
  c.value_bytes_preferred = c.value_bytes_max = kPart;
  return c;
}

// What a test keeps while the layers above it are opened and crash.
class Borrowed : public seam::Storage {
 public:
  explicit Borrowed(seam::Storage& to) : to_(to) {}
  std::vector<std::string> read;  // names, in order

  seam::Capabilities capabilities() const override { return to_.capabilities(); }
  Result<UntrustedBytes> Get(std::string_view n) override {
    read.emplace_back(n);
    return to_.Get(n);
  }
  Result<UntrustedBytes> GetRange(std::string_view n, uint64_t o, uint64_t l) override {
    read.emplace_back(n);
    return to_.GetRange(n, o, l);
  }
  Result<seam::VersionedBytes> GetVersioned(std::string_view n) override { return to_.GetVersioned(n); }
  Status Put(std::string_view n, ByteView b) override { return to_.Put(n, b); }
  Status PutIfAbsent(std::string_view n, ByteView b) override { return to_.PutIfAbsent(n, b); }
  Result<seam::ObjectVersion> PutIfVersion(std::string_view n, ByteView b,
                                           const seam::ObjectVersion& v) override {
    return to_.PutIfVersion(n, b, v);
  }
  Status Delete(std::string_view n) override { return to_.Delete(n); }
  Result<seam::Listing> List(std::string_view p, std::string_view a, size_t l) override {
    return to_.List(p, a, l);
  }
  Status Barrier() override { return to_.Barrier(); }
  Status CreateAppendable(std::string_view n, uint64_t r, ByteView b) override {
    return to_.CreateAppendable(n, r, b);
  }
  Status Append(std::string_view n, uint64_t o, ByteView b) override { return to_.Append(n, o, b); }
  Status Trim(std::string_view n, uint64_t s) override { return to_.Trim(n, s); }

 private:
  seam::Storage& to_;
};

struct Rig {
  explicit Rig(seam::Storage& rows, bool ordered = false, bool locked = true, bool together = false) {
    auto borrowed = std::make_unique<Borrowed>(rows);
    inner = borrowed.get();
    PartsOptions options{.part_bytes = kPart, .ordered_writes = ordered, .locked = locked, .put_parts = {}};
    if (together) {
      options.put_parts = [&rows](std::span<const PartRow> parts) -> Status {
        for (const PartRow& part : parts) HF_TRY_VOID(rows.Put(part.name, part.bytes));
        return Ok();
      };
    }
    auto opened = PartsStorage::Open(std::move(borrowed), std::move(options));
    code = opened ? Code::kInternal : opened.code();
    if (opened) storage = std::move(opened).value();
  }
  seam::Storage* operator->() { return storage.get(); }
  Borrowed* inner = nullptr;
  Code code = Code::kInternal;
  std::unique_ptr<seam::Storage> storage;
};

Bytes Pattern(size_t n, uint8_t seed) {
  Bytes b(n);
  for (size_t i = 0; i < n; ++i) b[i] = static_cast<uint8_t>(seed * 131 + i * 7 + (i >> 8));
  return b;
}

std::string Names(seam::Storage& s, std::string_view prefix) {
  Result<std::vector<seam::ObjectInfo>> all = seam::ListAll(s, prefix);
  EXPECT_TRUE(all);
  std::string text;
  if (all) {
    for (const seam::ObjectInfo& o : *all) text += o.name + "=" + std::to_string(o.size_bytes) + " ";
  }
  return text;
}

Bytes Get(seam::Storage& s, std::string_view name) {
  Result<UntrustedBytes> got = s.Get(name);
  return got ? ToBytes(got->parse()) : ToBytes("<" + std::string(CodeName(got.code())) + ">");
}

TEST(RuleA3Parts, AnObjectOfOneRowIsStoredUnderItsOwnName) {
  MemoryStorage rows(SmallRows());
  Rig s(rows);
  ASSERT_TRUE(s->Put("segments/A", Pattern(kPart, 1)));
  EXPECT_EQ(Names(rows, ""), "segments/A=100 ");
}

TEST(RuleA3Parts, ALargerOneLiesInPartsAndAnIndexAndIsListedWhole) {
  MemoryStorage rows(SmallRows());
  Rig s(rows);
  ASSERT_TRUE(s->PutIfAbsent("segments/A", Pattern(250, 1)));
  ASSERT_TRUE(s->Put("segments/A-x", Pattern(10, 1)));
  ASSERT_TRUE(s->Put("zz", Pattern(10, 1)));
  EXPECT_EQ(Names(rows, ""),
            "parts/segments/A.0=100 parts/segments/A.1=100 parts/segments/A.2=50 segments/A=32 "
            "segments/A-x=10 zz=10 ");
  EXPECT_EQ(Names(*s.storage, ""), "segments/A=250 segments/A-x=10 zz=10 ");
  EXPECT_EQ(Names(*s.storage, "segments/"), "segments/A=250 segments/A-x=10 ");
  EXPECT_EQ(Names(*s.storage, "parts/"), "");
  EXPECT_EQ(Get(*s.storage, "segments/A"), Pattern(250, 1));
}

TEST(RuleA3Parts, EverySizeAroundPartsAndIndexesComesBack) {
  MemoryStorage rows(SmallRows());
  for (bool ordered : {false, true}) {
    Rig s(rows, ordered);
    for (size_t n : {0u, 1u, 31u, 32u, 33u, 99u, 100u, 101u, 199u, 200u, 201u, 1000u, 5003u}) {
      std::string name = "n" + std::to_string(n);
      ASSERT_TRUE(s->Put(name, Pattern(n, 3)));
      EXPECT_EQ(Get(*s.storage, name), Pattern(n, 3)) << n;
      Rig fresh(rows, ordered);
      EXPECT_EQ(Get(*fresh.storage, name), Pattern(n, 3)) << n;
      EXPECT_EQ(Names(*fresh.storage, name + "\x00"), Names(*s.storage, name + "\x00"));
    }
  }
}

TEST(RuleA3Parts, AnObjectThatLooksLikeAnIndexIsNone) {
  MemoryStorage rows(SmallRows());
  Rig s(rows);
  Bytes forged = EncodePartIndex({.size_bytes = 300, .first = 0, .part_bytes = kPart});
  ASSERT_TRUE(s->Put("a", forged));
  EXPECT_EQ(Get(*s.storage, "a"), forged);
  EXPECT_EQ(Names(*s.storage, ""), "a=32 ");
}

TEST(RuleA3Parts, ARangeTakesThePartsItTouchesAndNoOther) {
  MemoryStorage rows(SmallRows());
  Rig s(rows);
  Bytes all = Pattern(1050, 5);
  ASSERT_TRUE(s->Put("o", all));
  seam::Capabilities reader = SmallRows();
  reader.exclusive = false;
  MemoryStorage copy(reader);
  auto listed = seam::ListAll(rows, "");
  ASSERT_TRUE(listed);
  for (const seam::ObjectInfo& row : *listed) ASSERT_TRUE(copy.Put(row.name, Get(rows, row.name)));
  Rig fresh(copy);
  struct {
    uint64_t offset, length;
    std::vector<std::string> touched;
  } cases[] = {{130, 20, {"o", "parts/o.1"}},  // the index once
               {130, 20, {"parts/o.1"}},
               {195, 10, {"parts/o.1", "parts/o.2"}},
               {200, 100, {"parts/o.2"}},
               {1000, 500, {"parts/o.10"}},
               {1050, 1, {}},
               {5, 0, {}}};
  for (const auto& c : cases) {
    Result<UntrustedBytes> got = fresh->GetRange("o", c.offset, c.length);
    ASSERT_TRUE(got);
    uint64_t from = std::min<uint64_t>(c.offset, all.size());
    EXPECT_TRUE(
        Equal(got->parse(), ByteView(all).subspan(from, std::min<uint64_t>(c.length, all.size() - from))));
    EXPECT_EQ(fresh.inner->read, c.touched) << c.offset << "+" << c.length;
    fresh.inner->read.clear();
  }
}

TEST(RuleA3Parts, ReplacingAndDeletingLeaveNoPartsBehind) {
  for (bool ordered : {false, true}) {
    MemoryStorage rows(SmallRows());
    Rig s(rows, ordered);
    for (size_t n : {450u, 250u, 10u, 350u, 32u}) {
      ASSERT_TRUE(s->Put("o", Pattern(n, static_cast<uint8_t>(n))));
      ASSERT_TRUE(s->Barrier());
      EXPECT_EQ(Get(*s.storage, "o"), Pattern(n, static_cast<uint8_t>(n)));
      size_t parts = n == 10 ? 0 : (n + kPart - 1) / kPart;
      EXPECT_EQ(seam::ListAll(rows, "parts/")->size(), parts) << n;
    }
    ASSERT_TRUE(s->Delete("o"));
    ASSERT_TRUE(s->Put("o", Pattern(450, 9))) << "before the barrier has removed the old parts";
    EXPECT_EQ(Get(*s.storage, "o"), Pattern(450, 9));
    ASSERT_TRUE(s->Barrier());
    EXPECT_EQ(Get(*s.storage, "o"), Pattern(450, 9));
    ASSERT_TRUE(s->Delete("o"));
    ASSERT_TRUE(s->Barrier());
    EXPECT_EQ(Names(rows, ""), "");
  }
}

TEST(RuleA3Parts, RefusesNamesOfParts) {
  MemoryStorage rows(SmallRows());
  Rig s(rows);
  for (std::string name : {std::string("parts/o.0"), std::string("parts/x")}) {
    EXPECT_EQ(s->Put(name, {}).code(), Code::kInvalidArgument);
    EXPECT_EQ(s->Get(name).code(), Code::kInvalidArgument);
    EXPECT_EQ(s->GetRange(name, 0, 1).code(), Code::kInvalidArgument);
    EXPECT_EQ(s->Delete(name).code(), Code::kInvalidArgument);
  }
  EXPECT_TRUE(s->Put("parts", {}));
  EXPECT_TRUE(s->Put("partsx/o.0", {}));
  EXPECT_EQ(s->Put(std::string(239, 'n'), Bytes(200)).code(), Code::kInvalidArgument)
      << "no room for a number";
  EXPECT_TRUE(s->Put(std::string(238, 'n'), Bytes(200)));
  EXPECT_TRUE(s->Put(std::string(255, 'n'), Bytes(10)));
}

TEST(RuleA3Parts, DamageIsAnErrorAndNeverOtherBytes) {
  auto make = [] {
    auto rows = std::make_unique<MemoryStorage>(SmallRows());
    EXPECT_TRUE(Rig(*rows)->Put("o", Pattern(250, 1)));
    return rows;
  };
  auto expect_damaged = [](seam::Storage& rows) {
    Rig s(rows);
    ASSERT_NE(s.storage, nullptr) << CodeName(s.code);
    EXPECT_EQ(s->Get("o").code(), Code::kChecksum);
    EXPECT_EQ(s->GetRange("o", 120, 100).code(), Code::kChecksum);
    EXPECT_EQ(Names(*s.storage, "").substr(0, 2), "o=") << "listed, so that somebody names it";
  };
  for (size_t i = 0; i < PartIndex::kBytes; ++i) {
    auto rows = make();
    Bytes index = Get(*rows, "o");
    index[i] ^= 0x40;
    ASSERT_TRUE(rows->Put("o", index));
    expect_damaged(*rows);
  }
  auto rows = make();
  ASSERT_TRUE(rows->Delete("parts/o.1"));
  expect_damaged(*rows);
  rows = make();
  ASSERT_TRUE(rows->Put("parts/o.1", Bytes(99)));
  expect_damaged(*rows);
}

TEST(RuleA3Parts, ADamagedIndexKeepsItsParts) {
  MemoryStorage rows(SmallRows());
  ASSERT_TRUE(Rig(rows)->Put("o", Pattern(250, 1)));
  ASSERT_TRUE(rows.Put("o", Bytes(PartIndex::kBytes)));
  Rig s(rows);
  EXPECT_EQ(seam::ListAll(rows, "parts/")->size(), 3u);
}

TEST(RuleA3Parts, OrphansOfAnotherWriterAreNotOverwritten) {
  seam::Capabilities shared = SmallRows();
  shared.exclusive = false;
  MemoryStorage rows(shared);
  ASSERT_TRUE(rows.Put("parts/o.0", Bytes(kPart, 7)));
  ASSERT_TRUE(rows.Put("parts/o.2", Bytes(kPart, 7)));
  Rig s(rows);
  ASSERT_TRUE(s->PutIfAbsent("o", Pattern(250, 1)));
  EXPECT_EQ(Get(*s.storage, "o"), Pattern(250, 1));
  EXPECT_EQ(Get(rows, "parts/o.0"), Bytes(kPart, 7));
  EXPECT_EQ(Get(rows, "parts/o.2"), Bytes(kPart, 7));
}

TEST(RuleA3Parts, AnyNumberOfOrphansIsPassedOver) {
  seam::Capabilities shared = SmallRows();
  shared.exclusive = false;
  MemoryStorage rows(shared);
  for (int k = 0; k < 50; ++k) ASSERT_TRUE(rows.Put("parts/o." + std::to_string(k), Bytes(kPart, 7)));
  ASSERT_TRUE(rows.Put("parts/o.other.70", Bytes(kPart, 7)));
  Rig s(rows);
  ASSERT_TRUE(s->Put("o", Pattern(450, 1)));
  EXPECT_EQ(Get(*s.storage, "o"), Pattern(450, 1));
  EXPECT_EQ(Get(rows, "parts/o.49"), Bytes(kPart, 7));
}

TEST(RuleA3Parts, WithoutTheLockWhatIsRememberedIsLookedUpAgain) {
  seam::Capabilities shared = SmallRows();
  shared.exclusive = false;
  MemoryStorage rows(shared);
  Rig one(rows, false, false), two(rows, false, false);
  ASSERT_TRUE(one->Put("o", Pattern(250, 1)));
  ASSERT_TRUE(two->GetRange("o", 0, 10));
  ASSERT_TRUE(one->Put("o", Pattern(350, 2)));
  ASSERT_TRUE(one->Barrier());
  Result<UntrustedBytes> got = two->GetRange("o", 300, 50);
  ASSERT_TRUE(got);
  EXPECT_TRUE(Equal(got->parse(), ByteView(Pattern(350, 2)).subspan(300)));
}

// -- crashes: at every write, for many choices of what they leave

// One writer's life: what must be there after it as far as it came.
struct Life {
  std::vector<Bytes> allowed;  // empty bytes: absent
  bool done = false;
};

Bytes First() { return Pattern(450, 1); }
Bytes Second() { return Pattern(330, 2); }

Life Live(seam::Storage& s) {
  Life life{{Bytes()}, false};
  auto step = [&](Status done, Bytes becomes) {
    if (!life.done) life.allowed.push_back(becomes);
    if (!done) life.done = true;
    return !life.done;
  };
  auto settle = [&](Status barrier) {
    if (!barrier) life.done = true;
    if (!life.done) life.allowed = {life.allowed.back()};
    return !life.done;
  };
  bool on = step(s.Put("o", First()), First()) && settle(s.Barrier()) &&
            step(s.Put("o", Second()), Second()) && settle(s.Barrier()) &&
            step(s.Put("o", ToBytes("small")), ToBytes("small")) && step(s.Delete("o"), Bytes()) &&
            step(s.PutIfAbsent("o", First()), First()) && settle(s.Barrier()) &&
            step(s.Delete("o"), Bytes()) && settle(s.Barrier());
  life.done = on;
  return life;
}

bool Torn(seam::Storage& rows) {  // the model tears a row; a provider of rows does not
  Result<UntrustedBytes> row = rows.Get("o");
  return row && row->size() < PartIndex::kBytes && row->size() != 5;
}

TEST(RuleA3PartsCrash, ACrashAtAnyWriteLeavesTheOldObjectOrTheNewOne) {
  size_t crashes = 0, torn = 0;
  for (uint64_t seed = 0; seed < 60; ++seed) {
    for (uint64_t at = 1;; ++at) {
      MemoryStorage rows(SmallRows());
      FaultPlan plan;
      plan.writes[at] = {.what = FaultPlan::What::kCrash};
      plan.drop_unsynced = true;
      plan.seed = seed;
      FaultStorage faulty(rows, plan);
      Life life = Live(*Rig(faulty).storage);
      if (life.done) {
        EXPECT_FALSE(faulty.crashed());
        break;
      }
      ++crashes;
      if (Torn(rows)) {
        ++torn;
        continue;
      }
      Rig after(rows);
      ASSERT_NE(after.storage, nullptr) << CodeName(after.code);
      Result<UntrustedBytes> got = after->Get("o");
      Bytes found = got ? ToBytes(got->parse()) : Bytes();
      ASSERT_TRUE(got || got.code() == Code::kNotFound)
          << "seed " << seed << " write " << at << ": " << CodeName(got.code());
      EXPECT_TRUE(std::find(life.allowed.begin(), life.allowed.end(), found) != life.allowed.end())
          << "seed " << seed << " write " << at << ": " << found.size() << " bytes";
      size_t parts = found.size() <= 5 ? 0 : (found.size() + kPart - 1) / kPart;
      EXPECT_EQ(seam::ListAll(rows, "parts/")->size(), parts) << "orphans are collected";
    }
  }
  EXPECT_GT(crashes, 1000u);
  EXPECT_LT(torn, crashes / 4);
}

// Rows that become durable in the order of the calls: a crash keeps the first so many of them.
TEST(RuleA3PartsCrash, WithOrderedWritesEveryPrefixOfThemIsTheOldObjectOrTheNewOne) {
  for (uint64_t step = 2;; ++step) {
    uint64_t at = step / 2;
    bool together = step % 2 == 1;  // parts put at once, of which the provider did the first so many
    MemoryStorage rows(SmallRows());
    FaultPlan plan;
    plan.writes[at] = {.what = FaultPlan::What::kFail};  // neither it nor anything after it
    FaultStorage faulty(rows, plan);
    Life life = Live(*Rig(faulty, true, true, together).storage);
    if (life.done) break;
    ASSERT_LT(at, 200u);
    Rig after(rows, true);
    Bytes found = after->Get("o") ? Get(*after.storage, "o") : Bytes();
    EXPECT_TRUE(std::find(life.allowed.begin(), life.allowed.end(), found) != life.allowed.end())
        << "write " << at << ": " << found.size() << " bytes";
    size_t parts = found.size() <= 5 ? 0 : (found.size() + kPart - 1) / kPart;
    EXPECT_EQ(seam::ListAll(rows, "parts/")->size(), parts);
  }
}

TEST(RuleI1Parts, WithoutSpaceTheObjectIsAsItWasAndNoPartsStay) {
  for (bool ordered : {false, true}) {
    for (uint64_t at : {1, 2, 3, 4, ordered ? 5 : 6}) {  // the four parts, the index
      MemoryStorage rows(SmallRows());
      ASSERT_TRUE(Rig(rows, ordered)->Put("o", First()));
      FaultPlan plan;
      plan.writes[at] = {.what = FaultPlan::What::kFail, .code = Code::kFull};
      FaultStorage faulty(rows, plan);
      Rig s(faulty, ordered);
      EXPECT_EQ(s->Put("o", Second()).code(), Code::kFull);
      EXPECT_EQ(Get(*s.storage, "o"), First());
      EXPECT_EQ(seam::ListAll(rows, "parts/")->size(), 5u);
      ASSERT_TRUE(s->Put("o", Second())) << "a full disk poisons nothing";
      EXPECT_EQ(Get(*s.storage, "o"), Second());
    }
  }
}

TEST(RuleI1Parts, AfterAnUnknownFailureOfTheIndexItsPartsStay) {
  MemoryStorage rows(SmallRows());
  FaultPlan plan;
  plan.writes[7] = {.what = FaultPlan::What::kFail, .code = Code::kIo};  // five parts, barrier, index
  FaultStorage faulty(rows, plan);
  Rig s(faulty);
  EXPECT_EQ(s->Put("o", First()).code(), Code::kIo);
  EXPECT_EQ(s->Put("o", First()).code(), Code::kPoisoned);
  EXPECT_EQ(seam::ListAll(rows, "parts/")->size(), 5u);
}

TEST(RuleA3Parts, NeedsRowsThatHoldAnIndex) {
  seam::Capabilities tiny = SmallRows();
  tiny.value_bytes_preferred = tiny.value_bytes_max = PartIndex::kBytes;
  auto opened = PartsStorage::Open(std::make_unique<MemoryStorage>(tiny), {});
  EXPECT_FALSE(opened);
  EXPECT_FALSE(PartsStorage::Open(std::make_unique<MemoryStorage>(SmallRows()),
                                  {.part_bytes = kPart + 1, .put_parts = {}}));
}

TEST(PartIndexes, HaveOneEncoding) {
  PartIndex index{.size_bytes = 0x0102030405, .first = 7, .part_bytes = 1u << 20};
  Bytes bytes = EncodePartIndex(index);
  ASSERT_EQ(bytes.size(), PartIndex::kBytes);
  Result<PartIndex> again = DecodePartIndex(bytes);
  ASSERT_TRUE(again);
  EXPECT_EQ(*again, index);
  for (PartIndex bad :
       {PartIndex{1, 0, 0}, PartIndex{0, 0, 1}, PartIndex{1ull << 40, 0, 1}, PartIndex{1, 1ull << 40, 1}}) {
    Bytes odd;
    if (bad.part_bytes == 0) {
      odd = EncodePartIndex({1, 0, 1});
      std::fill(odd.begin() + 24, odd.begin() + 28, uint8_t{0});
    } else {
      odd = EncodePartIndex(bad);
    }
    EXPECT_FALSE(DecodePartIndex(odd));
  }
}

}  // namespace
}  // namespace holdfast::host
