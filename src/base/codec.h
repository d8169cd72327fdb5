// Fixed-width little-endian writing and bounded reading of hostile bytes.
//
// Reader never reads past its end and never allocates more than it was given; after the first failure it
// answers zeros and `ok()` is false, so a parser checks once at the end: `if (!r.Finish()) return
// kMalformed`.
#ifndef HOLDFAST_BASE_CODEC_H_
#define HOLDFAST_BASE_CODEC_H_

#include <cstdint>
#include <string_view>

#include "base/bytes.h"
#include "base/ids.h"

namespace holdfast {

class Writer {
 public:
  explicit Writer(Bytes& out) : out_(out) {}
  Writer& U8(uint8_t v) {
    out_.push_back(v);
    return *this;
  }
  Writer& U16(uint16_t v) { return Fixed(v); }
  Writer& U32(uint32_t v) { return Fixed(v); }
  Writer& U64(uint64_t v) { return Fixed(v); }
  Writer& Raw(ByteView b) {
    Append(out_, b);
    return *this;
  }
  Writer& Blob16(ByteView b) { return U16(static_cast<uint16_t>(b.size())).Raw(b); }  // REQUIRES: size < 2^16
  Writer& Blob32(ByteView b) { return U32(static_cast<uint32_t>(b.size())).Raw(b); }  // REQUIRES: size < 2^32
  template <typename Tag, typename Rep>
  Writer& Num(Number<Tag, Rep> n) {
    return Fixed(n.value);
  }
  template <typename Tag>
  Writer& Id(const Id128<Tag>& id) {
    return Raw(id.view());
  }
  size_t size() const { return out_.size(); }

 private:
  template <typename T>
  Writer& Fixed(T v) {
    uint8_t b[sizeof(T)];
    StoreLittle(b, v);
    return Raw({b, sizeof(T)});
  }
  Bytes& out_;
};

class Reader {
 public:
  explicit Reader(ByteView in) : in_(in) {}
  uint8_t U8() { return Fixed<uint8_t>(); }
  uint16_t U16() { return Fixed<uint16_t>(); }
  uint32_t U32() { return Fixed<uint32_t>(); }
  uint64_t U64() { return Fixed<uint64_t>(); }
  // A view into the input; empty (and !ok()) when fewer than n bytes remain.
  ByteView Raw(size_t n) {
    if (!ok_ || in_.size() - pos_ < n) {
      ok_ = false;
      return {};
    }
    ByteView v = in_.subspan(pos_, n);
    pos_ += n;
    return v;
  }
  ByteView Blob16(size_t max = 0xFFFF) { return Limited(U16(), max); }
  ByteView Blob32(size_t max) { return Limited(U32(), max); }
  Digest Hash() {
    Digest d{};
    Copy(d.data(), d.size());
    return d;
  }
  template <typename N>
  N Num() {
    return N(Fixed<decltype(N::value)>());
  }
  template <typename I>
  I Id() {
    I id;
    Copy(id.bytes.data(), id.bytes.size());
    return id;
  }
  void Copy(uint8_t* to, size_t n) {
    ByteView v = Raw(n);
    if (v.size() == n && n != 0) std::memcpy(to, v.data(), n);
  }
  // A count of items that take at least `item_bytes` each: refused when the input cannot hold them.
  uint32_t Count32(size_t item_bytes) {
    uint32_t n = U32();
    if (ok_ && static_cast<uint64_t>(n) * item_bytes > remaining()) {
      ok_ = false;
      return 0;
    }
    return ok_ ? n : 0;
  }
  void Fail() { ok_ = false; }
  bool ok() const { return ok_; }
  size_t remaining() const { return in_.size() - pos_; }
  size_t position() const { return pos_; }
  bool Finish() const { return ok_ && pos_ == in_.size(); }  // all read, nothing left over

 private:
  template <typename T>
  T Fixed() {
    ByteView v = Raw(sizeof(T));
    return v.size() == sizeof(T) ? LoadLittle<T>(v.data()) : T{};
  }
  ByteView Limited(size_t n, size_t max) {
    if (n > max) {
      ok_ = false;
      return {};
    }
    return Raw(n);
  }
  ByteView in_;
  size_t pos_ = 0;
  bool ok_ = true;
};

}  // namespace holdfast

#endif  // HOLDFAST_BASE_CODEC_H_
