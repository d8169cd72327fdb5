// Two walks in key order, side by side. Of two subtrees that differ, the higher is opened first, of equal
// height the one that begins earlier: so both come to stand at equal subtrees at the same moment, which are
// then skipped unread.
#include "core/tree/patricia_read.h"
#include "core/tree/read.h"

namespace holdfast::tree {
namespace {

constexpr uint8_t kAnyLevel = 0xFF;

struct Item {
  NodePtr holder;  // what `low` points into; of rows: the leaf
  ByteView low;    // nothing in this item lies below
  NodeRef ref;
  uint8_t level = kAnyLevel;
  bool is_rows = false;
  size_t row = 0;
};

// One tree: what is still ahead, the next on top.
class Side {
 public:
  explicit Side(const Root& root) {
    if (!root.empty) items_.push_back({nullptr, {}, root.ref, kAnyLevel, false, 0});
  }
  bool empty() const { return items_.empty(); }
  const Item& front() const { return items_.back(); }
  void Pop() { items_.pop_back(); }

  // Opens the subtree in front.
  Step<bool> Open(NodeSource& source) {
    Item item = items_.back();
    NodePtr node = source.Find(item.ref);
    if (node == nullptr) return Need{item.ref};
    if (item.level != kAnyLevel && node->level() != item.level) return Code::kMalformed;
    if (node->type() == NodeType::kLeaf) {
      items_.back() = {node, node->key(0), item.ref, 0, true, 0};
      return true;
    }
    if (node->type() != NodeType::kInner) {
      patricia_ = item.level == kAnyLevel && patricia::IsNode(*node);
      return patricia_ ? Step<bool>(true) : Code::kMalformed;
    }
    items_.pop_back();
    for (size_t i = node->count(); i-- > 0;) {
      Item child{node, node->key(i), node->child(i), static_cast<uint8_t>(node->level() - 1), false, 0};
      if (i == 0) {
        child.holder = item.holder ? item.holder : node;
        child.low = item.low;
      }
      items_.push_back(std::move(child));
    }
    return true;
  }
  bool patricia() const { return patricia_; }  // the root has shown another layout; nothing was opened
  Found Row() const { return {front().holder, front().holder->value(front().row)}; }
  void NextRow() {
    Item& item = items_.back();
    if (++item.row == item.holder->count()) {
      items_.pop_back();
    } else {
      item.low = item.holder->key(item.row);
    }
  }

 private:
  std::vector<Item> items_;
  bool patricia_ = false;
};

bool SameValue(const StoredValue& a, const StoredValue& b) {
  if (a.is_blob != b.is_blob || a.is_shared != b.is_shared || a.length != b.length) return false;
  return a.is_blob || a.is_shared ? a.blob.address == b.blob.address : Equal(a.inline_bytes, b.inline_bytes);
}

}  // namespace

struct Diff::State {
  State(const Root& b, const Root& a) : before(b), after(a), roots{b, a} {}
  Side before, after;
  Root roots[2];
  std::unique_ptr<patricia::Diff> patricia;  // if that is their layout

  // The side whose front must be opened before the fronts can be compared; null: both are rows, or a row
  // comes first.
  Side* ToOpen() {
    if (before.empty() || after.empty()) {
      Side& rest = before.empty() ? after : before;
      return rest.front().is_rows ? nullptr : &rest;
    }
    const Item &b = before.front(), &a = after.front();
    if (b.is_rows && a.is_rows) return nullptr;
    if (b.is_rows || a.is_rows) {
      // A row that lies before all of the other's subtree is alone; otherwise the subtree may hold its
      // partner.
      Side& tree = b.is_rows ? after : before;
      const Item &rows = b.is_rows ? b : a, &t = tree.front();
      return Compare(rows.low, t.low) < 0 ? nullptr : &tree;
    }
    if (b.level != a.level) return b.level > a.level ? &before : &after;
    return Compare(b.low, a.low) <= 0 ? &before : &after;
  }
};

Diff::Diff(const Root& before, const Root& after) : s_(std::make_unique<State>(before, after)) {}
Diff::~Diff() = default;

Step<std::optional<Diff::Change>> Diff::Next(NodeSource& source) {
  if (s_->patricia) return s_->patricia->Next(source);
  Side &before = s_->before, &after = s_->after;
  while (!before.empty() || !after.empty()) {
    bool both = !before.empty() && !after.empty();
    if (both && !before.front().is_rows && !after.front().is_rows &&
        before.front().ref.address == after.front().ref.address) {
      before.Pop();
      after.Pop();
      continue;
    }
    if (Side* open = s_->ToOpen()) {
      Step<bool> s = open->Open(source);
      if (s.needs()) return Need{s.need()};
      if (s.failed()) return s.error();
      if (open->patricia()) {
        s_->patricia = std::make_unique<patricia::Diff>(s_->roots[0], s_->roots[1]);
        return s_->patricia->Next(source);
      }
      continue;
    }
    int order = before.empty() ? 1 : after.empty() ? -1 : Compare(before.front().low, after.front().low);
    bool same = order == 0 && SameValue(before.Row().value, after.Row().value);
    Change c;
    if (!same) c.key = ToBytes(order <= 0 ? before.front().low : after.front().low);
    if (order <= 0) {
      c.before = before.Row();
      before.NextRow();
    }
    if (order >= 0) {
      c.after = after.Row();
      after.NextRow();
    }
    if (!same) return std::optional<Change>(std::move(c));
  }
  return std::optional<Change>();
}

}  // namespace holdfast::tree
