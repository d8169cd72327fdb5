// One run of the engine suite at one size: the same rows and the same changes for each system, in turns.
//
// The stores go through the cases in this order, whichever of them are shown: loaded in order of keys;
// batches of changes; single changes; read; changed once more and left without closing. So reads meet a store
// that writes have left behind and whose debts are paid.
#ifndef HOLDFAST_BENCH_ENGINE_SUITE_INTERNAL_H_
#define HOLDFAST_BENCH_ENGINE_SUITE_INTERNAL_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "bench/engine_internal.h"
#include "bench/process_internal.h"
#include "bench/rows_internal.h"

namespace holdfast::bench {

struct Contestant {
  EmbeddedSystem system;
  std::string directory;
  uint64_t rows = 0;   // rows [0, rows) are there
  uint64_t seeds = 0;  // how many series of changes it has had: the same ones for each system
  std::unique_ptr<EmbeddedStore> store{};
};

class EngineRun {
 public:
  EngineRun(const EngineSuite& suite, const Output& output, uint64_t rows);
  void Run();

 private:
  using Turns = std::map<std::string, std::vector<Measures>>;  // by system

  // engine_suite.cc
  bool Wanted(const std::string& name) const;
  void NeedDisk() const;
  void Step();
  static void NeedToGoOn();
  void Open(Contestant& c, uint64_t cache_bytes);
  void CloseAll();
  std::vector<Contestant*> All();
  Turns TakeTurns(int repetitions, const std::vector<Contestant*>& systems,
                  const std::function<Measures(Contestant&)>& turn);
  void Tell(Figure figure, const Turns& turns);

  // engine_cases.cc: what is measured. Sizes of the work by rows.
  uint64_t BatchChanges() const;
  uint64_t SingleChanges() const;
  uint64_t ThreadChanges() const;
  uint64_t CrashChanges() const;
  uint64_t ChangesAtMost() const;  // of all cases, for one system
  uint64_t Gets() const;
  uint64_t CacheForAll() const;
  uint64_t CacheWithoutLeaves(const EmbeddedSystem& system) const;

  void SortRows();
  void LoadCase();
  void LoadOne(Contestant& c);
  void WriteCases();
  void BatchCase(bool shown);
  Measures PutBatches(Contestant& c, uint64_t changes);
  Measures PutSingles(Contestant& c, size_t threads, uint64_t each);
  void SingleCase(const char* name, size_t threads, uint64_t each);
  void ReadCases();
  void LeafMissCase();
  void CachedCases();
  Measures GetRows(Contestant& c, uint64_t gets);
  void VerifyCase();
  void CrashCase();
  Measures OpenAfterCrash(Contestant& c);

  const EngineSuite& suite_;
  const Output& output_;
  const uint64_t rows_;
  Scratch scratch_;
  std::vector<Contestant> contestants_;  // ours first; closed before their directory goes
  std::vector<uint32_t> sorted_;         // the loaded rows by ascending keys
  uint64_t step_ = 0, steps_ = 0;
};

// A thousand rows and views of them, made anew for each batch; one allocation in all.
class BatchOfRows {
 public:
  // Valid until the next.
  std::span<const RowView> Take(Changes& changes, size_t rows);

 private:
  std::vector<Row> rows_;
  std::vector<RowView> views_;
};

}  // namespace holdfast::bench

#endif  // HOLDFAST_BENCH_ENGINE_SUITE_INTERNAL_H_
