// Entries of a log with payloads of any bytes, as a later version or a faulty writer could have sealed them:
// each is applied or refused, none ends the program, and who replays the log comes to the same state, which
// verifies.
//
//   input   entries: kind 1 | 128 and above: in a frame with the one before | length 2 | payload
#include "base/check.h"
#include "base/codec.h"
#include "core/store/hostile_storage_internal.h"
#include "core/store/opener.h"
#include "core/store/verify.h"

namespace holdfast::store {
namespace {

constexpr std::string_view kPassphrase = "correct horse";
constexpr size_t kEntriesMax = 40;

using Rows = std::map<std::pair<TableId, Bytes>, Bytes>;

OpenOptions SmallStore() {
  OpenOptions o{.cache_bytes = 1u << 20, .journal_file_bytes = 16u << 10};
  o.placement.segment_bytes = 4u << 10;
  return o;
}

// An initialised store, made once.
struct World {
  World() : disk(true), anchor(false) {
    crypto::SeededRandom random(1);
    InitOptions options{{limits::kArgonMemoryKiBMin, 1}, {}};
    InitResult made = InitStore(disk, random.NewId<StoreId>(), AsBytes(kPassphrase), options, random).value();
    HF_CHECK(anchor.Put(kAnchorName, made.encoded_anchor).has_value());
  }
  HostileStorage disk, anchor;
};

struct Whole {
  Rows rows;
  std::vector<Bytes> descriptors;
  std::vector<std::pair<std::string, LogIndex>> tags;
  LogIndex index;
  friend bool operator==(const Whole&, const Whole&) = default;
};

// All tables, those of the system too.
Whole Everything(HostileStorage& disk, const State& state) {
  NodeCache cache(1u << 20);
  VersionNodes nodes(disk, state.CurrentView().base, cache);
  Whole all;
  View view = state.CurrentView();
  for (const auto& [id, table] : state.tables()) {
    all.descriptors.push_back(table.descriptor.Encode());
    if (id == kHeadsTable) continue;  // gets a row with each opening
    tree::MergedCursor cursor = view.Scan(id);
    for (;;) {
      auto row = Drive(nodes, [&] { return cursor.Next(nodes); }).value();
      if (!row) break;
      all.rows[{id, row->key}] = RowValue(view, id, *row, nodes).value();
    }
  }
  for (const auto& [name, tag] : state.tags()) all.tags.push_back({name, tag.index});
  all.index = state.position().index;
  return all;
}

std::vector<std::vector<journal::Entry>> FramesOf(ByteView in) {
  std::vector<std::vector<journal::Entry>> frames;
  Reader r(in);
  for (size_t i = 0; i < kEntriesMax && r.remaining() >= 3; ++i) {
    uint8_t kind = r.U8();
    ByteView payload = r.Raw(std::min<size_t>(r.U16(), r.remaining()));
    auto entry_kind = static_cast<journal::EntryKind>(1 + kind % 128 % 10);
    if (kind < 128 || frames.empty()) frames.emplace_back();
    frames.back().push_back({entry_kind, Term(), ToBytes(payload)});
  }
  return frames;
}

void Run(ByteView in) {
  static World& world = *new World();
  HostileStorage disk = world.disk, anchor = world.anchor;
  crypto::SeededRandom random(2);
  NodeCache cache(1u << 20);
  auto s = OpenStore(disk, &anchor, AsBytes(kPassphrase), SmallStore(), random, nullptr).value();
  for (const auto& frame : FramesOf(in)) {
    std::vector<Outcome> outcomes;
    Status done = AppendInline(disk, &anchor, *s, journal::FrameKind::kWave, frame, cache, random, &outcomes);
    HF_CHECK(done.has_value() && outcomes.size() == frame.size());
  }
  Whole before = Everything(disk, *s->state);
  s.reset();  // as a crash leaves it
  auto again = OpenStore(disk, &anchor, AsBytes(kPassphrase), SmallStore(), random, nullptr).value();
  Whole after = Everything(disk, *again->state);
  HF_CHECK(after.index == before.index.next());  // the opening's own entry
  after.index = before.index;
  HF_CHECK(before == after);
  again.reset();
  VerifyOptions options;
  options.anchor = anchor.objects.find(kAnchorName)->second;
  VerifyReport report = VerifyStore(disk, AsBytes(kPassphrase), options).value();
  HF_CHECK(!report.verdict && report.freshness.proven);
}

}  // namespace
}  // namespace holdfast::store

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  holdfast::store::Run({data, size});
  return 0;
}
