// The engine suite: in process, sealed and synced; no sessions, no TLS.
#include <algorithm>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/check.h"
#include "bench/failure_internal.h"
#include "bench/figure_internal.h"
#include "bench/process_internal.h"
#include "bench/suites.h"
#include "core/runtime/core.h"
#include "core/runtime/engine.h"
#include "core/store/offline.h"
#include "core/store/opener.h"
#include "crypto/hash.h"
#include "host/kv/open.h"

namespace holdfast::bench {
namespace {

constexpr size_t kKeyBytes = 16, kValueBytes = 100, kBatchRows = 1000;
constexpr std::string_view kBenchPassphrase = "bench";  // of a store that is deleted at the end

// Rates of the repetitions; their median is the figure.
double MedianRate(double amount, const std::function<void(int)>& work) {
  std::vector<double> rates;
  for (int i = 0; i < kRepetitionsMin; ++i) {
    uint64_t begin = Nanoseconds();
    work(i);
    rates.push_back(amount / (static_cast<double>(Nanoseconds() - begin) * 1e-9));
  }
  std::sort(rates.begin(), rates.end());
  return rates[kRepetitionsMin / 2];
}

// Row n has the same key in every run; keys of neighbours are far apart, values do not compress.
Bytes KeyOf(uint64_t n) {
  Digest d = crypto::Sha256(AsBytes("key " + std::to_string(n)));
  return Bytes(d.begin(), d.begin() + kKeyBytes);
}
Bytes ValueOf(uint64_t n) {
  Bytes value;
  for (uint64_t part = 0; value.size() < kValueBytes; ++part) {
    Append(value, crypto::Sha256(AsBytes(std::to_string(part) + " value " + std::to_string(n))));
  }
  value.resize(kValueBytes);
  return value;
}

void LookForSignal() {
  if (Interruptible::Interrupted()) Fail("bench", Code::kCancelled);
}

// One store in a directory of its own, opened in process; no sessions, no TLS.
class BenchStore {
 public:
  explicit BenchStore(const std::string& dir) {
    storage_ = Take(host::OpenStorage("dir:" + dir, host::OpenMode::kCreate), "bench " + dir);
    store::InitOptions init;
    init.argon = {limits::kArgonMemoryKiBMin, 1};
    crypto::Random& random = runtime::SystemRandom();
    Take(store::InitStore(*storage_, random.NewId<StoreId>(), AsBytes(kBenchPassphrase), init, random),
         "init");
  }
  ~BenchStore() {
    if (engine_ != nullptr) (void)engine_->Stop();  // what failed before is being told already
  }
  void Open() {
    auto opened = Take(
        store::OpenStore(*storage_, nullptr, AsBytes(kBenchPassphrase), {}, runtime::SystemRandom(), nullptr),
        "open");
    engine_ =
        std::make_unique<runtime::Engine>(*storage_, nullptr, std::move(opened), runtime::EngineOptions{},
                                          runtime::SystemRandom(), [](Code, uint64_t, uint64_t) {});
    engine_->Start();
  }
  void Stop() {
    if (engine_ == nullptr) return;
    Status stopped = engine_->Stop();
    engine_.reset();
    Need(stopped, "stop");
  }
  void CreateTable() {
    tree::Descriptor d;
    d.name = "bench";
    Wait([&](session::WriteDone done) { engine_->CreateTable(d, std::move(done)); });
    table_ = Take(engine_->FindTable("bench"), "table");
  }
  void Put(uint64_t first, size_t rows) {
    kernel::Batch batch;
    for (uint64_t n = first; n < first + rows; ++n) {
      batch.operations.push_back({kernel::OperationKind::kPut, table_, KeyOf(n), ValueOf(n), {}});
    }
    Wait([&](session::WriteDone done) {
      engine_->Write(std::move(batch), kernel::Wait::kDurable, std::move(done));
    });
  }
  void Save() {
    Wait([&](session::WriteDone done) { engine_->SaveState(std::move(done)); });
  }
  void Get(uint64_t n) {
    auto value = Take(engine_->Get(table_, KeyOf(n), {}, 1000), "get");
    if (!value || *value != ValueOf(n)) Fail("bench: a row is not what was written", Code::kInternal);
    LookForSignal();
  }
  size_t Scan() {
    auto snapshot = Take(engine_->TakeSnapshot({}, 1000), "snapshot");
    size_t rows = 0;
    for (Bytes from;;) {
      std::vector<session::Row> page = Take(snapshot->Scan(table_, from, {}, false, 4096, 16u << 20), "scan");
      if (page.empty()) return rows;
      rows += page.size();
      from = page.back().key;
      from.push_back(0);
      LookForSignal();
    }
  }
  void Verify() {
    Need(engine_->Verify(false, [](const std::string&) {}), "verify");
  }

