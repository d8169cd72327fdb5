#include "cli/progress.h"

#include <unistd.h>

#include <cstdio>
#include <utility>

#include "cli/text.h"

namespace holdfast::cli {
namespace {

constexpr uint64_t kCells = 30;
constexpr auto kRedraw = std::chrono::milliseconds(100);

}  // namespace

ProgressBar::ProgressBar(std::string what, Unit unit, bool quiet)
    : what_(std::move(what)),
      unit_(unit),
      shown_(!quiet && ::isatty(STDERR_FILENO) == 1),
      begin_(std::chrono::steady_clock::now()),
      last_(begin_) {}

ProgressBar::~ProgressBar() {
  if (!drawn_) return;
  Draw();
  std::fputc('\n', stderr);
}

void ProgressBar::Update(uint64_t done, uint64_t total) {
  done_ = done;
  total_ = total;
  auto now = std::chrono::steady_clock::now();
  if (!shown_ || now - last_ < kRedraw) return;
  last_ = now;
  Draw();
}

void ProgressBar::Draw() {
  drawn_ = true;
  std::string line = "\r" + what_ + " ";
  auto show = [&](uint64_t n) { return unit_ == Unit::kBytes ? HumanBytes(n) : Thousands(n); };
  if (total_ != 0) {
    uint64_t cells = done_ >= total_ ? kCells : done_ * kCells / total_;
    line += "[" + std::string(cells, '#') + std::string(kCells - cells, '.') + "] " + show(done_) + " of " +
            show(total_);
  } else {
    line += show(done_);
  }
  auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin_)
                .count();
  if (ms > 500) line += "  " + show(done_ * 1000 / static_cast<uint64_t>(ms)) + "/s";
  line += "   ";
  std::fwrite(line.data(), 1, line.size(), stderr);
}

}  // namespace holdfast::cli
