#include "core/store/verify_shared.h"

#include <algorithm>

#include "core/store/shared_counts.h"

namespace holdfast::store {
namespace {

using tree::Address;

// Rows that refer to a value and agree on its length.
struct Met {
  Address address{};
  uint64_t length = 0, rows = 0;
  bool Is(const Met& o) const { return address == o.address && length == o.length; }
  friend bool operator<(const Met& a, const Met& b) {
    return a.address != b.address ? a.address < b.address : a.length < b.length;
  }
};

// The lowest addresses above a bound, as many as there is room for.
class Meeting {
 public:
  Meeting(const std::optional<Address>& above, size_t max) : above_(above), max_(std::max<size_t>(max, 2)) {}
  void Add(const Address& address, uint64_t length) {
    if ((above_ && address <= *above_) || (last_ && address > *last_)) return;
    met_.push_back({address, length, 1});
    if (met_.size() >= 2 * max_) Shrink();
  }
  void Finish() { Shrink(); }
  const std::vector<Met>& met() const { return met_; }
  const std::optional<Address>& last() const { return last_; }  // nothing: there are no more

 private:
  void Shrink() {
    std::sort(met_.begin(), met_.end());
    size_t kept = 0;
    for (size_t i = 0; i < met_.size(); ++i) {
      if (kept > 0 && met_[kept - 1].Is(met_[i])) {
        met_[kept - 1].rows += met_[i].rows;
      } else {
        met_[kept++] = met_[i];
      }
    }
    met_.resize(kept);
    if (kept <= max_) return;
    last_ = met_[max_ - 1].address;
    std::erase_if(met_, [&](const Met& m) { return m.address > *last_; });
  }
  const std::optional<Address> above_;
  const size_t max_;
  std::optional<Address> last_;
  std::vector<Met> met_;
};

class Recount {
 public:
  Recount(const tree::Root& rows, const tree::Root& values, NodeAccess& nodes, size_t max)
      : rows_(rows), values_(values), nodes_(nodes), max_(max) {}

  Result<std::vector<SharedFault>> Run() {
    std::optional<Address> above;
    do {
      Meeting meeting(above, max_);
      HF_TRY_VOID(Collect(meeting));
      meeting.Finish();
      HF_TRY_VOID(CompareWith(meeting, above));
      above = meeting.last();
    } while (above && faults_.size() <= kSharedFaultsMax);
    return std::move(faults_);
  }

 private:
  Status Collect(Meeting& meeting) {
    if (rows_.empty) return Ok();
    tree::Cursor cursor(rows_);
    HF_TRY(bool any, Drive(nodes_, [&] { return cursor.SeekTo({}, nodes_); }));
    static_cast<void>(any);
    for (;;) {
      HF_TRY(auto row, Drive(nodes_, [&] { return cursor.Next(nodes_); }));
      if (!row) return Ok();
      if (row->value.is_shared) meeting.Add(row->value.blob.address, row->value.length);
    }
  }

  // What the table of values has above `above` and up to the last that was met.
  Status CompareWith(const Meeting& meeting, const std::optional<Address>& above) {
    auto met = meeting.met().begin();
    const auto end = meeting.met().end();
    HF_TRY_VOID(ForEachValue(above, meeting.last(), [&](const Met& stored) {
      for (; met != end && met->address < stored.address; ++met) Missing(*met);
      if (met == end || met->address != stored.address) {
        Say(SharedFault::Kind::kExtra, stored.address, "no row refers to it");
      } else if (met->length != stored.length) {
        Say(SharedFault::Kind::kCount, stored.address,
            "has " + std::to_string(stored.length) + " bytes, a row says " + std::to_string(met->length));
      } else if (met->rows != stored.rows) {
        Say(SharedFault::Kind::kCount, stored.address,
            std::to_string(met->rows) + " rows refer to it, counted are " + std::to_string(stored.rows));
      }
      if (met != end && met->address == stored.address) ++met;
    }));
    for (; met != end; ++met) Missing(*met);
    return Ok();
  }

  template <typename Take>
  Status ForEachValue(const std::optional<Address>& above, const std::optional<Address>& last, Take take) {
    if (values_.empty) return Ok();
    tree::Cursor cursor(values_);
    HF_TRY(bool any,
           Drive(nodes_, [&] { return cursor.SeekTo(above ? ByteView(*above) : ByteView(), nodes_); }));
    static_cast<void>(any);
    std::optional<Met> open;  // its count may follow
    for (;;) {
      HF_TRY(auto row, Drive(nodes_, [&] { return cursor.Next(nodes_); }));
      std::optional<tree::SharedRow> read;
      if (row) {
        auto known = tree::ReadSharedRow(row->key, row->value);
        if (!known) {
          Say(SharedFault::Kind::kExtra, "a row of shared values is neither value nor count");
          continue;
        }
        if (above && known->address <= *above) continue;
        read = *known;
      }
      if (read && read->count && open && open->address == read->address) {
        open->rows = *read->count;
        continue;
      }
      if (open) take(*open);
      open.reset();
      if (!read || (last && read->address > *last) || faults_.size() > kSharedFaultsMax) return Ok();
      if (read->count) {
        Say(SharedFault::Kind::kExtra, read->address, "is counted and not there");
      } else {
        open = Met{read->address, row->value.length, 1};
      }
    }
  }

  void Missing(const Met& met) {
    Say(SharedFault::Kind::kMissing, met.address, std::to_string(met.rows) + " rows refer to it");
  }
  void Say(SharedFault::Kind kind, const Address& address, const std::string& what) {
    Say(kind, "shared value " + HexUpper(ByteView(address).subspan(1, 8)) + "…: " + what);
  }
  void Say(SharedFault::Kind kind, std::string text) {
    if (faults_.size() > kSharedFaultsMax) return;
    if (faults_.size() == kSharedFaultsMax) text = "more shared values are wrong";
    faults_.push_back({kind, std::move(text)});
  }

  const tree::Root& rows_;
  const tree::Root& values_;
  NodeAccess& nodes_;
  const size_t max_;
  std::vector<SharedFault> faults_;
};

}  // namespace

Result<std::vector<SharedFault>> RecountShared(const Tables& tables, const Table& table, NodeAccess& nodes,
                                               size_t addresses_max) {
  auto values = tables.find(*table.descriptor.values_in);
  if (values == tables.end()) {
    return std::vector<SharedFault>{{SharedFault::Kind::kMissing, "the table of its shared values"}};
  }
  return Recount(table.root, values->second.root, nodes, addresses_max).Run();
}

}  // namespace holdfast::store
