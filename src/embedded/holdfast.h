// Holdfast inside a program: one encrypted, verifiable store in one file, and no server.
//
//   using namespace holdfast::embedded;
//   Options options;
//   options.create = true;
//   Result<Store> store = Store::open("app.store", passphrase, options);
//   if (!store) return fail(store.status().message());
//   Result<Table> prices = store->open_table("prices", true);
//   prices->put("apple", "120");                                          // durable when it returns
//   store->atomic([&](Transaction& t) { return t.put(*prices, "pear", "90"); });
//
// What holds:
//   durable    a write with Wait::kDurable that returned is there after kill -9 and a power cut.
//   secret     whoever has the file learns sizes and timing, and no key, value or table name.
//   verified   a changed, missing or swapped byte is refused with a code; with an anchor file so is an older
//              copy.
//   one opener a store is open once; a second opener, in whatever process, gets kInUse (sqlite: dir:
//              rocksdb: leveldb:).
// What does not: the program's own memory holds keys and plaintext. The server keeps them in a process of
// their own.
//
// Threads: Store, Table and Snapshot may be used by any number of threads at once; all calls may block.
// Transaction, Batch, Scan and Page belong to one thread at a time. Several stores in one process know
// nothing of each other. A store has a handful of threads of its own: close it before main returns, and do
// not fork with one open.
// After close() every call answers kStopping; tables, snapshots and scans may outlive the store.
//
// Errors are codes with fixed numbers. Nothing throws but a caller's own function, and memory when there is
// none.
#ifndef HOLDFAST_EMBEDDED_HOLDFAST_H_
#define HOLDFAST_EMBEDDED_HOLDFAST_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace holdfast::inside {  // the library's own
struct State;                 // of an open store
struct Pinned;
struct Rows;
struct Index;
struct Commands;
struct Block;
}  // namespace holdfast::inside

namespace holdfast::embedded {

// Numbers never change. A later library may answer with a number that is not here; text() knows it.
enum class Code : uint16_t {
  kOk = 0,
  // in general
  kInternal = 100,
  kMalformed = 101,
  kTooLarge = 102,
  kInvalidArgument = 103,
  kUnsupported = 104,
  kCancelled = 105,
  kDeadline = 106,
  kUnknownFormat = 107,
  // keys
  kWrongPassphrase = 200,
  kAuthFailed = 201,
  kChecksum = 202,
  kForeign = 203,
  kKdfBounds = 204,
  // the place where the store lies
  kFull = 303,  // writes are refused until there is space; reads go on
  kIo = 304,
  kPoisoned = 305,
  kReadOnly = 306,
  kPermission = 307,
  kInUse = 308,
  kUnreachable = 309,
  kBadUrl = 311,
  kNotEmpty = 312,
  kNoStore = 313,
  kNoCredentials = 314,
  kCredentialsFileMode = 315,
  kRefusedByProvider = 316,
  kNoFencing = 317,
  // the log
  kTampered = 401,
  kMissing = 402,
  kRolledBack = 403,
  kForked = 404,
  kFenced = 405,
  kOverloaded = 406,  // try again
  kStopping = 407,
  kAlien = 409,
  kBothSlotsBad = 410,
  kFreshnessUnproven = 411,
  // tables and rows
  kConflict = 500,
  kNoTable = 501,
  kTableExists = 502,
  kKeySize = 503,
  kValueSize = 504,
  kBatchSize = 505,
  kTableName = 506,
  kSnapshotTooOld = 507,
  kCompareNeedsDurable = 509,
  kTooManyTables = 512,
  kBlockLimit = 513,
  kTooManyPins = 515,
  kKeyType = 525,
  kValueType = 526,
  kNoIndex = 527,
  kIndexExists = 528,
  kTooManyIndexes = 529,
  kTransientMixed = 533,
  kTransientFull = 534,
  kNotUnique = 535,
  kIndexRowSize = 536,
  kIndexBuildSize = 537,
  kIndexPointer = 538,
  kNoQuorum = 539,  // the store lies on several providers, and fewer answer
  kCannotShare = 541,
  kNoPassphrase = 603,
};

std::string_view name_of(Code code);  // "kTampered"
std::string_view text_of(Code code);  // "tampered"; "ok"

// Done, or a code. Holds no key, value or passphrase: safe to log.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Code code, std::string detail = {}, uint64_t number = 0)  // NOLINT: implicit
      : code_(code), number_(number), detail_(std::move(detail)) {}

