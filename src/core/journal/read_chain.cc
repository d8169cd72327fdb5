// From what lies in the journal to the one chain through it.
//
//   file 1            file 9 (barrier: after 7)   file 12 (barrier: after 10)   file 15: torn opening
//   |1 2 3 4 5 6 7 8| |9 10 11|                   |12 13 14 ####|
//    . . S - - - >+    >+ +>                       >+  +  + torn                 torn
//
// S is the start. Barriers are authoritative from the last one downwards: each says which frame it accepted,
// and what lies between that and itself is abandoned - including barriers in there. Up to an accepted frame
// nothing may be bad.
#include <algorithm>

#include "base/check.h"
#include "core/journal/scan_internal.h"

namespace holdfast::journal {
namespace {

std::string At(const JournalObject& object, const Place& p) {
  std::string s = object.name;
  if (p.number.value != 0) s += ", frame " + std::to_string(p.number.value);
  return s + " at byte " + std::to_string(p.offset);
}

class Reading {
 public:
  Reading(const ReadOptions& options, bool whole_objects, std::vector<JournalObject> objects, Chain chain)
      : options_(options),
        whole_objects_(whole_objects),
        objects_(std::move(objects)),
        chain_(std::move(chain)) {}

  Chain Run() {
    Survey();
    SetFencesAside();
    if (whole_objects_) SetOtherHistoriesAside();
    chain_.begin = chain_.end = options_.start.position;
    size_t from = 0, place = 0;
    if (options_.start.frame.number.value == 0 || EnterAtStart(place)) {
      bool whole_so_far = true;
      for (size_t barrier : Barriers()) {
        whole_so_far = FollowTo(objects_[barrier].places.front().before, from, place, barrier);
        if (!whole_so_far) break;
        from = barrier;
        place = 0;
      }
      if (whole_so_far) FollowTail(from, place);
    }
    Conclude();
    JudgeOtherHistories();
    return std::move(chain_);
  }

 private:
  // What any readable frame anywhere tells, accepted or not.
  void Survey() {
    for (const JournalObject& o : objects_) {
      chain_.highest_number = std::max(chain_.highest_number, o.highest_number);
      for (const Place& p : o.places) {
        if (!p.whole) continue;
        chain_.highest_term = std::max(chain_.highest_term, p.term);
        chain_.watermark = std::max(chain_.watermark, p.watermark);
      }
    }
    durable_ = std::max({chain_.watermark, options_.known_durable, options_.start.position.index});
  }

  // They are in no chain, wherever they lie.
  void SetFencesAside() {
    std::erase_if(objects_, [&](const JournalObject& o) {
      bool fence = o.places.size() == 1 && o.places.front().whole &&
                   o.places.front().kind == FrameKind::kFence && o.places.front().number == o.number;
      if (fence) chain_.fences.push_back(o.number);
      return fence;
    });
  }

  // Where every frame is an object, a writer that an opening did not fence (nothing there could) goes on
  // beside the barrier: frames of lower term, above the one that the barrier accepted. They are no part of
  // the barrier's chain; whether they were acknowledged is judged when that is known.
  void SetOtherHistoriesAside() {
    std::vector<std::pair<Term, size_t>> barriers;
    std::vector<bool> aside(objects_.size());
    for (size_t i = 0; i < objects_.size(); ++i) {  // beside the start, which is known by its digest
      const Place* p = OnlyPlace(objects_[i]);
      aside[i] = p != nullptr && p->number == options_.start.frame.number &&
                 p->digest != options_.start.frame.digest && objects_.size() > 1 &&
                 objects_[i == 0 ? 1 : 0].number == p->number;
    }
    for (size_t i = 0; i < objects_.size(); ++i) {
      const Place* p = OnlyPlace(objects_[i]);
      if (p != nullptr && p->kind == FrameKind::kBarrier) barriers.emplace_back(p->term, i);
    }
    std::sort(barriers.rbegin(), barriers.rend());
    FrameNumber limit(UINT64_MAX);
    for (auto [term, at] : barriers) {
      const Place& barrier = objects_[at].places.front();
      if (objects_[at].number > limit || barrier.before.number < options_.start.frame.number) continue;
      Others others{LogIndex(barrier.first_index.value - 1), {}};
      for (size_t i = 0; i < objects_.size(); ++i) {
        const Place* p = OnlyPlace(objects_[i]);
        bool beside =
            p != nullptr && p->term < term && p->number > barrier.before.number && p->number <= limit;
        if (!beside || aside[i]) continue;
        aside[i] = true;
        others.places.push_back(*p);
        Find(Finding::Kind::kAbandoned, At(objects_[i], *p), Code::kTorn);
      }
      if (!others.places.empty()) others_.push_back(std::move(others));
      limit = barrier.before.number;
    }
    if (std::find(aside.begin(), aside.end(), true) == aside.end()) return;
    size_t i = 0;
    std::erase_if(objects_, [&](const JournalObject&) { return aside[i++]; });
    chain_.watermark = LogIndex();  // what the others claim is judged by itself
    Survey();
  }

