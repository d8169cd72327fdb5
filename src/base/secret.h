// Key material. Wiped when it goes, cannot be printed, compared with == or copied by accident.
#ifndef HOLDFAST_BASE_SECRET_H_
#define HOLDFAST_BASE_SECRET_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/bytes.h"

namespace holdfast {

// Overwrites memory in a way the optimiser keeps.
void Wipe(void* p, size_t n);

// True iff equal; time depends on the sizes only.
bool ConstantTimeEqual(ByteView a, ByteView b);

template <size_t N>
class Secret {
 public:
  Secret() = default;
  explicit Secret(ByteView b) {  // REQUIRES: b.size() == N
    std::memcpy(bytes_.data(), b.data(), N);
  }
  Secret(Secret&& other) noexcept : bytes_(other.bytes_) { Wipe(other.bytes_.data(), N); }
  Secret& operator=(Secret&& other) noexcept {
    if (this != &other) {
      bytes_ = other.bytes_;
      Wipe(other.bytes_.data(), N);
    }
    return *this;
  }
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret() { Wipe(bytes_.data(), N); }

  Secret Clone() const { return Secret(view()); }
  ByteView view() const { return {bytes_.data(), N}; }
  MutableByteView mutable_view() { return {bytes_.data(), N}; }
  static constexpr size_t size() { return N; }

 private:
  std::array<uint8_t, N> bytes_{};
};

using Key = Secret<32>;

// A secret of any length (a passphrase, a private key in DER). Wiped when it goes. Bounded by its maker.
class SecretBytes {
 public:
  SecretBytes() = default;
  explicit SecretBytes(ByteView b) : bytes_(b.begin(), b.end()) {}
  SecretBytes(SecretBytes&& o) noexcept : bytes_(std::move(o.bytes_)) { o.bytes_.clear(); }
  SecretBytes& operator=(SecretBytes&& o) noexcept {
    if (this != &o) {
      Wipe(bytes_.data(), bytes_.size());
      bytes_ = std::move(o.bytes_);
      o.bytes_.clear();
    }
    return *this;
  }
  SecretBytes(const SecretBytes&) = delete;
  SecretBytes& operator=(const SecretBytes&) = delete;
  ~SecretBytes() { Wipe(bytes_.data(), bytes_.size()); }
  SecretBytes Clone() const { return SecretBytes(view()); }
  ByteView view() const { return bytes_; }

 private:
  Bytes bytes_;
};

}  // namespace holdfast

#endif  // HOLDFAST_BASE_SECRET_H_
