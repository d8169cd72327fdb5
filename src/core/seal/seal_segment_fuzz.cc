// Nodes: sealed bytes from a hostile provider never open; any text under a right seal (first byte odd) is
// taken apart within its bounds; and a segment built from pieces of the input gives them back.
#include <algorithm>

#include "base/check.h"
#include "core/seal/segment.h"

namespace holdfast::seal {
namespace {

constexpr std::string_view kName = "segments/00000000000000030001020304050607";

const DomainKeys& Keys() {
  static const DomainKeys keys = DomainKeys::Derive(Key());
  return keys;
}

void TryText(uint32_t offset, ByteView text) {
  ObjectHeader header{.kind = ObjectKind::kSegment, .epoch = Epoch(1)};
  Address address{1};
  Bytes aad = ToBytes(std::string_view("HFNODE")), sealed;
  Append(aad, header.Encode());
  Append(aad, EncodeBinding({StoreId(), kName, TableId().view()}));
  Append(aad, address);
  crypto::AesGcm(ObjectKey(Keys(), header)).Seal(offset, aad, text, sealed);
  SegmentOpener opener(Keys(), header, StoreId(), kName, TableId());
  Result<OpenedNode> node = opener.Open(address, offset, sealed);
  if (!node.has_value()) {
    HF_CHECK(node.code() == Code::kMalformed);
    return;
  }
  HF_CHECK(4 + node->canonical().size() + node->tail().size() == text.size());
  HF_CHECK(!opener.Open(address, offset + 1, sealed).has_value());
}

// Each piece: one byte for the size of the canonical text, one for that of the hints.
void BuildAndOpen(ByteView in) {
  struct Piece {
    ByteView canonical, hints;
    Extent extent;
  };
  std::vector<Piece> pieces;
  SegmentBuilder builder{TableId()};
  while (in.size() >= 2) {
    size_t n = std::min<size_t>(in[0], in.size() - 2), m = std::min<size_t>(in[1], in.size() - 2 - n);
    Piece p{in.subspan(2, n), in.subspan(2 + n, m), {}};
    p.extent = builder.Add(NodeAddress(Keys(), p.canonical), p.canonical, p.hints);
    pieces.push_back(p);
    in = in.subspan(2 + n + m);
  }
  crypto::SeededRandom random(1);
  SegmentBuilder::Sealed sealed = builder.Finish(Keys(), Epoch(1), StoreId(), kName, random);
  SegmentOpener opener(Keys(), sealed.header, StoreId(), kName, TableId());
  for (const Piece& p : pieces) {
    Result<OpenedNode> node = opener.Open(NodeAddress(Keys(), p.canonical), p.extent.offset,
                                          ByteView(sealed.bytes).subspan(p.extent.offset, p.extent.length));
    HF_CHECK(node.has_value() && Equal(node->canonical(), p.canonical));
    HF_CHECK(node->tail().size() >= p.hints.size() && Equal(node->tail().first(p.hints.size()), p.hints));
  }
}

}  // namespace
}  // namespace holdfast::seal

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace holdfast;        // NOLINT
  using namespace holdfast::seal;  // NOLINT
  if (size < 5) return 0;
  ByteView rest(data + 5, size - 5);
  switch (data[0] % 3) {
    case 0: {
      ObjectHeader header{.kind = ObjectKind::kSegment, .epoch = Epoch(1)};
      SegmentOpener opener(Keys(), header, StoreId(), kName, TableId());
      HF_CHECK(!opener.Open(Address{1}, LoadLittle<uint32_t>(data + 1), rest).has_value());
      break;
    }
    case 1:
      TryText(LoadLittle<uint32_t>(data + 1), rest);
      break;
    case 2:
      BuildAndOpen(rest);
      break;
  }
  return 0;
}
