#include "host/kv/crash_model.h"

#include <algorithm>

#include "base/limits.h"

namespace holdfast::host {

// splitmix64 (Steele, Lea, Flood 2014). The host links no crypto, and a seed needs none.
uint64_t CrashChoices::Below(uint64_t bound) {
  state_ += 0x9E3779B97F4A7C15u;
  uint64_t z = state_;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return (z ^ (z >> 31)) % bound;
}

bool CrashChoices::Happened() {
  if (loses_all() || keeps_all()) return keeps_all();
  return Below(2) == 1;
}

ByteView TearPrefix(ByteView bytes, CrashChoices& choices) {
  if (choices.loses_all()) return {};
  if (choices.keeps_all()) return bytes;
  uint64_t n = choices.Below(bytes.size() + 1);
  // Half of the cuts at a sector, where a cut is likeliest and, for one of whole sectors, hardest to notice.
  if (choices.Below(2) == 0) n -= n % limits::kSectorBytes;
  return bytes.first(n);
}

std::optional<ObjectState> StateAfterCrash(const UnsyncedStates& states, CrashChoices& choices) {
  if (choices.loses_all()) return std::nullopt;
  if (choices.keeps_all()) return states.back();
  uint64_t i = choices.Below(states.size() + 1);
  if (i == 0) return std::nullopt;
  ObjectState state = states[i - 1];
  if (state && choices.Below(2) == 0) state = ToBytes(TearPrefix(*state, choices));
  return state;
}

Bytes TearSectors(ByteView before, ByteView bytes, CrashChoices& choices) {
  Bytes after = ToBytes(before.first(std::min(before.size(), bytes.size())));
  // Few, half or most of them: a fair coin for each would all but never leave one missing in a hundred.
  uint64_t odds = choices.Below(5);
  for (size_t at = 0; at < bytes.size(); at += limits::kSectorBytes) {
    bool reached = choices.keeps_all() || (!choices.loses_all() && choices.Below(4) < odds);
    if (!reached) continue;
    ByteView sector = bytes.subspan(at, std::min(limits::kSectorBytes, bytes.size() - at));
    if (after.size() < at + sector.size()) after.resize(at + sector.size());
    std::copy(sector.begin(), sector.end(), after.begin() + static_cast<ptrdiff_t>(at));
  }
  return after;
}

}  // namespace holdfast::host
