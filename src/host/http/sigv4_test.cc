// Against the test vectors that AWS publishes: its Signature Version 4 test suite (service "service"), and
// the worked examples of "Authenticating Requests: Using the Authorization Header" of Amazon S3.
#include "host/http/sigv4.h"

#include <gtest/gtest.h>

#include "host/http/digest.h"

namespace holdfast::host {
namespace {

const AwsCredentials kSuite = {"AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", ""};
const AwsCredentials kS3 = {"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", ""};
const SigV4Scope kSuiteScope = {"20150830T123600Z", "us-east-1", "service"};
const SigV4Scope kS3Scope = {"20130524T000000Z", "us-east-1", "s3"};
const std::string kEmpty = HexLower(Sha256({}));

std::string SignatureOf(const SigV4Request& r, const SigV4Scope& scope, const AwsCredentials& credentials) {
  std::string header = SigV4Authorization(r, scope, credentials);
  return header.substr(header.find("Signature=") + 10);
}

SigV4Request Suite(std::string method, std::string path,
                   std::vector<std::pair<std::string, std::string>> query = {}) {
  return {std::move(method),
          std::move(path),
          std::move(query),
          {{"host", "example.amazonaws.com"}, {"x-amz-date", "20150830T123600Z"}},
          kEmpty};
}

TEST(SigV4, TheWholeHeaderOfGetVanilla) {
  SigV4Request r = Suite("GET", "/");
  EXPECT_EQ(
      SigV4CanonicalRequest(r),
      "GET\n/\n\nhost:example.amazonaws.com\nx-amz-date:20150830T123600Z\n\nhost;x-amz-date\n" + kEmpty);
  EXPECT_EQ(SigV4StringToSign(kSuiteScope, SigV4CanonicalRequest(r)),
            "AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/us-east-1/service/aws4_request\n"
            "bb579772317eb040ac9ed261061d46c1f17a8133879d6129b6e1c25292927e63");
  EXPECT_EQ(SigV4Authorization(r, kSuiteScope, kSuite),
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
            "SignedHeaders=host;x-amz-date, "
            "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
}

TEST(SigV4, TheSuitesOtherSignatures) {
  EXPECT_EQ(SignatureOf(Suite("GET", "/", {{"Param2", "value2"}, {"Param1", "value1"}}), kSuiteScope, kSuite),
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500");
  EXPECT_EQ(SignatureOf(Suite("POST", "/"), kSuiteScope, kSuite),
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b");
  EXPECT_EQ(SignatureOf(Suite("GET", "/%E1%88%B4"), kSuiteScope, kSuite),
            "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85");
}

TEST(SigV4, TheExamplesOfS3) {
  SigV4Request get = {"GET",
                      "/test.txt",
                      {},
                      {{"host", "examplebucket.s3.amazonaws.com"},
                       {"range", "bytes=0-9"},
                       {"x-amz-content-sha256", kEmpty},
                       {"x-amz-date", "20130524T000000Z"}},
                      kEmpty};
  EXPECT_EQ(SignatureOf(get, kS3Scope, kS3),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
  std::string body = HexLower(Sha256(AsBytes("Welcome to Amazon S3.")));
  SigV4Request put = {"PUT",
                      "/test%24file.text",
                      {},
                      {{"date", "Fri, 24 May 2013 00:00:00 GMT"},
                       {"host", "examplebucket.s3.amazonaws.com"},
                       {"x-amz-content-sha256", body},
                       {"x-amz-date", "20130524T000000Z"},
                       {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
                      body};
  EXPECT_EQ(SignatureOf(put, kS3Scope, kS3),
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
  SigV4Request list = get;
  list.path = "/";
  list.headers.erase("range");
  list.query = {{"lifecycle", ""}};
  EXPECT_EQ(SignatureOf(list, kS3Scope, kS3),
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
  list.query = {{"prefix", "J"}, {"max-keys", "2"}};
  EXPECT_EQ(SignatureOf(list, kS3Scope, kS3),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

TEST(SigV4, AnyChangeIsAnotherSignature) {
  const SigV4Request base = Suite("PUT", "/bucket/key", {{"a", "b"}});
  std::string was = SignatureOf(base, kSuiteScope, kSuite);
  std::vector<SigV4Request> changed(5, base);
  changed[0].method = "GET";
  changed[1].path = "/bucket/kez";
  changed[2].query[0].second = "c";
  changed[3].headers["x-amz-meta-n"] = "1";
  changed[4].body_sha256 = HexLower(Sha256(AsBytes("x")));
  for (const SigV4Request& r : changed) EXPECT_NE(SignatureOf(r, kSuiteScope, kSuite), was);
  for (SigV4Scope scope : {SigV4Scope{"20150830T123601Z", "us-east-1", "service"},
                           SigV4Scope{"20150830T123600Z", "us-east-2", "service"},
                           SigV4Scope{"20150830T123600Z", "us-east-1", "s3"}}) {
    EXPECT_NE(SignatureOf(base, scope, kSuite), was);
  }
}

}  // namespace
}  // namespace holdfast::host
