// Rule C1: who holds a store's directory.
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cerrno>
#include <charconv>
#include <fstream>
#include <iterator>
#include <vector>

#include "host/kv/dir.h"

namespace holdfast::host {
namespace {

template <typename T>
bool ParseNumber(std::string_view text, int base, T& out) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out, base);
  return error == std::errc() && end == text.data() + text.size();
}

std::vector<std::string_view> SplitBy(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    size_t n = text.find(separator);
    if (n != 0) parts.push_back(text.substr(0, n));
    if (n == std::string_view::npos) break;
    text.remove_prefix(n + 1);
  }
  return parts;
}

}  // namespace

// "3: FLOCK  ADVISORY  WRITE 1234 fe:00:9437185 0 EOF": device in hex, inode in decimal. A line "3: -> FLOCK
// …" is somebody who waits.
std::optional<int> FindLockHolder(std::string_view proc_locks, uint32_t device_major, uint32_t device_minor,
                                  uint64_t inode) {
  std::optional<int> reader;
  for (std::string_view line : SplitBy(proc_locks, '\n')) {
    std::vector<std::string_view> words = SplitBy(line, ' ');
    if (words.size() < 6 || words[1] != "FLOCK") continue;
    std::vector<std::string_view> file = SplitBy(words[5], ':');
    uint32_t file_major = 0, file_minor = 0;
    uint64_t file_inode = 0;
    int pid = 0;
    if (file.size() != 3 || !ParseNumber(file[0], 16, file_major) || !ParseNumber(file[1], 16, file_minor) ||
        !ParseNumber(file[2], 10, file_inode) || !ParseNumber(words[4], 10, pid)) {
      continue;
    }
    if (file_major != device_major || file_minor != device_minor || file_inode != inode || pid <= 0) continue;
    if (words[3] == "WRITE") return pid;
    reader = pid;
  }
  return reader;
}

std::optional<int> LockHolder(const std::string& path) {
  struct stat st {};
  if (::stat(path.c_str(), &st) != 0) return std::nullopt;
  std::ifstream file("/proc/locks");
  std::string text{std::istreambuf_iterator<char>(file), {}};
  return FindLockHolder(text, major(st.st_dev), minor(st.st_dev), st.st_ino);
}

}  // namespace holdfast::host
