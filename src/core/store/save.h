// A state save: folds a save point into the trees, writes new segments, then the slot; afterwards collects
// what died.
//
//   overlay at save point ──fold──> nodes ──pack──> segments ──barrier──┐
//   deletes <── anchor <──barrier── slot (number last) <────────────────┘
//
// Blocking; reads nothing but immutable inputs, so it runs beside the applier. Large tables are folded in
// parts, one key range a job, by as many workers as there are; the result does not depend on that.
// Source: rules D1-D3, D5, F1, F2.
#ifndef HOLDFAST_CORE_STORE_SAVE_H_
#define HOLDFAST_CORE_STORE_SAVE_H_

#include <set>

#include "core/store/cleaner.h"
#include "core/store/nodes.h"
#include "core/store/slots.h"
#include "core/store/state.h"
#include "core/store/workers.h"

namespace holdfast::store {

// Where a save reads nodes. Thread-safe.
class SaveNodes {
 public:
  virtual ~SaveNodes() = default;
  // For one thread, and to be told of what it makes. The storage outlives it.
  virtual std::unique_ptr<NodeAccess> Of(seam::Storage& storage, const VersionPtr& version) = 0;
  virtual void Forget() = 0;  // what it keeps of nodes: the save failed
  // Where nodes lay that the new version does not need, if anybody wants to know: told once, before the save
  // is durable, with no blobs among them.
  virtual bool WantsDead() const { return false; }
  virtual void Dead(std::vector<tree::Hint> hints) { (void)hints; }
};

// A cache of the caller's, read by one thread at a time; keeps nothing of what is made.
class CacheNodes : public SaveNodes {
 public:
  explicit CacheNodes(NodeCache& cache) : cache_(cache) {}
  std::unique_ptr<NodeAccess> Of(seam::Storage& storage, const VersionPtr& version) override {
    return std::make_unique<VersionNodes>(storage, version, cache_);
  }
  void Forget() override { cache_.Clear(); }

 private:
  NodeCache& cache_;
};

struct SaveInput {
  seam::Storage& storage;
  const Secrets& secrets;
  crypto::Random& random;
  SaveNodes& nodes;
  Workers& workers;
  const SavePoint& point;
  journal::FramePosition frame;          // that holds the save point's entry
  const std::set<std::string>& deleted;  // objects whose delete is confirmed: not listed any more
  std::vector<std::string>& leftovers;   // objects of a failed attempt; the next one deletes them first
  // To build segments in, as large as they were; kept for the next save. Touching new pages costs more than
  // filling them.
  std::vector<Bytes>& memory;
  Opener& opener;  // who saves
  Placement placement = {};
  bool clean = false;  // thoroughly, now and in the saves after, until there is nothing to gain
};

// The new version, durable in its slot; the caller writes the anchor next. kFenced: another opener has the
// slot. On an error the older slot is
// untouched and kFull can be tried again; segments of the attempt are pending (E): they go with the next
// attempt or the next open.
Result<VersionPtr> RunSave(const SaveInput& input);

// 16 GiB of full segments: a tag that held everything goes in steps, and no save waits for it.
inline constexpr size_t kDeletesPerSaveMax = 1024;
// Segments of `version` that nothing can need any more: condemned before the older slot, and in no version
// that is still pinned. Deletes them, a bounded number in one call, the oldest first; and the groups that are
// of no slot, which are as many as the save wrote. The names of all; the caller owes a barrier before it
// calls them confirmed (D3).
Result<std::vector<std::string>> DeleteCondemned(seam::Storage& storage, const TreeVersion& version,
                                                 SaveNumber older_slot,
                                                 const std::vector<VersionPtr>& pinned);

// Segments of saves above `newest`: a crash in mid-save left them (E).
Result<std::vector<seam::ObjectInfo>> PendingSegments(seam::Storage& storage, SaveNumber newest);
// Deletes them, and the groups of such a save. Returns how many.
Result<size_t> DeletePending(seam::Storage& storage, SaveNumber newest);

// Encodes and writes the anchor for a point of the log (F1, F2). No-op without an anchor store.
Status WriteAnchor(seam::Storage* anchor, const Secrets& secrets, const journal::LogPosition& at,
                   SaveNumber save);

}  // namespace holdfast::store

#endif  // HOLDFAST_CORE_STORE_SAVE_H_
