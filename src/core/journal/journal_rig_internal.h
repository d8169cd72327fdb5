// What journal's tests stand on: a disk that tears, keys, and an opener that does what core/store does.
#ifndef HOLDFAST_CORE_JOURNAL_JOURNAL_RIG_INTERNAL_H_
#define HOLDFAST_CORE_JOURNAL_JOURNAL_RIG_INTERNAL_H_

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/limits.h"
#include "core/journal/writer.h"
#include "crypto/random.h"

namespace holdfast::journal {

// Keeps objects in memory and can stop in the middle of any operation: of what was on its way, any set of
// 512-byte sectors arrives, a new file may be short, and what no barrier covered may be absent. Not
// thread-safe.
class TearingDisk : public seam::Storage {
 public:
  explicit TearingDisk(bool append) : append_(append) {}

  std::map<std::string, Bytes, std::less<>> objects;  // for the attacker
  int64_t operations_before_crash = -1;               // -1 never
  int full_operations = 0;                            // this many writes answer kFull, leaving a part behind
  uint64_t operations = 0;                            // that write, so far
  uint64_t largest_read_bytes = 0;

  // The machine starts again.
  void Reboot() {
    dead_ = false;
    operations_before_crash = -1;
    unsettled_.clear();
  }

  seam::Capabilities capabilities() const override {
    return {.append = append_, .conditional_put = true, .exclusive = true};
  }
  Result<UntrustedBytes> Get(std::string_view name) override { return GetRange(name, 0, UINT64_MAX); }
  Result<UntrustedBytes> GetRange(std::string_view name, uint64_t offset, uint64_t length) override {
    auto it = objects.find(name);
    if (it == objects.end()) return Code::kNotFound;
    ByteView all = it->second;
    ByteView from = all.subspan(std::min<uint64_t>(offset, all.size()));
    ByteView part = from.first(std::min<uint64_t>(length, from.size()));
    largest_read_bytes = std::max<uint64_t>(largest_read_bytes, part.size());
    return UntrustedBytes(ToBytes(part));
  }
  Result<seam::VersionedBytes> GetVersioned(std::string_view) override { return Code::kUnsupported; }
  Status Put(std::string_view, ByteView) override { return Code::kUnsupported; }
  Result<seam::ObjectVersion> PutIfVersion(std::string_view, ByteView, const seam::ObjectVersion&) override {
    return Code::kUnsupported;
  }

  Status PutIfAbsent(std::string_view name, ByteView bytes) override {
    if (objects.contains(name)) return Code::kExists;
    HF_TRY_VOID(Step([&] { TearNew(name, bytes, bytes.size()); }));
    if (Full()) {
      objects[std::string(name)] = ToBytes(bytes.first(bytes.size() / 2));
      return Code::kFull;
    }
    objects[std::string(name)] = ToBytes(bytes);
    unsettled_.emplace(std::string(name), std::nullopt);
    return Ok();
  }
  Status Delete(std::string_view name) override {
    auto it = objects.find(name);
    if (it == objects.end()) return Ok();
    HF_TRY_VOID(Step([] {}));
    unsettled_.emplace(std::string(name), it->second);
    objects.erase(it);
    return Ok();
  }
  Result<seam::Listing> List(std::string_view prefix, std::string_view after, size_t limit) override {
    seam::Listing page;
    for (auto it = objects.upper_bound(after); it != objects.end(); ++it) {
      if (!it->first.starts_with(prefix)) continue;
      if (page.objects.size() == limit) return page.complete = false, page;
      page.objects.push_back({it->first, it->second.size()});
    }
    return page;
  }
  Status Barrier() override {
    HF_TRY_VOID(Step([] {}));
    unsettled_.clear();
    return Ok();
  }
  Status CreateAppendable(std::string_view name, uint64_t reserve, ByteView first) override {
    if (objects.contains(name)) return Code::kExists;
    HF_TRY_VOID(Step([&] { TearNew(name, first, std::max<uint64_t>(reserve, first.size())); }));
    Bytes& b = objects[std::string(name)] = ToBytes(first);
    if (Full()) return b.resize(first.size() / 2), Code::kFull;
    b.resize(std::max<uint64_t>(reserve, first.size()));
    unsettled_.erase(std::string(name));  // durable now, and with it that what was there before is gone
    return Ok();
  }
  Status Append(std::string_view name, uint64_t offset, ByteView bytes) override {
    auto it = objects.find(name);
    if (it == objects.end()) return Code::kNotFound;
    if (offset % limits::kSectorBytes != 0 || offset > it->second.size()) return Code::kInvalidArgument;
    HF_TRY_VOID(Step([&] { TearInto(it->second, offset, bytes); }));
    if (Full()) return Code::kFull;
    if (it->second.size() < offset + bytes.size()) it->second.resize(offset + bytes.size());
    std::copy(bytes.begin(), bytes.end(), it->second.begin() + static_cast<ptrdiff_t>(offset));
    return Ok();
  }
  Status Trim(std::string_view name, uint64_t size) override {
    auto it = objects.find(name);
    if (it == objects.end()) return Code::kNotFound;
    if (size > it->second.size()) return Code::kInvalidArgument;
    HF_TRY_VOID(Step([&] {
      if (random.Below(2) == 0) it->second.resize(size);
    }));
    it->second.resize(size);
    return Ok();
  }

