#include "crypto/aead.h"

#include <openssl/evp.h>

#include "base/check.h"

namespace holdfast::crypto {
namespace {

constexpr int kNonceBytes = 12;
constexpr size_t kPieceBytes = 1u << 30;  // OpenSSL takes lengths as int

void MakeNonce(uint64_t nonce, uint8_t out[kNonceBytes]) {
  std::memset(out, 0, kNonceBytes);
  StoreLittle(out, nonce);
}

}  // namespace

// One context serves both ways: GCM runs the block cipher forwards only, and each call says which way it
// goes.
struct AesGcm::State {
  EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
  ~State() { EVP_CIPHER_CTX_free(context); }  // wipes the key schedule
};

AesGcm::AesGcm(const Key& key) : s_(std::make_unique<State>()) {
  HF_CHECK(s_->context != nullptr);
  HF_CHECK(EVP_EncryptInit_ex(s_->context, EVP_aes_256_gcm(), nullptr, key.view().data(), nullptr) == 1);
}
AesGcm::AesGcm(AesGcm&&) noexcept = default;
AesGcm& AesGcm::operator=(AesGcm&&) noexcept = default;
AesGcm::~AesGcm() = default;

void AesGcm::Seal(uint64_t nonce, ByteView aad, ByteView plaintext, Bytes& out) {
  size_t at = out.size();
  Append(out, plaintext);
  out.resize(at + plaintext.size() + kTagBytes);
  SealInPlace(nonce, aad, MutableByteView(out).subspan(at));
}

void AesGcm::SealInPlace(uint64_t nonce, ByteView aad, MutableByteView text) {
  HF_CHECK(text.size() >= kTagBytes && text.size() < kPieceBytes && aad.size() < kPieceBytes);
  uint8_t* tag = text.data() + text.size() - kTagBytes;
  int size = static_cast<int>(text.size() - kTagBytes);
  uint8_t iv[kNonceBytes];
  MakeNonce(nonce, iv);
  EVP_CIPHER_CTX* c = s_->context;
  HF_CHECK(EVP_EncryptInit_ex(c, nullptr, nullptr, nullptr, iv) == 1);
  int n = 0;
  if (!aad.empty())
    HF_CHECK(EVP_EncryptUpdate(c, nullptr, &n, aad.data(), static_cast<int>(aad.size())) == 1);
  if (size != 0) HF_CHECK(EVP_EncryptUpdate(c, text.data(), &n, text.data(), size) == 1);
  HF_CHECK(EVP_EncryptFinal_ex(c, tag, &n) == 1);
  HF_CHECK(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, kTagBytes, tag) == 1);
}

Result<Bytes> AesGcm::Open(uint64_t nonce, ByteView aad, ByteView sealed) {
  Bytes out;
  HF_TRY_VOID(OpenInto(nonce, aad, sealed, out));
  return out;
}

Status AesGcm::OpenInto(uint64_t nonce, ByteView aad, ByteView sealed, Bytes& out) {
  if (sealed.size() < kTagBytes || sealed.size() >= kPieceBytes) {
    out.clear();
    return Code::kAuthFailed;
  }
  size_t size = sealed.size() - kTagBytes;
  uint8_t iv[kNonceBytes];
  MakeNonce(nonce, iv);
  EVP_CIPHER_CTX* c = s_->context;
  HF_CHECK(EVP_DecryptInit_ex(c, nullptr, nullptr, nullptr, iv) == 1);
  int n = 0;
  if (!aad.empty())
    HF_CHECK(EVP_DecryptUpdate(c, nullptr, &n, aad.data(), static_cast<int>(aad.size())) == 1);
  out.resize(size);
  uint8_t none = 0;
  if (size != 0) HF_CHECK(EVP_DecryptUpdate(c, out.data(), &n, sealed.data(), static_cast<int>(size)) == 1);
  uint8_t tag[kTagBytes];
  std::memcpy(tag, sealed.data() + size, kTagBytes);
  HF_CHECK(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, kTagBytes, tag) == 1);
  if (EVP_DecryptFinal_ex(c, &none, &n) != 1) {
    Wipe(out.data(), out.size());
    out.clear();
    return Code::kAuthFailed;
  }
  return Ok();
}

}  // namespace holdfast::crypto