 private:
  static void Wait(const std::function<void(session::WriteDone)>& call) {
    std::mutex mutex;
    std::condition_variable wake;
    std::optional<Status> status;
    call([&](const session::WriteReply& r) {
      std::lock_guard<std::mutex> lock(mutex);
      status = r.status;
      wake.notify_one();
    });
    std::unique_lock<std::mutex> lock(mutex);
    wake.wait(lock, [&] { return status.has_value(); });
    Need(*status, "bench");
    LookForSignal();
  }
  std::unique_ptr<seam::Storage> storage_;
  std::unique_ptr<runtime::Engine> engine_;
  TableId table_;
};

Figure RateOf(const char* name, const char* unit, double rate, size_t rows, size_t threads) {
  Figure f;
  f.name = name;
  f.unit = unit;
  f.ours = rate;
  f.durability = "fdatasync";
  f.rows = rows;
  f.value_bytes = kValueBytes;
  f.threads = threads;
  f.commit = "every wave";
  return f;
}

constexpr size_t kThreads = 64;

// Rows from `first` on, `each` by each of 64 threads, one row at a time.
void PutFromThreads(BenchStore& store, uint64_t first, size_t each) {
  std::mutex mutex;
  std::optional<Failure> failed;
  std::vector<std::thread> threads;
  for (size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, begin = first + t * each] {
      try {
        for (uint64_t n = begin; n < begin + each; ++n) store.Put(n, 1);
      } catch (const Failure& f) {
        std::lock_guard<std::mutex> lock(mutex);
        failed = f;
      }
    });
  }
  for (std::thread& t : threads) t.join();
  if (failed) throw Failure(*failed);
}

void Run(const EngineSuite& suite, const Output& o) {
  const size_t rows = suite.quick ? 150'000 : 1'500'000, singles = suite.quick ? 300 : 3000,
               reads = suite.quick ? 20'000 : 200'000;
  const size_t share = rows / kRepetitionsMin;
  Scratch scratch(suite.directory);
  BenchStore store(scratch.path() + "/store");
  store.Open();
  store.CreateTable();
  uint64_t next = 0;
  Show(o, RateOf("put_batch1000", "rows/s",
                 MedianRate(static_cast<double>(share),
                            [&](int) {
                              for (size_t n = 0; n < share; n += kBatchRows, next += kBatchRows)
                                store.Put(next, kBatchRows);
                            }),
                 rows, 1));
  Show(o, RateOf("put_t1", "rows/s",
                 MedianRate(static_cast<double>(singles),
                            [&](int) {
                              for (size_t n = 0; n < singles; ++n) store.Put(next++, 1);
                            }),
                 rows, 1));
  const size_t each = singles / 10;
  Show(o, RateOf("put_t64", "rows/s",
                 MedianRate(static_cast<double>(each * kThreads),
                            [&](int) {
                              PutFromThreads(store, next, each);
                              next += kThreads * each;
                            }),
                 rows, kThreads));
  store.Save();
  crypto::SeededRandom random(1);
  for (size_t i = 0; i < reads; ++i) store.Get(random.Below(next));  // warms the cache
  Show(o, RateOf("get_cached", "rows/s",
                 MedianRate(static_cast<double>(reads),
                            [&](int) {
                              for (size_t i = 0; i < reads; ++i) store.Get(random.Below(next));
                            }),
                 rows, 1));
  Show(o, RateOf("scan", "rows/s",
                 MedianRate(static_cast<double>(next),
                            [&](int) {
                              if (store.Scan() != next) Fail("bench: rows are missing", Code::kInternal);
                            }),
                 rows, 1));
  Show(o, RateOf("verify", "rows/s", MedianRate(static_cast<double>(next), [&](int) { store.Verify(); }),
                 rows, 1));
  store.Stop();
  Show(o, RateOf("open", "opens/s",
                 MedianRate(1,
                            [&](int) {
                              store.Open();
                              store.Stop();
                            }),
                 rows, 1));
}

}  // namespace

Status RunEngineSuite(const EngineSuite& suite, const Output& output, std::string* why) {
  Interruptible interruptible;
  return Guarded([&] { Run(suite, output); }, why);
}

}  // namespace holdfast::bench
