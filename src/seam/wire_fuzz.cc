// Messages of the other side: an envelope and a head of any bytes. What decodes encodes to the same bytes,
// and takes no more memory than it was given.
//
//   input   kind 1 | operation 1 | id 8 | length of the body 2 | head … | body
#include <algorithm>

#include "base/check.h"
#include "seam/wire.h"

using namespace holdfast;
using namespace holdfast::seam;

namespace {

constexpr size_t kEnvelopeBytes = 12;
constexpr size_t kNoteBytesMax = 2000 + 2;  // a longer note is cut when it is made, not when it is read

bool Same(const WireMessage& a, const WireMessage& b) {
  return a.envelope == b.envelope && a.head == b.head && a.body == b.body;
}

void Refused(Code code) { HF_CHECK(code == Code::kMessageRefused); }

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < kEnvelopeBytes) return 0;
  WireMessage m;
  m.envelope.kind = data[0];
  m.envelope.operation = data[1];
  m.envelope.id = LoadLittle<uint64_t>(data + 2);
  size_t body = std::min<size_t>(LoadLittle<uint16_t>(data + 10), size - kEnvelopeBytes);
  m.head.assign(data + kEnvelopeBytes, data + size - body);
  m.body.assign(data + size - body, data + size);
  m.envelope.head_bytes = m.head.size();
  m.envelope.body_bytes = m.body.size();

  if (Result<HostToCore> got = DecodeToCore(m)) {
    HF_CHECK(LaneOf(m.envelope, Direction::kToCore).has_value());
    HF_CHECK(Same(Encode(std::move(got).value()), m));
  } else {
    Refused(got.code());
  }
  if (Result<CoreToHost> got = DecodeToHost(m)) {
    HF_CHECK(LaneOf(m.envelope, Direction::kToHost).has_value());
    bool long_note =
        m.envelope.kind == static_cast<uint8_t>(Kind::kCoreNote) && m.head.size() > kNoteBytesMax;
    HF_CHECK(long_note || Same(Encode(std::move(got).value()), m));
  } else {
    Refused(got.code());
  }
  return 0;
}
