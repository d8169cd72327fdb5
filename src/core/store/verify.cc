#include "core/store/verify.h"

#include <algorithm>
#include <deque>
#include <iterator>
#include <tuple>
#include <unordered_map>

#include "core/store/public_digests.h"
#include "core/store/segment_checks.h"
#include "core/store/verify_indexes.h"
#include "core/store/verify_shared.h"
#include "crypto/hash.h"

namespace holdfast::store {
namespace {

constexpr size_t kDerivedCacheBytes = 8u << 20;  // each node is read once, by a cursor of a few
constexpr std::string_view kSlotFiles[6] = {"core-enclave", "core-enclave.recovery-key-shares",
                                            "key-enclave",  "key-enclave.recovery-key-shares",
                                            "server-state", "state-save-number"};

Code VerdictOf(const Finding& f) {
  switch (f.kind) {
    case Finding::Kind::kMissing:
      return Code::kMissing;
    case Finding::Kind::kExtra:
      return Code::kAlien;
    case Finding::Kind::kStale:
      return f.code;
    default:
      return Code::kTampered;
  }
}

// Gives the walk each node after proving its address; remembers one node.
class VerifyingNodes : public tree::NodeSource {
 public:
  VerifyingNodes(seam::Storage& storage, const TreeVersion& version) : storage_(storage), version_(version) {}
  tree::NodePtr Find(const tree::NodeRef& ref) override {
    return node_ != nullptr && hint_ == ref.hint ? node_ : nullptr;
  }
  Status Load(const tree::NodeRef& ref) {
    HF_TRY(node_, LoadNode(storage_, version_, ref, /*rehash=*/true, &openers_));
    hint_ = ref.hint;
    return Ok();
  }

 private:
  seam::Storage& storage_;
  const TreeVersion& version_;
  tree::NodePtr node_;
  tree::Hint hint_;
  Openers openers_;
};

class Verifier {
 public:
  Verifier(seam::Storage& storage, const VerifyOptions& options, Reading& reading, VerifyReport& report)
      : storage_(storage), options_(options), r_(reading), report_(report) {}

  Status Run() {
    HF_TRY(std::vector<seam::ObjectInfo> objects, seam::ListAll(storage_, ""));
    for (const seam::ObjectInfo& o : objects) total_ += o.size_bytes;
    Expected expected = ExpectedObjects(r_.slots);
    NoWorkers alone;
    Workers& workers = options_.workers != nullptr ? *options_.workers : alone;
    SegmentChecks checks(storage_, workers, expected, seen_, [this](uint64_t bytes) { Progress(bytes); });
    for (int i : {r_.slots.newest, 1 - r_.slots.newest}) {
      if (r_.slots.slot[i].kind == Slot::Kind::kValid)
        HF_TRY_VOID(CheckTrees(r_.slots.slot[i], i == r_.slots.newest, checks));
    }
    HF_TRY_VOID(checks.Run());
    Take(checks);
    const bool whole = std::none_of(report_.findings.begin(), report_.findings.end(),
                                    [](const Finding& f) { return f.bad(); });
    if (whole) HF_TRY_VOID(CheckDerived(versions_.front()));
    HF_TRY_VOID(CheckJournal());
    HF_TRY_VOID(CheckGroups(objects, expected));
    CheckListing(objects, expected, checks);
    return Ok();
  }

 private:
  void Add(Finding::Kind kind, std::string object, Code code, std::string detail) {
    report_.findings.push_back({kind, std::move(object), code, std::move(detail)});
  }
  void Progress(uint64_t bytes) {
    report_.bytes += bytes;
    if (options_.progress) options_.progress(std::min(report_.bytes, total_), total_);
  }

