// The manifest in parts: its segments' entries lie in *groups*, sealed objects of their own, so that a save
// writes those that changed and a head that lists them. Source: docs/format.md 8; rule D6;
// docs/decisions/0023.
//
//   enclave-state/0/core-enclave ──lists──> manifest/A  manifest/B           each slot has groups of its own:
//   enclave-state/1/core-enclave ──lists──> manifest/C  manifest/D           one bad object costs one slot
//
// Each head also lists the groups of the other slot: the next save writes that slot and goes on using what is
// as it was. What it replaces it lists once more, as of no slot, and deletes once it is durable.
#ifndef HOLDFAST_CORE_STORE_GROUPS_H_
#define HOLDFAST_CORE_STORE_GROUPS_H_

#include "core/store/secrets.h"

namespace holdfast::store {

// A group is closed at either; one segment with very many spans is a group of its own.
inline constexpr size_t kGroupSegmentsMax = 64;
inline constexpr size_t kGroupBytesMax = 128u << 10;

// The text of a group. Spans name tags by their place in a list of the group's own: a tag that comes or goes
// elsewhere does not change it.
Bytes EncodeGroup(Segments::const_iterator first, size_t segments);
// Ascending. kMalformed, also if a span names a tag that is not in `line`.
Result<std::vector<Segment>> DecodeGroup(ByteView untrusted, const TagLine& line);

// Puts what changed since the slot of `manifest.save` was written last; manifest.groups is then what the head
// has to list. The names it puts, or tries to, come into `names`. The caller owes a barrier before the head.
// Two neighbours of which one changed are joined if they fit: there are at most two groups, and one, for
// kGroupSegmentsMax segments, however they come and go.
//   kTooLarge  more than limits::kManifestBytesMax, or limits::kManifestGroupsMax
Status WriteGroups(seam::Storage& storage, Manifest& manifest, const Secrets& secrets, Term opener,
                   crypto::Random& random, std::vector<std::string>& names);

// Reads the groups of the slot of `manifest.save` into manifest.segments. `bad` is the object that is not as
// the head says, if there is one: kMissing, kTampered, and of seal::OpenObject; else an error is the
// storage's.
Status ReadGroups(seam::Storage& storage, Manifest& manifest, const Secrets& secrets, std::string& bad);

// What the head of the newest slot says of the other slot's groups, made true: only what that slot lists can
// be used again, and what it lists in vain, or alone, is to be deleted. `other` is null where it is not
// valid.
void ReconcileGroups(Manifest& newest, const Manifest* other);

}  // namespace holdfast::store

#endif  // HOLDFAST_CORE_STORE_GROUPS_H_
