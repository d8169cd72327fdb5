// The tamper matrix: every object of a small but complete store, damaged in every way that fits; what verify
// and an opening must then do is computed from the rules, not from what they did last time.
//
//   named    verify names the object, exit 3        right   an opening gives exactly the data that was
//   acknowledged clean    verify finds nothing, exit 0           prefix  exactly the data of an earlier wave,
//   nothing promised lost
//
// Never: wrong data, a fresh start, an object deleted by an opening that fails.
// Not covered: adversaries who hold keys, and damage to two places at once (but for swaps and whole slots).
#include <gtest/gtest.h>

#include <algorithm>

#include "core/store/store_rig_internal.h"
#include "core/store/verify.h"

namespace holdfast::store {
namespace {

constexpr size_t kSmallBytes = 4096;  // up to here every bit is flipped, beyond it one bit of every 97th byte
constexpr size_t kStrideBytes = 97;

struct FrameAt {
  std::string object;
  uint64_t offset = 0, end = 0;
  LogIndex last_index, watermark;
};

struct Scene {
  Image image;
  std::vector<Image> earlier;  // of the same store
  Image stranger;              // another store under the same passphrase
  Bytes anchor;
  bool anchored = true;
  LogIndex anchor_index, saved;
  std::map<LogIndex, Oracle> at;  // what the tables held after each entry
  LogIndex end;
  std::vector<FrameAt> frames;                 // all of the chain from the older slot on
  std::map<std::string, uint64_t> first_byte;  // of each journal object that is judged
  std::set<std::string> listed;                // segments and groups
  int newest = 0;
  MemberId member;
};

class SceneBuilder {
 public:
  explicit SceneBuilder(uint64_t seed, bool closed) {
    rig_.random = crypto::SeededRandom(seed);
    rig_.options.journal_file_bytes = 4096;
    Build(closed);
  }
  Scene scene;