  // Writes any set of the sectors of `bytes`; the last ones may be cut off with the file where it must grow.
  void TearInto(Bytes& file, uint64_t offset, ByteView bytes) {
    if (file.size() < offset + bytes.size())
      file.resize(file.size() + random.Below(offset + bytes.size() - file.size() + 1));
    uint64_t keep = random.Below(3);  // all, none, each by lot
    for (uint64_t at = 0; at < bytes.size(); at += limits::kSectorBytes) {
      if (keep == 1 || (keep == 2 && random.Below(2) == 0)) continue;
      for (uint64_t i = at; i < std::min<uint64_t>(at + limits::kSectorBytes, bytes.size()); ++i)
        if (offset + i < file.size()) file[offset + i] = bytes[i];
    }
  }

  crypto::SeededRandom random{7};

 private:
  template <typename Tear>
  Status Step(const Tear& tear) {
    if (dead_) return Code::kCrashed;
    ++operations;
    if (operations_before_crash < 0 || operations_before_crash-- > 0) return Ok();
    dead_ = true;
    tear();
    for (auto& [name, old] : unsettled_) {
      if (random.Below(2) == 0) continue;
      if (old) {
        objects[name] = *old;
      } else if (auto it = objects.find(name); it != objects.end()) {
        Bytes whole = std::move(it->second);
        objects.erase(it);
        TearNew(name, whole, whole.size());
      }
    }
    return Code::kCrashed;
  }
  bool Full() { return full_operations > 0 && full_operations-- > 0; }
  void TearNew(std::string_view name, ByteView bytes, uint64_t size) {
    if (random.Below(4) == 0) return;
    Bytes& file = objects[std::string(name)];
    file.resize(random.Below(2) == 0 ? size : random.Below(size + 1));
    Bytes torn(bytes.size());
    TearInto(torn, 0, bytes);
    std::copy_n(torn.begin(), std::min(torn.size(), file.size()), file.begin());
  }

  bool append_, dead_ = false;
  std::map<std::string, std::optional<Bytes>> unsettled_;  // since the last barrier: what was there before
};

struct Rig {
  explicit Rig(uint64_t seed = 1)
      : random(seed), keyring(seal::Keyring::Create(random)), chain_key(random.NewKey()) {
    id = {random.NewId<StoreId>(), random.NewId<MemberId>()};
  }
  crypto::SeededRandom random;
  seal::Keyring keyring;
  Key chain_key;
  JournalIdentity id;

