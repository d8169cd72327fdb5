#include "core/replica/replicated.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "core/replica/lanes_internal.h"
#include "crypto/hash.h"

namespace holdfast::replica {

// -- a write, from its caller

Status ReplicatedStorage::State::Write(Job job) {
  LaneKind kind = job.kind == Job::Kind::kBarrier ? kObjectsLane : LaneOf(job.name);
  if (job.bytes != nullptr) job.sha256 = crypto::Sha256(*job.bytes);
  sync::MutexLock lock(mutex);
  if (!adopted) return Code::kReadOnly;
  if (job.kind == Job::Kind::kAppend) HF_TRY_VOID(TakeBack(job));
  HF_TRY(uint64_t sequence, Enqueue(std::move(job)));
  if (queue_journal && kind == kJournalLane) return Ok();
  if (!own_threads) {
    for (size_t i = 0; i < providers.size(); ++i) RunQueued(i, kind);
  }
  return WaitFor(kind, sequence);
}

// A frame that was refused as kFull may come again sealed anew: where the first one arrived it is cut off.
Status ReplicatedStorage::State::TakeBack(const Job& job) {
  auto entry = catalogue.find(job.name);
  if (entry == catalogue.end() || entry->second.empty()) return Ok();
  const seam::Piece& last = entry->second.back();
  if (LengthOf(entry->second) != job.offset + last.length || last == seam::Piece{job.size(), job.sha256})
    return Ok();
  Job trim;
  trim.kind = Job::Kind::kTrim;
  trim.name = job.name;
  trim.length = job.offset;
  HF_TRY(uint64_t sequence, Enqueue(std::move(trim)));
  (void)sequence;
  return Ok();
}

// The same bytes at the same place, while or after they are written: nothing, if it is not that.
Result<std::optional<uint64_t>> ReplicatedStorage::State::MadeAgain(const Job& job) {
  bool creates = job.kind == Job::Kind::kCreate || job.kind == Job::Kind::kPutIfAbsent;
  if (!creates && job.kind != Job::Kind::kAppend) return std::optional<uint64_t>();
  auto entry = catalogue.find(job.name);
  if (entry == catalogue.end()) {
    if (creates) return std::optional<uint64_t>();
    return Code::kNotFound;
  }
  if (!creates && LengthOf(entry->second) == job.offset) return std::optional<uint64_t>();
  for (const auto& [sequence, flight] : flights[LaneOf(job.name)]) {
    const Job& f = flight.job;
    if (f.kind == job.kind && f.name == job.name && f.offset == job.offset && f.sha256 == job.sha256)
      return std::optional(sequence);
  }
  return creates ? Code::kExists : Code::kInvalidArgument;
}

Result<uint64_t> ReplicatedStorage::State::Enqueue(Job job) {
  LaneKind kind = job.kind == Job::Kind::kBarrier ? kObjectsLane : LaneOf(job.name);
  HF_TRY(std::optional<uint64_t> again, MadeAgain(job));
  if (again) {
    for (Provider& p : providers) {  // who is asked again asks again
      p.lanes[kind].not_before = {};
      p.lanes[kind].wake.NotifyOne();
    }
    return *again;
  }
  job.sequence = ++last_sequence[kind];
  EnterCatalogue(job);
  flights[kind].emplace(job.sequence, Flight{job, std::vector<Code>(providers.size())});
  for (Provider& p : providers) {
    Lane& lane = p.lanes[kind];
    if (lane.mode != Lane::Mode::kCurrent && lane.mode != Lane::Mode::kJoining) continue;
    if (lane.queued_bytes + job.size() > options.queue_bytes_max ||
        lane.queue.size() >= limits::kProviderQueueJobsMax) {
      FallBehind(lane, lane.why == Code{} ? Code::kOverloaded : lane.why);
      continue;
    }
    lane.queued_bytes += job.size();
    lane.queue.push_back(job);
    lane.wake.NotifyOne();
  }
  return job.sequence;
}

void ReplicatedStorage::State::EnterCatalogue(const Job& job) {
  switch (job.kind) {
    case Job::Kind::kPut:
    case Job::Kind::kPutIfAbsent:
    case Job::Kind::kCreate:
      catalogue[job.name] = {{job.size(), job.sha256}};
      return;
    case Job::Kind::kAppend:
      catalogue[job.name].push_back({job.size(), job.sha256});
      return;
    case Job::Kind::kTrim: {
      auto it = catalogue.find(job.name);
      while (it != catalogue.end() && LengthOf(it->second) > job.length) it->second.pop_back();
      return;
    }
    case Job::Kind::kDelete:
      catalogue.erase(job.name);
      std::erase_if(flights[LaneOf(job.name)], [&](const auto& f) { return f.second.job.name == job.name; });
      return;
    case Job::Kind::kBarrier:
      return;
  }
}

// Nothing: somebody is still at it.
std::optional<Status> ReplicatedStorage::State::Decided(LaneKind kind, uint64_t sequence) {
  uint32_t have = 0, coming = 0;
  Code worst = Code::kUnreachable;
  for (Provider& p : providers) {
    Lane& lane = p.lanes[kind];
    if (lane.acked >= sequence) {
      ++have;
    } else if (lane.mode == Lane::Mode::kJoining ||
               (lane.mode == Lane::Mode::kCurrent && lane.failures == 0)) {
      ++coming;
    } else if (lane.why == Code::kFull || (worst == Code::kUnreachable && lane.why != Code{})) {
      worst = lane.why;
    }
  }
  uint32_t required = RequiredOf(kind);
  if (have >= required) return Ok();
  if (have + coming >= required) return std::nullopt;
  auto flight = flights[kind].find(sequence);
  if (flight != flights[kind].end()) {
    for (Code code : flight->second.refused) {
      if (code == Code::kExists) return Status(code);
    }
  }
  if (worst == Code::kFull || !own_threads || giving_up) return Status(worst);
  return std::nullopt;
}

Status ReplicatedStorage::State::WaitFor(LaneKind kind, uint64_t sequence) {
  auto until = Clock::now() + std::chrono::milliseconds(limits::kProviderOpeningMs);
  for (;;) {
    std::optional<Status> decided = Decided(kind, sequence);
    if (decided) {
      // What failed stays: it may be made again, and providers that lack it are given it then.
      if (*decided) {  // and so is all before it
        flights[kind].erase(flights[kind].begin(), flights[kind].upper_bound(sequence));
        return *decided;
      }
      auto flight = flights[kind].find(sequence);
      if (flight == flights[kind].end()) return *decided;
      // Somebody else's object has the name: it is not for us to replace it, when providers catch up.
      if (!*decided && decided->code() == Code::kExists) catalogue.erase(flight->second.job.name);
      if (!*decided && decided->code() == Code::kExists) flights[kind].erase(flight);
      return *decided;
    }
    bool opening = RequiredOf(kind) != quorum.write;
    if (!opening) {
      changed.Wait(mutex);
    } else if (!changed.WaitUntil(mutex, until)) {
      return Code::kUnreachable;
    }
  }
}

void ReplicatedStorage::State::Accuse(size_t i, const std::vector<std::string>& names, Code code) {
  sync::MutexLock lock(mutex);
  Provider& p = providers[i];
  std::set<LaneKind> accused;
  for (const std::string& name : names) {
    Lane& lane = p.lanes[LaneOf(name)];
    if (lane.mode != Lane::Mode::kCurrent || !catalogue.contains(name)) continue;
    // What it has not been given yet it cannot have.
    if (std::any_of(lane.queue.begin(), lane.queue.end(), [&](const Job& j) { return j.name == name; }))
      continue;
    ++p.bad_objects;
    lane.suspects.emplace(name);
    accused.insert(LaneOf(name));
  }
  for (LaneKind kind : accused) {  // until it has been compared it does not count
    p.lanes[kind].not_before = {};
    FallBehind(p.lanes[kind], code);
  }
  lock.Unlock();
  if (!accused.empty() && options.accused) options.accused(i, code);
}

std::vector<size_t> ReplicatedStorage::State::Order() {
  std::vector<std::pair<int, size_t>> ranked;
  std::vector<bool> slow;
  for (Provider& p : providers) slow.push_back(p.reader->slow());
  sync::MutexLock lock(mutex);
  for (size_t i = 0; i < providers.size(); ++i) {
    const Provider& p = providers[i];
    if (p.storage == nullptr) continue;
    bool objects = p.lanes[kObjectsLane].mode == Lane::Mode::kCurrent;
    bool frames = p.lanes[kJournalLane].mode == Lane::Mode::kCurrent;
    ranked.emplace_back((slow[i] ? 4 : 0) + (objects ? 0 : 2) + (frames ? 0 : 1), i);
  }
  lock.Unlock();
  std::stable_sort(ranked.begin(), ranked.end());
  std::vector<size_t> order;
  for (auto [rank, i] : ranked) order.push_back(i);
  return order;
}

// -- construction

namespace {

seam::Capabilities Common(const std::vector<seam::Storage*>& storages, seam::Quorum quorum) {
  seam::Capabilities c;
  c.append = c.strong_listing = true;
  uint32_t locked = 0, writable = 0;
  for (seam::Storage* s : storages) {
    if (s == nullptr) continue;
    seam::Capabilities of = s->capabilities();
    c.append = c.append && of.append;
    c.strong_listing = c.strong_listing && of.strong_listing;
    c.value_bytes_preferred = std::min(c.value_bytes_preferred, of.value_bytes_preferred);
    c.value_bytes_max = std::min(c.value_bytes_max, of.value_bytes_max);
    locked += of.exclusive ? 1 : 0;
    writable += of.read_only ? 0 : 1;
  }
  c.read_only = writable < quorum.write;
  c.exclusive = quorum.providers - std::min(locked, quorum.providers) < quorum.open();
  return c;
}

}  // namespace

ReplicatedStorage::State::State(std::vector<seam::Storage*> storages, seam::Quorum q, ReplicaOptions o)
    : options(std::move(o)),
      own_threads(options.threads == Threads::kOwn),
      providers(storages.size()),
      capabilities(Common(storages, q)),
      quorum(q),
      required_for_journal(q.write) {
  for (size_t i = 0; i < storages.size(); ++i) {
    providers[i].storage = storages[i];
    providers[i].reader = std::make_unique<Reader>(storages[i], options.threads, options.read_patience_ms);
    providers[i].last_success = Clock::now();
    if (!own_threads || storages[i] == nullptr) continue;
    for (LaneKind kind : {kJournalLane, kObjectsLane}) {
      threads.emplace_back([this, i, kind] { Work(i, kind); });
    }
  }
}

ReplicatedStorage::State::~State() {
  {
    sync::MutexLock lock(mutex);
    stopping = true;
    for (Provider& p : providers) {
      for (Lane& lane : p.lanes) lane.wake.NotifyAll();
    }
  }
  for (std::thread& t : threads) t.join();
}

ReplicatedStorage::ReplicatedStorage(std::vector<seam::Storage*> providers, seam::Quorum quorum,
                                     ReplicaOptions options) {
  HF_CHECK(quorum.valid() && providers.size() == quorum.providers);
  s_ = std::make_unique<State>(std::move(providers), quorum, std::move(options));
}
ReplicatedStorage::~ReplicatedStorage() = default;

// -- Storage

namespace {

Job WithBytes(Job::Kind kind, std::string_view name, ByteView bytes, uint64_t offset = 0,
              uint64_t length = 0) {
  Job job;
  job.kind = kind;
  job.name = name;
  job.bytes = std::make_shared<const Bytes>(ToBytes(bytes));
  job.offset = offset;
  job.length = length;
  return job;
}
Job WithoutBytes(Job::Kind kind, std::string_view name, uint64_t length = 0) {
  Job job;
  job.kind = kind;
  job.name = name;
  job.length = length;
  return job;
}

}  // namespace

seam::Capabilities ReplicatedStorage::capabilities() const { return s_->capabilities; }

Status ReplicatedStorage::Put(std::string_view name, ByteView bytes) {
  return s_->Write(WithBytes(Job::Kind::kPut, name, bytes));
}
Status ReplicatedStorage::PutIfAbsent(std::string_view name, ByteView bytes) {
  return s_->Write(WithBytes(Job::Kind::kPutIfAbsent, name, bytes));
}
Status ReplicatedStorage::Delete(std::string_view name) {
  return s_->Write(WithoutBytes(Job::Kind::kDelete, name));
}
Status ReplicatedStorage::Barrier() { return s_->Write(WithoutBytes(Job::Kind::kBarrier, "")); }
Status ReplicatedStorage::CreateAppendable(std::string_view name, uint64_t reserve_bytes, ByteView first) {
  return s_->Write(WithBytes(Job::Kind::kCreate, name, first, 0, reserve_bytes));
}
Status ReplicatedStorage::Append(std::string_view name, uint64_t offset, ByteView bytes) {
  return s_->Write(WithBytes(Job::Kind::kAppend, name, bytes, offset));
}
Status ReplicatedStorage::Trim(std::string_view name, uint64_t size_bytes) {
  return s_->Write(WithoutBytes(Job::Kind::kTrim, name, size_bytes));
}

Result<UntrustedBytes> ReplicatedStorage::GetRange(std::string_view name, uint64_t offset, uint64_t length) {
  std::optional<UntrustedBytes> found;
  HF_TRY_VOID(seam::ReadAccepted(*this, name, offset, length, [&](UntrustedBytes bytes) {
    found.emplace(std::move(bytes));
    return Ok();
  }));
  return std::move(*found);
}

Result<UntrustedBytes> ReplicatedStorage::Get(std::string_view name) {
  std::optional<seam::Pieces> expected;
  {
    sync::MutexLock lock(s_->mutex);
    auto it = s_->catalogue.find(name);
    if (it != s_->catalogue.end() && !IsJournal(name)) expected = it->second;
  }
  Code answer = Code::kUnreachable;
  for (size_t i : s_->Order()) {
    auto bytes = s_->providers[i].reader->Get(name);
    Code code = bytes ? Code::kChecksum : bytes.code();
    if (bytes) {
      if (!expected || Matches(bytes->parse(), *expected)) return bytes;
    }
    if (expected && code != Code::kUnreachable) s_->Accuse(i, {std::string(name)}, code);
    if (answer == Code::kUnreachable || answer == Code::kNotFound) answer = code;
  }
  return answer;
}

Result<seam::Listing> ReplicatedStorage::List(std::string_view prefix, std::string_view after, size_t limit) {
  std::map<std::string, uint64_t> merged;
  std::optional<std::string> end;  // beyond this somebody has not said everything
  Code answer = Code::kUnreachable;
  bool any = false;
  for (size_t i : s_->Order()) {
    auto page = s_->providers[i].reader->List(prefix, after, limit);
    if (!page) {
      answer = page.code();
      continue;
    }
    any = true;
    if (!page->complete && !page->objects.empty() && (!end || page->objects.back().name < *end))
      end = page->objects.back().name;
    for (seam::ObjectInfo& o : page->objects) {
      uint64_t& size = merged[std::move(o.name)];
      size = std::max(size, o.size_bytes);
    }
  }
  if (!any) return answer;
  seam::Listing listing;
  listing.complete = !end;
  for (auto& [name, size] : merged) {
    if ((end && name > *end) || listing.objects.size() == std::min(limit, seam::kListPageMax)) {
      listing.complete = false;
      break;
    }
    listing.objects.push_back({name, size});
  }
  return listing;
}

// -- Copies

size_t ReplicatedStorage::count() const { return s_->providers.size(); }
seam::Storage& ReplicatedStorage::copy(size_t i) { return *s_->providers.at(i).reader; }
std::vector<size_t> ReplicatedStorage::Order() { return s_->Order(); }

seam::Quorum ReplicatedStorage::quorum() const {
  sync::MutexLock lock(s_->mutex);
  return s_->quorum;
}
void ReplicatedStorage::SetQuorum(seam::Quorum quorum) {
  HF_CHECK(quorum.valid() && quorum.providers == s_->providers.size());
  sync::MutexLock lock(s_->mutex);
  s_->quorum = quorum;
  s_->required_for_journal = quorum.write;
}
void ReplicatedStorage::RequireForJournal(uint32_t required) {
  sync::MutexLock lock(s_->mutex);
  s_->required_for_journal = required;
}

void ReplicatedStorage::QueueJournal() {
  sync::MutexLock lock(s_->mutex);
  s_->queue_journal = s_->own_threads;
}
uint64_t ReplicatedStorage::JournalSequence() {
  sync::MutexLock lock(s_->mutex);
  return s_->last_sequence[kJournalLane];
}
Status ReplicatedStorage::WaitJournal(uint64_t sequence) {
  sync::MutexLock lock(s_->mutex);
  return s_->WaitFor(kJournalLane, sequence);
}

void ReplicatedStorage::Adopt(seam::Catalogue catalogue, const std::vector<bool>& journal_current) {
  sync::MutexLock lock(s_->mutex);
  s_->catalogue = std::move(catalogue);
  s_->adopted = true;
  for (size_t i = 0; i < s_->providers.size(); ++i) {
    Provider& p = s_->providers[i];
    for (LaneKind kind : {kJournalLane, kObjectsLane}) {
      Lane& lane = p.lanes[kind];
      bool known = kind == kJournalLane && i < journal_current.size() && journal_current[i];
      bool empty = s_->catalogue.empty();  // a new store: there is nothing to compare
      lane.mode = p.storage != nullptr && (known || empty) ? Lane::Mode::kCurrent : Lane::Mode::kBehind;
      if (p.storage == nullptr) lane.why = Code::kUnreachable;
      lane.acked = lane.mode == Lane::Mode::kCurrent ? s_->last_sequence[kind] : 0;
      lane.wake.NotifyAll();
    }
  }
}

void ReplicatedStorage::CatchUp(uint64_t patience_ms) {
  sync::MutexLock lock(s_->mutex);
  if (!s_->adopted) return;
  if (!s_->own_threads) {
    for (size_t i = 0; i < s_->providers.size(); ++i) {
      for (LaneKind kind : {kJournalLane, kObjectsLane}) {
        s_->RunQueued(i, kind);
        if (s_->providers[i].lanes[kind].mode == Lane::Mode::kBehind) s_->CatchUpLane(i, kind);
      }
    }
    return;
  }
  std::vector<std::pair<Lane*, uint64_t>> asked;
  for (Provider& p : s_->providers) {
    for (Lane& lane : p.lanes) {
      if (p.storage == nullptr || (lane.mode == Lane::Mode::kCurrent && lane.queue.empty())) continue;
      asked.emplace_back(&lane, lane.failures);
      lane.not_before = {};
      lane.wake.NotifyAll();
    }
  }
  auto pending = [&] {
    return std::any_of(asked.begin(), asked.end(), [](const auto& a) {
      bool done = a.first->mode == Lane::Mode::kCurrent && a.first->queue.empty();
      return !done && a.first->failures <= a.second;
    });
  };
  auto until = Clock::now() + std::chrono::milliseconds(patience_ms);
  bool in_time = true;
  while (pending() && in_time && !s_->giving_up) in_time = s_->changed.WaitUntil(s_->mutex, until);
}

void ReplicatedStorage::Accuse(size_t i, std::string_view name, Code code) {
  s_->Accuse(i, {std::string(name)}, code);
}

uint64_t ReplicatedStorage::Scrub(const ScrubStep& step) {
  seam::Catalogue all;
  {
    sync::MutexLock lock(s_->mutex);
    all = s_->catalogue;
  }
  // Whoever is accused is behind until it is put right, and would not be looked at further: so all that is
  // wrong is found first.
  std::vector<std::vector<std::string>> bad(s_->providers.size());
  bool on = true;
  for (auto it = all.begin(); on && it != all.end(); ++it) {
    const auto& [name, pieces] = *it;
    for (size_t i = 0; on && i < s_->providers.size(); ++i) {
      {
        sync::MutexLock lock(s_->mutex);
        auto now = s_->catalogue.find(name);
        Lane& lane = s_->providers[i].lanes[LaneOf(name)];
        bool settled = lane.mode == Lane::Mode::kCurrent && lane.queue.empty();
        if (now == s_->catalogue.end() || now->second != pieces || !settled) continue;
      }
      auto held = PiecesHeld(*s_->providers[i].reader, name, pieces);
      if (held && *held != pieces.size()) bad[i].push_back(name);
      on = step(i, LengthOf(pieces));
    }
  }
  uint64_t found = 0;
  for (size_t i = 0; i < bad.size(); ++i) {
    found += bad[i].size();
    s_->Accuse(i, bad[i], Code::kChecksum);
  }
  return found;
}

std::vector<seam::CopyState> ReplicatedStorage::States() {
  std::vector<seam::CopyState> states;
  sync::MutexLock lock(s_->mutex);
  for (Provider& p : s_->providers) {
    seam::CopyState c;
    c.current = true;
    for (Lane& lane : p.lanes) {
      c.current = c.current && lane.mode == Lane::Mode::kCurrent && lane.failures == 0;
      if (lane.why != Code{}) c.why = lane.why;
      c.queued += lane.queue.size();
      c.queued_bytes += lane.queued_bytes;
    }
    c.errors = p.errors + p.reader->errors();
    c.bad_objects = p.bad_objects;
    c.repaired = p.repaired;
    c.milliseconds_since_success = static_cast<uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - p.last_success).count());
    states.push_back(c);
  }
  return states;
}

void ReplicatedStorage::GiveUpWaiting() {
  sync::MutexLock lock(s_->mutex);
  s_->giving_up = true;
  s_->changed.NotifyAll();
}

}  // namespace holdfast::replica
