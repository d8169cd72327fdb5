#include "core/store/tails.h"

#include <algorithm>

#include "base/codec.h"
#include "core/store/verify.h"
#include "crypto/hash.h"

namespace holdfast::store {
namespace {

// One that merely lacks frames is behind, which a crash or a slow provider explains.
void AddFindingsOf(const journal::Chain& chain, const journal::Chain& adopted, size_t copy, Reading& r) {
  std::vector<Finding> said;
  AddJournalFindings(chain, false, said);
  for (Finding& f : said) {
    bool torn = f.kind == Finding::Kind::kChanged && f.code == Code::kTorn;
    if (f.kind == Finding::Kind::kMissing || torn) continue;
    f.provider = static_cast<int>(copy);
    r.findings.push_back(std::move(f));
  }
  if (chain.end.index >= adopted.end.index) return;
  r.findings.push_back({Finding::Kind::kBehind, "journal", Code::kMissing,
                        "ends at index " + std::to_string(chain.end.index.value) + " of " +
                            std::to_string(adopted.end.index.value),
                        static_cast<int>(copy)});
}

// Below the first frame that is needed a file holds frames that nobody reads any more. They are to be alike
// all the same, or verify would name them: as most providers have them.
seam::Piece Below(seam::Copies& copies, size_t adopted, const journal::Chain::Link& first) {
  std::map<Digest, size_t> seen;
  std::optional<Digest> of_adopted;
  for (size_t i = 0; i < copies.count(); ++i) {
    auto bytes = copies.copy(i).GetRange(first.object, 0, first.offset);
    if (!bytes || bytes->size() != first.offset) continue;
    Digest digest = crypto::Sha256(bytes->parse());
    ++seen[digest];
    if (i == adopted) of_adopted = digest;
  }
  auto most = std::max_element(seen.begin(), seen.end(),
                               [](const auto& a, const auto& b) { return a.second < b.second; });
  if (most == seen.end()) return {first.offset, Digest{}};
  bool as_many = of_adopted && seen[*of_adopted] == most->second;
  return {first.offset, as_many ? *of_adopted : most->first};
}

void AddChain(seam::Copies& copies, size_t adopted, const journal::Chain& chain, seam::Catalogue& catalogue) {
  for (const journal::Chain::Link& link : chain.links) {
    seam::Pieces& pieces = catalogue[link.object];
    if (pieces.empty() && link.offset > 0) pieces.push_back(Below(copies, adopted, link));
    pieces.push_back({link.length, link.position.digest});
  }
}

}  // namespace

Bytes EncodeQuorum(seam::Quorum quorum) {
  Bytes out;
  Writer(out).U32(quorum.providers).U32(quorum.write);
  return out;
}

Result<seam::Quorum> DecodeQuorum(ByteView untrusted) {
  Reader r(untrusted);
  seam::Quorum q;
  q.providers = r.U32();
  q.write = r.U32();
  if (!r.Finish() || !q.valid() || q.providers > limits::kProvidersMax) return Code::kMalformed;
  return q;
}

Result<seam::Quorum> ReadQuorum(seam::Storage& storage, const VersionPtr& version) {
  NodeCache cache(1u << 20);
  VersionNodes nodes(storage, version, cache);
  View view{version, nullptr, std::make_shared<tree::Overlay>(), version->manifest.root.position.index};
  HF_TRY(std::optional<Bytes> row, ViewGet(view, kSystemTable, AsBytes(kQuorumRow), nodes));
  if (!row) return seam::Quorum();
  return DecodeQuorum(*row);
}

Status ReadTails(seam::Storage& storage, const seal::Keyring& keyring, seam::Quorum quorum, Reading& r) {
  seam::Copies& copies = *storage.copies();
  r.chain_options.whole_objects = !storage.capabilities().append;
  std::vector<journal::Chain> chains;
  std::vector<size_t> whose;
  for (size_t i = 0; i < copies.count(); ++i) {
    auto chain = journal::ReadChain(copies.copy(i), keyring, r.secrets.keys.chain, r.chain_options);
    if (!chain) {
      r.findings.push_back({Finding::Kind::kBehind, "journal", chain.code(),
                            std::string(CodeText(chain.code())), static_cast<int>(i)});
      continue;
    }
    chains.push_back(std::move(chain).value());
    whose.push_back(i);
  }
  const size_t answering = chains.size();
  if (answering < quorum.read()) return Code::kNoQuorum;
  auto adopted = journal::AdoptTail(chains, r.chain_options.known_durable, quorum.read());
  if (!adopted && (adopted.code() == Code::kTampered || adopted.code() == Code::kMissing)) {
    // What one lacks or has bad, another may have whole (B2).
    std::vector<seam::Storage*> those;
    for (size_t i : whose) those.push_back(&copies.copy(i));
    HF_TRY(journal::Chain together,
           journal::ReadAssembled(those, keyring, r.secrets.keys.chain, r.chain_options));
    chains.push_back(std::move(together));
    whose.push_back(whose.front());
    adopted = journal::AdoptTail(chains, r.chain_options.known_durable, quorum.read());
  }
  if (!adopted && adopted.code() == Code::kForked) AddForkFinding(chains, r.findings);
  size_t best = adopted ? *adopted : 0;
  for (size_t i = 0; i < answering; ++i) AddFindingsOf(chains[i], chains[best], whose[i], r);
  HF_TRY_VOID(std::move(adopted));
  for (const journal::Chain& c : chains) {
    chains[best].highest_term = std::max(chains[best].highest_term, c.highest_term);
    chains[best].highest_number = std::max(chains[best].highest_number, c.highest_number);
  }
  r.chain_copy = whose[best];
  r.chain = std::move(chains[best]);
  return Ok();
}

Result<seam::Catalogue> CatalogueOf(seam::Storage& storage, Reading& r) {
  seam::Catalogue catalogue;
  catalogue[std::string(seal::kUnlockersName)] = {
      {r.secrets.unlockers.size(), crypto::Sha256(r.secrets.unlockers)}};
  for (const Slot& slot : r.slots.slot) {
    if (slot.kind == Slot::Kind::kValid) catalogue.insert(slot.files.begin(), slot.files.end());
  }
  Expected expected = ExpectedObjects(r.slots);
  for (const auto& [name, segment] : expected.segments) {
    if (expected.required.contains(name)) catalogue[name] = {{segment->size, segment->sha256}};
  }
  HF_TRY_VOID(ReadOlder(storage, r));
  bool whole = r.older_chain && !r.older_chain->tampered && r.older_chain->end.chain == r.chain.end.chain;
  AddChain(*storage.copies(), r.chain_copy, whole ? *r.older_chain : r.chain, catalogue);
  return catalogue;
}

}  // namespace holdfast::store