  // Every node above the leaves that is reachable from the slot's root and its tags: opens, hashes to its
  // address, holds as many rows as its parent says. The leaves are noted for the checks; of a Patricia table
  // all nodes are looked at here, in the order that its digests need.
  Status CheckTrees(const Slot& slot, bool newest, SegmentChecks& checks) {
    HF_TRY(VersionPtr version, MakeVersion(slot.manifest, slot.keyring, r_.secrets));
    versions_.push_back(version);
    const LogicalRoot& root = version->manifest.root;
    auto origin = [&](LogIndex seen_by) -> const SegmentChecks::Origin& {
      return origins_.emplace_back(SegmentChecks::Origin{version.get(), root.Line(), seen_by, newest});
    };
    const SegmentChecks::Origin& now = origin(kNow);
    for (const auto& [id, table] : root.tables) {
      HF_TRY_VOID(CheckTree(now, table, checks));
      if (newest && !IsSystemTable(id) && !table.descriptor.hidden()) {
        ++report_.tables;
        report_.rows += table.root.rows;
      }
    }
    HF_TRY_VOID(checks.Run());
    for (const Tag* tag : NewestFirst(root.tags)) {
      const SegmentChecks::Origin& then = origin(tag->position.index);
      for (const auto& [id, table] : tag->tables) HF_TRY_VOID(CheckTree(then, table, checks));
      HF_TRY_VOID(checks.Run());
      if (newest) ++report_.tags;
    }
    return Ok();
  }

  // Segments first: where one is missing, what says so comes before what follows from it.
  void Take(SegmentChecks& checks) {
    auto move_to = [this](std::vector<Finding>& from) {
      std::move(from.begin(), from.end(), std::back_inserter(report_.findings));
    };
    move_to(checks.segment_findings);
    move_to(checks.node_findings);
    move_to(tree_findings_);
    report_.nodes += checks.nodes;
    report_.segments += checks.segments;
    report_.segment_bytes += checks.segment_bytes;
    if (report_.findings.empty()) CheckRecount(r_.slots.manifest(), checks.spans);
  }

  // What the manifest says of each segment, by span, is what there is: nothing is kept that nobody reaches.
  void CheckRecount(const Manifest& m, SpansBySegment& spans) {
    for (const auto& [number, s] : m.segments) {
      if (s.spans == spans[number]) continue;
      Add(Finding::Kind::kChanged, SegmentName(s.id), Code::kTampered,
          "needed bytes differ from the manifest: " + std::to_string(spans[number].total()) + " instead of " +
              std::to_string(s.live_bytes()));
    }
  }

  // Of the newest root and of the tags: that index rows are what the rows make them (verify_indexes.h), and
  // shared values those that rows refer to (verify_shared.h).
  Status CheckDerived(const VersionPtr& version) {
    std::vector<const Tables*> all{&version->manifest.root.tables};
    for (const auto& [name, tag] : version->manifest.root.tags) all.push_back(&tag.tables);
    NodeCache cache(kDerivedCacheBytes);
    VersionNodes nodes(storage_, version, cache);
    for (const Tables* tables : all) {
      for (const auto& [id, table] : *tables) {
        if (table.descriptor.values_in) HF_TRY_VOID(CheckShared(*tables, table, nodes));
        if (!table.descriptor.index) continue;
        HF_TRY(bool holds, IndexHolds(*tables, table, nodes));
        if (!holds) {
          Add(Finding::Kind::kChanged, "table " + table.descriptor.index->table.hex(), Code::kTampered,
              "an index has not the rows that its table gives it");
        }
      }
    }
    return Ok();
  }

  Status CheckShared(const Tables& tables, const Table& table, NodeAccess& nodes) {
    HF_TRY(std::vector<SharedFault> faults, RecountShared(tables, table, nodes));
    for (SharedFault& f : faults) {
      Finding::Kind kind = f.kind == SharedFault::Kind::kMissing ? Finding::Kind::kMissing
                           : f.kind == SharedFault::Kind::kExtra ? Finding::Kind::kExtra
                                                                 : Finding::Kind::kChanged;
      Add(kind, "table " + table.id.hex(), Code::kTampered, std::move(f.text));
    }
    return Ok();
  }

