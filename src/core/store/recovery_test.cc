// What remains when part of a store is gone, old or somebody else's.
#include "core/store/store_rig_internal.h"
#include "core/store/verify.h"

namespace holdfast::store {
namespace {

// A store with two saves behind init's, rows behind the last one, a dropped table and blobs.
void Fill(Rig& rig) {
  ASSERT_TRUE(rig.Init());
  ASSERT_TRUE(rig.Open());
  ASSERT_TRUE(rig.CreateTable("t"));
  ASSERT_TRUE(rig.CreateTable("gone"));
  crypto::SeededRandom data(11);
  for (int save = 0; save < 2; ++save) {
    Rows rows;
    for (int i = 0; i < 60; ++i)
      rows["k" + std::to_string(data.Below(100))] = TestValue(data, data.Below(400));
    ASSERT_TRUE(rig.PutRows("t", rows));
    if (save == 0) {
      ASSERT_TRUE(rig.PutRows("gone", rows));
    }
    if (save == 1) {
      ASSERT_TRUE(rig.DropTable("gone"));
    }
    ASSERT_TRUE(rig.Save());
  }
  ASSERT_TRUE(rig.PutRows("t", {{"tail", "not saved yet"}, {"k1", "overwritten"}}));
}

bool Says(const std::vector<Finding>& findings, Finding::Kind kind, std::string_view object) {
  for (const Finding& f : findings)
    if (f.kind == kind && f.object.find(object) != std::string::npos) return true;
  return false;
}

// The number of the newest slot's save.
SaveNumber NewestSave(const Rig& rig) { return rig.s->state->CurrentView().base->manifest.save; }
std::string NumberFile(SaveNumber save) {
  return SlotName(static_cast<int>(save.value % 2), "state-save-number");
}

// A file that a host makes up under the highest number there is used to leave the opener without a number.
TEST(Recovery, AFileUnderANumberThatNobodyReachedIsNamedAndTheStoreOpensAndGoesOn) {
  for (const char* number : {"18446744073709551615", "18446744073709551614", "09223372036854775808"}) {
    Rig rig;
    Fill(rig);
    rig.Kill();
    std::string journal;
    for (const auto& [name, bytes] : ImageOf(*rig.disk))
      if (name.starts_with("members/")) journal = name;
    std::string alien = journal.substr(0, journal.size() - 20) + number;
    ASSERT_TRUE(rig.disk->Put(alien, {}));
    ASSERT_TRUE(rig.Open()) << number;
    EXPECT_TRUE(Says(rig.s->findings, Finding::Kind::kExtra, alien)) << number;
    ASSERT_TRUE(rig.PutRows("t", {{"more", "row"}}));
    ASSERT_TRUE(rig.Save());
    ASSERT_TRUE(rig.Close());
    ASSERT_TRUE(rig.Open());
    rig.ExpectRows(number);
  }
}

// Lists a name that does not begin with the prefix it was asked for.
class Liar : public host::MemoryStorage {
 public:
  Result<seam::Listing> List(std::string_view prefix, std::string_view after, size_t limit) override {
    if (lie.empty() || prefix != kSegmentsPrefix) return MemoryStorage::List(prefix, after, limit);
    seam::Listing page;
    page.objects.push_back({lie, 1});
    return page;
  }
  std::string lie;
};

TEST(Recovery, AListingOfNamesThatWereNotAskedForIsRefused) {
  for (const char* lie : {"x", "zzzzzzzzzzzzzzzz", "unlockers"}) {
    Rig rig;
    Liar liar;
    rig.disk = &liar;
    Fill(rig);
    rig.Kill();
    liar.lie = lie;
    Status opened = rig.Open();
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.code(), Code::kMalformed) << lie;
    liar.lie.clear();
    ASSERT_TRUE(rig.Open());
    rig.ExpectRows(lie);
  }
}

struct Damage {
  const char* name;
  void (*apply)(Image& image, const std::string& slot);
  bool torn;  // else tampered
};
const Damage kDamages[] = {
    {"number gone", [](Image& i, const std::string& s) { i.erase(s + "state-save-number"); }, true},
    {"number empty", [](Image& i, const std::string& s) { i[s + "state-save-number"].clear(); }, true},
    {"number short", [](Image& i, const std::string& s) { i[s + "state-save-number"].resize(71); }, true},
    {"number long", [](Image& i, const std::string& s) { i[s + "state-save-number"].push_back(0); }, false},
    {"number flipped", [](Image& i, const std::string& s) { i[s + "state-save-number"][3] ^= 1; }, false},
    {"manifest gone", [](Image& i, const std::string& s) { i.erase(s + "core-enclave"); }, false},
    {"manifest cut", [](Image& i, const std::string& s) { i[s + "core-enclave"].resize(100); }, false},
    {"keyring flipped", [](Image& i, const std::string& s) { i[s + "key-enclave"].back() ^= 1; }, false},
    {"state of zeros", [](Image& i, const std::string& s) { i[s + "server-state"].assign(52, 0); }, false},
    {"shares not empty",
     [](Image& i, const std::string& s) { i[s + "core-enclave.recovery-key-shares"].push_back(1); }, false},
};

// Every damage to the newest slot, at every stage of a run: the older one and the journal give the same
// state.
TEST(RuleD3, TheOlderSlotAndTheJournalGiveTheSameStateWhenTheNewestIsDestroyed) {
  Rig rig;
  ASSERT_TRUE(rig.Init());
  ASSERT_TRUE(rig.Open());
  ASSERT_TRUE(rig.CreateTable("t"));
  crypto::SeededRandom data(2);
  for (int round = 0; round < 6; ++round) {
    Rows rows;
    for (int i = 0; i < 40; ++i)
      rows["k" + std::to_string(data.Below(200))] = TestValue(data, data.Below(500));
    ASSERT_TRUE(rig.PutRows("t", rows));
    if (round % 2 == 0) {
      ASSERT_TRUE(rig.Save());
    }
    Image image = ImageOf(*rig.disk);
    SaveNumber newest = NewestSave(rig);
    Digest root = rig.s->state->CurrentView().base->root_digest;
    for (const Damage& damage : kDamages) {
      std::string when = std::string(damage.name) + ", round " + std::to_string(round);
      Image broken = image;
      damage.apply(broken, SlotName(static_cast<int>(newest.value % 2), ""));
      auto disk = DiskOf(broken);
      Rig other;
      other.disk = disk.get();
      other.oracle = rig.oracle;
      ASSERT_TRUE(other.anchor.Put(kAnchorName, rig.anchor.Get(kAnchorName)->parse()));
      auto report = other.Verify(false);
      ASSERT_TRUE(report) << when;
      EXPECT_EQ(report->verdict.has_value(), !damage.torn) << when << Show(report->findings);
      auto report_anchored = other.Verify();
      ASSERT_TRUE(report_anchored) << when;
      EXPECT_TRUE(report_anchored->verdict.has_value()) << when << ": the anchor knows of the newer save";
      ASSERT_TRUE(other.Open()) << when << Show(other.findings);
      other.ExpectRows(when);
      if (newest.value > 1) {  // the save was made up for, from the log alone: the same root
        EXPECT_EQ(NewestSave(other), newest) << when;
        EXPECT_EQ(other.s->state->CurrentView().base->root_digest, root) << when;
      }
      ASSERT_TRUE(other.Save()) << when;
      other.ExpectClean(when + ", reopened and saved");
      ASSERT_TRUE(other.Save()) << when;
      other.ExpectClean(when + ", saved twice");
      other.ExpectRows(when + ", saved");
    }
    rig.s.reset();
    ASSERT_TRUE(rig.Open());
  }
}

TEST(RuleD2, TornNumberMeansTheSlotIsUnused) {
  Rig rig;
  Fill(rig);
  SaveNumber newest = NewestSave(rig);
  rig.Kill();
  for (size_t size = 0; size < kSaveNumberBytes; ++size) {
    Image image = ImageOf(*rig.disk);
    image[NumberFile(newest)].resize(size);
    auto disk = DiskOf(image);
    Rig other;
    other.disk = disk.get();
    auto report = other.Verify(false);
    ASSERT_TRUE(report);
    EXPECT_FALSE(report->verdict) << size << Show(report->findings);
    EXPECT_TRUE(Says(report->findings, Finding::Kind::kTorn, "state-save-number")) << size;
  }
}

TEST(RuleD2, BothSlotsUnusableIsRefusedAndNothingIsWritten) {
  Rig rig;
  Fill(rig);
  rig.Kill();
  Image whole = ImageOf(*rig.disk);
  for (const Damage& first : kDamages) {
    for (const Damage& second : kDamages) {
      std::string when = std::string(first.name) + ", " + second.name;
      Image image = whole;
      first.apply(image, SlotName(0, ""));
      second.apply(image, SlotName(1, ""));
      auto disk = DiskOf(image);
      Rig other;
      other.disk = disk.get();
      auto report = other.Verify(false);
      ASSERT_TRUE(report) << when << CodeName(report.code());
      EXPECT_EQ(report->verdict, Code::kBothSlotsBad) << when;
      EXPECT_EQ(CodeExit(*report->verdict), 3);
      Status opened = other.Open();
      ASSERT_FALSE(opened) << when;
      EXPECT_EQ(opened.code(), Code::kBothSlotsBad) << when;
      EXPECT_TRUE(ImageOf(*disk) == image) << when << ": a refused opening must leave everything as it is";
    }
  }
}

TEST(RuleF1, ARolledBackCopyIsRefusedForItsAnchor) {
  Rig rig;
  Fill(rig);
  Image old = ImageOf(*rig.disk);
  Bytes old_anchor =
      rig.anchor.Get(kAnchorName)->parse().empty() ? Bytes() : ToBytes(rig.anchor.Get(kAnchorName)->parse());
  ASSERT_TRUE(rig.PutRows("t", {{"later", "write"}}));
  ASSERT_TRUE(rig.Save());
  rig.Kill();

  auto disk = DiskOf(old);
  rig.disk = disk.get();
  auto report = rig.Verify();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->verdict, Code::kRolledBack) << Show(report->findings);
  EXPECT_FALSE(report->freshness.proven);
  Status opened = rig.Open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.code(), Code::kRolledBack);
  EXPECT_TRUE(Says(rig.findings, Finding::Kind::kStale, "anchor"));
  EXPECT_TRUE(ImageOf(*disk) == old) << "a refused opening writes nothing";

  rig.anchored = false;  // without an anchor it cannot be told, and verify says so
  report = rig.Verify();
  ASSERT_TRUE(report);
  EXPECT_FALSE(report->verdict);
  EXPECT_EQ(report->freshness.Line(), "freshness unproven");
}

