// What a load or a dump that was broken off leaves of itself, in a small file beside the one it was at: how
// far it had come, and of what. One JSON object on a line. Pure.
#ifndef HOLDFAST_CLI_RESUME_POINT_H_
#define HOLDFAST_CLI_RESUME_POINT_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace holdfast::cli {

// FILE.progress: what is before `offset` of the file was acknowledged as durable.
struct LoadPoint {
  std::string store, table, file, format;  // file: its name without folders
  std::string table_id;                    // another one if the table was made anew
  uint64_t bytes = 0, mtime_ns = 0;        // of the file
  uint64_t offset = 0, line = 1;           // where the next record begins
  uint64_t rows = 0;                       // before it
  std::string tail;                        // SHA-256, in hex, of the bytes just before `offset`
  bool operator==(const LoadPoint&) const = default;
};

// FILE.part.progress: the first `offset` bytes of FILE.part are rows up to `last_key`, and durable.
struct DumpPoint {
  std::string store, table, tag, format;
  bool base64 = false;
  std::string from, until;
  uint64_t index = 0;  // of the snapshot: what makes it the same state
  uint64_t offset = 0, rows = 0;
  std::string last_key;
  bool operator==(const DumpPoint&) const = default;
};

std::string EncodeLoadPoint(const LoadPoint& point);
std::string EncodeDumpPoint(const DumpPoint& point);
// kBadInput: not what Encode… writes; a field that is missing, or of another type.
Result<LoadPoint> ParseLoadPoint(std::string_view text);
Result<DumpPoint> ParseDumpPoint(std::string_view text);

}  // namespace holdfast::cli

#endif  // HOLDFAST_CLI_RESUME_POINT_H_
