// What sessions read: values, snapshots and their pages, watches.
#include <chrono>
#include <set>

#include "core/runtime/engine.h"
#include "core/store/tags.h"

namespace holdfast::runtime {
namespace {

using sync::MutexLock;
using sync::ReaderLock;

constexpr size_t kFetchesMax = 8;  // of one get, by its short way: a cache that is far too small ends it
constexpr unsigned kAdmittedOf = 16;
constexpr uint64_t kCheapReadNs =
    20'000;  // several times a read from the page cache, less than any disk takes

uint64_t SteadyNs() {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                   std::chrono::steady_clock::now().time_since_epoch())
                                   .count());
}
uint64_t SteadyMs() { return SteadyNs() / 1'000'000; }

}  // namespace

// A view that can end before its owner lets go of it.
struct Engine::Pin {
  Pin(store::View v, uint64_t now_ms) : since_ms(now_ms), view(std::move(v)) {}
  const uint64_t since_ms;
  sync::Mutex mutex{sync::LockName::kState};
  std::optional<store::View> view HF_GUARDED_BY(mutex);
};

class Engine::PinnedSnapshot : public session::Snapshot {
 public:
  PinnedSnapshot(Engine& engine, std::shared_ptr<Pin> pin, LogIndex index)
      : engine_(engine), pin_(std::move(pin)), index_(index) {}
  ~PinnedSnapshot() override {
    MutexLock lock(engine_.pins_mutex_);
    engine_.pins_.remove(pin_);
  }
  LogIndex index() const override { return index_; }
  Result<TableId> FindTable(std::string_view name) override {
    HF_TRY(store::View view, View());
    if (view.tag == nullptr) return Code::kNoTable;
    return store::FindTableIn(view.tag->tables, name);
  }
  Result<session::IndexPlace> FindIndex(const TableId& table, std::string_view name) override {
    HF_TRY(store::View view, View());
    if (view.tag == nullptr) return Code::kNoIndex;
    HF_TRY(TableId id, store::FindIndexIn(view.tag->tables, table, name));
    const store::Tables& tables = view.tag->tables;
    return session::IndexPlace{
        table, id, tables.at(table).descriptor.value_type, tables.at(id).descriptor.index->unique, {}};
  }
  Status ScanIndex(const session::IndexPlace& index, ByteView from, ByteView until, bool reverse,
                   size_t max_rows, size_t max_bytes, session::RowPage& page, Bytes& last) override {
    HF_TRY(store::View view, View());
    if (index.since > view.at) return Code::kNoIndex;
    return engine_.ScanIndexView(view, index, from, until, reverse, max_rows, max_bytes, page, last);
  }
  Result<std::optional<Bytes>> Get(const TableId& table, ByteView key) override {
    HF_TRY(store::View view, View());
    if (view.tag == nullptr && engine_.IsTransient(table)) return engine_.GetTransient(table, key);
    return engine_.GetFrom(view, table, key);
  }
  Result<std::vector<session::Row>> Scan(const TableId& table, ByteView from, ByteView until, bool reverse,
                                         size_t max_rows, size_t max_bytes) override {
    session::RowPage page;
    HF_TRY_VOID(ScanPage(table, from, until, reverse, max_rows, max_bytes, page));
    std::vector<session::Row> rows;
    rows.reserve(page.size());
    for (size_t i = 0; i < page.size(); ++i) rows.push_back({ToBytes(page.key(i)), ToBytes(page.value(i))});
    return rows;
  }
  Status ScanPage(const TableId& table, ByteView from, ByteView until, bool reverse, size_t max_rows,
                  size_t max_bytes, session::RowPage& page) override {
    HF_TRY(store::View view, View());
    if (view.tag == nullptr && engine_.IsTransient(table)) {
      engine_.ScanTransient(table, from, until, reverse, max_rows, max_bytes, page);
      return Ok();
    }
    return engine_.ScanView(view, table, from, until, reverse, max_rows, max_bytes, page);
  }