  bool ok() const { return code_ == Code::kOk; }
  explicit operator bool() const { return ok(); }
  Code code() const { return code_; }
  // What more is known: of an opening that failed, the objects that are bad, one a line.
  const std::string& detail() const { return detail_; }
  uint64_t number() const { return number_; }  // kConflict of a batch: which expectation, counted from 0
  std::string message() const {
    std::string text(text_of(code_));
    return detail_.empty() ? text : text + ": " + detail_;
  }

 private:
  Code code_ = Code::kOk;
  uint64_t number_ = 0;
  std::string detail_;
};

// A value, or the status that says why there is none. REQUIRES: a value, where one is taken; the program
// stops otherwise.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : v_(std::in_place_index<0>, std::move(value)) {}         // NOLINT: implicit
  Result(Status status) : v_(std::in_place_index<1>, std::move(status)) {}  // NOLINT: implicit; not kOk
  Result(Code code) : v_(std::in_place_index<1>, Status(code)) {}           // NOLINT: implicit; not kOk

  bool ok() const { return v_.index() == 0; }
  explicit operator bool() const { return ok(); }
  Status status() const { return ok() ? Status() : *std::get_if<1>(&v_); }
  Code code() const { return ok() ? Code::kOk : std::get_if<1>(&v_)->code(); }
  T& value() & { return Need(); }
  T value() && { return std::move(Need()); }
  const T& value() const& { return const_cast<Result*>(this)->Need(); }
  T& operator*() & { return Need(); }
  const T& operator*() const& { return value(); }
  T* operator->() { return &Need(); }
  const T* operator->() const { return &value(); }

 private:
  T& Need() {
    T* t = std::get_if<0>(&v_);
    if (t == nullptr) __builtin_trap();
    return *t;
  }
  std::variant<T, Status> v_;
};

struct Options {
  // Makes the store where there is none; otherwise kNoStore. Never touches a place that holds anything else:
  // kNotEmpty, or kMalformed for a file that is no database.
  bool create = false;
  // Nodes in memory, changes that are not saved yet and what saves need. At least 192 MiB: kInvalidArgument.
  uint64_t memory_bytes = uint64_t{256} << 20;
  // Threads that fold a save; 0: by the number of processors, at most 4.
  uint32_t fold_workers = 0;
  // A small file, kept apart from the store, that proves that the store is no older copy: kRolledBack. It is
  // made if absent, and then freshness is unproven for this once; but it is not made anew for a store that is
  // gone. Empty: none.
  std::string anchor_file;
  // A save this often while there is something to save; 0: by the amount of changes alone. Less often: a
  // longer journal to replay at open.
  uint64_t save_period_ms = 60'000;
  // Memory that a guess at the passphrase costs, and every opening too. For create alone.
  uint32_t kdf_memory_kib = 256 * 1024;
};

// kDurable: returns when the change is on stable storage; every later read sees it.
// kNone: returns at once, with index 0; waits only while 33,333 such writes or 16 MiB of them are on their
// way. Reads see the change once it is durable, tens of milliseconds later; a crash before then may lose it
// and everything written after it. It stands in the log before whatever this thread writes later. What went
// wrong with it (kOverloaded, kFull …) is the answer of every later kNone until commit_wait() or close() has
// told it.
enum class Wait : uint8_t { kNone, kDurable };

struct Commit {
  uint64_t index = 0;  // in the store's log
};

