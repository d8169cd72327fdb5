// Text and JSON of strangers. What is JSON is UTF-8, of bounded depth, and JSON again in white space and, if
// it is not too deep, in an array; and that array without its end is none.
#include <algorithm>

#include "base/check.h"
#include "core/tree/types.h"

using namespace holdfast;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  ByteView input(bytes, size);
  bool json = tree::IsJson(input);
  if (!json) return 0;
  HF_CHECK(tree::IsUtf8(input));
  Bytes spaced = ToBytes(" ");
  Append(spaced, input);
  spaced.push_back('\n');
  HF_CHECK(tree::IsJson(spaced));
  Bytes array = ToBytes("[0,"), after = ToBytes("]");
  Append(array, input);
  Append(array, after);
  unsigned depth = 0, deepest = 0;
  bool text = false;
  for (size_t i = 0; i < size; ++i) {
    if (input[i] == '"') text = !text;
    if (text && input[i] == '\\') ++i;
    if (text) continue;
    if (input[i] == '[' || input[i] == '{') deepest = std::max(deepest, ++depth);
    if (input[i] == ']' || input[i] == '}') --depth;
  }
  HF_CHECK(!text && depth == 0 && deepest <= tree::kJsonDepthMax);
  HF_CHECK(tree::IsJson(array) == (deepest < tree::kJsonDepthMax));
  HF_CHECK(!tree::IsJson(ByteView(array).first(array.size() - 1)));
  return 0;
}
