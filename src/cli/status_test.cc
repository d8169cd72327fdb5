#include "cli/status.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "seam/metrics.h"

namespace holdfast::cli {
namespace {

using nlohmann::json;

// As a server that has every metric sends it; the n-th has the value n, or n milliseconds.
sdk::ServerStatus Full() {
  sdk::ServerStatus s;
  s.store = std::string(32, 'A');
  s.freshness = "freshness unproven";
  s.metrics = {{"waves", 7}};
  for (size_t i = 0; i < seam::kMetrics; ++i) {
    const seam::MetricInfo& info = seam::InfoOf(static_cast<seam::Metric>(i));
    bool time = info.unit == seam::MetricUnit::kNanoseconds;
    s.series.push_back({std::string(info.name), std::string(info.label), time ? i * 1'000'000 : i, time});
  }
  return s;
}

std::string Joined(const sdk::ServerStatus& s) {
  std::string text;
  for (const std::string& line : StatusLines(s)) text += line + "\n";
  return text;
}

TEST(Status, EveryMetricIsInTheJsonUnderItsPrometheusName) {
  sdk::ServerStatus s = Full();
  s.series[static_cast<size_t>(seam::Metric::kCpuOrder)].value = 12'000'000'034;
  json metrics = json::parse(StatusJson(s)).at("metrics");
  EXPECT_EQ(metrics.size(), seam::kMetrics + 1);
  EXPECT_EQ(metrics.at("waves"), 7u) << "the kernel's own keep their names";
  EXPECT_EQ(metrics.at("holdfast_waits"), static_cast<uint64_t>(seam::Metric::kWaits));
  EXPECT_EQ(metrics.at("holdfast_lock_waits_total{lock=\"order\"}"),
            static_cast<uint64_t>(seam::Metric::kWaitedOrder));
  EXPECT_EQ(metrics.at("holdfast_cpu_seconds_total{activity=\"order\"}"), 12.000000034) << "seconds";
}

TEST(Status, MeasuresOfTheSandboxAreInForceOrMissingWithWhatTheyMean) {
  sdk::ServerStatus s = Full();
  s.isolation = seam::Bit(seam::Isolation::kFilter) | seam::Bit(seam::Isolation::kLockedKeys);
  json status = json::parse(StatusJson(s));
  EXPECT_EQ(status.at("isolation").at("in_force"), json({"seccomp", "locked_secrets"}));
  EXPECT_EQ(status.at("isolation").at("missing").size(), seam::IsolationTable().size() - 2);
  for (const json& m : status.at("isolation").at("missing")) {
    EXPECT_FALSE(m.at("name").get<std::string>().empty());
    EXPECT_FALSE(m.at("text").get<std::string>().empty());
  }
  EXPECT_TRUE(status.at("secrets").at("locked").get<bool>());
  EXPECT_EQ(status.at("secrets").at("bytes"), static_cast<uint64_t>(seam::Metric::kSecretBytes));
  std::string text = Joined(s);
  EXPECT_NE(text.find("isolation    seccomp locked_secrets\n"), std::string::npos) << text;
  EXPECT_NE(text.find("  missing    network (a network namespace without interfaces)\n"), std::string::npos)
      << text;
}

TEST(Status, SecretsOnTheHeapAreNotCalledLocked) {
  sdk::ServerStatus s = Full();
  EXPECT_NE(Joined(s).find("memory that is not locked"), std::string::npos);
  s.series[static_cast<size_t>(seam::Metric::kSecretBytesMax)].value = 0;
  EXPECT_NE(Joined(s).find("secrets      on the heap"), std::string::npos);
}

TEST(Status, TheTableHasARowForEachActivityAndEachLock) {
  sdk::ServerStatus s = Full();
  for (sdk::Series& m : s.series) {
    if (m.name == "holdfast_cpu_seconds_total") m.value = 0;
  }
  s.series[static_cast<size_t>(seam::Metric::kCpuOrder)].value = 1'500'000'000;
  s.series[static_cast<size_t>(seam::Metric::kCpuRpc)].value = 4'500'000'000;
  s.series[static_cast<size_t>(seam::Metric::kWaitedOrder)].value = 1234;
  s.series[static_cast<size_t>(seam::Metric::kWaitOrder)].value = 20'500'000;
  std::string text = Joined(s);
  EXPECT_NE(text.find("lock waits and CPU by activity\n"
                      "  activity        cpu s  share     lock            waits       wait s\n"
                      "  order           1.500    25%     order           1,234        0.021\n"),
            std::string::npos)
      << text;
  for (const char* row : {"  journal ", "  apply ", "  save ", "  tls ", "  reads ", "  channel ",
                          "  rpc             4.500    75%     other "}) {
    EXPECT_NE(text.find(std::string("\n") + row), std::string::npos) << row;
  }
}

TEST(Status, AServerWithoutMetricsHasItsStatusShownAllTheSame) {
  sdk::ServerStatus s = Full();
  s.series.clear();
  EXPECT_EQ(Joined(s).find("activity"), std::string::npos);
  EXPECT_NE(Joined(s).find("freshness    freshness unproven"), std::string::npos);
  EXPECT_EQ(json::parse(StatusJson(s)).at("metrics").size(), 1u);
}

}  // namespace
}  // namespace holdfast::cli
