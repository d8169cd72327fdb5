#include "host/runtime/server_config.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "base/memory_plan.h"

namespace holdfast::host {
namespace {

constexpr size_t kConfigBytesMax = 1u << 20;
constexpr uint64_t kPeriodMsMax = 10ull * 365 * 86'400'000;

// What is quoted from the file may hold anything, and is shown on a terminal.
std::string OneLine(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '?';
  }
  return text;
}

std::string Resolve(const std::string& path, const std::string& directory) {
  if (path.empty() || path[0] == '/') return path;
  return (std::filesystem::path(directory) / path).lexically_normal().string();
}

// Walks the document once; the first thing that is wrong ends it with a line for the operator.
class ConfigReader {
 public:
  ConfigReader(const std::string& directory, std::string* why) : directory_(directory), why_(why) {}

  Result<ServerConfig> Read(std::string_view yaml) {
    static const std::map<std::string, std::set<std::string>> kKnown = {
        {"Server", {"Address", "Port"}},
        {"AdministratorServer", {"Port"}},
        {"Metrics", {"Address", "Port"}},
        {"Service",
         {"DataStore", "TemporaryPath", "StateSavePeriod", "AnchorFile", "CacheBytes", "MemoryBytes"}},
        {"Log", {"Level"}}};
    YAML::Node root = YAML::Load(std::string(yaml));
    if (!root.IsMap()) return Bad("not a map of sections");
    std::set<std::string> sections;
    for (const auto& section : root) {
      std::string name = section.first.as<std::string>();
      if (!sections.insert(name).second) return Bad("'" + name + "' is given twice");
      auto known = kKnown.find(name);
      if (known == kKnown.end()) return Bad("unknown key '" + name + "'");
      if (section.second.IsNull()) continue;
      if (!section.second.IsMap()) return Bad("'" + name + "' is not a section");
      std::set<std::string> seen;
      for (const auto& entry : section.second) {
        std::string key = entry.first.as<std::string>();
        if (!known->second.contains(key)) return Bad("unknown key '" + name + "." + key + "'");
        // yaml-cpp keeps both and gives the first: an operator who reads the second is misled.
        if (!seen.insert(key).second) return Bad("'" + name + "." + key + "' is given twice");
        if (name + "." + key == "Service.DataStore" && entry.second.IsSequence()) {
          HF_TRY_VOID(TakeStores(entry.second));
          continue;
        }
        if (!entry.second.IsScalar()) return Bad("'" + name + "." + key + "' is not a plain value");
        HF_TRY_VOID(Take(name + "." + key, entry.second.Scalar()));
      }
    }
    if (config_.store_url.empty()) return Bad("'Service.DataStore' is missing");
    if (config_.temporary_path.empty()) return Bad("'Service.TemporaryPath' is missing");
    if (memory_bytes_ != 0) {
      if (cache_given_) return Bad("'Service.CacheBytes' and 'Service.MemoryBytes' are both given");
      config_.cache_bytes = memory_plan::CacheBytes(memory_bytes_);
    }
    return std::move(config_);
  }

 private:
  Error Bad(const std::string& why) {
    *why_ = OneLine(why);
    return Code::kBadConfig;
  }

  Status Take(const std::string& key, const std::string& value) {
    if (key == "Server.Address") return TakeText(key, value, &config_.address);
    if (key == "Server.Port") return TakePort(key, value, &config_.port);
    if (key == "AdministratorServer.Port") return TakePort(key, value, &config_.admin_port);
    if (key.starts_with("Metrics.")) return TakeMetrics(key, value);
    if (key == "Service.DataStore") {
      HF_TRY_VOID(TakeText(key, value, &config_.store_url));
      config_.store_url = ResolveStoreUrl(config_.store_url, directory_);
      return Ok();
    }
    if (key == "Service.TemporaryPath" || key == "Service.AnchorFile") {
      std::string* to = key == "Service.AnchorFile" ? &config_.anchor_file : &config_.temporary_path;
      HF_TRY_VOID(TakeText(key, value, to));
      *to = Resolve(*to, directory_);
      return Ok();
    }
    if (key == "Service.StateSavePeriod") {
      Result<uint64_t> ms = ParsePeriod(value);
      if (!ms) return Bad("'" + key + "' is not a period such as 60s, 5m or 0");
      config_.save_period_ms = *ms;
      return Ok();
    }
    if (key == "Service.CacheBytes") {
      cache_given_ = true;
      return TakeNumber(key, value, UINT64_MAX, &config_.cache_bytes);
    }
    if (key == "Service.MemoryBytes") {
      HF_TRY_VOID(TakeNumber(key, value, UINT64_MAX, &memory_bytes_));
      if (memory_bytes_ < limits::kMemoryBytesMin) return Bad("'" + key + "' is below 201326592");
      return Ok();
    }
    static const std::set<std::string> kLevels = {"trace", "debug", "info", "warn", "error", "off"};
    if (!kLevels.contains(value)) return Bad("'" + key + "' is not one of trace debug info warn error off");
    config_.log_level = value;
    return Ok();
  }

