#include <utility>

#include "core/tree/patricia_spine_internal.h"

namespace holdfast::tree::patricia {

uint64_t Spine::RowsOf(const Sub& sub) {
  if (const Rows* rows = std::get_if<Rows>(&sub)) return rows->size();
  if (const Whole* whole = std::get_if<Whole>(&sub)) return whole->rows;
  return std::get_if<Fragment>(&sub)->rows;
}

NodeRef Spine::Emit(EncodedNode node) {
  NodeRef ref = sink_.Emit(std::move(node));
  ref.birth = birth_;
  return ref;
}

Step<bool> Spine::Add(Part& part, NodeSource& source) {
  if (last_) {
    uint16_t bit = FirstDifference(last_key_, part.known.bytes);
    bool ascends = bit < last_bits_ && bit < part.known.bits && BitAt(part.known.bytes, bit);
    if (!ascends) return Code::kMalformed;
    while (!open_.empty() && open_.back().bit > bit) {
      Step<bool> closed = Close(source);
      if (!closed.done()) return closed;
    }
    if (!open_.empty() && open_.back().bit == bit) return Code::kMalformed;
    // What the new branch does not share a node with stands by itself from now on.
    if (Fragment* f = std::get_if<Fragment>(&*last_); f != nullptr && f->digit != DigitOf(bit))
      last_ = Sub(MakeInner(*f));
    if (const Rows* rows = std::get_if<Rows>(&*last_)) loose_ += rows->size();
    open_.push_back({bit, std::move(*last_)});
    last_.reset();
    if (loose_ > 2 * rows_max_) Settle();
  }
  ForgetReplaced();
  if (Row* row = std::get_if<Row>(&part.what)) {
    Rows rows;
    rows.push_back(std::move(*row));
    last_ = Sub(std::move(rows));
  } else {
    last_ = Sub(*std::get_if<Whole>(&part.what));
  }
  last_key_ = std::move(part.known.bytes);
  last_bits_ = part.known.bits;
  return true;
}

// Closes the lowest open branch. Finds first, then changes.
Step<bool> Spine::Close(NodeSource& source) {
  Open& o = open_.back();
  if (RowsOf(o.left) + RowsOf(*last_) <= rows_max_) {
    Step<bool> joined = JoinRows(o.left, *last_, source);
    if (!joined.done()) return joined;
  } else {
    last_ = Sub(JoinBranch(o.bit, std::move(o.left), std::move(*last_)));
  }
  open_.pop_back();
  return true;
}

// Both together are one leaf, or part of one.
Step<bool> Spine::JoinRows(Sub& left, Sub& right, NodeSource& source) {
  for (Sub* side : {&left, &right}) {
    Whole* whole = std::get_if<Whole>(side);
    if (whole == nullptr) continue;
    NodePtr node = source.Find(whole->ref);
    if (node == nullptr) return Need{whole->ref};
    if (!IsLeaf(*node) || node->count() != whole->rows) return Code::kMalformed;
    Rows rows;
    for (size_t i = 0; i < node->count(); ++i) rows.push_back(Row::Of(*node, i));
    sink_.Dead(whole->ref);
    *side = std::move(rows);
  }
  Rows& rows = *std::get_if<Rows>(&left);
  Rows& more = *std::get_if<Rows>(&right);
  if (Compare(rows.back().key, more.front().key) >= 0) return Code::kMalformed;
  std::move(more.begin(), more.end(), std::back_inserter(rows));
  right = Sub(std::move(rows));
  return true;
}

Spine::Fragment Spine::JoinBranch(uint16_t bit, Sub left, Sub right) {
  uint16_t digit = DigitOf(bit);
  Fragment f = AsFragment(std::move(left), digit), r = AsFragment(std::move(right), digit);
  f.digest = BranchDigest(last_key_, bit, f.digest, r.digest);
  f.rows += r.rows;
  Parting code = 1;
  for (uint16_t b = DigitStart(digit); b < bit; ++b)
    code = static_cast<Parting>(code << 1 | (BitAt(last_key_, b) ? 1 : 0));
  r.children.front().code = code;
  std::move(r.children.begin(), r.children.end(), std::back_inserter(f.children));
  return f;
}

Spine::Fragment Spine::AsFragment(Sub sub, uint16_t digit) {
  if (Fragment* f = std::get_if<Fragment>(&sub); f != nullptr && f->digit == digit) return std::move(*f);
  Whole w = MakeNode(std::move(sub));
  return {digit, w.rows, w.digest, {{0, w.ref, w.rows, w.digest}}};
}

Whole Spine::MakeNode(Sub sub) {
  if (const Whole* whole = std::get_if<Whole>(&sub)) return *whole;
  if (const Rows* rows = std::get_if<Rows>(&sub)) return MakeLeaf(*rows);
  return MakeInner(*std::get_if<Fragment>(&sub));
}

Whole Spine::MakeLeaf(const Rows& rows) {
  return {Emit(EncodeLeaf(rows)), rows.size(), Ends::OfRows(rows, blinding_).All()};
}

// REQUIRES: last_key_ lies below it.
Whole Spine::MakeInner(const Fragment& f) {
  if (auto old = replaced_.find(f.digest); old != replaced_.end()) {
    Whole same = old->second;
    replaced_.erase(old);
    return same;
  }
  Prefix prefix = FirstBits(last_key_, DigitStart(f.digit));
  return {Emit(EncodeInner(f.digit, prefix.bytes, f.children)), f.rows, f.digest};
}

// Rows that are left of a branch with more than a leaf below it are a leaf already: so few rows wait, however
// deep the tree.
void Spine::Settle() {
  uint64_t below = 0;
  loose_ = 0;
  for (size_t i = open_.size(); i-- > 0 && !open_[i].settled;) {
    Open& o = open_[i];
    below += RowsOf(o.left);
    o.settled = below > rows_max_;
    const Rows* rows = std::get_if<Rows>(&o.left);
    if (rows == nullptr) continue;
    if (o.settled) {
      o.left = Sub(MakeLeaf(*rows));
    } else {
      loose_ += rows->size();
    }
  }
}

// What was replaced before the part that is being added will not come out again.
void Spine::ForgetReplaced() {
  for (const auto& [digest, old] : replaced_) sink_.Dead(old.ref);
  replaced_.clear();
}

Step<Root> Spine::Finish(NodeSource& source) {
  while (!open_.empty()) {
    Step<bool> closed = Close(source);
    if (closed.needs()) return Need{closed.need()};
    if (closed.failed()) return closed.error();
  }
  Root root;
  if (last_) {
    Whole top = MakeNode(std::move(*last_));
    root = {.empty = false, .ref = top.ref, .rows = top.rows, .digest = top.digest};
  }
  ForgetReplaced();
  return root;
}

}  // namespace holdfast::tree::patricia
