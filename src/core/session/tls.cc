#include "core/session/tls.h"

#include <openssl/err.h>

#include "core/session/openssl_internal.h"

namespace holdfast::session {

struct TlsContext::State {
  SslCtxPtr ctx;
  ClientCheck check;
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

// Runs after OpenSSL has checked the chain. A certificate of our CA is only good while its row says so.
int VerifyClient(int chain_ok, X509_STORE_CTX* store) {
  auto* ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto* connection = static_cast<TlsConnection::State*>(SSL_get_ex_data(ssl, ConnectionIndex()));
  if (chain_ok != 1) {
    connection->refusal = Code::kUnauthenticated;
    return 0;
  }
  if (X509_STORE_CTX_get_error_depth(store) != 0) return 1;
  std::string serial = SerialHex(X509_STORE_CTX_get_current_cert(store));
  Status status = serial.empty() ? Status(Code::kUnauthenticated)
                                 : connection->context->state().check(serial, connection->listener);
  if (!status.has_value()) {
    connection->refusal = status.code();
    X509_STORE_CTX_set_error(store, status.code() == Code::kRevoked ? X509_V_ERR_CERT_REVOKED
                                                                    : X509_V_ERR_APPLICATION_VERIFICATION);
    return 0;
  }
  connection->serial = std::move(serial);
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
  SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY);
  SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, VerifyClient);
  SSL_CTX_set_verify_depth(ctx, 1);
  SSL_CTX_set_alpn_select_cb(ctx, SelectH2, nullptr);
  return true;
}

}  // namespace

TlsContext::TlsContext(std::unique_ptr<State> s) : s_(std::move(s)) {}
TlsContext::~TlsContext() = default;

Result<std::shared_ptr<TlsContext>> TlsContext::Make(ByteView ca_cert_der, ByteView server_cert_der,
                                                     ByteView server_key_der, ClientCheck check) {
  CertPtr ca = ParseCertDer(ca_cert_der), cert = ParseCertDer(server_cert_der);
  KeyPtr key = ParseKeyDer(server_key_der);
  if (!ca || !cert || !key) return Code::kMalformed;
  auto state = std::make_unique<State>();
  state->ctx.reset(SSL_CTX_new(TLS_server_method()));
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
