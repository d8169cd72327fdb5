#include "core/session/parking.h"

#include "sync/activity.h"

namespace holdfast::session {
namespace {

constexpr uint64_t kWaitMs = 5;  // for the lowest index; then a lower one may have come
constexpr int64_t kLookMs = 20;  // between two looks at who is late or gone

bool Passed(gpr_timespec deadline, gpr_timespec now) { return gpr_time_cmp(deadline, now) <= 0; }

}  // namespace

Parking::Parking(Backend& backend, WorkPool& pool)
    : backend_(backend), pool_(pool), looked_(gpr_now(GPR_CLOCK_MONOTONIC)), thread_([this] { Main(); }) {}

Parking::~Parking() {
  {
    sync::MutexLock lock(mutex_);
    stopping_ = true;
  }
  wake_.NotifyOne();
  thread_.join();
}

void Parking::Add(LogIndex index, gpr_timespec deadline, std::function<bool()> gone, WorkPool::Job job) {
  bool first = false;
  {
    sync::MutexLock lock(mutex_);
    first = calls_.empty();
    calls_.emplace(index, Call{deadline, std::move(gone), std::move(job)});
  }
  if (first) wake_.NotifyOne();
}

void Parking::LetGo(LogIndex applied, bool all) {
  gpr_timespec now = gpr_now(GPR_CLOCK_MONOTONIC);
  bool look = Passed(gpr_time_add(looked_, gpr_time_from_millis(kLookMs, GPR_TIMESPAN)), now);
  if (look) looked_ = now;
  std::vector<WorkPool::Job> jobs;
  {
    sync::MutexLock lock(mutex_);
    for (auto it = calls_.begin(); it != calls_.end();) {
      bool there = all || it->first <= applied;
      if (!there && !look) break;
      if (there || Passed(it->second.deadline, now) || it->second.gone()) {
        jobs.push_back(std::move(it->second.job));
        it = calls_.erase(it);
      } else {
        ++it;
      }
    }
  }
  for (WorkPool::Job& job : jobs) pool_.Continue(std::move(job));
}

void Parking::Main() {
  sync::Activity activity(sync::ActivityKind::kReads);
  for (;;) {
    LogIndex lowest;
    bool stopping = false;
    {
      sync::MutexLock lock(mutex_);
      while (calls_.empty() && !stopping_) wake_.Wait(mutex_);
      stopping = stopping_;
      if (!calls_.empty()) lowest = calls_.begin()->first;
    }
    if (stopping) return LetGo(LogIndex(), true);
    Status there = backend_.WaitApplied(lowest, kWaitMs);
    bool never = !there.has_value() && there.code() != Code::kDeadline;
    LetGo(backend_.AppliedIndex(), never);
  }
}

}  // namespace holdfast::session
