#include "host/kv/conformance.h"

#include <cstdlib>
#include <filesystem>

#include "host/kv/dir.h"
#include "host/kv/memory.h"
#include "host/kv/test_directory_internal.h"

namespace holdfast::host {
namespace {

class MemoryUnderTest : public ProviderUnderTest {
 public:
  seam::Storage& storage() override { return storage_; }
  void Reopen() override {}  // there is no second opener of memory

 private:
  MemoryStorage storage_;
};

class DirUnderTest : public ProviderUnderTest {
 public:
  explicit DirUnderTest(bool whole_objects) : whole_objects_(whole_objects) { Open(OpenMode::kCreate); }
  seam::Storage& storage() override { return *storage_; }
  void Reopen() override {
    storage_.reset();
    Open(OpenMode::kReadWrite);
  }

 private:
  void Open(OpenMode mode) {
    DirOptions options;
    options.whole_objects = whole_objects_;
    auto opened = OpenDir(directory_.path("store"), mode, options);
    HF_CHECK(opened.has_value());
    storage_ = std::move(opened).value();
  }
  const bool whole_objects_;
  TestDirectory directory_;
  std::unique_ptr<seam::Storage> storage_;
};

std::vector<Provider> Providers() {
  return {{"Memory", [] { return std::make_unique<MemoryUnderTest>(); }},
          {"DirAppend", [] { return std::make_unique<DirUnderTest>(false); }},
          {"DirWholeObjects", [] { return std::make_unique<DirUnderTest>(true); }}};
}

INSTANTIATE_TEST_SUITE_P(Plain, StorageConformance, ::testing::ValuesIn(Providers()), ProviderName);

}  // namespace
}  // namespace holdfast::host
