// The Session stream: many operations outstanding on one connection.
//
//   read ──> read_ ─────TakeOperations──> writes: Backend::Write in the order they came
//             (no further read while       reads:  wait for the writes before them, then run on the pool
//              too much is unanswered)                 │
//   write <── results_ <── answers, in the order they finish
//
// Bounded: limits::kStreamOpsOutstandingMax operations and kWriteBytesMax bytes of writes unanswered; reads
// start only while less than limits::kConnectionBytesMax of answers wait to be sent.
#include <deque>
#include <optional>
#include <set>

#include "core/session/answers.h"
#include "core/session/service_internal.h"
#include "sync/mutex.h"

namespace holdfast::session {
namespace {

constexpr size_t kWriteBytesMax = 8u << 20;  // one larger write may be alone
constexpr size_t kReadersMax = 2;            // pool threads that one stream may occupy

class SessionStream final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                            public std::enable_shared_from_this<SessionStream> {
 public:
  SessionStream(Services& services, grpc::CallbackServerContext* context)
      : services_(services), context_(context), place_(services.streams) {}

  void Begin() {
    self_ = shared_from_this();
    if (!place_) return End(services_.streams.code());
    sync::MutexLock lock(mutex_);
    StartRead(&read_.bytes);
  }

  void OnReadDone(bool ok) override {
    if (ok) {
      Status decoded = DecodeRead();
      if (!decoded) return End(decoded.code());
    }
    {
      sync::MutexLock lock(mutex_);
      reading_ = false;
      if (ok) {
        next_operation_ = 0;
      } else {
        read_.request.Clear();
        half_closed_ = true;
      }
    }
    Go();
  }
  void OnWriteDone(bool ok) override {
    {
      sync::MutexLock lock(mutex_);
      writing_ = false;
      bytes_out_.Clear();
      result_bytes_ -= writing_bytes_;
      writing_bytes_ = 0;
    }
    if (!ok) return End(Code::kCancelled);
    Go();
  }
  void OnCancel() override { End(Code::kCancelled); }
  void OnDone() override {
    place_.Leave();
    self_.reset();
  }

 private:
  struct Read {
    v1::SessionOperation operation;
    uint64_t after = 0;       // runs when all writes up to this ordinal are answered
    gpr_timespec deadline{};  // of waiting for its index
  };

  struct Message {
    grpc::ByteBuffer bytes;  // gRPC's while reading_
    v1::SessionRequest request;
    size_t size = 0;
  };
  // Without the lock: while reading_ is set, nobody but the read that has ended looks at its message.
  Status DecodeRead() HF_NO_THREAD_SAFETY_ANALYSIS {
    read_.size = read_.bytes.Length();
    return Decode(&read_.bytes, &read_.request);
  }
  void StartNextRead() HF_REQUIRES(mutex_) {
    reading_ = true;
    next_operation_ = 0;
    // What a large one took does not stay while the client is silent; small ones are taken into the same
    // place.
    if (read_.size > kReplyBytesTarget) {
      read_.request = v1::SessionRequest();
    } else {
      read_.request.Clear();
    }
    StartRead(&read_.bytes);
  }

  // Does everything that can be done. One thread at a time; what others want meanwhile is done by the one
  // inside.
  void Go() {
    sync::MutexLock lock(mutex_);
    if (going_) {
      go_again_ = true;
      return;
    }
    going_ = true;
    do {
      go_again_ = false;
      services_.backend.BeginWrites();
      while (!ended_ && MayTake()) {
        v1::SessionOperation operation = std::move(*read_.request.mutable_operations(next_operation_++));
        uint64_t session = session_;
        lock.Unlock();
        Take(std::move(operation), session);
        lock.Lock();
      }
      services_.backend.EndWrites();
      AnswerReads();
      StartReaders();
      SendResults();
      if (!ended_ && !half_closed_ && !reading_ && next_operation_ >= read_.request.operations_size()) {
        StartNextRead();
      }
    } while (go_again_ && !ended_);
    going_ = false;
    bool finished = !ended_ && half_closed_ && outstanding_ == 0 && results_.empty() && !writing_;
    lock.Unlock();
    if (finished) End(std::nullopt);
  }

  bool MayTake() const HF_REQUIRES(mutex_) {
    return !reading_ && next_operation_ < read_.request.operations_size() && !opening_ &&
           outstanding_ < limits::kStreamOpsOutstandingMax &&
           (write_bytes_ == 0 || write_bytes_ < kWriteBytesMax);
  }

  // Only the thread inside Go() calls it. `session`: the session's index, 0 before there is one.
  void Take(v1::SessionOperation operation, uint64_t session) {
    bool is_open = operation.operation_case() == v1::SessionOperation::kOpen;
    if (is_open == (session != 0)) return End(Code::kInvalidArgument);
    switch (operation.operation_case()) {
      case v1::SessionOperation::kOpen:
        return Open(operation);
      case v1::SessionOperation::kGet: {
        sync::MutexLock lock(mutex_);
        ++outstanding_;
        reads_.push_back({std::move(operation), writes_taken_, DeadlineOf(*context_)});
        return;
      }
      case v1::SessionOperation::kPut:
        return Write(operation, operation.put(), session);
      case v1::SessionOperation::kDelete:
        return Write(operation, operation.delete_(), session);
      case v1::SessionOperation::kBatch:
        return Write(operation, operation.batch(), session);
      case v1::SessionOperation::kSync:
        return services_.backend.Sync(AdmitWrite(operation.id(), 0));
      case v1::SessionOperation::OPERATION_NOT_SET:
        return End(Code::kInvalidArgument);
    }
  }