  static std::vector<const Tag*> NewestFirst(const Tags& tags) {
    std::vector<const Tag*> sorted;
    for (const auto& [name, tag] : tags) sorted.push_back(&tag);
    std::stable_sort(sorted.begin(), sorted.end(),
                     [](const Tag* a, const Tag* b) { return a->position.index > b->position.index; });
    return sorted;
  }

  Status CheckTree(const SegmentChecks::Origin& origin, const Table& table, SegmentChecks& checks) {
    if (table.root.empty) return Ok();
    const TreeVersion& version = *origin.version;
    const Manifest& m = version.manifest;
    VerifyingNodes nodes(storage_, version);
    tree::Walk walk(table.root);
    Claims claims{{SeenPlaces::PlaceOf(table.root.ref.hint), table.root.rows}};
    PublicDigests digests(table, version.keys.at(table.id));
    LogIndex list_birth;  // chunks were born with their list, which comes right before them
    for (;;) {
      auto step = walk.Next(nodes);
      if (step.needs()) {
        const tree::NodeRef& ref = step.need();
        if (seen_.Has(ref.hint)) {
          if (seen_.Meet(ref, RowsClaimed(claims, ref)) == SeenPlaces::Answer::kAnother)
            checks.WrongNode(m, ref.hint);
          digests.Skipped(ref);
          walk.Skip();
          continue;
        }
        Status loaded = nodes.Load(ref);
        if (loaded) continue;
        if (!IsDamage(loaded.code())) return loaded.error();
        checks.NodeFinding(m, ref.hint, loaded.code());
        (void)seen_.Meet(ref, RowsClaimed(claims, ref));  // named once, whoever else leads there
        digests.Skipped(ref);
        walk.Skip();
        continue;
      }
      if (step.failed()) {
        tree_findings_.push_back({Finding::Kind::kChanged, "table " + table.id.hex(), step.error().code(),
                                  "the tree is not well formed"});
        return Ok();
      }
      if (!step.value()) return Ok();
      const tree::Walk::Visit& v = *step.value();
      LogIndex birth = v.ref.birth;
      if (v.node->type() == tree::NodeType::kChunkList) list_birth = birth;
      if (v.node->type() == tree::NodeType::kChunk && birth == LogIndex()) birth = list_birth;
      if (origin.counted) {
        checks.spans[v.ref.hint.segment].Add(origin.line.FirstSeeing(birth), origin.seen_by,
                                             v.ref.hint.length);
      }
      CheckRows(m, v, claims, checks);
      if (!digests.Holds(v.ref, *v.node)) WrongDigest(m, v.ref);
      ++report_.nodes;
      if (v.node->type() != tree::NodeType::kInner || v.node->level() != 1) continue;
      walk.Prune();
      for (size_t i = 0; i < v.node->count(); ++i)
        checks.Add(origin, v.node->child(i), SegmentChecks::Kind::kLeaf, v.node->rows(i));
      if (checks.full()) HF_TRY_VOID(checks.Run());
    }
  }

  // A parent says how many rows lie below each child; claims are few, since a walk goes down at once.
  using Claims = std::unordered_map<uint64_t, uint64_t>;
  static uint64_t RowsClaimed(Claims& claims, const tree::NodeRef& ref) {
    auto it = claims.find(SeenPlaces::PlaceOf(ref.hint));
    if (it == claims.end()) return 0;  // a blob
    uint64_t rows = it->second;
    claims.erase(it);
    return rows;
  }
  void CheckRows(const Manifest& m, const tree::Walk::Visit& v, Claims& claims, SegmentChecks& checks) {
    const tree::Node& node = *v.node;
    bool blob = node.type() == tree::NodeType::kChunk || node.type() == tree::NodeType::kChunkList;
    uint64_t rows = blob ? 0 : node.total_rows();
    if (rows != RowsClaimed(claims, v.ref)) checks.WrongNode(m, v.ref.hint);
    (void)seen_.Meet(v.ref, rows);
    bool inner = node.type() == tree::NodeType::kInner && node.level() > 1;
    if (!inner && node.type() != tree::NodeType::kPatriciaInner) return;
    for (size_t i = 0; i < node.count(); ++i) claims[SeenPlaces::PlaceOf(node.child(i).hint)] = node.rows(i);
  }
  void WrongDigest(const Manifest& m, const tree::NodeRef& ref) {
    tree_findings_.push_back({Finding::Kind::kChanged, SegmentChecks::NameOfPlace(m, ref.hint),
                              Code::kTampered, "the public digest is not that of its rows"});
  }

