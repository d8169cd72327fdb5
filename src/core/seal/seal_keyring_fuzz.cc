// Keyrings. Raw bytes from a hostile provider never open; and any text under a right seal (first byte odd) is
// parsed within its bounds, to a keyring that seals and opens to itself.
#include "base/check.h"
#include "core/seal/keyring.h"

namespace holdfast::seal {
namespace {

constexpr std::string_view kName = "enclave-state/0/key-enclave";

void TryText(ByteView text) {
  crypto::SeededRandom random(1);
  Key root;
  Bytes sealed =
      SealObject(DomainKeys::Derive(root), ObjectKind::kKeyring, Epoch(0), {StoreId(), kName}, text, random);
  Result<Keyring> keyring = Keyring::Open(root, StoreId(), kName, sealed);
  if (!keyring.has_value()) {
    HF_CHECK(keyring.code() == Code::kMalformed || keyring.code() == Code::kUnknownFormat);
    return;
  }
  HF_CHECK(keyring->JournalKeys(keyring->current_epoch()).has_value());
  // One spelling for one keyring: under the same randomness it gives the same bytes.
  crypto::SeededRandom same(1);
  HF_CHECK(keyring->Clone().Seal(root, StoreId(), kName, same) == sealed);
}

}  // namespace
}  // namespace holdfast::seal

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace holdfast;  // NOLINT
  if (size == 0) return 0;
  ByteView rest(data + 1, size - 1);
  if (data[0] % 2 == 1) {
    seal::TryText(rest);
  } else {
    HF_CHECK(!seal::Keyring::Open(Key(), StoreId(), seal::kName, rest).has_value());
  }
  return 0;
}
