#include "host/http/digest.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <random>

#include "base/check.h"

namespace holdfast::host {
namespace {

constexpr char kBase64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int Base64Value(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  return c == '/' ? 63 : -1;
}

}  // namespace

Digest Sha256(ByteView bytes) {
  Digest digest;
  HF_CHECK(EVP_Digest(bytes.data(), bytes.size(), digest.data(), nullptr, EVP_sha256(), nullptr) == 1);
  return digest;
}

Digest HmacSha256(ByteView key, ByteView bytes) {
  static constexpr uint8_t kNothing = 0;  // a null key would mean the one before
  Digest digest;
  unsigned size = 0;
  const uint8_t* k = key.empty() ? &kNothing : key.data();
  HF_CHECK(HMAC(EVP_sha256(), k, static_cast<int>(key.size()), bytes.data(), bytes.size(), digest.data(),
                &size) != nullptr &&
           size == digest.size());
  return digest;
}

std::string HexLower(ByteView bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (uint8_t b : bytes) {
    out += kDigits[b >> 4];
    out += kDigits[b & 15];
  }
  return out;
}

std::string Base64(ByteView bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    size_t n = std::min<size_t>(3, bytes.size() - i);
    uint32_t v = static_cast<uint32_t>(bytes[i]) << 16;
    if (n > 1) v |= static_cast<uint32_t>(bytes[i + 1]) << 8;
    if (n > 2) v |= bytes[i + 2];
    out += kBase64[v >> 18];
    out += kBase64[v >> 12 & 63];
    out += n > 1 ? kBase64[v >> 6 & 63] : '=';
    out += n > 2 ? kBase64[v & 63] : '=';
  }
  return out;
}

std::optional<Bytes> ParseBase64(std::string_view text) {
  if (text.size() % 4 != 0) return {};
  Bytes out;
  out.reserve(text.size() / 4 * 3);
  for (size_t i = 0; i < text.size(); i += 4) {
    bool last = i + 4 == text.size();
    int pads = last ? (text[i + 3] == '=' ? 1 : 0) + (text[i + 2] == '=' ? 1 : 0) : 0;
    if (pads == 1 && text[i + 2] == '=') return {};
    uint32_t v = 0;
    for (size_t k = 0; k < 4; ++k) {
      int d = k + static_cast<size_t>(pads) >= 4 ? 0 : Base64Value(text[i + k]);
      if (d < 0) return {};
      v = v << 6 | static_cast<uint32_t>(d);
    }
    if ((pads == 1 && (v & 0xff) != 0) || (pads == 2 && (v & 0xffff) != 0)) return {};
    out.push_back(static_cast<uint8_t>(v >> 16));
    if (pads < 2) out.push_back(static_cast<uint8_t>(v >> 8));
    if (pads < 1) out.push_back(static_cast<uint8_t>(v));
  }
  return out;
}

std::string UriEncode(std::string_view text, bool keep_slashes) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string out;
  for (char c : text) {
    bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
                 c == '.' || c == '_' || c == '~' || (keep_slashes && c == '/');
    if (plain) {
      out += c;
      continue;
    }
    out += '%';
    out += kDigits[static_cast<uint8_t>(c) >> 4];
    out += kDigits[static_cast<uint8_t>(c) & 15];
  }
  return out;
}

std::string RandomHex() {
  std::random_device device;
  uint8_t bytes[8];
  StoreLittle(bytes, (uint64_t{device()} << 32) | device());
  return HexLower(bytes);
}

}  // namespace holdfast::host
