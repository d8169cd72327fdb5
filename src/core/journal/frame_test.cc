#include <gtest/gtest.h>

#include <bit>

#include "base/crc32c.h"
#include "core/journal/frame_internal.h"
#include "core/journal/journal_rig_internal.h"
#include "crypto/hash.h"

namespace holdfast::journal {
namespace {

Frame Wave(uint64_t number, std::vector<std::string> payloads) {
  Frame f;
  f.number = FrameNumber(number);
  f.term = Term(3);
  f.vote.bytes[0] = 9;
  f.watermark = LogIndex(5);
  f.before = {FrameNumber(number - 1), crypto::Sha256(AsBytes("before"))};
  f.first_index = LogIndex(6);
  f.chain_before = crypto::Sha256(AsBytes("chain"));
  for (auto& p : payloads) f.entries.push_back({EntryKind::kBatch, Term(3), ToBytes(std::string_view(p))});
  return f;
}

TEST(Frame, SaysAllOfItselfAgain) {
  Rig rig;
  Frame f = Wave(7, {"one", "", std::string(70'000, 'x')});
  f.truncate_from = LogIndex(2);
  f.kind = FrameKind::kClosing;
  SealedFrame sealed = rig.Seal(f);
  EXPECT_EQ(sealed.digest, crypto::Sha256(sealed.bytes));
  Frame g = OpenFrame(rig.id, rig.keyring, sealed.bytes).value();
  EXPECT_EQ(g.kind, f.kind);
  EXPECT_EQ(g.number, f.number);
  EXPECT_EQ(g.term, f.term);
  EXPECT_EQ(g.vote, f.vote);
  EXPECT_EQ(g.watermark, f.watermark);
  EXPECT_EQ(g.truncate_from, f.truncate_from);
  EXPECT_EQ(g.before, f.before);
  EXPECT_EQ(g.first_index, f.first_index);
  EXPECT_EQ(g.chain_before, f.chain_before);
  EXPECT_EQ(g.entries, f.entries);
}

TEST(RuleB1, FramesFillWholeSectorsOfASizeClassAndCrowdNoClass) {
  Rig rig;
  size_t last = 0;
  for (size_t payload = 0; payload < 6000; payload += 37) {
    size_t size = rig.Seal(Wave(1, {std::string(payload, 'x')})).bytes.size();
    size_t needed = 128 + 16 + kFrameFixedTextBytes + kEntryFixedBytes + payload;
    size_t sectors = size / limits::kSectorBytes;
    EXPECT_EQ(size % limits::kSectorBytes, 0u);
    EXPECT_TRUE(std::has_single_bit(sectors) || (sectors % 3 == 0 && std::has_single_bit(sectors / 3)))
        << sectors;
    EXPECT_GE(size, needed);
    EXPECT_TRUE(size == limits::kSectorBytes || size <= needed + needed / 2 + limits::kSectorBytes)
        << payload;
    EXPECT_GE(size, last);
    last = size;
  }
}

TEST(RuleB1, SizeClassesAreThoseOfTheFormatAndEndWithTheLargestFrame) {
  std::vector<uint64_t> classes;
  for (uint64_t s = 1; s <= 64; ++s)
    if (SizeClass(s) == s) classes.push_back(s);
  EXPECT_EQ(classes, (std::vector<uint64_t>{1,  2,  3,  4,  6,  8,  12, 16, 18, 20, 22, 24,
                                            26, 28, 30, 32, 36, 40, 44, 48, 52, 56, 60, 64}));
  // All that stores were written with before there were finer ones.
  for (uint64_t s = 1; s <= 65'536; s *= 2)
    EXPECT_TRUE(SizeClass(s) == s && SizeClass(3 * s) == std::min<uint64_t>(3 * s, 81'920));
  for (uint64_t s = 17; s <= 81'920; ++s) ASSERT_LE(SizeClass(s), s + s / 8);
  for (uint64_t s = 1; s <= limits::kFrameBytesMax / limits::kSectorBytes; ++s) ASSERT_GE(SizeClass(s), s);
  EXPECT_EQ(SizeClass(73'729), limits::kFrameBytesMax / limits::kSectorBytes);
}

TEST(RuleB1, TheLargestFrameThatMayBeSealedOpens) {
  Rig rig;
  Frame f = Wave(1, {std::string(kFrameTextBytesMax - kFrameFixedTextBytes - kEntryFixedBytes, 'x')});
  SealedFrame sealed = rig.Seal(f);
  EXPECT_EQ(sealed.bytes.size(), limits::kFrameBytesMax);
  EXPECT_EQ(OpenFrame(rig.id, rig.keyring, sealed.bytes).value().entries, f.entries);
}

TEST(RuleB1, EveryFlippedBitIsFound) {
  Rig rig;
  Bytes bytes = rig.Seal(Wave(7, {"payload"})).bytes;
  ASSERT_EQ(bytes.size(), limits::kSectorBytes);
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    Bytes changed = bytes;
    changed[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
    EXPECT_FALSE(OpenFrame(rig.id, rig.keyring, changed)) << bit;
    // The header has its own CRC: damage there shows before any key is used.
    EXPECT_EQ(DecodeFrameHeader(changed).has_value(), bit / 8 >= kFrameHeaderBytes) << bit;
  }
}

TEST(RuleB1, EveryTruncationIsFound) {
  Rig rig;
  Bytes bytes = rig.Seal(Wave(7, {"payload"})).bytes;
  for (size_t n = 0; n < bytes.size(); ++n)
    EXPECT_FALSE(OpenFrame(rig.id, rig.keyring, ByteView(bytes).first(n))) << n;
}

// The attacker can make the CRC right again; what it protects must then fail under the key.
TEST(Frame, AForgedHeaderWithARightChecksumDoesNotOpen) {
  Rig rig;
  Bytes bytes = rig.Seal(Wave(7, {"payload"})).bytes;
  for (size_t at = 12; at < kFrameHeaderBytes; ++at) {
    Bytes changed = bytes;
    changed[at] ^= 1;
    StoreLittle(changed.data() + 8, Crc32c(ByteView(changed).subspan(12, kFrameHeaderBytes - 12)));
    EXPECT_FALSE(OpenFrame(rig.id, rig.keyring, changed)) << at;
  }
}

TEST(Frame, OpensForItsOwnStoreMemberAndKeysOnly) {
  Rig rig, other(2);
  Bytes bytes = rig.Seal(Wave(7, {"payload"})).bytes;
  EXPECT_EQ(OpenFrame({other.id.store, rig.id.member}, rig.keyring, bytes).code(), Code::kAuthFailed);
  EXPECT_EQ(OpenFrame({rig.id.store, other.id.member}, rig.keyring, bytes).code(), Code::kAuthFailed);
  EXPECT_EQ(OpenFrame(rig.id, other.keyring, bytes).code(), Code::kAuthFailed);
  SealedFrame later =
      SealFrame(rig.id, rig.keyring.JournalKeys(Epoch(1)).value(), Epoch(2), Wave(7, {}), rig.random);
  EXPECT_EQ(OpenFrame(rig.id, rig.keyring, later.bytes).code(), Code::kNoKey);
}

TEST(Frame, SaysWhyAHeaderIsRefused) {
  Rig rig;
  Bytes bytes = rig.Seal(Wave(7, {})).bytes;
  EXPECT_EQ(DecodeFrameHeader(ByteView(bytes).first(127)).code(), Code::kMalformed);
  Bytes newer = bytes;
  newer[12] = 2;
  EXPECT_EQ(DecodeFrameHeader(newer).code(), Code::kChecksum);
  StoreLittle(newer.data() + 8, Crc32c(ByteView(newer).subspan(12, kFrameHeaderBytes - 12)));
  EXPECT_EQ(DecodeFrameHeader(newer).code(), Code::kUnknownFormat);
  for (uint32_t sectors : {0u, 5u, 7u, 81'921u, 98'304u, 0xFFFFFFFFu}) {
    Bytes forged = bytes;
    StoreLittle(forged.data() + 24, sectors);
    StoreLittle(forged.data() + 8, Crc32c(ByteView(forged).subspan(12, kFrameHeaderBytes - 12)));
    EXPECT_EQ(DecodeFrameHeader(forged).code(), Code::kMalformed) << sectors;
  }
}

// Only who has the key can make these; a bug of ours must still not read outside or take memory.
TEST(Frame, RefusesSealedTextThatIsNoFrame) {
  Rig rig;
  seal::DomainKeys keys = rig.keyring.JournalKeys(Epoch(1)).value();
  auto open = [&](uint64_t number, Bytes text) {
    Bytes b = SealFrameText(rig.id, keys, Epoch(1), FrameKind::kWave, FrameNumber(number), std::move(text),
                            rig.random);
    return OpenFrame(rig.id, rig.keyring, b);
  };
  Bytes text(kFrameFixedTextBytes);
  StoreLittle<uint64_t>(text.data(), 7);
  StoreLittle<uint64_t>(text.data() + 88, 1);  // first index
  ASSERT_TRUE(open(7, text));
  EXPECT_EQ(open(8, text).code(), Code::kTampered);  // another number inside
  Bytes no_index = text;
  no_index[88] = 0;
  EXPECT_EQ(open(7, no_index).code(), Code::kMalformed);
  Bytes many = text;
  StoreLittle<uint32_t>(many.data() + kFrameFixedTextBytes - 4, 0xFFFFFFFF);
  EXPECT_EQ(open(7, many).code(), Code::kMalformed);
  Bytes junk = text;
  junk.push_back(1);
  EXPECT_EQ(open(7, junk).code(), Code::kMalformed);  // padding is zeros
  Bytes unknown = text;
  unknown[kFrameFixedTextBytes - 4] = 1;
  unknown.resize(text.size() + kEntryFixedBytes);
  for (uint8_t kind : Bytes{0, 11, 255}) {
    unknown[kFrameFixedTextBytes] = kind;
    EXPECT_EQ(open(7, unknown).code(), Code::kMalformed) << int(kind);
  }
}

TEST(RuleA1, TheSameFrameSealedTwiceSharesNoSector) {
  Rig rig;
  Bytes a = rig.Seal(Wave(7, {std::string(3000, 'x')})).bytes;
  Bytes b = rig.Seal(Wave(7, {std::string(3000, 'x')})).bytes;
  ASSERT_EQ(a.size(), b.size());
  for (size_t at = kFrameHeaderBytes; at + 16 <= a.size(); at += 16)
    EXPECT_FALSE(Equal(ByteView(a).subspan(at, 16), ByteView(b).subspan(at, 16))) << at;
}

TEST(FrameName, IsReadBackAndNothingElseIs) {
  Rig rig;
  for (uint64_t n : {uint64_t{1}, uint64_t{10'000'000}, UINT64_MAX})
    EXPECT_EQ(FrameOfName(rig.id.member, rig.Name(n)), FrameNumber(n));
  EXPECT_TRUE(seam::ValidName(rig.Name(UINT64_MAX)));
  std::string name = rig.Name(5), prefix = JournalPrefix(rig.id.member);
  EXPECT_EQ(name, prefix + "00000000000000000005");
  for (const std::string& bad :
       {prefix, name + "0", name.substr(0, name.size() - 1), prefix + "0000000000000000000x",
        prefix + "18446744073709551616", prefix + "99999999999999999999", "x" + name.substr(1),
        FrameName(MemberId(), FrameNumber(5))})
    EXPECT_FALSE(FrameOfName(rig.id.member, bad)) << bad;
}

TEST(FrameName, MayBearTheTermAndIsReadBackWithIt) {
  Rig rig;
  const MemberId& member = rig.id.member;
  std::string name = FrameNameOfTerm(member, FrameNumber(5), Term(70'000));
  EXPECT_EQ(name, rig.Name(5) + ".00000000000000070000");
  EXPECT_TRUE(seam::ValidName(FrameNameOfTerm(member, FrameNumber(UINT64_MAX), Term(UINT64_MAX))));
  EXPECT_EQ(FrameOfName(member, name), FrameNumber(5));
  EXPECT_EQ(TermOfName(member, name), Term(70'000));
  EXPECT_FALSE(TermOfName(member, rig.Name(5)));
  EXPECT_LT(rig.Name(5), name);
  EXPECT_LT(name, rig.Name(6));
  for (const std::string& bad : {rig.Name(5) + ".", name + "0", rig.Name(5) + "x00000000000000070000",
                                 rig.Name(5) + ".0000000000000007000x", name.substr(0, name.size() - 1)})
    EXPECT_FALSE(FrameOfName(member, bad)) << bad;
}

TEST(Entry, ChainsAsTheFormatSays) {
  Rig rig;
  Entry e{EntryKind::kBatch, Term(3), ToBytes(std::string_view("payload"))};
  LogPosition before{LogIndex(8), Term(2), crypto::Sha256(AsBytes("x"))};
  Bytes text = ToBytes(ByteView(before.chain));
  Writer(text).U64(9).U64(3).U8(2).Blob32(e.payload);
  LogPosition after = Extend(rig.chain_key, before, e);
  EXPECT_EQ(after, (LogPosition{LogIndex(9), Term(3), crypto::HmacSha256(rig.chain_key.view(), {text})}));
}

TEST(Entry, TheChainChangesWithAnythingInIt) {
  Rig rig;
  Entry e{EntryKind::kBatch, Term(3), {1}};
  LogPosition p;
  Digest d = Extend(rig.chain_key, p, e).chain;
  EXPECT_NE(d, Extend(rig.random.NewKey(), p, e).chain);
  EXPECT_NE(d, Extend(rig.chain_key, {LogIndex(1), {}, {}}, e).chain);
  EXPECT_NE(d, Extend(rig.chain_key, {{}, {}, crypto::Sha256(ByteView())}, e).chain);
  EXPECT_NE(d, Extend(rig.chain_key, p, {EntryKind::kSavePoint, Term(3), {1}}).chain);
  EXPECT_NE(d, Extend(rig.chain_key, p, {EntryKind::kBatch, Term(4), {1}}).chain);
  EXPECT_NE(d, Extend(rig.chain_key, p, {EntryKind::kBatch, Term(3), {2}}).chain);
  EXPECT_NE(d, Extend(rig.chain_key, p, {EntryKind::kBatch, Term(3), {1, 0}}).chain);
}

}  // namespace
}  // namespace holdfast::journal
