// Random operations on tables of every shape against std::map, over saves, restarts and held snapshots. What
// fails is cut down to the operations that make it fail. Longer: HF_MODEL_OPS=5000 HF_MODEL_SEED=100, which
// is added to each seed.
#include <gtest/gtest.h>

#include <cstdlib>
#include <future>
#include <map>

#include "core/runtime/core.h"
#include "core/runtime/engine.h"
#include "host/kv/memory.h"

namespace holdfast::runtime {
namespace {

using Model = std::map<std::string, std::string>;
constexpr size_t kTables = 4;

struct Shape {
  tree::Descriptor tables[kTables];
  size_t cache_bytes, fold_workers, segment_bytes;
  uint64_t dirty_bytes_save;
};

enum class Act : uint8_t {
  kPut,
  kErase,
  kEraseRange,
  kBatch,
  kCompare,
  kGet,
  kScan,
  kScanBack,
  kSnapshot,
  kCheckSnapshot,
  kDropSnapshot,
  kSave,
  kReopen,
};
constexpr const char* kNames[] = {"put",     "erase", "erase-range", "batch",    "compare",
                                  "get",     "scan",  "scan-back",   "snapshot", "check-snapshot",
                                  "drop-it", "save",  "reopen"};

struct Op {
  Act act{};
  size_t table = 0;
  std::string key, value, end;
  uint64_t pick = 0;  // of a batch, a compare, a snapshot
};

std::string Text(crypto::SeededRandom& random, size_t bytes) {
  std::string s(bytes, 0);
  random.Fill({reinterpret_cast<uint8_t*>(s.data()), s.size()});
  return s;
}

// From a small space, so that operations meet; long ones and such that begin like others among them.
std::string KeyOf(crypto::SeededRandom& random) {
  uint64_t n = random.Below(400);
  std::string key = "k" + std::to_string(n * 7919 % 400);
  if (n % 11 == 0) key.append(1 + n * 31 % 1000, static_cast<char>(n));
  if (n % 17 == 0) key = std::string(1, static_cast<char>(n));
  return key.substr(0, limits::kKeyBytesMax);
}

std::string ValueOf(crypto::SeededRandom& random, bool largest) {
  if (largest) return Text(random, limits::kValueBytesMax - 2048);
  switch (random.Below(24)) {
    case 0:
      return Text(random, random.Below(200'000));
    case 1:
      return Text(random, 60'000 + random.Below(10'000));
    case 2:
      return {};
    case 3:
    case 4:
    case 5: {  // one of few, so that equal ones meet
      crypto::SeededRandom same(random.Below(5));
      return Text(same, 250 + same.Below(80'000));
    }
    default:
      return Text(random, random.Below(260));
  }
}

Shape ShapeOf(crypto::SeededRandom& random) {
  Shape s;
  for (size_t t = 0; t < kTables; ++t) {
    tree::Descriptor& d = s.tables[t];
    d.name = "t" + std::to_string(t);
    d.inline_values = random.Below(3) != 0;
    d.leaf_rows_max = static_cast<uint16_t>(4 + random.Below(t == 0 ? 4 : 253));
    d.inner_children_max = static_cast<uint16_t>(4 + random.Below(t == 0 ? 4 : 253));
    if (t == 1) d.values_in.emplace();
    if (t == kTables - 1) {
      d = {};
      d.name = "patricia";
      d.layout = tree::Layout::kPatricia;
      d.leaf_rows_max = static_cast<uint16_t>(4 + random.Below(tree::kPatriciaLeafRowsMax - 3));
      d.inner_children_max = tree::kPatriciaChildrenMax;
    }
  }
  s.cache_bytes = random.Below(3) == 0 ? 1 : 1u << (14 + random.Below(9));
  s.fold_workers = 1 + random.Below(3);
  s.segment_bytes = 4096u << random.Below(6);
  s.dirty_bytes_save = 10'000 + random.Below(400'000);
  return s;
}

std::vector<Op> OpsOf(crypto::SeededRandom& random, size_t n, bool with_largest) {
  std::vector<Op> ops;
  for (size_t i = 0; i < n; ++i) {
    Op op;
    uint64_t dice = random.Below(100);
    op.act = dice < 34   ? Act::kPut
             : dice < 44 ? Act::kErase
             : dice < 46 ? Act::kEraseRange
             : dice < 56 ? Act::kBatch
             : dice < 62 ? Act::kCompare
             : dice < 74 ? Act::kGet
             : dice < 79 ? Act::kScan
             : dice < 84 ? Act::kScanBack
             : dice < 88 ? Act::kSnapshot
             : dice < 92 ? Act::kCheckSnapshot
             : dice < 94 ? Act::kDropSnapshot
             : dice < 98 ? Act::kSave
                         : Act::kReopen;
    op.table = random.Below(kTables);
    op.key = KeyOf(random);
    op.end = KeyOf(random);
    if (op.end < op.key) std::swap(op.key, op.end);
    op.value = ValueOf(random, with_largest && i == n / 2);
    if (with_largest && i == n / 2) op.act = Act::kPut;
    op.pick = random.Next();
    ops.push_back(std::move(op));
  }
  return ops;
}

class Run {
 public:
  explicit Run(const Shape& shape) : shape_(shape) {
    store::InitOptions init;
    init.argon = {8, 1};
    auto made = store::InitStore(disk_, random_.NewId<StoreId>(), AsBytes("p"), init, random_);
    HF_CHECK(made.has_value());
    Open();
    for (size_t t = 0; t < kTables; ++t) {
      Wait([&](session::WriteDone done) { engine_->CreateTable(shape_.tables[t], std::move(done)); });
      ids_[t] = engine_->FindTable(shape_.tables[t].name).value();
    }
  }
  ~Run() { Close(); }

  // What went wrong with it; empty: nothing.
  std::string Do(const Op& op) {
    switch (op.act) {
      case Act::kPut:
        return Write(op,
                     {{kernel::OperationKind::kPut, ids_[op.table], ToBytes(op.key), ToBytes(op.value), {}}});
      case Act::kErase:
        return Write(op, {{kernel::OperationKind::kDelete, ids_[op.table], ToBytes(op.key), {}, {}}});
      case Act::kEraseRange:
        if (op.key == op.end) return {};
        return Write(
            op,
            {{kernel::OperationKind::kDeleteRange, ids_[op.table], ToBytes(op.key), {}, ToBytes(op.end)}});
      case Act::kBatch:
        return Batch(op);
      case Act::kCompare:
        return Compare(op);
      case Act::kGet:
        return Get(op);
      case Act::kScan:
      case Act::kScanBack:
        return ScanNow(op);
      case Act::kSnapshot:
        return Hold();
      case Act::kCheckSnapshot:
        return CheckHeld(op);
      case Act::kDropSnapshot:
        if (!held_.empty()) held_.erase(held_.begin() + static_cast<ptrdiff_t>(op.pick % held_.size()));
        return {};
      case Act::kSave: {
        auto r = Wait([&](session::WriteDone done) { engine_->SaveState(std::move(done)); });
        return r.status ? "" : "save: " + std::string(CodeName(r.status.code()));
      }
      case Act::kReopen:
        Close();
        Open();
        return {};
    }
    return {};
  }
  std::string CheckAll() {
    for (size_t t = 0; t < kTables; ++t) {
      Op all;
      all.table = t;
      all.act = Act::kScan;
      if (std::string why = ScanNow(all); !why.empty()) return why;
    }
    Status sound = engine_->Verify({}, [](const std::string&) {});
    return sound ? "" : "verify: " + std::string(CodeName(sound.code()));
  }

 private:
  struct Held {
    std::unique_ptr<session::Snapshot> snapshot;
    std::array<Model, kTables> models;
  };

  void Open() {
    store::OpenOptions options;
    options.placement.segment_bytes = shape_.segment_bytes;
    options.placement.garbage_slack_bytes = 4 * shape_.segment_bytes;
    options.placement.segments_slack = 8;
    options.placement.rows_for_workers = 1;
    auto opened = store::OpenStore(disk_, nullptr, AsBytes("p"), options, random_, nullptr);
    HF_CHECK(opened.has_value());
    kernel::Options kernel;
    kernel.dirty_bytes_save = shape_.dirty_bytes_save;
    engine_ = std::make_unique<Engine>(disk_, nullptr, std::move(opened).value(),
                                       EngineOptions{kernel, shape_.cache_bytes, shape_.fold_workers},
                                       random_, [](Code, uint64_t, uint64_t) {});
    engine_->Start();
  }
  void Close() {
    held_.clear();
    if (engine_ != nullptr) (void)engine_->Stop();
    engine_.reset();
  }
  session::WriteReply Wait(const std::function<void(session::WriteDone)>& call) {
    std::promise<session::WriteReply> p;
    call([&](const session::WriteReply& r) { p.set_value(r); });
    return p.get_future().get();
  }

  static void ApplyTo(Model& model, const kernel::Operation& o) {
    std::string key = ToText(o.key);
    switch (o.kind) {
      case kernel::OperationKind::kPut:
        model[key] = ToText(o.value);
        break;
      case kernel::OperationKind::kDelete:
        model.erase(key);
        break;
      case kernel::OperationKind::kDeleteRange:
        model.erase(model.lower_bound(key), model.lower_bound(ToText(o.end)));
        break;
    }
  }
  std::string Write(const Op& op, std::vector<kernel::Operation> operations,
                    std::vector<kernel::Compare> compares = {}, Code expected = Code{}) {
    kernel::Batch batch;
    batch.operations = operations;
    batch.compares = std::move(compares);
    auto r = Wait([&](session::WriteDone done) {
      engine_->Write(std::move(batch), kernel::Wait::kDurable, std::move(done));
    });
    Code got = r.status ? Code{} : r.status.code();
    if (got != expected) return "write: " + std::string(got == Code{} ? "done" : CodeName(got));
    if (expected == Code{}) {
      for (const kernel::Operation& o : operations) ApplyTo(models_[op.table], o);
    }
    return {};
  }
  std::string Batch(const Op& op) {
    crypto::SeededRandom random(op.pick);
    std::vector<kernel::Operation> operations;
    for (size_t i = 1 + random.Below(60); i > 0; --i) {
      kernel::Operation o{kernel::OperationKind::kPut,
                          ids_[op.table],
                          ToBytes(KeyOf(random)),
                          ToBytes(Text(random, random.Below(240))),
                          {}};
      if (random.Below(4) == 0) o = {kernel::OperationKind::kDelete, o.table, o.key, {}, {}};
      operations.push_back(std::move(o));
    }
    return Write(op, std::move(operations));
  }
  std::string Compare(const Op& op) {
    const Model& m = models_[op.table];
    auto it = m.find(op.key);
    kernel::Compare c{kernel::CompareKind::kAbsent, ids_[op.table], ToBytes(op.key)};
    if (it != m.end()) {
      c.kind = kernel::CompareKind::kEquals;
      c.value_sha256 = crypto::Sha256(AsBytes(it->second));
    }
    bool holds = op.pick % 2 == 0;
    if (!holds) c.kind = it == m.end() ? kernel::CompareKind::kPresent : kernel::CompareKind::kAbsent;
    return Write(op,
                 {{kernel::OperationKind::kPut, ids_[op.table], ToBytes(op.key), ToBytes("compared"), {}}},
                 {c}, holds ? Code{} : Code::kConflict);
  }
  std::string Get(const Op& op) {
    auto got = engine_->Get(ids_[op.table], AsBytes(op.key), {}, 10'000);
    auto it = models_[op.table].find(op.key);
    if (!got) return "get: " + std::string(CodeName(got.code()));
    bool same = got->has_value() ? it != models_[op.table].end() && ToText(**got) == it->second
                                 : it == models_[op.table].end();
    return same ? "" : "get: another value";
  }
  std::string ScanNow(const Op& op) {
    auto snapshot = engine_->TakeSnapshot({}, 10'000);
    if (!snapshot) return "snapshot: " + std::string(CodeName(snapshot.code()));
    return Scan(**snapshot, models_[op.table], op);
  }
  // In pages of some rows, as sessions do.
  std::string Scan(session::Snapshot& snapshot, const Model& model, const Op& op) {
    bool back = op.act == Act::kScanBack;
    Bytes from = ToBytes(op.key), until = ToBytes(op.end);
    std::vector<std::pair<std::string, std::string>> rows;
    session::RowPage page;
    for (;;) {
      Status read = snapshot.ScanPage(ids_[op.table], from, until, back, 1 + op.pick % 50, 300'000, page);
      if (!read) return "scan: " + std::string(CodeName(read.code()));
      if (page.empty()) break;
      for (size_t i = 0; i < page.size(); ++i) rows.emplace_back(ToText(page.key(i)), ToText(page.value(i)));
      if (back) {
        until = ToBytes(page.key(page.size() - 1));
        if (until == from) break;
      } else {
        from = ToBytes(page.key(page.size() - 1));
        from.push_back(0);
      }
    }
    if (back) std::reverse(rows.begin(), rows.end());
    auto begin = model.lower_bound(op.key), end = op.end.empty() ? model.end() : model.lower_bound(op.end);
    if (op.key == op.end && !op.key.empty()) end = begin;
    bool same = std::equal(rows.begin(), rows.end(), begin, end, [](const auto& a, const auto& b) {
      return a.first == b.first && a.second == b.second;
    });
    return same ? "" : "scan: " + std::to_string(rows.size()) + " rows, not those";
  }
  std::string Hold() {
    if (held_.size() >= 8) held_.erase(held_.begin());
    auto snapshot = engine_->TakeSnapshot({}, 10'000);
    if (!snapshot) return "snapshot: " + std::string(CodeName(snapshot.code()));
    held_.push_back({std::move(*snapshot), models_});
    return {};
  }
  std::string CheckHeld(const Op& op) {
    if (held_.empty()) return {};
    Held& h = held_[op.pick % held_.size()];
    auto got = h.snapshot->Get(ids_[op.table], AsBytes(op.key));
    if (!got) return "held get: " + std::string(CodeName(got.code()));
    auto it = h.models[op.table].find(op.key);
    std::optional<std::string> expected;
    if (it != h.models[op.table].end()) expected = it->second;
    if ((*got ? std::optional<std::string>(ToText(**got)) : std::nullopt) != expected)
      return "held get: another value";
    std::string why = Scan(*h.snapshot, h.models[op.table], op);
    return why.empty() ? "" : "held " + why;
  }

  const Shape shape_;
  host::MemoryStorage disk_;
  crypto::Random& random_ = SystemRandom();
  std::unique_ptr<Engine> engine_;
  TableId ids_[kTables];
  std::array<Model, kTables> models_;
  std::vector<Held> held_;
};

// Where and how it fails; empty: it does not.
std::string Try(const Shape& shape, const std::vector<Op>& ops) {
  Run run(shape);
  for (size_t i = 0; i < ops.size(); ++i) {
    if (std::string why = run.Do(ops[i]); !why.empty())
      return std::string(kNames[static_cast<size_t>(ops[i].act)]) + " (" + std::to_string(i) + "): " + why;
  }
  return run.CheckAll();
}

// Leaves out runs of operations, half as long each time, as long as what is left fails.
std::vector<Op> Minimise(const Shape& shape, std::vector<Op> ops) {
  int tries = 200;
  for (size_t n = ops.size() / 2; n > 0; n /= 2) {
    for (size_t at = 0; at + n <= ops.size() && tries-- > 0;) {
      std::vector<Op> fewer(ops.begin(), ops.begin() + static_cast<ptrdiff_t>(at));
      fewer.insert(fewer.end(), ops.begin() + static_cast<ptrdiff_t>(at + n), ops.end());
      if (Try(shape, fewer).empty()) {
        at += n;
      } else {
        ops = std::move(fewer);
      }
    }
  }
  return ops;
}

class EngineModel : public testing::TestWithParam<uint64_t> {};

uint64_t Setting(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

TEST_P(EngineModel, HoldsWhatAMapHoldsWhateverIsDoneToIt) {
  const uint64_t seed = GetParam() + Setting("HF_MODEL_SEED", 0);
  crypto::SeededRandom random(seed);
  Shape shape = ShapeOf(random);
  std::vector<Op> ops = OpsOf(random, Setting("HF_MODEL_OPS", 400), seed == 1);
  std::string why = Try(shape, ops);
  if (why.empty()) return;
  std::string shown;
  for (const Op& op : Minimise(shape, ops)) {
    shown += std::string("\n  ") + kNames[static_cast<size_t>(op.act)] + " t" + std::to_string(op.table) +
             " '" + op.key.substr(0, 20) + "' (" + std::to_string(op.key.size()) + " bytes), value of " +
             std::to_string(op.value.size()) + ", pick " + std::to_string(op.pick);
  }
  FAIL() << "seed " << seed << ": " << why << "; these are enough:" << shown;
}
INSTANTIATE_TEST_SUITE_P(Seeds, EngineModel, testing::Range<uint64_t>(1, 13));

}  // namespace
}  // namespace holdfast::runtime
