// Unlocker records from a hostile host. The first byte chooses whether the checksum is put right, which
// anybody can. Parameters that are in bounds are lowered to 8 KiB and one pass first: what is fuzzed is the
// parser, not Argon2id.
#include "base/check.h"
#include "core/seal/unlock.h"
#include "crypto/hash.h"

namespace holdfast::seal {
namespace {

constexpr size_t kUnlockersAt = 28, kUnlockerBytes = 124, kChecksumBytes = 32;

void LowerParameters(Bytes& b) {
  for (size_t at = kUnlockersAt + 4; at + 8 <= b.size(); at += kUnlockerBytes) {
    auto memory = LoadLittle<uint32_t>(b.data() + at), passes = LoadLittle<uint32_t>(b.data() + at + 4);
    if (memory >= limits::kArgonMemoryKiBMin && memory <= limits::kArgonMemoryKiBMax)
      StoreLittle(b.data() + at, limits::kArgonMemoryKiBMin);
    if (passes >= 1 && passes <= limits::kArgonPassesMax) StoreLittle<uint32_t>(b.data() + at + 4, 1);
  }
}

void PutChecksumRight(Bytes& b) {
  if (b.size() < kChecksumBytes) return;
  size_t n = b.size() - kChecksumBytes;
  Digest d = crypto::Sha256(ByteView(b).first(n));
  std::memcpy(b.data() + n, d.data(), d.size());
}

}  // namespace
}  // namespace holdfast::seal

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace holdfast;  // NOLINT
  if (size == 0) return 0;
  Bytes record(data + 1, data + size);
  seal::LowerParameters(record);
  if (data[0] % 2 == 1) seal::PutChecksumRight(record);

  Result<StoreId> store = seal::UnlockersStore(record);
  // A passphrase that fits no seed, so that every unlocker is tried.
  Result<Key> key = seal::Unlock(record, AsBytes("not the passphrase"));
  HF_CHECK(!key.has_value());
  if (!store.has_value()) {
    HF_CHECK(key.code() == store.code());  // the two agree on what is no record
  } else {
    HF_CHECK(Equal(store->view(), ByteView(record).subspan(12, 16)));
    HF_CHECK(key.code() == Code::kKdfBounds || key.code() == Code::kWrongPassphrase ||
             key.code() == Code::kUnknownFormat);
  }
  return 0;
}
