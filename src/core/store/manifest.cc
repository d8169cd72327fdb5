#include "core/store/manifest.h"

#include "base/check.h"
#include "base/codec.h"
#include "base/limits.h"
#include "crypto/hash.h"

namespace holdfast::store {
namespace {

constexpr std::string_view kRootMagic = "HFROOT01";
constexpr uint32_t kManifestVersion = 1;
constexpr size_t kTableBytesMin = 16 + 4 + 2 + 33 + 8 + 8;
constexpr size_t kSegmentBytes = 4 + 16 + 16 + 4 + 32 + 32 + 32 + 8 + 8 + 8 + 8;

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
  s.live_bytes = r.U64();
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
  w.Raw(parent).Raw(audit_head).U32(static_cast<uint32_t>(tables.size()));
  for (const auto& [id, t] : tables) {
    w.Id(id).Num(t.epoch).Blob16(t.descriptor.Encode());
    w.Raw(t.root.empty ? tree::Address{} : t.root.ref.address);
    w.Num(t.root.empty ? LogIndex() : t.root.ref.birth).U64(t.root.rows);
    if (t.descriptor.layout == tree::Layout::kPatricia) w.Raw(t.root.digest);
  }
  return out;
}

Result<LogicalRoot> LogicalRoot::Decode(ByteView untrusted) {
  Reader r(untrusted);
  if (AsText(r.Raw(kRootMagic.size())) != kRootMagic) return Code::kMalformed;
  if (r.U32() != kFoldVersion) return Code::kUnknownFormat;
  LogicalRoot root;
  root.store = r.Id<StoreId>();
  root.position.index = r.Num<LogIndex>();
  root.position.term = r.Num<Term>();
  root.position.chain = r.Hash();
  root.parent = r.Hash();
  root.audit_head = r.Hash();
  uint32_t n = r.Count32(kTableBytesMin);
  if (n > limits::kTablesMax + 3) return Code::kMalformed;
  for (uint32_t i = 0; i < n; ++i) {
    HF_TRY(Table t, DecodeTable(r));
    if (!root.tables.empty() && t.id <= root.tables.rbegin()->first) return Code::kMalformed;
    TableId id = t.id;
    root.tables.emplace(id, std::move(t));
  }
  if (!r.Finish()) return Code::kMalformed;
  return root;
}

Digest LogicalRoot::ComputeDigest(const Key& root_key) const {
  return crypto::HmacSha256(root_key.view(), {Encode()});
}

HF_NOT_YET("D6: incremental manifest: it is written whole, about 180 bytes a segment");

Bytes Manifest::Encode() const {
  Bytes out;
  Writer w(out);
  w.U32(kManifestVersion).Id(store).Id(member).Num(save).Blob32(root.Encode());
  for (const auto& [id, t] : root.tables) {
    tree::Hint hint = t.root.empty ? tree::Hint{} : t.root.ref.hint;
    w.U32(hint.segment).U32(hint.offset).U32(hint.length);
  }
  w.Num(frame.number).Raw(frame.digest).U32(next_segment).U32(static_cast<uint32_t>(segments.size()));
  for (const auto& [number, s] : segments) {
    w.U32(s.number).Id(s.id).Id(s.table).Num(s.epoch).Raw(s.salt).Raw(s.h).Raw(s.sha256);
    w.U64(s.size).U64(s.live_bytes).Num(s.born).Num(s.condemned);
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
  for (auto& [id, t] : m.root.tables) {
    t.root.ref.hint = {r.U32(), r.U32(), r.U32()};
    if (t.root.empty && t.root.ref.hint != tree::Hint{}) return Code::kMalformed;
  }
  m.frame.number = r.Num<FrameNumber>();
  m.frame.digest = r.Hash();
  m.next_segment = r.U32();
  uint32_t n = r.Count32(kSegmentBytes);
  for (uint32_t i = 0; i < n; ++i) {
    Segment s = DecodeSegment(r);
    if (!m.segments.empty() && s.number <= m.segments.rbegin()->first) return Code::kMalformed;
    if (s.number == 0 || s.number >= m.next_segment) return Code::kMalformed;
    m.segments.emplace(s.number, s);
  }
  if (!r.Finish()) return Code::kMalformed;
  return m;
}

}  // namespace holdfast::store