  void Open(const v1::SessionOperation& operation) {
    uint64_t id = operation.id(), resumed = operation.open().session();
    {
      sync::MutexLock lock(mutex_);
      ++outstanding_;
      opening_ = true;
    }
    auto opened = [self = shared_from_this(), id](const WriteReply& done) {
      v1::SessionResult result;
      result.set_id(id);
      {
        sync::MutexLock lock(self->mutex_);
        self->opening_ = false;
        if (done.status.has_value()) {
          self->session_ = done.index.value;
          self->at_least_ = done.index;
          result.set_session(done.index.value);
        } else {
          result.set_code(static_cast<uint32_t>(done.status.code()));
        }
      }
      self->Answer(std::move(result));
    };
    // A session that is resumed is looked for by its first write: only the log knows what it has forgotten.
    if (resumed != 0) return opened({Ok(), Term(), LogIndex(resumed), kernel::Wait::kDurable, 0});
    std::string serial = SerialOf(services_, *context_);
    if (serial.empty()) return End(Code::kUnauthenticated);
    services_.backend.OpenSession(serial, std::move(opened));
  }

  // Counts a write as unanswered; its completion answers it.
  WriteDone AdmitWrite(uint64_t id, size_t bytes) {
    uint64_t ordinal;
    {
      sync::MutexLock lock(mutex_);
      ++outstanding_;
      write_bytes_ += bytes;
      ordinal = ++writes_taken_;
      writes_unanswered_.insert(ordinal);
    }
    return [self = shared_from_this(), id, bytes, ordinal](const WriteReply& done) {
      v1::SessionResult result;
      result.set_id(id);
      result.set_detail(done.detail);
      {
        sync::MutexLock lock(self->mutex_);
        self->write_bytes_ -= bytes;
        self->writes_unanswered_.erase(ordinal);
        if (done.status.has_value() && self->at_least_ < done.index) self->at_least_ = done.index;
      }
      if (done.status.has_value()) {
        FillReply(done, result.mutable_write());
      } else {
        result.set_code(static_cast<uint32_t>(done.status.code()));
      }
      self->Answer(std::move(result));
    };
  }

  template <typename Request>
  void Write(const v1::SessionOperation& operation, const Request& request, uint64_t session) {
    WriteDone done = AdmitWrite(operation.id(), operation.ByteSizeLong());
    WriteReply refusal;
    // Sequences that do not rise could not be told from retries.
    if (operation.sequence() <= last_sequence_) {
      refusal.status = Code::kInvalidArgument;
      return done(refusal);
    }
    last_sequence_ = operation.sequence();
    auto batch = BatchOf(services_.backend, request);
    if (!batch) {
      refusal.status = batch.error();
      return done(refusal);
    }
    batch->session = session;
    batch->sequence = operation.sequence();
    services_.backend.Write(std::move(batch).value(), WaitOf(request.wait()), std::move(done));
  }

  bool ReadMayRun() const HF_REQUIRES(mutex_) {
    return !reads_.empty() && result_bytes_ < limits::kConnectionBytesMax &&
           (writes_unanswered_.empty() || *writes_unanswered_.begin() > reads_.front().after);
  }

  void StartReaders() HF_REQUIRES(mutex_) {
    if (ended_ || readers_ >= kReadersMax || !ReadMayRun()) return;
    ++readers_;
    services_.reads.Continue([self = shared_from_this()] { self->RunReads(); });
  }

  void WaitForIndex(Read read, LogIndex at_least) HF_EXCLUDES(mutex_) {
    LogIndex index = std::max(at_least, LogIndex(read.operation.get().at_least()));
    gpr_timespec deadline = read.deadline;
    {
      sync::MutexLock lock(mutex_);
      reads_.push_front(std::move(read));
    }
    auto self = shared_from_this();
    services_.parking->Add(
        index, deadline, [self] { return self->Ended(); }, [self] { self->RunReads(); });
  }
  bool Ended() HF_EXCLUDES(mutex_) {
    sync::MutexLock lock(mutex_);
    return ended_;
  }

  void RunReads() {
    for (;;) {
      Read read;
      LogIndex at_least;
      {
        sync::MutexLock lock(mutex_);
        if (ended_ || !ReadMayRun()) {
          --readers_;
          return;
        }
        read = std::move(reads_.front());
        reads_.pop_front();
        at_least = at_least_;
      }
      v1::SessionResult result;
      result.set_id(read.operation.id());
      auto got = ReadOne(services_.backend, read.operation.get(), at_least);
      if (!got && got.code() == Code::kDeadline && LeftMs(read.deadline) > 0) {
        return WaitForIndex(std::move(read), at_least);  // still counted in readers_
      }
      if (got) {
        *result.mutable_get() = std::move(got).value();
      } else {
        result.set_code(static_cast<uint32_t>(got.code()));
      }
      Answer(std::move(result));
    }
  }

