// What sessions ask of the store; core/runtime implements it, tests fake it.
// Reads see durable, applied state (rule H1). All calls are thread-safe. Blocking ones say so: they may read
// storage.
#ifndef HOLDFAST_CORE_SESSION_BACKEND_H_
#define HOLDFAST_CORE_SESSION_BACKEND_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/secret.h"
#include "core/kernel/command.h"
#include "core/kernel/kernel.h"
#include "core/store/offline.h"
#include "core/tree/descriptor.h"
#include "seam/copies.h"

namespace holdfast::session {

struct WriteReply {
  Status status;  // kConflict: `detail` is the number of the compare that failed
  Term term;
  LogIndex index;
  kernel::Wait reached = kernel::Wait::kNone;
  uint64_t detail = 0;
};
using WriteDone =
    std::function<void(const WriteReply&)>;  // called exactly once, from any thread; must not block

// A secondary index, as whoever asks for one says it; as it is shown, too.
struct IndexSpec {
  std::string name;     // 1 to 128 bytes of UTF-8, among the indexes of its table
  std::string pointer;  // tree/index_key.h
  bool unique = false;
};
// Where an index stands.
struct IndexPlace {
  TableId table, index;
  tree::Type value_type = tree::Type::kBytes;  // of the table
  bool unique = false;
  LogIndex since;  // no snapshot of an index before this one has it
};

struct TableInfo {
  TableId id;
  tree::Descriptor descriptor;
  uint64_t rows = 0;  // as of the last save
  // Of a Patricia table that has been saved: what its proofs lead to, and the index of that save.
  Digest public_root{};
  LogIndex saved = {};
  std::vector<IndexSpec> indexes = {};
};

struct Row {
  Bytes key, value;
};

// Rows in one block of memory, which serves again after Clear.
class RowPage {
 public:
  size_t size() const { return rows_.size(); }
  bool empty() const { return rows_.empty(); }
  size_t bytes() const { return text_.size(); }
  ByteView key(size_t i) const { return {text_.data() + rows_[i].key_at, rows_[i].key_bytes}; }
  ByteView value(size_t i) const { return {text_.data() + rows_[i].value_at, rows_[i].value_bytes}; }

  void Clear() {
    text_.clear();
    rows_.clear();
  }
  void Add(ByteView key, ByteView value) {
    size_t at = AddText(key);
    AddRow(at, key.size(), AddText(value), value.size());
  }
  // Text in which keys and values stand, where it begins, and then each row by its places.
  size_t AddText(ByteView text) {
    size_t at = text_.size();
    Append(text_, text);
    return at;
  }
  void AddRow(size_t key_at, size_t key_bytes, size_t value_at, size_t value_bytes) {
    rows_.push_back({key_at, value_at, static_cast<uint32_t>(key_bytes), static_cast<uint32_t>(value_bytes)});
  }

 private:
  struct Place {
    size_t key_at, value_at;
    uint32_t key_bytes, value_bytes;
  };
  Bytes text_;
  std::vector<Place> rows_;
};

// A pinned view of the store at one index. Limited in count and age: kSnapshotTooOld once it has expired.
class Snapshot {
 public:
  virtual ~Snapshot() = default;
  virtual LogIndex index() const = 0;
  // Of a tag's snapshot: its tables by the names they had. kNoTable.
  virtual Result<TableId> FindTable(std::string_view name) {
    (void)name;
    return Code::kNoTable;
  }
  virtual Result<IndexPlace> FindIndex(const TableId& table, std::string_view name) {  // kNoIndex
    static_cast<void>(table), static_cast<void>(name);
    return Code::kNoIndex;
  }
  virtual Result<std::optional<Bytes>> Get(const TableId& table, ByteView key) = 0;  // blocking
  // Rows with from <= key < until (empty until: to the end), ascending; or descending from below `until` when
  // reverse. At most max_rows and about max_bytes a call; call again from behind the last key. Blocking.
  // Thread-compatible.
  virtual Result<std::vector<Row>> Scan(const TableId& table, ByteView from, ByteView until, bool reverse,
                                        size_t max_rows, size_t max_bytes) = 0;
  // The same into `page`, after what it holds was cleared; several times faster where rows lie in leaves.
  virtual Status ScanPage(const TableId& table, ByteView from, ByteView until, bool reverse, size_t max_rows,
                          size_t max_bytes, RowPage& page) {
    page.Clear();
    HF_TRY(std::vector<Row> rows, Scan(table, from, until, reverse, max_rows, max_bytes));
    for (const Row& row : rows) page.Add(row.key, row.value);
    return Ok();
  }
  // Rows of a table in the order of an index whose keys are from <= key < until; `last` gets the index's key
  // of the last one: go on behind it, or from below it when reverse. kNoIndex: it is younger than the
  // snapshot.
  virtual Status ScanIndex(const IndexPlace& index, ByteView from, ByteView until, bool reverse,
                           size_t max_rows, size_t max_bytes, RowPage& page, Bytes& last) {
    static_cast<void>(index), static_cast<void>(from), static_cast<void>(until), static_cast<void>(reverse);
    static_cast<void>(max_rows), static_cast<void>(max_bytes), static_cast<void>(page);
    static_cast<void>(last);
    return Code::kNoIndex;
  }
};

struct WatchEvent {
  LogIndex index;
  bool mark = false;  // everything up to `index` has been sent
  Bytes key;
  std::optional<Bytes> value;  // nothing: deleted
};

// Durable, applied changes of one table in index order (rule H3).
class Watch {
 public:
  virtual ~Watch() = default;
  // What is there, at most `max` events, maybe none. Errors end the watch: kOverloaded (too slow),
  // kSnapshotTooOld (from an index older than what is kept), kNoTable (dropped), kStopping.
  virtual Result<std::vector<WatchEvent>> Take(size_t max) = 0;
};

struct ClientInfo {
  std::string serial;  // hex
  std::string name;
  bool admin = false, revoked = false;
};

struct StoreStatus {
  StoreId store;
  MemberId member;
  Term term;
  LogIndex committed, applied, saved;
  SaveNumber save;
  uint64_t dirty_bytes = 0, cache_bytes = 0, cache_bytes_max = 0, segments = 0, segment_bytes = 0,
           live_bytes = 0;
  uint64_t connections = 0;
  bool full = false;
  Code failed{};           // what stopped writing, or 0
  std::string freshness;   // "fresh to index 12 (anchor …)" or "freshness unproven"
  std::string anchor;      // the newest save point, "hf1:…"
  uint32_t isolation = 0;  // bits of seam/isolation.def that are in force
  kernel::Metrics kernel;
};

struct VerifyQuestion {
  bool require_fresh = false;
  std::optional<Bytes> anchor;  // in place of the server's own; either form, untrusted
};

class Backend {
 public:
  virtual ~Backend() = default;

