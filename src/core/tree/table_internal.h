// For tests: a table over nodes in memory, and a way to fill it.
#ifndef HOLDFAST_CORE_TREE_TABLE_INTERNAL_H_
#define HOLDFAST_CORE_TREE_TABLE_INTERNAL_H_

#include "core/tree/memory_nodes_internal.h"
#include "crypto/random.h"

namespace holdfast::tree {

using Oracle = std::map<std::string, std::string>;
using List = ListChanges::List;

struct Table {
  Descriptor descriptor;
  MemoryNodes nodes;
  Root root;
  uint64_t index = 0;

  explicit Table(uint16_t leaf = 16, uint16_t inner = 64, bool inline_values = true) {
    descriptor.leaf_rows_max = leaf;
    descriptor.inner_children_max = inner;
    descriptor.inline_values = inline_values;
  }
  Code Apply(const List& list) {
    ListChanges changes(list);
    Fold fold(descriptor, root, LogIndex(++index), changes, nodes);
    auto done = Finish(nodes, [&] { return fold.Run(nodes); });
    if (done.failed()) return done.error().code();
    root = done.value();
    return Code{};
  }
  // The same, with what lies below `enough` inner nodes or more folded by itself first; last ones first,
  // since any order will do.
  Code ApplyInParts(const List& list, size_t enough) {
    auto places = Finish(nodes, [&] { return PlacesOf(root, enough, nodes); });
    if (places.failed()) return places.error().code();
    LogIndex birth(++index);
    std::vector<PartFold> parts;
    std::vector<List> lists;
    std::vector<std::unique_ptr<ListChanges>> sources;
    for (const FoldPlace& p : places.value()) {
      lists.emplace_back(list.lower_bound(p.from), p.until ? list.lower_bound(*p.until) : list.end());
    }
    for (const List& some : lists) sources.push_back(std::make_unique<ListChanges>(some));
    for (size_t i = 0; i < sources.size(); ++i) {
      parts.emplace_back(descriptor, std::move(places.value()[i]), birth, *sources[i], nodes);
    }
    for (size_t i = parts.size(); i-- > 0;) {
      auto done = Finish(nodes, [&] { return parts[i].Run(nodes); });
      if (done.failed()) return done.error().code();
    }
    ListChanges changes(list);
    Fold fold(descriptor, root, birth, changes, nodes);
    for (PartFold& p : parts) fold.Take(p);
    auto done = Finish(nodes, [&] { return fold.Run(nodes); });
    if (done.failed()) return done.error().code();
    root = done.value();
    return Code{};
  }
};

inline std::string RandomText(crypto::SeededRandom& random, size_t bytes) {
  std::string s(bytes, 0);
  uint64_t x = random.Next();
  for (char& c : s) {
    x = x * 6364136223846793005u + 1442695040888963407u;
    c = static_cast<char>(x >> 56);
  }
  return s;
}

// Keys from a small space, so that changes meet: short ones with a few long ones among them.
inline std::string RandomKey(crypto::SeededRandom& random, uint64_t space) {
  uint64_t k = random.Below(space);
  std::string s = "k" + std::to_string(k * 7919 % space);
  if (k % 13 == 0) s.append(1 + k * 31 % 1000, static_cast<char>(k));
  if (k % 17 == 0) s = std::string(1, static_cast<char>(k));
  return s.substr(0, limits::kKeyBytesMax);
}

inline std::string RandomValue(crypto::SeededRandom& random, size_t large_max) {
  uint64_t kind = random.Below(20);
  if (kind == 0) return RandomText(random, random.Below(large_max + 1));
  if (kind == 1) return RandomText(random, 200 + random.Below(60));
  return RandomText(random, random.Below(60));
}

inline List RandomChanges(crypto::SeededRandom& random, size_t n, uint64_t space, unsigned erase_percent,
                          size_t large_max) {
  List list;
  for (size_t i = 0; i < n; ++i) {
    std::string key = RandomKey(random, space);
    if (random.Below(100) < erase_percent) {
      list[key] = std::nullopt;
    } else {
      list[key] = RandomValue(random, large_max);
    }
  }
  return list;
}

inline void ApplyTo(Oracle& oracle, const List& list) {
  for (const auto& [k, v] : list) {
    if (v) {
      oracle[k] = *v;
    } else {
      oracle.erase(k);
    }
  }
}

inline std::string Numbered(uint64_t i) {
  uint8_t b[8];
  StoreBig64(b, i);
  return ToText(b);
}

}  // namespace holdfast::tree

#endif  // HOLDFAST_CORE_TREE_TABLE_INTERNAL_H_
