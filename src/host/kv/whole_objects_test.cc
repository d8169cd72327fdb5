// The calls that whole-objects mode makes, seen from outside: mounts of object stores have no seek, append,
// cut or rename, and some find out only at the close. Needs strace; without it the test is skipped and says
// so.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>
#include <string>

#include "host/kv/dir.h"
#include "host/kv/test_directory_internal.h"

namespace holdfast::host {
namespace {

constexpr const char* kStrace = "/usr/bin/strace";

void UseStore(const std::string& path) {
  DirOptions options;
  options.whole_objects = true;
  auto opened = OpenDir(path, OpenMode::kCreate, options);
  HF_CHECK(opened.has_value());
  seam::Storage& s = **opened;
  HF_CHECK(s.Put("segments/1", Bytes(3u << 20, 1)).has_value());
  HF_CHECK(s.Put("segments/1", Bytes(100, 2)).has_value());
  HF_CHECK(s.PutIfAbsent("members/M/journal/1", Bytes(512)).has_value());
  HF_CHECK(!s.PutIfAbsent("members/M/journal/1", Bytes(512)).has_value());
  auto version = s.PutIfVersion("slot", Bytes(72), "");
  HF_CHECK(version.has_value() && s.PutIfVersion("slot", Bytes(72), *version).has_value());
  HF_CHECK(s.GetRange("segments/1", 10, 20).has_value() && s.List("", "", 10).has_value());
  HF_CHECK(s.Delete("segments/1").has_value() && s.Barrier().has_value());
}

// On its own a short walk through the provider; below, what the traced process runs.
TEST(WholeObjects, ServesEveryCallWithoutAppend) {
  TestDirectory directory;
  const char* path = ::getenv("HF_TRACED_STORE");
  UseStore(path != nullptr ? path : directory.path("store"));
}

std::string Trace(const std::string& store, const std::string& log) {
  std::string exe = std::filesystem::read_symlink("/proc/self/exe").string();
  pid_t child = ::fork();
  if (child == 0) {
    ::setenv("HF_TRACED_STORE", store.c_str(), 1);
    if (::freopen("/dev/null", "w", stdout) == nullptr) ::_exit(127);
    ::execl(kStrace, kStrace, "-f", "-y", "-o", log.c_str(), exe.c_str(),
            "--gtest_filter=WholeObjects.Serves*", static_cast<char*>(nullptr));
    ::_exit(127);
  }
  int status = 0;
  HF_CHECK(::waitpid(child, &status, 0) == child);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return {};
  std::ifstream file(log);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(WholeObjects, NeverSeeksAppendsCutsOrRenamesInsideTheDirectory) {
  if (::access(kStrace, X_OK) != 0) GTEST_SKIP() << "no strace";
  TestDirectory directory;
  std::string store = directory.path("store");
  std::string log = Trace(store, directory.path("log"));
  if (log.empty()) GTEST_SKIP() << "strace may not trace here";
  ASSERT_NE(log.find(store + "/segments"), std::string::npos) << "the trace does show the store";
  ASSERT_NE(log.find("O_CREAT"), std::string::npos);
  std::istringstream lines(log);
  const std::regex forbidden(
      R"(^\d+\s+(lseek|pwrite64|pwritev2?|ftruncate|truncate|fallocate|rename\w*|link\w*|symlink\w*)\()");
  for (std::string line; std::getline(lines, line);) {
    if (line.find(store) == std::string::npos) continue;
    EXPECT_FALSE(std::regex_search(line, forbidden)) << line;
    EXPECT_EQ(line.find("O_APPEND"), std::string::npos) << line;
    EXPECT_EQ(line.find("O_RDWR"), std::string::npos) << line;
  }
}

}  // namespace
}  // namespace holdfast::host
