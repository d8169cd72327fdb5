// Reads the vectors that make.py wrote: blocks of "key = value" under "[name]". For tests only.
// Bytes are hex, numbers decimal, text stands after a quote. A missing file, block or key stops the test.
#ifndef HOLDFAST_TESTS_VECTORS_VECTOR_FILE_H_
#define HOLDFAST_TESTS_VECTORS_VECTOR_FILE_H_

#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/check.h"
#include "base/ids.h"
#include "base/secret.h"
#include "crypto/random.h"

namespace holdfast::vectors {

class Block {
 public:
  std::string name;
  std::map<std::string, std::string> values;

  const std::string& Raw(const std::string& key) const {
    auto it = values.find(key);
    if (it == values.end()) CheckFailed("vector file", 0, (name + " lacks " + key).c_str());
    return it->second;
  }
  Bytes Hex(const std::string& key) const {
    std::optional<Bytes> b = ParseHex(Raw(key));
    HF_CHECK(b.has_value());
    return *b;
  }
  uint64_t Number(const std::string& key) const { return std::strtoull(Raw(key).c_str(), nullptr, 10); }
  std::string Text(const std::string& key) const {
    HF_CHECK(Raw(key).starts_with('"'));
    return Raw(key).substr(1);
  }
  holdfast::Key Key(const std::string& key) const {
    Bytes b = Hex(key);
    HF_CHECK(b.size() == 32);
    return holdfast::Key{ByteView(b)};
  }
  template <typename I>
  I Id(const std::string& key) const {
    Bytes b = Hex(key);
    HF_CHECK(b.size() == 16);
    return I::From(b);
  }
};

// All blocks of tests/vectors/<file>, in order.
inline std::vector<Block> Load(const std::string& file) {
  std::ifstream in(std::string(HF_SOURCE_DIR) + "/tests/vectors/" + file);
  if (!in) CheckFailed("vector file", 0, ("cannot read " + file).c_str());
  std::vector<Block> blocks;
  for (std::string line; std::getline(in, line);) {
    if (line.empty() || line[0] == '#') continue;
    if (line[0] == '[') {
      blocks.push_back({line.substr(1, line.size() - 2), {}});
      continue;
    }
    size_t at = line.find(" =");
    HF_CHECK(at != std::string::npos && !blocks.empty());
    blocks.back().values[line.substr(0, at)] = line.size() > at + 3 ? line.substr(at + 3) : "";
  }
  HF_CHECK(!blocks.empty());
  return blocks;
}

inline Block LoadOne(const std::string& file, const std::string& name) {
  for (Block& b : Load(file)) {
    if (b.name == name) return std::move(b);
  }
  CheckFailed("vector file", 0, (file + " lacks block " + name).c_str());
}

// Hands out the given bytes and then the same again: what a live clone of a machine draws.
class RepeatingRandom : public crypto::Random {
 public:
  explicit RepeatingRandom(Bytes bytes) : bytes_(std::move(bytes)) { HF_CHECK(!bytes_.empty()); }
  void Fill(MutableByteView out) override {
    for (size_t i = 0; i < out.size(); ++i) out[i] = bytes_[i % bytes_.size()];
  }

 private:
  Bytes bytes_;
};

}  // namespace holdfast::vectors

#endif  // HOLDFAST_TESTS_VECTORS_VECTOR_FILE_H_
