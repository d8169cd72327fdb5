// For tests: a Patricia table over nodes in memory.
#ifndef HOLDFAST_CORE_TREE_PATRICIA_TABLE_INTERNAL_H_
#define HOLDFAST_CORE_TREE_PATRICIA_TABLE_INTERNAL_H_

#include "core/tree/patricia_fold.h"
#include "core/tree/table_internal.h"

namespace holdfast::tree::patricia {

struct PatriciaTable {
  Descriptor descriptor;
  MemoryNodes nodes;
  Root root;
  uint64_t index = 0;
  Blinding blinding;

  explicit PatriciaTable(uint16_t leaf = 16, bool inline_values = true,
                         std::string_view key = "a key of the table")
      : blinding(AsBytes(key)) {
    descriptor.leaf_rows_max = leaf;
    descriptor.inline_values = inline_values;
  }
  holdfast::Code Apply(const List& list) {
    ListChanges changes(list);
    Fold fold(descriptor, root, LogIndex(++index), changes, nodes, blinding);
    auto done = Finish(nodes, [&] { return fold.Run(nodes); });
    if (done.failed()) return done.error().code();
    root = done.value();
    return holdfast::Code{};
  }
  holdfast::Code Load(const Oracle& rows) {
    List list;
    for (const auto& [k, v] : rows) list[k] = v;
    return Apply(list);
  }
};

// What a client sees of a table: all rows, forwards.
inline Oracle Contents(const Root& root, MemoryNodes& nodes) {
  Oracle seen;
  Keeping keeping(nodes);
  Cursor cursor(root);
  for (;;) {
    auto row = Finish(nodes, [&] { return cursor.Next(keeping); });
    HF_CHECK(row.done());
    if (!row.value()) return seen;
    BlobReader blob(row.value()->value);
    auto value = Finish(nodes, [&] { return blob.Run(keeping); });
    HF_CHECK(value.done());
    HF_CHECK(seen.emplace(ToText(row.value()->key), ToText(value.value())).second);
    keeping.Forget();
  }
}

// Keys that are awkward for a radix tree: prefixes of each other, one bit apart, nested, long and alike.
inline std::string AwkwardKey(crypto::SeededRandom& random) {
  switch (random.Below(8)) {
    case 0:
      return std::string(1 + random.Below(40), 'a');
    case 1:
      return std::string(1 + random.Below(4), '\0');
    case 2:
      return std::string(1 + random.Below(4), '\xff');
    case 3: {
      std::string s(12, 'q');
      s[random.Below(12)] = static_cast<char>('q' ^ (1u << random.Below(8)));
      return s;
    }
    case 4:
      return "user:" + std::to_string(random.Below(400));
    case 5:
      return Numbered(random.Below(300));
    case 6:
      return std::string(1000 + random.Below(25), 'z');
    default:
      return RandomText(random, 1 + random.Below(3));
  }
}

}  // namespace holdfast::tree::patricia

#endif  // HOLDFAST_CORE_TREE_PATRICIA_TABLE_INTERNAL_H_
