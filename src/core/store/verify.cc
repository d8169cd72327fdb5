#include "core/store/verify.h"

#include <algorithm>
#include <unordered_map>

#include "core/store/public_digests.h"
#include "crypto/hash.h"

namespace holdfast::store {
namespace {

constexpr uint64_t kPieceBytes = 4u << 20;
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

// Needed bytes by segment and span, counted anew.
struct Recount {
  TagLine line;
  LogIndex seen_by;
  std::map<uint32_t, Spans> spans;
  void Add(const tree::Hint& at, LogIndex birth) {
    spans[at.segment].Add(line.FirstSeeing(birth), seen_by, at.length);
  }
};

class Verifier {
 public:
  Verifier(seam::Storage& storage, const VerifyOptions& options, Reading& reading, VerifyReport& report)
      : storage_(storage), options_(options), r_(reading), report_(report) {}

  Status Run() {
    HF_TRY(std::vector<seam::ObjectInfo> objects, seam::ListAll(storage_, ""));
    for (const seam::ObjectInfo& o : objects) total_ += o.size_bytes;
    Expected expected = ExpectedSegments(r_.slots);
    HF_TRY_VOID(CheckSegments(expected));
    for (int i : {r_.slots.newest, 1 - r_.slots.newest}) {
      if (r_.slots.slot[i].kind == Slot::Kind::kValid)
        HF_TRY_VOID(CheckTrees(r_.slots.slot[i], i == r_.slots.newest));
    }
    HF_TRY_VOID(CheckJournal());
    CheckListing(objects, expected);
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

  // Every listed segment: there, of its size, with its hash; keys are not needed for this.
  Status CheckSegments(const Expected& expected) {
    for (const auto& [name, s] : expected.segments) {
      crypto::Sha256Stream hash;
      uint64_t at = 0;
      bool missing = false;
      for (;;) {
        auto piece = storage_.GetRange(name, at, kPieceBytes);
        if (!piece) {
          if (piece.code() != Code::kNotFound) return piece.error();
          missing = true;
          break;
        }
        hash.Update(piece->parse());
        at += piece->size();
        Progress(piece->size());
        if (piece->size() < kPieceBytes || at > s->size) break;
      }
      if (missing) {
        if (expected.required.contains(name))
          Add(Finding::Kind::kMissing, name, Code::kMissing, "listed segment is not there");
        continue;
      }
      ++report_.segments;
      report_.segment_bytes += at;
      if (at != s->size) {
        Add(Finding::Kind::kChanged, name, Code::kChecksum,
            "has " + std::to_string(at) + " bytes instead of " + std::to_string(s->size));
        bad_segments_.insert(name);
      } else if (hash.Finish() != s->sha256) {
        bad_segments_.insert(name);  // named node by node below, or whole if no node shows it
      }
    }
    return Ok();
  }

  std::string PlaceOf(const Manifest& m, const tree::Hint& hint) const {
    auto it = m.segments.find(hint.segment);
    if (it == m.segments.end()) return "segment " + std::to_string(hint.segment);
    return SegmentName(it->second.id) + " at byte " + std::to_string(hint.offset);
  }
  void NodeFinding(const Manifest& m, const tree::Hint& hint, Code code) {
    auto it = m.segments.find(hint.segment);
    if (it != m.segments.end()) {
      std::string name = SegmentName(it->second.id);
      if (code == Code::kMissing) return;  // the segment is named already
      named_.insert(name);
    }
    Add(Finding::Kind::kChanged, PlaceOf(m, hint), code, std::string(CodeText(code)));
  }

  // Every node reachable from the slot's root and its tags: opens, hashes to its address, holds as many rows
  // as its parent says. Each place is read once, whichever root leads there, so the newest root that does is
  // the one that it is counted for. Memory: about 60 bytes a node.
  Status CheckTrees(const Slot& slot, bool newest) {
    HF_TRY(VersionPtr version, MakeVersion(slot.manifest, slot.keyring, r_.secrets));
    const LogicalRoot& root = version->manifest.root;
    Recount recount{root.Line(), kNow, {}};
    for (const auto& [id, table] : root.tables) {
      HF_TRY_VOID(CheckTree(*version, table, newest, recount));
      if (newest && !IsSystemTable(id)) {
        ++report_.tables;
        report_.rows += table.root.rows;
      }
    }
    for (const Tag* tag : NewestFirst(root.tags)) {
      recount.seen_by = tag->position.index;
      for (const auto& [id, table] : tag->tables) HF_TRY_VOID(CheckTree(*version, table, newest, recount));
      if (newest) ++report_.tags;
    }
    if (newest && report_.findings.empty()) CheckRecount(version->manifest, recount);
    return Ok();
  }

  // What the manifest says of each segment, by span, is what there is: nothing is kept that nobody reaches.
  void CheckRecount(const Manifest& m, Recount& recount) {
    for (const auto& [number, s] : m.segments) {
      if (s.spans == recount.spans[number]) continue;
      Add(Finding::Kind::kChanged, SegmentName(s.id), Code::kTampered,
          "needed bytes differ from the manifest: " + std::to_string(recount.spans[number].total()) +
              " instead of " + std::to_string(s.live_bytes()));
    }
  }

  static std::vector<const Tag*> NewestFirst(const Tags& tags) {
    std::vector<const Tag*> sorted;
    for (const auto& [name, tag] : tags) sorted.push_back(&tag);
    std::stable_sort(sorted.begin(), sorted.end(),
                     [](const Tag* a, const Tag* b) { return a->position.index > b->position.index; });
    return sorted;
  }

  Status CheckTree(const TreeVersion& version, const Table& table, bool newest, Recount& recount) {
    if (table.root.empty) return Ok();
    VerifyingNodes nodes(storage_, version);
    tree::Walk walk(table.root);
    Claims claims{{PlaceOf(table.root.ref.hint), table.root.rows}};
    PublicDigests digests(table, version.keys.at(table.id));
    LogIndex list_birth;  // chunks were born with their list, which comes right before them
    for (;;) {
      auto step = walk.Next(nodes);
      if (step.needs()) {
        const tree::NodeRef& ref = step.need();
        if (auto seen = seen_.find(PlaceOf(ref.hint)); seen != seen_.end()) {
          if (!(seen->second == Seen{AddressHead(ref), RowsClaimed(claims, ref)})) WrongRows(version, ref);
          digests.Skipped(ref);
          walk.Skip();
          continue;
        }
        Status loaded = nodes.Load(ref);
        if (loaded) continue;
        if (!IsDamage(loaded.code())) return loaded.error();
        NodeFinding(version.manifest, ref.hint, loaded.code());
        walk.Skip();
        continue;
      }
      if (step.failed()) {
        Add(Finding::Kind::kChanged, "table " + table.id.hex(), step.error().code(),
            "the tree is not well formed");
        return Ok();
      }
      if (!step.value()) return Ok();
      const tree::Walk::Visit& v = *step.value();
      LogIndex birth = v.ref.birth;
      if (v.node->type() == tree::NodeType::kChunkList) list_birth = birth;
      if (v.node->type() == tree::NodeType::kChunk && birth == LogIndex()) birth = list_birth;
      if (newest) recount.Add(v.ref.hint, birth);
      CheckRows(version, v, claims);
      if (!digests.Holds(v.ref, *v.node)) WrongDigest(version, v.ref);
      ++report_.nodes;
    }
  }

  // A parent says how many rows lie below each child; claims are few, since a walk goes down at once.
  using Claims = std::unordered_map<uint64_t, uint64_t>;
  static uint64_t PlaceOf(const tree::Hint& h) { return static_cast<uint64_t>(h.segment) << 32 | h.offset; }
  static uint64_t AddressHead(const tree::NodeRef& ref) { return LoadLittle<uint64_t>(&ref.address[1]); }
  static uint64_t RowsClaimed(Claims& claims, const tree::NodeRef& ref) {
    auto it = claims.find(PlaceOf(ref.hint));
    if (it == claims.end()) return 0;  // a blob
    uint64_t rows = it->second;
    claims.erase(it);
    return rows;
  }
  void CheckRows(const TreeVersion& version, const tree::Walk::Visit& v, Claims& claims) {
    const tree::Node& node = *v.node;
    bool blob = node.type() == tree::NodeType::kChunk || node.type() == tree::NodeType::kChunkList;
    uint64_t rows = blob ? 0 : node.total_rows();
    if (rows != RowsClaimed(claims, v.ref)) WrongRows(version, v.ref);
    seen_.emplace(PlaceOf(v.ref.hint), Seen{AddressHead(v.ref), rows});
    if (node.type() != tree::NodeType::kInner && node.type() != tree::NodeType::kPatriciaInner) return;
    for (size_t i = 0; i < node.count(); ++i) claims[PlaceOf(node.child(i).hint)] = node.rows(i);
  }
  void WrongRows(const TreeVersion& version, const tree::NodeRef& ref) {
    Add(Finding::Kind::kChanged, PlaceOf(version.manifest, ref.hint), Code::kTampered,
        "is not the node, or has not the rows, that its parent names");
  }

  void WrongDigest(const TreeVersion& version, const tree::NodeRef& ref) {
    Add(Finding::Kind::kChanged, PlaceOf(version.manifest, ref.hint), Code::kTampered,
        "the public digest is not that of its rows");
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

  // Nothing that belongs to nothing (rule E).
  void CheckListing(const std::vector<seam::ObjectInfo>& objects, const Expected& expected) {
    std::set<std::string> known{std::string(seal::kUnlockersName)};
    for (int slot : {0, 1}) {
      for (std::string_view f : kSlotFiles) known.insert(SlotName(slot, f));
    }
    const MemberId& member = r_.slots.manifest().member;
    for (const seam::ObjectInfo& o : objects) {
      if (known.contains(o.name) || expected.segments.contains(o.name)) continue;
      if (journal::FrameOfName(member, o.name)) continue;  // judged with the journal
      auto hex = o.name.starts_with(kSegmentsPrefix)
                     ? ParseHex(std::string_view(o.name).substr(kSegmentsPrefix.size()))
                     : std::nullopt;
      if (hex && hex->size() == 16) {
        SegmentId id = SegmentId::From(*hex);
        if (SegmentName(id) == o.name && SegmentSave(id) > r_.slots.manifest().save) {
          Add(Finding::Kind::kPending, o.name, Code::kTorn,
              "segment of an unfinished save; collected at the next open");
          continue;
        }
      }
      bool named = std::any_of(report_.findings.begin(), report_.findings.end(), [&](const Finding& f) {
        return f.kind == Finding::Kind::kExtra && f.object == o.name;
      });
      if (!named) Add(Finding::Kind::kExtra, o.name, Code::kAlien, std::string(CodeText(Code::kAlien)));
    }
    for (const std::string& name : bad_segments_) {
      if (named_.contains(name)) continue;
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
  std::set<std::string> bad_segments_, named_;
  struct Seen {
    uint64_t address_head, rows;
    friend bool operator==(const Seen&, const Seen&) = default;
  };
  std::unordered_map<uint64_t, Seen> seen_;  // by place
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
  static constexpr std::string_view kNames[] = {"missing", "changed",  "extra",   "stale",
                                                "torn",    "leftover", "pending", "note"};
  return std::string(kNames[static_cast<int>(kind)]) + "  " + object + ": " + detail;
}

std::string Freshness::Line() const {
  if (!proven) return "freshness unproven";
  return "fresh to index " + std::to_string(index.value) + " (anchor " + anchor + "); later writes unproven";
}

Expected ExpectedSegments(const Slots& slots) {
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

Result<VerifyReport> VerifyStore(seam::Storage& storage, ByteView passphrase, const VerifyOptions& options) {
  Reading r;
  return VerifyAndKeep(storage, passphrase, options, r);
}

Result<VerifyReport> VerifyUnlocked(seam::Storage& storage, Secrets secrets, const VerifyOptions& options,
                                    std::vector<Finding> findings_so_far) {
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
