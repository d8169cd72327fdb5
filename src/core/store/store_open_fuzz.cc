// A whole store, bent by a host: its objects changed, cut, moved, put back from older days, hidden, invented,
// and read differently the second time. Opening, verifying or restoring it ends in an error or in a state
// that was once acknowledged; with an anchor in a state not older than the anchor; and verify finds what
// opening would.
//
//   input   mode 1: 1 files that are appended to, 2 with the anchor, 4 --discard-tail, 8 closed cleanly,
//           16 verify, 32 restore
//           then edits of six bytes: operation 1 | object 1 | place 2 | value 2
#include <set>

#include "base/check.h"
#include "base/codec.h"
#include "core/store/hostile_storage_internal.h"
#include "core/store/opener.h"
#include "core/store/verify.h"

namespace holdfast::store {
namespace {

constexpr std::string_view kPassphrase = "correct horse";
constexpr uint8_t kAppend = 1, kAnchored = 2, kDiscardTail = 4, kClosed = 8, kVerify = 16, kRestore = 32;
constexpr size_t kEditsMax = 24;
constexpr uint64_t kObjectBytesMax = 1u << 18;  // a fuzzer that grows objects finds nothing more

using Rows = std::map<std::string, std::string>;

OpenOptions SmallStore(bool discard_tail) {
  OpenOptions o{.discard_tail = discard_tail, .cache_bytes = 1u << 20, .journal_file_bytes = 8u << 10};
  o.placement.segment_bytes = 2u << 10;
  o.placement.garbage_slack_bytes = 2u << 10;
  return o;
}

Result<Rows> ReadRows(HostileStorage& disk, const State& state) {
  NodeCache cache(1u << 20);
  VersionNodes nodes(disk, state.CurrentView().base, cache);
  Rows rows;
  View view = state.CurrentView();
  for (const auto& [id, table] : state.tables()) {
    if (IsSystemTable(id)) continue;
    tree::MergedCursor cursor = view.Scan(id);
    for (;;) {
      HF_TRY(auto row, Drive(nodes, [&] { return cursor.Next(nodes); }));
      if (!row) break;
      HF_TRY(Bytes value, RowValue(view, id, *row, nodes));
      rows[table.descriptor.name + "/" + ToText(row->key)] = ToText(value);
    }
  }
  return rows;
}

// A store with a history: tables, saves, a part that is in the journal alone.
struct World {
  World(bool append, bool closed) : disk(append) {
    crypto::SeededRandom random(1);
    InitResult made = InitStore(disk, random.NewId<StoreId>(), AsBytes(kPassphrase), Cheap(), random).value();
    Image();
    HF_CHECK(anchor.Put(kAnchorName, made.encoded_anchor).has_value());
    std::unique_ptr<OpenedStore> s = Open(random);
    Remember(*s);
    tree::Descriptor descriptor;
    descriptor.name = "t";
    descriptor.leaf_rows_max = descriptor.inner_children_max = limits::kOrderMin;
    table = random.NewId<TableId>();
    kernel::CreateTable create{table, Epoch(1), random.NewKey(), descriptor.Encode()};
    Append(*s, {journal::EntryKind::kCreateTable, Term(), kernel::Encode(create)}, random);
    for (int round = 0; round < 4; ++round) {
      Append(*s, Batch(round), random);
      if (round == 3) continue;
      Append(*s, {journal::EntryKind::kSavePoint, Term(), kernel::Encode(kernel::SavePoint{})}, random);
      Image();
    }
    if (closed) {
      NodeCache cache(1u << 20);
      HF_CHECK(CloseInline(disk, &anchor, *s, cache, random).has_value());
      Remember(*s);
    }
    Image();
    seal::Anchor a = seal::Anchor::Decode(s->secrets.keys.anchor, s->secrets.store,
                                          anchor.objects.find(kAnchorName)->second)
                         .value();
    anchor_index = a.index;
  }

  static InitOptions Cheap() { return {{limits::kArgonMemoryKiBMin, 1}, {{"client/x", ToBytes("row")}}}; }
  std::unique_ptr<OpenedStore> Open(crypto::Random& random) {
    return OpenStore(disk, &anchor, AsBytes(kPassphrase), SmallStore(false), random, nullptr).value();
  }
  journal::Entry Batch(int round) const {
    kernel::Batch batch;
    for (int i = 0; i < 6; ++i) {
      // Inline, as one chunk, and as a list of chunks.
      size_t bytes = i == 5 && round == 1 ? limits::kBlobChunkBytes + 10 : i == 4 ? 400 : 20;
      batch.operations.push_back({kernel::OperationKind::kPut,
                                  table,
                                  ToBytes("key" + std::to_string((round * 3 + i) % 9)),
                                  Bytes(bytes, static_cast<uint8_t>(round * 16 + i)),
                                  {}});
    }
    return {journal::EntryKind::kBatch, Term(), kernel::Encode(batch)};
  }
  void Append(OpenedStore& s, const journal::Entry& entry, crypto::Random& random) {
    NodeCache cache(1u << 20);
    HF_CHECK(AppendInline(disk, &anchor, s, journal::FrameKind::kWave, {entry}, cache, random).has_value());
    Remember(s);
  }
  void Remember(OpenedStore& s) { history[s.state->position().index] = ReadRows(disk, *s.state).value(); }
  void Image() { images.push_back(disk.objects); }

