// Each provider's queues: what runs on its threads.
#include <algorithm>
#include <utility>

#include "core/replica/lanes_internal.h"
#include "sync/activity.h"

namespace holdfast::replica {
namespace {

Clock::duration PauseAfter(uint64_t failures) {
  uint64_t ms = limits::kProviderRetryMsMin << std::min<uint64_t>(failures == 0 ? 0 : failures - 1, 10);
  return std::chrono::milliseconds(std::min(ms, limits::kProviderRetryMsMax));
}

bool IsPassing(Code code) { return code == Code::kFull || code == Code::kUnreachable; }

}  // namespace

void ReplicatedStorage::State::Work(size_t provider, LaneKind kind) {
  sync::Activity activity(kind == kJournalLane ? sync::ActivityKind::kJournal : sync::ActivityKind::kSave);
  sync::MutexLock lock(mutex);
  Lane& lane = providers[provider].lanes[kind];
  while (!stopping) {
    bool behind = lane.mode == Lane::Mode::kBehind;
    bool due = Clock::now() >= lane.not_before;
    if (behind && due) {
      CatchUpLane(provider, kind);
    } else if (!behind && !lane.queue.empty() && due) {
      RunOne(provider, kind);
    } else if ((behind || !lane.queue.empty()) && !due) {
      (void)lane.wake.WaitUntil(mutex, lane.not_before);
    } else {
      lane.wake.Wait(mutex);
    }
  }
}

// On the caller's thread: all that waits, unless it fails.
void ReplicatedStorage::State::RunQueued(size_t provider, LaneKind kind) {
  Lane& lane = providers[provider].lanes[kind];
  while (lane.mode == Lane::Mode::kCurrent && !lane.queue.empty()) {
    uint64_t before = lane.acked;
    RunOne(provider, kind);
    if (lane.acked == before) return;
  }
}

// Frames that wait are appended in one call: a distant provider takes as many a round trip as there are.
Job ReplicatedStorage::State::Next(const Lane& lane) {
  Job job = lane.queue.front();
  if (job.kind != Job::Kind::kAppend) return job;
  size_t n = 1, bytes = job.size();
  while (n < lane.queue.size()) {
    const Job& next = lane.queue[n];
    bool follows =
        next.kind == Job::Kind::kAppend && next.name == job.name && next.offset == job.offset + bytes;
    if (!follows || bytes + next.size() > limits::kProviderAppendBytesMax) break;
    bytes += next.size();
    ++n;
  }
  if (n == 1) return job;
  auto joined = std::make_shared<Bytes>();
  joined->reserve(bytes);
  for (size_t i = 0; i < n; ++i)
    joined->insert(joined->end(), lane.queue[i].bytes->begin(), lane.queue[i].bytes->end());
  job.bytes = std::move(joined);
  job.sequence = lane.queue[n - 1].sequence;
  job.together = n;
  return job;
}

void ReplicatedStorage::State::RunOne(size_t provider, LaneKind kind) {
  Provider& p = providers[provider];
  Lane& lane = p.lanes[kind];
  Job job = Next(lane);
  uint64_t generation = lane.generation;
  uint32_t attempts = lane.attempts++;
  bool skip = job.kind == Job::Kind::kDelete && kind == kJournalLane &&
              p.lanes[kObjectsLane].mode != Lane::Mode::kCurrent;
  Status done;
  if (!skip) {  // its slot may be older than ours, and needs those frames; a later cut deletes them
    mutex.Unlock();
    done = Do(p, job, attempts);
    mutex.Lock();
  }
  if (lane.generation == generation) Finished(provider, kind, job, done);
  changed.NotifyAll();
}

Status ReplicatedStorage::State::Do(Provider& p, const Job& job, uint32_t attempts) {
  seam::Storage& s = *p.storage;
  ByteView bytes = job.bytes != nullptr ? ByteView(*job.bytes) : ByteView();
  Status done;
  switch (job.kind) {
    case Job::Kind::kPut:
      return s.Put(job.name, bytes);
    case Job::Kind::kDelete:
      return s.Delete(job.name);
    case Job::Kind::kBarrier:
      return s.Barrier();
    case Job::Kind::kAppend:
      return s.Append(job.name, job.offset, bytes);
    case Job::Kind::kTrim:
      return s.Trim(job.name, job.length);
    case Job::Kind::kPutIfAbsent:
      done = s.PutIfAbsent(job.name, bytes);
      break;
    case Job::Kind::kCreate:
      done = s.capabilities().append ? s.CreateAppendable(job.name, job.length, bytes)
                                     : s.PutIfAbsent(job.name, bytes);
      break;
  }
  if (!done && done.code() == Code::kExists && attempts > 0) {
    // An attempt whose answer was lost may have arrived.
    HF_TRY(size_t held, PiecesHeld(s, job.name, {{job.size(), job.sha256}}));
    if (held == 1) done = Ok();
  }
  if (done && job.kind == Job::Kind::kCreate && !s.capabilities().append) return s.Barrier();
  return done;
}

void ReplicatedStorage::State::Finished(size_t provider, LaneKind kind, const Job& job, const Status& done) {
  Provider& p = providers[provider];
  Lane& lane = p.lanes[kind];
  if (done) {
    for (size_t i = 0; i < job.together; ++i) {
      lane.queued_bytes -= lane.queue.front().size();
      lane.queue.pop_front();
    }
    lane.acked = job.sequence;
    lane.failures = 0;
    lane.attempts = 0;
    lane.why = Code{};
    p.last_success = Clock::now();
    return;
  }
  ++p.errors;
  ++lane.failures;
  lane.why = done.code();
  lane.not_before = Clock::now() + PauseAfter(lane.failures);
  auto flight = flights[kind].find(lane.queue.front().sequence);
  if (flight != flights[kind].end()) flight->second.refused[provider] = done.code();
  if (!IsPassing(done.code())) FallBehind(lane, done.code());
}

void ReplicatedStorage::State::FallBehind(Lane& lane, Code why) {
  if (lane.mode == Lane::Mode::kClosed) return;
  lane.mode = Lane::Mode::kBehind;
  lane.why = why;
  lane.queue.clear();
  lane.queued_bytes = 0;
  lane.attempts = 0;
  ++lane.generation;
  lane.wake.NotifyOne();
  changed.NotifyAll();
}

// From the moment at which the catalogue is read on, new jobs wait in the queue behind the copying.
void ReplicatedStorage::State::CatchUpLane(size_t provider, LaneKind kind) {
  Provider& p = providers[provider];
  Lane& lane = p.lanes[kind];
  if (p.storage == nullptr) {
    lane.not_before = Clock::time_point::max();
    return;
  }
  lane.mode = Lane::Mode::kJoining;
  uint64_t generation = lane.generation;
  uint64_t mark = last_sequence[kind];
  seam::Catalogue part;
  for (const auto& [name, pieces] : catalogue) {
    if (LaneOf(name) == kind) part.emplace(name, pieces);
  }
  // A frame that others refused because another opener's lies there is not ours to spread.
  bool contested = std::any_of(flights[kind].begin(), flights[kind].end(), [](const auto& f) {
    return std::find(f.second.refused.begin(), f.second.refused.end(), Code::kExists) !=
           f.second.refused.end();
  });
  std::set<std::string, std::less<>> suspects = lane.suspects;
  mutex.Unlock();
  Status done = contested ? Status(Code::kExists) : CopyWhatIsMissing(provider, kind, part, suspects);
  mutex.Lock();
  if (!done) {
    ++p.errors;
    ++lane.failures;
    lane.not_before = Clock::now() + PauseAfter(lane.failures);
    if (lane.generation == generation) FallBehind(lane, done.code());
    return;
  }
  for (const std::string& name : suspects) lane.suspects.erase(name);
  if (lane.generation != generation) return;  // so much came meanwhile that it begins again
  lane.mode = Lane::Mode::kCurrent;
  lane.acked = mark;
  lane.failures = 0;
  lane.why = Code{};
  lane.not_before = {};
  p.last_success = Clock::now();
  changed.NotifyAll();
}

Status ReplicatedStorage::State::CopyWhatIsMissing(size_t provider, LaneKind kind,
                                                   const seam::Catalogue& part,
                                                   const std::set<std::string, std::less<>>& suspects) {
  Provider& p = providers[provider];
  FetchObject fetch = [this, provider](std::string_view name, const seam::Pieces& pieces) {
    return Fetch(provider, name, pieces);
  };
  CatchUpWork work{*p.storage, part, fetch,
                   [&suspects](std::string_view name) { return suspects.contains(name); },
                   [this, &p] {
                     sync::MutexLock lock(mutex);
                     ++p.repaired;
                   }};
  return kind == kJournalLane ? CatchUpJournal(work, capabilities.append) : CatchUpObjects(work);
}

// Piece by piece, from whoever has it: what one lacks another may have, and the one that is brought up
// itself.
Result<Bytes> ReplicatedStorage::State::Fetch(size_t for_provider, std::string_view name,
                                              const seam::Pieces& pieces) {
  std::vector<std::optional<Bytes>> found(pieces.size());
  size_t left = pieces.size();
  auto take = [&](ByteView bytes) {
    for (size_t i = 0; i < pieces.size(); bytes = bytes.subspan(pieces[i].length), ++i) {
      if (bytes.size() < pieces[i].length) return;
      ByteView one = bytes.first(pieces[i].length);
      if (found[i] || ValidPieces(one, {pieces[i]}) == 0) continue;
      found[i] = ToBytes(one);
      --left;
    }
  };
  for (size_t i : Order()) {
    if (left == 0) break;
    auto got = providers[i].reader->GetRange(name, 0, LengthOf(pieces));
    if (!got) continue;
    take(got->parse());
    // A journal file may be short of what is in its provider's queue; anything else is there or is wrong.
    if (left > 0 && i != for_provider && !IsJournal(name) && got->size() == LengthOf(pieces))
      Accuse(i, {std::string(name)}, Code::kChecksum);
  }
  Bytes bytes;
  if (left > 0) FillFromFlights(name, pieces, found);
  for (std::optional<Bytes>& piece : found) {
    if (!piece) return Code::kUnreachable;
    bytes.insert(bytes.end(), piece->begin(), piece->end());
  }
  return bytes;
}

void ReplicatedStorage::State::FillFromFlights(std::string_view name, const seam::Pieces& pieces,
                                               std::vector<std::optional<Bytes>>& found) {
  sync::MutexLock lock(mutex);
  for (const auto& [sequence, flight] : flights[LaneOf(name)]) {
    const Job& job = flight.job;
    if (job.name != name || job.bytes == nullptr) continue;
    for (size_t i = 0; i < pieces.size(); ++i) {
      if (!found[i] && pieces[i] == seam::Piece{job.size(), job.sha256}) found[i] = *job.bytes;
    }
  }
}

}  // namespace holdfast::replica
