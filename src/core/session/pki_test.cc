#include "core/session/pki.h"

#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "core/session/openssl_internal.h"

namespace holdfast::session {
namespace {

class Pki : public testing::Test {
 protected:
  void SetUp() override {
    store = random.NewId<StoreId>();
    auto made = NewStorePki(store, random);
    ASSERT_TRUE(made.has_value());
    rows = std::move(made).value();
  }
  const Bytes& Row(std::string_view key) {
    for (auto& [k, value] : rows) {
      if (k == key) return value;
    }
    ADD_FAILURE() << key;
    return rows[0].second;
  }
  CertPtr FromPem(ByteView pem) {
    BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
    return CertPtr(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  }
  crypto::SeededRandom random{1};
  StoreId store;
  SystemRows rows;
};

TEST_F(Pki, AServerIsNamedAfterItsStore) {
  CertPtr cert = ParseCertDer(Row(kServerCertRow));
  ASSERT_TRUE(cert);
  std::string name = store.hex() + ".holdfast";
  EXPECT_EQ(ServerName(store), name);
  EXPECT_EQ(X509_check_host(cert.get(), name.data(), name.size(), 0, nullptr), 1);
  EXPECT_NE(X509_check_host(cert.get(), "localhost", 9, 0, nullptr), 1);
  EXPECT_TRUE((X509_get_extended_key_usage(cert.get()) & XKU_SSL_SERVER) != 0);
  EXPECT_FALSE((X509_get_extended_key_usage(cert.get()) & XKU_SSL_CLIENT) != 0);
  EXPECT_EQ(X509_check_ca(cert.get()), 0);
}

// Rule J1: revocation is a log entry, so certificates run from 2000 to 9999.
TEST_F(Pki, RuleJ1CertificatesRunFromTheYear2000To9999) {
  auto client = IssueClient(rows, "c", false, random);
  ASSERT_TRUE(client.has_value());
  CertPtr certs[] = {ParseCertDer(Row(kCaCertRow)), ParseCertDer(Row(kServerCertRow)),
                     FromPem(client->pem.view())};
  for (const CertPtr& cert : certs) {
    ASSERT_TRUE(cert);
    tm from{}, until{};
    ASSERT_EQ(ASN1_TIME_to_tm(X509_get0_notBefore(cert.get()), &from), 1);
    ASSERT_EQ(ASN1_TIME_to_tm(X509_get0_notAfter(cert.get()), &until), 1);
    EXPECT_EQ(from.tm_year + 1900, 2000);
    EXPECT_EQ(until.tm_year + 1900, 9999);
  }
}

TEST_F(Pki, AClientIsSignedByTheCaAndMayOnlyBeAClient) {
  auto client = IssueClient(rows, "somebody", true, random);
  ASSERT_TRUE(client.has_value());
  CertPtr ca = ParseCertDer(Row(kCaCertRow)), cert = FromPem(client->pem.view());
  ASSERT_TRUE(ca && cert);
  EXPECT_EQ(X509_verify(cert.get(), X509_get0_pubkey(ca.get())), 1);
  EXPECT_TRUE((X509_get_extended_key_usage(cert.get()) & XKU_SSL_CLIENT) != 0);
  EXPECT_FALSE((X509_get_extended_key_usage(cert.get()) & XKU_SSL_SERVER) != 0);
  EXPECT_EQ(SerialHex(cert.get()), client->serial);
  EXPECT_TRUE(ValidSerial(client->serial));
  EXPECT_EQ(client->row.first, "client/" + client->serial);
  auto info = DecodeClient(client->row.first, client->row.second);
  ASSERT_TRUE(info.has_value());
  EXPECT_EQ(info->name, "somebody");
  EXPECT_TRUE(info->admin);
  EXPECT_FALSE(info->revoked);
  EXPECT_TRUE(FromPem(AsBytes(client->ca_pem)));
  EXPECT_EQ(client->ca_pem.find("PRIVATE"), std::string::npos);
}

TEST_F(Pki, SerialsAreDistinctAndAlwaysThirtyTwoDigits) {
  std::string last;
  for (int i = 0; i < 20; ++i) {
    auto client = IssueClient(rows, "c", false, random);
    ASSERT_TRUE(client.has_value());
    EXPECT_EQ(client->serial.size(), 32u);
    EXPECT_NE(client->serial, last);
    last = client->serial;
  }
}

TEST_F(Pki, RefusesNamesThatAreNotPrintableAndKeysThatDoNotBelong) {
  for (const std::string& name :
       {std::string(), std::string(65, 'n'), std::string("a\tb"), std::string("\xc3\xa4")}) {
    auto refused = IssueClient(rows, name, false, random);
    ASSERT_FALSE(refused.has_value()) << name;
    EXPECT_EQ(refused.code(), Code::kInvalidArgument);
  }
  auto crossed = IssueClient(Row(kCaCertRow), Row(kServerKeyRow), "c", false, random);
  ASSERT_FALSE(crossed.has_value());
  EXPECT_EQ(crossed.code(), Code::kMalformed);
  EXPECT_FALSE(IssueClient(SystemRows{}, "c", false, random).has_value());
}

TEST_F(Pki, AClientRowIsDecodedWholeOrRefused) {
  ClientInfo info{std::string(32, 'A'), "name", true, true};
  std::string key = "client/" + info.serial;
  Bytes row = EncodeClient(info);
  EXPECT_EQ(HexUpper(row), "010304006E616D65");
  auto back = DecodeClient(key, row);
  ASSERT_TRUE(back.has_value());
  EXPECT_TRUE(back->admin && back->revoked);
  for (size_t n = 0; n < row.size(); ++n)
    EXPECT_FALSE(DecodeClient(key, ByteView(row).first(n)).has_value()) << n;
  Bytes longer = row, version = row, flags = row;
  longer.push_back(0);
  version[0] = 2;
  flags[1] = 4;
  EXPECT_FALSE(DecodeClient(key, longer).has_value());
  EXPECT_FALSE(DecodeClient(key, version).has_value());
  EXPECT_FALSE(DecodeClient(key, flags).has_value());
  EXPECT_FALSE(DecodeClient("client/../x", row).has_value());
  EXPECT_FALSE(DecodeClient("pki/ca-key", row).has_value());
}

TEST_F(Pki, DerWithSomethingBehindItIsNoCertificate) {
  Bytes der = Row(kCaCertRow);
  EXPECT_TRUE(ParseCertDer(der));
  der.push_back(0);
  EXPECT_FALSE(ParseCertDer(der));
  EXPECT_FALSE(ParseCertDer({}));
  EXPECT_FALSE(ParseKeyDer(Row(kCaCertRow)));
}

}  // namespace
}  // namespace holdfast::session
