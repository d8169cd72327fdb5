#include "core/tree/patricia_read.h"

namespace holdfast::tree {
namespace patricia {

bool Fits(const Node& node, uint64_t rows, uint16_t above) {
  if (!IsNode(node) || node.total_rows() != rows) return false;
  return IsLeaf(node) || Inner(node).digit() >= above;
}

Step<std::optional<Found>> Lookup(NodePtr root, ByteView key, NodeSource& source) {
  NodePtr node = std::move(root);
  while (IsInner(*node)) {
    Inner inner(*node);
    size_t at = inner.ChildFor(key);
    NodeRef ref = node->child(at);
    NodePtr below = source.Find(ref);
    if (below == nullptr) return Need{ref};
    if (!FitsBelow(*node, at, *below)) return Code::kMalformed;
    node = std::move(below);
  }
  size_t i = node->LowerBound(key);
  if (i == node->count() || !Equal(node->key(i), key)) return std::optional<Found>();
  StoredValue value = node->value(i);
  return std::optional<Found>(Found{std::move(node), value});
}

}  // namespace patricia

std::optional<Step<bool>> Cursor::DescendPatricia(Path& path, NodePtr node, Place place, ByteView k,
                                                  NodeSource& source) {
  while (patricia::IsInner(*node)) {
    patricia::Inner inner(*node);
    size_t at = place == Place::kStart ? 0 : node->count() - 1;
    if (place == Place::kKey) {
      // The first child that can hold a key at or above k; all of it is, unless k may lie inside.
      place = Place::kEnd;
      for (size_t i = 0; i < node->count() && place == Place::kEnd; ++i) {
        patricia::Side side = patricia::SideOf(k, inner.known(i));
        if (side == patricia::Side::kBehind) continue;
        at = i;
        place = side == patricia::Side::kBefore ? Place::kStart : Place::kKey;
      }
    }
    NodeRef ref = node->child(at);
    NodePtr below = source.Find(ref);
    if (below == nullptr) return Step<bool>(Need{ref});
    if (!patricia::FitsBelow(*node, at, *below)) return Step<bool>(Code::kMalformed);
    path.push_back({std::move(node), at});
    node = std::move(below);
  }
  size_t at = place == Place::kStart ? 0 : place == Place::kEnd ? node->count() : node->LowerBound(k);
  path.push_back({std::move(node), at});
  return std::nullopt;
}

namespace patricia {

struct Diff::Item {
  Prefix known;
  NodeRef ref;
  uint64_t rows = 0;
  uint16_t above = 0;
  NodePtr leaf;  // opened: its rows from `row` on
  size_t row = 0;
  bool is_rows() const { return leaf != nullptr; }
};

// One tree: what is still ahead, the next on top.
class Diff::Tree {
 public:
  explicit Tree(const Root& root) {
    if (!root.empty) items_.push_back({.known = {}, .ref = root.ref, .rows = root.rows, .leaf = nullptr});
  }
  bool empty() const { return items_.empty(); }
  const Item& front() const { return items_.back(); }
  void Pop() { items_.pop_back(); }

  Step<bool> Open(NodeSource& source) {
    Item item = items_.back();
    NodePtr node = source.Find(item.ref);
    if (node == nullptr) return Need{item.ref};
    if (!Fits(*node, item.rows, item.above)) return Code::kMalformed;
    items_.pop_back();
    if (IsLeaf(*node)) {
      item.known = {ToBytes(node->key(0)), BitsOf(node->key(0))};
      item.leaf = std::move(node);
      items_.push_back(std::move(item));
      return true;
    }
    Inner inner(*node);
    for (size_t i = node->count(); i-- > 0;) {
      items_.push_back({.known = inner.known(i),
                        .ref = node->child(i),
                        .rows = node->rows(i),
                        .above = static_cast<uint16_t>(inner.digit() + 1),
                        .leaf = nullptr});
    }
    return true;
  }
  Found Row() const { return {front().leaf, front().leaf->value(front().row)}; }
  void NextRow() {
    Item& item = items_.back();
    if (++item.row == item.leaf->count()) {
      items_.pop_back();
    } else {
      item.known = {ToBytes(item.leaf->key(item.row)), BitsOf(item.leaf->key(item.row))};
    }
  }

 private:
  std::vector<Item> items_;
};

namespace {

bool SameValue(const StoredValue& a, const StoredValue& b) {
  if (a.is_blob != b.is_blob || a.length != b.length) return false;
  return a.is_blob ? a.blob.address == b.blob.address : Equal(a.inline_bytes, b.inline_bytes);
}

// 0: what one holds the other may hold as well.
int Order(const Prefix& b, const Prefix& a) {
  uint16_t d = FirstDifference(b.bytes, a.bytes);
  if (d >= std::min(b.bits, a.bits)) return 0;
  return BitAt(b.bytes, d) ? 1 : -1;
}

}  // namespace

Diff::Diff(const Root& before, const Root& after)
    : before_(std::make_unique<Tree>(before)), after_(std::make_unique<Tree>(after)) {}
Diff::~Diff() = default;

Step<std::optional<tree::Diff::Change>> Diff::Next(NodeSource& source) {
  Tree &before = *before_, &after = *after_;
  while (!before.empty() || !after.empty()) {
    int order = before.empty() ? 1 : after.empty() ? -1 : Order(before.front().known, after.front().known);
    Tree* open = nullptr;
    if (order != 0) {
      Tree& first = order < 0 ? before : after;
      if (!first.front().is_rows()) open = &first;
    } else {
      const Item &b = before.front(), &a = after.front();
      bool unread = !b.is_rows() && !a.is_rows();
      if (unread && b.ref.address == a.ref.address) {
        before.Pop();
        after.Pop();
        continue;
      }
      // The larger part may hold the other.
      bool larger_before = b.known.bits != a.known.bits ? b.known.bits < a.known.bits : b.rows >= a.rows;
      if (unread) {
        open = larger_before ? &before : &after;
      } else if (!b.is_rows() || !a.is_rows()) {
        open = b.is_rows() ? &after : &before;
      }
    }
    if (open != nullptr) {
      Step<bool> s = open->Open(source);
      if (s.needs()) return Need{s.need()};
      if (s.failed()) return s.error();
      continue;
    }
    tree::Diff::Change c;
    c.key = order <= 0 ? before.front().known.bytes : after.front().known.bytes;
    if (order <= 0) {
      c.before = before.Row();
      before.NextRow();
    }
    if (order >= 0) {
      c.after = after.Row();
      after.NextRow();
    }
    if (order != 0 || !SameValue(c.before->value, c.after->value))
      return std::optional<tree::Diff::Change>(std::move(c));
  }
  return std::optional<tree::Diff::Change>();
}

}  // namespace patricia
}  // namespace holdfast::tree
