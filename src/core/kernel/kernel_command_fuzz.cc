// Payloads of entries as a stranger would write them: decoding is bounded, and what it accepts it writes back
// the same.
#include "core/kernel/command.h"

namespace {

using holdfast::ByteView;

template <typename Command>
void Same(const holdfast::Result<Command>& command, ByteView payload) {
  if (!command) {
    HF_CHECK(command.code() == holdfast::Code::kMalformed);
    return;
  }
  HF_CHECK(holdfast::Equal(holdfast::kernel::Encode(*command), payload));
}

}  // namespace

// The first byte is the kind of the entry.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const ByteView payload(data + 1, size - 1);
  using namespace holdfast::kernel;
  switch (data[0]) {
    case 1:
      Same(DecodeOpened(payload), payload);
      break;
    case 2: {
      const auto batch = DecodeBatch(payload);
      Same(batch, payload);
      if (batch) HF_CHECK(Check(*batch).has_value());
      break;
    }
    case 3:
      Same(DecodeCreateTable(payload), payload);
      break;
    case 4:
      Same(DecodeDropTable(payload), payload);
      break;
    case 5:
      Same(DecodeSavePoint(payload), payload);
      break;
    case 7:
      Same(DecodeOpenSession(payload), payload);
      break;
    case 8:
      Same(DecodeCreateTag(payload), payload);
      break;
    case 9:
      Same(DecodeDropTag(payload), payload);
      break;
    case 10:
      Same(DecodeCreateTables(payload), payload);
      break;
    default:
      break;
  }
  return 0;
}