TEST(RuleF1, AForkedCopyIsRefusedEvenWhenItIsLonger) {
  Rig rig;
  Fill(rig);
  Image common = ImageOf(*rig.disk);
  // The copy goes on by itself, further than the anchor; then the anchor's own history.
  auto disk = DiskOf(common);
  Rig fork;
  fork.disk = disk.get();
  fork.anchored = false;
  ASSERT_TRUE(fork.Open());
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(fork.PutRows("t", {{"fork", std::to_string(i)}}));
  for (bool saved : {false, true}) {
    if (saved) {
      ASSERT_TRUE(fork.Save());
      ASSERT_TRUE(fork.Save());
    }
    ASSERT_TRUE(rig.PutRows("t", {{"ours", "1"}}));
    if (!saved) {
      ASSERT_TRUE(rig.Save());
    }
    Rig victim;
    victim.disk = disk.get();
    ASSERT_TRUE(victim.anchor.Put(kAnchorName, rig.anchor.Get(kAnchorName)->parse()));
    Image before = ImageOf(*disk);
    auto report = victim.Verify();
    ASSERT_TRUE(report);
    EXPECT_EQ(report->verdict, Code::kForked) << saved << Show(report->findings);
    Status opened = victim.Open();
    ASSERT_FALSE(opened) << saved;
    EXPECT_EQ(opened.code(), Code::kForked) << saved;
    EXPECT_TRUE(ImageOf(*disk) == before) << "a refused opening writes nothing";
  }
}

