// The rules of what may lie in a journal, attacked one by one. Whole runs with crashes: crash_model_test.cc.
#include <gtest/gtest.h>

#include "base/crc32c.h"
#include "core/journal/journal_rig_internal.h"

namespace holdfast::journal {
namespace {

constexpr uint64_t kSector = limits::kSectorBytes;

// Two openings, each with a few waves; the first was left without a clean stop.
struct Written {
  explicit Written(bool append, uint64_t file_bytes = 3072, int waves = 3) : disk(append) {
    for (int opening = 0; opening < 2; ++opening) {
      Opener o(rig, disk, file_bytes);
      HF_CHECK(bool(o.Open()));
      for (int i = 0; i < waves; ++i)
        HF_CHECK(bool(o.Write({"wave " + std::to_string(i), std::string(i == 1 ? 300 : 0, 'x')})));
      position = o.position;
      last = o.last;
    }
    chain = rig.Read(disk);
    HF_CHECK(!chain.tampered && chain.end == position);
  }
  Chain Read(JournalStart start = {}) { return rig.Read(disk, start); }
  Chain ReadDurable() {
    ReadOptions options = rig.Options();
    options.known_durable = position.index;
    return rig.Read(disk, options);
  }
  const Chain::Link& link(size_t from_the_end) const {
    return chain.links[chain.links.size() - 1 - from_the_end];
  }
  Bytes FrameAt(const Chain::Link& l) {
    return ToBytes(ByteView(disk.objects[l.object]).subspan(l.offset, l.length));
  }
  void Overwrite(const Chain::Link& l, ByteView bytes) {
    std::copy(bytes.begin(), bytes.end(), disk.objects[l.object].begin() + static_cast<ptrdiff_t>(l.offset));
  }
  std::string last_object() const { return disk.objects.rbegin()->first; }

