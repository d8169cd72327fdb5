#include <utility>

#include "core/tree/patricia_read.h"
#include "core/tree/read.h"

namespace holdfast::tree {

std::optional<Step<bool>> Cursor::Descend(Path& path, NodeRef ref, std::optional<uint8_t> level, Place place,
                                          ByteView k, NodeSource& source) {
  for (;;) {
    NodePtr node = source.Find(ref);
    if (node == nullptr) return Step<bool>(Need{ref});
    if (level && node->level() != *level) return Step<bool>(Code::kMalformed);
    if (node->type() == NodeType::kLeaf) {
      size_t at = place == Place::kStart ? 0 : place == Place::kEnd ? node->count() : node->LowerBound(k);
      path.push_back({std::move(node), at});
      return std::nullopt;
    }
    if (node->type() != NodeType::kInner) {
      if (level || !patricia::IsNode(*node)) return Step<bool>(Code::kMalformed);
      return DescendPatricia(path, std::move(node), place, k, source);
    }
    size_t at = place == Place::kStart ? 0 : place == Place::kEnd ? node->count() - 1 : node->ChildFor(k);
    level = static_cast<uint8_t>(node->level() - 1);
    ref = node->child(at);
    path.push_back({std::move(node), at});
  }
}

Step<bool> Cursor::Seek(Place place, ByteView k, NodeSource& source) {
  if (root_.empty) return false;
  Path path;
  if (auto stop = Descend(path, root_.ref, std::nullopt, place, k, source)) return *stop;
  path_ = std::move(path);
  if (place == Place::kEnd) return true;
  for (const Level& l : path_) {  // no node is empty: a row follows where a child or row does
    if (l.at + (&l == &path_.back() ? 0 : 1) < l.node->count()) return true;
  }
  return false;
}

Step<bool> Cursor::SeekTo(ByteView k, NodeSource& source) {
  return Seek(k.empty() ? Place::kStart : Place::kKey, k, source);
}
Step<bool> Cursor::SeekToEnd(NodeSource& source) { return Seek(Place::kEnd, {}, source); }

std::optional<Step<bool>> Cursor::TurnBelowParent(bool forward, NodeSource& source) {
  if (path_.size() < 2) return std::nullopt;
  Level& parent = path_[path_.size() - 2];
  const Node& inner = *parent.node;
  if (inner.type() != NodeType::kInner || inner.level() != 1) return std::nullopt;
  if (forward ? parent.at + 1 >= inner.count() : parent.at == 0) return std::nullopt;
  size_t at = forward ? parent.at + 1 : parent.at - 1;
  NodePtr leaf = std::exchange(ahead_, nullptr);
  if (leaf == nullptr || ahead_at_ != inner.child_hint(at)) leaf = source.FindChild(inner, at);
  if (leaf == nullptr) return Step<bool>(Need{inner.child(at)});
  if (leaf->type() != NodeType::kLeaf) return Step<bool>(Code::kMalformed);
  parent.at = at;
  path_.back() = {std::move(leaf), 0};
  if (!forward) path_.back().at = path_.back().node->count();
  if (forward ? at + 1 < inner.count() : at > 0) {
    at = forward ? at + 1 : at - 1;
    ahead_at_ = inner.child_hint(at);
    ahead_ = source.FindChild(inner, at);
    if (ahead_ != nullptr) ahead_->PrefetchAll();
  }
  return Step<bool>(true);
}

Step<bool> Cursor::Turn(bool forward, NodeSource& source) {
  if (auto turned = TurnBelowParent(forward, source)) return *turned;
  for (size_t up = path_.size() - 1; up-- > 0;) {
    const Level& l = path_[up];
    if (forward ? l.at + 1 >= l.node->count() : l.at == 0) continue;
    Path path(path_.begin(), path_.begin() + static_cast<ptrdiff_t>(up) + 1);
    Level& turn = path.back();
    turn.at = forward ? turn.at + 1 : turn.at - 1;
    NodeRef ref = turn.node->child(turn.at);
    std::optional<uint8_t> level;
    if (turn.node->type() == NodeType::kInner) level = static_cast<uint8_t>(turn.node->level() - 1);
    if (auto stop = Descend(path, ref, level, forward ? Place::kStart : Place::kEnd, {}, source))
      return *stop;
    if (!level && !patricia::FitsBelow(*path[up].node, path[up].at, *path[up + 1].node))
      return Code::kMalformed;
    path_ = std::move(path);
    return true;
  }
  return false;
}

Step<std::optional<Cursor::Row>> Cursor::Next(NodeSource& source) {
  using Answer = std::optional<Row>;
  if (root_.empty) return Answer();
  if (path_.empty()) {
    if (Step<bool> s = SeekTo({}, source); s.needs())
      return Need{s.need()};
    else if (s.failed())
      return s.error();
  }
  if (path_.back().at == path_.back().node->count()) {
    Step<bool> s = Turn(true, source);
    if (s.needs()) return Need{s.need()};
    if (s.failed()) return s.error();
    if (!s.value()) return Answer();
  }
  Level& leaf = path_.back();
  size_t i = leaf.at++;
  return Answer(Row{leaf.node, leaf.node->key(i), leaf.node->value(i), i});
}

Step<std::optional<Cursor::Row>> Cursor::Prev(NodeSource& source) {
  using Answer = std::optional<Row>;
  if (root_.empty || path_.empty()) return Answer();
  if (path_.back().at == 0) {
    Step<bool> s = Turn(false, source);
    if (s.needs()) return Need{s.need()};
    if (s.failed()) return s.error();
    if (!s.value()) return Answer();
  }
  Level& leaf = path_.back();
  size_t i = --leaf.at;
  return Answer(Row{leaf.node, leaf.node->key(i), leaf.node->value(i), i});
}

}  // namespace holdfast::tree