  static bool IsDamage(Code c) {
    return c == Code::kMissing || c == Code::kTampered || c == Code::kAuthFailed || c == Code::kMalformed ||
           c == Code::kNoKey || c == Code::kUnknownFormat || c == Code::kChecksum;
  }

  // From the older slot's save point on, so that either slot alone is known to be loadable.
  Status CheckJournal() {
    const journal::Chain& all = r_.older_chain ? *r_.older_chain : r_.chain;
    AddJournalFindings(all, true, report_.findings);
    report_.frames = all.links.size();
    report_.last_index = r_.chain.end.index;
    if (r_.older_chain && !all.tampered && !r_.chain.tampered) CheckDescent(all);
    if (r_.chain.tampered) return Ok();
    return journal::Replay(storage_, r_.slots.slot[r_.slots.newest].keyring, r_.secrets.keys.chain,
                           r_.chain_options, r_.chain,
                           [&](const journal::Entry&, const journal::LogPosition&,
                               const journal::FramePosition&) { return Ok(); });
  }

  // The newest slot must be what the older one becomes along the journal.
  void CheckDescent(const journal::Chain& all) {
    const Manifest& newest = r_.slots.manifest();
    const Manifest& older = r_.slots.slot[1 - r_.slots.newest].manifest;
    bool through = newest.frame.number.value == 0;
    for (const journal::Chain::Link& l : all.links) through = through || l.position == newest.frame;
    // Saves 0 and 1 are one state; a slot that was put back is older than the one before the newest.
    bool parent = newest.save != older.save.next() || newest.root.position == older.root.position ||
                  newest.root.parent == older.root.ComputeDigest(r_.secrets.keys.root);
    if (!through || !parent || all.end != r_.chain.end) {
      Add(Finding::Kind::kChanged, SlotName(r_.slots.newest, "core-enclave"), Code::kTampered,
          "is not what the older slot becomes along the journal");
    }
  }

  // Those that a slot is read with were read with it. The others are to be deleted, and may be gone.
  Status CheckGroups(const std::vector<seam::ObjectInfo>& objects, const Expected& expected) {
    for (const seam::ObjectInfo& o : objects) {
      auto it = expected.groups.find(o.name);
      if (it == expected.groups.end()) continue;
      Progress(o.size_bytes);
      if (expected.required.contains(o.name)) continue;
      auto bytes = storage_.GetRange(o.name, 0, it->second->size + 1);
      if (!bytes && bytes.code() != Code::kNotFound) return bytes.error();
      if (bytes && crypto::Sha256(bytes->parse()) != it->second->sha256)
        Add(Finding::Kind::kChanged, o.name, Code::kChecksum, std::string(CodeText(Code::kChecksum)));
    }
    return Ok();
  }

