// Anchors: bytes from the host are no anchor; with a right MAC (first byte odd) they are one, and only one
// spelling. Short ones, which anybody can write: never more than a claim, which names no log without the key.
#include "base/check.h"
#include "core/seal/anchor.h"
#include "crypto/hash.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace holdfast;  // NOLINT
  if (size == 0) return 0;
  Bytes b(data + 1, data + size);
  Key key;
  bool forged = data[0] % 2 == 1 && b.size() >= 32;  // with the key, which a host does not have
  if (forged) {
    size_t n = b.size() - 32;
    Digest mac = crypto::HmacSha256(key.view(), {ByteView(b).first(n)});
    std::memcpy(b.data() + n, mac.data(), mac.size());
  }
  StoreId store;
  if (b.size() >= 24) store = StoreId::From(ByteView(b).subspan(8, 16));
  Result<seal::Anchor> anchor = seal::Anchor::Decode(key, store, b);
  HF_CHECK(forged || !anchor.has_value());
  if (anchor.has_value()) HF_CHECK(anchor->Encode(key) == b);
  if (seal::AnchorClaim::IsShort(b)) {
    bool well_formed = seal::AnchorClaim::CheckShort(AsText(b)).has_value();
    Result<seal::AnchorClaim> claim = seal::AnchorClaim::Read(key, store, b);
    HF_CHECK(!claim.has_value() || well_formed);
    if (claim.has_value()) HF_CHECK(!claim->Names(key, store, claim->term, Digest{}));
  }
  store.bytes[0] ^= 1;
  HF_CHECK(!seal::Anchor::Decode(key, store, b).has_value());
  return 0;
}
