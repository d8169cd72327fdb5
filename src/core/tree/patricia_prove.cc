#include "core/tree/patricia_prove.h"

#include "core/tree/patricia_read.h"

namespace holdfast::tree::patricia {

Prover::Prover(const Root& root, ByteView key, Blinding& blinding)
    : root_(root), blinding_(blinding), next_(root.ref), rows_(root.rows) {
  proof_.key = ToBytes(key);
  proof_.rows = root.empty ? 0 : root.rows;
}

Step<Proof> Prover::Run(NodeSource& source) {
  while (!done_ && !root_.empty) {
    if (value_) {
      Step<Bytes> value = value_->Run(source);
      if (value.needs()) return Need{value.need()};
      if (value.failed()) return value.error();
      std::get_if<Proof::Included>(&proof_.end)->value = std::move(value.value());
      break;
    }
    Step<bool> s = node_ == nullptr ? Open(source) : Descend();
    if (s.needs()) return Need{s.need()};
    if (s.failed()) return s.error();
  }
  return proof_;
}

Step<bool> Prover::Open(NodeSource& source) {
  NodePtr node = source.Find(next_);
  if (node == nullptr) return Need{next_};
  if (!Fits(*node, rows_, above_)) return Code::kMalformed;
  node_ = std::move(node);
  return true;
}

// Through one node, branch by branch.
Step<bool> Prover::Descend() {
  Ends ends = IsLeaf(*node_) ? Ends::OfLeaf(*node_, blinding_) : Ends(Inner(*node_));
  size_t first = 0, last = ends.count() - 1;
  while (first < last) {
    size_t top = ends.Top(first, last);
    uint16_t bit = ends.at(top).bit;
    Digest left = ends.Of(first, top - 1), right = ends.Of(top, last);
    if (FirstDifference(proof_.key, ends.at(top).key) < bit) {
      proof_.end = Proof::OtherBranch{FirstBits(ends.at(top).key, bit), left, right};
      done_ = true;
      return true;
    }
    bool to_the_right = BitAt(proof_.key, bit);
    proof_.path.push_back({bit, to_the_right ? left : right});
    if (to_the_right) {
      first = top;
    } else {
      last = top - 1;
    }
  }
  if (IsLeaf(*node_)) return End(first);
  next_ = node_->child(first);
  rows_ = node_->rows(first);
  above_ = static_cast<uint16_t>(Inner(*node_).digit() + 1);
  node_ = nullptr;
  return true;
}

Step<bool> Prover::End(size_t row) {
  StoredValue v = node_->value(row);
  ByteView key = node_->key(row);
  Digest sha256 = v.is_blob ? ValueSha256(*node_, row) : crypto::Sha256(v.inline_bytes);
  Digest salt = blinding_.Salt(key, sha256);
  if (Equal(key, proof_.key)) {
    proof_.end = Proof::Included{salt, {}};
    value_.emplace(v);
    return true;
  }
  proof_.end = Proof::OtherRow{ToBytes(key), Commitment(salt, sha256)};
  done_ = true;
  return true;
}

}  // namespace holdfast::tree::patricia