// What keys and values of a table must be, as bytes: integers are 8 bytes, big-endian, the sign bit of signed
// ones flipped, so that they sort as numbers; a timestamp is such an integer, microseconds since 1970; a UUID
// 16 bytes; text UTF-8; JSON RFC 8259, of values only. kKeyType, kValueType: nothing of the batch is written.
enum class Type : uint8_t { kBytes = 1, kText, kInt64, kUint64, kUuid, kTimestamp, kJson };

// A secondary index, kept in the same step as the rows. Of JSON values: of the null, boolean, number or
// string at an RFC 6901 pointer, in this order, numbers as the nearest double; rows without one are not in
// it. Of other values: of the whole value, and the pointer is empty. With the key it has at most 1,022 bytes:
// kIndexRowSize.
struct IndexOptions {
  std::string name;     // 1 to 128 bytes of UTF-8, among the table's indexes: kTableName, kIndexExists
  std::string pointer;  // kIndexPointer
  bool unique = false;  // a write that gives two rows one value is kNotUnique, and nothing of it is done
};

struct TableOptions {
  Type key_type = Type::kBytes, value_type = Type::kBytes;  // kJson: values only
  std::vector<IndexOptions> indexes;                        // at most 16: kTooManyIndexes
  // Rows in memory alone: never on storage, gone with close(); the table stays. Writes return at once,
  // whatever they wait for, and are seen by the next read; snapshots and scans show the rows as they are at
  // each call. A batch or transaction has transient tables or others, not both: kTransientMixed. All rows
  // together take at most about a sixth of memory_bytes, on top of it: kTransientFull.
  bool transient = false;
  // Values above 224 bytes that are equal are stored once in this table; of a transient table: kCannotShare.
  // Reading such a value costs a look-up more.
  bool share_values = false;
};

struct TableInfo {
  std::string name;
  uint64_t rows = 0;  // as of the last save; of a transient table: now
  TableOptions options;
};

struct Info {
  std::string store_id;  // 32 hexadecimal digits
  uint64_t applied_index = 0, saved_index = 0;
  uint64_t unsaved_bytes = 0, cache_bytes = 0, stored_bytes = 0;
  bool full = false;        // no space on the provider: writes wait or are refused
  Code failed = Code::kOk;  // what ended writing, if something did: close, and open anew
  std::string freshness;    // "fresh to index 12 (anchor …)" or "freshness unproven"
};

// Values of an index: from <= value < until, those that begin with `prefix` (bytes, text, strings of JSON),
// or those that are `equals`, alone. JSON ones are given as JSON text, but `prefix` as it is.
// kInvalidArgument.
struct IndexBounds {
  std::optional<std::string> from, until, prefix, equals;
};

// Keys from <= key < until, in byte order; an empty end is open.
struct Bounds {
  std::string from, until;
  static Bounds prefix(std::string_view prefix);
};
enum class Direction : uint8_t { kForward, kBackward };

class Table;

// Rows in one block of memory that serves again. Views hold until the page is filled again or goes.
class Page {
 public:
  Page();
  ~Page();
  Page(Page&&) noexcept;
  Page& operator=(Page&&) noexcept;

  size_t size() const;
  bool empty() const { return size() == 0; }
  std::string_view key(size_t i) const;  // REQUIRES: i < size(); so the next
  std::string_view value(size_t i) const;

 private:
  friend class Scan;
  std::unique_ptr<inside::Rows> rows_;
};

// Rows of one snapshot, page by page.
class Scan {
 public:
  // Fills the page with the next rows, at most max_rows and about max_bytes (at least one row). False: there
  // are none left, and the page is empty. kSnapshotTooOld, kNoTable, storage.
  Result<bool> next(Page& page, size_t max_rows = 1024, size_t max_bytes = size_t{1} << 20);

