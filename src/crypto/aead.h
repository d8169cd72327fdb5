// AES-256-GCM (NIST SP 800-38D), 16-byte tags, 96-bit nonces that the caller counts.
// One key must never see one nonce twice: every caller in Holdfast derives a fresh key per sealed object
// (core/seal), so counting from 0 is safe there and nowhere else.
#ifndef HOLDFAST_CRYPTO_AEAD_H_
#define HOLDFAST_CRYPTO_AEAD_H_

#include <memory>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"

namespace holdfast::crypto {

inline constexpr size_t kTagBytes = 16;

// Keeps the key schedule. Not thread-safe. Cost: about 0.5 us per KiB.
class AesGcm {
 public:
  explicit AesGcm(const Key& key);
  AesGcm(AesGcm&&) noexcept;
  AesGcm& operator=(AesGcm&&) noexcept;
  ~AesGcm();

  // Appends ciphertext and tag (plaintext.size() + kTagBytes) to `out`.
  void Seal(uint64_t nonce, ByteView aad, ByteView plaintext, Bytes& out);
  // The same in place: all but the last kTagBytes of `text` is encrypted, the tag goes there.
  void SealInPlace(uint64_t nonce, ByteView aad, MutableByteView text);
  // kAuthFailed: wrong key, nonce, AAD, or changed bytes; nothing of the plaintext is released.
  Result<Bytes> Open(uint64_t nonce, ByteView aad, ByteView sealed);
  // The same into bytes of the caller's, which are what was opened, or empty.
  Status OpenInto(uint64_t nonce, ByteView aad, ByteView sealed, Bytes& out);

 private:
  struct State;
  std::unique_ptr<State> s_;
};

}  // namespace holdfast::crypto

#endif  // HOLDFAST_CRYPTO_AEAD_H_
