// Opening a store and reading a configuration, with errors that a person can act on.
#ifndef HOLDFAST_CLI_STORE_ACCESS_H_
#define HOLDFAST_CLI_STORE_ACCESS_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "host/kv/open_mode.h"
#include "host/runtime/server_config.h"
#include "seam/storage.h"

namespace holdfast::cli {

// Several make one storage of several providers, asked one after the other. One of several that does not
// answer is told of on stderr and passed over, but for a new store.
using StoreUrls = std::vector<std::string>;
StoreUrls UrlsOf(const host::ServerConfig& config);
std::string ShowUrls(const StoreUrls& urls);
enum class Missing : uint8_t { kPassOver, kMake };  // an empty provider is made where there is none
std::unique_ptr<seam::Storage> OpenStores(const StoreUrls& urls, host::OpenMode mode,
                                          Missing missing = Missing::kPassOver);
std::unique_ptr<seam::Storage> OpenStoresUnlessInUse(const StoreUrls& urls, host::OpenMode mode,
                                                     Missing missing = Missing::kPassOver);

std::unique_ptr<seam::Storage> OpenStore(const std::string& url, host::OpenMode mode);
// The same, but nothing when the store is in use: a server may be asked instead.
std::unique_ptr<seam::Storage> OpenStoreUnlessInUse(const std::string& url, host::OpenMode mode);
[[noreturn]] void FailInUse(const std::string& url);  // "store in use by pid 123 (dir:/srv/store)"

host::ServerConfig ReadServerYaml(const std::string& path);
// A URL given as an argument: a relative `dir:` starts at the working directory.
std::string AbsoluteUrl(const std::string& url);
// What --anchor or AnchorFile gives: "hf1:…" itself, or the bytes of the file of that name. A Failure if it
// is mistyped. Absent: nothing, or a Failure if it `must_exist`.
std::optional<Bytes> ReadAnchor(const std::string& anchor, bool must_exist);

// client.yaml beside a server.yaml.
std::string ClientYamlBeside(const std::string& server_yaml);

}  // namespace holdfast::cli

#endif  // HOLDFAST_CLI_STORE_ACCESS_H_
