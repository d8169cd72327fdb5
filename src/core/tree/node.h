// Nodes of the content-addressed B-tree, decoded and immutable. Source: docs/format.md 5.
//
//            inner (level 2)      separator | reference | separator | reference ...
//           /               \.
//      inner (level 1)   inner (level 1)
//      /    |    \.        ...
//   leaf  leaf  leaf            key | value inline, or a reference to chunk / chunk list
//
// The nodes of a Patricia table are in patricia_node.h; their blobs are the same.
//
// A reference is {address, birth} (canonical, the same on all members) and a hint (where this member keeps
// it).
#ifndef HOLDFAST_CORE_TREE_NODE_H_
#define HOLDFAST_CORE_TREE_NODE_H_

#include <atomic>
#include <memory>
#include <optional>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "core/seal/segment.h"

namespace holdfast::tree {

using seal::Address;

struct Hint {
  uint32_t segment = 0;  // 0 = nowhere (not written yet)
  uint32_t offset = 0;
  uint32_t length = 0;
  friend auto operator<=>(const Hint&, const Hint&) = default;
};

struct NodeRef {
  Address address{};
  LogIndex birth;
  Hint hint;
};

enum class NodeType : uint8_t {
  kLeaf = 1,
  kInner = 2,
  kChunk = 3,
  kChunkList = 4,
  kPatriciaLeaf = 5,
  kPatriciaInner = 6
};

// A leaf's value as it lies there: inline bytes, a reference to a blob of `length` bytes, or the address of a
// shared value of that length, which is a row of another table (shared_value.h).
struct StoredValue {
  ByteView inline_bytes;  // points into the node
  bool is_blob = false;
  bool is_shared = false;
  uint64_t length = 0;
  NodeRef blob;  // shared: its address alone
};

class Node {
 public:
  // Parses the canonical bytes and hints of one opened node, checking every rule of docs/format.md 5 that a
  // node can show by itself (counts, ascending keys, sizes, levels).  kMalformed otherwise.
  static Result<std::shared_ptr<const Node>> Decode(ByteView canonical, ByteView tail);

  NodeType type() const { return p_.type; }
  uint8_t level() const { return p_.level; }
  size_t count() const { return p_.count; }  // rows, children or chunks
  ByteView key(size_t i) const;              // leaf: key; inner: separator; Patricia's inner: nothing
  StoredValue value(size_t i) const;         // leaf, of either layout
  // The same where it lies in the leaf; nothing: it lies elsewhere.
  std::optional<ByteView> inline_value(size_t i) const;
  bool has_blobs() const { return p_.references != 0; }  // leaf: some value is one
  NodeRef child(size_t i) const;    // inner, chunk list (birth 0 there: its chunks were born with it)
  Hint child_hint(size_t i) const;  // REQUIRES: an inner node of the B-tree
  uint64_t rows(size_t i) const;    // inner: rows below child i
  ByteView chunk() const;           // chunk
  uint64_t total_rows() const;      // leaf: count(); inner: sum
  size_t memory_bytes() const;      // for the cache's bound
  // Leaf: first row with key >= k.  Inner: the child that may hold k.
  size_t LowerBound(ByteView k) const;
  size_t ChildFor(ByteView k) const;
  ByteView canonical() const;
  // Every reference of the node in order, with hints: the one traversal trait for GC, verify, export and
  // cleaning.
  std::vector<NodeRef> References() const;

