// OpenSSL as our TLS needs it: a library context of its own in which only what a handshake of ours uses can
// be found. A client's certificate is parsed before anything is known about it; here only a P-256 key parses.
// It is faster, too: OpenSSL 3.0 goes through every decoder and every kind of key it has for each
// certificate.
//
// Nothing is re-implemented: the algorithms are those of OpenSSL's default provider, less the ones left out.
#ifndef HOLDFAST_CORE_SESSION_TLS_LIBRARY_H_
#define HOLDFAST_CORE_SESSION_TLS_LIBRARY_H_

#include <openssl/types.h>

namespace holdfast::session {

// One for the process, made at the first call, never freed. Null, which means OpenSSL's own context with all
// it has, when this OpenSSL will not have it. Thread-safe.
OSSL_LIB_CTX* TlsLibrary();

}  // namespace holdfast::session

#endif  // HOLDFAST_CORE_SESSION_TLS_LIBRARY_H_
