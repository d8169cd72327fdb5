#include "core/session/tls.h"

#include <openssl/err.h>

#include <set>

#include "base/limits.h"
#include "core/session/openssl_internal.h"
#include "core/session/tls_library.h"
#include "crypto/hash.h"
#include "sync/mutex.h"

namespace holdfast::session {

struct TlsContext::State {
  SslCtxPtr ctx;
  ClientCheck check;

  // Certificates whose chain was found good, by SHA-256: the same bytes are good again under the same CA, and
  // time is not looked at (rule J1). What may change, the client's row, is asked every time. Only what our CA
  // has signed gets in.
  sync::Mutex proven_mutex{sync::LockName::kSession};
  std::set<Digest> proven HF_GUARDED_BY(proven_mutex){};

  bool IsProven(const Digest& certificate) {
    sync::MutexLock lock(proven_mutex);
    return proven.contains(certificate);
  }
  void Remember(const Digest& certificate) {
    sync::MutexLock lock(proven_mutex);
    if (proven.size() >= limits::kConnectionsMax) proven.clear();
    proven.insert(certificate);
  }
};

struct TlsConnection::State {
  std::shared_ptr<TlsContext> context;
  seam::Listener listener{};
  SslPtr ssl;
  BIO* in = nullptr;  // both belong to `ssl`
  BIO* out = nullptr;
  std::string serial;
  Code refusal = Code::kMalformed;  // why the handshake failed, when we know better
  bool closed = false;
};

namespace {

// Where the verify callback finds the connection.
int ConnectionIndex() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

int SelectH2(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in,
             unsigned in_size, void*) {
  static const unsigned char kH2[] = {2, 'h', '2'};
  unsigned char* selected = nullptr;
  if (SSL_select_next_proto(&selected, out_size, kH2, sizeof kH2, in, in_size) != OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  *out = selected;
  return SSL_TLSEXT_ERR_OK;
}

Result<Digest> DigestOf(X509* cert) {
  unsigned char* der = nullptr;
  int n = i2d_X509(cert, &der);
  if (n <= 0) return Code::kInternal;
  Digest digest = crypto::Sha256({der, static_cast<size_t>(n)});
  OPENSSL_free(der);
  return digest;
}

// Instead of OpenSSL's check of the chain, which it calls. A certificate of our CA is only good while its row
// says so.
int VerifyClient(X509_STORE_CTX* store, void*) {
  auto* ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto* connection = static_cast<TlsConnection::State*>(SSL_get_ex_data(ssl, ConnectionIndex()));
  TlsContext::State& context = connection->context->state();
  X509* cert = X509_STORE_CTX_get0_cert(store);
  auto digest = DigestOf(cert);
  connection->refusal = Code::kUnauthenticated;
  if (!digest) return 0;
  if (!context.IsProven(*digest)) {
    if (X509_verify_cert(store) != 1) return 0;
    context.Remember(*digest);
  }
  std::string serial = SerialHex(cert);
  Status status =
      serial.empty() ? Status(Code::kUnauthenticated) : context.check(serial, connection->listener);
  if (!status.has_value()) {
    connection->refusal = status.code();
    X509_STORE_CTX_set_error(store, status.code() == Code::kRevoked ? X509_V_ERR_CERT_REVOKED
                                                                    : X509_V_ERR_APPLICATION_VERIFICATION);
    return 0;
  }
  connection->refusal = Code::kMalformed;
  connection->serial = std::move(serial);
  X509_STORE_CTX_set_error(store, X509_V_OK);
  return 1;
}

bool SetUp(SSL_CTX* ctx, X509* ca, X509* cert, EVP_PKEY* key) {
  X509_STORE* store = SSL_CTX_get_cert_store(ctx);
  if (SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 ||
      SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) != 1 || SSL_CTX_use_certificate(ctx, cert) != 1 ||
      SSL_CTX_use_PrivateKey(ctx, key) != 1 || SSL_CTX_check_private_key(ctx) != 1 ||
      X509_STORE_add_cert(store, ca) != 1 || X509_STORE_set_flags(store, X509_V_FLAG_NO_CHECK_TIME) != 1 ||
      SSL_CTX_add_client_CA(ctx, ca) != 1 || SSL_CTX_set_num_tickets(ctx, 0) != 1) {
    return false;
  }
  SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
  // Without our chain, which every client has, as its CA: OpenSSL would make and check it for each handshake.
  SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY | SSL_MODE_NO_AUTO_CHAIN);
  SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_CTX_set_cert_verify_callback(ctx, VerifyClient, nullptr);
  SSL_CTX_set_verify_depth(ctx, 1);
  SSL_CTX_set_alpn_select_cb(ctx, SelectH2, nullptr);
  return true;
}

}  // namespace

