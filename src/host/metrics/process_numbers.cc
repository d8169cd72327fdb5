#include "host/metrics/process_numbers.h"

#include <dirent.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>

namespace holdfast::host {
namespace {

uint64_t ResidentBytes() {
  std::FILE* f = std::fopen("/proc/self/statm", "re");
  if (f == nullptr) return 0;
  unsigned long long size = 0, resident = 0;
  int read = std::fscanf(f, "%llu %llu", &size, &resident);
  (void)std::fclose(f);
  return read == 2 ? resident * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE)) : 0;
}

uint64_t CpuNanoseconds() {
  timespec t{};
  if (::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) != 0) return 0;
  return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(t.tv_nsec);
}

uint64_t OpenDescriptors() {
  DIR* d = ::opendir("/proc/self/fd");
  if (d == nullptr) return 0;
  uint64_t n = 0;
  while (const dirent* entry = ::readdir(d)) n += entry->d_name[0] != '.';
  (void)::closedir(d);
  return n - 1;  // the one we counted with
}

}  // namespace

void AddProcessNumbers(HostValues* values) {
  (*values)[HostMetric::kResidentBytes] = ResidentBytes();
  (*values)[HostMetric::kCpuTime] = CpuNanoseconds();
  (*values)[HostMetric::kDescriptors] = OpenDescriptors();
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) (*values)[HostMetric::kDescriptorsMax] = limit.rlim_cur;
}

}  // namespace holdfast::host
