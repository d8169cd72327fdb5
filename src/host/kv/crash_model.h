// What a crash may leave of writes that were not durable: one model for the fault wrapper and the simulated
// disk.
//
//   object (put, delete)   any state it went through since the last barrier, each name for itself; the state
//   it is
//                          caught in may be a prefix of the bytes (empty included): written in place, no
//                          rename
//   append                 any subset of its 512-byte sectors; the others stay as they were (zeros in a
//   reserve)
//
// Not modelled: bytes that were durable change (a tampering or a bad disk: tests do that themselves); a
// prefix is followed by zeros or by old bytes (no file system we know shows them after a truncating open).
#ifndef HOLDFAST_HOST_KV_CRASH_MODEL_H_
#define HOLDFAST_HOST_KV_CRASH_MODEL_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace holdfast::host {

enum class WriteKind {
  kPut,
  kPutIfAbsent,
  kPutIfVersion,
  kDelete,
  kBarrier,
  kCreateAppendable,
  kAppend,
  kTrim
};

// One write as it is asked for. Counted from 1; every write counts, also one that is refused.
struct WriteOperation {
  WriteKind kind = WriteKind::kPut;
  std::string name;       // empty for a barrier
  uint64_t position = 0;  // append: offset; create: reserve; trim: size
  uint64_t number = 0;
};

// Choices from a seed; the same on every machine. Seed 0 loses all that was not durable, seed 1 keeps all of
// it, any other mixes.
class CrashChoices {
 public:
  explicit CrashChoices(uint64_t seed) : seed_(seed), state_(seed) {}
  bool loses_all() const { return seed_ == 0; }
  bool keeps_all() const { return seed_ == 1; }
  uint64_t Below(uint64_t bound);  // REQUIRES: bound > 0
  bool Happened();                 // does what was in flight take effect?

 private:
  uint64_t seed_, state_;
};

// The states an object went through since the last barrier; nothing = deleted.
using ObjectState = std::optional<Bytes>;
using UnsyncedStates = std::vector<ObjectState>;

// Changes that no barrier has covered, by name.
class Unsynced {
 public:
  void Note(std::string_view name, ObjectState state) {
    states_.try_emplace(std::string(name)).first->second.push_back(std::move(state));
  }
  const ObjectState* Latest(std::string_view name) const {  // nullptr: nothing is pending
    auto it = states_.find(name);
    return it == states_.end() ? nullptr : &it->second.back();
  }
  void Drop(std::string_view name) {
    auto it = states_.find(name);
    if (it != states_.end()) states_.erase(it);
  }
  void Clear() { states_.clear(); }
  const std::map<std::string, UnsyncedStates, std::less<>>& all() const { return states_; }

 private:
  std::map<std::string, UnsyncedStates, std::less<>> states_;
};

// What a crash makes of one name: nothing = as it was at the last barrier; else the state it is found in.
std::optional<ObjectState> StateAfterCrash(const UnsyncedStates& states, CrashChoices& choices);

// What lies at the place of an append of `bytes` after a crash, where `before` lay (shorter at the object's
// end).
Bytes TearSectors(ByteView before, ByteView bytes, CrashChoices& choices);

// A prefix of `bytes`, cut anywhere.
ByteView TearPrefix(ByteView bytes, CrashChoices& choices);

}  // namespace holdfast::host

#endif  // HOLDFAST_HOST_KV_CRASH_MODEL_H_
