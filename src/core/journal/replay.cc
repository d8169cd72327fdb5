#include "core/journal/recovery.h"
#include "crypto/hash.h"
#include "seam/copies.h"

namespace holdfast::journal {

Status Replay(seam::Storage& storage, const seal::Keyring& keyring, const Key& chain_key,
              const ReadOptions& options, const Chain& chain, const EntryVisitor& visit) {
  LogPosition at = options.start.position;
  for (const Chain::Link& link : chain.links) {
    Frame frame;
    // Storage may answer differently from when the chain was read: what was verified then is what counts.
    HF_TRY_VOID(seam::ReadAccepted(storage, link.object, link.offset, link.length,
                                   [&](UntrustedBytes bytes) -> Status {
                                     if (crypto::Sha256(bytes.parse()) != link.position.digest)
                                       return Code::kTampered;
                                     HF_TRY(frame, OpenFrame(options.id, keyring, bytes.parse()));
                                     return Ok();
                                   }));
    LogIndex index(frame.first_index.value - 1);
    for (const Entry& e : frame.entries) {
      index = index.next();
      if (index <= options.start.position.index) continue;  // in the root already
      if (index != at.index.next()) return Code::kTampered;
      at = Extend(chain_key, at, e);
      HF_TRY_VOID(visit(e, at, link.position));
    }
  }
  return at.chain == chain.end.chain ? Ok() : Status(Code::kTampered);
}

}  // namespace holdfast::journal