 private:
  Result<store::View> View() {
    MutexLock lock(pin_->mutex);
    if (!pin_->view) return Code::kSnapshotTooOld;
    return *pin_->view;
  }
  Engine& engine_;
  std::shared_ptr<Pin> pin_;
  LogIndex index_;
};

Status Engine::WaitApplied(LogIndex at_least, uint64_t timeout_ms) {
  if (applied_now_.load(std::memory_order_acquire) >= at_least.value) return Ok();
  auto deadline =
      std::chrono::steady_clock::now() + std::chrono::milliseconds(std::min<uint64_t>(timeout_ms, 3'600'000));
  MutexLock lock(applied_mutex_);
  bool in_time = true;
  while (applied_ < at_least && !stopping_ && fatal_ == 0 && in_time) {
    in_time = applied_wake_.WaitUntil(applied_mutex_, deadline);
  }
  if (applied_ >= at_least) return Ok();
  if (fatal_ != 0) return static_cast<Code>(fatal_.load());
  return stopping_ ? Code::kStopping : Code::kDeadline;
}

Result<std::optional<Bytes>> Engine::GetFrom(const store::View& view, const TableId& table, ByteView key) {
  {
    ReaderLock lock(state_lock_);
    if (auto hit = view.OverlayGet(table, key)) {
      if (hit->erased) return std::optional<Bytes>();
      return std::optional<Bytes>(ToBytes(hit->value));
    }
  }
  ReaderNodes nodes(storage_, view.base, nodes_);
  return store::TreeGet(view, table, key, nodes);
}

// What memory knows: overlays, and nodes that are linked. `missing` is a leaf or an inner node.
Engine::Linked Engine::GetLinked(const TableId& table, ByteView key, std::optional<Bytes>& answer,
                                 tree::NodeRef& missing, bool& leaf) {
  tree::Root root;
  {
    // The version may be replaced meanwhile; its nodes are found by their places, which no other node gets.
    ReaderLock lock(state_lock_);
    if (auto hit = state_->OverlayGet(table, key)) {
      if (!hit->erased) answer = ToBytes(hit->value);
      return Linked::kAnswered;
    }
    root = state_->RootOf(table);
  }
  Bytes value;
  switch (nodes_.Get(root, key, value, missing, leaf)) {
    case SharedNodes::Answer::kFound:
      answer = std::move(value);
      return Linked::kAnswered;
    case SharedNodes::Answer::kAbsent:
      return Linked::kAnswered;
    case SharedNodes::Answer::kMissing:
      return Linked::kMissing;
    case SharedNodes::Answer::kAskOtherwise:
      break;
  }
  return Linked::kAskOtherwise;
}

// The same, and reads what is missing. A version that came meanwhile lists the place of the missing node too,
// or the read fails and the long way is taken.
Engine::Linked Engine::GetFetching(const TableId& table, ByteView key, std::optional<Bytes>& answer) {
  tree::NodeRef missing;
  bool leaf = false;
  for (size_t tries = 0; tries < kFetchesMax; ++tries) {
    Linked linked = GetLinked(table, key, answer, missing, leaf);
    if (linked != Linked::kMissing) return linked;
    store::VersionPtr version;
    {
      ReaderLock lock(state_lock_);
      version = state_->base();
    }
    if (leaf) return GetInLeaf(version, missing, key, answer);
    if (!ReaderNodes(storage_, version, nodes_).Fetch(missing)) break;
  }
  return Linked::kAskOtherwise;
}

