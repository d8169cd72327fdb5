// For fuzzers: storage of a host that means ill. It keeps objects in memory, shows them as the seam promises
// in form (never more bytes than asked for) and in nothing else: an attacker edits the objects, adds to or
// takes from listings, and has single reads lie. Not thread-safe.
#ifndef HOLDFAST_CORE_STORE_HOSTILE_STORAGE_INTERNAL_H_
#define HOLDFAST_CORE_STORE_HOSTILE_STORAGE_INTERNAL_H_

#include <algorithm>
#include <map>
#include <optional>
#include <string>

#include "base/limits.h"
#include "seam/storage.h"

namespace holdfast::store {

using HostileImage = std::map<std::string, Bytes, std::less<>>;

class HostileStorage : public seam::Storage {
 public:
  explicit HostileStorage(bool append) : append_(append) {}

  HostileImage objects;
  std::map<std::string, std::optional<uint64_t>, std::less<>> listing_lies;  // size to show; nothing: hide it
  struct ReadLie {
    uint8_t place = 0, value = 0;
  };
  std::map<uint32_t, ReadLie> read_lies;  // by number of the read
  bool stubborn_listing = false;          // never complete
  uint32_t reads = 0;

  bool lies() const { return !listing_lies.empty() || !read_lies.empty() || stubborn_listing; }

  seam::Capabilities capabilities() const override {
    return {.append = append_, .conditional_put = true, .exclusive = true};
  }
  Result<UntrustedBytes> Get(std::string_view name) override { return GetRange(name, 0, seam::kGetBytesMax); }
  Result<UntrustedBytes> GetRange(std::string_view name, uint64_t offset, uint64_t length) override {
    auto it = objects.find(name);
    if (it == objects.end()) return Code::kNotFound;
    ByteView all = it->second;
    ByteView from = all.subspan(std::min<uint64_t>(offset, all.size()));
    Bytes part = ToBytes(from.first(std::min<uint64_t>(length, from.size())));
    auto lie = read_lies.find(reads++);
    if (lie != read_lies.end() && !part.empty()) part[lie->second.place % part.size()] = lie->second.value;
    return UntrustedBytes(std::move(part));
  }
  Result<seam::VersionedBytes> GetVersioned(std::string_view) override { return Code::kUnsupported; }
  Status Put(std::string_view name, ByteView bytes) override {
    objects[std::string(name)] = ToBytes(bytes);
    return Ok();
  }
  Status PutIfAbsent(std::string_view name, ByteView bytes) override {
    if (objects.contains(name)) return Code::kExists;
    return Put(name, bytes);
  }
  Result<seam::ObjectVersion> PutIfVersion(std::string_view, ByteView, const seam::ObjectVersion&) override {
    return Code::kUnsupported;
  }
  Status Delete(std::string_view name) override {
    if (auto it = objects.find(name); it != objects.end()) objects.erase(it);
    return Ok();
  }
  Result<seam::Listing> List(std::string_view prefix, std::string_view after, size_t limit) override {
    std::map<std::string, uint64_t, std::less<>> shown;
    for (const auto& [name, bytes] : objects) {
      if (name.starts_with(prefix)) shown[name] = bytes.size();
    }
    for (const auto& [name, size] : listing_lies) {  // whatever the prefix is
      if (size) {
        shown[name] = *size;
      } else {
        shown.erase(name);
      }
    }
    seam::Listing page;
    page.complete = !stubborn_listing;
    for (auto it = shown.upper_bound(after); it != shown.end(); ++it) {
      if (page.objects.size() == limit) return page.complete = false, page;
      page.objects.push_back({it->first, it->second});
    }
    return page;
  }
  Status Barrier() override { return Ok(); }
  Status CreateAppendable(std::string_view name, uint64_t reserve, ByteView first) override {
    if (objects.contains(name)) return Code::kExists;
    Bytes& b = objects[std::string(name)] = ToBytes(first);
    b.resize(std::max<uint64_t>(reserve, first.size()));
    return Ok();
  }
  Status Append(std::string_view name, uint64_t offset, ByteView bytes) override {
    auto it = objects.find(name);
    if (it == objects.end()) return Code::kNotFound;
    if (offset % limits::kSectorBytes != 0 || offset > it->second.size()) return Code::kInvalidArgument;
    it->second.resize(std::max<uint64_t>(it->second.size(), offset + bytes.size()));
    std::copy(bytes.begin(), bytes.end(), it->second.begin() + static_cast<ptrdiff_t>(offset));
    return Ok();
  }
  Status Trim(std::string_view name, uint64_t size) override {
    auto it = objects.find(name);
    if (it == objects.end()) return Code::kNotFound;
    if (size > it->second.size()) return Code::kInvalidArgument;
    it->second.resize(size);
    return Ok();
  }

 private:
  const bool append_;
};

}  // namespace holdfast::store

#endif  // HOLDFAST_CORE_STORE_HOSTILE_STORAGE_INTERNAL_H_
