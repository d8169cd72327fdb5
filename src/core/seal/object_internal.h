// Shared by object.cc and segment.cc only.
#ifndef HOLDFAST_CORE_SEAL_OBJECT_INTERNAL_H_
#define HOLDFAST_CORE_SEAL_OBJECT_INTERNAL_H_

#include "core/seal/object.h"
#include "crypto/hash.h"

namespace holdfast::seal {

// The HMAC that becomes a header's h, fed with everything but what determines the sealed bytes: the caller
// streams that in, so a segment of 64 MiB is not copied for it.
crypto::HmacStream StartObjectHash(const DomainKeys& keys, const ObjectHeader& header,
                                   ByteView encoded_binding);

}  // namespace holdfast::seal

#endif  // HOLDFAST_CORE_SEAL_OBJECT_INTERNAL_H_
