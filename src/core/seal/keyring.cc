#include "core/seal/keyring.h"

#include "base/codec.h"
#include "crypto/hash.h"

namespace holdfast::seal {
namespace {

constexpr uint32_t kKeyringVersion = 1;
constexpr Epoch kKeyringEpoch{0};  // its own domain root hangs off the master and has no epochs
constexpr size_t kJournalItemBytes = 4 + 32;
constexpr size_t kTableItemBytes = 16 + 4 + 32;

Key ReadKey(Reader& r) {
  Key k;
  r.Copy(k.mutable_view().data(), Key::size());
  return k;
}

struct WipeAtEnd {
  Bytes& bytes;
  ~WipeAtEnd() { Wipe(bytes.data(), bytes.size()); }
};

}  // namespace

Keyring Keyring::Create(crypto::Random& random) {
  Keyring k;
  k.journal_.emplace(k.current_, random.NewKey());
  return k;
}

Keyring Keyring::Clone() const {
  Keyring k;
  k.current_ = current_;
  for (const auto& [epoch, key] : journal_) k.journal_.emplace(epoch, key.Clone());
  for (const auto& [id, key] : tables_) k.tables_.emplace(id, key.Clone());
  return k;
}

Result<DomainKeys> Keyring::JournalKeys(Epoch epoch) const {
  auto it = journal_.find(epoch);
  if (it == journal_.end()) return Code::kNoKey;
  return DomainKeys::Derive(it->second);
}

Result<DomainKeys> Keyring::TableKeys(const TableId& table, Epoch epoch, ByteView descriptor) const {
  auto it = tables_.find({table, epoch});
  if (it == tables_.end()) return Code::kNoKey;
  return DomainKeys::Derive(crypto::DeriveKey(it->second, "holdfast table", crypto::Sha256(descriptor)));
}

void Keyring::AddTable(const TableId& table, Epoch epoch, Key key) {
  tables_.insert_or_assign({table, epoch}, std::move(key));
}

void Keyring::DropTable(const TableId& table) {
  auto from = tables_.lower_bound({table, Epoch(0)});
  auto to = from;
  while (to != tables_.end() && to->first.first == table) ++to;
  tables_.erase(from, to);
}

Bytes Keyring::Seal(const Key& keyring_root, const StoreId& store, std::string_view name,
                    crypto::Random& random) const {
  Bytes text;
  WipeAtEnd wipe{text};
  // Reserved exactly: a vector that grows leaves copies of keys behind in freed memory.
  text.reserve(16 + journal_.size() * kJournalItemBytes + tables_.size() * kTableItemBytes);
  Writer w(text);
  w.U32(kKeyringVersion).Num(current_).U32(static_cast<uint32_t>(journal_.size()));
  for (const auto& [epoch, key] : journal_) w.Num(epoch).Raw(key.view());
  w.U32(static_cast<uint32_t>(tables_.size()));
  for (const auto& [id, key] : tables_) w.Id(id.first).Num(id.second).Raw(key.view());
  return SealObject(DomainKeys::Derive(keyring_root), ObjectKind::kKeyring, kKeyringEpoch, {store, name},
                    text, random);
}

Result<Keyring> Keyring::Open(const Key& keyring_root, const StoreId& store, std::string_view name,
                              ByteView untrusted) {
  HF_TRY(Bytes text,
         OpenObject(DomainKeys::Derive(keyring_root), ObjectKind::kKeyring, {store, name}, untrusted));
  WipeAtEnd wipe{text};
  Reader r(text);
  uint32_t version = r.U32();
  if (r.ok() && version != kKeyringVersion) return Code::kUnknownFormat;
  Keyring k;
  k.current_ = r.Num<Epoch>();
  // One spelling for one keyring: ascending, so no item stands twice.
  for (uint32_t n = r.Count32(kJournalItemBytes); n != 0; --n) {
    Epoch epoch = r.Num<Epoch>();
    if (!k.journal_.empty() && epoch <= k.journal_.rbegin()->first) return Code::kMalformed;
    k.journal_.emplace_hint(k.journal_.end(), epoch, ReadKey(r));
  }
  for (uint32_t n = r.Count32(kTableItemBytes); n != 0; --n) {
    TableId table = r.Id<TableId>();
    std::pair<TableId, Epoch> id{table, r.Num<Epoch>()};
    if (!k.tables_.empty() && id <= k.tables_.rbegin()->first) return Code::kMalformed;
    k.tables_.emplace_hint(k.tables_.end(), id, ReadKey(r));
  }
  if (!r.Finish() || !k.journal_.contains(k.current_)) return Code::kMalformed;
  return k;
}

}  // namespace holdfast::seal
