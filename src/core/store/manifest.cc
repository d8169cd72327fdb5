#include "core/store/manifest.h"

#include <algorithm>

#include "base/check.h"
#include "base/codec.h"
#include "base/limits.h"
#include "crypto/hash.h"

namespace holdfast::store {
namespace {

constexpr std::string_view kRootMagic = "HFROOT02";
constexpr std::string_view kRootMagicBeforeTags = "HFROOT01";
constexpr uint32_t kManifestVersion = 2;
constexpr size_t kTableBytesMin = 16 + 4 + 2 + 33 + 8 + 8;
constexpr size_t kTagBytesMin = 2 + 8 + 8 + 32 + 4;
constexpr size_t kSegmentBytesMin = 4 + 16 + 16 + 4 + 32 + 32 + 32 + 8 + 8 + 8 + 1 + 4;
constexpr size_t kSpanBytes = 2 + 2 + 4;
constexpr uint16_t kNowOrdinal = 0xFFFF;
static_assert(limits::kTagsMax < kNowOrdinal);

Result<Table> DecodeTable(Reader& r) {
  Table t;
  t.id = r.Id<TableId>();
  t.epoch = r.Num<Epoch>();
  ByteView descriptor = r.Blob16();
  r.Copy(t.root.ref.address.data(), t.root.ref.address.size());
  t.root.ref.birth = r.Num<LogIndex>();
  t.root.rows = r.U64();
  if (!r.ok()) return Code::kMalformed;
  HF_TRY(t.descriptor, tree::Descriptor::Decode(descriptor));
  if (t.descriptor.layout == tree::Layout::kPatricia) t.root.digest = r.Hash();
  t.root.empty = t.root.ref.address == tree::Address{};
  if (t.root.empty && t.root.digest != Digest{}) return Code::kMalformed;
  if (t.root.empty != (t.root.rows == 0)) return Code::kMalformed;
  if (t.root.empty && t.root.ref.birth != LogIndex()) return Code::kMalformed;
  return t;
}

Result<Tables> DecodeTables(Reader& r) {
  Tables tables;
  uint32_t n = r.Count32(kTableBytesMin);
  if (n > limits::kTablesMax + 3) return Code::kMalformed;
  for (uint32_t i = 0; i < n; ++i) {
    HF_TRY(Table t, DecodeTable(r));
    if (!tables.empty() && t.id <= tables.rbegin()->first) return Code::kMalformed;
    TableId id = t.id;
    tables.emplace(id, std::move(t));
  }
  return tables;
}

Result<Tags> DecodeTags(Reader& r) {
  Tags tags;
  size_t tables = 0;
  uint32_t n = r.Count32(kTagBytesMin);
  if (n > limits::kTagsMax) return Code::kMalformed;
  for (uint32_t i = 0; i < n; ++i) {
    Tag t;
    t.name = ToText(r.Blob16(limits::kTagNameBytesMax));
    t.position.index = r.Num<LogIndex>();
    t.position.term = r.Num<Term>();
    t.position.chain = r.Hash();
    HF_TRY(t.tables, DecodeTables(r));
    if (!r.ok() || t.name.empty()) return Code::kMalformed;
    if (t.position.index == LogIndex() || t.position.index == kNow) return Code::kMalformed;
    if (!tags.empty() && t.name <= tags.rbegin()->first) return Code::kMalformed;
    if ((tables += t.tables.size()) > kTaggedTablesMax) return Code::kMalformed;
    std::string name = t.name;
    tags.emplace(std::move(name), std::move(t));
  }
  return tags;
}

void EncodeTables(Writer& w, const Tables& tables) {
  w.U32(static_cast<uint32_t>(tables.size()));
  for (const auto& [id, t] : tables) {
    w.Id(id).Num(t.epoch).Blob16(t.descriptor.Encode());
    w.Raw(t.root.empty ? tree::Address{} : t.root.ref.address);
    w.Num(t.root.empty ? LogIndex() : t.root.ref.birth).U64(t.root.rows);
    if (t.descriptor.layout == tree::Layout::kPatricia) w.Raw(t.root.digest);
  }
}

void EncodeHints(Writer& w, const Tables& tables) {
  for (const auto& [id, t] : tables) {
    tree::Hint hint = t.root.empty ? tree::Hint{} : t.root.ref.hint;
    w.U32(hint.segment).U32(hint.offset).U32(hint.length);
  }
}

bool DecodeHints(Reader& r, Tables& tables) {
  for (auto& [id, t] : tables) {
    t.root.ref.hint = {r.U32(), r.U32(), r.U32()};
    if (t.root.empty && t.root.ref.hint != tree::Hint{}) return false;
  }
  return true;
}

// Spans name tags by their place in the line: the manifest has many of them.
uint16_t OrdinalOf(const TagLine& line, LogIndex tag) {
  if (tag == kNow) return kNowOrdinal;
  auto it = std::lower_bound(line.all().begin(), line.all().end(), tag);
  HF_CHECK(it != line.all().end() && *it == tag);
  return static_cast<uint16_t>(it - line.all().begin());
}

void EncodeSpans(Writer& w, const Spans& spans, const TagLine& line) {
  w.U32(static_cast<uint32_t>(spans.items().size()));
  for (const Span& s : spans.items()) {
    w.U16(OrdinalOf(line, s.first)).U16(OrdinalOf(line, s.last)).U32(static_cast<uint32_t>(s.bytes));
  }
}

bool DecodeSpans(Reader& r, const TagLine& line, uint64_t size, Spans& spans) {
  auto named = [&](uint16_t ordinal) -> std::optional<LogIndex> {
    if (ordinal == kNowOrdinal) return kNow;
    if (ordinal >= line.all().size()) return std::nullopt;
    return line.all()[ordinal];
  };
  uint32_t n = r.Count32(kSpanBytes);
  std::pair<LogIndex, LogIndex> before;
  for (uint32_t i = 0; i < n; ++i) {
    auto first = named(r.U16()), last = named(r.U16());
    uint32_t bytes = r.U32();
    if (!first || !last || *first > *last || bytes == 0) return false;
    if (i > 0 && std::pair(*first, *last) <= before) return false;
    before = {*first, *last};
    spans.Add(*first, *last, bytes);
  }
  return r.ok() && spans.total() <= size;
}

Result<bool> DecodeBool(Reader& r) {
  uint8_t v = r.U8();
  if (!r.ok() || v > 1) return Code::kMalformed;
  return v == 1;
}

Segment DecodeSegment(Reader& r) {
  Segment s;
  s.number = r.U32();
  s.id = r.Id<SegmentId>();
  s.table = r.Id<TableId>();
  s.epoch = r.Num<Epoch>();
  r.Copy(s.salt.data(), s.salt.size());
  s.h = r.Hash();
  s.sha256 = r.Hash();
  s.size = r.U64();
  s.born = r.Num<SaveNumber>();
  s.condemned = r.Num<SaveNumber>();
  return s;
}

}  // namespace

Bytes LogicalRoot::Encode() const {
  Bytes out;
  Writer w(out);
  w.Raw(AsBytes(kRootMagic))
      .U32(kFoldVersion)
      .Id(store)
      .Num(position.index)
      .Num(position.term)
      .Raw(position.chain);
  w.Raw(parent).Raw(audit_head);
  EncodeTables(w, tables);
  w.U32(static_cast<uint32_t>(tags.size()));
  for (const auto& [name, t] : tags) {
    w.Blob16(AsBytes(name)).Num(t.position.index).Num(t.position.term).Raw(t.position.chain);
    EncodeTables(w, t.tables);
  }
  return out;
}

Result<LogicalRoot> LogicalRoot::Decode(ByteView untrusted) {
  Reader r(untrusted);
  std::string_view magic = AsText(r.Raw(kRootMagic.size()));
  if (magic != kRootMagic) return magic == kRootMagicBeforeTags ? Code::kUnknownFormat : Code::kMalformed;
  if (r.U32() != kFoldVersion) return Code::kUnknownFormat;
  LogicalRoot root;
  root.store = r.Id<StoreId>();
  root.position.index = r.Num<LogIndex>();
  root.position.term = r.Num<Term>();
  root.position.chain = r.Hash();
  root.parent = r.Hash();
  root.audit_head = r.Hash();
  HF_TRY(root.tables, DecodeTables(r));
  HF_TRY(root.tags, DecodeTags(r));
  if (!r.Finish()) return Code::kMalformed;
  return root;
}

TagLine LogicalRoot::Line() const {
  std::vector<LogIndex> at;
  for (const auto& [name, t] : tags) at.push_back(t.position.index);
  return TagLine(std::move(at));
}

Digest LogicalRoot::ComputeDigest(const Key& root_key) const {
  return crypto::HmacSha256(root_key.view(), {Encode()});
}

HF_NOT_YET("D6: incremental manifest: it is written whole, about 185 bytes a segment and 8 a span");

Bytes Manifest::Encode() const {
  Bytes out;
  Writer w(out);
  w.U32(kManifestVersion).Id(store).Id(member).Num(save).Blob32(root.Encode());
  EncodeHints(w, root.tables);
  for (const auto& [name, t] : root.tags) EncodeHints(w, t.tables);
  w.Num(frame.number).Raw(frame.digest).U32(next_segment);
  w.U8(cleanings_owed).U64(garbage_before);
  TagLine line = root.Line();
  w.U32(static_cast<uint32_t>(segments.size()));
  for (const auto& [number, s] : segments) {
    w.U32(s.number).Id(s.id).Id(s.table).Num(s.epoch).Raw(s.salt).Raw(s.h).Raw(s.sha256);
    w.U64(s.size).Num(s.born).Num(s.condemned).U8(s.blobs ? 1 : 0);
    EncodeSpans(w, s.spans, line);
  }
  return out;
}

Result<Manifest> Manifest::Decode(ByteView untrusted) {
  Reader r(untrusted);
  if (r.U32() != kManifestVersion) return Code::kUnknownFormat;
  Manifest m;
  m.store = r.Id<StoreId>();
  m.member = r.Id<MemberId>();
  m.save = r.Num<SaveNumber>();
  ByteView root = r.Blob32(limits::kManifestBytesMax);
  if (!r.ok()) return Code::kMalformed;
  HF_TRY(m.root, LogicalRoot::Decode(root));
  if (!DecodeHints(r, m.root.tables)) return Code::kMalformed;
  for (auto& [name, t] : m.root.tags) {
    if (!DecodeHints(r, t.tables)) return Code::kMalformed;
  }
  m.frame.number = r.Num<FrameNumber>();
  m.frame.digest = r.Hash();
  m.next_segment = r.U32();
  m.cleanings_owed = r.U8();
  m.garbage_before = r.U64();
  if (m.cleanings_owed > kCleaningsOwed) return Code::kMalformed;
  TagLine line = m.root.Line();
  uint32_t n = r.Count32(kSegmentBytesMin);
  for (uint32_t i = 0; i < n; ++i) {
    Segment s = DecodeSegment(r);
    HF_TRY(s.blobs, DecodeBool(r));
    if (!DecodeSpans(r, line, s.size, s.spans)) return Code::kMalformed;
    if (s.condemned != SaveNumber() && !s.spans.empty()) return Code::kMalformed;
    if (!m.segments.empty() && s.number <= m.segments.rbegin()->first) return Code::kMalformed;
    if (s.number == 0 || s.number >= m.next_segment) return Code::kMalformed;
    m.segments.emplace(s.number, std::move(s));
  }
  if (!r.Finish()) return Code::kMalformed;
  return m;
}

}  // namespace holdfast::store
