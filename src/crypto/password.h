// Argon2id (RFC 9106) through libsodium, one lane. 256 MiB and 3 passes take about 0.4 s.
#ifndef HOLDFAST_CRYPTO_PASSWORD_H_
#define HOLDFAST_CRYPTO_PASSWORD_H_

#include <array>
#include <cstdint>

#include "base/result.h"
#include "base/secret.h"

namespace holdfast::crypto {

struct Argon2Parameters {
  uint32_t memory_kib = 0;
  uint32_t passes = 0;
};

// Stored parameters are host input: they are checked against limits::kArgon* before any memory is taken.
//   errors  kKdfBounds   outside the floor and ceiling; nothing was computed
//           kOverloaded  the memory could not be had
Result<Key> Argon2id(ByteView passphrase, const std::array<uint8_t, 16>& salt,
                     const Argon2Parameters& parameters);

}  // namespace holdfast::crypto

#endif  // HOLDFAST_CRYPTO_PASSWORD_H_
