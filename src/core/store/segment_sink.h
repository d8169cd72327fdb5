// What becomes of the nodes that a fold makes: addressed, packed into segments of their table, sealed, put.
// Not thread-safe; several may work on one table at a time, each with numbers of its own.
#ifndef HOLDFAST_CORE_STORE_SEGMENT_SINK_H_
#define HOLDFAST_CORE_STORE_SEGMENT_SINK_H_

#include "core/store/save.h"
#include "core/store/shared_counts.h"

namespace holdfast::store {

class SegmentSink : public tree::NodeSink {
 public:
  // Numbers of its segments: first, first + step, ...
  struct Numbers {
    uint32_t first, step;
  };
  // What a fold is to move on its way: whatever nobody but the table sees of these segments.
  struct Leaving {
    std::set<uint32_t> segments;
    TagLine line;
  };
  void set_leaving(const Leaving& leaving) { leaving_ = &leaving; }  // outlives it
  // All references outlive it. `save`: the one under way. `nodes`: of the same thread. `large`: it will
  // probably fill segments.
  SegmentSink(const SaveInput& input, NodeAccess& nodes, SaveNumber save, const Table& table,
              const seal::DomainKeys& keys, Numbers numbers, bool large);

  tree::NodeRef Emit(tree::EncodedNode&& node) override { return EmitFor(node, kNow, kNow); }
  // An old node in a new place: those who see it, see it there.
  tree::NodeRef EmitFor(const tree::EncodedNode& node, LogIndex first, LogIndex last);
  void Dead(const tree::NodeRef& ref) override;
  tree::Address AddressOfShared(ByteView value) override { return shared_->Of(value); }
  void Share(const tree::Address& address, ByteView value) override {
    deltas_.push_back({address, 1, value});
  }
  void Unshare(const tree::Address& address) override { deltas_.push_back({address, -1, {}}); }
  bool ShouldMove(const tree::NodeRef& ref) override {
    return leaving_ != nullptr && leaving_->segments.contains(ref.hint.segment) &&
           leaving_->line.FirstSeeing(ref.birth) == kNow;
  }
  // Puts what is left. Whatever failed since the beginning.
  Status Finish();

  // Its segments come into the manifest, what died into `deaths`, the names of all it has put, or tried to,
  // into the leftovers. Once, at the end, also after a failure.
  void MergeInto(Manifest& manifest, Deaths& deaths);
  // What became of shared values.
  void TakeShared(std::vector<SharedDelta>& to);

 private:
  Status Flush();

  const SaveInput& input_;
  NodeAccess& nodes_;
  const SaveNumber save_;
  const Table& table_;
  const seal::DomainKeys& keys_;
  seal::NodeAddresses addresses_;
  seal::SegmentBuilder builder_;
  uint32_t number_;
  const uint32_t step_;
  Spans spans_;         // of the segment that is being built
  bool blobs_ = false;  // so is this
  std::vector<Segment> segments_;
  std::vector<std::string> names_;
  Deaths dead_;
  std::vector<tree::Hint> dead_places_;
  std::optional<tree::SharedAddresses> shared_;  // of a table that shares values
  std::vector<SharedDelta> deltas_;
  const Leaving* leaving_ = nullptr;
  Status status_;
};

}  // namespace holdfast::store

#endif  // HOLDFAST_CORE_STORE_SEGMENT_SINK_H_
