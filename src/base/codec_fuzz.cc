// Drives Reader with a program made of the input itself: whatever is asked of it, it reads inside its bounds,
// answers zeros after the first failure, and what Writer wrote comes back the same.
#include <algorithm>

#include "base/check.h"
#include "base/codec.h"

namespace holdfast {
namespace {

// First byte of each pair chooses the call, the second its size.
void ReadAnything(ByteView program, ByteView input) {
  Reader r(input);
  for (size_t i = 0; i + 1 < program.size(); i += 2) {
    bool was_ok = r.ok();
    size_t before = r.position();
    size_t n = program[i + 1];
    ByteView got;
    uint64_t number = 0;
    switch (program[i] % 10) {
      case 0:
        number = r.U8();
        break;
      case 1:
        number = r.U16();
        break;
      case 2:
        number = r.U32();
        break;
      case 3:
        number = r.U64();
        break;
      case 4:
        got = r.Raw(n);
        break;
      case 5:
        got = r.Blob16(n);
        break;
      case 6:
        got = r.Blob32(n);
        break;
      case 7:
        number = r.Num<LogIndex>().value;
        break;
      case 8:
        got = ToBytes(r.Id<StoreId>().view()).empty() ? got : ByteView{};
        break;
      case 9:
        HF_CHECK(uint64_t{r.Count32(n)} * n <= input.size());
        break;
    }
    HF_CHECK(r.position() >= before && r.position() <= input.size());
    HF_CHECK(r.position() + r.remaining() == input.size());
    HF_CHECK(was_ok || (!r.ok() && got.empty() && number == 0));
    if (!got.empty())
      HF_CHECK(got.data() >= input.data() && got.data() + got.size() <= input.data() + input.size());
  }
  HF_CHECK(!r.Finish() || r.remaining() == 0);
}

void WriteAndReadBack(ByteView b) {
  ByteView head = b.first(std::min<size_t>(b.size(), 0xFFFF));
  Bytes out;
  Writer(out).U64(b.size()).Blob16(head).Blob32(b).U8(7);
  Reader r(out);
  HF_CHECK(r.U64() == b.size());
  HF_CHECK(Equal(r.Blob16(), head));
  HF_CHECK(Equal(r.Blob32(b.size()), b));
  HF_CHECK(r.U8() == 7 && r.Finish());
}

}  // namespace
}  // namespace holdfast

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  holdfast::ByteView input(data, size);
  size_t split = size == 0 ? 0 : std::min<size_t>(data[0], size);
  holdfast::ReadAnything(input.first(split), input.subspan(split));
  holdfast::WriteAndReadBack(input);
  return 0;
}
