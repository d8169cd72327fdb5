// Listing a directory tree in the byte order of full names, a page at a time, without reading subtrees that
// cannot hold what is asked for.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <vector>

#include "host/kv/posix_internal.h"

namespace holdfast::host {
namespace {

constexpr int kDepthMax =
    32;  // our names have at most five parts; what lies deeper is named as a whole, not entered
constexpr std::string_view kLostAndFound = "lost+found";  // made by mkfs at the top of a file system

struct DirCloser {
  void operator()(DIR* d) const { ::closedir(d); }
};

struct Entry {
  // The full name, with '/' behind a directory: "a-b" < "a/b", and sorting these keys sorts the names below
  // them.
  std::string key;
  bool directory;
};

class Walk {
 public:
  Walk(std::string_view prefix, std::string_view after, size_t limit)
      : prefix_(prefix), after_(after), limit_(limit) {}

  // Lists what lies in the open directory `dir`, whose own key is `key` ("" or ending in '/').
  Status Visit(int dir, const std::string& key, int depth) {
    HF_TRY(std::vector<Entry> entries, Read(dir, key, depth));
    for (const Entry& entry : entries) {
      if (!page_.complete) break;
      HF_TRY_VOID(entry.directory ? Enter(dir, entry.key, depth) : Add(dir, entry.key));
    }
    return Ok();
  }
  seam::Listing TakePage() { return std::move(page_); }

 private:
  bool WantsName(std::string_view name) const { return name > after_ && name.starts_with(prefix_); }
  bool WantsBelow(std::string_view key) const {
    return (key.starts_with(prefix_) || prefix_.starts_with(key)) &&
           (key > after_ || after_.starts_with(key));
  }

  Result<std::vector<Entry>> Read(int dir, const std::string& key, int depth) const {
    // A descriptor with its own position, so that listings can run side by side.
    int fd = ::openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return CodeOfErrno(errno);
    std::unique_ptr<DIR, DirCloser> stream(::fdopendir(fd));
    HF_CHECK(stream != nullptr);
    std::vector<Entry> entries;
    for (;;) {
      errno = 0;
      const dirent* d = ::readdir(stream.get());
      if (d == nullptr) break;
      std::string_view leaf = d->d_name;
      if (leaf == "." || leaf == ".." || (depth == 0 && leaf == kLostAndFound)) continue;
      Entry entry{key + std::string(leaf), d->d_type == DT_DIR};
      if (d->d_type == DT_UNKNOWN) {
        struct stat st {};
        if (::fstatat(dir, d->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) continue;
        entry.directory = S_ISDIR(st.st_mode);
      }
      if (entry.directory) entry.key += '/';
      if (entry.directory ? WantsBelow(entry.key) : WantsName(entry.key)) entries.push_back(std::move(entry));
    }
    if (errno != 0) return Code::kIo;
    std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.key < b.key; });
    return entries;
  }

  Status Enter(int dir, const std::string& key, int depth) {
    if (depth + 1 >= kDepthMax) return WantsName(key) ? AddAs(key, 0) : Ok();
    std::string path = key.substr(0, key.size() - 1);
    int fd =
        ::openat(dir, std::string(LeafOf(path)).c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)) return Ok();  // replaced meanwhile
    if (fd < 0) return CodeOfErrno(errno);
    Fd below(fd);
    return Visit(below.get(), key, depth + 1);
  }

  Status Add(int dir, const std::string& name) {
    struct stat st {};
    if (::fstatat(dir, std::string(LeafOf(name)).c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) return Ok();  // deleted meanwhile
      return CodeOfErrno(errno);
    }
    return AddAs(name, S_ISREG(st.st_mode) ? static_cast<uint64_t>(st.st_size) : 0);
  }

  Status AddAs(const std::string& name, uint64_t size_bytes) {
    if (page_.objects.size() == limit_) {
      page_.complete = false;
    } else {
      page_.objects.push_back({name, size_bytes});
    }
    return Ok();
  }

  const std::string_view prefix_, after_;
  const size_t limit_;
  seam::Listing page_;
};

}  // namespace

Result<seam::Listing> ListTree(int root, std::string_view prefix, std::string_view after, size_t limit) {
  if (limit == 0) return Code::kInvalidArgument;
  Walk walk(prefix, after, std::min(limit, seam::kListPageMax));
  HF_TRY_VOID(walk.Visit(root, "", 0));
  return walk.TakePage();
}

Result<bool> IsEmpty(int root) {
  int fd = ::openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return CodeOfErrno(errno);
  std::unique_ptr<DIR, DirCloser> stream(::fdopendir(fd));
  HF_CHECK(stream != nullptr);
  for (;;) {
    errno = 0;
    const dirent* d = ::readdir(stream.get());
    if (d == nullptr) break;
    std::string_view leaf = d->d_name;
    if (leaf != "." && leaf != ".." && leaf != kLostAndFound) return false;
  }
  if (errno != 0) return Code::kIo;
  return true;
}

}  // namespace holdfast::host
