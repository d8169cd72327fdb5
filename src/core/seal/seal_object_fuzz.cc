// Sealed objects from a hostile provider. The first byte chooses: raw bytes, bytes with a right header
// checksum, or one change to an honest object. Nothing opens but the honest object itself.
#include "base/check.h"
#include "base/crc32c.h"
#include "core/seal/object.h"

namespace holdfast::seal {
namespace {

constexpr std::string_view kName = "enclave-state/0/core-enclave";

const DomainKeys& Keys() {
  static const DomainKeys keys = DomainKeys::Derive(Key());
  return keys;
}
Binding Bound() { return {StoreId(), kName, AsBytes("extra")}; }

const Bytes& Honest() {
  static const Bytes sealed = [] {
    crypto::SeededRandom random(1);
    return SealObject(Keys(), ObjectKind::kManifest, Epoch(1), Bound(), AsBytes("an honest text"), random);
  }();
  return sealed;
}

void Try(const Bytes& b) {
  for (uint8_t kind = 0; kind < 6; ++kind) {
    Result<ObjectHeader> header = ObjectHeader::Decode(b, static_cast<ObjectKind>(kind));
    // One spelling: what decodes encodes to the same bytes.
    if (header.has_value()) HF_CHECK(Equal(header->Encode(), ByteView(b).first(kHeaderBytes)));
  }
  Result<Bytes> text = OpenObject(Keys(), ObjectKind::kManifest, Bound(), b);
  HF_CHECK(text.has_value() == (b == Honest()));
}

Bytes WithChecksum(Bytes b) {
  if (b.size() < kHeaderBytes) return b;
  StoreLittle<uint32_t>(b.data() + 12, 0);
  StoreLittle(b.data() + 12, Crc32c(ByteView(b).first(kHeaderBytes)));
  return b;
}

Bytes Changed(ByteView edits) {  // pairs of (place, byte), then perhaps a cut
  Bytes b = Honest();
  for (size_t i = 0; i + 1 < edits.size(); i += 2) b[edits[i] % b.size()] = edits[i + 1];
  if (edits.size() % 2 == 1) b.resize(edits.back() % (b.size() + 1));
  return b;
}

}  // namespace
}  // namespace holdfast::seal

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace holdfast::seal;  // NOLINT
  if (size == 0) return 0;
  holdfast::ByteView rest(data + 1, size - 1);
  switch (data[0] % 4) {
    case 0:
      Try(holdfast::ToBytes(rest));
      break;
    case 1:
      Try(WithChecksum(holdfast::ToBytes(rest)));
      break;
    case 2:
      Try(Changed(rest));
      break;
    case 3:
      Try(WithChecksum(Changed(rest)));
      break;
  }
  return 0;
}
