#include "seam/metrics.h"

namespace holdfast::seam {
namespace {

constexpr MetricInfo kTable[kMetrics] = {
#define HF_METRIC(id, name, label, kind, unit, help) {name, label, MetricKind::kind, MetricUnit::unit, help},
#include "seam/metrics.def"
#undef HF_METRIC
};

MetricSet of_this_process;

}  // namespace

const MetricInfo& InfoOf(Metric metric) { return kTable[static_cast<size_t>(metric)]; }

std::vector<uint64_t> MetricSet::Values() const {
  std::vector<uint64_t> out;
  out.reserve(kMetrics);
  for (const auto& v : values_) out.push_back(v.load(std::memory_order_relaxed));
  return out;
}

MetricSet& Metrics() { return of_this_process; }

const std::vector<IsolationInfo>& IsolationTable() {
  // Never taken down: no destructor at the end of the process, which a module without an OS cannot ask for.
  static const std::vector<IsolationInfo>& table = *new std::vector<IsolationInfo>{
#define HF_ISOLATION(id, bit, name, text) {Isolation::id, name, text},
#include "seam/isolation.def"
#undef HF_ISOLATION
  };
  return table;
}

}  // namespace holdfast::seam
