#include "sdk/session_stream.h"

#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <vector>

#include "base/limits.h"
#include "sdk/rpc_internal.h"

namespace holdfast::sdk {
namespace {

constexpr size_t kMessageBytesTarget = 256u << 10;
constexpr uint64_t kOpenId = 0;  // operations count from 1

struct Unanswered {
  v1::SessionOperation operation;
  SessionStream::Done done;
};

}  // namespace

// What outlives a connection.
struct SessionStream::State {
  size_t outstanding_max = 0;

  mutable std::mutex mutex;
  std::condition_variable changed;
  Attempt* attempt = nullptr;             // null: none is alive
  Code ended = Code::kServerUnreachable;  // why there is none
  uint64_t session = 0, next_id = 1, next_sequence = 1;
  std::map<uint64_t, Unanswered> unanswered;  // by id, which is the order of submission
  size_t delivering = 0;                      // threads that are calling `done`
  uint64_t next_to_send = 1;                  // smallest id that this attempt has not sent

  Status Submit(v1::SessionOperation operation, bool is_write, Done done);
  void Take(v1::SessionReply& reply);
};

// One connection's worth of stream. Destroyed when it is over, not before.
class SessionStream::Attempt final : public grpc::ClientBidiReactor<v1::SessionRequest, v1::SessionReply> {
 public:
  explicit Attempt(std::shared_ptr<State> state) : state_(std::move(state)) {}

  void Begin(v1::Kv::Stub& stub, uint64_t session) {
    stub.async()->Session(&context_, this);
    v1::SessionOperation* open = request_.add_operations();
    open->set_id(kOpenId);
    open->mutable_open()->set_session(session);
    AddHold();  // writes start outside of reactions, until the stream is seen to be broken
    StartRead(&reply_);
    StartWrite(&request_);
    StartCall();
  }
  void Cancel() { context_.TryCancel(); }

  // REQUIRES: the state's mutex is held.
  void SendLocked() {
    if (writing_ || broken_ || !opened_) return;
    request_.clear_operations();
    size_t bytes = 0;
    auto& all = state_->unanswered;
    for (auto it = all.lower_bound(state_->next_to_send); it != all.end() && bytes < kMessageBytesTarget;
         ++it) {
      bytes += it->second.operation.ByteSizeLong();
      *request_.add_operations() = it->second.operation;
      state_->next_to_send = it->first + 1;
    }
    if (bytes == 0) return;
    writing_ = true;
    StartWrite(&request_);
  }

  void OnWriteDone(bool ok) override {
    std::lock_guard lock(state_->mutex);
    writing_ = false;
    if (ok) SendLocked();
  }
  void OnReadDone(bool ok) override {
    if (ok) {
      state_->Take(reply_);
      StartRead(&reply_);
      return;
    }
    {
      std::lock_guard lock(state_->mutex);
      broken_ = true;
    }
    RemoveHold();
  }
  void OnDone(const grpc::Status& status) override {
    std::shared_ptr<State> state = state_;  // whoever waits for over_ may destroy us as soon as we unlock
    std::lock_guard lock(state->mutex);
    state->ended = status.ok() ? Code::kServerUnreachable : CodeOf(status, context_);
    state->attempt = nullptr;
    over_ = true;
    state->changed.notify_all();
  }

  // Under the state's mutex.
  bool opened_ = false, over_ = false;
  Code open_failed_{};

