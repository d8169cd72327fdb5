#include "core/tree/patricia_read.h"
#include "core/tree/read.h"

namespace holdfast::tree {

Step<std::optional<Found>> Lookup(const Root& root, ByteView key, NodeSource& source) {
  if (root.empty) return std::optional<Found>();
  NodeRef ref = root.ref;
  std::optional<uint8_t>
      level;  // the root may have any; levels below descend by one, so a cycle cannot go on
  for (;;) {
    NodePtr node = source.Find(ref);
    if (node == nullptr) return Need{ref};
    if (level && node->level() != *level) return Code::kMalformed;
    if (node->type() == NodeType::kLeaf) {
      size_t i = node->LowerBound(key);
      if (i == node->count() || !Equal(node->key(i), key)) return std::optional<Found>();
      StoredValue value = node->value(i);
      return std::optional<Found>(Found{std::move(node), value});
    }
    if (node->type() != NodeType::kInner) {
      if (level || !patricia::IsNode(*node)) return Code::kMalformed;
      return patricia::Lookup(std::move(node), key, source);
    }
    level = static_cast<uint8_t>(node->level() - 1);
    ref = node->child(node->ChildFor(key));
  }
}

}  // namespace holdfast::tree