  // Nothing that belongs to nothing (rule E).
  void CheckListing(const std::vector<seam::ObjectInfo>& objects, const Expected& expected,
                    const SegmentChecks& checks) {
    std::set<std::string> known{std::string(seal::kUnlockersName), std::string(kReserveName)};
    for (int slot : {0, 1}) {
      for (std::string_view f : kSlotFiles) known.insert(SlotName(slot, f));
    }
    const MemberId& member = r_.slots.manifest().member;
    for (const seam::ObjectInfo& o : objects) {
      if (known.contains(o.name) || expected.segments.contains(o.name)) continue;
      if (expected.groups.contains(o.name)) continue;
      if (journal::FrameOfName(member, o.name)) continue;  // judged with the journal
      auto save = SaveOfName(kSegmentsPrefix, o.name);
      if (!save) save = SaveOfName(kGroupsPrefix, o.name);
      if (save && *save > r_.slots.manifest().save) {
        Add(Finding::Kind::kPending, o.name, Code::kTorn,
            "of an unfinished save; collected at the next open");
        continue;
      }
      if (LeftByOpenerBefore(o.name, Term(r_.slots.slot[r_.slots.newest].opener))) {
        Add(Finding::Kind::kLeftover, o.name, Code::kTorn, "of an opener that was fenced");
        continue;
      }
      bool named = std::any_of(report_.findings.begin(), report_.findings.end(), [&](const Finding& f) {
        return f.kind == Finding::Kind::kExtra && f.object == o.name;
      });
      if (!named) Add(Finding::Kind::kExtra, o.name, Code::kAlien, std::string(CodeText(Code::kAlien)));
    }
    for (const std::string& name : checks.bad_segments) {
      if (checks.named.contains(name)) continue;
      bool sized = std::any_of(report_.findings.begin(), report_.findings.end(),
                               [&](const Finding& f) { return f.object == name; });
      if (!sized) Add(Finding::Kind::kChanged, name, Code::kChecksum, "bytes outside its live nodes differ");
    }
  }

  seam::Storage& storage_;
  const VerifyOptions& options_;
  Reading& r_;
  VerifyReport& report_;
  uint64_t total_ = 0;
  std::vector<Finding> tree_findings_;
  SeenPlaces seen_;
  std::vector<VersionPtr> versions_;  // of the origins
  std::deque<SegmentChecks::Origin> origins_;
};

Result<VerifyReport> Finish(seam::Storage& storage, Status read, const VerifyOptions& options, Reading& r) {
  VerifyReport report;
  report.findings = std::move(r.findings);
  report.freshness = r.freshness;
  if (!read && CodeExit(read.code()) != 3) return read.error();
  if (!read) report.verdict = read.code();
  if (r.version != nullptr) {
    report.store = r.secrets.store;
    report.short_anchor = ShortAnchor(r.secrets.keys.anchor, r.slots.manifest());
    Verifier verifier(storage, options, r, report);
    HF_TRY_VOID(verifier.Run());
  }
  for (const Finding& f : report.findings) {
    if (f.bad() && !report.verdict) report.verdict = VerdictOf(f);
  }
  if (!report.verdict && options.require_fresh && !report.freshness.proven)
    report.verdict = Code::kFreshnessUnproven;
  return report;
}

}  // namespace

std::string Finding::Line() const {
  static constexpr std::string_view kNames[] = {"missing",  "changed", "extra", "stale", "torn",
                                                "leftover", "pending", "note",  "behind"};
  return std::string(kNames[static_cast<int>(kind)]) + "  " + Name() + ": " + detail;
}

std::string Finding::Name() const {
  return provider < 0 ? object : "provider " + std::to_string(provider + 1) + ": " + object;
}

std::string Freshness::Line() const {
  if (!proven) return "freshness unproven";
  return "fresh to index " + std::to_string(index.value) + " (anchor " + anchor + "); later writes unproven";
}

Expected ExpectedObjects(const Slots& slots) {
  Expected e;
  for (int i : {slots.newest, 1 - slots.newest}) {
    if (slots.slot[i].kind != Slot::Kind::kValid) continue;
    const Manifest& m = slots.slot[i].manifest;
    for (const auto& [number, s] : m.segments) {
      std::string name = SegmentName(s.id);
      e.segments.emplace(name, &s);
      // What is condemned here and live in the other slot is needed there. What is live in neither may be
      // deleted already, by a process that had a newer save.
      if (s.condemned == SaveNumber()) e.required.insert(name);
    }
    for (const Group& g : m.groups) {
      std::string name = GroupName(g.id);
      if (g.slot == m.slot()) e.required.insert(name);
      e.groups.emplace(std::move(name), &g);
    }
  }
  return e;
}

Result<VerifyReport> VerifyAndKeep(seam::Storage& storage, ByteView passphrase, const VerifyOptions& options,
                                   Reading& r) {
  Status read =
      ReadStore(storage, passphrase, {options.anchor, options.anchor_name}, options.discard_tail, r);
  HF_TRY_VOID(ReadOlder(storage, r));
  return Finish(storage, std::move(read), options, r);
}

namespace {

Secrets CloneOf(const Secrets& s) {
  return {s.store, s.master.Clone(), seal::StoreKeys::Derive(s.master, s.store), s.unlockers};
}

// What one of several providers holds, judged by itself and then beside the others.
struct CopyReading {
  Reading reading;
  Status read, older;
  bool answered() const { return read || CodeExit(read.code()) == 3; }
  bool newer_than(const CopyReading& o) const {
    auto rank = [](const CopyReading& c) {
      const journal::LogPosition& end = c.reading.chain.end;
      return std::tuple(bool(c.read), end.term, end.index, c.reading.slots.manifest().save);
    };
    return rank(*this) > rank(o);
  }
};

class CopiesVerifier {
 public:
  CopiesVerifier(seam::Copies& copies, bool append, const Secrets& secrets, const VerifyOptions& options)
      : copies_(copies), append_(append), secrets_(secrets), options_(options), read_(copies.count()) {}