Result<VerifyReport> VerifyWith(seam::Storage& disk, std::string_view anchor) {
  VerifyOptions options;
  options.anchor = ToBytes(anchor);
  options.require_fresh = true;
  return VerifyStore(disk, AsBytes(kPassphrase), options);
}

TEST(RuleF1, AShortAnchorProvesWhatItWasCarriedAwayFromAndEverythingSince) {
  Rig rig;
  ASSERT_TRUE(rig.Init());
  std::vector<std::string> carried{rig.Verify()->short_anchor};
  for (int life = 0; life < 3; ++life) {
    ASSERT_TRUE(rig.Open());
    if (life == 0) {
      ASSERT_TRUE(rig.CreateTable("t"));
    }
    for (int i = 0; i < 2; ++i) {
      ASSERT_TRUE(rig.PutRows("t", {{"k", std::to_string(life * 10 + i)}}));
      ASSERT_TRUE(rig.Save());
    }
    ASSERT_TRUE(rig.Close());
    carried.push_back(rig.Verify()->short_anchor);
  }
  LogIndex last;
  for (const std::string& anchor : carried) {
    auto report = VerifyWith(*rig.disk, anchor);
    ASSERT_TRUE(report);
    EXPECT_FALSE(report->verdict) << anchor << Show(report->findings);
    EXPECT_TRUE(report->freshness.proven) << anchor;
    EXPECT_GE(report->freshness.index, last);
    last = report->freshness.index;
  }
}