 private:
  void Note() { scene.at[rig_.s->state->position().index] = rig_.oracle; }
  void Do(Status s) {
    ASSERT_TRUE(s) << CodeName(s.code());
    Note();
  }
  void Build(bool closed) {
    ASSERT_TRUE(rig_.Init());
    ASSERT_TRUE(rig_.Open());
    Note();
    crypto::SeededRandom data(5);
    Do(rig_.CreateTable("t"));
    Do(rig_.CreateTable("gone"));
    Do(rig_.PutRows("t", {{"a", "1"}, {"b", TestValue(data, 300)}, {"c", TestValue(data, 65'600)}}));
    Do(rig_.PutRows("gone", {{"x", "y"}}));
    Do(rig_.Save());
    scene.earlier.push_back(ImageOf(*rig_.disk));
    Do(rig_.PutRows("t", {{"d", "4"}, {"b", TestValue(data, 400)}}));
    Do(rig_.DropTable("gone"));
    Do(rig_.Save());
    scene.earlier.push_back(ImageOf(*rig_.disk));
    rig_.Kill();
    ASSERT_TRUE(rig_.Open());
    Note();
    Do(rig_.PutRows("t", {{"e", "5"}}));
    Do(rig_.Save());
    for (int i = 0; i < 4; ++i) Do(rig_.PutRows("t", {{"tail" + std::to_string(i), TestValue(data, 200)}}));
    scene.end = rig_.s->state->position().index;
    scene.member = rig_.s->member;
    if (closed) {
      ASSERT_TRUE(rig_.Close());
      scene.end = scene.end.next();
      scene.at[scene.end] = rig_.oracle;
    } else {
      rig_.Kill();
    }
    scene.image = ImageOf(*rig_.disk);
    scene.anchor = ToBytes(rig_.anchor.Get(kAnchorName)->parse());
    Learn();
  }
  void Learn() {
    Reading r;
    ASSERT_TRUE(ReadStore(*rig_.disk, AsBytes(kPassphrase), {scene.anchor, "anchor"}, false, r));
    ASSERT_TRUE(ReadOlder(*rig_.disk, r));
    ASSERT_TRUE(r.older_chain.has_value());
    for (const auto& l : r.older_chain->links)
      scene.frames.push_back({l.object, l.offset, l.offset + l.length, l.last_index, l.watermark});
    scene.newest = r.slots.newest;
    scene.saved = r.slots.manifest().root.position.index;
    scene.anchor_index = r.anchor->index;
    Expected expected = ExpectedObjects(r.slots);
    for (const auto& [name, s] : expected.segments) scene.listed.insert(name);
    for (const auto& [name, g] : expected.groups) scene.listed.insert(name);
  }
  Rig rig_;
};

struct Expected_ {
  bool named = true;         // else clean
  bool either = false;       // verify may do both
  std::string object;        // part of the name in the finding
  bool must_open = false;    // else it may be refused
  bool read_errors = false;  // rows may be unreadable, but not wrong
  LogIndex index;            // whose data an opening must give
};

class Matrix {
 public:
  explicit Matrix(const Scene& scene) : scene_(scene), disk_(DiskOf(scene.image)) {}
  size_t cases() const { return cases_; }

  // `only`: the one object that differs from the scene, if it is one.
  void Check(const Image& image, const Expected_& e, const std::string& what, bool open = true,
             const std::string& only = "") {
    ++cases_;
    if (::testing::Test::HasFailure() && ++failures_ > 20) return;  // twenty examples tell enough
    if (only.empty()) {
      CheckVerify(*DiskOf(image), e, what);
    } else {  // verify writes nothing: one disk serves for all
      ASSERT_TRUE(disk_->Put(only, image.at(only)));
      CheckVerify(*disk_, e, what);
      ASSERT_TRUE(disk_->Put(only, scene_.image.at(only)));
    }
    if (open) CheckOpen(*DiskOf(image), image, e, what);
  }

 private:
  void CheckVerify(seam::Storage& disk, const Expected_& e, const std::string& what) {
    VerifyOptions options;
    if (scene_.anchored) options.anchor = scene_.anchor;
    auto report = VerifyStore(disk, AsBytes(kPassphrase), options);
    ASSERT_TRUE(report) << what << ": " << CodeName(report.code());
    if (e.either) return;
    ASSERT_EQ(report->verdict.has_value(), e.named) << what << Show(report->findings);
    if (!e.named) return;
    EXPECT_EQ(CodeExit(*report->verdict), 3) << what;
    bool found = false;
    for (const Finding& f : report->findings)
      found = found || (f.bad() && f.object.find(e.object) != std::string::npos);
    EXPECT_TRUE(found) << what << " is not named" << Show(report->findings);
  }

  void CheckOpen(seam::Storage& disk, const Image& before, const Expected_& e, const std::string& what) {
    Rig rig;
    rig.disk = &disk;
    rig.anchored = scene_.anchored;
    rig.options.journal_file_bytes = 4096;
    ASSERT_TRUE(rig.anchor.Put(kAnchorName, scene_.anchor));
    Status opened = rig.Open();
    if (!opened) {
      EXPECT_FALSE(e.must_open) << what << ": refused with " << CodeName(opened.code()) << Show(rig.findings);
      EXPECT_EQ(CodeExit(opened.code()), 3) << what << ": " << CodeName(opened.code());
      Image after = ImageOf(disk);
      for (const auto& [name, bytes] : before) {
        auto it = after.find(name);
        ASSERT_TRUE(it != after.end()) << what << ": a failed opening deleted " << name;
        EXPECT_TRUE(it->second == bytes) << what << ": a failed opening changed " << name;
      }
      return;
    }
    const Oracle& expected = scene_.at.at(e.index);
    if (!e.read_errors) {
      auto rows = rig.Rows_();
      ASSERT_TRUE(rows) << what << ": " << CodeName(rows.code());
      ExpectSameRows(*rows, expected, what);
      return;
    }
    VerifyEachRow(rig, expected, what);
  }

  // Unreadable is allowed, wrong is not; absent counts as wrong.
  void VerifyEachRow(Rig& rig, const Oracle& expected, const std::string& what) {
    EXPECT_EQ(rig.s->state->tables().size() - 3, expected.size()) << what;
    VersionNodes nodes(*rig.disk, rig.s->state->CurrentView().base, rig.cache);
    for (const auto& [table, rows] : expected) {
      for (const auto& [k, v] : rows) {
        auto got = ViewGet(rig.s->state->CurrentView(), rig.Table(table), AsBytes(k), nodes);
        if (!got) {
          EXPECT_EQ(CodeExit(got.code()), 3) << what << CodeName(got.code());
          continue;
        }
        ASSERT_TRUE(got->has_value()) << what << ": lost " << k;
        EXPECT_TRUE(AsText(**got) == v) << what << ": wrong value of " << k;
      }
    }
  }

  const Scene& scene_;
  std::unique_ptr<host::MemoryStorage> disk_;
  size_t cases_ = 0, failures_ = 0;
};

// -- what the rules say

bool InSlots(const std::string& name) { return name.starts_with("enclave-state/"); }
bool InJournal(const std::string& name) { return name.starts_with("members/"); }
bool InSegments(const std::string& name) { return name.starts_with("segments/"); }
bool InGroups(const std::string& name) { return name.starts_with("manifest/"); }

// B2 with everything that survives: the highest index that must not be lost.
LogIndex DurableWithout(const Scene& s, const std::set<const FrameAt*>& damaged) {
  LogIndex d = s.saved;
  if (s.anchored) d = std::max(d, s.anchor_index);
  for (const FrameAt& f : s.frames)
    if (!damaged.contains(&f)) d = std::max(d, f.watermark);
  return d;
}

// The journal object ends after `size` bytes, or is gone.
Expected_ CutJournal(const Scene& s, const std::string& name, uint64_t size, bool gone) {
  Expected_ e{.object = "members/", .index = s.end};
  std::set<const FrameAt*> damaged;
  const FrameAt* first = nullptr;
  LogIndex before;
  for (const FrameAt& f : s.frames) {
    if (f.object == name && f.end > size) {
      if (first == nullptr) first = &f;
      damaged.insert(&f);
    }
    if (first == nullptr) before = f.last_index;
  }
  if (first == nullptr) {  // only the reserve is shorter
    e.named = gone;
    e.must_open = true;
    return e;
  }
  // A barrier frame in a later file says that these were accepted.
  bool last_object = s.frames.back().object == name;
  if (last_object && (gone || size == first->offset))
    e.object = "";  // nothing is left that could be named: the anchor
  if (!last_object || before < DurableWithout(s, damaged)) return e;
  e.named = false;
  e.must_open = true;
  e.index = before;
  return e;
}

Expected_ ChangeOf(const Scene& s, const std::string& name) {
  Expected_ e{.object = name, .index = s.end};
  if (InSlots(name) || InGroups(name) || name == "unlockers") e.must_open = true;
  if (InSegments(name)) e.read_errors = true;
  if (InJournal(name)) e.object = "members/";
  return e;
}

Expected_ CutOf(const Scene& s, const std::string& name, uint64_t size, bool gone) {
  if (InJournal(name)) return CutJournal(s, name, size, gone);
  Expected_ e = ChangeOf(s, name);
  if (name.ends_with("state-save-number")) {
    // D2: unused; only an anchor that knows of the newer save can say more.
    bool newest = name == SlotName(s.newest, "state-save-number");
    e.named = newest && s.anchored;
    if (e.named) e.object = "enclave-state/";
  }
  return e;
}

// -- the cases

// What a flip at `offset` of `name` means.
Expected_ FlipOf(const Scene& s, const std::string& name, uint64_t offset) {
  Expected_ e = ChangeOf(s, name);
  uint64_t end = 0;  // of the last frame in there
  for (const FrameAt& f : s.frames)
    if (f.object == name) end = std::max(end, f.end);
  if (InJournal(name) && end != 0 && offset >= end + limits::kSectorBytes) {
    // In the reserve, and not where the next frame begins: as of a frame whose first sector did not arrive
    // (B2).
    e.named = false;
    e.must_open = true;
  }
  return e;
}

void FlipBits(const Scene& scene, bool (*chosen)(const std::string&), int bits = 8) {
  Matrix matrix(scene);
  for (const auto& [name, bytes] : scene.image) {
    if (!chosen(name)) continue;
    bool small = bytes.size() <= kSmallBytes;
    Image image = scene.image;
    for (size_t i = 0; i < bytes.size(); i += small ? 1 : kStrideBytes) {
      for (int k = 0; k < (small ? bits : 1); ++k) {
        int bit = (static_cast<int>(i) + k) % 8;
        image[name][i] ^= static_cast<uint8_t>(1 << bit);
        std::string what = "bit " + std::to_string(bit) + " of byte " + std::to_string(i) + " of " + name;
        // An opening reads what verify reads: one bit of each byte is enough there.
        matrix.Check(image, FlipOf(scene, name, i), what, /*open=*/k == 0, name);
        image[name][i] = bytes[i];
      }
    }
  }
  EXPECT_GT(matrix.cases(), 100u);
  ::testing::Test::RecordProperty("cases", static_cast<int>(matrix.cases()));
}

void Truncate(const Scene& scene) {
  Matrix matrix(scene);
  for (const auto& [name, bytes] : scene.image) {
    std::set<size_t> sizes;
    for (size_t n = 0; n < bytes.size();
         n += bytes.size() <= kSmallBytes && !InJournal(name) ? 1 : kStrideBytes)
      sizes.insert(n);
    for (const FrameAt& f : scene.frames) {
      if (f.object != name) continue;
      for (uint64_t n :
           {f.offset, f.offset + 1, f.offset + 127, f.offset + 128, f.end - 512, f.end - 1, f.end})
        if (n < bytes.size()) sizes.insert(n);
    }
    for (size_t n : sizes) {
      Image image = scene.image;
      image[name].resize(n);
      matrix.Check(image, CutOf(scene, name, n, false), name + " cut to " + std::to_string(n));
    }
    Image image = scene.image;
    image.erase(name);
    matrix.Check(image, CutOf(scene, name, 0, true), name + " deleted");
    if (!InJournal(name)) {
      image = scene.image;
      image[name].push_back(0);
      matrix.Check(image, ChangeOf(scene, name), name + " with a byte more");
    }
  }
  ::testing::Test::RecordProperty("cases", static_cast<int>(matrix.cases()));
}

// Which objects could be taken for one another.
std::string ClassOf(const std::string& name) {
  if (InSegments(name)) return "segment";
  if (InGroups(name)) return "group";
  if (InJournal(name)) return "journal";
  size_t slash = name.rfind('/');
  return slash == std::string::npos ? name : name.substr(slash);
}

const Scene& KilledScene() {
  static const SceneBuilder built(1, false);
  return built.scene;
}
const Scene& ClosedScene() {
  static const SceneBuilder built(1, true);
  return built.scene;
}
const Scene& UnanchoredScene() {
  static const Scene scene = [] {
    Scene s = SceneBuilder(1, false).scene;
    s.anchored = false;
    return s;
  }();
  return scene;
}

TEST(TamperMatrix, TheUntouchedStoreIsClean) {
  for (const Scene* s : {&KilledScene(), &ClosedScene(), &UnanchoredScene()}) {
    EXPECT_GE(s->frames.size(), 8u);
    EXPECT_GE(s->listed.size(), 5u);
    Matrix(*s).Check(s->image, {.named = false, .object = "", .must_open = true, .index = s->end},
                     "untouched");
  }
}

TEST(RuleE, EveryBitOfTheUnlockersAndSlotsIsGuarded) {
  FlipBits(KilledScene(), [](const std::string& n) { return n == "unlockers" || InSlots(n); });
}
TEST(RuleD6, EveryBitOfEveryGroupIsGuarded) { FlipBits(KilledScene(), InGroups); }
TEST(RuleE, EveryBitOfEverySegmentIsGuarded) { FlipBits(KilledScene(), InSegments); }
TEST(RuleB2, EveryBitOfTheJournalIsGuarded) { FlipBits(KilledScene(), InJournal); }
TEST(RuleB4, EveryBitOfACleanlyClosedJournalIsGuarded) { FlipBits(ClosedScene(), InJournal, 1); }

TEST(RuleB2, TruncationsAreTornOnlyBeyondWhatIsDurable) { Truncate(KilledScene()); }
TEST(RuleB4, ACleanlyClosedStoreLosesNothingUnseen) { Truncate(ClosedScene()); }
TEST(RuleB5, WithoutAnAnchorOnlyTheLastFrameCanGoUnseen) { Truncate(UnanchoredScene()); }

TEST(RuleA2, ObjectsThatAreSwappedAreNamed) {
  for (const Scene* s : {&KilledScene(), &ClosedScene()}) {
    Matrix matrix(*s);
    for (const auto& [a, bytes_a] : s->image) {
      for (const auto& [b, bytes_b] : s->image) {
        if (a >= b || ClassOf(a) != ClassOf(b) || bytes_a == bytes_b) continue;
        Image image = s->image;
        std::swap(image[a], image[b]);
        Expected_ e = ChangeOf(*s, a);
        if (InSlots(a) || InGroups(a)) e.must_open = false;  // both slots are hit
        matrix.Check(image, e, a + " swapped with " + b);
      }
    }
    EXPECT_GT(matrix.cases(), 10u);
  }
}

// Also below the save point from which the journal is read: verify judges every frame of every file.
TEST(RuleB1, FramesThatAreSwappedInsideTheirFilesAreNamed) {
  for (const Scene* s : {&KilledScene(), &ClosedScene()}) {
    Matrix matrix(*s);
    for (const auto& [name, bytes] : s->image) {
      if (!InJournal(name)) continue;
      std::vector<std::pair<size_t, size_t>> frames;  // offset, length
      for (size_t at = 0; at + limits::kSectorBytes <= bytes.size(); at += limits::kSectorBytes) {
        if (AsText(ByteView(bytes).subspan(at)).starts_with("HFFRAME1"))
          frames.push_back({at, LoadLittle<uint32_t>(bytes.data() + at + 24) * limits::kSectorBytes});
      }
      for (auto a : frames) {
        for (auto b : frames) {
          if (a.first >= b.first || a.second != b.second) continue;
          Image image = s->image;
          Bytes& file = image[name];
          std::swap_ranges(file.begin() + static_cast<ptrdiff_t>(a.first),
                           file.begin() + static_cast<ptrdiff_t>(a.first + a.second),
                           file.begin() + static_cast<ptrdiff_t>(b.first));
          matrix.Check(image, ChangeOf(*s, name),
                       "frames at " + std::to_string(a.first) + " and " + std::to_string(b.first) + " of " +
                           name + " swapped");
        }
      }
    }
    EXPECT_GT(matrix.cases(), 3u);
  }
}

TEST(RuleA2, ObjectsOfAnotherStoreUnderTheSamePassphraseAreNamed) {
  const Scene& s = KilledScene();
  SceneBuilder other(2, false);
  Matrix matrix(s);
  for (const auto& [name, bytes] : s.image) {
    for (const auto& [theirs, foreign] : other.scene.image) {
      if (ClassOf(name) != ClassOf(theirs) || bytes == foreign) continue;
      Image image = s.image;
      image[name] = foreign;
      matrix.Check(image, ChangeOf(s, name), theirs + " of another store as " + name);
    }
  }
  // A whole slot of theirs.
  for (int slot : {0, 1}) {
    Image image = s.image;
    for (const auto& [theirs, foreign] : other.scene.image)
      if (theirs.starts_with(SlotName(slot, ""))) image[theirs] = foreign;
    Expected_ e{.object = SlotName(slot, ""), .must_open = true, .index = s.end};
    matrix.Check(image, e, "slot " + std::to_string(slot) + " of another store");
  }
  EXPECT_GT(matrix.cases(), 20u);
}

TEST(RuleF1, EarlierVersionsOfAnObjectAreNamed) {
  for (const Scene* s : {&KilledScene(), &ClosedScene()}) {
    Matrix matrix(*s);
    for (const Image& earlier : s->earlier) {
      for (const auto& [name, bytes] : earlier) {
        auto now = s->image.find(name);
        if (now != s->image.end() && now->second == bytes) continue;
        Image image = s->image;
        image[name] = bytes;
        if (now == s->image.end()) {  // it was cut or collected since
          Expected_ e{.object = name, .must_open = true, .index = s->end};
          e.either = InJournal(name);           // below the older slot: a leftover
          e.named = !s->listed.contains(name);  // condemned, and not yet known to be deleted (D3)
          matrix.Check(image, e, name + " is back");
          continue;
        }
        Expected_ e = ChangeOf(*s, name);
        e.either = InJournal(name);  // an earlier end of the file; Truncate judges those
        matrix.Check(image, e, "earlier " + name);
      }
      for (int slot :
           {0, 1}) {  // a whole slot put back: its parts fit together, only the anchor knows better
        Image image = s->image;
        bool changed = false;
        for (const auto& [name, bytes] : earlier) {
          if (!name.starts_with(SlotName(slot, "")) || image[name] == bytes) continue;
          image[name] = bytes;
          changed = true;
        }
        if (!changed) continue;
        Expected_ e{.object = "", .must_open = true, .index = s->end};
        matrix.Check(image, e, "earlier slot " + std::to_string(slot));
      }
    }
    EXPECT_GT(matrix.cases(), 5u);
  }
}

TEST(RuleE, StrangersAreNamedAndWhatACrashLeavesIsNot) {
  for (const Scene* s : {&KilledScene(), &ClosedScene()}) {
    Matrix matrix(*s);
    std::string member = "members/" + s->member.hex() + "/";
    std::string segment = "segments/" + std::string(16, '0') + "0123456789ABCDEF";
    std::string group = "manifest/" + std::string(16, '0') + "0123456789ABCDEF";
    for (const std::string& name :
         {std::string("alien"), std::string("unlockers.bak"), std::string("enclave-state/2/core-enclave"),
          std::string("enclave-state/0/extra"), std::string("enclave-state/core-enclave"), segment,
          segment + "0", std::string("segments/FFFF"), group, group + "0", std::string("manifest/FFFF"),
          std::string("segments/ffffffffffffffff0123456789abcdef"),
          "members/" + std::string(32, '0') + "/journal/00000000000000000001", member + "journal/1",
          member + "journal/0000000000000000000x", member + "vote", std::string("anchor")}) {
      for (const Bytes& content : {Bytes(), Bytes(600, 7)}) {
        Image image = s->image;
        image[name] = content;
        matrix.Check(image, {.object = name, .must_open = true, .index = s->end}, "stranger " + name);
      }
    }
    // E: what a save that did not finish left; B2: an opening that was torn before its first byte.
    std::string pending = std::string(8, '0') + "0000FFFF0123456789ABCDEF";
    for (const std::string& name :
         {"segments/" + pending, "manifest/" + pending, member + "journal/00000000000000099999"}) {
      Image image = s->image;
      image[name] = Bytes(1024, 0);
      matrix.Check(image, {.named = false, .object = "", .must_open = true, .index = s->end}, name);
    }
    Image image = s->image;
    image[member + "journal/00000000000000099999"] = Bytes(1024, 7);
    matrix.Check(image, {.object = "members/", .index = s->end}, "a journal file of garbage");
  }
}

}  // namespace
}  // namespace holdfast::store
