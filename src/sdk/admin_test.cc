// Admin end to end.
#include "base/limits.h"
#include "sdk/test_server_internal.h"
#include "seam/metrics.h"

namespace holdfast::sdk {
namespace {

class Admin : public testing::Test {
 protected:
  void SetUp() override { admin = server.NewAdmin(); }
  TestServer server;
  std::unique_ptr<AdminClient> admin;
};

TEST_F(Admin, TellsTheStatusAndSaves) {
  auto client = server.NewClient();
  ASSERT_TRUE(client->CreateTable("t").has_value());
  auto status = admin->GetStatus();
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(status->applied, 1u);
  EXPECT_EQ(status->connections, 2u);
  EXPECT_EQ(status->freshness, "freshness unproven");
  EXPECT_FALSE(status->metrics.empty());
  auto saved = admin->SaveState();
  ASSERT_TRUE(saved.has_value());
  EXPECT_GE(*saved, 1u);
}

TEST_F(Admin, TheStatusHoldsEveryMetricAsOfNowAndTheSandbox) {
  server.backend.isolation = seam::Bit(seam::Isolation::kFilter);
  auto status = admin->GetStatus();
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(server.backend.samples, 1u);
  EXPECT_EQ(status->isolation, server.backend.isolation);
  ASSERT_EQ(status->series.size(), seam::kMetrics);
  for (size_t i = 0; i < seam::kMetrics; ++i) {
    const seam::MetricInfo& info = seam::InfoOf(static_cast<seam::Metric>(i));
    EXPECT_EQ(status->series[i].name, info.name);
    EXPECT_EQ(status->series[i].label, info.label);
    EXPECT_EQ(status->series[i].nanoseconds, info.unit == seam::MetricUnit::kNanoseconds);
  }
  EXPECT_EQ(status->series[static_cast<size_t>(seam::Metric::kWatchesMax)].value, limits::kWatchesMax);
}

TEST_F(Admin, AddsAClientThatMayConnectAtOnce) {
  auto added = admin->AddClient("program", false);
  ASSERT_TRUE(added.has_value());
  server.Save("new.pem", ToText(added->pem.view()));
  EXPECT_TRUE(server.NewClient("new.pem")->ListTables().has_value());
  EXPECT_FALSE(server.NewAdmin("new.pem")->GetStatus().has_value());
  auto clients = admin->ListClients();
  ASSERT_TRUE(clients.has_value());
  ASSERT_EQ(clients->size(), 3u);
  bool listed = false;
  for (const ClientEntry& c : *clients)
    listed = listed || (c.serial == added->serial && c.name == "program" && !c.admin);
  EXPECT_TRUE(listed);
  EXPECT_EQ(admin->AddClient("", false).code(), Code::kInvalidArgument);
  EXPECT_EQ(admin->AddClient("two\nlines", false).code(), Code::kInvalidArgument);
  EXPECT_EQ(admin->RevokeClient(std::string(32, 'A')).code(), Code::kNoClient);
}

TEST_F(Admin, ACertificateIsNotGivenOutBeforeItsRowIsDurable) {
  server.backend.Hold(true);
  std::atomic<bool> answered{false};
  std::thread asking([&] {
    EXPECT_TRUE(admin->AddClient("program", false).has_value());
    answered = true;
  });
  EXPECT_TRUE(Eventually([&] { return server.backend.waiting() == 1; }));
  EXPECT_FALSE(answered);
  server.backend.Hold(false);
  asking.join();
}

TEST_F(Admin, VerifyStreamsItsFindingsAndEndsWithItsOutcome) {
  server.backend.verify_lines = 5000;
  std::vector<std::string> lines;
  auto collect = [&](const std::string& line) { lines.push_back(line); };
  EXPECT_TRUE(admin->Verify(false, {}, collect).has_value());
  ASSERT_EQ(lines.size(), 5000u);
  EXPECT_EQ(lines[4999], "finding 4999");
  server.backend.verify_ends = Code::kTampered;
  EXPECT_EQ(admin->Verify(false, {}, collect).code(), Code::kTampered);
  EXPECT_EQ(admin->Verify(true, {}, collect).code(), Code::kFreshnessUnproven);
}

TEST_F(Admin, ChangesThePassphraseOnlyForWhoKnowsTheOldOne) {
  auto secret = [](const char* text) { return SecretBytes(AsBytes(text)); };
  EXPECT_EQ(admin->ChangePassphrase(secret("wrong"), secret("new")).code(), Code::kWrongPassphrase);
  EXPECT_EQ(admin->ChangePassphrase(secret("old passphrase"), secret("")).code(), Code::kInvalidArgument);
  EXPECT_TRUE(admin->ChangePassphrase(secret("old passphrase"), secret("new")).has_value());
  EXPECT_EQ(ToText(server.backend.passphrase), "new");
  using Kind = seal::UnlockerChange::Kind;
  EXPECT_TRUE(admin->AddPassphrase(secret("new"), secret("another")));
  EXPECT_EQ(admin->AddPassphrase(secret("new"), secret("")).code(), Code::kInvalidArgument);
  EXPECT_TRUE(admin->RemoveUnlocker(secret("new"), 2));
  EXPECT_EQ(admin->RemoveUnlocker(secret("new"), 3).code(), Code::kNotFound);
  EXPECT_EQ(server.backend.unlocker_changes,
            (std::vector<Kind>{Kind::kReplace, Kind::kAdd, Kind::kRemove, Kind::kRemove}));
  auto list = admin->ListUnlockers();
  ASSERT_TRUE(list);
  ASSERT_EQ(list->size(), 2u);
  EXPECT_EQ((*list)[0].memory_kib, 65536u);
  EXPECT_FALSE((*list)[1].passphrase);
}

}  // namespace
}  // namespace holdfast::sdk
