#include "cli/store_access.h"

#include <filesystem>
#include <utility>

#include "cli/failure.h"
#include "core/seal/anchor.h"
#include "host/kv/dir.h"
#include "host/kv/open.h"
#include "host/runtime/anchor_file.h"

namespace holdfast::cli {

void FailInUse(const std::string& url) {
  std::string directory = host::DirectoryOf(url);
  std::optional<int> pid = directory.empty() ? std::nullopt : host::LockHolder(directory);
  FailWith(Code::kInUse,
           "store in use" + (pid ? " by pid " + std::to_string(*pid) : std::string()) + " (" + url + ")");
}

std::unique_ptr<seam::Storage> OpenStoreUnlessInUse(const std::string& url, host::OpenMode mode) {
  Result<std::unique_ptr<seam::Storage>> storage = host::OpenStorage(url, mode);
  if (!storage && storage.code() == Code::kInUse) return nullptr;
  return Take(std::move(storage), url);
}

std::unique_ptr<seam::Storage> OpenStore(const std::string& url, host::OpenMode mode) {
  std::unique_ptr<seam::Storage> storage = OpenStoreUnlessInUse(url, mode);
  if (!storage) FailInUse(url);
  return storage;
}

host::ServerConfig ReadServerYaml(const std::string& path) {
  std::string why;
  Result<host::ServerConfig> config = host::ReadServerConfig(path, &why);
  if (!config) FailWith(config.code(), path + ": " + why);
  return std::move(config).value();
}

std::string AbsoluteUrl(const std::string& url) {
  std::error_code ignored;
  return host::ResolveStoreUrl(url, std::filesystem::current_path(ignored).string());
}

std::optional<Bytes> ReadAnchor(const std::string& text, bool must_exist) {
  if (seal::AnchorClaim::IsShort(AsBytes(text))) {
    if (Status typed = seal::AnchorClaim::CheckShort(text); !typed)
      FailWith(Code::kUsage, "usage: --anchor " + text + ": mistyped");
    return ToBytes(text);
  }
  Result<UntrustedBytes> anchor = host::AnchorFile(text).Get(host::kAnchorName);
  if (anchor) return std::move(anchor).value().take();
  if (anchor.code() == Code::kNotFound && !must_exist) return std::nullopt;
  Fail("anchor " + text, anchor.code());
}

std::string ClientYamlBeside(const std::string& server_yaml) {
  return (std::filesystem::path(server_yaml).parent_path() / "client.yaml").string();
}

}  // namespace holdfast::cli
