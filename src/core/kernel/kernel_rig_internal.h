// A kernel under test: virtual time, a storage and an applier that do what the test says and when. Tests
// only.
#ifndef HOLDFAST_CORE_KERNEL_KERNEL_RIG_INTERNAL_H_
#define HOLDFAST_CORE_KERNEL_KERNEL_RIG_INTERNAL_H_

#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "core/kernel/kernel.h"

namespace holdfast::kernel {

struct Rig {
  explicit Rig(const Options& options = {})
      : kernel(options, std::make_unique<consensus::SingleMember>(Term(1), LogIndex(1)), LogIndex(1),
               FrameNumber(5)) {}

  void Do(Event event) {
    std::vector<Effect> out;
    kernel.Step(now_us, std::move(event), out);
    for (Effect& e : out) {
      if (auto* w = std::get_if<WriteFrame>(&e)) writes.push_back(*w), ++frames_written;
      if (auto* a = std::get_if<Apply>(&e)) applies.push_back(*a);
      if (auto* r = std::get_if<Reply>(&e)) replies.push_back(*r);
      if (auto* l = std::get_if<Log>(&e)) logs.push_back(*l);
      if (std::get_if<MakeReserve>(&e)) ++reserves_asked;
      if (std::get_if<Stopped>(&e)) ++stopped;
    }
  }
  void Put(Ticket ticket, Wait wait = Wait::kDurable, size_t bytes = 10) {
    Do(Submit{ticket, journal::EntryKind::kBatch, Bytes(bytes, static_cast<uint8_t>(ticket)), wait});
  }
  void At(uint64_t us) {  // lets time come, with the ticks the kernel asked for
    while (kernel.NextDeadlineUs() <= us) {
      const uint64_t due = kernel.NextDeadlineUs();
      if (due > now_us) now_us = due;
      Do(Tick{});
      ASSERT_GT(kernel.NextDeadlineUs(), now_us) << "the kernel asks for ticks without end";
    }
    now_us = us;
    Do(Tick{});
  }
  void After(uint64_t us) { At(now_us + us); }
  FrameNumber Stable() {  // the oldest frame on its way becomes durable
    const FrameNumber n = writes.front().number;
    writes.pop_front();
    Do(FrameStable{n});
    return n;
  }
  void Refuse() {  // all frames on their way meet a full disk
    std::deque<WriteFrame> refused;
    refused.swap(writes);
    for (const WriteFrame& w : refused) Do(FrameFailed{w.number, Code::kFull});
  }
  void ApplyAll(uint64_t dirty = 0, Status status = Ok()) {
    std::deque<Apply> batch;
    batch.swap(applies);
    for (const Apply& a : batch) {
      Applied done{LogIndex(a.first_index.value + a.entries->size() - 1), dirty, {}};
      for (Ticket t : a.tickets) {
        if (t != 0) done.outcomes.push_back({t, status, 0});
      }
      Do(std::move(done));
    }
  }
  void Finish(uint64_t commit_us = 1000) {  // everything on its way, until nothing is
    while (!writes.empty() || !applies.empty()) {
      now_us += commit_us;
      while (!writes.empty()) Stable();
      ApplyAll();
    }
  }
  // One commit of `us`: the kernel has measured it.
  void Measure(uint64_t us) {
    Put(1'000'000 + us);
    Finish(us);
    replies.clear();
  }
  const Reply* ReplyTo(Ticket t) const {
    for (const Reply& r : replies) {
      if (r.ticket == t) return &r;
    }
    return nullptr;
  }
  std::optional<Code> CodeOf(Ticket t) const {
    const Reply* r = ReplyTo(t);
    if (r == nullptr || r->status.has_value()) return std::nullopt;
    return r->status.code();
  }
  bool Succeeded(Ticket t) const { return ReplyTo(t) != nullptr && ReplyTo(t)->status.has_value(); }

  uint64_t now_us = 1'000'000;
  Kernel kernel;
  std::deque<WriteFrame> writes;
  std::deque<Apply> applies;
  std::vector<Reply> replies;
  std::vector<Log> logs;
  int stopped = 0, frames_written = 0, reserves_asked = 0;
};

}  // namespace holdfast::kernel

#endif  // HOLDFAST_CORE_KERNEL_KERNEL_RIG_INTERNAL_H_
