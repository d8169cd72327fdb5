// Segments: the nodes of one table that were written together, each sealed by itself.
// Source: docs/format.md 5; rules A1-A4.
//
// A builder fixes offsets as nodes are added: a parent can name its children's places before any is sealed.
#ifndef HOLDFAST_CORE_SEAL_SEGMENT_H_
#define HOLDFAST_CORE_SEAL_SEGMENT_H_

#include <memory>
#include <utility>
#include <vector>

#include "core/seal/object.h"
#include "crypto/aead.h"
#include "crypto/hash.h"

namespace holdfast::seal {

inline constexpr size_t kAddressBytes = 33;
// Algorithm byte, then a 32-byte keyed hash of the canonical node.
using Address = std::array<uint8_t, kAddressBytes>;

struct Extent {
  uint32_t offset = 0;
  uint32_t length = 0;  // of the sealed node, tag included
};

class SegmentBuilder {
 public:
  explicit SegmentBuilder(TableId table) : table_(table) {}
  // Memory to build in, of a segment that was finished and is no longer needed: touching new pages costs more
  // than filling them.
  void Reuse(Bytes memory);
  Bytes TakeMemory() { return std::exchange(object_, Bytes()); }  // REQUIRES: empty()
  // Hints are padded here until the text is a multiple of 16. Returns where the node will lie.
  // REQUIRES: address == NodeAddress(keys, canonical) under the keys that Finish gets (rule A1 rests on it:
  // h sees the address, not the text); size_bytes() stays within limits::kSegmentBytesMax.
  Extent Add(const Address& address, ByteView canonical, ByteView hints);
  size_t size_bytes() const { return size_; }  // of the finished segment
  bool empty() const { return nodes_.empty(); }

  struct Sealed {
    Bytes bytes;          // the whole object
    ObjectHeader header;  // kept in the manifest, so that a node costs one range read
    Digest sha256;        // of `bytes`, for scrub without keys
  };
  // Seals all nodes for the object `name`. The builder is empty afterwards.
  Sealed Finish(const DomainKeys& keys, Epoch epoch, const StoreId& store, std::string_view name,
                crypto::Random& random);

 private:
  struct Node {
    Address address;
    Extent extent;
    uint32_t canonical_length, tail_length;
  };
  TableId table_;
  std::vector<Node> nodes_;
  Bytes object_;  // as it will be, in plain, with room for header and tags
  size_t size_ = kHeaderBytes;
};

// What a node's text consists of once opened.
struct OpenedNode {
  Bytes text;  // canonical || hints || zeros
  uint32_t canonical_length = 0;
  ByteView canonical() const { return ByteView(text).subspan(4, canonical_length); }
  ByteView tail() const { return ByteView(text).subspan(4 + canonical_length); }
};

// Opens nodes of one segment; keeps the AEAD context. Not thread-safe. Cost: about 0.7 us for a leaf.
class SegmentOpener {
 public:
  SegmentOpener(const DomainKeys& keys, const ObjectHeader& header, const StoreId& store,
                std::string_view name, const TableId& table);
  // `sealed` is what lies at `extent`. The address is bound in the AAD: no second hash is needed (A2).
  //   errors  kAuthFailed  swapped, changed or another address;  kMalformed  lengths inside do not fit
  Result<OpenedNode> Open(const Address& address, uint32_t offset, ByteView sealed);
  // The same in the memory of a node opened before; after an error it holds nothing of use.
  Status OpenInto(const Address& address, uint32_t offset, ByteView sealed, OpenedNode& node);

 private:
  Bytes aad_;  // ends with room for the address
  crypto::AesGcm aead_;
};

// 0x01 || HMAC(address key, canonical).
Address NodeAddress(const DomainKeys& keys, ByteView canonical);

// The same for many nodes of one table: the key's part is computed once. Not thread-safe.
class NodeAddresses {
 public:
  explicit NodeAddresses(const DomainKeys& keys) : mac_(keys.address.view()) {}
  Address Of(ByteView canonical);

 private:
  crypto::HmacStream mac_;
};

}  // namespace holdfast::seal

#endif  // HOLDFAST_CORE_SEAL_SEGMENT_H_
