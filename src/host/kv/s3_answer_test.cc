#include "host/kv/s3_answer.h"

#include <gtest/gtest.h>

#include "seam/storage.h"

namespace holdfast::host {
namespace {

std::string Listing(const std::string& inside, const std::string& truncated = "false") {
  return "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult "
         "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><IsTruncated>" +
         truncated + "</IsTruncated>" + inside + "</ListBucketResult>";
}
Code CodeOf(const std::string& xml) {
  auto listing = ParseS3Listing(AsBytes(xml));
  return listing ? Code::kInternal : listing.code();
}

TEST(S3Answer, KeysAreDecodedAsTheyWereEncoded) {
  std::string objects =
      "<Contents><Key>a%2Bb+c%0A/x</Key><Size>12</Size></Contents><Contents><Size>0</Size><Key>b</Key></"
      "Contents>";
  auto listing = ParseS3Listing(AsBytes(Listing("<EncodingType>url</EncodingType>" + objects, "true")));
  ASSERT_TRUE(listing);
  EXPECT_TRUE(listing->truncated);
  ASSERT_EQ(listing->objects.size(), 2u);
  EXPECT_EQ(listing->objects[0].key, "a+b c\n/x");
  EXPECT_EQ(listing->objects[0].size_bytes, 12u);
  listing = ParseS3Listing(AsBytes(Listing(objects)));
  ASSERT_TRUE(listing);
  EXPECT_EQ(listing->objects[0].key, "a%2Bb+c%0A/x") << "a service that does not encode";
}

TEST(S3Answer, WhatIsNoListingIsRefused) {
  for (const std::string& xml :
       {std::string(), std::string("<html>"), std::string("<ListBucketResult/>"), Listing("", "perhaps"),
        Listing("<Contents><Key>a</Key></Contents>"),
        Listing("<Contents><Key>a</Key><Size>-1</Size></Contents>"),
        Listing("<Contents><Key>a</Key><Size>99999999999999999999</Size></Contents>"),
        Listing("<EncodingType>url</EncodingType><Contents><Key>%2</Key><Size>1</Size></Contents>"),
        Listing("<EncodingType>url</EncodingType><Contents><Key>%zz</Key><Size>1</Size></Contents>")}) {
    EXPECT_EQ(CodeOf(xml), Code::kMalformed) << xml;
  }
  std::string many;
  for (size_t i = 0; i <= seam::kListPageMax; ++i) many += "<Contents><Key>a</Key><Size>1</Size></Contents>";
  EXPECT_EQ(CodeOf(Listing(many)), Code::kMalformed);
}

TEST(S3Answer, EntitiesOfADocumentTypeAreNotExpanded) {
  std::string bomb = "<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;\">]>" +
                     Listing("<Contents><Key>&b;</Key><Size>1</Size></Contents>");
  auto listing = ParseS3Listing(AsBytes(bomb));
  ASSERT_TRUE(listing);
  EXPECT_EQ(listing->objects[0].key, "&b;");
}

TEST(S3Answer, TheCodeOfAnError) {
  EXPECT_EQ(ParseS3ErrorCode(AsBytes("<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code></Error>")),
            "NoSuchKey");
  EXPECT_EQ(ParseS3ErrorCode(AsBytes("<Error/>")), "");
  EXPECT_EQ(ParseS3ErrorCode(AsBytes("gateway timeout")), "");
  EXPECT_EQ(ParseS3ErrorCode({}), "");
}

}  // namespace
}  // namespace holdfast::host
