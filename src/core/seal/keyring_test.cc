#include "core/seal/keyring.h"

#include "base/codec.h"
#include "core/seal/attack_internal.h"
#include "vector_file.h"

namespace holdfast::seal {
namespace {

using attack::CodeOf;
using attack::FixedKey;
using attack::FixedStore;
using attack::FixedTable;
using vectors::LoadOne;
using vectors::RepeatingRandom;

constexpr std::string_view kName = "enclave-state/0/key-enclave";
constexpr std::string_view kDescriptor = "a descriptor";

std::string SealKey(const Result<DomainKeys>& keys) { return HexUpper(keys.value().seal.view()); }

Keyring Sample() {
  RepeatingRandom random(Bytes(32, 4));
  Keyring k = Keyring::Create(random);
  k.AddTable(FixedTable(1), Epoch(1), FixedKey(11));
  k.AddTable(FixedTable(1), Epoch(2), FixedKey(12));
  k.AddTable(FixedTable(2), Epoch(1), FixedKey(21));
  return k;
}

Bytes SealedSample() {
  RepeatingRandom random(Bytes(32, 6));
  return Sample().Seal(FixedKey(1), FixedStore(7), kName, random);
}

Code Try(ByteView sealed) { return CodeOf(Keyring::Open(FixedKey(1), FixedStore(7), kName, sealed)); }

// Any text, sealed as a keyring is: what a parser meets if a writer of ours is wrong.
Code TryText(const Bytes& text) {
  RepeatingRandom random(Bytes(32, 6));
  return Try(SealObject(DomainKeys::Derive(FixedKey(1)), ObjectKind::kKeyring, Epoch(0),
                        {FixedStore(7), kName}, text, random));
}

TEST(Keyring, IsByteForByteWhatAnotherImplementationMakes) {
  vectors::Block b = LoadOne("keyring.txt", "keyring");
  RepeatingRandom journal(b.Hex("journal_key")), salt(b.Hex("salt"));
  Keyring k = Keyring::Create(journal);
  k.AddTable(b.Id<TableId>("other_table"), Epoch(1), b.Key("other_table_key"));
  k.AddTable(b.Id<TableId>("table"), Epoch(2), b.Key("table_key_2"));
  k.AddTable(b.Id<TableId>("table"), Epoch(1), b.Key("table_key_1"));
  EXPECT_EQ(HexUpper(k.Seal(b.Key("root"), b.Id<StoreId>("store"), b.Text("name"), salt)),
            HexUpper(b.Hex("sealed")));
}

TEST(Keyring, MadeByAnotherImplementationOpensToTheSameKeys) {
  vectors::Block b = LoadOne("keyring.txt", "keyring");
  Result<Keyring> k = Keyring::Open(b.Key("root"), b.Id<StoreId>("store"), b.Text("name"), b.Hex("sealed"));
  ASSERT_TRUE(k);
  EXPECT_EQ(k->current_epoch(), Epoch(1));
  EXPECT_EQ(SealKey(k->JournalKeys(Epoch(1))), HexUpper(b.Hex("journal_seal")));
  EXPECT_EQ(SealKey(k->TableKeys(b.Id<TableId>("table"), Epoch(2), b.Hex("descriptor"))),
            HexUpper(b.Hex("table_seal")));
}

TEST(Keyring, DerivesATablesDomainAsAnotherImplementationDoes) {
  vectors::Block b = LoadOne("keys.txt", "table");
  RepeatingRandom random(Bytes(32, 4));
  Keyring k = Keyring::Create(random);
  k.AddTable(FixedTable(1), Epoch(1), b.Key("table_key"));
  DomainKeys keys = k.TableKeys(FixedTable(1), Epoch(1), b.Hex("descriptor")).value();
  EXPECT_EQ(HexUpper(keys.seal.view()), HexUpper(b.Hex("seal")));
  EXPECT_EQ(HexUpper(keys.hash.view()), HexUpper(b.Hex("hash")));
  EXPECT_EQ(HexUpper(keys.address.view()), HexUpper(b.Hex("address")));
}

TEST(Keyring, EveryFlippedBitIsFoundAndNamed) {
  attack::FlipEveryBit(SealedSample(), Try, [](size_t byte) {
    return byte < 4 ? Code::kMalformed : byte < kHeaderBytes ? Code::kChecksum : Code::kAuthFailed;
  });
}

TEST(Keyring, EveryTruncationIsFound) {
  attack::CutEverywhere(SealedSample(), Try,
                        [](size_t n) { return n < kHeaderBytes ? Code::kMalformed : Code::kAuthFailed; });
}

TEST(Keyring, OpensInItsOwnSlotAndStoreOnly) {
  Bytes sealed = SealedSample();
  ASSERT_TRUE(Keyring::Open(FixedKey(1), FixedStore(7), kName, sealed));
  EXPECT_EQ(CodeOf(Keyring::Open(FixedKey(1), FixedStore(7), "enclave-state/1/key-enclave", sealed)),
            Code::kAuthFailed);
  EXPECT_EQ(CodeOf(Keyring::Open(FixedKey(1), FixedStore(8), kName, sealed)), Code::kAuthFailed);
  EXPECT_EQ(CodeOf(Keyring::Open(FixedKey(2), FixedStore(7), kName, sealed)), Code::kAuthFailed);
}

TEST(Keyring, SurvivesSealingAndCloning) {
  Keyring back = Keyring::Open(FixedKey(1), FixedStore(7), kName, SealedSample()).value();
  Keyring clone = back.Clone();
  for (const Keyring* k : {&back, &clone}) {
    EXPECT_EQ(SealKey(k->JournalKeys(Epoch(1))), SealKey(Sample().JournalKeys(Epoch(1))));
    for (auto [table, epoch] : {std::pair{1, 1u}, {1, 2u}, {2, 1u}}) {
      TableId id = FixedTable(static_cast<uint8_t>(table));
      EXPECT_EQ(SealKey(k->TableKeys(id, Epoch(epoch), AsBytes(kDescriptor))),
                SealKey(Sample().TableKeys(id, Epoch(epoch), AsBytes(kDescriptor))));
    }
  }
}

TEST(Keyring, GivesEveryTableEpochAndDescriptorKeysOfItsOwn) {
  Keyring k = Sample();
  std::string first = SealKey(k.TableKeys(FixedTable(1), Epoch(1), AsBytes(kDescriptor)));
  EXPECT_NE(first, SealKey(k.TableKeys(FixedTable(1), Epoch(2), AsBytes(kDescriptor))));
  EXPECT_NE(first, SealKey(k.TableKeys(FixedTable(2), Epoch(1), AsBytes(kDescriptor))));
  EXPECT_NE(first, SealKey(k.TableKeys(FixedTable(1), Epoch(1), AsBytes("another descriptor"))));
}

TEST(Keyring, SaysWhenItHasNoKey) {
  Keyring k = Sample();
  EXPECT_EQ(CodeOf(k.JournalKeys(Epoch(2))), Code::kNoKey);
  EXPECT_EQ(CodeOf(k.TableKeys(FixedTable(1), Epoch(3), {})), Code::kNoKey);
  EXPECT_EQ(CodeOf(k.TableKeys(FixedTable(3), Epoch(1), {})), Code::kNoKey);
}

TEST(Keyring, ForgetsADroppedTableInAllItsEpochsAndNoOther) {
  Keyring k = Sample();
  k.DropTable(FixedTable(1));
  EXPECT_EQ(CodeOf(k.TableKeys(FixedTable(1), Epoch(1), {})), Code::kNoKey);
  EXPECT_EQ(CodeOf(k.TableKeys(FixedTable(1), Epoch(2), {})), Code::kNoKey);
  EXPECT_TRUE(k.TableKeys(FixedTable(2), Epoch(1), {}));
  k.DropTable(FixedTable(9));
  EXPECT_TRUE(k.JournalKeys(Epoch(1)));
}

void JournalItem(Writer& w, uint32_t epoch) { w.U32(epoch).Raw(Bytes(32, 1)); }

TEST(Keyring, RefusesAnAuthenticTextThatIsNoKeyring) {
  auto text = [](auto write) {
    Bytes b;
    Writer w(b);
    write(w);
    return b;
  };
  EXPECT_EQ(TryText({}), Code::kMalformed);
  EXPECT_EQ(TryText(text([](Writer& w) { w.U32(2).U32(1).U32(0).U32(0); })), Code::kUnknownFormat);
  EXPECT_EQ(TryText(text([](Writer& w) { w.U32(1).U32(1).U32(0).U32(0); })), Code::kMalformed)
      << "no current key";
  EXPECT_EQ(TryText(text([](Writer& w) { w.U32(1).U32(1).U32(UINT32_MAX); })), Code::kMalformed) << "no room";
  EXPECT_EQ(TryText(text([](Writer& w) {
              w.U32(1).U32(1).U32(2);
              JournalItem(w, 1);
              JournalItem(w, 1);
              w.U32(0);
            })),
            Code::kMalformed)
      << "one epoch twice";
  EXPECT_EQ(TryText(text([](Writer& w) {
              w.U32(1).U32(1).U32(1);
              JournalItem(w, 1);
              w.U32(0).U8(0);
            })),
            Code::kMalformed)
      << "left over";
  EXPECT_EQ(TryText(text([](Writer& w) {
              w.U32(1).U32(1).U32(1);
              JournalItem(w, 1);
              w.U32(2);
              w.Id(FixedTable(2)).U32(1).Raw(Bytes(32, 1)).Id(FixedTable(1)).U32(1).Raw(Bytes(32, 1));
            })),
            Code::kMalformed)
      << "tables descend";
}

}  // namespace
}  // namespace holdfast::seal
