// One store on several distant providers, in this process: every call takes a round trip, one of them loses
// requests, one pauses. Beside it the same three without any delay.
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <optional>
#include <thread>

#include "bench/failure_internal.h"
#include "bench/figure_internal.h"
#include "bench/process_internal.h"
#include "bench/suites.h"
#include "core/replica/replicated.h"
#include "core/runtime/core.h"
#include "core/runtime/engine.h"
#include "core/store/offline.h"
#include "core/store/opener.h"
#include "host/kv/open.h"
#include "seam/metrics.h"

namespace holdfast::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::string_view kPassphrase = "bench";
constexpr size_t kValueBytes = 100;

// What lies between us and a provider.
struct Distance {
  std::chrono::microseconds round_trip{};
  uint32_t lost_of_1000 = 0;                     // requests that never arrive
  Clock::time_point paused_from{}, paused_to{};  // no answer in between
};

class Distant : public seam::Storage {
 public:
  Distant(std::unique_ptr<seam::Storage> inner, Distance d) : inner_(std::move(inner)), d_(d) {}
  void Pause(Clock::time_point from, Clock::time_point to) {
    std::lock_guard lock(mutex_);
    d_.paused_from = from;
    d_.paused_to = to;
  }
  seam::Capabilities capabilities() const override { return inner_->capabilities(); }
  Result<UntrustedBytes> Get(std::string_view n) override {
    HF_TRY_VOID(Travel());
    return inner_->Get(n);
  }
  Result<UntrustedBytes> GetRange(std::string_view n, uint64_t o, uint64_t l) override {
    HF_TRY_VOID(Travel());
    return inner_->GetRange(n, o, l);
  }
  Result<seam::VersionedBytes> GetVersioned(std::string_view n) override { return inner_->GetVersioned(n); }
  Status Put(std::string_view n, ByteView b) override {
    HF_TRY_VOID(Travel());
    return inner_->Put(n, b);
  }
  Status PutIfAbsent(std::string_view n, ByteView b) override {
    HF_TRY_VOID(Travel());
    return inner_->PutIfAbsent(n, b);
  }
  Result<seam::ObjectVersion> PutIfVersion(std::string_view n, ByteView b,
                                           const seam::ObjectVersion& v) override {
    return inner_->PutIfVersion(n, b, v);
  }
  Status Delete(std::string_view n) override {
    HF_TRY_VOID(Travel());
    return inner_->Delete(n);
  }
  Result<seam::Listing> List(std::string_view p, std::string_view a, size_t l) override {
    HF_TRY_VOID(Travel());
    return inner_->List(p, a, l);
  }
  Status Barrier() override {
    HF_TRY_VOID(Travel());
    return inner_->Barrier();
  }
  Status CreateAppendable(std::string_view n, uint64_t r, ByteView f) override {
    HF_TRY_VOID(Travel());
    return inner_->CreateAppendable(n, r, f);
  }
  Status Append(std::string_view n, uint64_t o, ByteView b) override {
    HF_TRY_VOID(Travel());
    return inner_->Append(n, o, b);
  }
  Status Trim(std::string_view n, uint64_t s) override {
    HF_TRY_VOID(Travel());
    return inner_->Trim(n, s);
  }

 private:
  Status Travel() {
    Distance d;
    uint64_t number = 0;
    {
      std::lock_guard lock(mutex_);
      d = d_;
      number = ++calls_;
    }
    if (d.round_trip.count() > 0) std::this_thread::sleep_for(d.round_trip);
    if (auto now = Clock::now(); now >= d.paused_from && now < d.paused_to)
      std::this_thread::sleep_until(d.paused_to);
    bool lost = d.lost_of_1000 != 0 && number % (1000 / d.lost_of_1000) == 0;
    return lost ? Status(Code::kUnreachable) : Ok();
  }
  const std::unique_ptr<seam::Storage> inner_;
  std::mutex mutex_;
  Distance d_;
  uint64_t calls_ = 0;
};

struct Measured {
  double rows_per_second = 0;
  double waves_for_waiters = 0;
};

class Store {
 public:
  Store(const ProvidersSuite& suite, const std::string& directory, bool distant) {
    for (int i = 0; i < 3; ++i) {
      std::string url = "dir:" + directory + "/" + std::to_string(i);
      Distance d;
      if (distant) d.round_trip = std::chrono::milliseconds(suite.round_trip_ms);
      if (distant && i == 1) d.lost_of_1000 = 10;
      Take(host::OpenStorage(url, host::OpenMode::kCreate), url);
      providers_.push_back(
          std::make_unique<Distant>(Take(host::OpenStorage(url, host::OpenMode::kReadWrite), url), d));
    }
    auto joined = Join();
    store::InitOptions init;
    init.argon = {limits::kArgonMemoryKiBMin, 1};
    crypto::Random& random = runtime::SystemRandom();
    Take(store::InitStore(*joined, random.NewId<StoreId>(), AsBytes(kPassphrase), init, random),
         "bench: init");
    joined.reset();
    all_ = Join();
    auto opened =
        Take(store::OpenStore(*all_, nullptr, AsBytes(kPassphrase), {}, random, nullptr), "bench: open");
    runtime::EngineOptions options;
    engine_ = std::make_unique<runtime::Engine>(*all_, nullptr, std::move(opened), options, random,
                                                [](Code, uint64_t, uint64_t) {});
    engine_->Start();
    tree::Descriptor d;
    d.name = "bench";
    One([&](session::WriteDone done) { engine_->CreateTable(d, std::move(done)); });
    table_ = Take(engine_->FindTable("bench"), "bench: table");
  }
  ~Store() {
    (void)engine_->Stop();
    engine_.reset();
  }

