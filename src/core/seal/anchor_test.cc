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

}  // namespace
}  // namespace holdfast::seal
