#include "core/seal/anchor.h"

#include "base/codec.h"
#include "crypto/hash.h"

namespace holdfast::seal {
namespace {
constexpr std::string_view kMagic = "HFANCHR1";
constexpr size_t kMacBytes = 32;
}  // namespace

Bytes Anchor::Encode(const Key& anchor_key) const {
  Bytes out;
  out.reserve(kAnchorBytes);
  Writer(out).Raw(AsBytes(kMagic)).Id(store).Num(term).Num(index).Raw(chain).Num(save);
  Digest mac = crypto::HmacSha256(anchor_key.view(), {out});
  Append(out, mac);
  return out;
}

Result<Anchor> Anchor::Decode(const Key& anchor_key, const StoreId& store, ByteView untrusted) {
  if (untrusted.size() != kAnchorBytes) return Code::kMalformed;
  Reader r(untrusted);
  if (!Equal(r.Raw(kMagic.size()), AsBytes(kMagic))) return Code::kMalformed;
  Anchor a;
  a.store = r.Id<StoreId>();
  a.term = r.Num<Term>();
  a.index = r.Num<LogIndex>();
  a.chain = r.Hash();
  a.save = r.Num<SaveNumber>();
  Digest mac = r.Hash();
  if (!r.Finish()) return Code::kMalformed;
  // Before the MAC, which another store's key made: "wrong file" is more useful than "tampered".
  if (a.store != store) return Code::kForeign;
  Digest own = crypto::HmacSha256(anchor_key.view(), {untrusted.first(kAnchorBytes - kMacBytes)});
  if (!ConstantTimeEqual(own, mac)) return Code::kAuthFailed;
  return a;
}

}  // namespace holdfast::seal
