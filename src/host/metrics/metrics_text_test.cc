#include "host/metrics/metrics_text.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <regex>
#include <set>

#include "host/metrics/exposition_internal.h"
#include "host/metrics/metric_lines_internal.h"
#include "host/metrics/process_numbers.h"

namespace holdfast::host {
namespace {

using seam::Metric;
using seam::MetricInfo;
using seam::MetricKind;
using seam::MetricUnit;

std::string SeriesOf(const MetricInfo& info) {
  std::string series(info.name);
  return info.label.empty() ? series : series + "{" + std::string(info.label) + "}";
}

std::vector<MetricInfo> BothTables() {
  std::vector<MetricInfo> all;
  for (size_t i = 0; i < seam::kMetrics; ++i) all.push_back(seam::InfoOf(static_cast<Metric>(i)));
  for (size_t i = 0; i < kHostMetrics; ++i) all.push_back(InfoOf(static_cast<HostMetric>(i)));
  return all;
}

std::vector<uint64_t> Numbered() {
  std::vector<uint64_t> values;
  for (size_t i = 0; i < seam::kMetrics; ++i) values.push_back(1000 + i);
  return values;
}

TEST(MetricsText, EveryRowOfBothTablesIsThereExactlyOnceAndReadsBack) {
  HostValues host;
  for (size_t i = 0; i < kHostMetrics; ++i) host.values[i] = 5000 + i;
  Exposition read(RenderMetrics(Numbered(), host));
  size_t i = 0;
  for (const MetricInfo& info : BothTables()) {
    std::string name(info.name), series = SeriesOf(info);
    ASSERT_TRUE(read.Has(series)) << series;
    EXPECT_EQ(read.types().at(name), info.kind == MetricKind::kCounter ? "counter" : "gauge") << name;
    uint64_t value = i < seam::kMetrics ? 1000 + i : 5000 + i - seam::kMetrics;
    std::string shown = std::to_string(value);
    if (info.unit == MetricUnit::kNanoseconds) shown = "0.00000" + shown;
    if (name == "holdfast_core_up" || name == "holdfast_build_info") shown = "1";
    EXPECT_EQ(read.Get(series), shown) << series;
    ++i;
  }
  EXPECT_EQ(read.size(), seam::kMetrics + kHostMetrics);
}

TEST(MetricsText, TheCoresMetricsComeFirst) {
  Exposition read(RenderMetrics(Numbered(), HostValues{}));
  EXPECT_EQ(read.families().front(), seam::InfoOf(Metric{}).name);
  EXPECT_EQ(read.families().back(), InfoOf(HostMetric::kScrapeTime).name);
}

TEST(MetricsText, WithoutAnAnswerOfTheCoreItsMetricsAreAbsentAndNotZero) {
  std::vector<uint64_t> shorter(seam::kMetrics - 1, 7), longer(seam::kMetrics + 1, 7);
  for (const CoreValues& core :
       {CoreValues{}, CoreValues{shorter}, CoreValues{longer}, CoreValues{std::vector<uint64_t>{}}}) {
    Exposition read(RenderMetrics(core, HostValues{}));
    EXPECT_EQ(read.Get("holdfast_core_up"), "0");
    EXPECT_EQ(read.size(), kHostMetrics);
    EXPECT_FALSE(read.Has("holdfast_connections"));
  }
  EXPECT_EQ(Exposition(RenderMetrics(Numbered(), HostValues{})).Get("holdfast_core_up"), "1");
}

TEST(MetricsText, NanosecondsAreSecondsWithNineDecimalsOverTheWholeRange) {
  struct {
    uint64_t ns;
    const char* shown;
  } cases[] = {{0, "0.000000000"},
               {1, "0.000000001"},
               {999'999'999, "0.999999999"},
               {1'000'000'000, "1.000000000"},
               {9'007'199'254'740'993, "9007199.254740993"},  // beyond what a double holds
               {UINT64_MAX, "18446744073.709551615"}};
  for (const auto& c : cases) {
    MetricLines lines;
    lines.Add({"a_seconds", "", MetricKind::kGauge, MetricUnit::kNanoseconds, "h"}, c.ns);
    EXPECT_TRUE(lines.Take().ends_with(std::string(" ") + c.shown + "\n")) << c.ns;
  }
}

TEST(MetricsText, WholeNumbersAreExactUpToTheLargest) {
  MetricLines lines;
  lines.Add({"a", "", MetricKind::kGauge, MetricUnit::kBytes, "h"}, UINT64_MAX);
  EXPECT_TRUE(lines.Take().ends_with("a 18446744073709551615\n"));
}

TEST(MetricsText, NoHelpTextCanBeginALineOfItsOwn) {
  MetricLines lines;
  lines.Add({"a", "", MetricKind::kGauge, MetricUnit::kOne, "one\nb 1\n# TYPE c \\ gauge"}, 3);
  EXPECT_EQ(lines.Take(), "# HELP a one\\nb 1\\n# TYPE c \\\\ gauge\n# TYPE a gauge\na 3\n");
}

TEST(MetricsText, HelpAndTypeStandOnceForALongRowOfLabels) {
  MetricLines lines;
  for (const char* label : {"l=\"1\"", "l=\"2\"", "l=\"3\""}) {
    lines.Add({"a_total", label, MetricKind::kCounter, MetricUnit::kOne, *label == 'l' ? "h" : ""}, 1);
  }
  EXPECT_EQ(lines.Take(),
            "# HELP a_total h\n# TYPE a_total counter\na_total{l=\"1\"} 1\na_total{l=\"2\"} 1\n"
            "a_total{l=\"3\"} 1\n");
}

// What Prometheus' own linter would say of the tables.
TEST(MetricsTables, NamesAndLabelsAreWellFormedAndSayTheirUnit) {
  const std::regex name("holdfast_[a-z_]+[a-z]"), label("[a-z_]+=\"[a-z0-9_.]+\"");
  for (const MetricInfo& info : BothTables()) {
    std::string text(info.name);
    EXPECT_TRUE(std::regex_match(text, name)) << text;
    EXPECT_TRUE(info.label.empty() || std::regex_match(std::string(info.label), label)) << info.label;
    EXPECT_EQ(text.ends_with("_total"), info.kind == MetricKind::kCounter) << text;
    EXPECT_EQ(text.find("_seconds") != text.npos, info.unit == MetricUnit::kNanoseconds) << text;
  }
}

TEST(MetricsTables, RowsOfOneNameStandTogetherAgreeAndTheFirstOneHasTheHelp) {
  std::set<std::string> ended;
  std::string last;
  MetricInfo first;
  for (const MetricInfo& info : BothTables()) {
    std::string name(info.name);
    if (name != last) {
      EXPECT_TRUE(ended.insert(name).second) << name << " stands in two places";
      EXPECT_FALSE(info.help.empty()) << name;
      last = name;
      first = info;
    }
    EXPECT_EQ(info.kind, first.kind) << name;
    EXPECT_EQ(info.unit, first.unit) << name;
  }
}

TEST(ProcessNumbers, SayWhatThisProcessUses) {
  HostValues before, after;
  AddProcessNumbers(&before);
  std::vector<int> fds;
  for (int i = 0; i < 10; ++i) fds.push_back(::dup(2));
  std::vector<char> memory(64u << 20, 'x');
  uint64_t end = before[HostMetric::kCpuTime] + 20'000'000;
  while (after[HostMetric::kCpuTime] < end) AddProcessNumbers(&after);
  EXPECT_EQ(after[HostMetric::kDescriptors], before[HostMetric::kDescriptors] + 10);
  EXPECT_GT(after[HostMetric::kResidentBytes], before[HostMetric::kResidentBytes] + (60u << 20));
  EXPECT_GE(after[HostMetric::kDescriptorsMax], after[HostMetric::kDescriptors]);
  EXPECT_EQ(memory[12345], 'x');
  for (int fd : fds) ::close(fd);
}

}  // namespace
}  // namespace holdfast::host
