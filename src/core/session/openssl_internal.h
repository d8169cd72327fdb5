// Owners for what OpenSSL hands out.
#ifndef HOLDFAST_CORE_SESSION_OPENSSL_INTERNAL_H_
#define HOLDFAST_CORE_SESSION_OPENSSL_INTERNAL_H_

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>

#include "base/bytes.h"

namespace holdfast::session {

template <auto Free>
struct OpenSslFree {
  template <typename T>
  void operator()(T* p) const {
    Free(p);
  }
};
using KeyPtr = std::unique_ptr<EVP_PKEY, OpenSslFree<EVP_PKEY_free>>;
using CertPtr = std::unique_ptr<X509, OpenSslFree<X509_free>>;
using BioPtr = std::unique_ptr<BIO, OpenSslFree<BIO_free_all>>;
using SslCtxPtr = std::unique_ptr<SSL_CTX, OpenSslFree<SSL_CTX_free>>;
using SslPtr = std::unique_ptr<SSL, OpenSslFree<SSL_free>>;

// Null: not one certificate and nothing else. `library`: who will use it; null is OpenSSL's own.
CertPtr ParseCertDer(ByteView der, OSSL_LIB_CTX* library = nullptr);
KeyPtr ParseKeyDer(ByteView pkcs8, OSSL_LIB_CTX* library = nullptr);  // likewise
std::string SerialHex(const X509* cert);  // 32 upper-case digits; empty: not a serial of ours

}  // namespace holdfast::session

#endif  // HOLDFAST_CORE_SESSION_OPENSSL_INTERNAL_H_
