#include "core/tree/node.h"

#include <algorithm>

#include "base/codec.h"
#include "base/limits.h"
#include "core/tree/key_head_internal.h"
#include "core/tree/patricia_node.h"

namespace holdfast::tree {
namespace {

constexpr uint8_t kAlgorithm = 1;
constexpr uint8_t kInlineForm = 0, kBlobForm = 1, kSharedForm = 2;
constexpr size_t kHeadBytes = 4, kHintBytes = 12, kAddress = seal::kAddressBytes;
constexpr size_t kChildBytes = kAddress + 8 + 8;
constexpr size_t kTailPadding = 16;  // the tail may end with fewer zeros than this
constexpr size_t kChunksMax = limits::kValueBytesMax / limits::kBlobChunkBytes;

// An inner node of the largest order and the longest separators fits: nothing has to split by size above the
// leaves.
static_assert(kHeadBytes + limits::kOrderMax * (2 + limits::kKeyBytesMax + kChildBytes) <=
              limits::kNodeBytesMax);

// Keys of a node in the order in which they lie there: strictly ascending, lengths in bounds.
class KeyCheck {
 public:
  bool Next(ByteView key, uint64_t head) {
    bool ok = first_ || last_head_ < head || (last_head_ == head && Compare(last_, key) < 0);
    first_ = false;
    last_ = key;
    last_head_ = head;
    return ok;
  }

