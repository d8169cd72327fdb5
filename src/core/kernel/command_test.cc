#include "core/kernel/command.h"

#include <gtest/gtest.h>

#include "base/codec.h"

namespace holdfast::kernel {
namespace {

TableId Table(uint8_t n) {
  TableId id;
  id.bytes.fill(n);
  return id;
}

Batch Sample() {
  Batch b;
  b.session = 7;
  b.sequence = 9;
  Digest d;
  d.fill(0xAB);
  b.compares = {{CompareKind::kAbsent, Table(1), ToBytes("a"), {}},
                {CompareKind::kPresent, Table(1), ToBytes("b"), {}},
                {CompareKind::kEquals, Table(2), ToBytes("c"), d}};
  b.operations = {{OperationKind::kPut, Table(1), ToBytes("a"), ToBytes("value"), {}},
                  {OperationKind::kPut, Table(1), ToBytes("empty"), {}, {}},
                  {OperationKind::kDelete, Table(1), ToBytes("b"), {}, {}},
                  {OperationKind::kDeleteRange, Table(2), {}, {}, {}},
                  {OperationKind::kDeleteRange, Table(2), ToBytes("x"), {}, ToBytes("y")}};
  return b;
}

TEST(Command, BatchSurvivesItsEncoding) {
  const Bytes payload = Encode(Sample());
  EXPECT_EQ(payload.size(), EncodedBytes(Sample()));
  const auto back = DecodeBatch(payload);
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(*back, Sample());
  EXPECT_EQ(Encode(*back), payload);
}

TEST(Command, BatchHasTheBytesOfTheFormat) {
  Batch b;
  b.session = 1;
  b.compares = {{CompareKind::kPresent, Table(3), ToBytes("k"), {}}};
  b.operations = {{OperationKind::kPut, Table(3), ToBytes("k"), ToBytes("v"), {}}};
  std::string t;
  for (int i = 0; i < 16; ++i) t += "03";
  EXPECT_EQ(HexUpper(Encode(b)),
            "0100000000000000"
            "0000000000000000"
            "01000000"
            "02" +
                t +
                "0100"
                "6B"
                "01000000"
                "01" +
                t +
                "0100"
                "6B"
                "01000000"
                "76");
}

TEST(Command, EveryTruncationAndEveryTrailingByteIsMalformed) {
  Bytes payload = Encode(Sample());
  for (size_t n = 0; n < payload.size(); ++n) {
    const auto r = DecodeBatch(ByteView(payload).first(n));
    ASSERT_FALSE(r.has_value()) << n;
    EXPECT_EQ(r.code(), Code::kMalformed);
  }
  payload.push_back(0);
  EXPECT_FALSE(DecodeBatch(payload).has_value());
}

TEST(Command, AForgedCountTakesNoMemory) {
  Bytes payload;
  Writer(payload).U64(0).U64(0).U32(0).U32(0xFFFFFFFF);
  EXPECT_EQ(DecodeBatch(payload).code(), Code::kMalformed);
  payload.clear();
  Writer(payload).U64(0).U64(0).U32(0xFFFFFFFF).U32(0);
  EXPECT_EQ(DecodeBatch(payload).code(), Code::kMalformed);
}

TEST(Command, UnknownKindsAreMalformed) {
  Batch b;
  b.operations = {{OperationKind::kDelete, Table(1), ToBytes("k"), {}, {}}};
  Bytes payload = Encode(b);
  for (const uint8_t kind : Bytes{0, 4, 255}) {
    payload[24] = kind;
    EXPECT_EQ(DecodeBatch(payload).code(), Code::kMalformed) << int{kind};
  }
}

TEST(Command, LimitsAreCheckedBeforeAndAfterTheLog) {
  struct Case {
    Operation operation;
    Code code;
  };
  const Case cases[] = {
      {{OperationKind::kPut, Table(1), {}, {}, {}}, Code::kKeySize},
      {{OperationKind::kDelete, Table(1), Bytes(1025, 'k'), {}, {}}, Code::kKeySize},
      {{OperationKind::kPut, Table(1), Bytes(1, 'k'), Bytes((16u << 20) + 1), {}}, Code::kValueSize},
      {{OperationKind::kDeleteRange, Table(1), ToBytes("b"), {}, ToBytes("a")}, Code::kInvalidArgument},
      {{OperationKind::kDeleteRange, Table(1), ToBytes("b"), {}, ToBytes("b")}, Code::kInvalidArgument},
      {{OperationKind::kDeleteRange, Table(1), {}, {}, Bytes(1025, 'e')}, Code::kKeySize},
  };
  for (const Case& c : cases) {
    Batch b;
    b.operations = {c.operation};
    EXPECT_EQ(Check(b).code(), c.code);
    EXPECT_EQ(DecodeBatch(Encode(b)).code(), Code::kMalformed);
  }
}

TEST(Command, OneValueOfTheLargestSizeFitsAndTwoDoNot) {
  Batch b;
  b.operations = {{OperationKind::kPut, Table(1), Bytes(1024, 'k'), Bytes(limits::kValueBytesMax), {}}};
  EXPECT_TRUE(Check(b).has_value());
  EXPECT_TRUE(DecodeBatchView(Encode(b)).has_value());
  b.operations.push_back(b.operations[0]);
  EXPECT_EQ(Check(b).code(), Code::kBatchSize);
  EXPECT_EQ(DecodeBatchView(Encode(b)).code(), Code::kMalformed);
}

TEST(Command, TenThousandOperationsFitAndOneMoreDoesNot) {
  Batch b;
  b.operations.assign(limits::kBatchOpsMax, {OperationKind::kDelete, Table(1), ToBytes("k"), {}, {}});
  EXPECT_TRUE(Check(b).has_value());
  EXPECT_TRUE(DecodeBatch(Encode(b)).has_value());
  b.operations.push_back(b.operations[0]);
  EXPECT_EQ(Check(b).code(), Code::kBatchSize);
  EXPECT_EQ(DecodeBatch(Encode(b)).code(), Code::kMalformed);
}

TEST(Command, TheSmallCommandsSurviveTheirEncodingAndRefuseOtherLengths) {
  CreateTable create{Table(5), Epoch(3), Key(Bytes(32, 0x11)), ToBytes("descriptor")};
  const auto c = DecodeCreateTable(Encode(create));
  ASSERT_TRUE(c.has_value());
  EXPECT_EQ(c->table, create.table);
  EXPECT_EQ(c->epoch, create.epoch);
  EXPECT_TRUE(Equal(c->key.view(), create.key.view()));
  EXPECT_EQ(c->descriptor, create.descriptor);
  EXPECT_EQ(DecodeDropTable(Encode(DropTable{Table(6)}))->table, Table(6));
  EXPECT_EQ(Encode(SavePoint{}), (Bytes{1, 0, 0, 0}));
  EXPECT_EQ(DecodeSavePoint(Encode(SavePoint{}))->fold_version, 1u);
  EXPECT_EQ(DecodeOpenSession(Encode(OpenSession{ToBytes("serial")}))->client_serial, ToBytes("serial"));
  MemberId member;
  member.bytes.fill(9);
  EXPECT_EQ(DecodeOpened(Encode(Opened{member}))->member, member);

  const Bytes odd(15);
  EXPECT_EQ(DecodeCreateTable(odd).code(), Code::kMalformed);
  EXPECT_EQ(DecodeDropTable(odd).code(), Code::kMalformed);
  EXPECT_EQ(DecodeSavePoint(odd).code(), Code::kMalformed);
  EXPECT_EQ(DecodeOpenSession(odd).code(), Code::kMalformed);
  EXPECT_EQ(DecodeOpened(odd).code(), Code::kMalformed);
}

}  // namespace
}  // namespace holdfast::kernel
