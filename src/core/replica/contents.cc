#include "core/replica/contents.h"

#include <algorithm>
#include <map>
#include <set>

#include "crypto/hash.h"

namespace holdfast::replica {
namespace {

constexpr std::string_view kJournalPrefix = "members/", kSegmentsPrefix = "segments/",
                           kGroupsPrefix = "manifest/", kNumberSuffix = "/state-save-number";

bool IsAnything(const Digest& d) { return d == Digest{}; }

// A storage that has the name but not that many bytes: the rest is missing, which is no failure of it.
Result<Bytes> ReadUpTo(seam::Storage& storage, std::string_view name, uint64_t length) {
  auto bytes = storage.GetRange(name, 0, length);
  if (bytes) return std::move(bytes).value().take();
  if (bytes.code() == Code::kNotFound || bytes.code() == Code::kTooLarge || bytes.code() == Code::kMalformed)
    return Bytes();
  return bytes.error();
}

}  // namespace

uint64_t LengthOf(const seam::Pieces& pieces) {
  uint64_t length = 0;
  for (const seam::Piece& p : pieces) length += p.length;
  return length;
}

bool IsJournal(std::string_view name) { return name.starts_with(kJournalPrefix); }
bool IsSegment(std::string_view name) { return name.starts_with(kSegmentsPrefix); }
bool IsGroup(std::string_view name) { return name.starts_with(kGroupsPrefix); }
bool IsSaveNumber(std::string_view name) { return name.ends_with(kNumberSuffix); }
std::string_view FolderOf(std::string_view name) { return name.substr(0, name.rfind('/') + 1); }

size_t ValidPieces(ByteView bytes, const seam::Pieces& pieces) {
  size_t valid = 0;
  for (const seam::Piece& p : pieces) {
    if (bytes.size() < p.length) break;
    if (!IsAnything(p.sha256) && crypto::Sha256(bytes.first(p.length)) != p.sha256) break;
    bytes = bytes.subspan(p.length);
    ++valid;
  }
  return valid;
}

Result<size_t> PiecesHeld(seam::Storage& storage, std::string_view name, const seam::Pieces& pieces) {
  // One byte more: an object that goes on is another one, unless it grows by pieces.
  HF_TRY(Bytes bytes, ReadUpTo(storage, name, LengthOf(pieces) + (IsJournal(name) ? 0 : 1)));
  if (!IsJournal(name) && bytes.size() != LengthOf(pieces)) return size_t{0};
  return ValidPieces(bytes, pieces);
}

namespace {

// One journal object in append mode: what is whole stays where it is.
Status ExtendFile(const CatchUpWork& work, const std::string& name, const seam::Pieces& pieces, bool exists,
                  size_t held) {
  HF_TRY(Bytes bytes, work.fetch(name, pieces));
  if (held == 0) {
    if (exists) HF_TRY_VOID(work.storage.Delete(name));
    return work.storage.CreateAppendable(name, 0, bytes);
  }
  uint64_t at = LengthOf(seam::Pieces(pieces.begin(), pieces.begin() + static_cast<ptrdiff_t>(held)));
  HF_TRY_VOID(work.storage.Trim(name, at));
  return work.storage.Append(name, at, ByteView(bytes).subspan(at));
}

}  // namespace

Status CatchUpJournal(const CatchUpWork& work, bool append) {
  HF_TRY(std::vector<seam::ObjectInfo> listed, seam::ListAll(work.storage, kJournalPrefix));
  std::set<std::string, std::less<>> there;
  for (seam::ObjectInfo& o : listed) there.insert(std::move(o.name));
  for (const auto& [name, pieces] : work.catalogue) {
    bool exists = there.contains(name);
    size_t held = 0;
    if (exists) {
      HF_TRY(held, PiecesHeld(work.storage, name, pieces));
    }
    if (held == pieces.size() && exists) {
      // What a write that failed may have left behind the end of the file that is being written to.
      if (append && name == work.catalogue.rbegin()->first)
        HF_TRY_VOID(work.storage.Trim(name, LengthOf(pieces)));
      continue;
    }
    if (append) {
      HF_TRY_VOID(ExtendFile(work, name, pieces, exists, held));
    } else {
      HF_TRY(Bytes bytes, work.fetch(name, pieces));
      HF_TRY_VOID(work.storage.Put(name, bytes));
    }
    work.copied();
  }
  return work.storage.Barrier();
}

namespace {

class ObjectsCatchUp {
 public:
  explicit ObjectsCatchUp(const CatchUpWork& work) : work_(work) {}

