// HF_CHECK: our own bugs, on in every build. Not reachable from outside input; the fuzzers hold us to it.
// HF_NOT_YET: a declared gap: the named thing is promised and not built. tests/arch lists every use.
#ifndef HOLDFAST_BASE_CHECK_H_
#define HOLDFAST_BASE_CHECK_H_

namespace holdfast {

// Prints "file:line: check failed: text" to stderr (no user data: `text` is source code) and aborts.
[[noreturn]] void CheckFailed(const char* file, int line, const char* text);

}  // namespace holdfast

#define HF_CHECK(cond) ((cond) ? static_cast<void>(0) : ::holdfast::CheckFailed(__FILE__, __LINE__, #cond))

// A declaration, usable at namespace or function scope; costs nothing at run time.
#define HF_NOT_YET(what) static_assert(sizeof(what) > 1, "say what is missing")

#endif  // HOLDFAST_BASE_CHECK_H_
