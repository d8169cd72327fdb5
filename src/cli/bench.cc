// bench: what is measured and how is in the module bench; here are the options.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include "base/check.h"
#include "bench/suites.h"
#include "cli/cli.h"
#include "cli/failure.h"
#include "cli/progress.h"

namespace holdfast::cli {
namespace {

HF_NOT_YET("holdfast bench: suites cluster and sql");

constexpr int kRepetitionsMax = 99;
constexpr double kSecondsMin = 0.05, kSecondsMax = 60;
constexpr uint64_t kRowsMax = 10'000'000, kStreamMibMax = 16'384;
constexpr uint64_t kCacheMibMin = 1, kCacheMibMax = 65'536;

// Lines go to stdout; between them a bar on a terminal, which is taken away while a line is printed.
class BenchOutput {
 public:
  explicit BenchOutput(bool json) : json_(json) {
    output_.json = json;
    output_.line = [this](const std::string& line) {
      bar_.reset();
      return std::printf("%s\n", line.c_str()) >= 0 && std::fflush(stdout) == 0;
    };
    output_.note = [this](const std::string& line) {
      bar_.reset();
      std::fprintf(stderr, "holdfast: note: %s\n", line.c_str());
    };
    output_.progress = [this](uint64_t done, uint64_t total) {
      if (!bar_) bar_ = std::make_unique<ProgressBar>("bench", ProgressBar::Unit::kRecords, json_);
      bar_->Update(done, total);
    };
  }
  const bench::Output& output() const { return output_; }

