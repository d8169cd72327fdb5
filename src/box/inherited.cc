#include "box/inherited.h"

#include <algorithm>
#include <charconv>
#include <string_view>

namespace holdfast::box {
namespace {

constexpr int kFirstDescriptor = 3;

bool ReadNumber(std::string_view word, int* number) {
  auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), *number);
  return error == std::errc() && end == word.data() + word.size();
}

bool Distinct(std::vector<int> descriptors) {
  std::sort(descriptors.begin(), descriptors.end());
  return std::adjacent_find(descriptors.begin(), descriptors.end()) == descriptors.end();
}

}  // namespace

std::vector<int> Inherited::Descriptors() const {
  std::vector<int> all = {memory, wake_core, wake_host, lifeline, passphrase};
  std::erase_if(all, [](int fd) { return fd < 0; });
  return all;
}

std::optional<Inherited> ReadInherited(std::span<const char* const> words) {
  if (words.size() != 7) return std::nullopt;
  Inherited in;
  int* const numbers[] = {&in.memory, &in.wake_core, &in.wake_host, &in.lifeline, &in.passphrase};
  for (size_t i = 0; i < std::size(numbers); ++i) {
    if (!ReadNumber(words[i], numbers[i])) return std::nullopt;
    bool may_be_absent = numbers[i] == &in.passphrase && in.passphrase == -1;
    if (*numbers[i] < kFirstDescriptor && !may_be_absent) return std::nullopt;
  }
  std::string_view source = words[5];
  if (source != "terminal" && source != "file") return std::nullopt;
  in.terminal = source == "terminal";
  if (!ReadNumber(words[6], &in.parent) || in.parent <= 0 || !Distinct(in.Descriptors())) return std::nullopt;
  return in;
}

}  // namespace holdfast::box