  ReadOptions Options(JournalStart start = {}) const { return {id, start, {}, false}; }
  Chain Read(seam::Storage& disk, JournalStart start = {}) { return Read(disk, Options(start)); }
  Chain Read(seam::Storage& disk, const ReadOptions& options) {
    return ReadChain(disk, keyring, chain_key, options).value();
  }
  SealedFrame Seal(const Frame& frame) {
    return SealFrame(id, keyring.JournalKeys(Epoch(1)).value(), Epoch(1), frame, random);
  }
  std::string Name(uint64_t number) const { return FrameName(id.member, FrameNumber(number)); }
};

inline std::string Show(const Chain& chain) {
  std::string s = "ends with frame " +
                  (chain.links.empty() ? "none" : std::to_string(chain.links.back().position.number.value));
  s += ", index " + std::to_string(chain.end.index.value) + (chain.tampered ? ", tampered" : "");
  for (const Finding& f : chain.findings)
    s += "\n  " + std::to_string(static_cast<int>(f.kind)) + " " + std::string(CodeName(f.code)) + " " +
         f.object;
  return s;
}

// Opens a journal and writes waves, the way core/store does; remembers what was acknowledged.
class Opener {
 public:
  Opener(Rig& rig, TearingDisk& disk, uint64_t file_bytes = 16 << 10)
      : rig_(rig), disk_(disk), file_bytes_(file_bytes) {}

  // kTampered, kMissing, kForked, kCrashed
  Status Open(JournalStart start = {}, bool discard_tail = false) {
    ReadOptions options = rig_.Options(start);
    options.discard_tail = discard_tail;
    HF_TRY(Chain chain, ReadChain(disk_, rig_.keyring, rig_.chain_key, options));
    HF_TRY_VOID([&]() -> Status {
      HF_TRY([[maybe_unused]] size_t only, AdoptTail({chain}, LogIndex()));
      return Ok();
    }());
    position = chain.end;
    last = chain.links.empty() ? FramePosition() : chain.links.back().position;
    stable = position.index;  // what an opener adopts it has made stable
    term = chain.highest_term.next();
    writer.emplace(disk_, JournalWriter::Options{rig_.id, file_bytes_});
    next = chain.highest_number.next();
    Frame barrier = Make(FrameKind::kBarrier, {{EntryKind::kOpened, term, ToBytes(rig_.id.member.view())}});
    SealedFrame sealed = rig_.Seal(barrier);
    submitted = barrier.entries;
    HF_TRY_VOID(writer->Open(chain, barrier.number, sealed));
    submitted.clear();
    Done(barrier, sealed);
    return Ok();
  }

  Frame Make(FrameKind kind, std::vector<Entry> entries) const {
    Frame f;
    f.kind = kind;
    f.number = next;
    f.term = term;
    f.watermark = stable;
    f.before = last;
    f.first_index = position.index.next();
    f.chain_before = position.chain;
    f.entries = std::move(entries);
    return f;
  }
  Status Write(std::vector<std::string> payloads) {
    std::vector<Entry> entries;
    for (const std::string& p : payloads)
      entries.push_back({EntryKind::kBatch, term, ToBytes(std::string_view(p))});
    return Send(Make(FrameKind::kWave, std::move(entries)));
  }
  Status Send(Frame frame) {
    frame_ = std::move(frame);
    sealed_ = rig_.Seal(frame_);
    return Retry();
  }
  // The same bytes once more.
  Status Retry() {
    submitted = frame_.entries;
    HF_TRY_VOID(writer->Write(frame_.number, sealed_));
    submitted.clear();
    Done(frame_, sealed_);
    return Ok();
  }
  Status Close() {
    Frame frame = Make(FrameKind::kClosing, {{EntryKind::kClosed, term, {}}});
    SealedFrame sealed = rig_.Seal(frame);
    submitted = frame.entries;
    HF_TRY_VOID(writer->Close(frame.number, sealed));
    submitted.clear();
    Done(frame, sealed);
    return Ok();
  }
  // As if it had been written.
  void Done(const Frame& frame, const SealedFrame& sealed) {
    for (const Entry& e : frame.entries) position = Extend(rig_.chain_key, position, e);
    acknowledged.insert(acknowledged.end(), frame.entries.begin(), frame.entries.end());
    last = {frame.number, sealed.digest};
    stable = position.index;
    next = frame.number.next();
  }

  LogPosition position;
  FramePosition last;
  LogIndex stable;
  Term term;
  FrameNumber next;
  std::optional<JournalWriter> writer;
  std::vector<Entry> acknowledged, submitted;  // in this opening; submitted: in the frame that failed

 private:
  Rig& rig_;
  TearingDisk& disk_;
  uint64_t file_bytes_;
  Frame frame_;
  SealedFrame sealed_;
};

}  // namespace holdfast::journal

#endif  // HOLDFAST_CORE_JOURNAL_JOURNAL_RIG_INTERNAL_H_
