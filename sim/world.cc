#include "sim/world.h"

#include <algorithm>

namespace holdfast::sim {
namespace {

constexpr uint64_t kFrameLatencyUsMax = 8'000;
constexpr uint64_t kApplyLatencyUsMax = 2'000;
constexpr uint64_t kSaveLatencyUsMax = 120'000;
constexpr uint64_t kThinkUsMax = 30'000;
constexpr uint64_t kSaveRetryUs = 1'000'000;
constexpr size_t kSessionResultsKept = 256;  // a command that is sent again is never older

}  // namespace

World::World(const WorldConfig& config, seam::Storage& disk, seam::Storage& anchor)
    : config_(config),
      disk_(disk),
      anchor_(anchor),
      random_(config.seed * 3 + 1),
      workload_(config.seed * 3 + 2),
      forked_(config.seed * 3 + 3 + 1'000'003 * config.fork),
      cache_(1u << 20),
      clients_(config.clients) {}
World::~World() = default;

Status World::Init(uint64_t seed, seam::Storage& disk, seam::Storage& anchor) {
  crypto::SeededRandom random(seed);
  store::InitOptions options{{limits::kArgonMemoryKiBMin, 1}, {}};
  HF_TRY(store::InitResult made,
         store::InitStore(disk, random.NewId<StoreId>(), AsBytes(kSimPassphrase), options, random));
  HF_TRY_VOID(anchor.Put(store::kAnchorName, made.encoded_anchor));
  return anchor.Barrier();
}

Status World::Open() {
  HF_TRY(store_, store::OpenStore(disk_, &anchor_, AsBytes(kSimPassphrase), config_.open, random_, nullptr));
  written_ = store_->state->position();
  acknowledged_ = proposed_ = written_.index;
  // The tables as they are found: what follows is judged from there.
  auto model = std::make_shared<Model>();
  store::VersionNodes nodes(disk_, store_->state->CurrentView().base, cache_);
  HF_TRY(model->tables, ReadTables(*store_->state, nodes));
  HF_TRY(model->tags, ReadTags(*store_->state, nodes));
  for (const auto& [id, rows] : model->tables)
    model->names[id] = store_->state->tables().at(id).descriptor.name;
  models_[proposed_] = model;
  kernel_ = std::make_unique<kernel::Kernel>(
      config_.kernel, std::make_unique<consensus::SingleMember>(store_->term, written_.index), written_.index,
      store_->next_frame);
  for (size_t i = 0; i < clients_.size(); ++i) clients_[i].due_us = now_us_ + Latency(kThinkUsMax);
  return Ok();
}

const Model* World::ModelAt(LogIndex index) const {
  auto it = models_.find(index);
  return it == models_.end() ? nullptr : it->second.get();
}

void World::Complain(std::string what) {
  if (complaints.size() < 20)
    complaints.push_back("at " + std::to_string(now_us_) + " us: " + std::move(what));
}

void World::Trace(std::string_view what, std::initializer_list<uint64_t> numbers) {
  Bytes line = ToBytes(what);
  Writer w(line);
  w.U64(now_us_);
  for (uint64_t n : numbers) w.U64(n);
  trace_ = crypto::Sha256({trace_, line});
}

void World::Run(uint64_t until_us) {
  while (!stopped_ && !failure_) {
    uint64_t next = UINT64_MAX;
    if (!frames_.empty()) next = std::min(next, frames_.front().due_us);
    if (!applies_.empty()) next = std::min(next, applies_.front().due_us);
    if (save_due_us_) next = std::min(next, *save_due_us_);
    uint64_t deadline = kernel_->NextDeadlineUs();
    if (deadline != UINT64_MAX)
      next = std::min(next, std::max(now_us_, deadline - std::min(deadline, skew_us_)));
    size_t client = clients_.size();
    for (size_t i = 0; i < clients_.size(); ++i) {
      if (stopping_ || clients_[i].waiting || clients_[i].due_us >= next) continue;
      next = clients_[i].due_us;
      client = i;
    }
    if (next == UINT64_MAX) return Complain("nothing will ever happen again");
    if (next > until_us) {
      now_us_ = std::max(now_us_, until_us);
      return;
    }
    now_us_ = std::max(now_us_, next);
    if (client < clients_.size()) {
      ClientSends(client);
    } else if (!frames_.empty() && frames_.front().due_us <= now_us_) {
      FinishFrame();
    } else if (!applies_.empty() && applies_.front().due_us <= now_us_) {
      FinishApply();
    } else if (save_due_us_ && *save_due_us_ <= now_us_) {
      FinishSave();
    } else {
      Step(kernel::Tick{});
    }
    if (waves_ >= config_.waves && !stopping_) {
      stopping_ = true;
      Step(kernel::Stop{});
    }
  }
}

void World::Step(kernel::Event event) {
  std::vector<kernel::Effect> effects;
  kernel_->Step(now_us_ + skew_us_, std::move(event), effects);
  for (kernel::Effect& e : effects) Take(e);
}

void World::Take(kernel::Effect& effect) {
  if (auto* w = std::get_if<kernel::WriteFrame>(&effect)) {
    Trace("write", {w->number.value, w->first_index.value, w->entries->size()});
    LogIndex index(w->first_index.value - 1);
    for (const journal::Entry& entry : *w->entries) {
      index = index.next();
      if (index <= proposed_) continue;  // written again after a full disk
      auto model = std::make_shared<Model>(*models_.at(proposed_));
      expected_[index] = model->Apply(entry, index);
      for (auto& [id, results] : model->sessions)
        while (results.size() > kSessionResultsKept) results.erase(results.begin());
      models_[index] = std::move(model);
      proposed_ = index;
    }
    uint64_t behind = frames_.empty() ? now_us_ : std::max(now_us_, frames_.back().due_us);
    frames_.push_back({std::move(*w), behind + Latency(kFrameLatencyUsMax)});
  } else if (auto* a = std::get_if<kernel::Apply>(&effect)) {
    Trace("apply", {a->first_index.value, a->entries->size()});
    uint64_t behind = applies_.empty() ? now_us_ : std::max(now_us_, applies_.back().due_us);
    applies_.push_back({std::move(*a), behind + Latency(kApplyLatencyUsMax)});
  } else if (auto* r = std::get_if<kernel::Reply>(&effect)) {
    OnReply(*r);
  } else if (auto* l = std::get_if<kernel::Log>(&effect)) {
    Trace("log", {static_cast<uint64_t>(l->code), l->a, l->b});
  } else {
    Trace("stopped", {});
    stopped_ = true;
  }
}

// Seals and writes the oldest frame on its way.
void World::FinishFrame() {
  kernel::WriteFrame write = frames_.front().write;
  journal::Frame frame;
  frame.kind = write.kind;
  frame.number = write.number;
  frame.term = write.term;
  frame.vote = store_->member;
  frame.watermark = write.watermark;
  frame.before = store_->frame;
  frame.first_index = write.first_index;
  frame.chain_before = written_.chain;
  frame.entries = *write.entries;
  const seal::Keyring& keyring = store_->state->keyring();
  seal::DomainKeys keys = keyring.JournalKeys(keyring.current_epoch()).value();
  journal::SealedFrame sealed = journal::SealFrame({store_->secrets.store, store_->member}, keys,
                                                   keyring.current_epoch(), frame, random_);
  Status done = frame.kind == journal::FrameKind::kClosing ? store_->writer->Close(frame.number, sealed)
                                                           : store_->writer->Write(frame.number, sealed);
  Trace("wrote", {frame.number.value, done ? 0 : static_cast<uint64_t>(done.code())});
  if (!done) {
    if (done.code() != Code::kFull) failure_ = done.code();
    std::deque<Frame> refused = std::move(frames_);
    frames_.clear();
    for (const Frame& f : refused) Step(kernel::FrameFailed{f.write.number, done.code()});
    return;
  }
  store_->frame = {frame.number, sealed.digest};
  store_->next_frame = frame.number.next();
  frame_positions_[frame.number] = store_->frame;
  for (const journal::Entry& e : frame.entries) {
    written_ = journal::Extend(store_->secrets.keys.chain, written_, e);
    positions_.push_back(written_);
  }
  frames_.pop_front();
  ++waves_;
  Step(kernel::FrameStable{frame.number});
}

void World::FinishApply() {
  kernel::Apply apply = std::move(applies_.front().apply);
  applies_.pop_front();
  kernel::Applied applied;
  for (size_t i = 0; i < apply.entries->size(); ++i) {
    const journal::Entry& entry = (*apply.entries)[i];
    journal::LogPosition at = positions_.front();
    positions_.pop_front();
    store::VersionNodes nodes(disk_, store_->state->CurrentView().base, cache_);
    auto prepared = store_->state->Prepare(entry, nodes);
    if (!prepared) {
      failure_ = prepared.code();
      return;
    }
    store::Outcome outcome = store_->state->Commit(*prepared, at, nullptr);
    auto expected = expected_.extract(at.index);
    if (expected.empty() || expected.mapped().code != outcome.code ||
        expected.mapped().detail != outcome.detail)
      Complain("entry " + std::to_string(at.index.value) + " ended with " +
               std::string(CodeName(outcome.code)));
    applied.index = at.index;
    if (kernel::Ticket t = apply.tickets[i]; t != 0) {
      outcomes_[t] = outcome;
      applied.outcomes.push_back({t, outcome.ok() ? Ok() : Status(outcome.code), outcome.detail});
    }
    if (entry.kind == journal::EntryKind::kSavePoint) {
      save_due_us_ = now_us_ + Latency(kSaveLatencyUsMax);
      save_frame_ = frame_positions_.at(apply.frame);
    }
  }
  frame_positions_.erase(frame_positions_.begin(), frame_positions_.lower_bound(apply.frame));
  applied.dirty_bytes = store_->state->dirty_bytes();
  dirty_max_seen_ = std::max(dirty_max_seen_, applied.dirty_bytes);
  Trace("applied", {applied.index.value, applied.dirty_bytes});
  Step(std::move(applied));
}

void World::FinishSave() {
  save_due_us_.reset();
  LogIndex index = store_->state->saving()->position.index;
  Status done = store::SaveInline(disk_, &anchor_, *store_, save_frame_, cache_, random_);
  bool durable = store_->state->saving() == nullptr;
  Trace("saved", {index.value, done ? 0 : static_cast<uint64_t>(done.code())});
  if (!done && done.code() != Code::kFull) {
    failure_ = done.code();
    return;
  }
  if (!durable) {
    save_due_us_ = now_us_ + kSaveRetryUs;
    return;
  }
  ++saves_;
  Step(kernel::SaveFinished{index, Ok()});
}

void World::OnReply(const kernel::Reply& reply) {
  Trace("reply",
        {reply.ticket, reply.index.value, reply.status ? 0 : static_cast<uint64_t>(reply.status.code())});
  auto ticket = tickets_.find(reply.ticket);
  if (ticket == tickets_.end()) return Complain("a reply that nobody waits for");
  Client& client = clients_[ticket->second];
  tickets_.erase(ticket);
  client.waiting = false;
  client.due_us = now_us_ + Latency(kThinkUsMax);
  if (auto outcome = outcomes_.extract(reply.ticket); !outcome.empty()) {
    Code told = reply.status ? Code{} : reply.status.code();
    if (told != outcome.mapped().code) Complain("told otherwise than it was done");
  }
  if (reply.index.value == 0 || reply.reached == kernel::Wait::kNone) {
    if (!reply.status) ++refusals_[reply.status.code()];
    return;
  }
  ++durable_replies_;
  if (reply.index > written_.index) Complain("acknowledged before it was written");
  acknowledged_ = std::max(acknowledged_, reply.index);
  models_.erase(models_.begin(), models_.lower_bound(acknowledged_));
}

// -- clients

TableId World::RandomTable() {
  const Model& model = *models_.rbegin()->second;
  if (model.tables.empty() || draw().Below(50) == 0) return TableId();  // now and then one that is not there
  auto it = model.tables.begin();
  std::advance(it, static_cast<ptrdiff_t>(draw().Below(model.tables.size())));
  return it->first;
}

kernel::Operation World::RandomOperation() {
  kernel::Operation o;
  o.table = RandomTable();
  auto key = [&] { return ToBytes("key " + std::to_string(draw().Below(config_.keys))); };
  o.key = key();
  uint64_t kind = draw().Below(20);
  if (kind == 0) {
    o.kind = kernel::OperationKind::kDeleteRange;
    o.end = key();
    if (Compare(o.key, o.end) >= 0) o.end = ToBytes(ToText(o.key) + "0");
  } else if (kind < 5) {
    o.kind = kernel::OperationKind::kDelete;
  } else {
    size_t max = config_.large_value_bytes_max != 0 && draw().Below(30) == 0 ? config_.large_value_bytes_max
                                                                             : config_.value_bytes_max;
    o.value.resize(draw().Below(max + 1));
    draw().Fill(o.value);
  }
  return o;
}

Bytes World::RandomBatch(size_t i) {
  Client& client = clients_[i];
  if (client.session != 0 && !client.last_payload.empty() && draw().Below(6) == 0) return client.last_payload;
  kernel::Batch batch;
  uint64_t n = draw().Below(4) == 0 ? 1 + draw().Below(8) : 1;
  for (uint64_t k = 0; k < n; ++k) batch.operations.push_back(RandomOperation());
  if (draw().Below(5) == 0) {
    kernel::Compare c{draw().Below(2) == 0 ? kernel::CompareKind::kPresent : kernel::CompareKind::kAbsent,
                      batch.operations[0].table,
                      batch.operations[0].key,
                      {}};
    batch.compares.push_back(c);
  }
  if (client.session != 0) {
    batch.session = client.session;
    batch.sequence = ++client.sequence;
  }
  return client.last_payload = kernel::Encode(batch);
}

void World::ClientSends(size_t i) {
  Client& client = clients_[i];
  kernel::Ticket ticket = next_ticket_++;
  tickets_[ticket] = i;
  client.waiting = true;
  if (draw().Below(200) == 0) {  // the host's clock: forward by up to a minute, or back
    uint64_t jump = draw().Below(60'000'000);
    skew_us_ = draw().Below(3) == 0 ? skew_us_ / 2 : skew_us_ + jump;
  }
  kernel::Submit submit{
      .ticket = ticket, .kind = journal::EntryKind::kBatch, .payload = {}, .wait = kernel::Wait::kDurable};
  uint64_t kind = draw().Below(100);
  if (kind < 2) return Step(kernel::RequestSave{ticket});
  if (kind < 5) return Step(kernel::Sync{ticket});
  const Model& model = *models_.rbegin()->second;
  if (model.tables.empty() || (kind < 7 && model.tables.size() < 4)) {
    tree::Descriptor d;
    d.name = "table " + std::to_string(draw().Below(6));
    d.leaf_rows_max = d.inner_children_max = 4;
    submit.kind = journal::EntryKind::kCreateTable;
    submit.payload =
        kernel::Encode(kernel::CreateTable{random_.NewId<TableId>(), Epoch(1), random_.NewKey(), d.Encode()});
  } else if (kind == 7 && model.tables.size() > 2) {
    submit.kind = journal::EntryKind::kDropTable;
    submit.payload = kernel::Encode(kernel::DropTable{RandomTable()});
  } else if (kind == 9) {
    bool drop = draw().Below(2) == 0;
    Bytes name = ToBytes("tag " + std::to_string(draw().Below(5)));
    submit.kind = drop ? journal::EntryKind::kDropTag : journal::EntryKind::kCreateTag;
    submit.payload = drop ? kernel::Encode(kernel::DropTag{name}) : kernel::Encode(kernel::CreateTag{name});
  } else if (kind == 8 && !model.sessions.empty()) {
    auto it = model.sessions.begin();
    std::advance(it, static_cast<ptrdiff_t>(draw().Below(model.sessions.size())));
    client.session = it->first;  // another client's perhaps: then its numbers are taken
    client.sequence = it->second.empty() ? 0 : it->second.rbegin()->first;
    client.last_payload.clear();
    submit.payload = RandomBatch(i);
  } else if (kind < 11 && model.sessions.size() < 8) {
    submit.kind = journal::EntryKind::kOpenSession;
    submit.payload = kernel::Encode(kernel::OpenSession{ToBytes("client " + std::to_string(i))});
  } else {
    if (draw().Below(4) == 0) submit.wait = kernel::Wait::kNone;
    submit.payload = RandomBatch(i);
  }
  Step(std::move(submit));
}

}  // namespace holdfast::sim
