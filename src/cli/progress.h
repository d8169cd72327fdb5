// A bar on stderr, when stderr is a terminal and nobody asked for --json; silent otherwise.
#ifndef HOLDFAST_CLI_PROGRESS_H_
#define HOLDFAST_CLI_PROGRESS_H_

#include <chrono>
#include <cstdint>
#include <string>

namespace holdfast::cli {

class ProgressBar {
 public:
  enum class Unit { kRecords, kBytes };
  ProgressBar(std::string what, Unit unit, bool quiet);
  ~ProgressBar();  // leaves a clean line
  // `total` 0: unknown. Draws at most ten times a second.
  void Update(uint64_t done, uint64_t total);

 private:
  void Draw();
  const std::string what_;
  const Unit unit_;
  const bool shown_;
  bool drawn_ = false;
  uint64_t done_ = 0, total_ = 0;
  std::chrono::steady_clock::time_point begin_, last_;
};

}  // namespace holdfast::cli

#endif  // HOLDFAST_CLI_PROGRESS_H_
