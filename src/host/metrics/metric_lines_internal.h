// One value and what stands before it; what RenderMetrics is made of.
#ifndef HOLDFAST_HOST_METRICS_METRIC_LINES_INTERNAL_H_
#define HOLDFAST_HOST_METRICS_METRIC_LINES_INTERNAL_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "seam/metrics.h"

namespace holdfast::host {

class MetricLines {
 public:
  // REQUIRES: metrics with one name come in a row; the first one's kind and help count.
  void Add(const seam::MetricInfo& info, uint64_t value);
  std::string Take() { return std::move(text_); }

 private:
  std::string_view name_;  // of the last value
  std::string text_;
};

}  // namespace holdfast::host

#endif  // HOLDFAST_HOST_METRICS_METRIC_LINES_INTERNAL_H_
