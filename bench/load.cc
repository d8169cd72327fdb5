#include <algorithm>
#include <cstring>

#include "bench/failure_internal.h"
#include "bench/load_internal.h"

namespace holdfast::bench {
namespace {

// A minute at 60,000 a second; later answers count, their latencies are not kept.
constexpr size_t kAnswersMax = 4u << 20;
constexpr size_t kStreamBlockBytes = 16u << 20;

template <typename T>
T Quantile(std::vector<T>& values, double q) {
  if (values.empty()) return {};
  size_t at = std::min(values.size() - 1, static_cast<size_t>(q * static_cast<double>(values.size())));
  std::nth_element(values.begin(), values.begin() + static_cast<ptrdiff_t>(at), values.end());
  return values[at];
}

}  // namespace

std::string_view StreamValue(uint64_t n) {
  static const std::string block = [] {
    std::string b(kStreamBlockBytes + kStreamValueBytes, 0);
    FillRandom(1, b.data(), b.size());
    return b;
  }();
  return std::string_view(block).substr(n * 65'537 % kStreamBlockBytes, kStreamValueBytes);
}

Sample MedianOf(const std::vector<Sample>& samples) {
  Sample median;
  for (double Sample::*field : {&Sample::per_second, &Sample::p50_us, &Sample::p99_us, &Sample::server_cores,
                                &Sample::client_cores}) {
    std::vector<double> values;
    values.reserve(samples.size());
    for (const Sample& s : samples) values.push_back(s.*field);
    median.*field = Quantile(values, 0.5);
  }
  return median;
}

Stopwatch::Stopwatch(const Process& server, const Load& load)
    : server_(server),
      load_(load),
      took_(load.seconds > 0 ? kAnswersMax : std::min<size_t>(load.count, kAnswersMax)),
      server_cpu_(server.CpuSeconds()),
      client_cpu_(OwnCpuSeconds()),
      begin_(Nanoseconds()),
      until_(begin_ + static_cast<uint64_t>(load.seconds * 1e9)) {}

void Stopwatch::Answered(uint64_t begun_at) {
  size_t n = answers_.fetch_add(1, std::memory_order_relaxed);
  if (n < took_.size()) {
    took_[n] = static_cast<uint32_t>(std::min<uint64_t>(Nanoseconds() - begun_at, UINT32_MAX));
  }
}

void Stopwatch::Broke(Code code) {
  code_ = code;
  broken_ = true;
}

Sample Stopwatch::End(const std::string& who) {
  double seconds = static_cast<double>(Nanoseconds() - begin_) * 1e-9;
  if (broken_ && code_ == Code::kInternal) {
    FailWith(Code::kInternal, "bench: " + who + ": a row is not what was put");
  }
  if (broken_) Fail("bench: " + who, code_);
  size_t answers = answers_;
  if (answers == 0) Fail("bench: " + who + " answered nothing", Code::kDeadline);
  took_.resize(std::min(answers, took_.size()));
  Sample s;
  s.per_second = static_cast<double>(answers) / seconds;
  s.p50_us = Quantile(took_, 0.5) / 1e3;
  s.p99_us = Quantile(took_, 0.99) / 1e3;
  s.server_cores = (server_.CpuSeconds() - server_cpu_) / seconds;
  s.client_cores = (OwnCpuSeconds() - client_cpu_) / seconds;
  return s;
}

void Target::Fill(uint64_t rows) {
  Load load;
  load.outstanding = 64;
  load.count = rows;
  (void)Run(load);
}

Sample Target::Run(const Load& load) {
  HF_CHECK(load.outstanding >= 1 && load.outstanding <= kOutstandingMax);
  constexpr uint64_t kPutsMax = 1ull << 32;  // what one run may use up
  uint64_t first = next_row_;
  if (load.work == Load::Work::kPut) next_row_ += load.seconds > 0 ? kPutsMax : load.count;
  Stopwatch watch(process(), load);
  Drive(load, first, watch);
  return watch.End(name_);
}

}  // namespace holdfast::bench