  static const Place* OnlyPlace(const JournalObject& o) {
    bool only = o.places.size() == 1 && o.places.front().whole && o.places.front().offset == 0 &&
                o.places.front().number == o.number;
    return only ? &o.places.front() : nullptr;
  }

  // A history beside ours that says of anything behind the common point that it is durable: a fork (C4).
  void JudgeOtherHistories() {
    for (const Others& others : others_) {
      LogIndex claimed;
      Head head;
      for (const Place& p : others.places) {
        claimed = std::max(claimed, p.watermark);
        if (p.end.index >= head.index) head = {p.term, p.end.index, p.end.chain};
      }
      if (claimed <= others.after || chain_.fork) continue;
      chain_.fork = Fork{others.after, {{last_term_, chain_.end.index, chain_.end.chain}, head}};
    }
  }

  // Accepts the start frame; `next` is the place behind it in the first object.
  bool EnterAtStart(size_t& next) {
    const FramePosition& start = options_.start.frame;
    if (!objects_.empty() && objects_.front().number <= start.number) {
      const JournalObject& first = objects_.front();
      for (size_t i = 0; i < first.places.size(); ++i) {
        const Place& p = first.places[i];
        if (!p.whole)
          Find(Finding::Kind::kTampered, At(first, p), p.code);  // not needed, but no crash left it so
        if (p.whole && (i > 0 ? !Follows(first.places[i - 1], p) : p.offset == 0 && p.number != first.number))
          Find(Finding::Kind::kTampered, At(first, p), Code::kTampered);  // genuine, but not from there
        if (!p.whole || p.number != start.number) continue;
        if (p.digest != start.digest || !p.meets_start) {
          Tampered(At(first, p), Code::kTampered);
          return false;
        }
        Accept(first, p);
        next = i + 1;
        return true;
      }
    }
    Missing(start.number, start.number);
    return false;
  }

  // Below the start nothing is accepted any more, but the frames of one file still name each other.
  static bool Follows(const Place& before, const Place& p) {
    return !before.whole || p.before == FramePosition{before.number, before.digest};
  }

  // Objects whose barrier holds, ascending. The start's own object is entered elsewhere.
  std::vector<size_t> Barriers() const {
    std::vector<size_t> found;
    FrameNumber limit(UINT64_MAX);  // everything above is abandoned
    for (size_t i = objects_.size(); i-- > 0;) {
      const JournalObject& o = objects_[i];
      if (i == 0 && options_.start.frame.number.value != 0) break;
      if (o.number > limit || o.places.empty()) continue;
      const Place& p = o.places.front();
      if (!p.whole || p.kind != FrameKind::kBarrier || p.offset != 0 || p.number != o.number) continue;
      found.push_back(i);
      limit = std::min(limit, p.before.number);
    }
    std::reverse(found.begin(), found.end());
    return found;
  }

