// Proofs from hostile hands. The first byte says what follows: 0 = a file as it is; 1 = a file without the
// sum at its end, which is added, so that the rest is looked at. Of a table that is known here nothing may be
// proven that is not so.
#include "core/tree/patricia_digest.h"
#include "core/tree/proof.h"

using namespace holdfast;
using namespace holdfast::tree;

namespace {

// The table of tests/fuzz/make_seeds.py.
const std::vector<std::pair<std::string_view, std::string_view>> kRows = {
    {"a", "1"}, {"ab", "22"}, {"b", ""}, {"user:1", "one"}, {"user:12", "twelve"}, {"user:2", "two"}};

const Digest& Root() {
  static const Digest root = [] {
    patricia::Blinding blinding(AsBytes("a key of the table"));
    std::vector<patricia::Row> rows;
    for (const auto& [k, v] : kRows) {
      patricia::Row& row = rows.emplace_back();
      row.key = ToBytes(k);
      row.inline_value = ToBytes(v);
    }
    return patricia::TableDigest({}, {}, rows.size(), patricia::Ends::OfRows(rows, blinding).All());
  }();
  return root;
}

void CheckClaim(const Proof& p) {
  const std::string_view* value = nullptr;
  for (const auto& [k, v] : kRows) {
    if (Equal(AsBytes(k), p.key)) value = &v;
  }
  HF_CHECK(p.rows == kRows.size());
  const auto* row = std::get_if<Proof::Included>(&p.end);
  HF_CHECK((row != nullptr) == (value != nullptr));
  if (row != nullptr) HF_CHECK(Equal(row->value, AsBytes(*value)));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  if (size == 0) return 0;
  Bytes file(bytes + 1, bytes + size);
  if (bytes[0] == 1) Append(file, crypto::Sha256(file));
  auto p = Proof::Decode(file);
  if (!p) {
    HF_CHECK(p.code() == Code::kBadInput || p.code() == Code::kUnknownFormat ||
             p.code() == Code::kProofRefused);
    return 0;
  }
  HF_CHECK(p->Encode() == file);
  Status holds = p->Check();
  HF_CHECK(holds || holds.code() == Code::kProofRefused);
  if (holds && p->root == Root()) CheckClaim(*p);
  return 0;
}
