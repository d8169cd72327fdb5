#include <algorithm>

#include "core/store/opener.h"
#include "core/store/tails.h"

namespace holdfast::store {

Result<ProvidersReport> InspectProviders(seam::Storage& storage, ByteView passphrase) {
  seam::Copies* copies = storage.copies();
  std::vector<Finding> ignored;
  HF_TRY(Secrets secrets, UnlockStore(storage, passphrase, ignored));
  ProvidersReport report;
  size_t count = copies != nullptr ? copies->count() : 1;
  report.quorum.providers = 0;
  for (size_t i = 0; i < count; ++i) {
    seam::Storage& one = copies != nullptr ? copies->copy(i) : storage;
    Reading r;
    r.secrets = {secrets.store, secrets.master.Clone(),
                 seal::StoreKeys::Derive(secrets.master, secrets.store), secrets.unlockers};
    r.chain_options.whole_objects = !storage.capabilities().append;
    Status read = ReadUnlocked(one, {}, false, r);
    ProviderReport p;
    p.answers = read || CodeExit(read.code()) == 3;
    if (!read) p.why = read.code();
    if (r.version != nullptr) {
      p.save = r.slots.manifest().save;
      p.index = r.chain.end.index;
      auto quorum = ReadQuorum(one, r.version);
      if (quorum && report.quorum.providers == 0) report.quorum = *quorum;
    }
    report.providers.push_back(p);
  }
  if (report.quorum.providers == 0) return Code::kNoQuorum;
  auto most = std::max_element(report.providers.begin(), report.providers.end(),
                               [](const auto& a, const auto& b) { return a.index < b.index; });
  for (ProviderReport& p : report.providers) p.behind = p.index < most->index || p.save < most->save;
  return report;
}

Result<std::vector<seam::CopyState>> RepairProviders(seam::Storage& storage, seam::Storage* anchor,
                                                     ByteView passphrase, crypto::Random& random,
                                                     uint64_t& bad) {
  seam::Copies* copies = storage.copies();
  if (copies == nullptr) return Code::kUnsupported;
  HF_TRY(std::unique_ptr<OpenedStore> s, OpenStore(storage, anchor, passphrase, {}, random, nullptr));
  bad = copies->Scrub([](size_t, uint64_t) { return true; });
  copies->CatchUp(limits::kProviderOpeningMs);
  std::vector<seam::CopyState> states = copies->States();
  NodeCache cache(16u << 20);
  HF_TRY_VOID(CloseInline(storage, anchor, *s, cache, random));
  copies->CatchUp(limits::kProviderOpeningMs);
  return states;
}

}  // namespace holdfast::store
