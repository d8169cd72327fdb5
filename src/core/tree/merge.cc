#include "core/tree/merge.h"

#include <algorithm>

namespace holdfast::tree {

MergedCursor::MergedCursor(const TableId& table, const Root& root,
                           const std::vector<const Overlay*>& newest_first, uint64_t at_sequence)
    : tree_(root), heads_(newest_first.size()) {
  for (const Overlay* o : newest_first) overlays_.emplace_back(*o, table, at_sequence);
}

void MergedCursor::SeekTo(ByteView k) {
  key_ = ToBytes(k);
  place_ = Place::kBefore;
  travel_ = Travel::kNone;
}

void MergedCursor::SeekToEnd() {
  place_ = Place::kEnd;
  travel_ = Travel::kNone;
}

// Brings all to the position, looking in a new direction.
Step<bool> MergedCursor::Turn(bool forward, NodeSource& source) {
  Bytes at = key_;
  if (place_ == Place::kBehind) at.push_back(0);  // the smallest key above it
  Step<bool> sought = place_ == Place::kEnd ? tree_.SeekToEnd(source) : tree_.SeekTo(at, source);
  if (!sought.done()) return sought;
  tree_filled_ = false;
  for (size_t i = 0; i < overlays_.size(); ++i) {
    if (place_ == Place::kEnd)
      overlays_[i].SeekToEnd();
    else
      overlays_[i].SeekTo(at);
    heads_[i] = forward ? overlays_[i].Next() : overlays_[i].Prev();
  }
  travel_ = forward ? Travel::kForward : Travel::kBackward;
  return true;
}

Step<bool> MergedCursor::FillTree(NodeSource& source) {
  if (tree_filled_) return true;
  Step<std::optional<Cursor::Row>> s = travel_ == Travel::kForward ? tree_.Next(source) : tree_.Prev(source);
  if (s.needs()) return Need{s.need()};
  if (s.failed()) return s.error();
  tree_head_ = std::move(s.value());
  tree_filled_ = true;
  return true;
}

Step<std::optional<MergedCursor::Row>> MergedCursor::Move(bool forward, NodeSource& source) {
  for (;;) {
    Step<bool> ready =
        travel_ == (forward ? Travel::kForward : Travel::kBackward) ? true : Turn(forward, source);
    if (ready.done()) ready = FillTree(source);
    if (ready.needs()) return Need{ready.need()};
    if (ready.failed()) return ready.error();

    auto nearer = [&](ByteView a, ByteView b) { return forward ? Compare(a, b) < 0 : Compare(a, b) > 0; };
    std::optional<ByteView> nearest;
    const OverlayCursor::Row* newest = nullptr;  // of the nearest key; null: the tree's
    if (tree_head_) nearest = tree_head_->key;
    for (size_t i = heads_.size(); i-- > 0;) {  // oldest first, so that a newer one of the same key wins
      if (!heads_[i] || (nearest && nearer(*nearest, heads_[i]->key))) continue;
      nearest = heads_[i]->key;
      newest = &*heads_[i];
    }
    if (!nearest) return std::optional<Row>();

    Row row{ToBytes(*nearest), std::nullopt, {}};
    bool erased = newest != nullptr && newest->hit.erased;
    if (newest != nullptr && !erased) row.bytes = ToBytes(newest->hit.value);
    if (tree_head_ && Equal(tree_head_->key, row.key)) {
      if (newest == nullptr) row.stored = Found{tree_head_->leaf, tree_head_->value};
      tree_filled_ = false;
      tree_head_.reset();
    }
    for (size_t i = 0; i < heads_.size(); ++i) {
      if (heads_[i] && Equal(heads_[i]->key, row.key))
        heads_[i] = forward ? overlays_[i].Next() : overlays_[i].Prev();
    }
    key_ = row.key;
    place_ = forward ? Place::kBehind : Place::kBefore;
    if (!erased) return std::optional<Row>(std::move(row));
  }
}

Step<MergedCursor::Run> MergedCursor::NextRun(NodeSource& source) {
  Step<bool> ready = travel_ == Travel::kForward ? true : Turn(true, source);
  if (ready.done()) ready = FillTree(source);
  if (ready.needs()) return Need{ready.need()};
  if (ready.failed()) return ready.error();
  if (!tree_head_ || tree_head_->leaf->type() != NodeType::kLeaf) return Run{};
  Run run{tree_head_->leaf, tree_head_->at, tree_head_->leaf->count()};
  for (const auto& head : heads_) {
    if (head) run.to = std::min(run.to, run.leaf->LowerBound(head->key));
  }
  if (run.to <= run.from) return Run{};
  tree_.SkipInLeaf(run.to);
  tree_filled_ = false;
  tree_head_.reset();
  ByteView last = run.leaf->key(run.to - 1);
  key_.assign(last.begin(), last.end());
  place_ = Place::kBehind;
  return run;
}

}  // namespace holdfast::tree
