#include "host/http/digest.h"

#include <gtest/gtest.h>

namespace holdfast::host {
namespace {

TEST(Digest, AgreesWithThePublishedVectors) {  // FIPS 180-4, RFC 4231 case 2
  EXPECT_EQ(HexLower(Sha256(AsBytes("abc"))),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(HexLower(Sha256({})), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(HexLower(HmacSha256(AsBytes("Jefe"), AsBytes("what do ya want for nothing?"))),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(HexLower(HmacSha256({}, {})), "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

TEST(Base64, IsThatOfRfc4648AndNothingElseIsRead) {
  const std::pair<const char*, const char*> vectors[] = {{"", ""},
                                                         {"f", "Zg=="},
                                                         {"fo", "Zm8="},
                                                         {"foo", "Zm9v"},
                                                         {"foob", "Zm9vYg=="},
                                                         {"fooba", "Zm9vYmE="},
                                                         {"foobar", "Zm9vYmFy"}};
  for (auto [plain, coded] : vectors) {
    EXPECT_EQ(Base64(AsBytes(plain)), coded);
    auto back = ParseBase64(coded);
    ASSERT_TRUE(back) << coded;
    EXPECT_EQ(ToText(*back), plain);
  }
  for (const char* bad : {"Z", "Zg=", "Zh==", "Zm9=", "Z===", "====", "Zg==Zg==", "Zm 9", "Zm-_", "=Zg="}) {
    EXPECT_FALSE(ParseBase64(bad)) << bad;
  }
  Bytes all(256);
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<uint8_t>(i);
  EXPECT_EQ(ParseBase64(Base64(all)), all);
}

TEST(UriEncode, LeavesTheUnreservedAlone) {
  EXPECT_EQ(UriEncode("AZaz09-._~"), "AZaz09-._~");
  EXPECT_EQ(UriEncode("a b/c$\xe1\x88\xb4"), "a%20b%2Fc%24%E1%88%B4");
  EXPECT_EQ(UriEncode("a/b", true), "a/b");
}

}  // namespace
}  // namespace holdfast::host
