#include "core/store/opener.h"

#include <algorithm>

#include "core/store/election.h"
#include "core/store/reserve.h"
#include "core/store/rows.h"
#include "core/store/tails.h"

namespace holdfast::store {
namespace {

// The chain value that the opened store has at the anchor's index, if it has that index.
Result<std::optional<journal::LogPosition>> PositionAt(seam::Storage& storage, const Reading& r,
                                                       LogIndex index) {
  const journal::LogPosition& root = r.slots.manifest().root.position;
  if (index == root.index) return std::optional(root);
  if (index < root.index) {
    NodeCache cache(1u << 20);
    VersionNodes nodes(storage, r.version, cache);
    View view{r.version, nullptr, std::make_shared<tree::Overlay>(), root.index};
    HF_TRY(std::optional<Bytes> row, ViewGet(view, kHeadsTable, HeadsKey(index), nodes));
    if (!row) return std::optional<journal::LogPosition>();
    HF_TRY(HeadRow head, HeadRow::Decode(*row));
    journal::LogPosition at;
    at.index = index;
    at.term = head.term;
    at.chain = head.chain;
    return std::optional(at);
  }
  std::optional<journal::LogPosition> found;
  HF_TRY_VOID(journal::Replay(
      storage, r.slots.slot[r.slots.newest].keyring, r.secrets.keys.chain, r.chain_options, r.chain,
      [&](const journal::Entry&, const journal::LogPosition& at, const journal::FramePosition&) {
        if (at.index == index) found = at;
        return Ok();
      }));
  return found;
}

// Proves that what is here descends from the anchor (F1).
Status ProveFreshness(seam::Storage& storage, const AnchorInput& input, Reading& r) {
  if (!r.anchor) return Ok();
  const seal::AnchorClaim& a = *r.anchor;
  if (a.save > r.slots.manifest().save) {
    // The anchor was written when that save was durable, and nothing tears it before the next one is: a slot
    // was put back or taken away. The journal makes up for it.
    r.findings.push_back({Finding::Kind::kStale, std::string(kSlotsPrefix), Code::kRolledBack,
                          "the anchor knows of save " + std::to_string(a.save.value) +
                              ", the newest slot holds " + std::to_string(r.slots.manifest().save.value)});
  }
  if (a.index > r.chain.end.index) {
    bool torn = false;
    for (Finding& f : r.findings) {  // what looked torn is below the anchor: no crash excuses it (B2)
      if (f.kind != Finding::Kind::kTorn || !f.object.starts_with("members/")) continue;
      f.kind = Finding::Kind::kChanged;
      f.code = Code::kTampered;
      torn = true;
    }
    r.findings.push_back({Finding::Kind::kStale, input.name, Code::kRolledBack,
                          "the anchor is at index " + std::to_string(a.index.value) +
                              ", the store ends at index " + std::to_string(r.chain.end.index.value)});
    return torn ? Code::kTampered : Code::kRolledBack;
  }
  HF_TRY(std::optional<journal::LogPosition> at, PositionAt(storage, r, a.index));
  if (!at || !a.Names(r.secrets.keys.anchor, r.secrets.store, at->term, at->chain)) {
    r.findings.push_back({Finding::Kind::kStale, input.name, Code::kForked,
                          "the store has another history at index " + std::to_string(a.index.value)});
    return Code::kForked;
  }
  r.freshness = {true, a.index, input.name};
  return Ok();
}

Status DecodeAnchor(const AnchorInput& input, Reading& r) {
  if (!input.encoded) return Ok();
  auto anchor = seal::AnchorClaim::Read(r.secrets.keys.anchor, r.secrets.store, *input.encoded);
  if (!anchor) {
    bool mistyped = anchor.code() == Code::kChecksum;
    r.findings.push_back({Finding::Kind::kChanged, input.name, anchor.code(),
                          mistyped ? "the anchor was mistyped" : "the anchor is not this store's"});
    return anchor.error();
  }
  r.anchor = *anchor;
  return Ok();
}

}  // namespace

void AddJournalFindings(const journal::Chain& chain, bool leftovers, std::vector<Finding>& findings) {
  using In = journal::Finding::Kind;
  using Out = Finding::Kind;
  for (const journal::Finding& f : chain.findings) {
    Out kind = Out::kNote;
    switch (f.kind) {
      case In::kTorn:
        kind = Out::kTorn;
        break;
      case In::kAbandoned:
      case In::kLeftover:
        kind = Out::kLeftover;
        break;
      case In::kTampered:
        kind = Out::kChanged;
        break;
      case In::kMissing:
        kind = Out::kMissing;
        break;
      case In::kAlien:
        kind = Out::kExtra;
        break;
    }
    if (kind == Out::kLeftover && f.kind == In::kLeftover && !leftovers) continue;
    bool known = std::any_of(findings.begin(), findings.end(), [&](const Finding& k) {
      return k.object == f.object && (k.kind == kind || (k.kind == Out::kChanged && kind == Out::kTorn));
    });
    if (!known) findings.push_back({kind, f.object, f.code, std::string(CodeText(f.code))});
  }
}

void AddForkFinding(const std::vector<journal::Chain>& chains, std::vector<Finding>& findings) {
  std::optional<journal::Fork> fork = journal::ForkOf(chains);
  if (!fork) return;
  std::string said = "two histories after index " + std::to_string(fork->after.value);
  for (const journal::Head& head : fork->heads) {
    said += std::string(&head == fork->heads ? ": one" : "; the other") + " ends at term " +
            std::to_string(head.term.value) + ", index " + std::to_string(head.index.value) + ", chain " +
            HexUpper(head.chain).substr(0, 16);
  }
  findings.push_back({Finding::Kind::kStale, "journal", Code::kForked, said});
}

Status ReadStore(seam::Storage& storage, ByteView passphrase, const AnchorInput& anchor, bool discard_tail,
                 Reading& r) {
  HF_TRY(r.secrets, UnlockStore(storage, passphrase, r.findings));
  return ReadUnlocked(storage, anchor, discard_tail, r);
}

Status ReadUnlocked(seam::Storage& storage, const AnchorInput& anchor, bool discard_tail, Reading& r) {
  HF_TRY(r.slots, ReadSlots(storage, r.secrets, r.findings));
  const Manifest& m = r.slots.manifest();
  const seal::Keyring& keyring = r.slots.slot[r.slots.newest].keyring;
  HF_TRY(r.version, MakeVersion(m, keyring, r.secrets));
  Status anchored =
      DecodeAnchor(anchor, r);  // a bad one is refused below, when it is known what else is wrong

  r.chain_options.id = {m.store, m.member};
  r.chain_options.start = {m.frame, m.root.position};
  r.chain_options.known_durable = m.root.position.index;
  r.chain_options.discard_tail = discard_tail;
  if (storage.copies() != nullptr) {
    HF_TRY(r.quorum, ReadQuorum(storage, r.version));
    HF_TRY_VOID(std::move(anchored));
    HF_TRY_VOID(ReadTails(storage, keyring, r.quorum, r));
    return ProveFreshness(storage, anchor, r);
  }
  HF_TRY(r.chain, journal::ReadChain(storage, keyring, r.secrets.keys.chain, r.chain_options));
  AddJournalFindings(r.chain, false, r.findings);
  HF_TRY_VOID(std::move(anchored));
  AddForkFinding({r.chain}, r.findings);
  HF_TRY(size_t adopted, journal::AdoptTail({r.chain}, r.chain_options.known_durable));
  (void)adopted;
  return ProveFreshness(storage, anchor, r);
}

Status ReadOlder(seam::Storage& storage, Reading& r) {
  if (!r.slots.older_valid) return Ok();
  const Slot& older = r.slots.slot[1 - r.slots.newest];
  r.older_options = r.chain_options;
  r.older_options.start = {older.manifest.frame, older.manifest.root.position};
  seam::Storage& whose = storage.copies() != nullptr ? storage.copies()->copy(r.chain_copy) : storage;
  HF_TRY(r.older_chain, journal::ReadChain(whose, older.keyring, r.secrets.keys.chain, r.older_options));
  return Ok();
}

namespace {

// Once more if a reserve can be given up for it (I1).
template <typename Attempt>
auto DespiteAFullDisk(seam::Storage& storage, Attempt&& attempt) -> decltype(attempt()) {
  auto done = attempt();
  if (!done && done.code() == Code::kFull && GiveUpReserve(storage)) done = attempt();
  return done;
}

// Applies an entry; runs the save that it may ask for.
Status ApplyInline(seam::Storage& storage, seam::Storage* anchor, OpenedStore& s, const journal::Entry& entry,
                   const journal::LogPosition& at, const journal::FramePosition& frame, NodeCache& cache,
                   crypto::Random& random, std::vector<Outcome>* outcomes = nullptr) {
  VersionNodes nodes(storage, s.state->CurrentView().base, cache);
  HF_TRY(State::Prepared prepared, s.state->Prepare(entry, nodes));
  Outcome outcome = s.state->Commit(prepared, at, nullptr);
  if (outcomes != nullptr) outcomes->push_back(outcome);
  if (s.state->saving() != nullptr) return SaveInline(storage, anchor, s, frame, cache, random);
  return Ok();
}

Status ReplayInto(seam::Storage& storage, seam::Storage* anchor, const Reading& r, OpenedStore& s,
                  NodeCache& cache, crypto::Random& random) {
  auto visit = [&](const journal::Entry& entry, const journal::LogPosition& at,
                   const journal::FramePosition& frame) {
    // A save that is made up for here may be older than the anchor: that one never goes back.
    bool newer = !r.anchor || at.index > r.anchor->index;
    return ApplyInline(storage, newer ? anchor : nullptr, s, entry, at, frame, cache, random);
  };
  HF_TRY_VOID(journal::Replay(storage, r.slots.slot[r.slots.newest].keyring, r.secrets.keys.chain,
                              r.chain_options, r.chain, visit));
  journal::Entry opened{journal::EntryKind::kOpened, s.term, kernel::Encode(kernel::Opened{s.member})};
  journal::LogPosition at = journal::Extend(s.secrets.keys.chain, s.state->position(), opened);
  return visit(opened, at, s.frame);
}

}  // namespace

namespace {

// Brings the providers up to what was read, as far as the barrier needs it before it is written (C2).
Status AdoptCopies(seam::Storage& storage, const OpenOptions& options, Reading& r) {
  seam::Copies* copies = storage.copies();
  if (copies == nullptr) {
    auto said = ReadQuorum(storage, r.version);  // what is wrong with the table shows where it is needed
    if (said && !options.quorum) r.quorum = *said;
  }
  seam::Quorum quorum = options.quorum.value_or(r.quorum);
  if (copies == nullptr && quorum.providers == 1) return Ok();
  size_t given = copies != nullptr ? copies->count() : 1;
  if (quorum.providers != given) {
    r.findings.push_back({Finding::Kind::kNote, std::string(kQuorumRow), Code::kNoQuorum,
                          "the store lies on " + std::to_string(quorum.providers) + " providers, not " +
                              std::to_string(given)});
    return Code::kNoQuorum;
  }
  HF_TRY(seam::Catalogue catalogue, CatalogueOf(storage, r));
  copies->SetQuorum(quorum);
  copies->RequireForJournal(quorum.open());
  copies->Adopt(std::move(catalogue), {});
  copies->CatchUp(limits::kProviderOpeningMs);
  return Ok();
}

}  // namespace

Result<std::unique_ptr<State>> ReplayReadOnly(seam::Storage& storage, const Reading& r, NodeCache& cache) {
  VersionNodes nodes(storage, r.version, cache);
  const seal::Keyring& keyring = r.slots.slot[r.slots.newest].keyring;
  HF_TRY(std::unique_ptr<State> state, State::Open(r.version, keyring.Clone(), r.secrets, nodes));
  state->IgnoreSavePoints();
  HF_TRY_VOID(journal::Replay(storage, keyring, r.secrets.keys.chain, r.chain_options, r.chain,
                              [&](const journal::Entry& entry, const journal::LogPosition& at,
                                  const journal::FramePosition&) -> Status {
                                HF_TRY(State::Prepared prepared, state->Prepare(entry, nodes));
                                state->Commit(prepared, at, nullptr);
                                return Ok();
                              }));
  return state;
}

namespace {

// Collects what a crash or a fenced opener left of saves.
Status CollectLeftovers(seam::Storage& storage, Election& election, Reading& r, const OpenedStore& s) {
  HF_TRY(size_t pending, election.among_others() ? election.DeleteLeftByOthers(r, s)
                                                 : DeletePending(storage, r.slots.manifest().save));
  if (pending > 0)
    r.findings.push_back({Finding::Kind::kPending, std::string(kSegmentsPrefix), Code::kTorn,
                          std::to_string(pending) + " objects of an unfinished save were collected"});
  return Ok();
}

// kVersionMismatch: see Election::Run.
Result<std::unique_ptr<OpenedStore>> OpenOnce(seam::Storage& storage, seam::Storage* anchor,
                                              const AnchorInput& anchor_input, ByteView passphrase,
                                              const OpenOptions& options, crypto::Random& random,
                                              Election& election, Reading& r) {
  HF_TRY_VOID(ReadStore(storage, passphrase, anchor_input, options.discard_tail, r));
  // Of several it is first known now that enough answer.
  if (!storage.capabilities().exclusive && !election.by_condition()) return Code::kNoFencing;
  auto s = std::make_unique<OpenedStore>();
  const Manifest& m = r.slots.manifest();
  s->member = m.member;
  s->placement = options.placement;
  s->writer = std::make_unique<journal::JournalWriter>(
      storage, journal::JournalWriter::Options{r.chain_options.id, options.journal_file_bytes});
  HF_TRY_VOID(AdoptCopies(storage, options, r));
  HF_TRY_VOID(election.Run(r, *s, random));
  if (storage.copies() != nullptr) storage.copies()->RequireForJournal(storage.copies()->quorum().write);
  HF_TRY_VOID(CollectLeftovers(storage, election, r, *s));
  s->older_slot = SaveNumber(m.save.value == 0 ? 0 : m.save.value - 1);
  s->older_frame = m.frame.number;
  if (r.slots.older_valid)
    s->older_frame = std::min(s->older_frame, r.slots.slot[1 - r.slots.newest].manifest.frame.number);
  HF_TRY(std::vector<std::string> deleted, DeleteCondemned(storage, *r.version, s->older_slot, {}));
  HF_TRY_VOID(storage.Barrier());
  s->deleted.insert(deleted.begin(), deleted.end());

  NodeCache cache(options.cache_bytes);
  s->secrets = std::move(r.secrets);
  r.secrets.keys = seal::StoreKeys::Derive(s->secrets.master, s->secrets.store);
  VersionNodes nodes(storage, r.version, cache);
  HF_TRY(s->state, State::Open(r.version, r.slots.slot[r.slots.newest].keyring.Clone(), s->secrets, nodes));
  HF_TRY_VOID(ReplayInto(storage, anchor, r, *s, cache, random));
  HF_TRY_VOID(
      WriteAnchor(anchor, s->secrets, s->state->position(), s->state->CurrentView().base->manifest.save));
  HF_TRY_VOID(s->writer->CutBelow(s->older_frame));
  HF_TRY_VOID(storage.Barrier());
  if (options.reserve_bytes > 0 && CanReserve(storage)) {
    s->reserve_bytes = options.reserve_bytes;
    Status made = MakeReserve(storage, options.reserve_bytes);
    if (!made && made.code() != Code::kFull) return made.error();
    s->reserve_held = made.has_value();
  }
  s->freshness = r.freshness;
  s->findings = std::move(r.findings);
  return s;
}

// Without a lock somebody may write while we read, and what is read then fits together by luck only: it is
// read again for as long as it changes.
Result<std::unique_ptr<OpenedStore>> OpenAmongOthers(seam::Storage& storage, seam::Storage* anchor,
                                                     const AnchorInput& anchor_input, ByteView passphrase,
                                                     const OpenOptions& options, crypto::Random& random,
                                                     Election& election, Reading& last) {
  for (int i = 0; i < kElectionsMax; ++i) {
    HF_TRY(std::string before, election.SlotsNow());
    last = Reading();
    auto opened = OpenOnce(storage, anchor, anchor_input, passphrase, options, random, election, last);
    if (opened || election.won() || opened.code() == Code::kFenced) return opened;
    if (opened.code() == Code::kVersionMismatch) continue;
    HF_TRY(std::string after, election.SlotsNow());
    if (before == after) return opened;
  }
  return Code::kFenced;
}

}  // namespace

Result<std::unique_ptr<OpenedStore>> OpenStore(seam::Storage& storage, seam::Storage* anchor,
                                               ByteView passphrase, const OpenOptions& options,
                                               crypto::Random& random,
                                               std::vector<Finding>* findings_on_error) {
  AnchorInput anchor_input;
  anchor_input.name = std::string(kAnchorName);
  if (anchor != nullptr) {
    auto bytes = anchor->Get(kAnchorName);
    if (bytes)
      anchor_input.encoded = std::move(bytes).value().take();
    else if (bytes.code() != Code::kNotFound)
      return bytes.error();
  }
  Election election(storage);
  bool fences = storage.capabilities().exclusive || election.by_condition();
  if (!fences && storage.copies() == nullptr) return Code::kNoFencing;  // rule C3
  Reading r;
  auto opened = election.among_others()
                    ? OpenAmongOthers(storage, anchor, anchor_input, passphrase, options, random, election, r)
                    : OpenOnce(storage, anchor, anchor_input, passphrase, options, random, election, r);
  if (!opened && findings_on_error != nullptr) *findings_on_error = r.findings;
  return opened;
}

Status SaveInline(seam::Storage& storage, seam::Storage* anchor, OpenedStore& s, journal::FramePosition frame,
                  NodeCache& cache, crypto::Random& random) {
  HF_CHECK(s.state->saving() != nullptr);
  const SavePoint& point = *s.state->saving();
  const journal::LogPosition position = point.position;
  FrameNumber before = point.base->manifest.frame.number;
  CacheNodes nodes(cache);
  NoWorkers alone;
  std::vector<Bytes> memory;
  HF_TRY(VersionPtr version, DespiteAFullDisk(storage, [&] {
           return RunSave({storage, s.secrets, random, nodes, alone, point, frame, s.deleted, s.leftovers,
                           memory, s.opener, s.placement, s.clean});
         }));
  s.clean = false;
  // The save is done once its slot is durable; what follows is owed, and the next save or opening makes up
  // for it.
  s.state->SaveDone(version);
  s.older_slot = SaveNumber(version->manifest.save.value - 1);
  s.older_frame = before;
  s.deleted.clear();  // what is not listed any more is nobody's
  HF_TRY_VOID(WriteAnchor(anchor, s.secrets, position, version->manifest.save));
  HF_TRY(std::vector<std::string> deleted, DeleteCondemned(storage, *version, s.older_slot, {}));
  HF_TRY_VOID(s.writer->CutBelow(s.older_frame));
  HF_TRY_VOID(storage.Barrier());
  s.deleted.insert(deleted.begin(), deleted.end());
  return Ok();
}

Status AppendInline(seam::Storage& storage, seam::Storage* anchor, OpenedStore& s, journal::FrameKind kind,
                    const std::vector<journal::Entry>& entries, NodeCache& cache, crypto::Random& random,
                    std::vector<Outcome>* outcomes) {
  const seal::Keyring& keyring = s.state->keyring();
  HF_TRY(seal::DomainKeys keys, keyring.JournalKeys(keyring.current_epoch()));
  const journal::LogPosition before = s.state->position();
  journal::Frame frame;
  frame.kind = kind;
  frame.number = s.next_frame;
  frame.term = s.term;
  frame.vote = s.member;
  frame.watermark = before.index;
  frame.before = s.frame;
  frame.first_index = before.index.next();
  frame.chain_before = before.chain;
  frame.entries = entries;
  for (journal::Entry& e : frame.entries) e.term = s.term;
  journal::JournalIdentity id{s.secrets.store, s.member};
  journal::SealedFrame sealed = journal::SealFrame(id, keys, keyring.current_epoch(), frame, random);
  Status written = DespiteAFullDisk(storage, [&] {
    return kind == journal::FrameKind::kClosing ? s.writer->Close(frame.number, sealed)
                                                : s.writer->Write(frame.number, sealed);
  });
  HF_TRY_VOID(std::move(written));
  s.frame = {frame.number, sealed.digest};
  s.next_frame = frame.number.next();
  for (const journal::Entry& e : frame.entries) {
    journal::LogPosition at = journal::Extend(s.secrets.keys.chain, s.state->position(), e);
    HF_TRY_VOID(ApplyInline(storage, anchor, s, e, at, s.frame, cache, random, outcomes));
  }
  return Ok();
}

Status CloseInline(seam::Storage& storage, seam::Storage* anchor, OpenedStore& s, NodeCache& cache,
                   crypto::Random& random) {
  HF_TRY_VOID(AppendInline(storage, anchor, s, journal::FrameKind::kClosing,
                           {{journal::EntryKind::kClosed, s.term, {}}}, cache, random));
  return WriteAnchor(anchor, s.secrets, s.state->position(), s.state->CurrentView().base->manifest.save);
}

}  // namespace holdfast::store
