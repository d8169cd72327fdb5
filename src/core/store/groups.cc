#include "core/store/groups.h"

#include <algorithm>
#include <set>

#include "base/check.h"
#include "base/codec.h"
#include "base/limits.h"
#include "crypto/hash.h"

namespace holdfast::store {
namespace {

constexpr size_t kSegmentBytesMin = 4 + 16 + 16 + 4 + 32 + 32 + 32 + 8 + 8 + 8 + 1 + 4;
constexpr size_t kSpanBytes = 2 + 2 + 4;
constexpr uint16_t kNowOrdinal = 0xFFFF;
static_assert(limits::kTagsMax < kNowOrdinal);

size_t EntryBytes(const Segment& s) { return kSegmentBytesMin + s.spans.items().size() * kSpanBytes; }

// The tags that spans of a group name.
using TagList = std::vector<LogIndex>;

uint16_t OrdinalOf(const TagList& tags, LogIndex tag) {
  if (tag == kNow) return kNowOrdinal;
  return static_cast<uint16_t>(std::lower_bound(tags.begin(), tags.end(), tag) - tags.begin());
}

void EncodeSegment(Writer& w, const Segment& s, const TagList& tags) {
  w.U32(s.number).Id(s.id).Id(s.table).Num(s.epoch).Raw(s.salt).Raw(s.h).Raw(s.sha256);
  w.U64(s.size).Num(s.born).Num(s.condemned).U8(s.blobs ? 1 : 0);
  w.U32(static_cast<uint32_t>(s.spans.items().size()));
  for (const Span& span : s.spans.items()) {
    w.U16(OrdinalOf(tags, span.first)).U16(OrdinalOf(tags, span.last)).U32(static_cast<uint32_t>(span.bytes));
  }
}

class GroupDecoder {
 public:
  GroupDecoder(ByteView untrusted, const TagLine& line) : r_(untrusted), line_(line) {}

  Result<std::vector<Segment>> Run() {
    if (!DecodeTags()) return Code::kMalformed;
    std::vector<Segment> segments;
    uint32_t n = r_.Count32(kSegmentBytesMin);
    for (uint32_t i = 0; i < n; ++i) {
      Segment s;
      if (!DecodeSegment(s)) return Code::kMalformed;
      if (s.number == 0 || (!segments.empty() && s.number <= segments.back().number)) return Code::kMalformed;
      segments.push_back(std::move(s));
    }
    bool all_named = std::find(named_.begin(), named_.end(), false) == named_.end();
    if (!r_.Finish() || segments.empty() || !all_named) return Code::kMalformed;
    return segments;
  }

 private:
  bool DecodeTags() {
    uint32_t n = r_.Count32(8);
    if (n > limits::kTagsMax) return false;
    for (uint32_t i = 0; i < n; ++i) {
      LogIndex tag = r_.Num<LogIndex>();
      if (!line_.Has(tag) || (!tags_.empty() && tag <= tags_.back())) return false;
      tags_.push_back(tag);
    }
    named_.assign(tags_.size(), false);
    return r_.ok();
  }

  std::optional<LogIndex> Named(uint16_t ordinal) {
    if (ordinal == kNowOrdinal) return kNow;
    if (ordinal >= tags_.size()) return std::nullopt;
    named_[ordinal] = true;
    return tags_[ordinal];
  }

  bool DecodeSegment(Segment& s) {
    s.number = r_.U32();
    s.id = r_.Id<SegmentId>();
    s.table = r_.Id<TableId>();
    s.epoch = r_.Num<Epoch>();
    r_.Copy(s.salt.data(), s.salt.size());
    s.h = r_.Hash();
    s.sha256 = r_.Hash();
    s.size = r_.U64();
    s.born = r_.Num<SaveNumber>();
    s.condemned = r_.Num<SaveNumber>();
    uint8_t blobs = r_.U8();
    s.blobs = blobs == 1;
    if (blobs > 1 || !DecodeSpans(s)) return false;
    return s.condemned == SaveNumber() || s.spans.empty();
  }

