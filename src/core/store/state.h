// The applied state: trees as of the last save, overlays of what came since, the catalogue, the sessions.
//
//        View at index n:   active overlay  >  frozen overlay (being folded)  >  base trees
//
// One applier calls Prepare and Commit for each committed entry, in order. Not thread-safe: readers and
// Commit are serialised by the caller (core/runtime: one shared lock); Prepare only reads and needs no lock
// against readers. What an entry does is a pure function of the log before it: all members reach the same
// state. Source: rules D1, H1-H4.
#ifndef HOLDFAST_CORE_STORE_STATE_H_
#define HOLDFAST_CORE_STORE_STATE_H_

#include <deque>
#include <functional>

#include "core/journal/entry.h"
#include "core/kernel/command.h"
#include "core/store/indexes.h"
#include "core/store/nodes.h"
#include "core/tree/merge.h"
#include "core/tree/overlay.h"
#include "core/tree/read.h"

namespace holdfast::store {

// What a reader sees, pinned. Reading the overlays needs the caller's lock; reading the trees does not.
struct View {
  VersionPtr base;
  std::shared_ptr<const tree::Overlay> frozen, active;  // frozen may be null
  LogIndex at;
  const Tag* tag = nullptr;  // of `base`: its tables are shown instead of the newest

  const tree::Root RootOf(const TableId& table) const;
  // Of the table that has its shared values; empty: there is none.
  tree::Root SharedRootOf(const TableId& table) const;
  // What the overlays say of a key; nothing = ask the tree.
  std::optional<tree::Overlay::Hit> OverlayGet(const TableId& table, ByteView key) const;
  tree::MergedCursor Scan(const TableId& table) const;
};

// What a tag shows, as long as `base` is held. Null overlays are not read: there are none.
//   kNoTag: not one of this version
Result<View> TagView(const VersionPtr& base, std::string_view tag);
// A table of a tag by the name it had; never a hidden one. kNoTable.
Result<TableId> FindTableIn(const Tables& tables, std::string_view name);

// The tree's answer, whole value included. Blocking through `nodes`.
Result<std::optional<Bytes>> TreeGet(const View& view, const TableId& table, ByteView key, NodeAccess& nodes);
// Both. For single-threaded callers.
Result<std::optional<Bytes>> ViewGet(const View& view, const TableId& table, ByteView key, NodeAccess& nodes);

// The whole value of a row that a scan of this view and table gave.
Result<Bytes> RowValue(const View& view, const TableId& table, const tree::MergedCursor::Row& row,
                       NodeAccess& nodes);

struct Outcome {
  Code code{};          // 0 = done
  uint64_t detail = 0;  // kConflict: which compare
  bool ok() const { return code == Code{}; }
};

// Whether a write of a batch is of its table's types: kKeyType, kValueType. The ends of a range may be any
// bytes. For kernel::Operation and kernel::OperationView.
template <typename Operation>
Status CheckTypes(const tree::Descriptor& table, const Operation& write) {
  if (write.kind == kernel::OperationKind::kPut) return table.CheckRow(write.key, write.value);
  return write.kind == kernel::OperationKind::kDelete ? table.CheckKey(write.key) : Ok();
}

// A change that an entry made, for watchers; views into the entry's payload or the prepared command.
struct Change {
  TableId table;
  ByteView key;
  std::optional<ByteView> value;
};

// A state save that is due: everything a fold needs, immutable.
struct SavePoint {
  journal::LogPosition position;
  Tables tables;  // definitions as of the save point (roots: of the base)
  // By name, the index of the save point each is of: this one's, or an older one's that the base has.
  std::map<std::string, LogIndex, std::less<>> tags;
  std::shared_ptr<const tree::Overlay> changes;
  VersionPtr base;
  seal::Keyring keyring;
};

class State {
 public:
  // `base` and its keyring: what a slot held. Loads the sessions (blocking).
  static Result<std::unique_ptr<State>> Open(VersionPtr base, seal::Keyring keyring, const Secrets& secrets,
                                             NodeAccess& nodes);

  // Reads what `entry` needs (compares, ranges): storage errors only. Blocking through `nodes`.
  struct Prepared {
    const journal::Entry* entry = nullptr;
    kernel::BatchView batch;
    Outcome outcome;                         // decided already: nothing else happens
    bool repeated = false;                   // of an idempotent command: the stored outcome
    std::vector<std::vector<Bytes>> ranges;  // per range deletion: its keys
    std::vector<IndexChange> index_changes;
  };
  // `view` is CurrentView(), taken under the caller's lock where SaveDone runs on another thread.
  Result<Prepared> Prepare(const journal::Entry& entry, const View& view, NodeAccess& nodes);
  Result<Prepared> Prepare(const journal::Entry& entry, NodeAccess& nodes) {
    return Prepare(entry, CurrentView(), nodes);
  }

