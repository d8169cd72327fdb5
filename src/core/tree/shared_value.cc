#include "core/tree/shared_value.h"

#include "base/codec.h"

namespace holdfast::tree {
namespace {

using namespace std::string_view_literals;

constexpr auto kLabel = "holdfast shared value"sv;
constexpr uint8_t kAlgorithm = 1, kCountMark = 1;

}  // namespace

SharedAddresses::SharedAddresses(const seal::DomainKeys& keys)
    : mac_(crypto::DeriveKey(keys.address, kLabel).view()) {}

Address SharedAddresses::Of(ByteView value) {
  mac_.Update(value);
  const Digest d = mac_.Finish();
  Address a;
  a[0] = kAlgorithm;
  std::copy(d.begin(), d.end(), a.begin() + 1);
  return a;
}

Bytes SharedCountKey(const Address& value) {
  Bytes key(value.begin(), value.end());
  key.push_back(kCountMark);
  return key;
}

Bytes EncodeSharedCount(uint64_t count) {
  HF_CHECK(count > 1);
  Bytes out;
  Writer(out).U64(count);
  return out;
}

Result<SharedRow> ReadSharedRow(ByteView key, const StoredValue& value) {
  Reader r(key);
  SharedRow row;
  r.Copy(row.address.data(), row.address.size());
  if (!r.ok() || row.address[0] != kAlgorithm || value.is_shared) return Code::kMalformed;
  if (r.Finish()) return row;
  if (r.U8() != kCountMark || !r.Finish() || value.is_blob) return Code::kMalformed;
  Reader count(value.inline_bytes);
  row.count = count.U64();
  if (!count.Finish() || *row.count < 2) return Code::kMalformed;
  return row;
}

Step<uint64_t> SharedCountOf(const Root& values, const Address& value, NodeSource& source) {
  auto stored = Lookup(values, value, source);
  if (stored.needs()) return Need{stored.need()};
  if (stored.failed()) return stored.error();
  if (!stored.value()) return uint64_t{0};
  const Bytes key = SharedCountKey(value);
  auto counted = Lookup(values, key, source);
  if (counted.needs()) return Need{counted.need()};
  if (counted.failed()) return counted.error();
  if (!counted.value()) return uint64_t{1};
  auto row = ReadSharedRow(key, counted.value()->value);
  if (!row) return row.error();
  return *row->count;
}

}  // namespace holdfast::tree
