// What a node that is being made consists of, before it is known where it will be cut into nodes. For
// fold.cc.
#ifndef HOLDFAST_CORE_TREE_CONTENT_INTERNAL_H_
#define HOLDFAST_CORE_TREE_CONTENT_INTERNAL_H_

#include <string>
#include <vector>

#include "core/tree/descriptor.h"
#include "core/tree/source.h"

namespace holdfast::tree::internal {

// Rows of leaves, kept in their canonical encoding: runs of unchanged rows are copied as bytes.
class Rows {
 public:
  size_t count() const { return at_.size(); }
  size_t bytes() const { return text_.size(); }
  ByteView key(size_t i) const { return {text_.data() + at_[i].offset + 2, at_[i].key_bytes}; }
  // At most every key here, above every key before: what a parent will call the first node cut from these
  // rows.
  std::string separator;

  void AppendRun(const Node& leaf, size_t from, size_t to, NodeSink& forward);
  void AppendInline(ByteView key, ByteView value);
  void AppendBlob(ByteView key, uint64_t length, const NodeRef& blob);
  void AppendShared(ByteView key, uint64_t length, const Address& value);
  void Append(const Rows& other);
  void Truncate(size_t n);
  void Clear();
  size_t BytesOf(size_t from, size_t n) const;  // of rows [from, from + n)
  // Makes `leaf` one of the first n rows, which are dropped here; the separator moves on.
  void TakeLeaf(size_t n, EncodedNode& leaf);

 private:
  struct At {
    uint32_t offset;
    uint16_t key_bytes;
    bool is_blob;
  };
  void Start(ByteView key, bool is_blob);
  Bytes text_, hints_;
  std::vector<At> at_;
};

// A child of an inner node that is being made.
struct Entry {
  std::string separator;
  NodeRef ref;
  uint64_t rows = 0;
  // Inner nodes with one child each that stand between this place and `ref`, bottom first. They are made only
  // when it is certain that they are needed: a root with one child collapses instead.
  uint8_t wraps = 0;
  bool untouched = false;  // an old node, kept by reference
};

struct Content {
  Rows rows;                   // level 0
  std::vector<Entry> entries;  // above
  size_t count(size_t level) const { return level == 0 ? rows.count() : entries.size(); }
  bool empty() const { return rows.count() == 0 && entries.empty(); }
  void Append(Content& other);  // and empties it
  void Clear() {
    rows.Clear();
    entries.clear();
  }
};

// Where content is cut. All of it depends on the content alone.
struct Cut {
  const Descriptor& descriptor;
  size_t Max(size_t level) const;
  bool Underfull(const Content& c, size_t level) const;  // below a quarter
  bool Oversize(const Content& c,
                size_t level) const;  // a full node can be cut off and more than a node remains
  size_t FirstFull(const Content& c, size_t level) const;  // how many a full node takes
  size_t FirstEven(const Content& c, size_t level) const;  // the first of the fewest nodes of even size
};

}  // namespace holdfast::tree::internal

#endif  // HOLDFAST_CORE_TREE_CONTENT_INTERNAL_H_
