// For tests: nodes kept in memory, with addresses and hints as in a store, that can forget and that count.
#ifndef HOLDFAST_CORE_TREE_MEMORY_NODES_INTERNAL_H_
#define HOLDFAST_CORE_TREE_MEMORY_NODES_INTERNAL_H_

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/codec.h"
#include "core/tree/fold.h"
#include "core/tree/read.h"
#include "crypto/hash.h"

namespace holdfast::tree {

inline Address FakeAddress(ByteView canonical) {
  static const uint8_t kKey[32] = {7};
  Digest d = crypto::HmacSha256(kKey, {canonical});
  Address a{};
  a[0] = 1;
  std::copy(d.begin(), d.end(), a.begin() + 1);
  return a;
}

class MemoryNodes : public NodeSource, public NodeSink {
 public:
  // What is forgotten is found once after each Fetch.
  bool forgetful = false;
  std::function<bool(const Hint&)> should_move;
  std::map<uint32_t, Hint> forward;  // by segment
  size_t needs = 0, emitted = 0;

  NodePtr Find(const NodeRef& ref) override {
    auto it = nodes_.find(ref.hint.segment);
    if (it == nodes_.end() || it->second.address != ref.address) {
      ++unknown;
      return nullptr;
    }
    if (forgetful && fetched_.erase(ref.hint.segment) == 0) return nullptr;
    return it->second.node;
  }
  // False: there is no such node.
  bool Fetch(const NodeRef& ref) {
    ++needs;
    auto it = nodes_.find(ref.hint.segment);
    if (it == nodes_.end() || it->second.address != ref.address) return false;
    fetched_.insert(ref.hint.segment);
    return true;
  }

  NodeRef Emit(EncodedNode&& node) override {
    ++emitted;
    NodeRef ref;
    ref.address = FakeAddress(node.canonical);
    ref.hint = {++next_, 80, static_cast<uint32_t>(node.canonical.size())};
    auto decoded = Node::Decode(node.canonical, node.hints);
    HF_CHECK(decoded.has_value());
    nodes_[next_] = {ref.address, *decoded};
    live.insert(next_);
    return ref;
  }
  void Dead(const NodeRef& ref) override {
    if (live.erase(ref.hint.segment) != 1) ++dead_twice;
  }
  // Of shared values: the rows that refer to each, and what it is.
  struct Shared {
    int64_t rows = 0;
    std::string value;
  };
  std::map<Address, Shared> shared;
  Address AddressOfShared(ByteView value) override { return FakeAddress(value); }
  void Share(const Address& address, ByteView value) override {
    ++shared[address].rows;
    shared[address].value = ToText(value);
  }
  void Unshare(const Address& address) override { --shared[address].rows; }
  bool ShouldMove(const NodeRef& ref) override { return should_move && should_move(ref.hint); }
  Hint Forward(const Hint& hint) override {
    Hint h = hint;
    for (auto it = forward.find(h.segment); it != forward.end(); it = forward.find(h.segment)) h = it->second;
    return h;
  }
  // A node moved by cleaning, outside of any fold: parents go on naming the old place.
  void Relocate(uint32_t segment) {
    uint32_t to = ++next_;
    nodes_[to] = nodes_.at(segment);
    nodes_.erase(segment);
    live.erase(segment);
    live.insert(to);
    forward[segment] = {to, 80, static_cast<uint32_t>(nodes_[to].node->canonical().size())};
  }
  void Forge(uint32_t segment, const Address& address, EncodedNode node) {
    auto decoded = Node::Decode(node.canonical, node.hints);
    HF_CHECK(decoded.has_value());
    nodes_[segment] = {address, *decoded};
  }
  // Frees what is dead, as a store does.
  void Collect() {
    std::erase_if(nodes_, [&](const auto& n) { return live.count(n.first) == 0; });
  }

  std::set<uint32_t> live;
  size_t dead_twice = 0, unknown = 0;

 private:
  struct Stored {
    Address address;
    NodePtr node;
  };
  std::map<uint32_t, Stored> nodes_;
  std::set<uint32_t> fetched_;
  uint32_t next_ = 0;
};

// Repeats a resumable operation until it is done. Everything fetched for it stays: readers hold several nodes
// at once.
template <typename F>
auto Finish(MemoryNodes& nodes, F&& operation) {
  for (;;) {
    auto step = operation();
    if (!step.needs()) return step;
    if (!nodes.Fetch(step.need())) return decltype(step)(Code::kMissing);
  }
}

class Keeping : public NodeSource {  // finds again whatever was fetched for the operation at hand
 public:
  explicit Keeping(MemoryNodes& nodes) : nodes_(nodes) {}
  NodePtr Find(const NodeRef& ref) override {
    auto it = kept_.find(ref.hint.segment);
    if (it != kept_.end()) return it->second;
    NodePtr node = nodes_.Find(ref);
    if (node) kept_[ref.hint.segment] = node;
    return node;
  }
  void Forget() { kept_.clear(); }

 private:
  MemoryNodes& nodes_;
  std::map<uint32_t, NodePtr> kept_;
};

class ListChanges : public ChangeSource {
 public:
  using List = std::map<std::string, std::optional<std::string>>;
  explicit ListChanges(const List& list) : list_(list), at_(list.begin()) {}
  std::optional<Change> Next() override {
    if (at_ == list_.end()) return std::nullopt;
    // Its bytes are good until the next call only: keep a copy that is overwritten then.
    key_ = at_->first;
    value_ = at_->second.value_or("");
    Change c{AsBytes(key_), AsBytes(value_), !at_->second.has_value()};
    ++at_;
    return c;
  }
  void SkipTo(ByteView key) override {
    auto there = list_.lower_bound(ToText(key));
    while (at_ != there && (there == list_.end() || at_->first < there->first)) ++at_;
  }
  void SkipAll() override { at_ = list_.end(); }

 private:
  const List& list_;
  List::const_iterator at_;
  std::string key_, value_;
};

}  // namespace holdfast::tree

#endif  // HOLDFAST_CORE_TREE_MEMORY_NODES_INTERNAL_H_
