// Tables, snapshots, scans and pages.
#include <utility>

#include "core/tree/index_key.h"
#include "embedded/state_internal.h"

namespace holdfast {
namespace inside {
namespace {

constexpr uint64_t kReadMs = 60'000;  // nothing waits here: the index asked for is applied

using Value = std::optional<std::string>;

embedded::Result<Value> ValueOf(Result<std::optional<Bytes>> got) {
  if (!got) return Public(got.code());
  return got.value() ? Value(AsText(*got.value())) : Value();
}

embedded::Result<std::shared_ptr<Pinned>> Pin(const std::shared_ptr<State>& state) {
  using Taken = embedded::Result<std::shared_ptr<Pinned>>;
  return state->With([&](runtime::Engine& engine) -> Taken {
    engine.ExpirePins();
    auto view = engine.TakeSnapshot({}, kReadMs);
    if (!view) return Public(view.code());
    return std::make_shared<Pinned>(state, std::move(view).value());
  });
}

}  // namespace
}  // namespace inside

namespace embedded {

using inside::Public;

Bounds Bounds::prefix(std::string_view prefix) {
  Bounds b{std::string(prefix), std::string(prefix)};
  while (!b.until.empty() && static_cast<unsigned char>(b.until.back()) == 0xff) b.until.pop_back();
  if (!b.until.empty()) b.until.back() = static_cast<char>(static_cast<unsigned char>(b.until.back()) + 1);
  return b;
}

Page::Page() : rows_(std::make_unique<inside::Rows>()) {}
Page::~Page() = default;
Page::Page(Page&&) noexcept = default;
Page& Page::operator=(Page&&) noexcept = default;
size_t Page::size() const { return rows_ == nullptr ? 0 : rows_->page.size(); }
std::string_view Page::key(size_t i) const { return AsText(rows_->page.key(i)); }
std::string_view Page::value(size_t i) const { return AsText(rows_->page.value(i)); }

Result<bool> Scan::next(Page& page, size_t max_rows, size_t max_bytes) {
  if (page.rows_ == nullptr) page = Page();
  session::RowPage& rows = page.rows_->page;
  rows.Clear();
  if (max_rows == 0) return Code::kInvalidArgument;
  if (done_) return false;
  std::string last;
  Status read = Fill(*page.rows_, max_rows, max_bytes, last);
  if (!read) return read;
  done_ = rows.empty();
  if (done_) return false;
  if (direction_ == Direction::kBackward) {
    bounds_.until = std::move(last);
  } else {
    (bounds_.from = std::move(last)).push_back('\0');
  }
  return true;
}

// `last`: where the next page begins, in keys of the table or of the index.
Status Scan::Fill(inside::Rows& rows, size_t max_rows, size_t max_bytes, std::string& last) {
  const bool back = direction_ == Direction::kBackward;
  session::RowPage& page = rows.page;
  return pinned_->With([&](session::Snapshot& view) -> Status {
    ByteView from = AsBytes(bounds_.from), until = AsBytes(bounds_.until);
    if (index_ != nullptr) {
      Bytes place;
      auto read = view.ScanIndex(index_->place, from, until, back, max_rows, max_bytes, page, place);
      last = ToText(place);
      return Public(read);
    }
    auto read = view.ScanPage(inside::IdOf(table_), from, until, back, max_rows, max_bytes, page);
    if (read && !page.empty()) last = AsText(page.key(page.size() - 1));
    return Public(read);
  });
}

Result<std::optional<std::string>> Snapshot::get(const Table& table, std::string_view key) const {
  if (table.state_ != pinned_->state) return Code::kInvalidArgument;
  return pinned_->With([&](session::Snapshot& view) -> Result<std::optional<std::string>> {
    return inside::ValueOf(view.Get(inside::IdOf(table.id_), AsBytes(key)));
  });
}

Scan Snapshot::scan(const Table& table, Bounds bounds, Direction direction) const {
  Scan scan;
  scan.pinned_ = pinned_;
  scan.table_ = table.id_;
  scan.bounds_ = std::move(bounds);
  scan.direction_ = direction;
  return scan;
}

namespace {

std::optional<Bytes> BytesOf(const std::optional<std::string>& text) {
  return text ? std::optional<Bytes>(ToBytes(*text)) : std::nullopt;
}

}  // namespace

Result<Scan> Snapshot::scan_index(const Table& table, std::string_view index, const IndexBounds& bounds,
                                  Direction direction) const {
  if (table.state_ != pinned_->state) return Code::kInvalidArgument;
  return pinned_->state->With([&](runtime::Engine& engine) -> Result<Scan> {
    auto place = engine.FindIndex(inside::IdOf(table.id_), index);
    if (!place) return Public(place.code());
    if (place->since > LogIndex(index_)) return Code::kNoIndex;
    auto range = tree::RangeOf(place->value_type, {BytesOf(bounds.from), BytesOf(bounds.until),
                                                   BytesOf(bounds.prefix), BytesOf(bounds.equals)});
    if (!range) return Public(range.code());
    Scan scan = this->scan(table, {ToText(range->from), ToText(range->until)}, direction);
    scan.index_ = std::make_shared<const inside::Index>(inside::Index{*place});
    scan.done_ = range->empty;
    return scan;
  });
}

Result<Scan> Table::scan_index(std::string_view index, const IndexBounds& bounds, Direction direction) const {
  Status there = state_->With([&](runtime::Engine& engine) -> Status {
    return Public(state_->StillThere(engine, name_, inside::IdOf(id_)));
  });
  if (!there) return there;
  auto pinned = inside::Pin(state_);
  if (!pinned) return pinned.status();
  Snapshot snapshot;
  snapshot.pinned_ = std::move(*pinned);
  snapshot.index_ = snapshot.pinned_->index;
  return snapshot.scan_index(*this, index, bounds, direction);
}

Result<std::optional<std::string>> Table::get(std::string_view key) const {
  return state_->With([&](runtime::Engine& engine) -> Result<std::optional<std::string>> {
    const TableId id = inside::IdOf(id_);
    if (auto there = state_->StillThere(engine, name_, id); !there) return Public(there);
    if (auto now = engine.GetNow(id, AsBytes(key), {})) return inside::ValueOf(std::move(*now));
    return inside::ValueOf(engine.Get(id, AsBytes(key), {}, inside::kReadMs));
  });
}

Result<Scan> Table::scan(Bounds bounds, Direction direction) const {
  Status there = state_->With([&](runtime::Engine& engine) -> Status {
    return Public(state_->StillThere(engine, name_, inside::IdOf(id_)));
  });
  if (!there) return there;
  auto pinned = inside::Pin(state_);
  if (!pinned) return pinned.status();
  Snapshot snapshot;
  snapshot.pinned_ = std::move(*pinned);
  return snapshot.scan(*this, std::move(bounds), direction);
}

Result<Snapshot> Store::snapshot() {
  auto pinned = inside::Pin(state_);
  if (!pinned) return pinned.status();
  Snapshot snapshot;
  snapshot.index_ = (*pinned)->index;
  snapshot.pinned_ = std::move(*pinned);
  return snapshot;
}

}  // namespace embedded
}  // namespace holdfast
