#include "host/metrics/metrics_text.h"

#include "host/metrics/metric_lines_internal.h"

namespace holdfast::host {
namespace {

using seam::MetricInfo;
using seam::MetricKind;
using seam::MetricUnit;

constexpr MetricInfo kTable[kHostMetrics] = {
#define HF_METRIC(id, name, label, kind, unit, help) {name, label, MetricKind::kind, MetricUnit::unit, help},
#include "host/metrics/host_metrics.def"
#undef HF_METRIC
};

// A line break in a help text would begin a line of its own.
std::string Escaped(std::string_view help) {
  std::string out;
  for (char c : help) {
    if (c == '\\' || c == '\n') out += '\\';
    out += c == '\n' ? 'n' : c;
  }
  return out;
}

// Not through double: 2^53 ns are 104 days of processor time.
std::string Shown(uint64_t value, MetricUnit unit) {
  if (unit != MetricUnit::kNanoseconds) return std::to_string(value);
  constexpr uint64_t kSecond = 1'000'000'000;
  std::string decimals = std::to_string(value % kSecond);
  return std::to_string(value / kSecond) + "." + std::string(9 - decimals.size(), '0') + decimals;
}

}  // namespace

const MetricInfo& InfoOf(HostMetric metric) { return kTable[static_cast<size_t>(metric)]; }

void MetricLines::Add(const MetricInfo& info, uint64_t value) {
  std::string name(info.name);
  if (info.name != name_) {
    name_ = info.name;
    text_ += "# HELP " + name + " " + Escaped(info.help) + "\n";
    text_ += "# TYPE " + name + (info.kind == MetricKind::kCounter ? " counter\n" : " gauge\n");
  }
  text_ += name;
  if (!info.label.empty()) text_ += "{" + std::string(info.label) + "}";
  text_ += " " + Shown(value, info.unit) + "\n";
}

std::string RenderMetrics(const CoreValues& core, HostValues host) {
  MetricLines lines;
  bool up = core && core->size() == seam::kMetrics;
  for (size_t i = 0; up && i < seam::kMetrics; ++i) {
    lines.Add(seam::InfoOf(static_cast<seam::Metric>(i)), (*core)[i]);
  }
  host[HostMetric::kCoreUp] = up ? 1 : 0;
  host[HostMetric::kBuildInfo] = 1;
  for (size_t i = 0; i < kHostMetrics; ++i) lines.Add(kTable[i], host.values[i]);
  return lines.Take();
}

}  // namespace holdfast::host
