#include "core/tree/index_key.h"

#include <bit>
#include <charconv>

#include "core/tree/json_scan_internal.h"

namespace holdfast::tree {
namespace {

// What a JSON field begins with: scalars sort by it first.
enum Tag : uint8_t { kNull = 1, kFalse = 2, kTrue = 3, kNumber = 4, kString = 5 };

void Escape(ByteView field, Bytes& out) {
  for (uint8_t c : field) {
    out.push_back(c);
    if (c == 0) out.push_back(0xFF);
  }
}

Bytes BehindPrefix(Bytes prefix) {
  while (!prefix.empty() && prefix.back() == 0xFF) prefix.pop_back();
  if (!prefix.empty()) ++prefix.back();
  return prefix;
}

// Doubles so that their bytes sort as they do; there is one zero.
std::optional<Bytes> NumberField(std::string_view text) {
  double n = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  uint64_t bits = n == 0 ? 0 : std::bit_cast<uint64_t>(n);
  bits = (bits >> 63) != 0 ? ~bits : bits | uint64_t{1} << 63;
  Bytes field{kNumber};
  Append(field, FromUint64(bits));
  return field;
}

// `text`: one JSON value, of which nothing but white space stands around it.
std::optional<Bytes> ScalarField(std::string_view text) {
  switch (text.empty() ? 0 : text.front()) {
    case 'n':
      return Bytes{kNull};
    case 'f':
      return Bytes{kFalse};
    case 't':
      return Bytes{kTrue};
    case '"': {
      Bytes field{kString};
      AppendJsonString(text, field);
      return field;
    }
    case 0:
    case '{':
    case '[':
      return std::nullopt;
    default:
      return NumberField(text);
  }
}

Result<Bytes> BoundField(Type value_type, ByteView bound) {
  if (!IsOf(value_type, bound)) return Code::kInvalidArgument;
  auto field = FieldOf(value_type, "", bound);
  if (!field) return Code::kInvalidArgument;
  return std::move(*field);
}

}  // namespace

bool MayPoint(Type value_type, std::string_view pointer) {
  if (pointer.empty()) return true;
  if (value_type != Type::kJson || pointer.front() != '/' || !IsUtf8(AsBytes(pointer))) return false;
  for (size_t i = 0; i < pointer.size(); ++i) {
    if (pointer[i] == '~' && (i + 1 == pointer.size() || (pointer[i + 1] != '0' && pointer[i + 1] != '1')))
      return false;
  }
  return true;
}

std::optional<Bytes> FieldOf(Type value_type, std::string_view pointer, ByteView value) {
  if (value_type != Type::kJson) return ToBytes(value);
  auto found = FindJson(AsText(value), pointer);
  return found ? ScalarField(*found) : std::nullopt;
}

IndexRow IndexRowOf(ByteView field, ByteView key, bool unique) {
  IndexRow row;
  row.key.reserve(field.size() + 2 + key.size());
  Escape(field, row.key);
  row.key.insert(row.key.end(), 2, 0);
  Append(unique ? row.value : row.key, key);
  return row;
}

Result<Bytes> KeyOfIndexRow(ByteView key, ByteView value, bool unique) {
  for (size_t i = 0; i + 1 < key.size(); ++i) {
    if (key[i] != 0) continue;
    if (key[++i] == 0xFF) continue;
    ByteView rest = key.subspan(i + 1);
    if (key[i] != 0 || rest.empty() != unique || value.empty() == unique) return Code::kMalformed;
    return ToBytes(unique ? value : rest);
  }
  return Code::kMalformed;
}

Result<IndexRange> RangeOf(Type value_type, const FieldBounds& bounds) {
  IndexRange range;
  if (bounds.equals) {
    if (bounds.from || bounds.until || bounds.prefix) return Code::kInvalidArgument;
    HF_TRY(Bytes field, BoundField(value_type, *bounds.equals));
    Escape(field, range.from);
    range.until = range.from;
    range.from.insert(range.from.end(), {0, 0});
    range.until.insert(range.until.end(), {0, 1});
    return range;
  }
  if (bounds.from) {
    HF_TRY(Bytes field, BoundField(value_type, *bounds.from));
    Escape(field, range.from);
  }
  if (bounds.until) {
    HF_TRY(Bytes field, BoundField(value_type, *bounds.until));
    Escape(field, range.until);
    range.empty = range.until.empty();  // nothing is before the empty text
  }
  if (bounds.prefix) {
    if (value_type != Type::kJson && value_type != Type::kText && value_type != Type::kBytes)
      return Code::kInvalidArgument;
    Bytes begin;
    if (value_type == Type::kJson) begin.push_back(kString);
    Escape(*bounds.prefix, begin);
    Bytes behind = BehindPrefix(begin);
    if (Compare(range.from, begin) < 0) range.from = std::move(begin);
    if (!behind.empty() && (range.until.empty() || Compare(behind, range.until) < 0))
      range.until = std::move(behind);
  }
  range.empty = range.empty || (!range.until.empty() && Compare(range.from, range.until) >= 0);
  return range;
}

}  // namespace holdfast::tree
