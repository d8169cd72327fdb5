// The engine suite: which cases there are, and the stores that each system brings to them.
#include <algorithm>
#include <filesystem>

#include "bench/engine_suite_internal.h"
#include "bench/failure_internal.h"
#include "bench/peers_internal.h"
#include "bench/process_internal.h"

namespace holdfast::bench {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kRowsDefault = 1'000'000, kRowsQuick = 60'000;
// Disk for a row while its store is being rewritten: ours keeps two saves and what lies between them; the
// others have an old and a new version of what they compact. And a log for each.
constexpr uint64_t kOurDiskBytesPerRow = 500, kPeerDiskBytesPerRow = 300, kLogBytes = 1u << 30;

std::string Gigabytes(uint64_t bytes) { return std::to_string(bytes / 1'000'000'000 + 1) + " GB"; }

std::string WithCommas(uint64_t n) {
  std::string digits = std::to_string(n);
  for (size_t at = digits.size(); at > 3;) digits.insert(at -= 3, ",");
  return digits;
}

std::string VersionsOfPeers() {
  std::string line;
  for (const EmbeddedSystem& s : Peers()) line += (line.empty() ? "" : ", ") + s.name + " " + s.version;
  return line;
}

}  // namespace

const std::vector<std::string>& EngineCases() {
  static const std::vector<std::string> cases = {"bulk_load", "put_batch1000", "put_t64",
                                                 "put_t1",    "get_leaf_miss", "get_cached",
                                                 "scan",      "verify",        "open_after_crash"};
  return cases;
}

EngineRun::EngineRun(const EngineSuite& suite, const Output& output, uint64_t rows)
    : suite_(suite), output_(output), rows_(rows), scratch_(suite.directory) {
  contestants_.push_back({OurSystem(), scratch_.path() + "/ours"});
  if (suite.peers) {
    for (const EmbeddedSystem& s : Peers()) contestants_.push_back({s, scratch_.path() + "/" + s.name});
  }
  NeedDisk();
  for (const std::string& c : EngineCases()) {
    if (Wanted(c)) steps_ += static_cast<uint64_t>(suite.repetitions);
  }
}

bool EngineRun::Wanted(const std::string& name) const {
  const auto& cases = suite_.cases;
  return cases.empty() || std::find(cases.begin(), cases.end(), name) != cases.end();
}

void EngineRun::NeedDisk() const {
  uint64_t need = 0;
  for (const Contestant& c : contestants_) {
    bool ours = &c == &contestants_.front();
    need += (rows_ + ChangesAtMost()) * (ours ? kOurDiskBytesPerRow : kPeerDiskBytesPerRow) + kLogBytes;
  }
  uint64_t there = fs::space(scratch_.path()).available;
  if (there >= need) return;
  FailWith(Code::kFull, "bench: may need " + Gigabytes(need) + " of disk for " + WithCommas(rows_) +
                            " rows; free are " + Gigabytes(there) + ": give --dir, or fewer --rows");
}

void EngineRun::Step() {
  NeedToGoOn();
  step_ = std::min(step_ + 1, steps_);
  if (output_.progress) output_.progress(step_, steps_);
}

void EngineRun::NeedToGoOn() {
  if (Interruptible::Interrupted()) Fail("bench", Code::kCancelled);
}

void EngineRun::Open(Contestant& c, uint64_t cache_bytes) {
  NeedToGoOn();
  c.store = c.system.open({c.directory, cache_bytes});
}

void EngineRun::CloseAll() {
  for (Contestant& c : contestants_) c.store.reset();
}

// Another one first each time.
EngineRun::Turns EngineRun::TakeTurns(int repetitions, const std::vector<Contestant*>& systems,
                                      const std::function<Measures(Contestant&)>& turn) {
  Turns turns;
  for (int r = 0; r < repetitions; ++r) {
    for (size_t i = 0; i < systems.size(); ++i) {
      Contestant& c = *systems[(i + static_cast<size_t>(r)) % systems.size()];
      NeedToGoOn();
      turns[c.system.name].push_back(turn(c));
    }
    Step();
  }
  return turns;
}

std::vector<Contestant*> EngineRun::All() {
  std::vector<Contestant*> all;
  for (Contestant& c : contestants_) all.push_back(&c);
  return all;
}

void EngineRun::Tell(Figure figure, const Turns& turns) {
  figure.rows = rows_;
  figure.value_bytes = kValueBytes;
  for (const auto& [system, measures] : turns) {
    Measures median = MedianOf(measures);
    (system == "ours" ? figure.ours : figure.peers[system]) = median["value"];
    median.erase("value");
    for (const auto& [what, value] : median) figure.more[what][system] = value;
    auto less = [](const Measures& a, const Measures& b) { return a.at("value") < b.at("value"); };
    auto [low, high] = std::minmax_element(measures.begin(), measures.end(), less);
    figure.more["min"][system] = low->at("value");
    figure.more["max"][system] = high->at("value");
  }
  for (const Contestant& c : contestants_) {
    if (figure.peers.contains(c.system.name)) figure.versions[c.system.name] = c.system.version;
  }
  Show(output_, figure);
}

Status RunEngineSuite(const EngineSuite& suite, const Output& output, std::string* why) {
  Interruptible interruptible;
  return Guarded(
      [&] {
        if (suite.peers && !output.json) output.note("peers: " + VersionsOfPeers());
        std::vector<uint64_t> sizes = suite.rows;
        if (sizes.empty()) sizes.push_back(suite.quick ? kRowsQuick : kRowsDefault);
        for (uint64_t rows : sizes) {
          if (!output.json && sizes.size() > 1 && !output.line(WithCommas(rows) + " rows")) {
            FailWith(Code::kIo, "standard output: cannot be written");
          }
          EngineRun(suite, output, rows).Run();
        }
      },
      why);
}

}  // namespace holdfast::bench
