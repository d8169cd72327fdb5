// The core's process: started by exec beside us, ended with us. The host never holds what the core reads from
// the passphrase's descriptor.
//
// The child gets: an empty environment; descriptors 3 channel memory, 4 wakes the core, 5 wakes the host,
// 6 lifeline, 7 passphrase; stderr; nothing else. Its arguments say so, and who its parent is (holdfast-core
// --help).
#ifndef HOLDFAST_HOST_RUNTIME_CORE_PROCESS_H_
#define HOLDFAST_HOST_RUNTIME_CORE_PROCESS_H_

#include <sys/types.h>

#include <memory>
#include <string>

#include "base/result.h"
#include "channel/port.h"

namespace holdfast::host {

class CoreProcess {
 public:
  // Must be called by the thread that lives longest: the core dies with the thread that started it
  // (PDEATHSIG). Takes the descriptors: closes the core's ones in this process. errors  kNoCoreProgram
  static Result<std::unique_ptr<CoreProcess>> Start(const std::string& program,
                                                    channel::Descriptors& descriptors, int passphrase_fd,
                                                    bool passphrase_is_terminal);
  ~CoreProcess();  // ends it if it has not ended

  pid_t pid() const { return pid_; }
  // Waits that long for its end; how it ended ("exited with 1", "killed by signal 31"), or nothing.
  std::string Wait(int timeout_ms);

 private:
  explicit CoreProcess(pid_t pid) : pid_(pid) {}
  pid_t pid_;
  std::string ended_;
};

}  // namespace holdfast::host

#endif  // HOLDFAST_HOST_RUNTIME_CORE_PROCESS_H_
