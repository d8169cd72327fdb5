#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

#include "bench/engine_internal.h"
#include "bench/failure_internal.h"
#include "bench/process_internal.h"
#include "crypto/aead.h"
#include "crypto/hash.h"

namespace holdfast::bench {
namespace {

constexpr uint64_t kQuietMilliseconds = 50;
constexpr int kQuietPeriods = 4;
constexpr double kQuietCpuSeconds = 0.001;            // of a period: what timers of idle engines use
constexpr uint64_t kQuietWaitMilliseconds = 600'000;  // no debt takes longer; then something is wrong

// Written pages, without those that were thrown away before they reached the device. A page counts as large
// as the kernel keeps it, maybe 64 KiB for a change of 4.
uint64_t WrittenBytes() {
  std::ifstream in("/proc/self/io");
  uint64_t written = 0, cancelled = 0;
  std::string name;
  for (uint64_t n = 0; in >> name >> n;) {
    if (name == "write_bytes:") written = n;
    if (name == "cancelled_write_bytes:") cancelled = n;
  }
  return written - std::min(written, cancelled);
}

double Quantile(std::vector<double>& sorted, double q) {
  return sorted[std::min(sorted.size() - 1, static_cast<size_t>(q * static_cast<double>(sorted.size())))];
}

}  // namespace

Usage Usage::Now() { return {Nanoseconds(), OwnCpuSeconds(), WrittenBytes()}; }

uint64_t DiskBytes(const std::string& directory) {
  std::ifstream mounts("/proc/self/mountinfo");
  std::string disk, skip, numbers, point;
  for (size_t longest = 0; mounts >> skip >> skip >> numbers >> skip >> point;) {
    bool holds = directory.starts_with(point) && point.size() >= longest;
    if (holds) disk = numbers, longest = point.size();
    mounts.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  std::ifstream stat("/sys/dev/block/" + disk + "/stat");
  uint64_t field = 0;
  constexpr int kSectorsWritten = 7;
  for (int i = 0; i < kSectorsWritten; ++i) stat >> field;
  return stat ? field * 512 : 0;
}

Usage AwaitQuiet() {
  Usage since = Usage::Now(), last = since;
  int quiet = 0;
  for (uint64_t waited = 0; quiet < kQuietPeriods; waited += kQuietMilliseconds) {
    if (Interruptible::Interrupted()) Fail("bench", Code::kCancelled);
    if (waited > kQuietWaitMilliseconds) Fail("bench: work in the background does not end", Code::kDeadline);
    SleepMilliseconds(kQuietMilliseconds);
    Usage now = Usage::Now();
    bool idle =
        now.cpu_seconds - last.cpu_seconds < kQuietCpuSeconds && now.written_bytes == last.written_bytes;
    quiet = idle ? quiet + 1 : 0;
    if (!idle) since = now;
    last = now;
  }
  return since;
}

Measures MedianOf(const std::vector<Measures>& turns) {
  std::map<std::string, std::vector<double>> all;
  for (const Measures& turn : turns) {
    for (const auto& [what, value] : turn) all[what].push_back(value);
  }
  Measures median;
  for (auto& [what, values] : all) {
    std::sort(values.begin(), values.end());
    median[what] = what == "max_us" ? values.back() : Quantile(values, 0.5);
  }
  return median;
}

void Latencies::Tell(Measures& measures) const {
  std::vector<double> sorted(took_.begin(), took_.end());
  if (sorted.empty()) return;
  std::sort(sorted.begin(), sorted.end());
  measures["p50_us"] = Quantile(sorted, 0.5) / 10;
  measures["p99_us"] = Quantile(sorted, 0.99) / 10;
  measures["max_us"] = sorted.back() / 10;
}

double HashAndOpenBytesPerSecond() {
  constexpr size_t kPieceBytes = 1024, kPieces = 100'000;
  const Key key{};
  const Bytes piece(kPieceBytes, 7);
  crypto::AesGcm cipher(key);
  crypto::HmacStream hash(ByteView(piece).first(32));
  Bytes sealed;
  cipher.Seal(0, {}, piece, sealed);
  double begin = ThreadCpuSeconds();
  for (size_t i = 0; i < kPieces; ++i) {
    Bytes opened = Take(cipher.Open(0, {}, sealed), "bench: pace");
    hash.Update(opened);
    (void)hash.Finish();
  }
  return static_cast<double>(kPieces * kPieceBytes) / (ThreadCpuSeconds() - begin);
}

}  // namespace holdfast::bench