  HostileStorage disk;
  HostileStorage anchor{false};
  TableId table;
  std::vector<HostileImage> images;  // ascending in time
  std::map<LogIndex, Rows> history;
  LogIndex anchor_index;
};

World& WorldOf(uint8_t mode) {
  static World* worlds[4] = {};
  World*& w = worlds[(mode & kAppend) | ((mode & kClosed) != 0 ? 2 : 0)];
  if (w == nullptr) w = new World((mode & kAppend) != 0, (mode & kClosed) != 0);
  return *w;
}

// One thing a host can do without keys.
class Attack {
 public:
  Attack(HostileStorage& disk, const World& world) : disk_(disk), world_(world) {}

  void Do(uint8_t operation, uint8_t object, uint16_t place, uint16_t value) {
    if (disk_.objects.empty()) return;
    auto it = std::next(disk_.objects.begin(), object % static_cast<ptrdiff_t>(disk_.objects.size()));
    const std::string name = it->first;
    switch (operation % 12) {
      case 0:
        return Set(it->second, place, value);
      case 1:
        return it->second.resize(it->second.empty() ? 0 : place % it->second.size());
      case 2:
        return it->second.resize(std::min<uint64_t>(it->second.size() + place, kObjectBytesMax),
                                 static_cast<uint8_t>(value));
      case 3:
        return FillSector(it->second, place, static_cast<uint8_t>(value));
      case 4:
        return (void)disk_.objects.erase(it);
      case 5:
        return PutBack(name, value);
      case 6:
        return (void)(disk_.objects[NameNear(name, place, value)] = Bytes(it->second));
      case 7: {
        auto other = std::next(disk_.objects.begin(), value % static_cast<ptrdiff_t>(disk_.objects.size()));
        return it->second.swap(other->second);
      }
      case 8:
        return (void)(disk_.listing_lies[name] = std::nullopt);
      case 9:
        return (void)(disk_.listing_lies[NameNear(name, place, value)] = SizeOf(place));
      case 10:
        return (void)(disk_.read_lies[place % 512] = {static_cast<uint8_t>(value >> 8),
                                                      static_cast<uint8_t>(value)});
      case 11:
        disk_.stubborn_listing = true;
        return;
    }
  }

