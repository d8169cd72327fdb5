// What each case of the engine suite does, and with how much.
#include <algorithm>
#include <filesystem>
#include <mutex>
#include <optional>
#include <thread>

#include "bench/engine_suite_internal.h"
#include "bench/failure_internal.h"
#include "bench/peers_internal.h"

namespace holdfast::bench {
namespace {

constexpr size_t kBatchRows = 1000, kThreads = 64;
// Of its share, where 64 threads wait for one lock and one sync at a time: minutes would tell no more.
constexpr uint64_t kQueuedShare = 5;
constexpr uint64_t kCheckEvery = 16;   // gets whose value is compared with what was written
constexpr uint64_t kWarmUpStride = 8;  // by order of keys: meets every leaf and every block
constexpr uint64_t kAllCachedBytes = uint64_t{4} << 30, kDecodedRowBytes = 600;
constexpr uint64_t kLeafMissBytesMin = 1u << 20;
constexpr uint64_t kChildSeconds = 600;

Figure FigureOf(const char* name, const char* unit, size_t threads, const char* durability,
                const char* commit) {
  Figure f;
  f.name = name;
  f.unit = unit;
  f.threads = threads;
  f.durability = durability;
  f.commit = commit;
  return f;
}

double PerSecond(uint64_t amount, uint64_t begin, uint64_t end) {
  return static_cast<double>(amount) / (static_cast<double>(end - begin) * 1e-9);
}

void MustBeRow(const Contestant& c, uint64_t n, const std::string& value) {
  if (Row::IsValueOf(n, value)) return;
  FailWith(Code::kInternal, "bench: " + c.system.name + ": a row is not what was written");
}

// Rows [0, sorted.size()) page by page in order of keys.
class PagesInOrder {
 public:
  explicit PagesInOrder(const std::vector<uint32_t>& sorted) : sorted_(sorted) {}
  std::span<const RowView> Next() {
    rows_.clear();
    views_.clear();
    for (; next_ < sorted_.size() && rows_.size() < kRowsPerPage; ++next_) rows_.emplace_back(sorted_[next_]);
    for (const Row& r : rows_) views_.push_back({r.key(), r.value()});
    return views_;
  }

