#include "crypto/password.h"

#include <gtest/gtest.h>

#include "base/limits.h"
#include "vector_file.h"

namespace holdfast::crypto {
namespace {

constexpr std::array<uint8_t, 16> kSalt{1, 2, 3};

TEST(Argon2id, AgreesWithAnImplementationWrittenFromRfc9106) {
  int seen = 0;
  for (const vectors::Block& b : vectors::Load("argon2id.txt")) {
    ++seen;
    std::array<uint8_t, 16> salt;
    Bytes s = b.Hex("salt");
    ASSERT_EQ(s.size(), salt.size());
    std::copy(s.begin(), s.end(), salt.begin());
    Result<Key> key =
        Argon2id(b.Hex("passphrase"), salt,
                 {static_cast<uint32_t>(b.Number("memory_kib")), static_cast<uint32_t>(b.Number("passes"))});
    ASSERT_TRUE(key) << b.name;
    EXPECT_EQ(HexUpper(key->view()), HexUpper(b.Hex("key"))) << b.name;
  }
  EXPECT_EQ(seen, 5);
}

// 4 TiB and a run of a century are asked for here: a test that returns at once has taken neither.
TEST(RuleG2, ParametersOutOfBoundsAreRefusedBeforeMemoryIsTaken) {
  using limits::kArgonMemoryKiBMax;
  for (uint32_t memory : {0u, 1u, 7u, kArgonMemoryKiBMax + 1, 0x80000000u, UINT32_MAX}) {
    EXPECT_EQ(Argon2id(AsBytes("p"), kSalt, {memory, 1}).code(), Code::kKdfBounds) << memory;
  }
  for (uint32_t passes : {0u, limits::kArgonPassesMax + 1, UINT32_MAX}) {
    EXPECT_EQ(Argon2id(AsBytes("p"), kSalt, {kArgonMemoryKiBMax, passes}).code(), Code::kKdfBounds) << passes;
  }
}

TEST(Argon2id, TakesThePassphraseUpToItsLimitAndNoLonger) {
  EXPECT_TRUE(Argon2id({}, kSalt, {8, 1}));
  EXPECT_TRUE(Argon2id(Bytes(limits::kPassphraseBytesMax, 'x'), kSalt, {8, 1}));
  EXPECT_EQ(Argon2id(Bytes(limits::kPassphraseBytesMax + 1, 'x'), kSalt, {8, 1}).code(), Code::kTooLarge);
}

TEST(Argon2id, DependsOnPassphraseSaltMemoryAndPasses) {
  auto key = [](std::string_view p, uint8_t salt, uint32_t memory, uint32_t passes) {
    std::array<uint8_t, 16> s{salt};
    return HexUpper(Argon2id(AsBytes(p), s, {memory, passes}).value().view());
  };
  std::string first = key("p", 1, 8, 1);
  EXPECT_EQ(key("p", 1, 8, 1), first);
  EXPECT_NE(key("q", 1, 8, 1), first);
  EXPECT_NE(key("p", 2, 8, 1), first);
  EXPECT_NE(key("p", 1, 16, 1), first);
  EXPECT_NE(key("p", 1, 8, 2), first);
}

}  // namespace
}  // namespace holdfast::crypto
