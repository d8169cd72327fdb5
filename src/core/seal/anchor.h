// A point of the log that is kept outside the store, to find a rollback.
// Source: docs/format.md 9; rules F1-F3.
#ifndef HOLDFAST_CORE_SEAL_ANCHOR_H_
#define HOLDFAST_CORE_SEAL_ANCHOR_H_

#include "base/ids.h"
#include "base/result.h"
#include "base/secret.h"

namespace holdfast::seal {

inline constexpr size_t kAnchorBytes = 112;

struct Anchor {
  StoreId store;
  Term term;
  LogIndex index;
  Digest chain{};
  SaveNumber save;
  friend bool operator==(const Anchor&, const Anchor&) = default;

  Bytes Encode(const Key& anchor_key) const;  // kAnchorBytes
  // errors  kMalformed   not an anchor
  //         kForeign     of another store
  //         kAuthFailed  MAC does not fit
  static Result<Anchor> Decode(const Key& anchor_key, const StoreId& store, ByteView untrusted);
};

}  // namespace holdfast::seal

#endif  // HOLDFAST_CORE_SEAL_ANCHOR_H_