 private:
  static void Set(Bytes& b, uint16_t place, uint16_t value) {
    if (b.empty()) return;
    // The high byte says from which end.
    size_t at = place % b.size();
    b[(value >> 8) % 2 == 0 ? at : b.size() - 1 - at] = static_cast<uint8_t>(value);
  }
  static void FillSector(Bytes& b, uint16_t place, uint8_t value) {
    if (b.empty()) return;
    size_t at = place % b.size() / limits::kSectorBytes * limits::kSectorBytes;
    std::fill_n(b.begin() + static_cast<ptrdiff_t>(at), std::min(limits::kSectorBytes, b.size() - at), value);
  }
  void PutBack(const std::string& name, uint16_t value) {
    const HostileImage& old = world_.images[value % world_.images.size()];
    if (value >= 0x8000) {
      disk_.objects = old;  // everything
      return;
    }
    auto it = old.find(name);
    if (it == old.end()) {
      disk_.objects.erase(name);
    } else {
      disk_.objects[name] = it->second;
    }
  }
  // The name with a character changed, cut, or with the number at its end replaced by an extreme one.
  static std::string NameNear(std::string name, uint16_t place, uint16_t value) {
    static constexpr std::string_view kNumbers[] = {"18446744073709551615", "18446744073709551614",
                                                    "09223372036854775807", "00000000000000000000",
                                                    "99999999999999999999", "00000000000000000099"};
    if (value % 3 == 0 && name.size() > 20) {
      return name.substr(0, name.size() - 20) + std::string(kNumbers[place % std::size(kNumbers)]);
    }
    if (value % 3 == 1 || name.empty()) return name.substr(0, place % (name.size() + 1));
    name[place % name.size()] = static_cast<char>(value >> 8);
    return name;
  }
  static uint64_t SizeOf(uint16_t place) {
    return place % 4 == 0 ? UINT64_MAX : place % 4 == 1 ? 0 : uint64_t{place} << (place % 5 * 4);
  }
  HostileStorage& disk_;
  const World& world_;
};

void CheckState(HostileStorage& disk, const World& world, const State& state, bool anchored) {
  Result<Rows> rows = ReadRows(disk, state);
  if (!rows) {
    HF_CHECK(rows.code() != Code::kInternal);
    return;
  }
  bool known = false;
  for (const auto& [index, then] : world.history) {
    if (anchored && index < world.anchor_index) continue;
    known = known || then == *rows;
  }
  HF_CHECK(known);
}

void Open(HostileStorage& disk, HostileStorage* anchor, const World& world, uint8_t mode) {
  crypto::SeededRandom random(2);
  std::vector<Finding> findings;
  auto s = OpenStore(disk, anchor, AsBytes(kPassphrase), SmallStore((mode & kDiscardTail) != 0), random,
                     &findings);
  for (const Finding& f : findings) HF_CHECK(!f.Line().empty());
  if (!s) {
    HF_CHECK(s.code() != Code::kInternal && s.code() != Code::kWrongPassphrase);
    return;
  }
  CheckState(disk, world, *(*s)->state, anchor != nullptr);
  // It goes on: what it writes now is there when it is opened again.
  NodeCache cache(1u << 20);
  std::vector<Outcome> outcomes;
  journal::Entry save{journal::EntryKind::kSavePoint, Term(), kernel::Encode(kernel::SavePoint{})};
  Status more = AppendInline(disk, anchor, **s, journal::FrameKind::kWave, {world.Batch(7), save}, cache,
                             random, &outcomes);
  if (!more || disk.lies()) return;
  HF_CHECK(CloseInline(disk, anchor, **s, cache, random).has_value());
  Result<Rows> rows = ReadRows(disk, *(*s)->state);
  auto again = OpenStore(disk, anchor, AsBytes(kPassphrase), SmallStore(false), random, nullptr);
  HF_CHECK(again.has_value());
  Result<Rows> same = ReadRows(disk, *(*again)->state);
  HF_CHECK(rows.has_value() == same.has_value() && (!rows || *rows == *same));
}

VerifyOptions Options(HostileStorage* anchor, uint8_t mode) {
  VerifyOptions o;
  if (anchor != nullptr) o.anchor = anchor->objects.find(kAnchorName)->second;
  o.discard_tail = (mode & kDiscardTail) != 0;
  return o;
}

void Verify(HostileStorage& disk, HostileStorage* anchor, const World& world, uint8_t mode) {
  Result<VerifyReport> report = VerifyStore(disk, AsBytes(kPassphrase), Options(anchor, mode));
  if (!report) {
    HF_CHECK(report.code() != Code::kInternal);
    return;
  }
  for (const Finding& f : report->findings) HF_CHECK(!f.Line().empty());
  HF_CHECK(report->freshness.proven == false || anchor != nullptr);
  if (report->verdict || disk.lies()) return;
  // Clean: then it opens, and everything in it can be read.
  crypto::SeededRandom random(3);
  auto s =
      OpenStore(disk, anchor, AsBytes(kPassphrase), SmallStore((mode & kDiscardTail) != 0), random, nullptr);
  HF_CHECK(s.has_value());
  HF_CHECK(ReadRows(disk, *(*s)->state).has_value());
  CheckState(disk, world, *(*s)->state, anchor != nullptr);
}

void Restore(HostileStorage& disk, HostileStorage* anchor, const World& world, uint8_t mode) {
  HostileStorage copy((mode & kAppend) == 0);  // into the other kind
  Result<VerifyReport> report = RestoreStore(disk, copy, AsBytes(kPassphrase), Options(anchor, mode));
  if (!report || report->verdict) return;
  crypto::SeededRandom random(4);
  auto s = OpenStore(copy, anchor, AsBytes(kPassphrase), SmallStore(false), random, nullptr);
  HF_CHECK(s.has_value());
  HF_CHECK(ReadRows(copy, *(*s)->state).has_value());
  CheckState(copy, world, *(*s)->state, anchor != nullptr);
}

void Run(ByteView in) {
  Reader r(in);
  const uint8_t mode = r.U8();
  const World& world = WorldOf(mode);
  HostileStorage disk((mode & kAppend) != 0), anchor(false);
  disk.objects = world.images.back();
  anchor.objects = world.anchor.objects;
  Attack attack(disk, world);
  for (size_t i = 0; i < kEditsMax && r.remaining() >= 6; ++i) {
    uint8_t operation = r.U8(), object = r.U8();
    uint16_t place = r.U16();
    attack.Do(operation, object, place, r.U16());
  }
  HostileStorage* a = (mode & kAnchored) != 0 ? &anchor : nullptr;
  if ((mode & kRestore) != 0) return Restore(disk, a, world, mode);
  if ((mode & kVerify) != 0) return Verify(disk, a, world, mode);
  Open(disk, a, world, mode);
}

}  // namespace
}  // namespace holdfast::store

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  holdfast::store::Run({data, size});
  return 0;
}