// A leaf whose bytes come at once, likely from the system's page cache, can be had again as cheaply: where it
// would take another's place in our cache, one in sixteen does, so that what is asked for often gets in all
// the same, and what is not does not drive it out. Of those, each is timed.
Engine::Linked Engine::GetInLeaf(const store::VersionPtr& version, const tree::NodeRef& leaf, ByteView key,
                                 std::optional<Bytes>& answer) {
  static thread_local store::NodeScratch scratch;
  static thread_local unsigned turn = 0;
  static thread_local bool cheap = false;
  const bool full = nodes_.full(), mine = ++turn % kAdmittedOf == 0 || !cheap;
  const uint64_t begin = full && mine ? SteadyNs() : 0;
  if (!store::OpenNode(storage_, *version, leaf, &nodes_.openers(), scratch)) return Linked::kAskOtherwise;
  const seal::OpenedNode& opened = scratch.node;
  if (begin != 0) cheap = SteadyNs() - begin < kCheapReadNs;
  if (!full || mine) {
    auto node = tree::Node::Decode(opened.canonical(), opened.tail());
    if (!node) return Linked::kAskOtherwise;
    nodes_.Insert(leaf.hint, std::move(*node));
  }
  ByteView value;
  switch (tree::FindInLeaf(opened.canonical(), key, value)) {
    case tree::InLeaf::kFound:
      answer = ToBytes(value);
      return Linked::kAnswered;
    case tree::InLeaf::kAbsent:
      return Linked::kAnswered;
    case tree::InLeaf::kElsewhere:
      break;
  }
  return Linked::kAskOtherwise;
}

Result<std::optional<Bytes>> Engine::Get(const TableId& table, ByteView key, LogIndex at_least,
                                         uint64_t timeout_ms) {
  HF_TRY_VOID(WaitApplied(at_least, timeout_ms));
  if (IsTransient(table)) return GetTransient(table, key);
  std::optional<Bytes> answer;
  if (GetFetching(table, key, answer) == Linked::kAnswered) return answer;
  return GetFrom(CurrentView(), table, key);
}

std::optional<Result<std::optional<Bytes>>> Engine::GetNow(const TableId& table, ByteView key,
                                                           LogIndex at_least) {
  using Answer = Result<std::optional<Bytes>>;
  if (applied_now_.load(std::memory_order_acquire) < at_least.value) return std::nullopt;
  if (IsTransient(table)) return Answer(GetTransient(table, key));
  std::optional<Bytes> linked;
  tree::NodeRef missing;
  bool leaf = false;
  switch (GetLinked(table, key, linked, missing, leaf)) {
    case Linked::kAnswered:
      return Answer(std::move(linked));
    case Linked::kMissing:
      return std::nullopt;
    case Linked::kAskOtherwise:
      break;
  }
  store::View view = CurrentView();
  {
    ReaderLock lock(state_lock_);
    if (auto hit = view.OverlayGet(table, key)) {
      return Answer(hit->erased ? std::optional<Bytes>() : std::optional<Bytes>(ToBytes(hit->value)));
    }
  }
  GuardedNodes nodes(nodes_);
  if (!nodes) return std::nullopt;
  Answer answer = store::TreeGet(view, table, key, nodes);
  if (nodes.missed()) return std::nullopt;
  return answer;
}

namespace {

// Rows of one leaf up to `to`, or the first whose value lies elsewhere: one copy. Where it stopped.
size_t AddInline(const tree::Node& leaf, size_t from, size_t to, session::RowPage& page) {
  const uint8_t* begin = leaf.key(from).data();
  const uint8_t* end = begin;
  const size_t at = page.bytes();
  for (; from < to; ++from) {
    tree::Node::RowText row = leaf.row_text(from);
    if (!row.value) break;
    page.AddRow(at + static_cast<size_t>(row.key.data() - begin), row.key.size(),
                at + static_cast<size_t>(row.value->data() - begin), row.value->size());
    end = row.value->data() + row.value->size();
  }
  page.AddText({begin, static_cast<size_t>(end - begin)});
  return from;
}

// One page of a scan. The overlays are read under the shared lock, one step at a time; nodes and blobs are
// fetched outside it.
class PageScan {
 public:
  PageScan(sync::SharedMutex& state_lock, store::NodeAccess& nodes, tree::MergedCursor cursor,
           const tree::Root& shared, size_t max_rows, size_t max_bytes, session::RowPage& page)
      : lock_(state_lock),
        nodes_(nodes),
        cursor_(std::move(cursor)),
        shared_(shared),
        max_rows_(max_rows),
        max_bytes_(max_bytes),
        page_(page) {}

