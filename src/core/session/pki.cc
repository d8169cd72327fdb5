#include "core/session/pki.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/codec.h"
#include "core/session/openssl_internal.h"

namespace holdfast::session {
namespace {

constexpr size_t kSerialBytes = 16;
constexpr size_t kDerBytesMax = 16 << 10;  // of one certificate or key; ours have less than 1 KiB

KeyPtr NewKeyPair() { return KeyPtr(EVP_EC_gen("P-256")); }

template <typename T, int (*Encode)(const T*, unsigned char**)>
Result<Bytes> ToDer(const T* object) {
  int n = Encode(object, nullptr);
  if (n <= 0) return Code::kInternal;
  Bytes der(static_cast<size_t>(n));
  unsigned char* at = der.data();
  if (Encode(object, &at) != n) return Code::kInternal;
  return der;
}
Result<Bytes> CertDer(const X509* cert) { return ToDer<X509, i2d_X509>(cert); }

Result<Bytes> KeyDer(const EVP_PKEY* key) {
  std::unique_ptr<PKCS8_PRIV_KEY_INFO, OpenSslFree<PKCS8_PRIV_KEY_INFO_free>> p8(EVP_PKEY2PKCS8(key));
  if (!p8) return Code::kInternal;
  return ToDer<PKCS8_PRIV_KEY_INFO, i2d_PKCS8_PRIV_KEY_INFO>(p8.get());
}

// Positive and of full length, so that its hex form has 32 digits for every certificate.
std::array<uint8_t, kSerialBytes> NewSerial(crypto::Random& random) {
  std::array<uint8_t, kSerialBytes> serial;
  random.Fill(serial);
  serial[0] = static_cast<uint8_t>((serial[0] & 0x7F) | 0x40);
  return serial;
}

bool AddExtension(X509* cert, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX ctx;
  X509V3_set_ctx_nodb(&ctx);
  X509V3_set_ctx(&ctx, issuer, cert, nullptr, nullptr, 0);
  X509_EXTENSION* e = X509V3_EXT_conf_nid(nullptr, &ctx, nid, value.c_str());
  if (e == nullptr) return false;
  int ok = X509_add_ext(cert, e, -1);
  X509_EXTENSION_free(e);
  return ok == 1;
}

struct CertificateRequest {
  std::string common_name;
  std::vector<std::pair<int, std::string>> extensions;
};

// `issuer` null: signs itself.
Result<CertPtr> NewCertificate(const CertificateRequest& request, EVP_PKEY* key, X509* issuer,
                               EVP_PKEY* issuer_key, crypto::Random& random) {
  CertPtr cert(X509_new());
  if (!cert || key == nullptr) return Code::kInternal;
  auto serial = NewSerial(random);
  std::unique_ptr<BIGNUM, OpenSslFree<BN_free>> number(BN_bin2bn(serial.data(), kSerialBytes, nullptr));
  X509_NAME* subject = X509_get_subject_name(cert.get());
  bool ok = number && X509_set_version(cert.get(), X509_VERSION_3) == 1 &&
            BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(cert.get())) != nullptr &&
            ASN1_TIME_set_string_X509(X509_getm_notBefore(cert.get()), "20000101000000Z") == 1 &&
            ASN1_TIME_set_string_X509(X509_getm_notAfter(cert.get()), "99991231235959Z") == 1 &&
            X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                                       reinterpret_cast<const unsigned char*>(request.common_name.data()),
                                       static_cast<int>(request.common_name.size()), -1, 0) == 1 &&
            X509_set_issuer_name(cert.get(), issuer ? X509_get_subject_name(issuer) : subject) == 1 &&
            X509_set_pubkey(cert.get(), key) == 1;
  for (const auto& [nid, value] : request.extensions) {
    ok = ok && AddExtension(cert.get(), issuer ? issuer : cert.get(), nid, value);
  }
  if (!ok || X509_sign(cert.get(), issuer_key, EVP_sha256()) <= 0) return Code::kInternal;
  return cert;
}

