// Sealed objects: what leaves the core does so under a key that is used for one text only.
// Source: docs/format.md 2; rules A1, A2.
#ifndef HOLDFAST_CORE_SEAL_OBJECT_H_
#define HOLDFAST_CORE_SEAL_OBJECT_H_

#include <string_view>

#include "base/ids.h"
#include "base/result.h"
#include "base/secret.h"
#include "base/untrusted.h"
#include "crypto/random.h"

namespace holdfast::seal {

inline constexpr size_t kHeaderBytes = 80;
inline constexpr uint16_t kFormatVersion = 1;

enum class ObjectKind : uint8_t { kSegment = 1, kFrame = 2, kManifest = 3, kKeyring = 4, kGroup = 5 };

// The three keys of a table, of the journal, or of the slots.
struct DomainKeys {
  Key seal, hash, address;
  static DomainKeys Derive(const Key& root);
  DomainKeys Clone() const { return {seal.Clone(), hash.Clone(), address.Clone()}; }
};

// What an object is bound to besides its text: it opens nowhere else.
struct Binding {
  StoreId store;
  std::string_view name;  // the key below the provider's root
  ByteView extra = {};    // kind-specific, e.g. a frame's plain header; at most 65,535 bytes
};

struct ObjectHeader {
  ObjectKind kind{};
  Epoch epoch;
  std::array<uint8_t, 32> salt{};
  Digest h{};
  Bytes Encode() const;  // kHeaderBytes
  // errors  kMalformed      too short or no magic
  //         kChecksum       damaged header
  //         kUnknownFormat  format version or algorithm we do not know
  //         kTampered       another kind than `expected`
  static Result<ObjectHeader> Decode(ByteView untrusted, ObjectKind expected);
};

// header || ciphertext || tag: kHeaderBytes + plaintext + 16 bytes.
Bytes SealObject(const DomainKeys& keys, ObjectKind kind, Epoch epoch, const Binding& binding,
                 ByteView plaintext, crypto::Random& random);

// The plaintext. Errors as ObjectHeader::Decode, and
//         kAuthFailed     another key, store, name or extra, or changed bytes
Result<Bytes> OpenObject(const DomainKeys& keys, ObjectKind kind, const Binding& binding, ByteView untrusted);

// For segments, whose nodes are sealed one by one under one object key (docs/format.md 5).
Digest ObjectHash(const DomainKeys& keys, const ObjectHeader& header, const Binding& binding,
                  ByteView determines);
Key ObjectKey(const DomainKeys& keys, const ObjectHeader& header);
Bytes EncodeBinding(const Binding& binding);

}  // namespace holdfast::seal

#endif  // HOLDFAST_CORE_SEAL_OBJECT_H_