  Status Forward(ByteView from, ByteView until) HF_EXCLUDES(lock_) {
    ReaderLock held(lock_);
    cursor_.SeekTo(from);
    while (!Full()) {
      LetOthersIn();
      auto run = cursor_.NextRun(nodes_);
      if (run.needs() || run.failed()) {
        HF_TRY_VOID(Fetch(run));
      } else if (run.value().from < run.value().to) {
        HF_TRY(bool more, AddRun(run.value(), until));
        if (!more) return Ok();
      } else {
        HF_TRY(bool more, AddRow(cursor_.Next(nodes_),
                                 [&](ByteView key) { return until.empty() || Compare(key, until) < 0; }));
        if (!more) return Ok();
      }
    }
    return Ok();
  }

  Status Backward(ByteView from, ByteView until) HF_EXCLUDES(lock_) {
    ReaderLock held(lock_);
    if (until.empty()) {
      cursor_.SeekToEnd();
    } else {
      cursor_.SeekTo(until);
    }
    while (!Full()) {
      LetOthersIn();
      HF_TRY(bool more, AddRow(cursor_.Prev(nodes_), [&](ByteView key) { return Compare(key, from) >= 0; }));
      if (!more) return Ok();
    }
    return Ok();
  }

 private:
  static constexpr size_t kRowsPerLock = 1024;

  bool Full() const { return page_.size() >= max_rows_ || page_.bytes() >= max_bytes_; }
  void LetOthersIn() HF_REQUIRES_SHARED(lock_) {  // the applier, above all
    if (page_.size() - rows_then_ < kRowsPerLock) return;
    rows_then_ = page_.size();
    lock_.UnlockShared();
    lock_.LockShared();
  }
  template <typename Step>
  Status Fetch(const Step& step) HF_REQUIRES_SHARED(lock_) {
    if (step.failed()) return step.error();
    lock_.UnlockShared();
    Status fetched = nodes_.Fetch(step.need());
    lock_.LockShared();
    return fetched;
  }
  Status AddBlob(ByteView key, const tree::StoredValue& value) HF_REQUIRES_SHARED(lock_) {
    tree::BlobReader reader(value, shared_);
    lock_.UnlockShared();
    auto bytes = store::Drive(nodes_, [&] { return reader.Run(nodes_); });
    lock_.LockShared();
    if (!bytes) return bytes.error();
    page_.Add(key, *bytes);
    return Ok();
  }
  // False: the end of the range.
  Result<bool> AddRun(const tree::MergedCursor::Run& run, ByteView until) HF_REQUIRES_SHARED(lock_) {
    const tree::Node& leaf = *run.leaf;
    size_t end = until.empty() ? run.to : std::min(run.to, leaf.LowerBound(until));
    bool more = end == run.to;
    end = std::min(end, run.from + (max_rows_ - page_.size()));
    for (size_t i = run.from; i < end && !Full(); ++i) {
      i = AddInline(leaf, i, end, page_);
      if (i < end) HF_TRY_VOID(AddBlob(leaf.key(i), leaf.value(i)));
    }
    return more;
  }
  template <typename InRange>
  Result<bool> AddRow(tree::Step<std::optional<tree::MergedCursor::Row>> step, InRange in_range)
      HF_REQUIRES_SHARED(lock_) {
    if (step.needs() || step.failed()) {
      HF_TRY_VOID(Fetch(step));
      return true;
    }
    if (!step.value() || !in_range(step.value()->key)) return false;
    const tree::MergedCursor::Row& row = *step.value();
    if (row.stored && (row.stored->value.is_blob || row.stored->value.is_shared)) {
      HF_TRY_VOID(AddBlob(row.key, row.stored->value));
    } else {
      page_.Add(row.key, row.stored ? row.stored->value.inline_bytes : ByteView(row.bytes));
    }
    return true;
  }

