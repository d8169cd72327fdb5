// The C++ client. Calls block and are thread-safe; each has a timeout. Nothing is retried behind your back: a
// write that failed with kServerUnreachable, kDeadline or kCancelled may have happened (rule H4: use a
// SessionStream). Errors are the server's own codes; kServerUnreachable when there is no connection, also
// when TLS refused it on either side: gRPC does not tell the two apart.
#ifndef HOLDFAST_SDK_CLIENT_H_
#define HOLDFAST_SDK_CLIENT_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "sdk/config.h"

namespace holdfast::sdk {

enum class Wait : uint8_t { kNone, kDurable };

struct Written {
  uint64_t term = 0, index = 0;
  Wait reached = Wait::kNone;
};
struct Value {
  bool found = false;
  std::string value;
  uint64_t index = 0;  // the value is of this index or a later one
};
struct KeyValue {
  std::string key, value;
};
struct ScanOptions {
  std::string prefix = {}, from = {}, until = {};  // empty: no bound
  bool reverse = false;
  uint64_t limit = 0;  // 0 = all
  uint64_t at_least = 0;
  std::string tag = {};  // what it keeps, instead of the newest state
  // By an index (IndexBounds of the API): bounds of the indexed values, and none of keys.
  struct By {
    std::string index;
    std::optional<std::string> from = {}, until = {}, prefix = {}, equals = {};
  };
  std::optional<By> by = {};
};
struct Compare {
  enum class Kind : uint8_t { kAbsent, kPresent, kEquals } kind = Kind::kAbsent;
  std::string table, key, value;
};
struct Operation {
  enum class Kind : uint8_t { kPut, kDelete, kDeleteRange } kind = Kind::kPut;
  std::string table, key;
  std::string value;  // kDeleteRange: the first key behind the range
};
struct Batch {
  std::vector<Compare> compares;
  std::vector<Operation> operations;
};
struct Change {
  enum class Kind : uint8_t { kPut, kDeleted, kMark } kind = Kind::kPut;
  uint64_t index = 0;
  std::string key, value;
};
enum class Layout : uint8_t { kBTree, kPatricia };
// What keys and values must be, as bytes: docs/format.md 5, whose numbers these are. A write of something
// else is kKeyType or kValueType. kJson: values only.
enum class Type : uint8_t { kBytes = 1, kText, kInt64, kUint64, kUuid, kTimestamp, kJson };
struct Index {
  std::string name, pointer;
  bool unique = false;
};
struct TableOptions {
  bool never_inline = false;
  uint32_t leaf_rows_max = 0, inner_children_max = 0;  // 0 = default
  Layout layout = Layout::kBTree;  // kPatricia: rows can be proven; inner_children_max stays 0
  Type key_type = Type::kBytes, value_type = Type::kBytes;
  bool transient = false;  // rows in memory alone, gone when the server stops: CreateTableRequest says more
  std::vector<Index> indexes = {};
  bool share_values = false;  // equal values above 224 bytes are stored once: CreateTableRequest says more
};
struct Table {
  std::string name, id;  // id: 32 hex digits
  uint64_t rows = 0;
  TableOptions options;
  std::string root = {};    // kPatricia, once saved: 64 hex digits, what proofs lead to,
  uint64_t root_index = 0;  // as of this index
};

// One TLS connection to one port.
class Channel;
// Reads the certificates; connects with the first call. kBadConfig: a file is no PEM. Else as ReadSmallFile,
// ReadPortFile.
Result<std::shared_ptr<Channel>> OpenUserChannel(const ClientConfig& config);
Result<std::shared_ptr<Channel>> OpenAdminChannel(const ClientConfig& config);

class Client {
 public:
  static Result<std::unique_ptr<Client>> Connect(const ClientConfig& config);
  explicit Client(std::shared_ptr<Channel> channel, uint64_t timeout_ms = 30'000);
  ~Client();

  Result<Value> Get(const std::string& table, std::string_view key, uint64_t at_least = 0,
                    const std::string& tag = {});
  // The bytes of a proof that the row is there or that none is (core/tree/proof.h checks it; so does
  // `holdfast verify-proof`). kNoProof: not a table of the patricia layout.
  Result<std::string> Prove(const std::string& table, std::string_view key, uint64_t at_least = 0);
  Result<Written> Put(const std::string& table, std::string_view key, std::string_view value,
                      Wait wait = Wait::kDurable);
  Result<Written> Delete(const std::string& table, std::string_view key, Wait wait = Wait::kDurable);
  // kConflict: `failed` (may be null) is the number of the compare that did not hold.
  Result<Written> Apply(const Batch& batch, Wait wait = Wait::kDurable, uint64_t* failed = nullptr);
  Result<Written> Sync();
  // Calls `row` for each row of one snapshot until it returns false. The snapshot's index. No timeout.
  Result<uint64_t> Scan(const std::string& table, const ScanOptions& options,
                        const std::function<bool(KeyValue row)>& row);
  // Calls `change` until it returns false (then Ok), or `timeout_ms` is over (kDeadline; 0: none), or the
  // server ends it. `started` (may be empty): from now on nothing is missed.
  Status Watch(const std::string& table, std::string_view prefix, uint64_t from, uint64_t timeout_ms,
               const std::function<bool(Change change)>& change, const std::function<void()>& started = {});
  Result<Written> CreateTable(const std::string& table, const TableOptions& options = {});
  Result<Written> DropTable(const std::string& table);
  Result<Written> CreateIndex(const std::string& table, const Index& index);  // no timeout: it may be long
  Result<Written> DropIndex(const std::string& table, const std::string& index);
  Result<std::vector<Table>> ListTables();
  // One of them, or as a tag shows it: `tag`, or the name TABLE@TAG. kNoTable, kNoTag.
  Result<Table> Describe(const std::string& table, const std::string& tag = {});

  const std::shared_ptr<Channel>& channel() const { return channel_; }

 private:
  struct State;
  std::shared_ptr<Channel> channel_;
  std::unique_ptr<State> s_;
};

struct Series {
  std::string name, label;  // "holdfast_lock_waits_total", "lock=\"order\"" or nothing
  uint64_t value = 0;
  bool nanoseconds = false;  // the value's unit
};
struct ServerStatus {
  std::string store, member;  // 32 hex digits
  uint64_t term = 0, committed = 0, applied = 0, saved = 0, save = 0;
  uint64_t dirty_bytes = 0, cache_bytes = 0, cache_bytes_max = 0, segments = 0, segment_bytes = 0,
           live_bytes = 0;
  uint64_t connections = 0;
  bool full = false;
  uint32_t failed = 0;
  std::string freshness;
  std::string anchor;  // the newest save point, to be carried elsewhere: "hf1:…"
  std::vector<std::pair<std::string, uint64_t>> metrics;  // of the kernel, by name
  std::vector<Series> series;                             // what Prometheus is shown
  uint32_t isolation = 0;                                 // bits of seam/isolation.def in force
};
struct NewClient {
  std::string serial;
  SecretBytes pem;  // certificate and private key
  std::string ca_pem;
};
struct ClientEntry {
  std::string serial, name;
  bool admin = false, revoked = false;
};

struct TagEntry {
  std::string name;
  uint64_t index = 0;  // 0: made, and no save came after it yet
  uint64_t tables = 0, rows = 0, alone_bytes = 0, deadlist_bytes = 0;
};
struct DiffEntry {
  std::string table, key;
  std::optional<std::string> before, after;
};
struct ProviderState {
  bool current = false;  // it takes every write; else it is behind
  uint32_t why = 0;      // code of its last failure, or 0
  uint64_t queued = 0, queued_bytes = 0, errors = 0, bad_objects = 0, repaired = 0,
           milliseconds_since_success = 0;
};
struct Providers {
  uint32_t write_quorum = 1;
  std::vector<ProviderState> list;  // in the order of server.yaml; empty: there is one
  uint64_t bad_objects = 0;         // that this repair found
};
struct SegmentGarbage {
  std::string name;
  uint64_t bytes = 0, live_bytes = 0, tagged_bytes = 0;
  bool condemned = false, victim = false;
};
struct Garbage {
  uint64_t save = 0, segments = 0, bytes = 0, live_bytes = 0, tagged_bytes = 0, garbage_bytes = 0;
  uint64_t condemned_segments = 0, condemned_bytes = 0;
  uint64_t victims = 0, moved_bytes = 0, freed_bytes = 0, cleanings_owed = 0;
  std::vector<SegmentGarbage> list;
  std::vector<TagEntry> tags;
};

struct Unlocker {
  uint32_t number;
  bool passphrase;  // false: of a kind that the server does not know
  uint32_t memory_kib, passes;
};

class AdminClient {
 public:
  static Result<std::unique_ptr<AdminClient>> Connect(const ClientConfig& config);
  explicit AdminClient(std::shared_ptr<Channel> channel, uint64_t timeout_ms = 120'000);
  ~AdminClient();

  Result<ServerStatus> GetStatus();
  Result<uint64_t> SaveState();  // an index that is durable in a slot
  // `anchor`: in place of the server's own; empty = that one. No timeout.
  Status Verify(bool require_fresh, const Bytes& anchor,
                const std::function<void(const std::string& line)>& line);
  Result<uint64_t> CreateTag(const std::string& name);  // the index that it keeps
  Status DropTag(const std::string& name);              // no timeout
  Result<std::vector<TagEntry>> ListTags();
  Result<std::vector<std::pair<std::string, uint64_t>>> TagTables(const std::string& tag);  // name, rows
  // Until `row` returns false; no timeout.
  Status Diff(const std::string& from, const std::string& to, const std::string& table,
              const std::function<bool(DiffEntry row)>& row);
  Result<Providers> GetProviders(bool repair);   // true: compares and puts right first. Then no timeout
  Result<Garbage> CollectGarbage(bool collect);  // false: looks only. No timeout
  // Each takes one that opens the store now. Errors: kWrongPassphrase, kExists (the new one opens it
  // already), kTooLarge (too many), kNotFound (no such number), kInvalidArgument (to remove the one given),
  // kConflict.
  Status ChangePassphrase(const SecretBytes& old_passphrase, const SecretBytes& new_passphrase);
  Status AddPassphrase(const SecretBytes& passphrase, const SecretBytes& another);
  Status RemoveUnlocker(const SecretBytes& passphrase, uint32_t number);
  Result<std::vector<Unlocker>> ListUnlockers();
  Result<NewClient> AddClient(const std::string& name, bool admin);
  Status RevokeClient(const std::string& serial);
  Result<std::vector<ClientEntry>> ListClients();

 private:
  struct State;
  std::unique_ptr<State> s_;
};

}  // namespace holdfast::sdk

#endif  // HOLDFAST_SDK_CLIENT_H_
