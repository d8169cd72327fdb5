// Opening a store that lies on several providers: who is asked, whose journal is gone on with, and what is to
// lie on all of them from then on. Source: design 3 (modes), rules A3, B2, C2, C4.
//
// The store itself says how many providers there are and how many must hold a write (a row of its system
// table, so that no configuration can make less count). What one provider lacks another may have: chains are
// judged together (journal::AdoptTail).
#ifndef HOLDFAST_CORE_STORE_TAILS_H_
#define HOLDFAST_CORE_STORE_TAILS_H_

#include "core/store/opener.h"
#include "seam/copies.h"

namespace holdfast::store {

// The row: [u32 providers][u32 write]. Absent: one provider.
inline constexpr std::string_view kQuorumRow = "store/quorum";
Bytes EncodeQuorum(seam::Quorum quorum);
Result<seam::Quorum> DecodeQuorum(ByteView untrusted);  // kMalformed

// As the newest save has it.
Result<seam::Quorum> ReadQuorum(seam::Storage& storage, const VersionPtr& version);

// Reads every provider's journal from r.chain_options on, and adopts. Sets r.chain, with the highest number
// and term used anywhere, and r.chain_copy.
//   kNoQuorum  fewer than quorum.read() answer
//   and of AdoptTail; findings say what is wrong with whom, and who is behind
Status ReadTails(seam::Storage& storage, const seal::Keyring& keyring, seam::Quorum quorum, Reading& r);

// What is to lie on every provider: the unlockers' record, the slots, the segments that either of them needs,
// and the journal from the older slot on.
Result<seam::Catalogue> CatalogueOf(seam::Storage& storage, Reading& r);

}  // namespace holdfast::store

#endif  // HOLDFAST_CORE_STORE_TAILS_H_
