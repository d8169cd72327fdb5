// Watch (rule H3). The backend keeps a bounded queue for each watcher and ends it when that overflows; here
// at most kEventsTaken more are held. A watcher whose reader stands still is ended too: Take(0) asks.
#include <grpcpp/alarm.h>

#include <deque>

#include "core/session/service_internal.h"
#include "sync/mutex.h"

namespace holdfast::session {
namespace {

constexpr size_t kEventsTaken = 256;
constexpr int64_t kWatchSecondsMax = 3600;  // every watch has a deadline

class WatchStream final : public grpc::ServerWriteReactor<grpc::ByteBuffer>,
                          public std::enable_shared_from_this<WatchStream> {
 public:
  WatchStream(Services& services, grpc::CallbackServerContext* context)
      : services_(services), context_(context), place_(services.watches) {}

  void Begin(const v1::WatchRequest& request) {
    self_ = shared_from_this();
    if (!place_) return End(services_.watches.code());
    auto table = services_.backend.FindTable(request.table());
    if (!table) return End(table.code());
    std::weak_ptr<WatchStream> weak = self_;
    auto watch =
        services_.backend.StartWatch(*table, ToBytes(request.prefix()), LogIndex(request.from()), [weak] {
          if (auto self = weak.lock()) self->Ready();
        });
    if (!watch) return End(watch.code());
    {
      sync::MutexLock lock(mutex_);
      if (!ended_) watch_ = std::move(watch).value();
    }
    auto in_an_hour =
        gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_seconds(kWatchSecondsMax, GPR_TIMESPAN));
    alarm_.Set(in_an_hour, [weak](bool rang) {
      if (auto self = weak.lock(); self && rang) self->End(Code::kDeadline);
    });
    StartSendInitialMetadata();  // tells the client that from now on it misses nothing
    {
      sync::MutexLock lock(mutex_);
      scheduled_ = false;
    }
    Ready();
  }

  void OnWriteDone(bool ok) override {
    if (!ok) return End(Code::kCancelled);
    {
      sync::MutexLock lock(mutex_);
      writing_ = false;
      bytes_.Clear();
    }
    Ready();
  }
  void OnCancel() override { End(Code::kCancelled); }
  void OnDone() override {
    place_.Leave();
    alarm_.Cancel();
    self_.reset();
  }

 private:
  // Any thread, maybe under the backend's locks: only makes sure that a step will run.
  void Ready() {
    {
      sync::MutexLock lock(mutex_);
      if (ended_) return;
      again_ = true;
      if (scheduled_) return;
      scheduled_ = true;
    }
    services_.reads.Continue([self = shared_from_this()] { self->Step(); });
  }

  void Step() {
    Status status = Ok();
    {
      sync::MutexLock lock(mutex_);
      again_ = false;
      status = StepLocked();
      scheduled_ = false;
    }
    if (!status.has_value()) return End(status.code());
    bool missed;
    {
      sync::MutexLock lock(mutex_);
      missed = again_;
    }
    if (missed) Ready();
  }

  Status StepLocked() HF_REQUIRES(mutex_) {
    if (ended_ || !watch_) return Ok();
    bool room = !writing_ && events_.empty();
    auto taken = watch_->Take(room ? kEventsTaken : 0);
    if (!taken) return taken.error();
    for (WatchEvent& e : *taken) events_.push_back(std::move(e));
    if (writing_ || events_.empty()) return Ok();
    v1::WatchReply reply;
    size_t bytes = 0;
    while (!events_.empty() && bytes < kReplyBytesTarget) {
      bytes += Move(events_.front(), reply.add_events());
      events_.pop_front();
    }
    writing_ = true;
    Encode(reply, &bytes_);
    StartWrite(&bytes_);
    return Ok();
  }

  static size_t Move(const WatchEvent& from, v1::WatchEvent* to) {
    to->set_index(from.index.value);
    if (from.mark) {
      to->set_mark(true);
      return 16;
    }
    to->set_key(from.key.data(), from.key.size());
    if (from.value) {
      to->set_put(from.value->data(), from.value->size());
    } else {
      to->set_deleted(true);
    }
    return 16 + from.key.size() + (from.value ? from.value->size() : 0);
  }

  void End(Code code) {
    std::unique_ptr<Watch> released;  // at once: the last message may wait long for its reader
    {
      sync::MutexLock lock(mutex_);
      if (ended_) return;
      ended_ = true;
      released = std::move(watch_);
      events_.clear();
    }
    Finish(Failure(context_, code));
  }

  Services& services_;
  grpc::CallbackServerContext* context_;
  std::shared_ptr<WatchStream> self_;  // until gRPC is done with us
  Place place_;                        // left when gRPC is done: others may hold this for longer
  grpc::Alarm alarm_;
  sync::Mutex mutex_{sync::LockName::kSession};
  std::unique_ptr<Watch> watch_ HF_GUARDED_BY(mutex_);
  std::deque<WatchEvent> events_ HF_GUARDED_BY(mutex_);
  grpc::ByteBuffer bytes_ HF_GUARDED_BY(mutex_);  // of the reply, gRPC's while writing_
  bool writing_ HF_GUARDED_BY(mutex_) = false, again_ HF_GUARDED_BY(mutex_) = false,
                ended_ HF_GUARDED_BY(mutex_) = false;
  bool scheduled_ HF_GUARDED_BY(mutex_) = true;  // no step before Begin() has sent the metadata
};

}  // namespace

grpc::ServerWriteReactor<grpc::ByteBuffer>* NewWatch(Services& services, grpc::CallbackServerContext* context,
                                                     const v1::WatchRequest& request) {
  auto stream = std::make_shared<WatchStream>(services, context);
  stream->Begin(request);
  return stream.get();
}

}  // namespace holdfast::session
