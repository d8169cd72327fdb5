// How far `kv load --resume FILE` has come: FILE.progress, a LoadPoint. Not thread-safe.
#ifndef HOLDFAST_CLI_LOAD_PROGRESS_H_
#define HOLDFAST_CLI_LOAD_PROGRESS_H_

#include <chrono>
#include <optional>
#include <string>

#include "cli/resume_point.h"

namespace holdfast::cli {

// A place between two records of the input.
struct LoadPlace {
  uint64_t offset = 0, line = 1, rows = 0;
};

class LoadProgress {
 public:
  // `descriptor`: of the input, which outlives this. Fails (Failure, kUsage) if it is no regular file.
  LoadProgress(const std::string& input, int descriptor, const std::string& store, const std::string& table,
               const std::string& format);

  // Where the earlier load had come to, or nothing if there was none. Fails (kBadInput) when it was of
  // another table, store or format, or the input is not what it was: name, size, time of change, or the
  // bytes before the place differ.
  std::optional<LoadPlace> Earlier();
  // Before anything is loaded: the id of the table. Fails (kBadInput) when the earlier load was into one that
  // has been dropped since.
  void OfTable(const std::string& id);
  // All before `place` is durable in the store. Written at once if `now`, else not more often than kPeriod:
  // after a crash what was acknowledged within it is written once more, the same rows in the same order.
  void Reached(const LoadPlace& place, bool now);
  void Finished();  // removes it

 private:
  static constexpr auto kPeriod = std::chrono::milliseconds(50);  // a sync of a small file, one in twenty
  std::string Tail(uint64_t offset) const;
  const std::string path_;
  const int descriptor_;
  [[noreturn]] void Refuse(const std::string& why) const;
  LoadPoint point_;
  std::optional<std::string> earlier_table_id_;
  uint64_t written_ = 0;  // offset
  std::chrono::steady_clock::time_point last_{};
};

}  // namespace holdfast::cli

#endif  // HOLDFAST_CLI_LOAD_PROGRESS_H_
