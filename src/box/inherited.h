// What holdfast-core is started with: numbers of descriptors that it inherits, as arguments. The host writes
// them (host/runtime/core_process.h).
#ifndef HOLDFAST_BOX_INHERITED_H_
#define HOLDFAST_BOX_INHERITED_H_

#include <sys/types.h>

#include <optional>
#include <span>
#include <vector>

namespace holdfast::box {

struct Inherited {
  int memory = -1;        // the channel's rings
  int wake_core = -1;     // eventfd: the host has put something into an empty ring
  int wake_host = -1;     // eventfd: the other way
  int lifeline = -1;      // a pipe's end: hangs up when the host is gone
  int passphrase = -1;    // open, unread; -1: there is none
  bool terminal = false;  // the passphrase is asked for, not read to the end
  pid_t parent = 0;

  // Those that are there.
  std::vector<int> Descriptors() const;
};

// Seven words, without a program's name: MEMORY WAKE_CORE WAKE_HOST LIFELINE PASSPHRASE file|terminal PARENT.
// Nothing unless it is exactly that: decimal numbers, descriptors above 2 and no two the same (PASSPHRASE may
// be -1), a parent above 0.
std::optional<Inherited> ReadInherited(std::span<const char* const> words);

}  // namespace holdfast::box

#endif  // HOLDFAST_BOX_INHERITED_H_