  // For the cache that keeps the node, so that readers need not ask it at each level. A link leads from an
  // inner node (of the B-tree) to a child that is in memory; who sets it sees to it that it is taken away
  // before the child goes. What a reader follows must be kept from being freed meanwhile (core/runtime).
  const Node* Linked(size_t i) const { return Links()[i].load(std::memory_order_acquire); }
  bool has_links() const { return p_.links != 0; }
  void SetLink(size_t i, const Node* child) const { Links()[i].store(child, std::memory_order_release); }
  // Who links to this one, and whether a cache keeps it: under that cache's lock.
  struct Kept {
    const Node* parent = nullptr;
    uint16_t place = 0;  // in the parent
    bool in_cache = false;
  };
  mutable Kept kept;
  // A reader came by since the cache last looked.
  void Touch() const {
    if (!touched_.load(std::memory_order_relaxed)) touched_.store(true, std::memory_order_relaxed);
  }
  bool TakeTouch() const {
    if (!touched_.load(std::memory_order_relaxed)) return false;
    touched_.store(false, std::memory_order_relaxed);
    return true;
  }
  // Fetches what a search reads first into the processor's cache.
  void Prefetch() const {
    const char* at = reinterpret_cast<const char*>(this);
    for (size_t line = 0; line < 5; ++line) __builtin_prefetch(at + 64 * line);
  }
  // All of a leaf of usual size.
  void PrefetchAll() const {
    const char* at = reinterpret_cast<const char*>(this);
    for (size_t line = 0; line < 28; ++line) __builtin_prefetch(at + 64 * line);
  }
  // A row of a leaf as it lies there. No value: it lies elsewhere.
  struct RowText {
    ByteView key;
    std::optional<ByteView> value;
  };
  RowText row_text(size_t i) const;  // as key and inline_value

  // Implementation detail of the decoders.
  struct Slot {
    uint32_t at;  // of the key in the canonical bytes
    uint16_t key_bytes;
    uint16_t reference;  // which hint is this entry's
  };
  struct Parts {
    uint8_t* data = nullptr;  // heads of keys || links || slots || canonical || hints, behind the node itself
    uint64_t rows = 0;
    uint32_t canonical_bytes = 0, tail_bytes = 0;
    uint16_t slots = 0, links = 0, count = 0, references = 0;
    NodeType type{};
    uint8_t level = 0;

    uint64_t* heads() const { return reinterpret_cast<uint64_t*>(data); }
    std::atomic<const Node*>* link() const {
      return reinterpret_cast<std::atomic<const Node*>*>(heads() + slots);
    }
    Slot* slot() const { return reinterpret_cast<Slot*>(heads() + slots + links); }
    uint8_t* text() const { return reinterpret_cast<uint8_t*>(slot() + slots); }
    // `head`: the first 8 bytes of the key, big-endian: most comparisons end there.
    void Set(size_t i, uint64_t head, size_t at, size_t key_bytes, uint16_t reference) {
      heads()[i] = head;
      slot()[i] = {static_cast<uint32_t>(at), static_cast<uint16_t>(key_bytes), reference};
    }
  };
  explicit Node(Parts parts) : p_(parts) {}
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

 private:
  NodeRef Reference(size_t address_at, LogIndex birth, size_t hint) const;
  NodeRef PatriciaReference(size_t address_at, size_t hint) const;
  std::atomic<const Node*>* Links() const { return p_.link(); }
  ByteView KeyOf(const Slot& s) const { return {p_.text() + s.at, s.key_bytes}; }
  const Parts p_;
  mutable std::atomic<bool> touched_{false};
};
using NodePtr = std::shared_ptr<const Node>;

// The row of a key in the canonical bytes of a leaf, for who needs nothing else of it: no node is made, and
// what lies behind the key's place is not looked at. kElsewhere: ask the node; the value is a blob or shared,
// or these are not the bytes of a leaf of the B-tree.
enum class InLeaf : uint8_t { kFound, kAbsent, kElsewhere };
InLeaf FindInLeaf(ByteView canonical, ByteView key, ByteView& value);

// Canonical encodings, for writers.
struct LeafRow {
  ByteView key;
  StoredValue value;
};
struct InnerChild {
  ByteView separator;
  NodeRef ref;
  uint64_t rows = 0;
};
struct EncodedNode {
  Bytes canonical, hints;
};
EncodedNode EncodeLeaf(const std::vector<LeafRow>& rows);
EncodedNode EncodeInner(uint8_t level, const std::vector<InnerChild>& children);
EncodedNode EncodeChunk(ByteView bytes);
EncodedNode EncodeChunkList(const std::vector<NodeRef>& chunks);

}  // namespace holdfast::tree

#endif  // HOLDFAST_CORE_TREE_NODE_H_
