// What is asked of the tags of one version: for a served store, and for the tools of offline.h.
#ifndef HOLDFAST_CORE_STORE_TAGS_H_
#define HOLDFAST_CORE_STORE_TAGS_H_

#include "core/store/cleaner.h"
#include "core/store/state.h"

namespace holdfast::store {

bool ValidUtf8(std::string_view text);  // shortest forms, no surrogates
// 1 to 128 bytes of UTF-8, and not kNowTag. kTagName.
Status CheckTagName(std::string_view name);

// All that the state knows of: with those that wait for their save.
std::vector<TagInfo> TagsOf(const Manifest& manifest, const State::TagStates& known);

// By name, system tables aside. kNoTag.
Result<std::vector<TagTable>> TablesOfTag(const Manifest& manifest, std::string_view tag);

GarbageReport ReportGarbage(const Manifest& manifest, const State::TagStates& known,
                            const Placement& placement);

// Saves that it takes, with nothing to clean, until what is condemned is deleted and not listed any more
// (D3): snapshots aside, which may hold some of it.
size_t SavesToDelete(const Manifest& manifest);

// As DiffTags. `nodes` reads `version`. Blocking.
Status DiffVersion(const TreeVersion& version, std::string_view from, std::string_view to,
                   std::string_view table, NodeAccess& nodes, const DiffSink& sink);

}  // namespace holdfast::store

#endif  // HOLDFAST_CORE_STORE_TAGS_H_