  // Batches without end, so many of them on their way.
  double RowsPerSecond(const ProvidersSuite& suite, bool pause) {
    auto start = Clock::now();
    auto end =
        start + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(suite.seconds));
    if (pause) {
      auto from = start + (end - start) / 4;
      providers_[2]->Pause(from, from + std::chrono::seconds(suite.pause_seconds));
    }
    uint64_t done_rows = 0;
    while (Clock::now() < end) {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return on_their_way_ < suite.outstanding || failed_; });
      if (failed_) break;
      ++on_their_way_;
      lock.unlock();
      engine_->Write(Batch(suite.batch_rows), kernel::Wait::kDurable, [this](const session::WriteReply& r) {
        std::lock_guard l(mutex_);
        --on_their_way_;
        r.status ? ++acknowledged_ : (failed_ = r.status.code(), 0);
        wake_.notify_all();
      });
    }
    std::unique_lock lock(mutex_);
    done_rows = acknowledged_ * suite.batch_rows;
    double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    wake_.wait(lock, [&] { return on_their_way_ == 0 || failed_; });
    if (failed_) Need(*failed_, "bench: write");
    return static_cast<double>(done_rows) / seconds;
  }

  // So many writers at one moment, each of whom waits: how many frames they all take.
  uint64_t WavesFor(uint64_t waiters) {
    uint64_t before = Waves();
    std::unique_lock lock(mutex_);
    on_their_way_ = waiters;
    lock.unlock();
    for (uint64_t i = 0; i < waiters; ++i) {
      engine_->Write(Batch(1), kernel::Wait::kDurable, [this](const session::WriteReply&) {
        std::lock_guard l(mutex_);
        --on_their_way_;
        wake_.notify_all();
      });
    }
    lock.lock();
    wake_.wait(lock, [&] { return on_their_way_ == 0; });
    return Waves() - before;
  }

 private:
  std::unique_ptr<replica::ReplicatedStorage> Join() {
    std::vector<seam::Storage*> p;
    for (auto& one : providers_) p.push_back(one.get());
    return std::make_unique<replica::ReplicatedStorage>(p, seam::Quorum{3, 2});
  }
  static uint64_t Waves() { return seam::Metrics().Values()[static_cast<size_t>(seam::Metric::kWaves)]; }
  kernel::Batch Batch(size_t rows) {
    kernel::Batch batch;
    for (size_t i = 0; i < rows; ++i) {
      std::string key = std::to_string(next_++ * 2654435761u % 100'000'000);
      batch.operations.push_back({kernel::OperationKind::kPut,
                                  table_,
                                  ToBytes(key),
                                  Bytes(kValueBytes, static_cast<uint8_t>(next_)),
                                  {}});
    }
    return batch;
  }
  void One(const std::function<void(session::WriteDone)>& call) {
    bool done = false;
    call([&](const session::WriteReply&) {
      std::lock_guard l(mutex_);
      done = true;
      wake_.notify_all();
    });
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [&] { return done; });
  }

  std::vector<std::unique_ptr<Distant>> providers_;
  std::unique_ptr<replica::ReplicatedStorage> all_;
  std::unique_ptr<runtime::Engine> engine_;
  TableId table_;
  uint64_t next_ = 1;
  std::mutex mutex_;
  std::condition_variable wake_;
  uint64_t on_their_way_ = 0, acknowledged_ = 0;
  std::optional<Code> failed_;
};

double Median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v[v.size() / 2];
}

void Measure(const ProvidersSuite& suite, const Output& output) {
  Scratch scratch(suite.directory);
  std::vector<double> near, far;
  double waves = 0;
  for (int i = 0; i < suite.repetitions; ++i) {
    for (bool distant : {false, true}) {
      std::string directory = scratch.path() + "/" + std::to_string(i) + (distant ? "far" : "near");
      std::filesystem::create_directories(directory);
      Store store(suite, directory, distant);
      if (distant) waves = std::max(waves, static_cast<double>(store.WavesFor(200)));
      (distant ? far : near).push_back(store.RowsPerSecond(suite, distant));
      if (output.progress)
        output.progress(far.size() + near.size(), 2u * static_cast<uint64_t>(suite.repetitions));
    }
  }
  Figure f;
  f.name = "distant_providers";
  f.unit = "rows/s";
  f.ours = Median(far);
  f.peers["ours_without_delay"] = Median(near);
  f.durability = "3 providers, write quorum 2, fdatasync; round trip " + std::to_string(suite.round_trip_ms) +
                 " ms, one loses 1 %, one pauses " + std::to_string(suite.pause_seconds) + " s";
  f.rows = suite.outstanding * suite.batch_rows;
  f.value_bytes = kValueBytes;
  f.commit = "batches of " + std::to_string(suite.batch_rows) + ", " + std::to_string(suite.outstanding) +
             " on their way";
  f.more["waves_for_200_waiters"]["ours"] = waves;
  Show(output, f);
}

}  // namespace

Status RunProvidersSuite(const ProvidersSuite& suite, const Output& output, std::string* why) {
  return Guarded([&] { Measure(suite, output); }, why);
}

}  // namespace holdfast::bench
