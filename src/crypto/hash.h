// SHA-256 (FIPS 180-4), HMAC-SHA-256 (RFC 2104), HKDF-SHA-256 (RFC 5869). OpenSSL underneath (SHA-NI where
// there is).
#ifndef HOLDFAST_CRYPTO_HASH_H_
#define HOLDFAST_CRYPTO_HASH_H_

#include <initializer_list>
#include <memory>
#include <string_view>

#include "base/bytes.h"
#include "base/secret.h"

namespace holdfast::crypto {

Digest Sha256(std::initializer_list<ByteView> parts);
inline Digest Sha256(ByteView b) { return Sha256({b}); }
Digest HmacSha256(ByteView key, std::initializer_list<ByteView> parts);

// 32 bytes of HKDF-Extract-then-Expand.
Key HkdfSha256(ByteView input_key, ByteView salt, ByteView info);
// A named subkey: HKDF with an empty salt and info = label || 0 || context.
Key DeriveKey(const Key& key, std::string_view label, ByteView context = {});

// HMAC over bytes that arrive piece by piece, and many HMACs under one key (its key schedule is done once).
class HmacStream {
 public:
  explicit HmacStream(ByteView key);
  HmacStream(HmacStream&&) noexcept;
  ~HmacStream();
  void Update(ByteView b);
  Digest Finish();  // and ready for the next message under the same key
 private:
  struct State;
  std::unique_ptr<State> s_;
};

class Sha256Stream {
 public:
  Sha256Stream();
  ~Sha256Stream();
  void Update(ByteView b);
  Digest Finish();  // and ready for the next message
 private:
  struct State;
  std::unique_ptr<State> s_;
};

}  // namespace holdfast::crypto

#endif  // HOLDFAST_CRYPTO_HASH_H_
