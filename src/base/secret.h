// Key material. Wiped when it goes, cannot be printed, compared with == or copied by accident.
#ifndef HOLDFAST_BASE_SECRET_H_
#define HOLDFAST_BASE_SECRET_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "base/bytes.h"

namespace holdfast {

// Overwrites memory in a way the optimiser keeps.
void Wipe(void* p, size_t n);

// True iff equal; time depends on the sizes only.
bool ConstantTimeEqual(ByteView a, ByteView b);

// Where secrets live: the heap, or memory that a process has locked (not swapped, not dumped, not inherited)
// and given away before it made its first secret. What does not fit into it goes to the heap and is counted.
struct SecretMemoryUse {
  size_t bytes = 0;      // given; 0: all secrets are on the heap
  size_t used = 0;       // of them
  uint64_t outside = 0;  // secrets that were put on the heap since, for want of space
};
// Once, while one thread runs. `memory` is aligned to 64 bytes, zeroed, and stays until the process ends.
void UseSecretMemory(void* memory, size_t bytes);
SecretMemoryUse SecretMemoryNow();
// Overwrites all of it; nothing may use a secret afterwards. For the last moment of a process.
void WipeSecretMemory();

// A piece of secret memory of fixed size, zeroed when new, wiped when it goes. Thread-safe to make and to
// drop.
class SecretBuffer {
 public:
  SecretBuffer() = default;
  explicit SecretBuffer(size_t bytes);
  SecretBuffer(SecretBuffer&& o) noexcept
      : data_(std::exchange(o.data_, nullptr)), bytes_(std::exchange(o.bytes_, 0)) {}
  SecretBuffer& operator=(SecretBuffer&& o) noexcept {
    if (this != &o) {
      Drop();
      data_ = std::exchange(o.data_, nullptr);
      bytes_ = std::exchange(o.bytes_, 0);
    }
    return *this;
  }
  SecretBuffer(const SecretBuffer&) = delete;
  SecretBuffer& operator=(const SecretBuffer&) = delete;
  ~SecretBuffer() { Drop(); }
  uint8_t* data() const { return data_; }
  size_t size() const { return bytes_; }

 private:
  void Drop();
  uint8_t* data_ = nullptr;
  size_t bytes_ = 0;
};

// N bytes. What was moved from is empty: it may be assigned to or dropped, nothing else.
template <size_t N>
class Secret {
 public:
  Secret() : bytes_(N) {}
  explicit Secret(ByteView b) : bytes_(N) {  // REQUIRES: b.size() == N
    std::memcpy(bytes_.data(), b.data(), N);
  }
  Secret(Secret&& other) noexcept = default;
  Secret& operator=(Secret&& other) noexcept = default;

  Secret Clone() const { return Secret(view()); }
  ByteView view() const { return {bytes_.data(), bytes_.size()}; }
  MutableByteView mutable_view() { return {bytes_.data(), bytes_.size()}; }
  static constexpr size_t size() { return N; }

 private:
  SecretBuffer bytes_;
};

using Key = Secret<32>;

// A secret of any length (a passphrase, a private key in DER). Wiped when it goes. Bounded by its maker.
class SecretBytes {
 public:
  SecretBytes() = default;
  explicit SecretBytes(ByteView b) : bytes_(b.size()) {
    if (!b.empty()) std::memcpy(bytes_.data(), b.data(), b.size());
  }
  SecretBytes Clone() const { return SecretBytes(view()); }
  ByteView view() const { return {bytes_.data(), bytes_.size()}; }

 private:
  SecretBuffer bytes_;
};

}  // namespace holdfast

#endif  // HOLDFAST_BASE_SECRET_H_
