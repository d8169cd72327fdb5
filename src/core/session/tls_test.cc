// TLS as the edge uses it, against clients in memory; what bent bytes do is the fuzzer's.
#include "core/session/tls.h"

#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <map>

#include "core/session/openssl_internal.h"
#include "core/session/pki.h"
#include "core/session/tls_library.h"
#include "crypto/random.h"

namespace holdfast::session {
namespace {

// A client that offers what it has: a certificate and its key, or nothing.
class MemoryClient {
 public:
  MemoryClient(X509* cert, EVP_PKEY* key) : ctx_(SSL_CTX_new(TLS_client_method())) {
    const unsigned char h2[] = {2, 'h', '2'};
    SSL_CTX_set_alpn_protos(ctx_.get(), h2, sizeof h2);
    if (cert != nullptr) SSL_CTX_use_certificate(ctx_.get(), cert);
    if (key != nullptr) SSL_CTX_use_PrivateKey(ctx_.get(), key);
    ssl_.reset(SSL_new(ctx_.get()));
    in_ = BIO_new(BIO_s_mem());
    out_ = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(in_, -1);
    SSL_set_bio(ssl_.get(), in_, out_);
    SSL_set_connect_state(ssl_.get());
  }
  // Until the server knows the client, or why not.
  Result<std::string> ShakeHands(const std::shared_ptr<TlsContext>& context) {
    TlsConnection server(context, seam::Listener::kUser);
    for (int round = 0; round < 6; ++round) {
      ERR_clear_error();
      (void)SSL_do_handshake(ssl_.get());
      Bytes said(BIO_ctrl_pending(out_));
      if (!said.empty()) BIO_read(out_, said.data(), static_cast<int>(said.size()));
      server.Feed(said);
      HF_TRY(bool done, server.Handshake());
      if (done) return server.serial();
      Bytes heard = server.TakeCipher(1u << 20);
      BIO_write(in_, heard.data(), static_cast<int>(heard.size()));
    }
    return Code::kDeadline;
  }

 private:
  SslCtxPtr ctx_;
  SslPtr ssl_;
  BIO *in_, *out_;
};

class TlsTest : public testing::Test {
 protected:
  void SetUp() override {
    auto made = NewStorePki(random.NewId<StoreId>(), random);
    ASSERT_TRUE(made.has_value());
    rows = std::move(made).value();
    client = Issue(rows);
    std::map<std::string, Bytes> by_key(rows.begin(), rows.end());
    context = TlsContext::Make(by_key[std::string(kCaCertRow)], by_key[std::string(kServerCertRow)],
                               by_key[std::string(kServerKeyRow)],
                               [this](const std::string& serial, seam::Listener) {
                                 ++asked;
                                 return serial == revoked ? Status(Code::kRevoked) : Ok();
                               })
                  .value();
  }
  struct Identity {
    CertPtr cert;
    KeyPtr key;
    std::string serial;
  };
  Identity Issue(const SystemRows& from) {
    auto issued = IssueClient(from, "c", false, random);
    EXPECT_TRUE(issued.has_value());
    BioPtr pem(BIO_new_mem_buf(issued->pem.view().data(), static_cast<int>(issued->pem.view().size())));
    Identity who;
    who.cert.reset(PEM_read_bio_X509(pem.get(), nullptr, nullptr, nullptr));
    who.key.reset(PEM_read_bio_PrivateKey(pem.get(), nullptr, nullptr, nullptr));
    who.serial = issued->serial;
    return who;
  }
  Result<std::string> Try(X509* cert, EVP_PKEY* key) { return MemoryClient(cert, key).ShakeHands(context); }

  crypto::SeededRandom random{7};
  SystemRows rows;
  Identity client;
  std::shared_ptr<TlsContext> context;
  std::string revoked;
  int asked = 0;
};

TEST_F(TlsTest, AKnownCertificateIsAskedForAtEachHandshakeAndEndsWithItsRow) {
  for (int i = 0; i < 3; ++i) {
    auto serial = Try(client.cert.get(), client.key.get());
    ASSERT_TRUE(serial.has_value());
    EXPECT_EQ(*serial, client.serial);
  }
  EXPECT_EQ(asked, 3);
  revoked = client.serial;
  auto again = Try(client.cert.get(), client.key.get());
  ASSERT_FALSE(again.has_value());
  EXPECT_EQ(again.code(), Code::kRevoked);
}

TEST_F(TlsTest, ACertificateThatDiffersInItsSignatureAloneIsNotTheKnownOne) {
  ASSERT_TRUE(Try(client.cert.get(), client.key.get()).has_value());
  CertPtr forged(X509_dup(client.cert.get()));
  const ASN1_BIT_STRING* signature = nullptr;
  X509_get0_signature(&signature, nullptr, forged.get());
  const_cast<unsigned char*>(ASN1_STRING_get0_data(signature))[ASN1_STRING_length(signature) - 1] ^= 1;
  for (int i = 0; i < 2; ++i) {
    auto refused = Try(forged.get(), client.key.get());
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.code(), Code::kUnauthenticated);
  }
  EXPECT_EQ(asked, 1);
}

TEST_F(TlsTest, AKnownCertificateWithoutItsKeyGetsNobodyIn) {
  ASSERT_TRUE(Try(client.cert.get(), client.key.get()).has_value());
  KeyPtr other(EVP_EC_gen("P-256"));
  // OpenSSL checks that a certificate and a key belong together; what it cannot see, it uses.
  CertPtr bent(X509_dup(client.cert.get()));
  ASSERT_EQ(X509_set_pubkey(bent.get(), other.get()), 1);
  EXPECT_FALSE(Try(bent.get(), other.get()).has_value());
  EXPECT_FALSE(Try(nullptr, nullptr).has_value());
}

TEST_F(TlsTest, AStrangersCertificateIsRefusedHoweverOften) {
  auto strangers = NewStorePki(random.NewId<StoreId>(), random);
  ASSERT_TRUE(strangers.has_value());
  Identity stranger = Issue(*strangers);
  for (int i = 0; i < 3; ++i) {
    auto refused = Try(stranger.cert.get(), stranger.key.get());
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.code(), Code::kUnauthenticated);
  }
  EXPECT_EQ(asked, 0);
}

TEST_F(TlsTest, TheLibraryOfOurTlsParsesNoKeyThatAHandshakeOfOursDoesNotUse) {
  ASSERT_NE(TlsLibrary(), nullptr);
  auto parses = [](const char* kind, OSSL_LIB_CTX* library) {
    KeyPtr key(std::string_view(kind) == "P-256" ? EVP_EC_gen(kind)
                                                 : EVP_PKEY_Q_keygen(nullptr, nullptr, kind));
    unsigned char* der = nullptr;
    int n = i2d_PUBKEY(key.get(), &der);
    const unsigned char* at = der;
    KeyPtr parsed(n > 0 ? d2i_PUBKEY_ex(nullptr, &at, n, library, nullptr) : nullptr);
    OPENSSL_free(der);
    return parsed != nullptr;
  };
  EXPECT_TRUE(parses("P-256", TlsLibrary()));
  EXPECT_TRUE(parses("ED25519", nullptr));
  EXPECT_FALSE(parses("ED25519", TlsLibrary()));
}

}  // namespace
}  // namespace holdfast::session
