#include "core/store/shared_counts.h"

#include <algorithm>

namespace holdfast::store {
namespace {

constexpr size_t kCountsPerJob = 256;  // one look-up or two each: so that all workers are busy to the end

// One for each address, without those that gained as many rows as they lost.
void Net(std::vector<SharedDelta>& deltas) {
  std::sort(deltas.begin(), deltas.end(),
            [](const SharedDelta& a, const SharedDelta& b) { return a.address < b.address; });
  size_t kept = 0;
  for (size_t i = 0; i < deltas.size();) {
    SharedDelta sum = deltas[i];
    for (++i; i < deltas.size() && deltas[i].address == sum.address; ++i) {
      sum.rows += deltas[i].rows;
      if (deltas[i].rows > 0) sum.value = deltas[i].value;
    }
    if (sum.rows != 0) deltas[kept++] = sum;
  }
  deltas.resize(kept);
}

// Two places for each value: of its own row, then of its count's.
class ValuesChanges : public tree::ChangeSource {
 public:
  ValuesChanges(std::span<const SharedCount> counts, ByteView from, std::optional<ByteView> until)
      : counts_(counts), at_(PlaceOf(from)), end_(until ? PlaceOf(*until) : 2 * counts.size()) {}

  std::optional<Change> Next() override {
    while (at_ < end_) {
      const SharedCount& c = counts_[at_ / 2];
      const bool counts = at_++ % 2 == 1;
      if (!counts && (c.before == 0) != (c.after == 0)) return Change{c.address, c.value, c.after == 0};
      if (!counts || (c.before < 2 && c.after < 2)) continue;
      key_ = tree::SharedCountKey(c.address);
      value_ = c.after > 1 ? tree::EncodeSharedCount(c.after) : Bytes();
      return Change{key_, value_, c.after < 2};
    }
    return std::nullopt;
  }
  void SkipTo(ByteView key) override { at_ = std::max(at_, PlaceOf(key)); }
  void SkipAll() override { at_ = end_; }

 private:
  // The first place whose key is at or above this one.
  size_t PlaceOf(ByteView key) const {
    auto it = std::partition_point(counts_.begin(), counts_.end(), [&](const SharedCount& c) {
      return Compare(tree::SharedCountKey(c.address), key) < 0;
    });
    const size_t place = 2 * static_cast<size_t>(it - counts_.begin());
    return it != counts_.end() && Compare(it->address, key) < 0 ? place + 1 : place;
  }
  const std::span<const SharedCount> counts_;
  size_t at_;
  const size_t end_;
  Bytes key_, value_;
};

}  // namespace

Result<std::vector<SharedCount>> SumShared(std::vector<SharedDelta> deltas, const tree::Root& values,
                                           Workers& workers,
                                           const std::function<NodeAccess&(size_t worker)>& nodes) {
  Net(deltas);
  std::vector<SharedCount> counts(deltas.size());
  std::vector<Status> done((deltas.size() + kCountsPerJob - 1) / kCountsPerJob);
  auto count = [&](NodeAccess& reads, size_t i) -> Status {
    const SharedDelta& d = deltas[i];
    HF_TRY(uint64_t before, Drive(reads, [&] { return tree::SharedCountOf(values, d.address, reads); }));
    if (d.rows < 0 && static_cast<uint64_t>(-d.rows) > before) return Code::kMalformed;
    counts[i] = {d.address, before, before + static_cast<uint64_t>(d.rows), d.value};
    return Ok();
  };
  workers.Run(done.size(), [&](size_t worker, size_t job) {
    const size_t end = std::min(deltas.size(), (job + 1) * kCountsPerJob);
    for (size_t i = job * kCountsPerJob; i < end && done[job]; ++i) done[job] = count(nodes(worker), i);
  });
  for (Status& s : done) HF_TRY_VOID(std::move(s));
  return counts;
}

std::unique_ptr<tree::ChangeSource> ChangesOfValues(std::span<const SharedCount> counts, ByteView from,
                                                    std::optional<ByteView> until) {
  return std::make_unique<ValuesChanges>(counts, from, until);
}

tree::Root SharedRootOf(const Tables& tables, const Table& table) {
  if (!table.descriptor.values_in) return {};
  auto it = tables.find(*table.descriptor.values_in);
  return it == tables.end() ? tree::Root{} : it->second.root;
}

}  // namespace holdfast::store