  Result<VerifyReport> Run(std::vector<Finding> findings) {
    Read();
    size_t answered = 0;
    for (const CopyReading& c : read_) answered += c.answered() ? 1 : 0;
    if (answered == 0) return Code::kUnreachable;
    // Held to the anchor is who has most: the others are behind, which needs no other proof.
    auto anchored = std::make_unique<CopyReading>();
    ReadOne(best_, {options_.anchor, options_.anchor_name}, *anchored);
    read_[best_].reading = std::move(anchored->reading);
    read_[best_].read = anchored->read;
    read_[best_].older = anchored->older;
    if (options_.release_writes) options_.release_writes();
    VerifyReport all;
    all.findings = std::move(findings);
    for (size_t i = 0; i < read_.size(); ++i) HF_TRY_VOID(Judge(i, all));
    for (const Finding& f : all.findings) {
      if (f.bad() && !all.verdict) all.verdict = VerdictOf(f);
    }
    if (!all.verdict && options_.require_fresh && !all.freshness.proven)
      all.verdict = Code::kFreshnessUnproven;
    return all;
  }

 private:
  void ReadOne(size_t i, const AnchorInput& anchor, CopyReading& to) {
    to.reading.secrets = CloneOf(secrets_);
    to.reading.chain_options.whole_objects = !append_;
    to.read = ReadUnlocked(copies_.copy(i), anchor, options_.discard_tail, to.reading);
    if (to.read) to.older = ReadOlder(copies_.copy(i), to.reading);
  }
  void Read() {
    if (options_.hold_writes) {
      options_.hold_writes();
      copies_.CatchUp(limits::kProviderReadPatienceMs);  // what is queued arrives
    }
    std::vector<seam::CopyState> states = copies_.States();
    for (size_t i = 0; i < read_.size(); ++i) {
      if (options_.hold_writes && (!states[i].current || states[i].queued > 0)) {
        read_[i].read = Code::kUnreachable;  // it is being written to
        continue;
      }
      ReadOne(i, {}, read_[i]);
      if (i > 0 && read_[i].newer_than(read_[best_])) best_ = i;
    }
  }
  void Say(VerifyReport& all, size_t i, Finding::Kind kind, std::string object, Code code, std::string why) {
    all.findings.push_back({kind, std::move(object), code, std::move(why), static_cast<int>(i)});
  }
  Status Judge(size_t i, VerifyReport& all) {
    CopyReading& c = read_[i];
    if (!c.answered()) {
      bool empty = c.read.code() == Code::kNoStore || c.read.code() == Code::kBothSlotsBad;
      Say(all, i, empty ? Finding::Kind::kMissing : Finding::Kind::kBehind, "everything", c.read.code(),
          std::string(CodeText(c.read.code())));
      return Ok();
    }
    LogIndex last = c.reading.chain.end.index;
    SaveNumber save = c.read ? c.reading.slots.manifest().save : SaveNumber();
    Digest chain = c.reading.chain.end.chain;
    HF_TRY_VOID(c.older);
    if (auto record = copies_.copy(i).Get(seal::kUnlockersName);
        !record || !Equal(record->parse(), secrets_.unlockers)) {
      Say(all, i, record ? Finding::Kind::kChanged : Finding::Kind::kMissing,
          std::string(seal::kUnlockersName), record ? Code::kTampered : record.code(),
          "differs from the record that was opened");
    }
    bool read = bool(c.read);
    Code why = read ? Code{} : c.read.code();
    VerifyOptions alone;
    alone.progress = options_.progress;
    alone.workers = options_.workers;
    HF_TRY(VerifyReport one, Finish(copies_.copy(i), c.read, alone, c.reading));
    bool bad = false;
    for (Finding& f : one.findings) {
      bad = bad || f.bad();
      f.provider = static_cast<int>(i);
      all.findings.push_back(std::move(f));
    }
    if (!read && !bad) Say(all, i, Finding::Kind::kChanged, "everything", why, std::string(CodeText(why)));
    if (i == best_) {
      one.findings = std::move(all.findings);
      one.verdict = all.verdict;
      all = std::move(one);
      return Ok();
    }
    if (!read) return Ok();
    const Reading& best = read_[best_].reading;
    if (last < best.chain.end.index || save < best.slots.manifest().save) {
      Say(all, i, Finding::Kind::kBehind, "journal and saves", Code::kMissing,
          "at index " + std::to_string(last.value) + " of " + std::to_string(best.chain.end.index.value) +
              ", save " + std::to_string(save.value) + " of " +
              std::to_string(best.slots.manifest().save.value));
    } else if (last == best.chain.end.index && chain != best.chain.end.chain) {
      Say(all, i, Finding::Kind::kStale, "journal", Code::kForked, "has another history");
    }
    return Ok();
  }

