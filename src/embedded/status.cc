#include "base/result.h"
#include "embedded/holdfast.h"

namespace holdfast::embedded {

std::string_view name_of(Code code) {
  return code == Code::kOk ? std::string_view("kOk") : CodeName(static_cast<holdfast::Code>(code));
}

std::string_view text_of(Code code) {
  return code == Code::kOk ? std::string_view("ok") : CodeText(static_cast<holdfast::Code>(code));
}

}  // namespace holdfast::embedded
