// Result<T>: a value or an Error. Dropping one is a compiler warning; taking the wrong side stops the
// program.
//
//   Result<Frame> DecodeFrame(...);
//   HF_TRY(Frame frame, DecodeFrame(...));     // returns the error to our caller
//   HF_TRY_VOID(storage.Barrier());
//
// Error is 16 bytes, trivially copyable, holds a code and the place where it arose, and never user data:
// it is safe to log. "Not found" as an ordinary answer is std::optional, not an Error.
// A broken invariant of ours is HF_CHECK (base/check.h), never an Error.
#ifndef HOLDFAST_BASE_RESULT_H_
#define HOLDFAST_BASE_RESULT_H_

#include <cstdint>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

#include "base/check.h"

namespace holdfast {

enum class Code : uint16_t {
#define HF_CODE(name, number, exit, text) name = number,
#include "base/codes.def"
#undef HF_CODE
};

std::string_view CodeName(Code code);  // "kTampered"
std::string_view CodeText(Code code);  // one clear line, lower case, no full stop
int CodeExit(Code code);               // exit code of the command line: 1, 2 or 3

// Where an Error arose: std::source_location in what we need of it, which clang 14 (fuzzers, clang-tidy) does
// not have.
struct SourcePlace {
  const char* file;
  uint32_t line;
  static constexpr SourcePlace current(const char* file = __builtin_FILE(),
                                       uint32_t line = __builtin_LINE()) {
    return {file, line};
  }
};

class [[nodiscard]] Error {
 public:
  constexpr Error(Code code, SourcePlace where = SourcePlace::current())  // NOLINT: implicit
      : file_(where.file), line_(where.line), code_(code) {}
  constexpr Code code() const { return code_; }
  constexpr const char* file() const { return file_; }
  constexpr uint32_t line() const { return line_; }
  friend constexpr bool operator==(const Error& e, Code c) { return e.code_ == c; }

 private:
  const char* file_;
  uint32_t line_;
  Code code_;
};
static_assert(sizeof(Error) == 16 && std::is_trivially_copyable_v<Error>);

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : v_(std::in_place_index<0>, std::move(value)) {}  // NOLINT: implicit
  Result(Error error) : v_(std::in_place_index<1>, error) {}         // NOLINT: implicit
  Result(Code code, SourcePlace where = SourcePlace::current())      // NOLINT: implicit
      : v_(std::in_place_index<1>, Error(code, where)) {}

  bool has_value() const { return v_.index() == 0; }
  explicit operator bool() const { return has_value(); }
  T& value() & {
    HF_CHECK(has_value());
    return *std::get_if<0>(&v_);
  }
  const T& value() const& {
    HF_CHECK(has_value());
    return *std::get_if<0>(&v_);
  }
  // By value: a reference into a temporary would dangle in `for (x : F().value())`.
  T value() && {
    HF_CHECK(has_value());
    return std::move(*std::get_if<0>(&v_));
  }
  T value_or(T other) && { return has_value() ? std::move(*std::get_if<0>(&v_)) : std::move(other); }
  Error error() const {
    HF_CHECK(!has_value());
    return *std::get_if<1>(&v_);
  }
  Code code() const { return error().code(); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  std::variant<T, Error> v_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : e_(error) {}  // NOLINT: implicit
  Result(Code code, SourcePlace where = SourcePlace::current()) : e_(Error(code, where)) {}  // NOLINT
  bool has_value() const { return !e_.has_value(); }
  explicit operator bool() const { return has_value(); }
  Error error() const {
    HF_CHECK(e_.has_value());
    return *e_;
  }
  Code code() const { return error().code(); }

 private:
  std::optional<Error> e_;
};

using Status = Result<void>;
inline Status Ok() { return Status(); }

#define HF_CONCAT_(a, b) a##b
#define HF_CONCAT(a, b) HF_CONCAT_(a, b)
#define HF_TRY(decl, expr) HF_TRY_(HF_CONCAT(hf_result_, __LINE__), decl, expr)
#define HF_TRY_(tmp, decl, expr)            \
  auto tmp = (expr);                        \
  if (!tmp.has_value()) return tmp.error(); \
  decl = std::move(tmp).value()
#define HF_TRY_VOID(expr)                                 \
  do {                                                    \
    auto hf_status = (expr);                              \
    if (!hf_status.has_value()) return hf_status.error(); \
  } while (false)

}  // namespace holdfast

#endif  // HOLDFAST_BASE_RESULT_H_
