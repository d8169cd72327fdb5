// How fast the tree is by itself, all nodes in memory: no sealing, no files. Not built by default:
//   ninja -C build/release tree_speed && build/release/bin/tree_speed [rows]
// 16-byte random keys, 100-byte values, leaf 16, inner 64. `hash` = every node's address is computed
// (HMAC-SHA-256).
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <random>

#include "core/tree/overlay.h"
#include "core/tree/read.h"
#include "crypto/hash.h"

using namespace holdfast;
using namespace holdfast::tree;

namespace {

class Nodes : public NodeSource, public NodeSink {
 public:
  explicit Nodes(bool hash) : hash_(hash), mac_(Bytes(32, 7)) {}
  NodePtr Find(const NodeRef& ref) override { return nodes_[ref.hint.segment]; }
  NodeRef Emit(EncodedNode&& node) override {
    NodeRef ref;
    ref.address[0] = 1;
    if (hash_) {
      mac_.Update(node.canonical);
      Digest d = mac_.Finish();
      std::copy(d.begin(), d.end(), ref.address.begin() + 1);
    }
    ref.hint.segment = static_cast<uint32_t>(nodes_.size());
    auto decoded = Node::Decode(node.canonical, node.hints);
    memory += (*decoded)->memory_bytes();
    nodes_.push_back(*decoded);
    return ref;
  }
  void Dead(const NodeRef& ref) override {
    memory -= nodes_[ref.hint.segment]->memory_bytes();
    nodes_[ref.hint.segment] = nullptr;
  }
  size_t memory = 0;

 private:
  bool hash_;
  crypto::HmacStream mac_;
  std::vector<NodePtr> nodes_;
};

struct Row {
  std::array<uint8_t, 16> key;
  std::array<uint8_t, 100> value;
  bool operator<(const Row& o) const { return key < o.key; }
};

class Rows : public ChangeSource {
 public:
  explicit Rows(const std::vector<Row>& rows) : rows_(rows) {}
  std::optional<Change> Next() override {
    if (at_ == rows_.size()) return std::nullopt;
    const Row& r = rows_[at_++];
    return Change{r.key, r.value, false};
  }
  void SkipTo(ByteView key) override {
    while (at_ < rows_.size() && Compare(rows_[at_].key, key) < 0) ++at_;
  }
  void SkipAll() override { at_ = rows_.size(); }

 private:
  const std::vector<Row>& rows_;
  size_t at_ = 0;
};

// CPU time, so that a busy machine shows little.
double Seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

std::vector<Row> Random(size_t n, std::mt19937_64& random) {
  std::vector<Row> rows(n);
  for (Row& r : rows) {
    for (size_t i = 0; i < 16; i += 8) StoreBig64(&r.key[i], random());
    for (size_t i = 0; i + 8 <= 100; i += 8) StoreBig64(&r.value[i], random());
  }
  std::sort(rows.begin(), rows.end());
  return rows;
}

void Print(const char* what, size_t n, double seconds) {
  std::printf("%-44s %9.0f /CPU s   (%zu in %.3f s)\n", what, static_cast<double>(n) / seconds, n, seconds);
}

void Measure(size_t n, bool hash) {
  std::printf("--- %s\n", hash ? "with hash" : "without hash");
  std::mt19937_64 random(1);
  std::vector<Row> rows = Random(n, random);
  Nodes nodes(hash);
  Descriptor descriptor;
  double t = Seconds();
  Rows source(rows);
  Root root = Fold(descriptor, Root{}, LogIndex(1), source, nodes).Run(nodes).value();
  Print("bulk load, rows", n, Seconds() - t);
  std::printf("%-44s %9zu bytes a row\n", "decoded nodes", nodes.memory / n);

  for (int round = 0; round < 3; ++round) {
    std::vector<Row> changes = Random(n / 10, random);
    for (size_t i = 0; i < changes.size(); i += 2) changes[i].key = rows[random() % n].key;  // half overwrite
    std::sort(changes.begin(), changes.end());
    changes.erase(
        std::unique(changes.begin(), changes.end(), [](auto& a, auto& b) { return a.key == b.key; }),
        changes.end());
    t = Seconds();
    Rows some(changes);
    root = Fold(descriptor, root, LogIndex(2), some, nodes).Run(nodes).value();
    Print("fold of random changes, half overwrite", changes.size(), Seconds() - t);
  }
  size_t found = 0;
  t = Seconds();
  for (size_t i = 0; i < 1'000'000; ++i)
    found += Lookup(root, rows[random() % n].key, nodes).value().has_value();
  Print("lookup", found, Seconds() - t);
  Cursor cursor(root);
  size_t scanned = 0;
  t = Seconds();
  while (cursor.Next(nodes).value()) ++scanned;
  Print("scan, rows", scanned, Seconds() - t);
}

void MeasureOverlay(size_t n) {
  std::printf("--- overlay\n");
  std::mt19937_64 random(2);
  std::vector<Row> rows = Random(n, random);
  std::shuffle(rows.begin(), rows.end(), random);
  Overlay overlay;
  TableId table;
  double t = Seconds();
  for (size_t i = 0; i < n; ++i) overlay.Put(table, rows[i].key, rows[i].value, i);
  Print("put, random keys", n, Seconds() - t);
  std::printf("%-44s %9zu bytes a row\n", "memory", overlay.memory_bytes() / n);
  size_t found = 0;
  t = Seconds();
  for (size_t i = 0; i < n; ++i) found += overlay.Get(table, rows[random() % n].key, n).has_value();
  Print("get", found, Seconds() - t);
}

}  // namespace

int main(int argc, char** argv) {
  size_t n = argc > 1 ? static_cast<size_t>(std::atoll(argv[1])) : 1'000'000;
  Measure(n, false);
  Measure(n, true);
  MeasureOverlay(n / 2);
  return 0;
}
