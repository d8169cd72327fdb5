#include "core/store/verify.h"

namespace holdfast::store {
namespace {

constexpr std::string_view kNumberFile = "state-save-number";
constexpr std::string_view kSlotFiles[5] = {"core-enclave", "core-enclave.recovery-key-shares", "key-enclave",
                                            "key-enclave.recovery-key-shares", "server-state"};

Status CopyObject(seam::Storage& from, seam::Storage& to, const std::string& name) {
  HF_TRY(UntrustedBytes bytes, from.Get(name));
  return to.Put(name, bytes.parse());
}

// The accepted frames of one object, from its first byte on.
struct JournalObject {
  std::string name;
  uint64_t end = 0;
  std::vector<const journal::Chain::Link*> links;
};

std::vector<JournalObject> AcceptedObjects(const journal::Chain& chain) {
  std::vector<JournalObject> objects;
  for (const journal::Chain::Link& link : chain.links) {
    if (objects.empty() || objects.back().name != link.object) objects.push_back({link.object, 0, {}});
    objects.back().end = link.offset + link.length;
    objects.back().links.push_back(&link);
  }
  return objects;
}

// A frame's name is bound to its number, not to where it lies: files can become one object per frame and the
// reverse.
Status CopyJournal(seam::Storage& from, seam::Storage& to, const Reading& r) {
  bool append = to.capabilities().append;
  // From the older slot on: in the copy too either slot alone is loadable.
  for (const JournalObject& object : AcceptedObjects(r.older_chain ? *r.older_chain : r.chain)) {
    if (append) {
      HF_TRY(UntrustedBytes bytes, from.GetRange(object.name, 0, object.end));
      HF_TRY_VOID(to.CreateAppendable(object.name, 0, bytes.parse()));
      continue;
    }
    for (const journal::Chain::Link* link : object.links) {
      HF_TRY(UntrustedBytes bytes, from.GetRange(object.name, link->offset, link->length));
      HF_TRY_VOID(to.PutIfAbsent(journal::FrameName(r.chain_options.id.member, link->position.number),
                                 bytes.parse()));
    }
  }
  return Ok();
}

Status CopySlots(seam::Storage& from, seam::Storage& to, const Reading& r) {
  for (int slot : {0, 1}) {
    if (r.slots.slot[slot].kind != Slot::Kind::kValid) continue;
    for (std::string_view f : kSlotFiles) HF_TRY_VOID(CopyObject(from, to, SlotName(slot, f)));
  }
  HF_TRY_VOID(to.Barrier());
  for (int slot : {0, 1}) {
    if (r.slots.slot[slot].kind == Slot::Kind::kValid)
      HF_TRY_VOID(CopyObject(from, to, SlotName(slot, kNumberFile)));
  }
  return to.Barrier();
}

}  // namespace

Result<VerifyReport> RestoreStore(seam::Storage& from, seam::Storage& to, ByteView passphrase,
                                  const VerifyOptions& options) {
  HF_TRY(seam::Listing listing, to.List("", "", 1));
  if (!listing.objects.empty()) return Code::kNotEmpty;
  Reading r;
  HF_TRY(VerifyReport source, VerifyAndKeep(from, passphrase, options, r));
  if (source.verdict) return source;

  HF_TRY_VOID(to.Put(seal::kUnlockersName, r.secrets.unlockers));
  Expected expected = ExpectedObjects(r.slots);
  for (const auto& [name, group] : expected.groups) {
    if (expected.required.contains(name)) HF_TRY_VOID(CopyObject(from, to, name));
  }
  for (const auto& [name, segment] : expected.segments) {
    Status copied = CopyObject(from, to, name);
    if (!copied && copied.code() == Code::kNotFound && !expected.required.contains(name)) continue;
    HF_TRY_VOID(std::move(copied));
  }
  HF_TRY_VOID(CopyJournal(from, to, r));
  HF_TRY_VOID(to.Barrier());
  HF_TRY_VOID(CopySlots(from, to, r));
  return VerifyStore(to, passphrase, options);
}

}  // namespace holdfast::store