  bool Links(const JournalObject& o, const Place& p) const {
    if (!p.whole || !p.coherent || p.before != last_) return false;
    if (p.first_index != chain_.end.index.next() || p.chain_before != chain_.end.chain) return false;
    if (p.term < last_term_ || (p.first_term.value != 0 && p.first_term < chain_.end.term)) return false;
    if (p.offset == 0 && p.number != o.number) return false;
    if (p.kind == FrameKind::kBarrier) return p.offset == 0 && p.number > last_.number;
    return last_kind_ != FrameKind::kClosing && p.number == last_.number.next();
  }

  void Accept(const JournalObject& o, const Place& p) {
    if (p.first_term.value != 0) chain_.end.term = p.end.term;
    chain_.end.index = p.end.index;
    chain_.end.chain = p.end.chain;
    last_ = {p.number, p.digest};
    last_term_ = p.term;
    last_kind_ = p.kind;
    chain_.links.push_back(
        {last_, p.term, p.end.index, p.watermark, o.name, p.offset, p.length, p.kind, p.end.chain});
  }

  // From objects_[from].places[place] through rolled objects to the frame that the barrier in
  // objects_[barrier] accepted. No crash excuses anything here: the opener had read all of it.
  bool FollowTo(const FramePosition& target, size_t from, size_t place, size_t barrier) {
    for (size_t i = from; i < barrier; ++i, place = 0) {
      const JournalObject& o = objects_[i];
      for (; place < o.places.size() && last_.number < target.number; ++place) {
        const Place& p = o.places[place];
        if (!Links(o, p)) {
          Refuse(o, p);
          return false;
        }
        Accept(o, p);
      }
      if (place < o.places.size()) {
        Find(Finding::Kind::kAbandoned, At(o, o.places[place]), Code::kTorn);
      } else if (o.places.empty()) {
        Find(Finding::Kind::kAbandoned, o.name, Code::kTorn);
      }
    }
    if (last_ == target) return true;
    if (last_.number >= target.number) {  // it accepted another frame than the one that lies here
      Tampered(At(objects_[barrier], objects_[barrier].places.front()), Code::kTampered);
    } else {
      Missing(last_.number.next(), target.number);
    }
    return false;
  }

  // Behind the last barrier: as far as the chain goes, then what a crash may have left.
  void FollowTail(size_t from, size_t place) {
    bool ended = false;  // by something torn
    for (size_t i = from; i < objects_.size(); ++i, place = 0) {
      const JournalObject& o = objects_[i];
      if (o.places.empty() && !TornOpening(o)) return;
      ended = ended || o.places.empty();
      for (; place < o.places.size(); ++place) {
        const Place& p = o.places[place];
        if (!ended && Links(o, p)) {
          Accept(o, p);
          continue;
        }
        if (!Excused(p, ended)) {
          Refuse(o, p);
          return;
        }
        Find(ended ? Finding::Kind::kAbandoned : Finding::Kind::kTorn, At(o, p), Code::kTorn);
        ended = true;
        break;  // what is behind it in this object is abandoned with it
      }
    }
  }

  // A file whose creation did not get as far as its first byte.
  bool TornOpening(const JournalObject& o) {
    if (BeyondDurable()) {
      Find(Finding::Kind::kTorn, o.name, Code::kTorn);
      return true;
    }
    Tampered(o.name, Code::kTorn);
    return false;
  }

  bool BeyondDurable() const { return chain_.end.index >= durable_; }

  // May the chain end before `p`, which does not continue it?
  bool Excused(const Place& p, bool ended) const {
    if (!BeyondDurable()) return false;
    if (options_.discard_tail) return true;
    // A clean stop trims (B4): nothing was in flight behind a closing frame, except the opening of another
    // file.
    if (last_kind_ == FrameKind::kClosing && p.offset != 0) return false;
    if (p.crash_shape) return true;
    // Whole objects are in flight side by side, so a later one may be there when an earlier one is not. Files
    // are created only when all before them is stable.
    bool later_one =
        p.whole && p.offset == 0 && p.kind != FrameKind::kBarrier && last_kind_ != FrameKind::kClosing;
    return whole_objects_ && later_one && (ended || p.number > last_.number.next());
  }

