// What a store must hold, said a second time and as simply as possible: no trees, no overlays, no encryption.
#ifndef HOLDFAST_SIM_MODEL_H_
#define HOLDFAST_SIM_MODEL_H_

#include <map>
#include <memory>
#include <string>

#include "core/journal/entry.h"
#include "core/store/state.h"

namespace holdfast::sim {

using Rows = std::map<std::string, std::string>;

struct Model {
  std::map<TableId, Rows> tables;  // without the system tables
  std::map<TableId, std::string> names;
  std::map<uint64_t, std::map<uint64_t, store::Outcome>> sessions;
  struct Tag {
    LogIndex index;                                       // 0: of the next save point
    std::shared_ptr<const std::map<TableId, Rows>> rows;  // what it keeps
  };
  std::map<std::string, Tag> tags;

  // What the entry at `index` does, and what its submitter must be told.
  store::Outcome Apply(const journal::Entry& entry, LogIndex index);

 private:
  store::Outcome ApplyBatch(const journal::Entry& entry);
};

// The tables of a state, through its own readers.
Result<std::map<TableId, Rows>> ReadTables(const store::State& state, store::NodeAccess& nodes);

// The tags of a state, those with a save behind them read through its own readers.
Result<std::map<std::string, Model::Tag>> ReadTags(const store::State& state, store::NodeAccess& nodes);
// Names, places and rows; rows where both sides know them.
bool SameTags(const std::map<std::string, Model::Tag>& a, const std::map<std::string, Model::Tag>& b);

}  // namespace holdfast::sim

#endif  // HOLDFAST_SIM_MODEL_H_
