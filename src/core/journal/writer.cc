#include "core/journal/writer.h"

#include <algorithm>
#include <set>

#include "base/check.h"

namespace holdfast::journal {

struct JournalWriter::State {
  State(seam::Storage& st, Options o)
      : storage(st),
        options(o),
        append(st.capabilities().append),
        several(st.copies() != nullptr),
        by_condition(!several && seam::FencesByCondition(st.capabilities())),
        may_meet(!several && seam::WritersMayMeet(st.capabilities())) {}

  seam::Storage& storage;
  const Options options;
  const bool append;
  const bool several;  // providers: each makes what it is given durable on its own
  const bool by_condition;
  const bool may_meet;  // another writer: objects then bear the term
  bool open = false, poisoned = false;
  std::string object;             // append mode: the file written to
  uint64_t end = 0;               // of its last frame
  bool trimmed = false;           // it has no reserve left: a roll began and found no space
  FrameNumber last;               // written here
  FrameNumber opened;             // our barrier
  FrameNumber adopted_from;       // the chain we continue: from here,
  std::set<std::string> adopted;  // in these objects; others up to our barrier are abandoned
  std::set<std::string> waves;    // of these, those that took no number from anybody

  // Everything but kFull and kExists leaves the provider in a state nobody knows (I1).
  Status Poisoning(Status s) {
    if (!s && s.code() != Code::kFull && s.code() != Code::kExists) poisoned = true;
    return s;
  }

  // Whether anybody else has written this number. We have put ours before: of two that meet, at least one
  // finds the other, if a listing shows what was put before it.
  Result<bool> Met(FrameNumber number, const std::string& ours) {
    HF_TRY(seam::Listing there, storage.List(FrameName(options.id.member, number), "", 3));
    return std::any_of(there.objects.begin(), there.objects.end(), [&](const seam::ObjectInfo& o) {
      return o.name != ours && FrameOfName(options.id.member, o.name) == number;
    });
  }

  // A new object that holds the frame, durable. kFull and kExists: nothing is changed.
  Status Create(FrameNumber number, const SealedFrame& frame) {
    ByteView bytes = frame.bytes;
    std::string name = may_meet ? FrameNameOfTerm(options.id.member, number, frame.term)
                                : FrameName(options.id.member, number);
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
    if (may_meet) {
      Result<bool> met = Met(number, name);
      poisoned = !met || *met;
      if (poisoned) return met ? Error(Code::kExists) : met.error();
    }
    object = std::move(name);
    end = bytes.size();
    trimmed = false;
    return Ok();
  }

  Status Append(FrameNumber number, const SealedFrame& frame) {
    ByteView bytes = frame.bytes;
    if (end + bytes.size() <= options.file_bytes) {
      HF_TRY_VOID(Poisoning(storage.Append(object, end, bytes)));
      end += bytes.size();
      return Ok();
    }
    if (!trimmed) HF_TRY_VOID(Trim());
    return Create(number, frame);
  }

  // Below the cut, without a lock: everything but a mark goes; what may stand in the way of a writer that
  // slept leaves one. What is not known to be a plain frame is looked at.
  Status CutOne(const seam::ObjectInfo& info, FrameNumber number) {
    if (info.size_bytes == kFenceMark.size()) return Ok();
    bool plain = number > opened || waves.contains(info.name);
    if (!plain) {
      auto head = storage.GetRange(info.name, 0, kFrameHeaderBytes);
      if (!head) return head.code() == Code::kNotFound ? Ok() : Status(head.error());
      auto header = DecodeFrameHeader(head->parse());
      plain = header && (header->kind == FrameKind::kWave || header->kind == FrameKind::kClosing);
    }
    return plain ? storage.Delete(info.name) : storage.Put(info.name, AsBytes(kFenceMark));
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
  HF_TRY_VOID(s.Create(number, sealed_barrier));
  s.open = true;
  s.last = s.opened = number;
  if (!adopted.links.empty()) s.adopted_from = adopted.links.front().position.number;
  for (const Chain::Link& link : adopted.links) {
    s.adopted.insert(link.object);
    if (link.kind == FrameKind::kWave || link.kind == FrameKind::kClosing) s.waves.insert(link.object);
  }
  return Ok();
}

Status JournalWriter::Write(FrameNumber number, const SealedFrame& frame) {
  State& s = *s_;
  if (s.poisoned) return Code::kPoisoned;
  HF_CHECK(s.open && number == s.last.next());
  Status done = s.append ? s.Append(number, frame) : s.Create(number, frame);
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
    bool below = next && *next <= frame && number < frame;
    if (s.by_condition || s.may_meet) {
      if (below) HF_TRY_VOID(s.Poisoning(s.CutOne(all[i], number)));
      continue;
    }
    bool abandoned =
        s.open && number > s.adopted_from && number < s.opened && !s.adopted.contains(all[i].name);
    if (below || abandoned) HF_TRY_VOID(s.Poisoning(s.storage.Delete(all[i].name)));
  }
  return Ok();
}

}  // namespace holdfast::journal