 private:
  const std::vector<uint32_t>& sorted_;
  std::vector<Row> rows_;
  std::vector<RowView> views_;
  size_t next_ = 0;
};

}  // namespace

std::span<const RowView> BatchOfRows::Take(Changes& changes, size_t rows) {
  rows_.clear();
  views_.clear();
  for (size_t i = 0; i < rows; ++i) rows_.push_back(changes.Next());
  for (const Row& r : rows_) views_.push_back({r.key(), r.value()});
  return views_;
}

// Several folds or compactions of each system at a million rows and above.
uint64_t EngineRun::BatchChanges() const {
  return std::clamp<uint64_t>(rows_ / 2, 20'000, 2'000'000) / kBatchRows * kBatchRows;
}
uint64_t EngineRun::SingleChanges() const { return suite_.quick ? 200 : 2000; }
uint64_t EngineRun::ThreadChanges() const { return suite_.quick ? 30 : 1000; }
// At most half of a write buffer: what a log holds on average when a process ends.
uint64_t EngineRun::CrashChanges() const {
  return std::min<uint64_t>(rows_, 300'000) / kBatchRows * kBatchRows;
}
uint64_t EngineRun::ChangesAtMost() const {
  auto turns = static_cast<uint64_t>(suite_.repetitions + 1);
  return turns * (BatchChanges() + SingleChanges() + kThreads * ThreadChanges() + CrashChanges());
}
uint64_t EngineRun::Gets() const { return suite_.quick ? 20'000 : 300'000; }
uint64_t EngineRun::CacheForAll() const { return std::max(kAllCachedBytes, rows_ * kDecodedRowBytes); }
uint64_t EngineRun::CacheWithoutLeaves(const EmbeddedSystem& system) const {
  return std::max(kLeafMissBytesMin, rows_ * system.leaf_miss_bytes_per_1000_rows / 1000);
}

void EngineRun::Run() {
  SortRows();
  LoadCase();
  WriteCases();
  ReadCases();
  if (Wanted("open_after_crash")) CrashCase();
  CloseAll();
}

void EngineRun::SortRows() {
  std::vector<std::pair<uint64_t, uint32_t>> heads(rows_);
  for (uint32_t n = 0; n < rows_; ++n) heads[n] = {Row::KeyHead(n), n};
  std::sort(heads.begin(), heads.end());
  sorted_.resize(rows_);
  std::transform(heads.begin(), heads.end(), sorted_.begin(), [](const auto& h) { return h.second; });
}

void EngineRun::LoadOne(Contestant& c) {
  std::filesystem::remove_all(c.directory);
  PagesInOrder pages(sorted_);
  c.system.load({c.directory, suite_.cache_mib << 20}, [&pages] {
    NeedToGoOn();
    return pages.Next();
  });
  c.rows = rows_;
}

void EngineRun::LoadCase() {
  if (!Wanted("bulk_load")) {
    for (Contestant& c : contestants_) LoadOne(c);
    return;
  }
  Turns turns = TakeTurns(suite_.repetitions, All(), [this](Contestant& c) {
    Usage begin = Usage::Now();
    LoadOne(c);
    Usage end = Usage::Now();
    auto rows = static_cast<double>(rows_);
    return Measures{
        {"value", PerSecond(rows_, begin.nanoseconds, end.nanoseconds)},
        {"cpu_us_per_row", (end.cpu_seconds - begin.cpu_seconds) * 1e6 / rows},
        {"written_bytes_per_row", static_cast<double>(end.written_bytes - begin.written_bytes) / rows}};
  });
  Tell(FigureOf("bulk_load", "rows/s", 1, "at the end", "at the end"), turns);
}

void EngineRun::WriteCases() {
  const bool reads = Wanted("get_leaf_miss") || Wanted("get_cached") || Wanted("scan") || Wanted("verify");
  const bool singles = Wanted("put_t64") || Wanted("put_t1");
  if (!reads && !singles && !Wanted("put_batch1000")) return;
  for (Contestant& c : contestants_) Open(c, suite_.cache_mib << 20);
  if (Wanted("put_batch1000") || reads) BatchCase(Wanted("put_batch1000"));
  if (Wanted("put_t64")) SingleCase("put_t64", kThreads, ThreadChanges());
  if (Wanted("put_t1")) SingleCase("put_t1", 1, SingleChanges());
  for (Contestant& c : contestants_) c.store->PayDebt();
  (void)AwaitQuiet();
  CloseAll();
}

// Ours has paid for its fold when the clock stops; the peers are given their figure at the last answer, their
// compaction still to come, and beside it the one with that.
void EngineRun::BatchCase(bool shown) {
  auto turn = [this](uint64_t changes) {
    return [this, changes](Contestant& c) { return PutBatches(c, changes); };
  };
  if (!shown) {
    for (Contestant& c : contestants_) (void)PutBatches(c, BatchChanges());
    return;
  }
  for (Contestant& c : contestants_) (void)PutBatches(c, BatchChanges() / 4);
  Turns turns = TakeTurns(suite_.repetitions, All(), turn(BatchChanges()));
  Tell(FigureOf("put_batch1000", "puts/s", 1, "fdatasync", "every 1000 rows"), turns);
}

Measures EngineRun::PutBatches(Contestant& c, uint64_t changes) {
  const size_t batches = std::max<uint64_t>(1, changes / c.system.write_share / kBatchRows);
  changes = batches * kBatchRows;
  Changes source(++c.seeds, c.rows, c.rows);
  BatchOfRows rows;
  Latencies latencies(batches);
  const uint64_t disk_before = DiskBytes(c.directory);
  Usage begin = Usage::Now();
  for (size_t i = 0; i < batches; ++i) {
    std::span<const RowView> batch = rows.Take(source, kBatchRows);
    uint64_t begun = Nanoseconds();
    c.store->Write(batch);
    latencies.Add(Nanoseconds() - begun);
    NeedToGoOn();
  }
  const uint64_t answered = Nanoseconds();
  c.store->PayDebt();
  const uint64_t saved = Nanoseconds();
  Usage paid = AwaitQuiet();
  const uint64_t disk = DiskBytes(c.directory) - disk_before;
  c.rows += Changes::NewRows(changes);

  Measures m;
  const bool ours = &c == &contestants_.front();
  m["value"] = PerSecond(changes, begin.nanoseconds, ours ? saved : answered);
  m["per_s_to_last_answer"] = PerSecond(changes, begin.nanoseconds, answered);
  m["per_s_debt_paid"] = PerSecond(changes, begin.nanoseconds, paid.nanoseconds);
  m["cpu_us_per_put"] = (paid.cpu_seconds - begin.cpu_seconds) * 1e6 / static_cast<double>(changes);
  m["written_bytes_per_put"] =
      static_cast<double>(paid.written_bytes - begin.written_bytes) / static_cast<double>(changes);
  m["disk_bytes_per_put"] = static_cast<double>(disk) / static_cast<double>(changes);
  latencies.Tell(m);
  return m;
}

void EngineRun::SingleCase(const char* name, size_t threads, uint64_t each) {
  for (Contestant& c : contestants_) (void)PutSingles(c, threads, each / 4 + 1);
  Turns turns =
      TakeTurns(suite_.repetitions, All(), [&](Contestant& c) { return PutSingles(c, threads, each); });
  Tell(FigureOf(name, "puts/s", threads, "fdatasync", "every row"), turns);
}

Measures EngineRun::PutSingles(Contestant& c, size_t threads, uint64_t each) {
  const bool queued = threads > 1 && c.system.write_share > 1;
  each = std::max<uint64_t>(2, each / c.system.write_share / (queued ? kQueuedShare : 1));
  const uint64_t seed = ++c.seeds * kThreads, new_rows = Changes::NewRows(each);
  std::mutex mutex;
  std::optional<Failure> failed;
  Latencies latencies(threads * each);
  auto put = [&](size_t t) {
    Latencies own(each);
    try {
      Changes source(seed + t, c.rows, c.rows + t * new_rows);
      for (uint64_t i = 0; i < each; ++i) {
        Row row = source.Next();
        RowView view{row.key(), row.value()};
        uint64_t begun = Nanoseconds();
        c.store->Write({&view, 1});
        own.Add(Nanoseconds() - begun);
        NeedToGoOn();
      }
    } catch (const Failure& f) {
      std::lock_guard<std::mutex> lock(mutex);
      failed = f;
    }
    std::lock_guard<std::mutex> lock(mutex);
    latencies.Add(own);
  };
  Usage begin = Usage::Now();
  std::vector<std::thread> writers;
  for (size_t t = 0; t < threads; ++t) writers.emplace_back(put, t);
  for (std::thread& w : writers) w.join();
  Usage end = Usage::Now();
  if (failed) throw Failure(*failed);
  (void)AwaitQuiet();
  c.rows += threads * new_rows;

  Measures m;
  m["value"] = PerSecond(threads * each, begin.nanoseconds, end.nanoseconds);
  m["cpu_us_per_put"] = (end.cpu_seconds - begin.cpu_seconds) * 1e6 / static_cast<double>(threads * each);
  latencies.Tell(m);
  return m;
}

void EngineRun::ReadCases() {
  if (Wanted("get_leaf_miss")) LeafMissCase();
  if (Wanted("get_cached") || Wanted("scan")) CachedCases();
  if (Wanted("verify")) VerifyCase();
}

Measures EngineRun::GetRows(Contestant& c, uint64_t gets) {
  Dice dice(++c.seeds);
  std::string value;
  Usage begin = Usage::Now();
  for (uint64_t i = 0; i < gets; ++i) {
    uint64_t n = dice.Below(c.rows);
    auto key = Row::KeyOf(n);
    bool found = c.store->Get({key.data(), key.size()}, value);
    if (!found || i % kCheckEvery == 0) {
      MustBeRow(c, n, found ? value : "");
      NeedToGoOn();
    }
  }
  Usage end = Usage::Now();
  return {{"value", PerSecond(gets, begin.nanoseconds, end.nanoseconds)},
          {"cpu_us_per_get", (end.cpu_seconds - begin.cpu_seconds) * 1e6 / static_cast<double>(gets)}};
}

void EngineRun::LeafMissCase() {
  std::vector<Contestant*> systems;
  for (Contestant& c : contestants_) {
    if (c.system.leaf_miss_bytes_per_1000_rows == 0) continue;
    Open(c, CacheWithoutLeaves(c.system));
    (void)GetRows(c, Gets());
    systems.push_back(&c);
  }
  Turns turns = TakeTurns(suite_.repetitions, systems, [this](Contestant& c) { return GetRows(c, Gets()); });
  CloseAll();
  Tell(FigureOf("get_leaf_miss", "gets/s", 1, "none", "none"), turns);
}

void EngineRun::CachedCases() {
  std::string value;
  for (Contestant& c : contestants_) {
    Open(c, CacheForAll());
    for (size_t i = 0; i < sorted_.size(); i += kWarmUpStride) {
      auto key = Row::KeyOf(sorted_[i]);
      (void)c.store->Get({key.data(), key.size()}, value);
      if (i % (kWarmUpStride << 10) == 0) NeedToGoOn();
    }
    (void)c.store->Scan();
    (void)GetRows(c, Gets());
  }
  (void)AwaitQuiet();
  if (Wanted("get_cached")) {
    Turns turns = TakeTurns(suite_.repetitions, All(), [this](Contestant& c) { return GetRows(c, Gets()); });
    Tell(FigureOf("get_cached", "gets/s", 1, "none", "none"), turns);
  }
  if (Wanted("scan")) {
    Turns turns = TakeTurns(suite_.repetitions, All(), [](Contestant& c) {
      uint64_t begin = Nanoseconds();
      Scanned all = c.store->Scan();
      uint64_t end = Nanoseconds();
      if (all.rows != c.rows) FailWith(Code::kInternal, "bench: " + c.system.name + ": a scan misses rows");
      return Measures{{"value", PerSecond(all.rows, begin, end)}};
    });
    Tell(FigureOf("scan", "rows/s", 1, "none", "none"), turns);
  }
  CloseAll();
}

// No peer does as much. Beside it: the rows whose bytes one core could hash and open if there were nothing
// else to do.
void EngineRun::VerifyCase() {
  Contestant& ours = contestants_.front();
  Open(ours, suite_.cache_mib << 20);
  const auto bytes = static_cast<double>(LiveBytesOfOurs(*ours.store)), rows = static_cast<double>(ours.rows);
  std::vector<Measures> core;
  Turns turns = TakeTurns(suite_.repetitions, {&ours}, [&](Contestant& c) {
    double pace = HashAndOpenBytesPerSecond();
    core.push_back({{"value", rows * pace / bytes}, {"mb_per_s", pace / 1e6}});
    Usage begin = Usage::Now();
    VerifyOurs(*c.store);
    Usage end = Usage::Now();
    double rate = PerSecond(c.rows, begin.nanoseconds, end.nanoseconds);
    return Measures{{"value", rate},
                    {"mb_per_s", rate * bytes / rows / 1e6},
                    {"cpu_us_per_row", (end.cpu_seconds - begin.cpu_seconds) * 1e6 / rows}};
  });
  CloseAll();
  turns["one_core_hashing"] = core;
  Tell(FigureOf("verify", "rows/s", 1, "none", "none"), turns);
}

void EngineRun::CrashCase() {
  CloseAll();
  Turns turns = TakeTurns(suite_.repetitions, All(), [this](Contestant& c) { return OpenAfterCrash(c); });
  Figure f = FigureOf("open_after_crash", "ms", 1, "fdatasync", "every 1000 rows");
  f.less_is_better = true;
  Tell(f, turns);
}

Measures EngineRun::OpenAfterCrash(Contestant& c) {
  const uint64_t changes = std::max<uint64_t>(kBatchRows, CrashChanges() / c.system.write_share);
  const uint64_t seed = ++c.seeds;
  Process child({OwnProgram(), "bench", "engine-crash", "--system", c.system.name, "--dir", c.directory,
                 "--cache-mib", std::to_string(suite_.cache_mib), "--rows", std::to_string(c.rows),
                 "--changes", std::to_string(changes), "--seed", std::to_string(seed)},
                scratch_.path() + "/" + c.system.name + ".log");
  child.Finish("bench: " + c.system.name + ": the process that is to end", kChildSeconds);
  c.rows += Changes::NewRows(changes / kBatchRows * kBatchRows);
  std::string value;
  uint64_t begin = Nanoseconds();
  Open(c, suite_.cache_mib << 20);
  for (uint64_t n : {uint64_t{0}, c.rows - 1}) {
    auto key = Row::KeyOf(n);
    MustBeRow(c, n, c.store->Get({key.data(), key.size()}, value) ? value : "");
  }
  uint64_t end = Nanoseconds();
  c.store.reset();
  return {{"value", static_cast<double>(end - begin) * 1e-6}};
}

Status RunCrashingWriter(const CrashingWriter& writer, std::string* why) {
  return Guarded(
      [&] {
        std::vector<EmbeddedSystem> systems = Peers();
        systems.push_back(OurSystem());
        auto found = std::find_if(systems.begin(), systems.end(),
                                  [&](const EmbeddedSystem& s) { return s.name == writer.system; });
        if (found == systems.end()) Fail("bench: " + writer.system, Code::kInvalidArgument);
        std::unique_ptr<EmbeddedStore> store = found->open({writer.directory, writer.cache_mib << 20});
        Changes source(writer.seed, writer.rows, writer.rows);
        BatchOfRows rows;
        for (uint64_t done = 0; done + kBatchRows <= writer.changes; done += kBatchRows) {
          store->Write(rows.Take(source, kBatchRows));
        }
        EndWithoutCleaning();
      },
      why);
}

}  // namespace holdfast::bench
