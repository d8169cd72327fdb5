// bench: our own numbers, in process, sealed and synced. Peers beside them are declared, not built.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "base/check.h"
#include "cli/cli.h"
#include "cli/failure.h"
#include "core/runtime/core.h"
#include "core/runtime/engine.h"
#include "core/store/offline.h"
#include "core/store/opener.h"
#include "crypto/hash.h"
#include "host/kv/open.h"

namespace holdfast::cli {
namespace {

HF_NOT_YET(
    "holdfast bench --peers: the same work by other engines in the same run; suites server, cluster, sql");

constexpr size_t kKeyBytes = 16, kValueBytes = 100, kBatchRows = 1000;
constexpr int kRepetitions = 3;
constexpr std::string_view kBenchPassphrase = "bench";  // of a store that is deleted at the end

struct BenchOptions {
  std::string suite, dir;
  bool quick = false, json = false;
};

double Seconds(const std::function<void()>& work) {
  auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// Rates of the repetitions; their median is the figure.
double MedianRate(double amount, const std::function<void(int)>& work) {
  std::vector<double> rates;
  for (int i = 0; i < kRepetitions; ++i) rates.push_back(amount / Seconds([&] { work(i); }));
  std::sort(rates.begin(), rates.end());
  return rates[kRepetitions / 2];
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

// One store in a directory of its own, opened in process; no sessions, no TLS.
class BenchStore {
 public:
  explicit BenchStore(const std::string& dir) : dir_(dir) {
    storage_ = Take(host::OpenStorage("dir:" + dir, host::OpenMode::kCreate), "bench " + dir);
    store::InitOptions init;
    init.argon = {limits::kArgonMemoryKiBMin, 1};
    crypto::Random& random = runtime::SystemRandom();
    Take(store::InitStore(*storage_, random.NewId<StoreId>(), AsBytes(kBenchPassphrase), init, random),
         "init");
  }
  ~BenchStore() {
    if (engine_ != nullptr) (void)engine_->Stop();  // what failed before is being told already
    engine_.reset();
    storage_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(dir_, ignored);
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
  }
  std::string dir_;
  std::unique_ptr<seam::Storage> storage_;
  std::unique_ptr<runtime::Engine> engine_;
  TableId table_;
};

void Print(const BenchOptions& o, const char* name, const char* unit, double ours, size_t rows, int threads) {
  if (!o.json) {
    std::printf("%-16s %14.0f %s\n", name, ours, unit);
  } else {
    nlohmann::json line = {{"case", name},
                           {"unit", unit},
                           {"ours", ours},
                           {"peers", nlohmann::json::object()},
                           {"ratio", nlohmann::json::object()},
                           {"durability", "fdatasync"},
                           {"rows", rows},
                           {"value_bytes", kValueBytes},
                           {"threads", threads},
                           {"commit", "every wave"}};
    std::printf("%s\n", line.dump().c_str());
  }
  std::fflush(stdout);
}

int BenchEngine(const BenchOptions& o) {
  const size_t rows = o.quick ? 150'000 : 1'500'000, singles = o.quick ? 300 : 3000,
               reads = o.quick ? 20'000 : 200'000;
  const size_t share = rows / kRepetitions;
  std::string dir = (o.dir.empty() ? std::filesystem::temp_directory_path() : std::filesystem::path(o.dir)) /
                    ("holdfast-bench-" + HexUpper(runtime::SystemRandom().NewId<StoreId>().view()));
  BenchStore store(dir);
  store.Open();
  store.CreateTable();
  uint64_t next = 0;
  Print(o, "put_batch1000", "rows/s",
        MedianRate(static_cast<double>(share),
                   [&](int) {
                     for (size_t n = 0; n < share; n += kBatchRows, next += kBatchRows)
                       store.Put(next, kBatchRows);
                   }),
        rows, 1);
  Print(o, "put_t1", "rows/s",
        MedianRate(static_cast<double>(singles),
                   [&](int) {
                     for (size_t n = 0; n < singles; ++n) store.Put(next++, 1);
                   }),
        rows, 1);
  constexpr int kThreads = 64;
  Print(o, "put_t64", "rows/s",
        MedianRate(static_cast<double>(singles / 10 * kThreads),
                   [&](int) {
                     std::vector<std::thread> threads;
                     for (int t = 0; t < kThreads; ++t) {
                       threads.emplace_back([&store, first = next + static_cast<uint64_t>(t) * (singles / 10),
                                             count = singles / 10] {
                         for (uint64_t n = first; n < first + count; ++n) store.Put(n, 1);
                       });
                     }
                     for (std::thread& t : threads) t.join();
                     next += kThreads * (singles / 10);
                   }),
        rows, kThreads);
  store.Save();
  crypto::SeededRandom random(1);
  for (size_t i = 0; i < reads; ++i) store.Get(random.Below(next));  // warms the cache
  Print(o, "get_cached", "rows/s",
        MedianRate(static_cast<double>(reads),
                   [&](int) {
                     for (size_t i = 0; i < reads; ++i) store.Get(random.Below(next));
                   }),
        rows, 1);
  Print(o, "scan", "rows/s",
        MedianRate(static_cast<double>(next),
                   [&](int) {
                     if (store.Scan() != next) Fail("bench: rows are missing", Code::kInternal);
                   }),
        rows, 1);
  Print(o, "verify", "rows/s", MedianRate(static_cast<double>(next), [&](int) { store.Verify(); }), rows, 1);
  store.Stop();
  Print(o, "open", "opens/s",
        MedianRate(1,
                   [&](int) {
                     store.Open();
                     store.Stop();
                   }),
        rows, 1);
  return 0;
}

}  // namespace

void AddBench(CLI::App& app, Chosen& chosen) {
  auto o = std::make_shared<BenchOptions>();
  CLI::App* c =
      app.add_subcommand("bench", "Numbers of the engine in process: medians of three, each wave synced.");
  c->add_option("suite", o->suite, "engine")->required();
  c->add_option("--dir", o->dir,
                "where the store is made, and deleted again (default: the temporary directory)");
  c->add_flag("--quick", o->quick, "150,000 rows instead of 1,500,000");
  c->add_flag("--json", o->json, "one JSON object a case");
  c->footer("Example:\n  holdfast bench engine --quick");
  c->callback([o, &chosen] {
    chosen = [o]() -> int {
      if (o->suite != "engine") Fail("bench " + o->suite, Code::kUnsupported);
      return BenchEngine(*o);
    };
  });
}

}  // namespace holdfast::cli