  Status Run() {
    HF_TRY(std::vector<seam::ObjectInfo> listed, seam::ListAll(work_.storage, ""));
    for (seam::ObjectInfo& o : listed) sizes_[std::move(o.name)] = o.size_bytes;
    std::vector<std::string> once, files, numbers;  // written once under their name; slots' files
    std::set<std::string, std::less<>> touched;     // folders
    for (const auto& [name, pieces] : work_.catalogue) {
      HF_TRY(bool good, IsThere(name, pieces));
      if (good) continue;
      (IsOnce(name) ? once : IsSaveNumber(name) ? numbers : files).push_back(name);
      if (!IsOnce(name)) touched.emplace(FolderOf(name));
    }
    HF_TRY_VOID(CopyAll(once));
    HF_TRY_VOID(InvalidateSlots(touched, numbers));
    HF_TRY_VOID(work_.storage.Barrier());
    HF_TRY_VOID(CopyAll(files));
    HF_TRY_VOID(work_.storage.Barrier());
    HF_TRY_VOID(CopyAll(numbers));
    HF_TRY_VOID(work_.storage.Barrier());
    HF_TRY_VOID(DeleteExtras());
    return work_.storage.Barrier();
  }

 private:
  static bool IsOnce(std::string_view name) { return IsSegment(name) || IsGroup(name); }
  Result<bool> IsThere(const std::string& name, const seam::Pieces& pieces) {
    auto it = sizes_.find(name);
    if (it == sizes_.end()) return false;
    if (it->second != LengthOf(pieces)) return false;
    if (IsSegment(name) && !work_.suspect(name)) return true;
    HF_TRY(size_t held, PiecesHeld(work_.storage, name, pieces));
    return held == pieces.size();
  }
  Status CopyAll(const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      HF_TRY(Bytes bytes, work_.fetch(name, work_.catalogue.find(name)->second));
      HF_TRY_VOID(work_.storage.Put(name, bytes));
      work_.copied();
    }
    return Ok();
  }
  // A slot whose files change has no number meanwhile: a crash leaves it unused, not tampered (rule D2).
  Status InvalidateSlots(const std::set<std::string, std::less<>>& touched,
                         std::vector<std::string>& numbers) {
    for (const std::string& folder : touched) {
      std::string number = folder + std::string(kNumberSuffix.substr(1));
      if (!folder.empty() && sizes_.contains(number)) HF_TRY_VOID(work_.storage.Delete(number));
      bool listed = std::find(numbers.begin(), numbers.end(), number) != numbers.end();
      if (!listed && work_.catalogue.contains(number)) numbers.push_back(number);
    }
    return Ok();
  }
  // Names begin with the save that wrote them: what a newer one has written is not ours to judge.
  Status DeleteExtras() {
    std::map<std::string_view, std::string_view> newest;  // by folder
    for (const auto& [name, pieces] : work_.catalogue) {
      if (IsOnce(name)) newest[FolderOf(name)] = name;
    }
    for (const auto& [name, size] : sizes_) {
      if (IsOnce(name) && name < newest[FolderOf(name)] && !work_.catalogue.contains(name))
        HF_TRY_VOID(work_.storage.Delete(name));
    }
    return Ok();
  }

  const CatchUpWork& work_;
  std::map<std::string, uint64_t, std::less<>> sizes_;
};

}  // namespace

Status CatchUpObjects(const CatchUpWork& work) { return ObjectsCatchUp(work).Run(); }

}  // namespace holdfast::replica
