// How a command ends badly: one clear line on stderr, "holdfast: <text>", and an exit code.
//   0 done   1 refused or failed   2 wrong usage   3 tampered, forked or rolled-back data
// Thrown inside the command line only; Main catches it.
#ifndef HOLDFAST_CLI_FAILURE_H_
#define HOLDFAST_CLI_FAILURE_H_

#include <string>
#include <utility>

#include "base/result.h"

namespace holdfast::cli {

struct Failure {
  Code code;
  std::string text;  // without "holdfast: " and without user data of the store
};

// "what: text of the code"
[[noreturn]] inline void Fail(const std::string& what, Code code) {
  throw Failure{code, what + ": " + std::string(CodeText(code))};
}
[[noreturn]] inline void FailWith(Code code, std::string text) { throw Failure{code, std::move(text)}; }

template <typename T>
T Take(Result<T> result, const std::string& what) {
  if (!result) Fail(what, result.code());
  return std::move(result).value();
}
inline void Need(const Status& status, const std::string& what) {
  if (!status) Fail(what, status.code());
}

}  // namespace holdfast::cli

#endif  // HOLDFAST_CLI_FAILURE_H_