  // kNoTable; kReadOnly: TABLE@TAG, where there is such a tag with such a table, and no table of that very
  // name.
  virtual Result<TableId> FindTable(std::string_view name) = 0;
  virtual std::vector<TableInfo> ListTables() = 0;
  // One of them; of a tag, if there is one, or by the name TABLE@TAG: as the tag shows it. kNoTable, kNoTag.
  virtual Result<TableInfo> Describe(std::string_view table, std::string_view tag) {
    if (!tag.empty()) return Code::kNoTag;
    for (TableInfo& t : ListTables()) {
      if (t.descriptor.name == table) return std::move(t);
    }
    return Code::kNoTable;
  }
  // `values_in`: set, to any id, if the table is to share values (kCannotShare: not of its kind).
  virtual void CreateTable(const tree::Descriptor& descriptor,
                           WriteDone done) = 0;  // kTableExists, kTableName
  virtual void DropTable(std::string_view name, WriteDone done) = 0;
  // The table and its indexes, or nothing: as CreateTable and CreateIndex.
  virtual void CreateTableWith(const tree::Descriptor& descriptor, const std::vector<IndexSpec>& indexes,
                               WriteDone done) {
    if (indexes.empty()) return CreateTable(descriptor, std::move(done));
    done({Code::kUnsupported, {}, {}, kernel::Wait::kNone, 0});
  }
  // Builds it from the rows that are there. kNoTable, kTableName (the index's), kIndexExists,
  // kTooManyIndexes, kIndexPointer, kInvalidArgument (a transient table); kNotUnique, kIndexRowSize,
  // kIndexBuildSize: its rows do not let it.
  virtual void CreateIndex(std::string_view table, const IndexSpec& index, WriteDone done) {
    static_cast<void>(table), static_cast<void>(index);
    done({Code::kUnsupported, {}, {}, kernel::Wait::kNone, 0});
  }
  virtual void DropIndex(std::string_view table, std::string_view index, WriteDone done) {  // kNoIndex
    static_cast<void>(table), static_cast<void>(index);
    done({Code::kUnsupported, {}, {}, kernel::Wait::kNone, 0});
  }
  virtual Result<IndexPlace> FindIndex(const TableId& table, std::string_view name) {  // kNoIndex
    static_cast<void>(table), static_cast<void>(name);
    return Code::kNoIndex;
  }

  // All or nothing. Checks the API's limits and the tables' types (kKeyType, kValueType). Compares need
  // kDurable (kCompareNeedsDurable).
  virtual void Write(kernel::Batch batch, kernel::Wait wait, WriteDone done) = 0;
  virtual void Sync(WriteDone done) = 0;
  // Between the two calls, which this thread makes soon after each other, the writes it submits are gathered:
  // they come to the log together, so that one client's message is not torn into several waves. Pairs may be
  // nested.
  virtual void BeginWrites() {}
  virtual void EndWrites() {}
  virtual void OpenSession(std::string_view client_serial,
                           WriteDone done) = 0;  // its id is the reply's index

  // The newest applied index. Cheap: every read asks.
  virtual LogIndex AppliedIndex() { return Status_().applied; }