 private:
  friend class Snapshot;
  friend class Table;
  Scan() = default;
  Status Fill(inside::Rows& rows, size_t max_rows, size_t max_bytes, std::string& last);
  std::shared_ptr<const inside::Index> index_;  // or null: by keys
  std::shared_ptr<inside::Pinned> pinned_;
  std::array<uint8_t, 16> table_{};
  Bounds bounds_;
  Direction direction_ = Direction::kForward;
  bool done_ = false;
};

// Everything at one index. At most 256 at a time (kTooManyPins); ends after ten minutes, or earlier when
// snapshots alone keep more than 256 MiB of changes: kSnapshotTooOld. Copies share it.
class Snapshot {
 public:
  uint64_t index() const { return index_; }
  Result<std::optional<std::string>> get(const Table& table, std::string_view key) const;
  Scan scan(const Table& table, Bounds bounds = {}, Direction direction = Direction::kForward) const;
  // Rows in the order of an index, then of their keys. kNoIndex: there is none, or it is younger.
  Result<Scan> scan_index(const Table& table, std::string_view index, const IndexBounds& bounds = {},
                          Direction direction = Direction::kForward) const;

 private:
  friend class Store;
  friend class Table;
  Snapshot() = default;
  std::shared_ptr<inside::Pinned> pinned_;
  uint64_t index_ = 0;
};

// A name for a table of an open store; cheap to copy. kNoTable once the table was dropped, even when another
// one of that name was made.
// Keys have 1 to 1,024 bytes (kKeySize), values up to 16 MiB (kValueSize).
class Table {
 public:
  const std::string& name() const { return name_; }
  // The newest durable state. Nothing: there is no such row.
  Result<std::optional<std::string>> get(std::string_view key) const;
  Result<Commit> put(std::string_view key, std::string_view value, Wait wait = Wait::kDurable) const;
  Result<Commit> erase(std::string_view key, Wait wait = Wait::kDurable) const;  // no row: done as well
  Result<Scan> scan(Bounds bounds = {}, Direction direction = Direction::kForward) const;  // a snapshot's
  Result<Scan> scan_index(std::string_view index, const IndexBounds& bounds = {},
                          Direction direction = Direction::kForward) const;

 private:
  friend class Store;
  friend class Snapshot;
  friend class Batch;
  friend class Transaction;
  Table() = default;
  std::shared_ptr<inside::State> state_;
  std::array<uint8_t, 16> id_{};
  std::string name_;
};

// Writes that happen together or not at all, in their order, if every expectation holds when they do. At most
// 10,000 operations and 16 MiB: kBatchSize, when it is written.
class Batch {
 public:
  Batch();
  ~Batch();
  Batch(Batch&&) noexcept;
  Batch& operator=(Batch&&) noexcept;

  Batch& put(const Table& table, std::string_view key, std::string_view value);
  Batch& erase(const Table& table, std::string_view key);
  Batch& erase_range(const Table& table, const Bounds& bounds);
  Batch& expect_absent(const Table& table, std::string_view key);
  Batch& expect_present(const Table& table, std::string_view key);
  Batch& expect_equals(const Table& table, std::string_view key, std::string_view value);

 private:
  friend class Store;
  std::unique_ptr<inside::Commands> commands_;
};

// A function's reads and writes as one step (Store::atomic). Reads see the transaction's own writes; what was
// read must still hold when the writes happen. Reads of absent rows count as well; scans are not offered,
// since nothing could hold them to what they saw.
// After an error the transaction does nothing more, and every call answers why.
class Transaction {
 public:
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  // Each: kKeySize, kValueSize, kInvalidArgument (a table of another store); kBlockLimit: over 5 seconds,
  // 10,000 operations or 16 MiB; kConflict: read before, and changed since (return it: the function is called
  // again).
  Result<std::optional<std::string>> get(const Table& table, std::string_view key);
  Status put(const Table& table, std::string_view key, std::string_view value);
  Status erase(const Table& table, std::string_view key);
  Status erase_range(const Table& table, const Bounds& bounds);

 private:
  friend class Store;
  explicit Transaction(inside::Block& block) : block_(block) {}
  inside::Block& block_;
};

