// The head of an HTTP request from anybody who reaches the metrics port. Whatever it is, the answer is one of
// those the header promises, whole, of bounded size, and nothing of the request shows in it.
#include <charconv>
#include <set>

#include "base/bytes.h"
#include "base/check.h"
#include "host/metrics/http_pages_internal.h"

namespace holdfast::host {
namespace {

constexpr size_t kAnswerBytesMax = 256u << 10;

const std::set<std::string_view>& KnownHeaders() {
  static const std::set<std::string_view> known = {"Allow",      "Connection",   "Content-Encoding",
                                                   "Keep-Alive", "Content-Type", "Content-Length",
                                                   "Vary",       "Accept-Ranges"};
  return known;
}

HttpPages& Pages(bool core_answers) {
  static HttpPages with(
      {[] { return CoreValues(std::vector<uint64_t>(seam::kMetrics, 7)); }, [](HostValues*) {}});
  static HttpPages without({[] { return CoreValues(); }, [](HostValues*) {}});
  return core_answers ? with : without;
}

// A status line that the header of metrics_server.h promises, or one of the library's for what is no request.
void CheckStatus(std::string_view line) {
  static const std::set<std::string_view> known = {"100", "200", "400", "404", "405",
                                                   "414", "416", "417", "503"};
  HF_CHECK(line.starts_with("HTTP/1.1 ") || line.starts_with("HTTP/1.0 "));
  HF_CHECK(known.contains(line.substr(9, 3)));
}

// Takes one answer off the front; the size its headers give to the body.
size_t TakeHead(std::string_view& answer) {
  size_t end = answer.find("\r\n\r\n");
  HF_CHECK(end != std::string_view::npos);
  std::string_view head = answer.substr(0, end + 2);
  answer.remove_prefix(end + 4);
  size_t length = 0;
  for (bool first = true; !head.empty(); first = false) {
    std::string_view line = head.substr(0, head.find("\r\n"));
    head.remove_prefix(line.size() + 2);
    if (first) {
      CheckStatus(line);
      continue;
    }
    size_t colon = line.find(": ");
    HF_CHECK(colon != std::string_view::npos && KnownHeaders().contains(line.substr(0, colon)));
    std::string_view value = line.substr(colon + 2);
    if (line.starts_with("Content-Length: "))
      std::from_chars(value.data(), value.data() + value.size(), length);
  }
  return length;
}

void CheckAnswer(std::string_view answer) {
  if (answer.empty()) return;  // not even a request line: the connection is closed
  HF_CHECK(answer.size() <= kAnswerBytesMax);
  if (answer.starts_with("HTTP/1.1 100")) HF_CHECK(TakeHead(answer) == 0);  // who expects it is told to go on
  size_t length = TakeHead(answer);
  HF_CHECK(answer.empty() || answer.size() == length);
}

}  // namespace
}  // namespace holdfast::host

// The first byte: whether the core answers.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace holdfast;  // NOLINT: a fuzzer's one function
  if (size == 0 || size > host::kHeadBytesMax) return 0;
  std::string head(AsText({data + 1, size - 1}));
  head += "\r\n\r\n";  // ReadHead hands over nothing else
  host::CheckAnswer(host::Pages((data[0] & 1) != 0).Answer(std::move(head)));
  return 0;
}