std::string BioText(BIO* bio) {
  char* data = nullptr;
  long n = BIO_get_mem_data(bio, &data);
  return n > 0 ? std::string(data, static_cast<size_t>(n)) : std::string();
}

Result<std::string> CertPem(X509* cert) {
  BioPtr bio(BIO_new(BIO_s_mem()));
  if (!bio || PEM_write_bio_X509(bio.get(), cert) != 1) return Code::kInternal;
  return BioText(bio.get());
}

Result<SecretBytes> CertAndKeyPem(X509* cert, EVP_PKEY* key) {
  BioPtr bio(BIO_new(BIO_s_secmem()));  // wiped when freed
  if (!bio || PEM_write_bio_X509(bio.get(), cert) != 1 ||
      PEM_write_bio_PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return Code::kInternal;
  }
  char* data = nullptr;
  long n = BIO_get_mem_data(bio.get(), &data);
  if (n <= 0) return Code::kInternal;
  return SecretBytes(AsBytes({data, static_cast<size_t>(n)}));
}

bool ValidClientName(std::string_view name) {
  if (name.empty() || name.size() > kClientNameBytesMax) return false;
  for (char c : name) {
    if (c < 0x20 || c > 0x7E) return false;
  }
  return true;
}

const Bytes* FindRow(const SystemRows& rows, std::string_view key) {
  for (const auto& [k, value] : rows) {
    if (k == key) return &value;
  }
  return nullptr;
}

}  // namespace

CertPtr ParseCertDer(ByteView der, OSSL_LIB_CTX* library) {
  if (der.size() > kDerBytesMax) return nullptr;
  const unsigned char* at = der.data();
  X509* cert = X509_new_ex(library, nullptr);
  if (cert != nullptr) d2i_X509(&cert, &at, static_cast<long>(der.size()));  // frees it and sets it to null
  CertPtr parsed(cert);
  return parsed && at == der.data() + der.size() ? std::move(parsed) : nullptr;
}

KeyPtr ParseKeyDer(ByteView pkcs8, OSSL_LIB_CTX* library) {
  if (pkcs8.size() > kDerBytesMax) return nullptr;
  const unsigned char* at = pkcs8.data();
  return KeyPtr(d2i_AutoPrivateKey_ex(nullptr, &at, static_cast<long>(pkcs8.size()), library, nullptr));
}

std::string SerialHex(const X509* cert) {
  const ASN1_INTEGER* serial = X509_get0_serialNumber(cert);
  if (serial == nullptr || ASN1_STRING_length(serial) != static_cast<int>(kSerialBytes) ||
      ASN1_STRING_type(serial) != V_ASN1_INTEGER) {
    return {};
  }
  return HexUpper({ASN1_STRING_get0_data(serial), kSerialBytes});
}

std::string ServerName(const StoreId& store) { return store.hex() + ".holdfast"; }

