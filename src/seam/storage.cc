#include "seam/storage.h"

#include <utility>

#include "seam/copies.h"

namespace holdfast::seam {

Result<std::vector<ObjectInfo>> ListAll(Storage& storage, std::string_view prefix) {
  std::vector<ObjectInfo> all;
  std::string after;
  uint64_t bytes = 0;
  for (;;) {
    HF_TRY(Listing page, storage.List(prefix, after, kListPageMax));
    bool done = page.complete || page.objects.empty();
    for (ObjectInfo& o : page.objects) {
      // A provider that does not move forward would keep us here for ever; callers cut the prefix off.
      if (o.name <= after || !o.name.starts_with(prefix)) return Code::kMalformed;
      bytes += sizeof(ObjectInfo) + o.name.size();
      if (bytes > kListedBytesMax) return Code::kTooLarge;
      after = o.name;
      all.push_back(std::move(o));
    }
    if (done) return all;
  }
}

Status ReadAccepted(Storage& storage, std::string_view name, uint64_t offset, uint64_t length,
                    const TakeBytes& take) {
  Copies* copies = storage.copies();
  if (copies == nullptr) {
    HF_TRY(UntrustedBytes bytes, storage.GetRange(name, offset, length));
    return take(std::move(bytes));
  }
  Status answer = Code::kUnreachable;
  bool absent = false;  // somebody answered that there is nothing
  std::vector<std::pair<size_t, Code>> bad;
  for (size_t i : copies->Order()) {
    auto bytes = copies->copy(i).GetRange(name, offset, length);
    Status taken = bytes ? take(std::move(bytes).value()) : Status(bytes.error());
    if (taken) {
      // Only now is it known that the others should have had it.
      for (auto [who, code] : bad) copies->Accuse(who, name, code);
      return Ok();
    }
    if (taken.code() != Code::kUnreachable) bad.emplace_back(i, taken.code());
    absent = absent || taken.code() == Code::kNotFound;
    if (taken.code() != Code::kNotFound && taken.code() != Code::kUnreachable) answer = taken;
  }
  if (answer.code() == Code::kUnreachable && absent) return Code::kNotFound;
  return answer;
}

bool ValidName(std::string_view name) {
  if (name.empty() || name.size() > 255) return false;
  size_t part = 0;  // length of the current part
  bool dots_only = true;
  for (size_t i = 0; i <= name.size(); ++i) {
    if (i == name.size() || name[i] == '/') {
      if (part == 0 || (dots_only && part <= 2)) return false;
      part = 0;
      dots_only = true;
      continue;
    }
    char c = name[i];
    bool ok = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' ||
              c == '_' || c == '-';
    if (!ok) return false;
    if (c != '.') dots_only = false;
    ++part;
  }
  return true;
}

}  // namespace holdfast::seam