 private:
  bool first_ = true;
  ByteView last_;
  uint64_t last_head_ = 0;
};

bool ReadAddress(Reader& r) {
  ByteView a = r.Raw(kAddress);
  return a.size() == kAddress && a[0] == kAlgorithm;
}

bool ReadLeaf(Reader& r, Node::Parts& p) {
  if (p.level != 0 || p.count == 0 || p.count > limits::kOrderMax) return false;
  KeyCheck keys;
  for (size_t i = 0; i < p.count; ++i) {
    ByteView key = r.Blob16(limits::kKeyBytesMax);
    uint64_t head = KeyHead(key);
    if (key.empty() || !keys.Next(key, head)) return false;
    p.Set(i, head, r.position() - key.size(), key.size(), p.references);
    uint8_t form = r.U8();
    if (form == kInlineForm) {
      r.Blob16(limits::kInlineValueBytesMax);
    } else if (form == kBlobForm) {
      if (r.U64() > limits::kValueBytesMax || !ReadAddress(r)) return false;
      r.U64();
      ++p.references;
    } else if (form == kSharedForm) {
      if (r.U64() > limits::kValueBytesMax || !ReadAddress(r)) return false;
    } else {
      return false;
    }
    if (!r.ok()) return false;
  }
  p.rows = p.count;
  return true;
}

bool ReadInner(Reader& r, Node::Parts& p) {
  if (p.level == 0 || p.level >= limits::kTreeLevelsMax || p.count == 0 || p.count > limits::kOrderMax)
    return false;
  KeyCheck keys;
  for (size_t i = 0; i < p.count; ++i) {
    ByteView key = r.Blob16(limits::kKeyBytesMax);
    uint64_t head = KeyHead(key);
    if (key.empty() != (i == 0) || !keys.Next(key, head)) return false;
    p.Set(i, head, r.position() - key.size(), key.size(), static_cast<uint16_t>(i));
    if (!ReadAddress(r)) return false;
    r.U64();
    uint64_t rows = r.U64();
    if (!r.ok() || rows == 0 || rows > UINT64_MAX - p.rows) return false;
    p.rows += rows;
  }
  p.references = p.count;
  return true;
}

bool ReadChunkList(Reader& r, Node::Parts& p) {
  if (p.level != 0 || p.count < 2 || p.count > kChunksMax) return false;
  for (size_t i = 0; i < p.count; ++i) {
    if (!ReadAddress(r)) return false;
  }
  p.references = p.count;
  return true;
}

bool ReadEntries(Reader& r, Node::Parts& p) {
  switch (p.type) {
    case NodeType::kLeaf:
      return ReadLeaf(r, p);
    case NodeType::kInner:
      return ReadInner(r, p);
    case NodeType::kChunkList:
      return ReadChunkList(r, p);
    case NodeType::kChunk:
      r.Blob32(limits::kBlobChunkBytes);
      return p.level == 0 && p.count == 0;
    case NodeType::kPatriciaLeaf:
      return patricia::ReadLeaf(r, p);
    case NodeType::kPatriciaInner:
      return patricia::ReadInner(r, p);
  }
  return false;
}

bool IsPatricia(NodeType t) { return t == NodeType::kPatriciaLeaf || t == NodeType::kPatriciaInner; }

// A node and what counts its holders lie in one block: counts || node || data. So who follows a pointer to it
// meets one line of memory less, and half as many blocks are taken and given back.
constexpr size_t kCountsBytes = 64;
struct DestroyNode {
  void operator()(const Node* node) const { node->~Node(); }
};
template <typename T>
struct InFrontOfNode {
  using value_type = T;
  uint8_t* block;
  explicit InFrontOfNode(uint8_t* b) : block(b) {}
  template <typename U>
  InFrontOfNode(const InFrontOfNode<U>& other) : block(other.block) {}  // NOLINT: as allocators convert
  T* allocate(size_t n) {
    HF_CHECK(n * sizeof(T) <= kCountsBytes);
    return reinterpret_cast<T*>(block);
  }
  void deallocate(T*, size_t) { delete[] block; }  // the last of it all
  template <typename U>
  bool operator==(const InFrontOfNode<U>& other) const {
    return block == other.block;
  }
};

void PutHint(Writer& w, const Hint& h) { w.U32(h.segment).U32(h.offset).U32(h.length); }

}  // namespace

Result<std::shared_ptr<const Node>> Node::Decode(ByteView canonical, ByteView tail) {
  if (canonical.size() > limits::kNodeBytesMax || tail.size() > limits::kNodeBytesMax)
    return Code::kMalformed;
  Reader head(canonical);
  Parts p;
  p.type = static_cast<NodeType>(head.U8());
  p.level = head.U8();
  p.count = head.U16();
  if (!head.ok() || p.count > std::max<size_t>(limits::kOrderMax, kChunksMax)) return Code::kMalformed;
  bool has_keys = p.type == NodeType::kLeaf || p.type == NodeType::kInner || IsPatricia(p.type);
  p.slots = has_keys ? p.count : 0;
  p.links = p.type == NodeType::kInner ? p.count : 0;
  size_t text_bytes = canonical.size() + tail.size();
  // One block, so that a search misses the processor's cache less.
  auto memory = std::make_unique_for_overwrite<uint8_t[]>(kCountsBytes + sizeof(Node) +
                                                          p.slots * (sizeof(uint64_t) + sizeof(Slot)) +
                                                          p.links * sizeof(void*) + text_bytes);
  p.data = memory.get() + kCountsBytes + sizeof(Node);
  p.canonical_bytes = static_cast<uint32_t>(canonical.size());
  uint8_t* text = p.text();
  std::memcpy(text, canonical.data(), canonical.size());
  if (!tail.empty()) std::memcpy(text + canonical.size(), tail.data(), tail.size());

  Reader r({text, canonical.size()});
  r.Raw(kHeadBytes);
  if (!ReadEntries(r, p) || !r.Finish()) return Code::kMalformed;
  size_t hints = p.references * (IsPatricia(p.type) ? patricia::kTailEntryBytes : kHintBytes);
  if (tail.size() < hints || tail.size() - hints >= kTailPadding) return Code::kMalformed;
  for (uint8_t b : tail.subspan(hints)) {
    if (b != 0) return Code::kMalformed;
  }
  p.tail_bytes = static_cast<uint32_t>(tail.size());
  for (size_t i = 0; i < p.links; ++i) new (p.link() + i) std::atomic<const Node*>(nullptr);
  uint8_t* block = memory.release();
  const Node* node = new (block + kCountsBytes) Node(p);
  return std::shared_ptr<const Node>(node, DestroyNode{}, InFrontOfNode<Node>(block));
}

ByteView Node::key(size_t i) const { return KeyOf(p_.slot()[i]); }

NodeRef Node::Reference(size_t address_at, LogIndex birth, size_t hint) const {
  NodeRef ref;
  std::memcpy(ref.address.data(), p_.text() + address_at, kAddress);
  ref.birth = birth;
  const uint8_t* h = p_.text() + p_.canonical_bytes + hint * kHintBytes;
  ref.hint = {LoadLittle<uint32_t>(h), LoadLittle<uint32_t>(h + 4), LoadLittle<uint32_t>(h + 8)};
  return ref;
}

// Inner nodes have one hint a child, in their order. The child's address lies elsewhere: whoever asks for its
// place is likely to ask for that next.
Hint Node::child_hint(size_t i) const {
  __builtin_prefetch(p_.slot() + i);
  const uint8_t* h = p_.text() + p_.canonical_bytes + i * kHintBytes;
  return {LoadLittle<uint32_t>(h), LoadLittle<uint32_t>(h + 4), LoadLittle<uint32_t>(h + 8)};
}

NodeRef Node::PatriciaReference(size_t address_at, size_t hint) const {
  NodeRef ref;
  std::memcpy(ref.address.data(), p_.text() + address_at, kAddress);
  const uint8_t* t = p_.text() + p_.canonical_bytes + hint * patricia::kTailEntryBytes;
  ref.hint = {LoadLittle<uint32_t>(t), LoadLittle<uint32_t>(t + 4), LoadLittle<uint32_t>(t + 8)};
  ref.birth = LogIndex(LoadLittle<uint64_t>(t + kHintBytes));
  return ref;
}

StoredValue Node::value(size_t i) const {
  HF_CHECK((p_.type == NodeType::kLeaf || p_.type == NodeType::kPatriciaLeaf) && i < p_.count);
  const Slot& s = p_.slot()[i];
  size_t at = size_t{s.at} + s.key_bytes;
  const uint8_t* p = p_.text() + at;
  StoredValue v;
  if (*p == kInlineForm) {
    v.length = LoadLittle<uint16_t>(p + 1);
    v.inline_bytes = {p + 3, static_cast<size_t>(v.length)};
    return v;
  }
  v.length = LoadLittle<uint64_t>(p + 1);
  v.is_shared = *p == kSharedForm;  // never in a Patricia leaf
  if (v.is_shared) {
    std::memcpy(v.blob.address.data(), p + 9, kAddress);
    return v;
  }
  v.is_blob = true;
  if (p_.type == NodeType::kPatriciaLeaf) {
    v.blob = PatriciaReference(at + patricia::kBlobHeadBytes, s.reference);
    return v;
  }
  v.blob = Reference(at + 9, LogIndex(LoadLittle<uint64_t>(p + 9 + kAddress)), s.reference);
  return v;
}

std::optional<ByteView> Node::inline_value(size_t i) const { return row_text(i).value; }

Node::RowText Node::row_text(size_t i) const {
  HF_CHECK((p_.type == NodeType::kLeaf || p_.type == NodeType::kPatriciaLeaf) && i < p_.count);
  const Slot& s = p_.slot()[i];
  const uint8_t* p = p_.text() + s.at + s.key_bytes;
  RowText row{{p - s.key_bytes, s.key_bytes}, std::nullopt};
  if (*p == kInlineForm) row.value = ByteView(p + 3, LoadLittle<uint16_t>(p + 1));
  return row;
}

NodeRef Node::child(size_t i) const {
  HF_CHECK(i < p_.count);
  if (p_.type == NodeType::kChunkList) return Reference(kHeadBytes + i * kAddress, LogIndex(0), i);
  if (p_.type == NodeType::kPatriciaInner) return PatriciaReference(p_.slot()[i].at, i);
  HF_CHECK(p_.type == NodeType::kInner);
  size_t at = size_t{p_.slot()[i].at} + p_.slot()[i].key_bytes;
  return Reference(at, LogIndex(LoadLittle<uint64_t>(p_.text() + at + kAddress)), i);
}

uint64_t Node::rows(size_t i) const {
  HF_CHECK(i < p_.count);
  if (p_.type == NodeType::kPatriciaInner)
    return LoadLittle<uint64_t>(p_.text() + p_.slot()[i].at + kAddress);
  HF_CHECK(p_.type == NodeType::kInner);
  return LoadLittle<uint64_t>(p_.text() + p_.slot()[i].at + p_.slot()[i].key_bytes + kAddress + 8);
}

ByteView Node::chunk() const {
  HF_CHECK(p_.type == NodeType::kChunk);
  return canonical().subspan(kHeadBytes + 4);
}

uint64_t Node::total_rows() const { return p_.rows; }

size_t Node::memory_bytes() const {
  constexpr size_t kAllocatorBytes = 16;
  return kCountsBytes + sizeof(Node) + p_.slots * (sizeof(uint64_t) + sizeof(Slot)) +
         p_.links * sizeof(void*) + p_.canonical_bytes + p_.tail_bytes + kAllocatorBytes;
}

size_t Node::LowerBound(ByteView k) const {
  uint64_t head = KeyHead(k);
  const uint64_t* heads = p_.heads();
  size_t n = 0, left = p_.slots;
  for (; left > 1; left -= left / 2) n += heads[n + left / 2 - 1] < head ? left / 2 : 0;  // without branches
  if (left == 1 && heads[n] < head) ++n;
  while (n < p_.slots && heads[n] == head && Compare(key(n), k) < 0) ++n;
  return n;
}

size_t Node::ChildFor(ByteView k) const {
  size_t i = LowerBound(k);
  if (i < p_.count && p_.heads()[i] == KeyHead(k) && Equal(key(i), k)) return i;
  return i == 0 ? 0 : i - 1;
}

ByteView Node::canonical() const { return {p_.text(), p_.canonical_bytes}; }

std::vector<NodeRef> Node::References() const {
  std::vector<NodeRef> out;
  out.reserve(p_.references);
  if (p_.references == 0) return out;
  for (size_t i = 0; i < p_.count; ++i) {
    if (p_.type != NodeType::kLeaf && p_.type != NodeType::kPatriciaLeaf) {
      out.push_back(child(i));
    } else if (StoredValue v = value(i); v.is_blob) {
      out.push_back(v.blob);
    }
  }
  return out;
}

InLeaf FindInLeaf(ByteView canonical, ByteView key, ByteView& value) {
  Reader r(canonical);
  if (r.U8() != static_cast<uint8_t>(NodeType::kLeaf) || r.U8() != 0) return InLeaf::kElsewhere;
  size_t left = r.U16();
  if (!r.ok()) return InLeaf::kElsewhere;
  for (; left > 0; --left) {
    int order = Compare(r.Blob16(limits::kKeyBytesMax), key);
    if (!r.ok()) return InLeaf::kElsewhere;
    if (order > 0) return InLeaf::kAbsent;
    uint8_t form = r.U8();
    if (form == kInlineForm) {
      value = r.Blob16(limits::kInlineValueBytesMax);
    } else if (form == kBlobForm && order != 0) {
      r.Raw(sizeof(uint64_t) + kAddress + sizeof(uint64_t));
    } else if (form == kSharedForm && order != 0) {
      r.Raw(sizeof(uint64_t) + kAddress);
    } else {
      return InLeaf::kElsewhere;
    }
    if (!r.ok()) return InLeaf::kElsewhere;
    if (order == 0) return InLeaf::kFound;
  }
  return InLeaf::kAbsent;
}

EncodedNode EncodeLeaf(const std::vector<LeafRow>& rows) {
  EncodedNode e;
  Writer w(e.canonical), hints(e.hints);
  w.U8(static_cast<uint8_t>(NodeType::kLeaf)).U8(0).U16(static_cast<uint16_t>(rows.size()));
  for (const LeafRow& row : rows) {
    w.Blob16(row.key);
    if (row.value.is_shared) {
      w.U8(kSharedForm).U64(row.value.length).Raw(row.value.blob.address);
      continue;
    }
    if (!row.value.is_blob) {
      w.U8(kInlineForm).Blob16(row.value.inline_bytes);
      continue;
    }
    w.U8(kBlobForm).U64(row.value.length).Raw(row.value.blob.address).Num(row.value.blob.birth);
    PutHint(hints, row.value.blob.hint);
  }
  return e;
}

EncodedNode EncodeInner(uint8_t level, const std::vector<InnerChild>& children) {
  EncodedNode e;
  size_t bytes = kHeadBytes;
  for (const InnerChild& c : children) bytes += 2 + c.separator.size() + kChildBytes;
  e.canonical.reserve(bytes);
  e.hints.reserve(children.size() * kHintBytes);
  Writer w(e.canonical), hints(e.hints);
  w.U8(static_cast<uint8_t>(NodeType::kInner)).U8(level).U16(static_cast<uint16_t>(children.size()));
  for (const InnerChild& c : children) {
    w.Blob16(c.separator).Raw(c.ref.address).Num(c.ref.birth).U64(c.rows);
    PutHint(hints, c.ref.hint);
  }
  return e;
}

EncodedNode EncodeChunk(ByteView bytes) {
  EncodedNode e;
  e.canonical.reserve(kHeadBytes + 4 + bytes.size());
  Writer(e.canonical).U8(static_cast<uint8_t>(NodeType::kChunk)).U8(0).U16(0).Blob32(bytes);
  return e;
}

EncodedNode EncodeChunkList(const std::vector<NodeRef>& chunks) {
  EncodedNode e;
  Writer w(e.canonical), hints(e.hints);
  w.U8(static_cast<uint8_t>(NodeType::kChunkList)).U8(0).U16(static_cast<uint16_t>(chunks.size()));
  for (const NodeRef& c : chunks) {
    w.Raw(c.address);
    PutHint(hints, c.hint);
  }
  return e;
}

}  // namespace holdfast::tree