  Status TakeStores(const YAML::Node& list) {
    if (list.size() == 0 || list.size() > limits::kProvidersMax)
      return Bad("'Service.DataStore' does not name 1 to " + std::to_string(limits::kProvidersMax) +
                 " providers");
    std::set<std::string> seen;
    for (const YAML::Node& one : list) {
      if (!one.IsScalar() || one.Scalar().empty())
        return Bad("'Service.DataStore' is not a list of store URLs");
      std::string url = ResolveStoreUrl(one.Scalar(), directory_);
      if (!seen.insert(url).second) return Bad("'Service.DataStore' names '" + url + "' twice");
      config_.store_url.empty() ? config_.store_url = url : config_.other_store_urls.emplace_back(url);
    }
    return Ok();
  }

  // Any key of the section turns the listener on.
  Status TakeMetrics(const std::string& key, const std::string& value) {
    uint16_t port = config_.metrics_port.value_or(0);
    HF_TRY_VOID(key == "Metrics.Port" ? TakePort(key, value, &port)
                                      : TakeText(key, value, &config_.metrics_address));
    config_.metrics_port = port;
    return Ok();
  }

  Status TakeText(const std::string& key, const std::string& value, std::string* to) {
    if (value.empty()) return Bad("'" + key + "' is empty");
    *to = value;
    return Ok();
  }
  Status TakeNumber(const std::string& key, const std::string& value, uint64_t max, uint64_t* to) {
    bool digits = !value.empty() && value.size() <= 19 && std::all_of(value.begin(), value.end(), [](char c) {
      return std::isdigit(static_cast<unsigned char>(c)) != 0;
    });
    if (!digits || std::stoull(value) > max) return Bad("'" + key + "' is not a number within its limits");
    *to = std::stoull(value);
    return Ok();
  }
  Status TakePort(const std::string& key, const std::string& value, uint16_t* to) {
    uint64_t n = 0;
    HF_TRY_VOID(TakeNumber(key, value, 65'535, &n));
    *to = static_cast<uint16_t>(n);
    return Ok();
  }

  const std::string& directory_;
  std::string* why_;
  uint64_t memory_bytes_ = 0;
  bool cache_given_ = false;
  ServerConfig config_;
};

}  // namespace

Result<uint64_t> ParsePeriod(std::string_view text) {
  static const std::map<std::string_view, uint64_t> kUnits = {
      {"ms", 1}, {"", 1000}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}};
  size_t digits = 0;
  uint64_t n = 0;
  while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') {
    n = n * 10 + static_cast<uint64_t>(text[digits++] - '0');
    if (n > kPeriodMsMax) return Code::kBadConfig;
  }
  auto unit = kUnits.find(text.substr(digits));
  if (digits == 0 || unit == kUnits.end() || n > kPeriodMsMax / unit->second) return Code::kBadConfig;
  return n * unit->second;
}

std::string ResolveStoreUrl(const std::string& url, const std::string& directory) {
  constexpr std::string_view kPathSchemes[] = {"dir:", "sqlite:", "rocksdb:", "leveldb:"};
  for (std::string_view scheme : kPathSchemes) {
    if (!url.starts_with(scheme) || url.size() == scheme.size()) continue;
    std::string path = url.substr(scheme.size());
    std::string query;
    if (size_t q = path.find('?'); q != std::string::npos) {
      query = path.substr(q);
      path.resize(q);
    }
    return std::string(scheme) + Resolve(path, directory) + query;
  }
  return url;
}

Result<ServerConfig> ParseServerConfig(std::string_view yaml, const std::string& directory,
                                       std::string* why) {
  try {
    return ConfigReader(directory, why).Read(yaml);
  } catch (const YAML::Exception& e) {
    *why = OneLine("line " + std::to_string(e.mark.line + 1) + ": " + e.msg);
    return Code::kBadConfig;
  }
}

Result<ServerConfig> ReadServerConfig(const std::string& path, std::string* why) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) {
    *why = "no such file";
    return Code::kNotFound;
  }
  std::ifstream in(path, std::ios::binary);
  std::string text;
  bool readable = in && !std::filesystem::is_directory(path, ignored);
  if (readable) {
    text.resize(kConfigBytesMax + 1);
    in.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<size_t>(in.gcount()));
  }
  if (!readable || in.bad()) {
    *why = "cannot be read";
    return Code::kPermission;
  }
  if (text.size() > kConfigBytesMax) {
    *why = "larger than 1 MiB";
    return Code::kBadConfig;
  }
  std::filesystem::path directory = std::filesystem::absolute(path, ignored).parent_path();
  return ParseServerConfig(text, directory.string(), why);
}

}  // namespace holdfast::host
