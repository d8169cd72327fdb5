#include "crypto/password.h"

#include <sodium.h>

#include "base/limits.h"

namespace holdfast::crypto {

Result<Key> Argon2id(ByteView passphrase, const std::array<uint8_t, 16>& salt, const Argon2Parameters& p) {
  static_assert(crypto_pwhash_argon2id_SALTBYTES == 16);
  if (p.memory_kib < limits::kArgonMemoryKiBMin || p.memory_kib > limits::kArgonMemoryKiBMax)
    return Code::kKdfBounds;
  if (p.passes < 1 || p.passes > limits::kArgonPassesMax) return Code::kKdfBounds;
  if (passphrase.size() > limits::kPassphraseBytesMax) return Code::kTooLarge;
  if (sodium_init() < 0) return Code::kInternal;
  static constexpr uint8_t kEmpty[1] = {};  // an empty view has no address, and libsodium wants one
  const uint8_t* text = passphrase.empty() ? kEmpty : passphrase.data();
  Key key;
  int rc = crypto_pwhash_argon2id(
      key.mutable_view().data(), Key::size(), reinterpret_cast<const char*>(text), passphrase.size(),
      salt.data(), p.passes, static_cast<size_t>(p.memory_kib) * 1024, crypto_pwhash_argon2id_ALG_ARGON2ID13);
  if (rc != 0) return Code::kOverloaded;
  return key;
}

}  // namespace holdfast::crypto
