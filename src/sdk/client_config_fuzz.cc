// client.yaml and port files of any bytes. The first byte chooses. What is refused is kBadConfig with one
// line that says why; what was understood has all that a connection needs.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "base/bytes.h"
#include "base/check.h"
#include "sdk/config.h"

namespace holdfast::sdk {
namespace {

bool OneLine(const std::string& text) {
  return !text.empty() && std::none_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
  });
}

void TryYaml(const std::string& yaml) {
  std::string why;
  Result<ClientConfig> config = ParseClientConfig(yaml, "/where/it/lies", &why);
  HF_CHECK(ParseClientConfig(yaml, "/where/it/lies", nullptr).has_value() == config.has_value());
  if (!config) {
    HF_CHECK(config.code() == Code::kBadConfig && OneLine(why));
    return;
  }
  HF_CHECK(config->store_id.size() == 32 && ParseHex(config->store_id).has_value());
  for (const std::string* path : {&config->ca_file, &config->client_file}) HF_CHECK(path->starts_with("/"));
  for (const std::string* path : {&config->port_file, &config->admin_port_file})
    HF_CHECK(path->empty() || path->starts_with("/"));
}

// A port is its decimal digits and nothing else.
void TryPortFile(std::string_view text) {
  static const int fd = ::memfd_create("port", MFD_CLOEXEC);
  static const std::string path = "/proc/self/fd/" + std::to_string(fd);
  HF_CHECK(::ftruncate(fd, 0) == 0);
  HF_CHECK(::pwrite(fd, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()));
  Result<uint16_t> port = ReadPortFile(path);
  if (!port) {
    HF_CHECK(port.code() == Code::kServerUnreachable);
    return;
  }
  HF_CHECK(*port != 0);
  size_t zeros = std::min(text.find_first_not_of('0'), text.size());
  HF_CHECK(text.substr(zeros) == std::to_string(*port));
}

}  // namespace
}  // namespace holdfast::sdk

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace holdfast;  // NOLINT: a fuzzer's one function
  if (size == 0) return 0;
  std::string_view text = AsText({data + 1, size - 1});
  if (data[0] == 'p') {
    sdk::TryPortFile(text);
  } else {
    sdk::TryYaml(std::string(text));
  }
  return 0;
}