class Store {
 public:
  // `url`: a path is one file, and the same as sqlite:PATH; else dir:PATH, rocksdb:PATH, leveldb:PATH,
  // memory: (gone with the process). A path with a colon in its first part begins with ./ or /. Costs what
  // the passphrase's derivation costs (half a second, 256 MiB), and the replay of the journal.
  //   errors  kNoStore, kNotEmpty, kInUse, kWrongPassphrase, kNoPassphrase (empty), kBadUrl, kPermission,
  //           kReadOnly; kTampered, kMissing, kRolledBack, kForked, kBothSlotsBad, kAuthFailed, kMalformed:
  //           detail() names objects; kUnknownFormat: of another version
  static Result<Store> open(std::string_view url, std::string_view passphrase, const Options& options = {});
  ~Store();                 // close(), its answer unread
  Store(Store&&) noexcept;  // what was moved from may be assigned to or dropped, nothing else
  Store& operator=(Store&&) noexcept;

  // Names: 1 to 128 bytes of UTF-8 (kTableName). Durable when they return.
  // kTableExists, kTooManyTables.
  Result<Table> create_table(std::string_view name, const TableOptions& options = {});
  Result<Table> open_table(std::string_view name, bool create = false);  // kNoTable
  Status drop_table(std::string_view name);                              // kNoTable
  // Built from the rows that are there, in one step: up to a million, else kIndexBuildSize. As IndexOptions
  // says; kNoTable, kInvalidArgument (a transient table).
  Status create_index(std::string_view table, const IndexOptions& index);
  Status drop_index(std::string_view table, std::string_view index);  // kNoIndex; the rows stay
  Result<std::vector<TableInfo>> tables();

  // kConflict: an expectation did not hold, nothing happened, status().number() says which one. Expectations
  // need kDurable: kCompareNeedsDurable. kOverloaded: more is accepted than can be written; try again.
  Result<Commit> write(Batch batch, Wait wait = Wait::kDurable);

  // Calls `body`, and makes what it wrote durable as one step if what it read still holds; otherwise calls it
  // again. A body that answers an error, or throws, leaves nothing behind, and its error is the answer. The
  // body may be called several times: it should change nothing but the transaction. Must not wait for another
  // thread's atomic(): five seconds are all it has.
  // Transactions do not starve each other: one that has lost a row to another has the next turn at that row,
  // and later ones that read it wait. So however many count up one row, each gets through. Writes outside of
  // transactions wait for nobody: `attempts` times in all they may change what was read, then kConflict.
  Result<Commit> atomic(const std::function<Status(Transaction&)>& body, unsigned attempts = 64);

  Result<Snapshot> snapshot();  // of the newest durable state; kTooManyPins

  // Everything that was written before is durable and seen by reads. The first error of a write that nobody
  // waited for, if there was one: it and maybe others are not in the store.
  Status commit_wait();

  // Folds the journal into the tree: the next open has less to replay. Happens by itself too.
  Status save();
  // Reads every byte and proves that none is missing, changed or extra; long. `findings` (may be null) gets
  // one line each, and a summary. kTampered, kMissing, kAlien, kRolledBack…; kFreshnessUnproven with
  // `require_fresh` and no anchor that proves it.
  Status verify(std::vector<std::string>* findings = nullptr, bool require_fresh = false);
  // kWrongPassphrase: `old_passphrase`. Older copies of the store open with the old one still.
  Status change_passphrase(std::string_view old_passphrase, std::string_view new_passphrase);
  Result<Info> info();

  // Finishes what was accepted, writes the anchor, gives the store back. An error says that the end was not
  // clean; what had been acknowledged as durable is durable all the same. Again: done.
  Status close();

 private:
  explicit Store(std::shared_ptr<inside::State> state) : state_(std::move(state)) {}
  std::shared_ptr<inside::State> state_;
};

}  // namespace holdfast::embedded

#endif  // HOLDFAST_EMBEDDED_HOLDFAST_H_
