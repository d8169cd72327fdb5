#include <algorithm>

#include "base/limits.h"
#include "core/tree/patricia_read.h"
#include "core/tree/read.h"

namespace holdfast::tree {
namespace {

constexpr uint8_t kAnyLevel = 0xFF;

bool BlobFits(const Node& node, uint64_t length, bool below_list) {
  if (node.type() == NodeType::kChunk) return node.chunk().size() == length;
  size_t chunks = static_cast<size_t>((length + limits::kBlobChunkBytes - 1) / limits::kBlobChunkBytes);
  return !below_list && node.type() == NodeType::kChunkList && node.count() == chunks;
}

}  // namespace

Walk::Walk(const Root& root) {
  if (!root.empty) stack_.push_back({root.ref, 0, kAnyLevel, false, 0});
}

Step<std::optional<Walk::Visit>> Walk::Next(NodeSource& source) {
  if (stack_.empty()) return std::optional<Visit>();
  Pending p = stack_.back();
  // The way down is at most the levels of a tree, a chunk list and a chunk.
  static_assert(patricia::kPathNodesMax > limits::kTreeLevelsMax);
  if (p.depth > patricia::kPathNodesMax + 2) return Code::kMalformed;
  NodePtr node = source.Find(p.ref);
  if (node == nullptr) return Need{p.ref};
  NodeType type = node->type();
  bool fits = p.is_blob              ? BlobFits(*node, p.blob_length, p.level == 1)
              : p.patricia_rows != 0 ? patricia::Fits(*node, p.patricia_rows, p.patricia_above)
                                     : (type == NodeType::kLeaf || type == NodeType::kInner ||
                                        (p.level == kAnyLevel && patricia::IsNode(*node))) &&
                                           (p.level == kAnyLevel || node->level() == p.level);
  if (!fits) return Code::kMalformed;

  stack_.pop_back();
  size_t before = stack_.size();
  uint16_t depth = static_cast<uint16_t>(p.depth + 1);
  uint16_t above = type == NodeType::kPatriciaInner
                       ? static_cast<uint16_t>(patricia::Inner(*node).digit() + 1)
                       : uint16_t{0};
  for (size_t i = type == NodeType::kChunk ? 0 : node->count(); i-- > 0;) {
    if (type == NodeType::kInner) {
      stack_.push_back({node->child(i), depth, static_cast<uint8_t>(node->level() - 1), false, 0});
    } else if (type == NodeType::kPatriciaInner) {
      stack_.push_back({node->child(i), depth, 0, false, 0, node->rows(i), above});
    } else if (type == NodeType::kChunkList) {
      uint64_t at = i * limits::kBlobChunkBytes;
      stack_.push_back(
          {node->child(i), depth, 1, true, std::min<uint64_t>(limits::kBlobChunkBytes, p.blob_length - at)});
    } else if (StoredValue v = node->value(i); v.is_blob) {
      stack_.push_back({v.blob, depth, 0, true, v.length});
    }
  }
  pushed_ = stack_.size() - before;
  return std::optional<Visit>(Visit{p.ref, std::move(node), p.depth});
}

void Walk::Skip() {
  if (!stack_.empty()) stack_.pop_back();
  pushed_ = 0;
}

void Walk::Prune() {
  stack_.resize(stack_.size() - pushed_);
  pushed_ = 0;
}

}  // namespace holdfast::tree
