// Whether the public digests of a Patricia table are those of its rows. Source: docs/format.md 5.
#ifndef HOLDFAST_CORE_STORE_PUBLIC_DIGESTS_H_
#define HOLDFAST_CORE_STORE_PUBLIC_DIGESTS_H_

#include <unordered_map>

#include "core/store/manifest.h"
#include "core/tree/patricia_digest.h"
#include "core/tree/read.h"

namespace holdfast::store {

// Is shown every node of a walk over one table's tree, in the walk's order; of other layouts it says nothing.
// A node that the walk skips is not checked, nor what lies below it. Memory: what lies beside the way down.
// Cost: a hash of every value, four of every row.
class PublicDigests {
 public:
  PublicDigests(const Table& table, const seal::DomainKeys& keys);
  // False: the node, or the value that is whole with it, has another digest than its parent says.
  bool Holds(const tree::NodeRef& ref, const tree::Node& node);
  void Skipped(const tree::NodeRef& ref) { claims_.erase(PlaceOf(ref)); }

 private:
  struct Claim {
    Digest digest{};
    uint64_t length = 0;  // of a blob
  };
  static uint64_t PlaceOf(const tree::NodeRef& r) {
    return static_cast<uint64_t>(r.hint.segment) << 32 | r.hint.offset;
  }
  bool LeafHolds(const tree::Node& leaf, const Digest& digest);
  bool InnerHolds(const tree::Node& node, const Digest& digest);
  bool ChunkHolds(ByteView bytes);

  tree::patricia::Blinding blinding_;
  std::unordered_map<uint64_t, Claim> claims_;  // by place
  Claim blob_;                                  // whose chunks are being shown
  uint64_t shown_ = 0;                          // bytes of them
  crypto::Sha256Stream hash_;
};

}  // namespace holdfast::store

#endif  // HOLDFAST_CORE_STORE_PUBLIC_DIGESTS_H_
