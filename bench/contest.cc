#include <algorithm>

#include "bench/contest_internal.h"

namespace holdfast::bench {
namespace {

double Value(Measure measure, const Sample& s) {
  switch (measure) {
    case Measure::kRate:
      return s.per_second;
    case Measure::kMegabytes:
      return s.per_second * static_cast<double>(kStreamValueBytes) / 1e6;
    case Measure::kUsualTime:
      return s.p50_us;
  }
  return 0;
}

const char* UnitOf(Measure measure) {
  switch (measure) {
    case Measure::kRate:
      return "ops/s";
    case Measure::kMegabytes:
      return "MB/s";
    case Measure::kUsualTime:
      return "us";
  }
  return "";
}

void AddDetails(Figure& f, const std::string& system, const std::vector<Sample>& samples) {
  Sample median = MedianOf(samples);
  f.more["p50_us"][system] = median.p50_us;
  f.more["p99_us"][system] = median.p99_us;
  f.more["ops_per_s"][system] = median.per_second;
  f.more["server_cores"][system] = median.server_cores;
  f.more["client_cores"][system] = median.client_cores;
  auto slower = [](const Sample& a, const Sample& b) { return a.per_second < b.per_second; };
  auto [low, high] = std::minmax_element(samples.begin(), samples.end(), slower);
  f.more["ops_per_s_min"][system] = low->per_second;
  f.more["ops_per_s_max"][system] = high->per_second;
}

}  // namespace

void Compete(const Load& load, int repetitions, std::vector<Contender>& contenders,
             const std::function<void()>& step) {
  if (load.seconds > 0) {
    Load warm_up = load;
    warm_up.seconds = load.seconds / 4;
    for (Contender& c : contenders) (void)c.run(warm_up);
  }
  for (int r = 0; r < repetitions; ++r) {
    for (size_t i = 0; i < contenders.size(); ++i) {
      Contender& c = contenders[(i + static_cast<size_t>(r)) % contenders.size()];
      c.samples.push_back(c.run(load));
    }
    step();
  }
}

std::vector<const Contender*> Pointers(const std::vector<Contender>& contenders) {
  std::vector<const Contender*> out;
  out.reserve(contenders.size());
  for (const Contender& c : contenders) out.push_back(&c);
  return out;
}

Figure FigureOf(const std::string& name, Measure measure, const Load& load,
                const std::vector<const Contender*>& contenders) {
  const bool streams = load.work == Load::Work::kStream;
  Figure f;
  f.name = name;
  f.unit = UnitOf(measure);
  f.less_is_better = measure == Measure::kUsualTime;
  f.durability = "fdatasync";
  f.commit = streams ? "at the end" : "every operation";
  f.rows = streams ? load.count : load.rows;
  f.value_bytes = streams ? kStreamValueBytes : kValueBytes;
  f.threads = load.outstanding;
  for (const Contender* c : contenders) {
    const bool is_ours = c == contenders.front();
    (is_ours ? f.ours : f.peers[c->label]) = Value(measure, MedianOf(c->samples));
    AddDetails(f, is_ours ? "ours" : c->label, c->samples);
  }
  return f;
}

}  // namespace holdfast::bench
