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
constexpr uint32_t kManifestVersion = 3;
constexpr size_t kTableBytesMin = 16 + 4 + 2 + 33 + 8 + 8;
constexpr size_t kTagBytesMin = 2 + 8 + 8 + 32 + 4;
constexpr size_t kGroupBytes = 1 + 4 + 16 + 4 + 8 + 32 + 32;

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

void EncodeGroups(Writer& w, const Groups& groups) {
  w.U32(static_cast<uint32_t>(groups.size()));
  for (const Group& g : groups) {
    w.U8(g.slot).U32(g.first).Id(g.id).U32(g.segments).U64(g.size).Raw(g.sha256).Raw(g.text);
  }
}

Result<Groups> DecodeGroups(Reader& r) {
  Groups groups;
  uint32_t n = r.Count32(kGroupBytes);
  if (n > limits::kManifestGroupsMax) return Code::kMalformed;
  uint64_t bytes[kNoSlot + 1] = {};
  for (uint32_t i = 0; i < n; ++i) {
    Group g;
    g.slot = r.U8();
    g.first = r.U32();
    g.id = r.Id<GroupId>();
    g.segments = r.U32();
    g.size = r.U64();
    g.sha256 = r.Hash();
    g.text = r.Hash();
    if (!r.ok() || g.slot > kNoSlot || g.first == 0 || g.segments == 0) return Code::kMalformed;
    if (!groups.empty() && g <= groups.back()) return Code::kMalformed;
    bool same_place = !groups.empty() && g.slot == groups.back().slot && g.first == groups.back().first;
    if (same_place && g.slot != kNoSlot) return Code::kMalformed;
    if (g.size > limits::kManifestBytesMax || (bytes[g.slot] += g.size) > limits::kManifestBytesMax)
      return Code::kMalformed;
    groups.push_back(g);
  }
  return groups;
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

Bytes Manifest::Encode() const {
  Bytes out;
  Writer w(out);
  w.U32(kManifestVersion).Id(store).Id(member).Num(save).Blob32(root.Encode());
  EncodeHints(w, root.tables);
  for (const auto& [name, t] : root.tags) EncodeHints(w, t.tables);
  w.Num(frame.number).Raw(frame.digest).U32(next_segment);
  w.U8(cleanings_owed).U64(garbage_before);
  EncodeGroups(w, groups);
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
  HF_TRY(m.groups, DecodeGroups(r));
  if (!r.Finish()) return Code::kMalformed;
  return m;
}

}  // namespace holdfast::store
