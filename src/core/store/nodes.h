// From references to decoded nodes: range reads, opening, and a cache with a bound.
#ifndef HOLDFAST_CORE_STORE_NODES_H_
#define HOLDFAST_CORE_STORE_NODES_H_

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <vector>

#include "base/limits.h"
#include "core/store/secrets.h"

namespace holdfast::store {

// Reads, opens and decodes one node of `version`. One range read; no hash, since the AEAD binds the address
// (A2).
//   errors  kMissing    its segment is not there;  kTampered  the reference leads outside its segment
//           kAuthFailed swapped or changed;  kMalformed;  and of the storage
// With `rehash` also proves the address from the canonical bytes (verify): kTampered.
// `openers` may be null.
Result<tree::NodePtr> LoadNode(seam::Storage& storage, const TreeVersion& version, const tree::NodeRef& ref,
                               bool rehash = false, class Openers* openers = nullptr);

// Memory for one node on its way, that the next one may use again.
struct NodeScratch {
  UntrustedBytes sealed;
  seal::OpenedNode node;
};
// Reads and opens it, no more than that: `scratch.node` then. Errors as LoadNode, but for kMalformed.
Status OpenNode(seam::Storage& storage, const TreeVersion& version, const tree::NodeRef& ref,
                Openers* openers, NodeScratch& scratch);

// What reading a segment takes, to be kept: making it costs as much as opening a node. Holds keys.
struct SegmentReader {
  SegmentId segment;
  std::string name;
  seal::SegmentOpener opener;
};

// Those of segments that were read lately, a bounded number. Thread-safe, without locks.
class Openers {
 public:
  static constexpr size_t kMax = 2048;  // about 1 KiB each
  Openers() : places_(kMax) {}
  ~Openers();
  // Null: make one. Either way it is given back.
  std::unique_ptr<SegmentReader> Take(const Segment& segment);
  void Give(const Segment& segment, std::unique_ptr<SegmentReader> reader);

 private:
  // By number: those of one time lie side by side.
  std::vector<std::atomic<SegmentReader*>> places_;
};

// Decoded nodes by place (segment, offset): a node that was moved is another entry, with the hints it has
// there. Not thread-safe. What was not found since the hand last passed goes first (CLOCK); memory_bytes(),
// the table included, stays at most the bound, plus one node.
class NodeCache {
 public:
  // `removed` is told of each node that leaves, but not when the cache itself goes.
  using Removed = std::function<void(tree::NodePtr node, size_t bytes)>;
  explicit NodeCache(size_t bytes_max, Removed removed = {})
      : bytes_max_(bytes_max), removed_(std::move(removed)) {}
  tree::NodePtr Find(const tree::Hint& hint);
  bool Insert(const tree::Hint& hint, tree::NodePtr node);  // false: there is one already
  void Drop(const tree::Hint& hint);                        // if it is there
  void Clear();
  // Towards the processor: the places where these are kept; then what is kept there.
  void ExpectPlace(const tree::Hint& hint) const;
  void Expect(const tree::Hint& hint) const;
  void ExpectChildren(const tree::Node& parent) const;
  Openers& openers() {
    if (openers_ == nullptr) openers_ = std::make_unique<Openers>();
    return *openers_;
  }
  size_t memory_bytes() const { return bytes_ + table_.capacity() * sizeof(Entry); }

 private:
  struct Entry {  // open addressing, linear probing; no node: free
    uint64_t place = 0;
    tree::NodePtr node;
    uint32_t bytes = 0;
  };
  size_t FirstSlotOf(uint64_t place) const;
  size_t SlotOf(uint64_t place) const;  // where it is, or the free slot where it would be
  void Grow();
  void Remove(size_t slot);
  void Evict();
  std::vector<Entry> table_;  // a power of two, at most 7/8 full
  size_t count_ = 0, hand_ = 0;
  size_t bytes_ = 0, bytes_max_;
  Removed removed_;
  std::unique_ptr<Openers> openers_;
};

// A NodeSource that can also fetch what it lacks.
class NodeAccess : public tree::NodeSource {
 public:
  virtual Status Fetch(const tree::NodeRef& ref) = 0;
  // A node that a save made of what it read here; it will lie there if the save succeeds. After one that
  // failed, the same place may get another.
  virtual void Keep(const tree::Hint& hint, const tree::EncodedNode& node) { (void)hint, (void)node; }
};

// Over one version and a cache of its own or shared by the caller. Not thread-safe.
// Whatever the cache's bound, the last nodes fetched are found: an operation that needs a path from root to
// chunk at once would otherwise chase its own nodes out of a small cache for ever.
template <typename Cache>  // NodeCache, or what has its Find, Insert, ExpectChildren and openers and may be
                           // shared
class CachedNodes : public NodeAccess {
 public:
  CachedNodes(seam::Storage& storage, VersionPtr version, Cache& cache)
      : storage_(storage), version_(std::move(version)), cache_(cache) {}
  tree::NodePtr Find(const tree::NodeRef& ref) override {
    if (tree::NodePtr node = cache_.Find(ref.hint)) return node;
    for (const Fetched& f : last_) {
      if (f.node != nullptr && f.hint == ref.hint) return f.node;
    }
    return nullptr;
  }
  void ExpectChildren(const tree::Node& parent) override { cache_.ExpectChildren(parent); }
  Status Fetch(const tree::NodeRef& ref) override {
    HF_TRY(tree::NodePtr node, LoadNode(storage_, *version_, ref, false, &cache_.openers()));
    cache_.Insert(ref.hint, node);
    last_[next_++ % last_.size()] = {ref.hint, std::move(node)};
    return Ok();
  }

 private:
  seam::Storage& storage_;
  VersionPtr version_;
  Cache& cache_;
  struct Fetched {
    tree::Hint hint;
    tree::NodePtr node;
  };
  std::array<Fetched, limits::kTreeLevelsMax + 2> last_;  // the levels of a tree, a chunk list and a chunk
  size_t next_ = 0;
};
using VersionNodes = CachedNodes<NodeCache>;

// Runs a resumable operation to its end, fetching what it needs.
template <typename Run>
auto Drive(NodeAccess& nodes, Run&& run) -> Result<std::decay_t<decltype(run().value())>> {
  for (;;) {
    auto step = run();
    if (step.done()) return std::move(step.value());
    if (step.failed()) return step.error();
    HF_TRY_VOID(nodes.Fetch(step.need()));
  }
}

}  // namespace holdfast::store

#endif  // HOLDFAST_CORE_STORE_NODES_H_
