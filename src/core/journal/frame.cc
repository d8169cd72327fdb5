#include "core/journal/frame.h"

#include <algorithm>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/limits.h"
#include "core/journal/frame_internal.h"
#include "crypto/aead.h"
#include "crypto/hash.h"

namespace holdfast::journal {
namespace {

constexpr std::string_view kMagic = "HFFRAME1";
constexpr uint16_t kVersion = 1;
constexpr size_t kCrcAt = 8, kBoundAt = 12, kSealHeaderAt = 32, kSealHeaderEnd = 112;
constexpr size_t kOutsideTextBytes = kFrameHeaderBytes + crypto::kTagBytes;
// A small frame shows little of its size; of a large one each padded sector is hashed, encrypted and written.
constexpr uint64_t kFineClassesFrom = 16;
constexpr size_t kFrameDigits = 20;  // of a name: every u64
static_assert(kSealHeaderEnd - kSealHeaderAt == seal::kHeaderBytes);
static_assert(kFrameTextBytesMax == limits::kFrameBytesMax - kOutsideTextBytes);

std::string Digits(uint64_t n) {
  std::string s(kFrameDigits, '0');
  for (size_t i = kFrameDigits; n != 0; n /= 10) s[--i] = static_cast<char>('0' + n % 10);
  return s;
}

uint64_t SectorsFor(uint64_t text_bytes) {
  return SizeClass((text_bytes + kOutsideTextBytes + limits::kSectorBytes - 1) / limits::kSectorBytes);
}

// Bytes 12 to 31: the part of the plain header that the sealed text is bound to.
ByteView Bound(ByteView frame) { return frame.subspan(kBoundAt, kSealHeaderAt - kBoundAt); }

Result<Frame> ParseText(const FrameHeader& header, ByteView text) {
  Reader r(text);
  Frame f;
  f.kind = header.kind;
  f.number = r.Num<FrameNumber>();
  f.term = r.Num<Term>();
  f.vote = r.Id<MemberId>();
  f.watermark = r.Num<LogIndex>();
  f.truncate_from = r.Num<LogIndex>();
  f.before.number = r.Num<FrameNumber>();
  f.before.digest = r.Hash();
  f.first_index = r.Num<LogIndex>();
  f.chain_before = r.Hash();
  uint32_t count = r.Count32(kEntryFixedBytes);
  if (!r.ok() || count > limits::kFrameEntriesMax) return Code::kMalformed;
  // Indexes count from 1, and first_index + count must not wrap round.
  if (f.first_index.value == 0 || f.first_index.value > UINT64_MAX - count) return Code::kMalformed;
  f.entries.reserve(count);
  for (uint32_t i = 0; i < count && r.ok(); ++i) {
    uint8_t kind = r.U8();
    if (kind < static_cast<uint8_t>(EntryKind::kOpened) || kind > static_cast<uint8_t>(kLastEntryKind))
      return Code::kMalformed;
    Term term = r.Num<Term>();
    f.entries.push_back({static_cast<EntryKind>(kind), term, ToBytes(r.Blob32(kFrameTextBytesMax))});
  }
  ByteView padding = r.Raw(r.remaining());
  if (!r.ok() || std::any_of(padding.begin(), padding.end(), [](uint8_t b) { return b != 0; }))
    return Code::kMalformed;
  if (f.number != header.number) return Code::kTampered;
  return f;
}

}  // namespace

std::string JournalPrefix(const MemberId& member) { return "members/" + member.hex() + "/journal/"; }

std::string FrameName(const MemberId& member, FrameNumber number) {
  return JournalPrefix(member) + Digits(number.value);
}

std::string FrameNameOfTerm(const MemberId& member, FrameNumber number, Term term) {
  return FrameName(member, number) + "." + Digits(term.value);
}

namespace {

std::optional<uint64_t> ParseDigits(std::string_view digits) {
  if (digits.size() != kFrameDigits) return std::nullopt;
  uint64_t n = 0;
  for (char c : digits) {
    if (c < '0' || c > '9') return std::nullopt;
    uint64_t digit = static_cast<uint64_t>(c - '0');
    if (n > (UINT64_MAX - digit) / 10) return std::nullopt;
    n = n * 10 + digit;
  }
  return n;
}

// Number and, in a name of the longer form, term.
std::optional<std::pair<FrameNumber, std::optional<Term>>> ParseFrameName(const MemberId& member,
                                                                          std::string_view name) {
  std::string prefix = JournalPrefix(member);
  if (!name.starts_with(prefix)) return std::nullopt;
  name.remove_prefix(prefix.size());
  std::optional<uint64_t> number = ParseDigits(name.substr(0, kFrameDigits));
  if (!number) return std::nullopt;
  if (name.size() == kFrameDigits) return std::pair(FrameNumber(*number), std::optional<Term>());
  std::optional<uint64_t> term = ParseDigits(name.substr(kFrameDigits + 1));
  if (!term || name[kFrameDigits] != '.') return std::nullopt;
  return std::pair(FrameNumber(*number), std::optional(Term(*term)));
}

}  // namespace

std::optional<FrameNumber> FrameOfName(const MemberId& member, std::string_view name) {
  auto parsed = ParseFrameName(member, name);
  return parsed ? std::optional(parsed->first) : std::nullopt;
}

std::optional<Term> TermOfName(const MemberId& member, std::string_view name) {
  auto parsed = ParseFrameName(member, name);
  return parsed ? parsed->second : std::nullopt;
}

uint64_t SizeClass(uint64_t sectors) {
  uint64_t power = 1;
  while (power < sectors) power *= 2;
  uint64_t wanted = power;
  if (power > kFineClassesFrom) {
    uint64_t step = power / 16;  // eight classes between two powers: padding is at most an eighth
    wanted = (sectors + step - 1) / step * step;
  } else if (power >= 4 && power / 4 * 3 >= sectors) {
    wanted = power / 4 * 3;  // at most a half
  }
  return std::min<uint64_t>(wanted, limits::kFrameBytesMax / limits::kSectorBytes);
}

Bytes SealFrameText(const JournalIdentity& id, const seal::DomainKeys& keys, Epoch epoch, FrameKind kind,
                    FrameNumber number, Bytes text, crypto::Random& random) {
  HF_CHECK(text.size() <= kFrameTextBytesMax);
  uint64_t sectors = SectorsFor(text.size());
  text.resize(sectors * limits::kSectorBytes - kOutsideTextBytes);  // padding is inside what is sealed (B1)

  Bytes out;
  out.reserve(sectors * limits::kSectorBytes);
  Writer w(out);
  w.Raw(AsBytes(kMagic)).U32(0).U16(kVersion).U16(static_cast<uint16_t>(kind)).Num(number);
  w.U32(static_cast<uint32_t>(sectors)).U32(0);
  std::string name = FrameName(id.member, number);
  Bytes sealed =
      seal::SealObject(keys, seal::ObjectKind::kFrame, epoch, {id.store, name, Bound(out)}, text, random);
  w.Raw(ByteView(sealed).first(seal::kHeaderBytes)).U64(0).U64(0);
  w.Raw(ByteView(sealed).subspan(seal::kHeaderBytes));
  StoreLittle(out.data() + kCrcAt, Crc32c(ByteView(out).subspan(kBoundAt, kFrameHeaderBytes - kBoundAt)));
  return out;
}

SealedFrame SealFrame(const JournalIdentity& id, const seal::DomainKeys& keys, Epoch epoch, const Frame& f,
                      std::span<const Entry> entries, crypto::Random& random) {
  HF_CHECK(entries.size() <= limits::kFrameEntriesMax && f.number.value != 0 && f.first_index.value != 0);
  HF_CHECK(f.entries.empty());
  uint64_t size = kFrameFixedTextBytes;
  for (const Entry& e : entries) size += kEntryFixedBytes + e.payload.size();
  HF_CHECK(size <= kFrameTextBytesMax);
  Bytes text;
  text.reserve(SectorsFor(size) * limits::kSectorBytes);
  Writer w(text);
  w.Num(f.number).Num(f.term).Id(f.vote).Num(f.watermark).Num(f.truncate_from);
  w.Num(f.before.number).Raw(f.before.digest).Num(f.first_index).Raw(f.chain_before);
  w.U32(static_cast<uint32_t>(entries.size()));
  for (const Entry& e : entries) w.U8(static_cast<uint8_t>(e.kind)).Num(e.term).Blob32(e.payload);

  SealedFrame out;
  out.bytes = SealFrameText(id, keys, epoch, f.kind, f.number, std::move(text), random);
  out.digest = crypto::Sha256(out.bytes);
  out.term = f.term;
  return out;
}

SealedFrame SealFrame(const JournalIdentity& id, const seal::DomainKeys& keys, Epoch epoch, const Frame& f,
                      crypto::Random& random) {
  Frame head = f;
  std::vector<Entry> entries = std::move(head.entries);
  head.entries.clear();
  return SealFrame(id, keys, epoch, head, entries, random);
}

Result<FrameHeader> DecodeFrameHeader(ByteView untrusted) {
  if (untrusted.size() < kFrameHeaderBytes) return Code::kMalformed;
  Reader r(untrusted.first(kFrameHeaderBytes));
  if (!Equal(r.Raw(kMagic.size()), AsBytes(kMagic))) return Code::kMalformed;
  uint32_t crc = r.U32();
  if (crc != Crc32c(untrusted.subspan(kBoundAt, kFrameHeaderBytes - kBoundAt))) return Code::kChecksum;
  if (r.U16() != kVersion) return Code::kUnknownFormat;
  uint16_t kind = r.U16();
  FrameHeader h;
  h.number = r.Num<FrameNumber>();
  uint64_t sectors = r.U32();
  uint32_t zero = r.U32();
  HF_TRY(seal::ObjectHeader sealed,
         seal::ObjectHeader::Decode(r.Raw(seal::kHeaderBytes), seal::ObjectKind::kFrame));
  uint64_t zeros = r.U64() | r.U64();
  bool known_kind =
      kind >= static_cast<uint16_t>(FrameKind::kWave) && kind <= static_cast<uint16_t>(FrameKind::kFence);
  // Only size classes are ever written; the bound also keeps a forged length from taking memory.
  bool is_class = sectors != 0 && sectors <= limits::kFrameBytesMax / limits::kSectorBytes &&
                  SizeClass(sectors) == sectors;
  if (zero != 0 || zeros != 0 || !known_kind || !is_class || h.number.value == 0) return Code::kMalformed;
  h.kind = static_cast<FrameKind>(kind);
  h.length_bytes = sectors * limits::kSectorBytes;
  h.epoch = sealed.epoch;
  return h;
}

Result<Frame> OpenFrame(const JournalIdentity& id, const seal::Keyring& keyring, ByteView untrusted) {
  HF_TRY(FrameHeader header, DecodeFrameHeader(untrusted));
  if (header.length_bytes != untrusted.size()) return Code::kMalformed;
  HF_TRY(seal::DomainKeys keys, keyring.JournalKeys(header.epoch));
  Bytes sealed;
  sealed.reserve(untrusted.size());
  Append(sealed, untrusted.subspan(kSealHeaderAt, seal::kHeaderBytes));
  Append(sealed, untrusted.subspan(kFrameHeaderBytes));
  std::string name = FrameName(id.member, header.number);
  HF_TRY(Bytes text,
         seal::OpenObject(keys, seal::ObjectKind::kFrame, {id.store, name, Bound(untrusted)}, sealed));
  return ParseText(header, text);
}

}  // namespace holdfast::journal
