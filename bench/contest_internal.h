// The same load for several systems, by turns, and the figure that comes of it.
#ifndef HOLDFAST_BENCH_CONTEST_INTERNAL_H_
#define HOLDFAST_BENCH_CONTEST_INTERNAL_H_

#include <functional>
#include <string>
#include <vector>

#include "bench/figure_internal.h"
#include "bench/load_internal.h"

namespace holdfast::bench {

struct Contender {
  std::string label;  // in the figure; of what is ours it does not matter
  std::function<Sample(const Load& load)> run;
  std::vector<Sample> samples{};
};

// A load of some length is run by each for a quarter of it first, which does not count. Then they take turns,
// another one first each time. `step` after each repetition.
void Compete(const Load& load, int repetitions, std::vector<Contender>& contenders,
             const std::function<void()>& step);

enum class Measure : uint8_t {
  kRate,       // operations a second
  kMegabytes,  // of stream values, a second
  kUsualTime,  // p50 of one operation: less is better
};
std::vector<const Contender*> Pointers(const std::vector<Contender>& contenders);
// The first is ours, the others its peers. With the medians of what else was measured, and the range of
// rates.
Figure FigureOf(const std::string& name, Measure measure, const Load& load,
                const std::vector<const Contender*>& contenders);

}  // namespace holdfast::bench

#endif  // HOLDFAST_BENCH_CONTEST_INTERNAL_H_