  // Applies it. `changes` gets what watchers see. A save point freezes the active overlay: REQUIRES
  // !saving().
  Outcome Commit(const Prepared& prepared, const journal::LogPosition& at, std::vector<Change>* changes);

  // The save point that Commit met last, until SaveDone. Null otherwise.
  const SavePoint* saving() const { return saving_.get(); }
  void SaveDone(VersionPtr version);
  // Runs at every save point before the overlay freezes, in the order of registration (the sessions' own is
  // first): rolls what lives outside the tables to a stable state and hands it over as rows, so that all is
  // reachable from one root. It must be a pure function of the log up to the save point, or members would
  // fold different roots.
  using PreCommitHook = std::function<void(LogIndex save_point, tree::Overlay& rows)>;
  void AddPreCommitHook(PreCommitHook hook) { hooks_.push_back(std::move(hook)); }
  // For tools that only read: a save point then freezes nothing.
  void IgnoreSavePoints() { ignore_save_points_ = true; }

  // As CurrentView() has them, without what it costs to hold one.
  std::optional<tree::Overlay::Hit> OverlayGet(const TableId& table, ByteView key) const;
  tree::Root RootOf(const TableId& table) const;
  const VersionPtr& base() const { return base_; }
  View CurrentView() const { return {base_, frozen_, active_, position_.index}; }
  const journal::LogPosition& position() const { return position_; }
  const Tables& tables() const { return tables_; }
  const Table* FindTable(std::string_view name) const;
  // An index of a table by its name, and since when it is there (0: since the opening). kNoIndex.
  Result<std::pair<TableId, LogIndex>> FindIndex(const TableId& table, std::string_view name) const;
  const Indexes& indexes() const { return indexes_; }
  // Whether a table has, or had, keys or values of a type: else there is nothing for CheckTypes to find.
  bool typed_tables() const { return typed_tables_; }
  struct TagState {
    LogIndex index;               // 0: of the next save point
    std::vector<TableId> tables;  // ascending; whose keys are kept for it
  };
  using TagStates = std::map<std::string, TagState, std::less<>>;
  const TagStates& tags() const { return tags_; }
  const seal::Keyring& keyring() const { return keyring_; }
  uint64_t dirty_bytes() const;
  // Dirty bytes that pay for a save now: some changed rows for each leaf that the tables have, within
  // limits::kOverlayBytesFoldMin and kOverlayBytesFold.
  uint64_t dirty_bytes_worth_saving() const;

 private:
  State(VersionPtr base, seal::Keyring keyring);
  struct SessionResult {
    uint64_t sequence;
    Outcome outcome;
  };
  struct Session {
    uint64_t highest = 0;
    LogIndex last_used;
    std::deque<SessionResult> results;  // the last ones, ascending
    bool dirty = false;
  };
  Status LoadSessions(NodeAccess& nodes);
  Outcome CheckSession(const kernel::BatchView& batch, bool* repeated) const;
  void RecordSession(const kernel::BatchView& batch, const Outcome& outcome, LogIndex at);
  Outcome CommitBatch(const Prepared& prepared, LogIndex at, std::vector<Change>* changes);
  Status PrepareBatch(Prepared& p, const View& view, NodeAccess& nodes);
  Status PrepareCreate(Prepared& p, const View& view, NodeAccess& nodes);
  // Whether these may come to be, one after the other.
  Status CheckCreate(const std::vector<Table>& tables) const;
  void CommitIndexes(const Prepared& prepared, LogIndex at);
  void CommitCreate(const journal::Entry& entry, LogIndex at);
  Outcome CommitDrop(const journal::Entry& entry);
  Outcome CommitCreateTag(const journal::Entry& entry);
  Outcome CommitDropTag(const journal::Entry& entry);
  bool TagShows(const TableId& table) const;
  void CommitSavePoint(const journal::LogPosition& at);
  void FlushSessions(LogIndex at, tree::Overlay& rows);

  VersionPtr base_;
  std::shared_ptr<tree::Overlay> frozen_, active_;
  seal::Keyring keyring_;
  Tables tables_;
  std::map<std::string, TableId, std::less<>> by_name_;  // without hidden ones
  Indexes indexes_;
  std::map<TableId, LogIndex> index_since_;  // of those made since the opening
  TagStates tags_;
  std::map<uint64_t, Session> sessions_;
  journal::LogPosition position_;
  std::unique_ptr<SavePoint> saving_;
  bool ignore_save_points_ = false;
  bool typed_tables_ = false;
  std::vector<PreCommitHook> hooks_;
};

}  // namespace holdfast::store

#endif  // HOLDFAST_CORE_STORE_STATE_H_
