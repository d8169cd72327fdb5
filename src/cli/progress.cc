#include "cli/progress.h"

#include <unistd.h>

#include <cstdio>
#include <utility>

#include "cli/text.h"

namespace holdfast::cli {
namespace {

constexpr uint64_t kCells = 30;
constexpr auto kRedraw = std::chrono::milliseconds(100);
constexpr auto kLine = std::chrono::milliseconds(1000);

}  // namespace

ProgressBar::ProgressBar(std::string what, Unit unit, bool quiet, bool lines)
    : what_(std::move(what)),
      unit_(unit),
      bar_(!quiet && ::isatty(STDERR_FILENO) == 1),
      lines_(lines && !bar_),
      begin_(std::chrono::steady_clock::now()),
      last_(begin_) {}

ProgressBar::~ProgressBar() {
  if (!drawn_ && !(lines_ && begun_)) return;
  Draw();
  if (bar_) std::fputc('\n', stderr);
}

void ProgressBar::Update(uint64_t done, uint64_t total) {
  if (!begun_) first_ = done;
  begun_ = true;
  done_ = done;
  total_ = total;
  auto now = std::chrono::steady_clock::now();
  if (!(bar_ || lines_) || now - last_ < (bar_ ? kRedraw : kLine)) return;
  last_ = now;
  Draw();
}

void ProgressBar::Draw() {
  drawn_ = true;
  std::string line = (bar_ ? "\r" : "") + what_ + " ";
  auto show = [&](uint64_t n) { return unit_ == Unit::kBytes ? HumanBytes(n) : Thousands(n); };
  if (total_ != 0) {
    uint64_t cells = done_ >= total_ ? kCells : done_ * kCells / total_;
    uint64_t percent = done_ >= total_ ? 100 : done_ * 100 / total_;
    if (bar_) line += "[" + std::string(cells, '#') + std::string(kCells - cells, '.') + "] ";
    line += show(done_) + " of " + show(total_) + " " + std::to_string(percent) + "%";
  } else {
    line += show(done_);
  }
  auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin_)
                .count();
  if (ms > 500) line += "  " + show((done_ - first_) * 1000 / static_cast<uint64_t>(ms)) + "/s";
  line += bar_ ? "   " : "\n";
  std::fwrite(line.data(), 1, line.size(), stderr);
}

}  // namespace holdfast::cli