  void Conclude() {
    if (!chain_.tampered && !BeyondDurable()) Missing(last_.number.next(), last_.number.next());
    chain_.closed = !chain_.tampered && !chain_.links.empty() && last_kind_ == FrameKind::kClosing;
    chain_.highest_seen = chain_.highest_number;
    // Frames that were on their way when the machine stopped used numbers, even if no sector of them arrived.
    if (!chain_.links.empty() && !chain_.closed) {
      uint64_t margin = std::min<uint64_t>(limits::kWavesInFlightMax, UINT64_MAX - last_.number.value);
      chain_.highest_number = std::max(chain_.highest_number, FrameNumber(last_.number.value + margin));
    }
  }

  void Find(Finding::Kind kind, std::string where, Code code) {
    chain_.findings.push_back({kind, std::move(where), code});
  }
  // `p` does not continue the chain, and no crash explains it.
  void Refuse(const JournalObject& o, const Place& p) {
    bool later_one = p.whole && p.offset == 0 && p.number == o.number && p.number > last_.number.next();
    if (later_one && p.kind != FrameKind::kBarrier) {
      Missing(last_.number.next(), p.before.number);
    } else {
      Tampered(At(o, p), p.whole ? Code::kTampered : p.code);
    }
  }
  void Tampered(std::string where, Code code) {
    chain_.tampered = true;
    Find(Finding::Kind::kTampered, std::move(where), code);
  }
  // The numbers are a bound: between them an opening may have passed some over.
  void Missing(FrameNumber first, FrameNumber last) {
    chain_.tampered = true;
    std::string name = FrameName(options_.id.member, first);
    if (last > first) name += ", frames " + std::to_string(first.value) + " to " + std::to_string(last.value);
    Find(Finding::Kind::kMissing, std::move(name), Code::kMissing);
  }

  struct Others {
    LogIndex after;  // the last index that the barrier accepted
    std::vector<Place> places;
  };

  const ReadOptions& options_;
  const bool whole_objects_;
  std::vector<Others> others_;
  std::vector<JournalObject> objects_;
  Chain chain_;
  LogIndex durable_;
  FramePosition last_;  // the last accepted frame
  Term last_term_;
  FrameKind last_kind_ = FrameKind::kWave;
};

struct Listed {
  seam::ObjectInfo info;
  FrameNumber number;
};

}  // namespace

Result<Chain> ReadChain(seam::Storage& storage, const seal::Keyring& keyring, const Key& chain_key,
                        const ReadOptions& options) {
  HF_TRY(std::vector<seam::ObjectInfo> all, seam::ListAll(storage, JournalPrefix(options.id.member)));
  Chain chain;
  std::vector<Listed> listed;
  for (seam::ObjectInfo& info : all) {
    auto number = FrameOfName(options.id.member, info.name);
    if (number && *number <= HighestCredible(options.start)) {
      chain.highest_number = std::max(chain.highest_number, *number);
      listed.push_back({std::move(info), *number});
    } else {
      chain.findings.push_back({Finding::Kind::kAlien, info.name, Code::kAlien});
    }
  }
  // Names have leading zeros, so their order is that of the numbers. The start lies in the last object that
  // begins at or before it; what begins before that one is wholly below.
  auto by_number = [](FrameNumber n, const Listed& l) { return n < l.number; };
  auto first = std::upper_bound(listed.begin(), listed.end(), options.start.frame.number, by_number);
  if (first != listed.begin()) --first;
  while (first != listed.begin() && std::prev(first)->number == first->number) --first;
  for (auto it = listed.begin(); it != first; ++it) {
    if (it->info.size_bytes != kFenceMark.size())
      chain.findings.push_back({Finding::Kind::kLeftover, it->info.name, Code::kTorn});
  }

  std::vector<JournalObject> objects;
  for (; first != listed.end(); ++first) {
    HF_TRY(JournalObject o, ScanObject(storage, keyring, chain_key, options, first->info, first->number));
    objects.push_back(std::move(o));
  }
  bool whole_objects = options.whole_objects || !storage.capabilities().append;
  return Reading(options, whole_objects, std::move(objects), std::move(chain)).Run();
}

}  // namespace holdfast::journal
