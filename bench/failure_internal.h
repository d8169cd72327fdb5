// How a suite stops early: thrown inside this module only, told by Run…Suite as a Status and a line.
#ifndef HOLDFAST_BENCH_FAILURE_INTERNAL_H_
#define HOLDFAST_BENCH_FAILURE_INTERNAL_H_

#include <functional>
#include <string>
#include <utility>

#include "base/result.h"

namespace holdfast::bench {

struct Failure {
  Code code;
  std::string text;
};

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

// Runs `work`; what it throws becomes the status. A suite that was interrupted says so, whatever broke then.
Status Guarded(const std::function<void()>& work, std::string* why);

}  // namespace holdfast::bench

#endif  // HOLDFAST_BENCH_FAILURE_INTERNAL_H_
