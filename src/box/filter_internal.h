// The table of system calls that the core may make, for Filter and its tests.
#ifndef HOLDFAST_BOX_FILTER_INTERNAL_H_
#define HOLDFAST_BOX_FILTER_INTERNAL_H_

#include <cstdint>
#include <span>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HOLDFAST_BOX_SANITIZED true
#else
#define HOLDFAST_BOX_SANITIZED false
#endif

namespace holdfast::box {

// Sanitizers read /proc and start threads whenever they like: no filter in such a build.
inline constexpr bool kSanitized = HOLDFAST_BOX_SANITIZED;

enum class Verdict : uint8_t {
  kAllow,
  kRefuse,  // EPERM, and on it goes: libraries ask, and live with a no
  kAbsent,  // ENOSYS: glibc falls back to a call whose arguments a filter can read
};

// The low 32 bits of an argument, masked, compared. All of a rule's must hold; if they do not and no other
// rule of that call fits, the process ends.
struct Condition {
  enum class How : uint8_t { kAny, kEqual, kNotEqual, kOwnPid, kZero64 };
  How how = How::kAny;
  uint8_t argument = 0;
  uint32_t mask = UINT32_MAX;
  uint32_t value = 0;
};

struct Rule {
  const char* call;  // libseccomp's name: one that this architecture does not have is no rule
  Verdict verdict{};
  const char* reason;
  Condition first{}, second{};
};

std::span<const Rule> Rules();

}  // namespace holdfast::box

#endif  // HOLDFAST_BOX_FILTER_INTERNAL_H_
