#include <algorithm>
#include <cstring>

#include "bench/embedded_store_internal.h"
#include "bench/failure_internal.h"

namespace holdfast::bench {
namespace {

uint64_t FirstWord(std::string_view bytes) {
  uint64_t word = 0;
  std::memcpy(&word, bytes.data(), std::min(bytes.size(), sizeof word));
  return word;
}

}  // namespace

void Scanned::Add(std::string_view key, std::string_view value) {
  ++rows;
  sum += FirstWord(key) ^ FirstWord(value);
}

void FailStore(std::string_view system, std::string_view text) {
  FailWith(Code::kIo, "bench: " + std::string(system) + ": " + std::string(text));
}

}  // namespace holdfast::bench
