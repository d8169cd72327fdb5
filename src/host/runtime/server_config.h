// server.yaml: where the server listens, what it stores in, when it saves. A contract (docs/operating.md).
//
//   Server:              { Address: 127.0.0.1, Port: 0 }
//   AdministratorServer: { Port: 0 }                       loopback always
//   Metrics:             { Address: 127.0.0.1, Port: 8420 } HTTP; absent or without a key: none
//   Service:
//     DataStore:         dir:store                         store URL; required. Several providers: a list
//     TemporaryPath:     temp                              required; a local file system
//     StateSavePeriod:   60s                               0 = never by time; ms s m h d, none = seconds
//     AnchorFile:        anchor                            absent = no anchor
//     CacheBytes:        536870912                         decoded nodes
//   Log:                 { Level: info }                   trace debug info warn error off
//
// Relative paths (and the path of a `dir:` URL) start at the directory of server.yaml, so a deployment can be
// moved. A key that is not in this list is refused by its name: a misspelt option must not silently do
// nothing.
#ifndef HOLDFAST_HOST_RUNTIME_SERVER_CONFIG_H_
#define HOLDFAST_HOST_RUNTIME_SERVER_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/limits.h"
#include "base/result.h"

namespace holdfast::host {

struct ServerConfig {
  std::string address = "127.0.0.1";
  uint16_t port = 0;        // 0: the kernel picks one
  uint16_t admin_port = 0;  // on 127.0.0.1
  std::string metrics_address = "127.0.0.1";
  std::optional<uint16_t> metrics_port;  // nothing: no listener; 0: the kernel picks one
  std::string store_url;
  std::vector<std::string> other_store_urls;  // of the providers after the first
  std::string temporary_path;
  uint64_t save_period_ms = 60'000;
  std::string anchor_file;  // empty: none
  uint64_t cache_bytes = limits::kNodeCacheBytesDefault;
  std::string log_level = "info";
};

// kBadConfig; `why` gets one line that names the key. Relative paths are resolved against `directory`.
Result<ServerConfig> ParseServerConfig(std::string_view yaml, const std::string& directory, std::string* why);
// The same from a file. kNotFound, kPermission, kBadConfig.
Result<ServerConfig> ReadServerConfig(const std::string& path, std::string* why);

// "90", "90s", "5m", "250ms", "1h", "2d" -> milliseconds. kBadConfig otherwise, or beyond 10 years.
Result<uint64_t> ParsePeriod(std::string_view text);

// "dir:store" -> "dir:/where/store", so too sqlite: rocksdb: leveldb:; other URLs and absolute paths stay.
std::string ResolveStoreUrl(const std::string& url, const std::string& directory);

}  // namespace holdfast::host

#endif  // HOLDFAST_HOST_RUNTIME_SERVER_CONFIG_H_
