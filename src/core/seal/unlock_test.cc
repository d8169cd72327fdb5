#include "core/seal/unlock.h"

#include "core/seal/attack_internal.h"
#include "crypto/hash.h"
#include "vector_file.h"

namespace holdfast::seal {
namespace {

using attack::CodeOf;
using attack::FixedKey;
using attack::FixedStore;
using vectors::LoadOne;
using vectors::RepeatingRandom;

constexpr crypto::Argon2Parameters kQuick{8, 1};
constexpr size_t kUnlockerAt = 28, kMemoryAt = kUnlockerAt + 4, kPassesAt = kUnlockerAt + 8,
                 kSaltAt = kUnlockerAt + 12;
constexpr size_t kCheckAt = kUnlockerAt + 44, kWrappedAt = kCheckAt + 32, kUnlockerBytes = 124;

Bytes Record(std::string_view passphrase = "right", uint8_t salt = 5) {
  RepeatingRandom random(Bytes(16, salt));
  return MakeUnlockers(FixedStore(7), FixedKey(9), AsBytes(passphrase), kQuick, random).value();
}

// Puts a right checksum over a changed record: anybody can, it has no key.
Bytes WithChecksum(Bytes record) {
  size_t n = record.size() - 32;
  Digest d = crypto::Sha256(ByteView(record).first(n));
  std::copy(d.begin(), d.end(), record.begin() + static_cast<ptrdiff_t>(n));
  return record;
}

Bytes With32(Bytes record, size_t at, uint32_t v) {
  StoreLittle(record.data() + at, v);
  return WithChecksum(std::move(record));
}

Code Try(ByteView record, std::string_view passphrase = "right") {
  return CodeOf(Unlock(record, AsBytes(passphrase)));
}

TEST(Unlockers, AreByteForByteWhatAnotherImplementationMakes) {
  vectors::Block b = LoadOne("unlockers.txt", "one");
  RepeatingRandom random(b.Hex("salt"));
  Result<Bytes> record = MakeUnlockers(
      b.Id<StoreId>("store"), b.Key("master"), b.Hex("passphrase"),
      {static_cast<uint32_t>(b.Number("memory_kib")), static_cast<uint32_t>(b.Number("passes"))}, random);
  ASSERT_TRUE(record);
  EXPECT_EQ(HexUpper(*record), HexUpper(b.Hex("record")));
}

TEST(Unlockers, MadeByAnotherImplementationOpenWithEachOfTheirPassphrases) {
  for (const vectors::Block& b : vectors::Load("unlockers.txt")) {
    for (const char* which : {"passphrase", "second_passphrase"}) {
      if (!b.values.contains(which)) continue;
      Result<Key> master = Unlock(b.Hex("record"), b.Hex(which));
      ASSERT_TRUE(master) << b.name << " " << which;
      EXPECT_TRUE(Equal(master->view(), LoadOne("unlockers.txt", "one").Hex("master")))
          << b.name << " " << which;
    }
    EXPECT_EQ(Try(b.Hex("record"), "neither"), Code::kWrongPassphrase) << b.name;
  }
}

TEST(StoreKeys, AreThoseOfAnotherImplementation) {
  vectors::Block b = LoadOne("keys.txt", "store");
  StoreKeys k = StoreKeys::Derive(b.Key("master"), b.Id<StoreId>("store"));
  EXPECT_EQ(HexUpper(k.slot_root.view()), HexUpper(b.Hex("slot_root")));
  EXPECT_EQ(HexUpper(k.keyring_root.view()), HexUpper(b.Hex("keyring_root")));
  EXPECT_EQ(HexUpper(k.save_number.view()), HexUpper(b.Hex("save_number")));
  EXPECT_EQ(HexUpper(k.anchor.view()), HexUpper(b.Hex("anchor")));
  EXPECT_EQ(HexUpper(k.root.view()), HexUpper(b.Hex("root")));
  EXPECT_EQ(HexUpper(k.chain.view()), HexUpper(b.Hex("chain")));
}

TEST(StoreKeys, DifferBetweenStoresOfOneMaster) {
  EXPECT_FALSE(Equal(StoreKeys::Derive(FixedKey(1), FixedStore(1)).anchor.view(),
                     StoreKeys::Derive(FixedKey(1), FixedStore(2)).anchor.view()));
}

TEST(Unlockers, GiveBackTheMasterAndNameTheirStore) {
  Result<Key> master = Unlock(Record(), AsBytes("right"));
  ASSERT_TRUE(master);
  EXPECT_TRUE(Equal(master->view(), FixedKey(9).view()));
  EXPECT_EQ(UnlockersStore(Record()).value(), FixedStore(7));
}

TEST(RuleG2, AWrongPassphraseIsNeverReportedAsTampering) {
  for (std::string_view p : {"", "Right", "right ", "righ", "wrong"})
    EXPECT_EQ(Try(Record(), p), Code::kWrongPassphrase);
  EXPECT_EQ(Try(Record(""), "right"), Code::kWrongPassphrase);
  EXPECT_EQ(CodeExit(Code::kWrongPassphrase), 1);
}

TEST(RuleG2, NoFlippedBitIsReportedAsAWrongPassphrase) {
  for (std::string_view passphrase : {"right", "wrong"}) {
    attack::FlipEveryBit(
        Record(), [&](ByteView b) { return Try(b, passphrase); },
        [](size_t byte) { return byte < 8 ? Code::kMalformed : Code::kChecksum; });
  }
  attack::FlipEveryBit(
      Record(), [&](ByteView b) { return CodeOf(UnlockersStore(b)); },
      [](size_t byte) { return byte < 8 ? Code::kMalformed : Code::kChecksum; });
}

TEST(Unlockers, EveryTruncationIsFoundAndNoneIsAWrongPassphrase) {
  attack::CutEverywhere(
      Record(), [&](ByteView b) { return Try(b, "wrong"); },
      [](size_t n) { return n < 60 ? Code::kMalformed : Code::kChecksum; });
  Bytes longer = Record();
  longer.push_back(0);
  EXPECT_EQ(Try(longer), Code::kChecksum);
}

TEST(Unlockers, AnUnlockerCutOutOrDoubledUnderARightChecksumIsMalformed) {
  for (size_t count : {0u, 2u, 17u, 0xFFFFu}) {
    Bytes record = Record();
    StoreLittle(record.data() + 10, static_cast<uint16_t>(count));
    EXPECT_EQ(Try(WithChecksum(record)), Code::kMalformed) << count;
  }
  Bytes none = Record();
  none.erase(none.begin() + kUnlockerAt, none.begin() + kUnlockerAt + kUnlockerBytes);
  StoreLittle<uint16_t>(none.data() + 10, 0);
  EXPECT_EQ(Try(WithChecksum(none)), Code::kMalformed);
}

TEST(Unlockers, AnUnknownVersionKindOrAlgorithmIsAnUnknownFormat) {
  Bytes version = Record(), kind = Record(), algorithm = Record();
  version[8] = 2;
  kind[kUnlockerAt] = 2;
  algorithm[kUnlockerAt + 1] = 2;
  for (const Bytes& b : {version, kind, algorithm}) EXPECT_EQ(Try(WithChecksum(b)), Code::kUnknownFormat);
}

TEST(Unlockers, AnUnlockerOfALaterKindDoesNotStandInThePassphrasesWay) {
  Bytes record = LoadOne("unlockers.txt", "two").Hex("record");
  record[kUnlockerAt] = 2;
  Bytes changed = WithChecksum(record);
  EXPECT_TRUE(Unlock(changed, LoadOne("unlockers.txt", "two").Hex("second_passphrase")));
  EXPECT_EQ(CodeOf(Unlock(changed, LoadOne("unlockers.txt", "two").Hex("passphrase"))),
            Code::kWrongPassphrase);
}

// 2 GiB and more are asked for; that this test ends at once shows that nobody computed.
TEST(RuleG2, StoredParametersOutOfBoundsAreRefusedBeforeMemoryIsTaken) {
  for (uint32_t memory : {0u, 7u, limits::kArgonMemoryKiBMax + 1, UINT32_MAX}) {
    EXPECT_EQ(Try(With32(Record(), kMemoryAt, memory)), Code::kKdfBounds) << memory;
  }
  for (uint32_t passes : {0u, limits::kArgonPassesMax + 1, UINT32_MAX}) {
    EXPECT_EQ(Try(With32(Record(), kPassesAt, passes)), Code::kKdfBounds) << passes;
  }
}

TEST(RuleG2, OneWildUnlockerIsRefusedBeforeTheOthersAreTried) {
  vectors::Block b = LoadOne("unlockers.txt", "two");
  Bytes record = With32(b.Hex("record"), kMemoryAt + kUnlockerBytes, UINT32_MAX);
  EXPECT_EQ(CodeOf(Unlock(record, b.Hex("passphrase"))), Code::kKdfBounds);
}

// The checksum has no key, so whoever writes the record can repair it. What then remains: the check value and
// the tag.
TEST(RuleG2, AChangedWrappedMasterUnderARightChecksumIsTamperingAndNotAWrongPassphrase) {
  Bytes record = Record();
  for (size_t byte = kWrappedAt; byte < kWrappedAt + 48; ++byte) {
    Bytes b = record;
    b[byte] ^= 0x10;
    EXPECT_EQ(CodeName(Try(WithChecksum(b))), "kAuthFailed") << byte;
    EXPECT_EQ(CodeName(Try(WithChecksum(b), "wrong")), "kWrongPassphrase") << byte;
  }
}

TEST(Unlockers, ReservedFieldsAreAuthenticated) {
  for (size_t byte :
       {kUnlockerAt + 2, kUnlockerAt + 3, kUnlockerAt + 28, kUnlockerAt + 32, kUnlockerAt + 43}) {
    Bytes b = Record();
    b[byte] ^= 1;
    EXPECT_EQ(CodeName(Try(WithChecksum(b))), "kAuthFailed") << byte;
  }
}

// What cannot be told from a wrong passphrase by anybody who has only this record: another salt, other
// parameters, another check value, another store id. The copies in the slots, which a key protects, tell
// (rule G1).
TEST(Unlockers, WhatChangesTheDerivedKeyReadsAsAWrongPassphrase) {
  for (size_t byte : {size_t{12}, kSaltAt, kCheckAt}) {
    Bytes b = Record();
    b[byte] ^= 1;
    EXPECT_EQ(Try(WithChecksum(b)), Code::kWrongPassphrase) << byte;
  }
  EXPECT_EQ(Try(With32(Record(), kMemoryAt, 16)), Code::kWrongPassphrase);
  EXPECT_EQ(Try(With32(Record(), kPassesAt, 2)), Code::kWrongPassphrase);
}

TEST(Unlockers, ARecordOfAnotherStoreWithTheSamePassphraseYieldsAnotherMaster) {
  RepeatingRandom random(Bytes(16, 5));
  Bytes other = MakeUnlockers(FixedStore(8), FixedKey(10), AsBytes("right"), kQuick, random).value();
  EXPECT_EQ(UnlockersStore(other).value(), FixedStore(8));
  EXPECT_TRUE(Equal(Unlock(other, AsBytes("right")).value().view(), FixedKey(10).view()));
  Bytes crossed = Record();  // its unlocker under our store's head
  std::copy(other.begin() + kUnlockerAt, other.begin() + kUnlockerAt + kUnlockerBytes,
            crossed.begin() + kUnlockerAt);
  EXPECT_EQ(Try(WithChecksum(crossed)), Code::kWrongPassphrase);
}

TEST(Unlockers, EveryRecordDrawsAFreshSalt) {
  crypto::SeededRandom random(1);
  Bytes a = MakeUnlockers(FixedStore(7), FixedKey(9), AsBytes("right"), kQuick, random).value();
  Bytes b = MakeUnlockers(FixedStore(7), FixedKey(9), AsBytes("right"), kQuick, random).value();
  EXPECT_FALSE(Equal(ByteView(a).subspan(kSaltAt, 16), ByteView(b).subspan(kSaltAt, 16)));
  EXPECT_FALSE(Equal(ByteView(a).subspan(kCheckAt, 80), ByteView(b).subspan(kCheckAt, 80)));
}

TEST(Unlockers, AreNotMadeWithParametersThatCouldNotBeRead) {
  RepeatingRandom random(Bytes(16, 5));
  EXPECT_EQ(CodeOf(MakeUnlockers(FixedStore(7), FixedKey(9), AsBytes("p"), {7, 1}, random)),
            Code::kKdfBounds);
  EXPECT_EQ(CodeOf(MakeUnlockers(FixedStore(7), FixedKey(9), AsBytes("p"), {8, 0}, random)),
            Code::kKdfBounds);
  Bytes endless(limits::kPassphraseBytesMax + 1, 'x');
  EXPECT_EQ(CodeOf(MakeUnlockers(FixedStore(7), FixedKey(9), endless, kQuick, random)), Code::kTooLarge);
}

// ---- several side by side
using Kind = UnlockerChange::Kind;
Result<Bytes> Change(ByteView record, std::string_view passphrase, Kind kind, std::string_view to,
                     uint32_t number = 0, uint8_t salt = 6) {
  RepeatingRandom random(Bytes(16, salt));
  return ChangeUnlockers(record, AsBytes(passphrase), {kind, SecretBytes(AsBytes(to)), number}, kQuick,
                         random);
}

TEST(Unlockers, SeveralPassphrasesEachOpenTheSameStore) {
  Bytes record = Record();
  for (int i = 0; i < 4; ++i)
    record = Change(record, "right", Kind::kAdd, "more " + std::to_string(i), 0, static_cast<uint8_t>(10 + i))
                 .value();
  for (std::string_view each : {"right", "more 0", "more 3"})
    EXPECT_TRUE(Equal(Unlock(record, AsBytes(each)).value().view(), FixedKey(9).view())) << each;
  EXPECT_EQ(Try(record, "more 4"), Code::kWrongPassphrase);
  std::vector<UnlockerInfo> list = ListUnlockers(record).value();
  ASSERT_EQ(list.size(), 5u);
  EXPECT_EQ(list[4].number, 5u);
  EXPECT_EQ(list[4].parameters.memory_kib, kQuick.memory_kib);
}

TEST(Unlockers, AChangeLeavesTheOthersByteForByte) {
  Bytes two = Change(Record(), "right", Kind::kAdd, "second").value();
  auto unlocker = [](ByteView record, size_t i) {
    return record.subspan(kUnlockerAt + i * kUnlockerBytes, kUnlockerBytes);
  };
  EXPECT_TRUE(Equal(unlocker(two, 0), unlocker(Record(), 0)));
  Bytes replaced = Change(two, "second", Kind::kReplace, "third", 0, 7).value();
  EXPECT_TRUE(Equal(unlocker(replaced, 0), unlocker(two, 0)));
  EXPECT_FALSE(Equal(unlocker(replaced, 1), unlocker(two, 1)));
  EXPECT_EQ(Try(replaced, "second"), Code::kWrongPassphrase);
  EXPECT_TRUE(Unlock(replaced, AsBytes("third")));
  Bytes removed = Change(replaced, "third", Kind::kRemove, "", 1).value();
  EXPECT_TRUE(Equal(unlocker(removed, 0), unlocker(replaced, 1)));
  EXPECT_EQ(Try(removed, "right"), Code::kWrongPassphrase);
  EXPECT_EQ(ListUnlockers(removed).value().size(), 1u);
}

TEST(Unlockers, NobodyLocksHimselfOutAndNothingIsAddedTwice) {
  Bytes two = Change(Record(), "right", Kind::kAdd, "second").value();
  EXPECT_EQ(CodeOf(Change(two, "right", Kind::kRemove, "", 1)), Code::kInvalidArgument) << "the one given";
  EXPECT_EQ(CodeOf(Change(Record(), "right", Kind::kRemove, "", 1)), Code::kInvalidArgument)
      << "the last one";
  for (uint32_t number : {0u, 3u, UINT32_MAX})
    EXPECT_EQ(CodeOf(Change(two, "right", Kind::kRemove, "", number)), Code::kNotFound) << number;
  for (Kind kind : {Kind::kAdd, Kind::kReplace}) {
    EXPECT_EQ(CodeOf(Change(two, "right", kind, "second")), Code::kExists);
    EXPECT_EQ(CodeOf(Change(two, "wrong", kind, "new")), Code::kWrongPassphrase);
  }
  EXPECT_EQ(CodeOf(Change(two, "right", Kind::kAdd, "right")), Code::kExists);
  EXPECT_TRUE(Change(two, "right", Kind::kReplace, "right")) << "a new record for the same passphrase";
  EXPECT_EQ(CodeOf(Change(two, "wrong", Kind::kRemove, "", 1)), Code::kWrongPassphrase);
  Bytes damaged = two;
  damaged[40] ^= 1;
  EXPECT_EQ(CodeOf(Change(damaged, "right", Kind::kAdd, "new")), Code::kChecksum);
}

TEST(Unlockers, NoMoreThanTheLimitAreTaken) {
  Bytes record = Record();
  for (size_t i = 1; i < limits::kUnlockersMax; ++i)
    record = Change(record, "right", Kind::kAdd, "more " + std::to_string(i), 0, static_cast<uint8_t>(10 + i))
                 .value();
  EXPECT_EQ(CodeOf(Change(record, "right", Kind::kAdd, "one too many")), Code::kTooLarge);
  EXPECT_TRUE(Change(record, "right", Kind::kReplace, "instead"));
}

TEST(Unlockers, OneOfALaterKindIsKeptThoughItIsNotUnderstood) {
  Bytes two = Change(Record(), "right", Kind::kAdd, "second").value();
  two[kUnlockerAt + kUnlockerBytes] = 2;
  Bytes later = WithChecksum(two);
  EXPECT_FALSE(ListUnlockers(later).value()[1].passphrase);
  Bytes three = Change(later, "right", Kind::kAdd, "third", 0, 8).value();
  EXPECT_TRUE(Equal(ByteView(three).subspan(kUnlockerAt, 2 * kUnlockerBytes),
                    ByteView(later).subspan(kUnlockerAt, 2 * kUnlockerBytes)));
}

}  // namespace
}  // namespace holdfast::seal
