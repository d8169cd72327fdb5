// What the core may ask of storage it does not trust. One interface for every place that can keep bytes:
// host providers (host/kv), the simulator's disk (sim), and the core's side of the channel (core/runtime),
// which turns each call into one StorageRequest and waits for its StorageReply.
//
// Names are relative ("segments/0A…", "enclave-state/0/core-enclave"); '/' separates, every part is
// [A-Za-z0-9._-]+ and neither "." nor "..". A name is an object (whole bytes) or an appendable (journal
// file).
//
// Durability: Put, PutIfAbsent, PutIfVersion and Delete are durable only after a later Barrier() returned Ok.
//             CreateAppendable, Append and Trim are durable when they return Ok.
// Ordering:   what had returned, on any thread, when Barrier() was called is durable after it; nothing else
//             is promised.
// Failure:    kFull abandons the object that was being written and nothing else (the name may hold a part of
// it:
//             it must be written again or deleted). After any other failed write or barrier the provider is
//             kPoisoned for every later write until it is reopened (rule I1); reads go on.
// Thread-safe. Blocking. Bytes that come back are untrusted.
#ifndef HOLDFAST_SEAM_STORAGE_H_
#define HOLDFAST_SEAM_STORAGE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/untrusted.h"

namespace holdfast::seam {

struct Capabilities {
  bool append = false;           // CreateAppendable, Append, Trim
  bool conditional_put = false;  // PutIfVersion; it and PutIfAbsent hold between openers too
  bool exclusive = false;        // opening took a lock that no second opener gets
  bool strong_listing = true;    // a finished put is in the next List
  bool read_only = false;
  uint64_t value_bytes_preferred = 16u << 20;
  uint64_t value_bytes_max = UINT64_MAX;  // larger objects are stored in parts (rule A3)
  friend bool operator==(const Capabilities&, const Capabilities&) = default;
};

// No lock keeps a second opener out, but conditions tell openers apart (rules C2, C3). Not of appendables,
// which take no condition.
constexpr bool FencesByCondition(const Capabilities& c) {
  return !c.exclusive && c.conditional_put && c.strong_listing && !c.append && !c.read_only;
}

// Nothing tells two writers apart, unless somebody gave his word that there is one: no conditions hold.
constexpr bool WritersMayMeet(const Capabilities& c) { return !c.conditional_put && !c.append; }

struct ObjectInfo {
  std::string name;
  uint64_t size_bytes = 0;
  friend bool operator==(const ObjectInfo&, const ObjectInfo&) = default;
};

// One page of a listing: names in ascending byte order, strictly greater than the `after` asked for.
struct Listing {
  std::vector<ObjectInfo> objects;
  bool complete = true;  // false: ask again with after = objects.back().name
};

// Identifies one written state of an object; opaque. Empty = the object does not exist.
using ObjectVersion = std::string;
struct VersionedBytes {
  UntrustedBytes bytes;
  ObjectVersion version;
};

inline constexpr size_t kListPageMax = 1000;
inline constexpr uint64_t kListedBytesMax = 64u << 20;  // of a whole listing in memory: 500,000 objects or so
inline constexpr uint64_t kSmallRangeMax = 1u << 20;    // what providers may keep a descriptor open for
inline constexpr uint64_t kGetBytesMax = 256u << 20;    // so that a stranger's file cannot take all memory

class Copies;  // seam/copies.h

class Storage {
 public:
  virtual ~Storage() = default;
  virtual Capabilities capabilities() const = 0;
  virtual Copies* copies() { return nullptr; }  // not null: it stands for several providers

  // The whole object. kNotFound; kTooLarge beyond 256 MiB.
  virtual Result<UntrustedBytes> Get(std::string_view name) = 0;
  // Bytes [offset, offset + length), fewer where the object ends. kNotFound. Works on appendables too. One
  // that was removed or replaced past us may for a while be read as it was by ranges up to kSmallRangeMax,
  // and by those alone.
  virtual Result<UntrustedBytes> GetRange(std::string_view name, uint64_t offset, uint64_t length) = 0;
  // The same into bytes of the caller's, who may use them again: where a provider can, it takes no memory.
  // What they hold after an error is not said.
  virtual Status GetRangeInto(std::string_view name, uint64_t offset, uint64_t length, UntrustedBytes& out) {
    HF_TRY(out, GetRange(name, offset, length));
    return Ok();
  }
  // kNotFound; kUnsupported without the capability.
  virtual Result<VersionedBytes> GetVersioned(std::string_view name) = 0;

  virtual Status Put(std::string_view name, ByteView bytes) = 0;          // creates or replaces
  virtual Status PutIfAbsent(std::string_view name, ByteView bytes) = 0;  // kExists; nothing changed
  // Replaces only `expected` (empty = must not exist). kVersionMismatch: nothing changed. Returns the new
  // version.
  virtual Result<ObjectVersion> PutIfVersion(std::string_view name, ByteView bytes,
                                             const ObjectVersion& expected) = 0;
  virtual Status Delete(std::string_view name) = 0;  // deleting what is absent is Ok

  // Objects and appendables whose name begins with `prefix`, after `after`; at most min(limit, kListPageMax).
  // Names that break the naming rule are listed as they are, so that verify can name them; limit 0 is
  // refused.
  virtual Result<Listing> List(std::string_view prefix, std::string_view after, size_t limit) = 0;

  virtual Status Barrier() = 0;

  // A new appendable that holds `first`; `reserve_bytes` is preallocated (reads as zeros, counts in
  // size_bytes). kExists: nothing changed.
  virtual Status CreateAppendable(std::string_view name, uint64_t reserve_bytes, ByteView first) = 0;
  // Writes at `offset`, the end of what was appended so far (a multiple of 512, to which an odd
  // end is rounded up); kInvalidArgument elsewhere. Past the reserve the appendable grows. kNotFound.
  virtual Status Append(std::string_view name, uint64_t offset, ByteView bytes) = 0;
  // Cuts to `size_bytes`, at most what it holds (else kInvalidArgument). kNotFound.
  virtual Status Trim(std::string_view name, uint64_t size_bytes) = 0;
};

// All objects below `prefix`, page by page, in ascending order, whatever the provider says.
//   errors  kMalformed: a name out of order or without the prefix; kTooLarge: kListedBytesMax
Result<std::vector<ObjectInfo>> ListAll(Storage& storage, std::string_view prefix);

// The naming rule above; a name that fails it is refused with kInvalidArgument by every implementation.
bool ValidName(std::string_view name);

}  // namespace holdfast::seam

#endif  // HOLDFAST_SEAM_STORAGE_H_