TEST(RuleF1, AShortAnchorFindsAnOlderCopyAForkAndAnotherStore) {
  Rig rig, other;
  Fill(rig);
  Image common = ImageOf(*rig.disk);
  ASSERT_TRUE(rig.PutRows("t", {{"later", "write"}}));
  ASSERT_TRUE(rig.Save());
  std::string anchor = rig.Verify()->short_anchor;

  auto older = DiskOf(common);
  EXPECT_EQ(VerifyWith(*older, anchor)->verdict, Code::kRolledBack);

  Rig fork;  // goes on by itself, further than the anchor
  fork.disk = older.get();
  fork.anchored = false;
  ASSERT_TRUE(fork.Open());
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(fork.PutRows("t", {{"fork", std::to_string(i)}}));
  EXPECT_EQ(VerifyWith(*older, anchor)->verdict, Code::kForked) << "its index is in the journal";
  ASSERT_TRUE(fork.Save());
  ASSERT_TRUE(fork.Save());
  EXPECT_EQ(VerifyWith(*older, anchor)->verdict, Code::kForked) << "its index is below the saves";

  other.random = crypto::SeededRandom(99);
  Fill(other);
  EXPECT_EQ(VerifyWith(*other.disk, anchor)->verdict, Code::kForeign);
  anchor[anchor.size() - 9] = anchor[anchor.size() - 9] == '7' ? '8' : '7';
  EXPECT_EQ(VerifyWith(*rig.disk, anchor)->verdict, Code::kChecksum) << "mistyped";
}

TEST(RuleF1, EveryAnchorEverWrittenIsAnAncestorOfWhatIsOpened) {
  Rig rig;
  ASSERT_TRUE(rig.Init());
  std::vector<Bytes> anchors;
  auto keep = [&] { anchors.push_back(ToBytes(rig.anchor.Get(kAnchorName)->parse())); };
  keep();
  for (int life = 0; life < 3; ++life) {
    ASSERT_TRUE(rig.Open());
    keep();
    if (life == 0) {
      ASSERT_TRUE(rig.CreateTable("t"));
    }
    for (int i = 0; i < 3; ++i) {
      ASSERT_TRUE(rig.PutRows("t", {{"k", std::to_string(life * 10 + i)}}));
      ASSERT_TRUE(rig.Save());
      keep();
    }
    ASSERT_TRUE(rig.PutRows("t", {{"tail", std::to_string(life)}}));
    ASSERT_TRUE(rig.Close());
    keep();
  }
  LogIndex last;
  for (const Bytes& anchor : anchors) {
    VerifyOptions options;
    options.anchor = anchor;
    options.require_fresh = true;
    auto report = VerifyStore(*rig.disk, AsBytes(kPassphrase), options);
    ASSERT_TRUE(report);
    EXPECT_FALSE(report->verdict) << Show(report->findings);
    EXPECT_TRUE(report->freshness.proven);
    EXPECT_GE(report->freshness.index, last) << "anchors never go back";
    last = report->freshness.index;
  }
  EXPECT_EQ(last, rig.Verify()->last_index) << "after a clean stop the anchor is at the end";
}