  bool DecodeSpans(Segment& s) {
    uint32_t n = r_.Count32(kSpanBytes);
    std::pair<LogIndex, LogIndex> before;
    for (uint32_t i = 0; i < n; ++i) {
      auto first = Named(r_.U16()), last = Named(r_.U16());
      uint32_t bytes = r_.U32();
      if (!first || !last || *first > *last || bytes == 0) return false;
      if (i > 0 && std::pair(*first, *last) <= before) return false;
      before = {*first, *last};
      s.spans.Add(*first, *last, bytes);
    }
    return r_.ok() && s.spans.total() <= s.size;
  }

  Reader r_;
  const TagLine& line_;
  TagList tags_;
  std::vector<bool> named_;
};

seal::DomainKeys KeysOf(const Secrets& secrets) { return seal::DomainKeys::Derive(secrets.keys.slot_root); }

// Segments side by side, to be one group.
struct Run {
  Segments::const_iterator first;
  size_t segments = 0, bytes = 0;
  const Group* kept = nullptr;  // that has exactly these, as they are
  bool FitsWith(const Run& next) const {
    return segments + next.segments <= kGroupSegmentsMax && bytes + next.bytes <= kGroupBytesMax;
  }
};

void Add(std::vector<Run>& runs, const Run& run) {
  if (!runs.empty()) {
    Run& before = runs.back();
    if ((before.kept == nullptr || run.kept == nullptr) && before.FitsWith(run)) {
      before.segments += run.segments;
      before.bytes += run.bytes;
      before.kept = nullptr;
      return;
    }
  }
  runs.push_back(run);
}

// What was one group, and is another one now: as many as it takes.
void AddPieces(std::vector<Run>& runs, const Run& whole) {
  Run piece{whole.first, 0, 0, nullptr};
  auto it = whole.first;
  for (size_t i = 0; i < whole.segments; ++i, ++it) {
    Run one{it, 1, EntryBytes(it->second), nullptr};
    if (piece.segments > 0 && !piece.FitsWith(one)) {
      Add(runs, piece);
      piece = {it, 0, 0, nullptr};
    }
    piece.segments += one.segments;
    piece.bytes += one.bytes;
  }
  Add(runs, piece);
}

// `own`: the slot's groups as it was written last, ascending. Each goes up to where the next one begins.
std::vector<Run> RunsOf(const Segments& segments, const std::vector<const Group*>& own) {
  std::vector<Run> runs;
  auto it = segments.begin();
  for (size_t i = 0; it != segments.end(); ++i) {
    Run run{it, 0, 0, nullptr};
    bool last = i + 1 >= own.size();
    for (; it != segments.end() && (last || it->first < own[i + 1]->first); ++it) {
      ++run.segments;
      run.bytes += EntryBytes(it->second);
    }
    if (run.segments == 0) continue;
    bool same = i < own.size() && own[i]->segments == run.segments &&
                own[i]->text == crypto::Sha256(EncodeGroup(run.first, run.segments));
    if (same) {
      run.kept = own[i];
      Add(runs, run);
    } else {
      AddPieces(runs, run);
    }
  }
  return runs;
}

}  // namespace

Bytes EncodeGroup(Segments::const_iterator first, size_t segments) {
  std::set<LogIndex> named;
  auto it = first;
  for (size_t i = 0; i < segments; ++i, ++it) {
    for (const Span& s : it->second.spans.items()) named.insert({s.first, s.last});
  }
  named.erase(kNow);
  TagList tags(named.begin(), named.end());
  Bytes out;
  Writer w(out);
  w.U32(static_cast<uint32_t>(tags.size()));
  for (LogIndex tag : tags) w.Num(tag);
  w.U32(static_cast<uint32_t>(segments));
  it = first;
  for (size_t i = 0; i < segments; ++i, ++it) EncodeSegment(w, it->second, tags);
  return out;
}

Result<std::vector<Segment>> DecodeGroup(ByteView untrusted, const TagLine& line) {
  return GroupDecoder(untrusted, line).Run();
}

Status WriteGroups(seam::Storage& storage, Manifest& manifest, const Secrets& secrets, Term opener,
                   crypto::Random& random, std::vector<std::string>& names) {
  const uint8_t slot = manifest.slot();
  const seal::DomainKeys keys = KeysOf(secrets);
  std::vector<const Group*> own;
  for (const Group& g : manifest.groups) {
    if (g.slot == slot) own.push_back(&g);
  }
  Groups listed;
  std::set<const Group*> kept;
  uint64_t bytes = 0;
  for (const Run& run : RunsOf(manifest.segments, own)) {
    if (run.kept != nullptr) {
      kept.insert(run.kept);
      listed.push_back(*run.kept);
    } else {
      Bytes text = EncodeGroup(run.first, run.segments);
      Group g;
      uint8_t drawn[5];
      random.Fill(drawn);
      g.id = IdOfSave<GroupId>(manifest.save, opener, drawn);
      g.slot = slot;
      g.first = run.first->first;
      g.segments = static_cast<uint32_t>(run.segments);
      g.text = crypto::Sha256(text);
      std::string name = GroupName(g.id);
      Bytes sealed =
          seal::SealObject(keys, seal::ObjectKind::kGroup, Epoch(), {secrets.store, name}, text, random);
      g.size = sealed.size();
      g.sha256 = crypto::Sha256(sealed);
      names.push_back(name);
      HF_TRY_VOID(storage.PutIfAbsent(name, sealed));
      listed.push_back(g);
    }
    bytes += listed.back().size;
    if (bytes > limits::kManifestBytesMax) return Code::kTooLarge;
  }
  for (const Group& g : manifest.groups) {
    if (kept.contains(&g)) continue;
    listed.push_back(g);
    if (g.slot == slot) listed.back().slot = kNoSlot;
  }
  if (listed.size() > limits::kManifestGroupsMax) return Code::kTooLarge;
  std::sort(listed.begin(), listed.end());
  manifest.groups = std::move(listed);
  return Ok();
}

namespace {

// One group into the segments. Its name is bound by the seal, its version by the head's digest.
Status ReadGroup(seam::Storage& storage, const Group& g, const TagLine& line, const seal::DomainKeys& keys,
                 Manifest& manifest, bool& bad) {
  std::string name = GroupName(g.id);
  auto bytes = storage.GetRange(name, 0, g.size + 1);
  if (!bytes && bytes.code() != Code::kNotFound) return bytes.error();
  bad = true;
  if (!bytes) return Code::kMissing;
  HF_TRY(Bytes text,
         seal::OpenObject(keys, seal::ObjectKind::kGroup, {manifest.store, name}, bytes->parse()));
  if (bytes->size() != g.size || crypto::Sha256(bytes->parse()) != g.sha256 || crypto::Sha256(text) != g.text)
    return Code::kTampered;
  HF_TRY(std::vector<Segment> segments, DecodeGroup(text, line));
  bool fits = segments.size() == g.segments && segments.front().number == g.first &&
              segments.back().number < manifest.next_segment &&
              (manifest.segments.empty() || manifest.segments.rbegin()->first < g.first);
  if (!fits) return Code::kMalformed;
  for (Segment& s : segments) manifest.segments.emplace_hint(manifest.segments.end(), s.number, std::move(s));
  bad = false;
  return Ok();
}

}  // namespace

Status ReadGroups(seam::Storage& storage, Manifest& manifest, const Secrets& secrets, std::string& bad) {
  TagLine line = manifest.root.Line();
  const seal::DomainKeys keys = KeysOf(secrets);
  for (const Group& g : manifest.groups) {
    if (g.slot != manifest.slot()) continue;
    bool is_bad = false;
    Status read = ReadGroup(storage, g, line, keys, manifest, is_bad);
    if (is_bad) bad = GroupName(g.id);
    HF_TRY_VOID(std::move(read));
  }
  return Ok();
}

void ReconcileGroups(Manifest& newest, const Manifest* other) {
  const uint8_t slot = 1 - newest.slot();
  std::map<GroupId, const Group*> theirs;
  if (other != nullptr) {
    for (const Group& g : other->groups) {
      if (g.slot == slot) theirs.emplace(g.id, &g);
    }
  }
  for (Group& g : newest.groups) {
    auto it = theirs.find(g.id);
    bool same = it != theirs.end() && *it->second == g;
    if (it != theirs.end()) theirs.erase(it);
    if (g.slot == slot && !same) g.slot = kNoSlot;
  }
  for (const auto& [id, g] : theirs) {  // of a slot that was put back: nobody else would delete it
    newest.groups.push_back(*g);
    newest.groups.back().slot = kNoSlot;
  }
  std::sort(newest.groups.begin(), newest.groups.end());
}

}  // namespace holdfast::store
