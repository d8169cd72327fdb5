#include "core/seal/anchor.h"

#include <algorithm>

#include "base/codec.h"
#include "base/crc32c.h"
#include "crypto/hash.h"

namespace holdfast::seal {
namespace {
constexpr std::string_view kMagic = "HFANCHR1";
constexpr size_t kMacBytes = 32;

// Crockford's base 32: no letter that looks like another or like a digit.
constexpr std::string_view kLetters = "0123456789abcdefghjkmnpqrstvwxyz";
constexpr size_t kGroupLetters = 4;
constexpr size_t kShortStoreBytes = 4;  // enough to say "of another store" instead of "mistyped"
constexpr size_t kCheckBytes = 4;
constexpr std::string_view kShortLabel = "holdfast short anchor";

using Tag = std::array<uint8_t, kShortAnchorTagBytes>;

Tag ShortTag(const Key& key, const StoreId& store, Term term, LogIndex index, SaveNumber save,
             const Digest& chain) {
  Bytes text;
  Writer(text).Raw(AsBytes(kShortLabel)).Id(store).Num(term).Num(index).Num(save).Raw(chain);
  Digest mac = crypto::HmacSha256(key.view(), {text});
  Tag tag;
  std::copy_n(mac.begin(), tag.size(), tag.begin());
  return tag;
}

// A number in as many bytes as it needs: one for the count (0 to 8), then the lowest first.
void WriteCounted(Bytes& out, uint64_t n) {
  size_t bytes = 0;
  for (uint64_t rest = n; rest != 0; rest >>= 8) ++bytes;
  Writer w(out);
  w.U8(static_cast<uint8_t>(bytes));
  for (size_t i = 0; i < bytes; ++i) w.U8(static_cast<uint8_t>(n >> (8 * i)));
}
uint64_t ReadCounted(Reader& r) {
  size_t bytes = r.U8();
  if (bytes > 8) r.Fail();
  uint64_t n = 0;
  for (size_t i = 0; i < bytes && r.ok(); ++i) n |= static_cast<uint64_t>(r.U8()) << (8 * i);
  if (bytes > 0 && bytes <= 8 && n >> (8 * (bytes - 1)) == 0) r.Fail();  // one spelling
  return n;
}

std::string Letters(ByteView bytes) {
  std::string out;
  unsigned bits = 0;
  uint32_t pending = 0;
  auto letter = [&](uint32_t five) {
    if (out.size() % (kGroupLetters + 1) == kGroupLetters) out += '-';
    out += kLetters[five & 31];
  };
  for (uint8_t b : bytes) {
    pending = pending << 8 | b;
    for (bits += 8; bits >= 5; bits -= 5) letter(pending >> (bits - 5));
  }
  if (bits > 0) letter(pending << (5 - bits));
  return out;
}

std::optional<uint32_t> LetterValue(char c) {
  if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  if (c == 'o') c = '0';
  if (c == 'i' || c == 'l') c = '1';
  size_t at = kLetters.find(c);
  return at == std::string_view::npos ? std::nullopt : std::optional(static_cast<uint32_t>(at));
}

std::optional<Bytes> ParseLetters(std::string_view text) {
  Bytes out;
  unsigned bits = 0;
  uint32_t pending = 0;
  for (char c : text) {
    if (c == '-' || c == ' ' || c == '\n' || c == '\r') continue;
    std::optional<uint32_t> five = LetterValue(c);
    if (!five) return std::nullopt;
    pending = pending << 5 | *five;
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    out.push_back(static_cast<uint8_t>(pending >> bits));
  }
  if (bits >= 5 || (pending & ((1u << bits) - 1)) != 0) return std::nullopt;  // one spelling
  return out;
}

struct ShortText {
  AnchorClaim claim;
  ByteView store;  // its first bytes; of `bytes`
  Bytes bytes;
};
Result<ShortText> ParseShort(std::string_view text) {
  if (text.size() > kShortAnchorTextMax) return Code::kMalformed;
  std::optional<Bytes> bytes = ParseLetters(text.substr(kShortAnchorPrefix.size()));
  if (!bytes || bytes->size() < kCheckBytes) return Code::kMalformed;
  ShortText t;
  t.bytes = std::move(*bytes);
  ByteView body = ByteView(t.bytes).first(t.bytes.size() - kCheckBytes);
  Reader check(ByteView(t.bytes).subspan(body.size()));
  if (check.U32() != Crc32c(body)) return Code::kChecksum;
  Reader r(body);
  t.store = r.Raw(kShortStoreBytes);
  t.claim.term = Term(ReadCounted(r));
  t.claim.index = LogIndex(ReadCounted(r));
  t.claim.save = SaveNumber(ReadCounted(r));
  r.Copy(t.claim.tag.emplace().data(), kShortAnchorTagBytes);
  if (!r.Finish()) return Code::kMalformed;
  return t;
}
}  // namespace

std::string Anchor::ShortForm(const Key& anchor_key) const {
  Bytes out;
  Writer(out).Raw(store.view().first(kShortStoreBytes));
  for (uint64_t n : {term.value, index.value, save.value}) WriteCounted(out, n);
  Append(out, ShortTag(anchor_key, store, term, index, save, chain));
  Writer(out).U32(Crc32c(out));
  return std::string(kShortAnchorPrefix) + Letters(out);
}

bool AnchorClaim::Names(const Key& anchor_key, const StoreId& store, Term at_term,
                        const Digest& at_chain) const {
  if (at_term != term) return false;
  if (!tag) return ConstantTimeEqual(at_chain, chain);
  return ConstantTimeEqual(ShortTag(anchor_key, store, term, index, save, at_chain), *tag);
}

bool AnchorClaim::IsShort(ByteView untrusted) {
  return untrusted.size() >= kShortAnchorPrefix.size() &&
         std::equal(kShortAnchorPrefix.begin(), kShortAnchorPrefix.end(), untrusted.begin(),
                    [](char p, uint8_t c) { return p == (c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c); });
}

Status AnchorClaim::CheckShort(std::string_view text) {
  if (!IsShort(AsBytes(text))) return Code::kMalformed;
  HF_TRY(ShortText t, ParseShort(text));
  static_cast<void>(t);
  return Ok();
}

Result<AnchorClaim> AnchorClaim::Read(const Key& anchor_key, const StoreId& store, ByteView untrusted) {
  if (IsShort(untrusted)) {
    HF_TRY(ShortText t, ParseShort(AsText(untrusted)));
    if (!Equal(t.store, store.view().first(kShortStoreBytes))) return Code::kForeign;
    return t.claim;
  }
  HF_TRY(Anchor a, Anchor::Decode(anchor_key, store, untrusted));
  AnchorClaim claim;
  claim.term = a.term;
  claim.index = a.index;
  claim.save = a.save;
  claim.chain = a.chain;
  return claim;
}

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