 private:
  const bool json_;
  bench::Output output_;
  std::unique_ptr<ProgressBar> bar_;
};

int Ended(const Status& status, const std::string& why) {
  if (!status) FailWith(status.code(), why);
  return 0;
}

int RunEngine(const bench::EngineSuite& suite, bool json) {
  std::string why;
  Status status = bench::RunEngineSuite(suite, BenchOutput(json).output(), &why);
  return Ended(status, why);
}

void AddEngine(CLI::App& bench, Chosen& chosen) {
  auto suite = std::make_shared<bench::EngineSuite>();
  auto json = std::make_shared<bool>(false);
  CLI::App* c = bench.add_subcommand(
      "engine", "The engine in process; RocksDB, LevelDB, LMDB and SQLite beside it, taking turns.");
  c->add_flag("--peers", suite->peers, "measure the other engines too");
  c->add_option("--dir", suite->directory,
                "where the stores are made, and deleted again (default: the temporary directory)");
  c->add_flag("--quick", suite->quick, "60,000 rows and less of everything: under a minute with peers");
  c->add_flag("--json", *json, "one JSON object a case");
  c->add_option("--repeat", suite->repetitions, "how often each is measured; figures are medians (default 3)")
      ->check(CLI::Range(bench::kRepetitionsMin, kRepetitionsMax));
  c->add_option("--case", suite->cases, "only these cases")->check(CLI::IsMember(bench::EngineCases()));
  c->add_option("--rows", suite->rows,
                "rows that are loaded; several, with commas: the suite for each (default 1,000,000)")
      ->delimiter(',')
      ->check(CLI::Range(bench::kEngineRowsMin, bench::kEngineRowsMax));
  c->add_option("--cache-mib", suite->cache_mib,
                "what each system may keep unpacked, but where a case says otherwise (default 512)")
      ->check(CLI::Range(kCacheMibMin, kCacheMibMax));
  c->footer("Example:\n  holdfast bench engine --peers --rows 1000000,10000000 --json");
  c->callback([suite, json, &chosen] { chosen = [suite, json] { return RunEngine(*suite, *json); }; });
}

// What the case open_after_crash starts: not for people.
void AddCrashingWriter(CLI::App& bench, Chosen& chosen) {
  auto writer = std::make_shared<bench::CrashingWriter>();
  CLI::App* c = bench.add_subcommand("engine-crash", "Changes a store and ends without closing it.");
  c->group("");
  c->add_option("--system", writer->system)->required();
  c->add_option("--dir", writer->directory)->required();
  c->add_option("--cache-mib", writer->cache_mib)->required()->check(CLI::Range(kCacheMibMin, kCacheMibMax));
  c->add_option("--rows", writer->rows)->required();
  c->add_option("--changes", writer->changes)->required();
  c->add_option("--seed", writer->seed)->required();
  c->callback([writer, &chosen] {
    chosen = [writer] {
      std::string why;
      Status status = bench::RunCrashingWriter(*writer, &why);
      return Ended(status, why);
    };
  });
}

void AddServer(CLI::App& bench, Chosen& chosen) {
  auto suite = std::make_shared<bench::ServerSuite>();
  auto json = std::make_shared<bool>(false);
  CLI::App* c = bench.add_subcommand(
      "server", "Our server as a process, over mutual TLS; etcd and Redis beside it, taking turns.");
  c->add_flag("--peers", suite->peers,
              "measure etcd and Redis too (Debian packages etcd-server, redis-server)");
  c->add_option(
      "--dir", suite->directory,
      "where the servers keep their data, which is deleted again (default: the temporary directory)");
  c->add_flag("--quick", suite->quick, "less of everything: about a minute and a half with peers");
  c->add_flag("--json", *json, "one JSON object a figure");
  c->add_option("--repeat", suite->repetitions, "how often each is measured; figures are medians (default 3)")
      ->check(CLI::Range(bench::kRepetitionsMin, kRepetitionsMax));
  c->add_option("--case", suite->cases, "only these cases")->check(CLI::IsMember(bench::ServerCases()));
  c->add_option("--seconds", suite->seconds, "length of one measurement (default 2; 0.4 with --quick)")
      ->check(CLI::Range(kSecondsMin, kSecondsMax));
  c->add_option("--rows", suite->rows, "rows in the table beforehand (default 100,000; 10,000 with --quick)")
      ->check(CLI::Range(uint64_t{1}, kRowsMax));
  c->add_option("--stream-mib", suite->stream_mib, "size of stream_in (default 1,024; 64 with --quick)")
      ->check(CLI::Range(uint64_t{1}, kStreamMibMax));
  c->footer("Example:\n  holdfast bench server --peers --quick");
  c->callback([suite, json, &chosen] {
    chosen = [suite, json] {
      std::string why;
      Status status = bench::RunServerSuite(*suite, BenchOutput(*json).output(), &why);
      return Ended(status, why);
    };
  });
}

void AddProviders(CLI::App& bench, Chosen& chosen) {
  auto suite = std::make_shared<bench::ProvidersSuite>();
  auto json = std::make_shared<bool>(false);
  CLI::App* c = bench.add_subcommand(
      "providers", "The engine over three distant providers, one of which loses requests and one pauses.");
  c->add_option("--dir", suite->directory,
                "where the stores are made, and deleted again (default: the temporary directory)");
  c->add_flag("--json", *json, "one JSON object a figure");
  c->add_option("--repeat", suite->repetitions, "how often each is measured; figures are medians (default 3)")
      ->check(CLI::Range(bench::kRepetitionsMin, kRepetitionsMax));
  c->add_option("--seconds", suite->seconds, "length of one measurement (default 20)")
      ->check(CLI::Range(kSecondsMin, kSecondsMax));
  c->add_option("--round-trip-ms", suite->round_trip_ms, "of every call (default 80)")
      ->check(CLI::Range(uint64_t{0}, uint64_t{10'000}));
  c->add_option("--pause-seconds", suite->pause_seconds, "how long one does not answer (default 10)")
      ->check(CLI::Range(uint64_t{0}, uint64_t{60}));
  c->add_option("--batch", suite->batch_rows, "rows in a batch (default 100)")
      ->check(CLI::Range(uint64_t{1}, uint64_t{10'000}));
  c->add_option("--outstanding", suite->outstanding, "batches on their way at a time (default 1,000)")
      ->check(CLI::Range(uint64_t{1}, uint64_t{50'000}));
  c->footer("Example:\n  holdfast bench providers --seconds 20 --json");
  c->callback([suite, json, &chosen] {
    chosen = [suite, json] {
      std::string why;
      Status status = bench::RunProvidersSuite(*suite, BenchOutput(*json).output(), &why);
      return Ended(status, why);
    };
  });
}

}  // namespace

void AddBench(CLI::App& app, Chosen& chosen) {
  CLI::App* c = app.add_subcommand("bench", "Numbers, each the median of at least three.");
  c->require_subcommand(1);
  AddEngine(*c, chosen);
  AddCrashingWriter(*c, chosen);
  AddServer(*c, chosen);
  AddProviders(*c, chosen);
  for (const char* name : {"cluster", "sql"}) {
    c->add_subcommand(name)->group("")->callback([name, &chosen] {
      chosen = [name]() -> int { Fail(std::string("bench ") + name, Code::kUnsupported); };
    });
  }
  c->footer("Example:\n  holdfast bench engine --peers --quick\n  holdfast bench server --peers --quick");
}

}  // namespace holdfast::cli
