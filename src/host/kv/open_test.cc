#include "host/kv/open.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "host/kv/test_directory_internal.h"

namespace holdfast::host {
namespace {

Code CodeOf(const std::string& url, OpenMode mode = OpenMode::kReadWrite) {
  auto opened = OpenStorage(url, mode);
  return opened ? Code::kInternal : opened.code();
}

TEST(StoreUrl, MemoryIsEmptyEachTime) {
  auto one = OpenStorage("memory:", OpenMode::kCreate);
  ASSERT_TRUE(one);
  ASSERT_TRUE((*one)->Put("a", {}));
  auto two = OpenStorage("memory:", OpenMode::kCreate);
  ASSERT_TRUE(two);
  EXPECT_FALSE((*two)->Get("a"));
}

TEST(StoreUrl, DirTakesItsModeFromTheParameter) {
  TestDirectory directory;
  std::string url = "dir:" + directory.path("s p a=c:e&%41");
  for (const char* parameter : {"", "?whole-objects=false", "?whole-objects=true"}) {
    auto opened = OpenStorage(url + parameter, OpenMode::kCreate);
    ASSERT_TRUE(opened) << parameter;
    EXPECT_EQ((*opened)->capabilities().append, std::string_view(parameter) != "?whole-objects=true");
  }
  EXPECT_TRUE(std::filesystem::is_directory(directory.path("s p a=c:e&%41")))
      << "nothing in a path is an escape";
  EXPECT_EQ(DirectoryOf(url + "?whole-objects=true"), directory.path("s p a=c:e&%41"));
  EXPECT_EQ(DirectoryOf("memory:"), "");
}

TEST(StoreUrl, RefusesWhatItDoesNotUnderstand) {
  for (const char* url : {"",
                          ":",
                          "dir",
                          "dir:",
                          "dir:?whole-objects=true",
                          "/path",
                          ":/path",
                          "DIR:/x",
                          "dirs:/x",
                          "memory:x",
                          "memory:?a=b",
                          "dir:/x?",
                          "dir:/x?whole-objects",
                          "dir:/x?whole-objects=",
                          "dir:/x?whole-objects=yes",
                          "dir:/x?whole_objects=true",
                          "dir:/x?=true",
                          "dir:/x?whole-objects=true&",
                          "dir:/x?&",
                          "dir:/x?whole-objects=true&whole-objects=true",
                          "dir:/x?whole-objects=true&other=1",
                          "dir:/x\n",
                          "sqlite:",
                          "sqlite:/x?a=b",
                          "rocksdb:",
                          "rocksdb:/x?whole-objects=true",
                          "leveldb:",
                          "leveldb:/x?sync=false",
                          "http://x",
                          "file:///x"}) {
    EXPECT_EQ(CodeName(CodeOf(url)), "kBadUrl") << url;
  }
  EXPECT_EQ(CodeOf(std::string("dir:/x\0y", 8)), Code::kBadUrl);
  EXPECT_EQ(CodeOf("dir:/" + std::string(5000, 'x')), Code::kBadUrl);
}

TEST(StoreUrl, OfRemoteProvidersAreRefusedBeforeAnythingIsSent) {
  for (const char* url : {"s3:",
                          "s3:/b",
                          "s3://",
                          "s3://b//p",
                          "s3://b/../p",
                          "s3://b/p?endpoint=ftp://x",
                          "s3://b/p?endpoint=http://user:secret@x",
                          "s3://b/p?endpoint=http://x?y",
                          "s3://b/p?region=a/b",
                          "s3://b/p?ca=relative",
                          "s3://b/p?credentials=relative",
                          "s3://b/p?single-writer=1",
                          "s3://b/p?secret=x",
                          "s3://b p",
                          "postgres://u:password@h/d",
                          "postgres://h",
                          "postgres:///d",
                          "postgres://u@h/d/e",
                          "postgres://h/d?table=A",
                          "postgres://h/d?table=a;b",
                          "postgres://h:x/d",
                          "postgres://h/d?host=/run",
                          "postgres://u@/d?host=run",
                          "postgres://h/d?single-writer=true",
                          "dynamodb://t",
                          "dynamodb://tab/le",
                          "azure-table://a/Table",
                          "azure-table://account/t-able",
                          "azure-table://account",
                          "firestore://p",
                          "firestore://p/c/d",
                          "firestore://p/c?endpoint=http://example.com",
                          "webhdfs://h/p",
                          "webhdfs://h:1",
                          "webhdfs://h:1/a?tls=false",
                          "webhdfs://h:1/a?user=a&b"}) {
    EXPECT_EQ(CodeName(CodeOf(url)), "kBadUrl") << url;
  }
}

}  // namespace
}  // namespace holdfast::host
