// A key-value engine in this process, as the engine suite sees it: ours and each of its peers behind the same
// few calls. Every call throws what stops the suite (failure_internal.h); a peer says it through FailStore.
#ifndef HOLDFAST_BENCH_EMBEDDED_STORE_INTERNAL_H_
#define HOLDFAST_BENCH_EMBEDDED_STORE_INTERNAL_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::bench {

struct RowView {
  std::string_view key, value;
};

// New rows by ascending keys, a page at a time; a page is valid until the next. Empty: that was all.
using RowPages = std::function<std::span<const RowView>()>;
inline constexpr size_t kRowsPerPage = 10'000;

// What a scan came by. `sum` is made of each row's bytes, so that they have been read.
struct Scanned {
  uint64_t rows = 0, sum = 0;
  void Add(std::string_view key, std::string_view value);
};

// One open store. Writes and reads from many threads at a time; its destructor closes it cleanly.
class EmbeddedStore {
 public:
  virtual ~EmbeddedStore() = default;
  // One atomic commit, on stable storage when it returns.
  virtual void Write(std::span<const RowView> rows) = 0;
  // Into `value`, copied out. False: there is no such row.
  virtual bool Get(std::string_view key, std::string& value) = 0;
  // Every row by ascending keys, through the engine's cursor.
  virtual Scanned Scan() = 0;
  // Does, or begins, what writes have put off. Whoever measures waits until the process is quiet.
  virtual void PayDebt() {}
};

struct Opening {
  std::string directory;
  size_t cache_bytes = 0;  // of what the engine keeps decoded or unpacked; not the system's page cache
};

struct EmbeddedSystem {
  std::string name, version;
  // It is given one of so many of the writes: figures are rates, and some would take an hour.
  uint64_t write_share = 1;
  // What its cache should have for a case in which leaves must not be found in it, by rows. 0: it has no
  // cache of its own, and no part in that case.
  uint64_t leaf_miss_bytes_per_1000_rows = 0;
  // A new store in a directory that does not exist yet, filled as fast as the engine can take rows in order;
  // all on stable storage and the store closed when it returns.
  std::function<void(const Opening&, const RowPages&)> load;
  std::function<std::unique_ptr<EmbeddedStore>(const Opening&)> open;
};

// "bench: rocksdb: <text>"
[[noreturn]] void FailStore(std::string_view system, std::string_view text);

}  // namespace holdfast::bench

#endif  // HOLDFAST_BENCH_EMBEDDED_STORE_INTERNAL_H_
