#include "core/store/rows.h"

#include "base/codec.h"

namespace holdfast::store {

constexpr size_t kResultBytes = 8 + 2 + 8;

Bytes HeadRow::Encode() const {
  Bytes out;
  Writer(out).Num(term).Raw(chain);
  return out;
}

Result<HeadRow> HeadRow::Decode(ByteView untrusted) {
  Reader r(untrusted);
  HeadRow row;
  row.term = r.Num<Term>();
  row.chain = r.Hash();
  if (!r.Finish()) return Code::kMalformed;
  return row;
}

Bytes SessionRow::Encode() const {
  Bytes out;
  Writer w(out);
  w.U64(highest).Num(last_used).U32(static_cast<uint32_t>(results.size()));
  for (const Result& r : results) w.U64(r.sequence).U16(static_cast<uint16_t>(r.code)).U64(r.detail);
  return out;
}

Result<SessionRow> SessionRow::Decode(ByteView untrusted) {
  Reader r(untrusted);
  SessionRow row;
  row.highest = r.U64();
  row.last_used = r.Num<LogIndex>();
  uint32_t n = r.Count32(kResultBytes);
  row.results.reserve(n);
  for (uint32_t i = 0; i < n; ++i) {
    uint64_t sequence = r.U64();
    Code code = static_cast<Code>(r.U16());
    row.results.push_back({sequence, code, r.U64()});
  }
  if (!r.Finish()) return Code::kMalformed;
  return row;
}

}  // namespace holdfast::store