  // Any thread.
  void Answer(v1::SessionResult result) {
    const bool together = AnswerScope::Open();
    {
      sync::MutexLock lock(mutex_);
      --outstanding_;
      if (ended_) return;
      AddResult(std::move(result));
      if (put_off_) return;
      put_off_ = together;
    }
    if (!together) return Go();
    AnswerScope::PutOff([self = shared_from_this()] {
      {
        sync::MutexLock lock(self->mutex_);
        self->put_off_ = false;
      }
      self->Go();
    });
  }

  void AddResult(v1::SessionResult result) HF_REQUIRES(mutex_) {
    result_bytes_ += result.ByteSizeLong();
    results_.push_back(std::move(result));
  }

  // Reads whose answers lie in memory are done by the thread that brought them; the first that has to wait,
  // and those behind it, go to the pool.
  void AnswerReads() HF_REQUIRES(mutex_) {
    while (!ended_ && readers_ == 0 && ReadMayRun()) {
      Read read = std::move(reads_.front());
      reads_.pop_front();
      const LogIndex at_least = at_least_;
      mutex_.Unlock();
      v1::SessionResult result;
      result.set_id(read.operation.id());
      auto got = ReadNow(services_.backend, read.operation.get(), at_least);
      if (got && *got) *result.mutable_get() = std::move(*got).value();
      if (got && !*got) result.set_code(static_cast<uint32_t>(got->code()));
      mutex_.Lock();
      if (!got) {
        reads_.push_front(std::move(read));
        return;
      }
      --outstanding_;
      AddResult(std::move(result));
    }
  }

  void SendResults() HF_REQUIRES(mutex_) {
    if (ended_ || writing_ || results_.empty()) return;
    reply_.clear_results();
    while (!results_.empty() && writing_bytes_ < kReplyBytesTarget) {
      writing_bytes_ += results_.front().ByteSizeLong();
      *reply_.add_results() = std::move(results_.front());
      results_.pop_front();
    }
    writing_ = true;
    Encode(reply_, &bytes_out_);
    if (writing_bytes_ > 2 * kReplyBytesTarget) reply_ = v1::SessionReply();  // a large value does not stay
    StartWrite(&bytes_out_);
  }

  void End(std::optional<Code> why) {
    {
      sync::MutexLock lock(mutex_);
      if (ended_) return;
      ended_ = true;
    }
    Finish(why ? Failure(context_, *why) : grpc::Status::OK);
  }

  Services& services_;
  grpc::CallbackServerContext* context_;
  std::shared_ptr<SessionStream> self_;  // until gRPC is done with us
  Place place_;                          // left when gRPC is done: answers may hold this for longer

  uint64_t last_sequence_ = 0;  // of the thread inside Go() alone

  sync::Mutex mutex_{sync::LockName::kSession};
  bool put_off_ HF_GUARDED_BY(mutex_) = false;  // Go() follows when the scope of some thread ends
  bool going_ HF_GUARDED_BY(mutex_) = false, go_again_ HF_GUARDED_BY(mutex_) = false;
  bool reading_ HF_GUARDED_BY(mutex_) = true, writing_ HF_GUARDED_BY(mutex_) = false;
  bool opening_ HF_GUARDED_BY(mutex_) = false;
  bool half_closed_ HF_GUARDED_BY(mutex_) = false, ended_ HF_GUARDED_BY(mutex_) = false;
  uint64_t session_ HF_GUARDED_BY(mutex_) = 0;  // its index
  Message read_ HF_GUARDED_BY(mutex_);
  int next_operation_ HF_GUARDED_BY(mutex_) = 0;
  size_t outstanding_ HF_GUARDED_BY(mutex_) = 0, write_bytes_ HF_GUARDED_BY(mutex_) = 0;
  size_t readers_ HF_GUARDED_BY(mutex_) = 0;
  uint64_t writes_taken_ HF_GUARDED_BY(mutex_) = 0;
  std::set<uint64_t> writes_unanswered_ HF_GUARDED_BY(mutex_);
  LogIndex at_least_ HF_GUARDED_BY(mutex_);  // the session's own last write (rule H1)
  std::deque<Read> reads_ HF_GUARDED_BY(mutex_);
  std::deque<v1::SessionResult> results_ HF_GUARDED_BY(mutex_);
  size_t result_bytes_ HF_GUARDED_BY(mutex_) = 0, writing_bytes_ HF_GUARDED_BY(mutex_) = 0;
  v1::SessionReply reply_ HF_GUARDED_BY(mutex_);
  grpc::ByteBuffer bytes_out_ HF_GUARDED_BY(mutex_);  // gRPC's while writing_
};

}  // namespace

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* NewSessionStream(
    Services& services, grpc::CallbackServerContext* context) {
  auto stream = std::make_shared<SessionStream>(services, context);
  stream->Begin();
  return stream.get();
}

}  // namespace holdfast::session
