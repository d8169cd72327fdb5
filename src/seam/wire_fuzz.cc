// Messages of the other side: an envelope and a head of any bytes. What decodes encodes to the same bytes.
#include <cstdlib>

#include "seam/wire.h"

using namespace holdfast;
using namespace holdfast::seam;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 12) return 0;
  WireMessage m;
  m.envelope.kind = data[0];
  m.envelope.operation = data[1];
  m.envelope.id = LoadLittle<uint64_t>(data + 2);
  size_t body = std::min<size_t>(LoadLittle<uint16_t>(data + 10), size - 12);
  m.head.assign(data + 12, data + size - body);
  m.body.assign(data + size - body, data + size);
  m.envelope.head_bytes = m.head.size();
  m.envelope.body_bytes = m.body.size();
  WireMessage copy = m;
  if (Result<HostToCore> got = DecodeToCore(std::move(copy))) {
    WireMessage again = Encode(std::move(got).value());
    if (!(again.envelope == m.envelope) || again.head != m.head || again.body != m.body) std::abort();
  }
  copy = m;
  if (Result<CoreToHost> got = DecodeToHost(std::move(copy))) {
    WireMessage again = Encode(std::move(got).value());
    // A note is cut to its length when it is made.
    bool note = m.envelope.kind == static_cast<uint8_t>(Kind::kCoreNote);
    if (!note && (!(again.envelope == m.envelope) || again.head != m.head || again.body != m.body))
      std::abort();
  }
  return 0;
}
