#include "box/inherited.h"

#include <gtest/gtest.h>

#include <string>

namespace holdfast::box {
namespace {

std::optional<Inherited> Read(const std::vector<std::string>& words) {
  std::vector<const char*> pointers;
  for (const std::string& w : words) pointers.push_back(w.c_str());
  return ReadInherited(pointers);
}

TEST(Inherited, EveryWordHasItsPlace) {
  for (int passphrase : {7, -1}) {
    for (bool terminal : {false, true}) {
      std::optional<Inherited> read =
          Read({"3", "4", "5", "6", std::to_string(passphrase), terminal ? "terminal" : "file", "4711"});
      ASSERT_TRUE(read);
      EXPECT_EQ(read->memory, 3);
      EXPECT_EQ(read->wake_core, 4);
      EXPECT_EQ(read->wake_host, 5);
      EXPECT_EQ(read->lifeline, 6);
      EXPECT_EQ(read->passphrase, passphrase);
      EXPECT_EQ(read->terminal, terminal);
      EXPECT_EQ(read->parent, 4711);
      EXPECT_EQ(read->Descriptors().size(), passphrase < 0 ? 4u : 5u);
    }
  }
}

TEST(Inherited, AnythingElseIsNotUnderstood) {
  const std::vector<std::string> good = {"3", "4", "5", "6", "7", "file", "4711"};
  ASSERT_TRUE(Read(good));
  for (auto [at, word] : {std::pair<size_t, const char*>{0, ""},
                          {0, "2"},
                          {0, "-1"},
                          {0, "4"},
                          {0, "3x"},
                          {0, " 3"},
                          {0, "+3"},
                          {0, "0x3"},
                          {0, "99999999999"},
                          {3, "-1"},
                          {4, "-2"},
                          {4, "0"},
                          {4, "6"},
                          {4, "no"},
                          {5, "files"},
                          {5, ""},
                          {6, "0"},
                          {6, "-5"},
                          {6, ""},
                          {6, "1 "}}) {
    std::vector<std::string> bad = good;
    bad[at] = word;
    EXPECT_FALSE(Read(bad)) << at << " '" << word << "'";
  }
  EXPECT_FALSE(Read({}));
  EXPECT_FALSE(Read({good.begin(), good.end() - 1}));
  std::vector<std::string> more = good;
  more.push_back("8");
  EXPECT_FALSE(Read(more));
}

}  // namespace
}  // namespace holdfast::box