  seam::Copies& copies_;
  const bool append_;
  const Secrets& secrets_;
  const VerifyOptions& options_;
  std::vector<CopyReading> read_;
  size_t best_ = 0;
};

}  // namespace

Result<VerifyReport> VerifyStore(seam::Storage& storage, ByteView passphrase, const VerifyOptions& options) {
  Reading r;
  if (seam::Copies* copies = storage.copies()) {
    HF_TRY(Secrets secrets, UnlockStore(storage, passphrase, r.findings));
    return CopiesVerifier(*copies, storage.capabilities().append, secrets, options).Run({});
  }
  return VerifyAndKeep(storage, passphrase, options, r);
}

Result<VerifyReport> VerifyUnlocked(seam::Storage& storage, Secrets secrets, const VerifyOptions& options,
                                    std::vector<Finding> findings_so_far) {
  if (seam::Copies* copies = storage.copies())
    return CopiesVerifier(*copies, storage.capabilities().append, secrets, options)
        .Run(std::move(findings_so_far));
  Reading r;
  r.secrets = std::move(secrets);
  r.findings = std::move(findings_so_far);
  if (options.hold_writes) options.hold_writes();
  Status read = ReadUnlocked(storage, {options.anchor, options.anchor_name}, options.discard_tail, r);
  Status older = ReadOlder(storage, r);  // while nothing is written: both must end alike
  if (options.release_writes) options.release_writes();
  HF_TRY_VOID(std::move(older));
  return Finish(storage, std::move(read), options, r);
}

}  // namespace holdfast::store