  // Waits (at most `timeout_ms`) until `at_least` is applied: kDeadline; so do the two below. Blocking.
  virtual Status WaitApplied(LogIndex at_least, uint64_t timeout_ms) = 0;
  virtual Result<std::unique_ptr<Snapshot>> TakeSnapshot(LogIndex at_least, uint64_t timeout_ms) = 0;
  virtual Result<std::optional<Bytes>> Get(const TableId& table, ByteView key, LogIndex at_least,
                                           uint64_t timeout_ms) = 0;  // blocking

  // The answer if nothing has to be waited for: the index is applied and the value's nodes are in memory.
  // Else nothing: ask Get. Never blocks.
  virtual std::optional<Result<std::optional<Bytes>>> GetNow(const TableId& table, ByteView key,
                                                             LogIndex at_least) {
    static_cast<void>(table), static_cast<void>(key), static_cast<void>(at_least);
    return std::nullopt;
  }

  // What a tag keeps, pinned like any snapshot. kNoTag, kTooManyPins.
  virtual Result<std::unique_ptr<Snapshot>> OpenTag(std::string_view tag) {
    (void)tag;
    return Code::kNoTag;
  }

  // A proof (tree/proof.h) that the row is there, or that none is: of the last save, or of a new one if the
  // key has changed since. kNoTable; kNoProof: of another layout. Blocking, and slow where it saves.
  virtual Result<Bytes> Prove(const TableId& table, ByteView key, LogIndex at_least, uint64_t timeout_ms) {
    static_cast<void>(table), static_cast<void>(key);
    static_cast<void>(at_least), static_cast<void>(timeout_ms);
    return Code::kNoProof;
  }

  // `from` 0 = from now. `ready` is called (any thread, must not block) whenever Take may have something new.
  virtual Result<std::unique_ptr<Watch>> StartWatch(const TableId& table, Bytes prefix, LogIndex from,
                                                    std::function<void()> ready) = 0;

  // Administration.
  virtual void SaveState(WriteDone done) = 0;  // rule D4
  // Both answer when the save that belongs to them is durable: kTagName, kTagExists, kTooManyTags; kNoTag.
  virtual void CreateTag(std::string_view name, WriteDone done) {
    (void)name;
    done({Code::kUnsupported, {}, {}, kernel::Wait::kNone, 0});
  }
  virtual void DropTag(std::string_view name, WriteDone done) {
    (void)name;
    done({Code::kUnsupported, {}, {}, kernel::Wait::kNone, 0});
  }
  virtual std::vector<store::TagInfo> ListTags() { return {}; }
  virtual Result<std::vector<store::TagTable>> TagTables(std::string_view tag) {  // kNoTag
    (void)tag;
    return Code::kNoTag;
  }
  // With `collect`, saves first, until there is nothing left to gain. Blocking, then long.
  virtual Result<store::GarbageReport> Garbage(bool collect) {
    (void)collect;
    return Code::kUnsupported;
  }
  // As store::DiffTags, of the newest save. Blocking, maybe long.
  virtual Status Diff(std::string_view from, std::string_view to, std::string_view table,
                      const store::DiffSink& sink) {
    (void)from, (void)to, (void)table, (void)sink;
    return Code::kUnsupported;
  }
  // How the store's providers do; with `repair`, after comparing everything on each of them with its hash,
  // and copying what differs (blocking, long). One provider: nothing to say, and kUnsupported to repair.
  struct Providers {
    seam::Quorum quorum;
    std::vector<seam::CopyState> states;
    uint64_t bad_objects = 0;  // found by this repair
  };
  virtual Result<Providers> GetProviders(bool repair) {
    return repair ? Result<Providers>(Code::kUnsupported) : Result<Providers>(Providers());
  }
  virtual StoreStatus Status_() = 0;
  // Brings the gauges of seam::Metrics() up to date, limits and processor times with them. Cheap; for who is
  // about to look.
  virtual void SampleMetrics() = 0;
  // Verifies the served store; `line` gets one finding each. Blocking, long. The error says how it ended.
  virtual Status Verify(const VerifyQuestion& question,
                        const std::function<void(const std::string& line)>& line) = 0;
  // Blocking. Errors of seal::ChangeUnlockers; kConflict: somebody else changed them meanwhile, nothing is
  // changed.
  virtual Status ChangeUnlockers(SecretBytes passphrase, seal::UnlockerChange change) = 0;
  virtual Result<std::vector<seal::UnlockerInfo>> ListUnlockers() = 0;

  // Small private state of the session layer (PKI, clients): the system table.
  virtual Result<std::optional<Bytes>> GetSystem(std::string_view key) = 0;  // blocking
  virtual Result<std::vector<Row>> ScanSystem(std::string_view prefix) = 0;  // blocking
  virtual void PutSystem(std::vector<std::pair<std::string, std::optional<Bytes>>> changes,
                         WriteDone done) = 0;
};

}  // namespace holdfast::session

#endif  // HOLDFAST_CORE_SESSION_BACKEND_H_
