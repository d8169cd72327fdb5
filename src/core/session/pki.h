// The store's own certificate authority. Everything lies sealed in the system table; the only exports are
// client certificates with their keys and the CA's certificate.
//
//   pki/ca-cert, pki/server-cert      X.509, DER
//   pki/ca-key, pki/server-key        PKCS #8, DER (secret)
//   client/<serial>                   u8 version = 1, u8 flags (1 admin, 2 revoked), blob16 name;
//                                     <serial> = 32 upper-case hex digits. A certificate that has no row
//                                     is refused: the rows are an allow list.
//
// Keys are ECDSA P-256, drawn from OpenSSL's generator, which seeds itself from getrandom. Certificates run
// from 2000 to 9999 and nobody checks the time (rule J1): revoking is a log entry. The server's name is
// `<store id>.holdfast`.
#ifndef HOLDFAST_CORE_SESSION_PKI_H_
#define HOLDFAST_CORE_SESSION_PKI_H_

#include <string>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "base/secret.h"
#include "core/session/backend.h"
#include "crypto/random.h"

namespace holdfast::session {

inline constexpr std::string_view kCaCertRow = "pki/ca-cert", kCaKeyRow = "pki/ca-key",
                                  kServerCertRow = "pki/server-cert", kServerKeyRow = "pki/server-key",
                                  kClientRowPrefix = "client/";
inline constexpr size_t kClientNameBytesMax = 64;

using SystemRows = std::vector<std::pair<std::string, Bytes>>;

std::string ServerName(const StoreId& store);  // "<32 hex digits>.holdfast"

// The rows of a new store: its CA and its server certificate. The caller wipes them (WipeRows). kInternal:
// OpenSSL refused, nothing was made.
Result<SystemRows> NewStorePki(const StoreId& store, crypto::Random& random);
void WipeRows(SystemRows& rows);

struct IssuedClient {
  std::string serial;
  SecretBytes pem;                    // certificate, then private key
  std::string ca_pem;                 // what the client checks the server against
  std::pair<std::string, Bytes> row;  // to be stored before the certificate is of use
};
// `name`: 1 to 64 bytes of printable ASCII, else kInvalidArgument. kMalformed: the CA rows are not what they
// should be.
Result<IssuedClient> IssueClient(ByteView ca_cert_der, ByteView ca_key_der, std::string_view name, bool admin,
                                 crypto::Random& random);
// The same out of the rows that NewStorePki made.
Result<IssuedClient> IssueClient(const SystemRows& rows, std::string_view name, bool admin,
                                 crypto::Random& random);

Bytes EncodeClient(const ClientInfo& client);
// `key` is the whole row key. kMalformed.
Result<ClientInfo> DecodeClient(std::string_view key, ByteView value);
bool ValidSerial(std::string_view serial);

}  // namespace holdfast::session

#endif  // HOLDFAST_CORE_SESSION_PKI_H_
