#include "cli/load_progress.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/bytes.h"
#include "cli/durable_file.h"
#include "cli/failure.h"
#include "crypto/hash.h"

namespace holdfast::cli {
namespace {

constexpr uint64_t kTailBytes = 64u << 10;  // enough to hold some rows, little enough to hash at each write

std::string NameOf(const std::string& path) { return path.substr(path.rfind('/') + 1); }

}  // namespace

LoadProgress::LoadProgress(const std::string& input, int descriptor, const std::string& store,
                           const std::string& table, const std::string& format)
    : path_(input + ".progress"), descriptor_(descriptor) {
  struct stat s {};
  if (::fstat(descriptor, &s) != 0) Fail(input, Code::kIo);
  if (input == "-" || !S_ISREG(s.st_mode))
    FailWith(Code::kUsage, "usage: kv load --resume needs a file: a pipe cannot be read again");
  point_.store = store;
  point_.table = table;
  point_.file = NameOf(input);
  point_.format = format;
  point_.bytes = static_cast<uint64_t>(s.st_size);
  point_.mtime_ns =
      static_cast<uint64_t>(s.st_mtim.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(s.st_mtim.tv_nsec);
}

std::string LoadProgress::Tail(uint64_t offset) const {
  Bytes tail(static_cast<size_t>(std::min(offset, kTailBytes)));
  uint64_t at = offset - tail.size();
  for (size_t have = 0; have < tail.size();) {
    ssize_t n = ::pread(descriptor_, tail.data() + have, tail.size() - have, static_cast<off_t>(at + have));
    if (n <= 0) return "";  // cut off meanwhile: equal to no digest
    have += static_cast<size_t>(n);
  }
  return HexUpper(crypto::Sha256(tail));
}

void LoadProgress::Refuse(const std::string& why) const {
  FailWith(Code::kBadInput, path_ + ": " + why + "; remove it to load from the beginning");
}

std::optional<LoadPlace> LoadProgress::Earlier() {
  std::optional<std::string> text = ReadIfThere(path_);
  if (!text) return std::nullopt;
  Result<LoadPoint> earlier = ParseLoadPoint(*text);
  if (!earlier) Refuse("not the progress of a load");
  if (earlier->store != point_.store) Refuse("of a load into another store");
  if (earlier->table != point_.table) Refuse("of a load into another table");
  if (earlier->format != point_.format) Refuse("of a load with another --format");
  if (earlier->file != point_.file || earlier->bytes != point_.bytes ||
      earlier->mtime_ns != point_.mtime_ns || Tail(earlier->offset) != earlier->tail)
    Refuse("the input has changed since");
  earlier_table_id_ = earlier->table_id;
  return LoadPlace{earlier->offset, earlier->line, earlier->rows};
}

void LoadProgress::OfTable(const std::string& id) {
  if (earlier_table_id_ && *earlier_table_id_ != id) Refuse("the table was made anew since");
  point_.table_id = id;
}

void LoadProgress::Reached(const LoadPlace& place, bool now) {
  auto time = std::chrono::steady_clock::now();
  if (place.offset == written_ || (!now && time - last_ < kPeriod)) return;
  point_.offset = place.offset;
  point_.line = place.line;
  point_.rows = place.rows;
  point_.tail = Tail(place.offset);
  WriteDurably(path_, EncodeLoadPoint(point_));
  written_ = place.offset;
  last_ = time;
}

void LoadProgress::Finished() { RemoveIfThere(path_); }

}  // namespace holdfast::cli
