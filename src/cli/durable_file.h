// Files that are there whole or not at all. Each function fails (Failure) with the path and why.
#ifndef HOLDFAST_CLI_DURABLE_FILE_H_
#define HOLDFAST_CLI_DURABLE_FILE_H_

#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast::cli {

// Replaces a small file: whoever reads it, also after a crash, finds the old text or the new one.
void WriteDurably(const std::string& path, std::string_view text);
// At most 1 MiB; nothing if there is no such file.
std::optional<std::string> ReadIfThere(const std::string& path);
void RemoveIfThere(const std::string& path);

// A file that gets its name when it is complete: until then it is PATH.part. Not thread-safe.
class PartFile {
 public:
  // Begins again, or goes on behind the first `keep` bytes of a PATH.part that has at least so many.
  // Only one process at a time: kInUse.
  explicit PartFile(const std::string& path, uint64_t keep = 0);
  ~PartFile();  // PATH.part stays
  PartFile(const PartFile&) = delete;
  PartFile& operator=(const PartFile&) = delete;

  void Write(std::string_view bytes);
  uint64_t offset() const { return offset_; }
  void Sync();      // what was written is durable
  void Complete();  // durable, and under its name; replaces what was there
  void Discard();   // removes PATH.part

 private:
  const std::string path_, part_;
  FILE* file_ = nullptr;
  uint64_t offset_ = 0;
};

}  // namespace holdfast::cli

#endif  // HOLDFAST_CLI_DURABLE_FILE_H_
