#include "core/journal/entry.h"

#include "crypto/hash.h"

namespace holdfast::journal {

LogPosition Extend(const Key& chain_key, const LogPosition& before, const Entry& entry) {
  LogPosition after{before.index.next(), entry.term, {}};
  Bytes head;  // the payload is hashed where it lies: it may have megabytes
  head.reserve(21);
  Writer w(head);
  w.Num(after.index).Num(entry.term).U8(static_cast<uint8_t>(entry.kind));
  w.U32(static_cast<uint32_t>(entry.payload.size()));
  after.chain = crypto::HmacSha256(chain_key.view(), {before.chain, head, entry.payload});
  return after;
}

}  // namespace holdfast::journal
