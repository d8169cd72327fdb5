#include "crypto/aead.h"

#include <gtest/gtest.h>

#include <set>

#include "crypto/random.h"

namespace holdfast::crypto {
namespace {

Key FixedKey(uint8_t x) { return Key{ByteView(Bytes(32, x))}; }

Bytes SealOnce(const Key& key, uint64_t nonce, std::string_view aad, std::string_view text) {
  Bytes out;
  AesGcm(key).Seal(nonce, AsBytes(aad), AsBytes(text), out);
  return out;
}

Code OpenCode(const Key& key, uint64_t nonce, ByteView aad, ByteView sealed) {
  Result<Bytes> r = AesGcm(key).Open(nonce, aad, sealed);
  return r.has_value() ? Code::kInternal : r.code();
}

// McGrew and Viega, "The Galois/Counter Mode of Operation", test cases 13 and 14 (AES-256, nonce of zeros).
// Their other cases use nonces that a counter does not reach.
TEST(AesGcm, GivesThePublishedCiphertexts) {
  Bytes out;
  AesGcm(FixedKey(0)).Seal(0, {}, {}, out);
  EXPECT_EQ(HexUpper(out), "530F8AFBC74536B9A963B4F1C4CB738B");
  out.clear();
  AesGcm(FixedKey(0)).Seal(0, {}, Bytes(16), out);
  EXPECT_EQ(HexUpper(out), "CEA7403D4D606B6E074EC5D3BAF39D18D0D1C8A799996BF0265B98B5D48AB919");
}

TEST(AesGcm, AppendsToWhatIsThereAndOpensIt) {
  AesGcm aead(FixedKey(1));
  Bytes out = {9, 9, 9};
  aead.Seal(7, AsBytes("aad"), AsBytes("text"), out);
  ASSERT_EQ(out.size(), 3u + 4 + kTagBytes);
  EXPECT_EQ(out[2], 9);
  Result<Bytes> back = aead.Open(7, AsBytes("aad"), ByteView(out).subspan(3));
  ASSERT_TRUE(back);
  EXPECT_EQ(ToText(*back), "text");
}

TEST(AesGcm, OneContextSealsAndOpensManyMessagesInAnyOrder) {
  AesGcm aead(FixedKey(1));
  std::vector<Bytes> sealed(50);
  for (size_t i = 0; i < sealed.size(); ++i)
    aead.Seal(i, AsBytes("a"), Bytes(i * 3, static_cast<uint8_t>(i)), sealed[i]);
  for (size_t i = sealed.size(); i-- > 0;) {
    EXPECT_FALSE(aead.Open(i + 1, AsBytes("a"), sealed[i]));  // a failed opening leaves no trace in the next
    Result<Bytes> back = aead.Open(i, AsBytes("a"), sealed[i]);
    ASSERT_TRUE(back) << i;
    EXPECT_EQ(*back, Bytes(i * 3, static_cast<uint8_t>(i)));
  }
}

TEST(AesGcm, RefusesEveryBitFlipOfCiphertextTagAndAad) {
  Key key = FixedKey(2);
  Bytes aad = ToBytes(std::string_view("bound to this")),
        sealed = SealOnce(key, 3, "bound to this", "a short text");
  for (Bytes* changed : {&aad, &sealed}) {
    for (size_t bit = 0; bit < changed->size() * 8; ++bit) {
      (*changed)[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
      EXPECT_EQ(OpenCode(key, 3, aad, sealed), Code::kAuthFailed) << bit;
      (*changed)[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
    }
  }
  EXPECT_TRUE(AesGcm(key).Open(3, aad, sealed));
}

TEST(AesGcm, RefusesEveryTruncationAndAnyExtension) {
  Key key = FixedKey(2);
  Bytes sealed = SealOnce(key, 0, "", "a short text");
  for (size_t n = 0; n < sealed.size(); ++n) {
    EXPECT_EQ(OpenCode(key, 0, {}, ByteView(sealed).first(n)), Code::kAuthFailed) << n;
  }
  sealed.push_back(0);
  EXPECT_EQ(OpenCode(key, 0, {}, sealed), Code::kAuthFailed);
}

TEST(AesGcm, RefusesAnotherKeyAnotherNonceAndBytesMovedBetweenAadAndText) {
  Key key = FixedKey(2);
  Bytes sealed = SealOnce(key, 5, "aad", "text");
  EXPECT_EQ(OpenCode(FixedKey(3), 5, AsBytes("aad"), sealed), Code::kAuthFailed);
  for (unsigned bit = 0; bit < 64; ++bit) {
    EXPECT_EQ(OpenCode(key, 5 ^ (uint64_t{1} << bit), AsBytes("aad"), sealed), Code::kAuthFailed) << bit;
  }
  EXPECT_EQ(OpenCode(key, 5, {}, sealed), Code::kAuthFailed);
  EXPECT_EQ(OpenCode(key, 5, AsBytes("aad "), sealed), Code::kAuthFailed);
}

TEST(AesGcm, GivesEveryNonceItsOwnKeystream) {
  std::set<Bytes> streams;
  for (uint64_t nonce : {uint64_t{0}, uint64_t{1}, uint64_t{80}, uint64_t{1} << 32, UINT64_MAX}) {
    Bytes out;
    AesGcm(FixedKey(4)).Seal(nonce, {}, Bytes(64), out);
    out.resize(64);
    EXPECT_TRUE(streams.insert(out).second) << nonce;
  }
}

TEST(AesGcm, OpensIntoMemoryThatWasUsedBeforeAndLeavesNothingThereWhenItRefuses) {
  AesGcm aead(FixedKey(6));
  Bytes out(100, 9);
  for (size_t size : {500, 20, 0, 300}) {
    Bytes sealed;
    aead.Seal(size, {}, Bytes(size, 7), sealed);
    ASSERT_TRUE(aead.OpenInto(size, {}, sealed, out));
    EXPECT_EQ(out, Bytes(size, 7));
    sealed[0] ^= 1;
    EXPECT_EQ(aead.OpenInto(size, {}, sealed, out).code(), Code::kAuthFailed);
    EXPECT_TRUE(out.empty());
  }
  out.assign(100, 9);
  EXPECT_EQ(aead.OpenInto(0, {}, Bytes(5), out).code(), Code::kAuthFailed);
  EXPECT_TRUE(out.empty());
}

TEST(SeededRandom, RepeatsItselfForOneSeedAndForNoOther) {
  SeededRandom a(1), b(1), c(2);
  Key ka = a.NewKey(), kb = b.NewKey(), kc = c.NewKey();
  EXPECT_TRUE(Equal(ka.view(), kb.view()));
  EXPECT_FALSE(Equal(ka.view(), kc.view()));
  EXPECT_FALSE(Equal(ka.view(), a.NewKey().view()));
}

TEST(SeededRandom, StaysBelowItsBound) {
  SeededRandom r(3);
  for (uint64_t bound = 1; bound < 100; ++bound) EXPECT_LT(r.Below(bound), bound);
}

}  // namespace
}  // namespace holdfast::crypto