  sync::SharedMutex& lock_;
  store::NodeAccess& nodes_;
  tree::MergedCursor cursor_;
  const tree::Root shared_;  // of the table that has the shared values
  const size_t max_rows_, max_bytes_;
  session::RowPage& page_;
  size_t rows_then_ = 0;
};

}  // namespace

Status Engine::ScanView(const store::View& view, const TableId& table, ByteView from, ByteView until,
                        bool reverse, size_t max_rows, size_t max_bytes, session::RowPage& page) {
  page.Clear();
  const tree::Root shared = view.SharedRootOf(table);
  auto scan = [&](store::NodeAccess& nodes, ByteView begin, ByteView end) {
    PageScan rows(state_lock_, nodes, view.Scan(table), shared, max_rows, max_bytes, page);
    return reverse ? rows.Backward(begin, end) : rows.Forward(begin, end);
  };
  {
    GuardedNodes in_memory(nodes_);
    if (in_memory) {
      Status done = scan(in_memory, from, until);
      if (!in_memory.missed()) return done;
    }
  }
  // Where memory lacked a node, from there on.
  ReaderNodes nodes(storage_, view.base, nodes_);
  if (page.empty()) return scan(nodes, from, until);
  Bytes last = ToBytes(page.key(page.size() - 1));
  if (reverse) return scan(nodes, from, last);
  last.push_back(0);
  return scan(nodes, last, until);
}

Result<std::unique_ptr<session::Snapshot>> Engine::TakeSnapshot(LogIndex at_least, uint64_t timeout_ms) {
  HF_TRY_VOID(WaitApplied(at_least, timeout_ms));
  return PinView(CurrentView());
}

Result<std::unique_ptr<session::Snapshot>> Engine::OpenTag(std::string_view tag) {
  HF_TRY(store::View view, store::TagView(CurrentView().base, tag));
  return PinView(std::move(view));
}

Result<std::unique_ptr<session::Snapshot>> Engine::PinView(store::View view) {
  LogIndex index = view.at;
  auto pin = std::make_shared<Pin>(std::move(view), SteadyMs());
  {
    MutexLock lock(pins_mutex_);
    if (pins_.size() >= limits::kPinsMax) return Code::kTooManyPins;
    pins_.push_back(pin);
  }
  return std::unique_ptr<session::Snapshot>(std::make_unique<PinnedSnapshot>(*this, std::move(pin), index));
}

void Engine::ExpirePins() {
  uint64_t now = SteadyMs();
  MutexLock lock(pins_mutex_);
  for (const std::shared_ptr<Pin>& pin : pins_) {
    MutexLock pin_lock(pin->mutex);
    if (now - pin->since_ms > limits::kPinMillisecondsMax) pin->view.reset();
  }
}

void Engine::BoundPins() {
  store::View now = CurrentView();
  MutexLock lock(pins_mutex_);
  // Newest first, so that what is over the bound is kept by the oldest alone.
  std::set<const tree::Overlay*> counted{now.active.get(), now.frozen.get(), nullptr};
  size_t bytes = 0;
  for (auto it = pins_.rbegin(); it != pins_.rend(); ++it) {
    Pin& pin = **it;
    MutexLock pin_lock(pin.mutex);
    if (!pin.view) continue;
    for (const tree::Overlay* o : {pin.view->active.get(), pin.view->frozen.get()}) {
      if (counted.insert(o).second) bytes += o->memory_bytes();
    }
    if (bytes > limits::kPinnedOverlayBytesMax) pin.view.reset();
  }
}

Result<std::unique_ptr<session::Watch>> Engine::StartWatch(const TableId& table, Bytes prefix, LogIndex from,
                                                           std::function<void()> ready) {
  if (IsTransient(table)) {
    // Its numbers begin anew with each opening: one that a watcher remembers may be of another life.
    if (from != LogIndex()) return Code::kSnapshotTooOld;
    return transient_watches_.Start(table, std::move(prefix), from, std::move(ready));
  }
  return watches_.Start(table, std::move(prefix), from, std::move(ready));
}

}  // namespace holdfast::runtime
