// Manifest, group of its segments, logical root and server-state from a host: decoding is bounded, canonical,
// and never ends the program.
#include "base/check.h"
#include "core/store/slots.h"

namespace holdfast::store {
namespace {

// There are tags at 1 to 255.
void CheckGroup(ByteView in) {
  std::vector<LogIndex> at;
  for (uint64_t i = 1; i < 256; ++i) at.push_back(LogIndex(i));
  auto segments = DecodeGroup(in, TagLine(std::move(at)));
  if (!segments) return;
  Segments as_map;
  for (Segment& s : *segments) as_map.emplace(s.number, std::move(s));
  HF_CHECK(Equal(EncodeGroup(as_map.begin(), as_map.size()), in));
}

}  // namespace
}  // namespace holdfast::store

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace holdfast;
  ByteView in(data, size);
  if (auto m = store::Manifest::Decode(in)) HF_CHECK(Equal(m->Encode(), in));
  if (auto root = store::LogicalRoot::Decode(in)) HF_CHECK(Equal(root->Encode(), in));
  if (auto state = store::ServerState::Decode(in)) HF_CHECK(Equal(state->Encode(), in));
  store::CheckGroup(in);
  return 0;
}
