#include "crypto/hash.h"

#include <openssl/evp.h>
#include <openssl/sha.h>

namespace holdfast::crypto {
namespace {

constexpr size_t kBlockBytes = 64;

struct Midstate {
  SHA256_CTX inner, outer;
};

// SHA256_CTX is copyable, which is what makes cached midstates cheap; the EVP interface copies 3x slower.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

void Init(SHA256_CTX& c) { SHA256_Init(&c); }
void Add(SHA256_CTX& c, ByteView b) { SHA256_Update(&c, b.data(), b.size()); }
Digest End(SHA256_CTX& c) {
  Digest d;
  SHA256_Final(d.data(), &c);
  return d;
}

#pragma GCC diagnostic pop

Midstate MakeMidstate(ByteView key) {
  uint8_t block[kBlockBytes] = {};
  if (key.size() > kBlockBytes) {
    Digest d = Sha256(key);
    std::memcpy(block, d.data(), d.size());
  } else if (!key.empty()) {
    std::memcpy(block, key.data(), key.size());
  }
  Midstate m;
  for (uint8_t& x : block) x ^= 0x36;
  Init(m.inner);
  Add(m.inner, {block, kBlockBytes});
  for (uint8_t& x : block) x ^= 0x36 ^ 0x5c;
  Init(m.outer);
  Add(m.outer, {block, kBlockBytes});
  Wipe(block, sizeof block);
  return m;
}

Digest Outer(const Midstate& m, const Digest& inner) {
  SHA256_CTX c = m.outer;
  Add(c, inner);
  Digest d = End(c);
  Wipe(&c, sizeof c);
  return d;
}

}  // namespace

Digest Sha256(std::initializer_list<ByteView> parts) {
  SHA256_CTX c;
  Init(c);
  for (ByteView p : parts) Add(c, p);
  return End(c);
}

Digest HmacSha256(ByteView key, std::initializer_list<ByteView> parts) {
  HmacStream s(key);
  for (ByteView p : parts) s.Update(p);
  return s.Finish();
}

Key HkdfSha256(ByteView input_key, ByteView salt, ByteView info) {
  static constexpr uint8_t kZeros[32] = {};
  Digest prk = HmacSha256(salt.empty() ? ByteView(kZeros, 32) : salt, {input_key});
  static constexpr uint8_t kOne[1] = {1};
  Digest out = HmacSha256(prk, {info, ByteView(kOne, 1)});
  Key key{ByteView(out)};
  Wipe(prk.data(), prk.size());
  Wipe(out.data(), out.size());
  return key;
}

Key DeriveKey(const Key& key, std::string_view label, ByteView context) {
  Bytes info = ToBytes(label);
  info.push_back(0);
  Append(info, context);
  return HkdfSha256(key.view(), {}, info);
}

struct HmacStream::State {
  Midstate key;
  SHA256_CTX now;
  ~State() { Wipe(this, sizeof *this); }
};
HmacStream::HmacStream(ByteView key) : s_(std::make_unique<State>()) {
  s_->key = MakeMidstate(key);
  s_->now = s_->key.inner;
}
HmacStream::HmacStream(HmacStream&&) noexcept = default;
HmacStream::~HmacStream() = default;
void HmacStream::Update(ByteView b) { Add(s_->now, b); }
Digest HmacStream::Finish() {
  Digest d = Outer(s_->key, End(s_->now));
  s_->now = s_->key.inner;
  return d;
}

struct Sha256Stream::State {
  SHA256_CTX now;
};
Sha256Stream::Sha256Stream() : s_(std::make_unique<State>()) { Init(s_->now); }
Sha256Stream::~Sha256Stream() = default;
void Sha256Stream::Update(ByteView b) { Add(s_->now, b); }
Digest Sha256Stream::Finish() {
  Digest d = End(s_->now);
  Init(s_->now);
  return d;
}

}  // namespace holdfast::crypto
