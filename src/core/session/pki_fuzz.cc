// The rows of the PKI: clients, certificates and keys as somebody else's bytes. The first byte chooses. A
// client's row has one spelling; a certificate that parses is one certificate and nothing else, with a serial
// of ours or none; and no rows make a client that the same rows would not accept.
#include "base/check.h"
#include "core/session/openssl_internal.h"
#include "core/session/pki.h"
#include "core/session/tls.h"
#include "crypto/random.h"

namespace holdfast::session {
namespace {

// `key` and value are separated by the first zero byte.
void TryClient(ByteView in) {
  std::string_view text = AsText(in);
  std::string_view key = text.substr(0, text.find('\0'));
  ByteView value = in.subspan(std::min(key.size() + 1, in.size()));
  Result<ClientInfo> client = DecodeClient(key, value);
  if (!client) {
    HF_CHECK(client.code() == Code::kMalformed);
    return;
  }
  HF_CHECK(std::string(kClientRowPrefix) + client->serial == key && ValidSerial(client->serial));
  HF_CHECK(Equal(EncodeClient(*client), value));
  HF_CHECK(!client->name.empty() && client->name.size() <= kClientNameBytesMax);
}

void TryCertificate(ByteView der) {
  CertPtr cert = ParseCertDer(der);
  if (!cert) return;
  std::string serial = SerialHex(cert.get());
  HF_CHECK(serial.empty() || ValidSerial(serial));
  // Nothing behind it, and the same again without the last byte is none.
  Bytes longer = ToBytes(der);
  longer.push_back(0);
  HF_CHECK(!ParseCertDer(longer) && !ParseCertDer(der.first(der.size() - 1)));
}

// The certificate's length in two bytes, the certificate, the key.
void TryAuthority(ByteView in) {
  if (in.size() < 2) return;
  size_t n = std::min<size_t>(LoadLittle<uint16_t>(in.data()), in.size() - 2);
  ByteView cert = in.subspan(2, n), key = in.subspan(2 + n);
  crypto::SeededRandom random(1);
  Result<IssuedClient> issued = IssueClient(cert, key, "name", false, random);
  HF_CHECK(issued.has_value() || issued.code() == Code::kMalformed || issued.code() == Code::kInternal);
  if (issued) {
    HF_CHECK(DecodeClient(issued->row.first, issued->row.second).value().serial == issued->serial);
  }
  auto context = TlsContext::Make(cert, cert, key, [](const std::string&, seam::Listener) { return Ok(); });
  HF_CHECK(context.has_value() || context.code() == Code::kMalformed || context.code() == Code::kInternal);
}

}  // namespace
}  // namespace holdfast::session

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace holdfast;  // NOLINT: a fuzzer's one function
  if (size == 0) return 0;
  ByteView rest(data + 1, size - 1);
  switch (data[0]) {
    case 'r':
      session::TryClient(rest);
      break;
    case 'c':
      session::TryCertificate(rest);
      break;
    case 'k':
      (void)session::ParseKeyDer(rest);
      break;
    default:
      session::TryAuthority(rest);
  }
  return 0;
}
