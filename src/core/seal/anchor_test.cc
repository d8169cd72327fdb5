#include "core/seal/anchor.h"

#include "core/seal/attack_internal.h"
#include "vector_file.h"

namespace holdfast::seal {
namespace {

using attack::CodeOf;
using attack::FixedKey;
using attack::FixedStore;

Anchor Sample() {
  Anchor a{.store = FixedStore(7), .term = Term(3), .index = LogIndex(1000), .save = SaveNumber(5)};
  a.chain.fill(0xCC);
  return a;
}

TEST(Anchor, IsByteForByteWhatAnotherImplementationMakesAndReadsBack) {
  vectors::Block b = vectors::LoadOne("anchor.txt", "anchor");
  Anchor a{.store = b.Id<StoreId>("store"),
           .term = Term(b.Number("term")),
           .index = LogIndex(b.Number("index")),
           .save = SaveNumber(b.Number("save"))};
  Bytes chain = b.Hex("chain");
  std::copy(chain.begin(), chain.end(), a.chain.begin());
  EXPECT_EQ(HexUpper(a.Encode(b.Key("key"))), HexUpper(b.Hex("bytes")));
  EXPECT_EQ(Anchor::Decode(b.Key("key"), a.store, b.Hex("bytes")).value(), a);
}

TEST(RuleF2, EveryFlippedBitOfAnAnchorIsFoundAndNamed) {
  attack::FlipEveryBit(
      Sample().Encode(FixedKey(1)),
      [](ByteView b) { return CodeOf(Anchor::Decode(FixedKey(1), FixedStore(7), b)); },
      [](size_t byte) {
        return byte < 8 ? Code::kMalformed : byte < 24 ? Code::kForeign : Code::kAuthFailed;
      });
}

TEST(RuleF2, AnAnchorOfAnotherSizeIsNone) {
  Bytes whole = Sample().Encode(FixedKey(1));
  ASSERT_EQ(whole.size(), kAnchorBytes);
  auto open = [](ByteView b) { return CodeOf(Anchor::Decode(FixedKey(1), FixedStore(7), b)); };
  attack::CutEverywhere(whole, open, [](size_t) { return Code::kMalformed; });
  whole.push_back('\n');
  EXPECT_EQ(open(whole), Code::kMalformed);
}

TEST(RuleF2, AnAnchorOfAnotherStoreIsForeignAndOneUnderAnotherKeyIsForged) {
  Bytes whole = Sample().Encode(FixedKey(1));
  EXPECT_EQ(CodeOf(Anchor::Decode(FixedKey(1), FixedStore(8), whole)), Code::kForeign);
  EXPECT_EQ(CodeOf(Anchor::Decode(FixedKey(2), FixedStore(7), whole)), Code::kAuthFailed);
}

// ---- the short form
std::string Short() { return Sample().ShortForm(FixedKey(1)); }
Code ReadCode(std::string_view text, uint8_t key = 1, uint8_t store = 7) {
  return CodeOf(AnchorClaim::Read(FixedKey(key), FixedStore(store), AsBytes(text)));
}

TEST(ShortAnchor, IsLetterForLetterWhatAnotherImplementationMakes) {
  vectors::Block b = vectors::LoadOne("anchor.txt", "short anchor");
  Anchor a{.store = b.Id<StoreId>("store"),
           .term = Term(b.Number("term")),
           .index = LogIndex(b.Number("index")),
           .save = SaveNumber(b.Number("save"))};
  Bytes chain = b.Hex("chain");
  std::copy(chain.begin(), chain.end(), a.chain.begin());
  EXPECT_EQ(a.ShortForm(b.Key("key")), b.Text("text"));
}

TEST(ShortAnchor, SaysWhereAndNamesOnlyTheChainItWasMadeFrom) {
  auto claim = AnchorClaim::Read(FixedKey(1), FixedStore(7), AsBytes(Short()));
  ASSERT_TRUE(claim);
  Anchor a = Sample();
  EXPECT_EQ(claim->term, a.term);
  EXPECT_EQ(claim->index, a.index);
  EXPECT_EQ(claim->save, a.save);
  EXPECT_TRUE(claim->Names(FixedKey(1), a.store, a.term, a.chain));
  EXPECT_FALSE(claim->Names(FixedKey(2), a.store, a.term, a.chain));
  EXPECT_FALSE(claim->Names(FixedKey(1), FixedStore(8), a.term, a.chain));
  EXPECT_FALSE(claim->Names(FixedKey(1), a.store, Term(4), a.chain));
  for (size_t bit = 0; bit < 256; ++bit) {
    Digest other = a.chain;
    other[bit / 8] = static_cast<uint8_t>(other[bit / 8] ^ (1u << (bit % 8)));
    EXPECT_FALSE(claim->Names(FixedKey(1), a.store, a.term, other)) << bit;
  }
}

TEST(ShortAnchor, TheWholeFormMakesTheSameClaim) {
  Anchor a = Sample();
  auto claim = AnchorClaim::Read(FixedKey(1), a.store, a.Encode(FixedKey(1)));
  ASSERT_TRUE(claim);
  EXPECT_TRUE(claim->Names(FixedKey(1), a.store, a.term, a.chain));
  Digest other = a.chain;
  other[31] ^= 1;
  EXPECT_FALSE(claim->Names(FixedKey(1), a.store, a.term, other));
}

TEST(ShortAnchor, IsReadAsPeopleWriteIt) {
  std::string text = Short(), shouted, spaced;
  for (char c : text) shouted += static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  for (char c : text.substr(4))
    spaced += c == '-' ? std::string("  ") : std::string(1, c == '0' ? 'O' : c == '1' ? 'l' : c);
  for (const std::string& t : {text, shouted, "hf1:" + spaced, text + "\n"}) {
    EXPECT_TRUE(AnchorClaim::CheckShort(t)) << t;
    auto claim = AnchorClaim::Read(FixedKey(1), FixedStore(7), AsBytes(t));
    ASSERT_TRUE(claim) << t;
    EXPECT_TRUE(claim->Names(FixedKey(1), FixedStore(7), Sample().term, Sample().chain)) << t;
  }
}

TEST(ShortAnchor, AnyOneWrongLetterIsSaidToBeMistyped) {
  const std::string text = Short(), letters = "0123456789abcdefghjkmnpqrstvwxyz";
  for (size_t i = kShortAnchorPrefix.size(); i < text.size(); ++i) {
    if (text[i] == '-') continue;
    for (char c : letters) {
      if (c == text[i]) continue;
      std::string wrong = text;
      wrong[i] = c;
      Code code = ReadCode(wrong);
      EXPECT_TRUE(code == Code::kChecksum || code == Code::kMalformed)
          << wrong;  // the padding bits of the last
      EXPECT_FALSE(AnchorClaim::CheckShort(wrong)) << wrong;
    }
    std::string dropped = text;
    dropped.erase(i, 1);
    EXPECT_FALSE(AnchorClaim::CheckShort(dropped)) << dropped;
  }
}

TEST(ShortAnchor, OfAnotherStoreIsForeignAndWhatIsNoneIsRefused) {
  EXPECT_EQ(ReadCode(Short(), 1, 8), Code::kForeign);
  for (std::string_view none : {"hf1:", "hf1:u", "hf1:00000000", "hf1:\xff\xfe", "hf2:0000", "hf1", ""})
    EXPECT_EQ(AnchorClaim::CheckShort(none).code() == Code::kMalformed ||
                  AnchorClaim::CheckShort(none).code() == Code::kChecksum,
              true)
        << none;
  EXPECT_EQ(ReadCode("hf1:" + std::string(kShortAnchorTextMax, '0')), Code::kMalformed);
}

TEST(ShortAnchor, HoldsNumbersOfEverySize) {
  for (uint64_t n : {uint64_t{0}, uint64_t{1}, uint64_t{255}, uint64_t{256}, uint64_t{1} << 40, UINT64_MAX}) {
    Anchor a = Sample();
    a.term = Term(n);
    a.index = LogIndex(n);
    a.save = SaveNumber(n);
    std::string text = a.ShortForm(FixedKey(1));
    EXPECT_LE(text.size(), kShortAnchorTextMax);
    auto claim = AnchorClaim::Read(FixedKey(1), a.store, AsBytes(text));
    ASSERT_TRUE(claim) << n;
    EXPECT_EQ(claim->index, a.index);
    EXPECT_TRUE(claim->Names(FixedKey(1), a.store, a.term, a.chain)) << n;
  }
}

}  // namespace
}  // namespace holdfast::seal
