#include "base/codec.h"
#include "core/store/offline.h"
#include "core/store/opener.h"
#include "core/store/tails.h"

namespace holdfast::store {
namespace {

// The first table definitions: the three system tables, with keys drawn here and carried by the log (D1).
journal::Entry CreateSystemTable(const TableId& id, crypto::Random& random) {
  kernel::CreateTable command{id, Epoch(1), random.NewKey(), tree::Descriptor{}.Encode()};
  return {journal::EntryKind::kCreateTable, Term(), kernel::Encode(command)};
}

journal::Entry SystemRows(const std::vector<std::pair<std::string, Bytes>>& rows) {
  kernel::Batch batch;
  for (const auto& [key, value] : rows) {
    batch.operations.push_back({kernel::OperationKind::kPut, kSystemTable, ToBytes(key), value, {}});
  }
  return {journal::EntryKind::kBatch, Term(), kernel::Encode(batch)};
}

journal::Entry SavePointEntry() {
  return {journal::EntryKind::kSavePoint, Term(), kernel::Encode(kernel::SavePoint{})};
}

}  // namespace

Result<InitResult> InitStore(seam::Storage& storage, const StoreId& store, ByteView passphrase,
                             const InitOptions& options, crypto::Random& random) {
  HF_TRY(seam::Listing listing, storage.List("", "", 1));
  if (!listing.objects.empty()) return Code::kNotEmpty;
  seam::Copies* copies = storage.copies();
  if (copies != nullptr) copies->Adopt({}, {});

  Secrets secrets{store, random.NewKey(), {}, {}};
  secrets.keys = seal::StoreKeys::Derive(secrets.master, store);
  HF_TRY(secrets.unlockers, seal::MakeUnlockers(store, secrets.master, passphrase, options.argon, random));

  Manifest empty;
  empty.store = empty.root.store = store;
  empty.member = random.NewId<MemberId>();
  empty.save = SaveNumber(UINT64_MAX);  // before save 0
  seal::Keyring keyring = seal::Keyring::Create(random);
  HF_TRY(VersionPtr version, MakeVersion(empty, keyring, secrets));
  NodeCache cache(1u << 20);
  VersionNodes nodes(storage, version, cache);
  HF_TRY(std::unique_ptr<State> state, State::Open(version, std::move(keyring), secrets, nodes));

  if (seam::FencesByCondition(storage.capabilities())) {  // two may have found it empty
    Status first = storage.PutIfAbsent(seal::kUnlockersName, secrets.unlockers);
    if (!first) return first.code() == Code::kExists ? Error(Code::kNotEmpty) : first.error();
  } else {
    HF_TRY_VOID(storage.Put(seal::kUnlockersName, secrets.unlockers));
  }
  HF_TRY_VOID(storage.Barrier());
  Opener opener;
  std::vector<journal::Entry> log;
  for (const TableId& id : {kHeadsTable, kSystemTable, kSessionsTable})
    log.push_back(CreateSystemTable(id, random));
  log.push_back(SystemRows(options.system_rows));
  if (copies != nullptr)
    log.push_back(SystemRows({{std::string(kQuorumRow), EncodeQuorum(copies->quorum())}}));
  log.push_back(SavePointEntry());
  std::set<std::string> deleted;
  std::vector<std::string> leftovers;
  CacheNodes reading(cache);
  NoWorkers alone;
  for (const journal::Entry& entry : log) {
    HF_TRY(State::Prepared prepared, state->Prepare(entry, nodes));
    Outcome done =
        state->Commit(prepared, journal::Extend(secrets.keys.chain, state->position(), entry), nullptr);
    if (!done.ok()) return done.code;
    if (state->saving() == nullptr) continue;
    std::vector<Bytes> memory;
    HF_TRY(version, RunSave({storage,
                             secrets,
                             random,
                             reading,
                             alone,
                             *state->saving(),
                             {},
                             deleted,
                             leftovers,
                             memory,
                             opener}));
    state->SaveDone(version);
  }
  // Save 1 is save 0 once more, not a later point of the log: there is no journal yet that would lead from
  // one to the other, and either slot alone must be loadable.
  Manifest again = version->manifest;
  again.save = again.save.next();
  HF_TRY_VOID(WriteSlot(storage, again, state->keyring(), secrets, opener, random, leftovers));
  const journal::LogPosition& at = state->position();
  seal::Anchor anchor{store, at.term, at.index, at.chain, again.save};
  return InitResult{store, empty.member, anchor, anchor.Encode(secrets.keys.anchor)};
}

Status ChangeUnlockers(seam::Storage& storage, seam::Storage* anchor, ByteView passphrase,
                       const seal::UnlockerChange& change, const crypto::Argon2Parameters& argon,
                       crypto::Random& random) {
  HF_TRY(std::unique_ptr<OpenedStore> s, OpenStore(storage, anchor, passphrase, {}, random, nullptr));
  HF_TRY(s->secrets.unlockers,
         seal::ChangeUnlockers(s->secrets.unlockers, passphrase, change, argon, random));
  NodeCache cache(16u << 20);
  // Twice, so that the copies in both slots are of the new record.
  for (int i = 0; i < 2; ++i) {
    HF_TRY_VOID(
        AppendInline(storage, anchor, *s, journal::FrameKind::kWave, {SavePointEntry()}, cache, random));
  }
  HF_TRY_VOID(storage.Put(seal::kUnlockersName, s->secrets.unlockers));
  HF_TRY_VOID(storage.Barrier());
  return CloseInline(storage, anchor, *s, cache, random);
}

Result<std::vector<std::pair<std::string, Bytes>>> ReadSystemRows(seam::Storage& storage, ByteView passphrase,
                                                                  std::string_view prefix) {
  Reading r;
  HF_TRY_VOID(ReadStore(storage, passphrase, {}, false, r));
  NodeCache cache(16u << 20);
  HF_TRY(std::unique_ptr<State> state, ReplayReadOnly(storage, r, cache));
  VersionNodes nodes(storage, r.version, cache);
  View view = state->CurrentView();
  tree::MergedCursor cursor = view.Scan(kSystemTable);
  cursor.SeekTo(AsBytes(prefix));
  std::vector<std::pair<std::string, Bytes>> rows;
  for (;;) {
    HF_TRY(auto row, Drive(nodes, [&] { return cursor.Next(nodes); }));
    if (!row || !AsText(row->key).starts_with(prefix)) return rows;
    HF_TRY(Bytes value, RowValue(view, kSystemTable, *row, nodes));
    rows.emplace_back(ToText(row->key), std::move(value));
  }
}

Status WriteSystemRows(seam::Storage& storage, seam::Storage* anchor, ByteView passphrase,
                       const std::vector<std::pair<std::string, Bytes>>& rows, crypto::Random& random,
                       std::optional<seam::Quorum> quorum) {
  OpenOptions options;
  options.quorum = quorum;
  HF_TRY(std::unique_ptr<OpenedStore> s, OpenStore(storage, anchor, passphrase, options, random, nullptr));
  NodeCache cache(16u << 20);
  std::vector<journal::Entry> entries;
  if (!rows.empty()) entries.push_back(SystemRows(rows));
  if (quorum) {
    HF_TRY(seam::Quorum before, ReadQuorum(storage, s->state->CurrentView().base));
    if (before == *quorum) quorum.reset();
  }
  if (quorum) {
    if (seam::Copies* copies = storage.copies()) {
      for (const seam::CopyState& c : copies->States()) {
        if (!c.current) return Code::kNoQuorum;
      }
    }
    entries.push_back(SystemRows({{std::string(kQuorumRow), EncodeQuorum(*quorum)}}));
  }
  if (!entries.empty())
    HF_TRY_VOID(AppendInline(storage, anchor, *s, journal::FrameKind::kWave, entries, cache, random));
  // Openings look for the row in a save: both slots get it.
  for (int i = 0; i < 2 && quorum; ++i) {
    HF_TRY_VOID(
        AppendInline(storage, anchor, *s, journal::FrameKind::kWave, {SavePointEntry()}, cache, random));
  }
  return CloseInline(storage, anchor, *s, cache, random);
}

}  // namespace holdfast::store
