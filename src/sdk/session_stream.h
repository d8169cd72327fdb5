// Many operations outstanding on one connection, with safe retries (rule H4): `kv load` and the benchmarks
// use it.
//
// Writes take effect in the order in which they were submitted. A read sees the writes submitted before it.
// After the connection is lost, Resume() sends what was not answered again; a write that had happened does
// not happen twice.
#ifndef HOLDFAST_SDK_SESSION_STREAM_H_
#define HOLDFAST_SDK_SESSION_STREAM_H_

#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "sdk/client.h"

namespace holdfast::sdk {

struct Answer {
  Status status;
  uint64_t detail = 0;  // kConflict: which compare
  Written written;      // of a write
  Value value;          // of a Get
};

class SessionStream {
 public:
  // Called once for each operation, from a thread of gRPC; must not block nor submit.
  using Done = std::function<void(const Answer&)>;

  // Opens a session. `outstanding_max`: 1 to limits::kStreamOpsOutstandingMax; beyond it submitting blocks.
  static Result<std::unique_ptr<SessionStream>> Open(std::shared_ptr<Channel> channel,
                                                     size_t outstanding_max = 64);
  ~SessionStream();  // what is not answered is answered with kServerUnreachable: it may or may not have
                     // happened

  // Each: Ok = it will be answered. Otherwise nothing was submitted: kServerUnreachable or whatever ended the
  // stream.
  Status Put(const std::string& table, std::string_view key, std::string_view value, Wait wait, Done done);
  Status Delete(const std::string& table, std::string_view key, Wait wait, Done done);
  Status Apply(const Batch& batch, Wait wait, Done done);
  Status Get(const std::string& table, std::string_view key, Done done);
  Status Sync(Done done);

  // Waits until all is answered. Else the error that ended the stream; what was not answered waits for
  // Resume().
  Status Drain();
  // After an error: connects again and sends the unanswered operations again. kServerUnreachable: try later.
  // kSessionTooOld comes as the answer of the writes: the store has forgotten the session.
  Status Resume(uint64_t timeout_ms = 10'000);

  uint64_t session() const;  // its id: the index of its log entry
  size_t outstanding() const;

  struct State;
  class Attempt;

 private:
  SessionStream(std::shared_ptr<Channel> channel, std::shared_ptr<State> s);
  // The channel must not die on a thread of gRPC, which would wait for itself: only we own it and what points
  // to it.
  std::shared_ptr<Channel> channel_;
  std::shared_ptr<State> s_;
  std::unique_ptr<Attempt> attempt_;
};

}  // namespace holdfast::sdk

#endif  // HOLDFAST_SDK_SESSION_STREAM_H_
