// Rows that the store keeps of itself, of any bytes: what decodes has this one encoding.
#include "base/check.h"
#include "core/store/rows.h"
#include "core/store/tails.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace holdfast;  // NOLINT: a fuzzer's one function
  ByteView in(data, size);
  if (auto head = store::HeadRow::Decode(in)) HF_CHECK(Equal(head->Encode(), in));
  if (auto session = store::SessionRow::Decode(in)) {
    HF_CHECK(Equal(session->Encode(), in));
    HF_CHECK(session->results.size() <= size / 18);
  }
  if (auto quorum = store::DecodeQuorum(in)) HF_CHECK(Equal(store::EncodeQuorum(*quorum), in));
  return 0;
}
