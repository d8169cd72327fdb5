// Kv end to end: sdk, TCP on loopback, host/net, TLS, gRPC, a fake backend.
#include <thread>

#include "sdk/test_server_internal.h"

namespace holdfast::sdk {
namespace {

class Kv : public testing::Test {
 protected:
  void SetUp() override {
    client = server.NewClient("user.pem");
    ASSERT_TRUE(client->CreateTable("t").has_value());
  }
  std::vector<KeyValue> Rows(const ScanOptions& options) {
    std::vector<KeyValue> rows;
    auto index = client->Scan("t", options, [&](KeyValue row) {
      rows.push_back(std::move(row));
      return true;
    });
    EXPECT_TRUE(index.has_value());
    return rows;
  }
  std::string Keys(const ScanOptions& options) {
    std::string keys;
    for (const KeyValue& row : Rows(options)) keys += row.key + " ";
    return keys;
  }
  template <typename T>
  static Code CodeIn(const Result<T>& r) {
    return r.has_value() ? Code{} : r.code();
  }

  TestServer server;
  std::unique_ptr<Client> client;
};

TEST_F(Kv, WhatWasPutIsRead) {
  auto written = client->Put("t", "key", "value");
  ASSERT_TRUE(written.has_value());
  EXPECT_EQ(written->reached, Wait::kDurable);
  EXPECT_GT(written->index, 0u);
  auto value = client->Get("t", "key");
  ASSERT_TRUE(value.has_value());
  EXPECT_TRUE(value->found);
  EXPECT_EQ(value->value, "value");
  EXPECT_GE(value->index, written->index);
}

TEST_F(Kv, WhatHasNoProofIsRefusedByItsCode) {
  EXPECT_EQ(CodeIn(client->Prove("t", "key")), Code::kNoProof);
  EXPECT_EQ(CodeIn(client->Prove("nowhere", "key")), Code::kNoTable);
  EXPECT_EQ(CodeIn(client->Prove("t", "")), Code::kKeySize);
  EXPECT_EQ(CodeIn(client->Prove("t", std::string(limits::kKeyBytesMax + 1, 'k'))), Code::kKeySize);
}

TEST_F(Kv, AbsentIsAnAnswerAndNotAnError) {
  auto value = client->Get("t", "nothing");
  ASSERT_TRUE(value.has_value());
  EXPECT_FALSE(value->found);
  ASSERT_TRUE(client->Put("t", "empty", "").has_value());
  value = client->Get("t", "empty");
  ASSERT_TRUE(value.has_value());
  EXPECT_TRUE(value->found);
  EXPECT_TRUE(client->Delete("t", "nothing").has_value());
}

TEST_F(Kv, ErrorsKeepTheirCodes) {
  EXPECT_EQ(CodeIn(client->Get("missing", "k")), Code::kNoTable);
  EXPECT_EQ(CodeIn(client->Put("missing", "k", "v")), Code::kNoTable);
  EXPECT_EQ(CodeIn(client->Put("t", "", "v")), Code::kKeySize);
  EXPECT_EQ(CodeIn(client->Get("t", std::string(1025, 'k'))), Code::kKeySize);
  EXPECT_EQ(CodeIn(client->CreateTable("t")), Code::kTableExists);
  EXPECT_EQ(CodeIn(client->CreateTable("")), Code::kTableName);
  EXPECT_EQ(CodeIn(client->DropTable("missing")), Code::kNoTable);
  EXPECT_EQ(CodeIn(client->Put("t", "k", std::string((16u << 20) + 1, 'v'))), Code::kValueSize);
  EXPECT_EQ(CodeIn(client->Scan("missing", {}, [](KeyValue) { return true; })), Code::kNoTable);
  Status watch = client->Watch("missing", "", 0, 1000, [](Change) { return true; });
  ASSERT_FALSE(watch.has_value());
  EXPECT_EQ(watch.code(), Code::kNoTable);
}

TEST_F(Kv, ValuesUpToSixteenMebibytesPass) {
  for (size_t size : {size_t{1} << 20, size_t{16} << 20}) {
    std::string value(size, 'x');
    for (size_t i = 0; i < size; i += 4096) value[i] = static_cast<char>(i >> 12);
    ASSERT_TRUE(client->Put("t", "large", value).has_value()) << size;
    auto read = client->Get("t", "large");
    ASSERT_TRUE(read.has_value()) << size;
    EXPECT_TRUE(read->value == value) << size;
  }
}

TEST_F(Kv, ABatchIsAllOrNothingAndNamesTheCompareThatFailed) {
  Batch batch;
  batch.compares = {{Compare::Kind::kAbsent, "t", "a", ""}};
  batch.operations = {{Operation::Kind::kPut, "t", "a", "1"}, {Operation::Kind::kPut, "t", "b", "2"}};
  ASSERT_TRUE(client->Apply(batch).has_value());
  batch.compares = {{Compare::Kind::kPresent, "t", "a", ""},
                    {Compare::Kind::kEquals, "t", "b", "2"},
                    {Compare::Kind::kEquals, "t", "a", "wrong"}};
  batch.operations = {{Operation::Kind::kDelete, "t", "a", ""}};
  uint64_t failed = 99;
  EXPECT_EQ(CodeIn(client->Apply(batch, Wait::kDurable, &failed)), Code::kConflict);
  EXPECT_EQ(failed, 2u);
  EXPECT_EQ(Keys({}), "a b ");
  batch.compares.pop_back();
  batch.operations = {{Operation::Kind::kDeleteRange, "t", "a", "b"}};
  ASSERT_TRUE(client->Apply(batch).has_value());
  EXPECT_EQ(Keys({}), "b ");
  EXPECT_EQ(CodeIn(client->Apply(batch, Wait::kNone)), Code::kCompareNeedsDurable);
  batch.compares.clear();
  batch.operations.assign(10'001, {Operation::Kind::kPut, "t", "k", "v"});
  EXPECT_EQ(CodeIn(client->Apply(batch)), Code::kBatchSize);
}

TEST_F(Kv, ScansRangesPrefixesAndLimitsInBothDirections) {
  for (const char* key : {"a", "ab", "abc", "b", "c"}) ASSERT_TRUE(client->Put("t", key, key).has_value());
  ASSERT_TRUE(client->Put("t", "\xff\xff", "end").has_value());
  EXPECT_EQ(Keys({}), "a ab abc b c \xff\xff ");
  EXPECT_EQ(Keys({.prefix = "ab"}), "ab abc ");
  EXPECT_EQ(Keys({.prefix = "\xff"}), "\xff\xff ");
  EXPECT_EQ(Keys({.prefix = "a", .from = "aa"}), "ab abc ");
  EXPECT_EQ(Keys({.from = "b"}), "b c \xff\xff ");
  EXPECT_EQ(Keys({.from = "ab", .until = "c"}), "ab abc b ");
  EXPECT_EQ(Keys({.prefix = "a", .until = "abc"}), "a ab ");
  EXPECT_EQ(Keys({.until = "c", .reverse = true, .limit = 2}), "b abc ");
  EXPECT_EQ(Keys({.prefix = "a", .reverse = true}), "abc ab a ");
  EXPECT_EQ(Keys({.limit = 3}), "a ab abc ");
  EXPECT_EQ(Keys({.prefix = "zz"}), "");
  EXPECT_EQ(Keys({.from = "z", .until = "a"}), "");
}

TEST_F(Kv, ALongScanComesInPiecesOfOneSnapshotAndReleasesIt) {
  Batch batch;
  for (int i = 0; i < 10'000; ++i) {
    char key[16];
    std::snprintf(key, sizeof key, "%08d", i);
    batch.operations.push_back({Operation::Kind::kPut, "t", key, std::string(200, 'v')});
  }
  ASSERT_TRUE(client->Apply(batch).has_value());
  size_t n = 0;
  auto index = client->Scan("t", {}, [&](KeyValue) {
    if (++n == 10) {
      EXPECT_TRUE(client->Delete("t", "00009999").has_value());
    }
    return true;
  });
  ASSERT_TRUE(index.has_value());
  EXPECT_EQ(n, 10'000u) << "what was deleted after the snapshot is still in it";
  EXPECT_TRUE(Eventually([&] { return server.backend.snapshots() == 0; }));
  // One that the client gives up.
  n = 0;
  ASSERT_TRUE(client->Scan("t", {}, [&](KeyValue) { return ++n < 5; }).has_value());
  EXPECT_EQ(n, 5u);
  EXPECT_TRUE(Eventually([&] { return server.backend.snapshots() == 0; }));
}

TEST_F(Kv, TablesAreListedWithTheirShape) {
  ASSERT_TRUE(client->CreateTable("shaped", {true, 32, 16}).has_value());
  ASSERT_TRUE(client->Put("shaped", "k", "v").has_value());
  auto tables = client->ListTables();
  ASSERT_TRUE(tables.has_value());
  ASSERT_EQ(tables->size(), 2u);
  EXPECT_EQ((*tables)[0].name, "shaped");
  EXPECT_TRUE((*tables)[0].options.never_inline);
  EXPECT_EQ((*tables)[0].options.leaf_rows_max, 32u);
  EXPECT_EQ((*tables)[0].options.inner_children_max, 16u);
  EXPECT_EQ((*tables)[0].id.size(), 32u);
  ASSERT_TRUE(client->DropTable("shaped").has_value());
  EXPECT_EQ(client->ListTables()->size(), 1u);
  EXPECT_EQ(CodeIn(client->CreateTable("huge", {false, 70'000, 0})), Code::kInvalidArgument);
}

// Rule H1.
TEST_F(Kv, RuleH1ReadsSeeDurableStateAndWaitForTheIndexTheyAskFor) {
  server.backend.Hold(true);
  auto written = client->Put("t", "k", "v", Wait::kNone);
  ASSERT_TRUE(written.has_value());
  EXPECT_EQ(written->reached, Wait::kNone);
  EXPECT_FALSE(client->Get("t", "k")->found) << "not durable yet";
  Client hasty(server.NewClient()->channel(), 300);
  EXPECT_EQ(CodeIn(hasty.Get("t", "k", written->index)), Code::kDeadline);
  std::thread release([&] { server.backend.Hold(false); });
  auto value = client->Get("t", "k", written->index);
  release.join();
  ASSERT_TRUE(value.has_value());
  EXPECT_TRUE(value->found);
  EXPECT_GE(value->index, written->index);
  EXPECT_TRUE(client->Sync().has_value());
}

TEST_F(Kv, ReadsThatWaitForTheFutureDoNotStopTheOthers) {
  std::vector<std::thread> waiting;
  for (int i = 0; i < 16; ++i) {
    waiting.emplace_back([&] {
      Client patient(server.NewClient()->channel(), 2'000);
      EXPECT_EQ(CodeIn(patient.Get("t", "k", 1'000'000)), Code::kDeadline);
      EXPECT_EQ(CodeIn(patient.Get("t", "k", 1'000'000)), Code::kDeadline);
    });
  }
  Client hasty(client->channel(), 1'500);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(CodeIn(hasty.Get("t", "k")), Code{});
  for (auto& t : waiting) t.join();
}

TEST_F(Kv, AWriteWhoseClientHasGoneStillHappens) {
  server.backend.Hold(true);
  Client hasty(server.NewClient()->channel(), 300);
  EXPECT_EQ(CodeIn(hasty.Put("t", "k", "v")), Code::kDeadline);
  server.backend.Hold(false);
  EXPECT_TRUE(client->Sync().has_value());
  EXPECT_TRUE(client->Get("t", "k")->found);
}

}  // namespace
}  // namespace holdfast::sdk
