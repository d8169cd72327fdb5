#include <algorithm>

#include "core/journal/scan_internal.h"
#include "crypto/hash.h"

namespace holdfast::journal {
namespace {

constexpr uint64_t kSector = limits::kSectorBytes;

bool AllZero(ByteView b) {
  // Shifted by one against itself: memcmp is the fastest loop at hand, and a reserve has megabytes of zeros.
  return b.empty() || (b[0] == 0 && std::memcmp(b.data(), b.data() + 1, b.size() - 1) == 0);
}

bool AnySectorZero(ByteView frame) {
  for (size_t at = 0; at < frame.size(); at += kSector)
    if (AllZero(frame.subspan(at, std::min<size_t>(kSector, frame.size() - at)))) return true;
  return false;
}

// A view that slides over one object.
class Window {
 public:
  Window(seam::Storage& storage, std::string_view name, uint64_t size_bytes)
      : storage_(storage), name_(name), size_(std::min(size_bytes, kJournalObjectBytesMax)) {}

  uint64_t size_bytes() const { return size_; }

  // Bytes [offset, offset + length), fewer where the object ends. Valid until the next call.
  Result<ByteView> At(uint64_t offset, uint64_t length) {
    length = Inside(offset, length);
    if (length == 0) return ByteView();
    if (offset < begin_ || offset + length > begin_ + held_.size()) {
      uint64_t wanted = std::min(std::max(length, kScanWindowBytes), size_ - offset);
      HF_TRY(held_, storage_.GetRange(name_, offset, wanted));
      begin_ = offset;
      // It may have shrunk since it was listed: what is not there is behind the end.
      if (held_.size() < wanted) size_ = std::min(size_, offset + held_.size());
      length = Inside(offset, length);
      if (length == 0) return ByteView();
    }
    return held_.parse().subspan(offset - begin_, length);
  }

 private:
  uint64_t Inside(uint64_t offset, uint64_t length) const {
    return offset >= size_ ? 0 : std::min(length, size_ - offset);
  }

  seam::Storage& storage_;
  std::string_view name_;
  uint64_t size_, begin_ = 0;
  UntrustedBytes held_;
};

// The chain inside the frame, from the value it names itself; whether that value is right is for the linking
// to say.
void FollowEntries(const Key& chain_key, const JournalStart& start, const Frame& frame, Place& p) {
  p.end = {LogIndex(frame.first_index.value - 1), Term(), frame.chain_before};
  bool meets = p.end.index == start.position.index && p.end.chain == start.position.chain;
  for (const Entry& e : frame.entries) {
    if (e.term < p.end.term || e.term > frame.term) p.coherent = false;
    p.end = Extend(chain_key, p.end, e);
    meets = meets || p.end == start.position;
  }
  if (!frame.entries.empty()) p.first_term = frame.entries.front().term;
  p.meets_start = meets;
}

class Scan {
 public:
  Scan(seam::Storage& storage, const seal::Keyring& keyring, const Key& chain_key, const ReadOptions& options,
       JournalObject& object)
      : keyring_(keyring),
        chain_key_(chain_key),
        options_(options),
        object_(object),
        window_(storage, object.name, object.size_bytes) {}

  Status Run() {
    uint64_t offset = 0;
    while (offset < window_.size_bytes()) {
      HF_TRY(ByteView head, window_.At(offset, kSector));
      auto header = DecodeFrameHeader(head);
      HF_TRY(offset, header ? Framed(offset, *header) : Unframed(offset, header.code(), head));
    }
    return Ok();
  }

 private:
  Result<uint64_t> Framed(uint64_t offset, const FrameHeader& header) {
    if (header.number <= HighestCredible(options_.start))
      object_.highest_number = std::max(object_.highest_number, header.number);
    HF_TRY(ByteView bytes, window_.At(offset, header.length_bytes));
    Place p;
    p.offset = offset;
    p.length = header.length_bytes;
    p.number = header.number;
    p.kind = header.kind;
    if (bytes.size() < header.length_bytes) {
      p.crash_shape = true;
      p.code = Code::kTorn;
      object_.places.push_back(std::move(p));
      return NextHeader(offset + kSector);  // its length may be forged, to hide what lies behind
    }
    auto frame = OpenFrame(options_.id, keyring_, bytes);
    if (frame) {
      p.whole = true;
      p.digest = crypto::Sha256(bytes);
      p.term = frame->term;
      p.before = frame->before;
      p.first_index = frame->first_index;
      p.chain_before = frame->chain_before;
      p.watermark = frame->watermark;
      FollowEntries(chain_key_, options_.start, *frame, p);
      HF_NOT_YET(
          "journal: frames that cut the log back (truncate-from), which followers of a cluster will write");
      if (frame->truncate_from.value != 0) p.coherent = false;
    } else {
      p.crash_shape = AnySectorZero(bytes);
      p.code = p.crash_shape ? Code::kTorn : frame.code();
    }
    object_.places.push_back(std::move(p));
    return offset + header.length_bytes;
  }

  // No header here. A sector is written whole or not at all, so a crash leaves zeros or the end of the file.
  Result<uint64_t> Unframed(uint64_t offset, Code code, ByteView sector) {
    bool zero = AllZero(sector);
    bool cut = sector.size() < kFrameHeaderBytes;
    nonzero_seen_ = !zero;
    HF_TRY(uint64_t next, NextHeader(offset + kSector));
    if (nonzero_seen_) {
      Place p;
      p.offset = offset;
      p.crash_shape = zero || cut;
      p.code = p.crash_shape ? Code::kTorn : code;
      object_.places.push_back(std::move(p));
    }
    return next;
  }

  // The first sector from `offset` on that begins like a frame, or the end. Sets nonzero_seen_ for what it
  // passed or found.
  Result<uint64_t> NextHeader(uint64_t offset) {
    constexpr std::string_view kMagic = "HFFRAME1";
    for (; offset < window_.size_bytes(); offset += kScanWindowBytes) {
      HF_TRY(ByteView bytes, window_.At(offset, kScanWindowBytes));
      if (AllZero(bytes)) continue;
      nonzero_seen_ = true;
      for (size_t at = 0; at < bytes.size(); at += kSector)
        if (AsText(bytes.subspan(at)).starts_with(kMagic)) return offset + at;
    }
    return window_.size_bytes();
  }

  const seal::Keyring& keyring_;
  const Key& chain_key_;
  const ReadOptions& options_;
  JournalObject& object_;
  Window window_;
  bool nonzero_seen_ = false;
};

}  // namespace

Result<JournalObject> ScanObject(seam::Storage& storage, const seal::Keyring& keyring, const Key& chain_key,
                                 const ReadOptions& options, const seam::ObjectInfo& info,
                                 FrameNumber number) {
  JournalObject object;
  object.name = info.name;
  object.number = object.highest_number = number;
  object.size_bytes = info.size_bytes;
  HF_TRY_VOID(Scan(storage, keyring, chain_key, options, object).Run());
  if (info.size_bytes > kJournalObjectBytesMax) {
    Place p;
    p.offset = kJournalObjectBytesMax;
    p.code = Code::kTooLarge;
    object.places.push_back(p);
  }
  return object;
}

}  // namespace holdfast::journal
