// Rows of tables of shared values: a key, a byte that says where the value lies, the value. What is read has
// one encoding.
#include "base/codec.h"
#include "core/tree/shared_value.h"

using namespace holdfast;
using namespace holdfast::tree;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  Reader r({bytes, size});
  ByteView key = r.Blob16();
  uint8_t form = r.U8();
  if (!r.ok()) return 0;
  StoredValue value;
  value.is_blob = form == 1;
  value.is_shared = form == 2;
  if (form == 0) value.inline_bytes = r.Raw(r.remaining());
  value.length = value.inline_bytes.size();
  auto row = ReadSharedRow(key, value);
  if (!row) return 0;
  HF_CHECK(!value.is_shared);
  if (!row->count) {
    HF_CHECK(Equal(key, row->address));
    return 0;
  }
  HF_CHECK(Equal(key, SharedCountKey(row->address)));
  HF_CHECK(!value.is_blob && Equal(value.inline_bytes, EncodeSharedCount(*row->count)));
  return 0;
}
