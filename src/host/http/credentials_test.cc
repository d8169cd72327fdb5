#include "host/http/credentials.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

namespace holdfast::host {
namespace {

class CredentialsTest : public ::testing::Test {
 protected:
  CredentialsTest() {
    for (const char* name : {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"})
      ::unsetenv(name);
  }
  ~CredentialsTest() override {
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  std::string File(const std::string& text, mode_t mode = 0600) {
    char name[] = "/tmp/holdfast-credentials-XXXXXX";
    int fd = ::mkstemp(name);
    EXPECT_GE(fd, 0);
    EXPECT_EQ(::write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
    ::fchmod(fd, mode);
    ::close(fd);
    if (!path_.empty()) ::unlink(path_.c_str());
    return path_ = name;
  }
  std::string path_;
};

TEST_F(CredentialsTest, AFileIsReadAsTheToolsOfAwsWriteIt) {
  auto found =
      FindAwsCredentials(File("[default]\n# mine\n\naws_access_key_id = AKIA\n  "
                              "aws_secret_access_key=s/=+\r\naws_session_token = t"));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->access_key, "AKIA");
  EXPECT_EQ(found->secret_key, "s/=+");
  EXPECT_EQ(found->session_token, "t");
}

TEST_F(CredentialsTest, AFileThatOthersMayReadIsRefused) {
  for (mode_t mode : {0640, 0604, 0666, 0644, 0610}) {
    EXPECT_EQ(FindAwsCredentials(File("aws_access_key_id=a\naws_secret_access_key=b\n", mode)).code(),
              Code::kCredentialsFileMode);
  }
}

TEST_F(CredentialsTest, WhatIsMissingIsSaidAndWhatIsOddIsRefused) {
  EXPECT_EQ(FindAwsCredentials("").code(), Code::kNoCredentials);
  EXPECT_EQ(FindAwsCredentials("/nonexistent").code(), Code::kNoCredentials);
  EXPECT_EQ(FindAwsCredentials("/dev/null").code(), Code::kNoCredentials);
  EXPECT_EQ(FindAwsCredentials(File("aws_access_key_id = a\n")).code(), Code::kNoCredentials);
  for (const char* odd : {"aws_access_key_id", "aws_access_key_id =", "secret = x", "access_token = a\x01z",
                          "password = a\npassword = b", "= x"}) {
    EXPECT_EQ(ParseCredentials(odd).code(), Code::kBadConfig) << odd;
  }
  EXPECT_EQ(ParseCredentials(std::string(kCredentialsBytesMax + 1, '\n')).code(), Code::kBadConfig);
}

TEST_F(CredentialsTest, TheEnvironmentServesWhereNoFileIsNamed) {
  ::setenv("AWS_ACCESS_KEY_ID", "id", 1);
  ::setenv("AWS_SECRET_ACCESS_KEY", "key", 1);
  auto found = FindAwsCredentials("");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->access_key + found->secret_key + found->session_token, "idkey");
  ::setenv("AWS_SECRET_ACCESS_KEY", "key\nx-other: header", 1);
  EXPECT_EQ(FindAwsCredentials("").code(), Code::kBadConfig);
}

}  // namespace
}  // namespace holdfast::host
