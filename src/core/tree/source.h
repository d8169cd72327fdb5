// How the tree library meets the world: nodes come from a NodeSource, new ones go to a NodeSink.
// Every operation is resumable: where a node is not in memory it answers Need{reference}, its caller fetches
// it and calls Run() again; nothing is lost or done twice.
#ifndef HOLDFAST_CORE_TREE_SOURCE_H_
#define HOLDFAST_CORE_TREE_SOURCE_H_

#include <optional>

#include "core/tree/node.h"

namespace holdfast::tree {

class NodeSource {
 public:
  virtual ~NodeSource() = default;
  // The decoded node if it is in memory now, else null. Never blocks.
  virtual NodePtr Find(const NodeRef& ref) = 0;
  // The same of a child of an inner node of the B-tree that was found here: maybe by a shorter way.
  virtual NodePtr FindChild(const Node& parent, size_t i) { return Find(parent.child(i)); }
  // Most of the children of this inner node are asked for soon, in order: may bring those that are in memory
  // nearer to the processor.
  virtual void ExpectChildren(const Node& parent) { (void)parent; }
};

// Takes the nodes of one table as a fold makes them, children before parents.
class NodeSink {
 public:
  virtual ~NodeSink() = default;
  // Stores the node; returns its reference with address and hint filled in (birth = the fold's). The memory
  // of a node that is not moved from serves for the next one.
  virtual NodeRef Emit(EncodedNode&& node) = 0;
  // The fold no longer needs what lay there (each replaced node is told exactly once).
  virtual void Dead(const NodeRef& ref) = 0;
  // Of a table that shares values (shared_value.h): the value's address, a row that refers to it, one that no
  // longer does. `value` outlives the fold.
  virtual Address AddressOfShared(ByteView value) {
    (void)value;
    HF_CHECK(false);
    return {};
  }
  virtual void Share(const Address& address, ByteView value) { (void)address, (void)value; }
  virtual void Unshare(const Address& address) { (void)address; }
  // An untouched child whose place should be left (cleaning): true = the fold shall write it again elsewhere.
  virtual bool ShouldMove(const NodeRef& ref) {
    (void)ref;
    return false;
  }
  // A better place known for a reference whose parent is being rewritten anyway (forwarding); hint unchanged
  // if none.
  virtual Hint Forward(const Hint& hint) { return hint; }
};

// Progress of a resumable operation.
struct Need {
  NodeRef ref;
};
template <typename T>
class [[nodiscard]] Step {
 public:
  Step(T done) : v_(std::in_place_index<0>, std::move(done)) {}  // NOLINT: implicit
  Step(Need need) : v_(std::in_place_index<1>, need) {}          // NOLINT: implicit
  Step(Error error) : v_(std::in_place_index<2>, error) {}       // NOLINT: implicit
  Step(Code code) : v_(std::in_place_index<2>, Error(code)) {}   // NOLINT: implicit
  bool done() const { return v_.index() == 0; }
  bool needs() const { return v_.index() == 1; }
  bool failed() const { return v_.index() == 2; }
  T& value() {
    HF_CHECK(done());
    return *std::get_if<0>(&v_);
  }
  const NodeRef& need() const {
    HF_CHECK(needs());
    return std::get_if<1>(&v_)->ref;
  }
  Error error() const {
    HF_CHECK(failed());
    return *std::get_if<2>(&v_);
  }

 private:
  std::variant<T, Need, Error> v_;
};

// A tree: nothing, or a root node. `rows` is part of what the logical root says about it.
struct Root {
  bool empty = true;
  NodeRef ref;
  uint64_t rows = 0;
  Digest digest{};  // of a Patricia table: the public digest of all its rows; zeros if empty
};

}  // namespace holdfast::tree

#endif  // HOLDFAST_CORE_TREE_SOURCE_H_
