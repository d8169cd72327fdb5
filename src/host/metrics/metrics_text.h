// The numbers of core and host as text for Prometheus, exposition format 0.0.4:
//
//   # HELP holdfast_refused_total refused at a limit
//   # TYPE holdfast_refused_total counter
//   holdfast_refused_total{what="connections"} 0
//   holdfast_refused_total{what="session_streams"} 0
//
// HELP and TYPE stand once a name, before its values; nanoseconds are shown as seconds with 9 decimals, all
// else as whole numbers. Names, labels and help come from the two tables and from nowhere else: nothing that
// a client, an operator or the store has named can get in. No locks, no system calls.
#ifndef HOLDFAST_HOST_METRICS_METRICS_TEXT_H_
#define HOLDFAST_HOST_METRICS_METRICS_TEXT_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "seam/metrics.h"

namespace holdfast::host {

enum class HostMetric : uint16_t {
#define HF_METRIC(id, name, label, kind, unit, help) id,
#include "host/metrics/host_metrics.def"
#undef HF_METRIC
  kCount
};
inline constexpr size_t kHostMetrics = static_cast<size_t>(HostMetric::kCount);
const seam::MetricInfo& InfoOf(HostMetric metric);

struct HostValues {
  uint64_t& operator[](HostMetric m) { return values[static_cast<size_t>(m)]; }
  uint64_t operator[](HostMetric m) const { return values[static_cast<size_t>(m)]; }
  std::array<uint64_t, kHostMetrics> values{};
};

// In the order of seam/metrics.def; nothing if the core did not answer.
using CoreValues = std::optional<std::vector<uint64_t>>;

// The core's metrics, then the host's. Without an answer of the core (one of another length is none) its
// metrics are left out: absent is honest, zero would look like a restart. Says kCoreUp and kBuildInfo itself.
std::string RenderMetrics(const CoreValues& core, HostValues host);

}  // namespace holdfast::host

#endif  // HOLDFAST_HOST_METRICS_METRICS_TEXT_H_
