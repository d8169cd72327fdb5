// The parsers of a frame. First byte: 0 = the rest is a frame as it came from the disk; else = the rest is a
// text that was sealed under the right key, so that the fuzzer reaches what lies behind the tag.
#include "base/check.h"
#include "core/journal/frame_internal.h"
#include "crypto/hash.h"

namespace holdfast::journal {
namespace {

struct Fixed {
  crypto::SeededRandom random{1};
  seal::Keyring keyring = seal::Keyring::Create(random);
  seal::DomainKeys keys = keyring.JournalKeys(Epoch(1)).value();
  JournalIdentity id;
};

void Run(ByteView in) {
  static Fixed& f = *new Fixed();
  if (in.empty()) return;
  bool sealed = in[0] != 0;
  Bytes bytes = ToBytes(in.subspan(1));
  if (sealed) {
    FrameNumber number(bytes.size() < 8 ? 1 : LoadLittle<uint64_t>(bytes.data()));
    if (number.value == 0 || bytes.size() > (1u << 20)) return;
    bytes = SealFrameText(f.id, f.keys, Epoch(1), FrameKind::kWave, number, std::move(bytes), f.random);
  }
  auto header = DecodeFrameHeader(bytes);
  auto frame = OpenFrame(f.id, f.keyring, bytes);
  HF_CHECK(!frame || header);
  HF_CHECK(!sealed || header);
  if (!frame) return;
  // What opened says one thing only: sealed again it opens to the same.
  HF_CHECK(frame->number == header->number && header->length_bytes == bytes.size());
  SealedFrame again = SealFrame(f.id, f.keys, Epoch(1), *frame, f.random);
  Frame same = OpenFrame(f.id, f.keyring, again.bytes).value();
  HF_CHECK(same.entries == frame->entries && same.before == frame->before &&
           same.first_index == frame->first_index);
}

}  // namespace
}  // namespace holdfast::journal

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  holdfast::journal::Run({data, size});
  return 0;
}
