// Manifest, logical root and server-state from a host: decoding is bounded, canonical, and never ends the
// program.
#include "base/check.h"
#include "core/store/slots.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace holdfast;
  ByteView in(data, size);
  if (auto m = store::Manifest::Decode(in)) HF_CHECK(Equal(m->Encode(), in));
  if (auto root = store::LogicalRoot::Decode(in)) HF_CHECK(Equal(root->Encode(), in));
  if (auto state = store::ServerState::Decode(in)) HF_CHECK(Equal(state->Encode(), in));
  return 0;
}
