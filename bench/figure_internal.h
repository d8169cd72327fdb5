// One line of output: ours beside others.
#ifndef HOLDFAST_BENCH_FIGURE_INTERNAL_H_
#define HOLDFAST_BENCH_FIGURE_INTERNAL_H_

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "bench/suites.h"

namespace holdfast::bench {

struct Figure {
  std::string name, unit;
  double ours = 0;
  std::map<std::string, double> peers{};
  bool less_is_better = false;
  std::string durability;
  size_t rows = 0, value_bytes = 0, threads = 1;
  std::string commit;
  // Further figures of ours ("ours") and of the peers, by system: p50_us, server_cores, ...
  std::map<std::string, std::map<std::string, double>> more{};
  std::map<std::string, std::string> versions{};  // of the peers, where they are libraries
};

// A peer's figure and ours as one number: above 1 is better for us.
double RatioOf(const Figure& figure, double peer);
// {"case", "unit", "ours", "peers", "ratio", "ratio_better_lsm" (of RocksDB and LevelDB, where both were
// measured), "durability", "rows", "value_bytes", "threads", "commit", "versions" (where known), more...}
std::string ToJson(const Figure& figure);
std::string ToText(const Figure& figure);
void Show(const Output& output, const Figure& figure);  // throws Failure when nobody reads any more

}  // namespace holdfast::bench

#endif  // HOLDFAST_BENCH_FIGURE_INTERNAL_H_
