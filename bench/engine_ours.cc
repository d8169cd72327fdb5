// Ours as an embedded engine.
#include <atomic>
#include <condition_variable>
#include <mutex>

#include "bench/engine_internal.h"
#include "bench/failure_internal.h"
#include "core/runtime/core.h"
#include "core/runtime/engine.h"
#include "core/store/offline.h"
#include "core/store/opener.h"
#include "host/kv/open.h"

namespace holdfast::bench {
namespace {

constexpr std::string_view kPassphrase = "bench";  // of a store that is deleted at the end
constexpr const char* kTable = "bench";
constexpr uint64_t kReadMilliseconds = 1000;
// A page of a scan, and a batch of loading: the most that the interface takes at once.
constexpr size_t kOutstanding = 8;  // batches: several waves
constexpr size_t kScanRows = 4096, kScanBytes = 16u << 20;

// The one place that says how our engine is set up here.
runtime::EngineOptions OptionsOf(const Opening& opening) {
  runtime::EngineOptions options;
  options.cache_bytes = opening.cache_bytes;
  return options;
}

std::unique_ptr<seam::Storage> StorageOf(const Opening& opening, host::OpenMode mode) {
  return Take(host::OpenStorage("dir:" + opening.directory, mode), "bench: " + opening.directory);
}

class Ours final : public EmbeddedStore {
 public:
  explicit Ours(const Opening& opening) : storage_(StorageOf(opening, host::OpenMode::kReadWrite)) {
    auto opened =
        Take(store::OpenStore(*storage_, nullptr, AsBytes(kPassphrase), {}, runtime::SystemRandom(), nullptr),
             "bench: open");
    engine_ = std::make_unique<runtime::Engine>(*storage_, nullptr, std::move(opened), OptionsOf(opening),
                                                runtime::SystemRandom(), [](Code, uint64_t, uint64_t) {});
    engine_->Start();
    if (auto found = engine_->FindTable(kTable)) table_ = found.value();
  }
  ~Ours() override { (void)engine_->Stop(); }  // what failed before is being told already

  void CreateTable() {
    tree::Descriptor d;
    d.name = kTable;
    Await([&](session::WriteDone done) { engine_->CreateTable(d, std::move(done)); });
    table_ = Take(engine_->FindTable(kTable), "bench: table");
  }
  void Write(std::span<const RowView> rows) override { Write(rows, kernel::Wait::kDurable); }
  void Write(std::span<const RowView> rows, kernel::Wait wait) {
    Await([&](session::WriteDone done) { engine_->Write(BatchOf(rows), wait, std::move(done)); });
  }
  // Answered when it has its place in the log; not more than `outstanding` are waited for at a time.
  void WriteAhead(std::span<const RowView> rows, size_t outstanding) {
    {
      std::unique_lock<std::mutex> lock(ahead_mutex_);
      ahead_wake_.wait(lock, [&] { return ahead_ < outstanding; });
      Need(ahead_status_, "bench");
      ++ahead_;
    }
    engine_->Write(BatchOf(rows), kernel::Wait::kNone, [this](const session::WriteReply& r) {
      std::lock_guard<std::mutex> lock(ahead_mutex_);
      --ahead_;
      if (!r.status) ahead_status_ = r.status;
      ahead_wake_.notify_one();
    });
  }
  bool Get(std::string_view key, std::string& value) override {
    auto got = Take(engine_->Get(table_, AsBytes(key), {}, kReadMilliseconds), "bench: get");
    if (got) value.assign(AsText(*got));
    return got.has_value();
  }
  Scanned Scan() override {
    auto snapshot = Take(engine_->TakeSnapshot({}, kReadMilliseconds), "bench: snapshot");
    Scanned all;
    session::RowPage page;
    for (Bytes from;;) {
      Need(snapshot->ScanPage(table_, from, {}, false, kScanRows, kScanBytes, page), "bench: scan");
      if (page.empty()) return all;
      for (size_t i = 0; i < page.size(); ++i) all.Add(AsText(page.key(i)), AsText(page.value(i)));
      from = ToBytes(page.key(page.size() - 1));
      from.push_back(0);
    }
  }
  void PayDebt() override {
    Await([&](session::WriteDone done) { engine_->SaveState(std::move(done)); });
  }
  void Sync() {
    Await([&](session::WriteDone done) { engine_->Sync(std::move(done)); });
    std::lock_guard<std::mutex> lock(ahead_mutex_);  // those before it have been answered
    Need(ahead_status_, "bench");
  }
  runtime::Engine& engine() { return *engine_; }

 private:
  kernel::Batch BatchOf(std::span<const RowView> rows) const {
    kernel::Batch batch;
    batch.operations.reserve(rows.size());
    for (const RowView& r : rows) {
      batch.operations.push_back({kernel::OperationKind::kPut, table_, ToBytes(r.key), ToBytes(r.value), {}});
    }
    return batch;
  }
  // As libholdfast does.
  static void Await(const std::function<void(session::WriteDone)>& call) {
    Status status;
    std::atomic<uint32_t> there{0};
    runtime::Engine::Waiting waiting;
    call([&](const session::WriteReply& r) {
      status = r.status;
      there.store(1, std::memory_order_release);
      there.notify_one();
    });
    there.wait(0, std::memory_order_acquire);
    Need(status, "bench");
  }

  const std::unique_ptr<seam::Storage> storage_;
  std::unique_ptr<runtime::Engine> engine_;
  TableId table_;
  std::mutex ahead_mutex_;
  std::condition_variable ahead_wake_;
  size_t ahead_ = 0;
  Status ahead_status_;
};

void Init(const Opening& opening) {
  auto storage = StorageOf(opening, host::OpenMode::kCreate);
  store::InitOptions init;
  init.argon = {limits::kArgonMemoryKiBMin, 1};
  crypto::Random& random = runtime::SystemRandom();
  Take(store::InitStore(*storage, random.NewId<StoreId>(), AsBytes(kPassphrase), init, random),
       "bench: init");
}

// Through the log, like any other write; another way of loading goes here.
void Load(const Opening& opening, const RowPages& pages) {
  Init(opening);
  Ours store(opening);
  store.CreateTable();
  static_assert(kRowsPerPage <= limits::kBatchOpsMax);
  for (auto page = pages(); !page.empty(); page = pages()) store.WriteAhead(page, kOutstanding);
  store.Sync();
  store.PayDebt();
}

}  // namespace

EmbeddedSystem OurSystem() {
  EmbeddedSystem s;
  s.name = "ours";
  s.leaf_miss_bytes_per_1000_rows = 12'000;  // inner nodes take 9,000: one leaf in fifty is there
  s.load = Load;
  s.open = [](const Opening& opening) { return std::make_unique<Ours>(opening); };
  return s;
}

void VerifyOurs(EmbeddedStore& store) {
  Need(static_cast<Ours&>(store).engine().Verify({}, [](const std::string&) {}), "bench: verify");
}

uint64_t LiveBytesOfOurs(EmbeddedStore& store) {
  return static_cast<Ours&>(store).engine().Status_().live_bytes;
}

}  // namespace holdfast::bench
