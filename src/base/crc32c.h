// CRC-32C (Castagnoli, RFC 3720 appendix B.4), for finding damage, never for finding an adversary.
#ifndef HOLDFAST_BASE_CRC32C_H_
#define HOLDFAST_BASE_CRC32C_H_

#include <cstdint>

#include "base/bytes.h"

namespace holdfast {

uint32_t Crc32c(ByteView b);

}  // namespace holdfast

#endif  // HOLDFAST_BASE_CRC32C_H_
