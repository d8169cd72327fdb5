#include "base/result.h"

namespace holdfast {

std::string_view CodeName(Code code) {
  switch (code) {
#define HF_CODE(name, number, exit, text) \
  case Code::name:                        \
    return #name;
#include "base/codes.def"
#undef HF_CODE
  }
  return "kUnknown";
}

std::string_view CodeText(Code code) {
  switch (code) {
#define HF_CODE(name, number, exit, text) \
  case Code::name:                        \
    return text;
#include "base/codes.def"
#undef HF_CODE
  }
  return "unknown error";
}

int CodeExit(Code code) {
  switch (code) {
#define HF_CODE(name, number, exit, text) \
  case Code::name:                        \
    return exit;
#include "base/codes.def"
#undef HF_CODE
  }
  return 1;
}

}  // namespace holdfast
