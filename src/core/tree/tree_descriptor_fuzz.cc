// Descriptor::Decode on hostile bytes. What decodes has this one encoding.
#include "core/tree/descriptor.h"

using namespace holdfast;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  auto d = tree::Descriptor::Decode({bytes, size});
  if (d) HF_CHECK(Equal(d->Encode(), ByteView(bytes, size)));
  return 0;
}