 private:
  std::shared_ptr<State> state_;
  grpc::ClientContext context_;
  v1::SessionRequest request_;
  v1::SessionReply reply_;
  bool writing_ = true, broken_ = false;
};

void SessionStream::State::Take(v1::SessionReply& reply) {
  std::vector<std::pair<Done, Answer>> answers;
  {
    std::lock_guard lock(mutex);
    for (v1::SessionResult& r : *reply.mutable_results()) {
      if (r.id() == kOpenId) {
        if (!attempt) continue;
        if (r.code() != 0) {
          attempt->open_failed_ = CodeOfNumber(r.code());
        } else {
          session = r.session();
          attempt->opened_ = true;
          attempt->SendLocked();
        }
        continue;
      }
      auto it = unanswered.find(r.id());
      if (it == unanswered.end()) continue;
      Answer answer;
      answer.detail = r.detail();
      if (r.code() != 0) answer.status = CodeOfNumber(r.code());
      if (r.has_write()) answer.written = FromProto(r.write());
      if (r.has_get())
        answer.value = {r.get().found(), std::move(*r.mutable_get()->mutable_value()), r.get().index()};
      answers.emplace_back(std::move(it->second.done), std::move(answer));
      unanswered.erase(it);
    }
    ++delivering;
    changed.notify_all();
  }
  for (auto& [done, answer] : answers) {
    if (done) done(answer);
  }
  std::lock_guard lock(mutex);
  --delivering;
  changed.notify_all();
}

Status SessionStream::State::Submit(v1::SessionOperation operation, bool is_write, Done done) {
  std::unique_lock lock(mutex);
  changed.wait(lock, [this] { return !attempt || unanswered.size() < outstanding_max; });
  if (!attempt) return ended;
  uint64_t id = next_id++;
  operation.set_id(id);
  if (is_write) operation.set_sequence(next_sequence++);
  unanswered.emplace(id, Unanswered{std::move(operation), std::move(done)});
  attempt->SendLocked();
  return Ok();
}

SessionStream::SessionStream(std::shared_ptr<Channel> channel, std::shared_ptr<State> s)
    : channel_(std::move(channel)), s_(std::move(s)) {}

Result<std::unique_ptr<SessionStream>> SessionStream::Open(std::shared_ptr<Channel> channel,
                                                           size_t outstanding_max) {
  if (outstanding_max == 0 || outstanding_max > limits::kStreamOpsOutstandingMax)
    return Code::kInvalidArgument;
  auto state = std::make_shared<State>();
  state->outstanding_max = outstanding_max;
  std::unique_ptr<SessionStream> stream(new SessionStream(std::move(channel), std::move(state)));
  HF_TRY_VOID(stream->Resume());
  return stream;
}

Status SessionStream::Resume(uint64_t timeout_ms) {
  std::unique_lock lock(s_->mutex);
  if (s_->attempt != nullptr) return Code::kInvalidArgument;  // it lives
  attempt_ = std::make_unique<Attempt>(s_);
  s_->attempt = attempt_.get();
  s_->next_to_send = 0;
  auto stub = v1::Kv::NewStub(channel_->grpc_channel);
  attempt_->Begin(*stub, s_->session);
  auto known = [this] { return attempt_->opened_ || attempt_->over_ || attempt_->open_failed_ != Code{}; };
  bool in_time = s_->changed.wait_for(lock, std::chrono::milliseconds(timeout_ms), known);
  if (attempt_->opened_) return Ok();
  if (attempt_->over_) return s_->ended;
  attempt_->Cancel();
  s_->changed.wait(lock, [this] { return attempt_->over_; });
  return in_time ? attempt_->open_failed_ : Code::kDeadline;
}

SessionStream::~SessionStream() {
  std::vector<Done> lost;
  {
    std::unique_lock lock(s_->mutex);
    if (attempt_ && !attempt_->over_) attempt_->Cancel();
    s_->changed.wait(lock, [this] { return s_->delivering == 0 && (!attempt_ || attempt_->over_); });
    for (auto& [id, u] : s_->unanswered) lost.push_back(std::move(u.done));
    s_->unanswered.clear();
  }
  Answer answer;
  answer.status = Code::kServerUnreachable;
  for (Done& done : lost) {
    if (done) done(answer);
  }
}

Status SessionStream::Put(const std::string& table, std::string_view key, std::string_view value, Wait wait,
                          Done done) {
  v1::SessionOperation op;
  op.mutable_put()->set_table(table);
  op.mutable_put()->set_key(key.data(), key.size());
  op.mutable_put()->set_value(value.data(), value.size());
  op.mutable_put()->set_wait(ToProto(wait));
  return s_->Submit(std::move(op), true, std::move(done));
}

Status SessionStream::Delete(const std::string& table, std::string_view key, Wait wait, Done done) {
  v1::SessionOperation op;
  op.mutable_delete_()->set_table(table);
  op.mutable_delete_()->set_key(key.data(), key.size());
  op.mutable_delete_()->set_wait(ToProto(wait));
  return s_->Submit(std::move(op), true, std::move(done));
}

Status SessionStream::Apply(const Batch& batch, Wait wait, Done done) {
  v1::SessionOperation op;
  FillBatch(batch, op.mutable_batch());
  op.mutable_batch()->set_wait(ToProto(wait));
  return s_->Submit(std::move(op), true, std::move(done));
}

Status SessionStream::Get(const std::string& table, std::string_view key, Done done) {
  v1::SessionOperation op;
  op.mutable_get()->set_table(table);
  op.mutable_get()->set_key(key.data(), key.size());
  return s_->Submit(std::move(op), false, std::move(done));
}

Status SessionStream::Sync(Done done) {
  v1::SessionOperation op;
  op.mutable_sync();
  return s_->Submit(std::move(op), false, std::move(done));
}

Status SessionStream::Drain() {
  std::unique_lock lock(s_->mutex);
  s_->changed.wait(lock, [this] { return s_->delivering == 0 && (!s_->attempt || s_->unanswered.empty()); });
  return s_->unanswered.empty() ? Ok() : Status(s_->ended);
}

uint64_t SessionStream::session() const {
  std::lock_guard lock(s_->mutex);
  return s_->session;
}

size_t SessionStream::outstanding() const {
  std::lock_guard lock(s_->mutex);
  return s_->unanswered.size();
}

}  // namespace holdfast::sdk
