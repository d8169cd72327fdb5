#include "host/kv/s3_answer.h"

#include <charconv>
#include <optional>
#include <pugixml.hpp>

#include "seam/storage.h"

namespace holdfast::host {
namespace {

std::optional<uint64_t> Number(std::string_view text) {
  uint64_t n = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return {};
  return n;
}

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// %XX and '+': how keys come with encoding-type=url.
std::optional<std::string> Decoded(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i] == '+' ? ' ' : text[i];
      continue;
    }
    if (text.size() - i < 3) return {};
    int high = HexValue(text[i + 1]), low = HexValue(text[i + 2]);
    if (high < 0 || low < 0) return {};
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

}  // namespace

Result<S3Listing> ParseS3Listing(ByteView xml) {
  pugi::xml_document document;
  if (!document.load_buffer(xml.data(), xml.size(), pugi::parse_default, pugi::encoding_utf8)) {
    return Code::kMalformed;
  }
  pugi::xml_node result = document.child("ListBucketResult");
  std::string_view truncated = result.child_value("IsTruncated");
  if (!result || (truncated != "true" && truncated != "false")) return Code::kMalformed;
  // A server that does not know encoding-type does not repeat it, and sends keys as they are.
  bool encoded = std::string_view(result.child_value("EncodingType")) == "url";
  S3Listing listing;
  listing.truncated = truncated == "true";
  for (pugi::xml_node object : result.children("Contents")) {
    std::optional<uint64_t> size = Number(object.child_value("Size"));
    std::string_view key = object.child_value("Key");
    std::optional<std::string> name = encoded ? Decoded(key) : std::string(key);
    if (!size || !name || listing.objects.size() == seam::kListPageMax) return Code::kMalformed;
    listing.objects.push_back({std::move(*name), *size});
  }
  return listing;
}

std::string ParseS3ErrorCode(ByteView xml) {
  pugi::xml_document document;
  if (!document.load_buffer(xml.data(), xml.size(), pugi::parse_default, pugi::encoding_utf8)) return {};
  return document.child("Error").child_value("Code");
}

}  // namespace holdfast::host
