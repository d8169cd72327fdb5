#include "core/journal/writer.h"

#include <algorithm>
#include <set>

#include "base/check.h"

namespace holdfast::journal {

struct JournalWriter::State {
  State(seam::Storage& st, Options o)
      : storage(st), options(o), append(st.capabilities().append), several(st.copies() != nullptr) {}

  seam::Storage& storage;
  const Options options;
  const bool append;
  const bool several;  // providers: each makes what it is given durable on its own
  bool open = false, poisoned = false;
  std::string object;             // append mode: the file written to
  uint64_t end = 0;               // of its last frame
  bool trimmed = false;           // it has no reserve left: a roll began and found no space
  FrameNumber last;               // written here
  FrameNumber opened;             // our barrier
  FrameNumber adopted_from;       // the chain we continue: from here,
  std::set<std::string> adopted;  // in these objects; others up to our barrier are abandoned

  // Everything but kFull and kExists leaves the provider in a state nobody knows (I1).
  Status Poisoning(Status s) {
    if (!s && s.code() != Code::kFull && s.code() != Code::kExists) poisoned = true;
    return s;
  }

  // A new object that holds `bytes`, durable. kFull and kExists: nothing is changed.
  Status Create(FrameNumber number, ByteView bytes) {
    std::string name = FrameName(options.id.member, number);
    uint64_t reserve = append ? std::max<uint64_t>(options.file_bytes, bytes.size()) : 0;
    bool durable = append || several;
    Status s = durable ? storage.CreateAppendable(name, reserve, bytes) : storage.PutIfAbsent(name, bytes);
    if (!s && s.code() == Code::kFull) {
      // A part of it may be there and would be in the way of the next attempt.
      if (Status gone = storage.Delete(name); !gone) s = gone;
    }
    if (!s) return Poisoning(s);
    if (!durable) {
      // The put was taken in; if it cannot be made stable now, it is no longer known what is there.
      Status stable = storage.Barrier();
      if (!stable) {
        poisoned = true;
        return stable;
      }
    }
    object = std::move(name);
    end = bytes.size();
    trimmed = false;
    return Ok();
  }

  Status Append(FrameNumber number, ByteView bytes) {
    if (end + bytes.size() <= options.file_bytes) {
      HF_TRY_VOID(Poisoning(storage.Append(object, end, bytes)));
      end += bytes.size();
      return Ok();
    }
    if (!trimmed) HF_TRY_VOID(Trim());
    return Create(number, bytes);
  }

  Status Trim() {
    Status s = storage.Trim(object, end);
    if (!s) poisoned = true;
    trimmed = bool(s);
    return s;
  }
};

JournalWriter::JournalWriter(seam::Storage& storage, Options options)
    : s_(std::make_unique<State>(storage, options)) {}
JournalWriter::~JournalWriter() = default;

Status JournalWriter::Open(const Chain& adopted, FrameNumber number, const SealedFrame& sealed_barrier) {
  State& s = *s_;
  HF_CHECK(!s.open && (adopted.links.empty() || number > adopted.links.back().position.number));
  if (s.poisoned) return Code::kPoisoned;
  if (!adopted.links.empty() && s.append) {
    // Also when there is nothing to cut: it makes stable what the last opener may have written without
    // knowing.
    const Chain::Link& tail = adopted.links.back();
    s.object = tail.object;
    s.end = tail.offset + tail.length;
    HF_TRY_VOID(s.Trim());
  }
  HF_TRY_VOID(s.Create(number, sealed_barrier.bytes));
  s.open = true;
  s.last = s.opened = number;
  if (!adopted.links.empty()) s.adopted_from = adopted.links.front().position.number;
  for (const Chain::Link& link : adopted.links) s.adopted.insert(link.object);
  return Ok();
}

Status JournalWriter::Write(FrameNumber number, const SealedFrame& frame) {
  State& s = *s_;
  if (s.poisoned) return Code::kPoisoned;
  HF_CHECK(s.open && number == s.last.next());
  Status done = s.append ? s.Append(number, frame.bytes) : s.Create(number, frame.bytes);
  if (!done && done.code() == Code::kExists) {
    // Numbers are handed out by one opener: somebody else has opened and counts on.
    s.poisoned = true;
    return Code::kFenced;
  }
  if (done) s.last = number;
  return done;
}

Status JournalWriter::Close(FrameNumber number, const SealedFrame& closing) {
  HF_TRY_VOID(Write(number, closing));
  return s_->append ? s_->Trim() : Ok();
}

Status JournalWriter::CutBelow(FrameNumber frame) {
  State& s = *s_;
  if (s.poisoned) return Code::kPoisoned;
  HF_TRY(std::vector<seam::ObjectInfo> all, seam::ListAll(s.storage, JournalPrefix(s.options.id.member)));
  std::erase_if(all, [&](const auto& info) { return !FrameOfName(s.options.id.member, info.name); });
  for (size_t i = 0; i < all.size(); ++i) {
    // An object's frames are below the number of the next one.
    auto next = i + 1 < all.size() ? FrameOfName(s.options.id.member, all[i + 1].name) : std::nullopt;
    FrameNumber number = *FrameOfName(s.options.id.member, all[i].name);
    bool below = next && *next <= frame;
    bool abandoned =
        s.open && number > s.adopted_from && number < s.opened && !s.adopted.contains(all[i].name);
    if (below || abandoned) HF_TRY_VOID(s.Poisoning(s.storage.Delete(all[i].name)));
  }
  return Ok();
}

}  // namespace holdfast::journal
