// Bytes from disk, network or host, before anything has verified them. They cannot be mistaken for ours:
// only code that says `parse` gets at them, and what a parser or an AEAD returns has another type.
#ifndef HOLDFAST_BASE_UNTRUSTED_H_
#define HOLDFAST_BASE_UNTRUSTED_H_

#include <utility>

#include "base/bytes.h"

namespace holdfast {

class UntrustedBytes {
 public:
  UntrustedBytes() = default;
  explicit UntrustedBytes(Bytes b) : bytes_(std::move(b)) {}
  size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }
  // For a bounded parser, a verifier, or a copy to another untrusted place. Nothing else.
  ByteView parse() const { return bytes_; }
  Bytes take() && { return std::move(bytes_); }
  // For who reads from the untrusted place, into memory that is there already.
  Bytes& fill() { return bytes_; }

 private:
  Bytes bytes_;
};

}  // namespace holdfast

#endif  // HOLDFAST_BASE_UNTRUSTED_H_
