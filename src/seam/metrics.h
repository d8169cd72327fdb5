// Counters and gauges of this process, numbers only. The core fills its set and sends the values to the host
// (MetricsReply), which shows them to Prometheus; the table is metrics.def. Any thread; one relaxed atomic
// each.
#ifndef HOLDFAST_SEAM_METRICS_H_
#define HOLDFAST_SEAM_METRICS_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <string_view>
#include <vector>

namespace holdfast::seam {

enum class Metric : uint16_t {
#define HF_METRIC(id, name, label, kind, unit, help) id,
#include "seam/metrics.def"
#undef HF_METRIC
  kCount
};
inline constexpr size_t kMetrics = static_cast<size_t>(Metric::kCount);

enum class MetricKind : uint8_t { kCounter, kGauge };
enum class MetricUnit : uint8_t { kOne, kBytes, kNanoseconds };

struct MetricInfo {
  std::string_view name;   // "holdfast_lock_wait_seconds_total"
  std::string_view label;  // "lock=\"order\"", or nothing
  MetricKind kind{};
  MetricUnit unit{};
  std::string_view help;  // of the first metric of that name
};
const MetricInfo& InfoOf(Metric metric);

class MetricSet {
 public:
  void Add(Metric m, uint64_t n = 1) { At(m).fetch_add(n, std::memory_order_relaxed); }
  void Sub(Metric m, uint64_t n = 1) { At(m).fetch_sub(n, std::memory_order_relaxed); }
  void Set(Metric m, uint64_t n) { At(m).store(n, std::memory_order_relaxed); }
  uint64_t Get(Metric m) const { return values_[static_cast<size_t>(m)].load(std::memory_order_relaxed); }
  std::vector<uint64_t> Values() const;  // in table order

 private:
  std::atomic<uint64_t>& At(Metric m) { return values_[static_cast<size_t>(m)]; }
  std::array<std::atomic<uint64_t>, kMetrics> values_{};
};

// The one set of the process. Several cores in one process (tests) share it.
MetricSet& Metrics();

// Measures of the sandbox (isolation.def), a set of bits.
enum class Isolation : uint8_t {
#define HF_ISOLATION(id, bit, name, text) id = bit,
#include "seam/isolation.def"
#undef HF_ISOLATION
};
struct IsolationInfo {
  Isolation measure{};
  std::string_view name, text;
};
const std::vector<IsolationInfo>& IsolationTable();
constexpr uint32_t Bit(Isolation m) { return uint32_t{1} << static_cast<uint8_t>(m); }

}  // namespace holdfast::seam

#endif  // HOLDFAST_SEAM_METRICS_H_