TEST(RuleF2, AForgedOrForeignAnchorIsNamedAndRefused) {
  Rig rig, other;
  Fill(rig);
  rig.Kill();
  other.random = crypto::SeededRandom(99);
  Fill(other);
  Bytes good = ToBytes(rig.anchor.Get(kAnchorName)->parse());
  std::vector<Bytes> bad{ToBytes(other.anchor.Get(kAnchorName)->parse()), Bytes(), Bytes(112, 0)};
  for (size_t i = 0; i < good.size(); ++i) {
    bad.push_back(good);
    bad.back()[i] ^= 1;
  }
  Image before = ImageOf(*rig.disk);
  for (const Bytes& anchor : bad) {
    ASSERT_TRUE(rig.anchor.Put(kAnchorName, anchor));
    Status opened = rig.Open();
    ASSERT_FALSE(opened);
    EXPECT_EQ(CodeExit(opened.code()), 3) << CodeName(opened.code());
    EXPECT_TRUE(Says(rig.findings, Finding::Kind::kChanged, "anchor"));
    auto report = rig.Verify();
    ASSERT_TRUE(report) << CodeName(report.code());
    ASSERT_TRUE(report->verdict);
    EXPECT_EQ(CodeExit(*report->verdict), 3);
    for (const Finding& f : report->findings)
      EXPECT_TRUE(!f.bad() || f.object == "anchor") << "only the anchor is bad: " << f.Line();
  }
  EXPECT_TRUE(ImageOf(*rig.disk) == before);
}

TEST(RuleF1, AnUnprovenStoreIsRefusedOnlyWhenFreshnessIsDemanded) {
  Rig rig;
  rig.anchored = false;
  Fill(rig);
  VerifyOptions options;
  auto report = VerifyStore(*rig.disk, AsBytes(kPassphrase), options);
  ASSERT_TRUE(report);
  EXPECT_FALSE(report->verdict);
  options.require_fresh = true;
  report = VerifyStore(*rig.disk, AsBytes(kPassphrase), options);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->verdict, Code::kFreshnessUnproven);
}

TEST(RuleG1, ABadUnlockerRecordIsNamedAndTheStoreOpensFromACopy) {
  Rig rig;
  Fill(rig);
  rig.Kill();
  Image whole = ImageOf(*rig.disk);
  Image foreign;
  {
    Rig other;
    other.random = crypto::SeededRandom(99);
    ASSERT_TRUE(other.Init());
    foreign = ImageOf(*other.disk);
  }
  std::vector<std::optional<Bytes>> records{std::nullopt, Bytes(), foreign.at("unlockers")};
  const Bytes& good = whole.at("unlockers");
  for (size_t i = 0; i < good.size(); i += 3) {
    records.push_back(good);
    (*records.back())[i] ^= 0x10;
    records.push_back(Bytes(good.begin(), good.begin() + static_cast<ptrdiff_t>(i)));
  }
  for (const auto& record : records) {
    Image image = whole;
    image.erase("unlockers");
    if (record) image["unlockers"] = *record;
    auto disk = DiskOf(image);
    Rig other;
    other.disk = disk.get();
    other.anchored = false;
    other.oracle = rig.oracle;
    auto report = other.Verify();
    ASSERT_TRUE(report) << CodeName(report.code());
    ASSERT_TRUE(report->verdict);
    EXPECT_EQ(CodeExit(*report->verdict), 3);
    EXPECT_TRUE(
        Says(report->findings, record ? Finding::Kind::kChanged : Finding::Kind::kMissing, "unlockers"));
    Status wrong = other.Open("another passphrase");
    ASSERT_FALSE(wrong);
    EXPECT_EQ(wrong.code(), Code::kWrongPassphrase);
    ASSERT_TRUE(other.Open()) << Show(other.findings);
    other.ExpectRows("from a copy");
  }
}

