#include "host/kv/conformance.h"

#include <cstdlib>
#include <filesystem>

#include "host/kv/dir.h"
#include "host/kv/fault.h"
#include "host/kv/memory.h"
#include "host/kv/open.h"
#include "host/kv/parts.h"
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

// A provider of its own file or directory, by its URL.
class UrlUnderTest : public ProviderUnderTest {
 public:
  explicit UrlUnderTest(const std::string& scheme) : url_(scheme + ":" + directory_.path("store")) {
    Open(OpenMode::kCreate);
  }
  seam::Storage& storage() override { return *storage_; }
  void Reopen() override {
    storage_.reset();
    Open(OpenMode::kReadWrite);
  }

 private:
  void Open(OpenMode mode) {
    auto opened = OpenStorage(url_, mode);
    HF_CHECK(opened.has_value());
    storage_ = std::move(opened).value();
  }
  TestDirectory directory_{TestDirectory::WithoutDisk()};
  const std::string url_;
  std::unique_ptr<seam::Storage> storage_;
};

// Large objects over a provider of small rows, which may make its writes durable in any order.
class PartsUnderTest : public ProviderUnderTest {
 public:
  explicit PartsUnderTest(bool ordered_writes) {
    seam::Capabilities small = MemoryStorage::AllCapabilities();
    small.append = false;
    small.value_bytes_preferred = small.value_bytes_max = 4000;
    auto opened = PartsStorage::Open(
        std::make_unique<MemoryStorage>(small),
        {.part_bytes = 0, .ordered_writes = ordered_writes, .locked = ordered_writes, .put_parts = {}});
    HF_CHECK(opened.has_value());
    storage_ = std::move(opened).value();
  }
  seam::Storage& storage() override { return *storage_; }
  void Reopen() override {}

 private:
  std::unique_ptr<seam::Storage> storage_;
};

std::unique_ptr<ProviderUnderTest> Make(const std::string& kind) {
  if (kind == "Memory") return std::make_unique<MemoryUnderTest>();
  if (kind == "DirAppend") return std::make_unique<DirUnderTest>(false);
  if (kind == "DirWholeObjects") return std::make_unique<DirUnderTest>(true);
  if (kind == "Parts") return std::make_unique<PartsUnderTest>(false);
  if (kind == "PartsOrdered") return std::make_unique<PartsUnderTest>(true);
  if (kind == "Sqlite") return std::make_unique<UrlUnderTest>("sqlite");
  if (kind == "Rocksdb") return std::make_unique<UrlUnderTest>("rocksdb");
  HF_CHECK(kind == "Leveldb");
  return std::make_unique<UrlUnderTest>("leveldb");
}

const std::string kKinds[] = {"Memory",       "DirAppend", "DirWholeObjects", "Parts",
                              "PartsOrdered", "Sqlite",    "Rocksdb",         "Leveldb"};

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
    for (const std::string& kind : kKinds) {
      wrapped.push_back({kind + (drop_unsynced ? "Buffered" : ""), [kind, drop_unsynced] {
                           return std::make_unique<FaultUnderTest>(Make(kind), drop_unsynced);
                         }});
    }
  }
  return wrapped;
}

std::vector<Provider> Providers() {
  std::vector<Provider> providers;
  for (const std::string& kind : kKinds) providers.push_back({kind, [kind] { return Make(kind); }});
  return providers;
}

INSTANTIATE_TEST_SUITE_P(Plain, StorageConformance, ::testing::ValuesIn(Providers()), ProviderName);
INSTANTIATE_TEST_SUITE_P(NoFault, StorageConformance, ::testing::ValuesIn(Wrapped()), ProviderName);

}  // namespace
}  // namespace holdfast::host