Result<SystemRows> NewStorePki(const StoreId& store, crypto::Random& random) {
  KeyPtr ca_key = NewKeyPair(), server_key = NewKeyPair();
  CertificateRequest ca_request{"Holdfast CA " + store.hex(),
                                {{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
                                 {NID_key_usage, "critical,keyCertSign,cRLSign"},
                                 {NID_subject_key_identifier, "hash"}}};
  HF_TRY(CertPtr ca, NewCertificate(ca_request, ca_key.get(), nullptr, ca_key.get(), random));
  CertificateRequest server_request{ServerName(store),
                                    {{NID_basic_constraints, "critical,CA:FALSE"},
                                     {NID_key_usage, "critical,digitalSignature"},
                                     {NID_ext_key_usage, "serverAuth"},
                                     {NID_subject_alt_name, "DNS:" + ServerName(store)},
                                     {NID_subject_key_identifier, "hash"},
                                     {NID_authority_key_identifier, "keyid:always"}}};
  HF_TRY(CertPtr server, NewCertificate(server_request, server_key.get(), ca.get(), ca_key.get(), random));
  SystemRows rows;
  HF_TRY(Bytes ca_der, CertDer(ca.get()));
  HF_TRY(Bytes server_der, CertDer(server.get()));
  HF_TRY(Bytes ca_key_der, KeyDer(ca_key.get()));
  rows.emplace_back(kCaKeyRow, std::move(ca_key_der));
  rows.emplace_back(kCaCertRow, std::move(ca_der));
  rows.emplace_back(kServerCertRow, std::move(server_der));
  auto server_key_der = KeyDer(server_key.get());
  if (!server_key_der) {
    WipeRows(rows);
    return server_key_der.error();
  }
  rows.emplace_back(kServerKeyRow, std::move(server_key_der).value());
  return rows;
}

void WipeRows(SystemRows& rows) {
  for (auto& [key, value] : rows) Wipe(value.data(), value.size());
  rows.clear();
}

Result<IssuedClient> IssueClient(ByteView ca_cert_der, ByteView ca_key_der, std::string_view name, bool admin,
                                 crypto::Random& random) {
  if (!ValidClientName(name)) return Code::kInvalidArgument;
  CertPtr ca = ParseCertDer(ca_cert_der);
  KeyPtr ca_key = ParseKeyDer(ca_key_der);
  if (!ca || !ca_key || X509_check_private_key(ca.get(), ca_key.get()) != 1) return Code::kMalformed;
  KeyPtr key = NewKeyPair();
  CertificateRequest request{std::string(name),
                             {{NID_basic_constraints, "critical,CA:FALSE"},
                              {NID_key_usage, "critical,digitalSignature"},
                              {NID_ext_key_usage, "clientAuth"},
                              {NID_subject_key_identifier, "hash"},
                              {NID_authority_key_identifier, "keyid:always"}}};
  HF_TRY(CertPtr cert, NewCertificate(request, key.get(), ca.get(), ca_key.get(), random));
  IssuedClient issued;
  issued.serial = SerialHex(cert.get());
  HF_CHECK(!issued.serial.empty());
  HF_TRY(issued.pem, CertAndKeyPem(cert.get(), key.get()));
  HF_TRY(issued.ca_pem, CertPem(ca.get()));
  ClientInfo info{issued.serial, std::string(name), admin, false};
  issued.row = {std::string(kClientRowPrefix) + issued.serial, EncodeClient(info)};
  return issued;
}

Result<IssuedClient> IssueClient(const SystemRows& rows, std::string_view name, bool admin,
                                 crypto::Random& random) {
  const Bytes* cert = FindRow(rows, kCaCertRow);
  const Bytes* key = FindRow(rows, kCaKeyRow);
  if (cert == nullptr || key == nullptr) return Code::kMalformed;
  return IssueClient(*cert, *key, name, admin, random);
}

Bytes EncodeClient(const ClientInfo& client) {
  Bytes out;
  Writer(out)
      .U8(1)
      .U8(static_cast<uint8_t>((client.admin ? 1 : 0) | (client.revoked ? 2 : 0)))
      .Blob16(AsBytes(client.name));
  return out;
}

Result<ClientInfo> DecodeClient(std::string_view key, ByteView value) {
  if (!key.starts_with(kClientRowPrefix)) return Code::kMalformed;
  ClientInfo info;
  info.serial = std::string(key.substr(kClientRowPrefix.size()));
  Reader r(value);
  uint8_t version = r.U8(), flags = r.U8();
  info.name = ToText(r.Blob16(kClientNameBytesMax));
  if (!r.Finish() || version != 1 || flags > 3 || !ValidSerial(info.serial) || !ValidClientName(info.name)) {
    return Code::kMalformed;
  }
  info.admin = (flags & 1) != 0;
  info.revoked = (flags & 2) != 0;
  return info;
}

bool ValidSerial(std::string_view serial) {
  if (serial.size() != 2 * kSerialBytes) return false;
  for (char c : serial) {
    if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'F'))) return false;
  }
  return true;
}

}  // namespace holdfast::session
