// The words that the core's program is started with, of any bytes: nothing, or descriptors
// that can be what they are said to be, exactly as written.
//
//   input   words, each ended by a zero byte
#include <algorithm>
#include <set>

#include "base/bytes.h"
#include "base/check.h"
#include "box/inherited.h"

constexpr size_t kWordsMax = 9;  // seven are right

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace holdfast;  // NOLINT: a fuzzer's one function
  std::string text = ToText({data, size});
  std::vector<const char*> words;
  for (size_t at = 0; at < text.size() && words.size() < kWordsMax; at = text.find('\0', at) + 1) {
    words.push_back(text.c_str() + at);
    if (text.find('\0', at) == std::string::npos) break;
  }
  std::optional<box::Inherited> in = box::ReadInherited(words);
  if (!in) return 0;
  HF_CHECK(words.size() == 7 && in->parent > 0);
  std::vector<int> descriptors = in->Descriptors();
  HF_CHECK(std::set<int>(descriptors.begin(), descriptors.end()).size() == descriptors.size());
  for (int fd : descriptors) HF_CHECK(fd > 2);
  // Each word says what was read of it; a number has one spelling but for zeros before it.
  const int numbers[] = {in->memory, in->wake_core, in->wake_host, in->lifeline, in->passphrase};
  for (size_t i = 0; i < std::size(numbers); ++i) HF_CHECK(std::stoll(words[i]) == numbers[i]);
  HF_CHECK(std::string_view(words[5]) == (in->terminal ? "terminal" : "file"));
  HF_CHECK(std::stoll(words[6]) == in->parent);
  return 0;
}
