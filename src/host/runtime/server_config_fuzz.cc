// server.yaml of any bytes: a configuration within its limits, or kBadConfig with one line that says why.
// What was understood, written out again in full, is understood the same.
#include <algorithm>

#include "base/bytes.h"
#include "base/check.h"
#include "host/runtime/server_config.h"

namespace holdfast::host {
namespace {

constexpr uint64_t kTenYearsMs = 10ull * 365 * 86'400'000;

// Double quotes with everything odd escaped: no line folding, no other meaning.
std::string Quoted(const std::string& text) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out = "\"";
  for (char c : text) {
    auto byte = static_cast<uint8_t>(c);
    if (byte < 0x20 || byte == 0x7F || c == '"' || c == '\\') {
      out += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string Write(const ServerConfig& c) {
  std::string out = "Server: {Address: " + Quoted(c.address) + ", Port: " + std::to_string(c.port) + "}\n";
  out += "AdministratorServer: {Port: " + std::to_string(c.admin_port) + "}\n";
  if (c.metrics_port) {
    out += "Metrics: {Address: " + Quoted(c.metrics_address) + ", Port: " + std::to_string(*c.metrics_port);
    out += "}\n";
  }
  out += "Service:\n  DataStore: [" + Quoted(c.store_url);
  for (const std::string& url : c.other_store_urls) out += ", " + Quoted(url);
  out += "]\n  TemporaryPath: " + Quoted(c.temporary_path);
  out += "\n  StateSavePeriod: " + std::to_string(c.save_period_ms) + "ms\n";
  if (!c.anchor_file.empty()) out += "  AnchorFile: " + Quoted(c.anchor_file) + "\n";
  // A number of 20 digits is refused by its length.
  out += "  CacheBytes: " + std::to_string(std::min(c.cache_bytes, UINT64_MAX / 10)) + "\n";
  return out + "Log: {Level: " + c.log_level + "}\n";
}

bool Same(const ServerConfig& a, const ServerConfig& b) {
  return a.address == b.address && a.port == b.port && a.admin_port == b.admin_port &&
         a.metrics_port == b.metrics_port && (!a.metrics_port || a.metrics_address == b.metrics_address) &&
         a.store_url == b.store_url && a.other_store_urls == b.other_store_urls &&
         a.temporary_path == b.temporary_path && a.save_period_ms == b.save_period_ms &&
         a.anchor_file == b.anchor_file && std::min(a.cache_bytes, UINT64_MAX / 10) == b.cache_bytes &&
         a.log_level == b.log_level;
}

bool OneLine(const std::string& text) {
  return !text.empty() && std::none_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
  });
}

void Run(std::string_view text) {
  if (Result<uint64_t> period = ParsePeriod(text)) HF_CHECK(*period <= kTenYearsMs);
  std::string why;
  Result<ServerConfig> config = ParseServerConfig(text, "/where/it/lies", &why);
  if (!config) {
    HF_CHECK(config.code() == Code::kBadConfig && OneLine(why));
    return;
  }
  HF_CHECK(!config->store_url.empty() && !config->temporary_path.empty());
  HF_CHECK(config->temporary_path.starts_with("/") && config->save_period_ms <= kTenYearsMs);
  Result<ServerConfig> again = ParseServerConfig(Write(*config), "/elsewhere", &why);
  HF_CHECK(again.has_value() && Same(*config, *again));
}

}  // namespace
}  // namespace holdfast::host

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  holdfast::host::Run(holdfast::AsText({data, size}));
  return 0;
}