TEST(RuleG1, ANewPassphraseOpensAndTheOldOneIsRefused) {
  Rig rig;
  Fill(rig);
  ASSERT_TRUE(rig.Close());
  auto change = [&](std::string_view passphrase, seal::UnlockerChange::Kind kind, std::string_view to,
                    uint32_t number = 0) {
    return ChangeUnlockers(*rig.disk, &rig.anchor, AsBytes(passphrase),
                           {kind, SecretBytes(AsBytes(to)), number}, kArgonTest, rig.random);
  };
  using Kind = seal::UnlockerChange::Kind;
  EXPECT_EQ(change("wrong", Kind::kReplace, "new").code(), Code::kWrongPassphrase);
  rig.ExpectClean("nothing was done");
  ASSERT_TRUE(change(kPassphrase, Kind::kReplace, "new"));
  Status old = rig.Open();
  ASSERT_FALSE(old);
  EXPECT_EQ(old.code(), Code::kWrongPassphrase);
  ASSERT_TRUE(rig.Open("new")) << Show(rig.findings);
  rig.ExpectRows("under the new passphrase");
  rig.Kill();
  // The copies are of the new record too.
  ASSERT_TRUE(rig.disk->Delete("unlockers"));
  EXPECT_EQ(rig.Open().code(), Code::kWrongPassphrase);
  ASSERT_TRUE(rig.Open("new"));
  ASSERT_TRUE(rig.Close());
  // Two of them side by side; then one less.
  ASSERT_TRUE(change("new", Kind::kAdd, "another"));
  for (std::string_view each : {"new", "another"}) {
    ASSERT_TRUE(rig.Open(each)) << each << Show(rig.findings);
    rig.ExpectRows("under either");
    ASSERT_TRUE(rig.Close());
  }
  ASSERT_TRUE(change("another", Kind::kRemove, "", 1));
  EXPECT_EQ(rig.Open("new").code(), Code::kWrongPassphrase);
  ASSERT_TRUE(rig.disk->Delete("unlockers"));
  EXPECT_EQ(rig.Open("new").code(), Code::kWrongPassphrase) << "in the copies neither";
  ASSERT_TRUE(rig.Open("another"));
}

TEST(RuleG2, AWrongPassphraseIsNotTamperingAndTheReverse) {
  Rig rig;
  Fill(rig);
  rig.Kill();
  EXPECT_EQ(rig.Open("wrong").code(), Code::kWrongPassphrase);
  EXPECT_EQ(VerifyStore(*rig.disk, AsBytes("wrong"), {}).code(), Code::kWrongPassphrase);
  EXPECT_EQ(CodeExit(Code::kWrongPassphrase), 1);
  // Damage to everything that the passphrase is checked with, right passphrase: never "wrong passphrase".
  Image image = ImageOf(*rig.disk);
  image["unlockers"][80] ^= 1;
  for (int slot : {0, 1}) image[SlotName(slot, "key-enclave")][90] ^= 1;
  auto disk = DiskOf(image);
  rig.disk = disk.get();
  Status opened = rig.Open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.code(), Code::kChecksum);
}

TEST(Store, OpeningEmptyStorageNeverCreatesAStore) {
  Rig rig;
  EXPECT_EQ(rig.Open().code(), Code::kNoStore);
  EXPECT_EQ(rig.Verify().code(), Code::kNoStore);
  EXPECT_TRUE(ImageOf(*rig.disk).empty());
}

TEST(Store, InitRefusesStorageThatHoldsAnything) {
  Rig rig;
  ASSERT_TRUE(rig.disk->Put("somebody", AsBytes("else's")));
  Image before = ImageOf(*rig.disk);
  EXPECT_EQ(rig.Init().code(), Code::kNotEmpty);
  EXPECT_TRUE(ImageOf(*rig.disk) == before);
}

// A half-made store is refused, and never taken for an empty place.
TEST(Store, AnInitThatStoppedAnywhereIsRefusedNotContinued) {
  Rig whole;
  ASSERT_TRUE(whole.Init());
  Image image = ImageOf(*whole.disk);
  for (const auto& [name, bytes] : image) {
    if (name != "unlockers") continue;
    auto disk = DiskOf({{name, bytes}});
    Rig half;
    half.disk = disk.get();
    half.anchored = false;
    Status opened = half.Open();
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.code(), Code::kBothSlotsBad);
    EXPECT_EQ(half.Init().code(), Code::kNotEmpty);
  }
}

}  // namespace
}  // namespace holdfast::store
