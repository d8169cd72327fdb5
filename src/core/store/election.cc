#include "core/store/election.h"

#include <algorithm>

#include "core/store/reserve.h"
#include "core/store/verify.h"

namespace holdfast::store {
namespace {

constexpr int kBarrierTriesMax = 64;        // numbers that somebody else may have taken
constexpr uint64_t kNumbersTakenMax = 256;  // behind the chain, of which nobody knows who would write them

journal::FramePosition LastFrame(const Reading& r) {
  return r.chain.links.empty() ? r.chain_options.start.frame : r.chain.links.back().position;
}

const seal::Keyring& KeyringOf(const Reading& r) { return r.slots.slot[r.slots.newest].keyring; }

journal::Frame BehindChain(const Reading& r, journal::FrameKind kind, Term term, const MemberId& member) {
  journal::Frame frame;
  frame.kind = kind;
  frame.term = term;
  frame.vote = member;
  frame.watermark = r.chain.end.index;
  frame.before = LastFrame(r);
  frame.first_index = r.chain.end.index.next();
  frame.chain_before = r.chain.end.chain;
  return frame;
}

Result<journal::SealedFrame> Seal(const Reading& r, const journal::Frame& frame, crypto::Random& random) {
  const seal::Keyring& keyring = KeyringOf(r);
  HF_TRY(seal::DomainKeys keys, keyring.JournalKeys(keyring.current_epoch()));
  return journal::SealFrame(r.chain_options.id, keys, keyring.current_epoch(), frame, random);
}

}  // namespace

Election::Election(seam::Storage& storage)
    : storage_(storage),
      by_condition_(storage.copies() == nullptr && seam::FencesByCondition(storage.capabilities())),
      may_meet_(storage.copies() == nullptr && seam::WritersMayMeet(storage.capabilities())) {}

Status Election::Run(const Reading& r, OpenedStore& s, crypto::Random& random) {
  if (fence_ && r.chain.highest_term > term_) return Code::kFenced;
  if (!fence_) term_ = TermAbove(r.chain.highest_term, random);
  s.term = term_;
  s.opener = {s.term, by_condition_, may_meet_, {}};
  FrameNumber used = among_others() ? r.chain.highest_seen : r.chain.highest_number;
  FrameNumber highest = std::max(used, LastFrame(r).number);
  if (highest.value > UINT64_MAX / 2) return Code::kTermExhausted;  // enough must be left to go on with
  if (among_others()) HF_TRY_VOID(TakeNumbers(r, random));
  if (may_meet_ && !fence_) return Overtake(r, highest, random);
  HF_TRY_VOID(WriteBarrier(r, s, highest.next(), random));
  won_ = !by_condition_;
  if (won_) return Ok();
  fence_ = false;  // should the store be read again, our barrier is part of it
  int older = 1 - r.slots.newest;
  for (const Slot& slot : r.slots.slot) s.opener.versions.insert(slot.versions.begin(), slot.versions.end());
  Status taken = TakeSlot(storage_, older, r.slots.slot[older], r.secrets, s.opener);
  won_ = taken.has_value();
  return !taken && taken.code() == Code::kFenced ? Status(Code::kVersionMismatch) : taken;
}

// Two that open in one moment must not have one term: where names bear it they would have one name.
Term Election::TermAbove(Term highest, crypto::Random& random) const {
  if (!may_meet_) return highest.next();
  uint8_t some[2];
  random.Fill(some);
  return Term(highest.value + 1 + LoadLittle<uint16_t>(some));
}

// The barrier frame: from here on every older opener is fenced.
Status Election::WriteBarrier(const Reading& r, OpenedStore& s, FrameNumber first, crypto::Random& random) {
  journal::Frame frame = BehindChain(r, journal::FrameKind::kBarrier, s.term, s.member);
  frame.entries.push_back({journal::EntryKind::kOpened, s.term, kernel::Encode(kernel::Opened{s.member})});
  frame.number = first;
  for (int i = 0; i < kBarrierTriesMax; ++i, frame.number = frame.number.next()) {
    HF_TRY(journal::SealedFrame sealed, Seal(r, frame, random));
    Status done = s.writer->Open(r.chain, frame.number, sealed);
    if (!done && done.code() == Code::kFull && GiveUpReserve(storage_))  // I1
      done = s.writer->Open(r.chain, frame.number, sealed);
    if (done) {
      s.frame = {frame.number, sealed.digest};
      s.next_frame = frame.number.next();
      return Ok();
    }
    if (done.code() != Code::kExists) return done;
    if (may_meet_) return Code::kFenced;  // above our fence only who opened after us writes
    if (!by_condition_) continue;
    auto whose = TermAt(r, frame.number);
    if (whose) return *whose >= term_ ? Status(Code::kFenced) : Overtake(r, frame.number, random);
    if (whose.code() == Code::kNotFound) return Code::kVersionMismatch;
    if (whose.code() != Code::kTampered) return whose.error();
  }
  return Code::kTermExhausted;
}

// A writer may stand at any number behind the chain: none of them is left free below the barrier.
Status Election::TakeNumbers(const Reading& r, crypto::Random& random) {
  const std::vector<FrameNumber>& fences = r.chain.fences;
  FrameNumber next = LastFrame(r).number.next();
  if (r.chain.highest_seen.value > next.value + kNumbersTakenMax) return Code::kTermExhausted;
  for (; next <= r.chain.highest_seen; next = next.next()) {
    if (std::find(fences.begin(), fences.end(), next) != fences.end()) continue;
    Status put = PutFence(r, next, random);
    if (!put && put.code() != Code::kExists) return put;
  }
  return Ok();
}

// Somebody writes frame after frame: the first number that he has not written yet becomes ours.
Status Election::Overtake(const Reading& r, FrameNumber above, crypto::Random& random) {
  for (int i = 0; i < kBarrierTriesMax; ++i) {
    above = above.next();
    Status put = PutFence(r, above, random);
    if (put) {
      fence_ = true;
      return Code::kVersionMismatch;
    }
    if (put.code() != Code::kExists) return put;
    auto whose = TermAt(r, above);
    if (whose && *whose >= term_) return Code::kFenced;
    if (!whose && whose.code() != Code::kNotFound && whose.code() != Code::kTampered) return whose.error();
  }
  return Code::kVersionMismatch;
}

Status Election::PutFence(const Reading& r, FrameNumber number, crypto::Random& random) {
  const MemberId& member = r.slots.manifest().member;
  journal::Frame fence = BehindChain(r, journal::FrameKind::kFence, term_, member);
  fence.number = number;
  HF_TRY(journal::SealedFrame sealed, Seal(r, fence, random));
  std::string name =
      may_meet_ ? journal::FrameNameOfTerm(member, number, term_) : journal::FrameName(member, number);
  HF_TRY_VOID(storage_.PutIfAbsent(name, sealed.bytes));
  HF_TRY_VOID(storage_.Barrier());
  if (!may_meet_) return Ok();
  HF_TRY(std::vector<seam::ObjectInfo> others, OthersAt(r, number));
  return others.empty() ? Ok() : Status(Code::kExists);
}

Result<std::vector<seam::ObjectInfo>> Election::OthersAt(const Reading& r, FrameNumber number) {
  const MemberId& member = r.slots.manifest().member;
  HF_TRY(std::vector<seam::ObjectInfo> there, seam::ListAll(storage_, journal::FrameName(member, number)));
  std::erase_if(there, [&](const seam::ObjectInfo& o) {
    return journal::FrameOfName(member, o.name) != number || journal::TermOfName(member, o.name) == term_;
  });
  return there;
}

// kTampered: what lies there is no frame of ours, and takes the number all the same.
Result<Term> Election::TermAt(const Reading& r, FrameNumber number) {
  if (may_meet_) {
    HF_TRY(std::vector<seam::ObjectInfo> others, OthersAt(r, number));
    Term highest;
    for (const seam::ObjectInfo& o : others)
      highest = std::max(highest, journal::TermOfName(r.slots.manifest().member, o.name).value_or(Term()));
    return highest;
  }
  HF_TRY(UntrustedBytes bytes, storage_.Get(journal::FrameName(r.slots.manifest().member, number)));
  auto frame = journal::OpenFrame(r.chain_options.id, KeyringOf(r), bytes.parse());
  if (!frame) return Code::kTampered;
  return frame->term;
}

Result<std::string> Election::SlotsNow() {
  std::string both;
  for (int slot : {0, 1}) {
    auto number = storage_.GetRange(SlotName(slot, "state-save-number"), 0, kSaveNumberBytes + 1);
    if (!number && number.code() != Code::kNotFound) return number.error();
    both += number ? HexUpper(number->parse()) + "/" : "-/";
  }
  return both;
}

Result<size_t> Election::DeleteLeftByOthers(const Reading& r, const OpenedStore& s) {
  Expected listed = ExpectedObjects(r.slots);
  size_t deleted = 0;
  for (std::string_view prefix : {kSegmentsPrefix, kGroupsPrefix}) {
    HF_TRY(std::vector<seam::ObjectInfo> objects, seam::ListAll(storage_, prefix));
    for (const seam::ObjectInfo& o : objects) {
      bool known = listed.segments.contains(o.name) || listed.groups.contains(o.name);
      if (known || !LeftByOpenerBefore(o.name, s.term)) continue;
      HF_TRY_VOID(storage_.Delete(o.name));
      ++deleted;
    }
  }
  return deleted;
}

}  // namespace holdfast::store