TlsContext::TlsContext(std::unique_ptr<State> s) : s_(std::move(s)) {}
TlsContext::~TlsContext() = default;

Result<std::shared_ptr<TlsContext>> TlsContext::Make(ByteView ca_cert_der, ByteView server_cert_der,
                                                     ByteView server_key_der, ClientCheck check) {
  OSSL_LIB_CTX* library = TlsLibrary();
  CertPtr ca = ParseCertDer(ca_cert_der, library), cert = ParseCertDer(server_cert_der, library);
  KeyPtr key = ParseKeyDer(server_key_der, library);
  if (!ca || !cert || !key) return Code::kMalformed;
  auto state = std::make_unique<State>();
  state->ctx.reset(SSL_CTX_new_ex(library, nullptr, TLS_server_method()));
  state->check = std::move(check);
  if (!state->ctx) return Code::kInternal;
  ERR_clear_error();
  if (!SetUp(state->ctx.get(), ca.get(), cert.get(), key.get())) return Code::kMalformed;
  return std::shared_ptr<TlsContext>(new TlsContext(std::move(state)));
}

TlsConnection::TlsConnection(std::shared_ptr<TlsContext> context, seam::Listener listener)
    : s_(std::make_unique<State>()) {
  s_->ssl.reset(SSL_new(context->state().ctx.get()));
  HF_CHECK(s_->ssl != nullptr);
  s_->context = std::move(context);
  s_->listener = listener;
  s_->in = BIO_new(BIO_s_mem());
  s_->out = BIO_new(BIO_s_mem());
  HF_CHECK(s_->in != nullptr && s_->out != nullptr);
  BIO_set_mem_eof_return(s_->in, -1);  // empty means "later", not "closed"
  SSL_set_bio(s_->ssl.get(), s_->in, s_->out);
  SSL_set_ex_data(s_->ssl.get(), ConnectionIndex(), s_.get());
  SSL_set_accept_state(s_->ssl.get());
}

TlsConnection::~TlsConnection() = default;

void TlsConnection::Feed(ByteView cipher) {
  if (cipher.empty()) return;
  size_t written = 0;
  HF_CHECK(BIO_write_ex(s_->in, cipher.data(), cipher.size(), &written) == 1 && written == cipher.size());
}

size_t TlsConnection::unread_bytes() const { return BIO_ctrl_pending(s_->in); }

Result<bool> TlsConnection::Handshake() {
  ERR_clear_error();
  int n = SSL_do_handshake(s_->ssl.get());
  if (n != 1) {
    int why = SSL_get_error(s_->ssl.get(), n);
    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) return false;
    return s_->refusal;
  }
  const unsigned char* protocol = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(s_->ssl.get(), &protocol, &size);
  if (size != 2 || s_->serial.empty()) return Code::kMalformed;  // a client that offered no ALPN at all
  return true;
}

Result<size_t> TlsConnection::Read(MutableByteView out) {
  ERR_clear_error();
  size_t n = 0;
  int ok = SSL_read_ex(s_->ssl.get(), out.data(), out.size(), &n);
  if (ok == 1) return n;
  switch (SSL_get_error(s_->ssl.get(), ok)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
      return size_t{0};
    case SSL_ERROR_ZERO_RETURN:
      s_->closed = true;
      return size_t{0};
    default:
      return Code::kMalformed;
  }
}

bool TlsConnection::closed() const { return s_->closed; }

Status TlsConnection::Write(ByteView plain) {
  ERR_clear_error();
  size_t n = 0;
  // The output is a memory BIO that takes everything, so a write is never partial.
  if (SSL_write_ex(s_->ssl.get(), plain.data(), plain.size(), &n) != 1 || n != plain.size())
    return Code::kMalformed;
  return Ok();
}

void TlsConnection::Close() {
  ERR_clear_error();
  if (SSL_is_init_finished(s_->ssl.get())) SSL_shutdown(s_->ssl.get());
  ERR_clear_error();
}

size_t TlsConnection::cipher_bytes() const { return BIO_ctrl_pending(s_->out); }

Bytes TlsConnection::TakeCipher(size_t bytes_max) {
  size_t n = std::min(cipher_bytes(), bytes_max);
  Bytes out(n);
  size_t got = 0;
  if (n != 0) HF_CHECK(BIO_read_ex(s_->out, out.data(), n, &got) == 1 && got == n);
  return out;
}

const std::string& TlsConnection::serial() const { return s_->serial; }

}  // namespace holdfast::session
