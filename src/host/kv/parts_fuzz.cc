// Any bytes as the index of a large object: refused, or exactly what we write for what it says. And any bytes
// as a row under an object's name: an error or the row itself, never anything made of parts that are not
// there.
#include "base/check.h"
#include "host/kv/memory.h"
#include "host/kv/parts.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace holdfast;  // NOLINT: a fuzzer's one function
  ByteView bytes(data, size);
  auto index = host::DecodePartIndex(bytes);
  if (index) {
    HF_CHECK(Equal(host::EncodePartIndex(*index), bytes));
    HF_CHECK(index->parts() > 0 && index->parts() <= host::PartIndex::kPartsMax);
    HF_CHECK(index->PartSize(index->parts() - 1) > 0);
  }
  auto rows = std::make_unique<host::MemoryStorage>();
  HF_CHECK(rows->Put("o", bytes).has_value());
  auto storage =
      host::PartsStorage::Open(std::move(rows), {.part_bytes = 4096, .locked = true, .put_parts = {}});
  HF_CHECK(storage.has_value());
  auto got = (*storage)->Get("o");
  HF_CHECK(got.has_value() == (size != host::PartIndex::kBytes));
  if (got) HF_CHECK(Equal(got->parse(), bytes));
  auto range = (*storage)->GetRange("o", 3, 5);
  if (range) HF_CHECK(range->size() <= 5);
  return 0;
}
