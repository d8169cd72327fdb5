#include "host/kv/conformance.h"

#include <cstdlib>
#include <filesystem>

#include "host/kv/dir.h"
#include "host/kv/fault.h"
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

// The wrapper without a fault must be invisible, also while it keeps back what is not synced.
class FaultUnderTest : public ProviderUnderTest {
 public:
  FaultUnderTest(std::unique_ptr<ProviderUnderTest> inner, bool drop_unsynced)
      : inner_(std::move(inner)), drop_unsynced_(drop_unsynced) {
    Wrap();
  }
  seam::Storage& storage() override { return *storage_; }
  void Reopen() override {
    storage_.reset();
    inner_->Reopen();
    Wrap();
  }

 private:
  void Wrap() {
    FaultPlan plan;
    plan.drop_unsynced = drop_unsynced_;
    storage_ = std::make_unique<FaultStorage>(inner_->storage(), plan);
  }
  std::unique_ptr<ProviderUnderTest> inner_;
  const bool drop_unsynced_;
  std::unique_ptr<FaultStorage> storage_;
};

std::vector<Provider> Wrapped() {
  std::vector<Provider> wrapped;
  for (bool drop_unsynced : {false, true}) {
    for (const char* what : {"Memory", "DirAppend", "DirWholeObjects"}) {
      std::string kind = what;
      wrapped.push_back({kind + (drop_unsynced ? "Buffered" : ""), [kind, drop_unsynced] {
                           std::unique_ptr<ProviderUnderTest> inner;
                           if (kind == "Memory") {
                             inner = std::make_unique<MemoryUnderTest>();
                           } else {
                             inner = std::make_unique<DirUnderTest>(kind == "DirWholeObjects");
                           }
                           return std::make_unique<FaultUnderTest>(std::move(inner), drop_unsynced);
                         }});
    }
  }
  return wrapped;
}

std::vector<Provider> Providers() {
  return {{"Memory", [] { return std::make_unique<MemoryUnderTest>(); }},
          {"DirAppend", [] { return std::make_unique<DirUnderTest>(false); }},
          {"DirWholeObjects", [] { return std::make_unique<DirUnderTest>(true); }}};
}

INSTANTIATE_TEST_SUITE_P(Plain, StorageConformance, ::testing::ValuesIn(Providers()), ProviderName);
INSTANTIATE_TEST_SUITE_P(NoFault, StorageConformance, ::testing::ValuesIn(Wrapped()), ProviderName);

}  // namespace
}  // namespace holdfast::host