  Rig rig;
  TearingDisk disk;
  LogPosition position;
  FramePosition last;
  Chain chain;
};

bool Names(const Chain& chain, Finding::Kind kind, std::string_view what) {
  return std::any_of(chain.findings.begin(), chain.findings.end(), [&](const Finding& f) {
    return f.kind == kind && f.object.find(what) != std::string::npos;
  });
}

TEST(Journal, AFreshOneIsEmpty) {
  Rig rig;
  TearingDisk disk(true);
  Chain chain = rig.Read(disk);
  EXPECT_TRUE(chain.links.empty());
  EXPECT_FALSE(chain.tampered);
  EXPECT_EQ(chain.highest_number, FrameNumber(0));
  EXPECT_EQ(chain.end, LogPosition());
}

TEST(RuleC2, AFenceTakesItsNumberAndIsInNoChain) {
  for (bool closed : {false, true}) {
    Rig rig;
    TearingDisk disk(false);
    Opener a(rig, disk);
    ASSERT_TRUE(a.Open());
    ASSERT_TRUE(a.Write({"acknowledged"}));
    if (closed) {
      ASSERT_TRUE(a.Close());
    }
    FrameNumber taken = a.next;
    a.term = a.term.next();
    Frame fence = a.Make(FrameKind::kFence, {});
    disk.objects[rig.Name(taken.value)] = rig.Seal(fence).bytes;
    Chain chain = rig.Read(disk);
    EXPECT_FALSE(chain.tampered) << Show(chain);
    EXPECT_FALSE(chain.fork);
    EXPECT_EQ(chain.end, a.position);
    EXPECT_EQ(chain.closed, closed);
    EXPECT_EQ(chain.highest_term, fence.term);
    EXPECT_EQ(chain.highest_seen, taken);
    EXPECT_EQ(chain.fences, std::vector<FrameNumber>{taken});
    EXPECT_TRUE(chain.findings.empty()) << Show(chain);
    Opener b(rig, disk);
    ASSERT_TRUE(b.Open());
    EXPECT_GT(b.term, fence.term);
    ASSERT_TRUE(b.Write({"goes on"}));
    chain = rig.Read(disk);
    EXPECT_EQ(chain.end, b.position) << Show(chain);
    // One bit of it, and it is no fence.
    disk.objects[rig.Name(taken.value)][200] ^= 1;
    chain = rig.Read(disk);
    EXPECT_TRUE(chain.fences.empty());
    EXPECT_EQ(chain.end, b.position) << "behind the frame that a barrier accepted nothing matters";
  }
}

TEST(Journal, ReadsBackWhatWasWritten) {
  for (bool append : {true, false}) {
    Rig rig;
    TearingDisk disk(append);
    Opener a(rig, disk, 4096);
    ASSERT_TRUE(a.Open());
    for (int i = 0; i < 20; ++i)
      ASSERT_TRUE(a.Write({"value " + std::to_string(i), std::string(i * 40, 'x')}));
    Chain chain = rig.Read(disk);
    EXPECT_FALSE(chain.tampered) << Show(chain);
    EXPECT_TRUE(chain.findings.empty());
    ASSERT_TRUE(chain.end == a.position);
    EXPECT_EQ(chain.links.size(), 21u);
    std::vector<Entry> got;
    ASSERT_TRUE(Replay(disk, rig.keyring, rig.chain_key, rig.Options(), chain,
                       [&](const Entry& e, const LogPosition&, const FramePosition&) {
                         got.push_back(e);
                         return Ok();
                       }));
    EXPECT_EQ(got, a.acknowledged);
    ASSERT_TRUE(a.Close());
    EXPECT_TRUE(rig.Read(disk).closed);
  }
}

TEST(Journal, IsReadInPiecesOfBoundedSize) {
  Rig rig;
  TearingDisk disk(true);
  Opener a(rig, disk, 8u << 20);
  ASSERT_TRUE(a.Open());
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(a.Write({std::string(500'000, 'x')}));
  ASSERT_TRUE(a.Write({std::string(1'500'000, 'y')}));
  disk.largest_read_bytes = 0;
  EXPECT_TRUE(rig.Read(disk).end == a.position);
  EXPECT_LE(disk.largest_read_bytes,
            3u << 19);  // the size class of the one large frame; else windows of a mebibyte
}

TEST(Journal, ReplayBeginsBehindTheStartAndRefusesWhatChangedMeanwhile) {
  Written w(true);
  const Chain::Link& from = w.chain.links[2];  // a frame of two entries: start in its middle
  LogPosition middle;
  std::vector<LogPosition> all;
  ASSERT_TRUE(Replay(w.disk, w.rig.keyring, w.rig.chain_key, w.rig.Options(), w.chain,
                     [&](const Entry&, const LogPosition& at, const FramePosition& frame) {
                       all.push_back(at);
                       if (frame == from.position && middle.index.value == 0) middle = at;
                       return Ok();
                     }));
  JournalStart start{from.position, middle};
  Chain chain = w.Read(start);
  EXPECT_FALSE(chain.tampered) << Show(chain);
  EXPECT_TRUE(chain.end == w.position);
  size_t at = middle.index.value;
  auto visit = [&](const Entry&, const LogPosition& got, const FramePosition&) {
    EXPECT_EQ(got, all[at++]);
    return Ok();
  };
  ASSERT_TRUE(Replay(w.disk, w.rig.keyring, w.rig.chain_key, w.rig.Options(start), chain, visit));
  EXPECT_EQ(at, all.size());
  at = middle.index.value;
  w.disk.objects[w.link(0).object][w.link(0).offset + 200] ^= 1;
  EXPECT_EQ(Replay(w.disk, w.rig.keyring, w.rig.chain_key, w.rig.Options(start), chain, visit).code(),
            Code::kTampered);
}

// -- B2: torn or tampered

TEST(RuleB2, AnyFlippedBitIsTamperingAndIsNamed) {
  for (bool append : {true, false}) {
    Written w(append);
    for (auto& [name, bytes] : w.disk.objects) {
      for (size_t bit = 0; bit < bytes.size() * 8; bit += 3) {
        bytes[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
        Chain chain = w.Read();
        bytes[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
        auto hit = std::find_if(w.chain.links.begin(), w.chain.links.end(), [&](const Chain::Link& l) {
          return l.object == name && bit / 8 >= l.offset && bit / 8 < l.offset + l.length;
        });
        if (hit == w.chain.links.end()) {  // in the reserve: nothing of ours is lost
          ASSERT_TRUE(chain.end == w.position) << Show(chain);
          continue;
        }
        ASSERT_TRUE(chain.tampered) << name << " bit " << bit << Show(chain);
        ASSERT_TRUE(Names(chain, Finding::Kind::kTampered, name + ", frame") ||
                    Names(chain, Finding::Kind::kTampered, name + " at byte"));
        ASSERT_EQ(chain.links.size(), static_cast<size_t>(hit - w.chain.links.begin()));
        ASSERT_FALSE(AdoptTail({chain}, {}));
      }
    }
  }
}

TEST(RuleB2, TheLastFileCutAnywhereLosesWholeFramesOnlyAndNeverOneThatIsKnownDurable) {
  for (bool append : {true, false}) {
    Written w(append);
    const std::string name = w.last_object();
    const Bytes whole = w.disk.objects[name];
    for (size_t size = 0; size < whole.size(); ++size) {
      w.disk.objects[name].resize(size);
      size_t kept = static_cast<size_t>(std::count_if(
          w.chain.links.begin(), w.chain.links.end(),
          [&](const Chain::Link& l) { return l.object != name || l.offset + l.length <= size; }));
      Chain chain = w.Read();
      ASSERT_FALSE(chain.tampered) << size << Show(chain);
      ASSERT_EQ(chain.links.size(), kept);
      ASSERT_GE(chain.highest_number, FrameNumber(w.chain.links[kept - 1].position.number.value + 2));
      bool inside = kept < w.chain.links.size() && size != w.chain.links[kept].offset;
      ASSERT_EQ(Names(chain, Finding::Kind::kTorn, name), inside || size == 0) << size << Show(chain);
      ASSERT_EQ(w.ReadDurable().tampered, kept < w.chain.links.size());
      w.disk.objects[name] = whole;
    }
  }
}

TEST(RuleB2, AnEarlierFileCutAnywhereIsTamperingWhereAFrameIsLost) {
  for (bool append : {true, false}) {
    Written w(append);
    for (auto& [name, bytes] : w.disk.objects) {
      if (name == w.last_object()) continue;
      const Bytes whole = bytes;
      for (size_t size = 0; size < whole.size(); ++size) {
        bytes.resize(size);
        Chain chain = w.Read();
        ASSERT_TRUE(chain.tampered) << name << size << Show(chain);  // trimmed (B4): every byte is a frame's
        bytes = whole;
      }
    }
  }
}

TEST(RuleB2, AZeroSectorIsACrashOnlyBeyondEveryWatermark) {
  for (bool append : {true, false}) {
    Written w(append);
    for (size_t i = 0; i < w.chain.links.size(); ++i) {
      const Chain::Link& l = w.chain.links[i];
      const Bytes whole = w.FrameAt(l);
      for (uint64_t at = 0; at < l.length; at += kSector) {
        Bytes torn = whole;
        std::fill_n(torn.begin() + static_cast<ptrdiff_t>(at), kSector, uint8_t{0});
        w.Overwrite(l, torn);
        Chain chain = w.Read();
        bool last = i + 1 == w.chain.links.size();
        ASSERT_EQ(chain.tampered, !last) << i << " sector " << at / kSector << Show(chain);
        ASSERT_EQ(chain.links.size(), i);
        // A single sector that is all zero leaves no trace in append mode: the reserve looks the same.
        bool trace = last && (l.length > kSector || !append);
        ASSERT_EQ(Names(chain, Finding::Kind::kTorn, l.object), trace) << Show(chain);
        ASSERT_TRUE(w.ReadDurable().tampered);
        w.Overwrite(l, whole);
      }
    }
  }
}

TEST(RuleB2, OfTwoFramesInFlightAnySectorsMayArrive) {
  Rig rig;
  TearingDisk disk(true);
  Opener o(rig, disk, 16 << 10);
  ASSERT_TRUE(o.Open());
  ASSERT_TRUE(o.Write({"stable"}));
  LogIndex stable = o.stable;
  std::vector<Bytes> frames;
  std::vector<LogPosition> ends{o.position};
  for (int i = 0; i < 2; ++i) {  // neither is acknowledged when the other is sealed
    o.stable = stable;
    Frame f = o.Make(FrameKind::kWave, {{EntryKind::kBatch, o.term, Bytes(1000)}});
    SealedFrame sealed = rig.Seal(f);
    ASSERT_EQ(sealed.bytes.size(), 3 * kSector);
    o.Done(f, sealed);
    frames.push_back(sealed.bytes);
    ends.push_back(o.position);
  }
  const std::string name = disk.objects.rbegin()->first;
  const Bytes before = disk.objects[name];
  for (unsigned arrived = 0; arrived < 64; ++arrived) {
    Bytes& file = disk.objects[name] = before;
    for (unsigned s = 0; s < 6; ++s) {
      if ((arrived >> s & 1) == 0) continue;
      std::copy_n(frames[s / 3].begin() + (s % 3) * static_cast<ptrdiff_t>(kSector), kSector,
                  file.begin() + 2 * static_cast<ptrdiff_t>(kSector) + s * static_cast<ptrdiff_t>(kSector));
    }
    size_t accepted = (arrived & 7) != 7 ? 0 : arrived != 63 ? 1 : 2;
    Chain chain = rig.Read(disk);
    ASSERT_FALSE(chain.tampered) << arrived << Show(chain);
    ASSERT_EQ(chain.end, ends[accepted]) << arrived << Show(chain);
    ASSERT_GE(chain.highest_number, o.last.number);  // both numbers were used
    bool traces = accepted == 0 ? arrived != 0 : accepted == 1 && arrived != 7;
    ASSERT_EQ(Names(chain, Finding::Kind::kTorn, name), traces) << arrived;
  }
}

TEST(RuleB2, FramesOutOfPlaceAreTampering) {
  Written w(true);
  const Chain::Link &a = w.link(0), &b = w.link(2);  // of one length
  ASSERT_EQ(a.length, b.length);
  const Bytes at_a = w.FrameAt(a), at_b = w.FrameAt(b);
  w.Overwrite(a, at_b);  // an older frame again
  EXPECT_TRUE(w.Read().tampered);
  w.Overwrite(b, at_a);  // swapped
  Chain chain = w.Read();
  EXPECT_TRUE(chain.tampered);
  EXPECT_EQ(chain.links.size(), w.chain.links.size() - 3);
  EXPECT_TRUE(Names(chain, Finding::Kind::kTampered, "at byte " + std::to_string(b.offset))) << Show(chain);
  w.Overwrite(a, at_a);  // the last one twice
  EXPECT_TRUE(w.Read().tampered);
  w.Overwrite(b, at_b);
  EXPECT_FALSE(w.Read().tampered);
}

TEST(RuleB2, FramesOfAnotherStoreMemberOrKeyAreTampering) {
  for (bool append : {true, false}) {
    for (int what = 0; what < 3; ++what) {
      Written w(append);
      Rig other(99);
      Chain::Link l = w.link(0);
      Frame f = OpenFrame(w.rig.id, w.rig.keyring, w.FrameAt(l)).value();
      JournalIdentity id = w.rig.id;
      if (what == 0) id.store = other.id.store;
      if (what == 1) id.member = other.id.member;
      seal::DomainKeys keys = (what == 2 ? other : w.rig).keyring.JournalKeys(Epoch(1)).value();
      SealedFrame foreign = SealFrame(id, keys, Epoch(1), f, other.random);
      ASSERT_EQ(foreign.bytes.size(), l.length);
      w.Overwrite(l, foreign.bytes);
      Chain chain = w.Read();
      EXPECT_TRUE(chain.tampered) << what << Show(chain);
      EXPECT_TRUE(Names(chain, Finding::Kind::kTampered, l.object));
    }
  }
}

TEST(RuleB2, AFrameThatDoesNotContinueTheChainIsTampering) {
  struct Change {
    const char* what;
    std::function<void(Frame&)> make;
  };
  const Change changes[] = {
      {"index", [](Frame& f) { f.first_index = f.first_index.next(); }},
      {"chain", [](Frame& f) { f.chain_before[0] ^= 1; }},
      {"digest", [](Frame& f) { f.before.digest[0] ^= 1; }},
      {"number before", [](Frame& f) { f.before.number = FrameNumber(1); }},
      {"number", [](Frame& f) { f.number = f.number.next(); }},
      {"term", [](Frame& f) { f.term = Term(1); }},
      {"entry's term, fallen", [](Frame& f) { f.entries[0].term = Term(1); }},
      {"entry's term, above the frame's", [](Frame& f) { f.entries[0].term = Term(9); }},
      {"barrier in mid-file", [](Frame& f) { f.kind = FrameKind::kBarrier; }},
      {"truncation", [](Frame& f) { f.truncate_from = LogIndex(1); }},
  };
  for (const Change& change : changes) {
    Rig rig;
    TearingDisk disk(true);
    ASSERT_TRUE(Opener(rig, disk).Open());
    Opener o(rig, disk);
    ASSERT_TRUE(o.Open());
    ASSERT_TRUE(o.Write({"one"}));
    Frame f = o.Make(FrameKind::kWave, {{EntryKind::kBatch, o.term, {}}});
    change.make(f);
    SealedFrame sealed = rig.Seal(f);
    ASSERT_TRUE(disk.Append(disk.objects.rbegin()->first, 2 * kSector, sealed.bytes));
    Chain chain = rig.Read(disk);
    EXPECT_TRUE(chain.tampered) << change.what << Show(chain);
    EXPECT_EQ(chain.end, o.position) << change.what;
  }
}

TEST(RuleB2, DiscardTailGivesUpABadFrameBeyondEveryWatermarkAndNoOther) {
  for (bool append : {true, false}) {
    Written w(append);
    for (size_t i = 0; i < w.chain.links.size(); ++i) {
      const Chain::Link& l = w.chain.links[i];
      w.disk.objects[l.object][l.offset + 150] ^= 1;
      ReadOptions options = w.rig.Options();
      options.discard_tail = true;
      Chain chain = w.rig.Read(w.disk, options);
      bool last = i + 1 == w.chain.links.size();
      EXPECT_EQ(chain.tampered, !last) << i << Show(chain);
      EXPECT_EQ(chain.links.size(), i);
      options.known_durable = w.position.index;
      EXPECT_TRUE(w.rig.Read(w.disk, options).tampered);
      w.disk.objects[l.object][l.offset + 150] ^= 1;
    }
  }
}

TEST(RuleB2, AnObjectThatNeverArrivedIsACrashOnlyWhereObjectsAreWholeAndNoWatermarkCoversIt) {
  Rig rig;
  TearingDisk disk(false);
  Opener o(rig, disk);
  ASSERT_TRUE(o.Open());
  ASSERT_TRUE(o.Write({"stable"}));
  LogIndex stable = o.stable;
  LogPosition end = o.position;
  ASSERT_TRUE(o.Write({"lost"}));
  std::string lost = disk.objects.rbegin()->first;
  o.stable = stable;  // sealed while the one before was on its way
  ASSERT_TRUE(o.Write({"arrived first"}));
  Bytes bytes = disk.objects[lost];
  disk.objects.erase(lost);
  Chain chain = rig.Read(disk);
  EXPECT_FALSE(chain.tampered) << Show(chain);
  EXPECT_EQ(chain.end, end);
  EXPECT_GE(chain.highest_number, o.last.number);
  disk.objects[lost] = ToBytes(ByteView(bytes).first(200));  // torn instead of absent
  EXPECT_FALSE(rig.Read(disk).tampered);
  EXPECT_EQ(rig.Read(disk).end, end);
  disk.objects.erase(lost);
  ASSERT_TRUE(o.Write({"sealed when the lost one was stable"}));
  chain = rig.Read(disk);
  EXPECT_TRUE(chain.tampered);
  EXPECT_TRUE(Names(chain, Finding::Kind::kMissing, lost)) << Show(chain);
}

TEST(RuleB2, ARolledFileThatIsGoneIsMissing) {
  Written w(true, 1024, 6);  // two sectors a file
  ASSERT_GE(w.disk.objects.size(), 6u);
  for (auto it = w.disk.objects.begin(); it != std::prev(w.disk.objects.end()); ++it) {
    auto saved = *it;
    w.disk.objects.erase(it);
    Chain chain = w.Read();
    EXPECT_TRUE(chain.tampered) << saved.first;
    // Of a lost barrier only the frame behind is known: 8 and 9 may never have been.
    bool barrier = saved.first == w.rig.Name(10);
    EXPECT_TRUE(Names(chain, Finding::Kind::kMissing, barrier ? "frames 8 to 11" : saved.first))
        << Show(chain);
    EXPECT_EQ(AdoptTail({chain}, {}).code(), Code::kMissing);
    it = w.disk.objects.insert(saved).first;
  }
}

// -- B3: openings and what they abandoned ------------------------------------------------------------------

// Opens after a crash, then lets the disk show again what the opener had cut away: as if it had crashed
// before trimming.
struct Abandoned {
  Abandoned() : disk(true) {
    Opener first(rig, disk);
    HF_CHECK(bool(first.Open()));
    HF_CHECK(bool(first.Write({"accepted"})));
    accepted = first.last;
    old_file = disk.objects.begin()->first;
    auto before = disk.objects;
    HF_CHECK(bool(first.Write({"whole, but late"})));
    HF_CHECK(bool(first.Write({"and another"})));
    auto late = disk.objects;
    disk.objects = before;
    Opener second(rig, disk);
    HF_CHECK(bool(second.Open()));
    HF_CHECK(bool(second.Write({"new history"})));
    position = second.position;
    disk.objects[old_file] = late[old_file];
  }
  Rig rig;
  TearingDisk disk;
  FramePosition accepted;
  LogPosition position;
  std::string old_file;
};

TEST(RuleB3, FramesBetweenTheAcceptedOneAndTheBarrierAreAbandonedEvenWhole) {
  Abandoned a;
  Chain chain = a.rig.Read(a.disk);
  EXPECT_FALSE(chain.tampered) << Show(chain);
  EXPECT_TRUE(chain.end == a.position);
  EXPECT_TRUE(Names(chain, Finding::Kind::kAbandoned, a.old_file)) << Show(chain);
}

TEST(RuleB3, NoBitOfAnAbandonedFrameMatters) {
  Abandoned a;
  Bytes& file = a.disk.objects[a.old_file];
  for (size_t at = 2 * kSector; at < 5 * kSector; ++at) {
    file[at] ^= 0x40;
    Chain chain = a.rig.Read(a.disk);
    file[at] ^= 0x40;
    ASSERT_FALSE(chain.tampered) << at << Show(chain);
    ASSERT_TRUE(chain.end == a.position);
  }
}

TEST(RuleB3, TheFrameThatABarrierAcceptedMustBeThereAndWhole) {
  Abandoned a;
  for (size_t at = kSector; at < 2 * kSector; ++at) {
    a.disk.objects[a.old_file][at] ^= 1;
    Chain chain = a.rig.Read(a.disk);
    a.disk.objects[a.old_file][at] ^= 1;
    ASSERT_TRUE(chain.tampered) << at;
    ASSERT_EQ(chain.links.size(), 1u);
  }
  // Torn as by a crash, but the opener had read it: no excuse. Nor is there one for --discard-tail.
  std::fill_n(a.disk.objects[a.old_file].begin() + kSector, kSector, uint8_t{0});
  ReadOptions options = a.rig.Options();
  options.discard_tail = true;
  EXPECT_TRUE(a.rig.Read(a.disk, options).tampered);
}

// A host can make up any name and any plain header. Counted on from there, the first opener would find no
// number left.
TEST(RuleB3, ANumberThatNobodyCanHaveReachedIsAlienAndDoesNotUseUpOurs) {
  for (bool append : {true, false}) {
    for (uint64_t number : {UINT64_MAX, UINT64_MAX - 1, uint64_t{1} << 63, kFrameNumbersAheadMax + 1}) {
      Written w(append);
      FrameNumber highest = w.chain.highest_number;
      w.disk.objects[w.rig.Name(number)] = Bytes();
      Chain chain = w.Read();
      EXPECT_FALSE(chain.tampered) << Show(chain);
      EXPECT_EQ(chain.highest_number, highest);
      EXPECT_TRUE(Names(chain, Finding::Kind::kAlien, w.rig.Name(number)));
      Opener o(w.rig, w.disk);
      ASSERT_TRUE(o.Open());
      ASSERT_TRUE(o.Write({"goes on"}));
      EXPECT_FALSE(w.Read().tampered);
    }
  }
}

TEST(RuleB3, AForgedHeaderDoesNotUseUpOurNumbers) {
  Written w(true);
  FrameNumber highest = w.chain.highest_number;
  Bytes forged = w.FrameAt(w.chain.links[0]);
  StoreLittle<uint64_t>(forged.data() + 16, UINT64_MAX);
  StoreLittle<uint32_t>(forged.data() + 8, Crc32c(ByteView(forged).subspan(12, kFrameHeaderBytes - 12)));
  forged.resize(limits::kSectorBytes);
  ASSERT_EQ(DecodeFrameHeader(forged).value().number, FrameNumber(UINT64_MAX));
  w.disk.objects[w.rig.Name(highest.value + 1)] = forged;
  EXPECT_LE(w.Read().highest_number, FrameNumber(highest.value + 1));
}

TEST(RuleB3, ABarrierThatWasTornIsAbandonedAndItsNumberNotUsedAgain) {
  for (bool append : {true, false}) {
    Written w(append);
    Bytes barrier = w.FrameAt(w.chain.links[0]);
    uint64_t number = w.chain.highest_number.value + 1;
    // Crash, crash, crash: nothing but zeros, nothing at all, a part of the first sector.
    w.disk.objects[w.rig.Name(number)] = Bytes(2048);
    w.disk.objects[w.rig.Name(number + 4)] = Bytes();
    w.disk.objects[w.rig.Name(number + 6)] = ToBytes(ByteView(barrier).first(100));
    Chain chain = w.Read();
    EXPECT_FALSE(chain.tampered) << Show(chain);
    EXPECT_EQ(chain.highest_number, FrameNumber(number + 6));
    Opener o(w.rig, w.disk);
    ASSERT_TRUE(o.Open());
    EXPECT_EQ(o.last.number, FrameNumber(number + 7));
    ASSERT_TRUE(o.Write({"goes on"}));
    chain = w.Read();
    EXPECT_FALSE(chain.tampered) << Show(chain);
    EXPECT_EQ(chain.end, o.position);
    ASSERT_TRUE(o.writer->CutBelow(FrameNumber(1)));  // abandoned ones go with the cut
    EXPECT_FALSE(w.disk.objects.contains(w.rig.Name(number)));
    EXPECT_FALSE(w.disk.objects.contains(w.rig.Name(number + 6)));
    EXPECT_EQ(w.Read().end, o.position);
  }
}

TEST(RuleB3, ABarrierMayPassOverAnotherBarrier) {
  Rig rig;
  TearingDisk disk(true);
  Opener a(rig, disk);
  ASSERT_TRUE(a.Open());
  ASSERT_TRUE(a.Write({"kept"}));
  auto before = disk.objects;
  Opener b(rig, disk);
  ASSERT_TRUE(b.Open());
  auto with_b = disk.objects;
  std::string barrier_b = disk.objects.rbegin()->first;
  disk.objects = before;
  disk.objects[barrier_b] = Bytes(600);  // torn when the third opener looked, so it accepted a's last frame
  Opener c(rig, disk);
  ASSERT_TRUE(c.Open());
  ASSERT_TRUE(c.Write({"goes on"}));
  disk.objects[barrier_b] = with_b[barrier_b];  // and now it is whole again
  Chain chain = rig.Read(disk);
  EXPECT_FALSE(chain.tampered) << Show(chain);
  EXPECT_EQ(chain.end, c.position);
  EXPECT_EQ(chain.highest_term, c.term);
}

TEST(RuleB3, WhatAnAbandonedBarrierAcceptedIsAbandonedToo) {
  Rig rig;
  TearingDisk disk(true);
  Opener a(rig, disk);
  ASSERT_TRUE(a.Open());
  auto before = disk.objects;
  ASSERT_TRUE(a.Write({"read by the second opener, then lost with its power"}));
  Opener b(rig, disk);
  ASSERT_TRUE(b.Open());
  auto with_b = disk.objects;
  disk.objects = before;
  disk.objects[rig.Name(b.last.number.value)] = {};
  Opener c(rig, disk);
  ASSERT_TRUE(c.Open());
  ASSERT_TRUE(c.Write({"goes on"}));
  for (auto& [name, bytes] : with_b) disk.objects[name] = bytes;  // a host that kept it all
  Chain chain = rig.Read(disk);
  EXPECT_FALSE(chain.tampered) << Show(chain);
  EXPECT_EQ(chain.end, c.position);
}

TEST(RuleB3, ABarrierUnderAnotherNameIsTampering) {
  Written w(true);
  auto last = *w.disk.objects.rbegin();
  w.disk.objects[w.rig.Name(w.chain.highest_number.value + 10)] = last.second;
  EXPECT_TRUE(w.Read().tampered);
}

TEST(RuleB3, ABarrierThatContradictsTheStartIsTampering) {
  Rig rig;
  TearingDisk disk(true);
  Opener a(rig, disk);
  ASSERT_TRUE(a.Open());
  auto early = disk.objects;
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(a.Write({"wave"}));
  JournalStart start{a.last, a.position};  // a save at its end
  auto late = disk.objects;
  disk.objects = early;  // an opener that was shown an old disk
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(Opener(rig, disk).Open());
  auto fork = *disk.objects.rbegin();
  disk.objects = late;
  disk.objects.insert(fork);
  Chain chain = rig.Read(disk, start);
  EXPECT_TRUE(chain.tampered) << Show(chain);
}

// -- starts, leftovers, aliens (D3, E) ---------------------------------------------------------------------

TEST(RuleD3, WhatLiesBelowTheStartIsNotNeeded) {
  for (bool append : {true, false}) {
    Written w(append);
    JournalStart start{w.link(1).position, {}};
    ASSERT_TRUE(Replay(w.disk, w.rig.keyring, w.rig.chain_key, w.rig.Options(), w.chain,
                       [&](const Entry&, const LogPosition& at, const FramePosition& frame) {
                         if (frame == start.frame) start.position = at;
                         return Ok();
                       }));
    const std::string own = w.link(1).object;
    for (auto& [name, bytes] : w.disk.objects)
      if (name < own) bytes[5] ^= 1;
    Chain chain = w.Read(start);
    EXPECT_FALSE(chain.tampered) << Show(chain);
    EXPECT_EQ(chain.links.size(), 2u);
    EXPECT_EQ(chain.end, w.position);
    EXPECT_TRUE(Names(chain, Finding::Kind::kLeftover, w.disk.objects.begin()->first));
    std::erase_if(w.disk.objects, [&](const auto& o) { return o.first < own; });
    EXPECT_EQ(w.Read(start).end, w.position);

    JournalStart wrong = start;
    wrong.frame.digest[0] ^= 1;
    EXPECT_TRUE(w.Read(wrong).tampered);
    wrong = start;
    wrong.position.chain[0] ^= 1;
    EXPECT_TRUE(w.Read(wrong).tampered);
    wrong = start;
    wrong.position.term = wrong.position.term.next();
    EXPECT_TRUE(w.Read(wrong).tampered);
    w.disk.objects.erase(own);
    chain = w.Read(start);
    EXPECT_TRUE(chain.tampered);
    EXPECT_TRUE(Names(chain, Finding::Kind::kMissing, "journal")) << Show(chain);
    EXPECT_EQ(AdoptTail({chain}, {}).code(), Code::kMissing);
  }
}

TEST(RuleE, AnythingElseInTheJournalIsAlienAndNamed) {
  Written w(true);
  for (const char* name : {"x", "00000000000000000001.tmp", "99999999999999999999"})
    w.disk.objects[JournalPrefix(w.rig.id.member) + name] = {1};
  Chain chain = w.Read();
  EXPECT_FALSE(chain.tampered);
  EXPECT_EQ(chain.end, w.position);
  EXPECT_EQ(chain.findings.size(), 3u);
  for (const Finding& f : chain.findings) EXPECT_EQ(f.kind, Finding::Kind::kAlien);
}

// -- B4, B5 ------------------------------------------------------------------------------------------------

TEST(RuleB4, BytesBehindAClosingFrameAreTampering) {
  Rig rig;
  TearingDisk disk(true);
  Opener o(rig, disk);
  ASSERT_TRUE(o.Open());
  ASSERT_TRUE(o.Write({"wave"}));
  ASSERT_TRUE(o.Close());
  Bytes& file = disk.objects.begin()->second;
  const Bytes closed = file;
  EXPECT_EQ(closed.size(), 3 * kSector);  // trimmed
  EXPECT_TRUE(rig.Read(disk).closed);
  for (size_t behind : {0u, 1u, 511u, 512u, 700u, 5000u}) {
    file = closed;
    file.resize(closed.size() + behind);
    Chain chain = rig.Read(disk);
    EXPECT_TRUE(chain.closed && !chain.tampered) << "zeros are absent bytes";
    file.push_back(1);
    chain = rig.Read(disk);
    EXPECT_TRUE(chain.tampered) << behind << Show(chain);
    EXPECT_FALSE(chain.closed);
  }
  file = closed;
  Frame f = o.Make(FrameKind::kWave, {});  // a frame that would continue it
  Append(file, rig.Seal(f).bytes);
  EXPECT_TRUE(rig.Read(disk).tampered);
}

TEST(RuleB4, AStoreThatWasClosedCleanlyOpensAgain) {
  for (bool append : {true, false}) {
    Rig rig;
    TearingDisk disk(append);
    for (int i = 0; i < 3; ++i) {
      Opener o(rig, disk);
      ASSERT_TRUE(o.Open());
      ASSERT_TRUE(o.Write({"wave"}));
      ASSERT_TRUE(o.Close());
      Chain chain = rig.Read(disk);
      EXPECT_TRUE(chain.closed && chain.findings.empty()) << Show(chain);
      EXPECT_EQ(chain.highest_number, o.last.number);  // nothing was in flight
    }
    disk.objects[rig.Name(rig.Read(disk).highest_number.value + 1)] = {};  // a crash in the next opening
    EXPECT_FALSE(rig.Read(disk).tampered);
  }
}

TEST(RuleB5, LossOfTheLastFrameLooksLikeACrashUnlessSomethingProvesIt) {
  for (bool append : {true, false}) {
    Written w(append);
    const Chain::Link l = w.link(0);
    if (append) {
      w.disk.objects[l.object].resize(l.offset);
    } else {
      w.disk.objects.erase(l.object);
    }
    Chain chain = w.Read();
    EXPECT_FALSE(chain.tampered) << "documented: only an anchor or a peer finds this";
    EXPECT_EQ(AdoptTail({chain}, w.position.index).code(), Code::kMissing);
    chain = w.ReadDurable();  // a save or an anchor knows better
    EXPECT_TRUE(chain.tampered);
    EXPECT_TRUE(Names(chain, Finding::Kind::kMissing, "journal"));
  }
}

}  // namespace
}  // namespace holdfast::journal
