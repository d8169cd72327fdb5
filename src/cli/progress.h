// How far long work has come, with rate and percentage, on stderr: a bar when it is a terminal and nobody
// asked for --json; when it is none, lines if they were asked for; silent otherwise.
#ifndef HOLDFAST_CLI_PROGRESS_H_
#define HOLDFAST_CLI_PROGRESS_H_

#include <chrono>
#include <cstdint>
#include <string>

namespace holdfast::cli {

class ProgressBar {
 public:
  enum class Unit { kRecords, kBytes };
  // `lines`: a line a second also where there is no terminal, and one at the end.
  ProgressBar(std::string what, Unit unit, bool quiet, bool lines = false);
  ~ProgressBar();  // leaves a clean line
  // `total` 0: unknown. Draws at most ten times a second. `done` begins at what the first call says: the rate
  // is of what is done here.
  void Update(uint64_t done, uint64_t total);

 private:
  void Draw();
  const std::string what_;
  const Unit unit_;
  const bool bar_, lines_;
  bool begun_ = false, drawn_ = false;
  uint64_t first_ = 0, done_ = 0, total_ = 0;
  std::chrono::steady_clock::time_point begin_, last_;
};

}  // namespace holdfast::cli

#endif  // HOLDFAST_CLI_PROGRESS_H_
