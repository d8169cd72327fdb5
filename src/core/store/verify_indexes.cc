#include "core/store/verify_indexes.h"

#include "core/store/indexes.h"
#include "core/store/shared_counts.h"
#include "core/tree/index_key.h"
#include "core/tree/read.h"
#include "crypto/hash.h"

namespace holdfast::store {
namespace {

// Digests added as 256-bit numbers: rows may come in any order.
class Sum {
 public:
  void Add(ByteView key, ByteView value) {
    Bytes size(8);
    StoreBig64(size.data(), key.size());
    const Digest d = crypto::Sha256({size, key, value});
    unsigned carry = 0;
    for (size_t i = 0; i < d.size(); ++i) {
      carry += sum_[i] + d[i];
      sum_[i] = static_cast<uint8_t>(carry);
      carry >>= 8;
    }
    ++rows_;
  }
  friend bool operator==(const Sum&, const Sum&) = default;

 private:
  Digest sum_{};
  uint64_t rows_ = 0;
};

template <typename Take>
Status ForEachRow(const tree::Root& root, const tree::Root& shared, NodeAccess& nodes, Take take) {
  if (root.empty) return Ok();
  tree::Cursor cursor(root);
  HF_TRY(bool found, Drive(nodes, [&] { return cursor.SeekTo({}, nodes); }));
  static_cast<void>(found);
  for (;;) {
    HF_TRY(auto row, Drive(nodes, [&] { return cursor.Next(nodes); }));
    if (!row) return Ok();
    tree::BlobReader reader(row->value, shared);
    HF_TRY(Bytes value, Drive(nodes, [&] { return reader.Run(nodes); }));
    take(ByteView(row->key), ByteView(value));
  }
}

}  // namespace

Result<bool> IndexHolds(const Tables& tables, const Table& index, NodeAccess& nodes) {
  const tree::IndexOf& of = *index.descriptor.index;
  auto table = tables.find(of.table);
  if (table == tables.end()) return false;
  const tree::Type type = table->second.descriptor.value_type;
  Sum should, is;
  const tree::Root shared = SharedRootOf(tables, table->second);
  HF_TRY_VOID(ForEachRow(table->second.root, shared, nodes, [&](ByteView key, ByteView value) {
    auto field = tree::FieldOf(type, of.pointer, value);
    if (!field) return;
    tree::IndexRow row = tree::IndexRowOf(*field, key, of.unique);
    should.Add(row.key, row.value);
  }));
  HF_TRY_VOID(ForEachRow(index.root, {}, nodes, [&](ByteView key, ByteView value) { is.Add(key, value); }));
  return should == is;
}

}  // namespace holdfast::store
