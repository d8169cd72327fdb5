#include <gtest/gtest.h>

#include "core/session/fake_backend.h"
#include "core/session/requests_internal.h"

namespace holdfast::session {
namespace {

class Tables : public FakeBackend {
 public:
  Result<TableId> FindTable(std::string_view name) override {
    if (name != "t") return Code::kNoTable;
    return TableId();
  }
};

ScanRange Range(const std::string& prefix, const std::string& from, const std::string& until) {
  v1::ScanRequest request;
  request.set_prefix(prefix);
  request.set_from(from);
  request.set_until(until);
  return RangeOf(request).value();
}

TEST(Requests, ATextThatIsNoUtf8IsRefusedAndWritesNothingToTheLog) {
  SilenceMessageParser();
  const std::string wire = "\x0A\x01\xFF";  // table: one byte 0xFF
  ::testing::internal::CaptureStderr();
  v1::PutRequest request;
  bool parsed = request.ParseFromString(wire);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
  EXPECT_FALSE(parsed);
}

TEST(Requests, ABatchOfTheLargestNumberIsTakenAndOneMoreIsRefusedBeforeItIsCopied) {
  Tables tables;
  v1::BatchRequest request;
  for (size_t i = 0; i < limits::kBatchOpsMax; ++i) {
    v1::Operation* o = request.add_operations();
    o->set_table("t");
    o->set_put("v");
  }
  EXPECT_EQ(BatchOf(tables, request).value().operations.size(), limits::kBatchOpsMax);
  request.add_operations();
  EXPECT_EQ(BatchOf(tables, request).code(), Code::kBatchSize);
}

TEST(Requests, WhatSaysNothingOrTheContraryIsRefused) {
  Tables tables;
  v1::BatchRequest request;
  v1::Operation* o = request.add_operations();
  o->set_table("t");
  EXPECT_EQ(BatchOf(tables, request).code(), Code::kInvalidArgument);
  o->set_delete_(false);
  EXPECT_EQ(BatchOf(tables, request).code(), Code::kInvalidArgument);
  o->set_delete_(true);
  EXPECT_TRUE(BatchOf(tables, request).has_value());
  v1::Compare* c = request.add_compares();
  c->set_table("t");
  EXPECT_EQ(BatchOf(tables, request).code(), Code::kInvalidArgument);
  c->set_absent(false);
  EXPECT_EQ(BatchOf(tables, request).code(), Code::kInvalidArgument);
  c->set_table("u");
  c->set_absent(true);
  EXPECT_EQ(BatchOf(tables, request).code(), Code::kNoTable);
}

TEST(Requests, ARangeIsWhatBoundsAndPrefixHaveInCommon) {
  EXPECT_EQ(ToText(Range("b", "", "").from), "b");
  EXPECT_EQ(ToText(Range("b", "", "").until), "c");
  EXPECT_EQ(ToText(Range("b", "bm", "bz").from), "bm");
  EXPECT_EQ(ToText(Range("b", "a", "z").until), "c");
  EXPECT_TRUE(Range("b", "c", "").empty);
  EXPECT_TRUE(Range("b", "", "a").empty);
  EXPECT_TRUE(Range("", "a", "a").empty);
  EXPECT_FALSE(Range("", "", "").empty);
  // Behind a prefix of highest bytes there is no key to end at, or one that is shorter.
  EXPECT_TRUE(Range("\xFF\xFF", "", "").until.empty());
  EXPECT_EQ(ToText(Range("a\xFF", "", "").until), "b");
}

TEST(Requests, APrefixLongerThanAKeyAndOrdersOutOfBoundsAreRefused) {
  v1::ScanRequest scan;
  scan.set_prefix(std::string(limits::kKeyBytesMax + 1, 'p'));
  EXPECT_EQ(RangeOf(scan).code(), Code::kKeySize);
  v1::CreateTableRequest create;
  create.set_leaf_rows_max(limits::kOrderMax);
  EXPECT_EQ(DescriptorOf(create).value().leaf_rows_max, limits::kOrderMax);
  create.set_inner_children_max(65'536 + limits::kOrderMin);  // would be in bounds if it were cut to 16 bits
  EXPECT_EQ(DescriptorOf(create).code(), Code::kInvalidArgument);
}

TEST(Requests, APatriciaTableHasItsOwnOrdersAndNoLayoutIsMadeUp) {
  v1::CreateTableRequest create;
  create.set_table("t");
  create.set_layout(v1::LAYOUT_PATRICIA);
  tree::Descriptor d = DescriptorOf(create).value();
  EXPECT_EQ(d.layout, tree::Layout::kPatricia);
  EXPECT_TRUE(tree::Descriptor::Decode(d.Encode()).has_value());
  create.set_leaf_rows_max(tree::kPatriciaLeafRowsMax);
  EXPECT_TRUE(DescriptorOf(create).has_value());
  create.set_leaf_rows_max(tree::kPatriciaLeafRowsMax + 1);
  EXPECT_EQ(DescriptorOf(create).code(), Code::kInvalidArgument);
  create.set_leaf_rows_max(0);
  create.set_inner_children_max(64);
  EXPECT_EQ(DescriptorOf(create).code(), Code::kInvalidArgument);
  create.set_inner_children_max(0);
  create.set_layout(static_cast<v1::Layout>(2));
  EXPECT_EQ(DescriptorOf(create).code(), Code::kInvalidArgument);
}

TEST(Requests, ATransientTableHasNoRootToProve) {
  v1::CreateTableRequest create;
  create.set_transient(true);
  EXPECT_TRUE(DescriptorOf(create).value().transient);
  create.set_share_values(true);
  EXPECT_EQ(DescriptorOf(create).code(), Code::kCannotShare);
  create.set_transient(false);
  EXPECT_TRUE(DescriptorOf(create).value().values_in.has_value());
  create.set_share_values(false);
  EXPECT_FALSE(DescriptorOf(create).value().values_in.has_value());
  create.set_transient(true);
  create.set_layout(v1::LAYOUT_PATRICIA);
  EXPECT_EQ(DescriptorOf(create).code(), Code::kInvalidArgument);
}

TEST(Requests, TypesAreThoseOfTheFormatAndNoneIsMadeUp) {
  v1::CreateTableRequest create;
  EXPECT_EQ(DescriptorOf(create).value().key_type, tree::Type::kBytes);
  for (int n : {0, 2, 3, 4, 5, 6, 7}) {
    create.set_value_type(static_cast<v1::Type>(n));
    EXPECT_EQ(ToProto(DescriptorOf(create).value().value_type), n);
    create.set_key_type(static_cast<v1::Type>(n));
    EXPECT_EQ(DescriptorOf(create).has_value(), n != v1::TYPE_JSON);
    create.set_key_type(v1::TYPE_BYTES);
  }
  for (int n : {-1, 1, 8, 256 + 2}) {
    create.set_value_type(static_cast<v1::Type>(n));
    EXPECT_EQ(DescriptorOf(create).code(), Code::kInvalidArgument) << n;
  }
}

}  // namespace
}  // namespace holdfast::session
