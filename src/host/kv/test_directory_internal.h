// A directory of its own for one test, removed behind it.
#ifndef HOLDFAST_HOST_KV_TEST_DIRECTORY_INTERNAL_H_
#define HOLDFAST_HOST_KV_TEST_DIRECTORY_INTERNAL_H_

#include <cstdlib>
#include <filesystem>
#include <string>

#include "base/check.h"

namespace holdfast::host {

class TestDirectory {
 public:
  TestDirectory() : TestDirectory(std::filesystem::temp_directory_path()) {}
  explicit TestDirectory(const std::filesystem::path& parent) {
    std::string pattern = (parent / "holdfast-kv-XXXXXX").string();
    HF_CHECK(::mkdtemp(pattern.data()) != nullptr);
    root_ = pattern;
  }
  // For tests of much else than durability: where a sync costs nothing, if there is such a place.
  static std::filesystem::path WithoutDisk() {
    constexpr uintmax_t kNeeded = 512u << 20;
    std::error_code error;
    std::filesystem::space_info memory = std::filesystem::space("/dev/shm", error);
    return !error && memory.available >= kNeeded ? "/dev/shm" : std::filesystem::temp_directory_path();
  }
  TestDirectory(const TestDirectory&) = delete;
  TestDirectory& operator=(const TestDirectory&) = delete;
  ~TestDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(root_, ignored);
  }
  std::string path(const std::string& name) const { return root_ + "/" + name; }

 private:
  std::string root_;
};

}  // namespace holdfast::host

#endif  // HOLDFAST_HOST_KV_TEST_DIRECTORY_INTERNAL_H_
