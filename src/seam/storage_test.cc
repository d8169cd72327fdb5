#include "seam/storage.h"

#include <gtest/gtest.h>

namespace holdfast::seam {
namespace {

// Answers List with the pages it was given, one after the other and the last one for ever; nothing else.
class Liar : public Storage {
 public:
  explicit Liar(std::vector<Listing> pages) : pages_(std::move(pages)) {}
  Result<Listing> List(std::string_view, std::string_view, size_t) override {
    const Listing& page = pages_[std::min(asked, pages_.size() - 1)];
    ++asked;
    return page;
  }
  Capabilities capabilities() const override { return {}; }
  Result<UntrustedBytes> Get(std::string_view) override { return Code::kUnsupported; }
  Result<UntrustedBytes> GetRange(std::string_view, uint64_t, uint64_t) override {
    return Code::kUnsupported;
  }
  Result<VersionedBytes> GetVersioned(std::string_view) override { return Code::kUnsupported; }
  Status Put(std::string_view, ByteView) override { return Code::kUnsupported; }
  Status PutIfAbsent(std::string_view, ByteView) override { return Code::kUnsupported; }
  Result<ObjectVersion> PutIfVersion(std::string_view, ByteView, const ObjectVersion&) override {
    return Code::kUnsupported;
  }
  Status Delete(std::string_view) override { return Code::kUnsupported; }
  Status Barrier() override { return Code::kUnsupported; }
  Status CreateAppendable(std::string_view, uint64_t, ByteView) override { return Code::kUnsupported; }
  Status Append(std::string_view, uint64_t, ByteView) override { return Code::kUnsupported; }
  Status Trim(std::string_view, uint64_t) override { return Code::kUnsupported; }

  size_t asked = 0;

 private:
  std::vector<Listing> pages_;
};

Listing Page(std::vector<std::string> names, bool complete) {
  Listing page;
  for (std::string& name : names) page.objects.push_back({std::move(name), 1});
  page.complete = complete;
  return page;
}

TEST(ListAll, JoinsPagesInOrder) {
  Liar liar({Page({"a/1", "a/2"}, false), Page({"a/3"}, true)});
  Result<std::vector<ObjectInfo>> all = ListAll(liar, "a/");
  ASSERT_TRUE(all.has_value());
  EXPECT_EQ(*all, (std::vector<ObjectInfo>{{"a/1", 1}, {"a/2", 1}, {"a/3", 1}}));
}

// Callers cut the prefix off: "x" would be cut beyond its end.
TEST(ListAll, RefusesANameWithoutThePrefix) {
  for (const char* name : {"x", "segment", "segments", "zzzzzzzzzzzzzzzz"}) {
    Liar liar({Page({name}, true)});
    EXPECT_EQ(ListAll(liar, "segments/").code(), Code::kMalformed) << name;
  }
}

TEST(ListAll, RefusesNamesThatDoNotAscendAndAnEmptyOne) {
  for (std::vector<std::string> names : std::vector<std::vector<std::string>>{{""}, {"b", "a"}, {"a", "a"}}) {
    Liar liar({Page(names, true)});
    EXPECT_EQ(ListAll(liar, "").code(), Code::kMalformed) << names.front();
  }
}

TEST(ListAll, AProviderThatNeverMovesOnIsLeftAtItsSecondPage) {
  Liar same({Page({"a"}, false)});
  EXPECT_EQ(ListAll(same, "").code(), Code::kMalformed);
  EXPECT_EQ(same.asked, 2u);
  Liar empty_name({Page({""}, false)});
  EXPECT_EQ(ListAll(empty_name, "").code(), Code::kMalformed);
  EXPECT_EQ(empty_name.asked, 1u);
}

// Ascending for ever, each name as long as a message may carry.
class Endless : public Liar {
 public:
  Endless() : Liar({}) {}
  Result<Listing> List(std::string_view, std::string_view, size_t limit) override {
    Listing page;
    for (size_t i = 0; i < limit; ++i) {
      uint8_t number[8];
      StoreBig64(number, ++n_);
      page.objects.push_back({ToText(number) + std::string(2000, 'x'), 1});
    }
    page.complete = false;
    return page;
  }

 private:
  uint64_t n_ = uint64_t{1} << 56;
};

TEST(ListAll, AProviderThatListsForEverIsLeftAtTheLimit) {
  Endless endless;
  EXPECT_EQ(ListAll(endless, "").code(), Code::kTooLarge);
}

TEST(ValidName, RefusesEscapesAndOddBytes) {
  for (const char* good : {"anchor", "segments/0A", "members/00/journal/1", "a.b/..c/d-_"})
    EXPECT_TRUE(ValidName(good)) << good;
  for (const char* bad : {"", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "a/.", "a b", "a\nb", "\xC3\xA4"})
    EXPECT_FALSE(ValidName(bad)) << bad;
  EXPECT_TRUE(ValidName(std::string(255, 'a')));
  EXPECT_FALSE(ValidName(std::string(256, 'a')));
}

}  // namespace
}  // namespace holdfast::seam
